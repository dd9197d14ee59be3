"""SQLite: one writer, values with types of their own, and no server that could be asked anything.

The customer's file keeps its own journal mode unless the connection's option `journal = "wal"` asks for another; every commit waits
for the disk.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.engine import URL, Engine
from sqlalchemy.pool import QueuePool

from connectors.sql.database import PAGE, DriverConnection
from connectors.sql.dynamic import IS_GENERALISED, IS_TRUNCATED, TELLS_SOMETHING, DynamicStorage
from connectors.sql.expressions import Statement
from connectors.sql.failures import Cause
from connectors.sql.marker import MarkerDatabase
from connectors.sql.tables import ColumnInfo, Rows, TableInfo
from worker.core.generalising import is_generalised
from worker.core.scrubbing import tells
from worker.core.sources import Coarse, Treatment, TreatmentKind
from worker.core.treatments import truncated
from worker.errors import ConfigurationError, SourceFailed
from worker.ports import Key, Row

_CAUSES = {
    sqlite3.SQLITE_BUSY: Cause.BUSY,
    sqlite3.SQLITE_LOCKED: Cause.BUSY,
    sqlite3.SQLITE_INTERRUPT: Cause.BUSY,
    sqlite3.SQLITE_CONSTRAINT: Cause.CONSTRAINT,
    sqlite3.SQLITE_MISMATCH: Cause.CONSTRAINT,
    sqlite3.SQLITE_TOOBIG: Cause.CONSTRAINT,
    sqlite3.SQLITE_READONLY: Cause.READ_ONLY,
    sqlite3.SQLITE_PERM: Cause.NO_RIGHT,
    sqlite3.SQLITE_CANTOPEN: Cause.NO_RIGHT,
    sqlite3.SQLITE_AUTH: Cause.NO_RIGHT,
    sqlite3.SQLITE_FULL: Cause.FULL,
    sqlite3.SQLITE_IOERR: Cause.FULL,
    sqlite3.SQLITE_CORRUPT: Cause.DAMAGED,
    sqlite3.SQLITE_NOTADB: Cause.DAMAGED,
    sqlite3.SQLITE_SCHEMA: Cause.BUSY,
    sqlite3.SQLITE_ERROR: Cause.SCHEMA,
}


_COMMENTS = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)

# What is deleted is overwritten; the cache (in KiB) holds what a batch touches, which the default does not.
_PRAGMAS = ("synchronous = FULL", "foreign_keys = ON", "secure_delete = ON", "cache_size = -32768")


class SQLite(MarkerDatabase):
    """A SQLite file; the methods without a docstring keep `Database`'s promise."""

    storage = DynamicStorage()
    errors = (sqlite3.Error,)
    chunk = 500

    def cause(self, error: Exception) -> tuple[Cause, str]:  # noqa: D102
        code = getattr(error, "sqlite_errorcode", None)
        if code is None:
            return (Cause.BAD_TEXT, "") if "decode" in str(error) else (Cause.OTHER, type(error).__name__)
        return _CAUSES.get(code & 0xFF, Cause.OTHER), str(getattr(error, "sqlite_errorname", code))

    def stream(self, connection: DriverConnection, statement: Statement) -> Iterator[list[Sequence[Any]]]:  # noqa: D102
        cursor = connection.cursor()
        try:
            with self.guard:
                cursor.execute(statement.sql, statement.parameters)
            while True:
                with self.guard:
                    page = cursor.fetchmany(PAGE)
                if not page:
                    return
                yield page
        finally:
            cursor.close()

    def begin_reading(self, connection: DriverConnection, view: str | None = None) -> str | None:  # noqa: ARG002, D102
        self.command(connection, "PRAGMA query_only = 1")
        self.command(connection, "BEGIN")
        # A deferred transaction has no snapshot before its first read.
        self.command(connection, "SELECT 1 FROM sqlite_master LIMIT 1")
        return None

    def end_reading(self, connection: DriverConnection) -> None:  # noqa: D102
        self.command(connection, "ROLLBACK")
        self.command(connection, "PRAGMA query_only = 0")

    def begin_writing(self, connection: DriverConnection) -> None:  # noqa: D102
        self.command(connection, "BEGIN IMMEDIATE")

    def commit(self, connection: DriverConnection) -> None:  # noqa: D102
        try:
            super().commit(connection)
        except sqlite3.Error:
            # One that could not be committed, because of a reader or a full disk, stays open here, and is asked about next.
            with suppress(sqlite3.Error):
                self.command(connection, "ROLLBACK")
            raise

    def walking_key(self, table: TableInfo, key: Sequence[str]) -> str | None:  # noqa: D102
        alone = len(key) == 1 and table.primary == tuple(key)
        return "NOT INDEXED" if alone and table.columns[key[0]].declared.upper() == "INTEGER" else None

    def locking(self, select: sa.Select[Any], rows: Rows) -> sa.Select[Any]:  # noqa: ARG002, D102
        return select  # BEGIN IMMEDIATE has locked the whole file.

    def sharing(self, select: sa.Select[Any], rows: Rows) -> sa.Select[Any]:  # noqa: ARG002, D102
        return select

    def among(self, columns: Sequence[str], infos: Sequence[ColumnInfo], keys: Sequence[Key]) -> Statement:  # noqa: ARG002, D102
        parts = tuple(part for key in keys for part in key)
        if len(columns) == 1:
            return Statement(f"{columns[0]} IN ({', '.join('?' * len(keys))})", parts)
        one = f"({', '.join('?' * len(columns))})"
        return Statement(f"({', '.join(columns)}) IN (VALUES {', '.join([one] * len(keys))})", parts)

    def update_rows(  # noqa: D102
        self, connection: DriverConnection, table: TableInfo, key: Sequence[str], columns: Sequence[str], rows: Sequence[Row]
    ) -> int:
        # The values are numbered as they stand in a row, the key first.
        assigned = ", ".join(f"{self.quote(name)} = ?{place}" for place, name in enumerate(columns, len(key) + 1))
        found = " AND ".join(f"{self.quote(name)} = ?{place}" for place, name in enumerate(key, 1))
        cursor = connection.cursor()
        try:
            # Said here, the conflict is refused, even where the table says that it replaces the other row.
            cursor.executemany(f"UPDATE OR ABORT {self.quoted(table)} SET {assigned} WHERE {found}", rows)
            return int(cursor.rowcount)
        finally:
            cursor.close()

    def wait_for_writers(self) -> None:  # noqa: D102
        # A read would not wait for a transaction that a stopped process may still commit. The write lock is to be had when there is none.
        with self.borrowed() as connection:
            self.command(connection.driver_connection, "BEGIN IMMEDIATE")
            self.command(connection.driver_connection, "ROLLBACK")

    def unwritable(self) -> str:  # noqa: D102
        path = Path(self.place)
        if not os.access(path, os.W_OK):
            return f"the file {path.name} may only be read."
        # What a transaction needs to be undone lies beside the file.
        return "" if os.access(path.parent, os.W_OK) else f"nothing may be written in the folder of the file {path.name}."

    def triggers(self, table: TableInfo, event: str) -> list[str]:  # noqa: D102
        with self.borrowed() as connection:
            rows = self.run(
                connection.driver_connection,
                Statement("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND lower(tbl_name) = lower(?)", (table.name,)),
            )
        # Said of nothing else in it: a trigger's own statements write DELETE FROM and UPDATE ... SET.
        fires = re.compile(rf"\b{event}\s+(?:OF\b[^;]*?\s)?ON\b", re.IGNORECASE)
        return [str(name) for name, sql in rows if fires.search(_COMMENTS.sub(" ", str(sql)))]


def sqlite_engine(source: str, url: URL, options: Mapping[str, str], lock_seconds: float) -> Engine:
    """Return the engine for a SQLite file that exists.

    SourceFailed when there is none, for the disk it lies on may not be mounted; ConfigurationError for anything else.
    """
    if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
        raise ConfigurationError(f"{source}: the address must name a file: sqlite:///relative/path.db or sqlite:////absolute/path.db.")
    path = Path(url.database)
    if not path.is_file():
        raise SourceFailed(f"{source}: there is no file {path}; mount the disk that it lies on, or check the address of the source.")
    journal = options.get("journal", "")
    if journal not in ("", "wal"):
        raise ConfigurationError(f"{source}: the option journal knows only the value 'wal', which changes the file's journal mode.")
    address = f"file:{quote(str(path.absolute()))}?mode=rw"

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(address, uri=True, timeout=lock_seconds, isolation_level=None, check_same_thread=False)
        try:
            create_functions(connection)
            for pragma in _PRAGMAS:
                connection.execute(f"PRAGMA {pragma}").close()
            if journal:
                connection.execute("PRAGMA journal_mode = WAL").close()
        except BaseException:
            connection.close()
            raise
        return connection

    return sa.create_engine("sqlite://", creator=connect, poolclass=QueuePool, pool_size=2, max_overflow=8, hide_parameters=True)


def create_functions(connection: sqlite3.Connection) -> None:
    """Give a connection the functions that its selections call."""
    connection.create_function(IS_TRUNCATED, 1, _is_truncated, deterministic=True)
    connection.create_function(IS_GENERALISED, 3, _is_generalised, deterministic=True)
    connection.create_function(TELLS_SOMETHING, 1, _tells_something, deterministic=True)


def _is_truncated(address: object) -> int:
    """Whether an IP address is what truncating it would write."""
    return int(isinstance(address, str) and (address == "" or truncated(address) == address))


def _is_generalised(raw: object, coarse: str, size: int) -> int:
    """Whether a value is as coarse as a treatment makes it."""
    return int(is_generalised(Treatment(TreatmentKind.GENERALISE, coarse=Coarse(coarse), size=size), raw))


def _tells_something(raw: object) -> int:
    """Whether a text may hold something that its form gives away; whatever is no text may hold anything."""
    return int(not isinstance(raw, str) or tells(raw))
