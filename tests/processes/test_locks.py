"""The standing lock and the run locks, between real processes, one of which is killed."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from tests.unit.ledger.conftest import Clock
from worker.errors import Refused, RetentionError, Retriable
from worker.ledger import Ledger

Start = Callable[[str], "subprocess.Popen[str]"]


@pytest.fixture
def start(url: str, ledger: Ledger) -> Iterator[Start]:
    """Start another process with the same ledger; it has said "ready" when this returns."""
    started: list[subprocess.Popen[str]] = []

    def other(body: str) -> subprocess.Popen[str]:
        program = (
            "import datetime, sys, time\n"
            "from worker.ledger import Ledger\n"
            "ledger = Ledger.open(sys.argv[1], now=lambda: datetime.datetime(2026, 3, 1, 2, tzinfo=datetime.UTC))\n"
        ) + textwrap.dedent(body)
        process = subprocess.Popen([sys.executable, "-c", program, url], stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None
        assert "ready\n" == process.stdout.readline()
        return process

    yield other
    for process in started:
        process.kill()
        process.communicate()


HOLD = """
    with ledger.{lock}:
        print("ready", flush=True)
        time.sleep(60)
"""


@pytest.fixture
def impatient(url: str, ledger: Ledger) -> Iterator[Ledger]:
    """Open the same ledger as someone who hardly waits."""
    with Ledger.open(url, now=ledger._now, lock_wait=0.05) as opened:
        yield opened


def test_many_share_and_one_excludes(ledger: Ledger, impatient: Ledger) -> None:
    """Batches go side by side; a hold is alone. Threads of one process count as much as processes."""
    with ledger.standing_shared() as held, impatient.standing_shared():
        held.confirm()
        with pytest.raises(Retriable, match="Nothing was written"), impatient.standing_exclusive():
            pytest.fail("a hold was in force beside a batch")
    with ledger.standing_exclusive():
        with pytest.raises(Retriable), impatient.standing_shared():
            pytest.fail("a batch was written beside a hold")
        with pytest.raises(Retriable), impatient.standing_exclusive():
            pytest.fail("two exclusive locks")
    with impatient.standing_exclusive():
        pass


def test_the_lock_is_free_after_an_error(ledger: Ledger, impatient: Ledger) -> None:
    """A batch that fails doesn't keep holds from being placed."""
    with suppress(ZeroDivisionError), ledger.standing_shared():
        raise ZeroDivisionError
    with impatient.standing_exclusive():
        pass


@pytest.mark.parametrize("lock", ["standing_shared()", "standing_exclusive()"])
def test_a_killed_process_frees_the_standing_lock(impatient: Ledger, start: Start, lock: str) -> None:
    """Kill -9 in the middle of a batch or of placing a hold blocks nobody."""
    process = start(HOLD.format(lock=lock))
    with pytest.raises(Retriable), impatient.standing_exclusive():
        pytest.fail("the other process had it")

    process.kill()
    process.wait()

    with impatient.standing_exclusive():
        pass


def test_a_waiting_hold_is_not_starved(ledger: Ledger, start: Start) -> None:
    """Two processes that write batch after batch, overlapping all the time, let a hold through."""
    batches = """
        print("ready", flush=True)
        while True:
            with ledger.standing_shared():
                time.sleep(0.03)
    """
    processes = [start(batches), start(batches)]

    for _ in range(3):
        with ledger.standing_exclusive():
            assert [None, None] == [process.poll() for process in processes]


def test_a_batch_waits_for_a_hold_that_is_being_placed(ledger: Ledger) -> None:
    """A batch that comes while a hold is placed goes on after it, and doesn't fail."""
    order: list[str] = []
    placed = threading.Event()

    def batch() -> None:
        placed.wait()
        with ledger.standing_shared():
            order.append("batch")

    worker = threading.Thread(target=batch)
    worker.start()
    with ledger.standing_exclusive():
        placed.set()
        worker.join(0.1)
        order.append("hold")
    worker.join()

    assert ["hold", "batch"] == order


def test_the_second_run_is_told_who_runs(ledger: Ledger, start: Start) -> None:
    """At once, with run, source, time, host and process; other sources can be worked on."""
    process = start(HOLD.format(lock="run_lock(['list', 'crm'], run_id='run-7')"))

    with pytest.raises(Refused) as caught, ledger.run_lock(["comments", "crm"], run_id="run-8"):
        pytest.fail("two runs on one source")
    for part in ("run-7", "crm", "2026-03-01 02:00:00 UTC", str(process.pid)):
        assert part in str(caught.value)
    with ledger.run_lock(["comments"], run_id="run-8") as held:
        held.confirm()


def test_a_killed_run_frees_its_sources(ledger: Ledger, start: Start) -> None:
    """After kill -9 the next run can start, and is the one that others are told about."""
    process = start(HOLD.format(lock="run_lock(['crm'], run_id='run-7')"))
    process.kill()
    process.wait()

    with ledger.run_lock(["crm"], run_id="run-8"), pytest.raises(Refused, match="run-8"), ledger.run_lock(["crm"], run_id="run-9"):
        pytest.fail("two runs on one source")
    with ledger.run_lock(["crm"]):
        pass


def test_a_refused_run_leaves_nothing_locked(ledger: Ledger) -> None:
    """All sources or none: the free ones are given back when one is taken."""
    with ledger.run_lock(["crm"], run_id="run-1"), pytest.raises(Refused), ledger.run_lock(["a", "crm", "z"]):
        pytest.fail("two runs on one source")
    with ledger.run_lock(["a", "z"], run_id="run-2"):
        pass


def test_an_error_in_a_run_comes_through_and_frees(ledger: Ledger) -> None:
    """What stopped the run is what the operator sees."""
    with pytest.raises(ZeroDivisionError), ledger.run_lock(["crm"]):
        raise ZeroDivisionError
    with ledger.run_lock(["crm"]):
        pass


def test_a_lock_that_cant_be_reached_stops_the_work(ledger: Ledger, clock: Clock) -> None:
    """Without the folder of the locks nothing may be written."""
    assert ledger.path is not None
    folder = ledger.path.parent
    folder.rename(folder.with_name("moved"))

    with pytest.raises(RetentionError, match="Nothing is written"), ledger.standing_shared():
        pytest.fail("written without a lock")
