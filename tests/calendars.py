"""Random periods, fiscal years and terms for property tests."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

from hypothesis import strategies as st

from worker.core.periods import Anchor, Bound, Earlier, FiscalYear, Period, Term

REGULAR_YEARS = (FiscalYear(), FiscalYear(6, 30), FiscalYear(2, 28), FiscalYear(4, 5), FiscalYear(9, 30))
_CHANGES = (
    ((dt.date(2019, 10, 1), dt.date(2020, 12, 31)),),
    ((dt.date(2021, 1, 1), dt.date(2021, 6, 30)), (dt.date(2021, 7, 1), dt.date(2022, 9, 30))),
    ((dt.date(2020, 3, 1), dt.date(2021, 2, 28)), (dt.date(2024, 2, 29), dt.date(2024, 2, 29))),
)


def _pairs(found: list[dt.date]) -> tuple[tuple[dt.date, dt.date], ...]:
    """Return days as first and last days, ascending; one that is left over is not used."""
    ordered = iter(sorted(found))
    return tuple(zip(ordered, ordered, strict=False))


odd_years = st.one_of(
    st.sampled_from(_CHANGES), st.lists(st.dates(dt.date(2016, 1, 1), dt.date(2034, 12, 31)), max_size=6, unique=True).map(_pairs)
)
"""Fiscal years of any length that do not overlap: a long first year, a change of the year's end, and worse."""
fiscal_years = st.one_of(
    st.sampled_from(REGULAR_YEARS), st.builds(lambda year, odd: replace(year, odd=odd), st.sampled_from(REGULAR_YEARS), odd_years)
)
periods = st.one_of(
    st.sampled_from([Period.parse(text) for text in ("P0D", "P4W", "P8W", "P1M", "P6M", "P1Y", "P2Y", "P30D", "P1Y6M", "P1M1D")]),
    st.builds(Period, st.integers(0, 7), st.integers(0, 14), st.integers(0, 9), st.integers(0, 40)),
)
_promises = st.lists(
    st.builds(Earlier, periods, st.dates(dt.date(2018, 6, 1), dt.date(2026, 6, 1))), max_size=3, unique_by=lambda each: each.through
).map(lambda found: tuple(sorted(found, key=lambda each: each.through)))
terms = st.builds(
    Term, periods, st.sampled_from(Anchor), fiscal_years, st.sampled_from(Bound), st.one_of(st.just(()), _promises), st.booleans()
)
"""Terms with every anchor and bound, with odd fiscal years and earlier promises among them."""
