"""What is to be known about the rows of a relation, worked out in Python, for systems that can't count and compare by themselves."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence

from worker.core.facts import Known, Raw
from worker.core.sources import Aggregate, Function, Match, Relation, Source

Values = Callable[[str], Raw]
"""From the name of a column to its value in one record or row."""


def relations_along(source: Source, path: Sequence[str]) -> list[Relation]:
    """Return the relations that a path leads through; KeyError when one does not exist."""
    found: list[Relation] = []
    relations = source.relations
    for name in path:
        following = next((each for each in relations if each.name == name), None)
        if following is None:
            raise KeyError(name)
        found.append(following)
        relations = following.children
    return found


def summary(aggregate: Aggregate, record: Values, rows: Sequence[Values]) -> Raw:
    """Return what is to be known about a record's rows: their number, or (rows, empty, unreadable, lowest, highest)."""
    counted = [row for row in rows if all(restricts(match, record, row) for match in aggregate.where)]
    if aggregate.function in (Function.COUNT, Function.EXISTS) or aggregate.column is None or aggregate.reading is None:
        return len(counted)
    column = aggregate.column
    filled = [value for value in (row(column) for row in counted) if value is not None and str(value).strip()]
    days: list[tuple[dt.date, int]] = []
    for position, value in enumerate(filled):
        fact = aggregate.reading.fact(value, dt.date.max)
        if isinstance(fact, Known) and isinstance(fact.value, dt.date):
            days.append((fact.value, position))
    lowest, highest = (filled[min(days)[1]], filled[max(days)[1]]) if days else (None, None)
    return len(counted), len(counted) - len(filled), len(filled) - len(days), lowest, highest


def restricts(match: Match, record: Values, row: Values) -> bool:
    """Whether a row of a relation satisfies the restriction of an aggregate."""
    value = row(match.column)
    if match.differs_from is not None:
        return value != record(match.differs_from)
    return match.admits(value)
