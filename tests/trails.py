"""Audit trails that a test writes event by event, at the instants that it chooses."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from worker.audit.events import Action, Closing, closing_fields
from worker.audit.lines import Segment
from worker.audit.render import compile_template, fragment, instant
from worker.audit.trail import AuditTrail

MIDNIGHT = dt.datetime(2026, 6, 29, 1, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
SECOND = dt.timedelta(seconds=1)


def counts(total: int, *, delete: int = 0, treat: int = 0, overdue: int = 0, kept: int = 0, oldest: str | None = None, **words: int) -> Any:
    """Return what a plan counts in one source; kept -- the overdue records about which nothing is done."""
    names = ("due", "partly", "review", "held", "waiting", "undetermined", "uncovered", "kept")
    actions = {"delete": delete, "pseudonymise": 0, "treat": treat}
    found = {**dict.fromkeys(names, 0), "due": delete, "partly": treat, **words}
    return {"total": total, **found, "actions": actions, "overdue": overdue, "overdue_kept": kept, "oldest_deadline": oldest}


class Process:
    """One process that writes a file; `at` is its clock, which the test moves."""

    def __init__(self, folder: Path, at: dt.datetime = MIDNIGHT, sign: Callable[[str], str] | None = None) -> None:
        self.at = at
        self.trail = AuditTrail.open(folder, now=lambda: self.at, service_version="0.1.0", sign=sign)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.trail.close()

    def say(self, action: Action, after: float = 0, /, **members: Any) -> None:
        """Emit an event, `after` so many seconds; members are named without their dots' first part: `event_reason`, `run`, `as_of`."""
        self.at += after * SECOND
        named = {"event.reason": members.pop("event_reason")} if "event_reason" in members else {}
        self.trail.emit(action, {**named, **{f"retention.{name}": value for name, value in members.items()}})

    def plan(self, plan: str, as_of: dt.date, found: Mapping[str, Any], seconds: Mapping[str, float], failed: Sequence[str] = ()) -> None:
        """Say that a plan was made."""
        self.say(
            Action.PLAN_MADE,
            plan=plan,
            as_of=as_of.isoformat(),
            counts=json.dumps(dict(found)),
            failed_sources=list(failed),
            seconds=dict(seconds),
        )

    def start(self, run: str, plan: str, as_of: dt.date) -> None:
        """Say that a run began."""
        self.say(Action.RUN_STARTED, run=run, plan=plan, as_of=as_of.isoformat())

    def end(self, run: str, exit_code: int, after: float = 0, failed: Sequence[str] = ()) -> None:
        """Say that a run ended."""
        self.say(Action.RUN_ENDED, after, run=run, exit_code=exit_code, failed_sources=list(failed))

    def intents(self, run: str, batch: str, source: str, records: Mapping[str, Action]) -> Segment:
        """Say what is about to be done to records."""
        fixed = {"@timestamp": instant(self.at), "retention.run": run, "retention.batch": batch, "retention.source": source}
        lines = [
            compile_template({**fixed, "event.action": str(action)}, ["retention.record"])(fragment(record))
            for record, action in records.items()
        ]
        return self.trail.write(lines)

    def close(self, run: str, batch: str, source: str, made: Segment, count: int, *excluded: str, after: float = 0) -> None:
        """Say how a batch ended: rolled back when nothing of it took effect."""
        self.at += after * SECOND
        how = Closing.COMMITTED if count else Closing.ROLLED_BACK
        fields = closing_fields(batch, how, digest=made.root, count=count, excluded=excluded)
        self.trail.emit(Action.BATCH_CLOSED, {**fields, "retention.run": run, "retention.source": source})

    def batch(self, run: str, batch: str, source: str, records: Mapping[str, Action], after: float = 0) -> None:
        """Do a whole batch: intents, effect, read back."""
        made = self.intents(run, batch, source, records)
        self.close(run, batch, source, made, len(records), after=after)
        self.say(Action.BATCH_VERIFIED, run=run, batch=batch, source=source, count=0)


def deletions(*records: str) -> dict[str, Action]:
    """Return records that are to be deleted."""
    return dict.fromkeys(records, Action.RECORD_DELETED)


def a_week(folder: Path) -> None:
    """Write a week of a small firm: a first plan that a person approves, nights, one that a brake stops, one that goes half wrong.

    Two sources; notes of contacts go along. What is overdue about contacts is done on the first night but for one record.
    """
    day = MIDNIGHT.date()
    late = counts(100, delete=4, treat=1, overdue=5, kept=1, oldest="2025-12-31", undetermined=3, held=1)
    with Process(folder) as first:
        first.plan("p0", day, {"contacts": late, "members": counts(40, delete=1)}, {"contacts": 2.5, "members": 0.25})
        first.start("run-0", "p0", day)
        gone = {**deletions("c1", "c2", "c3", "c4"), "c5": Action.FIELDS_TREATED}
        first.batch("run-0", "p0-0", "contacts", {**gone, "n1": Action.CHILD_DELETED, "n2": Action.CHILD_DETACHED}, 30)
        made = first.intents("run-0", "p0-1", "members", deletions("m1"))
        first.close("run-0", "p0-1", "members", made, 0)
        first.say(Action.RECORD_SKIPPED, run="run-0", batch="p0-1", source="members", record="m1", event_reason="changed")
        first.say(
            Action.FINDING, run="run-0", source="members", finding="f0", finding_kind="changed", count=1, event_reason="changed meanwhile"
        )
        first.end("run-0", 4, 60)
    with Process(folder, MIDNIGHT + DAY) as second:
        second.plan("p1", day + DAY, {"contacts": counts(96, undetermined=3, held=1), "members": counts(40, delete=30)}, {"contacts": 1.5})
        second.say(Action.BRAKE_TRIPPED, 1, brake="max_share", source="members", event_reason="members: <b>75%</b> of it would be acted on")
    with Process(folder, MIDNIGHT + 3 * DAY) as third:
        third.plan("ahead", day + 400 * DAY, {"contacts": counts(96, delete=90, overdue=90)}, {})
        seen = counts(96, delete=1, undetermined=2, held=2, overdue=2, kept=1, oldest="2026-06-20")
        third.plan("p2", day + 3 * DAY, {"contacts": seen}, {"contacts": 1.0}, ["members"])
        third.start("run-1", "p2", day + 3 * DAY)
        third.batch("run-1", "p2-0", "contacts", deletions("c6"), 5)
        third.say(Action.SOURCE_FAILED, run="run-1", source="members", event_reason="SourceFailed")
        kinds = (("f1", "undetermined", "contact: empty", 2), ("f2", "overdue", "held past the deadline", 1))
        for finding, kind, what, count in kinds:
            third.say(Action.FINDING, plan="p2", source="contacts", finding=finding, finding_kind=kind, count=count, event_reason=what)
        third.end("run-1", 5, 90, ["members"])
        third.say(Action.FINDING_ACCEPTED, finding="f2", source="contacts", until="2026-12-31", count=1, by="A. Officer")
