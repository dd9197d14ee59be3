"""Whether the audit trail and the ledger tell the same story: batch by batch, run by run.

Every batch that the ledger knows as done has its intents in one segment of the trail and a closing event for exactly that segment, and
every closing event that made intents effects belongs to a batch of the ledger. The ledger is read before the trail, which is written
first: what ends in between is asked for again and never taken for a disagreement. What neither can tell any more (payloads that were
dropped after their time) is counted as such and is no damage.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from worker.audit.accounts import Accounts, Closed, Intents, RunSaid, tried_as
from worker.clock import local_day
from worker.ledger.rows import BatchRow, RunRow
from worker.usecases.machine import Machine
from worker.usecases.reporting import ACTIONS


class Difference(StrEnum):
    """What doesn't agree."""

    DAMAGED = "log damaged"
    NO_INTENTS = "no intents"
    NO_CLOSING = "no closing event"
    NO_BATCH = "not in the ledger"
    DIFFERENT = "log and ledger differ"
    COUNTS = "counts differ"
    STILL_THERE = "still there"
    AGAIN = "there again"
    RETURNED = "returned"
    UNTREATED = "not treated"


@dataclass(frozen=True, slots=True)
class Disagreement:
    """One thing that doesn't agree. count -- of records or, where records are not at stake, of batches, runs or lines: 1."""

    kind: Difference
    source: str
    run: str
    batch: str
    what: str
    count: int = 1


DROPPED = "payloads were dropped"


@dataclass(slots=True)
class Side:
    """What is compared of one source. incomparable -- records about which nobody can tell any more, by why.

    ledger, log -- effects that each counts, rows that went along among them; absent, treated -- found so in the system now.
    """

    batches: int = 0
    open: int = 0
    ledger: int = 0
    log: int = 0
    absent: int = 0
    treated: int = 0
    incomparable: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class Agreement:
    """What a comparison found. failed -- by source, why it could not be read; settled -- the segments whose intents took effect."""

    sides: dict[str, Side] = field(default_factory=dict)
    found: list[Disagreement] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    settled: dict[int, Settled] = field(default_factory=dict)

    def side(self, source: str) -> Side:
        """Return what is compared of a source."""
        return self.sides.setdefault(source, Side())


@dataclass(frozen=True, slots=True)
class Settled:
    """A segment whose intents took effect: when, and in which batch. seen_gone -- the batch was read back since, and nothing was left."""

    segment: Intents
    batch: BatchRow | None
    closed: Closed
    seen_gone: bool


@dataclass(frozen=True)
class Known:
    """What the ledger knew before the trail was read: runs and batches by id, and the runs that are too old to be looked at."""

    runs: Mapping[str, RunRow]
    batches: Mapping[str, BatchRow]
    earlier: Collection[str]


_ALL = 1_000_000_000
_OPEN = ("pending", "intended")


def known_to(machine: Machine, since: dt.date | None) -> Known:
    """Return the ledger's runs that began on a local day or later (all of them: None), with their batches."""
    zone = machine.schedule.organisation.zone
    runs = machine.ledger.runs(_ALL)
    chosen = {each.run_id: each for each in runs if since is None or local_day(each.started_at, zone) >= since}
    batches = {batch.batch_id: batch for run_id in chosen for batch in machine.ledger.batches(run_id)}
    return Known(chosen, batches, {each.run_id for each in runs} - chosen.keys())


class Comparing:
    """Holds the trail against the ledger. since -- what happened before this local day and belongs to no run of the ledger is left out."""

    def __init__(self, machine: Machine, known: Known, told: Accounts, since: dt.date | None) -> None:
        self.result = Agreement()
        self._machine = machine
        self._known = known
        self._told = told
        self._since = since
        self._again: dict[str, BatchRow | None] = {}
        self._damaged = {stream for stream, _ in told.damage}
        self._closings: dict[str, list[Closed]] = {}
        for closing in told.closings.values():
            self._closings.setdefault(closing.batch, []).append(closing)

    def compare(self) -> Agreement:
        """Return everything that doesn't agree."""
        for stream, broken in self._told.damage:
            self._find(Difference.DAMAGED, "*", "", "", f"{broken.path.name} (line {broken.line}): {broken.kind}; stream {stream}")
        closed = self._closed_segments()
        for row in list(self._known.batches.values()):
            self._batch(row, closed)
        for closing in self._told.contradictions:
            if self._concerns(closing.run, closing.at):
                self._find(Difference.DIFFERENT, closing.source, closing.run, closing.batch, "two closing events count different effects")
        self._unknown_to_the_ledger(closed)
        self._runs()
        return self.result

    # --- Batches ------------------------------------------------------------------------------------------------------------------

    def _closed_segments(self) -> dict[tuple[str, str], Intents]:
        """Return the segments with intents by batch and root."""
        return {(each.batch, each.root): each for each in self._told.segments.values() if each.batch}

    def _batch(self, row: BatchRow, closed: Mapping[tuple[str, str], Intents]) -> None:
        """Compare one batch that the ledger knows."""
        side = self.result.side(row.source)
        side.batches += 1
        if row.state in _OPEN:
            # It may have ended since.
            row = self._present(row.batch_id) or row
        if row.state in _OPEN:
            side.open += 1
            return
        effects = _plain(row.effects)
        side.ledger += sum(effects.values())
        if not effects:
            self._without_effect(row)
            return
        segment = self._told.segments.get((row.stream or "", row.first or 0))
        if segment is None or (segment.batch and segment.batch != row.batch_id):
            moved = closed.get((row.batch_id, row.root or ""))
            if moved is not None:
                self._find_in(Difference.DIFFERENT, row, "the ledger says another place in the trail than its intents have")
                self._effects(row, effects, moved)
                return
            self._find_in(Difference.NO_INTENTS, row, self._why_missing(row.stream or ""), sum(effects.values()))
            return
        if (segment.count, segment.root) != (row.count, row.root):
            self._find_in(Difference.DIFFERENT, row, "the ledger says another segment than the one that stands there")
        self._effects(row, effects, segment)

    def _effects(self, row: BatchRow, effects: Mapping[str, int], segment: Intents) -> None:
        """Compare what a batch did with its intents and its closing event."""
        side, closing = self.result.side(row.source), self._told.closings.get((row.batch_id, segment.root))
        total = sum(effects.values())
        if closing is None:
            if segment.dropped:
                side.incomparable[DROPPED] += total
            else:
                self._find_in(Difference.NO_CLOSING, row, "its intents are there and no event says what became of them", total)
            return
        if closing.count != total or (row.digest or "") != closing.root:
            self._find_in(Difference.DIFFERENT, row, f"the ledger counts {total} effects, its closing event {closing.count}")
        side.log += closing.count
        if segment.dropped:
            side.incomparable[DROPPED] += segment.dropped
            return
        intents = segment.effects
        left = sum(intents.values()) - len(closing.excluded)
        if left != closing.count or (not closing.excluded and intents != effects):
            said = ", ".join(f"{count} {word}" for word, count in sorted(intents.items()))
            kept = ", ".join(f"{count} {word}" for word, count in sorted(effects.items()))
            self._find_in(Difference.DIFFERENT, row, f"the ledger counts {kept}; there are intents for {said or 'nothing'}")
        self._settle(segment, row, closing)

    def _without_effect(self, row: BatchRow) -> None:
        """Compare a batch that the ledger says had none: no event counts any, and its intents, if there are any, were closed."""
        segment = self._told.segments.get((row.stream or "", row.first or 0))
        if segment is not None and segment.batch == row.batch_id and not segment.dropped and row.batch_id not in self._closings:
            what = f"the ledger says it is {row.state} without effect, and no event says what became of its intents"
            self._find_in(Difference.NO_CLOSING, row, what, segment.count)
        for closing in self._closings.get(row.batch_id, ()):
            if closing.count:
                what = f"the ledger says it is {row.state} without effect, its closing event counts {closing.count}"
                self._find_in(Difference.DIFFERENT, row, what)

    def _unknown_to_the_ledger(self, closed: Mapping[tuple[str, str], Intents]) -> None:
        """Find effects, and intents that were left open, of batches that the ledger doesn't know."""
        for (batch, root), closing in self._told.closings.items():
            if closing.count and self._concerns(closing.run, closing.at) and self._row(batch) is None:
                self._find(Difference.NO_BATCH, closing.source, closing.run, batch, "the trail has its effects", closing.count)
                self.result.side(closing.source).log += closing.count
                segment = closed.get((batch, root))
                if segment is not None and not segment.dropped:
                    self._settle(segment, None, closing)
        for (batch, root), segment in closed.items():
            if (batch, root) in self._told.closings or segment.at is None or not self._concerns(segment.run, segment.at):
                continue
            if self._row(batch) is None and batch not in self._closings:
                source = next(iter(segment.intents))[0]
                what = "the trail has its intents and does not say what became of them"
                self._find(Difference.NO_BATCH, source, segment.run, batch, what, sum(segment.intents.values()))

    def _settle(self, segment: Intents, row: BatchRow | None, closing: Closed) -> None:
        """Note that the intents of a segment are effects."""
        read_back = [self._told.seen_gone[each] for each in tried_as(closing.batch) if each in self._told.seen_gone]
        seen_gone = any(each >= closing.at for each in read_back)
        self.result.settled[segment.number] = Settled(segment, row, closing, seen_gone)

    def _why_missing(self, stream: str) -> str:
        """Return why a segment is not among what was read."""
        if stream not in self._told.streams:
            return f"the file of stream {stream} is not there"
        if stream in self._damaged:
            return f"they stood in the damaged part of stream {stream}"
        return f"they are not in the file of stream {stream}"

    # --- Runs ---------------------------------------------------------------------------------------------------------------------

    def _runs(self) -> None:
        """Compare how runs ended with what the ledger says of them and with their batches."""
        batches: dict[str, list[BatchRow]] = {}
        for each in self._known.batches.values():
            batches.setdefault(each.run_id, []).append(each)
        for run in self._known.runs.values():
            said = self._told.runs.get(run.run_id)
            # One that ended since has batches that were not read.
            now = run if run.state != "running" else self._machine.ledger.run(run.run_id) or run
            if said is not None and said.totals is not None and now.state != "running":
                self._totals(now, said)
            if run.state not in ("running", "failed"):
                self._policies(run, said, batches.get(run.run_id, []))
        for run_id, said in self._told.runs.items():
            if said.started is not None and self._concerns(run_id, said.started) and self._machine.ledger.run(run_id) is None:
                self._find(Difference.NO_BATCH, "*", run_id, "", "the trail has a run of this name")

    def _totals(self, run: RunRow, said: RunSaid) -> None:
        """Compare the event of a run's end with the ledger's counts, by word over all sources."""
        kept: Counter[str] = Counter()
        for counts in run.counts.values():
            kept.update(counts)
        told = said.totals or {}
        for word in sorted(kept.keys() | told.keys()):
            if kept[word] != told.get(word, 0):
                what = f"{word.replace('_', ', ')}: its end in the trail says {told.get(word, 0)}, the ledger {kept[word]}"
                self._find(Difference.COUNTS, "*", run.run_id, "", what)

    def _policies(self, run: RunRow, said: RunSaid | None, batches: Sequence[BatchRow]) -> None:
        """Compare the ledger's counts of a run, by policy, with the sum over its batches. Of a failed source not all may count."""
        if any(each.state in _OPEN for each in batches):
            return
        for source in sorted({*run.counts, *(each.source for each in batches)}):
            if said is not None and source in said.failed:
                continue
            summed: Counter[str] = Counter()
            for each in batches:
                if each.source == source:
                    summed.update(_plain(each.effects))
            acted = sum(summed[each] for each in ACTIONS)
            kept = run.counts.get(source, {})
            words = {"acted": acted} if run.state == "resolved_after_crash" else {"acted": acted, **summed}
            wrong = [word for word, count in words.items() if count != kept.get(word, 0)]
            for word in wrong:
                what = f"{word}: the ledger's run says {kept.get(word, 0)}, its batches {words[word]}"
                self._find(Difference.COUNTS, source, run.run_id, "", what)

    # --- Finding ------------------------------------------------------------------------------------------------------------------

    def _concerns(self, run_id: str, at: dt.datetime) -> bool:
        """Whether something in the trail belongs to what is compared."""
        if run_id in self._known.earlier:
            return False
        if self._since is None or run_id in self._known.runs:
            return True
        return local_day(at, self._machine.schedule.organisation.zone) >= self._since

    def _row(self, batch_id: str) -> BatchRow | None:
        return self._known.batches.get(batch_id) or self._present(batch_id)

    def _present(self, batch_id: str) -> BatchRow | None:
        """Return a batch as the ledger has it now."""
        if batch_id not in self._again:
            self._again[batch_id] = self._machine.ledger.batch(batch_id)
        return self._again[batch_id]

    def _find_in(self, kind: Difference, row: BatchRow, what: str, count: int = 1) -> None:
        self._find(kind, row.source, row.run_id, row.batch_id, what, count)

    def _find(self, kind: Difference, source: str, run: str, batch: str, what: str, count: int = 1) -> None:
        self.result.found.append(Disagreement(kind, source, run, batch, what, count))


def _plain(effects: Mapping[str, int] | None) -> dict[str, int]:
    """Return a batch's effects without those that are none."""
    return {word: count for word, count in (effects or {}).items() if count}
