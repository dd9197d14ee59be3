"""The border between two local days, as stored values."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

from hypothesis import given

from connectors.sql.moments import border, shifted
from tests.unit.connectors.sql import values
from worker.core.facts import Empty, FieldType, Known, Reading


def reading(zone: ZoneInfo, stored: ZoneInfo | None) -> Reading:
    """Return how a timestamp is read, every day allowed."""
    return Reading(FieldType.TIMESTAMP, Empty.UNKNOWN, zone, stored, dt.date(1900, 1, 2), planned=True)


@given(zone=values.zones, stored=values.zones, day=values.days, moment=values.moments)
def test_no_value_is_on_the_wrong_side(zone: ZoneInfo, stored: ZoneInfo, day: dt.date, moment: dt.datetime) -> None:
    """Below the border a moment is surely not later than the day, from it on surely later, in any two zones and around every change."""
    read = reading(zone, stored)
    edge = border(read, day)
    assert edge is not None
    assert edge.naive_low is not None
    assert edge.naive_high is not None
    for raw, low, high in ((moment, edge.naive_low, edge.naive_high), (moment.replace(tzinfo=dt.UTC), edge.low, edge.high)):
        fact = read.fact(raw, dt.date(2026, 6, 30))
        if isinstance(fact, Known) and isinstance(fact.value, dt.date):
            assert not (raw < low and fact.value > day)
            assert not (raw >= high and fact.value <= day)


def test_in_utc_the_border_is_one_moment() -> None:
    """Timestamps stored in UTC have an exact border also on the days when the clock changes."""
    edge = border(reading(ZoneInfo("Europe/Amsterdam"), ZoneInfo("UTC")), dt.date(2026, 3, 29))
    assert edge is not None
    assert (dt.datetime(2026, 3, 29, 22), dt.datetime(2026, 3, 29, 22)) == (edge.naive_low, edge.naive_high)


def test_the_ends_of_the_calendar_are_no_border() -> None:
    """Nothing is said, and nothing fails, where the calendar ends."""
    assert border(reading(ZoneInfo("UTC"), ZoneInfo("UTC")), dt.date.max) is None
    assert (dt.date.max, dt.date.min) == (shifted(dt.date.max, 1), shifted(dt.date.min, -1))
