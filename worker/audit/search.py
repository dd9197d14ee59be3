"""Looking for what the audit trail says about one record or one person, by keyed references that whoever asks has made.

What is found is joined to what became of its batch: an intent alone proves nothing. Files are read several times rather than kept in
memory, because what belongs together may stand in any order and in different files.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from worker.audit.events import INTENTS
from worker.audit.outcomes import End, ends, entries
from worker.audit.read import Entry, Payload


class Became(StrEnum):
    """What became of an intent."""

    DONE = "done"
    NOT_DONE = "not done"
    OPEN = "open"
    """The files hold no closing event of its batch."""


@dataclass(frozen=True, slots=True)
class Found:
    """An event about whom was asked. line -- 1-based; became -- what became of an intent, None for any other event."""

    path: Path
    line: int
    stream: str
    payload: Payload
    became: Became | None


def search(paths: Sequence[Path], references: Collection[str]) -> Iterator[Found]:
    """Yield the events of audit files that name one of the references, and those that belong to them, in the order of the files.

    An event about a person brings the events about the same records with it, and the placing of a hold or the adding of a request its end.
    Raises Broken for damage, see `outcomes`.
    """
    closed = ends(paths)
    wanted: set[str] = set()
    more = {*references}
    # A person leads to records, a record to the holds on it, and a hold to its release: a few rounds find all there is.
    while not more <= wanted:
        wanted |= more
        more = {each for _, entry in entries(paths) if entry.payload and names(entry.payload, wanted) for each in leads_to(entry.payload)}
    for path, entry in entries(paths):
        if entry.payload is not None and names(entry.payload, wanted):
            became = _became(entry, closed) if entry.payload.get("event.action") in INTENTS else None
            yield Found(path, entry.number + 1, entry.stream, entry.payload, became)


def names(event: Payload, wanted: Collection[str]) -> bool:
    """Whether an event names one of the references, or the hold or request that one of them led to."""
    single = (event.get(name) for name in ("retention.record", "retention.parent", "retention.hold", "retention.request"))
    return any(each in wanted for each in single) or any(each in wanted for each in event.get("retention.subjects", ()))


def leads_to(event: Payload) -> set[str]:
    """Return what else an event names that other events about the same matter name."""
    # A row that went along with a record leads to itself; its record may be about somebody else.
    return {str(event[name]) for name in ("retention.record", "retention.hold", "retention.request") if name in event}


def became_of(intent: Payload, end: End | None) -> Became:
    """Return what came of an intent whose batch ended so; None where no event closes it."""
    if end is None:
        return Became.OPEN
    return Became.DONE if end.took_effect(intent) else Became.NOT_DONE


def _became(entry: Entry, closed: dict[tuple[str, str], End]) -> Became:
    """Return what became of an intent."""
    assert entry.payload is not None
    root = entry.segment.root if entry.segment is not None else ""
    return became_of(entry.payload, closed.get((str(entry.payload.get("retention.batch")), root)))
