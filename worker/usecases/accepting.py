"""Living with a finding: a person's decision, with a reason, an end, and a number it may not outgrow."""

from __future__ import annotations

import datetime as dt

from worker.audit.events import Action
from worker.errors import ConfigurationError
from worker.ledger.rows import AcceptedFinding
from worker.usecases.machine import Machine

_SHORTEST = 4


def accept(machine: Machine, beginning: str, *, owner: str, reason: str, until: dt.date, at_most: int | None = None) -> AcceptedFinding:
    """Accept the open finding whose id begins so, through the local day `until`, up to `at_most` records (as many as there are now).

    Raises ConfigurationError when no open finding, or more than one, begins so, or when the day has passed.
    """
    if until < machine.today():
        raise ConfigurationError(f"{until} has passed: a finding is accepted until a day still to come.")
    wanted = beginning.lower()
    found = [each for each in machine.ledger.open_findings() if each.digest.startswith(wanted)] if len(wanted) >= _SHORTEST else []
    if len(found) != 1:
        why = "More than one finding begins so" if found else f"No open finding begins so (give at least {_SHORTEST} letters of its id)"
        raise ConfigurationError(f"{why}: `retention findings list` shows them.")
    digest = found[0].digest
    limit = found[0].finding.count if at_most is None else at_most
    machine.ledger.accept_finding(digest, owner, reason, until, limit)
    machine.trail.emit(
        Action.FINDING_ACCEPTED,
        {
            "retention.finding": digest[:12],
            "retention.source": found[0].finding.source,
            "retention.by": owner,
            "retention.until": until.isoformat(),
            "retention.count": limit,
        },
        sync=True,
    )
    return next(each for each in machine.ledger.accepted() if each.digest == digest)
