"""Where, in stored values, one local day of the organisation ends and the next begins.

Days are counted in the organisation's zone; a column holds instants, or wall-clock times of the zone it was declared to be in.
Clocks are put forward and back, so the border is a pair: below `low` everything is surely still the earlier day, from `high` on
everything is surely a later one. Except around a change of clocks the two are the same.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from worker.core.facts import Reading

_NEAR = dt.timedelta(hours=26)
_A_DAY = dt.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Border:
    """The end of a local day: as instants (UTC, aware), and as wall-clock times of the column's declared zone (naive; None without one)."""

    low: dt.datetime
    high: dt.datetime
    naive_low: dt.datetime | None
    naive_high: dt.datetime | None


def border(reading: Reading, day: dt.date) -> Border | None:
    """Return the border between a local day and the next; None at the ends of the calendar, where nothing can be said."""
    try:
        midnight = dt.datetime.combine(day + _A_DAY, dt.time.min)
        ends = sorted(midnight.replace(tzinfo=reading.zone, fold=fold).astimezone(dt.UTC) for fold in (0, 1))
        low, high = ends[0], ends[-1]
        if reading.stored_zone is None:
            return Border(low, high, None, None)
        offsets = _offsets(reading.stored_zone, (low - _NEAR, low, high, high + _NEAR))
        return Border(low, high, _naive(low) + min(offsets), _naive(high) + max(offsets))
    except OverflowError:
        return None


def shifted(day: dt.date, days: int) -> dt.date:
    """Return the day a number of days later (or earlier), or the end of the calendar."""
    try:
        return day + dt.timedelta(days=days)
    except OverflowError:
        return dt.date.max if days > 0 else dt.date.min


def _offsets(zone: ZoneInfo, instants: tuple[dt.datetime, ...]) -> list[dt.timedelta]:
    """Return the zone's offsets from UTC at some instants, on both sides of any change of clocks that is near."""
    return [instant.astimezone(zone).utcoffset() or dt.timedelta() for instant in instants]


def _naive(instant: dt.datetime) -> dt.datetime:
    """Return an instant as a UTC wall-clock time without zone."""
    return instant.replace(tzinfo=None)
