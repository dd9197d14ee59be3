"""Some records, picked at random, for a person to look at: due ones before saying yes, undetermined ones to mend what nobody knows.

Reads only; what it returns is personal data.
"""

from __future__ import annotations

import datetime as dt
import random
from dataclasses import dataclass

from worker.core.decide import Decision
from worker.core.model import Policy
from worker.core.purposes import Undetermined
from worker.ports import Key, Row
from worker.usecases.gathering import gather
from worker.usecases.judging import Judge
from worker.usecases.machine import Machine
from worker.usecases.reporting import action, due_day


@dataclass(frozen=True, slots=True)
class Sample:
    """Records as they are, never stored or logged.

    columns -- the key; what would be done and the due day, or why nobody knows; and fields.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]


def sample(machine: Machine, policy: Policy, number: int, as_of: dt.date | None = None, *, undetermined: bool = False) -> Sample:
    """Return at most `number` records on which a plan would act, every one equally likely, in key order.

    as_of -- the local day to decide for, today by default; undetermined -- instead records with a purpose that an unknown fact left open,
    with the reasons, and besides the personal fields those that the decision asks for. Memory is constant in the number of records.
    """
    pick = random.SystemRandom()
    today = as_of or machine.today()
    names = tuple(each.name for each in policy.source.personal)
    if undetermined:
        asked = (each.name for each in policy.source.fields if each.name in policy.deciding)
        names = tuple(dict.fromkeys((*asked, *names)))
    kept: list[tuple[Key, tuple[object, ...]]] = []
    seen = 0
    rows: list[tuple[object, ...]] = []
    with gather(machine, [policy], today) as gathered, machine.open_source(policy.source).reader() as reader:
        judge = Judge(machine, policy, today, gathered)
        for page in reader.rows(judge.selection(findings=undetermined), judge.columns):
            for verdict in judge.judge(page, reader.related):
                decision = verdict.judged.decision
                told = _unknown(policy, decision) if undetermined else _done(decision)
                if not told:
                    continue
                seen += 1
                one = (verdict.key, told)
                if len(kept) < number:
                    kept.append(one)
                elif (place := pick.randrange(seen)) < number:
                    kept[place] = one
        for key, told in sorted(kept, key=lambda one: one[0]):
            row: Row | None = reader.get(key, names)
            if row is not None:
                rows.append((*key, *told, *row[len(key) :]))
    return Sample((*policy.source.key, *(("why",) if undetermined else ("action", "due")), *names), tuple(rows))


def _done(decision: Decision) -> tuple[object, ...]:
    """Return (what would be done with a record, its due day), nothing for one on which no plan would act."""
    does = action(decision)
    return (does, due_day(decision)) if does is not None else ()


def _unknown(policy: Policy, decision: Decision) -> tuple[object, ...]:
    """Return (why purposes are undetermined,), nothing when none is."""
    states = zip(policy.purposes, decision.purposes, strict=True)
    reasons = [f"{purpose.id}: {state.why}" for purpose, state in states if isinstance(state, Undetermined)]
    return ("; ".join(reasons),) if reasons else ()
