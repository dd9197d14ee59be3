"""Verifying log files that came from somewhere, with nothing but a public key and perhaps an anchor.

Threat model. Whoever had the files may have done anything to them: changed bytes, taken lines out, put lines in, moved, doubled or renamed
them, cut files off, exchanged them, rewritten a stream with right hashes. Without the signing key none of it goes unnoticed up to the last
checkpoint of each stream that was closed or whose end another stream recorded. What nobody can see in the files alone is that a whole file
is missing, or that a file ends too early when its writer seems to have died there: an anchor that was kept elsewhere shows both, up to the
moment it was made; for what came after it this says that it can't be told from a crash. A writer whose key was stolen, or that lied when it
wrote, is not found here. A payload that was dropped leaves its hash, whoever dropped it: it is in order only when an event says so.

How it is told apart what happened: hashes and seals say that something is wrong; numbers of lines say which are missing or misplaced; what
nobody claims is compared, in a second reading that only damage makes necessary, with all lines there are. Inside a segment of several lines
a changed line can't be told from its neighbours, since one root covers them all: then the lines of the segment are named.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from worker.audit.broken import Damage
from worker.audit.checkpoint import parse_anchor
from worker.audit.endings import has_writer
from worker.audit.lanes import Lane, Line, Piece, root_with, split
from worker.audit.note import BadNote, VerifierKey, opened
from worker.audit.packaging import UNREADABLE, blocks
from worker.audit.streams import Ended, Hole, Stream
from worker.errors import ConfigurationError

_NAMED = re.compile(r"audit-\d{8}T\d{6}Z-([0-9a-f]{32})\.jsonl")
_FIRST_NUMBER = re.compile(rb'"n": ?(\d{1,18})')
_FIRST_STREAM = re.compile(rb'"stream": ?"([0-9a-f]{32})"')
_MOST_PEEKED = 1 << 20


@dataclass(slots=True)
class Finding:
    """One thing that is wrong: its kind, the file, first and last line (from 1; 0 for the file as a whole), the stream, and words."""

    kind: Damage
    file: Path
    line: int
    last: int
    stream: str
    what: str


@dataclass(frozen=True, slots=True)
class StreamState:
    """How far a stream goes.

    lines -- sealed ones, of which `dropped` lost their payload; signed_at -- instant of the last checkpoint, empty for none; unsigned --
    lines after it; state -- closed, recorded (its writer died, and a later process said so), written (its writer lives) or open.
    """

    stream: str
    lines: int
    segments: int
    signed_at: str
    unsigned: int
    state: str
    dropped: int


@dataclass(slots=True)
class Verdict:
    """What was found. whole -- nothing is wrong."""

    files: int = 0
    lines: int = 0
    streams: list[StreamState] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    @property
    def whole(self) -> bool:
        """Whether everything is as its writers left it."""
        return not self.findings


def verify(paths: Sequence[Path], keys: Sequence[VerifierKey], anchors: Sequence[str] = ()) -> Verdict:
    """Read all files and return what is wrong with them.

    paths -- in any order; keys -- whose checkpoints and anchors count; anchors -- signed notes. Raises ConfigurationError when an anchor is
    none of the keys', or no file holds a single segment: what proves nothing is no success.
    """
    heads: dict[str, dict[int, str]] = defaultdict(dict)
    for note in anchors:
        try:
            for head in parse_anchor(opened(note, keys)):
                heads[head.stream][head.lines] = head.chain
        except BadNote as error:
            raise ConfigurationError(f"The anchor can't be used: {error}. Ask for it, or for the key, again.") from None
    return _Verification(paths, keys, heads).verdict()


@dataclass(frozen=True, slots=True)
class _Tail:
    """What follows the last seal of a lane."""

    stream: str
    path: Path
    lines: list[Line]
    data: bytes


class _Verification:
    """One reading of all files, and the judgement of what is left over."""

    def __init__(self, paths: Sequence[Path], keys: Sequence[VerifierKey], heads: dict[str, dict[int, str]]) -> None:
        self._paths = sorted(dict.fromkeys(paths), key=_begins_with)
        self._keys = keys
        self._heads = heads
        self._verdict = Verdict(len(self._paths))
        self._streams: dict[str, Stream] = {}
        self._left: list[Line] = []
        self._tails: list[_Tail] = []
        self._swapped: set[Path] = set()
        self._recorded: dict[str, list[Ended]] = defaultdict(list)
        self._pruned: dict[str, list[range]] = defaultdict(list)
        self._states: dict[str, str] = {}

    def verdict(self) -> Verdict:
        """Read, judge, and put what was found in the order of the files."""
        for path in self._paths:
            self._read(path)
        if not self._streams and not self._verdict.findings:
            raise ConfigurationError("None of these files holds a segment of an audit trail, so nothing was verified.")
        for stream in self._streams.values():
            stream.complete()
            for name, ended in stream.endings:
                self._recorded[name].append(ended)
            for name, pruned in stream.prunings:
                self._pruned[name].append(pruned)
        for stream in self._streams.values():
            for piece in stream.unwhole:
                self._judge_piece(stream, piece)
        for stream in self._streams.values():
            for hole in stream.holes:
                self._judge_hole(stream, hole)
        for stream in self._streams.values():
            self._judge_end(stream)
            stream.judge_signatures()
            stream.judge_dropped(self._pruned[stream.name])
        self._judge_left()
        for name in self._heads.keys() - self._streams.keys():
            self._say(Damage.ABSENT, Path(), 0, 0, name, "the anchor knows this stream, and no file holds any of it")
        order = {path: place for place, path in enumerate(self._paths)}
        self._verdict.findings.sort(key=lambda found: (order.get(found.file, -1), found.line))
        self._verdict.streams = [
            StreamState(each.name, each.line, each.segments, each.signed_at, each.unsigned_lines, self._states[each.name], each.dropped)
            for each in self._streams.values()
        ]
        return self._verdict

    def _read(self, path: Path) -> None:
        """Read one file and hand its segments to their streams."""
        name = _stream_named(path)
        lanes: dict[bytes, Lane] = {}
        try:
            for block in blocks(path, foreign=name is not None):
                lane = lanes.get(block.lane)
                if lane is None:
                    lane = lanes[block.lane] = Lane(path, self._say, owned=name is not None)
                self._verdict.lines += len(block.places)
                for piece in lane.feed(block.data, block.places):
                    self._add(path, name, piece)
        except UNREADABLE as error:
            why = getattr(error, "strerror", None) or "it was cut off or damaged after it was compressed"
            self._say(Damage.FOREIGN, path, 0, 0, name or "", f"the file can't be read to its end: {why}")
        for lane in lanes.values():
            left, tail, data = lane.finish()
            self._left.extend(left)
            if tail:
                self._tails.append(_Tail(lane.stream or name or "", path, tail, data))

    def _add(self, path: Path, name: str | None, piece: Piece) -> None:
        own = piece.seal.segment.stream
        if name is not None and own != name and path not in self._swapped:
            self._swapped.add(path)
            self._say(Damage.SWAPPED, path, piece.place, piece.place, own, "the file is named for another stream than it holds")
        stream = self._streams.get(own)
        if stream is None:
            stream = self._streams[own] = Stream(own, self._keys, self._heads.get(own, {}), self._say)
        stream.add(piece)

    def _say(self, kind: Damage, path: Path, line: int, last: int, stream: str, what: str) -> None:
        """Write a finding down; one that goes on from the last one makes that longer."""
        found = self._verdict.findings
        if found and line and (found[-1].kind, found[-1].file, found[-1].stream) == (kind, path, stream) and line == found[-1].last + 1:
            found[-1].last = last
        else:
            found.append(Finding(kind, path, line, last, stream, what))

    def _judge_piece(self, stream: Stream, piece: Piece) -> None:
        """Say what happened to a segment whose lines are not those that were sealed."""
        stream.damaged = True
        self._claim(piece.found.values())
        missing = set(piece.missing)
        at_ends = {line.number: line for tail in self._tails for line in tail.lines if line.number in missing}
        moved = {line.number: line for line in self._left if line.number in missing}
        for found in (at_ends, moved, {**moved, **at_ends}):
            if missing and root_with(piece, found):
                self._claim(found.values())
                if any(line.path == piece.path for line in found.values()):
                    for line in found.values():
                        stream.say(
                            Damage.REORDERED, line.path, line.place, line.place, f"line number {line.number} was moved out of its segment"
                        )
                elif found is at_ends:
                    # One segment over two rotated files is how rotating works.
                    stream.damaged = bool(stream.holes)
                return
        odd = [line for line in piece.found.values() if line.odd]
        suspects = (*piece.damaged, *odd)
        if suspects:
            self._claim(piece.damaged)
            for line in suspects:
                what = "the line was changed, or written in other bytes in a way that can't be undone"
                stream.say(Damage.EDITED, line.path, line.place, line.place, what)
        elif piece.missing:
            leading = piece.leading and piece.missing[-1] == piece.seal.segment.first + len(piece.missing) - 1
            kind = Damage.GAP if leading and stream.holes else Damage.REMOVED
            what = f"lines are missing: numbers {_ranges(piece.missing)}"
            # The place where they are missed: before the first line that has a higher number.
            later = [line.place for number, line in piece.found.items() if number > piece.missing[0]]
            place = min(later, default=piece.place)
            stream.say(kind, piece.path, place, place, what)
        else:
            what = "the line is" if len(piece.found) == 1 else f"one or more of these {len(piece.found)} lines are"
            lines = [line.place for line in piece.found.values()]
            stream.say(Damage.EDITED, piece.path, min(lines), max(lines), f"{what} not what was sealed")

    def _judge_hole(self, stream: Stream, hole: Hole) -> None:
        """Say what happened where numbers are missing between two segments."""
        piece = hole.piece
        near = [line for line in self._left if line.path == piece.path and hole.after < line.place < piece.place]
        damaged = [line for line in (*near, *piece.damaged) if line.leaf is None]
        numbered = [line for line in self._left if hole.first <= line.number < hole.next_first and line.path == piece.path]
        if damaged:
            self._claim((*near, *numbered))
            for line in damaged:
                stream.say(Damage.EDITED, line.path, line.place, line.place, "the line is not what was sealed, or not what sealed others")
        elif numbered:
            self._claim(numbered)
            there = {line.number for line in numbered}
            # Ends only: a forged seal may leave room for more numbers than can be counted.
            first = next(number for number in range(hole.first, hole.next_first) if number not in there)
            last = next(number for number in range(hole.next_first - 1, hole.first - 1, -1) if number not in there)
            what = f"lines are missing: numbers {_ranges((first, last))}; what stands around them is vouched for by no seal"
            stream.say(Damage.REMOVED, piece.path, min(line.place for line in numbered), max(line.place for line in numbered) + 1, what)
        else:
            what = f"all lines from number {hole.first} to {hole.next_first - 1} are missing before this line"
            stream.say(Damage.GAP, piece.path, piece.start, piece.start, what)

    def _judge_end(self, stream: Stream) -> None:
        """Say how the stream ends, when it wasn't closed in order."""
        tails = [tail for tail in self._tails if tail.stream == stream.name and tail.lines]
        if stream.judge_heads():
            self._states[stream.name] = "open"
            self._claim(line for tail in tails for line in tail.lines)
            return
        if stream.closed or stream.last is None:
            self._states[stream.name] = "closed"
            return
        self._states[stream.name] = "open"
        last = stream.last
        lines = [line for tail in tails for line in tail.lines]
        data = b"".join(tail.data for tail in tails)
        recorded = self._recorded[stream.name]
        sums = {sha256(each).hexdigest() for each in (data, data + b"\n", data.removesuffix(b"\n"))}
        self._claim(lines)
        if any(each.line == stream.line and each.sha256 in sums and each.chain in ("", stream.chain) for each in recorded):
            self._states[stream.name] = "recorded"
        elif any(each.line == stream.line and each.chain not in ("", stream.chain) for each in recorded):
            stream.say(Damage.EDITED, last.path, last.start, last.place, "a later process recorded another content of this stream")
        elif any(each.line > stream.line or (each.line == stream.line and not data) for each in recorded):
            what = f"the stream ends after {stream.line} lines, and a later process recorded that it had more: its end was cut off"
            stream.say(Damage.CUT, last.path, last.place, last.place, what)
        elif not data and has_living_writer(last.path):
            self._states[stream.name] = "written"
        elif any(line.leaf is None and line.raw.endswith(b"\n") for line in lines) or (recorded and data):
            changed = [line for line in lines if line.leaf is None] or lines
            stream.say(
                Damage.EDITED, last.path, changed[0].place, changed[-1].place, "the end of the stream is not what was written or recorded"
            )
        elif last.whole:
            ends = f"ends in {len(lines)} lines that were never sealed" if data else "ends without being closed"
            what = f"the stream {ends}: from the files alone a cut can't be told from a crash, or from a process that still writes"
            place = lines[0].place if lines else last.place
            stream.say(Damage.TORN if data else Damage.UNCLOSED, last.path, place, lines[-1].place if lines else place, what)

    def _judge_left(self) -> None:
        """Say of what nobody claimed whether it stands elsewhere too, which takes a second reading of all files."""
        late = [piece for stream in self._streams.values() for piece in stream.late if piece.path not in self._swapped]
        left = [*self._left, *(line for tail in self._tails for line in tail.lines)]
        # Where others write too, what can't be read is theirs, unless something of ours is missing there.
        left = [line for line in left if line.leaf is not None or _stream_named(line.path)]
        if not late and not left:
            return
        times = dict.fromkeys([*(line.raw for line in left), *(piece.raw for piece in late)], 0)
        for path in self._paths:
            try:
                for block in blocks(path, foreign=_stream_named(path) is not None):
                    for raw in split(block.data):
                        if raw in times:
                            times[raw] += 1
            except UNREADABLE:
                # The first reading said so.
                continue
        suspects = [(piece.path, piece.start, piece.place, piece.seal.segment.stream, piece.raw) for piece in late]
        suspects += [(line.path, line.place, line.place, "", line.raw) for line in left]
        for path, begin, end, stream, raw in sorted(suspects, key=lambda each: (str(each[0]), each[1])):
            if times[raw] > 1:
                self._say(Damage.DUPLICATED, path, begin, end, stream, "this stands in the files more than once")
            else:
                self._say(Damage.INSERTED, path, begin, end, stream, "no seal vouches for this, and its writer can't have put it here")

    def _claim(self, lines: Iterable[Line]) -> None:
        """Take lines away from what is left over."""
        taken = {id(line) for line in lines}
        self._left = [line for line in self._left if id(line) not in taken]
        for tail in self._tails:
            tail.lines[:] = [line for line in tail.lines if id(line) not in taken]


def has_living_writer(path: Path) -> bool:
    """Tell whether a process on this machine is writing the file; False when it can't be known."""
    try:
        return has_writer(path)
    except OSError:
        return False


def _stream_named(path: Path) -> str | None:
    """Return the stream that a file is named for, also after it was rotated or compressed, or None."""
    found = _NAMED.search(path.name)
    return found.group(1) if found else None


def _begins_with(path: Path) -> tuple[str, int, str]:
    """Return what puts the files of a stream in order: its name, the first line's number."""
    try:
        head = next((block.data[:_MOST_PEEKED] for block in blocks(path)), b"")
    except UNREADABLE:
        head = b""
    number, stream = _FIRST_NUMBER.search(head), _FIRST_STREAM.search(head)
    return (_stream_named(path) or (stream.group(1).decode() if stream else ""), int(number.group(1)) if number else 0, str(path))


def _ranges(numbers: Sequence[int]) -> str:
    """Return numbers in words: 3, or 3 to 7."""
    return str(numbers[0]) if numbers[0] == numbers[-1] else f"{numbers[0]} to {numbers[-1]}"
