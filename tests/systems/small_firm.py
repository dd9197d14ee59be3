"""A firm small enough to be hurt often, on a real server: 240 contacts with invoices and notes, and what a run does to them.

Every batch mixes what a run can do. Contacts whose number is divisible by three are due and go with their notes and old invoices; those
with the remainder one have a young invoice, so that only their address and telephone go; the others were seen lately. From `TREATED` on
nobody is due as a whole, so the batches there only treat.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa

from tests.installation import Installation, lend_keys
from worker.audit.outcomes import outcomes
from worker.ledger.rows import RunRow
from worker.ports import Faults
from worker.usecases.applying import RunResult, apply_plan
from worker.usecases.approving import approve, open_plan
from worker.usecases.machine import Machine
from worker.usecases.planning import make_plan

CONTACTS = 240
TREATED = 120
BATCH = 40
MIXED_BATCH, TREATING_BATCH = 2, 3
"""Which batch of the contacts, counted from one, deletes and treats, and which only treats."""
TODAY = datetime(2026, 6, 30, 12, tzinfo=UTC)

POLICIES = """
version = 1
[organisation]
name = "Firm"
timezone = "Europe/Amsterdam"

[sources.contacts]
connector = "crm"
table = "contacts"
key = "id"
subject = ["email"]
[sources.contacts.fields]
name = { treatment = { constant = "-" } }
email = { type = "email", treatment = "pseudonym" }
phone = { treatment = "clear" }
seen_at = { type = "timestamp", timezone = "UTC" }
[sources.contacts.children.invoices]
table = "invoices"
key = "id"
match = { contact_id = "id" }
on_delete = "keep_parent"
source = "invoices"
[sources.contacts.children.notes]
table = "notes"
key = "id"
match = { contact_id = "id" }
on_delete = "delete"
[sources.contacts.facts]
invoice_count = { count = "invoices" }
last_invoice = { latest = "invoices.issued_on", type = "date", none = "not_applicable" }

[[policies]]
source = "contacts"
disposition = "delete"
[[policies.purposes]]
id = "contact"
basis = "legitimate-interests"
fields = ["name", "email", "phone"]
start = "seen_at"
keep = "P2Y"
[[policies.purposes]]
id = "invoices"
basis = "legal-obligation"
bound = "floor"
fields = ["name"]
when = { invoice_count = { gt = 0 } }
start = { end_of_fiscal_year = "last_invoice" }
keep = "P7Y"

[sources.invoices]
connector = "crm"
table = "invoices"
key = "id"
[sources.invoices.fields]
billed_to = { treatment = "clear" }
issued_on = { type = "date" }

[[policies]]
source = "invoices"
disposition = "delete"
[[policies.purposes]]
id = "tax"
basis = "legal-obligation"
bound = "floor"
fields = ["billed_to"]
start = { end_of_fiscal_year = "issued_on" }
keep = "P7Y"
"""

_TABLES = (
    "CREATE TABLE contacts (id BIGINT PRIMARY KEY, name VARCHAR(80) NOT NULL, email VARCHAR(120), phone VARCHAR(30), seen_at {timestamp})",
    "CREATE INDEX contacts_seen ON contacts (seen_at)",
    (
        "CREATE TABLE invoices (id BIGINT PRIMARY KEY, contact_id BIGINT NOT NULL, billed_to VARCHAR(80), issued_on DATE, "
        "FOREIGN KEY (contact_id) REFERENCES contacts (id))"
    ),
    "CREATE INDEX invoices_contact ON invoices (contact_id)",
    "CREATE TABLE notes (id BIGINT PRIMARY KEY, contact_id BIGINT NOT NULL, body TEXT, FOREIGN KEY (contact_id) REFERENCES contacts (id))",
    "CREATE INDEX notes_contact ON notes (contact_id)",
)

Content = dict[str, list[tuple[object, ...]]]
"""The rows of every table, in the order of their keys."""
EffectKey = tuple[str, str, str]
"""Source, action, and the record's reference."""


def due(number: int) -> bool:
    """Whether everything about a contact is due."""
    return number < TREATED and number % 3 == 0


def partly(number: int) -> bool:
    """Whether a contact stays and loses address and telephone."""
    return number % 3 == 1 or (number >= TREATED and number % 3 == 0)


def fill(url: str) -> None:
    """Build the tables and their rows."""
    numbers = range(1, CONTACTS + 1)
    contacts = [
        {
            "id": n,
            "name": f"Name {n}",
            "email": f"person{n}@canary.example",
            "phone": f"06-{n}",
            "seen_at": datetime(2020 if due(n) or partly(n) else 2026, 1, 1 + n % 28, 22, 30),
        }
        for n in numbers
    ]
    # Old invoices of contacts that stay are due by themselves.
    invoices = [
        {"id": n, "contact_id": n, "billed_to": f"Name {n}", "issued_on": datetime(2024 if partly(n) else 2015, 6, 30).date()}
        for n in numbers
        if partly(n) or n % 4 == 0
    ]
    notes = [{"id": 10 * n + each, "contact_id": n, "body": "called"} for n in numbers for each in range(n % 3)]
    notes += [{"id": 10 * n, "contact_id": n, "body": "called"} for n in numbers if n % 6 == 0]
    with opened(url) as connection:
        timestamp = "TIMESTAMP" if connection.dialect.name == "postgresql" else "DATETIME"
        for statement in _TABLES:
            connection.execute(sa.text(statement.format(timestamp=timestamp)))
        for table, rows in (("contacts", contacts), ("invoices", invoices), ("notes", notes)):
            names = list(rows[0])
            into = f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join(f':{name}' for name in names)})"
            connection.execute(sa.text(into), rows)


def content(url: str) -> Content:
    """Return every row of every table."""
    with opened(url) as connection:
        return {
            table: [tuple(row) for row in connection.execute(sa.text(f"SELECT * FROM {table} ORDER BY id"))]
            for table in ("contacts", "invoices", "notes")
        }


class opened:  # noqa: N801 - it reads as the verb it is
    """A transaction on a database, on an engine that is gone afterwards."""

    def __init__(self, url: str) -> None:
        self._engine = sa.create_engine(url, poolclass=sa.pool.NullPool)

    def __enter__(self) -> sa.Connection:
        self._transaction = self._engine.begin()
        return self._transaction.__enter__()

    def __exit__(self, *error: object) -> None:
        try:
            self._transaction.__exit__(*error)  # type: ignore[arg-type]
        finally:
            self._engine.dispose()


@dataclass
class Firm(Installation):
    """The small firm's installation. `url` is the database of all its sources."""

    @property
    def url(self) -> str:
        """The database that holds everything."""
        return self.urls["contacts"]

    @property
    def audit(self) -> Path:
        """The folder of the audit trail."""
        return self.folder / "state" / "audit"

    def approved(self) -> Path:
        """Make and approve a plan and return its file."""
        with self.machine() as machine:
            plan = make_plan(machine)
            assert {} == plan.failed
            approve(machine, plan.path, "ann")
            return plan.path

    def apply(self, plan: Path, faults: Faults | None = None) -> RunResult:
        """Carry out a plan as a new process would; `faults` is told what was reached."""
        with self.machine() as machine:
            return apply_plan(with_faults(machine, faults), open_plan(machine, plan))

    def done(self) -> list[EffectKey]:
        """Return what the trail says was done, sorted; a record that was acted on twice is in it twice."""
        return sorted(
            (str(each.payload["retention.source"]), str(each.action), str(each.payload["retention.record"]))
            for each in outcomes(self.audit)
        )

    def runs(self) -> list[RunRow]:
        """Return the runs, oldest first, after looking whether everything has an end."""
        with self.machine() as machine:
            assert [] == machine.ledger.unfinished()
            assert [] == machine.ledger.open_runs()
            return machine.ledger.runs(100)[::-1]


def make_firm(folder: Path, url: str, keys: Path | None = None, /, **environ: str) -> Firm:
    """Return an installation over a database that is filled already; with `keys` it makes the same references as the owner of that file."""
    folder.mkdir(parents=True, exist_ok=True)
    firm = Firm(folder, POLICIES, {"contacts": url, "invoices": url}, TODAY, {"RETENTION_BATCH_SIZE": str(BATCH), **environ})
    if keys is not None:
        lend_keys(folder, keys)
    return firm


def with_faults(machine: Machine, faults: Faults | None) -> Machine:
    """Return the same machine with another fault port."""
    return machine if faults is None else replace(machine, faults=faults)


def source_environ(**settings: str) -> dict[str, str]:
    """Return the variables that set something for both sources: `witness_table`, `options__lock_timeout`."""
    return {
        f"RETENTION_SOURCES__{source}__{name.upper()}": value for source in ("CONTACTS", "INVOICES") for name, value in settings.items()
    }


@dataclass(frozen=True)
class Unhurt:
    """A run that nothing happened to: with the same keys, every other one has to come to this content and these effects."""

    keys: Path
    content: Content
    effects: Sequence[EffectKey]


def unhurt(folder: Path, url: str, **environ: str) -> Unhurt:
    """Fill a database, let a run go through, and keep what came of it."""
    fill(url)
    firm = make_firm(folder, url, None, **environ)
    _, result = firm.carry_out()
    assert 0 == result.exit_code, result.as_json()
    effects = firm.done()
    assert len(effects) == len(set(effects))
    return Unhurt(folder / "keys" / "keys.json", content(url), effects)


class At:
    """A fault port that does something once, at a named point of a chosen batch of the process, counted from one."""

    def __init__(self, point: str, batch: int, does: Callable[[], object]) -> None:
        self.happened = False
        self._point = point
        self._batch = batch
        self._does = does
        self._begun = 0

    def reached(self, point: str) -> None:
        """Count the batches, and act at the place that was chosen."""
        self._begun += point == "before_lock"
        if point == self._point and self._begun == self._batch and not self.happened:
            self.happened = True
            self._does()


def sessions_killed(url: str) -> None:
    """End every session that others have on a database, as an administrator would."""
    with opened(url) as connection:
        if connection.dialect.name == "postgresql":
            own = "datname = current_database() AND pid <> pg_backend_pid()"
            connection.execute(sa.text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {own}"))
            return
        others = "SELECT id FROM information_schema.processlist WHERE db = database() AND id <> connection_id()"
        for number in connection.execute(sa.text(others)).scalars().all():
            # One that ended by itself meanwhile is as gone as it should be.
            with suppress(sa.exc.OperationalError):
                connection.exec_driver_sql(f"KILL {number}")
