"""From raw values to facts."""

import datetime as dt
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.strategies import AMSTERDAM, RULE, ZONES, garbage, timestamps
from tests.thoroughness import examples
from worker.core.facts import PLACEHOLDERS, Empty, FieldType, Known, NotApplicable, NotYet, Raw, Reading, Unknown

UTC = ZoneInfo("UTC")
TODAY = dt.date(2026, 7, 1)
DATE = Reading(FieldType.DATE, Empty.UNKNOWN, AMSTERDAM)
STAMP = Reading(FieldType.TIMESTAMP, Empty.UNKNOWN, AMSTERDAM, UTC)


def reading(kind: FieldType, **more: Any) -> Reading:
    """Return a reading in Amsterdam."""
    return Reading(kind, more.pop("empty", Empty.UNKNOWN), more.pop("zone", AMSTERDAM), **more)


@pytest.mark.parametrize("kind", list(FieldType))
@pytest.mark.parametrize("raw", [None, "", "  ", "\t\n"])
def test_empty_means_what_is_declared(kind: FieldType, raw: Raw) -> None:
    """Unknown unless declared, for every type and every way of being empty."""
    expected = [Unknown("empty"), NotYet(), NotApplicable()]
    assert expected == [reading(kind, empty=empty).fact(raw, TODAY) for empty in (Empty.UNKNOWN, Empty.NOT_YET, Empty.NOT_APPLICABLE)]


class TestDates:
    """Date-only fields are local days."""

    @pytest.mark.parametrize("raw", ["2024-02-29", " 2024-02-29 ", dt.date(2024, 2, 29), dt.datetime(2024, 2, 29)])
    def test_a_day(self, raw: Raw) -> None:
        """A text, a date, or a driver's midnight."""
        assert Known(dt.date(2024, 2, 29)) == DATE.fact(raw, TODAY)

    @pytest.mark.parametrize(
        ("raw", "why"),
        [
            ("2023-02-29", "not a date"),
            ("0000-00-00", "not a date"),
            ("20240229", "not a date"),
            ("2024-W09-4", "not a date"),
            ("29-02-2024", "not a date"),
            ("2024-02-29 10:00:00", "not a date"),
            ("2024-2-29x", "not a date"),
            ("２０２４-02-29", "not a date"),
            (20240229, "not a date"),
            (b"2024-02-29", "not a date"),
            (dt.datetime(2024, 2, 29, 10), "a time in a date field"),
            (dt.datetime(2024, 2, 29, tzinfo=dt.UTC), "a time in a date field"),
            ("1900-01-01", "implausible date"),
            ("1970-01-01", "implausible date"),
            ("9999-12-31", "implausible date"),
            ("1850-05-05", "implausible date"),
            ("2026-07-02", "date in the future"),
        ],
    )
    def test_what_nobody_can_have_meant(self, raw: Raw, why: str) -> None:
        """Unparsable, placeholders, too early and in the future are unknown, and the reason holds no value."""
        assert Unknown(why) == DATE.fact(raw, TODAY)

    def test_today_planned_and_earliest(self) -> None:
        """Today is no future; a planned day may lie ahead; a declared earliest day is the first that counts."""
        assert Known(TODAY) == DATE.fact("2026-07-01", TODAY)
        assert Known(dt.date(2030, 1, 1)) == reading(FieldType.DATE, planned=True).fact("2030-01-01", TODAY)
        founded = reading(FieldType.DATE, earliest=dt.date(2010, 5, 1))
        assert [Unknown("implausible date"), Known(dt.date(2010, 5, 1))] == [
            founded.fact(f"2010-{day}", TODAY) for day in ("04-30", "05-01")
        ]


class TestTimestamps:
    """Instants become the local day first."""

    @pytest.mark.parametrize(
        ("raw", "day"),
        [
            ("2026-06-30T22:30Z", "2026-07-01"),
            ("2026-06-30 21:59:59", "2026-06-30"),
            ("2026-06-30 22:00:00", "2026-07-01"),
            ("2026-01-31 22:30:00", "2026-01-31"),
            ("2026-01-31 23:00:00.000001", "2026-02-01"),
            (dt.datetime(2026, 6, 30, 22, 30), "2026-07-01"),
            (dt.datetime(2026, 6, 30, 18, 30, tzinfo=ZoneInfo("America/New_York")), "2026-07-01"),
            ("2026-07-01T00:30+05:00", "2026-06-30"),
            ("2026-06-30", "2026-06-30"),
        ],
    )
    def test_local_day(self, raw: Raw, day: str) -> None:
        """Half past ten in the evening UTC is the next day in an Amsterdam summer and not in its winter."""
        assert Known(dt.date.fromisoformat(day)) == STAMP.fact(raw, TODAY)

    @pytest.mark.parametrize(
        ("zone", "stored", "day"),
        [
            ("America/Curacao", "UTC", "2026-06-30"),
            ("Europe/Amsterdam", "UTC", "2026-06-30"),
            ("Europe/Amsterdam", "Asia/Tokyo", "2026-06-30"),
            ("Asia/Tokyo", "America/New_York", "2026-06-30"),
            ("Pacific/Kiritimati", "Pacific/Pago_Pago", "2026-07-01"),
        ],
    )
    def test_a_day_without_a_time(self, zone: str, stored: str, day: str) -> None:
        """It is not counted as the midnight that belongs to the day before where clocks are behind those of the system."""
        stamp = Reading(FieldType.TIMESTAMP, Empty.UNKNOWN, ZoneInfo(zone), ZoneInfo(stored))
        assert Known(dt.date.fromisoformat(day)) == stamp.fact("2026-06-30", TODAY)

    def test_naive_needs_a_zone(self) -> None:
        """A time without a zone, declared or its own, is unknown; one with its own needs none."""
        own = reading(FieldType.TIMESTAMP)
        assert Unknown("a timestamp without zone") == own.fact("2026-06-30 22:30:00", TODAY)
        assert Known(TODAY) == own.fact("2026-06-30T22:30:00+00:00", TODAY)

    def test_gap_and_fold_at_midnight(self) -> None:
        """In Cairo the clock skips from midnight to one in spring and falls back from midnight to eleven in autumn."""
        cairo = ZoneInfo("Africa/Cairo")
        stored = reading(FieldType.TIMESTAMP, zone=cairo, stored_zone=cairo)
        instant = reading(FieldType.TIMESTAMP, zone=cairo, stored_zone=UTC)
        assert Known(dt.date(2024, 4, 26)) == stored.fact("2024-04-26 00:30:00", TODAY)
        assert [dt.date(2024, 4, 25), dt.date(2024, 4, 26)] == [_day(instant, f"2024-04-25 {clock}") for clock in ("21:59:59", "22:00:00")]
        autumn = [_day(instant, f"2024-10-31 {clock}") for clock in ("20:59:59", "21:00:00", "21:59:59", "22:00:00")]
        assert [dt.date(2024, 10, 31)] * 3 + [dt.date(2024, 11, 1)] == autumn

    def test_an_hour_that_is_written_twice(self) -> None:
        """When a stored local time can be two instants, the later day is taken: never early."""
        stored = reading(FieldType.TIMESTAMP, zone=ZoneInfo("America/Costa_Rica"), stored_zone=ZoneInfo("America/New_York"))
        assert Known(dt.date(2024, 11, 3)) == stored.fact("2024-11-03 01:30:00", TODAY)

    @pytest.mark.parametrize("zone", ZONES, ids=str)
    @pytest.mark.parametrize("raw", ["1970-01-01T00:00:00Z", "1969-12-31T19:00:00-05:00", "1970-01-01T00:00:00", "9999-12-31T23:59:59Z"])
    def test_placeholders_in_every_zone(self, zone: ZoneInfo, raw: str) -> None:
        """The epoch means that nobody knows, also where it is the evening of 31 December 1969."""
        assert isinstance(reading(FieldType.TIMESTAMP, zone=zone, stored_zone=UTC, planned=True).fact(raw, TODAY), Unknown)

    @pytest.mark.parametrize(
        "raw", ["", "yesterday", "0000-00-00 00:00:00", "2026-13-01 00:00:00", "20260101 000000", "2026-W01-1T00:00", 17e8, TODAY]
    )
    def test_not_a_timestamp(self, raw: Raw) -> None:
        """Whatever is no timestamp written in full is unknown."""
        assert isinstance(STAMP.fact(raw, TODAY), Unknown)


def _day(how: Reading, raw: str) -> object:
    """Return the value of a known fact."""
    fact = how.fact(raw, TODAY)
    return fact.value if isinstance(fact, Known) else fact


class TestOtherTypes:
    """Numbers, booleans, texts."""

    @pytest.mark.parametrize(("raw", "value"), [(1, 1), ("1.0", 1), (1.0, 1), (Decimal("1.00"), 1), (" 2.50 ", Decimal("2.5")), (True, 1)])
    def test_numbers_have_one_form(self, raw: Raw, value: int | Decimal) -> None:
        """Equal numbers give the same fact, to the letter, however they were stored."""
        fact = reading(FieldType.NUMBER).fact(raw, TODAY)
        assert repr(Known(value)) == repr(fact)

    @pytest.mark.parametrize("raw", ["one", "NaN", float("inf"), Decimal("sNaN"), b"1", [1], "1,5"])
    def test_not_a_number(self, raw: Raw) -> None:
        """What is not finite or no number is unknown."""
        assert Unknown("not a number") == reading(FieldType.NUMBER).fact(raw, TODAY)

    def test_booleans(self) -> None:
        """The usual spellings and nothing else."""
        read = reading(FieldType.BOOLEAN)
        assert [Known(True)] * 6 == [read.fact(raw, TODAY) for raw in (True, 1, "1", " Yes ", "T", "true")]
        assert [Known(False)] * 5 == [read.fact(raw, TODAY) for raw in (False, 0, "0", "no", "F")]
        assert [Unknown("not a boolean")] * 4 == [read.fact(raw, TODAY) for raw in (2, "maybe", 1.0, b"\x01")]

    def test_texts(self) -> None:
        """A text is itself; another value is its written form."""
        assert [Known("open"), Known("3")] == [reading(FieldType.TEXT).fact(raw, TODAY) for raw in ("open", 3)]


@settings(RULE, max_examples=examples(150))
@given(garbage | timestamps, st.sampled_from(FieldType), st.sampled_from(ZONES), st.sampled_from((None, *ZONES)), st.booleans())
def test_garbage_never_raises(raw: Raw, kind: FieldType, zone: ZoneInfo, stored: ZoneInfo | None, planned: bool) -> None:
    """Every value of every type is a fact; a known day is plausible, and ahead of today only where that is planned."""
    fact = reading(kind, zone=zone, stored_zone=stored, planned=planned).fact(raw, TODAY)
    assert isinstance(fact, Known | Unknown)
    if isinstance(fact, Known) and kind in (FieldType.DATE, FieldType.TIMESTAMP):
        assert type(fact.value) is dt.date
        assert fact.value not in PLACEHOLDERS
        assert dt.date(1900, 1, 2) <= fact.value
        assert planned or fact.value <= TODAY
