"""Reading the audit trail back, and not believing it.

Every line is checked against the seal of its segment and every seal against the one before, so what comes out is what was
written, or an error says which line is not. A file may have been rotated, or compressed, as a whole. Segments are found and checked by
`lanes`, as in `verify`; what that would explain to an auditor is here the end of the reading. Memory is that of one segment, whatever the
size of a file; of a compressed one as much room is needed as it has unpacked.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from worker.audit.broken import Broken, Damage
from worker.audit.endings import Ending, ending, has_writer, sealed_end
from worker.audit.events import Action
from worker.audit.lanes import Lane, Piece
from worker.audit.lanes import Line as FoundLine
from worker.audit.lines import EVENT_LINE, FIRST_PREVIOUS, MAX_LINES, Seal, Segment, archived_files, archived_stream_of, files, parse_seal
from worker.audit.packaging import plain
from worker.errors import RetentionError

_NO_NAME = "this is not the name of an audit file; only `retention audit verify` reads what other programs made of one"
_FIRST_BLOCK, _MOST_BLOCK = 1 << 16, 1 << 20
"""Blocks grow while reading goes on: who wants one segment, or the head of a file, reads little."""

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


class Dropped(RetentionError):
    """Payloads that were asked for were dropped after their time; the text says whose."""


def read(path: Path) -> Iterator[Entry]:
    """Yield the entries of one file, in order, each segment only after it has been verified.

    Of a file that is being written, what was sealed when reading began. Of any other, the end is judged too: after the
    last entry it raises Broken with Damage.TORN when something unsealed follows, and with Damage.UNCLOSED when the
    writer never closed the stream. Raises Broken for any other damage where it stands, OSError when it can't be read.
    """
    stream = archived_stream_of(path)
    if stream is None:
        raise Broken(Damage.FOREIGN, path, 0, _NO_NAME)
    # Asked before the end is looked for: a writer that closes in between then can't look like one that died.
    alive = has_writer(path)
    with plain(path) as file:
        end = sealed_end(file)
        file.seek(0)
        strict = _Strict(path, stream)
        for piece in strict.pieces(file, end.offset):
            yield from _entries(path, piece)
        if alive:
            return
        line = strict.line
        for entry in strict.unsealed(file):
            yield entry
            line = entry.number + 1
        if file.tell() > end.offset:
            raise Broken(Damage.TORN, path, line + 1, "the file ends in lines that were never sealed")
        if not end.closed:
            raise Broken(Damage.UNCLOSED, path, line, "the file ends without being closed")


def pieces(path: Path, stream: str | None = None) -> Iterator[Piece]:
    """Yield the sealed segments of one file as `read` verifies them, with the hash and the payload of every line; ends are not judged.

    stream -- whose it has to be, by default the one that the file is named for.
    """
    stream = stream or archived_stream_of(path)
    if stream is None:
        raise Broken(Damage.FOREIGN, path, 0, _NO_NAME)
    with plain(path) as file:
        until = sealed_end(file).offset
        file.seek(0)
        yield from _Strict(path, stream).pieces(file, until)


def segments(path: Path) -> Iterator[tuple[Seal, list[Line]]]:
    """Yield the sealed segments of one file with the bytes of their lines, in order, each only after it has been verified.

    What follows the last seal is left out and not judged. Raises Broken for damage before it, OSError when it can't be read.
    """
    for piece in pieces(path):
        # The body was verified, so its salts stand where its payloads do.
        salts = iter(EVENT_LINE.findall(piece.body))
        numbered = enumerate(zip(piece.leaves, piece.payloads, strict=True), piece.seal.segment.first)
        yield (
            piece.seal,
            [
                Line(number, leaf, None if payload is None else bytes.fromhex(next(salts)[1].decode("ascii")), payload)
                for number, (leaf, payload) in numbered
            ],
        )


def segment(folder: Path, stream: str, first: int, count: int, *, root: str | None = None) -> list[Payload]:
    """Return the payloads of the one segment that begins at line number `first` of the stream and has `count` lines.

    Verifies them against the segment's seal and, when it is given, against the `root` (hex) that the ledger kept. Finds
    the place by halving the file, so the cost does not grow with it. Raises Broken when the stream, the line or the seal
    is absent or anything doesn't fit, Dropped when payloads were dropped.
    """
    path = _file_of(folder, stream)
    with plain(path) as file:
        _seek(path, file, first)
        piece = next(_Strict(path, stream, first=first).pieces(file, None), None)
    if piece is None:
        raise Broken(Damage.ABSENT, path, first + 1, "the seal is missing")
    sealed = piece.seal.segment
    if sealed.first != first or sealed.count != count:
        raise Broken(Damage.ABSENT, path, first + 1, f"no segment of {count} lines begins here")
    if root is not None and sealed.root != root:
        raise Broken(Damage.EDITED, path, first + 1, "the segment is not the one the ledger knows")
    if piece.dropped:
        raise Dropped(
            f"{path.name}: the payloads of lines {first + 1} to {first + count} were dropped after their time, so nobody can read them."
        )
    return [entry.payload for entry in _entries(path, piece) if entry.payload is not None]


def since(folder: Path, stream: str, first: int) -> Iterator[Payload]:
    """Yield the sealed events of a stream from the segment on that begins at line number `first`; Broken as for `segment`."""
    path = _file_of(folder, stream)
    with plain(path) as file:
        until = sealed_end(file).offset
        _seek(path, file, first)
        for piece in _Strict(path, stream, first=first).pieces(file, until):
            yield from (entry.payload for entry in _entries(path, piece) if entry.payload is not None)


def _file_of(folder: Path, stream: str) -> Path:
    """Return the file of a stream, as it was written where there is one; Broken when there is none."""
    path = next((each for each in folder.glob(f"audit-*-{stream}.jsonl*") if archived_stream_of(each) == stream), None)
    if path is None:
        raise Broken(Damage.ABSENT, folder, 0, f"there is no file of stream {stream}")
    written = path.with_name(f"{path.name.partition('.jsonl')[0]}.jsonl")
    return written if written.exists() else path


def check(folder: Path) -> Iterator[Broken]:
    """Read every file of the folder and yield what is broken; nothing when the trail is whole.

    A file that a crash left torn or unclosed is in order when a later file recorded exactly that ending.
    """
    return check_files(archived_files(folder))


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


class _Strict:
    """Takes one segment after the other out of an open file, and stops at the first that is not as it was written.

    first -- number of the line that the reading begins with; the seal before it is then not known.
    """

    def __init__(self, path: Path, stream: str, *, first: int | None = None) -> None:
        self._path = path
        self._stream = stream
        self._said: list[tuple[Damage, int, str]] = []
        self._lane = Lane(path, self._say, owned=True, keeping=True)
        self._expected = None if first is not None else (0, FIRST_PREVIOUS)
        self.line = first or 0
        """The number of the next line."""

    def pieces(self, file: BinaryIO, until: int | None) -> Iterator[Piece]:
        """Yield the segments from here to the offset `until`, or to the end of the file."""
        place = self.line + 1
        rest, block = b"", _FIRST_BLOCK
        while until is None or file.tell() < until:
            data = file.read(block if until is None else min(block, until - file.tell()))
            if not data:
                break
            block = min(2 * block, _MOST_BLOCK)
            data = rest + data
            cut = data.rfind(b"\n") + 1
            data, rest = data[:cut], data[cut:]
            lines = data.count(b"\n")
            for piece in self._lane.feed(data, range(place, place + lines)):
                self._check(piece)
                yield piece
            place += lines
            if self._lane.waiting > MAX_LINES:
                raise self._broken(Damage.FOREIGN, place, f"a segment has more than {MAX_LINES} lines")
        if until is not None and (self._lane.waiting or rest):
            raise self._odd(self._lane.finish()[1], place)

    def unsealed(self, file: BinaryIO) -> Iterator[Entry]:
        """Yield the whole lines at the end of the file that no seal vouches for; what follows a torn one can't be told from its rest."""
        data = file.read()
        for _ in self._lane.feed(data, range(self.line + 1, self.line + 2 + data.count(b"\n"))):
            raise self._broken(Damage.ORDER, self.line, "a seal was written while the file was read")
        for line in self._lane.finish()[1]:
            try:
                if line.leaf is None or line.number != self.line:
                    return
                entry = Entry(self._stream, line.number, parsed(self._path, line.payload, line.place), None)
            except Broken:
                return
            self.line += 1
            yield entry

    def _say(self, kind: Damage, _: Path, line: int, __: int, ___: str, what: str) -> None:
        self._said.append((kind, line, what))

    def _check(self, piece: Piece) -> None:
        """Raise Broken unless a segment is whole, nothing stands around its lines, and it goes on from the one before."""
        made, left = piece.seal.segment, self._lane.unclaimed
        if made.stream != self._stream:
            raise self._broken(Damage.FOREIGN, piece.place, "the seal belongs to another stream")
        if not piece.whole and not piece.damaged and not piece.missing:
            raise self._broken(
                Damage.EDITED, piece.place, f"lines {made.first + 1} to {made.first + made.count} are not those that were sealed"
            )
        if left:
            raise self._odd(left, piece.place)
        if self._said:
            raise self._broken(*self._said[0])
        if not piece.whole or made.first != self.line:
            raise self._broken(
                Damage.ORDER, piece.start, f"line number {made.first} stands where {self.line} belongs, or lines are missing"
            )
        if self._expected is not None and (made.number, piece.seal.previous) != self._expected:
            raise self._broken(Damage.CHAIN, piece.place, "the seal doesn't continue the seal before it")
        self.line = piece.seal.line + 1
        self._expected = made.number + 1, made.chain

    def _odd(self, lines: Sequence[FoundLine], place: int) -> Broken:
        """Return what is wrong with lines that no seal claimed."""
        for line in lines:
            if line.leaf is None:
                if parse_seal(line.raw) is not None:
                    return self._broken(Damage.CHAIN, line.place, "the seal's own chain value is wrong, or its lines are not counted right")
                return self._broken(Damage.FOREIGN, line.place, "this is neither an event nor a seal")
        at = lines[0].place if lines else place
        return self._broken(Damage.ORDER, at, "lines stand here that no seal vouches for: they were doubled, moved or put in")

    def _broken(self, kind: Damage, line: int, what: str) -> Broken:
        return Broken(kind, self._path, line, what)


def _entries(path: Path, piece: Piece) -> Iterator[Entry]:
    """Yield the lines of a verified segment."""
    made = piece.seal.segment
    for number, payload in enumerate(piece.payloads, made.first):
        yield Entry(made.stream, number, parsed(path, payload, number + 1), made)


def parsed(path: Path, payload: bytes | None, line: int) -> Payload | None:
    """Return the event in a payload, None when it was dropped; Broken when it is no JSON object. line -- its place, from 1."""
    if payload is None:
        return None
    try:
        event = json.loads(payload)
    except (ValueError, RecursionError):
        event = None
    if not isinstance(event, dict):
        raise Broken(Damage.FOREIGN, path, line, "the payload is not a JSON object")
    return event


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
