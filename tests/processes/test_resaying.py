"""One flush of the trail for each batch, and what a power failure takes with it is said again."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.unit.usecases.conftest import KillAt, Killed, Lab, customers
from worker.audit.accounts import accounts
from worker.audit.events import Action
from worker.audit.lines import files
from worker.audit.read import check, read
from worker.ports import AFTER_CLOSE
from worker.usecases.agreeing import Comparing, known_to
from worker.usecases.applying import apply_plan
from worker.usecases.approving import approve, open_plan
from worker.usecases.machine import Machine
from worker.usecases.planning import make_plan


class Flushes:
    """Which bytes of which file are certainly on the disk: as many as it had when it was flushed last, until the power fails."""

    def __init__(self) -> None:
        self.power = True
        self.flushed: dict[str, int] = {}
        self.times = 0
        self._flush = os.fsync

    def __call__(self, descriptor: int) -> None:
        """Flush, and take note."""
        self._flush(descriptor)
        path = str(Path(f"/proc/self/fd/{descriptor}").readlink())
        if self.power and path.endswith(".jsonl"):
            self.flushed[path] = os.fstat(descriptor).st_size
            self.times += 1

    def take_the_rest(self) -> int:
        """Take away everything else from the files, as a disk does; return how many bytes that were."""
        taken = 0
        for path, size in self.flushed.items():
            taken += Path(path).stat().st_size - size
            os.truncate(path, size)
        return taken


@pytest.fixture
def flushes(monkeypatch: pytest.MonkeyPatch) -> Flushes:
    """Watch every flush of this process."""
    watch = Flushes()
    monkeypatch.setattr(os, "fsync", watch)
    return watch


class FailPower(KillAt):
    """Ends everything when a point is passed for the given time; what is not flushed by then is on no disk."""

    def __init__(self, point: str, times: int, flushes: Flushes | None = None) -> None:
        super().__init__()
        self._left = {point: times}
        self._flushes = flushes

    def reached(self, point: str) -> None:
        """Count, and raise."""
        if point not in self._left:
            return
        self._left[point] -= 1
        if not self._left[point]:
            if self._flushes is not None:
                self._flushes.power = False
            raise Killed(point)


def die(lab: Lab, faults: FailPower, act: Callable[[Machine], object]) -> Path:
    """Do something in a process that dies of these faults, and return its audit folder; it closes nothing in order."""
    lab.faults = faults
    process = lab.machine()
    machine = process.__enter__()
    with pytest.raises(Killed):
        act(machine)
    machine.trail._abandon()
    with suppress(Exception):
        process.__exit__(None, None, None)
    lab.faults = KillAt()
    return machine.settings.audit_folder


@pytest.fixture
def many(lab: Lab) -> Lab:
    """Return a laboratory with twelve customers who are due, in batches of two."""
    lab.memory.tables["customers"] = customers(*((n, f"Name {n}", f"n{n}@canary.example", "2020-01-01 10:00:00") for n in range(12)))
    for name in ("invoices", "notes"):
        lab.memory.tables[name] = {}
    lab.environ["RETENTION_BATCH_SIZE"] = "2"
    return lab


def differences(machine: Machine) -> list[str]:
    """Return in which ways trail and ledger don't agree."""
    known = known_to(machine, None)
    told = accounts(files(machine.settings.audit_folder))
    return [str(each.kind) for each in Comparing(machine, known, told, None).compare().found]


def closings(folder: Path) -> Iterator[str]:
    """Yield the batches whose end the trail says, in its order."""
    for path in files(folder):
        with suppress(Exception):
            for entry in read(path):
                if entry.payload is not None and entry.payload["event.action"] == Action.BATCH_CLOSED:
                    yield str(entry.payload["retention.batch"])


def test_a_batch_costs_one_flush(many: Lab, flushes: Flushes) -> None:
    """Six batches more cost six flushes more: the intents of each before its commit, and nothing for its end."""

    def cost(due: int) -> int:
        table = many.memory.tables["customers"]
        table.clear()
        table.update(customers(*((n, f"N {n}", f"n{n}@canary.example", "2020-01-01 10:00:00") for n in range(due))))
        with many.machine() as machine:
            plan = make_plan(machine)
            approve(machine, plan.path, "ann")
            before = flushes.times
            many.plan_and_apply(machine)
            assert not table
            return flushes.times - before

    assert 6 == cost(16) - cost(4)


@pytest.mark.parametrize("batch", range(1, 7))
def test_what_a_power_failure_takes_is_said_again(many: Lab, flushes: Flushes, batch: int) -> None:
    """Whenever the power fails after a batch, the next process says how it ended; until then its closing event is really missing."""
    folder = die(many, FailPower(AFTER_CLOSE, batch, flushes), many.plan_and_apply)
    assert flushes.take_the_rest() > 0
    assert batch - 1 == len(list(closings(folder)))
    with many.machine() as later:
        assert ["no closing event"] == differences(later)
        later.trail.sync()
        assert [] == differences(later)
        assert batch == len(list(closings(folder)))
        many.plan_and_apply(later)
        assert [] == differences(later)
    assert not many.memory.tables["customers"]
    assert [] == list(check(folder))


def test_nothing_is_said_again_that_is_there(many: Lab) -> None:
    """A process that dies while the machine keeps its power loses nothing, and nothing is said twice."""
    folder = die(many, FailPower(AFTER_CLOSE, 3), many.plan_and_apply)
    with many.machine() as later:
        later.trail.sync()
        assert 3 == len(list(closings(folder)))
        assert [] == differences(later)


def test_a_failure_right_after_saying_it_again_loses_nothing(many: Lab, flushes: Flushes) -> None:
    """The ending of the old file and what was lost with it are one write: both are there, or the next process says both."""
    folder = die(many, FailPower(AFTER_CLOSE, 2, flushes), many.plan_and_apply)
    flushes.take_the_rest()
    with many.machine() as second:
        path = second.trail.path
        second.trail._abandon()
    heads = path.read_bytes().split(b'{"n":')
    # The stream's opening and its seal stay, whatever else the second process wrote is torn.
    path.write_bytes(b'{"n":'.join(heads[:4]) + b'{"n":')
    assert 1 == len(list(closings(folder)))
    with many.machine() as third:
        third.trail.sync()
        assert 2 == len(list(closings(folder)))
        assert [] == differences(third)


def test_the_end_of_a_batch_that_left_something_out_is_flushed_at_once(many: Lab, flushes: Flushes) -> None:
    """What a batch left out stands in no ledger, so its end is durable before the ledger knows of it."""

    def act(machine: Machine) -> None:
        plan = make_plan(machine)
        approve(machine, plan.path, "ann")
        many.memory.tables["customers"][(0,)]["seen_at"] = "2026-06-01 10:00:00"
        apply_plan(machine, open_plan(machine, plan.path))

    folder = die(many, FailPower(AFTER_CLOSE, 1, flushes), act)
    flushes.take_the_rest()
    assert 1 == len(list(closings(folder)))
