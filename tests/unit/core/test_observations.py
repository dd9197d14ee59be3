"""Packed pairs of a token and a day answer as a dictionary would."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import RULE
from worker.core.observations import FirstSeen, packed

_tokens = st.binary(min_size=16, max_size=16)


@RULE
@given(st.dictionaries(_tokens, st.dates(), max_size=20), st.lists(_tokens, max_size=3), st.dates())
def test_finds_what_was_packed(days: dict[bytes, dt.date], others: list[bytes], before: dt.date) -> None:
    """Every token finds its own day, in whatever order they came, and days that do not count yet are as if they were not there."""
    found = FirstSeen(packed(reversed(days.items())), before=before)
    assert len(days) == len(found)
    for token in (*days, *others):
        day = days.get(token)
        assert (day if day is not None and day < before else None) == found.get(token)


def test_what_is_cut_off_is_refused() -> None:
    """Half a pair would shift every day behind it."""
    with pytest.raises(ValueError, match="pairs"):
        FirstSeen(packed([(b"\0" * 16, dt.date(2026, 1, 1))])[:-1])
