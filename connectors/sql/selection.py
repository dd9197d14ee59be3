"""From a selection tree to the WHERE clause that asks the database for it: wider where it must be, never narrower.

A fact that is an aggregate becomes a subquery over the relation's rows, correlated by the relation's columns, so an index on the children's
column serves it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, assert_never

import sqlalchemy as sa

from connectors.sql.expressions import Expression, either, every, ordered, value
from connectors.sql.moments import shifted
from connectors.sql.storage import Storage, Value
from connectors.sql.tables import ColumnInfo, Kind, Rows, TableInfo
from worker.core.conditions import Compare, Op, Truth, compare
from worker.core.facts import Empty, FieldType, Known
from worker.core.model import day as as_day
from worker.core.select import Absent, Compares, Holding, Intersection, OnOrBefore, Selection, Suspect, Union, definition
from worker.core.sources import Aggregate, Field, Function, Relation, Source

_DAYS = (FieldType.DATE, FieldType.TIMESTAMP)


@dataclass(frozen=True, slots=True)
class Model:
    """A source as it lies in the database: its table, the tables of its relations by name, and how values are stored there.

    statements -- those that were built before, without their range of keys (see `ranged`).
    """

    source: Source
    table: TableInfo
    tables: Mapping[str, TableInfo]
    storage: Storage
    statements: dict[Hashable, tuple[str, str, Any]] = field(default_factory=dict, compare=False, repr=False)

    def where(self, selection: Selection, rows: Rows) -> Expression:
        """Return the condition under which a row of the source's table may belong to a selection."""
        match selection:
            case Union(of):
                return either(self.where(part, rows) for part in of)
            case Intersection(of):
                return every(self.where(part, rows) for part in of)
            case Holding(name):
                return self._holding(self.source.field(name), rows)
            case OnOrBefore() | Absent() | Suspect() | Compares():
                name = selection.comparison.fact if isinstance(selection, Compares) else selection.fact
                declared = definition(self.source, name)
                if isinstance(declared, Aggregate):
                    return self._over_rows(selection, declared, rows)
                return self._of_field(selection, declared, rows)
            case _:
                assert_never(selection)

    def _holding(self, held: Field, rows: Rows) -> Expression:
        """Return whether a field may hold something that its treatment would change: by itself, or by what stands beside it in the row."""
        column, info = rows.column(held.column), column_info(rows.info, held.column)
        untreated = self.storage.untreated(column, info, held)
        if held.treatment is None or not held.treatment.beside:
            return untreated
        # What is neither text nor identifier can't be found in a text, so an empty text is left out whatever stands beside it.
        beside = either(self._says_something(self.source.field(name), rows) for name in held.treatment.beside)
        empty = self.storage.blank(column, info)
        return sa.or_(untreated, sa.and_(sa.not_(empty), beside))

    def _says_something(self, field: Field, rows: Rows) -> Expression:
        """Return whether a field holds something that was not treated."""
        column, info = rows.column(field.column), column_info(rows.info, field.column)
        if field.treatment is not None:
            return self.storage.untreated(column, info, field)
        return sa.not_(self.storage.blank(column, info))

    def _of_field(self, leaf: OnOrBefore | Absent | Suspect | Compares, field: Field, rows: Rows) -> Expression:
        """Return a leaf's condition on a field's own column."""
        info = column_info(rows.info, field.column)
        column = rows.column(field.column)
        return self._of_value(leaf, Value(column, info, field.reading))

    def _of_value(self, leaf: OnOrBefore | Absent | Suspect | Compares, each: Value) -> Expression:
        """Return a leaf's condition on one value."""
        match leaf:
            case OnOrBefore(_, day):
                return self.storage.on_or_before(each, day)
            case Absent():
                return self.storage.blank(each.column, each.info)
            case Suspect(_, today):
                doubtful = self.storage.doubtful(each, today)
                if each.reading.empty is not Empty.UNKNOWN:
                    return doubtful
                return sa.or_(self.storage.blank(each.column, each.info), doubtful)
            case Compares(comparison):
                return self._compared(comparison, each)
            case _:
                assert_never(leaf)

    def _compared(self, comparison: Compare, each: Value) -> Expression:
        """Return the condition under which a comparison with one value may be true."""
        if comparison.op is Op.EXISTS:
            return each.column.is_not(None) if comparison.values == (True,) else sa.true()
        if each.reading.type not in _DAYS:
            return self.storage.satisfies(each, comparison)
        days = [found for constant in comparison.values if (found := as_day(constant)) is not None]
        if len(days) != len(comparison.values):
            return each.column.is_not(None)
        match comparison.op:
            case Op.LE:
                return self.storage.on_or_before(each, days[0])
            case Op.LT:
                return self.storage.on_or_before(each, shifted(days[0], -1))
            case Op.GE:
                return self.storage.on_or_after(each, days[0])
            case Op.GT:
                return self.storage.on_or_after(each, shifted(days[0], 1))
            case Op.EQ | Op.IN:
                return either(sa.and_(self.storage.on_or_after(each, one), self.storage.on_or_before(each, one)) for one in days)
            case _:
                return each.column.is_not(None)

    # --- Facts over the rows of a relation --------------------------------------------------------------------------------------------

    def members(self, aggregate: Aggregate, rows: Rows) -> tuple[Rows, Expression]:
        """Return the rows of an aggregate's relation (under a name of their own) and the condition that joins and restricts them."""
        relation = self.source.relation(aggregate.relation)
        others, joined = self.joined(relation, rows)
        parts = [joined]
        for match in aggregate.where:
            column = others.column(match.column)
            if match.differs_from is not None:
                parts.append(self.storage.differs(column, rows.column(match.differs_from)))
            else:
                parts.append(self.storage.is_one_of(column, column_info(others.info, match.column), match.values))
        return others, every(parts)

    def joined(self, relation: Relation, rows: Rows, alias: str = "") -> tuple[Rows, Expression]:
        """Return the rows of a relation under a name of their own, and the condition that joins them to `rows`."""
        others = self.tables[relation.table].aliased(alias or f"rows_of_{relation.name}")
        pairs = [(rows.column(own), others.column(their)) for own, their in zip(relation.own, relation.theirs, strict=True)]
        # SQLite compares by the collation of the left side, and a foreign key by that of the table it refers to.
        is_child = relation.disposal is not None
        return others, every(own == their if is_child else their == own for own, their in pairs)

    def _over_rows(self, leaf: OnOrBefore | Absent | Suspect | Compares, aggregate: Aggregate, rows: Rows) -> Expression:
        """Return a leaf's condition on an aggregate."""
        others, where = self.members(aggregate, rows)

        def some(*conditions: Expression) -> Expression:
            return sa.exists(sa.select(sa.literal_column("1")).select_from(others.clause).where(where, *conditions).correlate(rows.clause))

        if aggregate.function in (Function.COUNT, Function.EXISTS) or aggregate.column is None or aggregate.reading is None:
            return self._counted(
                leaf, aggregate, some, sa.select(sa.func.count()).select_from(others.clause).where(where).correlate(rows.clause)
            )
        each = Value(others.column(aggregate.column), column_info(others.info, aggregate.column), aggregate.reading)
        latest = aggregate.function is Function.LATEST
        match leaf:
            case OnOrBefore(_, day):
                found = some(self.storage.on_or_before(each, day))
                return sa.and_(found, sa.not_(some(self.storage.surely_after(each, day)))) if latest else found
            case Absent():
                return sa.or_(sa.not_(some()), some(self.storage.blank(each.column, each.info)))
            case Suspect(_, today):
                parts = [some(self.storage.doubtful(each, today))]
                if Empty.UNKNOWN in (aggregate.none, aggregate.reading.empty):
                    parts.append(self._over_rows(Absent(aggregate.name), aggregate, rows))
                unreadable = self.storage.summary(each).unreadable if self.storage.doubtful_as_a_group else None
                if unreadable is not None:
                    counted = sa.select(unreadable).select_from(others.clause).where(where).correlate(rows.clause)
                    parts.append(counted.scalar_subquery() > sa.literal_column("0"))
                return either(parts)
            case Compares(comparison) if comparison.op is Op.EXISTS:
                return some() if comparison.values == (True,) else sa.true()
            case Compares(comparison) if comparison.op in (Op.LE, Op.LT) and (limit := as_day(comparison.values[0])) is not None:
                return self._over_rows(OnOrBefore(aggregate.name, shifted(limit, 0 if comparison.op is Op.LE else -1)), aggregate, rows)
            case Compares(comparison):
                return some(self._compared(comparison, each))
            case _:
                assert_never(leaf)

    def _counted(
        self,
        leaf: OnOrBefore | Absent | Suspect | Compares,
        aggregate: Aggregate,
        some: Callable[[], Expression],
        count: sa.Select[Any],
    ) -> Expression:
        """Return a leaf's condition on a number of rows or their existence; a number is never absent and never in doubt."""
        if not isinstance(leaf, Compares):
            return sa.false()
        comparison = leaf.comparison
        if aggregate.remaining or comparison.op is Op.EXISTS:
            return sa.true()
        if aggregate.function is Function.EXISTS:
            return either(_truths(comparison, some))
        number = count.scalar_subquery()
        constants = [int(each) for each in comparison.values if isinstance(each, int)]
        if len(constants) != len(comparison.values):
            return sa.true()
        match comparison.op:
            case Op.GT if constants == [0]:
                return some()
            case Op.GE if constants == [1]:
                return some()
            case Op.EQ | Op.IN if set(constants) == {0}:
                return sa.not_(some())
            case Op.LT if constants == [1]:
                return sa.not_(some())
            case Op.EQ | Op.IN:
                return either(number == value(each) for each in constants)
            case Op.NE | Op.NOT_IN:
                return every(number != value(each) for each in constants)
            case _:
                return ordered(number, comparison.op, constants[0])


def _truths(comparison: Compare, some: Callable[[], Expression]) -> list[Expression]:
    """Return, for each truth value that satisfies a comparison with existence, when it is the case."""
    found = {True: some(), False: sa.not_(some())}
    return [condition for truth, condition in found.items() if compare(comparison, Known(truth)) is not Truth.FALSE]


def column_info(table: TableInfo, name: str) -> ColumnInfo:
    """Return what is known about a column; of one that does not exist, nothing (`problems` says so, and the database would)."""
    return table.columns.get(name) or ColumnInfo(name, Kind.OTHER, "", nullable=True)


def uses_rows(source: Source, selection: Selection) -> set[str]:
    """Return the names of the relations over whose rows a selection asks."""
    match selection:
        case Union(of) | Intersection(of):
            return {name for part in of for name in uses_rows(source, part)}
        case Holding():
            return set()
        case _:
            name = selection.comparison.fact if isinstance(selection, Compares) else selection.fact
            declared = definition(source, name)
            return {declared.relation} if isinstance(declared, Aggregate) else set()
