"""How fast a run goes and what ends it early: every reason to wait or stop, with a clock that the test moves."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.thoroughness import examples
from tests.unit.usecases.conftest import customers
from worker.errors import Refused, Retriable, SourceFailed
from worker.ports import Load
from worker.usecases.applying import RunResult, apply_plan
from worker.usecases.approving import approve, open_plan
from worker.usecases.batching import BatchResult
from worker.usecases.machine import Machine
from worker.usecases.monitoring import status
from worker.usecases.pacing import Go, Pacer, Stop, Wait
from worker.usecases.planning import make_plan
from worker.usecases.running import run
from worker.usecases.sorting import BUSY, FAILED
from worker.usecases.stopping import resume, stop, write_stop_file

Lab = Any
DUE = 8


@pytest.fixture
def busy_lab(lab: Lab) -> Lab:
    """Return a laboratory in which eight customers and nothing else are due, each in a batch of its own."""
    rows = [(number, f"Person {number}", f"p{number}@canary.example", "2020-01-01 10:00:00") for number in range(1, DUE + 1)]
    lab.memory.tables["customers"] = customers(*rows)
    lab.memory.tables["invoices"] = {}
    lab.memory.tables["notes"] = {}
    lab.environ["RETENTION_BATCH_SIZE"] = "1"
    return lab


def pacer(machine: Machine, **given: Any) -> Pacer:
    """Return the pacer of a run that begins now."""
    return Pacer(machine, "run-1", machine.monotonic(), **given)


def approved(machine: Machine) -> Path:
    """Make and approve a plan."""
    plan = make_plan(machine)
    approve(machine, plan.path, "ann")
    return plan.path


def events(lab: Lab, *actions: str) -> list[dict[str, Any]]:
    """Return the events of some actions, in the order of the trail."""
    found = []
    for path in sorted((lab.folder / "state" / "audit").glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            payload = json.loads(line).get("event")
            if isinstance(payload, dict) and str(payload.get("event.action")).removeprefix("retention.") in actions:
                found.append(payload)
    return found


def at_the_third(machine: Machine, path: Path, does: Any) -> RunResult:
    """Carry out a plan, and do something when two batches are behind."""
    done = []

    def progress(_source: str, _count: int) -> None:
        done.append(1)
        if len(done) == 2:
            does()

    return apply_plan(machine, open_plan(machine, path), progress=progress)


class TestStop:
    """A person's stop."""

    def test_finishes_the_batch_and_the_next_run_goes_on(self, busy_lab: Lab) -> None:
        """A stop in the middle: the run is partial and says why, none starts meanwhile, and after `resume` the same plan is finished."""
        with busy_lab.machine() as machine:
            path = approved(machine)
            result = at_the_third(machine, path, lambda: stop(machine, (), "the house is on fire"))
            assert (2, DUE - 2, "partial", 5) == (result.acted, result.left, result.state, result.exit_code)
            assert "the house is on fire" in result.stopped["*"]
            assert [] == machine.ledger.unfinished()
            with pytest.raises(Refused, match=r"on fire.*retention resume"):
                apply_plan(machine, open_plan(machine, path))
            assert 1 == len(machine.ledger.runs(10))
            assert ["*"] == [row.source for row in resume(machine)]
            again = apply_plan(machine, open_plan(machine, path))
        assert (DUE - 2, 0, {}) == (again.acted, again.left, again.stopped)
        assert {} == dict(busy_lab.table("customers"))
        said = [each["event.action"] for each in events(busy_lab, "stop_requested", "run_stopped", "brake_tripped", "stop_lifted")]
        assert ["stop_requested", "run_stopped", "brake_tripped", "stop_lifted"] == [each.removeprefix("retention.") for each in said]
        ended = events(busy_lab, "run_ended")
        assert ["stopped: stop", "done"] == [each["event.reason"] for each in ended]

    def test_of_one_source_lets_the_others_go_on(self, lab: Lab) -> None:
        """Only the named source is left; the run did the rest and is partial."""
        with lab.machine() as machine:
            path = approved(machine)
            stop(machine, ("customers",), "being moved")
            result = apply_plan(machine, open_plan(machine, path))
        assert 5 == len(lab.table("customers"))
        assert 60 not in lab.table("invoices")
        assert (["customers"], 5) == (list(result.stopped), result.exit_code)

    def test_asking_again_stays_a_stop(self, lab: Lab) -> None:
        """Whoever calls it twice in a hurry does not mean the opposite; the newest reason counts."""
        with lab.machine() as machine:
            stop(machine, (), "one")
            stop(machine, (), "two")
            assert ["two"] == [row.why for row in machine.ledger.stops()]

    def test_the_file_needs_no_ledger(self, busy_lab: Lab) -> None:
        """The stop file stops too, whatever it holds, before the ledger is asked anything."""
        with busy_lab.machine() as machine:
            path = approved(machine)
            result = at_the_third(machine, path, lambda: machine.settings.stop_file.write_bytes(b"\xff anything"))
            assert (2, DUE - 2) == (result.acted, result.left)
            with pytest.raises(Refused, match="stopped by the file"):
                apply_plan(machine, open_plan(machine, path))
            resume(machine)
            assert DUE - 2 == apply_plan(machine, open_plan(machine, path)).acted

    def test_the_night_run_is_refused_before_it_reads_anything(self, lab: Lab) -> None:
        """`run` makes no plan while everything is stopped."""
        with lab.machine() as machine:
            write_stop_file(machine.settings)
            night = run(machine)
            assert (None, None, ["stop"]) == (night.plan, night.result, [each.brake for each in night.tripped])
            assert [] == machine.ledger.plans(5)

    def test_is_seen_while_something_else_is_waited_for(self, busy_lab: Lab) -> None:
        """A run that waits for a loaded database notices a stop within seconds."""
        busy_lab.environ["RETENTION_SOURCES__CUSTOMERS__MAX_LAG"] = "10"
        busy_lab.memory.load = Load(lag_seconds=99)
        with busy_lab.machine() as machine:
            path = approved(machine)
            busy_lab.time.during = lambda: stop(machine) if len(busy_lab.time.slept) == 3 else None
            result = apply_plan(machine, open_plan(machine, path))
        assert (0, ["*"], 3) == (result.acted, list(result.stopped), len(busy_lab.time.slept))
        assert max(busy_lab.time.slept) <= 5

    def test_a_forgotten_stop_is_an_alarm(self, lab: Lab) -> None:
        """`status` names the stop and is not well."""
        from worker.core.periods import Period

        with lab.machine() as machine:
            stop(machine, ("invoices",), "audit")
            found = status(machine, Period.parse("P2D"))
        assert (1, 5) == (len(found.stops), found.exit_code)
        assert "audit" in found.stops[0]


class TestBudgets:
    """Time and records."""

    def test_time_ends_the_run_between_two_batches(self, busy_lab: Lab) -> None:
        """After its minutes a run begins nothing more and is partial; the next one goes on."""
        busy_lab.environ["RETENTION_MAX_MINUTES"] = "2"
        with busy_lab.machine() as machine:
            path = approved(machine)

            def late() -> None:
                busy_lab.time.seconds += 120

            result = at_the_third(machine, path, late)
            assert (2, DUE - 2, 5) == (result.acted, result.left, result.exit_code)
            assert "2 minutes" in result.stopped["*"]
            assert DUE - 2 == apply_plan(machine, open_plan(machine, path)).acted
        assert ["stopped: time", "done"] == [each["event.reason"] for each in events(busy_lab, "run_ended")]

    def test_no_minutes_means_nothing_may_be_done(self, busy_lab: Lab) -> None:
        """Zero is zero and never no limit."""
        busy_lab.environ["RETENTION_MAX_MINUTES"] = "0"
        with busy_lab.machine() as machine:
            assert 0 == apply_plan(machine, open_plan(machine, approved(machine))).acted

    def test_planning_counts(self, busy_lab: Lab) -> None:
        """The budget of a night run begins with its plan."""
        busy_lab.environ |= {"RETENTION_MAX_MINUTES": "1", "RETENTION_MAX_SHARE": "1"}
        with busy_lab.machine() as machine:
            approve(machine, make_plan(machine).path, "ann")

            def slow(source: Any) -> Any:
                busy_lab.time.seconds += 40
                return source

            busy_lab.connect = slow
            night = run(machine)
        assert night.result is not None
        assert (0, DUE) == (night.result.acted, night.result.left)

    def test_records_of_a_night_run(self, busy_lab: Lab) -> None:
        """A tranche is a portion and no brake: each night does that much, as meant, and the rest is done by those after it."""
        busy_lab.environ |= {"RETENTION_TRANCHE": "3", "RETENTION_MAX_SHARE": "1"}
        with busy_lab.machine() as machine:
            approve(machine, make_plan(machine).path, "ann")
            nights = [run(machine).result for _ in range(4)]
        assert [3, 3, 2, 0] == [each.acted for each in nights if each is not None]
        assert [5, 2, 0, 0] == [each.left for each in nights if each is not None]
        assert {0} == {each.exit_code for each in nights if each is not None}
        assert ["records", "records"] == [each["retention.limit"] for each in events(busy_lab, "run_stopped")]


class TestLoad:
    """A loaded database is waited for, not for ever, and not in secret."""

    @pytest.mark.parametrize(
        ("setting", "load", "limit"),
        [
            ("MAX_LAG", Load(lag_seconds=11), "lag"),
            ("MAX_LAG", Load(lag_seconds=math.inf), "lag"),
            ("MAX_TRANSACTION", Load(oldest_transaction_seconds=11), "transaction"),
        ],
    )
    def test_is_waited_for_and_said(self, busy_lab: Lab, setting: str, load: Load, limit: str) -> None:
        """While a limit is exceeded no batch begins; when it is over the run does all of it, and the trail says that it waited."""
        busy_lab.environ[f"RETENTION_SOURCES__CUSTOMERS__{setting}"] = "10"
        busy_lab.memory.load = load

        def over() -> None:
            if len(busy_lab.time.slept) == 7:
                busy_lab.memory.load = Load(lag_seconds=10, oldest_transaction_seconds=10)

        busy_lab.time.during = over
        with busy_lab.machine() as machine:
            result = apply_plan(machine, open_plan(machine, approved(machine)))
        assert (DUE, {}, 7) == (result.acted, result.stopped, len(busy_lab.time.slept))
        assert [(limit, "customers")] == [(each["retention.limit"], each["retention.source"]) for each in events(busy_lab, "run_paused")]

    def test_waiting_has_an_end(self, busy_lab: Lab) -> None:
        """After `max_pause` minutes the rest of the source is left, the run is partial, and other sources were not kept from theirs."""
        busy_lab.environ |= {"RETENTION_SOURCES__CUSTOMERS__MAX_LAG": "10", "RETENTION_MAX_PAUSE": "2"}
        busy_lab.memory.load = Load(lag_seconds=99)
        busy_lab.memory.tables["invoices"] = {(60,): {"id": 60, "customer": None, "billed_to": "Orphan", "issued_on": "2014-06-30"}}
        with busy_lab.machine() as machine:
            result = apply_plan(machine, open_plan(machine, approved(machine)))
        assert (1, DUE, 5) == (result.acted, result.left, result.exit_code)
        assert "waited for 2 minutes" in result.stopped["customers"]
        assert 120 <= sum(busy_lab.time.slept) < 130

    def test_a_pause_that_ended_does_not_count_for_the_next(self, busy_lab: Lab) -> None:
        """Every pause has the whole time: a source is left only when it was loaded all along."""
        busy_lab.environ |= {"RETENTION_SOURCES__CUSTOMERS__MAX_LAG": "10", "RETENTION_MAX_PAUSE": "1"}
        with busy_lab.machine() as machine:
            asked = pacer(machine)
            for _ in range(3):
                busy_lab.memory.load = Load(lag_seconds=99)
                assert isinstance(asked.ask("customers"), Wait)
                busy_lab.time.seconds += 50
                assert isinstance(asked.ask("customers"), Wait)
                busy_lab.memory.load = Load()
                assert Go() == asked.ask("customers")

    def test_a_limit_that_nobody_can_see_gives_the_source_up(self, busy_lab: Lab) -> None:
        """Without the right to look the limit would be no brake: the source has failed, and the message says which right."""
        busy_lab.environ["RETENTION_SOURCES__CUSTOMERS__MAX_TRANSACTION"] = "10"
        busy_lab.memory.load = Load(transactions_unseen="grant it pg_monitor", lag_unseen="never mind")
        with busy_lab.machine() as machine:
            result = apply_plan(machine, open_plan(machine, approved(machine)))
        assert (0, 5) == (result.acted, result.exit_code)
        assert "grant it pg_monitor" in result.failed["customers"]
        assert "never mind" not in result.failed["customers"]

    def test_waiting_always_comes_to_an_end(self, busy_lab: Lab) -> None:
        """However the load comes and goes, a turn ends, and in no longer than a pause may be; what ended it is what was so then."""
        busy_lab.environ |= {"RETENTION_SOURCES__CUSTOMERS__MAX_LAG": "10", "RETENTION_MAX_PAUSE": "1", "RETENTION_PACE": "3"}
        with busy_lab.machine() as machine:

            @settings(max_examples=examples(60), deadline=None)
            @given(st.lists(st.booleans(), max_size=30), st.floats(0, 40))
            def whatever(loads: list[bool], took: float) -> None:
                busy_lab.time.slept.clear()
                left = iter(loads)
                busy_lab.time.during = lambda: setattr(busy_lab.memory, "load", Load(lag_seconds=99 if next(left, False) else 0))
                busy_lab.memory.load = Load(lag_seconds=99)
                asked = pacer(machine)
                asked.note("customers", BatchResult(), planned=1, seconds=took)
                stop = asked.turn("customers")
                assert sum(busy_lab.time.slept) <= 3 * 60 + 3 * took + 10
                assert (stop is None) == (busy_lab.memory.load.lag_seconds == 0)

            whatever()

    def test_without_limits_nobody_is_asked(self, busy_lab: Lab) -> None:
        """A source without limits is not asked for its load."""
        with busy_lab.machine() as machine:
            busy_lab.memory.load = Load(math.inf, math.inf)
            assert Go() == pacer(machine).ask("customers")

    @pytest.mark.parametrize(("error", "expected"), [(Retriable("gone for now"), Wait), (SourceFailed("gone"), Stop)])
    def test_a_system_that_does_not_answer(self, busy_lab: Lab, error: Exception, expected: type) -> None:
        """One that may be back soon is waited for like a loaded one; one that failed is given up."""
        busy_lab.environ["RETENTION_SOURCES__CUSTOMERS__MAX_LAG"] = "10"

        def refuse(_: Any) -> Any:
            raise error

        busy_lab.connect = refuse
        with busy_lab.machine() as machine:
            assert isinstance(pacer(machine).ask("customers"), expected)

    def test_a_ledger_that_does_not_answer(self, busy_lab: Lab) -> None:
        """Whether a person stopped the run can't be known then, so nothing begins; and not for ever."""
        with busy_lab.machine() as machine:
            asked = pacer(machine)

            def away(self: Any) -> Any:
                raise Retriable("The ledger can't be reached")

            type_ = type(machine.ledger)
            real, type_.stops = type_.stops, away
            try:
                assert isinstance(asked.ask("customers"), Wait)
                busy_lab.time.seconds += 31 * 60
                answer = asked.ask("customers")
            finally:
                type_.stops = real
        assert isinstance(answer, Stop)
        assert ("unanswered", "customers") == (answer.limit, answer.source)


class TestPace:
    """Rest after each batch."""

    def test_rests_a_multiple_of_the_batches_time(self, busy_lab: Lab) -> None:
        """With a pace of two a batch of three seconds is followed by six of rest, in slices in which a stop is seen."""
        busy_lab.environ["RETENTION_PACE"] = "2"
        with busy_lab.machine() as machine:
            asked = pacer(machine)
            asked.note("customers", BatchResult(), planned=1, seconds=3)
            assert Wait(6.0) == asked.ask("customers")
            assert Go() == asked.ask("invoices")
            assert None is asked.turn("customers")
        assert [5.0, 1.0] == busy_lab.time.slept
        assert [] == events(busy_lab, "run_paused")

    def test_does_not_rest_unless_told(self, busy_lab: Lab) -> None:
        """The default is no rest."""
        with busy_lab.machine() as machine:
            apply_plan(machine, open_plan(machine, approved(machine)))
        assert [] == busy_lab.time.slept


class TestErrors:
    """A source in which much fails is given up."""

    @pytest.mark.parametrize(
        ("tried", "failed", "floor", "given_up"),
        [(100, 21, 25, True), (100, 20, 25, False), (25, 25, 25, False), (26, 26, 25, True), (0, 0, 1, False)],
    )
    def test_the_share_counts_above_the_floor(self, busy_lab: Lab, tried: int, failed: int, floor: int, given_up: bool) -> None:
        """Few tries prove nothing; the limit itself is allowed; other sources do not suffer."""
        busy_lab.environ["RETENTION_ERROR_FLOOR"] = str(floor)
        with busy_lab.machine() as machine:
            asked = pacer(machine)
            asked.note("customers", BatchResult(skipped=Counter({FAILED: failed})), planned=tried, seconds=0)
            assert given_up == isinstance(asked.ask("customers"), Stop)
            assert Go() == asked.ask("invoices")

    @pytest.mark.parametrize(("batches", "given_up"), [([1, 1], False), ([1, 0, 0, 0, 0] * 4, False), ([1, 0, 0, 0] * 4, True)])
    def test_busy_batches_are_counted_as_batches(self, busy_lab: Lab, batches: list[int], given_up: bool) -> None:
        """One locked record puts off its whole batch, so a share of batches counts, and not all their records."""
        with busy_lab.machine() as machine:
            asked = pacer(machine)
            for busy in batches:
                asked.note("customers", BatchResult(skipped=Counter({BUSY: 100 * busy})), planned=100, seconds=0)
            assert given_up == isinstance(asked.ask("customers"), Stop)

    def test_the_source_is_given_up_and_the_others_go_on(self, busy_lab: Lab) -> None:
        """A system that refuses everything is left alone after the first few, which are set aside one by one; other sources are done."""
        busy_lab.environ["RETENTION_ERROR_FLOOR"] = "2"
        busy_lab.memory.tables["invoices"] = {(60,): {"id": 60, "customer": None, "billed_to": "Orphan", "issued_on": "2014-06-30"}}
        busy_lab.memory.refuses = set(range(1, DUE + 1))
        with busy_lab.machine() as machine:
            result = apply_plan(machine, open_plan(machine, approved(machine)))
        assert 3 == result.results["customers"].skipped[FAILED]
        assert (DUE - 3, 1, 5) == (result.left, result.acted, result.exit_code)
        assert "3 of the first 3 records of customers were refused" in result.failed["customers"]


def test_batches_grow(lab: Lab) -> None:
    """The first batch of a source is small and each later one five times as large, so that a mistake shows before it is large."""
    rows = [(number, "N", f"p{number}@canary.example", "2020-01-01 10:00:00") for number in range(1, 1001)]
    lab.memory.tables["customers"] = customers(*rows)
    lab.environ |= {"RETENTION_FIRST_BATCH": "7", "RETENTION_BATCH_SIZE": "500"}
    with lab.machine() as machine:
        sizes = [len(each.records) for each in open_plan(machine, make_plan(machine).path).batches() if each.source == "customers"]
    assert [7, 35, 175, 500, 283] == sizes
