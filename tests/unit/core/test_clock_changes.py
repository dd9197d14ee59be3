"""A century of nights on which the clock changes: a record goes on the right day, worked out from the offsets alone."""

from __future__ import annotations

import datetime as dt
from functools import cache
from zoneinfo import ZoneInfo

import pytest

from tests import oracle
from tests.strategies import plain_policy
from worker.core.compiled import RowDecider
from worker.core.decide import Due, Kept
from worker.core.facts import Empty, FieldType, Known, Reading
from worker.core.model import LegalBasis, Purpose, StartEvent
from worker.core.periods import NO_TIME, Period, Term
from worker.core.sources import Field, Source

UTC = ZoneInfo("UTC")
NIGHTS = ("Africa/Cairo", "America/St_Johns", "America/Havana", "America/Asuncion", "Pacific/Apia")
"""Clocks that change at midnight, a minute after it, an hour before or after it, and by a whole day."""
AROUND = (-86_400, -3_601, -3_600, -61, -60, -1, 0, 1, 59, 60, 3_599, 3_600, 7_200, 86_400)
_ONE_DAY = dt.timedelta(days=1)


@cache
def _changes(zone: ZoneInfo) -> list[tuple[dt.datetime, dt.timedelta, dt.timedelta]]:
    """Return every change of a zone's clock from 1971 to 2070: its instant, naive in UTC, and the offsets before and from then."""

    def offset(moment: dt.datetime) -> dt.timedelta:
        return moment.replace(tzinfo=dt.UTC).astimezone(zone).utcoffset() or dt.timedelta()

    found = []
    step, low = dt.timedelta(days=9), dt.datetime(1971, 1, 1)
    while low < dt.datetime(2070, 12, 1):
        first, last = low, low + step
        before, after = offset(first), offset(last)
        if before != after:
            while last - first > dt.timedelta(seconds=1):
                middle = first + (last - first) // 2 // dt.timedelta(seconds=1) * dt.timedelta(seconds=1)
                first, last = (middle, last) if offset(middle) == before else (first, middle)
            found.append((last, before, after))
        low += step
    return found


@pytest.mark.parametrize("name", NIGHTS)
def test_due_on_the_day_after_its_last(name: str) -> None:
    """A moment belongs to the local day that its offset gives; its record is kept through its last day, and due from the next one on."""
    zone, term = ZoneInfo(name), Term(Period(months=1))
    at = Field("at", "at", Reading(FieldType.TIMESTAMP, Empty.UNKNOWN, zone, UTC, planned=True))
    who = Field("name", "name", Reading(FieldType.TEXT, Empty.UNKNOWN, zone), personal=True)
    kept = Purpose("contact", LegalBasis.CONTRACT, ("name",), StartEvent(("at",)), term)
    policy = plain_policy(kept, source=Source("contacts", "crm", "contacts", ("id",), (at, who)))
    changes = _changes(zone)
    assert len(changes) > 4
    late = RowDecider(policy, dt.date(2080, 1, 1), ("at",), {})
    for change, before, after in changes:
        moments = [change + dt.timedelta(seconds=seconds) for seconds in AROUND]
        local = [(moment + (before if moment < change else after)).date() for moment in moments]
        assert [Known(day) for day in local] == [late.facts((str(moment),))["at"] for moment in moments]
        last = oracle.last_day(local[6], term, NO_TIME)
        on_it, behind_it = (RowDecider(policy, today, ("at",), {}).decide((str(change),)).outcome for today in (last, last + _ONE_DAY))
        assert Kept() == on_it
        assert isinstance(behind_it, Due)
        assert last == behind_it.due


@pytest.mark.parametrize("name", NIGHTS)
def test_never_earlier_than_any_moment_it_may_have_been(name: str) -> None:
    """A wall-clock time that was shown twice, or never, is on no earlier day than any moment at which that clock showed it."""
    stored, zone = ZoneInfo(name), ZoneInfo("Europe/Amsterdam")
    reading = Reading(FieldType.TIMESTAMP, Empty.UNKNOWN, zone, stored, planned=True)
    for change, before, after in _changes(stored):
        for seconds in AROUND:
            moment = change + dt.timedelta(seconds=seconds)
            shown = moment + (before if moment < change else after)
            fact = reading.fact(shown, dt.date(2080, 1, 1))
            assert isinstance(fact, Known)
            assert moment.replace(tzinfo=dt.UTC).astimezone(zone).date() <= fact.value  # type: ignore[operator]
