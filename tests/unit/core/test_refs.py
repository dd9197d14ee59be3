"""References of many records are the references of each."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from worker.core.refs import Referrer

_PART = st.integers() | st.text(max_size=8) | st.binary(max_size=8) | st.booleans()


@given(st.lists(st.lists(_PART, min_size=1, max_size=3).map(tuple), max_size=8))
def test_many_at_once_are_as_one_at_a_time(keys: list[tuple[object, ...]]) -> None:
    """A batch finds the records that its plan named, whatever their keys are made of."""
    referrer = Referrer(b"k" * 32, "contacts")

    assert [referrer.reference(key) for key in keys] == referrer.references(keys)
