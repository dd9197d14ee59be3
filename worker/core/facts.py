"""What a decision uses: facts, and how a raw value out of a source becomes one.

A fact is *known*, *not yet* (the event still lies ahead), *not applicable* (there never was one) or *unknown, and why*. Emptiness means
what the policy declares and nothing else; a value that cannot be true is unknown. Unknown keeps a record and reports it.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal, InvalidOperation
from enum import StrEnum
from zoneinfo import ZoneInfo

Scalar = str | int | Decimal | bool | dt.date
Raw = object
"""A value as a connector's driver answers it: None, text, number, date or datetime (naive or aware)."""

PLACEHOLDERS = (dt.date(1900, 1, 1), dt.date(1970, 1, 1), dt.date(9999, 12, 31))
"""Days that systems write when they mean that they don't know (0000-00-00 does not even parse)."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Stands in a row for a value that is there, or may be, but can't be read: a damaged file is not an empty field."""

    def __reduce__(self) -> str:
        """Stay the one there is, also in a copy."""
        return "UNREADABLE"


UNREADABLE = Unreadable()


@dataclass(frozen=True, slots=True)
class Known:
    """The fact is known; days are local days of the organisation."""

    value: Scalar


@dataclass(frozen=True, slots=True)
class NotYet:
    """The event has not happened yet."""


@dataclass(frozen=True, slots=True)
class NotApplicable:
    """There is no such event or value for this record, and there need not be one."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nobody can tell; `why` is a fixed phrase without any value from the record."""

    why: str


Fact = Known | NotYet | NotApplicable | Unknown


class Empty(StrEnum):
    """What an empty value of a field means; unknown unless the policy declares otherwise."""

    UNKNOWN = "unknown"
    NOT_YET = "not_yet"
    NOT_APPLICABLE = "not_applicable"


class FieldType(StrEnum):
    """The type a field is read as."""

    TEXT = "text"
    NUMBER = "number"
    BOOLEAN = "boolean"
    DATE = "date"
    TIMESTAMP = "timestamp"


@dataclass(frozen=True, slots=True)
class Reading:
    """How raw values of one field become facts.

    stored_zone -- the zone of timestamps without offset, None when every value carries its own offset;
    zone -- the organisation's zone, in which days are counted; planned -- dates after today are meant.
    """

    type: FieldType
    empty: Empty
    zone: ZoneInfo
    stored_zone: ZoneInfo | None = None
    earliest: dt.date = dt.date(1900, 1, 2)
    planned: bool = False

    def fact(self, raw: Raw, today: dt.date) -> Fact:
        """Return the fact that a raw value states on a day; never raises."""
        if isinstance(raw, Unreadable):
            return Unknown("unreadable")
        if raw is None or (isinstance(raw, str) and not raw.strip()):
            return _EMPTY[self.empty]
        match self.type:
            case FieldType.TEXT:
                return Known(raw) if isinstance(raw, str) else Known(str(raw))
            case FieldType.NUMBER:
                return _number(raw)
            case FieldType.BOOLEAN:
                return BOOLEANS.get(str(raw).strip().lower(), Unknown("not a boolean"))
            case FieldType.DATE:
                return self._plausible(_date(raw), today)
            case FieldType.TIMESTAMP:
                return self._plausible(self._local_day(raw), today)

    def _local_day(self, raw: Raw) -> dt.date | Unknown:
        """Return the local day of an instant: the instant becomes a day in the organisation's zone before anything is counted."""
        written = dt.date.min
        if isinstance(raw, str):
            text = raw.strip()
            if not _EXTENDED.match(text):
                return Unknown("not a timestamp")
            try:
                raw = dt.datetime.fromisoformat(text)
            except ValueError:
                return Unknown("not a timestamp")
            if _EXTENDED.fullmatch(text):
                # A day without a time is no midnight: west of the stored zone that would be the day before.
                written = raw.date()
        if not isinstance(raw, dt.datetime):
            return Unknown("not a timestamp")
        moments: tuple[dt.datetime, ...] = (raw,)
        if raw.utcoffset() is None:
            if self.stored_zone is None:
                return Unknown("a timestamp without zone")
            # When the clock goes back an hour is written twice: the later moment is taken, so that nothing goes early.
            moments = (raw.replace(tzinfo=self.stored_zone, fold=0), raw.replace(tzinfo=self.stored_zone, fold=1))
        try:
            # A placeholder is one in whatever zone it was written: the epoch is 31 December 1969 in New York.
            if raw.date() in PLACEHOLDERS or moments[0].astimezone(dt.UTC).date() in PLACEHOLDERS:
                return Unknown("implausible date")
            return max(written, *(each.astimezone(self.zone).date() for each in moments))
        except OverflowError:
            return Unknown("implausible date")

    def _plausible(self, day: dt.date | Unknown, today: dt.date) -> Fact:
        """Return the day as a known fact unless nobody can have meant it."""
        if isinstance(day, Unknown):
            return day
        if day in PLACEHOLDERS or day < self.earliest:
            return Unknown("implausible date")
        if day > today and not self.planned:
            return Unknown("date in the future")
        return Known(day)


_EXACT = Context(prec=10_000, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[])
_WHOLE = 1_000  # Longer numbers stay decimal: written out they would only take memory.

_EXTENDED = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
"""A calendar day written in full; week dates and days without dashes sort otherwise than they count, so they are not read."""

_EMPTY: dict[Empty, Fact] = {
    Empty.UNKNOWN: Unknown("empty"),
    Empty.NOT_YET: NotYet(),
    Empty.NOT_APPLICABLE: NotApplicable(),
}
BOOLEANS: dict[str, Known] = {
    **dict.fromkeys(("1", "true", "t", "yes", "y"), Known(True)),  # noqa: FBT003
    **dict.fromkeys(("0", "false", "f", "no", "n"), Known(False)),  # noqa: FBT003
}
"""The truth value that a text in small letters tells."""


def _number(raw: Raw) -> Fact:
    """Return a finite number as a known fact."""
    if isinstance(raw, int):
        return Known(int(raw))
    try:
        value = Decimal(str(raw).strip())
    except InvalidOperation:
        return Unknown("not a number")
    if not value.is_finite():
        return Unknown("not a number")
    # One number has one form: 1, 1.0 and 1.00 are one fact, also where facts are remembered or fingerprinted.
    value = value.normalize(_EXACT)
    whole = value == value.to_integral_value(context=_EXACT) and value.adjusted() < _WHOLE
    return Known(int(value) if whole else value)


def _date(raw: Raw) -> dt.date | Unknown:
    """Return a date-only value as the local day it is; a time of day in it makes it unknown, except midnight from a driver."""
    if isinstance(raw, dt.datetime):
        midnight = raw.tzinfo is None and raw.time() == dt.time.min
        return raw.date() if midnight else Unknown("a time in a date field")
    if isinstance(raw, dt.date):
        return raw
    text = raw.strip() if isinstance(raw, str) else ""
    try:
        return dt.date.fromisoformat(text) if _EXTENDED.fullmatch(text) else Unknown("not a date")
    except ValueError:
        return Unknown("not a date")
