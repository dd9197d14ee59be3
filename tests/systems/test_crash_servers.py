"""The process, the session or the server dies in the middle of a batch on a real server, and the next start makes it as if it had not."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa

from tests.systems.killing import apply_and_die, approve_and_die, killed, plan_and_die, reconcile_and_die
from tests.systems.servers.mariadb import MariaDB
from tests.systems.servers.postgres import Postgres, running_postgres
from tests.systems.servers.process import Account, program, running
from tests.systems.small_firm import (
    MIXED_BATCH,
    TREATING_BATCH,
    At,
    EffectKey,
    Firm,
    content,
    fill,
    make_firm,
    opened,
    sessions_killed,
    source_environ,
    unhurt,
)
from worker.errors import Refused
from worker.ports import AFTER_COMMIT, AFTER_INTENT, AFTER_LOCK, AFTER_WRITE, BEFORE_COMMIT, FAULT_POINTS
from worker.usecases.approving import open_plan
from worker.usecases.verifying import verify

WAYS = ("postgresql", "mariadb with markers", "mariadb", "postgresql ledger")
"""Source and, where it is not a file, ledger; MariaDB with its marker table and without, when a crash can only be presumed."""


@dataclass
class Place:
    """Makes firms in one way, and knows what a run comes to there when nothing happens."""

    way: str
    server: Postgres | MariaDB
    folder: Path
    made: int = 0

    def __post_init__(self) -> None:
        environ = source_environ(options__lock_timeout="5")
        if self.way == "mariadb with markers":
            environ.update(source_environ(witness_table="yes"))
        if self.way == "postgresql ledger":
            environ["RETENTION_LEDGER"] = self.server.new_database("ledger")
        self.unhurt = unhurt(self.folder / "unhurt", self.server.new_database("firm"), **environ)
        if self.way == "postgresql ledger":
            environ["RETENTION_LEDGER"] = self.server.new_database("ledger")
        fresh = self.server.new_database("firm")
        fill(fresh)
        self.approved = make_firm(self.folder / "approved", fresh, self.unhurt.keys, **environ)
        self.plan = self.approved.approved().relative_to(self.approved.folder)

    def firm(self) -> tuple[Firm, Path]:
        """Return a firm of one's own, with a plan that was approved."""
        self.made += 1
        folder = self.folder / f"firm-{self.made}"
        shutil.copytree(self.approved.folder, folder)
        url = self._copy(self.approved.url)
        environ = dict(self.approved.environ)
        if "RETENTION_LEDGER" in environ:
            environ["RETENTION_LEDGER"] = self._copy(environ["RETENTION_LEDGER"])
        return replace(self.approved, folder=folder, urls=dict.fromkeys(self.approved.urls, url), environ=environ), folder / self.plan

    def _copy(self, url: str) -> str:
        """Return a database like the one at an address."""
        if isinstance(self.server, MariaDB):
            copied = self.server.new_database("firm")
            fill(copied)
            return copied
        original = url.rpartition("/")[2]
        name = f"{original}_copy_{self.made}"
        engine = sa.create_engine(self.server.url, isolation_level="AUTOCOMMIT", poolclass=sa.pool.NullPool)
        with engine.connect() as connection:
            connection.execute(sa.text(f"CREATE DATABASE {name} TEMPLATE {original}"))
        engine.dispose()
        return self.server.url_of(name)

    def assert_as_if_nothing_had_happened(self, firm: Firm, *ends: str) -> None:
        """Compare content and effects with those of the run that nothing happened to; no record twice, nothing left open.

        ends -- how the runs ended, in alphabetical order, where that is the question.
        """
        assert self.unhurt.content == content(firm.url)
        assert self.unhurt.effects == firm.done()
        if self.way == "mariadb with markers":
            with opened(firm.url) as connection:
                assert [] == connection.execute(sa.text("SELECT * FROM retention_witness")).all()
        states = sorted(run.state for run in firm.runs())
        assert list(ends or states) == states


@pytest.fixture(scope="module", params=WAYS)
def place(request: pytest.FixtureRequest, postgres: Postgres, mariadb: MariaDB, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Return a place for each way."""
    server: Postgres | MariaDB = mariadb if "mariadb" in request.param else postgres
    return Place(request.param, server, tmp_path_factory.mktemp("crash"))


class TestKilled:
    """SIGKILL at every named point."""

    @pytest.mark.parametrize("point", FAULT_POINTS)
    def test_the_next_start_makes_it_as_if_nothing_had_happened(self, place: Place, point: str) -> None:
        """After a kill in a batch that deletes and treats, applying again gives the content and the effects of a run never hurt."""
        firm, plan = place.firm()
        killed(apply_and_die, firm, plan, point, MIXED_BATCH)
        result = firm.apply(plan)
        assert 0 == result.exit_code, result.as_json()
        place.assert_as_if_nothing_had_happened(firm, "done", "resolved_after_crash")

    @pytest.mark.parametrize("point", [BEFORE_COMMIT, AFTER_COMMIT])
    @pytest.mark.parametrize("place", ["postgresql", "mariadb"], indirect=True)
    def test_also_where_a_batch_only_treats(self, place: Place, point: str) -> None:
        """A batch that deletes nothing is told from one that was rolled back as well: no treatment without its event."""
        firm, plan = place.firm()
        killed(apply_and_die, firm, plan, point, TREATING_BATCH)
        firm.apply(plan)
        place.assert_as_if_nothing_had_happened(firm)

    def test_two_kills_in_a_row(self, place: Place) -> None:
        """The start that ended what the first one left may die too."""
        firm, plan = place.firm()
        killed(apply_and_die, firm, plan, AFTER_INTENT, MIXED_BATCH)
        killed(apply_and_die, firm, plan, AFTER_COMMIT, 1)
        firm.apply(plan)
        place.assert_as_if_nothing_had_happened(firm, "done", "resolved_after_crash", "resolved_after_crash")

    def test_a_kill_while_ending_what_another_kill_left(self, place: Place) -> None:
        """What became of a batch may be said twice; it counts once."""
        firm, plan = place.firm()
        killed(apply_and_die, firm, plan, AFTER_COMMIT, MIXED_BATCH)
        killed(reconcile_and_die, firm, plan)
        firm.apply(plan)
        place.assert_as_if_nothing_had_happened(firm)


@pytest.fixture(scope="module")
def place_on_postgres(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Return a place with a ledger in a file."""
    return Place("postgresql", postgres, tmp_path_factory.mktemp("crash"))


class TestKilledBesideBatches:
    """A kill while nothing is written to a source."""

    def test_between_plan_and_apply(self, place_on_postgres: Place) -> None:
        """A plan is carried out by whoever comes, not by who made it."""
        firm, other = place_on_postgres.firm()
        other.unlink()
        killed(approve_and_die, firm)
        [plan] = other.parent.iterdir()
        firm.apply(plan)
        place_on_postgres.assert_as_if_nothing_had_happened(firm)

    def test_while_planning(self, place_on_postgres: Place) -> None:
        """Half a plan is no plan: nothing has a plan's name, what is there is refused, and the next plan is whole."""
        firm, other = place_on_postgres.firm()
        other.unlink()
        before = content(firm.url)
        killed(plan_and_die, firm, 2)
        assert [] == list(other.parent.glob("*.jsonl"))
        with firm.machine() as machine:
            for part in other.parent.iterdir():
                with pytest.raises(Refused, match="not a whole plan"):
                    open_plan(machine, part)
        assert before == content(firm.url)
        firm.apply(firm.approved())
        place_on_postgres.assert_as_if_nothing_had_happened(firm)

    def test_what_was_resolved_is_verified_like_everything_else(self, place_on_postgres: Place) -> None:
        """Reading back a run that was killed finds what its audit trail says."""
        firm, plan = place_on_postgres.firm()
        killed(apply_and_die, firm, plan, AFTER_COMMIT, MIXED_BATCH)
        firm.apply(plan)
        killed_run = next(run for run in firm.runs() if run.state == "resolved_after_crash")
        with firm.machine() as machine:
            found = verify(machine, killed_run.run_id)
        assert found.whole
        assert 2 * 40 == sum(found.gone.values()) + sum(found.treated.values())


class TestSessionsKilled:
    """An administrator, a restart of the network, or a time limit ends the sessions of a run that lives on."""

    @pytest.mark.parametrize("point", [AFTER_LOCK, AFTER_INTENT, AFTER_WRITE, BEFORE_COMMIT])
    def test_before_the_commit_the_batch_is_done_again(self, place_with_sessions: Place, point: str) -> None:
        """The batch is rolled back, said to be, and done again in the same run."""
        firm, plan = place_with_sessions.firm()
        fault = At(point, MIXED_BATCH, lambda: sessions_killed(firm.url))
        result = firm.apply(plan, fault)
        assert fault.happened
        assert 0 == result.exit_code, result.as_json()
        place_with_sessions.assert_as_if_nothing_had_happened(firm)

    def test_in_the_commit_without_a_witness_the_source_is_left_alone(self, mariadb: MariaDB, tmp_path: Path) -> None:
        """Nobody knows what became of a commit that was not answered: the run is partial and says so, the next one finds out."""
        place = Place("mariadb", mariadb, tmp_path)
        firm, plan = place.firm()
        result = firm.apply(plan, At(BEFORE_COMMIT, MIXED_BATCH, lambda: sessions_killed(firm.url)))
        assert (5, "partial", ["contacts"]) == (result.exit_code, result.state, list(result.failed))
        assert "whether it is in will be found out" in result.failed["contacts"]
        firm.apply(plan)
        # Invoices that went by themselves while the contacts waited have changed what those were decided by: a new plan has them.
        assert 0 == firm.apply(firm.approved()).exit_code
        assert place.unhurt.content == content(firm.url)
        assert sorted(record(each) for each in place.unhurt.effects) == sorted(record(each) for each in firm.done())
        firm.runs()

    def test_after_the_commit_nothing_is_lost(self, place_with_sessions: Place) -> None:
        """What was committed stays and is audited, and the run goes on with new sessions."""
        firm, plan = place_with_sessions.firm()
        result = firm.apply(plan, At(AFTER_COMMIT, MIXED_BATCH, lambda: sessions_killed(firm.url)))
        assert 0 == result.exit_code, result.as_json()
        place_with_sessions.assert_as_if_nothing_had_happened(firm)


@pytest.fixture(scope="module", params=["postgresql", "mariadb with markers"])
def place_with_sessions(
    request: pytest.FixtureRequest, postgres: Postgres, mariadb: MariaDB, tmp_path_factory: pytest.TempPathFactory
) -> Place:
    """Return a place on each server."""
    server: Postgres | MariaDB = mariadb if "mariadb" in request.param else postgres
    return Place(request.param, server, tmp_path_factory.mktemp("sessions"))


def test_a_server_that_stops_in_the_middle(tmp_path: Path) -> None:
    """The run ends as partial and names the server; when the server is back, what it lost is found out and the rest is done."""
    with running_postgres(durable=True) as server:
        expected = unhurt(tmp_path / "unhurt", server.new_database("firm"))
        url = server.new_database("firm")
        fill(url)
        firm = make_firm(tmp_path / "firm", url, expected.keys)
        plan = firm.approved()
        result = firm.apply(plan, At(AFTER_WRITE, MIXED_BATCH, lambda: stopped(server.pid)))
        assert (5, "partial") == (result.exit_code, result.state)
        assert ["contacts", "invoices"] == sorted(result.failed)
        assert all("127.0.0.1" in why or "the commit of a batch failed" in why for why in result.failed.values()), result.failed
        with running_again(server) as port:
            firm.urls = {name: url.replace(f":{server.port}/", f":{port}/") for name in firm.urls}
            assert 0 == firm.apply(plan).exit_code
            assert expected.content == content(firm.url)
            assert expected.effects == firm.done()
            firm.runs()


def test_a_crash_in_a_source_that_is_away_does_not_stop_the_others(place_on_postgres: Place) -> None:
    """Nothing is written to a source whose open batch can't be resolved now; the others are worked on, and later it is resolved."""
    firm, plan = place_on_postgres.firm()
    killed(apply_and_die, firm, plan, AFTER_COMMIT, MIXED_BATCH)
    away = replace(
        firm, urls={**firm.urls, "contacts": place_on_postgres.server.url_of("no_longer_here").replace("127.0.0.1", "127.0.0.9")}
    )
    result = away.apply(plan)
    assert (5, ["contacts"], ["invoices"]) == (result.exit_code, list(result.failed), list(result.results))
    assert "left open can't be found out now" in result.failed["contacts"]
    firm.apply(plan)
    assert 0 == firm.apply(firm.approved()).exit_code
    assert place_on_postgres.unhurt.content == content(firm.url)
    firm.runs()


def record(effect: EffectKey) -> tuple[str, str]:
    """Return what was acted on: an invoice may go by itself or with its contact."""
    source, _, reference = effect
    return source, reference


def stopped(pid: int) -> None:
    """Stop a PostgreSQL server at once, as a loss of power would, and wait until it is gone."""
    os.kill(pid, signal.SIGQUIT)
    until = time.monotonic() + 20
    while time.monotonic() < until and "State:\tZ" not in Path(f"/proc/{pid}/status").read_text():
        time.sleep(0.02)


@contextmanager
def running_again(server: Postgres) -> Iterator[int]:
    """Start a stopped server on its data again and yield its new port."""
    bins = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    binary = program("postgres", *map(str, reversed(bins)))

    def answers(port: int) -> bool:
        try:
            psycopg.connect(host="127.0.0.1", port=port, user="retention", password=server.password, dbname="postgres").close()
        except psycopg.OperationalError:
            return False
        return True

    def command(port: int) -> list[str | Path]:
        options = ["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]
        return [binary, "-D", server.folder / "data", "-p", str(port), *options]

    with running(Account.other_than_root("postgres"), server.folder, command, answers, stop=signal.SIGQUIT) as (_, port):
        yield port
