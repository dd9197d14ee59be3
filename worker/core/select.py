"""What a source has to be asked for: a selection that may hold too much but never misses what `decide` would act on or report.

A selection is a tree of comparisons with constants, without negation, so a connector may replace any part by something wider (in the end by
`Everything`) and the promise still holds. `due` leaves out what has nothing left to treat; `undetermined` finds what a person must look at.

Whether a consent came too late is a comparison of two facts, which no selection can say: every record with that consent is selected.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from typing import assert_never

from worker.core.conditions import Compare, Condition, Either, Every, Negated, Op
from worker.core.facts import Empty, Reading
from worker.core.model import Combine, DispositionKind, Policy, Purpose, StartEvent, StateEnd
from worker.core.periods import NO_TIME, Period, cutoff
from worker.core.sources import Aggregate, Field, Function, Source


@dataclass(frozen=True, slots=True)
class Union:
    """Records that at least one part selects; none when there are no parts."""

    of: tuple[Selection, ...]


@dataclass(frozen=True, slots=True)
class Intersection:
    """Records that every part selects; all when there are no parts."""

    of: tuple[Selection, ...]


@dataclass(frozen=True, slots=True)
class OnOrBefore:
    """The fact is a local day not after `day` (over children: for `latest` the latest, for `earliest` the earliest of them)."""

    fact: str
    day: dt.date


@dataclass(frozen=True, slots=True)
class Absent:
    """The fact is empty, or has no rows behind it."""

    fact: str


@dataclass(frozen=True, slots=True)
class Suspect:
    """The fact may be unknown: empty where that is not declared, unparsable, a placeholder, too early, or later than `today`.

    A timestamp is a placeholder when its day is one as it was written, in UTC or in the organisation's zone.
    """

    fact: str
    today: dt.date


@dataclass(frozen=True, slots=True)
class Compares:
    """A comparison is true (the fact is there)."""

    comparison: Compare


@dataclass(frozen=True, slots=True)
class Holding:
    """The field holds something that its treatment would change."""

    field: str


Selection = Union | Intersection | OnOrBefore | Absent | Suspect | Compares | Holding

EVERYTHING = Intersection(())
NOTHING = Union(())


def due(policy: Policy, today: dt.date) -> Selection:
    """Return the selection of everything that a policy may act on, on a local day of the organisation; nothing before it is in force."""
    if not policy.in_force(today):
        return NOTHING
    parts: list[Selection] = [
        _all(_field_due(policy, positions, today, after) for positions in _groups(policy))
        for after in _steps(policy, DispositionKind.DELETE, DispositionKind.REVIEW)
    ]
    if not policy.only_deletes:
        holding: dict[tuple[tuple[int, ...], ...], list[Selection]] = {}
        for field in policy.treatable:
            holders = policy.purposes_of.get(field.name)
            holding.setdefault(tuple(_groups(policy)) if holders is None else (holders,), []).append(Holding(field.name))
        # Fields that rest on the same purposes are due together: asked once, and before what they hold, which costs a system more.
        parts.extend(
            _all([*(_field_due(policy, positions, today, NO_TIME) for positions in needed), _any(held)]) for needed, held in holding.items()
        )
    return _visible(_any(parts), policy)


def undetermined(policy: Policy, today: dt.date) -> Selection:
    """Return the selection of records that a person must look at.

    Those that an unknown fact leaves open, that wait for an event longer than they should, or that no purpose covers although the policy
    lists purposes.
    """
    if not policy.in_force(today):
        return NOTHING
    parts: list[Selection] = []
    for purpose in policy.purposes:
        names = [*(_readable(purpose) if purpose.term else ()), *_consent_facts(policy.source, purpose)]
        suspects: list[Selection] = [Suspect(name, today) for name in names]
        if isinstance(purpose.start, StateEnd) and purpose.term:
            suspects.append(_unknown(purpose.start.condition, today))
        parts.append(_all([_may_be(purpose.when, wanted=True, today=today), _any([*suspects, _waiting(policy.source, purpose, today)])]))
        parts.append(_unknown(purpose.when, today))
    parts.extend(
        _all(_never_applied(policy, policy.purposes[position], today) for position in positions)
        for positions in _groups(policy)
        if positions
    )
    return _visible(_any(parts), policy)


def ended_states(policy: Policy, today: dt.date) -> Selection:
    """Return the selection of records in which a state, from whose end a period runs, may have ended or may be unknown."""
    conditions = [state.condition for _, state in policy.states]
    parts = [part for each in conditions for part in (_may_be(each, wanted=False, today=today), _unknown(each, today))]
    return _visible(_any(parts), policy)


def _readable(purpose: Purpose) -> tuple[str, ...]:
    """Return the start facts of a purpose that may be unknown: what was seen of a state is seen, or not there."""
    start = purpose.start
    if isinstance(start, StateEnd):
        return () if start.ended is None else (start.ended,)
    return start.facts if start is not None else ()


def _visible(selection: Selection, policy: Policy) -> Selection:
    """Return a selection widened to everything wherever it asks for a fact that no system can see from inside one source."""
    match selection:
        case Union(of):
            return _any(_visible(part, policy) for part in of)
        case Intersection(of):
            return _all(_visible(part, policy) for part in of)
        case Holding():
            return selection
        case _:
            name = selection.comparison.fact if isinstance(selection, Compares) else selection.fact
            return selection if policy.visible(name) else EVERYTHING


def _steps(policy: Policy, *kinds: DispositionKind) -> list[Period]:
    """Return the different extra periods of the chain steps of some kinds."""
    steps = (step for disposition in policy.dispositions for step in disposition.steps if step.kind in kinds)
    return list(dict.fromkeys(step.after for step in steps))


def _groups(policy: Policy) -> list[tuple[int, ...]]:
    """Return the different sets of purposes that personal fields rest on."""
    return list(dict.fromkeys(policy.purposes_of.values()))


def _field_due(policy: Policy, positions: Iterable[int], today: dt.date, extra: Period) -> Selection:
    """Select records in which a field that rests on these purposes is due: one has ended and every other has ended or never applied."""
    purposes = [policy.purposes[position] for position in positions]
    ended = [_ended(policy.source, purpose, today, extra) for purpose in purposes]
    settled = [_any([ends, _never_applied(policy, purpose, today)]) for purpose, ends in zip(purposes, ended, strict=True)]
    return ended[0] if len(ended) == 1 else _all([_any(ended), *settled])


def _ended(source: Source, purpose: Purpose, today: dt.date, extra: Period) -> Selection:
    """Select records for which a purpose has ended by its own period or by a withdrawal of a consent that was given."""
    consents = source.consents_named(purpose.consents)
    ends_of = [each.withdrawn for each in consents if each.withdrawn is not None]
    last = cutoff(extra.after, today) if ends_of else None
    withdrawn = [OnOrBefore(name, last) for name in ends_of if last is not None]
    ends = _any([_over(source, purpose, today, extra), *withdrawn])
    return _all([_may_be(purpose.when, wanted=True, today=today), *(_there(each.given) for each in consents), ends])


def _over(source: Source, purpose: Purpose, today: dt.date, extra: Period) -> Selection:
    """Select records for which a purpose's own period is over; an absent member counts only where it may not apply."""
    if purpose.start is None or purpose.term is None:
        return NOTHING
    latest = purpose.term.longer(extra).cutoff(today)
    if latest is None:
        return NOTHING
    if isinstance(purpose.start, StateEnd):
        over = _may_be(purpose.start.condition, wanted=False, today=today)
        # Where no end is declared the day it was first seen counts, which no connector knows.
        days = [part for name in _readable(purpose) for part in (OnOrBefore(name, latest), Absent(name))]
        return _all([_may_be(purpose.when, wanted=True, today=today), over, _any(days) if days else EVERYTHING])
    happened = [OnOrBefore(name, latest) for name in purpose.start.facts]
    if purpose.start.combine is Combine.EARLIEST_OF or len(happened) == 1:
        return _any(happened)
    optional = purpose.start.combine is Combine.LATEST_OF
    members = (_any([each, Absent(each.fact)]) if optional and _may_not_apply(source, each.fact) else each for each in happened)
    return _all([_any(happened), *members])


def _waiting(source: Source, purpose: Purpose, today: dt.date) -> Selection:
    """Select records for which a purpose waits for its start event although its known days lie longer ago than it may take."""
    if purpose.start is None or purpose.patience is None:
        return NOTHING
    names, latest = purpose.start.facts, cutoff(purpose.patience.due, today)
    open_ = [Absent(name) for name in names if Empty.NOT_YET in source.absences(name)]
    if latest is None or not open_:
        return NOTHING
    known = [OnOrBefore(name, latest) for name in (*names, purpose.since) if name is not None]
    return _all([_any(open_), _any(known), *(_any([Absent(name), OnOrBefore(name, latest)]) for name in names)])


def _never_applied(policy: Policy, purpose: Purpose, today: dt.date) -> Selection:
    """Select records to which a purpose may never have applied."""
    parts = [] if purpose.when is None else [_may_be(purpose.when, wanted=False, today=today)]
    consents = policy.source.consents_named(purpose.consents)
    parts.extend(Absent(each.given) for each in consents if policy.source.absences(each.given) != {Empty.UNKNOWN})
    if purpose.extends is not None:
        parts.append(_never_applied(policy, policy.purpose(purpose.extends), today))
        parts.append(_all(_there(each.given) for each in consents))
    if isinstance(purpose.start, StartEvent) and purpose.term is not None:
        absent = [Absent(name) for name in purpose.start.facts if _may_not_apply(policy.source, name)]
        everyone = len(absent) == len(purpose.start.facts)
        if purpose.start.combine is Combine.ALL_OF:
            parts.append(_any(absent))
        elif everyone:
            parts.append(_all(absent))
    return _any(parts)


def _consent_facts(source: Source, purpose: Purpose) -> list[str]:
    """Return the names of the facts that state the consents of a purpose."""
    return [name for each in source.consents_named(purpose.consents) for name in (each.given, each.withdrawn) if name is not None]


def _there(fact: str) -> Selection:
    """Select records for which a fact is known."""
    return Compares(Compare(fact, Op.EXISTS, (True,)))


def _may_not_apply(source: Source, fact: str) -> bool:
    """Whether a fact can be *not applicable*: only where the policy declares what emptiness means."""
    return Empty.NOT_APPLICABLE in source.absences(fact)


def definition(source: Source, fact: str) -> Field | Aggregate:
    """Return the field or aggregate that a fact's name stands for; KeyError when there is neither.

    These are what a connector can be asked for; marks and facts over several sources are not among them.
    """
    for aggregate in source.aggregates:
        if aggregate.name == fact:
            return aggregate
    return source.field(fact)


def reading(source: Source, fact: str) -> Reading | None:
    """Return how values of a fact are read; None for counts and existence."""
    declared = definition(source, fact)
    if isinstance(declared, Aggregate) and declared.function in (Function.COUNT, Function.EXISTS):
        return None
    return declared.reading


_OPPOSITE = {Op.EQ: Op.NE, Op.NE: Op.EQ, Op.LT: Op.GE, Op.GE: Op.LT, Op.GT: Op.LE, Op.LE: Op.GT, Op.IN: Op.NOT_IN, Op.NOT_IN: Op.IN}


def _may_be(condition: Condition | None, *, wanted: bool, today: dt.date) -> Selection:
    """Select records for which a condition may have a truth value; unknown facts are not included."""
    match condition:
        case None:
            return EVERYTHING if wanted else NOTHING
        case Compare(fact, Op.EXISTS, values):
            return Compares(Compare(fact, Op.EXISTS, (True,))) if (values == (True,)) is wanted else Absent(fact)
        case Compare(fact, op, values):
            return Compares(condition) if wanted else _any([Compares(Compare(fact, _OPPOSITE[op], values)), Absent(fact)])
        case Negated(part):
            return _may_be(part, wanted=not wanted, today=today)
        case Every(of):
            parts = [_may_be(part, wanted=wanted, today=today) for part in of]
            return _all(parts) if wanted else _any(parts)
        case Either(of):
            parts = [_may_be(part, wanted=wanted, today=today) for part in of]
            return _any(parts) if wanted else _all(parts)
        case _:
            assert_never(condition)


def _unknown(condition: Condition | None, today: dt.date) -> Selection:
    """Select records for which a condition may be unknown: any of its facts may be."""
    match condition:
        case None:
            return NOTHING
        case Compare(fact):
            return Suspect(fact, today)
        case Negated(part):
            return _unknown(part, today)
        case Every(of) | Either(of):
            return _any(_unknown(part, today) for part in of)
        case _:
            assert_never(condition)


def _any(parts: Iterable[Selection]) -> Selection:
    """Return the union of selections, simplified."""
    kept: dict[Selection, None] = {}
    for part in parts:
        kept.update(dict.fromkeys(part.of if isinstance(part, Union) else (part,)))
    if EVERYTHING in kept:
        return EVERYTHING
    return next(iter(kept)) if len(kept) == 1 else Union(tuple(kept))


def _all(parts: Iterable[Selection]) -> Selection:
    """Return the intersection of selections, simplified."""
    kept: dict[Selection, None] = {}
    for part in parts:
        kept.update(dict.fromkeys(part.of if isinstance(part, Intersection) else (part,)))
    if NOTHING in kept:
        return NOTHING
    return next(iter(kept)) if len(kept) == 1 else Intersection(tuple(kept))


def union(*parts: Selection) -> Selection:
    """Return the selection of what any of the parts selects."""
    return _any(parts)
