"""The suppression list in the ledger: kept with the intent, counted when the batch took effect, shortened, dropped when it ended."""

from __future__ import annotations

import datetime as dt

import pytest

from tests.unit.ledger.conftest import Rows
from worker.errors import RetentionError
from worker.ledger import Intent, Ledger, Suppressed

DAY, END = dt.date(2026, 3, 1), dt.date(2031, 3, 1)


def entry(number: int, person: int | None = None) -> bytes:
    return bytes([number]) * 16 + bytes([number if person is None else person]) * 16


def made(blob: bytes = entry(1), *, source: str = "list", ends_on: dt.date = END) -> Suppressed:
    return Suppressed(source, DAY, ends_on, len(blob) // 32, blob)


def done(ledger: Ledger, rows: Rows, number: int, *suppressed: Suppressed, effects: dict[str, int] | None = None) -> str:
    """Carry out a batch that suppresses somebody and return its id."""
    batch = rows.batch(number)
    ledger.add_batches("run-1", [batch])
    ledger.intend_with(Intent(batch.batch_id, {}, "s", 0, 1, "ab" * 32, suppressed=suppressed))
    effects = {"delete": 1} if effects is None else effects
    ledger.close_batch(batch.batch_id, "committed" if effects else "resolved_after_crash", effects, "ab" * 32)
    return batch.batch_id


@pytest.fixture
def listing(ledger: Ledger, rows: Rows) -> Ledger:
    """Return a ledger in which a run began."""
    ledger.start_run(rows.run())
    return ledger


class TestSuppressions:
    def test_it_comes_back_as_it_was(self, listing: Ledger, rows: Rows) -> None:
        """By source, in the order it was kept, more than a page, with batch and run; how much there is, since when and until when."""
        ids = [done(listing, rows, number, made(entry(number)), made(source="mails")) for number in range(25)]
        assert [(entry(number), ids[number], "run-1") for number in range(25)] == [
            (each.blob, each.batch_id, each.run_id) for each in listing.suppressed("list", DAY)
        ]
        assert [] == list(listing.suppressed("list", DAY, run_id="run-2"))
        assert {("list", 25, DAY, END), ("mails", 25, DAY, END)} == {
            (each.source, each.records, each.since, each.until) for each in listing.suppressing(DAY).values()
        }

    def test_only_what_took_effect_counts(self, listing: Ledger, rows: Rows) -> None:
        """Not while a batch is open, nor when a crash undid it."""
        done(listing, rows, 1, made(), effects={})
        listing.add_batches("run-1", [rows.batch(2)])
        listing.intend_with(Intent("run-1-crm-2", {}, "s", 0, 1, "ab" * 32, suppressed=(made(),)))
        assert ([], {}) == (list(listing.suppressed("list", DAY)), listing.suppressing(DAY))
        listing.close_batch("run-1-crm-2", "presumed", {"delete": 1}, "ab" * 32)
        assert ["list"] == [*listing.suppressing(DAY)]

    def test_a_record_that_the_system_left_suppresses_nobody(self, listing: Ledger, rows: Rows) -> None:
        """Whoever was to be deleted and was not is there; the others of the batch are away."""
        listing.add_batches("run-1", [rows.batch(1)])
        two = (made(entry(1) + entry(2) + entry(2, 3)), made(entry(2), source="mails"))
        listing.intend_with(Intent("run-1-crm-1", {}, "s", 0, 1, "ab" * 32, suppressed=two))
        listing.close_batch("run-1-crm-1", "committed", {"delete": 1, "undone": 1}, "ab" * 32, stayed={bytes([2]) * 16})
        assert [(entry(1), 1)] == [(each.blob, each.records) for each in listing.suppressed("list", DAY)]
        assert ["list"] == [*listing.suppressing(DAY)]

    def test_people_are_released(self, listing: Ledger, rows: Rows) -> None:
        """By identifier, in every batch of that source and in no other; a record with another identifier stays on the list by that."""
        done(listing, rows, 1, made(entry(1, 8) + entry(1, 9) + entry(2, 8)), made(entry(1, 8), source="mails"))
        done(listing, rows, 2, made(entry(3, 8)))
        listing.release("list", {bytes([8]) * 16, bytes([77]) * 16})
        assert [(entry(1, 9), 1)] == [(each.blob, each.records) for each in listing.suppressed("list", DAY)]
        assert 1 == listing.suppressing(DAY)["mails"].records

    def test_it_ends(self, listing: Ledger, rows: Rows) -> None:
        """The last day counts; afterwards it is dropped and it is said of how many records."""
        done(listing, rows, 1, made(entry(1) + entry(2)), made(source="mails", ends_on=END + dt.timedelta(days=1)))
        assert 2 == listing.suppressing(END)["list"].records
        assert {} == listing.drop_suppressed(END)
        assert {"list": 2} == listing.drop_suppressed(END + dt.timedelta(days=1))
        assert ["mails"] == [*listing.suppressing(DAY)]

    def test_what_is_no_entry_is_refused(self, listing: Ledger, rows: Rows) -> None:
        """Nothing is kept of the batch then, and no records that stayed without whole tokens."""
        listing.add_batches("run-1", [rows.batch(1)])
        with pytest.raises(ValueError, match="two 16-byte tokens"):
            listing.intend_with(Intent("run-1-crm-1", {}, "s", 0, 1, "ab" * 32, suppressed=(made(b"x" * 33),)))
        with pytest.raises(ValueError, match="16 bytes"):
            listing.keep_still_there(made(), b"x")
        assert "pending" == listing.batch("run-1-crm-1").state  # type: ignore[union-attr]
        batch = done(listing, rows, 2)
        with pytest.raises(RetentionError, match="it is committed"):
            listing.intend_with(Intent(batch, {}, "s", 0, 1, "ab" * 32, suppressed=(made(),)))
        assert {} == listing.suppressing(DAY)
