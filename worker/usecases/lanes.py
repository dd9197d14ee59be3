"""The second lane: while one batch is judged and written down, the rows of the next one are already being taken.

Only for batches that `take` their rows (tables nothing refers to) and only where the system can have two open at once. Taking is not yet
doing: nothing of the next batch is decided, written down or committed before its own turn, when the holds are read again under the barrier.
Whatever was taken and is not wanted any more is rolled back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass

from worker.core.select import Selection
from worker.errors import RetentionError
from worker.ports import Batch, KeyRange


@dataclass(frozen=True, slots=True)
class Ask:
    """What a batch is opened with; see `OpenSource.batch`."""

    attempt: str
    within: KeyRange
    selection: Selection
    columns: tuple[str, ...]
    take: bool


class Lanes:
    """Opens batches, at most one of them ahead of its turn. Close it: what is still open is rolled back."""

    def __init__(self, open_batch: Callable[[Ask], AbstractContextManager[Batch]]) -> None:
        self._open_batch = open_batch
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="lane")
        self._ahead: tuple[Ask, Future[tuple[ExitStack, Batch]]] | None = None

    def ahead(self, ask: Ask) -> None:
        """Begin to open a batch whose turn comes next."""
        self._discard()
        self._ahead = (ask, self._executor.submit(self._entered, ask))

    @contextmanager
    def batch(self, ask: Ask) -> Iterator[Batch]:
        """Return the batch that is asked for: the one opened ahead if it is the same, else a new one."""
        if self._ahead is not None and self._ahead[0] == ask:
            _, future = self._ahead
            self._ahead = None
            stack, batch = future.result()
        else:
            self._discard()
            stack, batch = self._entered(ask)
        with stack:
            yield batch

    def close(self) -> None:
        """Roll back what was opened ahead and end the lane."""
        self._discard()
        self._executor.shutdown()

    def _entered(self, ask: Ask) -> tuple[ExitStack, Batch]:
        """Open a batch and return it with what closes it."""
        stack = ExitStack()
        return stack, stack.enter_context(self._open_batch(ask))

    def _discard(self) -> None:
        """Roll back what was opened ahead; whatever went wrong in opening it will show again when it is opened in its turn."""
        if self._ahead is None:
            return
        _, future = self._ahead
        self._ahead = None
        try:
            stack, _ = future.result()
        except RetentionError:
            return
        stack.close()
