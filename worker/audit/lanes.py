"""Finding segments in lines that somebody may have changed, mixed with others, or put in another order.

A segment whose lines stand together and in order is taken by one expression and hashed as a whole; that is how nearly all are. For the rest
the lines are looked at one by one: those a seal needs are claimed by their numbers, whatever stands between them, and what nobody claims
is left over, for the end to be judged when everything is known.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice, product
from pathlib import Path
from typing import Any

from worker.audit.broken import Damage
from worker.audit.lines import DROPPED_LINE, EVENT_LINE, MAX_LINES, SALT_BYTES, Seal, Segment, chain, parse_seal, seal_line
from worker.audit.render import fragment
from worker.core import merkle

Say = Callable[[Damage, Path, int, int, str, str], None]
"""Is told what is wrong: kind, file, first and last line there, stream, words."""

_MARK = b'"seal"'
_ABOUT_STREAMS, _CHECKPOINT, _PRUNED = b'"retention.stream_', b'"retention.checkpoint"', b'"retention.audit_pruned"'
_FIXED_BYTES = len(b'{"n":,"salt":"","event":}\n') + 2 * SALT_BYTES
_DROPPED_BYTES = len(b'{"n":,"leaf":""}\n') + 64
_OURS = re.compile(rb'^\{"n"|"salt"|"leaf"|"seal"')
_SALT = re.compile("[0-9a-f]{32}")
_LEAF = re.compile("[0-9a-f]{64}")
_NOT_OURS = (ValueError, KeyError, TypeError, RecursionError)
_MOST_CHOICES = 256
"""How many choices between lines of one number are tried before a segment is called edited."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line that is not a seal.

    place -- in the file; number -- the one it says; leaf -- its hash, None when it can't be read; odd -- in other bytes than the writer's.
    """

    path: Path
    place: int
    raw: bytes
    number: int = -1
    leaf: bytes | None = None
    odd: bool = False
    payload: bytes | None = None


# Nothing changes one; it is not frozen because making one then takes three times as long, and there may be a million.
@dataclass(slots=True, eq=False)
class Piece:
    """A segment as it was found: its seal, the file, the places of its first line and of its seal, and the events that readers need.

    body, leaves, payloads -- of a whole segment in a lane that keeps them, its lines, and of each in order the hash and the event (None:
    dropped);
    dropped -- how many of its lines lost their payload.
    found, missing -- of a segment that is not whole, the lines that are there by number, and the numbers of those that are not;
    damaged -- lines before the seal that nobody can read; displaced -- it stands behind a later one of its stream;
    leading -- no seal of its stream came before it in its lane.
    """

    seal: Seal
    raw: bytes
    path: Path
    start: int
    place: int
    events: tuple[tuple[int, dict[str, Any]], ...] = ()
    whole: bool = True
    body: bytes = b""
    leaves: Sequence[bytes] = ()
    payloads: Sequence[bytes | None] = ()
    dropped: int = 0
    found: dict[int, Line] = field(default_factory=dict)
    missing: tuple[int, ...] = ()
    damaged: tuple[Line, ...] = ()
    displaced: bool = False
    leading: bool = False


class Lane:
    """The lines of one process (or of one file, where processes can't be told apart), in the order in which they stand there.

    owned -- the file is the writer's own, so that no foreign line belongs in it; keeping -- pieces bring their lines with them.
    """

    def __init__(self, path: Path, say: Say, *, owned: bool, keeping: bool = False) -> None:
        self._path = path
        self._say = say
        self._owned = owned
        self._keeping = keeping
        self._data = b""
        self._places: Sequence[int] = ()
        self._left: list[Line] = []
        self._sealed: dict[str, tuple[int, int]] = {}
        self.stream = ""
        """The stream of the last seal."""

    def feed(self, data: bytes, places: Sequence[int]) -> Iterator[Piece]:
        """Take more lines and yield the segments that they complete."""
        search = len(self._data)
        data = self._data + data
        places = _joined(self._places, places)
        begin = at = 0
        while (mark := data.find(_MARK, search)) >= 0:
            head = max(begin, data.rfind(b"\n", begin, mark) + 1)
            end = data.find(b"\n", mark) + 1
            if not end:
                break
            search = end
            raw = data[head:end]
            seal = _seal_in(raw)
            if seal is None:
                continue
            body = data[begin:head]
            lines = body.count(b"\n")
            yield self._piece(seal, raw, body, places[at : at + lines + 1])
            begin, at = end, at + lines + 1
        self._data, self._places = data[begin:], places[at:]
        if not self._owned and len(self._places) > 2 * MAX_LINES:
            # No segment is so long: these lines only look like ours.
            self._data, self._places = b"", ()

    @property
    def unclaimed(self) -> Sequence[Line]:
        """The lines before the last seal that no seal claimed so far."""
        return self._left

    @property
    def waiting(self) -> int:
        """How many lines have come since the last seal."""
        return len(self._places)

    def finish(self) -> tuple[list[Line], list[Line], bytes]:
        """Return the lines that nobody claimed, those after the last seal, and the bytes of the latter."""
        tail = list(self._lines(self._data, self._places))
        return self._left, tail, self._data if self._owned else b"".join(line.raw for line in tail)

    def _piece(self, seal: Seal, raw: bytes, body: bytes, places: Sequence[int]) -> Piece:
        made = seal.segment
        last_place, last_first = self._sealed.get(made.stream, (0, -1))
        place = places[-1]
        self.stream = made.stream
        displaced = made.first < last_first
        if raw != seal_line(seal):
            self._say(Damage.REENCODED, self._path, place, place, made.stream, "the same seal in other bytes")
        written = _as_written(body, made.first, made.count)
        if written is not None and merkle.root(written[0]).hex() == made.root:
            leaves, payloads = written
            dropped = 0 if payloads else made.count
            piece = Piece(
                seal,
                raw,
                self._path,
                places[0],
                place,
                () if dropped else _special(body, payloads, places),
                body=body if self._keeping else b"",
                leaves=leaves if self._keeping else (),
                payloads=(payloads or (None,) * made.count) if self._keeping else (),
                dropped=dropped,
                displaced=displaced,
            )
        else:
            piece = self._sorted_out(seal, raw, list(self._lines(body, places)), place, last_place, displaced=displaced)
        if piece.whole:
            # A seal without its lines may be one that somebody put there, and says nothing about the order of others.
            self._sealed[made.stream] = (place, max(last_first, made.first))
        return piece

    def _sorted_out(self, seal: Seal, raw: bytes, body: list[Line], place: int, last_place: int, *, displaced: bool) -> Piece:
        """Claim the lines of a segment one by one."""
        made = seal.segment
        wanted: dict[int, dict[bytes, list[Line]]] = {number: {} for number in range(made.first, made.first + made.count)}
        for line in (*self._left, *body):
            if line.leaf is not None and line.number in wanted:
                wanted[line.number].setdefault(line.leaf, []).append(line)
        missing = tuple(number for number, known in wanted.items() if not known)
        chosen = None if missing else _chosen(wanted, made.root)
        if chosen is None:
            readable = [line for line in body if line.leaf is not None]
            if len(readable) == made.count and merkle.root([line.leaf or b"" for line in readable]).hex() == made.root:
                chosen = dict(zip(wanted, readable, strict=True))
                for number, line in chosen.items():
                    if line.number != number:
                        self._tell(
                            Damage.EDITED, line, made.stream, f"the line says that it is number {line.number}, and was sealed as {number}"
                        )
        start = body[0].place if body else place
        leading = not last_place
        if chosen is None:
            found = {number: next(iter(known.values()))[0] for number, known in wanted.items() if known}
            # With lines missing it may be a seal that was repeated before its time, and the lines belong to the real one.
            self._keep((*self._left, *body), () if missing else found.values())
            damaged = tuple(line for line in body if line.leaf is None)
            return Piece(
                seal,
                raw,
                self._path,
                start,
                place,
                whole=False,
                found=found,
                missing=missing,
                damaged=damaged,
                displaced=displaced,
                leading=leading,
            )
        lines = list(chosen.values())
        for line in lines:
            if line.odd:
                self._tell(Damage.REENCODED, line, made.stream, "the same event in other bytes")
        moved = {id(line) for line in lines if line.place <= last_place} or _out_of_order(lines)
        for line in lines:
            if id(line) in moved:
                self._tell(Damage.REORDERED, line, made.stream, f"line number {line.number} was written to another place")
        self._keep((*self._left, *body), lines)
        events = tuple((line.place, _parsed(line.payload)) for line in lines if _is_special(line.payload or b""))
        return Piece(
            seal,
            raw,
            self._path,
            min(line.place for line in lines),
            place,
            events,
            body=b"".join(line.raw for line in lines) if self._keeping else b"",
            leaves=[line.leaf or b"" for line in lines] if self._keeping else (),
            payloads=[line.payload for line in lines] if self._keeping else (),
            dropped=sum(line.payload is None for line in lines),
            displaced=displaced,
        )

    def _keep(self, lines: Sequence[Line], claimed: Any) -> None:
        """Leave over what was not claimed."""
        taken = {id(line) for line in claimed}
        self._left = [line for line in lines if id(line) not in taken]

    def _tell(self, kind: Damage, line: Line, stream: str, what: str) -> None:
        self._say(kind, line.path, line.place, line.place, stream, what)

    def _lines(self, data: bytes, places: Sequence[int]) -> Iterator[Line]:
        """Yield the lines; those of others are left out where they may stand."""
        for raw, place in zip(split(data), places, strict=False):
            line = _line(self._path, place, raw)
            if line.leaf is not None or self._owned or _OURS.search(raw):
                yield line


def root_with(piece: Piece, lines: dict[int, Line]) -> bool:
    """Tell whether the lines that were found and these together are what was sealed."""
    made = piece.seal.segment
    both = {**lines, **piece.found}
    leaves = [both[number].leaf or b"" for number in range(made.first, made.first + made.count) if number in both]
    return len(leaves) == made.count and merkle.root(leaves).hex() == made.root


def split(data: bytes) -> list[bytes]:
    """Return the lines with their line feeds; nothing else ends one."""
    lines = [line + b"\n" for line in data.split(b"\n")]
    lines[-1] = lines[-1][:-1]
    return lines if lines[-1] else lines[:-1]


def _joined(before: Sequence[int], more: Sequence[int]) -> Sequence[int]:
    if not before:
        return more
    if isinstance(before, range) and isinstance(more, range):
        return range(before.start, more.stop)
    return [*before, *more]


def _as_written(body: bytes, first: int, count: int) -> tuple[Sequence[bytes], Sequence[bytes]] | None:
    """Return leaves and payloads of lines that stand there exactly as they were written, or None; no payloads when all were dropped."""
    found = EVENT_LINE.findall(body)
    if len(found) != count:
        return None if found else _as_dropped(body, first, count)
    numbers, salts, payloads = zip(*found, strict=True)
    # Nothing may stand between what the expression found: the lengths together are the length of all.
    if sum(map(len, numbers)) + sum(map(len, payloads)) + _FIXED_BYTES * count != len(body):
        return None
    if list(map(int, numbers)) != list(range(first, first + count)):
        return None
    return merkle.leaf_hashes(bytes.fromhex(b"".join(salts).decode("ascii")), SALT_BYTES, payloads), payloads


def _as_dropped(body: bytes, first: int, count: int) -> tuple[Sequence[bytes], Sequence[bytes]] | None:
    """Do the same for lines that all lost their payload."""
    found = DROPPED_LINE.findall(body)
    if len(found) != count or sum(len(number) for number, _ in found) + _DROPPED_BYTES * count != len(body):
        return None
    if [int(number) for number, _ in found] != list(range(first, first + count)):
        return None
    return [bytes.fromhex(leaf.decode("ascii")) for _, leaf in found], ()


def _special(body: bytes, payloads: Sequence[bytes], places: Sequence[int]) -> tuple[tuple[int, dict[str, Any]], ...]:
    """Return the events of a whole segment that are about streams, with their places."""
    if not _is_special(body):
        return ()
    return tuple((place, _parsed(payload)) for place, payload in zip(places, payloads, strict=False) if _is_special(payload))


def _is_special(text: bytes) -> bool:
    # Written out, not any(): this is asked of every segment.
    return _ABOUT_STREAMS in text or _CHECKPOINT in text or _PRUNED in text


def _parsed(payload: bytes | None) -> dict[str, Any]:
    try:
        found = json.loads(payload or b"")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _seal_in(raw: bytes) -> Seal | None:
    """Return the seal in a line, also when it is in other bytes, if it is true to itself; else None."""
    seal = parse_seal(raw)
    if seal is None:
        try:
            entry = json.loads(raw)
            inner = entry["seal"]
            made = Segment(inner["stream"], inner["segment"], inner["first"], inner["count"], inner["root"], inner["chain"])
            seal = parse_seal(seal_line(Seal(entry["n"], made, inner["previous"])))
        except _NOT_OURS:
            return None
        if seal is None:
            return None
    made = seal.segment
    true = made.chain == chain(seal.previous, made.root, made.stream, made.number, made.first, made.count)
    return seal if true and 0 < made.count <= MAX_LINES and seal.line == made.first + made.count else None


def _line(path: Path, place: int, raw: bytes) -> Line:
    """Return a line with its leaf, also when it is an event in other bytes; without a leaf when it is neither."""
    found = EVENT_LINE.fullmatch(raw)
    if found is not None:
        leaf = merkle.leaf_hash(bytes.fromhex(found.group(2).decode("ascii")), found.group(3))
        return Line(path, place, raw, int(found.group(1)), leaf, payload=found.group(3))
    found = DROPPED_LINE.fullmatch(raw)
    if found is not None:
        return Line(path, place, raw, int(found.group(1)), bytes.fromhex(found.group(2).decode("ascii")))
    try:
        entry = json.loads(raw)
        number = entry["n"]
        if type(number) is not int or not raw.endswith(b"\n"):
            return Line(path, place, raw)
        if set(entry) == {"n", "leaf"} and _LEAF.fullmatch(entry["leaf"]):
            return Line(path, place, raw, number, bytes.fromhex(entry["leaf"]), odd=True)
        if set(entry) == {"n", "salt", "event"} and _SALT.fullmatch(entry["salt"]):
            payload = fragment(entry["event"]).encode("ascii")
            return Line(path, place, raw, number, merkle.leaf_hash(bytes.fromhex(entry["salt"]), payload), odd=True, payload=payload)
    except _NOT_OURS:
        pass
    return Line(path, place, raw)


def _chosen(wanted: dict[int, dict[bytes, list[Line]]], root: str) -> dict[int, Line] | None:
    """Return one line for each number so that they have this root, or None; equal lines are told apart by their order."""
    ambiguous = [number for number, known in wanted.items() if len(known) > 1]
    base = {number: next(iter(known)) for number, known in wanted.items()}
    for picks in islice(product(*(wanted[number] for number in ambiguous)), _MOST_CHOICES):
        leaves = base | dict(zip(ambiguous, picks, strict=True))
        if merkle.root(list(leaves.values())).hex() == root:
            break
    else:
        return None
    chosen: dict[int, Line] = {}
    place = 0
    for number, leaf in leaves.items():
        same = wanted[number][leaf]
        chosen[number] = next((line for line in same if line.place > place), same[0])
        place = max(place, chosen[number].place)
    return chosen


def _out_of_order(lines: list[Line]) -> set[int]:
    """Return the identities of the fewest lines that would have to move for the places to grow with the numbers."""
    places = [line.place for line in lines]
    if places == sorted(places):
        return set()
    ends: list[int] = []
    holders: list[int] = []
    before: list[int] = []
    for index, place in enumerate(places):
        position = bisect_left(ends, place)
        before.append(holders[position - 1] if position else -1)
        ends[position : position + 1] = [place]
        holders[position : position + 1] = [index]
    staying = set()
    index = holders[-1]
    while index >= 0:
        staying.add(index)
        index = before[index]
    return {id(line) for index, line in enumerate(lines) if index not in staying}
