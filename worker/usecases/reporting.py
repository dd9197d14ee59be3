"""What a plan and a run say about the records: one word per record, counts per source, reasons in words, and findings."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, assert_never

from worker.core.decide import Decision, Due, Held, Kept, Partly, Undecided, Waiting, deadline
from worker.core.model import DispositionKind, Policy
from worker.core.purposes import Ended, NeverApplied, PurposeState, Running, Undetermined
from worker.core.standing import Standing
from worker.ledger.rows import FindingKind, FindingRow

DUE, PARTLY, REVIEW, HELD, WAITING = "due", "partly", "review", "held", "waiting"
UNDETERMINED, UNCOVERED, KEPT = "undetermined", "uncovered", "kept"
WORDS = (DUE, PARTLY, REVIEW, HELD, WAITING, UNDETERMINED, UNCOVERED, KEPT)
"""Every record of a source is one of these."""

DELETE, PSEUDONYMISE, TREAT = "delete", "pseudonymise", "treat"
ACTIONS = (DELETE, PSEUDONYMISE, TREAT)
"""What a run does to a record."""

UNDONE = "undone"
"""Among a batch's effects in the ledger: how many of its intents took none although others did."""


def gaps(policy: Policy) -> tuple[str, ...]:
    """Return the personal fields that no purpose of a policy lists: a gap in the policy, the same for every record."""
    return tuple(name for name, purposes in policy.purposes_of.items() if not purposes)


def word(policy: Policy, decision: Decision) -> str:
    """Return the one word for a record."""
    match decision.outcome:
        case Held():
            return HELD
        case Due(kind):
            return REVIEW if kind is DispositionKind.REVIEW else DUE
        case Partly():
            return PARTLY
        case Waiting():
            return WAITING
        case Undecided():
            return UNDETERMINED
        case Kept():
            if decision.undetermined:
                return UNDETERMINED
            if decision.waiting:
                return REVIEW
            return UNCOVERED if set(decision.uncovered) - set(gaps(policy)) else KEPT
        case _:
            assert_never(decision.outcome)


def action(decision: Decision) -> str | None:
    """Return what a run does to a record, or None."""
    match decision.outcome:
        case Due(DispositionKind.DELETE):
            return DELETE
        case Due(DispositionKind.PSEUDONYMISE):
            return PSEUDONYMISE
        case Partly():
            return TREAT
        case _:
            return None


def due_day(decision: Decision) -> dt.date | None:
    """Return the due day of what is due in a record, held or not."""
    match decision.outcome:
        case Kept():
            return None
        case Held(_, instead_of):
            return instead_of.due
        case other:
            return other.due


def state_in_words(state: PurposeState) -> str:
    """Return a purpose's state as a phrase; days are the last day of keeping."""
    match state:
        case Running(None, why, dt.date() as since):
            return f"running: {why}, and {since} lies longer ago than it may take"
        case Running(None, why):
            return f"running: {why}"
        case Running(until, why):
            return f"running through {until}: {why}"
        case Ended(on, why):
            return f"ended on {on}: {why}"
        case NeverApplied(why):
            return f"never applied: {why}"
        case Undetermined(why):
            return f"undetermined: {why}"
        case _:
            assert_never(state)


def why(policy: Policy, decision: Decision) -> str:
    """Return the reasons of a decision in one line: every purpose with its state."""
    return "; ".join(f"{purpose.id} {state_in_words(state)}" for purpose, state in zip(policy.purposes, decision.purposes, strict=True))


@dataclass
class SourceCounts:
    """The counts of one source while its records pass by, `held` by hold or request. Days are local days of the organisation.

    overdue_kept -- the overdue records about which a run does nothing: they wait for something else, or for a person.
    """

    policy: Policy
    today: dt.date
    words: Counter[str] = field(default_factory=Counter)
    actions: Counter[str] = field(default_factory=Counter)
    findings: Counter[tuple[FindingKind, str]] = field(default_factory=Counter)
    held: Counter[str] = field(default_factory=Counter)
    overdue: int = 0
    overdue_kept: int = 0
    oldest_deadline: dt.date | None = None
    total: int = 0

    def add(self, decision: Decision, standing: Standing, count: int = 1) -> str:
        """Count records that were decided alike and return their word."""
        said = word(self.policy, decision)
        self.words[said] += count
        if isinstance(decision.outcome, Held):
            self.held.update(dict.fromkeys(decision.outcome.by, count))
        does = action(decision)
        if does is not None:
            self.actions[does] += count
        self._overdue(decision, standing, count)
        for purpose, state in zip(self.policy.purposes, decision.purposes, strict=True):
            if isinstance(state, Undetermined):
                self.findings["undetermined", f"{purpose.id}: {state.why}"] += count
        if isinstance(decision.outcome, Undecided):
            self.findings["undetermined", f"disposition: {decision.outcome.why}"] += count
        for purpose_id in decision.waiting:
            waits = self.policy.purpose(purpose_id).waits
            longest = f"{waits}" if waits is not None else "its own period"
            self.findings["waiting", f"{purpose_id}: its start event is waited for longer than {longest}"] += count
        # Where we process for a controller, nothing ends at anybody's request.
        for request in standing.unclear if self.policy.source.controller else ():
            self.findings["undetermined", f"{request}: it is about somebody else too, so a person decides"] += count
        for name in decision.uncovered:
            if name not in gaps(self.policy):
                self.findings["uncovered", f"{name}: every purpose that lists it never applied"] += count
        return said

    def _overdue(self, decision: Decision, standing: Standing, count: int) -> None:
        """Count what should have been carried out by now, and what a person should have looked at: a finding where no run can do it."""
        said, due = word(self.policy, decision), due_day(decision)
        late = None if due is None or said == HELD else deadline(self.policy, due, standing)
        waited = decision.waited_through
        looked = None if waited is None or standing.suspending else deadline(self.policy, waited, standing)
        past = [each for each in (late, looked) if each is not None and each < self.today]
        if not past:
            return
        self.overdue += count
        self.overdue_kept += count if action(decision) is None else 0
        self.oldest_deadline = min(*past, self.oldest_deadline or past[0])
        if late in past and action(decision) is None:
            self.findings["overdue", f"{said} past the deadline"] += count
        if looked in past:
            self.findings["overdue", f"{REVIEW} past the deadline"] += count

    def close(self, total: int, *, full: bool) -> None:
        """Fill in what was not read: everything else is kept, and a gap in the policy concerns every record."""
        self.total = total
        if not full:
            self.words[KEPT] += max(0, total - self.words.total())
        for name in gaps(self.policy) if total else ():
            self.findings["uncovered", f"{name}: no purpose lists it"] += total

    def rows(self) -> list[FindingRow]:
        """Return the findings."""
        name = self.policy.source.name
        return [FindingRow(kind, name, self.policy.id, detail, count) for (kind, detail), count in sorted(self.findings.items())]

    def as_json(self) -> dict[str, Any]:
        """Return the counts by word and action, for plan files, `--json` and events."""
        return {
            "total": self.total,
            **{each: self.words[each] for each in WORDS},
            "actions": {each: self.actions[each] for each in ACTIONS},
            "overdue": self.overdue,
            "overdue_kept": self.overdue_kept,
            "oldest_deadline": self.oldest_deadline.isoformat() if self.oldest_deadline else None,
        }


def left_overdue(counts: Mapping[str, Any], done: int) -> int:
    """Return how many records of a source are overdue at most, from a plan's counts and how many records were done since.

    Those about which nothing is done, and of the others no more than were planned and not done yet. Plans of before `overdue_kept` was
    counted don't tell the two apart: all may still be overdue then.
    """
    overdue = int(counts["overdue"])
    kept = int(counts.get("overdue_kept", overdue))
    planned = sum(int(each) for each in counts["actions"].values())
    return kept + min(overdue - kept, max(0, planned - done))


def not_worked_on(source: str) -> FindingRow:
    """Return the finding that a run could not work on a source; it is over when the source can be read again."""
    return FindingRow("failed", source, source, "the source could not be worked on", 1)


def still_there(count: int) -> FindingRow:
    """Return the finding that so many records are still there although a run reported them as done."""
    return FindingRow("failed", "*", "*", "records are still there after they were reported as done", count)


def finding_json(finding: FindingRow) -> dict[str, Any]:
    """Return a finding for plan files, `--json` and events."""
    return {
        "kind": finding.kind,
        "source": finding.source,
        "policy": finding.policy,
        "detail": finding.detail,
        "count": finding.count,
        "id": finding.digest[:12],
    }


def finding_of(value: dict[str, Any]) -> FindingRow:
    """Return the finding that `finding_json` described."""
    return FindingRow(value["kind"], value["source"], value["policy"], value["detail"], value["count"])


def merged(findings: Sequence[FindingRow]) -> list[FindingRow]:
    """Return findings with the same reason as one, their counts added."""
    counts: Counter[tuple[FindingKind, str, str, str]] = Counter()
    for each in findings:
        counts[each.kind, each.source, each.policy, each.detail] += each.count
    return [FindingRow(*key, count) for key, count in counts.items()]
