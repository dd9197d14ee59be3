"""Periods, anchors, due days and their inverse."""

import bisect
import datetime as dt
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import oracle
from tests.calendars import REGULAR_YEARS, periods, terms
from tests.strategies import RULE, days, todays
from tests.thoroughness import examples, walked
from worker.core.periods import NEVER, NO_TIME, Anchor, FiscalYear, Period, Term, cutoff


def due(start: str, keep: str, anchor: Anchor = Anchor.DAY, fiscal_year: str = "12-31") -> str:
    """Return the due day for a start day, all of them as texts."""
    return str(Term(Period.parse(keep), anchor, FiscalYear.parse(fiscal_year)).due(dt.date.fromisoformat(start)))


class TestParsing:
    """Strict: a period that could be read two ways is no period."""

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("P8W", Period(weeks=8)),
            ("P2Y", Period(years=2)),
            ("P1Y6M", Period(1, 6)),
            ("P0D", NO_TIME),
            ("P1Y2M3W4D", Period(1, 2, 3, 4)),
        ],
    )
    def test_whole_periods(self, text: str, expected: Period) -> None:
        """Whole years, months, weeks and days, each at most once and in this order."""
        assert expected == Period.parse(text)
        assert text == str(expected)

    @pytest.mark.parametrize(
        "text",
        [
            "", "P", "2Y", "p2y", "P0.5Y", "P0,5Y", "P1Y1Y", "P1D1Y", "P-1Y", "-P1Y", "+P1Y", "PT1H", "P1YT1H", "P1Y ", " P1Y", "P1Y\n",
            "P٢Y", "PY", "P1", "P12345Y", "P1S",
        ],
    )  # fmt: skip
    def test_everything_else_is_refused(self, text: str) -> None:
        """Fractions, signs, times, repetitions, wrong order, blanks, foreign digits and absurd lengths."""
        with pytest.raises(ValueError, match="not a whole calendar period"):
            Period.parse(text)

    @RULE
    @given(periods)
    def test_round_trip(self, period: Period) -> None:
        """What is written is read back."""
        assert period == Period.parse(str(period))

    @pytest.mark.parametrize("text", ["02-29", "13-01", "00-10", "04-31", "2-28", "1231", "12-31\n", "١٢-٣١"])
    def test_fiscal_year_refused(self, text: str) -> None:
        """A fiscal year ends on a day that every year has."""
        with pytest.raises(ValueError):  # noqa: PT011 - some texts are refused by the calendar itself
            FiscalYear.parse(text)


class TestCalendar:
    """Worked days."""

    @pytest.mark.parametrize(
        ("start", "keep", "expected"),
        [
            ("2024-02-29", "P1Y", "2025-02-28"),
            ("2024-02-29", "P4Y", "2028-02-29"),
            ("2023-02-28", "P1Y", "2024-02-28"),
            ("2024-01-31", "P1M", "2024-02-29"),
            ("2023-01-31", "P1M", "2023-02-28"),
            ("2023-08-31", "P6M", "2024-02-29"),
            ("2023-12-31", "P2M", "2024-02-29"),
            ("2024-03-30", "P11M", "2025-02-28"),
            ("2026-05-01", "P8W", "2026-06-26"),
            ("2026-05-01", "P0D", "2026-05-01"),
            ("2024-01-31", "P1M1D", "2024-03-01"),
            ("2023-12-30", "P1Y2M", "2025-02-28"),
        ],
    )
    def test_from_the_day(self, start: str, keep: str, expected: str) -> None:
        """Months and years are calendar ones, clamped to the last day of a month that is too short, before weeks and days."""
        assert expected == due(start, keep)

    @pytest.mark.parametrize(
        ("start", "keep", "anchor", "fiscal_year", "expected"),
        [
            ("2018-06-30", "P7Y", Anchor.END_OF_FISCAL_YEAR, "12-31", "2025-12-31"),
            ("2018-12-31", "P7Y", Anchor.END_OF_FISCAL_YEAR, "12-31", "2025-12-31"),
            ("2019-01-01", "P7Y", Anchor.END_OF_FISCAL_YEAR, "12-31", "2026-12-31"),
            ("2021-02-28", "P7Y", Anchor.END_OF_FISCAL_YEAR, "02-28", "2028-02-29"),
            ("2020-02-29", "P7Y", Anchor.END_OF_FISCAL_YEAR, "02-28", "2027-02-28"),
            ("2020-03-01", "P7Y", Anchor.END_OF_FISCAL_YEAR, "02-28", "2028-02-29"),
            ("2020-07-01", "P1Y", Anchor.END_OF_FISCAL_YEAR, "06-30", "2022-06-30"),
            ("2020-04-06", "P1Y", Anchor.END_OF_FISCAL_YEAR, "04-05", "2022-04-05"),
            ("2020-04-05", "P1M", Anchor.END_OF_FISCAL_YEAR, "04-05", "2020-05-05"),
            ("2020-06-01", "P5M", Anchor.END_OF_FISCAL_YEAR, "09-30", "2021-02-28"),
            ("2020-06-01", "P6M", Anchor.END_OF_FISCAL_YEAR, "09-30", "2021-03-31"),
            ("2021-03-15", "P5Y", Anchor.END_OF_CALENDAR_YEAR, "06-30", "2026-12-31"),
            ("2023-02-10", "P1Y", Anchor.END_OF_MONTH, "12-31", "2024-02-29"),
            ("2024-02-10", "P1M", Anchor.END_OF_MONTH, "12-31", "2024-03-31"),
            ("2024-02-10", "P0D", Anchor.END_OF_MONTH, "12-31", "2024-02-29"),
            ("2024-02-10", "P1M1D", Anchor.END_OF_MONTH, "12-31", "2024-03-30"),
        ],
    )
    def test_from_an_anchor(self, start: str, keep: str, anchor: Anchor, fiscal_year: str, expected: str) -> None:
        """Whole months from a month's end end on a month's end; a fiscal year that ends on 28 February ends with February."""
        assert expected == due(start, keep, anchor, fiscal_year)

    def test_beyond_the_calendar(self) -> None:
        """What leaves the calendar is kept, not an error; and no day makes it due."""
        assert {NEVER} == {
            Period.parse("P9999Y").after(dt.date(2020, 1, 1)),
            Period.parse("P9999999D").after(dt.date(2020, 1, 1)),
            Period.parse("P99999M").after(dt.date(2020, 1, 1)),
            Period.parse("P1D").after(NEVER),
            Term(NO_TIME, Anchor.END_OF_FISCAL_YEAR, FiscalYear(6, 30)).due(dt.date(9999, 7, 1)),
        }
        assert Term(Period.parse("P9999Y")).cutoff(NEVER) is None

    def test_never_a_weekend(self) -> None:
        """A due day on a Saturday stays a Saturday."""
        assert (5, "2026-08-01") == (dt.date(2026, 8, 1).weekday(), due("2024-08-01", "P2Y"))

    @settings(RULE, max_examples=examples(80))
    @given(days, terms, periods)
    def test_agrees_with_walking(self, start: dt.date, term: Term, extra: Period) -> None:
        """Counting gives the day that walking through the calendar gives."""
        assert oracle.last_day(start, term, extra) == term.longer(extra).due(start)

    @RULE
    @given(days, st.sampled_from(REGULAR_YEARS))
    def test_fiscal_year_holds_its_day(self, day: dt.date, fiscal_year: FiscalYear) -> None:
        """The fiscal year's end lies on or less than a year after the day, and is an end itself."""
        end = fiscal_year.end_after(day)
        assert day <= end < day + dt.timedelta(days=366)
        assert end == fiscal_year.end(end.year) == fiscal_year.end_after(end)


_FIRST = dt.date(1999, 1, 1).toordinal()
_CENTURY = [dt.date.fromordinal(_FIRST + offset) for offset in range(walked(36_525))]


class TestCutoff:
    """The inverse: `start <= cutoff` if and only if `due(start) < today`."""

    @pytest.mark.parametrize(
        ("keep", "anchor", "fiscal_year"),
        [
            ("P2Y", Anchor.DAY, "12-31"),
            ("P1Y1M1D", Anchor.DAY, "12-31"),
            ("P7Y", Anchor.END_OF_FISCAL_YEAR, "02-28"),
            ("P7Y", Anchor.END_OF_FISCAL_YEAR, "04-05"),
            ("P1M", Anchor.END_OF_MONTH, "12-31"),
        ],
    )
    def test_over_a_century(self, keep: str, anchor: Anchor, fiscal_year: str) -> None:
        """Due days of all 36,525 days of a century never go back, and the cutoff splits them where today does."""
        term = Term(Period.parse(keep), anchor, FiscalYear.parse(fiscal_year))
        dues = [term.due(start) for start in _CENTURY]
        assert sorted(dues) == dues
        for today in (*_CENTURY[3_700::61], *(day for day in _CENTURY[3_700:5_300] if day.day > 26 or day.day < 3)):
            passed = bisect.bisect_left(dues, today)
            assert _CENTURY[passed - 1] == term.cutoff(today)

    @settings(RULE, max_examples=examples(80))
    @given(terms, todays, days)
    def test_for_any_term(self, term: Term, today: dt.date, start: dt.date) -> None:
        """The rule itself, for random terms and days, and for the days next to the cutoff."""
        latest = term.cutoff(today)
        assert latest is not None
        for each in (start, latest, latest + dt.timedelta(days=1)):
            assert (each <= latest) == (term.due(each) < today)

    def test_no_subtraction(self) -> None:
        """A year before 29 February 2024 is 28 February 2023; "before that day" would miss that day itself, which is due."""
        assert dt.date(2023, 2, 28) == Term(Period.parse("P1Y")).cutoff(dt.date(2024, 2, 29))
        assert dt.date(2023, 2, 27) == Term(Period.parse("P1Y")).cutoff(dt.date(2024, 2, 28))
        assert dt.date(2024, 2, 29) == Term(Period.parse("P2Y")).cutoff(dt.date(2026, 3, 1))

    def test_at_the_edges_of_the_calendar(self) -> None:
        """There may be no day that is old enough."""
        assert cutoff(lambda start: start, dt.date.min) is None
        assert dt.date.min == cutoff(lambda start: start, dt.date(1, 1, 2))


def _calendars() -> list[tuple[str, ...]]:
    """Return the rows of the calendar that the documentation shows."""
    text = (Path(__file__).parents[3] / "docs" / "deciding.md").read_text(encoding="utf-8")
    rows = (tuple(cell.strip() for cell in line.strip("|").split("|")) for line in text.splitlines())
    return [row for row in rows if len(row) == 5 and row[1].startswith("P")]


@pytest.mark.parametrize(("event", "keep", "counted_from", "due_day", "may_go"), _calendars())
def test_documented_calendars(event: str, keep: str, counted_from: str, due_day: str, may_go: str) -> None:
    """Every day that the documentation promises is the day that is computed."""
    words, _, last = counted_from.partition(" year ")
    anchor = Anchor("end_of_fiscal_year" if last else counted_from.replace(" ", "_"))
    assert words
    assert due_day == due(event, keep, anchor, last or "12-31")
    assert dt.date.fromisoformat(may_go) == dt.date.fromisoformat(due_day) + dt.timedelta(days=1)


def test_the_documentation_has_calendars() -> None:
    """The rows above are found and not passed over."""
    assert 14 == len(_calendars())
