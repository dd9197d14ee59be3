"""What Brevo calls otherwise, or tells no more, is no empty value: nothing rests on it."""

# ruff: noqa: F811 - tests name the fixtures that they take

from __future__ import annotations

import pytest

from connectors.contract import FaultProxy
from tests.systems.mailing_lab import PSEUDONYM, Open, treated
from tests.systems.test_brevo import FIELDS, opened, source_of, vendor  # noqa: F401 - fixtures
from tests.vendors.brevo import Brevo
from worker.core.select import EVERYTHING
from worker.errors import SourceFailed
from worker.ports import Changes, KeyRange, Left, Row, Update


def test_an_attribute_that_was_renamed(vendor: Brevo, opened: Open) -> None:
    """Brevo leaves out what is empty, so a renamed attribute would look empty: neither a plan nor a batch believes it."""
    vendor.add(1, "zoe@example.example", FIRSTNAME="Zoë")
    vendor.add(2, "jan@example.example")
    source = opened()

    def read() -> list[Row]:
        with source.reader() as reader:
            return [row for page in reader.rows(EVERYTHING, ("first_name",)) for row in page]

    assert [(1, "Zoë"), (2, None)] == read()
    assert vendor.attributes is not None
    vendor.attributes["VOORNAAM"] = vendor.attributes.pop("FIRSTNAME")
    vendor.contacts[1]["attributes"] = {"VOORNAAM": "Zoë"}
    with pytest.raises(SourceFailed, match=r"^people: attributes\.FIRSTNAME went or was renamed"):
        read()
    with pytest.raises(SourceFailed, match="FIRSTNAME"), source.batch("b", KeyRange((1,), (2,)), EVERYTHING, ("first_name",)):
        pytest.fail("a batch was begun")


def test_a_block_that_is_told_no_more(vendor: Brevo, proxy: FaultProxy, opened: Open) -> None:
    """Who may be blocked is not given another address, under which the block would have to be set again."""
    vendor.add(1, "zoe@example.example", blocked=True)
    source = opened()
    with source.batch("b", KeyRange((1,), (1,)), EVERYTHING, ("email",)) as batch:
        batch.write(Changes(updates=[Update(("email",), [(1, PSEUDONYM)])]))
        proxy.renaming('"emailBlacklisted":')
        assert [Left.CHANGED] == [each.why for each in batch.commit()]
    undone = treated(opened(source_of(*(each for each in FIELDS if each.name != "blocked"))), (1, PSEUDONYM))
    assert [(Left.FAILED, "nobody can tell whether it is blocked")] == [(each.why, each.answer) for each in undone]
    assert "zoe@example.example" == vendor.contacts[1]["email"]
