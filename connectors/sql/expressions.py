"""The few SQL expressions that every database here understands, and how a statement becomes text and parameters for its driver.

Values are always bound and never typed by SQLAlchemy: the driver's own conversion is what an index can serve.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Dialect
from sqlalchemy.ext.compiler import compiles

from worker.core.conditions import Op

Expression = sa.ColumnElement[Any]

WHITESPACE = (
    "\t\n\x0b\x0c\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
"""What `str.strip` takes away: a text of nothing else is empty."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement for a driver; `repr` never shows the parameters, which may be personal data."""

    sql: str
    parameters: Any

    def __repr__(self) -> str:
        """Return the text only."""
        return f"Statement({self.sql!r})"


def value(constant: object) -> Expression:
    """Return a bound constant."""
    return sa.bindparam(None, constant, type_=sa.types.NULLTYPE, unique=True)


def either(parts: Iterable[Expression]) -> Expression:
    """Return the disjunction; false when there are no parts."""
    return sa.or_(sa.false(), *parts)


def every(parts: Iterable[Expression]) -> Expression:
    """Return the conjunction; true when there are no parts."""
    return sa.and_(sa.true(), *parts)


def ordered(column: Expression, op: Op, constant: object) -> Expression:
    """Return one of the four orderings; for any other operator, whether there is a value."""
    bound = value(constant)
    match op:
        case Op.LT:
            return column < bound
        case Op.LE:
            return column <= bound
        case Op.GT:
            return column > bound
        case Op.GE:
            return column >= bound
        case _:
            return column.is_not(None)


class Exact(sa.ColumnElement[Any]):
    """A column as text that compares code point by code point, as Python does, whatever the column's collation says."""

    inherit_cache = True
    type = sa.types.NULLTYPE

    def __init__(self, column: Expression) -> None:
        self.column = column


@compiles(Exact, "sqlite")
def _exact_on_sqlite(element: Exact, compiler: Any, **kw: Any) -> str:
    return f"({compiler.process(element.column, **kw)} COLLATE BINARY)"


@compiles(Exact, "postgresql")
def _exact_on_postgresql(element: Exact, compiler: Any, **kw: Any) -> str:
    return f'(CAST({compiler.process(element.column, **kw)} AS TEXT) COLLATE "C")'


@compiles(Exact, "mysql")
@compiles(Exact, "mariadb")
def _exact_on_mariadb(element: Exact, compiler: Any, **kw: Any) -> str:
    return f"(CONVERT({compiler.process(element.column, **kw)} USING utf8mb4) COLLATE utf8mb4_nopad_bin)"


def compiled(statement: sa.ClauseElement, dialect: Dialect) -> Statement:
    """Return a statement as its driver wants it."""
    result: Any = statement.compile(dialect=dialect)
    if result.positional:
        return Statement(str(result), tuple(result.params[name] for name in result.positiontup or ()))
    return Statement(str(result), result.params)
