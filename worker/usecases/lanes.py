"""The lanes of one source: each carries out whole batches, one after the other, and reads every one back.

Where the system can have several batches open at once, and no record of the source can be in the way of another (nothing is declared that
goes with it, waits for it or is counted by it), two lanes run side by side: while the server works on one batch, the other is decided,
written down or read back. Each lane keeps every promise of `batching` by itself; they share the audit trail, which has one writer at a
time, and the ledger. What a lane did is told in the order of the plan.
"""

from __future__ import annotations

import sys
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from queue import SimpleQueue

from worker.audit.events import Action
from worker.core.model import Policy
from worker.errors import LeaseLost, LedgerUnreachable, RetentionError, Retriable
from worker.ledger.rows import BatchRow, Lease
from worker.planfile import PlannedBatch
from worker.ports import OpenSource
from worker.usecases.batching import BatchResult, BatchWorker
from worker.usecases.machine import Machine
from worker.usecases.planning import open_range, seal_range
from worker.usecases.reconciling import NOTHING_BEFORE, settle
from worker.usecases.retrying import patience
from worker.usecases.sorting import BUSY
from worker.usecases.verifying import ReadBack

_TURN_SECONDS = 0.1
_PUT_OFF = 3
"""So many batches in a row that can't be had mean that the source can't be worked on now."""


@dataclass(frozen=True, slots=True)
class Done:
    """A batch that was carried out and read back.

    there -- how many of its records are still due although they were not skipped; seconds -- how long its last try and reading back took;
    lost -- somebody else has it by now, and says what came of it.
    """

    planned: PlannedBatch
    lease: Lease
    outcome: BatchResult
    there: int
    seconds: float = 0.0
    lost: bool = False


def apart(policy: Policy, source: OpenSource) -> bool:
    """Whether several batches of a source may be worked on at once at all; not where facts over several sources are at stake."""
    alone = all(each.disposal is None and not each.recount for each in policy.source.relations) and not policy.source.shared
    return alone and source.lanes > 1


def lanes_of(policy: Policy, source: OpenSource) -> int:
    """Return how many batches of a source one process works on at once.

    One where records are only deleted: the server is done with that at once, so a second lane would have nothing to wait for.
    """
    return source.lanes if apart(policy, source) and not policy.only_deletes else 1


def batch_row(planned: PlannedBatch, attempt: str, run_id: str, sealed: str) -> BatchRow:
    """Return a batch as the ledger keeps it."""
    return BatchRow(attempt, run_id, planned.source, planned.source, planned.number, sealed, len(planned.records))


class _InDoubt(Exception):
    """Carries an error after which nobody may try again before it is known what became of the batch."""

    def __init__(self, error: RetentionError) -> None:
        super().__init__()
        self.error = error


class Lane:
    """Carries out batches of one source, again when the system was only busy, and reads each back."""

    def __init__(self, machine: Machine, run_id: str, worker: BatchWorker, read_back: ReadBack) -> None:
        self._machine = machine
        self._run_id = run_id
        self._worker = worker
        self._read_back = read_back
        self._put_off = 0
        self._took = 0.0

    def carry_out(self, planned: PlannedBatch, lease: Lease) -> Done:
        """Carry out one batch and read it back; see `BatchWorker.carry_out` for what it raises, LeaseLost apart."""
        try:
            before = settle(self._machine, lease) if lease.tries > 1 else NOTHING_BEFORE
            outcome = before.result if before.whole else before.added_to(self._with_retries(planned, lease))
        except LeaseLost:
            return Done(planned, lease, BatchResult(), 0, lost=True)
        return self._read(planned, lease, outcome)

    def _read(self, planned: PlannedBatch, lease: Lease, outcome: BatchResult) -> Done:
        """Read a batch back, and say what was found."""
        machine = self._machine
        begun = machine.monotonic()
        within = open_range(machine, planned.batch_id, planned.sealed_range, self._run_id)
        there = self._read_back.still_there(within, planned.records, outcome)
        machine.trail.emit(
            Action.BATCH_VERIFIED,
            {
                "event.outcome": "failure" if there else "success",
                "retention.run": self._run_id,
                "retention.batch": lease.attempt,
                "retention.source": planned.source,
                "retention.count": there,
            },
        )
        return Done(planned, lease, outcome, there, self._took + machine.monotonic() - begun)

    def _with_retries(self, planned: PlannedBatch, lease: Lease) -> BatchResult:
        """Carry out a batch; every attempt has an id and an end of its own, and none is made while another is in doubt.

        A batch that can't be had now is put off to a later run, and the others are done.
        """
        attempt = lease.attempt
        try:
            for each in patience(self._machine, run=self._run_id, source=planned.source, batch=attempt):
                with each:
                    number = each.retry_state.attempt_number
                    outcome = self._try(planned, attempt if number == 1 else f"{attempt}+{number}", lease)
        except _InDoubt as doubt:
            raise doubt.error from None
        except LedgerUnreachable:
            raise
        except Retriable as error:
            self._put_off += 1
            if self._put_off == _PUT_OFF:
                raise
            self._say_put_off(planned, attempt, error)
            return BatchResult(skipped=Counter({BUSY: len(planned.records)}))
        self._put_off = 0
        return outcome

    def _try(self, planned: PlannedBatch, under: str, lease: Lease) -> BatchResult:
        """Carry out a batch under an id of its own; _InDoubt when nobody knows yet what became of it."""
        machine, ledger = self._machine, self._machine.ledger
        within = open_range(machine, planned.batch_id, planned.sealed_range)
        ledger.add_batches(self._run_id, [batch_row(planned, under, self._run_id, seal_range(machine, under, within))], lease=lease)
        begun = machine.monotonic()
        try:
            return self._worker.carry_out(planned, under, lease)
        except RetentionError as error:
            try:
                known = ledger.batch(under)
                if known is not None and known.state not in ("pending", "intended"):
                    # Whoever has the batch by now may have ended this attempt before it could: then that one says what came of it.
                    ledger.confirm(lease)
            except LedgerUnreachable as away:
                # It may have been committed, and nobody can say so now.
                raise _InDoubt(away) from None
            if known is not None and known.state == "pending":
                ledger.close_batch(under, "rolled_back", {}, "")
            if known is not None and known.state == "intended":
                raise _InDoubt(error) from None
            raise
        finally:
            self._took = machine.monotonic() - begun

    def _say_put_off(self, planned: PlannedBatch, attempt: str, error: Retriable) -> None:
        """Say that the records of a batch wait for a later run."""
        self._machine.trail.emit(
            Action.BATCH_DEFERRED,
            {
                "event.outcome": "failure",
                "event.reason": str(error),
                "retention.run": self._run_id,
                "retention.batch": attempt,
                "retention.source": planned.source,
                "retention.count": len(planned.records),
            },
        )


def carried_out(batches: Iterable[tuple[PlannedBatch, Lease]], make: Callable[[], Lane], count: int) -> Iterator[Done]:
    """Carry out batches (each with its lease) in so many lanes and yield what was done, in their order.

    When one fails, no more are begun, those that run are finished and yielded, and then its error is raised.
    """
    if count == 1:
        lane = make()
        for planned, lease in batches:
            yield lane.carry_out(planned, lease)
        return
    # A lane gives way when it waits for the server or the disk; being interrupted in the middle of its own work only costs both.
    usual = sys.getswitchinterval()
    sys.setswitchinterval(_TURN_SECONDS)
    try:
        yield from _side_by_side(batches, make, count)
    finally:
        sys.setswitchinterval(usual)


def _side_by_side(batches: Iterable[tuple[PlannedBatch, Lease]], make: Callable[[], Lane], count: int) -> Iterator[Done]:
    """Carry out batches in several lanes; see `carried_out`."""
    free: SimpleQueue[Lane] = SimpleQueue()
    for _ in range(count):
        free.put(make())

    def work(planned: PlannedBatch, lease: Lease) -> Done:
        lane = free.get()
        try:
            return lane.carry_out(planned, lease)
        finally:
            free.put(lane)

    running: deque[Future[Done]] = deque()
    failed: BaseException | None = None
    with ThreadPoolExecutor(count, thread_name_prefix="lane") as executor:
        for planned, lease in batches:
            running.append(executor.submit(work, planned, lease))
            if len(running) < count:
                continue
            failed = running[0].exception()
            if failed is not None:
                break
            yield running.popleft().result()
        for future in running:
            error = future.exception()
            failed = failed or error
            if error is None:
                yield future.result()
    if failed is not None:
        raise failed
