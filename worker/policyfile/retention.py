"""For every personal field: what decides how long it is kept, in words that need no knowledge of the file."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import assert_never

from worker.core.conditions import Compare, Condition, Either, Every, Negated, Op
from worker.core.model import Combine, Policy, Purpose, StartEvent, StateEnd
from worker.core.periods import NO_TIME, Anchor, Bound, Term
from worker.core.sources import Treatment, TreatmentKind

_ANCHORS = {
    Anchor.DAY: "{}",
    Anchor.END_OF_MONTH: "the end of the month of {}",
    Anchor.END_OF_CALENDAR_YEAR: "the end of the calendar year of {}",
    Anchor.END_OF_FISCAL_YEAR: "the end of the fiscal year of {}",
}
_COMBINED = {
    Combine.LATEST_OF: "the latest of {}",
    Combine.EARLIEST_OF: "the earliest of {}",
    Combine.ALL_OF: "the day on which all of {} have happened",
}
_SIGNS = {
    Op.EQ: "is",
    Op.NE: "is not",
    Op.LT: "<",
    Op.LE: "<=",
    Op.GT: ">",
    Op.GE: ">=",
    Op.IN: "is one of",
    Op.NOT_IN: "is none of",
}


INCOMPLETE = "(incomplete: what it does not recognise stays)"
"""Behind a treatment that no program can carry out completely."""


@dataclass(frozen=True, slots=True)
class Line:
    """One personal field of one policy.

    purposes -- each purpose that lists it, in words; treatment -- what happens to it when it is due and its record stays; effective -- the
    first day on which any of it counts, None for always; text -- the whole in one sentence.
    """

    policy: str
    field: str
    purposes: tuple[str, ...]
    treatment: str
    effective: dt.date | None = None

    @property
    def text(self) -> str:
        """The line as a sentence: which purpose decides, and a treatment that can't be complete."""
        name = f"{self.policy}.{self.field}"
        told = f"; treatment: {self.treatment}" if self.treatment.endswith(INCOMPLETE) else ""
        if not self.purposes:
            return f"{name}: no purpose of its own{told}"
        decides = "decides" if len(self.purposes) == 1 else "the one that ends last decides"
        since = f" from {self.effective} on" if self.effective is not None else ""
        return f"{name}: {'; '.join(self.purposes)} - {decides}{since}{told}"


def lines(policy: Policy) -> Iterator[Line]:
    """Yield one line for every personal field, in declared order."""
    for field in policy.source.personal:
        treatment = "" if field.treatment is None else treatment_in_words(field.treatment)
        positions = policy.purposes_of.get(field.name, ())
        yield Line(policy.id, field.name, tuple(purpose_in_words(policy.purposes[each]) for each in positions), treatment, policy.effective)


def treatment_in_words(treatment: Treatment) -> str:
    """Return a treatment as: its kind, and what it writes, leaves or looks for."""
    match treatment.kind:
        case TreatmentKind.CONSTANT:
            return f"constant {treatment.value!r}"
        case TreatmentKind.GENERALISE:
            size = f" {treatment.size}" if treatment.size else ""
            return f"generalise {treatment.coarse}{size}"
        case TreatmentKind.SCRUB:
            return f"scrub of {', '.join((*treatment.beside, 'recognisable forms'))} {INCOMPLETE}"
        case kind:
            return kind.value


def purpose_in_words(purpose: Purpose) -> str:
    """Return a purpose as: id, period, start event, condition, consents."""
    if purpose.term is None or purpose.start is None:
        kept = "without an end of its own"
    else:
        bound = "at least" if purpose.bound is Bound.FLOOR else "at most"
        named = f" ({purpose.period_name})" if purpose.period_name else ""
        kept = f"{bound} {purpose.term.period}{named} from {_ANCHORS[purpose.term.anchor].format(start_in_words(purpose.start))}"
        kept += promises_in_words(purpose.term)
        kept += _waited_in_words(purpose)
    when = f", when {condition_in_words(purpose.when)}" if purpose.when is not None else ""
    rests = f", while the consent {' and '.join(purpose.consents)} stands" if purpose.consents else ""
    in_time = f", if it was given before the end of {purpose.extends}" if purpose.extends is not None else ""
    return f"{purpose.id} ({purpose.basis.value}): {kept}{when}{rests}{in_time}"


def _waited_in_words(purpose: Purpose) -> str:
    """Return from when on and for how long an event is waited for, where the purpose says so."""
    if purpose.since is None and purpose.waits is None:
        return ""
    since = f" from {purpose.since} on" if purpose.since is not None else ""
    return f", waited for{since}{f' for {purpose.waits}' if purpose.waits is not None else ''}"


def promises_in_words(term: Term) -> str:
    """Return what was promised before, to stand behind the present period; empty when it was always the same."""
    return f" (before: {earlier_in_words(term)})" if term.was else ""


def earlier_in_words(term: Term) -> str:
    """Return what was promised before; empty when it was always the same."""
    meant = "what was over on" if term.stretch else "events through"
    return ", ".join(f"{each.period} for {meant} {each.through}" for each in term.was)


def start_in_words(start: StartEvent | StateEnd) -> str:
    """Return a start event in words."""
    if isinstance(start, StateEnd):
        declared = f", by {start.ended} or when it is first seen" if start.ended is not None else ", when it is first seen"
        settling = f" (settled after {start.settling})" if start.settling != NO_TIME else ""
        return f"the end of: {condition_in_words(start.condition)}{declared}{settling}"
    return start.facts[0] if len(start.facts) == 1 else _COMBINED[start.combine].format(", ".join(start.facts))


def condition_in_words(condition: Condition) -> str:
    """Return a condition in words."""
    match condition:
        case Compare(fact, Op.EXISTS, values):
            return f"{fact} is there" if values == (True,) else f"{fact} is not there"
        case Compare(fact, op, values):
            return f"{fact} {_SIGNS[op]} {', '.join(str(value).lower() if isinstance(value, bool) else str(value) for value in values)}"
        case Every(of):
            return " and ".join(_bracketed(part) for part in of) or "always"
        case Either(of):
            return " or ".join(_bracketed(part) for part in of) or "never"
        case Negated(part):
            return f"not ({condition_in_words(part)})"
        case other:
            assert_never(other)


def _bracketed(condition: Condition) -> str:
    """Return a part of a condition, in brackets when it has parts itself."""
    return condition_in_words(condition) if isinstance(condition, Compare | Negated) else f"({condition_in_words(condition)})"
