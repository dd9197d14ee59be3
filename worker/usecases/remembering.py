"""What the ledger keeps of records that a batch disposes of, in the transaction of its intent: keyed tokens and days, never a value.

Aliases let later holds and requests find a person whose identifiers were treated. High-water marks are the days that facts over several
sources go on to count, and that a record went, so that nobody who gets its key anew inherits what was said of it. Rows that are cut loose
are kept with whom they were about, and so are records of which a treated identifier named several people. Tombstones recognise a record
that comes back, and the suppression list a person.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

from worker.core.shared import NOTHING, Seen
from worker.core.sources import Relation
from worker.ledger.rows import AMONG, WHOSE, HighWater, Suppressed, Tombstones
from worker.planfile import Reason
from worker.ports import Key
from worker.usecases.gathering import departure, high_water
from worker.usecases.judging import Judge, Verdict
from worker.usecases.keptdays import packed
from worker.usecases.machine import Machine
from worker.usecases.matching import (
    case_tokens,
    identifier_tokens,
    naming_several,
    record_token,
    record_tokens,
    several_tokens,
    tokens_of_identifiers,
)
from worker.usecases.reporting import DELETE
from worker.usecases.suppressing import suppressed
from worker.usecases.tombstones import buried

Acting = Sequence[tuple[Verdict, str, Reason]]
"""The records that a batch acts on, each with its reference and the reason."""
Leaving = Sequence[tuple[Judge, Sequence[Verdict]]]
"""Rows that go along with them and have a policy of their own, with the judge of that."""
Loosened = Sequence[tuple[Relation, Sequence[tuple[Key, Key]]]]
"""Rows that stay when their records go: (record's key, own key), by relation."""


def remembered(
    machine: Machine, judge: Judge, acting: Acting, leaving: Leaving, loosened: Loosened
) -> tuple[bytes, tuple[HighWater, ...], tuple[Tombstones, ...], tuple[Suppressed, ...]]:
    """Return (aliases, high-water marks, tombstones, what is suppressed) of a batch."""
    every = [verdict for verdict, _, _ in acting]
    gone = every if judge.policy.only_deletes else [verdict for verdict, _, reason in acting if reason.action == DELETE]
    deleted = [(judge, gone), *leaving]
    days = _days([(judge, every), *leaving], going=False)
    # A record that is treated stays, so nobody may ever take it for one that went.
    went = _days(deleted, going=True)
    kept = (*days, *went, *_gone(machine, deleted), *_whose(machine, judge, acting, loosened), *_among(judge, acting))
    return _aliases(judge, acting), kept, _tombstones(machine, deleted), _suppressed(machine, deleted)


def _aliases(judge: Judge, acting: Acting) -> bytes:
    """Return, for every form of an identifier that is treated in a record that stays, the record's token and the identifier's.

    A case's number is no identifier, but holds are found by it too.
    """
    if judge.policy.only_deletes:
        return b""
    compared = dict(judge.policy.source.compared)
    secret, source = judge.standing.secret, judge.policy.source.name
    treated: dict[tuple[str, ...], list[Verdict]] = {}
    for verdict, _, reason in acting:
        treated.setdefault(reason.fields, []).append(verdict)
    pairs: list[bytes] = []
    for fields, verdicts in treated.items():
        for name in (each for each in fields if each in judge.standing.fields):
            values = [verdict.row[judge.position(name)] for verdict in verdicts]
            found: list[Sequence[bytes]] = [()] * len(values)
            if name in compared:
                found = tokens_of_identifiers(secret, compared[name], values)
            if name == judge.standing.case_field:
                found = [(*tokens, *case_tokens(secret, value)) for tokens, value in zip(found, values, strict=True)]
            named = [(verdict.key, token) for verdict, tokens in zip(verdicts, found, strict=True) for token in tokens]
            own = record_tokens(secret, source, [key for key, _ in named])
            pairs += [mine + token for mine, (_, token) in zip(own, named, strict=True)]
    return b"".join(pairs)


def _days(disposed: Leaving, *, going: bool) -> list[HighWater]:
    """Return the days that other sources' facts go on to count: those on which the records went, or those that stand in them."""
    return [
        each
        for judge, verdicts in disposed
        if (members := [each for each in judge.policy.source.contributing if each.going is going])
        for each in high_water(
            judge.policy.source, members, judge.standing.secret, judge.today, [(verdict.key, judge.values(verdict)) for verdict in verdicts]
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


def _whose(machine: Machine, judge: Judge, acting: Acting, loosened: Loosened) -> Iterator[HighWater]:
    """Yield whom rows are about that are cut loose from the records that said so: their own tokens with those of the record's identifiers.

    Also with the token of the record itself, to which aliases lead where its identifiers were treated before.
    """
    if not loosened:
        return
    secret, policy = judge.standing.secret, judge.policy
    rows = {verdict.key: verdict.row for verdict, _, _ in acting}
    for relation, pairs in loosened:
        theirs = machine.schedule.sources.get(relation.source or "")
        if theirs is None or not any(each.same_subject and each.source == policy.source.name for each in theirs.relations):
            continue
        found: dict[tuple[bytes, ...], Seen] = {}
        among: dict[tuple[bytes, ...], Seen] = {}
        for parent, own in pairs:
            said = [(comparison, judge.value(rows[parent], name)) for name, comparison in policy.source.compared]
            tokens = [token for each in said for token in identifier_tokens(secret, *each)]
            others = [token for each in said for token in several_tokens(secret, *each)]
            mine = record_token(secret, theirs.name, own)
            found[mine, record_token(secret, policy.source.name, parent), *tokens] = NOTHING
            if others:
                among[mine, *others] = NOTHING
        if found:
            yield HighWater(theirs.name, WHOSE, packed(found))
        if among:
            yield HighWater(theirs.name, AMONG, packed(among))


def _among(judge: Judge, acting: Acting) -> Iterator[HighWater]:
    """Yield whom identifiers named that are treated in records that stay, where one named several people."""
    if judge.policy.only_deletes:
        return
    secret, source = judge.standing.secret, judge.policy.source
    found: dict[tuple[bytes, ...], Seen] = {}
    for name, comparison in source.compared:
        verdicts = [verdict for verdict, _, reason in acting if name in reason.fields and name in judge.standing.fields]
        for place, tokens in naming_several(secret, comparison, [judge.value(verdict.row, name) for verdict in verdicts]):
            found[record_token(secret, source.name, verdicts[place].key), *tokens] = NOTHING
    if found:
        yield HighWater(source.name, AMONG, packed(found))


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
