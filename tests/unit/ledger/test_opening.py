"""Opening a ledger: what is made, what is refused, and that the schema is the one the code expects."""

from __future__ import annotations

import dataclasses
import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect

import worker.ledger
from tests.unit.ledger.conftest import START, Clock
from worker.errors import ConfigurationError, LedgerUnreachable
from worker.ledger import FindingRow, Ledger, schema
from worker.ledger.connect import connect, parse


def test_a_missing_ledger_is_made_for_its_owner_only(url: str, clock: Clock) -> None:
    """Nobody else reads which keys exist and who approved what; nor the log beside the file."""
    before = os.umask(0)
    try:
        with Ledger.open(url, now=clock) as ledger:
            assert ledger.path is not None
            ledger.set_meta("organisation", "o")
            folder = ledger.path.parent
            made = {file.name: stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()}
            assert url == f"sqlite:///{ledger.path}"
            assert "sqlite" == ledger.dialect
    finally:
        os.umask(before)

    assert {"ledger.sqlite": 0o600, "ledger.sqlite-wal": 0o600, "ledger.sqlite-shm": 0o600} == made
    assert 0o700 == stat.S_IMODE(folder.stat().st_mode)


def test_what_was_written_is_there_after_opening_again(url: str, ledger: Ledger) -> None:
    """A second opening migrates nothing and forgets nothing."""
    ledger.set_meta("organisation", "first")
    ledger.set_meta("organisation", "o")

    with Ledger.open(url, now=ledger._now) as again:
        assert "o" == again.get_meta("organisation")
        assert again.get_meta("other") is None


def test_every_write_is_durable_and_waits_for_its_turn(ledger: Ledger) -> None:
    """WAL with full syncing, a busy timeout, and foreign keys: the promises rest on them."""
    with ledger._engine.connect() as connection:
        found = [
            connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "busy_timeout", "foreign_keys")
        ]

    assert ["wal", 2, 10_000, 1] == found


def test_migrations_lead_to_the_schema_of_the_code(ledger: Ledger) -> None:
    """A column that was added to one and not to the other is found here, and the newest revision is the known one."""
    with ledger._engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), schema.metadata)
    config = Config()
    config.set_main_option("script_location", str(Path(worker.ledger.__file__).parent / "migrations"))

    assert [] == differences
    assert schema.HEAD == ScriptDirectory.from_config(config).get_current_head()


def test_migrations_know_the_same_states_as_the_code(ledger: Ledger, tmp_path: Path) -> None:
    """A state that was added to the code and not by a migration is found here; Alembic doesn't compare these."""
    engine = create_engine(f"sqlite:///{tmp_path}/direct.sqlite")
    schema.metadata.create_all(engine)
    direct, migrated = inspect(engine), inspect(ledger._engine)
    for table in schema.metadata.tables:
        assert direct.get_check_constraints(table) == migrated.get_check_constraints(table)
    engine.dispose()


def test_acceptances_outlive_a_new_kind_of_finding(url: str, clock: Clock) -> None:
    """A ledger of the first schema takes the newer kinds, and what a person accepted stays accepted."""
    Path(url.removeprefix("sqlite:///")).parent.mkdir()
    engine = create_engine(url)
    with engine.begin() as connection:
        config = Config()
        config.set_main_option("script_location", str(Path(worker.ledger.__file__).parent / "migrations"))
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        old = FindingRow("overdue", "crm", "crm", "past the deadline", 2)
        row = {"digest": old.digest, "first_seen": clock(), "last_seen": clock(), "run_id": "r", **dataclasses.asdict(old)}
        connection.execute(schema.findings.insert().values(row))
        yes = {"digest": old.digest, "owner": "o", "reason": "r", "expires_on": START.date(), "max_count": 2, "at": clock()}
        connection.execute(schema.accepted_findings.insert().values(yes))
    engine.dispose()

    with Ledger.open(url, now=clock) as ledger:
        ledger.record_findings(
            "run-2", [old, *(FindingRow(kind, "crm", "crm", "what", 1) for kind in ("waiting", "returned", "suppressed"))]
        )
        assert {"overdue", "waiting", "returned", "suppressed"} == {each.finding.kind for each in ledger.open_findings()}
        assert [(old.digest, "o", 2)] == [(each.digest, each.owner, each.max_count) for each in ledger.accepted()]


def test_a_newer_ledger_is_refused(url: str, ledger: Ledger) -> None:
    """An older worker must not write by rules that have changed."""
    with ledger._transaction() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")

    with pytest.raises(ConfigurationError, match="newer version"):
        Ledger.open(url, now=ledger._now)


def test_another_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    """The ledger never moves into a source's file."""
    path = tmp_path / "crm.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE contacts (id INTEGER)")
        connection.commit()

    with pytest.raises(ConfigurationError, match="never kept with a source"):
        Ledger.open(f"sqlite:///{path}", now=Clock())
    engine = create_engine(f"sqlite:///{path}")
    with engine.connect() as again:
        assert [("contacts",)] == again.exec_driver_sql("SELECT name FROM sqlite_master").all()
    engine.dispose()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("hunter2", "not a database URL"),
        ("mariadb+pymysql://u:hunter2@h/d", "can't be kept in m"),
        ("sqlite://", "outlives"),
        ("sqlite:///:memory:", "outlives"),
        ("postgresql+psycopg://u:hunter2@127.0.0.1:1/d", "can't be opened"),
    ],
)
def test_an_address_that_cant_be_a_ledger_is_refused(url: str, said: str) -> None:
    """Exit code 2, with what to write instead, and without the password."""
    with pytest.raises(ConfigurationError, match=said) as caught:
        Ledger.open(url, now=Clock())
    assert "hunter2" not in str(caught.value)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    """A file is never overwritten because it was in the place of the ledger."""
    path = tmp_path / "ledger.sqlite"
    path.write_text("something else " * 100)

    with pytest.raises(ConfigurationError, match="not a database"):
        Ledger.open(f"sqlite:///{path}", now=Clock())
    assert path.read_text().startswith("something else")


def test_a_place_that_cant_be_written_is_refused(tmp_path: Path) -> None:
    """A folder that can't be made is told with the settings that name it."""
    (tmp_path / "file").write_text("")

    with pytest.raises(ConfigurationError, match="RETENTION_STATE"):
        Ledger.open(f"sqlite:///{tmp_path}/file/ledger.sqlite", now=Clock())


def test_an_older_ledger_keeps_what_it_knew(tmp_path: Path, clock: Clock) -> None:
    """A ledger of the first schema is brought up to date with its findings, who accepted them, and its marks."""
    url = f"sqlite:///{tmp_path}/ledger.sqlite"
    engine = connect(parse(url))
    config = Config()
    config.set_main_option("script_location", str(Path(worker.ledger.__file__).parent / "migrations"))
    with engine.execution_options(ledger_writes=True).begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        at = "2026-03-01T02:00:00.000000Z"
        known = FindingRow("failed", "crm", "crm", "it did not answer", 2)
        connection.exec_driver_sql(
            f"INSERT INTO findings VALUES ('{known.digest}', 'failed', 'crm', 'crm', 'it did not answer', 2, '{at}', '{at}', 'r', NULL)"
        )
        connection.exec_driver_sql(f"INSERT INTO accepted_findings VALUES ('{known.digest}', 'chief', 'known', '2027-01-01', 2, '{at}')")
        connection.exec_driver_sql(f"INSERT INTO marks VALUES ('crm', 't1', 'left_on', '2026-01-31', 'clerk', '{at}')")
    engine.dispose()

    with Ledger.open(url, now=clock) as ledger:
        assert [known] == [each.finding for each in ledger.open_findings()]
        assert [(known.digest, "chief")] == [(each.digest, each.owner) for each in ledger.accepted()]
        assert [("left_on", None)] == [(each.name, each.reason) for each in ledger.marks("crm")]
        ledger.record_findings("r2", [FindingRow("review", "*", "*", "cookies", 1)])
        with pytest.raises(ConfigurationError, match="no finding"):
            ledger.accept_finding("0" * 64, "chief", "known", START.date(), 1)
        with ledger._transaction() as connection:
            assert [] == connection.exec_driver_sql("PRAGMA foreign_key_check").all()
            assert "findings" == connection.exec_driver_sql("PRAGMA foreign_key_list(accepted_findings)").one()[2]


def test_a_ledger_that_somebody_else_writes_is_busy(ledger: Ledger, url: str) -> None:
    """A lock that can't be had in time is told as that, nothing is written, and the ledger works again afterwards."""
    with ledger._read() as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout = 1")
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerUnreachable, match="database is locked"):
            ledger.put_stop("*", "too busy", "dora")
        assert [] == ledger.stops()
        other.execute("ROLLBACK")
    ledger.put_stop("*", "not any more", "dora")
    assert ["not any more"] == [each.why for each in ledger.stops()]
