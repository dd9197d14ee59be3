"""What a fault comes to, by its kind: tried again, set aside, given up, or left for a person; and never more than that."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.usecases.conftest import Lab, customers
from tests.unit.usecases.test_pacing import approved, events
from worker.errors import AuditUnavailable, Changed, ConfigurationError, RetentionError, Retriable, Skippable, SourceFailed
from worker.ports import AFTER_WRITE
from worker.usecases.accepting import accept
from worker.usecases.applying import apply_plan
from worker.usecases.approving import approve, open_plan
from worker.usecases.planning import make_plan
from worker.usecases.running import run


class Faulty:
    """A source of which a test decides what opening a batch, or planning, comes to: `fails` returns an error, or None to go on."""

    def __init__(self, source: Any, fails: Callable[[str], Exception | None], on: str = "batch") -> None:
        self._source = source
        self._fails = fails
        self._on = on

    def __getattr__(self, name: str) -> Any:
        if name == self._on and (error := self._fails(self._source.spec.name)) is not None:
            raise error
        return getattr(self._source, name)


def failing(lab: Lab, *errors: Exception, source: str = "customers", on: str = "batch") -> list[Exception]:
    """Have the next calls of a source fail with these errors, one each; return the list of those still to come."""
    left = list(errors)
    lab.connect = lambda opened: Faulty(opened, lambda name: left.pop(0) if name == source and left else None, on)
    return left


class TestRetriable:
    """What may succeed later is tried again after a while, when nothing is held."""

    def test_is_tried_again_after_waits_that_grow(self, lab: Lab) -> None:
        """Three times, each wait about twice the one before with some chance in it; every attempt has an end of its own."""
        failing(lab, *(Retriable("busy") for _ in range(3)))
        with lab.machine() as machine:
            result = apply_plan(machine, open_plan(machine, approved(machine)))
            assert (3, {}) == (len(lab.time.slept), result.failed)
            states = [row.state for row in machine.ledger.batches(result.run_id) if row.source == "customers"]
        assert ["committed", "rolled_back", "rolled_back", "rolled_back"] == sorted(states)
        assert {2, 3, 4} == set(lab.table("customers"))
        for wait, least in zip(lab.time.slept, (1, 2, 4), strict=True):
            assert least <= wait <= least + 1

    def test_nothing_is_held_while_it_waits(self, lab: Lab) -> None:
        """A hold can be placed between two attempts: the barrier is free; and it is honoured by the next one."""
        failing(lab, Retriable("busy"))
        free: list[bool] = []
        with lab.machine() as machine:

            def place() -> None:
                with machine.ledger.standing_exclusive():
                    free.append(True)

            lab.time.during = place
            apply_plan(machine, open_plan(machine, approved(machine)))
        assert [True] == free

    def test_the_system_says_how_long(self, lab: Lab) -> None:
        """Who is asked to come back later does not come back earlier."""
        failing(lab, Retriable("slow down", retry_after=33))
        with lab.machine() as machine:
            result = apply_plan(machine, open_plan(machine, approved(machine)))
        assert [33.0] == lab.time.slept
        assert {} == result.failed

    def test_who_asks_for_too_long_is_left_to_a_later_run(self, lab: Lab) -> None:
        """An hour is not waited for: the batch is deferred at once, which is said, and the next call does it."""
        lab.memory.tables["invoices"] = {}
        failing(lab, Retriable("come back in an hour", retry_after=3600))
        with lab.machine() as machine:
            path = approved(machine)
            result = apply_plan(machine, open_plan(machine, path))
            assert ([], 5, {}) == (lab.time.slept, result.exit_code, result.failed)
            deferred = events(lab, "batch_deferred")
            assert [("customers", "come back in an hour")] == [(each["retention.source"], each["event.reason"]) for each in deferred]
            assert result.results["customers"].skipped["busy"] == deferred[0]["retention.count"] == 3
            assert 5 == len(lab.table("customers"))
            again = apply_plan(machine, open_plan(machine, path))
        assert {2, 4} == set(lab.table("customers"))
        assert 0 == again.results["customers"].skipped["busy"]

    def test_tries_come_to_an_end(self, lab: Lab) -> None:
        """As often as the settings say, and no more."""
        lab.environ["RETENTION_RETRIES"] = "1"
        left = failing(lab, *(Retriable("busy") for _ in range(9)))
        with lab.machine() as machine:
            result = apply_plan(machine, open_plan(machine, approved(machine)))
        assert (7, 1, 5) == (len(left), len(lab.time.slept), result.exit_code)

    def test_a_source_that_is_away_for_a_moment_is_planned(self, lab: Lab) -> None:
        """Opening a source for a plan is tried again, too."""
        failing(lab, Retriable("starting up"), Retriable("starting up"), on="shape")
        with lab.machine() as machine:
            plan = make_plan(machine)
        assert ({}, 2) == (plan.failed, len(lab.time.slept))

    def test_a_batch_that_took_too_long_does_not_commit(self, lab: Lab) -> None:
        """After `batch_seconds` somebody else may have been told to do it: it is rolled back, closed as such, and done by the next try."""
        lab.environ["RETENTION_BATCH_SECONDS"] = "60"

        class SlowOnce:
            slow = True

            def reached(self, point: str) -> None:
                if point == AFTER_WRITE and self.slow:
                    self.slow = False
                    lab.time.seconds += 61

        lab.faults = SlowOnce()  # type: ignore[assignment]
        with lab.machine() as machine:
            result = apply_plan(machine, open_plan(machine, approved(machine)))
            assert [] == machine.ledger.unfinished()
        assert {2, 3, 4} == set(lab.table("customers"))
        assert {} == result.failed
        outcomes = [each["retention.batch_outcome"] for each in events(lab, "batch_closed") if each["retention.source"] == "customers"]
        assert ["rolled_back", "committed"] == outcomes
        assert 6 == len(lab.effects())


KINDS = [
    (Retriable("busy"), 4, "busy"),
    (Skippable("no"), 1, "failed"),
    (Changed("other"), 1, "failed"),
    (SourceFailed("gone"), 1, None),
    (ConfigurationError("no right"), 1, None),
]


@pytest.mark.parametrize(("error", "tries", "word"), KINDS, ids=[type(error).__name__ for error, _, _ in KINDS])
def test_no_kind_of_fault_in_one_source_stops_the_others(lab: Lab, error: RetentionError, tries: int, word: str | None) -> None:
    """Whatever becomes of customers, the orphaned invoice is done, the run is partial, and only what may help is tried again."""
    lab.memory.tables["customers"] = customers((1, "Long gone", "gone@canary.example", "2020-01-01 10:00:00"))
    opened = 0

    def fails(name: str) -> Exception | None:
        nonlocal opened
        opened += name == "customers"
        return error if name == "customers" else None

    with lab.machine() as machine:
        path = approved(machine)
        lab.connect = lambda source: Faulty(source, fails)
        result = apply_plan(machine, open_plan(machine, path))
        assert [] == machine.ledger.unfinished()
    assert tries == opened
    assert 60 not in lab.table("invoices")
    assert 1 in lab.table("customers")
    assert (5, "partial") == (result.exit_code, result.state)
    assert ["retention.record_deleted"] * 2 == [action for action, _ in lab.effects()]
    if word is None:
        assert str(error) == result.failed["customers"]
    else:
        assert {word: 1} == dict(result.results["customers"].skipped)


@pytest.mark.parametrize("error", [AuditUnavailable("no room"), RetentionError("the ledger refused"), KeyError("nobody foresaw this")])
def test_what_concerns_the_machine_itself_stops_the_run(lab: Lab, error: Exception) -> None:
    """Without its trail or its ledger, or when it does not understand itself, nothing may be written anywhere."""
    with lab.machine() as machine:
        path = approved(machine)
        failing(lab, error)
        with pytest.raises(type(error)):
            apply_plan(machine, open_plan(machine, path))
        assert ["failed"] == [each.state for each in machine.ledger.runs(5)]
    assert 60 in lab.table("invoices")


class TestOneBadRecord:
    """It is set aside and named, night after night, and nothing else waits for it."""

    def test_is_named_by_its_reference_and_stays_so(self, lab: Lab) -> None:
        """The finding has the reference that the trail has; the next night it is the same finding, and the others were done."""
        lab.memory.refuses = {1}
        lab.environ["RETENTION_MAX_SHARE"] = "1"
        with lab.machine() as machine:
            approve(machine, make_plan(machine).path, "ann")
            first = run(machine).result
            lab.moment += dt.timedelta(days=1)
            second = run(machine).result
            still = [each.digest for each in machine.ledger.open_findings() if each.finding.kind == "failed"]
        assert {1, 2, 3, 4} == set(lab.table("customers"))
        assert first is not None
        assert second is not None
        skipped = [each["retention.record"] for each in events(lab, "record_skipped") if each["event.reason"] == "failed"]
        (finding,) = [each for each in first.findings if each.kind == "failed"]
        assert [skipped[0]] * 2 == skipped
        assert f"the system refuses to change the record {skipped[0]}" == finding.detail
        assert [finding] == [each for each in second.findings if each.kind == "failed"]
        assert [finding.digest] == still
        assert [5, 5] == [first.exit_code, second.exit_code]

    def test_is_open_until_a_run_has_looked_again(self, lab: Lab) -> None:
        """Neither a plan by day nor a night that ended early says that it is mended; a run that gets through with it does."""
        lab.memory.refuses = {1}
        lab.environ["RETENTION_MAX_SHARE"] = "1"

        def refused() -> list[str]:
            with lab.machine() as machine:
                return [each.finding.detail for each in machine.ledger.open_findings() if each.finding.kind == "failed"]

        with lab.machine() as machine:
            approve(machine, make_plan(machine).path, "ann")
            run(machine)
        (found,) = refused()
        with lab.machine() as machine:
            make_plan(machine)
        assert [found] == refused()
        lab.moment += dt.timedelta(days=1)
        lab.environ["RETENTION_MAX_MINUTES"] = "0"
        with lab.machine() as machine:
            run(machine)
        assert [found] == refused()
        del lab.environ["RETENTION_MAX_MINUTES"]
        lab.memory.refuses = set()
        with lab.machine() as machine:
            run(machine)
        assert [] == refused()

    def test_is_over_when_nothing_is_to_be_done_about_it_any_more(self, lab: Lab) -> None:
        """Somebody took the record away by hand: the next run has nothing to do in the source, and the finding is over."""
        lab.memory.refuses = {1}
        lab.environ["RETENTION_MAX_SHARE"] = "1"
        with lab.machine() as machine:
            approve(machine, make_plan(machine).path, "ann")
            run(machine)
            del lab.memory.tables["customers"][1,]
            lab.moment += dt.timedelta(days=1)
            run(machine)
            assert [] == [each for each in machine.ledger.open_findings() if each.finding.kind == "failed"]

    def test_a_source_that_can_be_read_again_is_no_finding(self, lab: Lab) -> None:
        """That it could not be read is over with the next plan that reads it."""
        with lab.machine() as machine:
            failing(lab, SourceFailed("away"), on="shape")
            make_plan(machine)
            assert ["failed"] == [each.finding.kind for each in machine.ledger.open_findings() if each.finding.kind == "failed"]
            make_plan(machine)
            assert [] == [each for each in machine.ledger.open_findings() if each.finding.kind == "failed"]

    def test_a_person_can_accept_it_and_only_it(self, lab: Lab) -> None:
        """An accepted record no longer makes every night partial; another one does."""
        lab.memory.refuses = {1}
        lab.environ["RETENTION_MAX_SHARE"] = "1"
        lab.memory.tables["customers"][4,]["seen_at"] = "2026-01-01 10:00:00"
        with lab.machine() as machine:
            approve(machine, make_plan(machine).path, "ann")
            run(machine)
            (finding,) = [each.finding for each in machine.ledger.open_findings() if each.finding.kind == "failed"]
            accept(machine, finding.digest, owner="Ann", reason="being mended", until=dt.date(2026, 12, 31))
            lab.moment += dt.timedelta(days=1)
            accepted = run(machine).result
            lab.memory.refuses = {1, 2}
            lab.memory.tables["customers"][2,]["seen_at"] = "2019-01-01 10:00:00"
            lab.moment += dt.timedelta(days=1)
            another = run(machine).result
        assert accepted is not None
        assert another is not None
        assert (0, 5) == (accepted.exit_code, another.exit_code)
        assert [1] == [each.count for each in another.new_findings if each.kind == "failed"]

    def test_many_are_one_finding(self, lab: Lab) -> None:
        """There is no row per record: beyond a few they are counted."""
        rows = [(number, "N", f"p{number}@canary.example", "2020-01-01 10:00:00") for number in range(1, 31)]
        lab.memory.tables["customers"] = customers(*rows)
        lab.memory.refuses = set(range(1, 31))
        with lab.machine() as machine:
            result = apply_plan(machine, open_plan(machine, approved(machine)))
        assert [30] == [each.count for each in result.findings if each.kind == "failed" and "refused" in each.detail]
