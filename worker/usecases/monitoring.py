"""How things stand, for whoever is watching: the last run of each source, what is overdue, what a person has to look at.

All of it comes from the ledger: no system is asked, and nothing is written.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from worker.clock import local_day
from worker.core.periods import Period
from worker.ledger.rows import PlanRow, RunRow
from worker.usecases.applying import DONE, NEW_FINDINGS, PARTIAL
from worker.usecases.machine import Machine
from worker.usecases.reporting import left_overdue
from worker.usecases.stopping import in_force

_LOOKED_AT = 500
"""So many runs and plans are looked at, newest first: more than a year of nights."""


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """One source. last -- its last run that ended; missed -- none ended in time; planned_for -- the day of its newest plan.

    overdue -- how many records are overdue at most, as that plan saw it and less what was done since; oldest -- the earliest deadline.
    """

    source: str
    last: RunRow | None
    missed: bool
    planned_for: dt.date | None
    overdue: int
    oldest: dt.date | None


@dataclass(frozen=True, slots=True)
class Status:
    """How things stand. findings -- how many are open, and of those `new`, which nobody accepted; stops -- what a person stopped."""

    sources: Sequence[SourceStatus]
    findings: int
    new: int
    stops: Sequence[str] = ()

    @property
    def exit_code(self) -> int:
        """What monitoring is told: 5 when a run is missing, not whole or stopped by hand, 4 when something is overdue or found, else 0."""
        if self.stops or any(
            each.missed or (each.last is not None and each.last.exit_code not in (DONE, NEW_FINDINGS)) for each in self.sources
        ):
            return PARTIAL
        return NEW_FINDINGS if self.new or any(each.overdue for each in self.sources) else DONE


def status(machine: Machine, within: Period) -> Status:
    """Return how things stand. within -- a source whose last run was for a day longer ago than this has missed one."""
    today = machine.today()
    runs = machine.ledger.runs(_LOOKED_AT)
    plans = machine.ledger.plans(_LOOKED_AT)
    made = {plan.plan_id: plan for plan in plans}
    of_their_day = [plan for plan in plans if plan.as_of == local_day(plan.made_at, machine.schedule.organisation.zone)]
    found = [each.finding for each in machine.ledger.open_findings()]
    sources = []
    for policy in machine.policies():
        name = policy.source.name
        last = next((run for run in runs if run.ended_at is not None and name in _covered(run, made)), None)
        plan = next((plan for plan in of_their_day if name in plan.counts), None)
        counts: Mapping[str, Any] = plan.counts[name] if plan is not None else {}
        left = left_overdue(counts, _done(runs, plan, name)) if counts else 0
        missed = last is None or within.after(last.logical_date) < today
        oldest = dt.date.fromisoformat(counts["oldest_deadline"]) if left and counts["oldest_deadline"] else None
        sources.append(SourceStatus(name, last, missed, plan.as_of if plan else None, left, oldest))
    stopped = (in_force(machine, policy.source.name) for policy in machine.policies())
    stops = tuple(dict.fromkeys(each.what for each in stopped if each is not None))
    return Status(sources, len(found), len(machine.ledger.new_findings(today, found)), stops)


def _covered(run: RunRow, plans: Mapping[str, PlanRow]) -> Mapping[str, Any]:
    """Return the sources that a run was to work on."""
    plan = plans.get(run.plan_id or "")
    return plan.policies if plan is not None else run.counts


def _done(runs: Sequence[RunRow], plan: PlanRow | None, source: str) -> int:
    """Return how many records of a plan need nothing any more: acted on by its runs, or found to be gone."""
    counts = [run.counts.get(source, {}) for run in runs if plan is not None and run.plan_id == plan.plan_id]
    return sum(each.get("acted", 0) + each.get("skipped_gone", 0) for each in counts)
