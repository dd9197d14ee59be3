"""The examples of a policy: records with a known answer, decided by the same function that decides at night."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import assert_never

from worker.core.decide import Decision, Due, Held, Kept, Partly, Undecided, Waiting
from worker.core.decide import decide as decide_record
from worker.core.facts import Empty, Fact, FieldType, Known, NotApplicable, NotYet, Reading, Unknown
from worker.core.model import SEEN, Policy
from worker.core.purposes import Ended, NeverApplied, PurposeState, Running, Undetermined
from worker.core.sources import Function
from worker.core.standing import NOTHING, Request, Standing
from worker.policyfile.conditions import scalar
from worker.policyfile.document import Complaints, nearest, shortened
from worker.policyfile.policies import Entry
from worker.policyfile.positions import Path
from worker.policyfile.shape import ExampleShape

_ONE_DAY = dt.timedelta(days=1)
_MISSING: Mapping[str, Fact] = {
    Empty.UNKNOWN.value: Unknown("not known"),
    Empty.NOT_YET.value: NotYet(),
    Empty.NOT_APPLICABLE.value: NotApplicable(),
}
_ACTS = ("partly", "delete", "pseudonymise", "review")


def run(entry: Entry, complaints: Complaints) -> int:
    """Run every example of a sound policy, complain about each that does not come true, and return how many were run."""
    ran = 0
    decided: set[str] = set()
    for path, example in zip(entry.examples, entry.shape.examples, strict=True):
        before = len(complaints.problems)
        facts = _facts(entry, path, example, complaints)
        _check_question(path, example, complaints)
        if len(complaints.problems) == before:
            ran += 1
            failure = _failure(entry.policy, facts, _standing(example), example)
            decided.update(_deciding(entry.policy, facts, _standing(example), example))
            if failure:
                complaints.problem(path, failure, "Either the policy or the example is not what was meant.")
    for number, purpose in enumerate(entry.policy.purposes):
        if entry.examples and purpose.id not in decided and not complaints.troubled(entry.path):
            hint = "Add one with the day on which this purpose ends, or on which it alone keeps the record."
            complaints.warn((*entry.path, "purposes", number), "there is no example in which this purpose decides", hint)
    return ran


def _deciding(policy: Policy, facts: Mapping[str, Fact], standing: Standing, example: ExampleShape) -> Iterator[str]:
    """Yield the ids of the purposes that an example is about.

    With a due day those that end on it (a later step of a chain: those that ended last), and those that have waited too long when it is
    over; else those that keep the record on its day, or that are over when something happens to it.
    """
    if example.due is not None:
        after = decide_record(facts, policy, standing, example.due + _ONE_DAY)
        ends = {purpose.id: state.on for purpose, state in zip(policy.purposes, after.purposes, strict=True) if isinstance(state, Ended)}
        last = example.due if after.waiting or example.due in ends.values() else max(ends.values(), default=None)
        yield from after.waiting
        yield from (name for name, on in ends.items() if on == last)
    elif example.today is not None:
        decision = decide_record(facts, policy, standing, example.today)
        for purpose, state in zip(policy.purposes, decision.purposes, strict=True):
            over = isinstance(state, Ended) and not isinstance(decision.outcome, Kept)
            if over or isinstance(state, Running | Undetermined):
                yield purpose.id


def _failure(policy: Policy, facts: Mapping[str, Fact], standing: Standing, example: ExampleShape) -> str:
    """Return in words why an example does not come true, an empty text when it does."""
    if example.today is not None:
        decision = decide_record(facts, policy, standing, example.today)
        if _word(decision) == example.outcome:
            return ""
        return f"expected {example.outcome!r} on {example.today}, but it is {_said(policy, decision)}"
    assert example.due is not None
    wanted = (example.outcome,) if example.outcome is not None else ("delete", "pseudonymise", "review")
    act = " or ".join(wanted)
    on_due_day = decide_record(facts, policy, standing, example.due)
    if _word(on_due_day) in wanted:
        return f"expected to be kept through {example.due}, but on that day it is {_said(policy, on_due_day)}"
    next_day = decide_record(facts, policy, standing, example.due + _ONE_DAY)
    if _word(next_day) in wanted:
        return ""
    return f"expected {act!r} on {example.due + _ONE_DAY}, the day after its due day, but it is {_said(policy, next_day)}"


# --- What an example gives --------------------------------------------------------------------------------------------------------------


_A_DAY = "Write a day without quotes and without a time, such as 2026-01-31."
_WRITTEN = {
    FieldType.DATE: _A_DAY,
    FieldType.TIMESTAMP: _A_DAY,
    FieldType.NUMBER: "Write it without quotes, such as 3.",
    FieldType.BOOLEAN: "Write true or false, without quotes.",
    FieldType.TEXT: "Put it in quotes.",
}
"""How a known value is written, by the type of its fact."""


def _check_question(path: Path, example: ExampleShape, complaints: Complaints) -> None:
    """Check that an example asks one question: a due day, or an outcome on a day."""
    if (example.due is None) == (example.today is None):
        complaints.problem(path, "needs either `due`, or `outcome` with `today`")
    elif example.today is not None and example.outcome is None:
        complaints.problem(path, "needs an `outcome` for its `today`")
    elif example.due is not None and example.outcome is not None and example.outcome not in _ACTS:
        complaints.problem((*path, "outcome"), f"what follows a due day is one of {', '.join(_ACTS)}")
    elif example.due == dt.date.max:
        complaints.problem((*path, "due"), "no day lies after this one")


def _facts(entry: Entry, path: Path, example: ExampleShape, complaints: Complaints) -> dict[str, Fact]:
    """Return every fact that the policy decides by; what the example does not give is unknown."""
    facts: dict[str, Fact] = dict.fromkeys(entry.policy.deciding, Unknown("the example does not give it"))
    seen = [state.seen for _, state in entry.policy.states]
    facts.update(dict.fromkeys(seen, NotApplicable()))
    types = {**entry.facts.types, **dict.fromkeys(seen, FieldType.DATE)}
    for name, value in example.given.items():
        place = (*path, "given", name)
        if name in seen or entry.facts.known(place, name, complaints):
            fact = _missing(value, place, complaints) if isinstance(value, dict) else _fact(entry.policy, name, value)
            if fact is None and not isinstance(value, dict):
                complaints.problem(place, f"does not fit {name!r}, which is a {types[name].value}", _WRITTEN.get(types[name], ""))
            elif fact is not None:
                facts[name] = fact
    return facts


def _missing(value: Mapping[str, object], path: Path, complaints: Complaints) -> Fact | None:
    """Return the fact that `{ is = "not_yet" }` states."""
    state = value.get("is")
    if list(value) == ["is"] and isinstance(state, str) and state in _MISSING:
        return _MISSING[state]
    hint = nearest(state, _MISSING) if isinstance(state, str) else ""
    complaints.problem(path, f"must be a value, or {{ is = ... }} with one of {', '.join(_MISSING)}", hint)
    return None


def _fact(policy: Policy, name: str, value: object) -> Fact | None:
    """Return a value as the fact it would become if a system held it; None when it is of the wrong type."""
    if policy.source.shared_fact(name) is not None:
        return _read(Reading(FieldType.DATE, Empty.UNKNOWN, policy.zone), value)
    if name.startswith(SEEN):
        constant = scalar(value, FieldType.DATE)
        return Known(constant) if constant is not None else None
    aggregate = next((each for each in policy.source.aggregates if each.name == name), None)
    if aggregate is not None and aggregate.reading is None:
        kind = FieldType.NUMBER if aggregate.function is Function.COUNT else FieldType.BOOLEAN
        constant = scalar(value, kind)
        return Known(constant) if constant is not None else None
    reading = (aggregate or policy.source.mark(name) or policy.source.field(name)).reading
    return _read(reading, value) if reading is not None else None


def _read(reading: Reading, value: object) -> Fact | None:
    """Return a value as its field reads it. A day may stand for a timestamp; it is then the local day."""
    if isinstance(value, dt.datetime):
        return reading.fact(value, dt.date.max) if reading.type is FieldType.TIMESTAMP else None
    constant = scalar(value, reading.type)
    if constant is None:
        return None
    # No day is in the future here: an example is about a period, not about the day on which it happens to be read.
    as_day = replace(reading, type=FieldType.DATE) if reading.type is FieldType.TIMESTAMP else reading
    return as_day.fact(constant, dt.date.max)


def _standing(example: ExampleShape) -> Standing:
    """Return the standing that an example's request gives its record."""
    asked = example.request
    if asked is None:
        return NOTHING
    return Standing(
        requests=(
            Request(
                "example",
                asked.ask,
                asked.received,
                verified=not asked.unverified,
                consent=asked.consent,
                marketing=asked.marketing,
                upheld=asked.upheld,
            ),
        )
    )


# --- What was decided, in words ---------------------------------------------------------------------------------------------------------


def _word(decision: Decision) -> str:
    """Return a decision as one of the words an example may expect."""
    match decision.outcome:
        case Kept():
            return "undetermined" if decision.undetermined else "review" if decision.waiting else "kept"
        case Partly():
            return "partly"
        case Due(kind):
            return kind.value
        case Waiting():
            return "kept"
        case Undecided():
            return "undetermined"
        case Held():
            return "held"
        case other:
            assert_never(other)


def _said(policy: Policy, decision: Decision) -> str:
    """Return a decision with its reasons, in one line."""
    reasons = [f"{purpose.id} {_state(state)}" for purpose, state in zip(policy.purposes, decision.purposes, strict=True)]
    if isinstance(decision.outcome, Undecided):
        reasons.append(decision.outcome.why)
    if decision.uncovered:
        reasons.append(f"uncovered: {', '.join(decision.uncovered)}")
    return f"{shortened(_word(decision))} ({'; '.join(reasons)})"


def _state(state: PurposeState) -> str:
    """Return the state of a purpose in words."""
    match state:
        case Running(None, why, dt.date() as since):
            return f"runs ({why}, and {since} lies longer ago than it may take)"
        case Running(until, why):
            return f"runs until {until} ({why})" if until is not None else f"runs ({why})"
        case Ended(on, why):
            return f"ended on {on} ({why})"
        case NeverApplied(why):
            return f"never applied ({why})"
        case Undetermined(why):
            return f"is undetermined ({why})"
        case other:
            assert_never(other)
