"""What the audit trail says of records that nothing is done about: the findings, and how many are due and held by what.

The trail names no record here: those that are kept are counted, by the reason for which they are.
"""

from __future__ import annotations

from collections.abc import Iterable

from worker.audit.events import Action
from worker.ledger.rows import FindingRow
from worker.usecases.intents import HOLD
from worker.usecases.machine import Machine
from worker.usecases.reporting import SourceCounts


def say_findings(machine: Machine, findings: Iterable[FindingRow], **found_by: str) -> None:
    """Write an event for every finding. found_by -- the `plan` or the `run` that made it."""
    for each in findings:
        machine.trail.emit(
            Action.FINDING,
            {
                "event.reason": each.detail,
                "rule.id": each.policy,
                "retention.source": each.source,
                "retention.finding": each.digest[:12],
                "retention.finding_kind": each.kind,
                "retention.count": each.count,
                **{f"retention.{name}": value for name, value in found_by.items()},
            },
        )


def say_held(machine: Machine, counts: Iterable[SourceCounts], plan_id: str) -> None:
    """Write an event for every hold and request that keeps due records of a source; a record that two of them keep counts for both."""
    for each in counts:
        for by, count in sorted(each.held.items()):
            machine.trail.emit(
                Action.RECORDS_HELD,
                {
                    "rule.id": each.policy.id,
                    "rule.version": each.policy.digest,
                    "retention.plan": plan_id,
                    "retention.source": each.policy.source.name,
                    f"retention.{'hold' if by.startswith(HOLD) else 'request'}": by,
                    "retention.count": count,
                },
            )
