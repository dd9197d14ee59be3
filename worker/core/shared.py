"""What records of several sources say together about one subject: the latest day, and what keeps it from being known.

What one record says is a `Seen`; what several say is the greatest of each part. That is commutative, associative and idempotent, so the
order of reading changes nothing, and a record that was disposed of can stand in the ledger as what it said: the clock never moves back.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import NamedTuple, assert_never

from worker.core.conditions import Truth, evaluate
from worker.core.facts import Empty, Fact, Known, NotApplicable, NotYet, Raw, Unknown
from worker.core.sources import Member, SharedFact


class Seen(NamedTuple):
    """What records of a shared fact's members say.

    there -- 1 when there is a record at all; day -- the latest day as its ordinal (1 is 0001-01-01), 0 for none; ahead -- 1 when an event
    has not happened yet; unsure -- the number of the member, from 1, of which a record can't tell.
    """

    there: int = 0
    day: int = 0
    ahead: int = 0
    unsure: int = 0


NOTHING = Seen()


def seen(fact: Fact, position: int) -> Seen:
    """Return what the fact of one record says; `position` is that of its source among the members."""
    match fact:
        case Known(value) if isinstance(value, dt.date):
            return Seen(1, day=value.toordinal())
        case Known():
            return Seen(1, unsure=position + 1)
        case NotYet():
            return Seen(1, ahead=1)
        case NotApplicable():
            return Seen(1)
        case Unknown():
            return Seen(1, unsure=position + 1)
        case _:
            assert_never(fact)


def says(member: Member, position: int, values: Mapping[str, Raw], today: dt.date) -> dict[str, Seen]:
    """Return what one record of a member says, by day field; `values` holds the member's `columns` by name.

    A record that does not count says nothing. Of one of which nobody can tell whether it counts nobody can tell the day either.
    """
    facts = {each.name: each.reading.fact(values[each.name], today) for each in member.facts}
    counts = evaluate(member.when, facts) if member.when is not None else Truth.TRUE
    match counts:
        case Truth.TRUE:
            # No column holds the day on which a record goes: while it can be read, it has not gone.
            return {day.name: seen(day.reading.fact(None if member.going else values[day.name], today), position) for day in member.days}
        case Truth.FALSE:
            return {day.name: NOTHING for day in member.days}
        case Truth.UNKNOWN:
            return {day.name: seen(Unknown("whether it counts"), position) for day in member.days}
        case _:
            assert_never(counts)


def together(*parts: Seen) -> Seen:
    """Return what several say together."""
    return Seen(*map(max, zip(NOTHING, *parts, strict=True)))


def fact_of(shared: SharedFact, what: Seen) -> Fact:
    """Return the fact: the latest of the days that apply.

    A record that can't tell makes the whole unknown, an event that lies ahead leaves it *not yet*; without any record it is what the policy
    declares.
    """
    if what.unsure:
        return Unknown(f"a record of {shared.members[what.unsure - 1].source} can't tell")
    if what.ahead:
        return NotYet()
    if what.day:
        return Known(dt.date.fromordinal(what.day))
    if what.there:
        return NotApplicable()
    match shared.none:
        case Empty.UNKNOWN:
            return Unknown("no source has a record of it")
        case Empty.NOT_YET:
            return NotYet()
        case Empty.NOT_APPLICABLE:
            return NotApplicable()


def left_behind(what: Seen, today: dt.date) -> Seen:
    """Return what a record that is disposed of today goes on to say.

    An event that had not happened, or whose day nobody could read, can't be later than the record's end, so that day takes its place.
    """
    return Seen(what.there, max(what.day, today.toordinal()) if what.ahead or what.unsure else what.day)
