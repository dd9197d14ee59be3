"""The columns of a row: what is selected for each, and how the driver's values are put together into it.

Fields come as they are. An aggregate over days is several expressions in the statement and one tuple (rows, empty, unreadable, lowest,
highest) in the row.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from connectors.sql.expressions import Expression
from connectors.sql.selection import Model, column_info
from connectors.sql.storage import Value
from connectors.sql.tables import Rows
from worker.core.compiled import RELATION
from worker.core.sources import Aggregate, Function
from worker.ports import Row


@dataclass(frozen=True, slots=True)
class Selected:
    """What is selected for some columns, and how a driver's row becomes a row.

    relations -- the names of the relations that were looked into; widths -- how many expressions each column takes.
    """

    expressions: tuple[Expression, ...]
    widths: tuple[int, ...]
    relations: frozenset[str]

    @property
    def is_plain(self) -> bool:
        """Whether the driver's rows are rows already."""
        return all(width == 1 for width in self.widths)

    def assemble(self, rows: Iterable[Sequence[Any]]) -> list[Row]:
        """Return the rows of some driver's rows."""
        if self.is_plain:
            return [row if type(row) is tuple else tuple(row) for row in rows]
        return [self._assembled(row) for row in rows]

    def _assembled(self, row: Sequence[Any]) -> Row:
        parts: list[object] = []
        start = 0
        for width in self.widths:
            parts.append(row[start] if width == 1 else tuple(row[start : start + width]))
            start += width
        return tuple(parts)


def selected(model: Model, rows: Rows, key: Sequence[str], columns: Sequence[str]) -> Selected:
    """Return what to select for the key's columns and then the columns asked for; KeyError for a name the source does not have."""
    groups = [[rows.column(name)] for name in key]
    relations: set[str] = set()
    for name in columns:
        group, relation = _column(model, rows, name)
        groups.append(group)
        relations.update(relation)
    return Selected(tuple(each for group in groups for each in group), tuple(len(group) for group in groups), frozenset(relations))


def _column(model: Model, rows: Rows, name: str) -> tuple[list[Expression], list[str]]:
    """Return the expressions of one column and the relation it looks into."""
    source = model.source
    if name.startswith(RELATION):
        relation = source.relation(name.removeprefix(RELATION))
        others, joined = model.joined(relation, rows, f"counted_{relation.name}")
        return [_over(sa.func.count(), others, joined, rows)], [relation.name]
    for aggregate in source.aggregates:
        if aggregate.name == name:
            return _aggregated(model, rows, aggregate), [aggregate.relation]
    field = source.field(name)
    return [model.storage.shown(Value(rows.column(field.column), column_info(rows.info, field.column), field.reading))], []


def _aggregated(model: Model, rows: Rows, aggregate: Aggregate) -> list[Expression]:
    """Return the expressions of an aggregate."""
    others, where = model.members(aggregate, rows)

    def over(expression: Expression) -> Expression:
        return _over(expression, others, where, rows)

    if aggregate.function in (Function.COUNT, Function.EXISTS) or aggregate.column is None or aggregate.reading is None:
        return [over(sa.func.count())]
    summary = model.storage.summary(Value(others.column(aggregate.column), column_info(others.info, aggregate.column), aggregate.reading))
    unreadable = sa.literal_column("0") if summary.unreadable is None else over(summary.unreadable)
    return [over(sa.func.count()), over(summary.empty), unreadable, over(summary.lowest), over(summary.highest)]


def _over(expression: Expression, others: Rows, where: Expression, rows: Rows) -> Expression:
    """Return an aggregate expression over a relation's rows as a value in the row they belong to."""
    return sa.select(expression).select_from(others.clause).where(where).correlate(rows.clause).scalar_subquery()
