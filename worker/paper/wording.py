"""Conditions, periods and start events of a policy in the words of a language; names of facts by their labels.

A fact without a label is quoted by its name, so that a reader sees that it is a name and not a word somebody chose.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import assert_never

from worker.core.conditions import Compare, Condition, Either, Every, Negated, Op
from worker.core.facts import FieldType, Scalar
from worker.core.model import Combine, StartEvent, StateEnd
from worker.core.periods import NO_TIME, Anchor, Period
from worker.core.sources import Aggregate, Field, Function, Label, Mark, SharedFact, Source
from worker.paper.language import Language, Ordered, Phrase, Unit

_OPPOSITE = {
    Op.EQ: Op.NE,
    Op.NE: Op.EQ,
    Op.IN: Op.NOT_IN,
    Op.NOT_IN: Op.IN,
    Op.LT: Op.GE,
    Op.GE: Op.LT,
    Op.GT: Op.LE,
    Op.LE: Op.GT,
}
_ORDER = (Op.LT, Op.LE, Op.GT, Op.GE)


def spoken(name: str) -> str:
    """Return an identifier as words."""
    return " ".join(name.replace("_", " ").replace("-", " ").split()) or name


@dataclass(frozen=True, slots=True)
class Fact:
    """A fact as it is talked about: its name in words, whether it is counted or a day, and what is said for single values."""

    text: str
    counted: bool
    day: bool
    values: Mapping[str, str]


def facts_of(source: Source, language: Language) -> Mapping[str, Fact]:
    """Return every fact that a policy about a source may use, as a language calls it."""
    declared: tuple[Field | Aggregate, ...] = (*source.fields, *source.aggregates)
    days: tuple[SharedFact | Mark, ...] = (*source.shared, *source.marks)
    only_days = {each.name: Fact(language.of(each.label) or _quoted(each.name), counted=False, day=True, values={}) for each in days}
    return only_days | {each.name: _fact(each, language) for each in declared}


def _fact(declared: Field | Aggregate, language: Language) -> Fact:
    """Return one fact in words. What is counted is called by the relation's name when it has no label."""
    counted = isinstance(declared, Aggregate) and declared.function is Function.COUNT
    name = declared.relation if counted and isinstance(declared, Aggregate) else declared.name
    reading = declared.reading
    return Fact(
        language.of(declared.label) or (spoken(name) if counted else _quoted(name)),
        counted,
        reading is not None and reading.type in (FieldType.DATE, FieldType.TIMESTAMP),
        {value: words for value, label in declared.values if (words := language.of(label))},
    )


def _quoted(name: str) -> str:
    """Return a name as words in quotes."""
    return f"“{spoken(name)}”"


def data(field: Field, language: Language) -> str:
    """Return what a personal field is called in a list of data."""
    return language.of(field.label) or spoken(field.name)


def named(label: Label, name: str, language: Language) -> str:
    """Return a label, or the name as words where there is none in this language."""
    return language.of(label) or spoken(name)


# --- Periods and events ---------------------------------------------------------------------------------------------------------------


def period(of: Period, language: Language) -> str:
    """Return a period in words."""
    parts = {Unit.YEARS: of.years, Unit.MONTHS: of.months, Unit.WEEKS: of.weeks, Unit.DAYS: of.days}
    said = [language.amount(number, unit) for unit, number in parts.items() if number]
    return language.both(said) if said else language.at_once


def duration(of: Period, language: Language) -> str:
    """Return how much time a period is, no time in days."""
    return language.amount(0, Unit.DAYS) if of == NO_TIME else period(of, language)


def length(of: Period) -> float:
    """Return the length of a period in days, good enough to put periods in order; a year is twelve months, whichever way it is written."""
    return (of.years * 12 + of.months) * 365.25 / 12 + of.weeks * 7 + of.days


def start(event: StartEvent | StateEnd, anchor: Anchor, facts: Mapping[str, Fact], language: Language) -> str:
    """Return the moment from which a period is counted, as it stands after the word "after"."""
    match event:
        case StartEvent():
            said = combined(event.combine, [facts[each].text for each in event.facts], language)
        case StateEnd():
            state = condition(event.condition, facts, language) or language.always
            said = language.phrase(Phrase.STATE, condition=state)
            if event.ended is not None:
                said = language.phrase(Phrase.STATE_ENDED, condition=state, ended=facts[event.ended].text)
        case _:
            assert_never(event)
    return language.anchors[anchor].format(event=said)


def combined(combine: Combine, names: Sequence[str], language: Language) -> str:
    """Return several events as one, one event as itself."""
    if len(names) == 1:
        return names[0]
    return language.combined[Combine(combine)].format(all=language.both(names), first=names[0], others=language.either(names[1:]))


# --- Conditions -----------------------------------------------------------------------------------------------------------------------


def condition(of: Condition | None, facts: Mapping[str, Fact], language: Language, *, also: tuple[str, ...] = ()) -> str:
    """Return a condition as it stands after the word "if"; an empty text for what is always true. `also` has to be true too, in words."""
    parts = () if of is None else of.of if isinstance(of, Every) else (of,)
    if len(parts) == 1 and not also:
        return _condition(parts[0], facts, language, negated=False)
    said = [*(_part(each, facts, language, negated=False) for each in parts), *also]
    return language.both(said) if said else ""


def _condition(of: Condition, facts: Mapping[str, Fact], language: Language, *, negated: bool) -> str:
    """Return a condition or its opposite; a negation is carried inwards, where it can be said in plain words."""
    match of:
        case Negated(part):
            return _condition(part, facts, language, negated=not negated)
        case Every(parts) | Either(parts):
            every = isinstance(of, Every) is not negated
            if not parts:
                return language.always if every else language.never
            said = [_part(each, facts, language, negated=negated) if len(parts) > 1 else "" for each in parts]
            if len(parts) == 1:
                return _condition(parts[0], facts, language, negated=negated)
            return language.both(said) if every else language.either(said)
        case Compare():
            return _comparison(of, facts[of.fact], language, negated=negated)
        case _:
            assert_never(of)


def _part(of: Condition, facts: Mapping[str, Fact], language: Language, *, negated: bool) -> str:
    """Return a part of a condition, in brackets when it has several parts itself."""
    said = _condition(of, facts, language, negated=negated)
    return f"({said})" if _several(of) else said


def _several(of: Condition) -> bool:
    """Whether a condition is a list of more than one."""
    match of:
        case Negated(part):
            return _several(part)
        case Every(parts) | Either(parts):
            return len(parts) > 1 or (len(parts) == 1 and _several(parts[0]))
        case Compare():
            return False
        case _:
            assert_never(of)


def _comparison(of: Compare, fact: Fact, language: Language, *, negated: bool) -> str:
    """Return one comparison: in the words for its value where there are some, else as fact and value."""
    value = language.either([language.value(each) for each in of.values])
    if of.op is Op.EXISTS:
        return language.same[of.op][(of.values == (True,)) is negated].format(fact=fact.text)
    if fact.counted:
        return _counted(_OPPOSITE[of.op] if negated else of.op, of.values, fact, language)
    own = _own_words(of, fact, language, negated=negated)
    if own:
        return own
    if of.op in _ORDER:
        ordered = Ordered.DAY if fact.day else Ordered.NUMBER
        return language.ordered[ordered, of.op][negated].format(fact=fact.text, value=value)
    return language.same[of.op][negated].format(fact=fact.text, value=value)


def _counted(op: Op, values: tuple[Scalar, ...], fact: Fact, language: Language) -> str:
    """Return how many there must be; a number is never missing, so the opposite of a comparison is another one."""
    if (op, *values) in ((Op.EQ, 0), (Op.LE, 0), (Op.LT, 1)):
        return language.none.format(fact=fact.text)
    if (op, *values) in ((Op.NE, 0), (Op.GT, 0), (Op.GE, 1)):
        return language.some.format(fact=fact.text)
    return language.counted[op].format(fact=fact.text, value=language.either([language.value(each) for each in values]))


def _own_words(of: Compare, fact: Fact, language: Language, *, negated: bool) -> str:
    """Return what the policy file says when a fact has, or has not, one of some values; an empty text where it says nothing.

    A value has the words of `values`; that it is anything else, those of the value written with "not" before it. False is not true.
    """
    if of.op in _ORDER:
        return ""
    other = (of.op in (Op.NE, Op.NOT_IN)) is not negated
    said = [fact.values.get(key, "") for key in (_key(each, other=other) for each in of.values)]
    if not all(said):
        return ""
    return language.both(said) if other else language.either(said)


def _key(value: Scalar, *, other: bool) -> str:
    """Return under which name `values` holds the words for a value, or for any other value."""
    if isinstance(value, bool):
        return "true" if value is not other else "false"
    return f"not {value}" if other else str(value)
