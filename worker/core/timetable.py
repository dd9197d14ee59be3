"""When work may be done: windows of a week in which nothing begins, in the local time of the organisation."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from dataclasses import dataclass

_DAYS = ("Mo", "Tu", "We", "Th", "Fr", "Sa", "Su")
_RULE = re.compile(r"(?:(?P<days>[A-Z][a-z](?:-[A-Z][a-z])?(?:,[A-Z][a-z](?:-[A-Z][a-z])?)*) +)?(?P<times>\S+)")
_TIMES = re.compile(r"([01]\d|2[0-4]):([0-5]\d)-([01]\d|2[0-4]):([0-5]\d)")
_MIDNIGHT = 24 * 60


@dataclass(frozen=True, slots=True)
class Window:
    """On these weekdays (Monday is 0) from one minute of the day up to another, which is not part of it."""

    days: frozenset[int]
    begin: int
    end: int

    def holds(self, moment: dt.datetime) -> bool:
        """Whether a local moment lies in the window."""
        minute = moment.hour * 60 + moment.minute
        return moment.weekday() in self.days and self.begin <= minute < self.end


def windows(text: str) -> tuple[Window, ...]:
    """Read windows such as `Mo-Fr 08:00-18:00; Sa,Su 10:00-12:00`; one that crosses midnight belongs to the day on which it begins.

    Raises ValueError, in words for whoever wrote it.
    """
    found: list[Window] = []
    for rule in filter(None, map(str.strip, text.split(";"))):
        parts = _RULE.fullmatch(rule)
        times = _TIMES.fullmatch(parts["times"]) if parts is not None else None
        if parts is None or times is None:
            raise ValueError(f"{rule!r} is no window; write Mo-Fr 08:00-18:00, and several with ; between them")
        begin, end = (int(times[place]) * 60 + int(times[place + 1]) for place in (1, 3))
        if max(begin, end) > _MIDNIGHT or begin == end:
            raise ValueError(f"{rule!r} has no length, or ends after 24:00")
        days = _days(parts["days"], rule)
        if begin < end:
            found.append(Window(days, begin, end))
        else:
            found.append(Window(days, begin, _MIDNIGHT))
            found.append(Window(frozenset((day + 1) % 7 for day in days), 0, end))
    return tuple(found)


def within(all_windows: Sequence[Window], moment: dt.datetime) -> bool:
    """Whether a local moment lies in one of the windows."""
    return any(each.holds(moment) for each in all_windows)


def _days(text: str | None, rule: str) -> frozenset[int]:
    """Return the weekdays of a rule; all of them when it names none."""
    if text is None:
        return frozenset(range(7))
    found: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        if first not in _DAYS or (last or first) not in _DAYS:
            raise ValueError(f"{rule!r}: days are written {', '.join(_DAYS)}")
        begin, end = _DAYS.index(first), _DAYS.index(last or first)
        found.update(day % 7 for day in range(begin, end + (7 if end < begin else 0) + 1))
    return frozenset(found)
