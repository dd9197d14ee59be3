"""Reviews of records: which of them a person has to look at, and the person's answer that nobody has to for a while.

A record is due for review when that is its disposition, and when it waits for an event longer than it may. The answer is a mark on the
record. It never makes anything due earlier, and it does not last longer than the policy lets a review wait. It stands in the way of what
the review would lead to, not of an event: when what was waited for happens, the period from that day on decides.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field

from worker.audit.events import Action
from worker.core.decide import Decision, Due, Held, Outcome, choose, deadline
from worker.core.facts import Fact, Known
from worker.core.model import DispositionKind, Policy, Step
from worker.core.periods import NEVER, Period
from worker.core.purposes import Running, asks_for_an_end
from worker.core.sources import ANSWERED, REVIEW_MARK
from worker.core.standing import Standing
from worker.errors import ConfigurationError, Retriable, SourceFailed
from worker.ports import Key
from worker.usecases.gathering import gather
from worker.usecases.judging import Judge, Verdict
from worker.usecases.machine import Machine
from worker.usecases.marking import say
from worker.usecases.matching import record_token
from worker.usecases.recordkeys import stored_key
from worker.usecases.reporting import due_day, word


@dataclass
class DueReviews:
    """The records of one source that one owner has to look at, for one reason.

    waiting -- the ids of the purposes that wait for their start event, none where the review is the disposition; oldest -- the earliest due
    day, or the last day on which nobody had to look; keys -- empty unless asked for.
    """

    source: str
    owner: str
    waiting: tuple[str, ...] = ()
    count: int = 0
    overdue: int = 0
    oldest: dt.date = NEVER
    keys: list[Key] = field(default_factory=list)


def due_reviews(machine: Machine, sources: tuple[str, ...] = (), *, keys: bool = False) -> tuple[Sequence[DueReviews], dict[str, str]]:
    """Return what is due for review today, by source, owner and reason, and by source why one could not be read.

    A record that waits too long is for the owner of its policy, whatever else happens to it.

    keys -- also which records: personal data, to be shown and never kept.
    """
    found: dict[tuple[str, str, tuple[str, ...]], DueReviews] = {}
    today = machine.today()
    policies = [each for each in machine.policies(sources) if each.reviews]
    with gather(machine, policies, today) as gathered:
        failed = dict(gathered.failed)
        for policy in policies:
            judge = Judge(machine, policy, today, gathered)
            try:
                with machine.open_source(policy.source).reader() as reader:
                    for page in reader.rows(judge.selection(findings=policy.waits), judge.columns):
                        for verdict in judge.judge(page, reader.related):
                            decision = verdict.judged.decision
                            if decision.waiting or _is_review(decision.outcome):
                                to = _whose(policy, judge, verdict)
                                _add(found.setdefault((to.source, to.owner, to.waiting), to), today, policy, verdict, keys=keys)
            except (SourceFailed, Retriable) as error:
                failed[policy.source.name] = str(error)
    return list(found.values()), failed


def _is_review(outcome: Outcome) -> bool:
    """Whether a person has to decide what becomes of a record now."""
    return isinstance(outcome, Due) and outcome.kind is DispositionKind.REVIEW


def _whose(policy: Policy, judge: Judge, verdict: Verdict) -> DueReviews:
    """Return the reviews that a record belongs to."""
    waiting = verdict.judged.decision.waiting
    if waiting:
        return DueReviews(policy.source.name, policy.owner, waiting)
    step = _review(policy, judge.facts(verdict))
    return DueReviews(policy.source.name, step.owner if step is not None else "")


def _add(to: DueReviews, today: dt.date, policy: Policy, verdict: Verdict, *, keys: bool) -> None:
    """Count one record."""
    decision = verdict.judged.decision
    due = decision.waited_through or due_day(decision) or NEVER
    to.count += 1
    to.oldest = min(to.oldest, due)
    to.overdue += not verdict.standing.suspending and deadline(policy, due, verdict.standing) < today
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
    """Answer the review of a record: nobody has to look at it through a local day, and it is due for review again after. Returns that day.

    until, period -- the day, or how long from today; without either as long as the policy lets an answer last. A later answer replaces an
    earlier one. Raises ConfigurationError when the record is not there or not to be reviewed, when a request of its subject is
    stronger than any answer, or the day is none that can be chosen.
    """
    policy = machine.policy(source)
    today = machine.today()
    with gather(machine, [policy], today) as gathered, machine.open_source(policy.source).reader() as reader:
        judge = Judge(machine, policy, today, gathered)
        own = stored_key(machine, policy.source, key)
        row = reader.get(own, judge.columns) if own is not None else None
        if row is None:
            raise ConfigurationError(f"{source} has no record with that key.")
        verdict = judge.judge([row], reader.related)[0]
    facts, decision = judge.facts(verdict), verdict.judged.decision
    step = _review(policy, facts)
    outcome = decision.outcome.instead_of if isinstance(decision.outcome, Held) else decision.outcome
    reviewed = step is not None and (_is_review(outcome) or isinstance(facts.get(ANSWERED), Known))
    if not (reviewed or _waits(decision)):
        raise ConfigurationError(f"That record of {source} is not due for review: it is {word(policy, decision)}.")
    asked = verdict.standing.requests if policy.source.controller else ()
    stronger = [each.id for each in asked if asks_for_an_end(policy, facts, Standing(requests=(each,)), today)]
    if stronger:
        what = f"An answer about that record would not count: the subject asked for an end ({', '.join(stronger)})."
        raise ConfigurationError(f"{what} Close that first, or let the record go.")
    last = _last_day(today, step, until, period)
    with machine.ledger.standing_exclusive():
        token = record_token(machine.keyring.match().secret, source, verdict.key).hex()
        machine.ledger.set_mark(source, token, REVIEW_MARK, last, by, reason)
        say(machine, Action.REVIEW_ANSWERED, source, verdict.key, {"retention.until": last.isoformat(), "retention.by": by})
    return last


def _waits(decision: Decision) -> bool:
    """Whether a record waits too long for an event, answered or not."""
    return any(isinstance(state, Running) and state.waiting_since is not None for state in decision.purposes)


def _last_day(today: dt.date, step: Step | None, until: dt.date | None, period: Period | None) -> dt.date:
    """Return the day through which an answer keeps a record; ConfigurationError for one that has passed or lies too far ahead."""
    every = step.every if step is not None else None
    limit = every.after(today) if every is not None else None
    last = until if until is not None else period.after(today) if period is not None else limit
    if last is None:
        raise ConfigurationError("Say how long the record is kept: --until DAY or --for PERIOD (the policy gives no `every`).")
    if last < today:
        raise ConfigurationError(f"{last} has passed: a record is kept until a day still to come.")
    if last == NEVER:
        raise ConfigurationError("A review can't be answered for ever: name a day on which somebody looks again.")
    if limit is not None and last > limit:
        raise ConfigurationError(f"{last} is too late: the policy asks for a review every {every}, so on {limit} at the latest.")
    return last
