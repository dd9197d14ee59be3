"""What differs between two versions of a policy, in words: only what changes a decision or a write, as the digest sees it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from enum import Enum
from typing import Any

from worker.core.conditions import Compare, Either, Every, Negated
from worker.core.declarations import Attestation, Gap, PeriodicReview
from worker.core.facts import Empty
from worker.core.model import Disposition, Policy, Purpose, Schedule, StartEvent, StateEnd, Step
from worker.core.periods import NO_TIME, Anchor, FiscalYear, Term
from worker.core.sources import GONE, Consent, Mark, Member, SharedFact, Source
from worker.policyfile.normalform import differing
from worker.policyfile.retention import condition_in_words, earlier_in_words, purpose_in_words, start_in_words

_NAMES = {
    "term": "keep",
    "consents": "consent",
    "dispositions": "disposition",
    "zone": "time zone",
    "fiscal_year": "fiscal year",
}
"""How a member is called in the policy file, where the model has another word for it."""

_STATED = {"consents": "consent", "shared": "fact", "marks": "fact"}
"""What of a source is said in words, and what one of it is called."""
_LISTS = {"aggregates": "facts", "shared": "facts over several sources", "marks": "facts that people set"}
"""How a list of a source is called in the policy file, where the model has another word for it."""


def changes(old: Policy, new: Policy) -> tuple[str, ...]:
    """Return one line for every purpose that came, went or changed, and one for everything else of a policy that changed."""
    return (*_purposes(old.purposes, new.purposes), *_rest(old, new))


def _purposes(old: Sequence[Purpose], new: Sequence[Purpose]) -> Iterator[str]:
    """Yield a line for every purpose that is not the same, in the new order, those that are gone last."""
    before = {each.id: each for each in old}
    for each in new:
        if each.id not in before:
            yield f"purpose {each.id} is new: {purpose_in_words(each)}"
        elif lines := [*_keep(before[each.id], each), *_members(before[each.id], each, without=("term",))]:
            yield f"purpose {each.id}: {'; '.join(lines)}"
    after = {each.id for each in new}
    for each in old:
        if each.id not in after:
            yield f"purpose {each.id} is gone: {purpose_in_words(each)}"


def _keep(old: Purpose, new: Purpose) -> Iterator[str]:
    """Yield how the period of a purpose changed, by its name where it has one; the fiscal year in it is told once, for the policy."""
    before, after = (_said(each.term) if each.term is not None else "indefinite" for each in (old, new))
    if before != after:
        names = [f" ({each.period_name})" if each.period_name else "" for each in (old, new)]
        yield f"keep {before}{names[0]} -> {after}{names[1]}"
    before, after = (earlier_in_words(each.term) if each.term is not None else "" for each in (old, new))
    if before != after:
        yield f"was {before or 'none'} -> {after or 'none'}"


def _rest(old: Policy, new: Policy) -> Iterator[str]:
    """Yield a line for every other member of a policy that is not the same; of most of the source only the names of what changed."""
    yield from _members(old, new, without=("source", "purposes"))
    before, after = (replace(each.source, shared=each.shared) for each in (old, new))
    for member in differing(before, after):
        changed = _changed(before, after, member)
        if member in _STATED and all(_said(one) != _said(other) for _, one, other in changed):
            yield from (f"{_STATED[member]} {name}: {_said(one)} -> {_said(other)}" for name, one, other in changed)
        else:
            names = ", ".join(name for name, _, _ in changed)
            yield f"source: {_LISTS.get(member, member)}{f' ({names})' if names else ''} declared otherwise"


def _changed(old: Source, new: Source, member: str) -> list[tuple[str, object, object]]:
    """Return the fields, facts, consents or relations that are not the same: name, what it was, what it is, None where there was none."""
    lists = [getattr(each, member) for each in (old, new)]
    if not all(isinstance(each, tuple) and all(hasattr(one, "name") for one in each) for each in lists):
        return []
    before, after = ({each.name: each for each in one} for one in lists)
    pairs = [(name, before.get(name), after.get(name)) for name in dict.fromkeys((*before, *after))]
    return [(name, one, other) for name, one, other in pairs if one is None or other is None or differing(one, other)]


def _members(old: object, new: object, without: Sequence[str] = ()) -> list[str]:
    """Return for every member that differs: name, what it was, what it is."""
    return [
        f"{_NAMES.get(name, name)} {_said(getattr(old, name))} -> {_said(getattr(new, name))}"
        for name in differing(old, new)
        if name not in without
    ]


def _said(value: Any) -> str:
    """Return a value of a policy in the words of the policy file."""
    match value:
        case None | () | "":
            return "none"
        case bool():
            return "yes" if value else "no"
        case Enum():
            return str(value.value)
        case Term(period, anchor):
            return str(period) if anchor is Anchor.DAY else f"{period} from the {anchor.value.replace('_', ' ')}"
        case FiscalYear(month, day, odd):
            return f"{month:02}-{day:02}{', except' if odd else ''}{','.join(f' {first} to {last}' for first, last in odd)}"
        case Consent(_, given, withdrawn):
            return f"given {given}" + (f", withdrawn {withdrawn}" if withdrawn is not None else "")
        case SharedFact(_, members, none):
            days = ", ".join(f"{member.source}.{day.name.removeprefix(GONE)}{_where(member)}" for member in members for day in member.days)
            return f"the {'end' if value.going else 'latest'} of {days}{_without(none)}"
        case Mark(_, mark, reading):
            planned = ", days ahead are meant" if reading.planned else ""
            return f"the mark {mark}{_without(reading.empty)}{planned}"
        case StartEvent() | StateEnd():
            return start_in_words(value)
        case Compare() | Every() | Either() | Negated():
            return condition_in_words(value)
        case Disposition(steps, when):
            then = ", then ".join(_said(each) for each in steps)
            return then if when is None else f"{then} when {condition_in_words(when)}"
        case Step(kind, after, every):
            return kind.value + (f" after {after}" if after != NO_TIME else "") + (f" every {every}" if every is not None else "")
        case tuple():
            return ", ".join(_said(each) for each in value)
        case _:
            return str(value)


def _where(member: Member) -> str:
    """Return which records of a member count, to stand behind its day; empty when all do."""
    return f" (where {condition_in_words(member.when)})" if member.when is not None else ""


def _without(none: Empty) -> str:
    """Return what it means that a fact has no value, where that is not simply unknown."""
    return f", {none.value.replace('_', ' ')} without any" if none is not Empty.UNKNOWN else ""


# --- What no server can enforce ---------------------------------------------------------------------------------------------------------


def declared_changes(old: Schedule, new: Schedule) -> tuple[str, ...]:
    """Return one line for the audit trail's own period, and for every attestation, periodic review and gap that came, went or changed.

    Those that are gone stand last. All of it is for people, so every member counts; what became of another kind is gone and new.
    """
    before, after = (_declared(each) for each in (old, new))
    kept = (each.audit_keep or "for ever" for each in (old, new))
    return (
        *(("audit trail: keep {} -> {}".format(*kept),) if old.audit_keep != new.audit_keep else ()),
        *(f"{name} is new: {each.what}" for name, each in after.items() if name not in before),
        *(f"{name}: {'; '.join(_members(before[name], each))}" for name, each in after.items() if each != before.get(name, each)),
        *(f"{name} is gone: {each.what}" for name, each in before.items() if name not in after),
    )


def _declared(schedule: Schedule) -> Mapping[str, Attestation | PeriodicReview | Gap]:
    """Return everything that is declared because no server can enforce it, by kind and id."""
    return {
        **{f"attestation {each.id}": each for each in schedule.attestations},
        **{f"review {each.id}": each for each in schedule.reviews},
        **{f"gap {each.id}": each for each in schedule.gaps},
    }
