"""Reading: one consistent view, in constant memory, on connections that can't write."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field

import sqlalchemy as sa
from sqlalchemy.pool import PoolProxiedConnection

from connectors.sql.columns import selected
from connectors.sql.database import Database, DriverConnection, matching_keys
from connectors.sql.expressions import Expression
from connectors.sql.ranged import on_range
from connectors.sql.related import related_rows
from connectors.sql.selection import Model
from worker.core.select import Selection
from worker.core.sources import Source
from worker.ports import Key, KeyRange, Row


@dataclass(slots=True)
class SqlReader:
    """A view of one table and its relations.

    A running iteration keeps its connection busy, so questions in between have a second one. On PostgreSQL all connections of a
    reader share one snapshot; on SQLite and MariaDB the two views begin together when the reader is opened, and a further iteration
    at the same time begins its own.
    """

    database: Database
    model: Model
    sources: Mapping[str, Source]
    _stack: ExitStack
    _asking: PoolProxiedConnection
    _view: str | None
    _idle: list[PoolProxiedConnection] = field(default_factory=list)

    def rows(self, selection: Selection, columns: Sequence[str], *, within: KeyRange | None = None) -> Iterator[list[Row]]:
        """Yield pages of rows in key order."""
        table = self.model.table.rows
        chosen = selected(self.model, table, self.model.source.key, columns)

        def build(condition: Expression) -> sa.ClauseElement:
            statement = sa.select(*chosen.expressions).select_from(table.clause).where(self.model.where(selection, table), condition)
            return statement.order_by(*(table.column(name) for name in self.model.source.key))

        statement = (
            self.database.compiled(build(sa.true()))
            if within is None
            else on_range(self.database, self.model, ("rows", selection, tuple(columns)), build, within)
        )
        connection = self._idle.pop() if self._idle else viewing(self.database, self._stack, self._view)[0]
        pages = self.database.stream(connection.driver_connection, statement)
        try:
            for page in pages:
                yield chosen.assemble(page)
        finally:
            pages.close()  # type: ignore[attr-defined]
            self._idle.append(connection)

    def count(self, selection: Selection) -> int:
        """Return how many rows the selection holds."""
        table = self.model.table.rows
        statement = sa.select(sa.func.count()).select_from(table.clause).where(self.model.where(selection, table))
        with self.database.guard:
            return int(self.database.run(self._driver, self.database.compiled(statement))[0][0])

    def get(self, key: Key, columns: Sequence[str]) -> Row | None:
        """Return one record's row, or None."""
        table = self.model.table.rows
        chosen = selected(self.model, table, self.model.source.key, columns)
        statement = sa.select(*chosen.expressions).select_from(table.clause).where(matching_keys(table, self.model.source.key, key))
        with self.database.guard:
            found = chosen.assemble(self.database.run(self._driver, self.database.compiled(statement)))
        return found[0] if found else None

    def related(self, path: Sequence[str], keys: Sequence[Key], columns: Sequence[str]) -> list[tuple[Key, Row]]:
        """Return (record's key, row) for the relation's rows of some records."""
        with self.database.guard:
            return related_rows(self.database, self._driver, self.model, self.sources, (path, keys, columns))

    @property
    def _driver(self) -> DriverConnection:
        """The connection for short questions."""
        return self._asking.driver_connection


@contextmanager
def reading(database: Database, model: Model, sources: Mapping[str, Source]) -> Iterator[SqlReader]:
    """Open a reader and let go of its connections afterwards."""
    with ExitStack() as stack:
        asking, view = viewing(database, stack)
        streaming, _ = viewing(database, stack, view)
        yield SqlReader(database, model, sources, stack, asking, view, [streaming])


def viewing(database: Database, stack: ExitStack, view: str | None = None) -> tuple[PoolProxiedConnection, str | None]:
    """Return a connection with a view that begins now, or joins another, and the view's name; the stack ends it."""
    connection = database.connect()

    def end() -> None:
        with suppress(*database.errors, sa.exc.SQLAlchemyError):
            database.end_reading(connection.driver_connection)
        database.release(connection)

    stack.callback(end)
    with database.guard:
        return connection, database.begin_reading(connection.driver_connection, view)
