"""The one place that reads the clock. Everything else is told what time it is."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable
from zoneinfo import ZoneInfo

Now = Callable[[], dt.datetime]
"""A callable that answers the present instant, aware, in UTC."""


def now() -> dt.datetime:
    """Return the present instant, aware, in UTC."""
    return dt.datetime.now(dt.UTC)  # noqa: TID251 - this module is the exception the ban names


def monotonic() -> float:
    """Return seconds that never go back, for measuring how long something took; not a time of day."""
    return time.monotonic()


def sleep(seconds: float) -> None:
    """Return after so many seconds."""
    time.sleep(seconds)


def local_day(instant: dt.datetime, zone: ZoneInfo) -> dt.date:
    """Return the calendar day of an aware instant in the organisation's time zone."""
    return instant.astimezone(zone).date()
