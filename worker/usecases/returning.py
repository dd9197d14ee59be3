"""Records that were deleted and are there again: looked for by every plan for today, in the sources that have tombstones and in no other.

The trail names each of them by its reference, with the batch that deleted it; findings and counts name none. Nothing is done about them
here: an ordinary plan deletes what is due, however it came, and `replaying` makes a plan of the others.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace

from worker.audit.events import Action
from worker.core.model import Policy
from worker.core.refs import Referrer
from worker.core.select import EVERYTHING
from worker.core.sources import Source
from worker.errors import ConfigurationError, Retriable, SourceFailed
from worker.ledger.rows import FindingRow
from worker.ports import Key
from worker.usecases.machine import Machine
from worker.usecases.matching import record_token
from worker.usecases.tombstones import Likeness, Match, TombstoneIndex

_WHAT: Mapping[Likeness, str] = {
    Likeness.SAME: "deleted records came back",
    Likeness.ELSEWHERE: "deleted records came back under another key",
    Likeness.PERSON: "somebody whose erasure was asked for is there again, with other facts: a person decides",
}


def find_returned(
    machine: Machine, policies: Iterable[Policy], plan_id: str, ref_secret: bytes, failed: dict[str, str]
) -> list[FindingRow]:
    """Return what came back in the sources of these policies, and write an event for each record.

    failed -- sources that are not read, with the reason; one that can't be read now is added.
    """
    today = machine.today()
    watched = machine.ledger.watched(today)
    found: list[FindingRow] = []
    for policy in policies:
        name = policy.source.name
        if name not in watched or name in failed:
            continue
        try:
            found.extend(_in_source(machine, policy, today, plan_id, Referrer(ref_secret, name)))
        except (SourceFailed, Retriable, ConfigurationError) as error:
            failed[name] = str(error)
    return found


def _in_source(machine: Machine, policy: Policy, today: dt.date, plan_id: str, referrer: Referrer) -> list[FindingRow]:
    """Return what came back in one source."""
    source, width = policy.source, len(policy.source.key)
    counts: Counter[str] = Counter()
    with TombstoneIndex(machine, source, today) as index:
        if index.unknown:
            counts["what was deleted can't be recognised any more: its unchanging fields are no longer declared"] = 1
        with machine.open_source(source).reader() as reader:
            for page in reader.rows(EVERYTHING, index.columns):
                for row in page:
                    matches = index.matches(row[:width], dict(zip(index.columns, row[width:], strict=True)))  # type: ignore[arg-type]
                    if matches:
                        what = _WHAT[matches[0].likeness]
                        counts[what] += 1
                        _say(machine, policy, plan_id, referrer.reference(row[:width]), what, matches[0])
    return [FindingRow("returned", source.name, policy.id, what, count) for what, count in sorted(counts.items())]


def _say(machine: Machine, policy: Policy, plan_id: str, reference: str, what: str, match: Match) -> None:
    machine.trail.emit(
        Action.RECORD_RETURNED,
        {
            "event.reason": what,
            "rule.id": policy.id,
            "retention.plan": plan_id,
            "retention.source": policy.source.name,
            "retention.record": reference,
            "retention.run": match.run,
            "retention.batch": match.batch,
            "retention.on": match.day.isoformat(),
        },
    )


def note_still(machine: Machine, run_id: str, policies: Iterable[Policy]) -> None:
    """Note after a run which records are there although they are like others that it deleted: they never went, so they never come back.

    Somebody whose erasure was asked for may have records that the law keeps, or that are held. What is not noted, after a crash or because
    a source can't be read any more, only makes for findings.
    """
    for policy in policies:
        # Without their blobs: only their names are needed here.
        lots = [replace(each, blob=b"") for each in machine.ledger.tombstones(policy.source.name, machine.today(), run_id=run_id)]
        if lots:
            with suppress(SourceFailed, Retriable):
                still = _like_the_deleted(machine, policy.source, run_id)
                for number, lot in enumerate(lots):
                    machine.ledger.keep_still(lot, b"".join(still.get(number, ())))


def _like_the_deleted(machine: Machine, source: Source, run_id: str) -> dict[int, list[bytes]]:
    """Return the tokens of the records that are there and like what a run deleted, by the number of its tombstones."""
    secret, width = machine.keyring.match().secret, len(source.key)
    found: dict[int, list[bytes]] = {}
    with TombstoneIndex(machine, source, machine.today(), run_id=run_id) as index, machine.open_source(source).reader() as reader:
        for page in reader.rows(EVERYTHING, index.columns):
            for row in page:
                key: Key = row[:width]  # type: ignore[assignment]
                for number in index.others(key, dict(zip(index.columns, row[width:], strict=True))):
                    found.setdefault(number, []).append(record_token(secret, source.name, key))
    return found


def drop_ended(machine: Machine, run_id: str) -> None:
    """Drop the tombstones that have ended, and say of how many records, by source."""
    for source, count in sorted(machine.ledger.drop_tombstones(machine.today()).items()):
        machine.trail.emit(Action.TOMBSTONES_DROPPED, {"retention.run": run_id, "retention.source": source, "retention.count": count})
