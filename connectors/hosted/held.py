"""Records that a service gives out unsorted or in one piece, kept until all are there, and then given out in the order of their keys.

Of each record only its key and the columns that somebody declared are kept, packed as JSON, and not in memory (`connectors.spooled`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from connectors.spooled import Spooled

K = TypeVar("K", str, int)

_AT_ONCE = 500


class Held(Generic[K]):
    """Packed records, each key once; they are let go of with the context. Raises SourceFailed when there is no room for them."""

    def __init__(self, source: str) -> None:
        self._spooled: Spooled[K] = Spooled(source)
        self._waiting: list[tuple[K, bytes | None]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Let go of all records."""
        self._spooled.close()

    def __len__(self) -> int:
        """Return how many records are held, each key once."""
        self._put_down()
        return len(self._spooled)

    def add(self, key: K, values: Sequence[Any]) -> None:
        """Hold a record; its values are what JSON can say. Of a key that was added before the later values count."""
        self._waiting.append((key, json.dumps(values, separators=(",", ":")).encode()))
        if len(self._waiting) == _AT_ONCE:
            self._put_down()

    def pages(self, size: int) -> Iterator[list[tuple[K, list[Any]]]]:
        """Yield pages of (key, values) in the order of the keys."""
        self._put_down()
        for page in self._spooled.pages(size):
            yield [(key, json.loads(said or b"[]")) for key, said in page]

    def _put_down(self) -> None:
        self._spooled.add(self._waiting)
        self._waiting.clear()
