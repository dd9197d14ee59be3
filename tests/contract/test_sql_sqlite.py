"""The sql connector keeps the contract on SQLite."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from connectors.contract import ConnectorContract, Record, RelationsContract
from tests.unit.connectors.sql.harness import SqlHarness
from worker.core.facts import FieldType


class SqliteHarness(SqlHarness):
    """A SQLite file; dates are texts, so they may be anything."""

    many = 100_000
    elsewhere = 32  # the cache of a connection
    odd_dates = ("0000-00-00", "yesterday", "  ", "2020-02-30", "", "\xa0", "20200101", "2020-W01-1", " 2020-01-01", "\xa02019-01-01")

    def type_of(self, kind: FieldType) -> sa.types.TypeEngine[object]:
        plain: dict[FieldType, type[sa.types.TypeEngine[object]]] = {FieldType.DATE: sa.DATE, FieldType.TIMESTAMP: sa.TIMESTAMP}  # type: ignore[dict-item]
        return _Any(plain[kind].__visit_name__) if kind in plain else super().type_of(kind)

    def stored(self, record: Record) -> dict[str, object]:
        return {name: _text(value) for name, value in record.items()}

    def hurry(self, connection: sa.Connection) -> None:
        connection.exec_driver_sql("PRAGMA busy_timeout = 50")


class _Any(sa.types.UserDefinedType[object]):
    """A column with a date's declared type, into which texts go as they are."""

    cache_ok = True

    def __init__(self, declared: str) -> None:
        self.declared = declared

    def get_col_spec(self) -> str:
        return self.declared


def _text(value: object) -> object:
    if isinstance(value, dt.datetime):
        return value.isoformat(sep=" ")
    return value.isoformat() if isinstance(value, dt.date) else value


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[SqliteHarness]:
    """Return a new file."""
    url = f"sqlite:///{tmp_path / 'crm.db'}"
    engine = sa.create_engine(url, poolclass=sa.pool.NullPool)
    made = SqliteHarness(url, engine)
    yield made
    engine.dispose()


class TestSqlite(ConnectorContract):
    """A table of a SQLite file."""

    @pytest.fixture
    def harness(self, harness: SqliteHarness) -> SqliteHarness:
        return harness


class TestSqliteRelations(RelationsContract):
    """Related tables of a SQLite file."""

    @pytest.fixture
    def harness(self, harness: SqliteHarness) -> SqliteHarness:
        return harness
