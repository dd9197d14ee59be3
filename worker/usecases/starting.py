"""Beginning a run: end what earlier ones left open, look whether the sources are as they were planned for, hand the batches to the ledger.

Whoever begins a run holds the run locks of its sources, which die with the process. Until the order is opened nobody takes a batch of it,
so a process that dies here leaves a run that the next one ends. From then on everything that is needed stands in the ledger: no worker
needs the plan file, or anything else of the process that began.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from worker.audit.events import Action
from worker.clock import local_day
from worker.errors import ConfigurationError, RetentionError, Retriable, SourceFailed
from worker.ledger.rows import OrderRow, RunKind, RunRow, RunSourceRow, WorkRow, attempt_id
from worker.planfile import PlanFile
from worker.usecases.braking import say, shape_brakes
from worker.usecases.draining import Progress, say_given_up
from worker.usecases.gathering import facts_used
from worker.usecases.lanes import apart
from worker.usecases.machine import Machine
from worker.usecases.observing import observe
from worker.usecases.reconciling import TOOK_EFFECT, reconcile
from worker.usecases.reporting import UNDONE
from worker.usecases.returning import drop_ended
from worker.usecases.suppressing import drop_ended_suppressions, end_renewed

_UNREAD = "it could not be read when the plan was made, so the plan is not the whole. Make a new plan."


@dataclass(frozen=True)
class Wanted:
    """What is to be carried out, and how.

    spread -- see `OrderRow`; at_most -- see `apply_plan`; progress -- is told what is done already; resolved -- how many batches that a
    crash had left open were ended for this run before its plan was made.
    """

    run_id: str
    plan: PlanFile
    kind: RunKind = "apply"
    at_most: int | None = None
    spread: bool = False
    progress: Progress = field(default=lambda _source, _count: None)
    resolved: int = 0


def begin(machine: Machine, wanted: Wanted) -> Callable[[], None]:
    """Start a run in the ledger and in the trail, and return what prepares its batches. Call it inside the run lock of its sources.

    What is returned raises when the run can't be carried out at all; the run is running by then, and has to be ended.
    """
    plan, run_id = wanted.plan, wanted.run_id
    failed: dict[str, str] = {}
    resolved = reconcile(machine, tuple(plan.header.policies), failed)
    machine.ledger.start_run(
        RunRow(
            run_id,
            plan.header.plan_id,
            wanted.kind,
            plan.header.as_of,
            machine.now(),
            socket.gethostname(),
            os.getpid(),
            machine.operator,
        )
    )
    machine.ledger.begin_order(OrderRow(run_id, wanted.spread, machine.ledger.worker, room(machine, wanted), {}))
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
    return lambda: _Preparation(machine, wanted, failed, wanted.resolved + len(resolved)).prepare()


def room(machine: Machine, wanted: Wanted) -> int | None:
    """Return how many records the run acts on at most, None for all."""
    return wanted.at_most if wanted.at_most is not None else machine.settings.tranche


class _Preparation:
    """Finds out which sources can be worked on, and hands over the batches of those."""

    def __init__(self, machine: Machine, wanted: Wanted, failed: dict[str, str], resolved: int) -> None:
        self._machine = machine
        self._wanted = wanted
        self._plan = wanted.plan
        self._failed = failed
        self._resolved = resolved

    def prepare(self) -> None:
        """Do it, and open the order."""
        machine, run_id, header = self._machine, self._wanted.run_id, self._plan.header
        drop_ended(machine, run_id)
        drop_ended_suppressions(machine, run_id)
        self._set_aside()
        sources = [self._source_row(position, name) for position, name in enumerate(header.policies)]
        machine.ledger.enqueue(sources, self._pending())
        machine.ledger.open_order(run_id, self._said())

    def _said(self) -> Mapping[str, Any]:
        """Return what is to be said when the run ends, and what its workers have to know."""
        header = self._plan.header
        planned = [dict(each) for each in self._plan.summary.findings]
        # What the plan had found it has said itself, unless it was made for another day than that on which it was made.
        same_day = header.as_of == local_day(header.made_at, self._machine.schedule.organisation.zone)
        return {
            "policies": dict(header.policies),
            "shapes": dict(header.shapes),
            "findings": planned,
            "findings_said": same_day,
            "begun": [name for name in header.policies if self._acts(name) and name not in self._failed],
            "unread": {name: why for name, why in self._failed.items() if name not in header.policies},
            "resolved": self._resolved,
            "replay": header.replay,
        }

    def _acts(self, name: str) -> bool:
        """Whether the plan does anything in a source."""
        return any(self._plan.summary.counts.get(name, {}).get("actions", {}).values())

    def _set_aside(self) -> None:
        """Set aside the sources that can't be worked on: unread when the plan was made, failing now, or with another shape."""
        unread = {str(each["source"]) for each in self._plan.summary.findings if each["kind"] == "failed"}
        for name in sorted(unread - set(self._plan.header.policies)):
            self._failed[name] = _UNREAD
        for name in self._plan.header.policies:
            if name in self._failed:
                self._give_up(name, SourceFailed(self._failed[name]))
                continue
            if name in unread:
                self._failed[name] = _UNREAD
                continue
            try:
                stopped = shape_brakes(self._machine, (name,))
                if not stopped:
                    observe(self._machine, self._machine.policy(name), self._wanted.run_id)
                    end_renewed(self._machine, self._machine.policy(name), self._wanted.run_id)
            except (SourceFailed, Retriable) as error:
                self._give_up(name, error)
                continue
            say(self._machine, stopped, run=self._wanted.run_id)
            self._failed.update({each.source: each.what for each in stopped if each.source is not None})

    def _give_up(self, name: str, error: RetentionError) -> None:
        """Leave a source that can't be worked on; the others go on."""
        self._failed[name] = str(error)
        say_given_up(self._machine, self._wanted.run_id, name, error)

    def _source_row(self, position: int, name: str) -> RunSourceRow:
        """Return one source as its workers need it."""
        planned = sum(self._plan.summary.counts.get(name, {}).get("actions", {}).values())
        lanes = 1
        # The tombstones of a replay are looked up in one file by one thread.
        if self._acts(name) and name not in self._failed and not self._plan.header.replay:
            try:
                lanes = self._lanes(name)
            except (SourceFailed, Retriable, ConfigurationError) as error:
                self._give_up(name, error)
        return RunSourceRow(self._wanted.run_id, name, position, lanes, self._after(position, name), planned, self._failed.get(name))

    def _lanes(self, name: str) -> int:
        """Return how many batches of a source all workers together may carry out at once."""
        policy = self._machine.policy(name)
        return self._machine.settings.concurrency_of(name) if apart(policy, self._machine.open_source(policy.source)) else 1

    def _after(self, position: int, name: str) -> list[str]:
        """Return the sources whose batches come before those of this one.

        In one process that is every one before it. For many workers only what the decisions rest on counts: parents are done before their
        children, which go with them or are counted by them, and of sources that say something about the same person one follows the other.
        """
        before = list(self._plan.header.policies)[:position]
        if not self._wanted.spread:
            return before
        return [each for each in before if self._bound(each, name)]

    def _bound(self, one: str, other: str) -> bool:
        """Whether batches of one source change what the other is decided by."""
        sources = self._machine.schedule.sources
        related = any(
            relation.source == b
            for a, b in ((one, other), (other, one))
            for relation in (*sources[a].relations, *(child for each in sources[a].relations for child in each.children))
        )
        used = [facts_used(self._machine, [self._machine.policy(name)]) for name in (one, other)]
        facts = [{shared.name for shared in shared_facts} for shared_facts in used]
        members = [{source for shared in shared_facts for source in shared.sources} for shared_facts in used]
        return related or bool(facts[0] & facts[1]) or one in members[1] or other in members[0]

    def _pending(self) -> Iterator[WorkRow]:
        """Yield the batches that no earlier run finished, in the plan's order."""
        ledger = self._machine.ledger
        for planned in self._plan.parcels():
            if planned.source in self._failed:
                continue
            token = 0
            while (known := ledger.batch(attempt_id(planned.batch_id, token + 1))) is not None:
                if known.state in TOOK_EFFECT and known.effects and UNDONE not in known.effects:
                    break
                token += 1
            if known is None:
                yield WorkRow(self._wanted.run_id, *planned, token)
            else:
                self._wanted.progress(planned.source, planned.planned)
