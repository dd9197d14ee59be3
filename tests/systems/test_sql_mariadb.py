"""The sql connector keeps the contract on a real MariaDB."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from connectors.contract import ConnectorContract, RelationsContract
from tests.systems.servers.mariadb import MariaDB
from tests.unit.connectors.sql.harness import SqlHarness
from worker.core.facts import FieldType


class MariaDBHarness(SqlHarness):
    """A database on MariaDB; texts don't mind upper and lower case, as they don't by default, but keys do."""

    many = 20_000
    odd_dates = ("0000-00-00", "2020-00-10", "2021-05-00")

    def key_type(self) -> sa.types.TypeEngine[str]:
        return mysql.VARCHAR(200, charset="utf8mb4", collation="utf8mb4_nopad_bin")

    def type_of(self, kind: FieldType) -> sa.types.TypeEngine[object]:
        if kind is FieldType.TEXT:
            return mysql.LONGTEXT(charset="utf8mb4", collation="utf8mb4_general_ci")  # type: ignore[return-value]
        return super().type_of(kind)

    def hurry(self, connection: sa.Connection) -> None:
        connection.exec_driver_sql("SET innodb_lock_wait_timeout = 0")


@pytest.fixture(scope="module")
def engine(mariadb: MariaDB) -> Iterator[sa.Engine]:
    """Return another program's engine, on a server that lets days be zero."""
    made = sa.create_engine(mariadb.new_database("people"), poolclass=sa.pool.NullPool, connect_args={"init_command": "SET sql_mode = ''"})
    yield made
    made.dispose()


@pytest.fixture
def harness(engine: sa.Engine) -> MariaDBHarness:
    """Return empty tables."""
    return MariaDBHarness(engine.url.render_as_string(hide_password=False), engine)


class TestMariaDB(ConnectorContract):
    """A table of MariaDB."""

    @pytest.fixture
    def harness(self, harness: MariaDBHarness) -> MariaDBHarness:
        return harness


class TestMariaDBRelations(RelationsContract):
    """Related tables of MariaDB."""

    @pytest.fixture
    def harness(self, harness: MariaDBHarness) -> MariaDBHarness:
        return harness
