"""`audit reconcile`: the audit trail, the ledger and the systems held against each other; see `agreeing` and `absence`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path

from worker.audit.accounts import accounts
from worker.audit.events import Action
from worker.usecases.absence import EffectIndex, Looking, Progress
from worker.usecases.agreeing import Agreement, Comparing, known_to
from worker.usecases.machine import Machine
from worker.usecases.tracing import audit_files


def agree(
    machine: Machine, paths: Sequence[Path] = (), *, since: dt.date | None = None, systems: bool = True, progress: Progress | None = None
) -> Agreement:
    """Compare, and write down that it was done and how many disagreements there are. Changes nothing else.

    paths -- audit files and folders of them, by default the installation's own; since -- only runs that began on this local day or later;
    systems -- look into the systems too. Raises ConfigurationError for a path that is not there.
    """
    with EffectIndex(machine.settings.state) as index:
        known = known_to(machine, since)
        told = accounts(audit_files(machine, paths), index.keep if systems else None)
        result = Comparing(machine, known, told, since).compare()
        if systems:
            index.seal()
            Looking(machine, index, result, progress).look()
    machine.trail.emit(
        Action.AGREEMENT_CHECKED,
        {
            "event.outcome": "failure" if result.found or result.failed else "success",
            "retention.by": machine.operator,
            "retention.count": len(result.found),
            "retention.failed_sources": sorted(result.failed),
            **({"retention.since": since.isoformat()} if since is not None else {}),
        },
    )
    return result
