"""A small firm that a test can do anything with, and the demonstration office; the command is called as a user would call it.

Commands run inside the test's process, on an installation of their own and at a time that the test chooses; what has to die is a
process of its own.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from demo import office
from demo.__main__ import POLICIES, environment
from tests.events import wrong_events
from worker.cli.main import run
from worker.cli.session import Session
from worker.ports import Faults

TODAY = dt.date(2026, 6, 30)
NOON = dt.datetime(2026, 6, 30, 10, tzinfo=dt.UTC)
DUE = 10
PEOPLE = 60

FIRM = """\
version = 1

[organisation]
name = "Small firm"
timezone = "Europe/Amsterdam"
fiscal_year_ends = "12-31"
window = "P7D"

[sources.contacts]
connector = "crm"
table = "contacts"
key = "id"
subject = ["email"]
[sources.contacts.fields]
name = { treatment = "clear" }
email = { type = "email", treatment = "pseudonym", domain = "people" }
last_contact_at = { type = "timestamp", timezone = "UTC", earliest = 2000-01-01 }
[sources.contacts.children.notes]
table = "notes"
key = "id"
match = { contact_id = "id" }
on_delete = "delete"

[[policies]]
source = "contacts"
disposition = "delete"
categories = ["contacts"]
[[policies.purposes]]
id = "contact"
description = "Keeping in touch."
basis = "legitimate-interests"
fields = ["name", "email"]
start = "last_contact_at"
keep = "P2Y"

[sources.members]
connector = "mailing_list"
table = "members"
key = "id"
subject = ["email"]
[sources.members.fields]
email = { type = "email" }
status = { }
unsubscribed_at = { type = "timestamp", timezone = "UTC", earliest = 2000-01-01 }

[[policies]]
source = "members"
disposition = "delete"
categories = ["newsletter"]
[[policies.purposes]]
id = "newsletter"
basis = "consent"
consent = "newsletter"
marketing = true
fields = ["email"]
when = { status = "subscribed" }
keep = "indefinite"
[[policies.purposes]]
id = "unsubscribed"
basis = "consent"
consent = "newsletter"
fields = ["email"]
when = { status = { ne = "subscribed" } }
start = "unsubscribed_at"
keep = "P0D"
"""


@pytest.fixture(autouse=True)
def _events_are_of_the_closed_set(tmp_path: Path) -> Iterator[None]:
    """Whatever a test made the worker write down has the form that the schema promises."""
    yield
    assert [] == wrong_events(tmp_path)


@dataclass(frozen=True, slots=True)
class Said:
    """What a call of the command came to."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output, read as JSON."""
        return json.loads(self.out)


@dataclass
class Installation:
    """One installation: its folder, its settings, and the instant it takes for now. `everything` is all that was ever printed."""

    folder: Path
    environ: dict[str, str]
    now: dt.datetime = NOON
    everything: list[str] = field(default_factory=list)

    def __call__(
        self,
        *args: object,
        typed: str = "",
        env: Mapping[str, str] | None = None,
        now: dt.datetime | None = None,
        interactive: bool | None = None,
        faults: Faults | None = None,
    ) -> Said:
        """Call the command with these arguments; `typed` is its standard input."""
        instant = now or self.now
        session = Session({**self.environ, **(env or {})}, lambda: instant, faults, interactive=interactive, folder=self.folder)
        with CliRunner().isolation(input=typed) as (out, err, _):
            code = run([str(each) for each in args], session)
            said = Said(code, out.getvalue().decode(), err.getvalue().decode())
        self.everything += [said.out, said.err]
        return said

    @property
    def state(self) -> Path:
        """Where the worker keeps what it keeps."""
        return Path(self.environ["RETENTION_STATE"])

    @property
    def audit(self) -> Path:
        """The folder of the audit trail."""
        return self.state / "audit"

    def events(self, action: str) -> list[dict[str, Any]]:
        """Return the events of one action out of the audit trail."""
        found = []
        for path in sorted(self.audit.glob("*.jsonl")):
            for line in path.read_text(encoding="utf-8").splitlines():
                payload = json.loads(line).get("event")
                if isinstance(payload, dict) and payload.get("event.action") == action:
                    found.append(payload)
        return found

    def plan(self, *args: object, **options: Any) -> Path:
        """Make a plan and return its file."""
        path = self.folder / f"plan-{len(list(self.folder.glob('plan-*')))}.jsonl"
        said = self("plan", "-o", path, *args, **options)
        assert said.code in (0, 4), said.err
        return path

    def approved(self, *args: object, **options: Any) -> Path:
        """Make and approve a plan and return its file."""
        path = self.plan(*args, **options)
        said = self("approve", path, **options)
        assert said.code == 0, said.err
        return path


@dataclass
class Firm(Installation):
    """The small firm: sixty contacts of whom ten are due, each with a note, and ten members of whom two have left."""

    @property
    def database(self) -> Path:
        """Its only database."""
        return self.folder / "crm.sqlite"

    @property
    def policies(self) -> Path:
        """Its policy file."""
        return self.folder / "policies.toml"

    def sql(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Do something in the database, as another program would."""
        with closing(sqlite3.connect(self.database)) as connection, connection:
            return connection.execute(statement, values).fetchall()

    def contacts(self) -> list[int]:
        """Return the keys of the contacts."""
        return [key for (key,) in self.sql("SELECT id FROM contacts ORDER BY id")]

    def rewrite(self, old: str, new: str) -> None:
        """Change the policy file."""
        text = self.policies.read_text(encoding="utf-8")
        assert old in text
        self.policies.write_text(text.replace(old, new), encoding="utf-8")


def make_firm(folder: Path) -> Firm:
    """Make the small firm in a folder."""
    url = f"sqlite:///{folder / 'crm.sqlite'}"
    firm = Firm(
        folder,
        {
            "RETENTION_POLICIES": str(folder / "policies.toml"),
            "RETENTION_STATE": str(folder / "state"),
            "RETENTION_KEYS": str(folder / "keys" / "keys.json"),
            "RETENTION_OPERATOR": "tester",
            "RETENTION_SOURCES__CONTACTS__URL": url,
            "RETENTION_SOURCES__CONTACTS__WITNESS_TABLE": "true",
            "RETENTION_SOURCES__MEMBERS__URL": url,
            "RETENTION_SOURCES__MEMBERS__WITNESS_TABLE": "true",
        },
    )
    firm.policies.write_text(FIRM, encoding="utf-8")
    with closing(sqlite3.connect(firm.database)) as connection, connection:
        connection.executescript(
            "PRAGMA journal_mode = WAL;"
            "CREATE TABLE contacts (id INTEGER PRIMARY KEY, name TEXT, email TEXT, last_contact_at TIMESTAMP);"
            "CREATE INDEX ix_contacts_last ON contacts (last_contact_at);"
            "CREATE TABLE notes (id INTEGER PRIMARY KEY, contact_id INTEGER REFERENCES contacts (id), body TEXT);"
            "CREATE INDEX ix_notes_contact ON notes (contact_id);"
            "CREATE TABLE members (id INTEGER PRIMARY KEY, email TEXT, status TEXT, unsubscribed_at TIMESTAMP);"
        )
        for key in range(1, PEOPLE + 1):
            at = f"{2022 if key <= DUE else 2026}-03-{1 + key % 28:02d} 12:00:00"
            connection.execute("INSERT INTO contacts VALUES (?, ?, ?, ?)", (key, f"Quirine {key}", f"q{key}@firm.example", at))
            connection.execute("INSERT INTO notes VALUES (?, ?, ?)", (key, key, f"called Quirine {key}"))
        for key in range(1, 11):
            left = "2026-05-01 08:00:00" if key <= 2 else None
            status = "unsubscribed" if left else "subscribed"
            connection.execute("INSERT INTO members VALUES (?, ?, ?, ?)", (key, f"q{key + 20}@firm.example", status, left))
    return firm


@pytest.fixture
def firm(tmp_path: Path) -> Firm:
    """Return a small firm of the test's own."""
    return make_firm(tmp_path)


@dataclass
class Demonstration(Installation):
    """The demonstration office as an installation."""

    built: office.Office | None = None


@pytest.fixture(scope="session")
def built_office(tmp_path_factory: pytest.TempPathFactory) -> office.Office:
    """Return an office that nobody may change: see `demonstration`."""
    return office.build(tmp_path_factory.mktemp("built") / "office")


@pytest.fixture
def demonstration(built_office: office.Office, tmp_path: Path) -> Demonstration:
    """Return a demonstration office of the test's own, with the shipped policies."""
    assert POLICIES.is_file()
    folder = tmp_path / "office"
    shutil.copytree(built_office.folder, folder)
    built = dataclasses.replace(built_office, folder=folder)
    return Demonstration(tmp_path, environment(built, tmp_path), built=built)
