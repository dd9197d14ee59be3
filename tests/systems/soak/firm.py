"""What the soak works on: the small firm over several nights, with a member list that many workers can be busy with at once.

Every record is acted on once, on a night that depends on its number, whatever goes wrong before: so what was done after any number of
hurt nights can be compared with what one run does that looks back on all of them. Every personal value is a canary.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from tests.acceptance.canaries import WORD
from tests.installation import lend_keys
from tests.systems.small_firm import _TABLES, POLICIES, Content, Firm, opened
from worker.audit.events import Action
from worker.audit.outcomes import outcomes

CONTACTS, MEMBERS = 300, 1200
FIRST_NIGHT = datetime(2026, 7, 1, 1, tzinfo=UTC)
"""Three in the morning in Amsterdam, an hour after the schedule's time."""
SCHEDULE = "0 2 * * *"

MEMBERS_POLICY = """
[sources.members]
connector = "crm"
table = "members"
key = "id"
subject = ["email"]
[sources.members.fields]
name = { treatment = { constant = "-" } }
email = { type = "email", treatment = "pseudonym" }
address = { treatment = "clear" }
left_on = { type = "date" }

[[policies]]
source = "members"
disposition = "delete"
[[policies.purposes]]
id = "post"
basis = "contract"
fields = ["address"]
start = "left_on"
keep = "P1Y"
[[policies.purposes]]
id = "membership"
basis = "legitimate-interests"
fields = ["name", "email"]
start = "left_on"
keep = "P3Y"
"""
_MEMBERS_TABLE = "CREATE TABLE members (id BIGINT PRIMARY KEY, name VARCHAR(80) NOT NULL, email VARCHAR(120), address TEXT, left_on DATE)"
_MEMBERS_INDEX = "CREATE INDEX members_left ON members (left_on)"

Did = tuple[str, str, str, str]
"""Source, what was done, the record's reference, and the day on which that was due (of what goes along with another record: nothing)."""


@dataclass(frozen=True)
class Places:
    """Where the two databases of the firm are, as SQLAlchemy addresses: contacts with invoices, and members."""

    firm: str
    members: str


def _night(number: int, nights: int) -> dt.date:
    """Return on which day a record's time has come."""
    return FIRST_NIGHT.date() + dt.timedelta(days=number // 3 % nights)


def _before(day: dt.date, years: int) -> dt.date:
    """Return a start day of a period of so many years that has run out on a day, and had not on the day before."""
    return (day - dt.timedelta(days=1)).replace(year=day.year - years)


def _contacts(nights: int) -> Iterator[dict[str, Any]]:
    for n in range(1, CONTACTS + 1):
        seen = dt.date(2026, 5, 1) if n % 3 == 2 else _before(_night(n, nights), 2)
        yield {
            "id": n,
            "name": f"{WORD}{n}",
            "email": f"{WORD}{n}@post.example",
            "phone": f"06-{n}",
            "seen_at": datetime(seen.year, seen.month, seen.day, 12),
        }


def _invoices() -> Iterator[dict[str, Any]]:
    # Those of contacts that lose only their address are young; the others have been due for years.
    for n in range(1, CONTACTS + 1):
        if n % 3 == 1 or n % 4 == 0:
            yield {"id": n, "contact_id": n, "billed_to": f"{WORD}{n}", "issued_on": dt.date(2024 if n % 3 == 1 else 2010, 6, 30)}


def _notes() -> Iterator[dict[str, Any]]:
    for n in range(1, CONTACTS + 1):
        yield from ({"id": 10 * n + each, "contact_id": n, "body": f"{WORD} called"} for each in range(n % 4))


def _members(nights: int) -> Iterator[dict[str, Any]]:
    for n in range(1, MEMBERS + 1):
        # A third goes, of whom no postal address is known that would be due before; a third loses it; a third stays.
        left = dt.date(2026, 5, 1) if n % 3 == 2 else _before(_night(n, nights), 3 if n % 3 == 0 else 1)
        address = f"{WORD} street {n}" if n % 3 else None
        yield {"id": n, "name": f"{WORD}m{n}", "email": f"{WORD}m{n}@post.example", "address": address, "left_on": left}


def fill(places: Places, nights: int) -> None:
    """Build and fill the tables, so that as much becomes due in each of so many nights."""
    with opened(places.firm) as connection:
        timestamp = "TIMESTAMP" if connection.dialect.name == "postgresql" else "DATETIME"
        for statement in _TABLES:
            connection.execute(sa.text(statement.format(timestamp=timestamp)))
        for table, rows in (("contacts", _contacts(nights)), ("invoices", _invoices()), ("notes", _notes())):
            _insert(connection, table, list(rows))
    with opened(places.members) as connection:
        connection.execute(sa.text(_MEMBERS_TABLE))
        connection.execute(sa.text(_MEMBERS_INDEX))
        _insert(connection, "members", list(_members(nights)))


def _insert(connection: sa.Connection, table: str, rows: list[dict[str, Any]]) -> None:
    names = list(rows[0])
    connection.execute(sa.text(f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join(f':{name}' for name in names)})"), rows)


def content(places: Places) -> Content:
    """Return every row of every table."""
    found: Content = {}
    for url, tables in ((places.firm, ("contacts", "invoices", "notes")), (places.members, ("members",))):
        with opened(url) as connection:
            for table in tables:
                found[table] = [tuple(row) for row in connection.execute(sa.text(f"SELECT * FROM {table} ORDER BY id"))]
    return found


_GONE = (Action.RECORD_DELETED, Action.CHILD_DELETED)


def done(audit: Path) -> list[Did]:
    """Return what the trail says took effect, sorted; what was done twice is in it twice.

    An invoice may go by its own policy in one night or along with its contact in another: either way it is gone, and once.
    """
    found = []
    for each in outcomes(audit):
        source = str(each.payload["retention.source"]).rpartition(".")[2]
        due = "" if source in ("invoices", "notes") else str(each.payload["retention.due"])
        what = "gone" if each.action in _GONE else str(each.action)
        found.append((source, what, str(each.payload["retention.record"]), due))
    return sorted(found)


def make(folder: Path, places: Places, keys: Path | None, /, **environ: str) -> Firm:
    """Return the installation over databases that are filled already; with `keys` it makes the same references as that file's owner."""
    folder.mkdir(parents=True, exist_ok=True)
    urls = {"contacts": places.firm, "invoices": places.firm, "members": places.members}
    settings = {"RETENTION_BATCH_SIZE": "5", "RETENTION_MAX_SHARE": "1", "RETENTION_MAX_JUMP": "1000", "RETENTION_LOG_FORMAT": "json"}
    firm = Firm(folder, POLICIES + MEMBERS_POLICY, urls, FIRST_NIGHT, {**settings, **environ})
    if keys is not None:
        lend_keys(folder, keys)
    return firm


@dataclass(frozen=True)
class NeverHurt:
    """What one undisturbed run comes to that looks back on all nights."""

    keys: Path
    content: Content
    done: list[Did]


def never_hurt(folder: Path, places: Places, nights: int, **environ: str) -> NeverHurt:
    """Fill the databases, let one process do everything at once in the end, and keep what came of it."""
    fill(places, nights)
    firm = make(folder, places, None, **environ)
    firm.moment = FIRST_NIGHT + dt.timedelta(days=nights + 2)
    _, result = firm.carry_out()
    assert 0 == result.exit_code, result.as_json()
    did = done(firm.audit)
    assert len(did) == len(set(did))
    return NeverHurt(folder / "keys" / "keys.json", content(places), did)
