"""One person in three databases: the last contact is the latest of them, however often some of them are cleaned up."""

from __future__ import annotations

import datetime as dt
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.acceptance.conftest import NOON, Installation

DAY = dt.timedelta(days=1)
SOURCES = ("contacts", "mails", "calls")

POLICIES = """\
version = 1

[organisation]
name = "Small firm"
timezone = "Europe/Amsterdam"

[facts.last_contact]
latest = ["contacts.met_on", "mails.sent_at", "calls.called_on"]

[sources.contacts]
connector = "crm"
table = "contacts"
key = "id"
subject = ["email", "phone"]
[sources.contacts.fields]
name = { treatment = "clear" }
email = { type = "email", treatment = "pseudonym" }
phone = { type = "phone", treatment = "clear" }
met_on = { type = "date", empty = "not_applicable" }

[[policies]]
source = "contacts"
disposition = "delete"
[[policies.purposes]]
id = "contact"
basis = "legitimate-interests"
fields = ["name", "email", "phone"]
start = "last_contact"
keep = "P2Y"

[sources.mails]
connector = "crm"
table = "mails"
key = "id"
subject = ["sender"]
[sources.mails.fields]
sender = { type = "email" }
sent_at = { type = "timestamp", timezone = "UTC" }

[[policies]]
source = "mails"
disposition = "delete"
[[policies.purposes]]
id = "mail"
basis = "legitimate-interests"
fields = ["sender"]
start = "sent_at"
keep = "P1Y"

[sources.calls]
connector = "crm"
table = "calls"
key = "id"
subject = ["number"]
[sources.calls.fields]
number = { type = "phone" }
called_on = { type = "date" }

[[policies]]
source = "calls"
disposition = "delete"
[[policies.purposes]]
id = "call"
basis = "legitimate-interests"
fields = ["number"]
start = "last_contact"
keep = "P2Y"
"""
TABLES = {
    "contacts": "CREATE TABLE contacts (id INTEGER PRIMARY KEY, name TEXT, email TEXT, phone TEXT, met_on DATE)",
    "mails": "CREATE TABLE mails (id INTEGER PRIMARY KEY, sender TEXT, sent_at TIMESTAMP)",
    "calls": "CREATE TABLE calls (id INTEGER PRIMARY KEY, number TEXT, called_on DATE)",
}
ROWS: dict[str, list[tuple[object, ...]]] = {
    # Ada met us long ago and mailed lately; Bo called last of all; Cy is over everywhere; Di has nothing but a name and a visit.
    "contacts": [
        (1, "Ada Quirine", "ada.quirine@firm.example", "+31 6 12345678", "2020-01-01"),
        (2, "Bo Quirine", "bo.quirine@firm.example", "06-87654321", "2020-01-01"),
        (3, "Cy Quirine", "cy.quirine@firm.example", "06-11112222", "2020-01-01"),
        (4, "Di Quirine", None, "", "2026-01-01"),
        (5, "Ed Quirine", None, None, "2020-01-01"),
    ],
    "mails": [
        (1, "ADA.Quirine@firm.example", "2025-06-01 09:00:00"),
        (2, "cy.quirine@firm.example", "2023-06-01 09:00:00"),
        (3, "bo.quirine@firm.example", "2026-05-01 09:00:00"),
    ],
    "calls": [(1, "0031612345678", "2022-01-01"), (2, "0687654321", "2026-06-01"), (3, "0611112222", "2024-01-01")],
}
CANARIES = (b"quirine", b"612345678", b"87654321", b"11112222")


class Office(Installation):
    """An office with three systems, each in a database of its own."""

    def database(self, name: str) -> Path:
        """Return one of its databases."""
        return self.folder / f"{name}.sqlite"

    def sql(self, name: str, statement: str, *values: object) -> list[tuple[object, ...]]:
        """Do something in one of the databases, as another program would."""
        with closing(sqlite3.connect(self.database(name))) as connection, connection:
            return connection.execute(statement, values).fetchall()

    def spoil(self, name: str) -> None:
        """Let a database hold something else for a while."""
        self.database(name).rename(self.folder / f"{name}.good")
        self.database(name).write_text("no database " * 100)

    def mend(self, name: str) -> None:
        """Put a spoilt database back."""
        (self.folder / f"{name}.good").rename(self.database(name))

    def keys(self) -> dict[str, list[object]]:
        """Return the keys of the records of every system that answers."""
        there = [name for name in SOURCES if self.database(name).exists() and not (self.folder / f"{name}.good").exists()]
        return {name: [key for (key,) in self.sql(name, f"SELECT id FROM {name} ORDER BY id")] for name in there}

    def last_contact(self, key: int, **options: dt.datetime) -> str:
        """Return what `explain` says of a contact's last contact."""
        said = self("explain", "contacts", str(key), "--json", **options)  # type: ignore[arg-type]
        (fact,) = json.loads(said.out)["records"][0]["purposes"][0]["facts"]
        return str(fact)


@pytest.fixture
def office(tmp_path: Path) -> Office:
    """Return the office, its policies and sources approved."""
    environ = {
        "RETENTION_POLICIES": str(tmp_path / "policies.toml"),
        "RETENTION_STATE": str(tmp_path / "state"),
        "RETENTION_KEYS": str(tmp_path / "keys" / "keys.json"),
        "RETENTION_OPERATOR": "tester",
        "RETENTION_MAX_SHARE": "1",
    }
    office = Office(tmp_path, environ)
    (tmp_path / "policies.toml").write_text(POLICIES, encoding="utf-8")
    for name in SOURCES:
        environ[f"RETENTION_SOURCES__{name.upper()}__URL"] = f"sqlite:///{office.database(name)}"
        environ[f"RETENTION_SOURCES__{name.upper()}__WITNESS_TABLE"] = "true"
        office.sql(name, TABLES[name])
        for row in ROWS[name]:
            office.sql(name, f"INSERT INTO {name} VALUES ({', '.join('?' * len(row))})", *row)
    assert 0 == office("policies", "approve").code
    for name in SOURCES:
        assert 0 == office("sources", "approve", name).code
    return office


def test_all_or_none_and_never_back(office: Office) -> None:
    """Cy goes everywhere at once, Ada and Bo stay everywhere; purging their mails moves nobody's last contact, however often it runs."""
    assert "last_contact: 2025-06-01" == office.last_contact(1)
    said = office("run", "--json")
    assert 0 == said.code, said.err
    kept = {"contacts": [1, 2, 4], "mails": [3], "calls": [1, 2]}
    assert kept == office.keys()
    assert "last_contact: 2025-06-01" == office.last_contact(1)
    for night in (1, 2):
        again = office("run", "--json", now=NOON + night * DAY)
        assert (0, {}) == (again.code, again.json["sources"])
    assert kept == office.keys()
    # Also when the whole archive is emptied by hand, which a person has to say is right; and two years after that last mail, and not a day
    # earlier, Ada goes.
    office.sql("mails", "DELETE FROM mails")
    (emptied,) = office("plan", "--json", now=NOON + 2 * DAY).json["findings"]
    assert ("mails", 1) == (emptied["source"], emptied["count"])
    accepted = ("--owner", "ann", "--reason", "the archive moved", "--until", "2028-01-01")
    assert 0 == office("findings", "accept", emptied["id"], *accepted, now=NOON + 2 * DAY).code
    env = {"RETENTION_MAX_CLOCK_LEAP": "P2Y"}
    assert 0 == office("run", now=dt.datetime(2027, 6, 1, 10, tzinfo=dt.UTC), env=env).code
    assert [1, 2, 4] == office.keys()["contacts"]
    assert 0 == office("run", now=dt.datetime(2027, 6, 2, 10, tzinfo=dt.UTC), env=env).code
    assert {"contacts": [2, 4], "mails": [], "calls": [2]} == office.keys()


def test_a_bulk_mail_is_no_contact(office: Office) -> None:
    """It does not move the last contact: not while it is there, not after it was purged, nor for whom another system puts back."""
    office.sql("mails", "ALTER TABLE mails ADD COLUMN kind TEXT")
    office.sql("mails", "UPDATE mails SET kind = 'reply'")
    office.sql("mails", "INSERT INTO mails VALUES (4, 'cy.quirine@firm.example', '2025-05-01 09:00:00', 'bulk')")
    assert "last_contact: 2025-05-01" == office.last_contact(3)
    text = POLICIES.replace('"mails.sent_at"', '{ field = "mails.sent_at", where = { kind = ["personal", "reply"] } }', 1)
    text = text.replace("[sources.mails.fields]", "[sources.mails.fields]\nkind = {}", 1)
    (office.folder / "policies.toml").write_text(text, encoding="utf-8")
    assert (0, 0) == (office("policies", "approve").code, office("sources", "approve", "mails").code)
    assert "last_contact: 2024-01-01" == office.last_contact(3)
    assert 0 == office("run").code
    assert {"contacts": [1, 2, 4], "mails": [3], "calls": [1, 2]} == office.keys()
    office.sql("contacts", "INSERT INTO contacts VALUES (3, 'Cy Quirine', 'cy.quirine@firm.example', '06-11112222', '2020-01-01')")
    assert "last_contact: 2024-01-01" == office.last_contact(3)


def test_a_database_that_can_not_be_read(office: Office) -> None:
    """Nobody is deleted by a fact of which one source can't be read; the night is partial, and says which source it is."""
    office.spoil("calls")
    said = office("run", "--json")
    assert 5 == said.code, said.err
    assert {"calls"} == set(said.json["failed"])
    assert {"contacts": [1, 2, 3, 4, 5], "mails": [3]} == office.keys()
    details = {each["detail"] for each in said.json["findings"]}
    assert {"contact: last_contact: calls could not be read", "the source could not be read"} <= details
    assert "last_contact: unknown (calls could not be read)" == office.last_contact(1)
    # When it is back, the mails that were purged meanwhile still count.
    office.mend("calls")
    assert 0 == office("run", now=NOON + DAY).code
    assert {"contacts": [1, 2, 4], "mails": [3], "calls": [1, 2]} == office.keys()


def test_a_database_that_is_not_there(office: Office) -> None:
    """A file on a disk that is not mounted is a source that can't be read: it is named, and nobody is deleted by a fact of it."""
    office.database("calls").rename(office.folder / "elsewhere")
    said = office("run")
    assert (5, True) == (said.code, "calls was not finished: there is no file" in said.out + said.err)
    assert {"contacts": [1, 2, 3, 4, 5], "mails": [3]} == office.keys()
    # With no other source to read, nothing was done, and that is said as what it is.
    said = office("run", "--source", "calls")
    assert (2, True) == (said.code, "No source could be read" in said.err)


def test_a_database_that_can_not_be_read_when_a_plan_is_applied(office: Office) -> None:
    """What was planned by the fact is left in every source; what was not is done, and the next call does the rest."""
    plan = office.approved()
    office.spoil("mails")
    said = office("apply", plan, "--json")
    assert (5, {"contacts", "mails", "calls"}) == (said.code, set(said.json["failed"]))
    assert {"contacts": [1, 2, 3, 4, 5], "calls": [1, 2, 3]} == office.keys()
    office.mend("mails")
    assert 0 == office("apply", plan).code
    assert {"contacts": [1, 2, 4], "mails": [3], "calls": [1, 2]} == office.keys()


def test_nothing_personal_is_kept(office: Office) -> None:
    """State, plans, trail and output name nobody; what is kept of the disposed records is keyed."""
    assert 0 == office("run").code
    assert 0 == office("run", now=NOON + DAY).code
    with closing(sqlite3.connect(office.state / "ledger.sqlite")) as ledger:
        assert 3 == ledger.execute("SELECT count(*) FROM high_water").fetchone()[0]
    for path in (each for each in office.state.rglob("*") if each.is_file()):
        assert not path.name.startswith("facts-")
        assert not any(canary in path.read_bytes().lower() for canary in CANARIES), path
    assert not any(canary.decode() in text.lower() for canary in CANARIES for text in office.everything)
