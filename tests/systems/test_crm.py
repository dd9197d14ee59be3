"""A CRM of 200,000 contacts with children on real servers: the right ones go, all of them, and nothing else."""

from __future__ import annotations

import datetime as dt
from collections import Counter

import pytest
import sqlalchemy as sa

from tests.installation import Installation
from tests.systems.servers.mariadb import MariaDB
from tests.systems.servers.postgres import Postgres
from worker.usecases.planning import make_plan
from worker.usecases.standing import add_hold
from worker.usecases.verifying import verify

CONTACTS = 200_000
TODAY = dt.datetime(2026, 6, 30, 12, tzinfo=dt.UTC)
HELD = 5

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

TABLES = (
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
"""Every fifth contact was last seen years ago; every tenth has an invoice, of 2015 or of 2024 in turn; every second has a note."""


def fill(url: str) -> None:
    """Build the tables and let the server make the rows."""
    engine = sa.create_engine(url)
    postgres = engine.dialect.name == "postgresql"
    numbers = f"generate_series(1, {CONTACTS}) AS s(n)" if postgres else f"(SELECT seq AS n FROM seq_1_to_{CONTACTS}) AS s"

    def days(start: str) -> str:
        return f"TIMESTAMP '{start}' + INTERVAL '1 day' * (n % 300)" if postgres else f"TIMESTAMP '{start}' + INTERVAL (n % 300) DAY"

    with engine.begin() as connection:
        for statement in TABLES:
            connection.execute(sa.text(statement.format(timestamp="TIMESTAMP" if postgres else "DATETIME")))
        connection.execute(
            sa.text(
                "INSERT INTO contacts SELECT n, concat('Name ', n), concat('person', n, '@canary.example'), concat('06-', n), "
                f"CASE WHEN n % 5 = 0 THEN {days('2020-01-01 22:30:00')} ELSE {days('2025-06-01 22:30:00')} END FROM {numbers}"
            )
        )
        connection.execute(
            sa.text(
                "INSERT INTO invoices SELECT n, n, concat('Name ', n), "
                f"CASE WHEN n % 20 = 0 THEN DATE '2015-06-30' ELSE DATE '2024-06-30' END FROM {numbers} WHERE n % 10 = 0"
            )
        )
        connection.execute(sa.text(f"INSERT INTO notes SELECT n, n, 'called' FROM {numbers} WHERE n % 2 = 0"))
    engine.dispose()


def numbers(url: str, query: str) -> list[tuple[object, ...]]:
    """Return the rows of a query."""
    engine = sa.create_engine(url)
    try:
        with engine.connect() as connection:
            return [tuple(row) for row in connection.execute(sa.text(query))]
    finally:
        engine.dispose()


@pytest.fixture(scope="module", params=["postgresql", "mariadb"])
def enforced(
    request: pytest.FixtureRequest, postgres: Postgres, mariadb: MariaDB, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Installation, str]:
    """Return the database's address, the installation and the run, after everything was carried out with one person on hold."""
    server: Postgres | MariaDB = postgres if request.param == "postgresql" else mariadb
    url = server.new_database("crm")
    fill(url)
    installation = Installation(tmp_path_factory.mktemp(request.param), POLICIES, {"contacts": url, "invoices": url}, TODAY)
    if request.param == "mariadb":
        installation.environ.update(RETENTION_SOURCES__CONTACTS__WITNESS_TABLE="yes", RETENTION_SOURCES__INVOICES__WITNESS_TABLE="yes")
    with installation.machine() as machine:
        add_hold(
            machine,
            kind="legal",
            scope="subject",
            owner="d",
            reason="r",
            review_on=dt.date(2027, 1, 1),
            identifiers=[f"person{HELD}@canary.example"],
        )
    _, result = installation.carry_out()
    assert 0 == result.exit_code, result.as_json()
    return url, installation, result.run_id


def test_exactly_the_due_contacts_are_gone(enforced: tuple[str, Installation, str]) -> None:
    """Of those not seen for two years all go, but not those with an invoice inside its seven fiscal years, nor the one on hold."""
    url, _, _ = enforced
    expected = sum(1 for n in range(1, CONTACTS + 1) if n % 5 or n % 20 == 10 or n == HELD)
    assert [(expected,)] == numbers(url, "SELECT count(*) FROM contacts")
    due = "SELECT count(*) FROM contacts WHERE mod(id, 5) = 0 AND mod(id, 20) <> 10"
    assert [(1,)] == numbers(url, due)


def test_contacts_with_a_young_invoice_keep_their_name_only(enforced: tuple[str, Installation, str]) -> None:
    """A field goes when nothing needs it any more, although the record stays."""
    url, _, _ = enforced
    rows = numbers(url, "SELECT name, email, phone FROM contacts WHERE mod(id, 20) = 10 AND mod(id, 5) = 0")
    assert CONTACTS // 20 == len(rows)
    assert {("Name", True, None)} == {(str(name)[:4], str(email).endswith("@contacts.invalid"), phone) for name, email, phone in rows}


def test_children_went_with_their_parents_and_no_others(enforced: tuple[str, Installation, str]) -> None:
    """Notes and due invoices of deleted contacts are gone, everybody else's are there."""
    url, _, _ = enforced
    notes = sum(1 for n in range(1, CONTACTS + 1) if n % 2 == 0 and (n % 5 or n % 20 == 10))
    assert [(notes,)] == numbers(url, "SELECT count(*) FROM notes")
    assert [(CONTACTS // 20,)] == numbers(url, "SELECT count(*) FROM invoices")


def test_every_effect_is_audited_once(enforced: tuple[str, Installation, str]) -> None:
    """The trail holds as many effects as there are changes in the database, each record once."""
    _, installation, _ = enforced
    effects = installation.effects()
    counts = Counter(str(each.action).removeprefix("retention.") for each in effects)
    due = sum(1 for n in range(1, CONTACTS + 1) if n % 5 == 0 and n % 20 != 10 and n != HELD)
    notes = sum(1 for n in range(1, CONTACTS + 1) if n % 10 == 0 and n % 20 != 10)
    invoices = CONTACTS // 20
    assert {"record_deleted": due, "child_deleted": notes + invoices, "fields_treated": CONTACTS // 20} == counts
    names = [(each.payload["retention.source"], each.payload["retention.record"]) for each in effects]
    assert len(names) == len(set(names))


def test_a_second_plan_has_nothing_to_do_and_verification_agrees(enforced: tuple[str, Installation, str]) -> None:
    """Nothing is left but the record on hold, and reading everything back finds what was reported."""
    _, installation, run_id = enforced
    with installation.machine() as machine:
        plan = make_plan(machine)
        assert {"contacts": 0, "invoices": 0} == plan.acting
        assert 1 == plan.summary.counts["contacts"]["held"]
        assert verify(machine, run_id).whole


def test_nothing_the_worker_wrote_names_anybody(enforced: tuple[str, Installation, str]) -> None:
    """No address of a contact stands in ledger, plans or audit trail."""
    _, installation, _ = enforced
    assert b"canary.example" not in installation.written()
