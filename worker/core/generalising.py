"""Values made coarser: a day becomes its month or year, a postcode its region, a number the start of its range.

What comes out fits the column that the value came from: a day stays a day (the first of its month or year), a moment the first moment of it
by the clock that it was written by, a number a number. A coarse value is its own coarse value, so it is recognised and never due again; a
person who was born on the first of January can't be told from one whose birthday was made coarse, which is what it is for.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from decimal import Decimal, InvalidOperation

from worker.core.facts import Raw
from worker.core.sources import Coarse, Treatment

LONGEST_REGION = 4
"""More characters of a postcode name a neighbourhood, or in some countries a street."""

_DIGITS = 400
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)(?:([ T])(\d\d(?::\d\d(?::\d\d(?:\.\d+)?)?)?)(Z|[+-]\d\d(?::?\d\d){0,2})?)?", re.ASCII)
_COUNTRY = re.compile(r"^[A-Z]{1,3}-(?=[0-9])")


def generalised(treatment: Treatment, raw: Raw) -> Raw:
    """Return the coarse value; None for what can't be read, because nobody can say what it would tell. Empty stays empty; never raises."""
    if raw is None or raw == "":
        return raw
    match treatment.coarse:
        case Coarse.MONTH | Coarse.YEAR:
            return _first_moment(raw, whole_year=treatment.coarse is Coarse.YEAR)
        case Coarse.REGION:
            return region(str(raw), treatment.size)
        case Coarse.RANGE:
            return _start_of_range(raw, treatment.size)
        case None:
            return None


def is_generalised(treatment: Treatment, raw: Raw) -> bool:
    """Whether a value is as coarse as the treatment makes it, or empty."""
    if raw is None or raw == "":
        return True
    found = generalised(treatment, raw)
    if treatment.coarse is Coarse.RANGE:
        # Numbers are compared as numbers: 30 and 30.00 are one value.
        return found is not None and found == _number(raw)
    return found is not None and str(found) == str(raw)


def region(text: str, size: int) -> str | None:
    """Return the first letters and digits of a postcode, without the country in front ("NL-1234 AB", 2: "12"); None when it has none."""
    signs = "".join(each for each in _COUNTRY.sub("", text.strip().upper()) if each.isascii() and each.isalnum())
    return signs[:size] or None


def _first_moment(raw: Raw, *, whole_year: bool) -> Raw:
    """Return the first day or moment of the month or year, in the form in which the value came."""
    if isinstance(raw, dt.datetime):
        first = raw.replace(day=1, hour=0, minute=0, second=0, microsecond=0, fold=0)
        return first.replace(month=1) if whole_year else first
    if isinstance(raw, dt.date):
        return raw.replace(month=1 if whole_year else raw.month, day=1)
    found = _MOMENT.fullmatch(raw) if isinstance(raw, str) else None
    if found is None:
        return None
    day, separator, clock, offset = found.groups()
    try:
        dt.date.fromisoformat(day)
    except ValueError:
        return None
    first_day = f"{day[:4]}-01-01" if whole_year else f"{day[:8]}01"
    return f"{first_day}{separator or ''}{re.sub('[0-9]', '0', clock or '')}{offset or ''}"


def _start_of_range(raw: Raw, size: int) -> int | None:
    """Return the largest multiple of `size` that is not above a number (31 with 10: 30; -1 with 10: -10)."""
    number = _number(raw)
    return None if number is None or size < 1 else math.floor(number) // size * size


def _number(raw: Raw) -> Decimal | None:
    """Return a finite number of a usual size."""
    try:
        number = Decimal(str(raw).strip())
    except InvalidOperation:
        return None
    return number if number.is_finite() and number.adjusted() < _DIGITS else None
