"""One stream put together from its segments, in whatever order they come: its chain, its tree, its checkpoints, its end.

Segments that come in order are taken in and forgotten; only those that come too early are kept. So memory is constant where streams are in
order, and grows with the number of segments, never of lines, where files come in another order than they were written.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from worker.audit.broken import Damage
from worker.audit.checkpoint import Checkpoint
from worker.audit.events import Action
from worker.audit.lanes import Piece, Say
from worker.audit.lines import FIRST_PREVIOUS
from worker.audit.note import BadNote, VerifierKey, opened
from worker.core import merkle

_CLOSING_LINES = 2
_RANGE = re.compile(r"([0-9]{1,18})-([0-9]{1,18})")


@dataclass(frozen=True, slots=True)
class Hole:
    """Numbers from `first` up to `next_first` that no segment covers; `after` is the place of the seal before in the file, or 0."""

    stream: str
    first: int
    next_first: int
    after: int
    piece: Piece


@dataclass(slots=True)
class _Dropped:
    """Segments in a row, in one file, that lost payloads: their numbers, and their first and last line there."""

    first: int
    last: int
    path: Path
    start: int
    place: int


@dataclass(frozen=True, slots=True)
class Ended:
    """How a later process found the stream to have ended."""

    line: int
    sha256: str
    chain: str


class Stream:
    """What is known of one stream. heads -- the chain values (hex) that anchors know, by number of lines."""

    def __init__(self, name: str, keys: Sequence[VerifierKey], heads: Mapping[int, str], say: Say) -> None:
        self.name = name
        self.line = 0
        """How many lines have been taken in, seals included."""
        self.segments = 0
        self.chain = FIRST_PREVIOUS
        self.closed = False
        self.damaged = False
        self.last: Piece | None = None
        self.signed_at = ""
        """When the last good checkpoint was made."""
        self.late: list[Piece] = []
        self.unwhole: list[Piece] = []
        self.holes: list[Hole] = []
        self.endings: list[tuple[str, Ended]] = []
        """What this stream says about the ends of others."""
        self.prunings: list[tuple[str, range]] = []
        """Which segments this stream says were dropped, of which streams."""
        self.dropped = 0
        """How many payloads are gone."""
        self._dropped: list[_Dropped] = []
        self._keys = keys
        self._heads = heads
        self._met: set[int] = set()
        self._anchored = 0
        self._signed_line = 0
        self._tree: merkle.Frontier | None = merkle.Frontier()
        self._early: dict[int, Piece] = {}
        self._tell = say

    def add(self, piece: Piece) -> None:
        """Take a segment."""
        first = piece.seal.segment.first
        early = self._early.get(first)
        if piece.whole and early is not None and not early.whole:
            self._early[first], piece = piece, early
        if first < self.line or early is not None:
            self.late.append(self._less(piece))
            return
        self._early[first] = piece
        self._take_in()

    def complete(self) -> None:
        """Say that nothing more comes: what is still missing is a hole."""
        while self._early:
            first = min(self._early)
            piece = self._early[first]
            if first < self.line:
                self.late.append(self._early.pop(first))
                continue
            here = self.last is not None and self.last.path == piece.path
            self.holes.append(Hole(self.name, self.line, first, self.last.place if here and self.last else 0, piece))
            self.damaged = True
            self.line, self.segments, self.chain = first, piece.seal.segment.number, piece.seal.previous
            self._tree = None
            self._take_in()

    def judge_heads(self) -> bool:
        """Compare with the anchors what could not be compared on the way; tell whether the stream was cut."""
        for lines in sorted(self._heads):
            if lines in self._met or self.last is None:
                continue
            if lines > self.line:
                what = f"the stream ends after {self.line} lines, and was {lines} lines long when it was anchored: its end was cut off"
                self.say(Damage.CUT, self.last.path, self.last.place, self.last.place, what)
                return True
            if not any(hole.first < lines <= hole.next_first for hole in self.holes):
                self.say(Damage.SWAPPED, self.last.path, 0, 0, f"no segment ends after {lines} lines, where the anchor knows one to end")
        return False

    def judge_signatures(self) -> None:
        """Say what nobody signed in a stream that was closed: a writer signs to the end before it closes."""
        # Only the closing event and its seal come after the last checkpoint.
        if self.closed and not self.damaged and self.line - max(self._signed_line, self._anchored) > _CLOSING_LINES and self.last:
            what = f"the stream is closed, and what follows after its first {self._signed_line} lines was signed by nobody"
            self.say(Damage.UNSIGNED, self.last.path, self.last.place, self.last.place, what)

    def judge_dropped(self, said: Sequence[range]) -> None:
        """Say which payloads are gone without an event that says so: whoever takes one away can leave its hash.

        said -- the numbers of segments that events speak of.
        """
        for each in self._dropped:
            number = each.first
            for known in sorted(said, key=lambda numbers: numbers.start):
                if known.start <= number < known.stop:
                    number = known.stop
            if number <= each.last:
                what = f"what segments {number} to {each.last} said is gone, and no event in these files says that it was dropped"
                self.say(Damage.DROPPED, each.path, each.start, each.place, what)

    def _note_dropped(self, piece: Piece) -> None:
        self.dropped += piece.dropped
        number, before = piece.seal.segment.number, self._dropped[-1] if self._dropped else None
        if before is not None and (before.last + 1, before.path) == (number, piece.path):
            before.last, before.place = number, piece.place
        else:
            self._dropped.append(_Dropped(number, number, piece.path, piece.start, piece.place))

    @property
    def unsigned_lines(self) -> int:
        """How many lines come after the last checkpoint."""
        return self.line - self._signed_line

    def say(self, kind: Damage, path: Path, line: int, last: int, what: str) -> None:
        """Say what is wrong here."""
        self.damaged = True
        self._tell(kind, path, line, last, self.name, what)

    def _less(self, piece: Piece) -> Piece:
        """Return which of two segments with one seal says less: a seal that was repeated before its own lines has none."""
        other = next((each for each in self.unwhole if each.raw == piece.raw and piece.whole), None)
        if other is None:
            return piece
        self.unwhole.remove(other)
        self.damaged = True
        self.closed |= any(event.get("event.action") == Action.STREAM_CLOSED for _, event in piece.events)
        if self.last is other:
            self.last = piece
        return other

    def _take_in(self) -> None:
        while (piece := self._early.pop(self.line, None)) is not None:
            self._continue(piece)

    def _continue(self, piece: Piece) -> None:
        made = piece.seal.segment
        if (piece.seal.previous, made.number) != (self.chain, self.segments):
            what = "the segment doesn't continue the one before it: one of them was made anew"
            begin = self.last.start if self.last is not None and self.last.path == piece.path else piece.start
            self.say(Damage.EDITED, piece.path, begin, piece.place, what)
            self._tree = None
        if self.closed:
            self.say(Damage.INSERTED, piece.path, piece.start, piece.place, "the stream was closed before, and nothing follows that")
        elif piece.displaced:
            self.say(Damage.REORDERED, piece.path, piece.start, piece.place, "a segment stands behind later ones")
        if not piece.whole:
            self.unwhole.append(piece)
        if piece.dropped:
            self._note_dropped(piece)
        for place, event in piece.events:
            self._event(piece, place, event)
        if self._tree is not None:
            self._tree.add(merkle.leaf_hash(b"", bytes.fromhex(made.chain)))
        self.line, self.segments, self.chain, self.last = piece.seal.line + 1, made.number + 1, made.chain, piece
        known = self._heads.get(self.line)
        if known is not None:
            self._met.add(self.line)
            self._anchored = self.line
            if known != made.chain:
                self.say(
                    Damage.SWAPPED,
                    piece.path,
                    0,
                    0,
                    f"the anchor knows other first {self.line} lines: this is another file",
                )

    def _event(self, piece: Piece, place: int, event: dict[str, Any]) -> None:
        """Take note of an event about a stream."""
        action = event.get("event.action")
        if action == Action.STREAM_CLOSED:
            self.closed = True
        elif action == Action.STREAM_OPENED and event.get("retention.stream") != self.name:
            self.say(Damage.SWAPPED, piece.path, place, place, "the stream was opened under another name")
        elif action in {Action.STREAM_TORN, Action.STREAM_UNCLOSED}:
            line = event.get("retention.line")
            if type(line) is int:
                ended = Ended(line, str(event.get("retention.sha256")), str(event.get("retention.chain", "")))
                self.endings.append((str(event.get("retention.stream")), ended))
        elif action == Action.AUDIT_PRUNED:
            said = event.get("retention.ranges")
            for found in (_RANGE.fullmatch(str(each)) for each in (said if isinstance(said, list) else ())):
                if found is not None:
                    self.prunings.append((str(event.get("retention.stream")), range(int(found.group(1)), int(found.group(2)) + 1)))
        elif action == Action.CHECKPOINT:
            self._checkpoint(piece, place, event)

    def _checkpoint(self, piece: Piece, place: int, event: dict[str, Any]) -> None:
        try:
            said = Checkpoint.parse(opened(str(event.get("retention.note")), self._keys))
        except BadNote as error:
            self.say(Damage.FORGED, piece.path, place, place, f"the checkpoint proves nothing: {error}")
            return
        number = piece.seal.segment.number
        if (said.stream, said.size) != (self.name, number):
            what = "the checkpoint was signed for another place" + ("" if said.stream == self.name else " in another stream")
            self.say(Damage.FORGED, piece.path, place, place, what)
        elif self._tree is not None and self._tree.root() != said.root:
            what = f"from line number {self._signed_line} up to this checkpoint something was made anew: it is not what was signed"
            self.say(Damage.EDITED, piece.path, place, place, what)
            self._tree = None
        else:
            self._signed_line = piece.seal.line + 1
            self.signed_at = str(event.get("@timestamp", ""))
