"""What a database is asked about the values in a column, one protocol for typed databases and for SQLite.

Every expression keeps to the one rule of a selection: it may hold for too many rows, never for too few. The exceptions are named
`surely_...`: these may hold for too few, because they are used to leave rows out.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import ClassVar, Protocol

from connectors.sql.expressions import Expression
from connectors.sql.tables import ColumnInfo
from worker.core.conditions import Compare
from worker.core.facts import Reading
from worker.core.sources import Field


@dataclass(frozen=True, slots=True)
class Value:
    """The values of one column in a statement, and how they are read (None where they are not a fact)."""

    column: Expression
    info: ColumnInfo
    reading: Reading


@dataclass(frozen=True, slots=True)
class Summary:
    """Aggregate expressions over the rows of a relation: number of empty and unreadable members, the lowest and the highest value."""

    empty: Expression
    unreadable: Expression | None
    lowest: Expression
    highest: Expression


class Storage(Protocol):
    """How values lie in the columns of one kind of database.

    doubtful_as_a_group -- values that are each readable may be unreadable together, so an aggregate has to be asked as a whole.
    """

    doubtful_as_a_group: ClassVar[bool]

    def blank(self, column: Expression, info: ColumnInfo) -> Expression:
        """Whether there is no value: NULL, or a text of nothing but white space."""
        ...  # pragma: no cover

    def on_or_before(self, value: Value, day: dt.date) -> Expression:
        """Whether the value may be a local day not after `day`."""
        ...  # pragma: no cover

    def on_or_after(self, value: Value, day: dt.date) -> Expression:
        """Whether the value may be a local day not before `day`."""
        ...  # pragma: no cover

    def surely_after(self, value: Value, day: dt.date) -> Expression:
        """Whether the value is certainly a local day after `day`."""
        ...  # pragma: no cover

    def doubtful(self, value: Value, today: dt.date) -> Expression:
        """Whether the value may make its fact unknown, for another reason than being empty."""
        ...  # pragma: no cover

    def satisfies(self, value: Value, comparison: Compare) -> Expression:
        """Whether a comparison with the value may be true, for facts that are no days."""
        ...  # pragma: no cover

    def untreated(self, column: Expression, info: ColumnInfo, field: Field) -> Expression:
        """Whether the value is something that the field's treatment would change."""
        ...  # pragma: no cover

    def is_one_of(self, column: Expression, info: ColumnInfo, values: tuple[str | int | bool, ...]) -> Expression:
        """Whether the value is exactly one of some constants (this one is neither wider nor narrower)."""
        ...  # pragma: no cover

    def can_be(self, info: ColumnInfo, constant: str | int | bool) -> bool:  # noqa: FBT001 - a constant of the policy file
        """Whether a column of this type can hold what `is_one_of` would find for a constant."""
        ...  # pragma: no cover

    def differs(self, one: Expression, other: Expression) -> Expression:
        """Whether two columns hold different values; two empty ones don't differ."""
        ...  # pragma: no cover

    def summary(self, value: Value) -> Summary:
        """Return the aggregate expressions of a date over the rows of a relation."""
        ...  # pragma: no cover

    def shown(self, value: Value) -> Expression:
        """Return what is selected for the value, so that reading it gives the fact that the value states."""
        ...  # pragma: no cover
