"""Sources that hold nothing any more, or far less, which must not pass for a night with nothing to do.

A share is not mounted or half copied, the address leads to another database, rights or a filter hide most of the records. Every plan counts
what its sources hold, so the ledger knows what a source held. Whatever runs deleted since is no surprise; that the rest is gone too is a
finding. Of a source that is empty until it holds something again or a person has accepted it; of one that holds less than half for as long
as it held more within the last thirty days.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping

from worker.core.sources import Relation
from worker.ledger.rows import FindingRow, PlanRow
from worker.usecases.machine import Machine
from worker.usecases.reporting import DELETE
from worker.usecases.sorting import CHILDREN

_RUNS = 1000
_LOOKED_BACK = dt.timedelta(days=30)
_FEW = 20
"""So many records may be taken away by hand without a word, however many there are."""


def find_missing(machine: Machine, totals: Mapping[str, int]) -> list[FindingRow]:
    """Return a finding for every source of which most or all is gone and was not deleted by runs. totals -- what each holds, by source."""
    found = []
    for name, total in totals.items():
        ledger = machine.ledger
        before = ledger.first_plan_holding(name, machine.now() - _LOOKED_BACK) if total else ledger.last_plan_holding(name)
        held = int(before.counts[name]["total"]) if before is not None else 0
        if before is None or 2 * total >= held:
            continue
        missing = held - total - _taken(machine, name, before)
        if not total and missing > 0:
            found.append(emptied(name, missing))
        elif total and missing > max(_FEW, held // 2):
            found.append(dwindled(name, missing))
    return found


def emptied(source: str, missing: int) -> FindingRow:
    """Return the finding that a source holds nothing although so many of its records were deleted by no run."""
    return FindingRow("changed", source, source, "it holds no records at all any more, and no run deleted these", missing)


def dwindled(source: str, missing: int) -> FindingRow:
    """Return the finding that a source holds less than half of what it held although so many of its records were deleted by no run."""
    return FindingRow("changed", source, source, "it holds less than half of what it held this month, and no run deleted these", missing)


MISSING: tuple[Callable[[str, int], FindingRow], ...] = (emptied, dwindled)
"""What makes the findings of this module; each is over when it is not found again."""


def _taken(machine: Machine, name: str, before: PlanRow) -> int:
    """Return how many of the records that a source held by a plan were deleted by runs since."""
    # A run that was under way when they were counted may have deleted the rest afterwards.
    runs = [each for each in machine.ledger.runs(_RUNS) if each.ended_at is None or each.ended_at >= before.made_at]
    parents = {source.name for source in machine.schedule.sources.values() if _takes_along(source.relations, name)}
    taken = 0
    for run in runs:
        for batch in machine.ledger.batches(run.run_id):
            effects = batch.effects or {}
            taken += effects.get(DELETE, 0) if batch.source == name else effects.get(CHILDREN, 0) if batch.source in parents else 0
    return taken


def _takes_along(relations: Iterable[Relation], name: str) -> bool:
    """Whether records of a source may go with those that have these relations."""
    return any(each.source == name or _takes_along(each.children, name) for each in relations)
