"""What differs between two versions of a policy, in words: only what changes a decision or a write, as the digest sees it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import Enum
from typing import Any

from worker.core.conditions import Compare, Either, Every, Negated
from worker.core.model import Disposition, Policy, Purpose, Source, StartEvent
from worker.core.periods import NO_TIME, Anchor, FiscalYear, Term
from worker.policyfile.normalform import differing
from worker.policyfile.retention import condition_in_words, purpose_in_words, start_in_words

_NAMES = {"term": "keep", "dispositions": "disposition", "zone": "time zone"}
"""How a member is called in the policy file, where the model has another word for it."""


def changes(old: Policy, new: Policy) -> tuple[str, ...]:
    """Return one line for every purpose that came, went or changed, and one for everything else of a policy that changed."""
    return (*_purposes(old.purposes, new.purposes), *_rest(old, new))


def _purposes(old: Sequence[Purpose], new: Sequence[Purpose]) -> Iterator[str]:
    """Yield a line for every purpose that is not the same, in the new order, those that are gone last."""
    before = {each.id: each for each in old}
    for each in new:
        if each.id not in before:
            yield f"purpose {each.id} is new: {purpose_in_words(each)}"
        elif lines := _members(before[each.id], each):
            yield f"purpose {each.id}: {'; '.join(lines)}"
    after = {each.id for each in new}
    for each in old:
        if each.id not in after:
            yield f"purpose {each.id} is gone: {purpose_in_words(each)}"


def _rest(old: Policy, new: Policy) -> Iterator[str]:
    """Yield a line for every other member of a policy that is not the same; of the source only the names of what changed."""
    yield from _members(old, new, without=("source", "purposes"))
    for member in differing(old.source, new.source):
        names = _named(old.source, new.source, member)
        yield f"source: {member}{f' ({names})' if names else ''} declared otherwise"


def _named(old: Source, new: Source, member: str) -> str:
    """Return the names of the fields, facts or relations that are not the same."""
    lists = [getattr(each, member) for each in (old, new)]
    if not all(isinstance(each, tuple) and all(hasattr(one, "name") for one in each) for each in lists):
        return ""
    before, after = ({each.name: each for each in one} for one in lists)
    names = dict.fromkeys((*before, *after))
    return ", ".join(name for name in names if name not in before or name not in after or differing(before[name], after[name]))


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
        case None | ():
            return "none"
        case bool():
            return "yes" if value else "no"
        case Enum():
            return str(value.value)
        case Term(period, anchor):
            return str(period) if anchor is Anchor.DAY else f"{period} from the {anchor.value.replace('_', ' ')}"
        case FiscalYear(month, day):
            return f"{month:02}-{day:02}"
        case StartEvent():
            return start_in_words(value)
        case Compare() | Every() | Either() | Negated():
            return condition_in_words(value)
        case Disposition(steps, when):
            then = ", then ".join(each.kind.value + (f" after {each.after}" if each.after != NO_TIME else "") for each in steps)
            return then if when is None else f"{then} when {condition_in_words(when)}"
        case tuple():
            return ", ".join(_said(each) for each in value)
        case _:
            return str(value)
