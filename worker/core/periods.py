"""Retention periods, anchors and their inverse, the cutoff. Calendar days only; no times, no zones.

Periods are ISO 8601-1:2019 calendar durations without fractions or times (`P8W`, `P2Y`, `P1Y6M`, `P0D`). Months and years are counted
from the original start day and clamped to the last day of a month that is too short, never added step by step, never rolled over a
weekend (the Dutch Algemene termijnenwet does not apply to retention periods).

A `Term` is one function from start day to due day, and it never goes back: a later event is never due sooner. That is what makes the cutoff
possible, and it holds with fiscal years of any length and with any list of earlier promises.
"""

from __future__ import annotations

import calendar
import datetime as dt
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache

_PATTERN = re.compile(r"P(?=\d)(?:(\d{1,4})Y)?(?:(\d{1,5})M)?(?:(\d{1,6})W)?(?:(\d{1,7})D)?", re.ASCII)
NEVER = dt.date.max
"""The due day of something that never falls due: no day lies after it."""
_ONE_DAY = dt.timedelta(days=1)
_LENGTHS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def _length(year: int, month: int) -> int:
    """Return the number of days of a month; `calendar.monthrange` looks for its first weekday as well, which takes far longer."""
    return _LENGTHS[month - 1] + (month == 2 and calendar.isleap(year))


@dataclass(frozen=True, slots=True, order=False)
class Period:
    """A calendar period; the sum of its parts, years and months first, then weeks and days."""

    years: int = 0
    months: int = 0
    weeks: int = 0
    days: int = 0

    @classmethod
    def parse(cls, text: str) -> Period:
        """Return the period that an ISO 8601 text names; ValueError for fractions, times, signs, repeated or empty parts."""
        match = _PATTERN.fullmatch(text)
        if match is None:
            raise ValueError(f"{text!r} is not a whole calendar period such as P8W, P2Y, P1Y6M or P30D")
        return cls(*(int(part or 0) for part in match.groups()))

    def __str__(self) -> str:
        """Return the period in ISO 8601 form."""
        parts = ((self.years, "Y"), (self.months, "M"), (self.weeks, "W"), (self.days, "D"))
        return "P" + ("".join(f"{amount}{unit}" for amount, unit in parts if amount) or "0D")

    def __add__(self, other: Period) -> Period:
        """Return the period that counts both from one start day (not one after the other)."""
        return Period(self.years + other.years, self.months + other.months, self.weeks + other.weeks, self.days + other.days)

    @property
    def whole_months(self) -> bool:
        """Whether the period consists of years and months only, so that a month end stays a month end."""
        return not (self.weeks or self.days) and bool(self.years or self.months)

    def after(self, start: dt.date, *, month_end: bool = False) -> dt.date:
        """Return the last day of the period that starts on `start`; the start day itself is not counted.

        month_end -- the start is the end of a month by definition (a fiscal year's end): a whole number of months later is the end of
        a month too (2021-02-28 + P7Y = 2028-02-29). A day beyond the calendar is NEVER.
        """
        index = start.year * 12 + start.month - 1 + self.years * 12 + self.months
        year, month = divmod(index, 12)
        month += 1
        if year > dt.MAXYEAR:
            return NEVER
        last = _length(year, month)
        day = last if month_end and self.whole_months else min(start.day, last)
        try:
            return dt.date(year, month, day) + dt.timedelta(days=7 * self.weeks + self.days)
        except OverflowError:
            return NEVER


NO_TIME = Period()
"""The period P0D."""


class Anchor(StrEnum):
    """From which day a period is counted, given the day of the event."""

    DAY = "day"
    END_OF_MONTH = "end_of_month"
    END_OF_CALENDAR_YEAR = "end_of_calendar_year"
    END_OF_FISCAL_YEAR = "end_of_fiscal_year"


class Bound(StrEnum):
    """Whether a period is the most that is allowed or the least that is required."""

    CEILING = "ceiling"
    FLOOR = "floor"


@dataclass(frozen=True, slots=True)
class FiscalYear:
    """The day on which an organisation's fiscal year ends; 28 February means the last day of February.

    odd -- fiscal years that were shorter or longer, or ended on another day, as (first day, last day): ascending, without overlap. The
    year before one of them ends on the day before its first at the latest.
    """

    month: int = 12
    day: int = 31
    odd: tuple[tuple[dt.date, dt.date], ...] = ()

    @classmethod
    def parse(cls, text: str) -> FiscalYear:
        """Return the fiscal year that ends on a day written MM-DD; ValueError when there is no such day in every year."""
        match = re.fullmatch(r"(\d\d)-(\d\d)", text, re.ASCII)
        if match is None:
            raise ValueError(f"{text!r} is not a day of the year in the form MM-DD, such as 12-31")
        month, day = int(match[1]), int(match[2])
        dt.date(2023, month, day)
        return cls(month, day)

    @property
    def month_end(self) -> bool:
        """Whether the fiscal year ends with a month."""
        return self.day >= _length(2023, self.month)

    def end(self, year: int) -> dt.date:
        """Return the regular end of the fiscal year that ends in a calendar year."""
        return dt.date(year, self.month, _length(year, self.month) if self.month_end else self.day)

    def end_after(self, day: dt.date) -> dt.date:
        """Return the end of the fiscal year that holds a day; NEVER beyond the calendar."""
        end = self.end(day.year)
        if end < day:
            end = self.end(day.year + 1) if day.year < dt.MAXYEAR else NEVER
        for first, last in self.odd:
            if first <= day <= last:
                return last
            if day < first <= end:
                return first - _ONE_DAY
        return end

    def years_after(self, end: dt.date, years: int) -> dt.date:
        """Return the end of the fiscal year that comes so many fiscal years after the one with this end; NEVER beyond the calendar."""
        while years and end != NEVER:
            # Away from the odd years one follows another regularly; ten thousand steps at every start would take a checker minutes.
            ahead = next((first.year - end.year - 2 for first, last in self.odd if end <= last), years)
            regular = min(years, ahead) if end == self.end(end.year) else 0
            if regular > 0:
                years -= regular
                end = self.end(end.year + regular) if end.year + regular <= dt.MAXYEAR else NEVER
            else:
                years -= 1
                end = self.end_after(end + _ONE_DAY)
        return end


CALENDAR_YEAR = FiscalYear()
"""The fiscal year that is the calendar year."""


@dataclass(frozen=True, slots=True)
class Earlier:
    """A period that was promised before: to whom the event happened on or before the day `through`."""

    period: Period
    through: dt.date


@dataclass(frozen=True, slots=True)
class Term:
    """How long something is kept from its start event: the one function from a start day to a due day.

    bound -- with the end of a fiscal year as anchor, a floor takes the later of so many fiscal and so many calendar years, a ceiling counts
    calendar years; was -- what was promised before; stretch -- a longer period holds for what was collected under a shorter promise too,
    unless its time was over already; extra -- for a later step of a chain: added to each of these periods, and no reason to choose
    another one.
    """

    period: Period
    anchor: Anchor = Anchor.DAY
    fiscal_year: FiscalYear = CALENDAR_YEAR
    bound: Bound = Bound.CEILING
    was: tuple[Earlier, ...] = ()
    stretch: bool = False
    extra: Period = NO_TIME

    def longer(self, extra: Period) -> Term:
        """Return the term whose period, and every period that was promised before, is longer by `extra`."""
        return self if extra == NO_TIME else replace(self, extra=self.extra + extra)

    def counted_from(self, start: dt.date) -> dt.date:
        """Return the day the period is counted from: the event's day, or the end of the year or month that holds it."""
        match self.anchor:
            case Anchor.DAY:
                return start
            case Anchor.END_OF_MONTH:
                return start.replace(day=_length(start.year, start.month))
            case Anchor.END_OF_CALENDAR_YEAR:
                return start.replace(month=12, day=31)
            case Anchor.END_OF_FISCAL_YEAR:
                return self.fiscal_year.end_after(start)

    def due(self, start: dt.date) -> dt.date:
        """Return the due day, the last day of keeping, for an event on a day (local to the organisation).

        Of the present period and those promised since the event, the one that ends first decides: a shorter period holds for everybody at
        once, a longer one for new events only. With `stretch` it holds for all of which the earlier time was not over on `through`.
        """
        due = self._due(start, self.period + self.extra)
        for earlier in self.was:
            if start <= earlier.through and (not self.stretch or self._due(start, earlier.period) <= earlier.through):
                due = min(due, self._due(start, earlier.period + self.extra))
        return due

    def _due(self, start: dt.date, period: Period) -> dt.date:
        """Return the due day under one period."""
        end = self.counted_from(start)
        due = period.after(end, month_end=self.anchor is not Anchor.DAY and _ends_month(end))
        if self.bound is Bound.FLOOR and self.anchor is Anchor.END_OF_FISCAL_YEAR and self.fiscal_year.odd:
            # Regular fiscal years are as long as calendar years, so only here the two counts may differ.
            end = self.fiscal_year.years_after(end, period.years)
            due = max(due, replace(period, years=0).after(end, month_end=_ends_month(end)))
        return due

    def cutoff(self, today: dt.date) -> dt.date | None:
        """Return the latest start day whose due day lies before today, or None: `start <= cutoff` if and only if `due(start) < today`."""
        return _cutoff(self, today)


def _ends_month(day: dt.date) -> bool:
    """Whether a day is the last of its month."""
    return day.day == _length(day.year, day.month)


def cutoff(due: Callable[[dt.date], dt.date], today: dt.date) -> dt.date | None:
    """Return the latest start day for which a monotone `due` answers a day before today, found by bisection over the calendar."""
    low, high = 0, today.toordinal()  # `high` is never a cutoff: no event is due before the day after itself.
    while high - low > 1:
        middle = (low + high) // 2
        if due(dt.date.fromordinal(middle)) < today:
            low = middle
        else:
            high = middle
    return dt.date.fromordinal(low) if low else None


@lru_cache(maxsize=1024)
def _cutoff(term: Term, today: dt.date) -> dt.date | None:
    """Return the cutoff of a term, which every selection of a run asks for again."""
    return cutoff(term.due, today)
