"""What really happened: intents joined with the closing event of their batch.

An intent says what is about to be done and never that it was. Only the closing event of its batch makes it an effect, and
only for the very segment whose root that event names: a batch that was tried twice has two segments, and one took effect.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from worker.audit.broken import Broken, Damage
from worker.audit.events import INTENTS, Action, Closing
from worker.audit.lines import archived_files
from worker.audit.read import Entry, Payload, read


@dataclass(frozen=True, slots=True)
class Effect:
    """Something that was done: the intent, where it stands, and how its batch was closed."""

    stream: str
    number: int
    action: Action
    batch: str
    closing: Closing
    payload: Payload


@dataclass(frozen=True, slots=True)
class End:
    """How a batch was closed, and where that stands: how many of its intents took effect, and which did not when others did."""

    path: Path
    line: int
    closing: Closing
    count: int
    excluded: frozenset[str]

    def took_effect(self, intent: Payload) -> bool:
        """Whether an intent of the batch became an effect."""
        return bool(self.count) and intent.get("retention.record") not in self.excluded


def outcomes(folder: Path) -> Iterator[Effect]:
    """Yield every effect in the folder, file by file in the order of their names; a bare intent is never one.

    The closing event may stand in a later file than its intents: the folder is read twice, and only the ends of batches
    are remembered. Raises Broken for any damage but the unsealed or unclosed end of a file, whose intents never took
    effect unless a closing event says so, and with Damage.COUNT when a closing event counts other effects than there
    are intents for (fewer are in order when payloads of that segment were dropped).
    """
    paths = archived_files(folder)
    closed = ends(paths)
    seen: Counter[tuple[str, str]] = Counter()
    dropped: set[str] = set()
    for _, entry in entries(paths):
        if entry.segment is None:
            continue
        if entry.payload is None:
            dropped.add(entry.segment.root)
            continue
        action = entry.payload.get("event.action")
        if action not in INTENTS:
            continue
        key = (str(entry.payload.get("retention.batch")), entry.segment.root)
        end = closed.get(key)
        if end is None or not end.took_effect(entry.payload):
            continue
        seen[key] += 1
        yield Effect(entry.stream, entry.number, Action(action), key[0], end.closing, entry.payload)
    for key, end in closed.items():
        if seen[key] != end.count and not (seen[key] < end.count and key[1] in dropped):
            what = f"the closing event counts {end.count} effects, and there are {seen[key]} intents for them"
            raise Broken(Damage.COUNT, end.path, end.line, what)


def ends(paths: Sequence[Path]) -> dict[tuple[str, str], End]:
    """Return how each batch was closed, by batch and by the root of the segment that holds its intents; raises Broken."""
    found: dict[tuple[str, str], End] = {}
    for path, entry in entries(paths):
        event = entry.payload
        if event is None or not entry.sealed or event.get("event.action") != Action.BATCH_CLOSED:
            continue
        line = entry.number + 1
        key, end = end_of(event, path, line)
        known = found.setdefault(key, end)
        if (known.count, known.excluded) != (end.count, end.excluded):
            raise Broken(Damage.COUNT, path, line, "this batch was closed before, with other effects")
    return found


def end_of(event: Payload, path: Path, line: int) -> tuple[tuple[str, str], End]:
    """Return what a closing event says: of which batch and segment, and how it ended. Raises Broken when it lacks a member."""
    try:
        return (str(event["retention.batch"]), str(event["retention.digest"])), End(
            path,
            line,
            Closing(event["retention.batch_outcome"]),
            int(event["retention.count"]),
            frozenset(event.get("retention.excluded", ())),
        )
    except (KeyError, ValueError, TypeError) as error:
        raise Broken(Damage.FOREIGN, path, line, "this closing event lacks a member") from error


def entries(paths: Sequence[Path]) -> Iterator[tuple[Path, Entry]]:
    """Yield the entries of files in their order; raises Broken for any damage but an unsealed or unclosed end."""
    for path in paths:
        try:
            for entry in read(path):
                yield path, entry
        except Broken as broken:
            # The ends of files that a crash left are for their successors to record and for `check` to judge.
            if broken.kind not in {Damage.TORN, Damage.UNCLOSED}:
                raise
