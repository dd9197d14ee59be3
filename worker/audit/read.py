"""Reading the audit trail back, and not believing it.

Every line is checked against the seal of its segment and every seal against the one before, so what comes out is what was
written, or an error says which line is not. Memory is that of one segment, whatever the size of a file.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from worker.audit.broken import Broken, Damage
from worker.audit.endings import Ending, ending, has_writer, sealed_end
from worker.audit.events import Action
from worker.audit.lines import (
    DROPPED_LINE,
    EVENT_LINE,
    FIRST_PREVIOUS,
    MAX_LINES,
    Seal,
    Segment,
    chain,
    files,
    parse_seal,
    stream_of,
)
from worker.core import merkle

Payload = dict[str, Any]
"""One event, flat, with dotted names."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the trail.

    number -- of the line in its stream, from 0; payload -- the event, or None when it was dropped after its time;
    segment -- the sealed segment it stands in, or None for a whole line at the end that was never sealed: it may be
    read, and proves nothing.
    """

    stream: str
    number: int
    payload: Payload | None
    segment: Segment | None

    @property
    def sealed(self) -> bool:
        """Whether a seal vouches for the line."""
        return self.segment is not None


@dataclass(frozen=True, slots=True)
class Line:
    """One event line as it was sealed. leaf -- 32 bytes; salt, payload -- 16 bytes and the event's own, both None when it was dropped."""

    number: int
    leaf: bytes
    salt: bytes | None
    payload: bytes | None


def read(path: Path) -> Iterator[Entry]:
    """Yield the entries of one file, in order, each segment only after it has been verified.

    Of a file that is being written, what was sealed when reading began. Of any other, the end is judged too: after the
    last entry it raises Broken with Damage.TORN when something unsealed follows, and with Damage.UNCLOSED when the
    writer never closed the stream. Raises Broken for any other damage where it stands, OSError when it can't be read.
    """
    stream = stream_of(path)
    if stream is None:
        raise Broken(Damage.FOREIGN, path, 0, "this is not the name of an audit file")
    # Asked before the end is looked for: a writer that closes in between then can't look like one that died.
    alive = has_writer(path)
    with path.open("rb") as file:
        end = sealed_end(file)
        file.seek(0)
        reader = _Reader(path, file, stream)
        while file.tell() < end.offset:
            yield from reader.segment()
        if alive:
            return
        yield from reader.unsealed()
        if file.tell() > end.offset:
            raise Broken(Damage.TORN, path, reader.line, "the file ends in lines that were never sealed")
        if not end.closed:
            raise Broken(Damage.UNCLOSED, path, reader.line, "the file ends without being closed")


def segments(path: Path) -> Iterator[tuple[Seal, list[Line]]]:
    """Yield the sealed segments of one file with the bytes of their lines, in order, each only after it has been verified.

    What follows the last seal is left out and not judged. Raises Broken for damage before it, OSError when it can't be read.
    """
    stream = stream_of(path)
    if stream is None:
        raise Broken(Damage.FOREIGN, path, 0, "this is not the name of an audit file")
    with path.open("rb") as file:
        end = sealed_end(file)
        file.seek(0)
        reader = _Reader(path, file, stream)
        while file.tell() < end.offset:
            yield reader.sealed()


def segment(folder: Path, stream: str, first: int, count: int, *, root: str | None = None) -> list[Payload]:
    """Return the payloads of the one segment that begins at line number `first` of the stream and has `count` lines.

    Verifies them against the segment's seal and, when it is given, against the `root` (hex) that the ledger kept. Finds
    the place by halving the file, so the cost does not grow with it. Raises Broken when the stream, the line or the seal
    is absent, when a payload was dropped, or when anything doesn't fit.
    """
    path = next(folder.glob(f"audit-*-{stream}.jsonl"), None)
    if path is None or stream_of(path) != stream:
        raise Broken(Damage.ABSENT, folder, 0, f"there is no file of stream {stream}")
    with path.open("rb") as file:
        _seek(path, file, first)
        reader = _Reader(path, file, stream, line=first)
        found = list(islice(reader.segment(continues=False), count + 1))
    sealed = found[0].segment if found else None
    if sealed is None or sealed.first != first or sealed.count != count:
        raise Broken(Damage.ABSENT, path, first + 1, f"no segment of {count} lines begins here")
    if root is not None and sealed.root != root:
        raise Broken(Damage.EDITED, path, first + 1, "the segment is not the one the ledger knows")
    payloads = [entry.payload for entry in found if entry.payload is not None]
    if len(payloads) != count:
        raise Broken(Damage.ABSENT, path, first + 1, "payloads of this segment were dropped")
    return payloads


def check(folder: Path) -> Iterator[Broken]:
    """Read every file of the folder and yield what is broken; nothing when the trail is whole.

    A file that a crash left torn or unclosed is in order when a later file recorded exactly that ending.
    """
    return check_files(files(folder))


def check_files(paths: Iterable[Path], see: Callable[[Entry], object] | None = None) -> Iterator[Broken]:
    """Read these files as `check` does, and let `see` have every entry that was verified on the way."""
    recorded: set[tuple[str, int, str]] = set()
    left: list[tuple[Broken, Ending | None]] = []
    for path in paths:
        try:
            for entry in read(path):
                recorded |= _recorded(entry)
                if see is not None and entry.sealed:
                    see(entry)
        except Broken as broken:
            if broken.kind in {Damage.TORN, Damage.UNCLOSED}:
                left.append((broken, ending(path)))
            else:
                yield broken
    for damage, how in left:
        if how is None or how.identity not in recorded:
            yield damage


def recorded_endings(folder: Path) -> set[tuple[str, int, str]]:
    """Return the endings that files in the folder recorded of earlier ones (see Ending.identity).

    They stand right behind the first event of a file, so only the heads are read.
    """
    recorded: set[tuple[str, int, str]] = set()
    for path in files(folder):
        try:
            for entry in read(path):
                found = _recorded(entry)
                recorded |= found
                if not found and entry.number:
                    break
        except Broken:
            # A damaged file vouches for what it said before the damage; `check` reports the damage itself.
            continue
    return recorded


def _recorded(entry: Entry) -> set[tuple[str, int, str]]:
    event = entry.payload
    if event is None or not entry.sealed:
        return set()
    if event.get("event.action") not in {Action.STREAM_TORN, Action.STREAM_UNCLOSED}:
        return set()
    return {(event["retention.stream"], event["retention.line"], event["retention.sha256"])}


class _Reader:
    """Takes one segment after the other from an open file and verifies each."""

    def __init__(self, path: Path, file: BinaryIO, stream: str, *, line: int = 0) -> None:
        self._path = path
        self._file = file
        self._stream = stream
        self._number = 0
        self._previous = FIRST_PREVIOUS
        self.line = line
        """How many lines have been read; the 1-based number of the last one."""

    def segment(self, *, continues: bool = True) -> Iterator[Entry]:
        """Yield the entries up to the next seal; unless it `continues` a reading, the seal before is not known."""
        seal, lines = self.sealed(continues=continues)
        for line in lines:
            yield Entry(self._stream, line.number, self._parsed(line.payload, line.number + 1), seal.segment)

    def sealed(self, *, continues: bool = True) -> tuple[Seal, list[Line]]:
        """Return the next seal and the lines it covers, verified."""
        first = self.line
        lines: list[Line] = []
        while True:
            raw = self._file.readline()
            self.line += 1
            seal = parse_seal(raw)
            if seal is not None:
                break
            lines.append(self._event(raw))
            if len(lines) > MAX_LINES:
                raise Broken(Damage.FOREIGN, self._path, self.line, f"a segment has more than {MAX_LINES} lines")
        self._verify(seal, first, lines, continues=continues)
        return seal, lines

    def unsealed(self) -> Iterator[Entry]:
        """Yield the whole lines at the end of the file that no seal vouches for."""
        while raw := self._file.readline():
            self.line += 1
            try:
                line = self._event(raw)
                entry = Entry(self._stream, line.number, self._parsed(line.payload, self.line), None)
            except Broken:
                # The torn line itself. What follows one can't be told apart from its rest.
                self._file.seek(0, 2)
                return
            yield entry

    def _event(self, raw: bytes) -> Line:
        found = EVENT_LINE.fullmatch(raw)
        if found is not None:
            payload = found.group(3)
            salt = bytes.fromhex(found.group(2).decode("ascii"))
            line = Line(int(found.group(1)), merkle.leaf_hash(salt, payload), salt, payload)
        else:
            found = DROPPED_LINE.fullmatch(raw)
            if found is None:
                what = "this is neither an event nor a seal" if raw else "the seal is missing"
                raise Broken(Damage.FOREIGN if raw else Damage.ABSENT, self._path, self.line, what)
            line = Line(int(found.group(1)), bytes.fromhex(found.group(2).decode("ascii")), None, None)
        self._expect(line.number)
        return line

    def _expect(self, number: int) -> None:
        if number != self.line - 1:
            what = f"line number {number} stands where {self.line - 1} belongs: lines are missing, doubled or moved"
            raise Broken(Damage.ORDER, self._path, self.line, what)

    def _verify(self, seal: Seal, first: int, lines: list[Line], *, continues: bool) -> None:
        self._expect(seal.line)
        made = seal.segment
        if made.stream != self._stream:
            raise Broken(Damage.FOREIGN, self._path, self.line, "the seal belongs to another stream")
        if (made.first, made.count) != (first, len(lines)) or not lines:
            raise Broken(Damage.ORDER, self._path, self.line, "the seal is for other lines than those before it")
        if made.root != merkle.root([line.leaf for line in lines]).hex():
            what = f"lines {first + 1} to {first + len(lines)} are not those that were sealed"
            raise Broken(Damage.EDITED, self._path, self.line, what)
        if continues and (made.number != self._number or seal.previous != self._previous):
            raise Broken(Damage.CHAIN, self._path, self.line, "the seal doesn't continue the seal before it")
        if made.chain != chain(seal.previous, made.root, made.stream, made.number, made.first, made.count):
            raise Broken(Damage.CHAIN, self._path, self.line, "the seal's own chain value is wrong")
        self._number = made.number + 1
        self._previous = made.chain

    def _parsed(self, payload: bytes | None, line: int) -> Payload | None:
        if payload is None:
            return None
        try:
            parsed = json.loads(payload)
        except ValueError:
            parsed = None
        if not isinstance(parsed, dict):
            raise Broken(Damage.FOREIGN, self._path, line, "the payload is not a JSON object")
        return parsed


def _seek(path: Path, file: BinaryIO, number: int) -> None:
    """Place the file at the beginning of the line with this number; line numbers grow with the offset."""
    low, high = 0, file.seek(0, 2)
    # The line wanted begins at an offset in [low, high); low is always the beginning of a line.
    while high - low > 1 << 16:
        middle = (low + high) // 2
        file.seek(middle)
        file.readline()
        begin = file.tell()
        if begin >= high or _number_at(path, file) > number:
            high = middle
        else:
            low = begin
    file.seek(low)
    while True:
        begin = file.tell()
        at = _number_at(path, file)
        if at == number:
            file.seek(begin)
            return
        if at > number:
            raise Broken(Damage.ABSENT, path, 0, f"there is no line with the number {number}")


def _number_at(path: Path, file: BinaryIO) -> int:
    begin = file.tell()
    raw = file.readline()
    head = raw[5 : raw.find(b",")]
    if not raw.startswith(b'{"n":') or not head.isdigit():
        what = f"there is no line at byte {begin}" if raw else "the line that was asked for is not there"
        raise Broken(Damage.ABSENT, path, 0, what)
    return int(head)
