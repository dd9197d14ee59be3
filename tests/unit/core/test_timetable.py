"""Windows of a week in which nothing begins."""

from __future__ import annotations

import datetime as dt

import pytest

from worker.core.timetable import windows, within

MONDAY = dt.datetime(2026, 6, 29)


@pytest.mark.parametrize(
    ("text", "hours"),
    [
        ("Mo-Fr 08:00-18:00", {day * 24 + hour for day in range(5) for hour in range(8, 18)}),
        ("09:00-10:00", {day * 24 + 9 for day in range(7)}),
        ("Sa,Su 00:00-24:00", set(range(120, 168))),
        ("Fr-Mo 12:00-13:00", {12, 4 * 24 + 12, 5 * 24 + 12, 6 * 24 + 12}),
        ("Su 23:00-01:00", {6 * 24 + 23, 0}),
        ("Mo 08:00-09:00; Tu 08:00-09:00;", {8, 32}),
    ],
)
def test_which_hours_of_a_week_lie_in_them(text: str, hours: set[int]) -> None:
    """Days by their two letters, several with commas and hyphens; over midnight belongs to the day on which it begins."""
    found = windows(text)
    assert hours == {hour for hour in range(168) if within(found, MONDAY + dt.timedelta(hours=hour))}


def test_the_end_is_not_part_of_it() -> None:
    """A window ends with its last minute."""
    found = windows("Mo 08:00-18:00")
    assert [True, False] == [within(found, MONDAY + dt.timedelta(hours=18, minutes=minutes)) for minutes in (-1, 0)]


@pytest.mark.parametrize(
    "text", ["Mo", "Mo-Fr", "Xx 08:00-09:00", "Mo 8-9", "Mo 08:00-08:00", "Mo 08:00-24:30", "Mo 25:00-26:00", "Mo-Xx 01:00-02:00"]
)
def test_what_is_not_understood_is_refused(text: str) -> None:
    """In words, and never as a window that is not there."""
    with pytest.raises(ValueError, match=r"window|length|days"):
        windows(text)
