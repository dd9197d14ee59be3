"""Planned batches keep everything on their way through the plan file and the ledger."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.planfile import PlannedBatch, Reason, packed, unpacked

REFERENCES = st.binary(min_size=16, max_size=16).map(bytes.hex)
REASONS = st.builds(
    Reason,
    st.sampled_from(["delete", "treat"]),
    st.dates(dt.date(1990, 1, 1), dt.date(2100, 1, 1)),
    st.text(),
    st.text(),
    st.lists(st.text(), max_size=3).map(tuple),
)


@given(st.data(), st.lists(REASONS, min_size=1, max_size=5), st.lists(REFERENCES, unique=True, max_size=50))
def test_what_is_packed_is_unpacked(data: st.DataObject, reasons: list[Reason], references: list[str]) -> None:
    """References in their order, each with its reason, and the sealed range."""
    positions = st.integers(0, len(reasons) - 1)
    batch = PlannedBatch("b-1", "crm", 7, "sealed", reasons, {each: data.draw(positions) for each in references})
    back = unpacked(packed(batch), "b-1", "crm", 7)
    assert batch == back
    assert list(batch.records) == list(back.records)


def test_a_parcel_is_small() -> None:
    """A record costs sixteen bytes and hardly more, so that a million of them are no burden for the plan file and the ledger."""
    records = {f"{number:032x}": number % 3 for number in range(5000)}
    reasons = [Reason("delete", dt.date(2026, 1, 1), "because", "f" * 32)] * 3
    assert 5000 * 18 > len(packed(PlannedBatch("b", "crm", 1, "sealed", reasons, records)))


def test_a_reference_of_another_length_is_refused() -> None:
    """Nothing is packed that could not be unpacked."""
    with pytest.raises(ValueError, match="16 bytes"):
        packed(PlannedBatch("b", "crm", 1, "sealed", [], {"ab": 0}))
