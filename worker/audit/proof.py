"""The form of a proof for one person: one JSON document that stands without the rest of the trail (docs/audit-format.md, Proofs).

What it holds of a trail: the events as they were sealed, and from each the way up: neighbours in its segment's tree, the seal, neighbours
in the tree of the stream's chain values, and the checkpoint that was signed at the time. What it holds beside that, whom it is about
foremost, is what the organisation says; so the whole of it is signed once more, as a note over its SHA-256.

Its bytes are canonical: members in the order given here, no spaces, ASCII, one line feed at the end. `parsed` gives back what `rendered`
wrote and tells every other writing of it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from hashlib import sha256
from typing import Any, TypeVar

from worker.audit.members import MEMBERS
from worker.audit.read import Payload
from worker.audit.search import Became

NAME = "retention-proof"
FORMAT = f"{NAME}/1"
BEGINNING = f'{{"format":"{NAME}/'.encode()
"""What every proof of any version begins with, and no line of an audit file."""
ORIGIN = "retention-worker/proof"
_LISTS = frozenset(name for name, member in MEMBERS.items() if member.schema.get("type") == "array")
_Word = TypeVar("_Word", bound=StrEnum)


class Role(StrEnum):
    """Why an event stands in a proof."""

    ABOUT = "about"
    """It is about whoever was asked for."""
    CLOSING = "closing"
    """It closes the batch of an intent, and makes it an effect or not."""
    READ_BACK = "read-back"
    """It says what reading a batch back found; the count is of the whole batch."""
    ENDING = "ending"
    """It says how an earlier process, which died before it could sign, left its stream; its own checkpoint stands for that."""


@dataclass(frozen=True, slots=True)
class Reference:
    """How the trail of one year names whoever was asked for in one source; key -- the id of the key it was made with."""

    key: str
    year: int
    source: str
    reference: str


@dataclass(frozen=True, slots=True)
class ProvenSegment:
    """A seal's values, and the neighbours of its chain value in the checkpoint's tree; path None: after the last checkpoint."""

    segment: int
    first: int
    count: int
    root: str
    previous: str
    chain: str
    path: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class ProvenStream:
    """A stream, its last checkpoint as a signed note (None when it has none), and those of its segments that are needed.

    links -- the other segments from the first one behind the checkpoint to the last of the stream, when a later process recorded its end.
    """

    stream: str
    note: str | None
    segments: tuple[ProvenSegment, ...]
    links: tuple[ProvenSegment, ...] = ()


@dataclass(frozen=True, slots=True)
class ProvenEvent:
    """One event as it was sealed.

    n -- its number in the stream; became -- what came of an intent, else None; salt, leaf -- hex; path -- neighbours in the segment's tree;
    event -- the payload's text, byte for byte; sha256 -- of that, so that a changed event can be told from a changed salt.
    """

    stream: str
    segment: int
    n: int
    role: Role
    became: Became | None
    salt: str
    leaf: str
    sha256: str
    path: tuple[str, ...]
    event: str

    def payload(self) -> Payload:
        """Return the event read; an empty one when it can't be, or is none that the worker could have written."""
        try:
            found = json.loads(self.event)
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) and all(_fits(name, value) for name, value in found.items()) else {}


@dataclass(frozen=True, slots=True)
class Proof:
    """A whole proof.

    made_at -- ISO 8601, UTC; asked -- `subject` or `record`; signature -- a note over everything else, see `signed_text`.
    """

    made_at: str
    organisation: str
    asked: str
    references: tuple[Reference, ...]
    streams: tuple[ProvenStream, ...]
    events: tuple[ProvenEvent, ...]
    signature: str = ""


class Malformed(ValueError):
    """Bytes are no proof; the text says where, and quotes nothing of them."""


def document(proof: Proof) -> dict[str, Any]:
    """Return a proof as JSON's types."""
    streams = [
        {**_told(each), "segments": [_told(one) for one in each.segments], "links": [_told(one) for one in each.links]}
        for each in proof.streams
    ]
    lists = {"references": [_told(each) for each in proof.references], "streams": streams, "events": [_told(each) for each in proof.events]}
    return {"format": FORMAT, **_told(proof), **lists}


def _told(part: Proof | Reference | ProvenStream | ProvenSegment | ProvenEvent) -> dict[str, Any]:
    """Return the members of one part of a proof, in their order; what they hold in turn stays as it is."""
    return {name: getattr(part, name) for name in part.__dataclass_fields__}


def rendered(proof: Proof) -> bytes:
    """Return the bytes of a proof."""
    return _compact(document(proof)) + b"\n"


def signed_text(proof: Proof) -> str:
    """Return what the note of a proof says: its origin, the SHA-256 of its canonical form without the signature, and when it was made."""
    unsigned = document(proof)
    del unsigned["signature"]
    return f"{ORIGIN}\n{sha256(_compact(unsigned)).hexdigest()}\n{proof.made_at}\n"


def signed(proof: Proof, sign: Callable[[str], str]) -> Proof:
    """Return a proof with its note."""
    return replace(proof, signature=sign(signed_text(proof)))


def parsed(content: bytes) -> Proof:
    """Return the proof in some bytes. Raises Malformed unless every member is there and of its type, and nothing else is."""
    try:
        found = json.loads(content.decode("ascii"))
    except (ValueError, RecursionError):
        raise Malformed("it can't be read as JSON") from None
    members = _members(found, "format", *Proof.__dataclass_fields__)
    if members["format"] != FORMAT:
        raise Malformed("it is of another version of the format")
    return Proof(
        _text(members["made_at"]),
        _text(members["organisation"]),
        _text(members["asked"]),
        tuple(_reference(each) for each in _list(members["references"])),
        tuple(_stream(each) for each in _list(members["streams"])),
        tuple(_event(each) for each in _list(members["events"])),
        _text(members["signature"]),
    )


def _compact(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode("ascii")


def _fits(name: str, value: object) -> bool:
    """Whether a member is of the kind that readers of events rely on: a list of texts, or one value."""
    if name in _LISTS:
        return isinstance(value, list) and all(isinstance(each, str) for each in value)
    return isinstance(value, str | int | float | bool)


# --- Reading what somebody else wrote ------------------------------------------------------------------------------------------------


def _reference(found: object) -> Reference:
    each = _members(found, *Reference.__dataclass_fields__)
    return Reference(_text(each["key"]), _number(each["year"]), _text(each["source"]), _hex(each["reference"], 16))


def _stream(found: object) -> ProvenStream:
    each = _members(found, *ProvenStream.__dataclass_fields__)
    note = None if each["note"] is None else _text(each["note"])
    segments, links = (tuple(_segment(one) for one in _list(each[name])) for name in ("segments", "links"))
    return ProvenStream(_hex(each["stream"], 16), note, segments, links)


def _segment(found: object) -> ProvenSegment:
    each = _members(found, *ProvenSegment.__dataclass_fields__)
    segment, first, count = (_number(each[name]) for name in ("segment", "first", "count"))
    root, previous, chain = (_hex(each[name], 32) for name in ("root", "previous", "chain"))
    return ProvenSegment(segment, first, count, root, previous, chain, None if each["path"] is None else _path(each["path"]))


def _event(found: object) -> ProvenEvent:
    each = _members(found, *ProvenEvent.__dataclass_fields__)
    return ProvenEvent(
        _hex(each["stream"], 16),
        _number(each["segment"]),
        _number(each["n"]),
        _word(Role, each["role"]),
        None if each["became"] is None else _word(Became, each["became"]),
        _hex(each["salt"], 16),
        _hex(each["leaf"], 32),
        _hex(each["sha256"], 32),
        _path(each["path"]),
        _text(each["event"]),
    )


def _members(found: object, *expected: str) -> Mapping[str, Any]:
    if not isinstance(found, dict) or tuple(found) != expected:
        raise Malformed(f"an object doesn't have the members {', '.join(expected)} and no others, in this order")
    return found


def _list(found: object) -> list[object]:
    if not isinstance(found, list):
        raise Malformed("something is no list where one belongs")
    return found


def _text(found: object) -> str:
    if not isinstance(found, str):
        raise Malformed("something is no text where one belongs")
    return found


def _number(found: object) -> int:
    if type(found) is not int or not 0 <= found < 1 << 63:
        raise Malformed("something is no number where one belongs")
    return found


def _hex(found: object, size: int) -> str:
    text = _text(found)
    if len(text) != 2 * size or text.strip("0123456789abcdef"):
        raise Malformed(f"something is not {2 * size} hexadecimal digits where they belong")
    return text


def _path(found: object) -> tuple[str, ...]:
    return tuple(_hex(each, 32) for each in _list(found))


def _word(of: type[_Word], found: object) -> _Word:
    try:
        return of(_text(found))
    except ValueError:
        raise Malformed(f"something is none of the words {', '.join(of)}") from None
