"""The three databases, private and durable: each builds its rows once and then gives fresh, identical copies, one a measurement.

What a copy leaves behind (pages still to be written) is written before the measurement begins, so that no way pays for another one's work.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import psycopg
import pymysql
import sqlalchemy as sa
from psycopg import sql

from bench.data import COLUMNS, Row
from tests.systems.servers.mariadb import MariaDB, running_mariadb
from tests.systems.servers.postgres import Postgres, running_postgres

NAMES = ("sqlite", "postgresql", "mariadb")
TABLE = "contacts"

_CREATE = """
CREATE TABLE contacts (
  id {key} PRIMARY KEY,
  name VARCHAR(80),
  email VARCHAR(120),
  phone VARCHAR(20),
  city VARCHAR(60),
  remark VARCHAR(200),
  last_contact_at {instant}
){more}
"""
_INDEX = "CREATE INDEX contacts_last_contact_at ON contacts (last_contact_at)"
_NAMES = ", ".join(COLUMNS)
_SETTLED_PAGES = 50
_HASTE = {"innodb_io_capacity_max": 20_000, "innodb_io_capacity": 20_000, "innodb_max_dirty_pages_pct": 0}
_SETTLING_SECONDS = 120.0


class Database(Protocol):
    """A database to measure on; addresses are SQLAlchemy's."""

    name: str

    def build(self, template: str, rows: Iterable[Row]) -> None:
        """Build a table of contacts once, with an index on the date, as a template."""
        ...

    def template(self, template: str) -> str:
        """Return the address of a template, for measurements that only read."""
        ...

    @contextlib.contextmanager
    def fresh(self, template: str) -> Iterator[str]:
        """Yield the address of a copy of a template that is ready to be measured on; it is dropped afterwards."""
        ...

    def engine(self, url: str) -> sa.Engine:
        """Return an engine for the ways that compare themselves with the worker, as durable as the worker's own connections."""
        ...


@contextlib.contextmanager
def running(name: str, folder: Path) -> Iterator[Database]:
    """Start a database by its name and stop it afterwards; SQLite's files lie in the folder, the servers have their own."""
    match name:
        case "sqlite":
            yield SQLite(folder)
        case "postgresql":
            with running_postgres(durable=True) as postgres:
                yield PostgreSQL(postgres)
        case "mariadb":
            with running_mariadb(durable=True) as mariadb:
                yield MariaDBServer(mariadb)
        case _:
            raise ValueError(f"no database is called {name!r}")


class SQLite:
    """Files in write-ahead mode."""

    name = "sqlite"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def build(self, template: str, rows: Iterable[Row]) -> None:
        """Build a file."""
        with contextlib.closing(sqlite3.connect(self._path(template), isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(_CREATE.format(key="INTEGER", instant="TIMESTAMP", more=""))
            connection.execute("BEGIN")
            connection.executemany(
                f"INSERT INTO contacts VALUES ({', '.join('?' * len(COLUMNS))})", ((*row[:-1], row[-1].isoformat(" ")) for row in rows)
            )
            connection.execute(_INDEX)
            connection.execute("COMMIT")
            connection.execute("ANALYZE")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def template(self, template: str) -> str:
        """Return the file's address."""
        return f"sqlite:///{self._path(template)}"

    @contextlib.contextmanager
    def fresh(self, template: str) -> Iterator[str]:
        """Copy the file and wait until the copy is on the disk."""
        copy = self._folder / "measured.sqlite"
        shutil.copyfile(self._path(template), copy)
        with copy.open("rb") as file:
            os.fsync(file.fileno())
        try:
            yield f"sqlite:///{copy}"
        finally:
            for path in self._folder.glob(f"{copy.name}*"):
                path.unlink()

    def engine(self, url: str) -> sa.Engine:
        """Return an engine whose commits wait for the disk and whose deletions overwrite, as the worker's do."""
        path = url.removeprefix("sqlite:///")

        def connect() -> sqlite3.Connection:
            connection = sqlite3.connect(path)
            connection.executescript("PRAGMA synchronous = FULL; PRAGMA secure_delete = ON;")
            return connection

        return sa.create_engine("sqlite://", creator=connect)

    def _path(self, template: str) -> Path:
        return self._folder / f"{template}.sqlite"


class PostgreSQL:
    """A server with durable defaults; a copy is a database made from the template's."""

    name = "postgresql"

    def __init__(self, server: Postgres) -> None:
        self._server = server
        self._templates: dict[str, str] = {}

    def build(self, template: str, rows: Iterable[Row]) -> None:
        """Build a database, vacuumed, so that the first reader does not pay for the last writer."""
        self._templates[template] = url = self._server.new_database(template)
        with self._connected(_database(url)) as connection:
            connection.execute(_CREATE.format(key="BIGINT", instant="TIMESTAMP", more="").encode())
            with connection.cursor().copy(f"COPY contacts ({_NAMES}) FROM STDIN".encode()) as copy:
                for row in rows:
                    copy.write_row(row)
            connection.execute(_INDEX.encode())
            connection.execute("VACUUM (ANALYZE, FREEZE) contacts")
            connection.execute("CHECKPOINT")

    def template(self, template: str) -> str:
        """Return the template's address."""
        return self._templates[template]

    @contextlib.contextmanager
    def fresh(self, template: str) -> Iterator[str]:
        """Copy the database and write everything to the disk."""
        source = sql.Identifier(_database(self._templates[template]))
        with self._connected("postgres") as connection:
            connection.execute(sql.SQL("CREATE DATABASE measured TEMPLATE {}").format(source))
            connection.execute("CHECKPOINT")
        try:
            yield self._server.url_of("measured")
        finally:
            with self._connected("postgres") as connection:
                connection.execute("DROP DATABASE measured WITH (FORCE)")

    def engine(self, url: str) -> sa.Engine:
        """Return an engine; the server's own settings make it durable."""
        return sa.create_engine(url)

    def _connected(self, database: str) -> psycopg.Connection:
        server = urlsplit(self._server.url)
        return psycopg.connect(
            host=server.hostname, port=server.port, user=server.username, password=server.password, dbname=database, autocommit=True
        )


class MariaDBServer:
    """A server with durable defaults; a copy is a table filled from the template's in the order of its key."""

    name = "mariadb"

    def __init__(self, server: MariaDB) -> None:
        self._server = server
        self._templates: dict[str, str] = {}

    def build(self, template: str, rows: Iterable[Row]) -> None:
        """Build a database."""
        self._templates[template] = url = self._server.new_database(template)
        with self._cursor(_database(url)) as cursor:
            cursor.execute(_CREATE.format(key="BIGINT", instant="DATETIME", more=" ENGINE = InnoDB"))
            cursor.execute("BEGIN")
            cursor.executemany(f"INSERT INTO contacts ({_NAMES}) VALUES ({', '.join(['%s'] * len(COLUMNS))})", rows)
            cursor.execute("COMMIT")
            cursor.execute(_INDEX)
            cursor.execute("ANALYZE TABLE contacts")
            _settle(cursor)

    def template(self, template: str) -> str:
        """Return the template's address."""
        return self._templates[template]

    @contextlib.contextmanager
    def fresh(self, template: str) -> Iterator[str]:
        """Copy the table and wait until its pages are on the disk."""
        source = _database(self._templates[template])
        with self._cursor("retention") as cursor:
            cursor.execute("CREATE DATABASE measured CHARACTER SET utf8mb4")
            cursor.execute(f"CREATE TABLE measured.contacts LIKE `{source}`.contacts")
            cursor.execute(f"INSERT INTO measured.contacts SELECT * FROM `{source}`.contacts ORDER BY id")
            cursor.execute("ANALYZE TABLE measured.contacts")
            _settle(cursor)
        try:
            yield self._server.url_of("measured")
        finally:
            with self._cursor("retention") as cursor:
                cursor.execute("DROP DATABASE measured")

    def engine(self, url: str) -> sa.Engine:
        """Return an engine; the server's own settings make it durable."""
        return sa.create_engine(url)

    @contextlib.contextmanager
    def _cursor(self, database: str) -> Iterator[pymysql.cursors.Cursor]:
        server = urlsplit(self._server.url)
        with (
            pymysql.connect(
                host=server.hostname or "",
                port=server.port or 0,
                user=server.username,
                password=server.password or "",
                database=database,
                charset="utf8mb4",
                autocommit=True,
            ) as connection,
            connection.cursor() as cursor,
        ):
            yield cursor


def _settle(cursor: pymysql.cursors.Cursor) -> None:
    """Wait until the server has written and purged what is left over from the statements before."""
    cursor.execute(f"SELECT {', '.join(f'@@GLOBAL.{name}' for name in _HASTE)}")
    (usual,) = cursor.fetchall()
    _set(cursor, _HASTE)
    end = time.monotonic() + _SETTLING_SECONDS
    while time.monotonic() < end:
        cursor.execute("SHOW GLOBAL STATUS WHERE Variable_name IN ('Innodb_buffer_pool_pages_dirty', 'Innodb_history_list_length')")
        if all(int(value) <= _SETTLED_PAGES for _, value in cursor.fetchall()):
            break
        time.sleep(0.1)
    _set(cursor, dict(zip(reversed(_HASTE), reversed(usual), strict=True)))


def _set(cursor: pymysql.cursors.Cursor, settings: Mapping[str, int]) -> None:
    """Change settings of the running server, in the order in which it allows them."""
    for name, value in settings.items():
        cursor.execute(f"SET GLOBAL {name} = %s", (value,))


def _database(url: str) -> str:
    """Return the name of the database in an address."""
    return urlsplit(url).path.removeprefix("/")
