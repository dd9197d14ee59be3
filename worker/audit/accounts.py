"""What the audit trail says batch by batch and run by run, so that it can be held against the ledger and the systems.

One reading verifies every line. Memory is that of batches and runs; the intents themselves are handed to whoever asks. Nothing is joined or
judged here: an intent without a closing event, or a closing event without intents, is simply told.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from worker.audit.broken import Broken, Damage
from worker.audit.events import INTENTS, Action
from worker.audit.lines import archived_stream_of
from worker.audit.read import Entry, Payload, check_files

WORDS: Mapping[str, str] = {
    Action.RECORD_DELETED: "delete",
    Action.RECORD_PSEUDONYMISED: "pseudonymise",
    Action.FIELDS_TREATED: "treat",
    Action.CHILD_DELETED: "children",
    Action.CHILD_DETACHED: "children",
}
"""Under which word a run and the ledger count the effects of an intent."""

_ENDS = (Damage.TORN, Damage.UNCLOSED)
"""A crash leaves these; what was lost with them shows in the batches."""


@dataclass(slots=True)
class Intents:
    """One sealed segment that holds intents of a batch, or lines whose payloads were dropped.

    number -- counts these segments; stream, first, count, root -- where it stands, as the ledger keeps it; intents -- how many, by source
    and action; dropped -- how many of its lines have no payload any more. batch, run and at are of its first intent.
    """

    number: int
    stream: str
    first: int
    count: int
    root: str
    batch: str = ""
    run: str = ""
    at: dt.datetime | None = None
    intents: Counter[tuple[str, str]] = field(default_factory=Counter)
    dropped: int = 0

    @property
    def effects(self) -> dict[str, int]:
        """How many intents there are by the word under which the ledger counts them."""
        counted: Counter[str] = Counter()
        for (_, action), count in self.intents.items():
            counted[WORDS[action]] += count
        return dict(counted)


@dataclass(frozen=True, slots=True)
class Closed:
    """A closing event: of which batch, for the segment with which root, and how many of its intents took effect."""

    batch: str
    run: str
    source: str
    root: str
    count: int
    excluded: tuple[str, ...]
    at: dt.datetime


@dataclass(slots=True)
class RunSaid:
    """One run. totals -- by word, None when its end says none; failed -- the sources that it could not finish.

    died -- a later run said its end, in place of the process that had begun it.
    """

    run: str
    started: dt.datetime | None = None
    ended: dt.datetime | None = None
    totals: Mapping[str, int] | None = None
    failed: tuple[str, ...] = ()
    died: bool = False


@dataclass(slots=True)
class Accounts:
    """Everything that was read.

    damage -- by the stream of the file it is in; streams -- of all files; segments -- by stream and first line; closings -- by batch and
    root; contradictions -- closing events that say other than an earlier one; seen_gone -- by batch, when it was read back last and
    everything was as reported.
    """

    files: int = 0
    lines: int = 0
    damage: list[tuple[str, Broken]] = field(default_factory=list)
    streams: set[str] = field(default_factory=set)
    segments: dict[tuple[str, int], Intents] = field(default_factory=dict)
    closings: dict[tuple[str, str], Closed] = field(default_factory=dict)
    contradictions: list[Closed] = field(default_factory=list)
    seen_gone: dict[str, dt.datetime] = field(default_factory=dict)
    runs: dict[str, RunSaid] = field(default_factory=dict)

    def run(self, run_id: str) -> RunSaid:
        """Return what is said of a run, made on first use."""
        return self.runs.setdefault(run_id, RunSaid(run_id))


def accounts(paths: Iterable[Path], keep: Callable[[Intents, Payload], object] | None = None) -> Accounts:
    """Read these audit files, in any order; OSError when one can't be read.

    keep -- is told every intent with its segment. How a file ends is not judged: `retention audit verify` does that.
    """
    reading = _Reading(keep)
    chosen = list(paths)
    told = reading.told
    told.files = len(chosen)
    told.streams = {stream for path in chosen if (stream := archived_stream_of(path)) is not None}
    for broken in check_files(chosen, reading.see):
        if broken.kind not in _ENDS:
            told.damage.append((archived_stream_of(broken.path) or "", broken))
    return told


def tried_as(batch: str) -> list[str]:
    """Return a batch and those of which it is an attempt or a part: `.`, `+` and `~` stand in front of what is put behind their ids.

    What is read back of one of them is read back of the batch.
    """
    return [batch, *(batch[:place] for place, letter in enumerate(batch) if letter in ".+~")]


class _Reading:
    """Takes one verified entry after the other."""

    def __init__(self, keep: Callable[[Intents, Payload], object] | None) -> None:
        self.told = Accounts()
        self._keep = keep
        self._sees: Mapping[str, Callable[[Payload, dt.datetime], None]] = {
            Action.BATCH_CLOSED: self._closed,
            Action.BATCH_VERIFIED: self._verified,
            Action.RUN_STARTED: self._started,
            Action.RUN_ENDED: self._ended,
        }

    def see(self, entry: Entry) -> None:
        """Take in one line."""
        told, event, made = self.told, entry.payload, entry.segment
        told.lines += 1
        if made is None:
            return
        action = "" if event is None else str(event.get("event.action", ""))
        if event is None or action in INTENTS:
            key = (made.stream, made.first)
            segment = told.segments.get(key)
            if segment is None:
                segment = told.segments[key] = Intents(len(told.segments), made.stream, made.first, made.count, made.root)
            if event is None:
                segment.dropped += 1
                return
            if segment.at is None:
                segment.batch, segment.run, segment.at = event["retention.batch"], event["retention.run"], _at(event)
            segment.intents[event["retention.source"], action] += 1
            if self._keep is not None:
                self._keep(segment, event)
        elif action in self._sees:
            self._sees[action](event, _at(event))

    def _closed(self, event: Payload, at: dt.datetime) -> None:
        names = ("batch", "run", "source", "digest")
        batch, run, source, root = (str(event.get(f"retention.{each}", "")) for each in names)
        made = Closed(batch, run, source, root, int(event["retention.count"]), tuple(event.get("retention.excluded", ())), at)
        known = self.told.closings.setdefault((batch, root), made)
        if (known.count, set(known.excluded)) != (made.count, set(made.excluded)):
            self.told.contradictions.append(made)

    def _verified(self, event: Payload, at: dt.datetime) -> None:
        if not event["retention.count"]:
            batch = str(event["retention.batch"])
            self.told.seen_gone[batch] = max(at, self.told.seen_gone.get(batch, at))

    def _started(self, event: Payload, at: dt.datetime) -> None:
        self.told.run(str(event["retention.run"])).started = at

    def _ended(self, event: Payload, at: dt.datetime) -> None:
        run = self.told.run(str(event["retention.run"]))
        totals = {name.removeprefix(_TOTAL): int(count) for name, count in event.items() if name.startswith(_TOTAL)}
        # What a later run says about one that died counts nothing; nor does what that one said itself, if the ledger never heard of it.
        run.died = run.died or "retention.exit_code" not in event
        run.ended, run.totals = at, None if run.died else totals
        run.failed = tuple(event.get("retention.failed_sources", ()))


_TOTAL = "retention.total."


def _at(event: Payload) -> dt.datetime:
    return dt.datetime.fromisoformat(event["@timestamp"])
