"""Some due records, picked at random, for a person to look at before saying yes. Reads only; what it returns is personal data."""

from __future__ import annotations

import datetime as dt
import random
from dataclasses import dataclass

from worker.core.model import Policy
from worker.ports import Key, Row
from worker.usecases.gathering import gather
from worker.usecases.judging import Judge
from worker.usecases.machine import Machine
from worker.usecases.reporting import action, due_day


@dataclass(frozen=True, slots=True)
class Sample:
    """Records as they are: `columns` are the key, what would be done, the due day, and the personal fields. Never stored or logged."""

    columns: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]


def sample(machine: Machine, policy: Policy, number: int, as_of: dt.date | None = None) -> Sample:
    """Return at most `number` records on which a plan would act, every one equally likely, in key order.

    as_of -- the local day to decide for, today by default. Memory is constant in the number of records.
    """
    pick = random.SystemRandom()
    today = as_of or machine.today()
    names = tuple(each.name for each in policy.source.personal)
    kept: list[tuple[Key, str, dt.date | None]] = []
    seen = 0
    rows: list[tuple[object, ...]] = []
    with gather(machine, [policy], today) as gathered, machine.open_source(policy.source).reader() as reader:
        judge = Judge(machine, policy, today, gathered)
        for page in reader.rows(judge.selection(), judge.columns):
            for verdict in judge.judge(page, reader.related):
                does = action(verdict.judged.decision)
                if does is None:
                    continue
                seen += 1
                one = (verdict.key, does, due_day(verdict.judged.decision))
                if len(kept) < number:
                    kept.append(one)
                elif (place := pick.randrange(seen)) < number:
                    kept[place] = one
        for key, does, due in sorted(kept):
            row: Row | None = reader.get(key, names)
            if row is not None:
                rows.append((*key, does, due, *row[len(key) :]))
    return Sample((*policy.source.key, "action", "due", *names), tuple(rows))
