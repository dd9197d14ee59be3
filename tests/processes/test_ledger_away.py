"""A ledger that can't be reached for a moment, while a worker carries out batches of a run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.usecases.conftest import Lab
from worker.errors import LedgerUnreachable, RetentionError, SourceFailed
from worker.ledger import Ledger
from worker.usecases.approving import approve, open_plan
from worker.usecases.draining import Drain, let_dead_leases_run_out
from worker.usecases.machine import Machine
from worker.usecases.pacing import pacer_of
from worker.usecases.planning import make_plan
from worker.usecases.spreading import end_if_done, hand_over, look_after


class Away:
    """A ledger that is away from the first call of a method on, which it may have heard or not: nobody can tell that from the error."""

    def __init__(self, ledger: Ledger, method: str, *, heard: bool) -> None:
        self._ledger = ledger
        self._method = method
        self._heard = heard
        self.away = False

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._ledger, name)
        if not callable(found):
            return found

        def asked(*arguments: object, **named: object) -> Any:
            if not self.away and name != self._method:
                return found(*arguments, **named)
            if not self.away and self._heard:
                found(*arguments, **named)
            self.away = True
            raise LedgerUnreachable("The ledger can't be reached or is busy: gone")

        return asked


def begun(machine: Machine) -> str:
    """Hand an approved plan over and return the run."""
    plan = make_plan(machine)
    approve(machine, plan.path, "ann")
    return hand_over(machine, open_plan(machine, plan.path))


def draining(machine: Machine, run_id: str) -> Drain:
    """Return what carries out batches of a run in this process."""
    return Drain(machine, run_id, pacer_of(machine, run_id))


@pytest.mark.parametrize("heard", [False, True])
@pytest.mark.parametrize("method", ["lease", "add_batches", "intend_with", "confirm", "close_batch"])
def test_no_source_is_given_up_for_it(lab: Lab, method: str, heard: bool) -> None:
    """The worker stops, whatever the ledger has heard of its question; the next one goes on with the run, and all is done once."""
    lab.environ.update({"RETENTION_BATCH_SIZE": "2", "RETENTION_MAX_SHARE": "1"})
    with lab.machine() as machine:
        run_id = begun(machine)
    with lab.machine() as machine:
        ledger = Away(machine.ledger, method, heard=heard)
        with pytest.raises(RetentionError), draining(replace(machine, ledger=ledger), run_id) as drain:  # type: ignore[arg-type]
            drain.source("customers")
        assert ledger.away
        assert {None} == {each.source.failed for each in machine.ledger.work_of(run_id)}
    with lab.machine() as machine:
        let_dead_leases_run_out(machine, run_id)
        with draining(machine, run_id) as drain:
            drain.source("customers")
            drain.source("invoices")
        result = end_if_done(machine, run_id)
        assert result is not None
        assert ({}, 0, 0) == (result.failed, result.left, result.unverified)
        assert 4 == result.acted
        assert [] == [each for each in result.findings if each.kind == "changed"]
        assert [] == machine.ledger.unfinished()
        assert {"customers": 0, "invoices": 0} == make_plan(machine).acting


def test_a_run_ends_when_a_worker_dies_over_a_source_that_was_given_up(lab: Lab) -> None:
    """Nobody takes the dead worker's batch any more, and nobody waits for it: the run ends, and says that it is a part."""
    lab.environ.update({"RETENTION_BATCH_SIZE": "1", "RETENTION_MAX_SHARE": "1"})
    with lab.machine() as machine:
        run_id = begun(machine)
    with lab.machine() as dead:
        assert dead.ledger.lease(run_id, "customers", worker=dead.ledger.worker) is not None
    with lab.machine() as machine:
        for name in ("customers", "invoices"):
            machine.ledger.give_up(run_id, name, str(SourceFailed("gone")))
        [result] = look_after(machine).ended
        assert "partial" == result.state
        assert [] == machine.ledger.spread_orders()
