"""Reviews of records: which of them a person has to look at, and the person's answer that one is kept for a while.

The answer is a mark on the record. It never makes anything due earlier, and it does not last longer than the policy lets a review wait.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field

from worker.audit.events import Action
from worker.core.decide import Held, choose, deadline
from worker.core.facts import Fact, Known
from worker.core.model import ANSWERED, REVIEW_MARK, DispositionKind, Policy, Step
from worker.core.periods import NEVER, Period
from worker.errors import ConfigurationError, Retriable, SourceFailed
from worker.ports import Key
from worker.usecases.judging import Judge, Verdict
from worker.usecases.machine import Machine
from worker.usecases.marking import say
from worker.usecases.matching import record_token
from worker.usecases.reporting import REVIEW, due_day, word
from worker.usecases.standing import typed_key


@dataclass
class DueReviews:
    """The records of one source that wait for one owner's review. oldest -- the earliest due day; keys -- empty unless asked for."""

    source: str
    owner: str
    count: int = 0
    overdue: int = 0
    oldest: dt.date = NEVER
    keys: list[Key] = field(default_factory=list)


def due_reviews(machine: Machine, sources: tuple[str, ...] = (), *, keys: bool = False) -> tuple[Sequence[DueReviews], dict[str, str]]:
    """Return what is due for review today, by source and owner, and by source why one could not be read.

    keys -- also which records: personal data, to be shown and never kept.
    """
    found: dict[tuple[str, str], DueReviews] = {}
    failed: dict[str, str] = {}
    for policy in machine.policies(sources):
        if not policy.reviews:
            continue
        judge = Judge(machine, policy, machine.today())
        try:
            with machine.open_source(policy.source).reader() as reader:
                for page in reader.rows(judge.selection(), judge.columns):
                    for verdict in judge.judge(page, reader.related):
                        if word(policy, verdict.judged.decision) == REVIEW:
                            step = _review(policy, judge.facts(verdict))
                            name, owner = policy.source.name, step.owner if step is not None else ""
                            _add(found.setdefault((name, owner), DueReviews(name, owner)), machine.today(), policy, verdict, keys=keys)
        except (SourceFailed, Retriable) as error:
            failed[policy.source.name] = str(error)
    return list(found.values()), failed


def _add(to: DueReviews, today: dt.date, policy: Policy, verdict: Verdict, *, keys: bool) -> None:
    """Count one record."""
    due = due_day(verdict.judged.decision) or NEVER
    to.count += 1
    to.oldest = min(to.oldest, due)
    to.overdue += deadline(policy, due, verdict.standing) < today
    if keys:
        to.keys.append(verdict.key)


def _review(policy: Policy, facts: dict[str, Fact]) -> Step | None:
    """Return the step by which a record is reviewed, or None when its disposition is another one."""
    chosen = choose(policy.dispositions, facts)
    steps = [] if isinstance(chosen, str) else [step for step in chosen.steps if step.kind is DispositionKind.REVIEW]
    return steps[-1] if steps else None


def keep(
    machine: Machine, source: str, key: str, *, by: str, reason: str, until: dt.date | None = None, period: Period | None = None
) -> dt.date:
    """Answer the review of a record: it is kept through a local day, and due for review again after it. Returns that day.

    until, period -- the day, or how long from today; without either as long as the policy lets an answer last. A later answer replaces an
    earlier one. Raises ConfigurationError when the record is not there or not to be reviewed, or the day is none that can be chosen.
    """
    policy = machine.policy(source)
    judge = Judge(machine, policy, machine.today())
    with machine.open_source(policy.source).reader() as reader:
        row = reader.get(typed_key(policy.source, key), judge.columns)
        if row is None:
            raise ConfigurationError(f"{source} has no record with that key.")
        verdict = judge.judge([row], reader.related)[0]
    facts, decision = judge.facts(verdict), verdict.judged.decision
    step = _review(policy, facts)
    outcome = decision.outcome.instead_of if isinstance(decision.outcome, Held) else decision.outcome
    waits = getattr(outcome, "kind", None) is DispositionKind.REVIEW
    if step is None or not (waits or isinstance(facts.get(ANSWERED), Known)):
        raise ConfigurationError(f"That record of {source} is not due for review: it is {word(policy, decision)}.")
    last = _last_day(machine.today(), step, until, period)
    with machine.ledger.standing_exclusive():
        token = record_token(machine.keyring.match().secret, source, verdict.key).hex()
        machine.ledger.set_mark(source, token, REVIEW_MARK, last, by, reason)
        say(machine, Action.REVIEW_ANSWERED, source, verdict.key, {"retention.until": last.isoformat(), "retention.by": by})
    return last


def _last_day(today: dt.date, step: Step, until: dt.date | None, period: Period | None) -> dt.date:
    """Return the day through which an answer keeps a record; ConfigurationError for one that has passed or lies too far ahead."""
    limit = step.every.after(today) if step.every is not None else None
    last = until if until is not None else period.after(today) if period is not None else limit
    if last is None:
        raise ConfigurationError("Say how long the record is kept: --until DAY or --for PERIOD (the policy gives no `every`).")
    if last < today:
        raise ConfigurationError(f"{last} has passed: a record is kept until a day still to come.")
    if last == NEVER:
        raise ConfigurationError("A review can't be answered for ever: name a day on which somebody looks again.")
    if limit is not None and last > limit:
        raise ConfigurationError(f"{last} is too late: the policy asks for a review every {step.every}, so on {limit} at the latest.")
    return last
