"""Runs and batches: one way through their states, and nothing that claims more than happened."""

from __future__ import annotations

import datetime as dt
from typing import get_args

import pytest

from tests.unit.ledger.conftest import Clock, Rows
from worker.errors import RetentionError
from worker.ledger import BatchEnd, BatchRow, BatchState, HighWater, Intent, Ledger, RunEnd, RunState
from worker.ledger.rows import RECORD

ROOT = "ab" * 32


@pytest.fixture
def running(ledger: Ledger, rows: Rows) -> Ledger:
    ledger.start_run(rows.run())
    ledger.add_batches("run-1", [rows.batch(number) for number in (1, 2, 3)])
    return ledger


def intend(ledger: Ledger, batch_id: str) -> None:
    ledger.intend(batch_id, {"xid": "77"}, "stream", 10, 5000, ROOT)


def state(ledger: Ledger, batch_id: str) -> BatchState:
    batch = ledger.batch(batch_id)
    assert batch is not None
    return batch.state


class TestRuns:
    def test_a_run_comes_back_as_it_was_and_ends_once(self, ledger: Ledger, rows: Rows, clock: Clock) -> None:
        """A run that ended has its counts, its exit code and its end, and can't end again."""
        run = rows.run()
        ledger.start_run(run)
        assert run == ledger.run("run-1")
        assert [run] == ledger.open_runs()

        clock.forward(minutes=5)
        ledger.end_run("run-1", "partial", {"crm": {"acted": 7}}, 5)

        ended = ledger.run("run-1")
        assert ended is not None
        assert ("partial", {"crm": {"acted": 7}}, 5, clock.instant) == (
            ended.state,
            ended.counts,
            ended.exit_code,
            ended.ended_at,
        )
        assert [] == ledger.open_runs()
        with pytest.raises(RetentionError, match="not running"):
            ledger.end_run("run-1", "done", {}, 0)
        assert ledger.run("run-2") is None

    def test_a_run_with_an_open_intent_is_not_done(self, running: Ledger) -> None:
        """What may or may not have been written can't be part of a success."""
        intend(running, "run-1-crm-1")

        with pytest.raises(RetentionError, match="not closed"):
            running.end_run("run-1", "done", {}, 0)
        running.end_run("run-1", "failed", {}, 1)

    def test_history_tells_what_earlier_runs_acted_on(self, ledger: Ledger, rows: Rows, clock: Clock) -> None:
        """Newest first, by source; what was refused or failed is no example to compare with."""
        ends: list[RunEnd] = ["done", "partial", "refused", "failed", "findings", "done", "done"]
        for number, end in enumerate(ends):
            clock.forward(days=1)
            ledger.start_run(rows.run(f"run-{number}", started_at=clock.instant))
            source = "list" if number == 5 else "crm"
            ledger.end_run(f"run-{number}", end, {source: {"acted": number, "kept": 9}}, 0)

        assert [6, 4, 1, 0] == ledger.history("crm", 10)
        assert [6, 4] == ledger.history("crm", 2)
        assert [5] == ledger.history("list", 10)
        assert [] == ledger.history("comments", 10)
        assert ["run-6", "run-5"] == [run.run_id for run in ledger.runs(2)]

    def test_a_refused_run_doesnt_move_the_last_day(self, ledger: Ledger, rows: Rows) -> None:
        """A clock that leapt ahead and was refused must not make every right clock look like one that went back."""
        assert ledger.last_as_of() is None
        ledger.start_run(rows.run("run-1", day=dt.date(2026, 3, 1)))
        ledger.start_run(rows.run("run-2", day=dt.date(2062, 3, 1)))
        ledger.end_run("run-2", "refused", {}, 3)

        assert dt.date(2026, 3, 1) == ledger.last_as_of()

    def test_states_are_a_closed_set(self) -> None:
        """The ends of a run and of a batch are their states without those that are no end."""
        assert set(get_args(RunState)) - {"running"} == set(get_args(RunEnd))
        assert set(get_args(BatchState)) - {"pending", "intended"} == set(get_args(BatchEnd))


class TestBatches:
    def test_a_batch_goes_from_pending_over_intended_to_its_end(self, running: Ledger, clock: Clock) -> None:
        """Everything that was said about a batch is kept."""
        intend(running, "run-1-crm-1")
        assert "intended" == state(running, "run-1-crm-1")
        clock.forward(seconds=1)
        running.close_batch("run-1-crm-1", "committed", {"deleted": 4998, "skipped": 2}, "dd")

        expected = BatchRow(
            batch_id="run-1-crm-1",
            run_id="run-1",
            source="crm",
            policy="crm",
            number=1,
            sealed_range="sealed",
            planned=5000,
            state="committed",
            witness={"xid": "77"},
            stream="stream",
            first=10,
            count=5000,
            root=ROOT,
            intended_at=clock.instant - dt.timedelta(seconds=1),
            effects={"deleted": 4998, "skipped": 2},
            digest="dd",
            closed_at=clock.instant,
        )
        assert expected == running.batch("run-1-crm-1")
        assert running.batch("other") is None

    def test_a_batch_is_intended_once(self, running: Ledger) -> None:
        """The second of two workers with the same batch writes nothing."""
        intend(running, "run-1-crm-1")

        with pytest.raises(RetentionError, match="it is intended"):
            intend(running, "run-1-crm-1")
        with pytest.raises(RetentionError, match="doesn't know"):
            intend(running, "run-1-crm-9")

    @pytest.mark.parametrize("end", get_args(BatchEnd))
    def test_a_batch_is_closed_once(self, running: Ledger, end: BatchEnd) -> None:
        """A redelivered task can't tell a second end, and the first one stays."""
        intend(running, "run-1-crm-1")
        running.close_batch("run-1-crm-1", end, {"deleted": 1}, "dd")

        for again in get_args(BatchEnd):
            with pytest.raises(RetentionError, match=f"it is {end}"):
                running.close_batch("run-1-crm-1", again, {"deleted": 1}, "dd")
        with pytest.raises(RetentionError, match=f"it is {end}"):
            intend(running, "run-1-crm-1")
        assert end == state(running, "run-1-crm-1")

    def test_without_an_intent_nothing_can_have_been_committed(self, running: Ledger) -> None:
        """An effect without intents would be one without an audit event; only giving up is possible."""
        for end in ("committed", "resolved_after_crash", "presumed"):
            with pytest.raises(RetentionError, match="it is pending"):
                running.close_batch("run-1-crm-1", end, {}, "dd")
        running.close_batch("run-1-crm-1", "rolled_back", {}, "dd")

        assert "rolled_back" == state(running, "run-1-crm-1")

    def test_closing_and_the_next_intent_are_one_transaction(self, running: Ledger) -> None:
        """Both or neither: an intent that isn't possible leaves the batch before it open."""
        intend(running, "run-1-crm-1")
        following = Intent("run-1-crm-2", {"xid": "78"}, "stream", 5010, 5000, ROOT, aliases=b"x" * 32)

        running.close_batch("run-1-crm-1", "committed", {}, "dd", then=following)
        assert ("committed", "intended") == (state(running, "run-1-crm-1"), state(running, "run-1-crm-2"))
        assert [b"x" * 32] == list(running.aliases("crm"))

        with pytest.raises(RetentionError, match="run-1-crm-1"):
            running.close_batch("run-1-crm-2", "committed", {}, "dd", then=Intent("run-1-crm-1", {}, "s", 0, 1, ROOT))
        assert "intended" == state(running, "run-1-crm-2")

    def test_unfinished_batches_are_those_without_an_end(self, running: Ledger, rows: Rows) -> None:
        """Reconciling sees what is pending or intended, of one run or of all."""
        running.start_run(rows.run("run-2"))
        running.add_batches("run-2", [rows.batch(1, "run-2")])
        for number in (1, 2):
            intend(running, f"run-1-crm-{number}")
        running.close_batch("run-1-crm-1", "committed", {}, "dd")

        assert [("run-1-crm-2", "intended"), ("run-1-crm-3", "pending")] == [
            (batch.batch_id, batch.state) for batch in running.unfinished("run-1")
        ]
        assert 3 == len(running.unfinished())

    def test_all_batches_of_a_run_are_walked_in_order(self, ledger: Ledger, rows: Rows) -> None:
        """More than one page, by source and number, each once; and the ledger can be written meanwhile."""
        ledger.start_run(rows.run())
        ledger.add_batches("run-1", [rows.batch(number) for number in range(1100, 0, -1)])
        ledger.add_batches("run-1", [rows.batch(1, source="a")])
        ledger.add_batches("run-1", [])
        walked = []
        for batch in ledger.batches("run-1"):
            walked.append((batch.source, batch.number))
            if batch.number == 1:
                ledger.set_meta("seen", batch.source)

        assert [("a", 1), *(("crm", number) for number in range(1, 1101))] == walked

    def test_batches_of_another_run_or_state_are_not_added(self, running: Ledger, rows: Rows) -> None:
        """What is added is pending and belongs to the run, all of it or nothing."""
        with pytest.raises(ValueError, match="pending"):
            running.add_batches("run-1", [rows.batch(9, "run-2")])
        with pytest.raises(RetentionError):
            running.add_batches("run-1", [rows.batch(8), rows.batch(1)])
        assert running.batch("run-1-crm-8") is None


class TestAliases:
    def test_aliases_are_kept_once_for_a_batch(self, running: Ledger) -> None:
        """A repeated task keeps nothing twice; another content under the same batch is refused."""
        running.keep_aliases("run-1-crm-1", "crm", b"a" * 64)
        running.keep_aliases("run-1-crm-1", "crm", b"a" * 64)
        running.keep_aliases("run-1-crm-2", "crm", b"b" * 32)

        assert [b"a" * 64, b"b" * 32] == list(running.aliases("crm"))
        assert [] == list(running.aliases("list"))
        with pytest.raises(RetentionError, match="Other aliases"):
            running.keep_aliases("run-1-crm-1", "crm", b"c" * 64)

    @pytest.mark.parametrize("blob", [b"", b"a" * 16, b"a" * 33])
    def test_aliases_are_pairs_of_tokens(self, running: Ledger, blob: bytes) -> None:
        """A torn pair would shift every one behind it."""
        with pytest.raises(ValueError, match="16-byte"):
            running.keep_aliases("run-1-crm-1", "crm", blob)

    def test_many_blobs_are_walked_in_order(self, ledger: Ledger, rows: Rows) -> None:
        """More than one page, each blob once, in the order they were kept."""
        ledger.start_run(rows.run())
        ledger.add_batches("run-1", [rows.batch(number) for number in range(45)])
        blobs = [bytes([number]) * 32 for number in range(45)]
        for number, blob in enumerate(blobs):
            ledger.intend_with(Intent(f"run-1-crm-{number}", {}, "s", 0, 1, ROOT, aliases=blob))

        assert blobs == list(ledger.aliases("crm"))


DAY = b"\0\0\0\1"


class TestHighWater:
    def test_kept_with_the_intent_by_source_and_field(self, ledger: Ledger, rows: Rows) -> None:
        """One blob per batch and field, of the batch's source or of children that go along; more than a page, in order."""
        ledger.start_run(rows.run())
        ledger.add_batches("run-1", [rows.batch(number) for number in range(45)])
        blobs = [bytes([number]) * 20 for number in range(45)]
        for number, blob in enumerate(blobs):
            marks = (HighWater("crm", "met_on", blob), HighWater("crm", "asked_on", b"a" * 20), HighWater("mails", "met_on", b"m" * 40))
            ledger.intend_with(Intent(f"run-1-crm-{number}", {}, "s", 0, 1, ROOT, high_water=marks))

        assert blobs == list(ledger.high_water("crm", "met_on"))
        assert [b"m" * 40] * 45 == list(ledger.high_water("mails", "met_on"))
        assert [] == list(ledger.high_water("mails", "asked_on"))

    def test_what_stayed_has_not_departed(self, running: Ledger) -> None:
        """A record that was to go and stayed is taken out of what went with the batch, in the transaction that closes it; days stay."""
        gone, stayed = b"g" * 16, b"s" * 16
        marks = (
            HighWater("crm", RECORD, gone + DAY + stayed + DAY),
            HighWater("notes", RECORD, stayed + DAY),
            HighWater("crm", "met_on", stayed + DAY),
        )
        running.intend_with(Intent("run-1-crm-1", {}, "s", 0, 2, ROOT, high_water=marks))
        running.close_batch("run-1-crm-1", "committed", {"delete": 1, "undone": 1}, ROOT, stayed={stayed})
        assert [gone + DAY] == [blob for blob, _ in running.departed("crm")]
        assert [] == list(running.departed("notes"))
        assert [stayed + DAY] == list(running.high_water("crm", "met_on"))

    def test_an_intent_that_is_refused_leaves_nothing(self, running: Ledger) -> None:
        """The marks are durable together with the intent, or not at all."""
        intend(running, "run-1-crm-1")
        with pytest.raises(RetentionError, match="it is intended"):
            running.intend_with(Intent("run-1-crm-1", {}, "s", 0, 1, ROOT, high_water=(HighWater("crm", "met_on", b"a" * 20),)))
        assert [] == list(running.high_water("crm", "met_on"))

    @pytest.mark.parametrize("blob", [b"", b"a" * 16, b"a" * 21])
    def test_a_torn_mark_is_refused(self, running: Ledger, blob: bytes) -> None:
        """A torn entry would shift every one behind it; nothing is intended then."""
        with pytest.raises(ValueError, match="16-byte"):
            running.intend_with(Intent("run-1-crm-1", {}, "s", 0, 1, ROOT, high_water=(HighWater("crm", "met_on", blob),)))
        assert "pending" == state(running, "run-1-crm-1")


def test_observations_are_replaced_as_a_whole(ledger: Ledger) -> None:
    """What was noted of a source before goes with names that are no longer noted; other sources are left alone."""
    ledger.keep_observations("crm", {"relation:a": b"1", "other:b": b"2"})
    ledger.keep_observations("list", {"relation:a": b"3"})
    ledger.keep_observations("crm", {"relation:a": b"4"})
    assert {"relation:a": b"4"} == ledger.observations("crm")
    assert {"relation:a": b"3"} == ledger.observations("list")
    ledger.keep_observations("crm", {})
    assert {} == ledger.observations("crm")
