"""The figures of the dashboard: what the audit trail tells, summed up for a reader. No words and no drawing here.

Over time everything counts by the local day that a run was for, so a run just after midnight counts for its own day.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from worker.audit.events import Action
from worker.audit.history import History, Planned, Ran, Trouble
from worker.usecases.reporting import HELD, REVIEW, UNCOVERED, UNDETERMINED, WAITING, left_overdue

ALONG = "along"
DONE = (Action.RECORD_DELETED, Action.RECORD_PSEUDONYMISED, Action.FIELDS_TREATED, ALONG)
"""What is done to records; rows of child tables that went along with their record count apart."""
STAYED = (HELD, WAITING, UNDETERMINED, UNCOVERED, REVIEW)
"""Why records stay other than that something still needs them."""
LEFT = ("failed", "busy", "changed", "held")
"""Why a run left a record that was planned."""

_DAYS, _WEEKS = 45, 400
_PERIODS = 60


class Step(StrEnum):
    """How much time one bar stands for."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"

    def of(self, day: dt.date) -> dt.date:
        """Return the first day of the period in which a day lies; weeks begin on Monday."""
        if self is Step.MONTH:
            return day.replace(day=1)
        return day - dt.timedelta(days=day.weekday()) if self is Step.WEEK else day

    def next(self, first: dt.date) -> dt.date:
        """Return the first day of the next period."""
        return self.of(first + dt.timedelta(days={Step.DAY: 1, Step.WEEK: 7, Step.MONTH: 31}[self]))


@dataclass(frozen=True, slots=True)
class Standing:
    """One policy as its newest plan saw it, and what was done since.

    left -- how many records are overdue now, at most: those about which nothing is done, and of the others no more than were planned and
    not done yet. oldest -- the earliest deadline that had passed.
    """

    source: str
    as_of: dt.date
    total: int
    due: int
    held: int
    undetermined: int
    done: int
    overdue: int
    left: int
    oldest: dt.date | None


@dataclass(frozen=True, slots=True)
class Moment:
    """One period: what was done in it, what the last plans in it saw (None without any), what was left and what went wrong."""

    first: dt.date
    done: Mapping[str, int]
    stayed: Mapping[str, int] | None
    overdue: int | None
    left: Mapping[str, int]
    troubles: int

    @property
    def eventful(self) -> bool:
        """Whether anything was left or went wrong."""
        return bool(self.troubles) or any(self.left.values())


@dataclass(frozen=True, slots=True)
class Pace:
    """How long a source takes, in seconds: reading it for its newest plan, and writing in the last run that worked on it."""

    source: str
    reading: float
    writing: float
    records: int


def standings(told: History) -> list[Standing]:
    """Return every policy, the most overdue first."""
    found = [_standing(told, source, plan) for source, plan in told.latest_plans().items()]
    return sorted(found, key=lambda each: (-each.left, -each.overdue, each.source))


def _standing(told: History, source: str, plan: Planned) -> Standing:
    counts = plan.counts[source]
    runs = [run for run in told.runs.values() if run.plan_id == plan.plan_id]
    done = sum(number for run in runs for (of, _), number in run.effects.items() if of == source)
    oldest = counts.get("oldest_deadline")
    return Standing(
        source,
        plan.as_of,
        counts["total"],
        sum(counts["actions"].values()),
        counts[HELD],
        counts[UNDETERMINED],
        done,
        counts["overdue"],
        left_overdue(counts, done),
        dt.date.fromisoformat(oldest) if oldest else None,
    )


def moments(told: History) -> tuple[Step, list[Moment]]:
    """Return the last sixty periods of the trail without a gap, oldest first, and how long each is."""
    plans = [plan for plan in told.plans if plan.of_its_day]
    days = [*(run.as_of for run in told.runs.values()), *(plan.as_of for plan in plans), *(each.at.date() for each in told.troubles)]
    if not days:
        return Step.DAY, []
    span = (max(days) - min(days)).days
    step = Step.DAY if span <= _DAYS else Step.WEEK if span <= _WEEKS else Step.MONTH
    periods = list(_periods(step, min(days), max(days)))
    seen: dict[str, Planned] = {}
    made = []
    for first in periods:
        inside = [plan for plan in plans if step.of(plan.as_of) == first]
        seen |= {source: plan for plan in inside for source in plan.counts if source not in plan.failed}
        counts = [plan.counts[source] for source, plan in seen.items()]
        runs = [run for run in told.runs.values() if step.of(run.as_of) == first]
        made.append(
            Moment(
                first,
                _done(runs),
                {word: sum(each[word] for each in counts) for word in STAYED} if inside else None,
                sum(each["overdue"] for each in counts) if inside else None,
                {word: sum(number for run in runs for (_, why), number in run.left.items() if why == word) for word in LEFT},
                sum(step.of(each.at.date()) == first for each in told.troubles),
            )
        )
    return step, made[-_PERIODS:]


def _periods(step: Step, first: dt.date, last: dt.date) -> Iterator[dt.date]:
    day = step.of(first)
    while day <= last:
        yield day
        day = step.next(day)


def _done(runs: Sequence[Ran]) -> Mapping[str, int]:
    """Return what runs did by what it is called; child rows that were deleted or cut loose are one."""
    counted: Counter[str] = Counter()
    for run in runs:
        for (_, action), number in run.effects.items():
            counted[action if action in DONE else ALONG] += number
    return {word: counted[word] for word in DONE}


def acted(run: Ran) -> Mapping[str, int]:
    """Return what one run did."""
    return _done([run])


def paces(told: History) -> list[Pace]:
    """Return how long each source takes, the slowest first; only those of which anything is known."""
    reading = {source: seconds for plan in told.plans for source, seconds in plan.seconds.items()}
    writing: dict[str, tuple[float, int]] = {}
    for run in told.runs.values():
        for source, (first, last) in run.worked.items():
            records = sum(number for (of, _), number in run.effects.items() if of == source)
            writing[source] = ((last - first).total_seconds(), records)
    known = {*reading, *writing}
    found = [Pace(source, reading.get(source, 0.0), *writing.get(source, (0.0, 0))) for source in known]
    return sorted(found, key=lambda each: (-(each.reading + each.writing), each.source))


def recent(troubles: Sequence[Trouble], limit: int = 50) -> list[Trouble]:
    """Return what went wrong last, newest first."""
    return list(reversed(troubles[-limit:]))
