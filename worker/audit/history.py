"""What the audit trail tells about the past, in numbers: plans, runs, effects, findings, and what went wrong.

One reading verifies every line and counts. Intents count by the closing event of their batch and by nothing else, in whatever order the
files come; memory is that of the batches whose closing event was not read yet. Lines that no seal vouches for count for nothing.
"""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from worker.audit.broken import Broken
from worker.audit.events import INTENTS, Action
from worker.audit.read import Entry, Payload, check_files

Counted = tuple[str, str]
"""A source, and the action of an effect or the reason why a record was left."""


@dataclass(frozen=True, slots=True)
class Planned:
    """One plan. as_of -- the local day it decides for; counts -- by source, as plan files have them; seconds -- of reading, by source."""

    plan_id: str
    at: dt.datetime
    as_of: dt.date
    counts: Mapping[str, Mapping[str, Any]]
    failed: tuple[str, ...]
    seconds: Mapping[str, float]

    @property
    def of_its_day(self) -> bool:
        """Whether it was made for the day on which it was made; local days and those of UTC differ by one at most."""
        return abs((self.as_of - self.at.date()).days) <= 1


@dataclass(slots=True)
class Ran:
    """One run. Instants are aware UTC; `ended` None: nothing says that it ended.

    effects -- by source and action of what took effect; left -- by source and reason of planned records left as they were; worked -- by
    source the first and the last instant at which something was said about it; still_there -- read back and not as reported.
    """

    run_id: str
    plan_id: str
    as_of: dt.date
    started: dt.datetime
    ended: dt.datetime | None = None
    exit_code: int | None = None
    failed: tuple[str, ...] = ()
    effects: Counter[Counted] = field(default_factory=Counter)
    left: Counter[Counted] = field(default_factory=Counter)
    worked: dict[str, tuple[dt.datetime, dt.datetime]] = field(default_factory=dict)
    read_back: int = 0
    still_there: int = 0


@dataclass(frozen=True, slots=True)
class Found:
    """A finding as a plan or a run reported it. accepted_until -- the last day a person accepted it for, when somebody did afterwards."""

    plan_id: str
    run_id: str
    finding_id: str
    kind: str
    source: str
    what: str
    count: int
    accepted_until: str = ""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that stopped a run or a part of one: a brake, a refused plan, an early end, a source that failed, a suspect clock."""

    at: dt.datetime
    action: Action
    source: str
    kind: str
    what: str


@dataclass(slots=True)
class History:
    """Everything that was read, oldest first.

    files, lines -- how many were read and verified; dropped -- lines whose event was dropped after its time; damage -- what is not as it
    was written; unclosed -- intents of batches that no closing event ends; first, last -- the first and the last event.
    """

    files: int = 0
    lines: int = 0
    dropped: int = 0
    damage: list[Broken] = field(default_factory=list)
    unclosed: int = 0
    first: dt.datetime | None = None
    last: dt.datetime | None = None
    plans: list[Planned] = field(default_factory=list)
    runs: dict[str, Ran] = field(default_factory=dict)
    findings: list[Found] = field(default_factory=list)
    troubles: list[Trouble] = field(default_factory=list)

    def latest_plans(self) -> dict[str, Planned]:
        """Return the newest plan of each source that could be read; one that looks at another day says nothing about now."""
        return {source: plan for plan in self.plans if plan.of_its_day for source in plan.counts if source not in plan.failed}

    def open_findings(self) -> list[Found]:
        """Return for each source what its newest plan and the last run since then reported; what an earlier look found is over.

        A plan or a run that could not look at a source says nothing about what was found there before.
        """
        planned = {plan.plan_id: position for position, plan in enumerate(self.plans)}
        ran = {run_id: position for position, run_id in enumerate(self.runs)}
        newest = {source: planned[plan.plan_id] for source, plan in self.latest_plans().items()}
        newest["*"] = max(newest.values(), default=0)
        last: dict[str, int] = {}
        for run in self.runs.values():
            if run.ended is not None:
                looked = {*self.plans[planned[run.plan_id]].counts} if run.plan_id in planned else set()
                last |= dict.fromkeys((looked - {*run.failed}) | {"*"}, ran[run.run_id])

        def current(found: Found) -> bool:
            plan = found.plan_id or (self.runs[found.run_id].plan_id if found.run_id in self.runs else "")
            since = found.source if found.source in newest else "*"
            told_last = not found.run_id or ran.get(found.run_id, -1) >= last.get(found.source, 0)
            return told_last and planned.get(plan, -1) >= newest[since]

        # Reported again, it is the same finding.
        kept = {each.finding_id: each for each in self.findings if current(each)}.values()
        return sorted(kept, key=lambda each: (each.source, each.kind, each.what))


def history(paths: Iterable[Path]) -> History:
    """Read these audit files, in any order, and return what they tell; OSError when one can't be read."""
    reading = _Reading()
    chosen = list(paths)
    damage = list(check_files(chosen, reading.see))
    return reading.finish(len(chosen), damage)


@dataclass(frozen=True, slots=True)
class _Intent:
    run: str
    source: str
    action: str
    record: str
    at: dt.datetime


class _Reading:
    """Takes one entry after the other and remembers what can only be counted later."""

    def __init__(self) -> None:
        self.told = History()
        self._intents: dict[tuple[str, str], list[_Intent]] = {}
        self._closings: dict[tuple[str, str], Payload] = {}
        self._effects: dict[str, Counter[Counted]] = {}
        self._left: dict[str, Counter[Counted]] = {}
        self._worked: dict[str, dict[str, tuple[dt.datetime, dt.datetime]]] = {}
        self._read_back: dict[str, dict[str, tuple[dt.datetime, int]]] = {}
        self._endings: dict[str, Payload] = {}
        self._accepted: dict[str, str] = {}
        self._sees: Mapping[str, Callable[[Payload, dt.datetime], None]] = {
            Action.PLAN_MADE: self._planned,
            Action.RUN_STARTED: self._started,
            Action.RUN_ENDED: lambda event, _: self._endings.update({_text(event, "retention.run"): event}),
            Action.RECORD_SKIPPED: self._skipped,
            Action.BATCH_VERIFIED: self._verified,
            Action.FINDING: self._found,
            Action.FINDING_ACCEPTED: self._accept,
            Action.BRAKE_TRIPPED: self._trouble,
            Action.PLAN_REFUSED: self._trouble,
            Action.RUN_STOPPED: self._ended_early,
            Action.SOURCE_FAILED: self._trouble,
            Action.CLOCK_SUSPECT: self._trouble,
        }

    def see(self, entry: Entry) -> None:
        """Count one verified line."""
        told, event = self.told, entry.payload
        told.lines += 1
        if event is None or entry.segment is None:
            told.dropped += event is None
            return
        at = dt.datetime.fromisoformat(_text(event, "@timestamp"))
        told.first, told.last = min(told.first or at, at), max(told.last or at, at)
        action = _text(event, "event.action")
        if action in INTENTS:
            key = (_text(event, "retention.batch"), entry.segment.root)
            run, source, record = (_text(event, f"retention.{each}") for each in ("run", "source", "record"))
            self._intents.setdefault(key, []).append(_Intent(run, source, action, record, at))
        elif action == Action.BATCH_CLOSED:
            key = (_text(event, "retention.batch"), _text(event, "retention.digest"))
            self._worked_on(_text(event, "retention.run"), _text(event, "retention.source"), at)
            if key in self._intents:
                self._close(self._intents.pop(key), event)
            else:
                self._closings[key] = event
        elif action in self._sees:
            self._sees[action](event, at)

    def finish(self, files: int, damage: list[Broken]) -> History:
        """Put together what was read in whatever order."""
        told = self.told
        told.files, told.damage = files, damage
        for key, intents in self._intents.items():
            if key in self._closings:
                self._close(intents, self._closings[key])
            else:
                told.unclosed += len(intents)
        told.plans.sort(key=lambda each: each.at)
        told.troubles.sort(key=lambda each: each.at)
        told.runs = dict(sorted(told.runs.items(), key=lambda each: each[1].started))
        for run_id, run in told.runs.items():
            ended = self._endings.get(run_id)
            if ended is not None:
                run.ended = dt.datetime.fromisoformat(_text(ended, "@timestamp"))
                run.exit_code = ended.get("retention.exit_code")
                run.failed = tuple(ended.get("retention.failed_sources", ()))
            run.effects, run.left = self._effects.get(run_id, Counter()), self._left.get(run_id, Counter())
            run.worked = self._worked.get(run_id, {})
            checked = self._read_back.get(run_id, {})
            run.read_back, run.still_there = len(checked), sum(count for _, count in checked.values())
        told.findings = [replace(each, accepted_until=self._accepted.get(each.finding_id, "")) for each in told.findings]
        return told

    # --- Batches ------------------------------------------------------------------------------------------------------------------

    def _close(self, intents: list[_Intent], closing: Payload) -> None:
        """Count the intents of a batch that its closing event says took effect."""
        if not closing.get("retention.count"):
            return
        excluded = set(closing.get("retention.excluded", ()))
        for each in intents:
            if each.record not in excluded:
                self._effects.setdefault(each.run, Counter())[each.source, each.action] += 1
        self._worked_on(intents[0].run, _text(closing, "retention.source"), intents[0].at)

    def _worked_on(self, run: str, source: str, at: dt.datetime) -> None:
        """Remember that a source was worked on at an instant."""
        spans = self._worked.setdefault(run, {})
        first, last = spans.get(source, (at, at))
        spans[source] = (min(first, at), max(last, at))

    def _skipped(self, event: Payload, _: dt.datetime) -> None:
        run = _text(event, "retention.run")
        self._left.setdefault(run, Counter())[_text(event, "retention.source"), _text(event, "event.reason")] += 1

    def _verified(self, event: Payload, at: dt.datetime) -> None:
        """Keep the last reading back of each batch: `verify` may have asked again later."""
        batches = self._read_back.setdefault(_text(event, "retention.run"), {})
        batch = _text(event, "retention.batch")
        if batch not in batches or batches[batch][0] <= at:
            batches[batch] = (at, int(event.get("retention.count", 0)))

    # --- Plans, runs, findings ----------------------------------------------------------------------------------------------------

    def _planned(self, event: Payload, at: dt.datetime) -> None:
        self.told.plans.append(
            Planned(
                _text(event, "retention.plan"),
                at,
                _day(event, "retention.as_of", at),
                json.loads(event.get("retention.counts", "{}")),
                tuple(event.get("retention.failed_sources", ())),
                {name.removeprefix(_SECONDS): value for name, value in event.items() if name.startswith(_SECONDS)},
            )
        )

    def _started(self, event: Payload, at: dt.datetime) -> None:
        run_id = _text(event, "retention.run")
        self.told.runs[run_id] = Ran(run_id, _text(event, "retention.plan"), _day(event, "retention.as_of", at), at)

    def _found(self, event: Payload, _: dt.datetime) -> None:
        names = ("plan", "run", "finding", "finding_kind", "source")
        plan, run, finding, kind, source = (_text(event, f"retention.{each}") for each in names)
        count = int(event.get("retention.count", 0))
        self.told.findings.append(Found(plan, run, finding, kind, source, _text(event, "event.reason"), count))

    def _accept(self, event: Payload, _: dt.datetime) -> None:
        finding, until = _text(event, "retention.finding"), _text(event, "retention.until")
        self._accepted[finding] = max(until, self._accepted.get(finding, ""))

    def _ended_early(self, event: Payload, at: dt.datetime) -> None:
        # A portion that was meant to be no larger is no trouble.
        if event.get("event.outcome") != "success":
            self._trouble(event, at)

    def _trouble(self, event: Payload, at: dt.datetime) -> None:
        action = Action(_text(event, "event.action"))
        source = _text(event, "retention.source") or "*"
        kind = _text(event, "retention.brake") or _text(event, "retention.limit")
        self.told.troubles.append(Trouble(at, action, source, kind, _text(event, "event.reason")))


_SECONDS = "retention.seconds."


def _text(event: Payload, name: str) -> str:
    """Return a member as text, empty where the event has none."""
    return str(event.get(name, ""))


def _day(event: Payload, name: str, at: dt.datetime) -> dt.date:
    """Return a local day, or that of the event in UTC where it says none."""
    said = _text(event, name)
    return dt.date.fromisoformat(said) if said else at.date()
