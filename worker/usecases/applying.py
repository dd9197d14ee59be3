"""Carrying out a plan: reconcile what a crash left, then batch by batch, then say how it went.

A plan may be carried out in parts: what earlier parts did is known from the ledger by the batches' ids and is not done again, so applying
twice equals applying once, and a large first backlog can be approved once and worked off in tranches.
"""

from __future__ import annotations

import os
import secrets
import socket
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, groupby
from typing import Any, get_args

from worker.audit.events import Action
from worker.clock import local_day
from worker.errors import AuditUnavailable, ConfigurationError, RetentionError, Retriable, SourceFailed
from worker.ledger.locks import Held
from worker.ledger.rows import OF_A_RUN, FindingKind, FindingRow, RunRow
from worker.planfile import PlanFile, PlannedBatch
from worker.usecases.approving import require_approved
from worker.usecases.batching import BUSY, CHANGED, CHILDREN, FAILED, GONE, BatchResult, BatchWorker
from worker.usecases.braking import say, shape_brakes
from worker.usecases.gathering import Gathered, facts_used, gather
from worker.usecases.lanes import Lane, batch_row, carried_out, lanes_of
from worker.usecases.machine import Machine
from worker.usecases.negatives import say_findings
from worker.usecases.observing import observe
from worker.usecases.pacing import GIVEN_UP, WHOLE, Pacer
from worker.usecases.planning import shape_digest
from worker.usecases.reconciling import reconcile, ref_key
from worker.usecases.reporting import ACTIONS, UNDONE, finding_of, not_worked_on, still_there
from worker.usecases.stopping import refuse_stopped
from worker.usecases.verifying import ReadBack

DONE, FAILURE, NEW_FINDINGS, PARTIAL = 0, 1, 4, 5
_UNREAD = "it could not be read when the plan was made, so the plan is not the whole. Make a new plan."
_DONE_STATES = ("committed", "resolved_after_crash", "presumed")
_FINAL = (*_DONE_STATES, "rolled_back")

Progress = Callable[[str, int], None]
"""Is told the source and how many more of its planned records are behind us."""


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


def apply_plan(machine: Machine, plan: PlanFile, *, at_most: int | None = None, progress: Progress | None = None) -> RunResult:
    """Carry out an approved plan; Refused when it may not be.

    at_most -- stop after the batch that reaches this number of records (the tranche from the settings by default); the rest is left for the
    next call. One source that fails does not stop the others. What stops a run before its end stands in `pacing`.
    """
    require_approved(machine, plan)
    return carry_out(machine, plan, kind="apply", at_most=at_most, progress=progress)


def carry_out(
    machine: Machine,
    plan: PlanFile,
    *,
    kind: Any = "apply",
    at_most: int | None = None,
    begun: float | None = None,
    progress: Progress | None = None,
) -> RunResult:
    """Carry out a plan whose right to be carried out was checked; see `apply_plan`.

    begun -- since when the time budget counts, by the machine's monotonic clock; now by default.
    """
    run_id = f"run-{secrets.token_hex(6)}"
    sources = tuple(plan.header.policies)
    refuse_stopped(machine, sources, plan=plan.header.plan_id)
    pacer = Pacer(
        machine, run_id, machine.monotonic() if begun is None else begun, machine.settings.tranche if at_most is None else at_most
    )
    with machine.ledger.run_lock(sources, run_id=run_id) as lock:
        unresolved: dict[str, str] = {}
        resolved = reconcile(machine, sources, unresolved)
        machine.ledger.start_run(
            RunRow(run_id, plan.header.plan_id, kind, plan.header.as_of, machine.now(), socket.gethostname(), os.getpid(), machine.operator)
        )
        machine.trail.emit(
            Action.RUN_STARTED,
            {
                "retention.run": run_id,
                "retention.plan": plan.header.plan_id,
                "retention.as_of": plan.header.as_of.isoformat(),
                "retention.by": machine.operator,
            },
            sync=True,
        )
        run = _Run(machine, plan, RunResult(run_id, plan.header.plan_id, failed=unresolved, resolved=len(resolved)), lock, pacer, progress)
        try:
            run.work()
        except BaseException as error:
            _end(machine, run.result, "failed", FAILURE, type(error).__name__)
            raise
        return run.finish()


class _Run:
    """One execution of a plan."""

    def __init__(self, machine: Machine, plan: PlanFile, result: RunResult, lock: Held, pacer: Pacer, progress: Progress | None) -> None:
        self.result = result
        self._lock = lock
        self._machine = machine
        self._plan = plan
        self._pacer = pacer
        self._unfinished: set[str] = set()
        self._progress = progress or (lambda _source, _count: None)

    def work(self) -> None:
        """Work through the sources in the plan's order."""
        self._set_aside()
        acting = [self._machine.policy(name) for name in self._plan.header.policies if self._acts(name) and name not in self.result.failed]
        with gather(self._machine, acting, self._plan.header.as_of) as gathered:
            for policy in acting:
                unknown = [gathered.unknown[each.name] for each in facts_used(self._machine, [policy]) if each.name in gathered.unknown]
                if unknown:
                    self._give_up(policy.source.name, SourceFailed(f"{unknown[0]}, and {policy.source.name} is decided by it."))
            self._work(gathered)

    def _acts(self, name: str) -> bool:
        """Whether the plan does anything in a source."""
        return any(self._plan.summary.counts.get(name, {}).get("actions", {}).values())

    def _set_aside(self) -> None:
        """Set aside the sources that can't be worked on: unread when the plan was made, failing now, or with another shape."""
        unread = {str(each["source"]) for each in self._plan.summary.findings if each["kind"] == "failed"}
        for name in sorted(unread - set(self._plan.header.policies)):
            self.result.failed[name] = _UNREAD
        for name in self._plan.header.policies:
            if name in self.result.failed:
                self._give_up(name, SourceFailed(self.result.failed[name]))
                continue
            if name in unread:
                self.result.failed[name] = _UNREAD
                continue
            try:
                stopped = shape_brakes(self._machine, (name,))
                if not stopped:
                    observe(self._machine, self._machine.policy(name), self.result.run_id)
            except (SourceFailed, Retriable) as error:
                self._give_up(name, error)
                continue
            say(self._machine, stopped, run=self.result.run_id)
            self.result.failed.update({each.source: each.what for each in stopped if each.source is not None})

    def _work(self, gathered: Gathered) -> None:
        """Work through the batches."""
        for name, batches in groupby(self._plan.batches(), key=lambda batch: batch.source):
            try:
                if name in self.result.failed:
                    continue
                if self._pacer.stopped is not None:
                    self.result.left += sum(len(planned.records) for planned, _ in self._pending(batches))
                    continue
                self._source(name, batches, gathered)
            except (SourceFailed, Retriable, ConfigurationError) as error:
                if isinstance(error, AuditUnavailable):
                    raise
                self._give_up(name, error)

    def _give_up(self, name: str, error: RetentionError) -> None:
        """Leave a source that can't be worked on; the others go on."""
        self.result.failed[name] = str(error)
        self._machine.trail.emit(
            Action.SOURCE_FAILED,
            {
                "event.outcome": "failure",
                "event.reason": type(error).__name__,
                "retention.run": self.result.run_id,
                "retention.source": name,
            },
            sync=True,
        )

    def _source(self, name: str, batches: Iterable[PlannedBatch], gathered: Gathered) -> None:
        """Work through the batches of one source."""
        machine, result = self._machine, self.result
        policy = machine.policy(name)
        source = machine.open_source(policy.source)
        if shape_digest(source.shape()) != self._plan.header.shapes.get(name):
            raise SourceFailed(f"{name} has other columns or child tables than when the plan was made. Make a new plan.")
        result.results[name] = BatchResult()
        pending = self._pending(batches)
        first = next(pending, None)
        if first is not None:
            secret = ref_key(machine, batch_row(*first, result.run_id, "")).secret

            def lane() -> Lane:
                worker = BatchWorker(machine, policy, source, result.run_id, gathered, secret, self._lock.confirm)
                return Lane(machine, result.run_id, worker, ReadBack(machine, policy, source, gathered, secret))

            # With a limit every batch is counted before the next one begins.
            count = lanes_of(policy, source) if self._pacer.at_most is None else 1
            for done in carried_out(self._in_turn(chain([first], pending)), lane, count):
                result.results[name] += done.outcome
                self._pacer.note(name, done.outcome, planned=len(done.planned.records), seconds=done.seconds)
                result.unverified += done.there
                result.verified += max(0, sum(done.outcome.effects[each] for each in ACTIONS) - done.there)
                self._progress(name, len(done.planned.records))
        source.forget([each.batch_id for each in machine.ledger.batches(result.run_id) if each.source == name and each.state in _FINAL])
        stop = self._pacer.stops().get(name)
        if stop is not None and stop.limit in GIVEN_UP:
            raise SourceFailed(stop.why)

    def _in_turn(self, batches: Iterable[tuple[PlannedBatch, str]]) -> Iterator[tuple[PlannedBatch, str]]:
        """Yield batches when each may begin, until no more may, and count the records of the others as left."""
        for planned, attempt in batches:
            if self._pacer.turn(planned.source) is not None:
                self.result.left += len(planned.records)
                self._unfinished.add(planned.source)
            else:
                yield planned, attempt

    def _pending(self, batches: Iterable[PlannedBatch]) -> Iterator[tuple[PlannedBatch, str]]:
        """Yield the batches that no earlier run finished, each with the id of this attempt."""
        for planned in batches:
            attempt, number = planned.batch_id, 1
            while (known := self._machine.ledger.batch(attempt)) is not None:
                if known.state in _DONE_STATES and known.effects and UNDONE not in known.effects:
                    break
                number += 1
                attempt = f"{planned.batch_id}~{number}"
            if known is None:
                yield planned, attempt
            else:
                self._progress(planned.source, len(planned.records))

    def finish(self) -> RunResult:
        """Record findings, end the run, and say how it went."""
        result, machine = self.result, self._machine
        planned = [finding_of(dict(each)) for each in self._plan.summary.findings]
        found = list(planned)
        for name, outcome in result.results.items():
            found.extend(
                FindingRow(kind, name, name, detail, outcome.skipped[reason])
                for reason, kind, detail in _SKIP_FINDINGS
                if outcome.skipped[reason]
            )
        refused = [each for name, outcome in result.results.items() for each in refusals(name, outcome)]
        found.extend(refused)
        found.extend(self._missing())
        found.extend(not_worked_on(name) for name in result.failed)
        if result.unverified:
            found.append(still_there(result.unverified))
        result.findings = found
        whole = [name for name in result.results if name not in result.failed and name not in self._unfinished]
        machine.ledger.record_findings(result.run_id, found, covered=whole)
        idle = [name for name in self._plan.header.policies if not self._acts(name) and name not in result.failed]
        others = [each for each in get_args(FindingKind) if each not in OF_A_RUN]
        machine.ledger.record_findings(result.run_id, [], covered=idle, kept=others)
        result.new_findings = machine.ledger.new_findings(machine.today(), found)
        # What the plan had found it has said itself, unless it was made for another day than that on which it was made.
        header = self._plan.header
        said = len(planned) if header.as_of == local_day(header.made_at, machine.schedule.organisation.zone) else 0
        say_findings(machine, found[said:], run=result.run_id)
        stops = self._pacer.stops()
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

    def _missing(self) -> Iterator[FindingRow]:
        """Yield a finding for every source in which planned records were not found any more, other than those that this plan itself took.

        A run that finds nothing of what it should act on (another database, somebody else's clean-up) is never a silent success.
        """
        along: Counter[str] = Counter()
        for outcome in self.result.results.values():
            along += outcome.along
        before = self._taken_before() if any(outcome.skipped[GONE] for outcome in self.result.results.values()) else 0
        for name, outcome in self.result.results.items():
            missing = max(0, outcome.skipped[GONE] - along[name])
            explained = min(missing, before)
            before -= explained
            if missing > explained:
                yield FindingRow("changed", name, name, "planned records were gone or no longer due", missing - explained)

    def _taken_before(self) -> int:
        """Return how many records earlier runs of this plan took that its batches may look for again: children, and parts of batches."""
        ledger, result = self._machine.ledger, self.result
        earlier = [run for run in ledger.runs(_EARLIER) if run.plan_id == result.plan_id and run.run_id != result.run_id]
        taken = 0
        for run in earlier:
            for batch in ledger.batches(run.run_id):
                effects = batch.effects or {}
                is_part = UNDONE in effects or any(mark in batch.batch_id for mark in _PART_MARKS)
                taken += sum(count for each, count in effects.items() if each != UNDONE) if is_part else effects.get(CHILDREN, 0)
        return taken


def refusals(source: str, outcome: BatchResult) -> Iterator[FindingRow]:
    """Yield the findings for records that the system refused to change: one for each, by its reference, or one for all when they are many.

    The same record is the same finding next night, so a person can accept it, and another one still stands out.
    """
    if outcome.skipped[FAILED] > len(outcome.refused):
        yield FindingRow("failed", source, source, "records that the system refused to change", outcome.skipped[FAILED])
        return
    for reference in outcome.refused:
        yield FindingRow("failed", source, source, f"the system refuses to change the record {reference}", 1)


_EARLIER = 1000
_PART_MARKS = ".+~"
"""What is put behind a batch's id for its halves, its retries, and its attempts in later runs."""

_SKIP_FINDINGS: Sequence[tuple[str, Any, str]] = (
    (CHANGED, "changed", "records changed between plan and run and were left"),
    (BUSY, "failed", "records that somebody else kept busy; a later run does them"),
)


def _end(machine: Machine, result: RunResult, state: Any, exit_code: int, reason: str = "") -> None:
    """End a run in the ledger and in the trail; when the trail can't be written any more the ledger alone says so."""
    result.state, result.exit_code = state, exit_code
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
