"""Carrying out a plan from one command: begin the run, work off its batches here and in helpers of this process, and say how it went.

A plan may be carried out in parts: what earlier parts did is known from the ledger by the batches' ids and is not done again, so applying
twice equals applying once, and a large first backlog can be approved once and worked off in tranches.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from contextlib import ExitStack
from time import sleep
from typing import Any

from worker.errors import RetentionError
from worker.ledger.locks import Held
from worker.ledger.rows import RunKind
from worker.planfile import PlanFile
from worker.usecases.approving import require_approved
from worker.usecases.closing import DONE, FAILURE, NEW_FINDINGS, PARTIAL, RunResult, close, fail
from worker.usecases.draining import Drain, Progress, let_dead_leases_run_out
from worker.usecases.lanes import apart
from worker.usecases.machine import Machine
from worker.usecases.pacing import Pacer
from worker.usecases.restored import stop_when_restored
from worker.usecases.starting import Wanted, begin, room
from worker.usecases.stopping import refuse_stopped

__all__ = ["DONE", "FAILURE", "NEW_FINDINGS", "PARTIAL", "Progress", "RunResult", "apply_plan", "carry_out", "new_run_id"]

_POLL_SECONDS = 0.02
_POLLS_BETWEEN_LOOKS = 25
_WORTH_A_HELPER = 12
"""So many batches have to wait that another process pays for its start."""


def apply_plan(machine: Machine, plan: PlanFile, *, at_most: int | None = None, progress: Progress | None = None) -> RunResult:
    """Carry out an approved plan; Refused when it may not be.

    at_most -- stop after the batch that reaches this number of records (the tranche from the settings by default); the rest is left for the
    next call. One source that fails does not stop the others. What stops a run before its end stands in `pacing`.
    """
    require_approved(machine, plan)
    stop_when_restored(machine)
    return carry_out(machine, plan, kind="apply", at_most=at_most, progress=progress)


def carry_out(
    machine: Machine,
    plan: PlanFile,
    *,
    kind: RunKind = "apply",
    at_most: int | None = None,
    begun: float | None = None,
    progress: Progress | None = None,
    resolved: int = 0,
) -> RunResult:
    """Carry out a plan whose right to be carried out was checked; see `apply_plan`.

    begun -- since when the time budget counts, by the machine's monotonic clock; now by default; resolved -- see `Wanted`.
    """
    refuse_stopped(machine, tuple(plan.header.policies), plan=plan.header.plan_id)
    told = progress or (lambda _source, _count: None)
    wanted = Wanted(new_run_id(), plan, kind, at_most, progress=told, resolved=resolved)
    pacer = Pacer(machine, wanted.run_id, machine.monotonic() if begun is None else begun, room(machine, wanted))
    with machine.ledger.run_lock(tuple(plan.header.policies), run_id=wanted.run_id) as lock, ExitStack() as stack:
        # They open what they need while the run is begun, and have ended before it is said to have.
        send = stack.enter_context(machine.helpers(_helped(machine, wanted)))
        prepare = begin(machine, wanted)
        try:
            with stack:
                prepare()
                send(wanted.run_id)
                _work_off(machine, wanted.run_id, told, lock, pacer)
        except BaseException as error:
            fail(machine, wanted.run_id, error)
            raise
        return close(machine, wanted.run_id, pacer.stops())


def new_run_id() -> str:
    """Return the id of a run that is about to begin."""
    return f"run-{secrets.token_hex(6)}"


def _work_off(machine: Machine, run_id: str, progress: Progress, lock: Held, pacer: Pacer) -> None:
    """Work off the sources of a run in their turn."""
    with Drain(machine, run_id, pacer, progress=progress, lock=lock) as drain:
        for name in [each.source.source for each in machine.ledger.work_of(run_id) if each.waiting]:
            _work_off_source(machine, run_id, name, drain)


def _work_off_source(machine: Machine, run_id: str, name: str, drain: Drain) -> None:
    """Work off one source; returns when nobody is at a batch of it any more."""
    polls = 0
    while True:
        drain.source(name)
        work = next(each for each in machine.ledger.work_of(run_id) if each.source.source == name)
        if not work.leased:
            # What waits now waits for another day: a limit was reached, or somebody wants the run to stop.
            return
        polls += 1
        if not polls % _POLLS_BETWEEN_LOOKS:
            let_dead_leases_run_out(machine, run_id)
        sleep(_POLL_SECONDS)


def _helped(machine: Machine, wanted: Wanted) -> list[str]:
    """Return the sources for whose batches it pays to have other processes."""
    if room(machine, wanted) is not None or machine.settings.process_count == 1:
        return []
    counts = wanted.plan.summary.counts
    least = _WORTH_A_HELPER * machine.settings.batch_size
    return [name for name in wanted.plan.header.policies if _planned(counts.get(name, {})) >= least and _may_be_shared(machine, name)]


def _planned(counts: Mapping[str, Any]) -> int:
    """Return how many records of a source a plan acts on."""
    return sum(counts.get("actions", {}).values())


def _may_be_shared(machine: Machine, name: str) -> bool:
    """Whether batches of a source may be carried out side by side; not when that can't be told."""
    try:
        policy = machine.policy(name)
        return apart(policy, machine.open_source(policy.source))
    except RetentionError:
        return False
