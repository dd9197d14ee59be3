"""Tombstones in the ledger: kept with the intent, counted when the batch took effect, dropped when they ended."""

from __future__ import annotations

import dataclasses
import datetime as dt

import pytest

from tests.unit.ledger.conftest import Rows
from worker.errors import RetentionError
from worker.ledger import Intent, Ledger, Tombstones

DAY = dt.date(2026, 3, 1)
END = dt.date(2027, 3, 1)
BLOB = b"a" * 48


def made(number: int = 0, **changes: object) -> Tombstones:
    """Return the tombstones of one record."""
    usual = Tombstones("crm", ("created_at", "email"), erasure=False, day=DAY, ends_on=END, records=1, blob=bytes([number]) * 48)
    return dataclasses.replace(usual, **changes)  # type: ignore[arg-type]


def done(ledger: Ledger, rows: Rows, number: int, *tombstones: Tombstones, effects: dict[str, int] | None = None) -> str:
    """Carry out a batch that leaves tombstones and return its id."""
    batch = rows.batch(number)
    ledger.add_batches("run-1", [batch])
    ledger.intend_with(Intent(batch.batch_id, {}, "s", 0, 1, "ab" * 32, tombstones=tombstones))
    effects = {"delete": 1} if effects is None else effects
    ledger.close_batch(batch.batch_id, "committed" if effects else "resolved_after_crash", effects, "ab" * 32)
    return batch.batch_id


@pytest.fixture
def buried(ledger: Ledger, rows: Rows) -> Ledger:
    """Return a ledger in which a run began."""
    ledger.start_run(rows.run())
    return ledger


class TestTombstones:
    def test_they_come_back_as_they_were(self, buried: Ledger, rows: Rows) -> None:
        """By source, in the order they were kept, more than a page, with their batch and run; children's and erasures' beside them."""
        ids = [done(buried, rows, number, made(number), made(source="mails"), made(erasure=True, blob=BLOB * 2)) for number in range(25)]
        found = list(buried.tombstones("crm", DAY))
        plain = [each for each in found if not each.erasure]
        assert [made(number, batch_id=ids[number], run_id="run-1") for number in range(25)] == plain
        assert [BLOB * 2] * 25 == [each.blob for each in found if each.erasure]
        assert {"crm": 50, "mails": 25} == buried.watched(DAY)
        assert [] == list(buried.tombstones("crm", DAY, run_id="run-2"))
        assert 50 == len(list(buried.tombstones("crm", DAY, run_id="run-1")))

    def test_only_what_took_effect_counts(self, buried: Ledger, rows: Rows) -> None:
        """Not while a batch is open, nor when a crash undid it."""
        done(buried, rows, 1, made(), effects={})
        buried.add_batches("run-1", [rows.batch(2)])
        buried.intend_with(Intent("run-1-crm-2", {}, "s", 0, 1, "ab" * 32, tombstones=(made(),)))
        assert ([], {}) == (list(buried.tombstones("crm", DAY)), buried.watched(DAY))
        buried.close_batch("run-1-crm-2", "presumed", {"delete": 1}, "ab" * 32)
        assert {"crm": 1} == buried.watched(DAY)

    def test_an_intent_that_is_refused_leaves_none(self, buried: Ledger, rows: Rows) -> None:
        """They are durable together with the intent, or not at all."""
        batch = done(buried, rows, 1)
        with pytest.raises(RetentionError, match="it is committed"):
            buried.intend_with(Intent(batch, {}, "s", 0, 1, "ab" * 32, tombstones=(made(),)))
        assert {} == buried.watched(DAY)

    def test_a_record_that_the_system_left_has_none(self, buried: Ledger, rows: Rows) -> None:
        """What was to be deleted and was not is no record that could come back; the others of its batch still are."""
        gone, stayed = b"g" * 16, b"s" * 16
        blob = gone * 3 + stayed * 3 + stayed + b"f" * 32
        buried.add_batches("run-1", [rows.batch(1)])
        two = (made(blob=blob, records=2), made(source="mails", blob=stayed * 3))
        buried.intend_with(Intent("run-1-crm-1", {}, "s", 0, 1, "ab" * 32, tombstones=two))
        buried.close_batch("run-1-crm-1", "committed", {"delete": 1, "undone": 2}, "ab" * 32, stayed={stayed})
        assert {"crm": 1} == buried.watched(DAY)
        assert [gone * 3] == [each.blob for each in buried.tombstones("crm", DAY)]

    @pytest.mark.parametrize("blob", [b"", b"a" * 16, b"a" * 49])
    def test_a_torn_one_is_refused(self, buried: Ledger, rows: Rows, blob: bytes) -> None:
        """A torn entry would shift every one behind it; nothing is intended then."""
        with pytest.raises(ValueError, match="16-byte"):
            done(buried, rows, 1, made(blob=blob))
        known = buried.batch("run-1-crm-1")
        assert known is not None
        assert "pending" == known.state

    def test_they_end(self, buried: Ledger, rows: Rows) -> None:
        """Through their last day they count; the day after they are dropped, and only they."""
        done(buried, rows, 1, made(records=3), made(source="mails", ends_on=END + dt.timedelta(days=1)))
        assert {"crm": 3, "mails": 1} == buried.watched(END)
        assert {} == buried.drop_tombstones(END)
        after = END + dt.timedelta(days=1)
        assert {"mails": 1} == buried.watched(after)
        assert {"crm": 3} == buried.drop_tombstones(after)
        assert {} == buried.drop_tombstones(after)
        assert {"mails": 1} == buried.watched(DAY)

    def test_what_is_still_there_is_kept_with_them(self, buried: Ledger, rows: Rows) -> None:
        """For one batch, source and kind, not for its neighbours."""
        done(buried, rows, 1, made(), made(erasure=True))
        first, second = buried.tombstones("crm", DAY)
        assert (None, None) == (first.still, second.still)
        buried.keep_still(second, b"s" * 32)
        assert [None, b"s" * 32] == [each.still for each in buried.tombstones("crm", DAY)]
        with pytest.raises(ValueError, match="16 bytes"):
            buried.keep_still(first, b"s" * 15)
