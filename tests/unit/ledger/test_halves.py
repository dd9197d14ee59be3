"""What batches began and may not have ended: kept with the intent, replaced when they close, dropped when nothing is left."""

from __future__ import annotations

import pytest

from tests.unit.ledger.conftest import Rows
from worker.errors import RetentionError
from worker.ledger import Intent, Ledger


@pytest.fixture
def begun(ledger: Ledger, rows: Rows) -> Ledger:
    """Return a ledger in which two batches of a run are about to begin something, and one about to begin nothing."""
    ledger.start_run(rows.run())
    ledger.add_batches("run-1", [rows.batch(number) for number in (1, 2, 3)])
    for number, sealed in ((1, "one"), (2, "two"), (3, "")):
        ledger.intend_with(Intent(rows.batch(number).batch_id, {}, "s", 0, 1, "ab" * 32, begun=sealed))
    return ledger


def test_it_is_kept_with_the_intent(begun: Ledger, rows: Rows) -> None:
    """By source, the oldest first, and none for a batch that begins nothing; of another source there is none."""
    source = rows.batch(1).source
    assert [(rows.batch(1).batch_id, "one"), (rows.batch(2).batch_id, "two")] == begun.begun(source)
    assert [] == begun.begun("another")
    assert [] == begun.begun(source, closed=True)


def test_what_is_left_takes_its_place(begun: Ledger, rows: Rows) -> None:
    """A batch that is closed keeps what came half way, or nothing; one that says nothing about it keeps all."""
    first, second = rows.batch(1), rows.batch(2)
    begun.close_batch(first.batch_id, "committed", {"delete": 1}, "ab" * 32, begun="left")
    begun.close_batch(second.batch_id, "rolled_back", {}, "ab" * 32, begun="")
    assert [(first.batch_id, "left")] == begun.begun(first.source) == begun.begun(first.source, closed=True)
    begun.keep_begun(first.batch_id, "")
    assert [] == begun.begun(first.source)


def test_a_batch_that_can_not_be_closed_keeps_all(begun: Ledger, rows: Rows) -> None:
    """What is kept changes in one transaction with the batch's state, or not at all."""
    first = rows.batch(1)
    begun.close_batch(first.batch_id, "committed", {"delete": 1}, "ab" * 32)
    with pytest.raises(RetentionError):
        begun.close_batch(first.batch_id, "resolved_after_crash", {}, "ab" * 32, begun="")
    assert [(first.batch_id, "one")] == begun.begun(first.source, closed=True)


def test_an_intent_that_does_not_count_begins_nothing(begun: Ledger, rows: Rows) -> None:
    """When the batch is not pending any more nothing of a second intent is kept."""
    with pytest.raises(RetentionError):
        begun.intend_with(Intent(rows.batch(1).batch_id, {}, "s", 0, 1, "ab" * 32, begun="other"))
    assert "one" == dict(begun.begun(rows.batch(1).source))[rows.batch(1).batch_id]
