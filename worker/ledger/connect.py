"""How the ledger reaches its database: which ones, with what durability, and what an error means to the operator.

Two promises rest on these settings. What a method wrote is on disk when it returns (SQLite: WAL with synchronous=FULL;
PostgreSQL: synchronous_commit on, whatever the server's default is). And a write transaction on SQLite takes its lock
at its beginning, so that it waits instead of failing half-way.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import functools
import os
import sqlite3
import time
from collections.abc import Callable, Collection, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from sqlalchemy import Column, Connection, Engine, Executable, Table, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, OperationalError, SQLAlchemyError

from worker.errors import ConfigurationError, LedgerUnreachable, RetentionError

_BUSY_SECONDS = 10
_READ, _WRITE = "BEGIN", "BEGIN IMMEDIATE"
DISK_TROUBLE = frozenset({"disk I/O error", "database or disk is full", "unable to open database file"})
"""What SQLite says when there is no room left: not always that."""


def parse(url: str) -> URL:
    """Return the address of a ledger: SQLite in a file (path made absolute, links resolved) or PostgreSQL by psycopg.

    Raises ConfigurationError for any other one, without its text: it may hold a password.
    """
    try:
        parsed = make_url(url)
        backend = parsed.get_backend_name()
    except (ArgumentError, ValueError):
        raise ConfigurationError(
            "RETENTION_LEDGER is not a database URL. Write sqlite:////folder/ledger.sqlite or "
            "postgresql+psycopg://user:password@host/database."
        ) from None
    if backend in {"postgresql", "postgres"}:
        return parsed.set(drivername="postgresql+psycopg")
    if backend != "sqlite":
        raise ConfigurationError(f"A ledger can't be kept in {backend}. Use SQLite or PostgreSQL.")
    if not parsed.database or parsed.database == ":memory:" or parsed.database.startswith("file:"):
        raise ConfigurationError("The ledger has to be a file that outlives this process. Write sqlite:////folder/ledger.sqlite.")
    return parsed.set(drivername="sqlite", database=os.path.realpath(parsed.database))


def connect(url: URL) -> Engine:
    """Return an engine for a parsed address; a missing SQLite file is made, readable by its owner only."""
    if url.get_backend_name() == "sqlite":
        _make_file(Path(url.database or ""))
        engine = create_engine(url, hide_parameters=True, connect_args={"timeout": _BUSY_SECONDS})
        event.listen(engine, "connect", _prepare_sqlite)
    else:
        engine = create_engine(
            url, hide_parameters=True, pool_pre_ping=True, connect_args={"keepalives_idle": 30, "keepalives_interval": 10}
        )
        event.listen(engine, "connect", _prepare_postgresql)
    return engine


def _make_file(path: Path) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise ConfigurationError(
            f"The ledger {path} can't be opened: {error.strerror}. Make the file and its folder writable for the user "
            "who runs this command, or choose another place with RETENTION_LEDGER or RETENTION_STATE."
        ) from error


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    # The driver must not begin transactions by itself: `_begin_sqlite` does, with the right kind of lock.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in (f"busy_timeout={_BUSY_SECONDS * 1000}", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    _write_ahead(cursor)
    cursor.close()


def _write_ahead(cursor: Any) -> None:
    """Put a SQLite file into WAL mode. The busy timeout does not cover this one change, so two processes that make it at once try again."""
    until = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            if cursor.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
                cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > until:
                raise
            time.sleep(0.02)
        else:
            return


def _begin_sqlite(connection: Connection, how: str) -> None:
    driver: Any = connection.connection.driver_connection
    try:
        # By the driver itself: SQLAlchemy's account of a statement takes longer than this one.
        driver.execute(how)
    except sqlite3.Error as error:
        raise OperationalError(how, None, error) from error


_LIMITS = {
    "synchronous_commit": "on",
    "idle_in_transaction_session_timeout": "60s",
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
}
"""What the server enforces for every session. A machine that vanishes leaves sessions that never end by themselves, with whatever they have
locked: an open transaction ends after a minute, and a lock that shows that a process lives goes after another."""


def _prepare_postgresql(connection: Any, _record: Any) -> None:
    # Committed at once, or the rollback at the connection's first return to the pool would undo it.
    with connection.cursor() as cursor:
        for name, value in _LIMITS.items():
            cursor.execute("SELECT set_config(%s, %s, false)", (name, value))
    connection.commit()


Say = Callable[[], object]
"""Puts into the audit trail, durably, what is about to be kept; what it raises keeps nothing."""


def nothing() -> None:
    """Say nothing."""


class Store:
    """A database and a clock: what every part of the ledger works with."""

    def __init__(self, engine: Engine, now: Callable[[], dt.datetime]) -> None:
        self._engine = engine
        self._now = now

    @contextlib.contextmanager
    def _read(self) -> Iterator[Connection]:
        """Look at one consistent state."""
        with explained(), self._transaction(_READ) as connection:
            yield connection

    @contextlib.contextmanager
    def _write(self) -> Iterator[Connection]:
        """Change everything in the block or nothing; durable when the block has ended."""
        with explained(), self._transaction(_WRITE) as connection:
            yield connection

    @contextlib.contextmanager
    def _transaction(self, how: str = _WRITE) -> Iterator[Connection]:
        """Begin, and commit unless an error comes; errors come as SQLAlchemy's. how -- what begins it on SQLite."""
        with self._engine.begin() as connection:
            if connection.dialect.name == "sqlite":
                # Not by an event of the engine: as soon as it has one, every statement asks for others.
                _begin_sqlite(connection, how)
            yield connection


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """Turn what the database says into what the operator does next. The ledger holds no personal data to leak."""
    try:
        yield
    except (OperationalError, InterfaceError) as error:
        why = said(error)
        hint = ". Is there room on its disk?" if why in DISK_TROUBLE else ""
        raise LedgerUnreachable(f"The ledger can't be reached or is busy: {why}{hint}") from error
    except SQLAlchemyError as error:
        raise RetentionError(f"The ledger refused: {said(error)}") from error


def said(error: SQLAlchemyError) -> str:
    """Return the first line of what the database itself said."""
    text = str(error.orig) if isinstance(error, DBAPIError) else str(error)
    return (text.strip().splitlines() or [type(error).__name__])[0]


def columns(table: Table, row: type[Any]) -> list[Column[Any]]:
    """Return the columns that a row class is made of, in its order."""
    return [table.c[field.name] for field in dataclasses.fields(row)]


def values(row: Any) -> dict[str, Any]:
    """Return a row's values by the name of their column."""
    return {field.name: getattr(row, field.name) for field in dataclasses.fields(row)}


def put(connection: Connection, table: Table, row: dict[str, Any], *, keep: Collection[str] = (), replace: bool = True) -> bool:
    """Insert a row; one with the same primary key is replaced, but for the columns in keep, or left alone.

    Returns False when it was left alone.
    """
    changed = tuple(name for name in row if name not in keep) if replace else None
    done = connection.execute(_upsert(connection.dialect.name, table, changed), row)
    return replace or done.rowcount == 1


@functools.cache
def _upsert(dialect: str, table: Table, changed: tuple[str, ...] | None) -> Executable:
    """Return what `put` executes, built once. changed -- the columns that an existing row takes over; None leaves it alone."""
    # The dialect that is in use is there already; the other one takes a twentieth of a command's start to import.
    statement = import_module(f"sqlalchemy.dialects.{dialect}").insert(table)
    keys = [column.name for column in table.primary_key]
    whole: Executable
    if changed is None:
        # Asked for, because the count of an insert is thrown away otherwise.
        whole = statement.on_conflict_do_nothing(index_elements=keys).execution_options(preserve_rowcount=True)
    else:
        taken = {name: statement.excluded[name] for name in changed if name not in keys}
        whole = statement.on_conflict_do_update(index_elements=keys, set_=taken)
    return whole
