"""Several batches of one source at a time: in order, nothing lost, and no new one after a failure."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator

import pytest

from worker.errors import SourceFailed
from worker.ledger.rows import Lease
from worker.planfile import PlannedBatch
from worker.usecases.batching import BatchResult
from worker.usecases.lanes import Done, carried_out


def planned(count: int) -> list[tuple[PlannedBatch, Lease]]:
    """Return so many planned batches with their leases."""
    return [
        (PlannedBatch(f"b-{number}", "contacts", number, "", [], {}), Lease("run-1", f"b-{number}", "contacts", number, 1, 1, "me"))
        for number in range(count)
    ]


class FakeLane:
    """Does with a batch what a test says."""

    def __init__(self, does: Callable[[int], None]) -> None:
        self._does = does

    def carry_out(self, batch: PlannedBatch, lease: Lease) -> Done:
        """Carry it out."""
        assert lease.attempt == batch.batch_id
        self._does(batch.number)
        return Done(batch, lease, BatchResult(), 0)


def numbers(done: Iterator[Done]) -> Iterator[int]:
    """Yield the numbers of batches that were done."""
    return (each.planned.number for each in done)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_every_batch_is_done_once_and_told_in_order(count: int) -> None:
    """However many lanes there are, every batch is carried out exactly once, and what was done is told in the plan's order."""
    seen: list[int] = []
    found = list(numbers(carried_out(planned(20), lambda: FakeLane(seen.append), count)))  # type: ignore[arg-type, return-value]
    assert list(range(20)) == found
    assert list(range(20)) == sorted(seen)


def test_two_lanes_work_at_the_same_time() -> None:
    """The second batch begins before the first has ended: each waits for the other here."""
    together = threading.Barrier(2, timeout=10)
    done = carried_out(planned(4), lambda: FakeLane(lambda _: [together.wait()][1:]), 2)  # type: ignore[arg-type, return-value]
    assert [0, 1, 2, 3] == list(numbers(done))


@pytest.mark.parametrize("count", [1, 2, 3])
def test_after_a_failure_nothing_new_is_begun_and_nothing_done_is_lost(count: int) -> None:
    """When a batch fails, those that run beside it are finished and told, none is begun after them, and its error is raised."""
    seen: list[int] = []

    def does(number: int) -> None:
        if number == 3:
            raise SourceFailed("contacts: gone")
        seen.append(number)

    done = numbers(carried_out(planned(20), lambda: FakeLane(does), count))  # type: ignore[arg-type, return-value]
    told = []
    with pytest.raises(SourceFailed, match="gone"):
        told.extend(done)
    assert sorted(seen) == told
    assert max(seen) < 3 + count
    assert set(range(3)) <= set(seen)


def test_lanes_are_not_left_over() -> None:
    """However it ends, the threads are gone and the interpreter's own rhythm is back."""
    before, rhythm = threading.active_count(), sys.getswitchinterval()
    done = carried_out(planned(5), lambda: FakeLane(lambda _: None), 2)  # type: ignore[arg-type, return-value]
    next(done)
    done.close()
    assert (before, rhythm) == (threading.active_count(), sys.getswitchinterval())
