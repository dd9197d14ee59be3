"""Leases of planned batches: who may have which, for how long, and whose word counts."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.ledger.conftest import Clock, Rows
from worker.errors import Busy, LeaseLost, RetentionError
from worker.ledger import Intent, Ledger
from worker.ledger.rows import Lease, OrderRow, RunSourceRow, WorkRow, attempt_id

SAID: dict[str, Any] = {"shapes": {}}
DONE: dict[str, Any] = {"acted": 2, "effects": {"delete": 2}, "skipped": {}, "along": {}, "there": 0}


@pytest.fixture
def queue(ledger: Ledger, rows: Rows) -> Ledger:
    """Return a ledger with an open run: three batches of `crm`, two at once, and two of `notes`, which come after."""
    return opened(ledger, rows)


def opened(ledger: Ledger, rows: Rows, *, at_most: int | None = None, spread: bool = False, run_id: str = "run-1") -> Ledger:
    """Open a run in a ledger."""
    ledger.start_run(rows.run(run_id))
    ledger.begin_order(OrderRow(run_id, spread, "starter", at_most, {}))
    sources = [RunSourceRow(run_id, "crm", 0, 2, [], 30), RunSourceRow(run_id, "notes", 1, 1, ["crm"], 20)]
    names = [("crm", 0), ("crm", 1), ("crm", 2), ("notes", 0), ("notes", 1)]
    ledger.enqueue(sources, [WorkRow(run_id, f"p-{name}-{number}", name, number, 10, b"body") for name, number in names])
    ledger.open_order(run_id, SAID)
    return ledger


def leased(ledger: Ledger, source: str = "crm", worker: str = "a") -> Lease | None:
    """Lease the next batch of a source."""
    found = ledger.lease("run-1", source, worker=worker)
    return None if found is None else found[0]


def had(ledger: Ledger, source: str = "crm", worker: str = "a") -> Lease:
    """Lease the next batch of a source, which is there."""
    found = leased(ledger, source, worker)
    assert found is not None
    return found


def test_a_run_that_was_open_when_the_worker_was_upgraded_goes_on(url: str, ledger: Ledger, rows: Rows, clock: Clock) -> None:
    """What its batches hold is brought over, who has one still has it, and what was done is not done again."""
    opened(ledger, rows)
    done, held = had(ledger), had(ledger, worker="b")
    ledger.finish(done, DONE)
    with ledger._write() as connection:
        for statement in (
            "ALTER TABLE work ADD COLUMN body BLOB NOT NULL DEFAULT x''",
            "UPDATE work SET body = (SELECT body FROM parcels WHERE parcels.batch_id = work.batch_id) WHERE state <> 'done'",
            "DROP TABLE parcels",
            "UPDATE alembic_version SET version_num = '0010'",
        ):
            connection.exec_driver_sql(statement)

    with Ledger.open(url, now=clock) as upgraded:
        upgraded.confirm(held)
        found = upgraded.lease("run-1", "crm", worker="c")
        assert found is not None
        assert ("p-crm-2", b"body") == (found[0].batch_id, found[1])
        assert [("crm", DONE)] == upgraded.outcomes_of("run-1")


class TestTaking:
    def test_in_turn_each_once_with_its_body(self, queue: Ledger) -> None:
        """Batches go out in the plan's order, each to one worker, with what has to be known."""
        first = queue.lease("run-1", "crm", worker="a")
        assert first is not None
        assert (Lease("run-1", "p-crm-0", "crm", 0, 1, 1, "a"), b"body") == first
        assert "p-crm-1" == had(queue, worker="b").batch_id

    def test_no_more_at_once_than_the_source_allows(self, queue: Ledger) -> None:
        """The limit holds over all workers, and a place is free again when a batch is finished."""
        first, _ = had(queue, worker="a"), had(queue, worker="b")
        assert leased(queue, worker="c") is None
        queue.finish(first, DONE)
        assert "p-crm-2" == had(queue, worker="c").batch_id

    def test_what_comes_first_is_done_first(self, queue: Ledger) -> None:
        """Nothing of a source goes out while one that comes before it has a batch left, waiting or being carried out."""
        for _ in range(3):
            lease = had(queue)
            assert leased(queue, "notes") is None
            queue.finish(lease, DONE)
        assert "p-notes-0" == had(queue, "notes").batch_id

    def test_a_source_that_was_given_up_holds_nobody_up(self, queue: Ledger) -> None:
        """Its batches are set aside, those under way go on, and then the next source has its turn."""
        lease = had(queue)
        assert queue.give_up("run-1", "crm", "gone")
        assert not queue.give_up("run-1", "crm", "gone again")
        assert leased(queue) is None
        assert leased(queue, "notes") is None
        queue.finish(lease, DONE)
        assert "p-notes-0" == had(queue, "notes").batch_id
        assert ["gone", None] == [each.source.failed for each in queue.work_of("run-1")]

    def test_a_worker_that_dies_over_a_source_that_was_given_up_holds_nobody_up(self, queue: Ledger) -> None:
        """Nobody takes its batch any more, so it is set aside once its lease ran out; a lease that lasts is left alone."""
        dead, lives = had(queue, worker="dead"), had(queue, worker="lives")
        assert queue.give_up("run-1", "crm", "gone")
        queue.expire("run-1", "dead")
        assert 1 == queue.set_aside_lapsed("run-1")
        assert 0 == queue.set_aside_lapsed("run-1")
        with pytest.raises(LeaseLost):
            queue.finish(dead, DONE)
        queue.finish(lives, DONE)
        for _ in range(2):
            queue.finish(had(queue, "notes"), DONE)
        assert queue.close_order("run-1", "a")

    def test_what_ran_out_of_a_source_that_goes_on_is_taken_again(self, queue: Ledger) -> None:
        """Only what nobody takes any more is set aside."""
        lease = had(queue, worker="dead")
        queue.expire("run-1", "dead")
        assert 0 == queue.set_aside_lapsed("run-1")
        assert lease.batch_id == had(queue).batch_id

    def test_nothing_before_the_run_is_open_or_after_it_ended(self, ledger: Ledger, rows: Rows) -> None:
        """A run that is being prepared, and one that has ended, have no batches for anybody."""
        ledger.start_run(rows.run("run-1"))
        ledger.begin_order(OrderRow("run-1", False, "starter", None, {}))
        ledger.enqueue([RunSourceRow("run-1", "crm", 0, 1, [], 10)], [WorkRow("run-1", "p-crm-0", "crm", 0, 10, b"body")])
        assert leased(ledger) is None
        ledger.open_order("run-1", SAID)
        lease = had(ledger)
        ledger.end_run("run-1", "failed", {}, 1)
        assert leased(ledger) is None
        with pytest.raises(LeaseLost):
            ledger.finish(lease, DONE)

    def test_a_limit_is_exact(self, ledger: Ledger, rows: Rows) -> None:
        """With a limit one batch is out at a time in the whole run, and the one that reaches the limit is the last."""
        opened(ledger, rows, at_most=4)
        first = had(ledger)
        assert leased(ledger, worker="b") is None
        ledger.finish(first, DONE)
        ledger.finish(had(ledger), DONE)
        assert leased(ledger) is None
        assert 30 == ledger.left_of("run-1")
        assert ledger.close_order("run-1", "a")


class TestTokens:
    def test_a_lease_that_ran_out_is_given_to_another_with_a_higher_token(self, queue: Ledger, clock: Clock) -> None:
        """The batch comes before those that wait, under another attempt, and the first one's word counts no more."""
        late = had(queue, worker="a")
        clock.forward(seconds=361)
        taken = had(queue, worker="b")
        assert (late.batch_id, 2, 2, "p-crm-0~2") == (taken.batch_id, taken.token, taken.tries, taken.attempt)
        with pytest.raises(LeaseLost):
            queue.finish(late, DONE)
        with pytest.raises(LeaseLost):
            queue.confirm(late)
        queue.give_back(late)
        queue.set_aside(late)
        queue.confirm(taken)
        queue.finish(taken, DONE)

    def test_an_intent_counts_only_with_its_lease(self, queue: Ledger, rows: Rows, clock: Clock) -> None:
        """Whoever lost the batch can't write down an intent of it, so it can't write to the source either."""
        late = had(queue, worker="a")
        queue.add_batches("run-1", [rows.batch(1), rows.batch(2)])
        clock.forward(seconds=361)
        taken = had(queue, worker="b")
        with pytest.raises(LeaseLost):
            queue.intend_with(Intent("run-1-crm-1", {}, "s", 0, 1, "r", lease=late))
        row = queue.batch("run-1-crm-1")
        assert row is not None
        assert "pending" == row.state
        queue.intend_with(Intent("run-1-crm-2", {}, "s", 0, 1, "r", lease=taken, intended={"effects": {"delete": 1}, "along": {}}))

    def test_an_intent_makes_the_lease_last_its_whole_time_again(self, queue: Ledger, rows: Rows, clock: Clock) -> None:
        """From the intent on there is as much time for the commit as the server allows a transaction."""
        lease = had(queue)
        queue.add_batches("run-1", [rows.batch(1)])
        clock.forward(seconds=300)
        queue.intend_with(Intent("run-1-crm-1", {}, "s", 0, 1, "r", lease=lease))
        clock.forward(seconds=300)
        queue.confirm(lease)
        queue.renew(lease)
        clock.forward(seconds=361)
        with pytest.raises(LeaseLost):
            queue.confirm(lease)

    def test_a_batch_that_was_given_back_is_another_attempt(self, queue: Ledger) -> None:
        """Tokens only grow, so no two attempts ever share an id."""
        lease = had(queue)
        queue.give_back(lease)
        assert 2 == had(queue).token
        assert ["b", "b~2", "b~3"] == [attempt_id("b", token) for token in (1, 2, 3)]

    def test_what_was_finished_is_written_down_with_the_next_lease(self, queue: Ledger) -> None:
        """Both or neither: a finished batch whose lease was lost gives no other one."""
        first = had(queue)
        found = queue.lease("run-1", "crm", worker="a", finished=(first, DONE))
        assert found is not None
        assert [("crm", DONE)] == queue.outcomes_of("run-1")
        with pytest.raises(LeaseLost):
            queue.lease("run-1", "crm", worker="a", finished=(first, DONE))
        assert [1, 2] == [queue.work_of("run-1")[0].leased, queue.work_of("run-1")[1].waiting]


class TestLiving:
    def test_a_worker_lives_as_long_as_its_ledger_is_open(self, url: str, ledger: Ledger, clock: Clock) -> None:
        """A name that nobody answers to is dead, and so is one whose ledger was closed; nothing is left of it."""
        with Ledger.open(url, now=clock) as other:
            assert ledger.lives(other.worker)
            assert other.lives(other.worker)
            name = other.worker
        assert not ledger.lives(name)
        assert not ledger.lives("host:1:00ff")
        assert ledger.path is not None
        assert [] == list(ledger.path.parent.glob("*.worker.*"))

    def test_the_leases_of_a_dead_worker_run_out_at_once(self, queue: Ledger) -> None:
        """Nobody waits for the time of a lease to pass when its worker is known to be dead."""
        first, other = had(queue, worker="dead"), had(queue, worker="alive")
        assert 1 == queue.expire("run-1", "dead")
        assert [("alive", True), ("dead", False)] == sorted(queue.leases("run-1"))
        assert first.batch_id == had(queue, worker="b").batch_id
        queue.confirm(other)


class TestEnding:
    def test_one_closes_it_when_nothing_is_left(self, queue: Ledger) -> None:
        """Not while a batch waits or is carried out, and then one process only."""
        for source, count in (("crm", 3), ("notes", 2)):
            for _ in range(count):
                lease = had(queue, source)
                assert not queue.close_order("run-1", "a")
                queue.finish(lease, DONE)
        assert queue.close_order("run-1", "a")
        assert not queue.close_order("run-1", "b")
        assert not queue.close_order("run-1", "b", instead_of="somebody else")
        assert queue.close_order("run-1", "b", instead_of="a")
        queue.reopen_order("run-1", "b")
        assert queue.close_order("run-1", "c")
        queue.end_run("run-1", "done", {}, 0)
        assert not queue.close_order("run-1", "d", instead_of="c")
        assert [0, 0] == [each.left for each in queue.work_of("run-1")]

    def test_a_spread_run_keeps_its_sources_until_it_ends(self, ledger: Ledger, rows: Rows) -> None:
        """Nobody else begins a run of them, though no process has the lock; whoever wants to end it may have the lock."""
        opened(ledger, rows, spread=True)
        assert ("crm", "run-1") == ledger.owning(["other", "crm"])
        with pytest.raises(Busy, match="run-1"), ledger.run_lock(["crm"]):
            pass
        with ledger.run_lock(["other"]), ledger.run_lock(["crm"], anyway=True):
            pass
        ledger.end_run("run-1", "done", {}, 0)
        with ledger.run_lock(["crm"]):
            assert [] == ledger.spread_orders()

    def test_a_run_that_was_ended_meanwhile_is_not_opened(self, ledger: Ledger, rows: Rows) -> None:
        """Its starter took too long, and the next run has ended it."""
        ledger.start_run(rows.run("run-1"))
        ledger.begin_order(OrderRow("run-1", True, "starter", None, {}))
        ledger.end_run("run-1", "resolved_after_crash", {}, 1)
        with pytest.raises(RetentionError, match="can't be opened"):
            ledger.open_order("run-1", SAID)


class TestNights:
    def test_a_night_is_begun_once(self, ledger: Ledger, clock: Clock) -> None:
        """By whoever comes first, for each source and day; one that was released can be begun again, one that has an outcome not."""
        day = clock.instant.date()
        assert ["crm"] == ledger.claim_nights(["crm"], day, "a")
        assert ["notes"] == ledger.claim_nights(["crm", "notes"], day, "b")
        ledger.release_nights(["crm", "notes"], day, "a")
        assert ["crm"] == ledger.claim_nights(["crm", "notes"], day, "c")
        ledger.end_nights(["crm"], day, "begun", "run-1")
        ledger.release_nights(["crm"], day, "c")
        assert [] == ledger.claim_nights(["crm"], day, "d")
        assert [("crm", "run-1", "begun"), ("notes", None, None)] == [
            (each.source, each.run_id, each.outcome) for each in ledger.nights(day)
        ]
