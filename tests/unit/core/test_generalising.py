"""Values made coarser: still values of their column, recognised, and never finer than declared."""

import datetime as dt
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import RULE, garbage
from worker.core.facts import Raw
from worker.core.generalising import generalised, is_generalised, region
from worker.core.sources import Coarse, Treatment, TreatmentKind


def coarse(kind: Coarse, size: int = 0) -> Treatment:
    """Return a treatment that makes values coarser."""
    return Treatment(TreatmentKind.GENERALISE, coarse=kind, size=size)


MONTH, YEAR, REGION, TENS = coarse(Coarse.MONTH), coarse(Coarse.YEAR), coarse(Coarse.REGION, 2), coarse(Coarse.RANGE, 10)


@pytest.mark.parametrize(
    ("treatment", "raw", "expected"),
    [
        (MONTH, "2024-05-17", "2024-05-01"),
        (YEAR, "2024-05-17", "2024-01-01"),
        (MONTH, "2024-05-01", "2024-05-01"),
        (MONTH, "2024-05-17 22:30:00", "2024-05-01 00:00:00"),
        (MONTH, "2024-05-17T22:30:00.250Z", "2024-05-01T00:00:00.000Z"),
        (YEAR, "2024-05-17 22:30:00+00", "2024-01-01 00:00:00+00"),
        (YEAR, "2024-05-17 22:30:00-11:30", "2024-01-01 00:00:00-11:30"),
        (MONTH, dt.date(2024, 2, 29), dt.date(2024, 2, 1)),
        (YEAR, dt.datetime(2024, 2, 29, 23, 59, 59, 9), dt.datetime(2024, 1, 1)),
        (MONTH, "", ""),
        (MONTH, None, None),
        (MONTH, "0000-00-00", None),
        (MONTH, "2024-02-30", None),
        (MONTH, "17 May 2024", None),
        (MONTH, "infinity", None),
        (MONTH, 20240517, None),
        (REGION, "1234 AB", "12"),
        (REGION, "1234ab", "12"),
        (REGION, "NL-1234 AB", "12"),
        (REGION, "D-10115", "10"),
        (REGION, "SW1A 1AA", "SW"),
        (REGION, 10115, "10"),
        (REGION, "1", "1"),
        (REGION, "--", None),
        (coarse(Coarse.REGION, 4), "1234 AB", "1234"),
        (TENS, 31, 30),
        (TENS, 30, 30),
        (TENS, -1, -10),
        (TENS, Decimal("39.99"), 30),
        (TENS, " 31 ", 30),
        (TENS, 31.5, 30),
        (TENS, "thirty", None),
        (TENS, float("nan"), None),
        (TENS, Decimal("1E+999999"), None),
    ],
)
def test_known(treatment: Treatment, raw: Raw, expected: Raw) -> None:
    """Days stay days, moments moments of the same writing, numbers numbers; what can't be read goes whole, and empty stays empty."""
    assert expected == generalised(treatment, raw)
    assert type(expected) is type(generalised(treatment, raw))


@RULE
@given(st.sampled_from((MONTH, YEAR, REGION, TENS, coarse(Coarse.RANGE, 7))), st.one_of(garbage, st.dates().map(str), st.text(max_size=9)))
def test_total_and_idempotent(treatment: Treatment, raw: Raw) -> None:
    """Never raises, whatever a driver answers; what comes out is recognised, and recognised values are their own coarse values."""
    once = generalised(treatment, raw)
    assert is_generalised(treatment, once)
    if is_generalised(treatment, raw) and once != "" and raw is not None:
        assert Decimal(str(raw)) == Decimal(str(once)) if treatment.coarse is Coarse.RANGE else str(raw) == str(once)


@RULE
@given(st.dates(), st.dates())
def test_neighbours_are_alike(one: dt.date, other: dt.date) -> None:
    """Two days have one coarse value exactly when they lie in one month or year: nothing finer is left."""
    assert (one.strftime("%Y%m") == other.strftime("%Y%m")) == (generalised(MONTH, one) == generalised(MONTH, other))
    assert (one.year == other.year) == (generalised(YEAR, str(one)) == generalised(YEAR, str(other)))


@RULE
@given(st.integers(), st.integers(2, 1000))
def test_ranges_hold_their_numbers(number: int, size: int) -> None:
    """A number lies in the range that it became the start of."""
    start = generalised(coarse(Coarse.RANGE, size), number)
    assert isinstance(start, int)
    assert 0 <= number - start < size
    assert 0 == start % size


@RULE
@given(st.text(max_size=12), st.integers(1, 4))
def test_a_region_is_short(text: str, size: int) -> None:
    """No more is left of a postcode than was declared, and only letters and digits."""
    found = region(text, size)
    assert found is None or (1 <= len(found) <= size and found.isascii() and found.isalnum())
