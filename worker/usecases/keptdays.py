"""The form of what the ledger keeps of records that a batch disposes of or cuts loose: keyed tokens, each with a day or without one.

A record has one entry for each of its tokens, so whatever carries any of them is about the same subject.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from worker.core.refs import REFERENCE_BYTES
from worker.core.shared import NOTHING, Seen

_DAY_BYTES = 4
_ENTRY = REFERENCE_BYTES + _DAY_BYTES
_SAME_RECORD = 1 << 31
"""Set in an entry's day: its token belongs to the same record as the entry before."""
_DID_NOT_COUNT = 1 << 30
"""Set in an entry's day: its record said nothing, and only joined what carries one of its tokens."""


def packed(days: Mapping[tuple[bytes, ...], Seen]) -> bytes:
    """Return what records said by their tokens as one blob: for every token its 16 bytes and 4 of the day's ordinal, big-endian."""
    return b"".join(
        token + (what.day | (0 if what.there else _DID_NOT_COUNT) | (_SAME_RECORD if number else 0)).to_bytes(_DAY_BYTES, "big")
        for tokens, what in days.items()
        for number, token in enumerate(tokens)
    )


def unpacked(blob: bytes) -> Iterator[tuple[list[bytes], Seen]]:
    """Yield (tokens, what the record said) for every record of a blob that `packed` made."""
    tokens: list[bytes] = []
    what = NOTHING
    for start in range(0, len(blob), _ENTRY):
        token, number = blob[start : start + REFERENCE_BYTES], int.from_bytes(blob[start + REFERENCE_BYTES : start + _ENTRY], "big")
        if not number & _SAME_RECORD and tokens:
            yield tokens, what
            tokens = []
        tokens.append(token)
        what = NOTHING if number & _DID_NOT_COUNT else Seen(1, number & ~_SAME_RECORD)
    if tokens:
        yield tokens, what
