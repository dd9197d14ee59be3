"""The mailing list of the office: 1,200 members, about a hundred of whom left more than thirty days ago."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

from demo import database
from demo.cases import Case, Part
from demo.crm_cases import EVERYWHERE, IDN_ENCODED
from demo.people import Person, day_between, office_hours, person, seeded, utc, years_before

SCHEMA = """
CREATE TABLE members (
  id INTEGER PRIMARY KEY,
  email TEXT NOT NULL UNIQUE,
  name TEXT,
  status TEXT NOT NULL CHECK (status IN ('subscribed', 'unsubscribed')),
  subscribed_at TIMESTAMP,
  unsubscribed_at TIMESTAMP
);
CREATE INDEX members_unsubscribed_at ON members (unsubscribed_at);
"""


def write(path: Path, as_of: date, scale: int) -> Part:
    """Write the mailing list with 1,200 members times the scale."""
    draw = seeded("mailing list")
    rows: list[database.Row] = []
    cases: dict[str, Case] = {}
    canaries: set[str] = set()
    joined = utc(years_before(as_of, 4))

    def member(who: Person, status: str, since: str | None, until: str | None) -> str:
        rows.append((len(rows) + 1, who.email, who.name, status, since, until))
        canaries.update((who.email, who.name))
        return str(len(rows))

    def case(name: str, until: str | None, why: str, expected: str, status: str = "unsubscribed") -> None:
        key = member(person(200 + len(rows)), status, joined, until)
        cases[name] = Case("members", key, why, expected)

    shouted = Person(EVERYWHERE.name, EVERYWHERE.email.upper(), "", "", "")
    cases["everywhere_member"] = Case(
        "members", member(shouted, "subscribed", joined, None), "also a contact, in capitals here", "kept: subscribed"
    )
    cases["member_idn"] = Case(
        "members",
        member(IDN_ENCODED, "unsubscribed", joined, utc(years_before(as_of, 1))),
        "an internationalised domain, encoded",
        "due: unsubscribed a year ago",
    )
    around = "the day of leaving is the due day, thirty more are allowed to carry it out"
    case("member_left_yesterday", utc(as_of - timedelta(days=1)), around, "due: not overdue before thirty days")
    case("member_left_today", utc(as_of, 8), around, "kept: through the whole of today")
    case("member_overdue", utc(as_of - timedelta(days=31)), around, "due: overdue since yesterday")
    # 22:30 UTC on the day before is already the as-of date in Amsterdam, in summer.
    late = utc(as_of - timedelta(days=1), 22, 30)
    case("member_late_evening_utc", late, "it is the next day in Amsterdam", "kept: through the whole of today")
    case("member_unsubscribed_without_date", None, "nobody knows since when", "undetermined: the day is empty")
    case("member_zero_date", "0000-00-00 00:00:00", "zeroes for a date", "undetermined: not a date")
    case("member_in_future", utc(as_of + timedelta(days=9)), "unsubscribed ahead of time", "undetermined: in the future")
    case("member_back_again", utc(years_before(as_of, 1)), "left, came back", "kept: subscribed", "subscribed")
    for number in range(2400, 2400 + 1200 * scale - len(rows)):
        since = day_between(years_before(as_of, 7), as_of - timedelta(days=3), draw)
        chance = draw.random()
        until = None
        if chance < 0.08:
            until = day_between(since, as_of - timedelta(days=32), draw)
        elif chance < 0.12:
            until = day_between(max(since, as_of - timedelta(days=29)), as_of - timedelta(days=1), draw)
        status = "unsubscribed" if until else "subscribed"
        member(person(number), status, office_hours(since, draw), office_hours(until, draw) if until else None)
    database.write(path, SCHEMA, {"members": rows})
    return Part(cases, frozenset(canaries))
