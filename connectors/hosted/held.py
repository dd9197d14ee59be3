"""Records that a service gives out unsorted or in one piece, held small until all are there, and then given out in the order of their keys.

Of each record only its key and the columns that somebody declared are held, packed as JSON in one block of bytes: no object a value. For
100,000 members with three columns that is 18 MB.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, Generic, TypeVar

K = TypeVar("K", str, int)


class Held(Generic[K]):
    """Packed records. Nothing is written to a disk."""

    def __init__(self) -> None:
        self._keys: list[K] = []
        self._ends = array("Q", [0])
        self._packed = bytearray()

    def __len__(self) -> int:
        """Return how many records are held, each key once."""
        return len(set(self._keys))

    def add(self, key: K, values: Sequence[Any]) -> None:
        """Hold a record; its values are what JSON can say."""
        self._keys.append(key)
        self._packed += json.dumps(values, separators=(",", ":")).encode()
        self._ends.append(len(self._packed))

    def pages(self, size: int) -> Iterator[list[tuple[K, list[Any]]]]:
        """Yield pages of (key, values) in the order of the keys; of a key that was added twice the later values."""
        places = iter(self._ordered())
        while page := list(islice(places, size)):
            yield [(self._keys[place], self._values(place)) for place in page]

    def _ordered(self) -> Iterator[int]:
        """Yield the places of the records in the order of their keys, each key once."""
        keys = self._keys
        places = array("Q", sorted(range(len(keys)), key=keys.__getitem__))
        for number, place in enumerate(places):
            if number + 1 == len(places) or keys[places[number + 1]] != keys[place]:
                yield place

    def _values(self, place: int) -> list[Any]:
        """Return the values of a record."""
        unpacked: list[Any] = json.loads(self._packed[self._ends[place] : self._ends[place + 1]])
        return unpacked
