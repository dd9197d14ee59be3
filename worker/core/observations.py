"""On which day each of many records was first seen in a certain state: pairs of a record's keyed token and a local day, packed.

A million pairs are 19 MB and stay packed while they are looked up, so what is kept is one value and never a row per record.
"""

from __future__ import annotations

import datetime as dt
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from worker.core.refs import REFERENCE_BYTES

NOBODY: Mapping[bytes, dt.date] = MappingProxyType({})
_DAY_BYTES = 3
_PAIR = REFERENCE_BYTES + _DAY_BYTES


def packed(pairs: Iterable[tuple[bytes, dt.date]]) -> bytes:
    """Return pairs of a token and a day in the form that `FirstSeen` reads: ordered by token, which is given once only."""
    return b"".join(sorted(token + day.toordinal().to_bytes(_DAY_BYTES, "big") for token, day in pairs))


class FirstSeen:
    """The days of packed pairs by token.

    before -- days from this one on are left out, as if they had not been noted yet; gone -- by token, the day on which the record went that
    had it then: what was noted until that day was about another one.
    """

    def __init__(self, pairs: bytes, *, before: dt.date = dt.date.max, gone: Mapping[bytes, dt.date] = NOBODY) -> None:
        if len(pairs) % _PAIR:
            raise ValueError("packed observations are pairs of a token and a day")
        self._pairs = pairs
        self._before = before
        self._gone = gone

    def __len__(self) -> int:
        return len(self._pairs) // _PAIR

    def __getitem__(self, position: int) -> bytes:
        """Return the token at a position, for the search."""
        return self._pairs[position * _PAIR : position * _PAIR + REFERENCE_BYTES]

    def get(self, token: bytes) -> dt.date | None:
        """Return the day of a token, or None."""
        position = bisect_left(self, token)
        if position == len(self) or self[position] != token:
            return None
        start = position * _PAIR + REFERENCE_BYTES
        day = dt.date.fromordinal(int.from_bytes(self._pairs[start : start + _DAY_BYTES], "big"))
        return day if self._gone.get(token, dt.date.min) < day < self._before else None
