"""Making a plan: read every source through a connection that can't write, decide, freeze the decisions in a plan file.

A dry run is this and nothing else; the real run makes the same plan first. Sources are planned parents first, which is the order in which
their batches are carried out: children that go with their parent are then already gone when their own batches come.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from worker.audit.events import Action
from worker.core.compiled import Judged
from worker.core.decide import Due, Kept, Partly
from worker.core.model import Policy
from worker.core.periods import Period
from worker.core.refs import Referrer
from worker.core.select import EVERYTHING
from worker.core.standing import NOTHING, Standing
from worker.errors import Problem, Problems, Retriable, SourceFailed
from worker.ledger.rows import OF_A_RUN, FindingRow, PlanRow
from worker.planfile import Header, PlannedBatch, PlanWriter, Reason, Summary
from worker.ports import Key, KeyRange, OpenSource, Shape
from worker.usecases.declared import overdue_reviews
from worker.usecases.emptied import MISSING, find_missing
from worker.usecases.gathering import gather
from worker.usecases.judging import Judge, Judging, by_policy
from worker.usecases.machine import Machine
from worker.usecases.matching import is_lost
from worker.usecases.negatives import say_findings, say_held
from worker.usecases.reporting import SourceCounts, action, due_day, finding_json, merged, not_worked_on, still_there, why
from worker.usecases.retrying import patience
from worker.usecases.returning import find_returned
from worker.usecases.suppressing import find_suppressed

_TALLIED = 20_000
"""So many different decisions are counted together; more would be held in memory for nothing."""

_GROWTH = 5
"""A source's next batch has so many times as many records as the one before, until it is as large as any may be."""

Progress = Callable[[str, int], None]
"""Is told the source and how many more of its records were looked at."""


@dataclass(frozen=True)
class MadePlan:
    """A plan as it was made. failed -- by source, why it could not be read; acting -- how many records would be acted on, by source."""

    path: Path
    header: Header
    summary: Summary
    findings: Sequence[FindingRow]
    acting: dict[str, int] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


def shape_digest(shape: Shape) -> str:
    """Return a digest of what a source looks like; a new column or a new referring table changes it."""
    listing = json.dumps([sorted(shape.columns), sorted(shape.referring)], ensure_ascii=True)
    return "sha256:" + hashlib.sha256(listing.encode()).hexdigest()


def seal_range(machine: Machine, batch_id: str, keys: KeyRange) -> str:
    """Return a key range encrypted for one batch: keys may be personal data."""
    value = [[part_to_json(part) for part in key] for key in (keys.first, keys.last)]
    return machine.keyring.seal(json.dumps(value).encode(), context=f"batch/{batch_id}")


def open_range(machine: Machine, batch_id: str, sealed: str, run: str = "") -> KeyRange:
    """Return the key range that was sealed for a batch; run -- as in `KeyRange`."""
    first, last = json.loads(machine.keyring.unseal(sealed, context=f"batch/{batch_id}"))
    return KeyRange(tuple(map(part_from_json, first)), tuple(map(part_from_json, last)), run)


def part_to_json(part: object) -> object:
    """Return a part of a key as JSON can say it."""
    return {"hex": part.hex()} if isinstance(part, bytes) else part if isinstance(part, int) else str(part)


def part_from_json(value: object) -> str | int | bytes:
    """Return a part of a key out of JSON."""
    if isinstance(value, dict):
        return bytes.fromhex(str(value["hex"]))
    return value if isinstance(value, int) else str(value)


def make_plan(
    machine: Machine,
    *,
    as_of: dt.date | None = None,
    sources: tuple[str, ...] = (),
    path: Path | None = None,
    full: bool = False,
    progress: Progress | None = None,
    replay: Judging | None = None,
    unsettled: Mapping[str, str] | None = None,
) -> MadePlan:
    """Make a plan and write its file.

    as_of -- the local day to decide for (today); sources -- their names, all by default; path -- where the file goes (the plans folder);
    full -- also read what is kept, for exact counts; replay -- makes the judges of a replay: such a plan says nothing about what is due
    otherwise, so it takes the place of no other one where findings and figures are kept; unsettled -- sources that may not be planned now,
    with the reason. One of these, or one that can't be read, is named in `failed` and the others are planned; a fact over several sources
    of which one can't be read is unknown, and what depends on it is kept. Raises Problems when a source can't be used as declared.
    """
    now = machine.now()
    day = as_of or machine.today()
    plan_id = secrets.token_hex(8)
    ref_key = machine.keyring.audit_ref(day.year)
    policies = machine.policies(sources)
    opened: dict[str, OpenSource] = {}
    failed: dict[str, str] = dict(unsettled or {})
    shapes: dict[str, str] = {}
    problems: list[Problem] = []
    for policy in policies:
        name = policy.source.name
        if name in failed:
            continue
        try:
            for attempt in patience(machine, source=name):
                with attempt:
                    opened[name] = machine.open_source(policy.source)
                    unfit = opened[name].problems(policy, machine.schedule.sources)[0]
                    shapes[name] = shape_digest(opened[name].shape())
            problems.extend(unfit)
        except (SourceFailed, Retriable) as error:
            failed[name] = str(error)
    if problems:
        # A table without a key, or a column that can't take its treatment, is no bad night: somebody has to change something first.
        raise Problems("Sources that can't be used as declared, so there is no plan (`retention sources check` says more):", problems)
    expires = now + _span(Period.parse(machine.settings.plan_expires), machine.today())
    header = Header(
        plan_id,
        now,
        machine.operator,
        day,
        expires,
        {each.source.name: each.digest for each in policies},
        shapes,
        ref_key.id,
        replay is not None,
    )
    target = path or machine.settings.plans_folder / f"{'plan' if replay is None else 'replay'}-{day.isoformat()}-{plan_id}.jsonl"
    counts: dict[str, SourceCounts] = {}
    seconds: dict[str, float] = {}
    stays: list[FindingRow] = []
    with gather(machine, policies, day, failed) as gathered, PlanWriter(target, header, machine.keyring.plan_mac().secret) as writer:
        failed.update(gathered.failed)
        for position, policy in enumerate(policies):
            name = policy.source.name
            if name in failed:
                continue
            begun = machine.now()
            judge = (replay or by_policy)(machine, policy, gathered)
            planner = _SourcePlanner(machine, judge, opened[name], Referrer(ref_key.secret, name), f"{plan_id}-{position}")
            try:
                planner.read(writer, full=full, progress=progress)
            except (SourceFailed, Retriable) as error:
                failed[name] = str(error)
            counts[name] = planner.counts
            stays.extend(FindingRow("returned", name, name, why, count) for why, count in sorted(planner.stays.items()))
            seconds[name] = round((machine.now() - begun).total_seconds(), 3)
        if replay is not None:
            findings = [*stays, *_failures(failed)]
        else:
            noticed: list[FindingRow] = []
            if day == machine.today():
                noticed = find_returned(machine, policies, plan_id, ref_key.secret, failed)
                noticed += find_suppressed(machine, policies, plan_id, ref_key.secret, failed)
                noticed += find_missing(machine, {name: each.total for name, each in counts.items() if name not in failed})
            findings = merged(
                [
                    *(row for each in counts.values() for row in each.rows()),
                    *noticed,
                    *_failures(failed),
                    *_hold_reviews(machine, day),
                    *overdue_reviews(machine, day),
                ]
            )
        summary = Summary({name: each.as_json() for name, each in counts.items()}, [finding_json(each) for each in findings])
        mac = writer.finish(summary)
    told: Mapping[str, Any] = summary.counts if replay is None else {}
    covers = header.policies if replay is None else {}
    machine.ledger.add_plan(
        PlanRow(plan_id, now, machine.operator, day, expires, mac, covers, dict(told), str(target.resolve()), ref_key.id)
    )
    if day == machine.today() and replay is None:
        # A look at another day says nothing about what stands open today.
        # A source without a policy is looked at only when it is gathered from.
        looked_at = {*counts, *(name for name in gathered.read if machine.schedule.policy(name) is None)}
        covered = [name for name in sorted(looked_at) if name not in failed]
        machine.ledger.record_findings(
            plan_id,
            findings,
            covered=[*covered, *(() if sources else ("*",))],
            # Whether a record is still refused, only the next run finds out; what can be read again, or is still there, is known now.
            kept=OF_A_RUN,
            over=[
                *_failures(dict.fromkeys(covered, "")),
                *map(not_worked_on, covered),
                *(missing(name, 0) for name in covered for missing in MISSING),
                still_there(0),
            ],
        )
    acting = {name: each.actions.total() for name, each in counts.items()}
    machine.trail.emit(
        Action.PLAN_MADE,
        {
            "event.outcome": "failure" if failed else "success",
            "retention.plan": plan_id,
            "retention.as_of": day.isoformat(),
            "retention.by": machine.operator,
            "retention.policies": dict(header.policies),
            "retention.counts": json.dumps(told, sort_keys=True),
            "retention.failed_sources": sorted(failed),
            "retention.seconds": seconds,
            **({"retention.replay": True, "retention.count": sum(acting.values())} if replay is not None else {}),
        },
    )
    if day == machine.today():
        say_findings(machine, findings, plan=plan_id)
        say_held(machine, counts.values(), plan_id)
    return MadePlan(target, header, summary, findings, acting, failed)


def _span(period: Period, today: dt.date) -> dt.timedelta:
    """Return how long a period is from today on."""
    return period.after(today) - today


def _failures(failed: Mapping[str, str]) -> list[FindingRow]:
    """Return a finding for every source that could not be read; the reason is in the plan's output, by night in the log too."""
    return [FindingRow("failed", name, name, "the source could not be read", 1) for name in failed]


def _hold_reviews(machine: Machine, today: dt.date) -> Iterable[FindingRow]:
    """Yield a finding for every hold whose review date has passed, and for every one of which nobody can say any more what it is on.

    The first never releases it, the second makes it keep everything.
    """
    for hold in machine.ledger.holds(active=True):
        if hold.review_on < today:
            yield FindingRow("hold_review", hold.source or "*", "*", f"hold {hold.hold_id} was to be reviewed", 1)
        if is_lost(machine, hold):
            yield FindingRow("hold_review", "*", "*", f"hold {hold.hold_id} is on what the policy file knows no more, so it keeps all", 1)


class _SourcePlanner:
    """Plans one source: reads pages, judges, fills batches. stays -- how many came back and stay nevertheless, by why."""

    def __init__(self, machine: Machine, judge: Judge, source: OpenSource, referrer: Referrer, prefix: str) -> None:
        self.counts = SourceCounts(judge.policy, judge.today)
        self.stays: Counter[str] = Counter()
        self._machine = machine
        self._policy = judge.policy
        self._source = source
        self._judge = judge
        self._referrer = referrer
        self._prefix = prefix
        self._number = 0
        self._passed = 0
        self._tally: dict[Judged | tuple[Judged, Standing], int] = {}
        self._reasons: dict[Judged, Reason | None] = {}
        self._positions: dict[Judged, int] = {}
        self._table: list[Reason] = []
        self._records: dict[str, int] = {}
        self._most = min(machine.settings.batch_size, source.most or machine.settings.batch_size)
        self._size = min(machine.settings.first_batch, self._most)
        self._first: Key = ()
        self._last: Key = ()

    def read(self, writer: PlanWriter, *, full: bool, progress: Progress | None) -> None:
        """Read everything that is of interest and write the batches."""
        selection = self._judge.selection(findings=True, full=full)
        reference_of, most = self._referrer.reference, self._most
        with self._source.reader() as reader:
            for page in reader.rows(selection, self._judge.columns):
                for verdict in self._judge.judge(page, reader.related):
                    judged = verdict.judged
                    group: Judged | tuple[Judged, Standing] = judged if verdict.standing is NOTHING else (judged, verdict.standing)
                    self._tally[group] = self._tally.get(group, 0) + 1
                    position = self._positions.get(judged)
                    if position is None:
                        position = self._position(judged)
                    if position < 0:
                        continue
                    if not self._records:
                        self._first = verdict.key
                    self._records[reference_of(verdict.key)] = position
                    self._last = verdict.key
                    if len(self._records) >= self._size:
                        self._flush(writer)
                self._passed += len(page)
                if (self._policy.shared or not self._judge.plain) and self._passed >= most:
                    # A batch reads its whole range again, and its selection leaves nothing out.
                    self._flush(writer)
                if len(self._tally) > _TALLIED:
                    self._count()
                if progress is not None:
                    progress(self._policy.source.name, len(page))
            self._count()
            self.counts.close(reader.count(EVERYTHING), full=full)
        self._flush(writer)

    def _position(self, judged: Judged) -> int:
        """Return where the reason of a decision stands in the table of the current batch; -1 for one that nothing is done about."""
        if judged not in self._reasons:
            self._reasons[judged] = reason_of(self._policy, judged, self._referrer)
        reason = self._reasons[judged]
        position = -1
        if reason is not None:
            position = len(self._table)
            self._table.append(reason)
        self._positions[judged] = position
        return position

    def _count(self) -> None:
        """Count what was seen since the last time: once per decision and not once per record."""
        for group, count in self._tally.items():
            judged, standing = group if isinstance(group, tuple) else (group, NOTHING)
            self.counts.add(judged.decision, standing, count)
            if judged.because and isinstance(judged.decision.outcome, Kept):
                self.stays[judged.because] += count
        self._tally.clear()
        self._reasons.clear()

    def _flush(self, writer: PlanWriter) -> None:
        """Write the current batch, if it holds anything."""
        self._passed = 0
        if not self._records:
            return
        batch_id = f"{self._prefix}-{self._number}"
        sealed = seal_range(self._machine, batch_id, KeyRange(self._first, self._last))
        writer.batch(PlannedBatch(batch_id, self._policy.source.name, self._number, sealed, self._table, self._records))
        self._number += 1
        # Few at first, so that a mistake shows before it is large.
        self._size = min(_GROWTH * self._size, self._most)
        self._positions, self._table, self._records = {}, [], {}


def reason_of(policy: Policy, judged: Judged, referrer: Referrer) -> Reason | None:
    """Return what happens to a record and why, or None when nothing does."""
    does, due = action(judged.decision), due_day(judged.decision)
    if does is None or due is None:
        return None
    outcome = judged.decision.outcome
    fields = outcome.fields if isinstance(outcome, Due | Partly) else ()
    said = why(policy, judged.decision)
    said = f"{judged.because}: {said}" if judged.because else said
    return Reason(does, due, said, referrer.fingerprint(judged.evidence), fields)
