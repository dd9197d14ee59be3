"""What the audit trail costs: its share of a delete run, phase by phase, measured in that run.

The trail's own functions are wrapped by clocks while the worker deletes, so nothing is compared with a worker that does less. Deletions go
in one lane, so the phases follow each other and add up. What a phase calls of another one counts there. A plan writes next to nothing to
the trail, so its part of that is left out.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from bench import ours
from bench.data import DUE
from bench.databases import Database
from bench.measure import Measure, Time, timed
from worker.audit import trail as writing
from worker.audit.trail import AuditTrail
from worker.core import merkle
from worker.usecases.applying import apply_plan
from worker.usecases.approving import approve, open_plan
from worker.usecases.intents import IntentLines

JOB = "audit"
TOTAL, APPLY = "delete run (plan and apply)", "of that the apply"
TOGETHER = "audit trail, together"
GOAL = 0.25
"""The most that the audit trail takes of a delete run."""

_PHASES: tuple[tuple[str, object, str], ...] = (
    ("lines of the intents", IntentLines, "records"),
    ("hashes", merkle, "leaf_hashes"),
    ("hashes", merkle, "root"),
    ("lines of the file", writing, "event_lines"),
    ("writing the file", AuditTrail, "_put"),
    ("making it durable", AuditTrail, "sync"),
    ("everything else", AuditTrail, "write"),
    ("everything else", AuditTrail, "emit"),
    ("everything else", AuditTrail, "checkpoint"),
    ("everything else", AuditTrail, "reserve"),
)


def cost(database: Database, folder: Path, rows: int) -> Iterator[Measure]:
    """Measure a plan and its apply, and the phases of the audit trail in both."""
    due = DUE.of(rows)
    with database.fresh("contacts") as url, ours.opened(url, folder, "delete") as machine, _clocks() as spent:
        made, planning = timed(lambda: ours.planned(machine, due))
        approve(machine, made.path, "bench")
        spent.clear()
        result, applying = timed(lambda: apply_plan(machine, open_plan(machine, made.path)))
        ours.confirm(result, due)
        phases = dict(spent)
    yield Measure(database.name, JOB, TOTAL, due, Time(planning.seconds + applying.seconds, planning.busy + applying.busy))
    yield Measure(database.name, JOB, APPLY, due, applying)
    yield Measure(database.name, JOB, TOGETHER, due, _only(sum(phases.values())))
    for phase in dict.fromkeys(phase for phase, _, _ in _PHASES):
        yield Measure(database.name, JOB, phase, due, _only(phases.get(phase, 0.0)))


def _only(seconds: float) -> Time:
    """Return a time of which only the clock is known."""
    return Time(seconds, 0.0)


@contextmanager
def _clocks() -> Iterator[dict[str, float]]:
    """Yield the seconds by phase, counted while the block lasts."""
    seconds: dict[str, float] = defaultdict(float)
    running: list[list[float]] = []
    with ExitStack() as stack:
        for phase, owner, name in _PHASES:
            original = getattr(owner, name)
            setattr(owner, name, _clocked(original, phase, seconds, running))
            stack.callback(setattr, owner, name, original)
        yield seconds


def _clocked(original: Callable[..., Any], phase: str, seconds: dict[str, float], running: list[list[float]]) -> Callable[..., Any]:
    """Return a function that counts its time without that of the clocked ones it calls."""

    def clocked(*args: Any, **named: Any) -> Any:
        inside = [0.0]
        running.append(inside)
        begin = time.perf_counter()
        try:
            return original(*args, **named)
        finally:
            took = time.perf_counter() - begin
            running.pop()
            seconds[phase] += took - inside[0]
            if running:
                running[-1][0] += took

    return clocked
