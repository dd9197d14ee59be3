"""What the ledger keeps of records that a batch disposes of, in the transaction of its intent: keyed tokens and days, never a value.

Aliases let later holds and requests find a person whose identifiers were treated. High-water marks are the days that facts over several
sources go on to count, and that a record went, so that nobody who gets its key anew inherits what was said of it. Tombstones recognise a
record that comes back, and the suppression list a person.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from worker.core.sources import Identifier
from worker.ledger.rows import HighWater, Suppressed, Tombstones
from worker.planfile import Reason
from worker.usecases.gathering import departure, high_water
from worker.usecases.judging import Judge, Verdict
from worker.usecases.machine import Machine
from worker.usecases.matching import identifier_token, record_token
from worker.usecases.reporting import DELETE
from worker.usecases.suppressing import suppressed
from worker.usecases.tombstones import buried

Acting = Sequence[tuple[Verdict, str, Reason]]
"""The records that a batch acts on, each with its reference and the reason."""
Leaving = Sequence[tuple[Judge, Sequence[Verdict]]]
"""Rows that go along with them and have a policy of their own, with the judge of that."""


def remembered(
    machine: Machine, judge: Judge, acting: Acting, leaving: Leaving
) -> tuple[bytes, tuple[HighWater, ...], tuple[Tombstones, ...], tuple[Suppressed, ...]]:
    """Return (aliases, high-water marks, tombstones, what is suppressed) of a batch."""
    deleted = [(judge, [verdict for verdict, _, reason in acting if reason.action == DELETE]), *leaving]
    days = _days([(judge, [verdict for verdict, _, _ in acting]), *leaving])
    return _aliases(judge, acting), (*days, *_gone(machine, deleted)), _tombstones(machine, deleted), _suppressed(machine, deleted)


def _aliases(judge: Judge, acting: Acting) -> bytes:
    """Return, for every identifier that is treated in a record that stays, the record's token and the identifier's."""
    if judge.policy.only_deletes:
        return b""
    kinds = {each.name: each.identifier for each in judge.policy.source.identifiers if each.identifier is not None}
    secret, source = judge.standing.secret, judge.policy.source.name
    treated: dict[tuple[str, ...], list[tuple[int, Identifier]]] = {}
    pairs: list[bytes] = []
    for verdict, _, reason in acting:
        own: bytes | None = None
        places = treated.get(reason.fields)
        if places is None:
            places = treated[reason.fields] = [(judge.position(name), kinds[name]) for name in reason.fields if name in kinds]
        for place, kind in places:
            token = identifier_token(secret, kind, verdict.row[place])
            if token is not None:
                own = own or record_token(secret, source, verdict.key)
                pairs += (own, token)
    return b"".join(pairs)


def _days(disposed: Leaving) -> list[HighWater]:
    """Return the days that other sources' facts go on to count."""
    return [
        each
        for judge, verdicts in disposed
        if judge.policy.source.contributing
        for each in high_water(
            judge.policy.source, judge.standing.secret, judge.today, ((verdict.key, judge.values(verdict)) for verdict in verdicts)
        )
    ]


def _gone(machine: Machine, deleted: Leaving) -> list[HighWater]:
    """Return that records went of which people or runs may have said something."""
    gone: dict[str, HighWater] = {}
    for judge, verdicts in deleted:
        if verdicts and (judge.policy.outside or judge.policy.source.marks):
            source = judge.policy.source.name
            more = departure(source, judge.standing.secret, machine.today(), [verdict.key for verdict in verdicts])
            before = gone.get(source)
            gone[source] = more if before is None else replace(before, blob=before.blob + more.blob)
    return [*gone.values()]


def _tombstones(machine: Machine, deleted: Leaving) -> tuple[Tombstones, ...]:
    """Return what recognises the records when they come back."""
    return buried(
        machine,
        [
            (judge.policy.source, [(each.key, each.standing, partial(judge.values, each)) for each in verdicts])
            for judge, verdicts in deleted
            if judge.policy.source.watch is not None or not judge.standing.empty or judge.looks_at_parents
        ],
    )


def _suppressed(machine: Machine, deleted: Leaving) -> tuple[Suppressed, ...]:
    """Return by what the people whom the records are about are not brought back."""
    return suppressed(
        machine,
        [
            (judge.policy.source, ((each.key, judge.values(each)) for each in verdicts))
            for judge, verdicts in deleted
            if judge.policy.source.suppress is not None
        ],
    )
