"""What a schedule calls for: the moment that counts for a missed run, the next one, and both around changes of the clocks."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import pytest

from worker.core.expecting import GRACE, checked, expected

AMSTERDAM = ZoneInfo("Europe/Amsterdam")


def at(*parts: int) -> dt.datetime:
    """Return an instant in UTC."""
    return dt.datetime(*parts, tzinfo=dt.UTC)  # type: ignore[misc, arg-type]


def test_a_run_has_its_time_before_it_is_missed() -> None:
    """At 03:00 local time a run is called for; only when the grace is over it should have ended."""
    called = at(2026, 6, 30, 1)
    before, after = (expected("0 3 * * *", called + GRACE + each, AMSTERDAM) for each in (dt.timedelta(0), dt.timedelta(minutes=1)))
    assert (at(2026, 6, 29, 1), at(2026, 7, 1, 1)) == (before.due, before.next)
    assert (called, at(2026, 7, 1, 1)) == (after.due, after.next)


def test_clocks_that_change() -> None:
    """A time that a day does not have comes right after the gap; one that a day has twice comes once."""
    assert at(2026, 3, 29, 1) == expected("30 2 * * *", at(2026, 3, 28, 12), AMSTERDAM).next
    first = expected("30 2 * * *", at(2026, 10, 24, 12), AMSTERDAM).next
    assert at(2026, 10, 25, 0, 30) == first
    assert at(2026, 10, 26, 1, 30) == expected("30 2 * * *", at(2026, 10, 25, 0, 30), AMSTERDAM).next


def test_days_of_the_month_and_of_the_week() -> None:
    """As in every cron, a schedule with both a day of the month and a weekday comes on either."""
    assert at(2026, 6, 7, 1) == expected("0 3 15 * SUN", at(2026, 6, 1), AMSTERDAM).next
    assert at(2026, 6, 15, 1) == expected("0 3 15 * SUN", at(2026, 6, 14, 2), AMSTERDAM).next


@pytest.mark.parametrize("wrong", ["", "nightly", "0 3 * *", "0 3 * * * *", "0 25 * * *", "0 3 * * 8", "@daily", "0 0 30 2 *"])
def test_what_is_no_schedule(wrong: str) -> None:
    """Anything but five fields that a day can have is refused; a sixth field would mean seconds to one program and years to another."""
    with pytest.raises(ValueError, match="cron expression of five fields"):
        checked(wrong)


def test_spaces_do_not_matter() -> None:
    """What is shown of a schedule is its fields."""
    assert "0 3 * * MON-FRI" == checked(" 0  3 * * MON-FRI ")
