"""How the files of earlier processes ended, found from their last bytes. Nothing here ever writes.

A segment is written with its seal in one piece, so whatever follows the last whole seal is a write that was cut off.
The writer of a file holds a lock on it for as long as it lives: a file that can be locked has no writer any more.
"""

from __future__ import annotations

import fcntl
import os
import re
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

from worker.audit.events import Action
from worker.audit.lines import EVENT_LINE, FIRST_PREVIOUS, archived_stream_of, files, parse_seal
from worker.audit.packaging import plain

_WINDOW = 4096
_CLOSED = re.compile(rb'"event\.action":"' + re.escape(Action.STREAM_CLOSED.encode("ascii")) + rb'"')


@dataclass(frozen=True, slots=True)
class Ending:
    """A file that its writer did not close.

    line -- number of the first line that is not sealed; offset -- of its first byte in the file; length -- of the unsealed
    tail from there, in bytes, 0 when nothing is torn; sha256 -- hex, of the tail; chain -- hex, of the last seal.
    """

    stream: str
    line: int
    offset: int
    length: int
    sha256: str
    chain: str = FIRST_PREVIOUS

    @property
    def action(self) -> Action:
        """The event a successor records it with."""
        return Action.STREAM_TORN if self.length else Action.STREAM_UNCLOSED

    def fields(self) -> dict[str, str | int]:
        """Return the members of the event that records it."""
        return {
            "retention.stream": self.stream,
            "retention.line": self.line,
            "retention.offset": self.offset,
            "retention.length": self.length,
            "retention.sha256": self.sha256,
            "retention.chain": self.chain,
        }

    @property
    def identity(self) -> tuple[str, int, str]:
        """What makes two records of an ending the same one; offsets move when payloads are dropped, lines don't."""
        return self.stream, self.line, self.sha256


def has_writer(path: Path) -> bool:
    """Tell whether a living process is writing this file. Raises OSError when it can't be opened."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


@dataclass(frozen=True, slots=True)
class SealedEnd:
    """Where the sealed part of a file ends: the number and offset of what comes next, whether it closes the stream, and its chain value."""

    line: int
    offset: int
    closed: bool
    chain: str = FIRST_PREVIOUS


def sealed_end(file: BinaryIO) -> SealedEnd:
    """Return the place right after the last whole seal line, found by reading backwards as far as it must."""
    size = file.seek(0, os.SEEK_END)
    window = _WINDOW
    while True:
        start = max(0, size - window)
        file.seek(start)
        # Only a line feed ends a line: splitlines would find others in a torn tail.
        lines = [line + b"\n" for line in file.read(size - start).split(b"\n")]
        lines[-1] = lines[-1][:-1]
        if start:
            # The window may begin in the middle of a line.
            start += len(lines.pop(0))
        ends: list[int] = []
        for line in lines:
            start += len(line)
            ends.append(start)
        for place in range(len(lines) - 1, -1, -1):
            seal = parse_seal(lines[place])
            if seal is not None and (place or window >= size):
                closed = place > 0 and _says_closed(lines[place - 1])
                return SealedEnd(seal.line + 1, ends[place], closed, seal.segment.chain)
        if window >= size:
            return SealedEnd(0, 0, closed=False)
        window *= 4


def ending(path: Path) -> Ending | None:
    """Return how a file without a writer ended, or None when it was closed in order."""
    with plain(path) as file:
        end = sealed_end(file)
        file.seek(end.offset)
        tail = sha256()
        length = 0
        while piece := file.read(1 << 20):
            tail.update(piece)
            length += len(piece)
    if end.closed and not length:
        return None
    return Ending(archived_stream_of(path) or "", end.line, end.offset, length, tail.hexdigest(), end.chain)


def unfinished(folder: Path) -> list[Ending]:
    """Return the endings of all files in the folder that were left without being closed, oldest name first.

    A file that a living process is writing is left alone. Raises OSError when a file can't be read.
    """
    found = (ending(path) for path in files(folder) if not has_writer(path))
    return [left for left in found if left is not None]


def _says_closed(line: bytes) -> bool:
    found = EVENT_LINE.fullmatch(line)
    return found is not None and _CLOSED.search(found.group(3)) is not None
