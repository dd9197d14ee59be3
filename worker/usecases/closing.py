"""Ending a run: what its batches came to is put together, findings are recorded, the end is said. Whoever did the last batch does it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, get_args

from worker.audit.events import Action
from worker.errors import AuditUnavailable, ConfigurationError, RetentionError, Retriable, SourceFailed
from worker.ledger.rows import OF_A_RUN, FindingKind, FindingRow
from worker.ledger.work import RunEnd
from worker.usecases.batching import BatchResult
from worker.usecases.draining import from_outcome
from worker.usecases.machine import Machine
from worker.usecases.negatives import say_findings
from worker.usecases.pacing import WHOLE, Stop
from worker.usecases.reconciling import TOOK_EFFECT
from worker.usecases.reporting import ACTIONS, UNDONE, finding_of, not_worked_on, still_there
from worker.usecases.returning import note_still
from worker.usecases.sorting import BUSY, CHANGED, CHILDREN, FAILED, GONE
from worker.usecases.suppressing import note_still_there

DONE, FAILURE, NEW_FINDINGS, PARTIAL = 0, 1, 4, 5
_FINAL = (*TOOK_EFFECT, "rolled_back")


@dataclass
class RunResult:
    """How a run went. results -- by source; left -- planned records that later runs will do; unverified -- still there afterwards.

    stopped -- by source (`*`: all of them) why no more batches were begun although there were some.
    """

    run_id: str
    plan_id: str
    state: str = "done"
    exit_code: int = DONE
    results: dict[str, BatchResult] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    left: int = 0
    stopped: dict[str, str] = field(default_factory=dict)
    verified: int = 0
    unverified: int = 0
    resolved: int = 0
    findings: list[FindingRow] = field(default_factory=list)
    new_findings: list[FindingRow] = field(default_factory=list)

    @property
    def acted(self) -> int:
        """How many records the run acted on, rows that went along not counted."""
        return sum(result.effects[each] for result in self.results.values() for each in ACTIONS)

    def as_json(self) -> dict[str, Any]:
        """Return the result for `--json` and for the ledger."""
        return {
            "run": self.run_id,
            "plan": self.plan_id,
            "state": self.state,
            "exit_code": self.exit_code,
            "sources": {name: _counts(result) for name, result in self.results.items()},
            "failed": self.failed,
            "left": self.left,
            "stopped": self.stopped,
            "verified": self.verified,
            "unverified": self.unverified,
            "resolved_after_crash": self.resolved,
        }


def _counts(result: BatchResult) -> dict[str, int]:
    """Return one source's counts; `acted` is what the jump brake compares."""
    return {
        "acted": sum(result.effects[each] for each in ACTIONS),
        **{each: count for each, count in result.effects.items() if count},
        **{f"skipped_{each}": count for each, count in result.skipped.items() if count},
    }


def result_of(machine: Machine, run_id: str) -> RunResult:
    """Return what an open run came to so far, out of the ledger."""
    run, order = machine.ledger.run(run_id), machine.ledger.order(run_id)
    if run is None or order is None:
        raise ConfigurationError(f"There is no run {run_id}. `retention runs` lists them.")
    said = order.said
    result = RunResult(run_id, run.plan_id or "", resolved=int(said.get("resolved", 0)))
    result.failed.update(said.get("unread", {}))
    result.failed.update({each.source.source: each.source.failed for each in machine.ledger.work_of(run_id) if each.source.failed})
    result.results.update({name: BatchResult() for name in said.get("begun", ())})
    for name, outcome in machine.ledger.outcomes_of(run_id):
        came_to, there = from_outcome(outcome)
        result.results[name] += came_to
        result.unverified += there
        result.verified += max(0, int(outcome["acted"]) - there)
    result.left = machine.ledger.left_of(run_id)
    return result


def close(machine: Machine, run_id: str, stops: Mapping[str, Stop] = MappingProxyType({})) -> RunResult:
    """Record findings, end the run, and say how it went. Call it only after `Ledger.close_order` gave this process the right to.

    stops -- by source, `*` for all of them: why no more batches were begun although there were some.
    """
    result = result_of(machine, run_id)
    order = machine.ledger.order(run_id)
    said = order.said if order is not None else {}
    _forget_witnesses(machine, result)
    note_still(machine, run_id, [machine.policy(name) for name in result.results])
    note_still_there(machine, run_id, [machine.policy(name) for name in result.results])
    planned = [finding_of(each) for each in said["findings"]]
    refused = [each for name, outcome in result.results.items() for each in refusals(name, outcome)]
    found = [*planned, *_findings(machine, result, refused)]
    result.findings = found
    _record(machine, result, said)
    result.new_findings = machine.ledger.new_findings(machine.today(), found)
    say_findings(machine, found[len(planned) if said["findings_said"] else 0 :], run=run_id)
    result.stopped = {name: stop.why for name, stop in stops.items()}
    early = sorted({stop.limit for stop in stops.values() if stop.limit not in WHOLE})
    busy = any(outcome.skipped[BUSY] for outcome in result.results.values())
    if result.failed or busy or result.unverified or early or any(each in result.new_findings for each in refused):
        _end(machine, result, "partial", PARTIAL, f"stopped: {', '.join(early)}" if early else "")
    elif result.new_findings:
        _end(machine, result, "findings", NEW_FINDINGS)
    else:
        _end(machine, result, "done", DONE)
    return result


def _record(machine: Machine, result: RunResult, said: Mapping[str, Any]) -> None:
    """Keep what was found. Where a run got through with a source, or had nothing to do in it, what is not found any more is over."""
    if said.get("replay"):
        # A replay looks at nothing but what came back, so nothing that was found before is over.
        machine.ledger.record_findings(result.run_id, result.findings)
        return
    left = machine.ledger.unfinished_sources(result.run_id)
    whole = [name for name in result.results if name not in result.failed and name not in left]
    machine.ledger.record_findings(result.run_id, result.findings, covered=whole)
    begun = {*said["begun"], *result.failed}
    idle = [name for each in machine.ledger.work_of(result.run_id) if (name := each.source.source) not in begun]
    others = [each for each in get_args(FindingKind) if each not in OF_A_RUN]
    machine.ledger.record_findings(result.run_id, [], covered=idle, kept=others)


def fail(machine: Machine, run_id: str, error: BaseException) -> None:
    """End a run that can't go on; what was finished before stays done."""
    try:
        result = result_of(machine, run_id)
    except RetentionError:
        result = RunResult(run_id, "")
    _end(machine, result, "failed", FAILURE, type(error).__name__)


def _forget_witnesses(machine: Machine, result: RunResult) -> None:
    """Have the sources drop what was kept to resolve a crash; what can't be dropped now does no harm where it is."""
    for name in result.results:
        if name not in result.failed:
            final = [each.batch_id for each in machine.ledger.batches(result.run_id) if each.source == name and each.state in _FINAL]
            with suppress(SourceFailed, Retriable):
                machine.open_source(machine.policy(name).source).forget(final)


def _findings(machine: Machine, result: RunResult, refused: Sequence[FindingRow]) -> Iterator[FindingRow]:
    """Yield what only carrying out the plan could find."""
    for name, outcome in result.results.items():
        yield from (
            FindingRow(kind, name, name, detail, outcome.skipped[reason])
            for reason, kind, detail in _SKIP_FINDINGS
            if outcome.skipped[reason]
        )
    yield from refused
    yield from _missing(machine, result)
    yield from (not_worked_on(name) for name in result.failed)
    if result.unverified:
        yield still_there(result.unverified)


def refusals(source: str, outcome: BatchResult) -> Iterator[FindingRow]:
    """Yield the findings for records that the system refused to change: one for each, by its reference, or one for all when they are many.

    The same record is the same finding next night, so a person can accept it, and another one still stands out.
    """
    if outcome.skipped[FAILED] > len(outcome.refused):
        yield FindingRow("failed", source, source, "records that the system refused to change", outcome.skipped[FAILED])
        return
    for reference in outcome.refused:
        yield FindingRow("failed", source, source, f"the system refuses to change the record {reference}", 1)


def _missing(machine: Machine, result: RunResult) -> Iterator[FindingRow]:
    """Yield a finding for every source in which planned records were not found any more, other than those that this plan itself took.

    A run that finds nothing of what it should act on (another database, somebody else's clean-up) is never a silent success.
    """
    along: Counter[str] = Counter()
    for outcome in result.results.values():
        along += outcome.along
    before = _taken_before(machine, result) if any(outcome.skipped[GONE] for outcome in result.results.values()) else 0
    for name, outcome in result.results.items():
        missing = max(0, outcome.skipped[GONE] - along[name])
        explained = min(missing, before)
        before -= explained
        if missing > explained:
            yield FindingRow("changed", name, name, "planned records were gone or no longer due", missing - explained)


def _taken_before(machine: Machine, result: RunResult) -> int:
    """Return how many records earlier runs of this plan took that its batches may look for again: children, and parts of batches."""
    ledger = machine.ledger
    earlier = [run for run in ledger.runs(_EARLIER) if run.plan_id == result.plan_id and run.run_id != result.run_id]
    taken = 0
    for run in earlier:
        for batch in ledger.batches(run.run_id):
            effects = batch.effects or {}
            is_part = UNDONE in effects or any(mark in batch.batch_id for mark in _PART_MARKS)
            taken += sum(count for each, count in effects.items() if each != UNDONE) if is_part else effects.get(CHILDREN, 0)
    return taken


_EARLIER = 1000
_PART_MARKS = ".+~"
"""What is put behind a batch's id for its halves, its retries, and its attempts in later runs."""

_SKIP_FINDINGS: Sequence[tuple[str, Any, str]] = (
    (CHANGED, "changed", "records changed between plan and run and were left"),
    (BUSY, "failed", "records that somebody else kept busy; a later run does them"),
)


def _end(machine: Machine, result: RunResult, state: RunEnd, exit_code: int, reason: str = "") -> None:
    """End a run in the ledger and in the trail; when the trail can't be written any more the ledger alone says so."""
    result.state, result.exit_code = state, exit_code
    run = machine.ledger.run(result.run_id)
    if run is not None and run.state != "running":
        # Whoever took this process for dead has said the end, out of the same ledger.
        return
    counts = {name: _counts(outcome) for name, outcome in result.results.items()}
    totals: Counter[str] = Counter()
    for each in counts.values():
        totals.update(each)
    try:
        machine.trail.emit(
            Action.RUN_ENDED,
            {
                "event.outcome": "success" if exit_code in (DONE, NEW_FINDINGS) else "failure",
                "event.reason": reason or state,
                "retention.run": result.run_id,
                "retention.exit_code": exit_code,
                "retention.failed_sources": sorted(result.failed),
                **{f"retention.total.{name}": count for name, count in sorted(totals.items())},
            },
        )
        machine.trail.checkpoint()
    except AuditUnavailable:
        if state != "failed":
            raise
    machine.ledger.end_run(result.run_id, state, counts, exit_code)
