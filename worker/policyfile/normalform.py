"""The digest of a policy: what an approval is given for, and what tells that a policy has changed since.

It is taken over a normal form of everything a decision or a write depends on, and of nothing else: comments, descriptions,
clauses, owners, recipients, names of periods, examples and the order in which fields, facts or purposes stand change nothing. A value
that equals its default in `worker.core.model` is left out, so that a later version with one more thing to declare does not ask for every
approval again; whoever changes a default, or the meaning of a word, must raise FORM.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import json
from collections.abc import Mapping
from decimal import Decimal
from enum import Enum
from typing import Any
from zoneinfo import ZoneInfo

from worker.core.conditions import facts_of
from worker.core.model import Policy, Purpose, StateEnd
from worker.core.periods import Period
from worker.core.sources import Aggregate, Field, Mark

FORM = 1
"""The version of the normal form; a digest of one form never equals one of another."""

_LEFT_OUT = frozenset(
    {
        *(("Policy", each) for each in ("digest", "description", "clause", "statement", "version", "owner", "lead")),
        *(("Source", each) for each in ("controller_name", "backups", "recipients", "label")),
        *(("Purpose", each) for each in ("description", "period_name", "recipients", "label")),
        *((kind, each) for kind in ("Field", "Aggregate") for each in ("label", "values")),
        ("Step", "owner"),
        *((kind, "label") for kind in ("Consent", "SharedFact", "Mark")),
        ("Term", "bound"),
    }
)
"""What is for people or for views, the digest itself, and a term's bound, which is that of its purpose."""
_UNORDERED = frozenset(
    {
        ("Policy", "purposes"),
        ("Policy", "categories"),
        ("Purpose", "fields"),
        ("StartEvent", "facts"),
        ("Source", "fields"),
        ("Source", "aggregates"),
        ("Source", "relations"),
        ("Source", "consents"),
        ("Purpose", "consents"),
        ("Source", "marks"),
        ("Source", "unchanging"),
        ("Suppression", "fields"),
        ("Relation", "children"),
        ("Relation", "recount"),
        ("Recount", "where"),
        ("Aggregate", "where"),
        ("Source", "shared"),
        ("SharedFact", "members"),
        ("Member", "days"),
        ("Member", "identifiers"),
        ("Member", "facts"),
    }
)


def digest(policy: Policy) -> str:
    """Return `sha256:` and the hexadecimal SHA-256 of the policy's normal form, its source and its calendar included.

    A fact over several sources belongs to every policy that uses it, and to no other one, whoever takes part in it.
    """
    policy = dataclasses.replace(policy, source=dataclasses.replace(policy.source, shared=policy.shared))
    text = _json({"form": FORM, "policy": _normal(policy)})
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def differing(old: object, new: object) -> tuple[str, ...]:
    """Return the names of the members in which two values of one class of the model differ, what is only for people left out."""
    before, after = _members(old), _members(new)
    return tuple(each.name for each in dataclasses.fields(new) if before.get(each.name) != after.get(each.name))  # type: ignore[arg-type]


def state_name(policy: Policy, purpose: Purpose) -> str:
    """Return the name under which is kept when the state of a purpose was seen to have ended.

    It changes with the condition and with how its facts are read: what was seen of another state says nothing about this one.
    """
    if not isinstance(purpose.start, StateEnd):
        raise TypeError(f"{purpose.id} runs from no state")
    state = purpose.start.condition
    names = sorted(set(facts_of(state)))
    of_source: tuple[Field | Aggregate | Mark, ...] = (*policy.source.fields, *policy.source.aggregates, *policy.source.marks)
    read = sorted((each for each in of_source if each.name in names), key=lambda each: each.name)
    text = _json({"form": FORM, "state": _normal((state, *read))})
    return f"{purpose.id}:{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def _normal(value: Any) -> Any:
    """Return a value in JSON's types, such that equal values and only those are written alike."""
    match value:
        case Period():
            return {"period": str(value)}
        case ZoneInfo():
            return {"zone": value.key}
        case Enum():
            return value.value
        case Decimal():
            return {"number": str(value)}
        case dt.date():
            return {"day": value.isoformat()}
        case tuple():
            return [_normal(each) for each in value]
        case Mapping():
            return {"table": {str(key): _normal(each) for key, each in value.items()}}
        case None | bool() | int() | str():
            return value
    return _members(value)


def _members(value: Any) -> dict[str, Any]:
    """Return a dataclass by its members that differ from their defaults, under the name of its class."""
    kind = type(value).__name__
    members: dict[str, Any] = {"is": kind}
    for member in dataclasses.fields(value):
        each = getattr(value, member.name)
        factory = member.default_factory
        default = factory() if factory is not dataclasses.MISSING else member.default
        if (kind, member.name) in _LEFT_OUT or each == default:
            continue
        normal = _normal(each)
        members[member.name] = sorted(normal, key=_json) if (kind, member.name) in _UNORDERED else normal
    return members
