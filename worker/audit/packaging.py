"""Getting the lines of the trail back out of what other programs made of them.

Log files may be compressed, and lines may be wrapped: by journald (`journalctl -o json` or `-o short`), by Docker (`json-file`), by a
container runtime (CRI), or by anything that puts a text before them. One line of the file is at most one line of the trail; lines that were
split because they were long come back at the place of their last part. Where the wrapping tells processes apart, so do the lanes.
"""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, TypeAlias

_Readable: TypeAlias = "BinaryIO | gzip.GzipFile | bz2.BZ2File | lzma.LZMAFile"
_BLOCK = 1 << 20
_OPENERS: dict[bytes, Callable[[Path], _Readable]] = {b"\x1f\x8b": gzip.GzipFile, b"BZh": bz2.BZ2File, b"\xfd7zXZ": lzma.LZMAFile}
_ZSTANDARD = b"\x28\xb5\x2f\xfd"
_OWN = b'{"n":'
_CRI = re.compile(rb"\S+ (stdout|stderr) ([FP])(?::\S+)? (.*)", re.DOTALL)
_DOCKER = re.compile(rb'\{"log":"(.*)\\n","stream":"(\w+)","time":"[^"]*"\}')
_MARKS = (b'"salt"', b'"seal"', b'"leaf"')
_PROCESS = re.compile(rb"(\S+\[\d+\]): ?$")

UNREADABLE = (OSError, EOFError, zlib.error, lzma.LZMAError)
"""What reading may raise: no right to, a compressed file that ends too early, or one that was damaged."""


@dataclass(frozen=True, slots=True)
class Block:
    """Some lines of one lane: their bytes, each with its line feed but perhaps the last, and their line numbers in the file."""

    lane: bytes
    data: bytes
    places: Sequence[int]


def blocks(path: Path, *, foreign: bool = False) -> Iterator[Block]:
    """Yield a file's lines, unwrapped, in order; memory is that of a block. Raises one of UNREADABLE.

    foreign -- also the lines that can't be the trail's: where others write too, there may be more of them than memory.
    """
    wrapping = _Wrapping(foreign)
    rest = b""
    place = 1
    with _opened(path) as file:
        while True:
            piece = file.read(_BLOCK)
            data = rest + piece
            if piece:
                cut = data.rfind(b"\n") + 1
                data, rest = data[:cut], data[cut:]
            if data:
                lines = data.count(b"\n") + (not data.endswith(b"\n"))
                places = range(place, place + lines)
                # As the writer left it: nothing to take apart.
                if data.startswith(_OWN) and data.count(b"\n" + _OWN) == lines - 1:
                    yield Block(b"", data, places)
                else:
                    yield from wrapping.unwrapped(data, places)
                place += lines
            if not piece:
                break
    yield from wrapping.rest(place - 1)


def _opened(path: Path) -> _Readable:
    with path.open("rb") as file:
        magic = file.read(6)
    if magic.startswith(_ZSTANDARD):
        raise OSError(0, "it is compressed with Zstandard, so decompress it first")
    for start, opener in _OPENERS.items():
        if magic.startswith(start):
            return opener(path)
    return path.open("rb")


@dataclass(slots=True)
class _Wrapping:
    """Takes lines apart; remembers the first parts of lines that were split."""

    _foreign: bool
    _parts: dict[bytes, bytes] = field(default_factory=dict)

    def unwrapped(self, data: bytes, places: Sequence[int]) -> Iterator[Block]:
        """Yield the lines of one piece of a file, lane by lane."""
        lanes: dict[bytes, tuple[list[bytes], list[int]]] = {}
        lines = data.split(b"\n")
        last = lines.pop()
        for place, line in zip(places, lines, strict=False):
            lane, message = self._message(line)
            if message is not None and (self._foreign or _may_be_ours(message)):
                messages, at = lanes.setdefault(lane, ([], []))
                messages.append(message + b"\n")
                at.append(place)
        if last:
            # Without its line feed the last line may be half a line, and stays what it is.
            lane, message = self._message(last)
            messages, at = lanes.setdefault(lane, ([], []))
            messages.append(message or b"")
            at.append(places[-1])
        for lane, (messages, at) in lanes.items():
            yield Block(lane, b"".join(messages), at)

    def rest(self, place: int) -> Iterator[Block]:
        """Yield the lines whose last part never came."""
        for lane, part in self._parts.items():
            yield Block(lane, part, (place,))

    def _message(self, line: bytes) -> tuple[bytes, bytes | None]:
        """Return the lane and what was logged, None for a part of a line."""
        if line.startswith(_OWN):
            return b"", line
        if line.startswith(b"{"):
            if b'"log"' in line or b'"MESSAGE"' in line:
                return self._of_json(line)
            return b"", line
        found = _CRI.fullmatch(line)
        if found is not None:
            return self._whole(found.group(1), found.group(3), whole=found.group(2) == b"F")
        begin = line.find(b'{"')
        if begin > 0 and b'"n"' in line:
            process = _PROCESS.search(line, 0, begin)
            return process.group(1) if process else b"", line[begin:]
        return b"", line

    def _of_json(self, line: bytes) -> tuple[bytes, bytes | None]:
        found = _DOCKER.fullmatch(line)
        if found is not None:
            text = found.group(1).replace(b'\\"', b'"')
            # With no other escapes in it, that was all there was to undo.
            if b"\\" not in text:
                return self._whole(found.group(2), text, whole=True)
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            entry = None
        if not isinstance(entry, dict):
            return b"", line
        log, message = entry.get("log"), entry.get("MESSAGE")
        if isinstance(log, str):
            return self._whole(str(entry.get("stream")).encode(), _bytes(log.removesuffix("\n")), whole=log.endswith("\n"))
        if isinstance(message, str):
            lane = str(entry.get("_STREAM_ID") or entry.get("_PID")).encode()
            return self._whole(lane, _bytes(message), whole=entry.get("_LINE_BREAK") != "line-max")
        return b"", line

    def _whole(self, lane: bytes, part: bytes, *, whole: bool) -> tuple[bytes, bytes | None]:
        so_far = self._parts.pop(lane, b"") + part
        if whole:
            return lane, so_far
        self._parts[lane] = so_far
        return lane, None


def _may_be_ours(message: bytes) -> bool:
    return b'"n"' in message and any(mark in message for mark in _MARKS)


def _bytes(text: str) -> bytes:
    # What isn't ASCII is no line of ours, and half a surrogate pair no reason to stop.
    return text.encode("utf-8", "replace")
