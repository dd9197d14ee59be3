"""Agreement, tombstones and replay on real servers: a restore of half a table is found, and undone; everything agrees before and after."""

from __future__ import annotations

import datetime as dt
from collections import Counter

import pytest
import sqlalchemy as sa

from tests.installation import Installation
from tests.systems.servers.mariadb import MariaDB
from tests.systems.servers.postgres import Postgres
from worker.usecases.agreeing import Difference
from worker.usecases.agreement import agree
from worker.usecases.applying import apply_plan
from worker.usecases.approving import approve, open_plan
from worker.usecases.planning import make_plan
from worker.usecases.replaying import make_replay
from worker.usecases.standing import add_hold

CONTACTS, DUE = 2_000, 400
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
watch = "P1Y"
unchanging = ["created_at", "number"]
[sources.contacts.fields]
name = { treatment = { constant = "-" } }
email = { type = "email" }
number = { type = "number" }
created_at = { type = "timestamp", timezone = "UTC" }
seen_at = { type = "timestamp", timezone = "UTC" }
[sources.contacts.children.notes]
table = "notes"
key = "id"
match = { contact_id = "id" }
on_delete = "delete"

[[policies]]
source = "contacts"
disposition = "delete"
[[policies.purposes]]
id = "contact"
basis = "legitimate-interests"
fields = ["name", "email"]
start = "seen_at"
keep = "P2Y"
"""
TABLES = (
    (
        "CREATE TABLE contacts (id BIGINT PRIMARY KEY, name VARCHAR(80) NOT NULL, email VARCHAR(120), number DECIMAL(12, 2), "
        "created_at {timestamp}, seen_at {timestamp})"
    ),
    "CREATE INDEX contacts_seen ON contacts (seen_at)",
    "CREATE TABLE notes (id BIGINT PRIMARY KEY, contact_id BIGINT NOT NULL, FOREIGN KEY (contact_id) REFERENCES contacts (id))",
    "CREATE INDEX notes_contact ON notes (contact_id)",
)


def execute(url: str, *statements: str) -> None:
    """Change the database as another program would."""
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        for each in statements:
            connection.execute(sa.text(each))
    engine.dispose()


def numbers(url: str, query: str) -> list[tuple[object, ...]]:
    """Return the rows of a query."""
    engine = sa.create_engine(url)
    try:
        with engine.connect() as connection:
            return [tuple(row) for row in connection.execute(sa.text(query))]
    finally:
        engine.dispose()


def fill(url: str) -> None:
    """Build the tables: the first contacts are due, and there is a copy of them all for a restore."""
    engine = sa.create_engine(url)
    kind = "TIMESTAMP(6)" if engine.dialect.name == "postgresql" else "DATETIME(6)"
    made = dt.datetime(2020, 1, 1, 12, 0, 0, 123456)
    with engine.begin() as connection:
        for statement in TABLES:
            connection.execute(sa.text(statement.format(timestamp=kind)))
        connection.execute(
            sa.text("INSERT INTO contacts VALUES (:id, :name, :email, :number, :created, :seen)"),
            [
                {
                    "id": number,
                    "name": f"Name {number}",
                    "email": f"person{number}@canary.example",
                    "number": number / 4,
                    "created": made + dt.timedelta(seconds=number),
                    "seen": dt.datetime(2021 if number <= DUE else 2026, 3, 1, 12),
                }
                for number in range(1, CONTACTS + 1)
            ],
        )
        connection.execute(sa.text("INSERT INTO notes VALUES (:id, :id)"), [{"id": number} for number in range(1, CONTACTS + 1, 2)])
        connection.execute(sa.text("CREATE TABLE backup_of_contacts AS SELECT * FROM contacts"))
    engine.dispose()


@pytest.fixture(scope="module", params=["postgresql", "mariadb"])
def enforced(
    request: pytest.FixtureRequest, postgres: Postgres, mariadb: MariaDB, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Installation]:
    """Return the database's address and the installation, the day after everything was carried out; the ledger lies on PostgreSQL too."""
    server: Postgres | MariaDB = postgres if request.param == "postgresql" else mariadb
    url = server.new_database("crm")
    fill(url)
    folder = tmp_path_factory.mktemp(request.param)
    installation = Installation(folder, POLICIES, {"contacts": url}, dt.datetime(2026, 6, 30, 12, tzinfo=dt.UTC))
    installation.environ["RETENTION_BATCH_SIZE"] = "64"
    if request.param == "postgresql":
        installation.environ["RETENTION_LEDGER"] = postgres.new_database("ledger")
    else:
        installation.environ["RETENTION_SOURCES__CONTACTS__WITNESS_TABLE"] = "yes"
    _, result = installation.carry_out()
    assert 0 == result.exit_code, result.as_json()
    installation.moment += dt.timedelta(days=1)
    return url, installation


def test_a_restore_is_found_and_undone(enforced: tuple[str, Installation]) -> None:
    """A hundred records with their keys, fifty under other ones, keys that were given again, one that is needed anew, one on hold."""
    url, installation = enforced
    with installation.machine() as machine:
        whole = agree(machine)
        assert ([], {}) == (whole.found, whole.failed)
        assert (DUE, DUE + DUE // 2) == (whole.sides["contacts"].absent, whole.sides["contacts"].log)
        assert {"contacts": DUE} == machine.ledger.watched(machine.today())
    execute(
        url,
        "INSERT INTO contacts SELECT * FROM backup_of_contacts WHERE id <= 100",
        "INSERT INTO notes SELECT id, id FROM contacts WHERE id <= 10",
        "INSERT INTO contacts SELECT id + 100000, name, email, number, created_at, seen_at FROM backup_of_contacts "
        "WHERE id BETWEEN 101 AND 150",
        "INSERT INTO contacts SELECT id, 'New', concat('new', id, '@canary.example'), id, seen_at, seen_at FROM backup_of_contacts "
        "WHERE id BETWEEN 151 AND 160",
        "UPDATE contacts SET seen_at = '2026-07-01 08:00:00' WHERE id = 7",
    )
    with installation.machine() as machine:
        found = agree(machine)
        assert Counter({Difference.RETURNED: 100}) == sum((Counter({each.kind: each.count}) for each in found.found), Counter())
        assert DUE - 100 == found.sides["contacts"].absent
        plan = make_plan(machine)
        said = {each.detail: each.count for each in plan.findings if each.kind == "returned"}
        assert {"deleted records came back": 100, "deleted records came back under another key": 50} == said
        who = {"owner": "d", "reason": "r", "review_on": dt.date(2027, 1, 1)}
        add_hold(machine, kind="legal", scope="subject", identifiers=["person8@canary.example"], **who)
        made = make_replay(machine)
        assert made is not None
        assert (148, 1) == (made.acting["contacts"], made.summary.counts["contacts"]["held"])
        approve(machine, made.path, "ann")
        result = apply_plan(machine, open_plan(machine, made.path))
        assert (148, 0) == (result.acted, result.unverified)
    left = [row[0] for row in numbers(url, f"SELECT id FROM contacts WHERE id <= {DUE} OR id > 100000 ORDER BY id")]
    assert [7, 8, *range(151, 161)] == left
    assert [(7,), (8,)] == numbers(url, f"SELECT id FROM notes WHERE id <= {DUE} ORDER BY id")
    installation.moment += dt.timedelta(days=1)
    with installation.machine() as machine:
        after = agree(machine)
        assert {Difference.RETURNED} == {each.kind for each in after.found}
        assert 2 == sum(each.count for each in after.found)


def test_nothing_that_was_written_names_anybody(enforced: tuple[str, Installation]) -> None:
    """No address and no name, neither in the files nor in the ledger's tables on the server."""
    _, installation = enforced
    assert b"canary" not in installation.written()
    ledger = installation.environ.get("RETENTION_LEDGER")
    if ledger is not None:
        kept = numbers(ledger, "SELECT blob, facts FROM tombstones")
        assert kept
        assert not any(b"canary" in bytes(blob) or "canary" in str(facts) for blob, facts in kept)  # type: ignore[arg-type]
    assert [] == list((installation.folder / "state").glob("facts-*"))
