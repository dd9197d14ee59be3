"""Noting on which day states were first seen to have ended, for periods that run from the end of a state.

Only a run does this, before its batches; a plan reads what was noted. A day that was noted counts from the next day on, so a plan and
the run that carries it out decide by the same facts, and a crash before, between or after does no harm: what is not noted tonight is noted
tomorrow, and the record is kept a day longer.

Every time all is noted anew: a record whose state holds again, or that is gone, is simply not among those that are kept.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence

from worker.audit.events import Action
from worker.core import select
from worker.core.conditions import Truth, evaluate
from worker.core.facts import Fact, Known
from worker.core.model import Policy, StateEnd
from worker.core.observations import FirstSeen, packed
from worker.policyfile import state_name
from worker.usecases.gathering import gather
from worker.usecases.judging import Judge
from worker.usecases.machine import Machine
from worker.usecases.matching import record_token
from worker.usecases.outside import first_seen


def observe(machine: Machine, policy: Policy, run_id: str) -> None:
    """Note for every record of a source which of its states have ended, with the day on which that was first seen: today, or earlier.

    Raises SourceFailed or Retriable when the source can't be read; then what was noted before stays.
    """
    if not policy.states:
        return
    today, secret = machine.today(), machine.keyring.match().secret
    states = [(state_name(policy, purpose), state) for purpose, state in policy.states]
    noted = first_seen(machine, policy)
    known = {name: noted[state.seen] for name, state in states}
    found: dict[str, list[tuple[bytes, dt.date]]] = {name: [] for name, _ in states}
    new = 0
    with gather(machine, [policy], today) as gathered, machine.open_source(policy.source).reader() as reader:
        judge = Judge(machine, policy, today, gathered)
        for page in reader.rows(select.ended_states(policy, today), judge.columns):
            for verdict in judge.judge(page, reader.related):
                facts = judge.facts(verdict)
                for name, state in states:
                    truth = _is_over(state, facts)
                    if truth is Truth.FALSE:
                        continue
                    token = record_token(secret, policy.source.name, verdict.key)
                    before = known[name].get(token)
                    if before is not None or truth is Truth.TRUE:
                        found[name].append((token, before or today))
                        new += before is None
    machine.ledger.keep_observations(policy.source.name, {name: packed(pairs) for name, pairs in found.items()})
    _say(machine, policy, run_id, known, found, new)


def _is_over(state: StateEnd, facts: Mapping[str, Fact]) -> Truth:
    """Whether a state has ended on a day that nothing but looking can tell; unknown where nobody can say whether it holds."""
    if state.ended is not None and isinstance(facts[state.ended], Known):
        return Truth.FALSE
    return {Truth.TRUE: Truth.FALSE, Truth.FALSE: Truth.TRUE, Truth.UNKNOWN: Truth.UNKNOWN}[evaluate(state.condition, facts)]


def _say(
    machine: Machine,
    policy: Policy,
    run_id: str,
    known: Mapping[str, FirstSeen],
    found: Mapping[str, Sequence[tuple[bytes, dt.date]]],
    new: int,
) -> None:
    """Write down how many ended states there are, how many of them are new, and how many of those before are no longer among them."""
    count = sum(map(len, found.values()))
    machine.trail.emit(
        Action.STATES_OBSERVED,
        {
            "rule.id": policy.id,
            "rule.version": policy.digest,
            "retention.run": run_id,
            "retention.source": policy.source.name,
            "retention.count": count,
            "retention.new": new,
            "retention.dropped": sum(map(len, known.values())) - (count - new),
        },
    )
