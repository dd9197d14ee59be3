"""Making a proof for one person out of the files of a trail.

The files are read a bounded number of times: first their bytes are looked through for the words that matter, as often as a person leads to
records, these to holds and these to their release, and once more to see that nothing is new; then the files in which something was found
are read and verified, and only they. Memory holds the person's events, the leaves of one segment, and 32 bytes for each segment of one
file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path

from worker.audit.about import About, reads_back
from worker.audit.broken import Broken
from worker.audit.checkpoint import Checkpoint
from worker.audit.events import INTENTS, Action
from worker.audit.lines import EVENT_LINE, Seal
from worker.audit.note import BadNote, text_of
from worker.audit.outcomes import End, end_of
from worker.audit.packaging import plain
from worker.audit.proof import Proof, ProvenEvent, ProvenSegment, ProvenStream, Reference, Role
from worker.audit.read import Line, Payload, segments
from worker.audit.search import became_of
from worker.core import merkle

_BLOCK = 1 << 20
_ENDINGS = (b'"retention.batch_closed"', b'"retention.batch_verified"')
# No text can put this out of step: behind a closing quote stands what no word begins with, and before an escaped one what no word holds.
_WORD = re.compile(rb'"([0-9a-z][0-9A-Za-z_+~#.-]{0,127})"')
_CHECKPOINT = b'"retention.checkpoint"'
_RECORDS = frozenset({Action.STREAM_TORN, Action.STREAM_UNCLOSED})


def prove(paths: Sequence[Path], references: Sequence[Reference], *, asked: str, organisation: str, made_at: str) -> Proof:
    """Return what audit files prove about whom the references mean, not yet signed; without events when they say nothing.

    asked -- `subject` or `record`; made_at -- ISO 8601, UTC. Raises Broken when a file in which something was found is damaged before its
    last seal, OSError when one can't be read.
    """
    about = About(each.reference for each in references)
    read = {path: _proven(path, about, {}) for path in _touched(paths, about)}
    _add_recorded_ends(paths, read, about)
    events, streams = _put_together([read[path] for path in paths if path in read])
    return Proof(made_at, organisation, asked, tuple(references), tuple(streams), tuple(sorted(events, key=_when)))


@dataclass(frozen=True, slots=True)
class _Found:
    """An event with the root of its segment and what it says."""

    event: ProvenEvent
    root: str
    payload: Payload


@dataclass(slots=True)
class _Stream:
    """One stream while its file is read.

    chains -- all its chain values so far; note, size -- its last checkpoint, and how many segments that covers; seals -- of the segments in
    which something was found; tail -- all seals from the first of these on that no checkpoint covers.
    """

    chains: bytearray = field(default_factory=bytearray)
    note: str | None = None
    size: int = 0
    seals: list[Seal] = field(default_factory=list)
    tail: list[Seal] = field(default_factory=list)
    found: list[_Found] = field(default_factory=list)


# --- Looking through bytes ------------------------------------------------------------------------------------------------------------


def _touched(paths: Sequence[Path], about: About) -> set[Path]:
    """Read until nothing new is found; return the files that hold an event that matters. Nothing is believed yet."""
    touched: set[Path] = set()
    before = -1
    while about.size != before:
        before = about.size
        for path in paths:
            if _look_through(path, about):
                touched.add(path)
    return touched


class _Words:
    """What an event that matters has in its bytes: a quick question that lets too much through and nothing slip."""

    def __init__(self, about: About, streams: Iterable[str] = ()) -> None:
        self._about = {each.encode() for each in (*about.words, *streams)}
        self._wholes = {each.encode() for each in about.wholes}
        self._all = self._about | self._wholes

    def in_block(self, block: bytes) -> bool:
        """Whether any line of a block may matter."""
        return not self._all.isdisjoint(_WORD.findall(block))

    def in_line(self, line: bytes) -> bool:
        """Whether a line may matter. The other intents of a batch have its id too, and don't."""
        words = _WORD.findall(line)
        return not self._about.isdisjoint(words) or (any(each in line for each in _ENDINGS) and not self._wholes.isdisjoint(words))


def _look_through(path: Path, about: About) -> bool:
    """Take the events of one file that are about whom was asked for; tell whether there are any, or ends of their batches."""
    words, size = _Words(about), about.size
    touched = False
    for block in _blocks(path):
        if not words.in_block(block):
            continue
        for line in block.split(b"\n"):
            found = EVENT_LINE.fullmatch(line + b"\n") if words.in_line(line) else None
            event = _read(found.group(3)) if found is not None else {}
            role = _role(event, about, {})
            touched |= role is not None
            if role is Role.ABOUT:
                about.take(event)
            if about.size != size:
                words, size = _Words(about), about.size
    return touched


def _blocks(path: Path) -> Iterator[bytes]:
    """Yield whole lines of a file, about a megabyte at a time."""
    rest = b""
    with plain(path) as file:
        while piece := file.read(_BLOCK):
            cut = piece.rfind(b"\n") + 1
            if not cut:
                rest += piece
                continue
            yield rest + piece[:cut]
            rest = piece[cut:]
    if rest:
        yield rest


def _read(payload: bytes) -> Payload:
    try:
        event = json.loads(payload)
    except ValueError:
        return {}
    return event if isinstance(event, dict) else {}


# --- Verified reading -----------------------------------------------------------------------------------------------------------------


def _proven(path: Path, about: About, ends: Mapping[str, str]) -> _Stream:
    """Return the stream of one file with what was found in it. ends -- by stream, the chain value that it may record as the last one."""
    words = _Words(about, ends)
    stream = _Stream()
    for seal, lines in segments(path):
        stream.chains += bytes.fromhex(seal.segment.chain)
        _note(stream, seal, lines)
        chosen = list(_chosen(lines, words, about, ends))
        if chosen:
            stream.seals.append(seal)
            paths = merkle.inclusion_paths([line.leaf for line in lines], [at for at, _, _ in chosen])
            for (at, role, event), steps in zip(chosen, paths, strict=True):
                stream.found.append(_Found(_event(seal, lines[at], role, steps), seal.segment.root, event))
        if chosen or stream.tail:
            stream.tail.append(seal)
    return stream


def _add_recorded_ends(paths: Sequence[Path], read: dict[Path, _Stream], about: About) -> None:
    """Read those files too in which a later process recorded how a stream ended that nobody signed so far, and theirs in turn."""
    ends: dict[str, str] = {}
    while more := {each.tail[-1].segment.stream: each.tail[-1].segment.chain for each in read.values() if each.tail}.items() - ends.items():
        ends |= dict(more)
        for path in paths:
            if _records(path, ends):
                read[path] = _proven(path, about, ends)


def _records(path: Path, ends: Mapping[str, str]) -> bool:
    """Whether a file records one of these ends. It would do so right behind its first event, so only its head is read."""
    try:
        for seal, lines in segments(path):
            events = [_read(line.payload) for line in lines if line.payload is not None]
            if any(is_end(event, ends) for event in events):
                return True
            if seal.segment.number and not any(event.get("event.action") in _RECORDS for event in events):
                break
    except Broken:
        # Nothing of whom was asked for stands in it, and `audit verify` is there to report the damage.
        pass
    return False


def _note(stream: _Stream, seal: Seal, lines: Sequence[Line]) -> None:
    """Remember the checkpoint in a segment. What it says is for the checker to judge."""
    for line in lines:
        if line.payload is None or _CHECKPOINT not in line.payload:
            continue
        event = _read(line.payload)
        if event.get("event.action") == Action.CHECKPOINT:
            try:
                size = Checkpoint.parse(text_of(str(event.get("retention.note")))).size
            except BadNote:
                continue
            if size <= seal.segment.number:
                stream.note, stream.size = str(event["retention.note"]), size
                stream.tail.clear()


def _chosen(lines: Sequence[Line], words: _Words, about: About, ends: Mapping[str, str]) -> Iterator[tuple[int, Role, Payload]]:
    """Yield the lines of a segment that matter: place, role, event."""
    for at, line in enumerate(lines):
        if line.payload is None or not words.in_line(line.payload):
            continue
        event = _read(line.payload)
        role = _role(event, about, ends)
        if role is not None:
            yield at, role, event


def _role(event: Payload, about: About, ends: Mapping[str, str]) -> Role | None:
    if about.has(event):
        return Role.ABOUT
    if is_end(event, ends):
        return Role.ENDING
    if event.get("event.action") == Action.BATCH_CLOSED and event.get("retention.batch") in about.batches:
        return Role.CLOSING
    return Role.READ_BACK if any(reads_back(event, each) for each in about.batches) else None


def _event(seal: Seal, line: Line, role: Role, steps: Iterable[bytes]) -> ProvenEvent:
    assert line.payload is not None
    assert line.salt is not None
    return ProvenEvent(
        seal.segment.stream,
        seal.segment.number,
        line.number,
        role,
        None,
        line.salt.hex(),
        line.leaf.hex(),
        sha256(line.payload).hexdigest(),
        tuple(each.hex() for each in steps),
        line.payload.decode("ascii"),
    )


# --- Putting together -----------------------------------------------------------------------------------------------------------------


def _put_together(read: Sequence[_Stream]) -> tuple[list[ProvenEvent], list[ProvenStream]]:
    """Return the events that are needed, and their streams with the ways up."""
    found = [each for stream in read for each in stream.found]
    kept = list(_joined([each for each in found if each.event.role is not Role.ENDING]))
    endings = {str(each.payload["retention.stream"]): each.event for each in found if each.event.role is Role.ENDING}
    loose = {seal.segment.stream: {each.segment.number for each in stream.tail} for stream in read for seal in stream.tail[:1]}
    recorded: set[str] = set()
    # The process that recorded an end may have died unsigned too, and then it takes the record of its own.
    while more := {each.stream for each in kept if each.segment in loose.get(each.stream, ())} & endings.keys() - recorded:
        recorded |= more
        kept += [endings[each] for each in more if endings[each] not in kept]
    needed: dict[str, set[int]] = {}
    for each in kept:
        needed.setdefault(each.stream, set()).add(each.segment)
    streams = [
        _proven_stream(stream, needed[name], linked=name in recorded)
        for stream in read
        for name in {seal.segment.stream for seal in stream.seals[:1]}
        if name in needed
    ]
    return kept, streams


def _proven_stream(stream: _Stream, needed: Collection[int], *, linked: bool) -> ProvenStream:
    """Return a stream with the way from every needed segment to the checkpoint, as far as that goes, and on to the recorded end."""
    leaves = [merkle.leaf_hash(b"", bytes(stream.chains[at : at + 32])) for at in range(0, 32 * stream.size, 32)]
    seals = [seal for seal in stream.seals if seal.segment.number in needed]
    covered = [seal.segment.number for seal in seals if seal.segment.number < stream.size]
    paths = dict(zip(covered, merkle.inclusion_paths(leaves, covered), strict=True))
    first = min((number for number in needed if number >= stream.size), default=0)
    links = [seal for seal in stream.tail if linked and seal.segment.number > first and seal.segment.number not in needed]
    return ProvenStream(
        stream.seals[0].segment.stream,
        stream.note,
        tuple(_proven_segment(seal, paths.get(seal.segment.number)) for seal in seals),
        tuple(_proven_segment(seal, None) for seal in links),
    )


def _proven_segment(seal: Seal, steps: Sequence[bytes] | None) -> ProvenSegment:
    made = seal.segment
    way = None if steps is None else tuple(each.hex() for each in steps)
    return ProvenSegment(made.number, made.first, made.count, made.root, seal.previous, made.chain, way)


def _joined(found: Sequence[_Found]) -> Iterator[ProvenEvent]:
    """Yield the events with what came of each intent; a closing event of another try at a batch is nobody's and left out."""
    roots = {(str(each.payload.get("retention.batch")), each.root) for each in found if is_intent(each.payload)}
    ends: dict[tuple[str, str], End] = {}
    for each in found:
        if each.event.role is Role.CLOSING:
            key, end = end_of(each.payload, Path(), each.event.n + 1)
            if key in roots:
                ends.setdefault(key, end)
    for each in found:
        key = (str(each.payload.get("retention.batch")), str(each.payload.get("retention.digest")))
        if each.event.role is Role.CLOSING and key not in roots:
            continue
        became = None
        if is_intent(each.payload):
            became = became_of(each.payload, ends.get((key[0], each.root)))
        yield replace(each.event, became=became)


def is_intent(event: Payload) -> bool:
    """Whether an event says what is about to be done."""
    return event.get("event.action") in INTENTS


def is_end(event: Payload, ends: Mapping[str, str]) -> bool:
    """Whether an event records how a stream ended, and its last chain value is the one in `ends`."""
    if event.get("event.action") not in _RECORDS:
        return False
    chain = str(event.get("retention.chain", ""))
    return bool(chain) and chain == ends.get(str(event.get("retention.stream")))


def _when(event: ProvenEvent) -> tuple[str, str, int]:
    return str(event.payload().get("@timestamp", "")), event.stream, event.n
