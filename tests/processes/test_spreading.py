"""Runs of many workers, as one process sees them: begun once, gone on with by whoever comes, ended once."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import pytest

from tests.unit.usecases.conftest import Killed, Lab
from worker.audit.events import Action
from worker.audit.read import Payload, read
from worker.errors import Busy, ConfigurationError
from worker.ledger.rows import OrderRow, RunRow
from worker.usecases.approving import approve, approve_policy, approve_shape, open_plan
from worker.usecases.closing import close
from worker.usecases.draining import Drain
from worker.usecases.machine import Machine
from worker.usecases.planning import make_plan
from worker.usecases.reconciling import reconcile
from worker.usecases.running import run
from worker.usecases.spreading import (
    due_nights,
    end_if_done,
    free_batches,
    hand_over,
    in_blackout,
    look_after,
    refuse_elsewhere,
    tick,
    work_on,
)
from worker.usecases.stopping import resume, stop


@pytest.fixture
def small(lab: Lab) -> Lab:
    """Return the laboratory with one record in a batch, all limits open, and everything approved once."""
    lab.environ.update(
        {"RETENTION_BATCH_SIZE": "1", "RETENTION_MAX_SHARE": "1", "RETENTION_SCHEDULE": "30 2 * * *", "RETENTION_BROKER": "redis://x"}
    )
    with lab.machine() as machine:
        for name in ("customers", "invoices"):
            approve_policy(machine, name, "ann")
            approve_shape(machine, name, "ann")
    return lab


def begun(machine: Machine) -> str:
    """Hand an approved plan over and return the run."""
    plan = make_plan(machine)
    approve(machine, plan.path, "ann")
    return hand_over(machine, open_plan(machine, plan.path))


def one_batch(machine: Machine, run_id: str, source: str) -> None:
    """Carry out one batch of a source, as a worker whose time is over then."""
    turns: Iterator[bool] = iter((True, False))
    with Drain(machine, run_id, go_on=lambda _: next(turns)) as drain:
        drain.source(source)


def payloads(machine: Machine) -> list[Payload]:
    """Return what this process has said in the trail."""
    machine.trail.sync()
    return [entry.payload for entry in read(machine.trail.path) if entry.payload is not None]


class TestPace:
    def test_a_stop_leaves_a_run_open_until_it_is_lifted(self, small: Lab) -> None:
        """While a person's stop stands nobody is woken and no batch is taken; afterwards the same run goes on and ends whole."""
        with small.machine() as machine:
            run_id = begun(machine)
            stop(machine, (), "being moved")
            assert {} == dict(free_batches(machine, run_id))
            with Drain(machine, run_id) as drain:
                assert work_on(machine, drain, run_id, "customers") is None
            assert 0 == drain.carried_out
            resume(machine)
        with small.machine() as machine, Drain(machine, run_id) as drain:
            result = None
            while result is None:
                for source in free_batches(machine, run_id):
                    result = result or work_on(machine, drain, run_id, source)
        assert (4, 4, 0, {}) == (result.exit_code, result.acted, result.left, result.stopped)

    def test_a_run_whose_time_is_over_ends_as_partial(self, small: Lab) -> None:
        """Time counts from the run's beginning whoever works on it; what is left waits, and the run says so when it ends."""
        small.environ["RETENTION_MAX_MINUTES"] = "30"
        with small.machine() as machine:
            run_id = begun(machine)
            one_batch(machine, run_id, "customers")
        small.moment += dt.timedelta(minutes=31)
        with small.machine() as machine, Drain(machine, run_id) as drain:
            result = work_on(machine, drain, run_id, "customers")
        assert result is not None
        assert (5, 1, ["*"]) == (result.exit_code, result.acted, list(result.stopped))
        assert result.left > 0


class TestWorking:
    def test_workers_take_turns_and_the_last_one_ends_it(self, small: Lab) -> None:
        """Each batch by another process; children wait for their parents; the result is that of one command."""
        with small.machine() as machine:
            run_id = begun(machine)
            assert {"customers": 1} == dict(free_batches(machine, run_id))
        for _ in range(2):
            with small.machine() as machine:
                one_batch(machine, run_id, "customers")
                assert end_if_done(machine, run_id) is None
        with small.machine() as machine, Drain(machine, run_id) as drain:
            result = None
            while result is None:
                for source in free_batches(machine, run_id):
                    result = result or work_on(machine, drain, run_id, source)
            assert (4, 4) == (result.exit_code, result.acted)
            row = machine.ledger.run(run_id)
            assert row is not None
            assert "findings" == row.state
            assert end_if_done(machine, run_id) is None
        assert {2, 3, 4} == set(small.table("customers"))
        assert len(small.effects()) == len(set(small.effects()))

    @pytest.mark.parametrize("point", ["before_lock", "after_intent", "after_commit", "after_close"])
    def test_a_worker_that_dies_leaves_its_batch_to_the_next(self, small: Lab, point: str) -> None:
        """What it left is resolved before the batch is begun again, and counts once."""
        with small.machine() as machine:
            run_id = begun(machine)
        small.faults.point = point
        with pytest.raises(Killed), small.machine() as machine, Drain(machine, run_id) as drain:
            drain.source("customers")
        small.faults.point = None
        with small.machine() as machine, Drain(machine, run_id) as drain:
            for _ in range(3):
                for source in free_batches(machine, run_id):
                    drain.source(source)
            result = end_if_done(machine, run_id)
        assert result is not None
        assert (4, 4, 0) == (result.exit_code, result.acted, result.unverified)
        assert {2, 3, 4} == set(small.table("customers"))
        assert len(small.effects()) == len(set(small.effects()))

    def test_nobody_else_begins_a_run_of_its_sources(self, small: Lab) -> None:
        """Until it has ended, or somebody has it ended."""
        with small.machine() as machine:
            run_id = begun(machine)
            with pytest.raises(Busy, match=run_id):
                run(machine)
            with machine.ledger.run_lock(["customers", "invoices"], anyway=True):
                reconcile(machine, ("customers", "invoices"), abandon=True)
            row = machine.ledger.run(run_id)
            assert row is not None
            assert "resolved_after_crash" == row.state
            night = run(machine)
        assert night.result is not None
        assert 4 == night.result.acted

    def test_a_ledger_in_a_file_is_for_one_machine(self, small: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
        """A worker elsewhere may not use it, for its locks would protect nothing there; nor may one with another ledger."""
        with small.machine() as machine:
            run_id = begun(machine)
            refuse_elsewhere(machine, run_id)
            with pytest.raises(ConfigurationError, match="doesn't know the run"):
                refuse_elsewhere(machine, "run-of-nobody")
        monkeypatch.setattr("socket.gethostname", lambda: "elsewhere")
        with small.machine() as machine, pytest.raises(ConfigurationError, match="another machine"):
            refuse_elsewhere(machine, run_id)

    def test_a_run_that_nobody_prepares_any_more_is_ended_by_the_next(self, small: Lab) -> None:
        """Its process died before the batches were handed over: it owns nothing, and it does not stay open for ever."""
        with small.machine() as machine:
            day = machine.today()
            row = RunRow("run-half", None, "run", day, machine.now(), "elsewhere", 1, "n")
            machine.ledger.start_run(row)
            machine.ledger.begin_order(OrderRow("run-half", True, "elsewhere:1:dead", None, {}))
            other = RunRow("run-at-it", None, "run", day, machine.now(), "elsewhere", 1, "n")
            machine.ledger.start_run(other)
            machine.ledger.begin_order(OrderRow("run-at-it", True, machine.ledger.worker, None, {}))
            assert run(machine).result is not None
            assert {"run-at-it"} == {each.run_id for each in machine.ledger.open_runs()}

    def test_a_policy_that_changed_since_is_not_carried_out(self, small: Lab) -> None:
        """A worker with another policy file touches nothing, and the run says why."""
        with small.machine() as machine:
            run_id = begun(machine)
        small.policies = small.policies.replace('keep = "P2Y"', 'keep = "P3Y"')
        with small.machine() as machine, Drain(machine, run_id) as drain:
            drain.source("customers")
            drain.source("invoices")
            result = end_if_done(machine, run_id)
        assert result is not None
        assert (5, ["customers"]) == (result.exit_code, list(result.failed))
        assert "another one here than the plan was made from" in result.failed["customers"]
        assert {1, 2, 3, 4, 5} == set(small.table("customers"))


class TestNights:
    def test_a_night_is_begun_once_whoever_is_told(self, small: Lab) -> None:
        """The same tick twice, and another one of that day, come to one run."""
        with small.machine() as machine:
            day = machine.today()
            first = tick(machine, ["customers", "invoices"], day)
            assert first is not None
            assert tick(machine, ["customers"], day) is None
            assert [first] == [each.run_id for each in machine.ledger.runs(9)]

    def test_a_brake_stops_it_and_it_is_not_tried_again(self, small: Lab) -> None:
        """What a brake says needs a person, not another try in a minute."""
        small.environ["RETENTION_MAX_RECORDS"] = "0"
        with small.machine() as machine:
            day = machine.today()
            assert tick(machine, ["customers", "invoices"], day) is None
            assert {"refused: max_records"} == {each.outcome for each in machine.ledger.nights(day)}
            assert [] == due_nights(machine)
            assert {1, 2, 3, 4, 5} == set(small.table("customers"))

    def test_another_run_at_work_puts_it_off(self, small: Lab) -> None:
        """Nothing is kept of it, so the next look begins it."""
        small.moment = dt.datetime(2026, 6, 30, 1, tzinfo=dt.UTC)
        with small.machine() as machine:
            with machine.ledger.run_lock(["customers"], run_id="by hand"), pytest.raises(Busy):
                tick(machine, ["customers", "invoices"], machine.today())
            assert [(("customers", "invoices"), machine.today())] == due_nights(machine)

    def test_one_whose_process_died_is_due_again(self, small: Lab) -> None:
        """It had begun and not ended the preparation, and is dead."""
        small.moment = dt.datetime(2026, 6, 30, 1, tzinfo=dt.UTC)
        with small.machine() as machine:
            machine.ledger.claim_nights(["customers"], machine.today(), "host:1:dead")
            machine.ledger.claim_nights(["invoices"], machine.today(), machine.ledger.worker)
            assert [(("customers",), machine.today())] == due_nights(machine)

    @pytest.mark.parametrize(
        ("moment", "due"),
        [
            ("2026-06-30T00:29", None),
            ("2026-06-30T00:30", dt.date(2026, 6, 30)),
            ("2026-06-30T06:29", dt.date(2026, 6, 30)),
            ("2026-06-30T06:31", None),
            # On 2026-03-29 there is no half past two in Amsterdam, and on 2026-10-25 there are two.
            ("2026-03-29T01:10", dt.date(2026, 3, 29)),
            ("2026-10-25T00:40", dt.date(2026, 10, 25)),
            ("2026-10-25T01:40", dt.date(2026, 10, 25)),
        ],
    )
    def test_when_it_is_due(self, small: Lab, moment: str, due: dt.date | None) -> None:
        """At half past two local time and up to six hours later, on every day once, also when the clocks change."""
        small.moment = dt.datetime.fromisoformat(moment).replace(tzinfo=dt.UTC)
        with small.machine() as machine:
            assert ([] if due is None else [(("customers", "invoices"), due)]) == due_nights(machine)
            if due is not None:
                machine.ledger.claim_nights(["customers", "invoices"], due, machine.ledger.worker)
                small.moment += dt.timedelta(hours=1)
                assert [] == due_nights(machine)

    def test_nothing_in_a_blackout(self, small: Lab) -> None:
        """Neither a run nor a batch is begun; afterwards everything goes on."""
        with small.machine() as machine:
            run_id = begun(machine)
            assert run_id in look_after(machine).batches
        small.environ["RETENTION_BLACKOUT"] = "Mo-Fr 08:00-18:00"
        with small.machine() as machine:
            assert in_blackout(machine)
            todo = look_after(machine)
            assert ([], {}, []) == (list(todo.ticks), dict(todo.batches), list(todo.ended))
            assert tick(machine, ["customers"], machine.today()) is None
        small.moment += dt.timedelta(hours=6)
        with small.machine() as machine:
            assert run_id in look_after(machine).batches


class TestLookingAfter:
    def test_what_a_dead_worker_had_is_free_at_once(self, small: Lab) -> None:
        """Nobody waits for its lease."""
        with small.machine() as machine:
            run_id = begun(machine)
            assert machine.ledger.lease(run_id, "customers", worker="host:1:dead") is not None
            assert {} == dict(free_batches(machine, run_id))
            assert {run_id: {"customers": 1}} == {name: dict(free) for name, free in look_after(machine).batches.items()}

    def test_a_closer_that_died_is_replaced(self, small: Lab) -> None:
        """The run is ended by whoever looks after it."""
        with small.machine() as machine:
            run_id = begun(machine)
            with Drain(machine, run_id) as drain:
                drain.source("customers")
                drain.source("invoices")
            assert machine.ledger.close_order(run_id, "host:1:dead")
            [result] = look_after(machine).ended
            assert (run_id, 4) == (result.run_id, result.exit_code)
            assert [] == list(look_after(machine).ended)

    def test_a_closer_that_was_only_slow_says_nothing_twice(self, small: Lab) -> None:
        """Whoever was taken for dead while it closed a run finds it ended, and the trail has one end of it."""
        with small.machine() as machine:
            run_id = begun(machine)
            with Drain(machine, run_id) as drain:
                drain.source("customers")
                drain.source("invoices")
            assert machine.ledger.close_order(run_id, "host:1:slow")
            assert 1 == len(look_after(machine).ended)
            close(machine, run_id)
            ended = [each for each in payloads(machine) if each["event.action"] == Action.RUN_ENDED and each["retention.run"] == run_id]
        assert 1 == len(ended)

    def test_a_batch_that_kills_its_workers_ends_with_its_source(self, small: Lab) -> None:
        """After three of them the source is given up in this run, and it ends as partial."""
        with small.machine() as machine:
            run_id = begun(machine)
            for number in range(3):
                assert machine.ledger.lease(run_id, "customers", worker=f"host:1:{number}") is not None
                machine.ledger.expire(run_id, f"host:1:{number}")
            with Drain(machine, run_id) as drain:
                drain.source("customers")
                drain.source("invoices")
            result = end_if_done(machine, run_id)
        assert result is not None
        assert (5, ["customers"]) == (result.exit_code, list(result.failed))
