"""Whole runs on real servers that are slow, loaded, or lose the worker for a while: they wait, try again, and come to the same content."""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from connectors.sql import open_source
from tests.systems.servers.mariadb import MariaDB
from tests.systems.servers.postgres import Postgres
from tests.systems.servers.standby import running_standby, until
from tests.systems.small_firm import BATCH, MIXED_BATCH, TREATING_BATCH, At, Firm, Unhurt, content, fill, make_firm, source_environ, unhurt
from tests.systems.test_sql_servers import source
from worker.ports import AFTER_LOCK, AFTER_WRITE, Connection


@pytest.fixture(scope="module", params=["postgres", "mariadb"])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Unhurt]:
    """Return a server, and what a run comes to on it that nothing happens to."""
    running: Postgres | MariaDB = request.getfixturevalue(request.param)
    return running, unhurt(tmp_path_factory.mktemp("unhurt"), running.new_database("firm"))


def firm_at(place: tuple[Any, Unhurt], folder: Path, **environ: str) -> Firm:
    """Return a firm with a database of its own."""
    url = place[0].new_database("firm")
    fill(url)
    settings = source_environ(witness_table="true", options__lock_timeout="0.3")
    return make_firm(folder / "firm", url, place[1].keys, **{"RETENTION_RETRY_SECONDS": "0.05", **settings, **environ})


def said(firm: Firm, action: str) -> list[dict[str, Any]]:
    """Return the events of an action."""
    lines = [line for path in sorted(firm.audit.glob("*.jsonl")) for line in path.read_text(encoding="utf-8").splitlines()]
    events = [json.loads(line).get("event") for line in lines]
    return [each for each in events if isinstance(each, dict) and each.get("event.action") == f"retention.{action}"]


@pytest.mark.parametrize(("point", "batch"), [(AFTER_LOCK, MIXED_BATCH), (AFTER_WRITE, TREATING_BATCH)])
def test_a_worker_that_is_frozen_in_a_batch(place: tuple[Any, Unhurt], tmp_path: Path, point: str, batch: int) -> None:
    """Frozen for longer than a batch may take: the server ended its session, the batch is closed as rolled back, and the next try does it.

    Meanwhile the rows were free for others, and in the end everything is as if nothing had happened, and audited once.
    """
    firm = firm_at(place, tmp_path, RETENTION_BATCH_SECONDS="1")
    plan = firm.approved()
    free: list[bool] = []

    def freeze() -> None:
        time.sleep(2.5)
        engine = sa.create_engine(firm.url, poolclass=sa.pool.NullPool)
        with engine.begin() as other:
            hurry = "SET LOCAL lock_timeout = 200" if "postgres" in firm.url else "SET innodb_lock_wait_timeout = 0"
            other.exec_driver_sql(hurry)
            other.exec_driver_sql("SELECT * FROM contacts FOR UPDATE")
            free.append(True)
        engine.dispose()

    result = firm.apply(plan, At(point, batch, freeze))
    assert ([True], 0, {}) == (free, result.exit_code, result.failed)
    assert place[1].content == content(firm.url)
    assert sorted(place[1].effects) == firm.done()
    (run,) = firm.runs()
    with firm.machine() as machine:
        undone = [row.batch_id for row in machine.ledger.batches(run.run_id) if row.state == "rolled_back"]
    assert 1 == len(undone)
    # Where intents were written before, the trail says that they came to nothing.
    closed = [each["retention.batch"] for each in said(firm, "batch_closed") if each["retention.batch_outcome"] == "rolled_back"]
    assert closed == (undone if point == AFTER_WRITE else [])


def test_a_lock_that_is_let_go_of_in_time(place: tuple[Any, Unhurt], tmp_path: Path) -> None:
    """Rows that somebody works on for a moment are waited for, between tries, and done in the same run."""
    firm = firm_at(place, tmp_path, RETENTION_RETRIES="10", RETENTION_RETRY_SECONDS="0.2")
    plan = firm.approved()
    locked, let_go = threading.Event(), threading.Event()

    def work() -> None:
        engine = sa.create_engine(firm.url, poolclass=sa.pool.NullPool)
        with engine.begin() as other:
            other.exec_driver_sql("SELECT * FROM contacts WHERE id = 60 FOR UPDATE")
            locked.set()
            assert let_go.wait(30)
        engine.dispose()

    somebody = threading.Thread(target=work)
    somebody.start()
    assert locked.wait(10)
    timer = threading.Timer(1.5, let_go.set)
    timer.start()
    try:
        result = firm.apply(plan)
    finally:
        let_go.set()
        timer.join()
        somebody.join()
    assert (0, {}) == (result.exit_code, result.failed)
    assert place[1].content == content(firm.url)
    assert [] == said(firm, "batch_deferred")


def test_a_lock_that_is_kept_defers_the_batch_and_says_so(place: tuple[Any, Unhurt], tmp_path: Path) -> None:
    """What could not be had is deferred and never reported as done; the trail names the batch and how many records wait."""
    firm = firm_at(place, tmp_path, RETENTION_RETRIES="1")
    plan = firm.approved()
    engine = sa.create_engine(firm.url, poolclass=sa.pool.NullPool)
    with engine.begin() as other:
        other.exec_driver_sql("SELECT * FROM contacts WHERE id = 60 FOR UPDATE")
        result = firm.apply(plan)
    engine.dispose()
    assert (5, {"busy": BATCH}) == (result.exit_code, dict(result.results["contacts"].skipped))
    (deferred,) = said(firm, "batch_deferred")
    assert ("contacts", BATCH) == (deferred["retention.source"], deferred["retention.count"])
    assert "a lock was not free" in deferred["event.reason"]
    assert place[1].content != content(firm.url)
    assert 0 == firm.apply(firm.approved()).exit_code
    assert place[1].content == content(firm.url)


def test_a_run_waits_for_a_long_transaction(place: tuple[Any, Unhurt], tmp_path: Path) -> None:
    """Somebody's report keeps the whole database from cleaning up: nothing is written until it is over, and the trail says why."""
    environ = {f"RETENTION_SOURCES__{name}__MAX_TRANSACTION": "0.5" for name in ("CONTACTS", "INVOICES")}
    firm = firm_at(place, tmp_path, **environ)
    plan = firm.approved()
    before = content(firm.url)
    engine = sa.create_engine(firm.url, poolclass=sa.pool.NullPool)
    with engine.connect() as other, other.begin():
        other.exec_driver_sql("SELECT * FROM notes FOR UPDATE" if "maria" in firm.url else "SELECT count(*) FROM notes")
        time.sleep(1)
        results = []
        run = threading.Thread(target=lambda: results.append(firm.apply(plan)))
        run.start()
        assert until(20, lambda: said(firm, "run_paused"))
        assert before == content(firm.url)
    engine.dispose()
    run.join(60)
    assert [(0, {})] == [(each.exit_code, each.stopped) for each in results]
    assert place[1].content == content(firm.url)
    assert {"transaction"} == {each["retention.limit"] for each in said(firm, "run_paused")}


@pytest.fixture
def standby(postgres: Postgres) -> Iterator[str]:
    """Return the address of a standby."""
    with running_standby(postgres) as url:
        yield url


class TestReplicas:
    """A replica that falls behind is seen, from the primary or by asking it."""

    def test_on_postgres(self, postgres: Postgres, standby: str, tmp_path: Path) -> None:
        """While replay stands still the lag grows, seen from either side; afterwards it is gone. Without the right nothing is pretended."""
        url = postgres.new_database("office")
        engine = sa.create_engine(url, poolclass=sa.pool.NullPool)
        with engine.begin() as connection:
            connection.exec_driver_sql("CREATE TABLE people (id INTEGER PRIMARY KEY, name VARCHAR(80))")
            connection.exec_driver_sql("INSERT INTO people VALUES (1, 'a')")
            connection.exec_driver_sql("CREATE ROLE passer_by LOGIN PASSWORD 'w'")
            connection.exec_driver_sql("GRANT ALL ON people TO passer_by")
        of_passer_by = sa.make_url(url).set(username="passer_by", password="w").render_as_string(hide_password=False)
        seen = open_source(source(), Connection(url))
        asked = open_source(source(), Connection(url, options={"replica": standby}))
        blind = open_source(source(), Connection(of_passer_by))
        replica = psycopg.connect(standby.replace("+psycopg", ""), autocommit=True)
        try:
            assert until(15, lambda: (seen.load().lag_seconds or 0) < 1 and (asked.load().lag_seconds or 0) < 1)
            replica.execute("SELECT pg_wal_replay_pause()")
            with engine.begin() as connection:
                connection.exec_driver_sql("UPDATE people SET name = 'b'")
            assert until(15, lambda: (seen.load().lag_seconds or 0) > 2)
            assert (asked.load().lag_seconds or 0) > 2
            assert "pg_monitor" in blind.load().lag_unseen
            replica.execute("SELECT pg_wal_replay_resume()")
            assert until(15, lambda: (seen.load().lag_seconds or 0) < 1 and (asked.load().lag_seconds or 0) < 1)
        finally:
            replica.execute("SELECT pg_wal_replay_resume()")
            replica.close()
            for each in (seen, asked, blind):
                each.close()
            with engine.begin() as connection:
                connection.exec_driver_sql("DROP OWNED BY passer_by")
                connection.exec_driver_sql("DROP ROLE passer_by")
            engine.dispose()

    def test_on_mariadb_one_that_stands_still(self, mariadb: MariaDB) -> None:
        """A replica whose replication does not run is infinitely behind, and a server that is none has no lag."""
        url = mariadb.new_database("office")
        engine = sa.create_engine(url, poolclass=sa.pool.NullPool)
        with engine.begin() as connection:
            connection.exec_driver_sql("CREATE TABLE people (id INTEGER PRIMARY KEY, name VARCHAR(80))")
        found = open_source(source(), Connection(url))
        asked = open_source(source(), Connection(url, options={"replica": url}))
        try:
            assert (None, True) == (found.load().lag_seconds, "option replica" in found.load().lag_unseen)
            assert "is no replica" in asked.load().lag_unseen
            with engine.begin() as connection:
                connection.exec_driver_sql("CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = 9, MASTER_USER = 'nobody'")
            for each in (found, asked):
                assert (math.inf, "") == (each.load().lag_seconds, each.load().lag_unseen)
        finally:
            with engine.begin() as connection:
                connection.exec_driver_sql("RESET SLAVE ALL")
            found.close()
            asked.close()
            engine.dispose()
