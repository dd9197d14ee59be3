"""What a table looks like in the database, reduced to what a retention rule can meet.

Reflected once when a source is opened; the columns are described by how their values come out of the driver and compare.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from sqlalchemy.engine import Dialect
from sqlalchemy.engine.reflection import Inspector

from connectors.sql.expressions import Expression


class Kind(Enum):
    """How the values of a column come out of the driver."""

    TEXT = "text"
    NUMBER = "number"
    APPROXIMATE = "single-precision number"
    BOOLEAN = "boolean"
    DATE = "date"
    NAIVE = "timestamp without time zone"
    AWARE = "timestamp with time zone"
    UUID = "uuid"
    BYTES = "bytes"
    OTHER = "another type"


@dataclass(frozen=True, slots=True)
class ColumnInfo:
    """One column. `declared` is its type as the database names it, `length` the longest text it takes (None: no limit)."""

    name: str
    kind: Kind
    declared: str
    nullable: bool
    length: int | None = None
    generated: bool = False
    padded: bool = False


@dataclass(frozen=True, slots=True)
class Unique:
    """Columns whose values together occur once; `partial` when only some rows are meant."""

    columns: tuple[str, ...]
    partial: bool = False


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """A reference from a table to another; `cascade` is what the database does when the target is deleted (empty: refuses).

    schema -- where the referring table lies, where that was asked; visible -- whether its name alone finds it.
    """

    table: str
    columns: tuple[str, ...]
    target: str
    targets: tuple[str, ...]
    cascade: str = ""
    schema: str | None = None
    visible: bool = True

    @property
    def named(self) -> str:
        """The referring table as a policy file names it."""
        return self.table if self.visible or self.schema is None else f"{self.schema}.{self.table}"

    def is_from(self, table: str) -> bool:
        """Whether a table, as a policy file names it, is the referring one."""
        schema, name = split_name(table)
        return name == self.table and (self.visible if schema is None else self.schema in (None, schema))


@dataclass(frozen=True)
class TableInfo:
    """One table: its columns, what is unique, what is indexed (leading columns in order), and what it refers to."""

    name: str
    schema: str | None
    columns: Mapping[str, ColumnInfo]
    primary: tuple[str, ...]
    uniques: tuple[Unique, ...]
    indexes: tuple[tuple[str, ...], ...]
    foreign_keys: tuple[ForeignKey, ...]
    is_view: bool = False

    @cached_property
    def clause(self) -> sa.TableClause:
        """The table for building statements."""
        return sa.table(self.name, *(sa.column(name) for name in self.columns), schema=self.schema)

    def aliased(self, alias: str) -> Rows:
        """Return the table under another name within a statement."""
        return Rows(self, self.clause.alias(alias))

    @cached_property
    def rows(self) -> Rows:
        """The table under its own name within a statement."""
        return Rows(self, self.clause)

    def is_indexed(self, *columns: str) -> bool:
        """Whether an index starts with these columns, in any order."""
        return any(set(index[: len(columns)]) == set(columns) for index in (*self.indexes, self.primary))


@dataclass(frozen=True, slots=True)
class Rows:
    """A table, or an alias of it, in a statement."""

    info: TableInfo
    clause: Any

    def column(self, name: str) -> Expression:
        """Return a column; one that does not exist is left to the database to complain about."""
        found = self.clause.c.get(name)
        return found if found is not None else sa.column(name, _selectable=self.clause)


def split_name(table: str) -> tuple[str | None, str]:
    """Return schema (or None) and name of a table as a policy file writes it."""
    schema, _, name = table.rpartition(".")
    return schema or None, name


def kind_of(declared: sa.types.TypeEngine[Any]) -> Kind:
    """Return the kind of a reflected type."""
    match declared:
        case sa.Boolean():
            return Kind.BOOLEAN
        case sa.DateTime() | sa.TIMESTAMP():
            return Kind.AWARE if getattr(declared, "timezone", False) else Kind.NAIVE
        case sa.Date():
            return Kind.DATE
        case sa.Uuid():
            return Kind.UUID
        case sa.LargeBinary() | sa.types._Binary():  # noqa: SLF001 - BINARY and BYTEA have no public base
            return Kind.BYTES
        case sa.Enum() | sa.String():
            return Kind.TEXT
        case sa.Float() if declared.__visit_name__ in ("REAL", "FLOAT"):
            return Kind.APPROXIMATE
        # A BIT of MariaDB comes and compares as a number, one of PostgreSQL as a text.
        case sa.Integer() | sa.Numeric() | sa.Float() | mysql.BIT():
            return Kind.NUMBER
        case _:
            return Kind.OTHER


def reflect(inspector: Inspector, name: str, schema: str | None) -> TableInfo:
    """Return what a table looks like; sqlalchemy's NoSuchTableError when it is not there."""
    views = set(inspector.get_view_names(schema=schema))
    if inspector.dialect.name == "postgresql":
        views.update(inspector.get_materialized_view_names(schema=schema))
    columns = {each["name"]: _column(each, inspector.dialect) for each in inspector.get_columns(name, schema=schema)}
    primary = tuple(inspector.get_pk_constraint(name, schema=schema)["constrained_columns"])
    # SQLite keeps what a column's own UNIQUE makes among its automatic indexes; the other dialects don't know the word.
    indexes = inspector.get_indexes(name, schema=schema, include_auto_indexes=True)
    plain = [each for each in indexes if None not in each["column_names"]]
    constraints = [Unique(tuple(each["column_names"])) for each in inspector.get_unique_constraints(name, schema=schema)]
    uniques = [Unique(_names(each), _is_partial(each)) for each in plain if each["unique"]]
    foreign = [
        ForeignKey(
            name,
            tuple(each["constrained_columns"]),
            each["referred_table"],
            tuple(each["referred_columns"]),
            on_delete(inspector, name, each),
        )
        for each in inspector.get_foreign_keys(name, schema=schema)
    ]
    return TableInfo(
        name,
        schema,
        columns,
        primary,
        tuple(dict.fromkeys((*constraints, *uniques))),
        tuple(_names(each) for each in plain if not _is_partial(each)) + tuple(each.columns for each in constraints),
        tuple(foreign),
        is_view=name in views,
    )


def on_delete(inspector: Inspector, table: str, key: Any) -> str:
    """Return what the database does to a referring row when its target is deleted; an empty text when it refuses."""
    if inspector.dialect.name != "sqlite":
        return str(key.get("options", {}).get("ondelete", "") or "")
    # SQLAlchemy reads the rule from the text of the table and misses the short form; SQLite itself knows it.
    with inspector.bind.engine.connect() as connection:
        quoted = inspector.dialect.identifier_preparer.quote_identifier(table)
        rows = connection.exec_driver_sql(f"PRAGMA foreign_key_list({quoted})").all()
    rules = {str(row[6]) for row in rows if row[3] in key["constrained_columns"]} - {"NO ACTION", "RESTRICT"}
    return min(rules, default="")


def _column(reflected: Any, dialect: Dialect) -> ColumnInfo:
    declared = reflected["type"]
    length = getattr(declared, "length", None)
    return ColumnInfo(
        reflected["name"],
        kind_of(declared),
        "" if isinstance(declared, sa.types.NullType) else declared.compile(dialect),
        bool(reflected["nullable"]),
        length if isinstance(length, int) else None,
        bool(reflected.get("computed")) or bool((reflected.get("identity") or {}).get("always")),
        isinstance(declared, sa.CHAR),
    )


def _names(index: Any) -> tuple[str, ...]:
    return tuple(str(name) for name in index["column_names"])


def _is_partial(index: Any) -> bool:
    return any(name.endswith("_where") for name in index.get("dialect_options", {}))
