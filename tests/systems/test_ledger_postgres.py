"""The ledger on a real PostgreSQL: the same behaviour as in a file, and locks that sessions keep."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.processes.test_locks import (  # noqa: F401
    impatient,
    start,
    test_a_batch_waits_for_a_hold_that_is_being_placed,
    test_a_refused_run_leaves_nothing_locked,
    test_a_waiting_hold_is_not_starved,
    test_an_error_in_a_run_comes_through_and_frees,
    test_many_share_and_one_excludes,
    test_the_second_run_is_told_who_runs,
)
from tests.systems.servers.postgres import Postgres
from tests.systems.small_firm import (
    BATCH,
    MIXED_BATCH,
    At,
    Firm,
    Unhurt,
    content,
    due,
    fill,
    make_firm,
    opened,
    partly,
    sessions_killed,
    unhurt,
)

# Collected here a second time, with the fixtures below: one behaviour, proved on both kinds of ledger.
from tests.unit.ledger.conftest import clock, rows  # noqa: F401
from tests.unit.ledger.test_attention import *  # noqa: F403
from tests.unit.ledger.test_opening import test_migrations_lead_to_the_schema_of_the_code  # noqa: F401
from tests.unit.ledger.test_rekeying import test_a_rotation_is_remembered_until_it_ended, test_every_place_where_tokens_are_kept  # noqa: F401
from tests.unit.ledger.test_standing import *  # noqa: F403
from tests.unit.ledger.test_stops import *  # noqa: F403
from tests.unit.ledger.test_suppressions import TestSuppressions, listing  # noqa: F401
from tests.unit.ledger.test_tombstones import TestTombstones, buried  # noqa: F401
from tests.unit.ledger.test_work import TestAliases, TestBatches, TestRuns, running  # noqa: F401
from worker.errors import Refused, RetentionError
from worker.ledger import Ledger, schema
from worker.ports import AFTER_LOCK, AFTER_WRITE, BEFORE_COMMIT
from worker.usecases.applying import apply_plan
from worker.usecases.approving import open_plan
from worker.usecases.planning import make_plan
from worker.usecases.standing import add_hold
from worker.usecases.stopping import resume, stop
from worker.usecases.verifying import verify


@pytest.fixture(scope="module")
def migrated(postgres: Postgres) -> str:
    """Return the address of a ledger that exists."""
    url = postgres.new_database("ledger")
    Ledger.open(url, now=lambda: dt.datetime(2026, 3, 1, tzinfo=dt.UTC)).close()
    return url


@pytest.fixture
def url(migrated: str) -> str:
    """Return the address of an empty ledger."""
    with opened(migrated) as connection:
        for table in reversed(schema.metadata.sorted_tables):
            connection.execute(sa.delete(table) if table is not schema.standing else sa.update(table).values(version=0))
    return migrated


@pytest.fixture
def ledger(url: str, clock: object) -> Iterator[Ledger]:  # noqa: F811
    """Open the empty ledger."""
    with Ledger.open(url, now=clock, lock_wait=2) as made:  # type: ignore[arg-type]
        yield made


@pytest.fixture(scope="module")
def expected(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Unhurt:
    """Return what a run with a ledger in a file comes to."""
    return unhurt(tmp_path_factory.mktemp("unhurt"), postgres.new_database("firm"))


@pytest.fixture
def firm(postgres: Postgres, expected: Unhurt, tmp_path: Path) -> Firm:
    """Return a firm whose ledger is in PostgreSQL, in a database of its own."""
    url = postgres.new_database("firm")
    fill(url)
    return make_firm(tmp_path / "firm", url, expected.keys, RETENTION_LEDGER=postgres.new_database("ledger"))


def test_processes_that_start_at_once_make_one_ledger(postgres: Postgres) -> None:
    """One of them migrates, the others wait for it, and each can write."""
    program = (
        "import datetime, sys; from worker.ledger import Ledger; "
        "ledger = Ledger.open(sys.argv[1], now=lambda: datetime.datetime(2026, 3, 1, tzinfo=datetime.UTC)); "
        "ledger.set_meta('last', 'x'); ledger.close()"
    )
    url = postgres.new_database("ledger")
    started = [subprocess.Popen([sys.executable, "-c", program, url]) for _ in range(3)]
    assert [0, 0, 0] == [process.wait() for process in started]


class TestMainJob:
    """Plan, approve, apply and verify."""

    def test_comes_to_the_same_as_with_a_ledger_in_a_file(self, firm: Firm, expected: Unhurt) -> None:
        """Content and effects are the same, everything is verified, nothing is left to do, and the ledger names nobody."""
        _, result = firm.carry_out()
        assert 0 == result.exit_code, result.as_json()
        assert expected.content == content(firm.url)
        assert expected.effects == firm.done()
        with firm.machine() as machine:
            assert verify(machine, result.run_id).whole
            assert {"contacts": 0, "invoices": 0} == make_plan(machine).acting
        with opened(firm.environ["RETENTION_LEDGER"]) as connection:
            kept = [str(row) for table in schema.metadata.sorted_tables for row in connection.execute(sa.select(table))]
        assert [] == [row for row in kept if "canary.example" in row or "Name 1" in row]

    def test_a_stop_on_another_machine_ends_the_run_after_its_batch(self, firm: Firm, expected: Unhurt) -> None:
        """Whoever says stop anywhere is heard everywhere: the batch at work is whole, nothing else begins, and later all is done, once."""

        def elsewhere() -> None:
            with firm.machine() as other:
                stop(other, (), "the database is being moved")

        plan = firm.approved()
        result = firm.apply(plan, At(AFTER_WRITE, MIXED_BATCH, elsewhere))
        assert (5, "partial", ["*"]) == (result.exit_code, result.state, list(result.stopped))
        assert result.left > 0
        with pytest.raises(Refused, match="being moved"):
            firm.apply(plan)
        with firm.machine() as machine:
            assert 1 == len(resume(machine))
        assert 0 == firm.apply(firm.approved()).exit_code
        assert expected.content == content(firm.url)
        assert sorted(expected.effects) == firm.done()
        firm.runs()

    def test_the_ledger_is_no_file_beside_the_plans(self, firm: Firm) -> None:
        """Nothing of the ledger is kept on the worker's own disk."""
        firm.approved()
        assert [] == list((firm.folder / "state").rglob("*sqlite*"))


class Placing:
    """Places holds while a batch is written, with a ledger opened anew, and notes when they came into force."""

    def __init__(self, firm: Firm, people: list[int]) -> None:
        self.in_force_before_commit: bool | None = None
        self.placed = threading.Event()
        self._thread = threading.Thread(target=self._place, args=(firm, people))
        self._batch = 0

    def reached(self, point: str) -> None:
        """Begin to place when the second batch has its records, and look just before its commit."""
        self._batch += point == "before_lock"
        if self._batch == MIXED_BATCH and point == AFTER_LOCK:
            self._thread.start()
        if self._batch == MIXED_BATCH and point == BEFORE_COMMIT:
            self.in_force_before_commit = self.placed.wait(0.5)

    def join(self) -> None:
        """Wait until everything is placed."""
        self._thread.join()

    def _place(self, firm: Firm, people: list[int]) -> None:
        with firm.machine() as machine:
            add_hold(
                machine,
                kind="legal",
                scope="subject",
                owner="d",
                reason="r",
                review_on=dt.date(2027, 1, 1),
                identifiers=[f"person{number}@canary.example" for number in people],
            )
            self.placed.set()


class TestBarrier:
    """A hold that is in force when a batch starts to write is honoured."""

    def test_placing_waits_for_the_batch_and_the_next_batch_honours_it(self, firm: Firm) -> None:
        """A hold is in force only after the commit of the batch that was at work; every later batch sees it."""
        acting = [number for number in range(1, 241) if due(number) or partly(number)]
        at_work, later = acting[BATCH], acting[2 * BATCH]
        plan = firm.approved()
        before = {row[0]: row for row in content(firm.url)["contacts"]}
        placing = Placing(firm, [at_work, later])
        result = firm.apply(plan, placing)
        placing.join()
        after = {row[0]: row for row in content(firm.url)["contacts"]}
        assert placing.in_force_before_commit is False
        assert before[at_work] != after.get(at_work)
        assert before[later] == after[later]
        assert {"held": 1} == dict(result.results["contacts"].skipped)


class TestTwoRuns:
    """Two runs at once."""

    def test_the_second_is_refused_and_told_who_runs(self, firm: Firm, expected: Unhurt) -> None:
        """At once, with the run's name, host and process; the first one goes on as if nobody had come."""
        plan = firm.approved()
        told: list[str] = []

        def come_second() -> None:
            with firm.machine() as machine, pytest.raises(Refused) as caught:
                apply_plan(machine, open_plan(machine, plan))
            told.append(str(caught.value))

        result = firm.apply(plan, At(AFTER_LOCK, MIXED_BATCH, come_second))
        assert 0 == result.exit_code
        assert [True] == [result.run_id in text and f"process {os.getpid()}" in text for text in told]
        assert expected.effects == firm.done()


class TestLostLocks:
    """A session that keeps a lock ends while a batch is written."""

    @pytest.mark.parametrize("mode", ["ShareLock", "ExclusiveLock"])
    def test_nothing_is_committed_without_the_lock(self, firm: Firm, expected: Unhurt, mode: str) -> None:
        """Without the barrier (shared) or without the run's own lock (exclusive) the batch is rolled back, and the next run does it."""
        plan = firm.approved()
        ledger = firm.environ["RETENTION_LEDGER"]
        seen: list[object] = []

        def end_the_session() -> None:
            seen.append(content(firm.url))
            with opened(ledger) as connection:
                database = "database = (SELECT oid FROM pg_database WHERE datname = current_database())"
                of_locks = f"FROM pg_locks WHERE locktype = 'advisory' AND mode = '{mode}' AND {database}"
                seen.append(len(connection.execute(sa.text(f"SELECT pg_terminate_backend(pid) {of_locks}")).all()))

        with pytest.raises(RetentionError, match=r"A lock in the ledger was lost.*Nothing more is written"):
            firm.apply(plan, At(AFTER_WRITE, MIXED_BATCH, end_the_session))
        # Exclusive ones: that of each source, and the worker's own, which says that it lives.
        assert [content(firm.url), 1 if mode == "ShareLock" else 3] == seen
        assert ["failed"] == [run.state for run in firm.runs()]
        assert 0 == firm.apply(plan).exit_code
        assert expected.content == content(firm.url)
        assert expected.effects == firm.done()

    def test_a_machine_that_vanishes_leaves_nothing_locked_for_long(self, ledger: Ledger) -> None:
        """The server itself ends transactions that nobody goes on with, and sessions that nobody answers for: no worker waits for hours."""
        with ledger._read() as connection:
            shown = [
                connection.exec_driver_sql(f"SHOW {name}").scalar_one()
                for name in ("idle_in_transaction_session_timeout", "tcp_keepalives_idle")
            ]
        assert ["1min", "30"] == shown

    def test_a_lock_that_was_lost_stays_lost(self, ledger: Ledger, url: str) -> None:
        """The connection comes back with a new session, and the lock does not: whoever asks again is told the same."""
        with ledger.run_lock(("crm",)) as held:
            held.confirm()
            sessions_killed(url)
            for _ in range(2):
                with pytest.raises(RetentionError, match="lost"):
                    held.confirm()

    def test_a_worker_whose_sign_of_life_was_lost_goes_by_another_name(self, ledger: Ledger, url: str) -> None:
        """Others take it for dead and have what it had; what it takes from now on is seen to be a living one's."""
        name = ledger.worker
        assert name == ledger.worker
        sessions_killed(url)
        again = ledger.worker
        assert name != again
        with Ledger.open(url, now=lambda: dt.datetime(2026, 3, 1, tzinfo=dt.UTC)) as other:
            assert not other.lives(name)
            assert other.lives(again)
        assert not ledger.lives(name)

    def test_a_ledger_that_restarts_in_the_middle(self, firm: Firm, expected: Unhurt) -> None:
        """All of the ledger's sessions end: nothing is committed, nothing is forgotten."""
        plan = firm.approved()
        with pytest.raises(RetentionError, match="lost"):
            firm.apply(plan, At(AFTER_WRITE, MIXED_BATCH, lambda: sessions_killed(firm.environ["RETENTION_LEDGER"])))
        assert 0 == firm.apply(plan).exit_code
        assert expected.content == content(firm.url)
        assert expected.effects == firm.done()
        firm.runs()
