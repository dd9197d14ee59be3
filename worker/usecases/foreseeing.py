"""On which of several days something first happens to a record: the plan's own decisions, asked for days to come. Reads only.

Nothing is decided here and nothing is calculated from a decision: a record falls due on the first of the days on which a plan for that
day would act on it or list it for review. What is assumed is that the records stay as they are: no new contact, no hold or request placed
or closed, and nothing carried out, so what only follows from an earlier deletion is not foreseen.

What falls due stays so when nothing else changes: purposes end for good, and an unknown fact only ever keeps. Therefore the last
day's selection holds what every earlier day's does, and the first day is found by halving, with a few decisions a record.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from worker.core import select
from worker.core.decide import Decision, Due, Partly
from worker.core.model import Policy
from worker.errors import Problem, Problems, Retriable, SourceFailed
from worker.ports import Key, OpenSource, Row
from worker.usecases.gathering import Gathered
from worker.usecases.judging import Judge, Related
from worker.usecases.machine import Machine


class Foreseen(NamedTuple):
    """What is foreseen for one record.

    step -- the position of the first day on which it falls due, None for none of them; decision -- that day's, or the last day's;
    now -- the first day's.
    """

    key: Key
    step: int | None
    decision: Decision
    now: Decision


def falls_due(decision: Decision) -> bool:
    """Whether a plan acts on a record or lists it for review."""
    return isinstance(decision.outcome, Due | Partly)


class Foresight:
    """Looks ahead for one policy. `days` are local days of the organisation, ascending, two or more; a plan is imagined for each.

    gathered -- the facts over several sources, as they are on the first day.
    """

    def __init__(self, machine: Machine, policy: Policy, days: Sequence[dt.date], gathered: Gathered) -> None:
        first = Judge(machine, policy, days[0], gathered)
        self.policy = policy
        self.days = days
        self.columns = first.columns
        self._last = len(days) - 1
        self._judges: dict[int, Judge] = {0: first}

    def selection(self, *, findings: bool = False) -> select.Selection:
        """Return what to ask the source for: what falls due by the last day, with `findings` also what is undetermined on the first."""
        due = self._judge(self._last).selection()
        return select.union(due, self._judge(0).selection(findings=True)) if findings else due

    def look(self, rows: Sequence[Row], related: Related) -> list[Foreseen]:
        """Return what is foreseen for every row, in their order."""
        first = self._judge(0).judge(rows, related)
        found = [Foreseen(each.key, 0, each.judged.decision, each.judged.decision) for each in first]
        waiting = [place for place, each in enumerate(found) if not falls_due(each.now)]
        last = self._judge(self._last).judge([rows[place] for place in waiting], related)
        later: list[int] = []
        for place, verdict in zip(waiting, last, strict=True):
            decision = verdict.judged.decision
            due = falls_due(decision)
            found[place] = found[place]._replace(step=self._last if due else None, decision=decision)
            if due:
                later.append(place)
        self._halve(found, later, 0, self._last, rows, related)
        return found

    def _halve(self, found: list[Foreseen], places: Sequence[int], low: int, high: int, rows: Sequence[Row], related: Related) -> None:
        """Move records to the first day on which they fall due; on the day `high` they do, on the day `low` they don't."""
        if not places or high - low == 1:
            return
        middle = (low + high) // 2
        early: list[int] = []
        late: list[int] = []
        for place, verdict in zip(places, self._judge(middle).judge([rows[place] for place in places], related), strict=True):
            if falls_due(verdict.judged.decision):
                found[place] = found[place]._replace(step=middle, decision=verdict.judged.decision)
                early.append(place)
            else:
                late.append(place)
        self._halve(found, early, low, middle, rows, related)
        self._halve(found, late, middle, high, rows, related)

    def _judge(self, step: int) -> Judge:
        """Return the judge of one of the days, made on first use."""
        if step not in self._judges:
            self._judges[step] = self._judges[0].on(self.days[step])
        return self._judges[step]


def looking(machine: Machine) -> Machine:
    """Return a machine with which nothing is written at all: a policy that is only looked at makes no lasting keys."""
    return replace(machine, keyring=machine.keyring.unsaved())


def opened(machine: Machine, policies: Sequence[Policy]) -> tuple[dict[str, OpenSource], dict[str, str]]:
    """Return the sources of policies, and why some can't be read, by name; Problems when one can't be used as declared."""
    sources: dict[str, OpenSource] = {}
    failed: dict[str, str] = {}
    problems: list[Problem] = []
    for policy in policies:
        try:
            source = machine.open_source(policy.source)
            problems.extend(source.problems(policy, machine.schedule.sources)[0])
            sources[policy.id] = source
        except (SourceFailed, Retriable) as error:
            failed[policy.id] = str(error)
    if problems:
        raise Problems("Sources that can't be used as declared (`retention sources check` says more):", problems)
    return sources, failed
