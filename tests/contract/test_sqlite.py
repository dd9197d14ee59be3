"""Tables of SQLite keep the contract, with a marker table for crashes and without one."""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from connectors.contract import (
    AGGREGATES,
    AWKWARD,
    COLUMNS,
    FIELDS,
    RELATIONS,
    ConnectorContract,
    Record,
    RelationsContract,
    RelationsHarness,
)
from connectors.plugins import crm
from worker.core.sources import Source
from worker.ports import Connection, Key, OpenSource

_TABLES = f"""
CREATE TABLE people (id {{key}} PRIMARY KEY NOT NULL, {", ".join(f"{name} {{types[{name}]}}" for name in COLUMNS)});
CREATE INDEX people_seen ON people (seen_on);
CREATE TABLE letters (id INTEGER PRIMARY KEY, record_id {{key}} REFERENCES people (id), sent_on TEXT);
CREATE INDEX letters_record ON letters (record_id);
CREATE TABLE bills (id INTEGER PRIMARY KEY, record_id {{key}} REFERENCES people (id), sent_on TEXT);
CREATE INDEX bills_record ON bills (record_id);
"""
_TYPES = dict.fromkeys(COLUMNS, "TEXT") | {"score": "INTEGER", "hired": "INTEGER"}


class SqliteHarness(RelationsHarness):
    """Tables of SQLite; days and moments are texts. `related` says whether other tables refer to the records."""

    more_than_a_page = 12_003
    awkward_keys = tuple((text,) for text in AWKWARD)
    odd_dates = ("0000-00-00", "yesterday", "  ", "2020-02-30", "", "20200101", "2020-W05-6", " 2020-01-01")

    def __init__(self, path: Path, *, related: bool, witnessed: bool) -> None:
        self.path = path
        self.source = Source("people", "crm", "people", ("id",), FIELDS, *((AGGREGATES, RELATIONS) if related else ()))
        self.connection = Connection(url=f"sqlite:///{path}", witness_table=witnessed)
        with self._open() as database:
            script = _TABLES.format(key="TEXT", types=_TYPES)
            database.executescript(script if related else script.partition("CREATE TABLE letters")[0])

    def open(self) -> OpenSource:
        return crm(self.source, self.connection)

    def fill(self, records: Mapping[Key, Record]) -> None:
        self._fill("people", records)

    def dump(self) -> dict[Key, dict[str, object]]:
        return self._dump("people")

    def disturb(self, key: Key, record: Record | None) -> bool:
        try:
            with self._open() as database:
                if record is None:
                    database.execute("DELETE FROM people WHERE id = ?", key)
                else:
                    settings = ", ".join(f"{name} = ?" for name in record)
                    database.execute(f"UPDATE people SET {settings} WHERE id = ?", (*map(_stored, record.values()), *key))
        except sqlite3.OperationalError:
            return False
        return True

    def fill_related(self, table: str, rows: Mapping[Key, Record]) -> None:
        self._fill(table, rows)

    def dump_related(self, table: str) -> dict[Key, dict[str, object]]:
        return self._dump(table)

    def _fill(self, table: str, rows: Mapping[Key, Record]) -> None:
        with self._open() as database:
            database.execute(f"DELETE FROM {table}")
            for key, row in rows.items():
                names = ", ".join(("id", *row))
                marks = ", ".join("?" for _ in range(len(row) + 1))
                database.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", (*key, *map(_stored, row.values())))

    def _dump(self, table: str) -> dict[Key, dict[str, object]]:
        with self._open() as database:
            database.row_factory = sqlite3.Row
            rows = [dict(row) for row in database.execute(f"SELECT * FROM {table}")]
        return {(row.pop("id"),): row for row in rows}

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self.path, timeout=0)) as database, database:
            yield database


def _stored(value: object) -> object:
    """Return a value as the tables hold it."""
    return value.isoformat(sep=" ") if isinstance(value, dt.datetime) else value.isoformat() if isinstance(value, dt.date) else value


class TestSqlite(ConnectorContract):
    """Records that nothing refers to, in a database that may keep a marker."""

    @pytest.fixture
    def harness(self, tmp_path: Path) -> SqliteHarness:
        return SqliteHarness(tmp_path / "crm.sqlite", related=False, witnessed=True)


class TestSqliteWithoutWitness(ConnectorContract):
    """Records in a database that may not keep a marker."""

    @pytest.fixture
    def harness(self, tmp_path: Path) -> SqliteHarness:
        return SqliteHarness(tmp_path / "crm.sqlite", related=False, witnessed=False)


class TestSqliteWithRelations(ConnectorContract):
    """Records that other tables refer to."""

    @pytest.fixture
    def harness(self, tmp_path: Path) -> SqliteHarness:
        return SqliteHarness(tmp_path / "crm.sqlite", related=True, witnessed=True)


class TestSqliteRelations(RelationsContract):
    """Tables that refer to records."""

    @pytest.fixture
    def harness(self, tmp_path: Path) -> SqliteHarness:
        return SqliteHarness(tmp_path / "crm.sqlite", related=True, witnessed=True)
