"""What the worker remembers between runs: approvals, plans, runs, batches, holds, requests and findings."""

from worker.ledger.ledger import Ledger
from worker.ledger.locks import Held
from worker.ledger.rows import (
    AcceptedFinding,
    Approval,
    BatchRow,
    BatchState,
    FindingKind,
    FindingRow,
    HoldKind,
    HoldRow,
    HoldScope,
    Intent,
    MarkRow,
    OpenFinding,
    PlanRow,
    RequestKind,
    RequestRow,
    RunCounts,
    RunKind,
    RunRow,
    RunState,
    Shape,
)
from worker.ledger.work import BatchEnd, RunEnd

__all__ = [
    "AcceptedFinding",
    "Approval",
    "BatchEnd",
    "BatchRow",
    "BatchState",
    "FindingKind",
    "FindingRow",
    "Held",
    "HoldKind",
    "HoldRow",
    "HoldScope",
    "Intent",
    "Ledger",
    "MarkRow",
    "OpenFinding",
    "PlanRow",
    "RequestKind",
    "RequestRow",
    "RunCounts",
    "RunEnd",
    "RunKind",
    "RunRow",
    "RunState",
    "Shape",
]
