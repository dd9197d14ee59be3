"""What Laposta calls otherwise is no empty value: nothing rests on it."""

# ruff: noqa: F811 - tests name the fixtures that they take

from __future__ import annotations

import pytest

from connectors.contract import FaultProxy
from connectors.contract.harness import everything
from tests.systems.mailing_lab import Open
from tests.systems.test_laposta import FIELDS, opened, source_of, vendor  # noqa: F401 - fixtures
from tests.vendors.laposta import Laposta
from worker.core.select import EVERYTHING
from worker.errors import SourceFailed
from worker.ports import KeyRange, OpenSource, Row


def read(source: OpenSource) -> list[Row]:
    """Return the first names of all members."""
    with source.reader() as reader:
        return [row for page in reader.rows(EVERYTHING, ("first_name",)) for row in page]


def test_what_may_have_been_renamed_is_asked_only_where_it_matters(vendor: Laposta, proxy: FaultProxy, opened: Open) -> None:
    """A source that declares no field of the list asks for none of them."""
    vendor.add("m1", "zoe@example.example")
    everything(opened(source_of(*(each for each in FIELDS if not each.column.startswith("custom_fields.")))))
    assert [] == [request.path for request, _ in proxy.seen if request.path.startswith("/v2/field")]


def test_a_field_that_was_renamed(vendor: Laposta, opened: Open) -> None:
    """Laposta needn't tell a field that is empty, so a renamed one would look empty: neither a plan nor a batch believes it."""
    vendor.add("m1", "zoe@example.example", voornaam="Zoë")
    source = opened()
    assert [("m1", "Zoë")] == read(source)
    del vendor.fields["voornaam"]
    vendor.make_field("naam")
    vendor.members["m1"]["custom_fields"] = {"naam": "Zoë"}
    with pytest.raises(SourceFailed, match=r"^people: custom_fields\.voornaam went or was renamed"):
        read(source)
    whole = KeyRange(("m1",), ("m1",))
    with pytest.raises(SourceFailed, match="voornaam"), source.batch("b", whole, EVERYTHING, ("first_name",)):
        pytest.fail("a batch was begun")
