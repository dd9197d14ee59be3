"""Checking a proof for one person, offline, with nothing but a public key.

Threat model. Whoever had the proof may have changed any byte of it, left events out, put others in, or taken the signatures from elsewhere.
Nothing of it goes unnoticed: an event leads by its hash to its segment, that to a checkpoint that was signed when it was written, and all
of it together is signed as the proof of one person. The word for a finding says which of these doesn't fit; who changes several things so
that they fit each other again changes the word, and not that there is a finding.

What rests on the organisation's word, and no signature can prove: that the references are those of the person who asked (nobody else can
make them), and that its trail says no more about them. Events that came after a stream's last checkpoint were signed with the proof and not
when they were written; they are counted and said.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

from worker.audit.about import About, reads_back
from worker.audit.broken import Broken
from worker.audit.checkpoint import Checkpoint
from worker.audit.events import Action
from worker.audit.lines import chain
from worker.audit.note import BadNote, OtherKey, VerifierKey, opened
from worker.audit.outcomes import End, end_of
from worker.audit.proof import Malformed, Proof, ProvenEvent, ProvenSegment, ProvenStream, Role, parsed, rendered, signed_text
from worker.audit.proving import is_end, is_intent
from worker.audit.read import Payload
from worker.audit.search import Became, became_of
from worker.core import merkle


class Flaw(StrEnum):
    """What is wrong with a proof."""

    TRUNCATED = "truncated"
    """It ends too early."""
    MALFORMED = "malformed"
    """It isn't a proof of this version any more."""
    REENCODED = "re-encoded"
    """The same members in other bytes."""
    EDITED = "edited"
    """An event is not the one that was sealed."""
    SALT = "salt"
    """An event's salt is not its own."""
    PATH = "path"
    """An event, a segment or a chain value doesn't lead to the root above it."""
    FORGED = "forged"
    """A checkpoint or the proof's own note wasn't signed so, or for something else."""
    OTHER_KEY = "other key"
    """A checkpoint or the proof's own note is signed by a key that is not at hand."""
    UNCLOSED = "unclosed"
    """The closing event is missing that would make an intent an effect."""
    FOREIGN = "foreign"
    """An event is about somebody else."""
    CLAIM = "claim"
    """The proof says of itself what its events don't bear out."""


@dataclass(frozen=True, slots=True)
class Found:
    """One thing that is wrong. where -- stream and number of the event, the stream, or empty for the proof as a whole; what -- in words."""

    flaw: Flaw
    where: str
    what: str


@dataclass(slots=True)
class ProofVerdict:
    """What a check found.

    events -- about whoever was asked for; became -- what came of the intents among them; unsigned -- events of whatever role after the last
    checkpoint of their stream; not_read_back -- batches with effects that no event reads back.
    """

    made_at: str = ""
    organisation: str = ""
    asked: str = ""
    references: int = 0
    events: int = 0
    became: Counter[Became] = field(default_factory=Counter)
    unsigned: int = 0
    not_read_back: int = 0
    found: list[Found] = field(default_factory=list)

    @property
    def accepted(self) -> bool:
        """Whether everything fits."""
        return not self.found

    @property
    def partial(self) -> bool:
        """Whether something of it is not proven as it should be: not signed at the time, or left open."""
        return bool(self.unsigned or self.became[Became.OPEN])


def check(content: bytes, keys: Sequence[VerifierKey]) -> ProofVerdict:
    """Return what is wrong with a proof. keys -- whose signatures count. Never raises for anything that the bytes hold."""
    verdict = ProofVerdict()
    try:
        proof = parsed(content)
    except Malformed as error:
        # Only the end of the file can tell: bytes that were cut off take the last brace with them.
        cut = not content.rstrip(b"\n").endswith(b'"}')
        what = "it ends too early" if cut else str(error)
        verdict.found.append(Found(Flaw.TRUNCATED if cut else Flaw.MALFORMED, "", what))
        return verdict
    if rendered(proof) != content:
        verdict.found.append(Found(Flaw.REENCODED, "", "it is not written as it was made"))
    checked = _Check(proof, keys)
    verdict.found += checked.found()
    verdict.made_at, verdict.organisation, verdict.asked = proof.made_at, proof.organisation, proof.asked
    verdict.references = len(proof.references)
    verdict.events = sum(each.role is Role.ABOUT for each in proof.events)
    verdict.became = Counter(each.became for each in proof.events if each.became is not None)
    verdict.unsigned, verdict.not_read_back = checked.unsigned(), checked.not_read_back()
    return verdict


class _Check:
    """One proof with what its events say."""

    def __init__(self, proof: Proof, keys: Sequence[VerifierKey]) -> None:
        self._proof = proof
        self._keys = keys
        self._said = [(each, each.payload()) for each in proof.events]
        self._segments = {(stream.stream, each.segment): each for stream in proof.streams for each in stream.segments}
        self._vouched = self._recorded()
        self._ends: dict[tuple[str, str], End] = {}

    def found(self) -> Iterator[Found]:
        """Yield what is wrong, from the events up to the whole."""
        yield from self._structure()
        for each, _ in self._said:
            yield from self._event(each)
        for stream in self._proof.streams:
            yield from self._stream(stream)
        yield from self._closings()
        yield from self._belonging()
        yield from self._outcomes()
        yield from self._signature()

    def unsigned(self) -> int:
        """Return how many events came after the last checkpoint of their stream."""
        return sum(not self._signed(each, self._vouched) for each in self._proof.events)

    def not_read_back(self) -> int:
        """Return how many batches took effect and were not read back."""
        done = {str(event.get("retention.batch")) for each, event in self._said if each.became is Became.DONE}
        return sum(not any(reads_back(event, batch) for _, event in self._said) for batch in done)

    def _signed(self, each: ProvenEvent, vouched: Collection[str]) -> bool:
        """Whether a checkpoint covers an event, or the record that a later process made of the end of its stream."""
        segment = self._segments.get((each.stream, each.segment))
        return segment is not None and (segment.path is not None or each.stream in vouched)

    def _recorded(self) -> set[str]:
        """Return the streams whose last chain value a later process recorded, under a checkpoint of its own or recorded in turn."""
        ends = {stream.stream: end for stream in self._proof.streams if (end := _end(stream))}
        vouched: set[str] = set()
        while True:
            said = [event for each, event in self._said if each.role is Role.ENDING and self._signed(each, vouched)]
            more = {name for name, end in ends.items() if any(is_end(event, {name: end}) for event in said)}
            if more <= vouched:
                return vouched
            vouched |= more

    def _structure(self) -> Iterator[Found]:
        """Yield what stands there twice, or for nothing."""
        places = Counter((each.stream, each.n) for each in self._proof.events)
        for (stream, number), times in places.items():
            if times > 1:
                yield Found(Flaw.CLAIM, f"{stream}:{number}", "the event stands there more than once")
        segments = Counter((stream.stream, each.segment) for stream in self._proof.streams for each in stream.segments)
        used = {(each.stream, each.segment) for each in self._proof.events}
        for (name, segment), times in segments.items():
            if times > 1 or (name, segment) not in used:
                yield Found(Flaw.CLAIM, name, f"segment {segment} stands there twice, or for no event")
        for each in self._proof.streams:
            if not each.segments:
                yield Found(Flaw.CLAIM, each.stream, "a stream stands there for no event")
            if each.links and not any(is_end(event, {each.stream: _end(each)}) for _, event in self._said):
                yield Found(Flaw.PATH, each.stream, "the segments behind the checkpoint don't lead to a recorded end of the stream")
        if len(self._proof.references) != len({(each.key, each.source, each.reference) for each in self._proof.references}):
            yield Found(Flaw.CLAIM, "", "a reference stands there twice")

    def _event(self, each: ProvenEvent) -> Iterator[Found]:
        """Yield what is wrong between an event and the root of its segment."""
        where = _place(each)
        segment = self._segments.get((each.stream, each.segment))
        if segment is None:
            yield Found(Flaw.PATH, where, "the seal of its segment is missing")
            return
        payload = each.event.encode("utf-8", "surrogatepass")
        same = sha256(payload).hexdigest() == each.sha256
        made = merkle.leaf_hash(bytes.fromhex(each.salt), payload)
        told = bytes.fromhex(each.leaf)
        if made != told and not same:
            yield Found(Flaw.EDITED, where, "the event is not the one that was sealed")
        elif made != told and _leads(each, segment, told):
            yield Found(Flaw.SALT, where, "the salt is not the one that the event was sealed with")
        elif made != told:
            yield Found(Flaw.PATH, where, "the event's leaf is not made of its salt and its text")
        elif not same:
            yield Found(Flaw.CLAIM, where, "the SHA-256 beside the event is not that of its text")
        if not _leads(each, segment, told):
            yield Found(Flaw.PATH, where, f"the event doesn't lead to the root of segment {each.segment}")

    def _stream(self, stream: ProvenStream) -> Iterator[Found]:
        """Yield what is wrong between the segments of a stream and its checkpoint."""
        for each in (*stream.segments, *stream.links):
            if chain(each.previous, each.root, stream.stream, each.segment, each.first, each.count) != each.chain:
                yield Found(Flaw.PATH, stream.stream, f"the chain value of segment {each.segment} is not made of its seal")
        if stream.note is None:
            signed = [each for each in stream.segments if each.path is not None]
            if signed:
                yield Found(Flaw.FORGED, stream.stream, "the checkpoint is missing that the segments lead to")
            return
        try:
            said = Checkpoint.parse(opened(stream.note, self._keys))
        except OtherKey as error:
            yield Found(Flaw.OTHER_KEY, stream.stream, f"the checkpoint: {_readable(error)}")
            return
        except BadNote as error:
            yield Found(Flaw.FORGED, stream.stream, f"the checkpoint: {_readable(error)}")
            return
        if said.stream != stream.stream:
            yield Found(Flaw.FORGED, stream.stream, "the checkpoint was signed for another stream")
            return
        for each in stream.segments:
            if (each.path is None) is (each.segment < said.size):
                yield Found(Flaw.PATH, stream.stream, f"segment {each.segment}: the way to the checkpoint is missing, or there is none")
            elif each.path is not None and not _leads_on(each, said):
                yield Found(Flaw.PATH, stream.stream, f"segment {each.segment} doesn't lead to the checkpoint")

    def _closings(self) -> Iterator[Found]:
        """Remember how batches ended; yield what says it badly, or twice in different ways."""
        for each, event in self._said:
            if each.role is not Role.CLOSING or event.get("event.action") != Action.BATCH_CLOSED:
                continue
            try:
                key, end = end_of(event, Path(), each.n + 1)
            except Broken:
                yield Found(Flaw.EDITED, _place(each), "the closing event lacks a member")
                continue
            known = self._ends.setdefault(key, end)
            if (known.count, known.excluded) != (end.count, end.excluded):
                yield Found(Flaw.CLAIM, _place(each), "the batch was closed before, with other effects")

    def _belonging(self) -> Iterator[Found]:
        """Yield the events that have no business in this proof."""
        about = About(each.reference for each in self._proof.references)
        before = -1
        while about.size != before:
            before = about.size
            for each, event in self._said:
                if each.role is Role.ABOUT and about.has(event):
                    about.take(event)
        roots = {(str(event.get("retention.batch")), self._root(each)) for each, event in self._said if is_intent(event)}
        for each, event in self._said:
            if not self._belongs(each, event, about, roots):
                yield Found(Flaw.FOREIGN, _place(each), "the event is about somebody else, or about another batch")

    def _belongs(self, each: ProvenEvent, event: Payload, about: About, roots: set[tuple[str, str]]) -> bool:
        if each.role is Role.ABOUT:
            return about.has(event)
        if each.role is Role.READ_BACK:
            return any(reads_back(event, batch) for batch in about.batches)
        if each.role is Role.ENDING:
            return any(is_end(event, {stream.stream: _end(stream)}) for stream in self._proof.streams)
        key = (str(event.get("retention.batch")), str(event.get("retention.digest")))
        return event.get("event.action") == Action.BATCH_CLOSED and key in roots

    def _outcomes(self) -> Iterator[Found]:
        """Yield intents of which the proof says something else than their closing events do."""
        for each, event in self._said:
            if not is_intent(event):
                if each.became is not None:
                    yield Found(Flaw.CLAIM, _place(each), "the event is no intent, and nothing can have come of it")
                continue
            end = self._ends.get((str(event.get("retention.batch")), self._root(each)))
            if each.became is became_of(event, end):
                continue
            if end is None:
                yield Found(Flaw.UNCLOSED, _place(each), "the event is missing that closes its batch: an intent alone proves nothing")
            else:
                yield Found(Flaw.CLAIM, _place(each), "the event that closes its batch says that something else came of it")

    def _signature(self) -> Iterator[Found]:
        """Yield what is wrong with the note over the whole."""
        try:
            text = opened(self._proof.signature, self._keys)
        except OtherKey as error:
            yield Found(Flaw.OTHER_KEY, "", f"the proof itself: {_readable(error)}")
            return
        except BadNote as error:
            yield Found(Flaw.FORGED, "", f"the proof itself: {_readable(error)}")
            return
        if text != signed_text(self._proof):
            yield Found(Flaw.FORGED, "", "the proof itself is not the one that was signed: something was changed, added or left out")

    def _root(self, each: ProvenEvent) -> str:
        segment = self._segments.get((each.stream, each.segment))
        return segment.root if segment is not None else ""


def _readable(error: BadNote) -> str:
    """Return what is wrong with a note; it quotes the name of whoever signed it, which may hold anything."""
    return "".join(each if each.isprintable() else "\ufffd" for each in str(error))


def _place(each: ProvenEvent) -> str:
    return f"{each.stream}:{each.n}"


def _end(stream: ProvenStream) -> str:
    """Return the chain value to which the segments behind the checkpoint lead without a gap; empty when there are none, or there is one."""
    loose = [each for each in stream.segments if each.path is None]
    if not loose or any(each.path is not None for each in stream.links):
        return ""
    row = sorted((*loose, *stream.links), key=lambda each: each.segment)
    for one, after in pairwise(row):
        if (after.segment, after.first, after.previous) != (one.segment + 1, one.first + one.count + 1, one.chain):
            return ""
    return row[-1].chain if row[0] in loose else ""


def _leads(each: ProvenEvent, segment: ProvenSegment, leaf: bytes) -> bool:
    """Whether a leaf leads to the root of the segment, from the event's place in it."""
    path = [bytes.fromhex(step) for step in each.path]
    return merkle.verify_inclusion(leaf, each.n - segment.first, segment.count, path, bytes.fromhex(segment.root))


def _leads_on(segment: ProvenSegment, said: Checkpoint) -> bool:
    """Whether a segment's chain value leads to the root of a checkpoint."""
    leaf = merkle.leaf_hash(b"", bytes.fromhex(segment.chain))
    path = [bytes.fromhex(step) for step in segment.path or ()]
    return merkle.verify_inclusion(leaf, segment.segment, said.size, path, said.root)
