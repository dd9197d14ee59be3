"""Getting the lines of the trail back out of what other programs made of them.

Log files may be compressed, and lines may be wrapped: by journald (`journalctl -o json`, `-o export` or `-o short`), by Docker
(`json-file`), by a container runtime (CRI), or by anything that puts a text before them. One line of the file is at most one line of the
trail; lines that were split because they were long come back at the place of their last part. Where the wrapping tells processes apart,
so do the lanes.

Lines that were wrapped alike and whole are unwrapped a block at a time; a block in which one is not goes line by line, to the same end.
"""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import accumulate
from operator import methodcaller
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO, TypeAlias

from worker.audit.lines import PACKED
from worker.errors import RetentionError

_Readable: TypeAlias = "BinaryIO | gzip.GzipFile | bz2.BZ2File | lzma.LZMAFile"
_BLOCK = 1 << 20
_OPENERS: dict[bytes, Callable[[Path], _Readable]] = {b"\x1f\x8b": gzip.GzipFile, b"BZh": bz2.BZ2File, b"\xfd7zXZ": lzma.LZMAFile}
_ZSTANDARD = b"\x28\xb5\x2f\xfd"
_OWN = b'{"n":'
_CRI = re.compile(rb"\S+ (stdout|stderr) ([FP])(?::\S+)? (.*)", re.DOTALL)
_CRI_WHOLE = re.compile(rb"^\S+ (stdout|stderr) F(?::\S+)? (.*)$", re.MULTILINE)
_CRI_SIGNS = (b" stdout F", b" stderr F", b" stdout P", b" stderr P")
_DOCKER = re.compile(rb'\{"log":"(.*)\\n","stream":"(\w+)","time":"[^"\n]*"\}\n')
_FIELD, _BRACE = b"\nMESSAGE=", b"{"
_FROM_BRACE = re.compile(rb'\{".*')
_LOG, _NEXT_LOG, _STDOUT = b'{"log":"', b'"}\n{"log":"', rb'\n","stream":"stdout","time":"'
_MOST_TIME = 64
_MESSAGE, _OWN_ESCAPED = b'"MESSAGE":"', rb"{\"n\":"
_BEHIND = b' {"n":'
_BEGINS, _BEGINS_ESCAPED, _LINES = methodcaller("startswith", _OWN), methodcaller("startswith", _OWN_ESCAPED), methodcaller("count", b"\n")
_STREAM_ID = re.compile(rb'"_STREAM_ID":"([^"]*)"')
_MARKS = (b'"salt"', b'"seal"', b'"leaf"')
_PROCESS = re.compile(rb"(\S+\[\d+\]): ?$")
_MOST_NAME = 100
"""A process is looked for in so many bytes before the message: looking through all of a long line takes the square of its length."""

UNREADABLE = (OSError, EOFError, zlib.error, lzma.LZMAError)
"""What reading may raise: no right to, a compressed file that ends too early, or one that was damaged."""


@dataclass(frozen=True, slots=True)
class Block:
    """Some lines of one lane: their bytes, each with its line feed but perhaps the last, and their line numbers in the file.

    own -- every one begins as the trail's lines do; False when nobody looked.
    """

    lane: bytes
    data: bytes
    places: Sequence[int]
    own: bool = False


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


@contextmanager
def plain(path: Path) -> Iterator[BinaryIO]:
    """Open a file of the trail as it was written; one that was compressed is first written out to a temporary file without a name.

    RetentionError when it can't be decompressed, or there is no room for that; OSError when it can't be read.
    """
    with path.open("rb") as file:
        magic = file.read(6)
        file.seek(0)
        if not magic.startswith((_ZSTANDARD, *_OPENERS)):
            if path.suffix in PACKED:
                raise RetentionError(f"{path.name} is not compressed as its name says, so nobody can tell what it was.")
            yield file
            return
    with TemporaryFile() as out:
        try:
            with _opened(path) as packed:
                while piece := packed.read(_BLOCK):
                    out.write(piece)
        except UNREADABLE as error:
            why = error.strerror if isinstance(error, OSError) and error.strerror else "it is damaged, or ends too early"
            raise RetentionError(f"{path.name} can't be decompressed: {why}.") from None
        out.seek(0)
        yield out


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
        alike = _alike(data, places, foreign=self._foreign) if data.endswith(b"\n") and not self._parts else None
        if alike is None:
            yield from self._one_by_one(data, places)
            return
        for block in alike:
            yield from (block,) if self._foreign or block.own else _own_of(block)

    def _one_by_one(self, data: bytes, places: Sequence[int]) -> Iterator[Block]:
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
            if message:
                messages, at = lanes.setdefault(lane, ([], []))
                messages.append(message)
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
            process = _PROCESS.search(line, max(0, begin - _MOST_NAME), begin)
            return process.group(1) if process else b"", line[begin:]
        return b"", line

    def _of_json(self, line: bytes) -> tuple[bytes, bytes | None]:
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


def _alike(data: bytes, places: Sequence[int], *, foreign: bool) -> list[Block] | None:
    """Return the messages of whole lines, lane by lane, when all were wrapped in one way and none was split, else None."""
    if data.startswith(_LOG):
        return _of_docker(data, places)
    if data.startswith(b"{"):
        return _of_journal(data, places)
    exported = None if foreign else _of_export(data, places)
    if exported is not None or b"\n{" in data:
        return exported
    if _CRI_WHOLE.match(data):
        found = _CRI_WHOLE.findall(data)
        return _by_lane([lane for lane, _ in found], [message for _, message in found], places) if len(found) == len(places) else None
    return None if foreign or any(each in data for each in _CRI_SIGNS) else _behind_text(data, places)


def _of_docker(data: bytes, places: Sequence[int]) -> list[Block] | None:
    parts = data.split(_STDOUT)
    cuts = [part.find(_NEXT_LOG, 0, _MOST_TIME) for part in parts[1:-1]]
    if len(parts) == len(places) + 1 and min(cuts, default=0) >= 0:
        # As many line feeds as parts, and each of these has one: so that is where the lines end.
        messages = [parts[0][len(_LOG) :], *(part[cut + len(_NEXT_LOG) :] for cut, part in zip(cuts, parts[1:-1], strict=True))]
        return _by_lane([b"stdout"], messages, places, escaped=True)
    found = _DOCKER.findall(data)
    if len(found) != len(places):
        return None
    return _by_lane([lane for _, lane in found], [log for log, _ in found], places, escaped=True)


def _of_journal(data: bytes, places: Sequence[int]) -> list[Block] | None:
    """Take entries of `journalctl -o json` apart when the message of each is a line of ours, and each says its stream."""
    parts, stream = data.split(_MESSAGE), _STREAM_ID.search(data)
    if len(parts) != len(places) + 1 or stream is None or b'"_LINE_BREAK"' in data:
        return None
    lanes = [stream.group(1)] * len(places) if data.count(stream.group()) == len(places) else _STREAM_ID.findall(data)
    if len(lanes) != len(places):
        return None
    # Quotes in a text are escaped, so where a line of ours ends, in two braces, the first bare one does.
    messages = [part[: part.find(b'}}"') + 2] for part in parts[1:]]
    return _by_lane(lanes, messages, places, escaped=True) if all(map(_BEGINS_ESCAPED, messages)) else None


def _of_export(data: bytes, places: Sequence[int]) -> list[Block] | None:
    """Take entries of `journalctl -o export` apart when nothing else in them looks like ours."""
    before, *parts = data.split(_FIELD)
    first = places[0] + before.count(b"\n") + 1
    if before.startswith(_FIELD[1:]):
        # The file was read up to this line of an entry.
        parts.insert(0, before[len(_FIELD) - 1 :])
        first = places[0]
    messages = [part[:end] if (end := part.find(b"\n")) >= 0 else part for part in parts]
    if not messages or data.count(_BRACE) != b"\n".join(messages).count(_BRACE):
        return None
    at = accumulate(map(_LINES, parts[:-1]), lambda place, lines: place + 1 + lines, initial=first)
    return _by_lane([b""], messages, list(at))


def _behind_text(data: bytes, places: Sequence[int]) -> list[Block]:
    """Return what stands behind a text in its line, as far as it may be ours."""
    parts = data.split(_BEHIND)
    cuts = [part.rfind(b"\n") for part in parts]
    if len(parts) == len(places) + 1 and cuts[0] < 0 <= min(cuts[1:]):
        # As many line feeds as parts behind the first, and each of these has one: so every line has its text and then one of ours.
        messages = [_OWN + part[:cut] for cut, part in zip(cuts[1:], parts[1:], strict=True)]
        texts = [part[cut + 1 :][-_MOST_NAME:] + b" " for cut, part in zip(cuts[:-1], parts[:-1], strict=True)]
        found, at = texts, places
    else:
        found, messages, at = _each_behind_text(data, places)
    known = {text: process.group(1) if (process := _PROCESS.search(text)) else b"" for text in {*found}}
    return _by_lane([known[text] for text in found], messages, at) or []


def _each_behind_text(data: bytes, places: Sequence[int]) -> tuple[list[bytes], list[bytes], list[int]]:
    """Return (text, what begins with a brace behind it, line number) of every line that has such a thing."""
    texts: list[bytes] = []
    messages: list[bytes] = []
    at: list[int] = []
    place, before = places[0], 0
    for found in _FROM_BRACE.finditer(data):
        start = data.rfind(b"\n", before, found.start()) + 1 or before
        place += data.count(b"\n", before, start)
        before = start
        texts.append(data[max(start, found.start() - _MOST_NAME) : found.start()])
        messages.append(found.group())
        at.append(place)
    return texts, messages, at


def _by_lane(lanes: Sequence[bytes], messages: Sequence[bytes], places: Sequence[int], *, escaped: bool = False) -> list[Block] | None:
    """Return messages lane by lane; escaped -- as texts in JSON, and None when one is no such text."""
    found: dict[bytes, tuple[Sequence[bytes], Sequence[int]]] = {}
    if len({*lanes}) < 2:
        found = dict.fromkeys(lanes[:1], (messages, places))
    else:
        grouped: dict[bytes, tuple[list[bytes], list[int]]] = {lane: ([], []) for lane in lanes}
        for lane, message, place in zip(lanes, messages, places, strict=True):
            grouped[lane][0].append(message)
            grouped[lane][1].append(place)
        found.update(grouped)
    blocks: list[Block] = []
    for lane, (own, at) in found.items():
        data = _unescaped(own) if escaped else b"\n".join(own) + b"\n"
        if data is None:
            return None
        blocks.append(Block(lane, data, at, own=all(map(_BEGINS_ESCAPED if escaped else _BEGINS, own))))
    return blocks


def _unescaped(texts: Sequence[bytes]) -> bytes | None:
    """Return texts in JSON as lines, without their escapes, or None when one is no text of one line."""
    data = b"\n".join(texts) + b"\n"
    lines = data.translate(None, b"\\")
    # Each quote has a backslash of its own, so with as many backslashes as quotes there is no other escape to undo.
    if len(data) - len(lines) != lines.count(b'"'):
        try:
            lines = b"".join(_bytes(json.loads(b'"%b"' % each)) + b"\n" for each in texts)
        except ValueError:
            return None
    return lines if lines.count(b"\n") == len(texts) else None


def _own_of(block: Block) -> Iterator[Block]:
    """Yield a block without the lines that can't be ours."""
    if block.data.count(b"\n" + _OWN) + block.data.startswith(_OWN) == len(block.places):
        yield block
        return
    lines = zip(block.data.split(b"\n"), block.places, strict=False)
    own = [(line, place) for line, place in lines if _may_be_ours(line)]
    if own:
        yield Block(block.lane, b"".join(line + b"\n" for line, _ in own), [place for _, place in own])


def _may_be_ours(message: bytes) -> bool:
    return b'"n"' in message and any(mark in message for mark in _MARKS)


def _bytes(text: str) -> bytes:
    # What isn't ASCII is no line of ours, and half a surrogate pair no reason to stop.
    return text.encode("utf-8", "replace")
