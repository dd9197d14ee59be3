"""The closed set of events, and the form of a closing event."""

import re

import pytest

from worker.audit.events import INTENTS, Action, Closing, closing_fields


def test_every_name_is_static_and_dotted() -> None:
    """Names are what dashboards are built on."""
    assert [name for name in Action if not re.fullmatch(r"retention\.[a-z]+(_[a-z]+)*", name)] == []


def test_intents_are_the_events_that_name_an_effect() -> None:
    """Only these wait for a closing event."""
    assert {action.removeprefix("retention.") for action in INTENTS} == {
        "record_deleted", "record_pseudonymised", "fields_treated", "child_deleted", "child_detached",
    }  # fmt: skip


def test_a_closing_event_says_what_readers_join_on() -> None:
    """Batch, outcome, count and digest are always there; exclusions only when there are any."""
    assert closing_fields("b1", Closing.COMMITTED, digest="ab", count=2, excluded=["r9"]) == {
        "event.outcome": "success",
        "retention.batch": "b1",
        "retention.batch_outcome": "committed",
        "retention.count": 2,
        "retention.digest": "ab",
        "retention.excluded": ["r9"],
    }
    assert "retention.excluded" not in closing_fields("b1", Closing.COMMITTED, digest="ab", count=2)
    resolved = closing_fields("b1", Closing.RESOLVED_AFTER_CRASH, digest="ab", count=0, presumed=True)
    assert (resolved["event.outcome"], resolved["retention.presumed"]) == ("failure", True)


def test_a_batch_that_was_rolled_back_had_no_effects() -> None:
    """A closing event can't claim an effect that did not happen."""
    with pytest.raises(ValueError, match="rolled_back"):
        closing_fields("b1", Closing.ROLLED_BACK, digest="ab", count=1)
