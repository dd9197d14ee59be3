"""Reading a few things at the same time, and giving them out in their order; no more are read than are about to be wanted.

Most of the time that a dossier takes is waiting for the network. What was read ahead is a moment older when it is given out: whoever writes
reads again directly before.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self, TypeVar

T = TypeVar("T")


class Ahead:
    """Some threads, which end with the context; what they have not begun by then is never begun. at_once -- how many; 1 is none besides."""

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._pool = ThreadPoolExecutor(at_once, "reading-ahead") if at_once > 1 else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def each(self, keys: Sequence[str], read: Callable[[str], T]) -> Iterator[T]:
        """Yield what `read` returns for each, in order; it raises in the place of what it would have returned."""
        if self._pool is None or len(keys) < 2:
            yield from map(read, keys)
            return
        waiting: deque[Future[T]] = deque()
        for key in keys:
            waiting.append(self._pool.submit(read, key))
            if len(waiting) == self._at_once:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
