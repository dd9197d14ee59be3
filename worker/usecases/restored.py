"""A ledger that was put back from a backup, or exchanged, noticed before a run goes by it.

Threat model. Holds, requests, marks and answers stand in the ledger and nowhere else in a form that records can be compared with. A ledger
from yesterday lacks those of today, and a run by it deletes what somebody was promised is held. The trail is no part of the ledger's
backup and knows better: whatever it tells of was in the ledger before, or is at once. So a hold, a request or a run that the trail tells
of and the ledger doesn't know stops every run, as a person's stop does, until a person has put things right and lifts it. Each is told
once.

What can't be noticed: a trail that was put back together with its ledger, and commands that wrote into the folder of another machine.
"""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter

from worker.audit.beginnings import beginnings
from worker.audit.events import Action
from worker.ledger.ledger import Ledger
from worker.usecases.machine import Machine
from worker.usecases.stopping import ALL, put_stop

_COMPARED = "trail_compared"
_MARGIN = dt.timedelta(days=2)
"""Clocks of machines that share a ledger differ, and files are told apart by the day on which they were opened."""
_NAMED = 5
_BY = "the worker itself"
_TELLS: dict[str, tuple[str, str]] = {
    Action.HOLD_PLACED: ("retention.hold", "holds"),
    Action.REQUEST_ADDED: ("retention.request", "requests"),
    Action.RUN_STARTED: ("retention.run", "runs"),
}


def stop_when_restored(machine: Machine) -> None:
    """Stop every run when the trail tells of something that the ledger should know and doesn't; call it before a run looks for stops.

    What was opened since the last such look is looked at. An installation that ran before there were such looks begins with this one.
    """
    ledger = machine.ledger
    if any(each.source == ALL for each in ledger.stops()):
        # Nothing runs, and the reason that stands there is a person's.
        return
    kept = json.loads(ledger.get_meta(_COMPARED) or "null")
    if kept is not None:
        since = dt.datetime.fromisoformat(kept["at"]).date() - _MARGIN
    else:
        since = machine.now().date() if ledger.runs(1) else dt.date.min
    unknown = _unknown(machine, since)
    new = {each: what for each, what in unknown.items() if kept is None or each not in kept["told"]}
    if new:
        put_stop(machine, ALL, _why(new), _BY)
    ledger.set_meta(_COMPARED, json.dumps({"at": machine.now().isoformat(), "told": sorted(unknown)}))


def _unknown(machine: Machine, since: dt.date) -> dict[str, str]:
    """Return what the trail tells of since a day (UTC) and the ledger doesn't know: by its id what it is one of."""
    told: dict[str, str] = {}
    for event in beginnings(machine.settings.audit_folder, since):
        member, what = _TELLS.get(str(event.get("event.action")), ("", ""))
        if member in event:
            told[str(event[member])] = what
    unknown = _not_in(machine.ledger, told)
    if unknown:
        # Read after the trail, because whatever is told there was here before, or comes here while the barrier is had by whoever says it.
        with machine.ledger.standing_shared():
            unknown = _not_in(machine.ledger, unknown)
    return unknown


def _not_in(ledger: Ledger, told: dict[str, str]) -> dict[str, str]:
    """Return those of what was told that the ledger doesn't know."""
    known = {each.hold_id for each in ledger.holds(active=False)} | {each.request_id for each in ledger.requests(active=False)}
    return {each: what for each, what in told.items() if each not in known and (what != "runs" or ledger.run(each) is None)}


def _why(new: dict[str, str]) -> str:
    """Return what the operator is told."""
    counts = ", ".join(f"{count} {what}" for what, count in sorted(Counter(new.values()).items()))
    first = sorted(new, key=lambda each: (new[each], each))
    named = ", ".join(first[:_NAMED]) + (", ..." if len(first) > _NAMED else "")
    return (
        f"the audit trail tells of {counts} that this ledger does not know ({named}), so it is older than the trail, or another one. "
        "What people said since then has to be said again first: docs/operations.md, When the ledger was put back"
    )
