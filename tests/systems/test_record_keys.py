"""A typed key is looked up in real databases, which differ in what they take for the same: the hold is on the key that their rows have."""

from __future__ import annotations

from contextlib import closing

import pytest
import sqlalchemy as sa

from connectors.sql.open import open_source
from tests.systems.servers.mariadb import MariaDB
from tests.systems.servers.postgres import Postgres
from tests.unit.usecases.conftest import Lab, furnished, schedule_of
from tests.unit.usecases.test_recordkeys import FILES, UUID, held, with_files
from worker.ports import Connection

_KEYS = [
    ("VARCHAR(40)", ["'0042'", "'42'", "'7'"], "0042", {"0042"}),
    ("VARCHAR(40)", ["'0042'", "'42'", "'7'"], "42", {"42"}),
    ("VARCHAR(40)", ["'042a'", "'7'"], "042a", {"042a"}),
    ("BIGINT", ["42", "7"], "42", {"42"}),
    ("BIGINT", ["42", "7"], "042", {"42"}),
    ("UUID", [f"'{UUID}'", f"'{UUID[:-1]}e'"], UUID, {UUID}),
    ("UUID", [f"'{UUID}'", f"'{UUID[:-1]}e'"], UUID.upper(), {UUID}),
]


@pytest.fixture
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """Return a laboratory whose files will lie in a database."""
    return with_files(furnished(tmp_path_factory.mktemp("keys")))


def keeps(lab: Lab, url: str, keys: tuple[str, list[str], str]) -> set[str]:
    """Put files into a table whose key has a declared type, hold one as it is typed, run, and return what is left."""
    declared, values, typed = keys
    engine = sa.create_engine(url, poolclass=sa.pool.NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"CREATE TABLE files (id {declared} PRIMARY KEY, name VARCHAR(40), closed_on DATE)")
        for each in values:
            connection.exec_driver_sql(f"INSERT INTO files VALUES ({each}, 'x', '2020-01-01')")
    with closing(open_source(schedule_of(FILES).sources["files"], Connection(url))) as opened:
        lab.opens = lambda source, memory, sources: opened  # type: ignore[assignment, misc]
        with lab.machine() as machine:
            held(machine, typed)
            lab.plan_and_apply(machine)
    with engine.begin() as connection:
        return {str(key) for (key,) in connection.exec_driver_sql("SELECT id FROM files")}


@pytest.mark.parametrize(("declared", "values", "typed", "left"), _KEYS)
def test_postgresql(lab: Lab, postgres: Postgres, declared: str, values: list[str], typed: str, left: set[str]) -> None:
    """A number is refused where texts are asked for: then the text is looked for."""
    assert left == keeps(lab, postgres.new_database("keys"), (declared, values, typed))


@pytest.mark.parametrize(("declared", "values", "typed", "left"), _KEYS)
def test_mariadb(lab: Lab, mariadb: MariaDB, declared: str, values: list[str], typed: str, left: set[str]) -> None:
    """Asked for the number 42 it gives the text 0042, which is another record."""
    assert left == keeps(lab, mariadb.new_database("keys"), (declared, values, typed))
