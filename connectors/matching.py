"""A selection worked out in Python, for systems that can't filter by themselves.

It is exact where a fact is known and wider where it must be (a future day counts as a day until `today` is told), never narrower.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from typing import assert_never

from worker.core.compiled import aggregate_fact
from worker.core.conditions import Truth, compare
from worker.core.facts import Fact, Known, NotApplicable, NotYet, Raw, Unknown
from worker.core.select import Absent, Compares, Holding, Intersection, OnOrBefore, Selection, Suspect, Union, definition
from worker.core.sources import Aggregate, Source
from worker.core.treatments import recogniser

Values = Callable[[str], Raw]
"""From the name of a field or aggregate to its raw value in one record."""

Matcher = Callable[[Values], bool]
"""Whether a record belongs to a selection."""

# No value is later, so that a day is never taken for a future one where the selection doesn't ask.
_END_OF_TIME = dt.date.max


def matcher(source: Source, selection: Selection) -> Matcher:
    """Return the function that says whether a record's values belong to a selection; KeyError for a fact that the source doesn't have."""
    match selection:
        case Union(of):
            parts = [matcher(source, part) for part in of]
            return lambda values: any(part(values) for part in parts)
        case Intersection(of):
            parts = [matcher(source, part) for part in of]
            return lambda values: all(part(values) for part in parts)
        case OnOrBefore(name, day):
            return _on_fact(source, name, _END_OF_TIME, lambda fact: _not_after(fact, day))
        case Suspect(name, today):
            return _on_fact(source, name, today, lambda fact: isinstance(fact, Unknown))
        case Compares(comparison):
            # A comparison that can't be made (a text with a number) belongs to nobody, so it is a person's to look at.
            return _on_fact(
                source,
                comparison.fact,
                _END_OF_TIME,
                lambda fact: isinstance(fact, Known) and compare(comparison, fact) is not Truth.FALSE,
            )
        case Absent(name):
            read = _reader(source, name, _END_OF_TIME)
            return lambda values: _is_absent(values(name), read(values(name)))
        case Holding(name):
            holds = _holder(source, name)
            return lambda values: holds(values(name))
        case _:
            assert_never(selection)


def _on_fact(source: Source, name: str, today: dt.date, test: Callable[[Fact], bool]) -> Matcher:
    """Return the matcher that tests one fact."""
    read = _reader(source, name, today)
    return lambda values: test(read(values(name)))


def _reader(source: Source, name: str, today: dt.date) -> Callable[[Raw], Fact]:
    """Return the function from a raw value (of an aggregate: its summary) to the fact."""
    declared = definition(source, name)
    if isinstance(declared, Aggregate):
        aggregate = declared
        return lambda raw: aggregate_fact(aggregate, raw, today)
    reading = declared.reading
    return lambda raw: reading.fact(raw, today)


def _not_after(fact: Fact, day: dt.date) -> bool:
    """Whether a fact is a known day not after another."""
    return isinstance(fact, Known) and isinstance(fact.value, dt.date) and fact.value <= day


def _is_absent(raw: Raw, fact: Fact) -> bool:
    """Whether there is nothing behind a fact, whatever that was declared to mean."""
    if raw is None or (isinstance(raw, str) and not raw.strip()):
        return True
    if isinstance(raw, Sequence) and not isinstance(raw, str | bytes) and (not raw[0] or raw[1]):
        return True
    return isinstance(fact, NotYet | NotApplicable)


def _holder(source: Source, name: str) -> Callable[[Raw], bool]:
    """Return the function that says whether a value is something that the field's treatment would change."""
    field = source.field(name)
    if field.treatment is not None and field.treatment.beside:
        # What the record says beside it may be found in any text.
        return lambda raw: raw is not None and raw != ""
    is_treated = recogniser(field)
    return lambda raw: not is_treated(raw)
