"""Terms whose calendar is not the same every year: fiscal years of other lengths, and periods that were promised before."""

import datetime as dt
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.calendars import fiscal_years, periods, terms
from tests.strategies import RULE, days
from tests.thoroughness import walked
from worker.core.periods import NEVER, Anchor, Bound, Earlier, FiscalYear, Period, Term

LONG = FiscalYear(odd=((dt.date(2019, 10, 1), dt.date(2020, 12, 31)),))
"""A first fiscal year of fifteen months, then calendar years."""
MOVED = FiscalYear(6, 30, odd=((dt.date(2020, 1, 1), dt.date(2020, 12, 31)), (dt.date(2021, 1, 1), dt.date(2021, 6, 30))))
"""Calendar years through 2020, half a year, then fiscal years to the end of June."""
STRETCHED = FiscalYear(odd=((dt.date(2021, 1, 1), dt.date(2022, 6, 30)), (dt.date(2022, 7, 1), dt.date(2023, 12, 31))))
"""Two fiscal years of eighteen months."""


def day(text: str) -> dt.date:
    """Return the day that a text names."""
    return dt.date.fromisoformat(text)


class TestFiscalYears:
    """Fiscal years that were shorter or longer than usual."""

    @pytest.mark.parametrize(
        ("fiscal_year", "on", "end"),
        [
            (LONG, "2019-09-30", "2019-09-30"),
            (LONG, "2019-10-01", "2020-12-31"),
            (LONG, "2020-12-31", "2020-12-31"),
            (LONG, "2021-01-01", "2021-12-31"),
            (FiscalYear(odd=((dt.date(2019, 12, 31), dt.date(2020, 12, 31)),)), "2019-06-01", "2019-12-30"),
            (MOVED, "2019-08-01", "2019-12-31"),
            (MOVED, "2019-06-30", "2019-06-30"),
            (MOVED, "2020-07-01", "2020-12-31"),
            (MOVED, "2021-01-01", "2021-06-30"),
            (MOVED, "2021-07-01", "2022-06-30"),
        ],
    )
    def test_end(self, fiscal_year: FiscalYear, on: str, end: str) -> None:
        """A listed year ends with its last day, any other at its regular end or the day before the next listed one."""
        assert end == str(fiscal_year.end_after(day(on)))

    @pytest.mark.parametrize(
        ("fiscal_year", "start", "keep", "ceiling", "floor"),
        [
            (LONG, "2019-11-01", "P7Y", "2027-12-31", "2027-12-31"),
            (MOVED, "2020-05-01", "P7Y", "2027-12-31", "2027-12-31"),
            (MOVED, "2020-05-01", "P1Y", "2021-12-31", "2021-12-31"),
            (MOVED, "2021-05-01", "P7Y", "2028-06-30", "2028-06-30"),
            (STRETCHED, "2020-05-01", "P1Y", "2021-12-31", "2022-06-30"),
            (STRETCHED, "2020-05-01", "P2Y", "2022-12-31", "2023-12-31"),
            (STRETCHED, "2020-05-01", "P2Y1M", "2023-01-31", "2024-01-31"),
            (STRETCHED, "2020-05-01", "P2Y1D", "2023-01-01", "2024-01-01"),
            (STRETCHED, "2020-05-01", "P18M", "2022-06-30", "2022-06-30"),
            (STRETCHED, "2024-05-01", "P7Y", "2031-12-31", "2031-12-31"),
        ],
    )
    def test_bounds(self, fiscal_year: FiscalYear, start: str, keep: str, ceiling: str, floor: str) -> None:
        """A floor takes the later of fiscal and calendar years, a ceiling calendar years; months and days come after."""
        term = Term(Period.parse(keep), Anchor.END_OF_FISCAL_YEAR, fiscal_year)
        assert (ceiling, floor) == (str(term.due(day(start))), str(replace(term, bound=Bound.FLOOR).due(day(start))))

    @RULE
    @given(fiscal_years, st.dates(dt.date(1700, 1, 1), dt.date(2100, 1, 1)), st.integers(0, 400))
    def test_many_years_are_as_many_steps(self, fiscal_year: FiscalYear, on: dt.date, years: int) -> None:
        """So many years after one is what stepping from each to the next comes to, also over centuries and across odd years."""
        end = walked = fiscal_year.end_after(on)
        for _ in range(years):
            walked = fiscal_year.end_after(walked + dt.timedelta(1))
        assert walked == fiscal_year.years_after(end, years)
        assert NEVER == fiscal_year.years_after(end, 10**9)

    @RULE
    @given(fiscal_years, days)
    def test_one_year_follows_another(self, fiscal_year: FiscalYear, on: dt.date) -> None:
        """Every day lies in one fiscal year: all days up to its end share it, and the day after the end does not."""
        end = fiscal_year.end_after(on)
        between = on + (end - on) / 2
        assert {end} == {fiscal_year.end_after(each) for each in (on, between, end)}
        assert end < fiscal_year.end_after(end + dt.timedelta(days=1)) == fiscal_year.years_after(end, 1)

    @RULE
    @given(terms, st.lists(days, min_size=1, max_size=8))
    def test_a_floor_is_never_earlier(self, term: Term, starts: list[dt.date]) -> None:
        """What must be kept at least so long is never due before what may be kept at most so long."""
        for start in starts:
            ceiling, floor = (replace(term, bound=bound).due(start) for bound in (Bound.CEILING, Bound.FLOOR))
            assert ceiling <= floor
            assert ceiling == floor or term.fiscal_year.odd


class TestPromises:
    """Periods that were another length before."""

    LONGER = Term(Period.parse("P2Y"), was=(Earlier(Period.parse("P1Y"), day("2025-12-31")),))
    SHORTER = Term(Period.parse("P1Y"), was=(Earlier(Period.parse("P2Y"), day("2025-12-31")),))

    @pytest.mark.parametrize(
        ("start", "not_stretched", "stretched"),
        [
            ("2024-06-01", "2025-06-01", "2025-06-01"),
            ("2024-12-31", "2025-12-31", "2025-12-31"),
            ("2025-01-01", "2026-01-01", "2027-01-01"),
            ("2025-12-31", "2026-12-31", "2027-12-31"),
            ("2026-01-01", "2028-01-01", "2028-01-01"),
        ],
    )
    def test_a_longer_period(self, start: str, not_stretched: str, stretched: str) -> None:
        """It holds for new events only; declared to stretch, for those too whose earlier time was not over."""
        assert (not_stretched, stretched) == (str(self.LONGER.due(day(start))), str(replace(self.LONGER, stretch=True).due(day(start))))

    @pytest.mark.parametrize("stretch", [True, False])
    def test_a_shorter_period(self, stretch: bool) -> None:
        """It holds for everybody at once."""
        assert ["2025-03-01", "2027-03-01"] == [
            str(replace(self.SHORTER, stretch=stretch).due(day(start))) for start in ("2024-03-01", "2026-03-01")
        ]

    def test_shorter_and_longer_again(self) -> None:
        """The shortest promise since the event decides: five years, then one for everybody, then ten for new events."""
        was = (Earlier(Period.parse("P5Y"), day("2020-12-31")), Earlier(Period.parse("P1Y"), day("2023-12-31")))
        term = Term(Period.parse("P10Y"), was=was)
        starts = ("2019-06-01", "2020-12-31", "2021-06-01", "2023-12-31", "2024-01-01")
        assert ["2020-06-01", "2021-12-31", "2022-06-01", "2024-12-31", "2034-01-01"] == [str(term.due(day(start))) for start in starts]

    def test_a_later_step_counts_from_the_same_promise(self) -> None:
        """A step a year later is a year later under every promise."""
        assert "2027-06-01" == str(self.LONGER.longer(Period(years=1)).due(day("2025-06-01")))

    @pytest.mark.parametrize(
        ("start", "first", "second"),
        [
            ("2024-12-31", "2025-12-31", "2026-12-31"),
            ("2025-01-01", "2027-01-01", "2028-01-01"),
        ],
    )
    def test_a_later_step_is_one_of_the_promise_that_held(self, start: str, first: str, second: str) -> None:
        """What was over under the earlier promise, and treated, goes a year later, although by then the period is longer and stretched."""
        term = replace(self.LONGER, stretch=True)
        assert (first, second) == (str(term.due(day(start))), str(term.longer(Period(years=1)).due(day(start))))

    @RULE
    @given(terms, periods, st.dates(dt.date(2026, 6, 2), dt.date(2027, 12, 31)), st.lists(days, min_size=1, max_size=8))
    def test_nothing_is_revived(self, old: Term, period: Period, through: dt.date, starts: list[dt.date]) -> None:
        """No new period moves the due day of what was due already; without `stretch`, nor that of anything older."""
        new = replace(old, period=period, was=(*old.was, Earlier(old.period, through)))
        for start in starts:
            before, after = old.due(start), new.due(start)
            if before <= through or (start <= through and not new.stretch):
                assert after <= before
            if start > through:
                assert after == replace(new, was=()).due(start)


_CENTURY = [dt.date(1999, 1, 1) + dt.timedelta(days=offset) for offset in range(walked(36_525))]


class TestOverACentury:
    """The promises that selections rest on, for terms of every kind."""

    @pytest.mark.parametrize(
        "term",
        [
            Term(Period(years=2), Anchor.END_OF_FISCAL_YEAR, STRETCHED, Bound.FLOOR),
            Term(
                Period(years=2),
                was=(Earlier(Period(years=1), day("2024-02-29")), Earlier(Period(months=18), day("2025-12-31"))),
                stretch=True,
            ),
        ],
        ids=["odd fiscal years", "stretched"],
    )
    def test_never_back_and_split_by_the_cutoff(self, term: Term) -> None:
        """Due days of all 36,525 days never go back, and `start <= cutoff` if and only if `due(start) < today`."""
        dues = [term.due(start) for start in _CENTURY]
        assert sorted(dues) == dues
        for today in (
            *_CENTURY[3_700::367],
            *(each for each in dues[7_000:9_800:40]),
            *(each + dt.timedelta(1) for each in dues[7_000:9_800:40]),
        ):
            latest = term.cutoff(today)
            assert latest is not None
            position = (latest - _CENTURY[0]).days
            assert dues[position] < today <= dues[position + 1]

    @RULE
    @given(terms, st.lists(st.dates(dt.date(1990, 1, 1), dt.date(2089, 12, 31)), min_size=2, max_size=20))
    def test_a_later_event_is_never_due_sooner(self, term: Term, starts: list[dt.date]) -> None:
        """For any term: due days are in the order of their events, and lie on or after them."""
        dues = [term.due(start) for start in sorted(starts)]
        assert all(first <= second for first, second in pairwise(dues))
        assert all(start <= due for start, due in zip(sorted(starts), dues, strict=True))

    @RULE
    @given(
        terms,
        st.builds(Period, st.integers(0, 9999), st.integers(0, 99_999), st.integers(0, 999_999), st.integers(0, 9_999_999)),
        st.dates(),
        st.dates(),
    )
    def test_beyond_the_calendar(self, term: Term, huge: Period, start: dt.date, today: dt.date) -> None:
        """Any day and any period have a due day, and what leaves the calendar is never due."""
        longer = term.longer(huge)
        latest = longer.cutoff(today)
        assert (longer.due(start) < today) == (latest is not None and start <= latest)
        assert NEVER == replace(term, period=Period(years=9999), was=()).due(start)
