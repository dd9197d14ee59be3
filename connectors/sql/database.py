"""One database as this connector uses it: the promises that SQLite, PostgreSQL and MariaDB each keep in their own way.

Statements are built by SQLAlchemy Core and run by the driver. Connections are in the driver's autocommit mode, so that every
transaction begins with a statement that is written here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.engine import Engine
from sqlalchemy.pool import PoolProxiedConnection

from connectors.sql.expressions import Expression, Statement, compiled, every, value
from connectors.sql.failures import Cause, Guard, failure
from connectors.sql.limits import Limits
from connectors.sql.storage import Storage
from connectors.sql.tables import ColumnInfo, Rows, TableInfo
from worker.errors import RetentionError
from worker.ports import Key, KeyRange, Load, Row

DriverConnection = Any
"""A DBAPI connection; the three drivers share no type."""

PAGE = 5_000
LOCK_SECONDS = 10
WITNESS_TABLE = "retention_witness"
NO_SERVER = "a database in a file has no server that knows of load; take the limit away"


class Database(ABC):
    """An open database. `source` and `place` name it in errors; `place` has no user and no password."""

    storage: ClassVar[Storage]
    errors: ClassVar[tuple[type[Exception], ...]]
    chunk: ClassVar[int]

    def __init__(self, source: str, place: str, engine: Engine, limits: Limits) -> None:
        self.source = source
        self.place = place
        self.engine = engine
        self.limits = limits
        self.guard = Guard((*self.errors, sa.exc.SQLAlchemyError), self.translated)

    # --- Errors -----------------------------------------------------------------------------------------------------------------------

    @abstractmethod
    def cause(self, error: Exception) -> tuple[Cause, str]:
        """Return what a driver's error means, and the database's own code for it."""

    def translated(self, error: Exception) -> RetentionError:
        """Return the error of ours that says what a driver's error means."""
        if isinstance(error, sa.exc.NoSuchTableError):
            return failure(self.source, self.place, Cause.SCHEMA, "")
        original = getattr(error, "orig", None) or error
        cause, code = self.cause(original) if isinstance(original, self.errors) else (Cause.OTHER, type(original).__name__)
        return failure(self.source, self.place, cause, code)

    # --- Connections and statements ---------------------------------------------------------------------------------------------------

    def connect(self) -> PoolProxiedConnection:
        """Return a connection out of the pool; closing it gives it back."""
        with self.guard:
            return self.engine.raw_connection()

    def release(self, connection: PoolProxiedConnection) -> None:
        """Give a connection back, rolled back; one that can't even be rolled back is closed."""
        caught: tuple[type[Exception], ...] = (*self.errors, sa.exc.SQLAlchemyError)
        try:
            connection.rollback()
        except caught:
            with suppress(*caught):
                connection.invalidate()
        else:
            connection.close()

    def compiled(self, statement: sa.ClauseElement) -> Statement:
        """Return a statement as the driver wants it."""
        return compiled(statement, self.engine.dialect)

    def run(self, connection: DriverConnection, statement: Statement) -> list[Sequence[Any]]:
        """Run a statement and return all its rows."""
        cursor = connection.cursor()
        try:
            cursor.execute(statement.sql, statement.parameters)
            return list(cursor.fetchall())
        finally:
            cursor.close()

    def change(self, connection: DriverConnection, statement: Statement) -> int:
        """Run a statement and return how many rows it changed."""
        cursor = connection.cursor()
        try:
            cursor.execute(statement.sql, statement.parameters)
            return int(cursor.rowcount)
        finally:
            cursor.close()

    def command(self, connection: DriverConnection, text: str) -> None:
        """Run statements that have no values."""
        cursor = connection.cursor()
        try:
            cursor.execute(text)
        finally:
            cursor.close()

    @abstractmethod
    def stream(self, connection: DriverConnection, statement: Statement) -> Iterator[list[Sequence[Any]]]:
        """Yield pages of a statement's rows in constant memory; the connection is of no other use meanwhile, except on SQLite."""

    # --- Transactions -----------------------------------------------------------------------------------------------------------------

    @abstractmethod
    def begin_reading(self, connection: DriverConnection, view: str | None = None) -> str | None:
        """Begin one consistent view on which nothing can be written, and return its name where other connections can join it.

        view -- the name of a view to join.
        """

    def end_reading(self, connection: DriverConnection) -> None:
        """End the view."""
        self.command(connection, "ROLLBACK")

    @abstractmethod
    def begin_writing(self, connection: DriverConnection) -> None:
        """Begin a transaction under the limits of a batch."""

    def commit(self, connection: DriverConnection) -> None:
        """Make the transaction permanent."""
        self.command(connection, "COMMIT")

    # --- Statements that differ -------------------------------------------------------------------------------------------------------

    def within(self, rows: Rows, key: Sequence[str], keys: KeyRange) -> Expression:
        """Return the condition that a row's key lies in a range, both ends included."""
        columns = [rows.column(name) for name in key]
        if len(columns) == 1:
            return sa.and_(columns[0] >= value(keys.first[0]), columns[0] <= value(keys.last[0]))
        first, last = sa.tuple_(*map(value, keys.first)), sa.tuple_(*map(value, keys.last))
        return sa.and_(sa.tuple_(*columns) >= first, sa.tuple_(*columns) <= last)

    def walking_key(self, table: TableInfo, key: Sequence[str]) -> str | None:  # noqa: ARG002
        """Return the hint that makes a statement on a key range walk the key, where one is needed."""
        return None

    def locking(self, select: sa.Select[Any], rows: Rows) -> sa.Select[Any]:
        """Return the select so that it locks the rows of the table."""
        return select.with_for_update(of=rows.clause)

    def sharing(self, select: sa.Select[Any], rows: Rows) -> sa.Select[Any]:
        """Return the select so that nobody can change the rows of a relation until the transaction ends."""
        return select.with_for_update(read=True, of=rows.clause)

    @abstractmethod
    def among(self, columns: Sequence[str], infos: Sequence[ColumnInfo], keys: Sequence[Key]) -> Statement:
        """Return the condition (quoted text, parameters) that some columns together are one of some keys."""

    def joined(self, statement: Statement, condition: Statement) -> Statement:
        """Return a statement with a condition added at its end."""
        both = statement.parameters
        both = {**both, **condition.parameters} if isinstance(both, Mapping) else (*both, *condition.parameters)
        return Statement(f"{statement.sql} {condition.sql}", both)

    @property
    def _none(self) -> Any:
        """The parameters of a statement that has no values."""
        return {} if self.engine.dialect.paramstyle == "pyformat" else ()

    def quoted(self, table: TableInfo) -> str:
        """Return the quoted name of a table, as it stands in a statement with parameters."""
        return self.engine.dialect.identifier_preparer.format_table(table.clause)

    def quote(self, name: str) -> str:
        """Return a quoted name, as it stands in a statement with parameters."""
        return self.engine.dialect.identifier_preparer.quote(name)

    def delete_keys(self, connection: DriverConnection, table: TableInfo, key: Sequence[str], keys: Sequence[Key]) -> int:
        """Delete rows by their keys and return how many there were."""
        return self.by_keys(connection, f"DELETE FROM {self.quoted(table)} WHERE", table, key, keys)

    def by_keys(
        self, connection: DriverConnection, head: str | Statement, table: TableInfo, key: Sequence[str], keys: Sequence[Key]
    ) -> int:
        """Run a statement whose head ends with WHERE for rows with some keys, and return how many rows it changed."""
        infos = [table.columns[name] for name in key]
        columns = [self.quote(name) for name in key]
        begun = head if isinstance(head, Statement) else Statement(head, self._none)
        done = 0
        for start in range(0, len(keys), self.chunk):
            condition = self.among(columns, infos, keys[start : start + self.chunk])
            done += self.change(connection, self.joined(begun, condition))
        return done

    @abstractmethod
    def update_rows(
        self, connection: DriverConnection, table: TableInfo, key: Sequence[str], columns: Sequence[str], rows: Sequence[Row]
    ) -> int:
        """Write new values (each row: the key's parts, then the values) and return how many rows were matched."""

    # --- Resolving a crash ------------------------------------------------------------------------------------------------------------

    @abstractmethod
    def prepare_witness(self) -> None:
        """Make what a witness needs, outside of any transaction."""

    @abstractmethod
    def witness(self, connection: DriverConnection, batch_id: str) -> dict[str, str]:
        """Leave in the transaction what tells later whether it was committed, and return how to find it."""

    def wait_for_writers(self) -> None:
        """Return when no transaction of an earlier batch can be committed any more; Retriable while one can.

        Where there is a server, it ends those that nobody goes on with before anybody else is given their batch.
        """
        return

    @abstractmethod
    def was_committed(self, batch_id: str, witness: Mapping[str, str]) -> bool | None:
        """Return whether a batch's transaction was committed; None when it can't be told. Retriable while it still runs."""

    @abstractmethod
    def forget(self, batch_ids: Sequence[str]) -> None:
        """Drop the witnesses of batches."""

    # --- Load ---------------------------------------------------------------------------------------------------------------------------

    def load(self) -> Load:
        """Return how loaded the server is by others."""
        return Load(lag_unseen=NO_SERVER, transactions_unseen=NO_SERVER)

    def behind(self) -> float | None:
        """Return how many seconds this server, a replica, is behind: infinite when replication stands still, None when it is none."""
        return None

    # --- Checks -----------------------------------------------------------------------------------------------------------------------

    def unfit(self, table: TableInfo) -> str:  # noqa: ARG002
        """Return why the table can't be used with this database, or an empty text."""
        return ""

    def unlockable(self, table: TableInfo) -> bool:  # noqa: ARG002
        """Whether the rows of a view can't be locked, so that a batch could never be sure of them."""
        return False

    def keeps_history(self, table: TableInfo) -> bool:  # noqa: ARG002
        """Whether the database itself keeps the rows of a table that are changed or deleted."""
        return False

    def moving(self, table: TableInfo) -> frozenset[str]:  # noqa: ARG002
        """Return the columns that the database sets by itself whenever a row is changed."""
        return frozenset()

    def unseen(self) -> str:
        """Return why references from other tables may be hidden from this account, or an empty text."""
        return ""

    def hides_rows(self, table: TableInfo) -> bool:  # noqa: ARG002
        """Whether the database may hide rows of the table from this account."""
        return False

    @abstractmethod
    def triggers(self, table: TableInfo, event: str) -> list[str]:
        """Return the names of what fires on an event (DELETE or UPDATE) of the table's rows, or of its partitions'."""

    def refuses(self, statement: str) -> bool:
        """Whether the user lacks a right that a statement needs, which is only explained and has no values."""
        connection = self.connect()
        try:
            # Quoted names are written for statements with parameters.
            self.change(connection.driver_connection, Statement(statement, self._none))
        except self.errors as error:
            if self.cause(error)[0] not in (Cause.NO_RIGHT, Cause.READ_ONLY):
                raise self.translated(error) from None
            return True
        finally:
            self.release(connection)
        return False

    def unwritable(self) -> str:
        """Return why nothing can be written at all, or an empty text."""
        return ""

    def remarks(self, table: TableInfo) -> list[tuple[str, str]]:  # noqa: ARG002
        """Return (what, hint) that a person should know about the table or the user, and that only this kind of database has."""
        return []

    @contextmanager
    def borrowed(self) -> Iterator[PoolProxiedConnection]:
        """Lend a connection for a short question."""
        connection = self.connect()
        try:
            with self.guard:
                yield connection
        finally:
            self.release(connection)

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()


def matching_keys(rows: Rows, key: Sequence[str], values: Key) -> Expression:
    """Return the condition that a row has one key."""
    return every(rows.column(name) == value(part) for name, part in zip(key, values, strict=True))
