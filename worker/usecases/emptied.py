"""Sources that hold nothing any more: a share that is not mounted, or another database, must not pass for a night with nothing to do.

Every plan counts what its sources hold, so the ledger knows what a source held last. Whatever runs deleted since is no surprise; that the
rest is gone too is a finding, until the source holds something again or a person has accepted it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from worker.core.sources import Relation
from worker.ledger.rows import FindingRow
from worker.usecases.machine import Machine
from worker.usecases.reporting import DELETE
from worker.usecases.sorting import CHILDREN

_RUNS = 1000


def find_emptied(machine: Machine, totals: Mapping[str, int]) -> list[FindingRow]:
    """Return a finding for every source that holds no record now and that runs have not emptied. totals -- what each holds, by source."""
    return [emptied(name, missing) for name, total in totals.items() if not total and (missing := _missing(machine, name))]


def emptied(source: str, missing: int) -> FindingRow:
    """Return the finding that a source holds nothing although so many of its records were deleted by no run."""
    return FindingRow("changed", source, source, "it holds no records at all any more, and no run deleted these", missing)


def _missing(machine: Machine, name: str) -> int:
    """Return how many of the records that a source held when it last held any were not deleted by runs."""
    plan = machine.ledger.last_plan_holding(name)
    if plan is None:
        return 0
    # A run that was under way when they were counted may have deleted the rest afterwards.
    runs = [each for each in machine.ledger.runs(_RUNS) if each.ended_at is None or each.ended_at >= plan.made_at]
    parents = {source.name for source in machine.schedule.sources.values() if _takes_along(source.relations, name)}
    taken = 0
    for run in runs:
        for batch in machine.ledger.batches(run.run_id):
            effects = batch.effects or {}
            taken += effects.get(DELETE, 0) if batch.source == name else effects.get(CHILDREN, 0) if batch.source in parents else 0
    return max(0, int(plan.counts[name]["total"]) - taken)


def _takes_along(relations: Iterable[Relation], name: str) -> bool:
    """Whether records of a source may go with those that have these relations."""
    return any(each.source == name or _takes_along(each.children, name) for each in relations)
