"""The figures of the dashboard: what is overdue now, what happened when, how long everything takes."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import RULE
from tests.trails import DAY, MIDNIGHT, Process, a_week, counts
from worker.audit.history import History, history
from worker.audit.lines import files
from worker.reports.figures import Step, moments, paces, standings
from worker.usecases.reporting import left_overdue

FIRST = MIDNIGHT.date()


@pytest.fixture
def week(tmp_path: Path) -> History:
    """Return what the week of the small firm tells."""
    a_week(tmp_path)
    return history(files(tmp_path))


def test_what_is_overdue_now(week: History) -> None:
    """Of two overdue records one was deleted since and one is held; the source that could not be read stands as it was last seen."""
    contacts, members = standings(week)
    assert ("contacts", 2, 1, 1, dt.date(2026, 6, 20)) == (contacts.source, contacts.overdue, contacts.left, contacts.done, contacts.oldest)
    assert ("members", 0, 0, FIRST + DAY) == (members.source, members.left, members.done, members.as_of)


@RULE
@given(st.integers(0, 50), st.integers(0, 50), st.integers(0, 50), st.integers(0, 120), st.data())
def test_never_less_overdue_than_there_is(waiting: int, acting: int, others: int, done: int, data: st.DataObject) -> None:
    """Whichever planned records were done first, as many as are said to be overdue are; and exactly so when all or none were done."""
    seen = counts(999, delete=acting + others, overdue=waiting + acting, kept=waiting)
    done = min(done, acting + others)
    late_done = data.draw(st.integers(max(0, done - others), min(done, acting)))
    left = waiting + acting - late_done
    assert left <= left_overdue(seen, done) <= waiting + acting
    if done in (0, acting + others):
        assert left == left_overdue(seen, done)


def test_old_plans_know_less() -> None:
    """A plan of before overdue records were told apart: nothing is said to be done that may not be."""
    seen = counts(9, delete=4, overdue=4)
    del seen["overdue_kept"]
    assert 4 == left_overdue(seen, 4)


def test_periods_have_no_gap(week: History) -> None:
    """A night without a run is seen as one: no effects, and no state that somebody saw."""
    step, found = moments(week)
    assert (Step.DAY, [FIRST + number * DAY for number in range(4)]) == (step, [each.first for each in found])
    assert [7, 0, 0, 1] == [sum(each.done.values()) for each in found]
    assert [5, 0, None, 2] == [each.overdue for each in found]
    assert [0, 1, 0, 1] == [each.troubles for each in found]
    assert [1, 0, 0, 0] == [each.left["changed"] for each in found]
    assert [2] == [each.stayed["held"] for each in found[-1:] if each.stayed is not None]


@RULE
@given(st.sampled_from(Step), st.dates(dt.date(1990, 1, 1), dt.date(2100, 1, 1)))
def test_every_day_lies_in_one_period(step: Step, day: dt.date) -> None:
    """Periods follow each other without gap or overlap, over leap days and the ends of years."""
    first = step.of(day)
    assert first <= day < step.next(first)
    assert step.next(first) == step.of(step.next(first))
    assert first == step.of(step.next(first) - DAY)


@pytest.mark.parametrize(("span", "step", "number"), [(45, Step.DAY, 46), (46, Step.WEEK, 7), (400, Step.WEEK, 58), (3650, Step.MONTH, 60)])
def test_long_trails_are_told_in_longer_periods(tmp_path: Path, span: int, step: Step, number: int) -> None:
    """A page of ten years has as many bars as one can tell apart."""
    for day in (0, span):
        with Process(tmp_path, MIDNIGHT + day * DAY) as process:
            process.plan(f"p{day}", FIRST + day * DAY, {"crm": counts(1)}, {})
    found = moments(history(files(tmp_path)))
    assert (step, number) == (found[0], len(found[1]))


def test_the_slowest_source_is_first(week: History) -> None:
    """Reading counts from the newest plan that says it, writing from the last run that worked there."""
    contacts, members = paces(week)
    assert ("contacts", 1.0, 5.0, 1) == (contacts.source, contacts.reading, contacts.writing, contacts.records)
    assert ("members", 0.25, 0.0, 0) == (members.source, members.reading, members.writing, members.records)
