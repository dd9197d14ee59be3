"""How things stand, for whoever is watching: the last run of each source and the next, what is overdue, what a person has to look at.

All of it comes from the ledger: no system is asked, and nothing is written. The figure by which the service is judged is `overdue_days`:
how long ago, by policy, the oldest record should have been dealt with.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from worker import log
from worker.clock import local_day
from worker.core.expecting import Expected, expected
from worker.core.periods import Period
from worker.ledger.rows import BatchRow, PlanRow, RunRow
from worker.usecases.applying import DONE, NEW_FINDINGS, PARTIAL
from worker.usecases.heartbeat import Heartbeat, heartbeats
from worker.usecases.machine import Machine
from worker.usecases.reporting import left_overdue
from worker.usecases.stopping import in_force

_LOOKED_AT = 500
"""So many runs and plans are looked at, newest first: more than a year of nights."""


WITHIN = Period.parse("P2D")
"""A source without a schedule has missed a run when the last one was for a day longer ago than this."""

STUCK_AFTER = dt.timedelta(hours=1)
"""A batch takes seconds; one whose intents are older than this and that nobody closed was left by something that died."""

_LEFT_ALONE = dt.timedelta(days=1)
"""A batch that was never begun is taken up within its run; a run that is older than this is at work no more."""


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """One source. last -- its last run that ended; missed -- none ended in time; planned_for -- the day of its newest plan.

    next -- when the schedule calls for the next run, aware UTC, None without a schedule; overdue -- how many records are overdue at most,
    as that plan saw it and less what was done since; oldest -- the earliest deadline, and overdue_days the days since; stuck -- how many
    batches nobody closed; counts -- the words of the newest plan; failed -- records that the last run could not do; findings -- open
    ones, and of those `new`, which nobody accepted.
    """

    source: str
    last: RunRow | None
    missed: bool
    planned_for: dt.date | None
    overdue: int
    oldest: dt.date | None
    overdue_days: int = 0
    next: dt.datetime | None = None
    stuck: int = 0
    counts: Mapping[str, Any] = field(default_factory=dict)
    failed: int = 0
    findings: int = 0
    new: int = 0

    @property
    def whole(self) -> bool:
        """Whether the last run, if there was one, did all that it was to do."""
        return self.last is None or self.last.exit_code in (DONE, NEW_FINDINGS)


@dataclass(frozen=True, slots=True)
class Status:
    """How things stand at an instant.

    findings -- how many are open, and of those `new`, which nobody accepted; stops -- what is stopped, and by whom; stranded -- by source,
    batches that nobody closed and that no run will, because no policy is about the source any more.
    """

    at: dt.datetime
    sources: Sequence[SourceStatus]
    findings: int
    new: int
    heartbeats: Sequence[Heartbeat] = ()
    stops: Sequence[str] = ()
    stranded: Mapping[str, int] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        """What monitoring is told.

        5 when a run is missing, not whole or stopped by hand, or a batch was left open; 4 when something is overdue or found; else 0.
        """
        if self.stops or self.stranded or any(each.missed or each.stuck or not each.whole for each in self.sources):
            return PARTIAL
        return NEW_FINDINGS if self.new or any(each.overdue for each in self.sources) else DONE


def status(machine: Machine, within: Period | None = None, stuck_after: dt.timedelta = STUCK_AFTER) -> Status:
    """Return how things stand.

    within -- a source whose last run was for a day longer ago than this has missed one; None: what its schedule says, and `WITHIN` for a
    source without one.
    """
    at, today = machine.now(), machine.today()
    runs = machine.ledger.runs(_LOOKED_AT)
    plans = machine.ledger.plans(_LOOKED_AT)
    made = {plan.plan_id: plan for plan in plans}
    of_their_day = [plan for plan in plans if plan.as_of == local_day(plan.made_at, machine.schedule.organisation.zone)]
    found = [each.finding for each in machine.ledger.open_findings()]
    fresh = machine.ledger.new_findings(today, found)
    stuck = Counter(_stuck(machine, at, stuck_after))
    sources = []
    for policy in machine.policies():
        name = policy.source.name
        last = next((run for run in runs if run.ended_at is not None and name in _covered(run, made)), None)
        plan = next((plan for plan in of_their_day if name in plan.counts), None)
        counts: Mapping[str, Any] = plan.counts[name] if plan is not None else {}
        left = left_overdue(counts, _done(runs, plan, name)) if counts else 0
        oldest = dt.date.fromisoformat(counts["oldest_deadline"]) if left and counts["oldest_deadline"] else None
        calls = _expected(machine, name, at)
        sources.append(
            SourceStatus(
                name,
                last,
                _missed(machine, last, within, calls),
                plan.as_of if plan else None,
                left,
                oldest,
                (today - oldest).days if oldest else 0,
                calls.next if calls else None,
                stuck[name],
                counts,
                last.counts.get(name, {}).get("skipped_failed", 0) if last else 0,
                sum(each.source == name for each in found),
                sum(each.source == name for each in fresh),
            )
        )
    stopped = (in_force(machine, policy.source.name) for policy in machine.policies())
    stops = tuple(dict.fromkeys(each.what for each in stopped if each is not None))
    stranded = {name: count for name, count in sorted(stuck.items()) if machine.schedule.policy(name) is None}
    return Status(at, sources, len(found), len(fresh), heartbeats(machine), stops, stranded)


def tell(found: Status) -> None:
    """Say how things stand to the operational log: an event for every source, so that a log can be alarmed on, and one for the whole."""
    for each in found.sources:
        log.get_logger().info(
            "retention.status",
            source=each.source,
            last_run=each.last.run_id if each.last else None,
            last_run_ended=each.last.ended_at.isoformat() if each.last and each.last.ended_at else None,
            last_run_exit_code=each.last.exit_code if each.last else None,
            next_run=each.next.isoformat() if each.next else None,
            missed=each.missed,
            overdue=each.overdue,
            overdue_days=each.overdue_days,
            stuck_batches=each.stuck,
            failed=each.failed,
            findings=each.findings,
            new_findings=each.new,
        )
    log.get_logger().info("retention.status_whole", exit_code=found.exit_code, findings=found.findings, new_findings=found.new)


def _expected(machine: Machine, source: str, at: dt.datetime) -> Expected | None:
    """Return what the schedule of a source says, None when it has none."""
    expression = machine.settings.schedule_of(source)
    return expected(expression, at, machine.schedule.organisation.zone) if expression else None


def _missed(machine: Machine, last: RunRow | None, within: Period | None, calls: Expected | None) -> bool:
    """Whether no run ended in time."""
    if last is None:
        return True
    if within is None and calls is not None:
        return calls.due is not None and last.logical_date < local_day(calls.due, machine.schedule.organisation.zone)
    return (within or WITHIN).after(last.logical_date) < machine.today()


def _stuck(machine: Machine, at: dt.datetime, after: dt.timedelta) -> Iterator[str]:
    """Yield the source of every batch that nobody will close before the next run does."""
    runs: dict[str, RunRow | None] = {}

    def run_of(batch: BatchRow) -> RunRow | None:
        if batch.run_id not in runs:
            runs[batch.run_id] = machine.ledger.run(batch.run_id)
        return runs[batch.run_id]

    for batch in machine.ledger.unfinished():
        run = run_of(batch)
        if batch.intended_at is not None:
            left = at - batch.intended_at > after
        else:
            left = run is None or run.ended_at is not None or at - run.started_at > _LEFT_ALONE
        if left:
            yield batch.source


def _covered(run: RunRow, plans: Mapping[str, PlanRow]) -> Mapping[str, Any]:
    """Return the sources that a run was to work on."""
    plan = plans.get(run.plan_id or "")
    return plan.policies if plan is not None else run.counts


def _done(runs: Sequence[RunRow], plan: PlanRow | None, source: str) -> int:
    """Return how many records of a plan need nothing any more: acted on by its runs, or found to be gone."""
    counts = [run.counts.get(source, {}) for run in runs if plan is not None and run.plan_id == plan.plan_id]
    return sum(each.get("acted", 0) + each.get("skipped_gone", 0) for each in counts)
