"""Many workers on one run: real Celery processes, a real Redis, and the ledger in a real PostgreSQL.

What a run comes to is compared with that of one process that nothing happened to: the same content, the same effects, each once.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from tests.systems.servers.postgres import Postgres
from tests.systems.servers.process import stop_process
from tests.systems.servers.redis import Redis
from tests.systems.small_firm import Firm, Unhurt, content, fill, make_firm, opened, unhurt
from worker.clock import now
from worker.ledger.rows import RunRow
from worker.ports import FAULT_POINTS
from worker.usecases.approving import open_plan
from worker.usecases.keyrotating import rotate
from worker.usecases.spreading import hand_over, look_after, tick
from worker.usecases.standing import add_hold

ROOT = Path(__file__).parents[2]
SECONDS = 90.0


@pytest.fixture(scope="module")
def expected(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Unhurt:
    """Return what a run comes to that nothing happens to."""
    return unhurt(tmp_path_factory.mktemp("unhurt"), postgres.new_database("firm"))


@pytest.fixture
def firm(postgres: Postgres, redis_server: Redis, expected: Unhurt, tmp_path: Path) -> Iterator[Firm]:
    """Return a firm with many small batches, a ledger in PostgreSQL and a broker."""
    url = postgres.new_database("firm")
    fill(url)
    redis_server.emptied()
    environ = {
        "RETENTION_LEDGER": postgres.new_database("ledger"),
        "RETENTION_BROKER": redis_server.url,
        "RETENTION_BATCH_SIZE": "5",
        "RETENTION_MAX_SHARE": "1",
    }
    yield make_firm(tmp_path / "firm", url, expected.keys, **environ)
    redis_server.emptied()


def handed_over(firm: Firm) -> str:
    """Approve a plan, leave it to the workers, and return the run."""
    plan = firm.approved()
    with firm.machine() as machine:
        return hand_over(machine, open_plan(machine, plan))


@contextmanager
def celery(firm: Firm, *what: str, program: str = "celery", **variables: object) -> Iterator[subprocess.Popen[bytes]]:
    """Have a Celery process of a firm, in a session of its own, for as long as the block lasts."""
    environ = {**os.environ, **firm.variables(), "PYTHONPATH": str(ROOT), **{name: str(value) for name, value in variables.items()}}
    with (firm.folder / "workers.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", program, *(("-A", "tests.systems.worker_app") if program == "celery" else ()), *what],
            cwd=firm.folder,
            env=environ,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        stop_process(process)


@contextmanager
def command(firm: Firm, *what: str) -> Iterator[subprocess.Popen[bytes]]:
    """Have a process of the worker's own command line for as long as the block lasts."""
    with celery(firm, *what, program="worker.cli.main") as process:
        yield process


@contextmanager
def workers(firm: Firm, count: int = 2, **variables: object) -> Iterator[None]:
    """Have so many worker processes, and a beat that wakes them."""
    with (
        celery(firm, "beat", "-s", str(firm.folder / "beat-schedule"), "--pidfile=", **variables),
        celery(firm, "worker", f"--concurrency={count}", "--without-mingle", "--without-gossip", **variables),
    ):
        yield


def ended(firm: Firm, run_id: str) -> RunRow:
    """Wait until a run has ended and return it."""
    with firm.machine() as machine:
        until = time.monotonic() + SECONDS
        while time.monotonic() < until:
            run = machine.ledger.run(run_id)
            if run is not None and run.ended_at is not None:
                return run
            time.sleep(0.1)
    said = (firm.folder / "workers.log").read_text(errors="replace")[-6000:]
    raise AssertionError(f"{run_id} did not end in {SECONDS} seconds:\n{said}")


def assert_as_if_nothing_had_happened(firm: Firm, expected: Unhurt) -> None:
    """Compare content and effects, look for anything left open, and for a record that was acted on twice."""
    assert expected.content == content(firm.url)
    assert expected.effects == firm.done()
    firm.runs()


class TestKilled:
    """SIGKILL at every named point."""

    @pytest.mark.parametrize("point", FAULT_POINTS)
    def test_others_go_on_with_the_same_run(self, firm: Firm, expected: Unhurt, point: str) -> None:
        """A worker that dies at a point leaves a batch that another one resolves and does: the run ends as if nothing had happened."""
        run_id = handed_over(firm)
        died = firm.folder / "died"
        with workers(firm, DIE_AT=point, DIE_IN=2, DIED=died):
            run = ended(firm, run_id)
        assert died.exists()
        assert ("done", 0) == (run.state, run.exit_code)
        assert_as_if_nothing_had_happened(firm, expected)

    def test_all_workers_and_beat_at_once(self, firm: Firm, expected: Unhurt) -> None:
        """The machine loses power in the middle of a run: whoever starts afterwards goes on with it."""
        run_id = handed_over(firm)
        with ExitStack() as stack:
            beat = stack.enter_context(celery(firm, "beat", "-s", str(firm.folder / "beat"), "--pidfile="))
            died = firm.folder / "died"
            worker = stack.enter_context(celery(firm, "worker", "--concurrency=2", DIE_AT="before_commit", DIE_IN=3, DIED=died))
            wait_for(died.exists)
            for process in (worker, beat):
                os.killpg(process.pid, signal.SIGKILL)
        with workers(firm):
            assert 0 == ended(firm, run_id).exit_code
        assert_as_if_nothing_had_happened(firm, expected)


class TestMessages:
    """They only wake workers."""

    def test_a_redis_that_is_emptied_in_the_middle(self, firm: Firm, redis_server: Redis, expected: Unhurt) -> None:
        """No message is left, and the run goes on: what there is to do stands in the ledger."""
        run_id = handed_over(firm)
        with workers(firm):
            for _ in range(10):
                redis_server.emptied()
                time.sleep(0.3)
            assert 0 == ended(firm, run_id).exit_code
        assert_as_if_nothing_had_happened(firm, expected)

    def test_every_message_many_times(self, firm: Firm, expected: Unhurt) -> None:
        """Redelivered and late messages find nothing to do."""
        run_id = handed_over(firm)
        with workers(firm):
            for _ in range(20):
                sent(firm, "retention.drain", run_id, "contacts")
                sent(firm, "retention.drain", run_id, "invoices")
            assert 0 == ended(firm, run_id).exit_code
            sent(firm, "retention.drain", run_id, "contacts")
            sent(firm, "retention.drain", "run-of-nobody", "contacts")
            time.sleep(1)
        assert_as_if_nothing_had_happened(firm, expected)

    def test_two_beats(self, firm: Firm, expected: Unhurt) -> None:
        """Two beats tick every schedule twice, and one run comes of it: unique by source and logical date."""
        plan = firm.approved()
        local = now().astimezone(ZoneInfo("Europe/Amsterdam"))
        firm.environ["RETENTION_SCHEDULE"] = f"{local.minute} {local.hour} * * *"
        with workers(firm), celery(firm, "beat", "-s", str(firm.folder / "second-beat"), "--pidfile="):
            with firm.machine() as machine:
                wait_for(lambda: machine.ledger.runs(5) != [])
                [run] = machine.ledger.runs(5)
            ended(firm, run.run_id)
            time.sleep(2)
        with firm.machine() as machine:
            assert [run.run_id] == [each.run_id for each in machine.ledger.runs(5)]
            assert {"begun"} == {each.outcome for each in machine.ledger.nights(dt.date(2026, 1, 1))}
        assert plan.exists()


def test_the_commands_of_our_own(firm: Firm, expected: Unhurt) -> None:
    """`retention worker` and `retention beat` are Celery's, with its options; a sweep wakes the worker for what was handed over."""
    run_id = handed_over(firm)
    with (
        command(firm, "beat", "--pidfile="),
        command(firm, "worker", "--concurrency", "1", "-Q", "retention,retention.contacts,retention.invoices"),
    ):
        sent(firm, "retention.sweep")
        run = ended(firm, run_id)
    assert ("done", 0) == (run.state, run.exit_code)
    assert_as_if_nothing_had_happened(firm, expected)
    said = (firm.folder / "workers.log").read_text(errors="replace")
    assert firm.environ["RETENTION_BROKER"].split(":")[2].split("@")[0] not in said


def test_a_worker_notices_that_keys_were_rotated(firm: Firm) -> None:
    """One that was at work before finds a hold that was placed with the new key, and carries out the run with it."""
    firm.environ["RETENTION_KEYS"] = str(firm.folder / "own" / "keys.json")
    with celery(firm, "worker", "--concurrency=1", "--without-mingle", "--without-gossip"):
        first = handed_over(firm)
        sent(firm, "retention.sweep")
        assert "done" == ended(firm, first).state
        with firm.machine() as machine:
            rotate(machine, "match")
            who = {"owner": "d", "reason": "r", "review_on": dt.date(2030, 1, 1)}
            add_hold(machine, kind="legal", scope="subject", identifiers=["person2@canary.example"], **who)
        with opened(firm.url) as connection:
            connection.execute(sa.text("UPDATE contacts SET seen_at = '2020-01-01 12:00:00' WHERE id IN (2, 5)"))
        second = handed_over(firm)
        sent(firm, "retention.sweep")
        assert ended(firm, second).exit_code in (0, 4)
    left = [row for row in content(firm.url)["contacts"] if row[0] in (2, 5)]
    assert [(2, "person2@canary.example")] == [row[:3:2] for row in left if "person" in str(row[2])]


class TestTogether:
    """Several processes on one source."""

    def test_no_personal_data_leaves_by_the_broker(self, firm: Firm, redis_server: Redis) -> None:
        """A message holds the ids of a run and a source; nothing else is in Redis."""
        run_id = handed_over(firm)
        with firm.machine() as machine:
            todo = look_after(machine)
        assert {run_id: {"contacts": 1}} == {run: dict(free) for run, free in todo.batches.items()}
        for source in todo.batches[run_id]:
            sent(firm, "retention.drain", run_id, source)
        [message] = dumped(redis_server)
        assert [[run_id, "contacts"], {}] == json.loads(base64.b64decode(message["body"]))[:2]
        assert repr((run_id, "contacts")) == message["headers"]["argsrepr"]

    def test_a_tick_that_comes_twice_begins_one_run(self, firm: Firm) -> None:
        """The second of two ticks for one day finds it begun."""
        firm.approved()
        with firm.machine() as machine:
            day = machine.today()
            first = tick(machine, ["contacts", "invoices"], day)
            assert first is not None
            assert tick(machine, ["contacts", "invoices"], day) is None
            assert [first] == [each.run_id for each in machine.ledger.runs(5)]


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until something is so."""
    until = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)


def sent(firm: Firm, task: str, *arguments: str) -> None:
    """Send a message as another process would."""
    from celery import Celery

    with Celery(broker=firm.environ["RETENTION_BROKER"], set_as_current=False) as app:
        app.send_task(task, arguments, queue=f"retention.{arguments[-1]}" if arguments else "retention")


def dumped(server: Redis) -> list[dict[str, Any]]:
    """Return the messages that wait in a Redis."""
    import redis

    with redis.Redis(host="127.0.0.1", port=server.port, password=server.password) as client:
        return [json.loads(each) for name in client.keys("*") if client.type(name) == b"list" for each in client.lrange(name, 0, -1)]


@pytest.mark.parametrize("stumbles", ["", "it.drain.apply_async = lambda *_, **__: None.missing; "], ids=["away", "begins anew"])
def test_messages_that_cannot_be_sent_are_left_to_the_next_sweep(firm: Firm, stumbles: str) -> None:
    """While the broker is away, or its library stumbles as it begins anew, a task does the rest of its work and nothing is amiss."""
    handed_over(firm)
    environ = {**os.environ, **firm.variables(), "PYTHONPATH": str(ROOT), "RETENTION_BROKER": "redis://127.0.0.1:1/0"}
    code = f"import worker.app as it; it._set_up_logging(); {stumbles}it.sweep(); it._close()"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=firm.folder, env=environ, capture_output=True, text=True, timeout=SECONDS, check=True
    )
    assert "retention.message_not_sent" in done.stderr
    assert "retention.task_failed" not in done.stderr
