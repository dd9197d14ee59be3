"""The sql connector keeps the contract on a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from connectors.contract import ConnectorContract, RelationsContract
from tests.systems.servers.postgres import Postgres
from tests.unit.connectors.sql.harness import SqlHarness


class PostgresHarness(SqlHarness):
    """A database on PostgreSQL; texts are ordered by code point, so that the tests know the order."""

    many = 20_000

    def key_type(self) -> sa.types.TypeEngine[str]:
        return sa.String(200, collation="C")

    def hurry(self, connection: sa.Connection) -> None:
        connection.exec_driver_sql("SET LOCAL lock_timeout = 100")


@pytest.fixture(scope="module")
def engine(postgres: Postgres) -> Iterator[sa.Engine]:
    """Return another program's engine."""
    made = sa.create_engine(postgres.new_database("people"), poolclass=sa.pool.NullPool)
    yield made
    made.dispose()


@pytest.fixture
def harness(engine: sa.Engine) -> PostgresHarness:
    """Return empty tables."""
    return PostgresHarness(engine.url.render_as_string(hide_password=False), engine)


class TestPostgres(ConnectorContract):
    """A table of PostgreSQL."""

    @pytest.fixture
    def harness(self, harness: PostgresHarness) -> PostgresHarness:
        return harness


class TestPostgresRelations(RelationsContract):
    """Related tables of PostgreSQL."""

    @pytest.fixture
    def harness(self, harness: PostgresHarness) -> PostgresHarness:
        return harness
