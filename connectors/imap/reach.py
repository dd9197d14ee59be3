"""What a server is asked to leave out: messages that, by the day they were received, no selection can hold.

A server compares days as its own zone has them (RFC 3501, 6.4.4: "disregarding time and timezone"), so two days more are asked for on
either side: no two zones are further apart. Nothing else is left to a server: how it reads a Date header or searches a text is its own
affair.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from connectors.imap.message import RECEIVED
from worker.core.select import Intersection, OnOrBefore, Selection, Suspect, Union
from worker.core.sources import Source

_MARGIN = dt.timedelta(days=3)
_EPOCH = dt.date(1970, 1, 1)
_LAST = dt.date(9990, 1, 1)


@dataclass(frozen=True, slots=True)
class Reach:
    """Days on which a message may have been received: before `before`, and from `since` on. All days where these meet."""

    before: dt.date
    since: dt.date

    @property
    def is_all(self) -> bool:
        """Whether every day is in it."""
        return self.before >= self.since

    @property
    def is_none(self) -> bool:
        """Whether no day is in it."""
        return self == NONE

    def criteria(self) -> list[str | dt.date]:
        """Return it as a server is asked for it."""
        if self.is_all:
            return []
        if self.since == dt.date.max:
            return ["BEFORE", self.before]
        return ["OR", "BEFORE", self.before, "SINCE", self.since]


ALL = Reach(dt.date.max, dt.date.min)
NONE = Reach(dt.date.min, dt.date.max)


def reach(source: Source, selection: Selection) -> Reach:
    """Return the days on which every message was received that a selection holds: too many perhaps, never too few."""
    match selection:
        case Union(of):
            found = NONE
            for part in of:
                other = reach(source, part)
                found = Reach(max(found.before, other.before), min(found.since, other.since))
            return found
        case Intersection(of):
            found = ALL
            for part in of:
                found = _both(found, reach(source, part))
            return found
        case OnOrBefore(name, day) if _is_received(source, name):
            return Reach(_after(day), dt.date.max)
        case Suspect(name, today) if _is_received(source, name):
            earliest = source.field(name).reading.earliest
            return Reach(_after(max(earliest, _EPOCH)), max(today - _MARGIN, _EPOCH))
        case _:
            return ALL


def _both(one: Reach, other: Reach) -> Reach:
    """Return a reach that holds what both hold; where they are of the same form exactly that, else one of them."""
    if one.is_all or other.is_all:
        return other if one.is_all else one
    before, since = min(one.before, other.before), max(one.since, other.since)
    crosses = one.before > other.since or other.before > one.since
    return one if crosses else Reach(before, since)


def _after(day: dt.date) -> dt.date:
    """Return the day before which a server will find whatever was received on a day, in any zone; servers know no day before 1970."""
    return max(min(day, _LAST), _EPOCH) + _MARGIN


def _is_received(source: Source, name: str) -> bool:
    """Whether a fact is the day on which a message was received."""
    return any(each.name == name and each.column == RECEIVED for each in source.fields)
