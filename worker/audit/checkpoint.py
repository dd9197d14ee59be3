"""Checkpoints: the signed size and root of a stream, in the form of a C2SP tlog-checkpoint, and anchors: the signed heads of all streams.

What a checkpoint covers. Every stream is a log of its own, and its segments are the entries: entry k is the 32 bytes of segment k's
`chain`, which holds its root, its place and its number of lines, so a wrong place is as wrong as a wrong root. The checkpoint stands in the
stream it is about and covers all segments before its own. Its origin is `retention-worker/<stream>`, so it is of no use in another stream.

What an anchor covers. One note lists every stream of the folder with the number of its sealed lines and its `chain` there. That is the
simplest note that can do all three: a stream that ends before its line was cut, a stream that is not there was taken away, and one with
another chain at that line is another file. The newest anchor is enough, older ones may be thrown away; the price is about 130 bytes for
each stream there ever was. A tree over the heads would be shorter, and could not say which file is missing.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable
from dataclasses import dataclass

from worker.audit.note import BadNote

ORIGIN = "retention-worker"
_NUMBER = r"(0|[1-9][0-9]{0,17})"
_STREAM = r"([0-9a-f]{32})"
_CHECKPOINT = re.compile(rf"{ORIGIN}/{_STREAM}\n{_NUMBER}\n([A-Za-z0-9+/]{{43}}=)\n(?:.+\n)*")
_ANCHOR_ORIGIN = f"{ORIGIN}/anchor"
_HEAD = re.compile(rf"{_STREAM} {_NUMBER} ([0-9a-f]{{64}})")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The first `size` segments of a stream have this root (32 bytes)."""

    stream: str
    size: int
    root: bytes

    def text(self) -> str:
        """Return what is signed: origin, size, root."""
        return f"{ORIGIN}/{self.stream}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """Read the text of a note; lines after the third are extensions and left alone. Raises BadNote for anything else."""
        found = _CHECKPOINT.fullmatch(text)
        if found is None:
            raise BadNote("it is not a checkpoint of a stream")
        try:
            return cls(found.group(1), int(found.group(2)), base64.b64decode(found.group(3), validate=True))
        except binascii.Error:
            raise BadNote("it is not a checkpoint of a stream") from None


@dataclass(frozen=True, slots=True)
class Head:
    """A stream had this many sealed lines, and then this chain value (hex)."""

    stream: str
    lines: int
    chain: str


def anchor_text(heads: Iterable[Head], at: str) -> str:
    """Return what an anchor signs: origin, number of heads, the instant (UTC, ISO 8601), then a line for each stream."""
    lines = [f"{each.stream} {each.lines} {each.chain}\n" for each in sorted(heads, key=lambda head: head.stream)]
    return f"{_ANCHOR_ORIGIN}\n{len(lines)}\n{at}\n{''.join(lines)}"


def parse_anchor(text: str) -> list[Head]:
    """Return the heads in the text of an anchor. Raises BadNote for anything else."""
    origin, _, rest = text.partition("\n")
    count, _, rest = rest.partition("\n")
    _, _, rest = rest.partition("\n")
    found = [_HEAD.fullmatch(line) for line in rest.splitlines()]
    heads = [Head(each.group(1), int(each.group(2)), each.group(3)) for each in found if each is not None]
    if origin != _ANCHOR_ORIGIN or count != str(len(found)) or len(heads) != len(found):
        raise BadNote("it is not an anchor")
    return heads
