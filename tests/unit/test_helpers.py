"""Other processes of one command: they wait, work when they are sent, and are gone with the command whatever becomes of that."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import structlog

from tests.systems.killing import die, killed
from worker import log
from worker.errors import SourceFailed
from worker.helpers import Errand, Helpers

_SECONDS = 20
_PAUSE = 0.01


def children() -> set[int]:
    """Return the processes that this one started and that are still there."""
    return {int(each) for each in Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()}


def until(holds: Callable[[], object]) -> None:
    """Wait until something is so."""
    end = time.monotonic() + _SECONDS
    while not holds():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(_PAUSE)


def alive(number: int) -> bool:
    """Whether a process is there and no mere entry in a table."""
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture
def mine() -> Iterator[Callable[[], set[int]]]:
    """Give what names the helpers of a test, and look that none is left at its end."""
    before = children()
    yield lambda: children() - before
    assert before == children()


@pytest.fixture
def said() -> Iterator[list[Any]]:
    """Give what is logged, and leave the log as it is found: nobody has set it up."""
    with structlog.testing.capture_logs() as found:
        yield found
    structlog.reset_defaults()


def note(folder: Path, errand: Errand) -> None:
    """Write down who was told what, at once or not at all."""
    said = [errand.sent(), errand.ahead, errand.sources, os.getsid(0), str(Path("/proc/self/fd/1").readlink())]
    part = folder / f"{os.getpid()}.part"
    part.write_text(json.dumps(said))
    part.rename(folder / str(os.getpid()))


def test_they_do_what_they_are_sent_for(tmp_path: Path, mine: Callable[[], set[int]]) -> None:
    """Each in a process and a session of its own, told the run and the clock; what they print goes nowhere."""

    def work(errand: Errand) -> None:
        sys.stdout.write("not to be seen")
        note(tmp_path, errand)

    with closing(Helpers(3, work, lambda: 2.5)) as helpers:
        with helpers.at_work([]) as send:
            send("run-0")
        with helpers.at_work(["members", "notes"]) as send:
            assert 3 == len(mine())
            send("run-1")
            until(lambda: len([each for each in tmp_path.iterdir() if not each.suffix]) == 3)
            until(lambda: not any(map(alive, mine())))
    for each in tmp_path.iterdir():
        assert ["run-1", 2.5, ["members", "notes"], int(each.name), os.devnull] == json.loads(each.read_text())


@pytest.mark.parametrize("sent", [False, True])
def test_they_get_ready_before_they_are_sent(tmp_path: Path, mine: Callable[[], set[int]], said: list[Any], sent: bool) -> None:
    """What they open is open when the run's batches are there; where these never come they let go of it and are gone."""

    def work(errand: Errand) -> None:
        (tmp_path / "ready").touch()
        (tmp_path / str(errand.sent())).touch()

    with closing(Helpers(1, work, lambda: 0)) as helpers:
        with helpers.at_work(["members"]) as send:
            until((tmp_path / "ready").exists)
            assert mine()
            if sent:
                send("run-1")
        assert not mine()
    assert {"ready", "run-1" if sent else "None"} == {each.name for each in tmp_path.iterdir()}
    assert [] == said


def test_who_rests_is_woken_at_the_end(tmp_path: Path, mine: Callable[[], set[int]]) -> None:
    """A command does not wait for a helper that waits for work."""

    def work(errand: Errand) -> None:
        note(tmp_path, errand)
        while errand.go_on():
            errand.rest(10 * _SECONDS)

    begun = time.monotonic()
    with closing(Helpers(1, work, lambda: 0)) as helpers, helpers.at_work(["members"]) as send:
        send("run-1")
        until(lambda: [each for each in tmp_path.iterdir() if not each.suffix])
    assert time.monotonic() - begun < _SECONDS
    assert not mine()


def test_one_that_is_at_a_batch_ends_it(tmp_path: Path, mine: Callable[[], set[int]]) -> None:
    """When the command needs no more of it, it is asked for nothing more and is waited for."""

    def work(errand: Errand) -> None:
        note(tmp_path, errand)
        while errand.go_on():
            time.sleep(_PAUSE)
        (tmp_path / "ended").touch()

    with closing(Helpers(1, work, lambda: 0)) as helpers:
        with helpers.at_work(["members"]) as send:
            send("run-1")
            until(lambda: [each for each in tmp_path.iterdir() if not each.suffix])
        assert (tmp_path / "ended").exists()
        assert not mine()


@pytest.mark.parametrize("doing", ["waiting", "ready", "at work"])
def test_nobody_outlives_a_command_that_is_killed(tmp_path: Path, doing: str) -> None:
    """Neither who waits - though every later one was given the pipes of those before it - nor who is ready, nor who is at work."""
    killed(_be_killed, tmp_path, doing)
    numbers = [int(each) for each in (tmp_path / "children").read_text().split()]
    assert 3 == len(numbers)
    until(lambda: not any(map(alive, numbers)))


def _be_killed(folder: Path, doing: str) -> None:
    def work(errand: Errand) -> None:
        (folder / f"{os.getpid()}.ready").touch()
        note(folder, errand)
        while errand.go_on():
            time.sleep(_PAUSE)

    with closing(Helpers(3, work, lambda: 0)) as helpers, helpers.at_work([] if doing == "waiting" else ["members"]) as send:
        (folder / "children").write_text(" ".join(map(str, children())))
        if doing != "waiting":
            until(lambda: len(list(folder.glob("*.ready"))) == 3)
        if doing == "at work":
            send("run-1")
            until(lambda: len([each for each in folder.iterdir() if each.name.isdecimal()]) == 3)
        die()


def test_one_that_dies_is_said_and_the_others_are_sent(tmp_path: Path, said: list[Any], mine: Callable[[], set[int]]) -> None:
    """What it was at is done by others; the operator is told by which signal it went."""

    def work(errand: Errand) -> None:
        note(tmp_path, errand)

    with closing(Helpers(2, work, lambda: 0)) as helpers, helpers.at_work(["members"]) as send:
        dead = min(mine())
        os.kill(dead, signal.SIGKILL)
        until(lambda: not alive(dead))
        send("run-1")
        until(lambda: [each for each in tmp_path.iterdir() if not each.suffix])
    assert [("retention.helper_died", dead, 9)] == [(each["event"], each["process"], each["signal"]) for each in said]


def test_one_that_fails_ends_by_itself(tmp_path: Path, said: list[Any], mine: Callable[[], set[int]]) -> None:
    """The command does what is left; it isn't said to have died."""

    def work(errand: Errand) -> None:
        note(tmp_path, errand)
        message = "the ledger can't be reached"
        raise SourceFailed(message)

    with closing(Helpers(1, work, lambda: 0)) as helpers, helpers.at_work(["members"]) as send:
        send("run-1")
        until(lambda: not any(map(alive, mine())))
    assert [] == said
    assert 1 == len(list(tmp_path.iterdir()))


def test_what_nobody_foresaw_is_said_without_its_text(capfd: pytest.CaptureFixture[str], mine: Callable[[], set[int]]) -> None:
    """An error that is not our own may quote a record: its type and its place come out, and nothing of what it says."""
    log.configure(json=True, level="warning")

    def work(errand: Errand) -> None:
        errand.sent()
        message = "Key (email)=(qxcanary@example.org) already exists"
        raise ValueError(message)

    try:
        with closing(Helpers(1, work, lambda: 0)) as helpers, helpers.at_work(["members"]) as send:
            send("run-1")
            until(lambda: not any(map(alive, mine())))
    finally:
        structlog.reset_defaults()
    out, err = capfd.readouterr()
    assert "canary" not in out + err
    told = json.loads(err)
    assert ("retention.helper_ended", "run-1", "ValueError") == (told["event"], told["run"], told["exception"][0]["type"])


def test_a_machine_that_has_no_room_for_more_processes(
    monkeypatch: pytest.MonkeyPatch, said: list[Any], mine: Callable[[], set[int]]
) -> None:
    """The work is done with as many as there are."""
    fork, made = os.fork, []

    def full() -> int:
        if made:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        made.append(fork())
        return int(made[-1])

    monkeypatch.setattr(os, "fork", full)
    with closing(Helpers(3, lambda *_: None, lambda: 0)) as helpers, helpers.at_work(["members"]) as send:
        assert 1 == len(mine())
        send("run-1")
    assert [("retention.no_helper", "Resource temporarily unavailable")] == [(each["event"], each["why"]) for each in said]
