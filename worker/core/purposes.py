"""The state of one purpose for one record: *running*, *ended on a day*, *never applied* or *undetermined*.

The start event gives a day (`start_of`), the term counts from it (`periods`), consents and requests may end it sooner (`consents`,
`standing`). `decide` puts the states of all purposes together.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import assert_never

from worker.core.conditions import Condition, Truth, evaluate, facts_of
from worker.core.consents import NotAgreed, agreement, withdraws
from worker.core.facts import Fact, Known, NotApplicable, NotYet, Unknown
from worker.core.model import Combine, LegalBasis, Policy, Purpose, StartEvent, StateEnd, day
from worker.core.periods import NEVER, NO_TIME, Period
from worker.core.sources import Source
from worker.core.standing import RequestKind, Standing
from worker.core.states import settled, state_end


@dataclass(frozen=True, slots=True)
class Running:
    """The purpose still needs its fields.

    until -- its due day when that is known, else None; waiting_since -- the last day that is known of a start event that has not happened
    yet, when that day lies longer ago than the event may be waited for: a person has to look.
    """

    until: dt.date | None
    why: str
    waiting_since: dt.date | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """The purpose needed its fields through a day that has passed."""

    on: dt.date
    why: str


@dataclass(frozen=True, slots=True)
class NeverApplied:
    """The purpose has nothing to do with this record."""

    why: str


@dataclass(frozen=True, slots=True)
class Undetermined:
    """A fact that the purpose needs is unknown; `why` names the fact and a fixed phrase, never a value."""

    why: str


PurposeState = Running | Ended | NeverApplied | Undetermined

_OBJECTED_TO = (LegalBasis.LEGITIMATE_INTERESTS, LegalBasis.PUBLIC_TASK)
"""The grounds to which an objection on grounds of the subject's own situation is possible (GDPR 21(1))."""

NOT_IN_FORCE = Running(None, "the policy is not in force yet")


def start_of(event: StartEvent | StateEnd, facts: Mapping[str, Fact]) -> Fact:
    """Return the day of a start event as a fact.

    Members that don't apply are left out; with none left the event does not apply. `latest_of` and `all_of` wait for every member that
    applies; `earliest_of` has happened when one has. An unknown member makes the whole unknown. For the end of a state see `state_end`.
    """
    if isinstance(event, StateEnd):
        return state_end(event, facts)
    days: list[dt.date] = []
    waiting = False
    missing = False
    for name in event.facts:
        match facts[name]:
            case Unknown(why):
                return Unknown(f"{name}: {why}")
            case Known(value):
                known = day(value)
                if known is None:
                    return Unknown(f"{name}: not a day")
                days.append(known)
            case NotYet():
                waiting = True
            case NotApplicable():
                missing = True
    if event.combine is Combine.EARLIEST_OF:
        return Known(min(days)) if days else NotYet() if waiting else NotApplicable()
    if waiting:
        return NotYet()
    if not days or (missing and event.combine is Combine.ALL_OF):
        return NotApplicable()
    return Known(max(days))


def purpose_state(
    policy: Policy, purpose: Purpose, facts: Mapping[str, Fact], standing: Standing, today: dt.date, extra: Period = NO_TIME
) -> PurposeState:
    """Return what one purpose is for one record on a day; `extra` is added to its period for a later step of a chain."""
    state = _own_state(policy, purpose, facts, today, extra)
    ended = _asked_to_end(policy.source, purpose, state, facts, standing, today)
    return _at_the_latest(state, extra.after(ended.on), ended.why, today) if ended is not None else state


def asks_for_an_end(policy: Policy, facts: Mapping[str, Fact], standing: Standing, today: dt.date) -> bool:
    """Whether the subject asked for the record's erasure, or for what ends a purpose that applies to it (also one that was over before)."""
    if standing.erasure is not None or not standing.ends_purposes:
        return standing.erasure is not None
    states = ((each, _own_state(policy, each, facts, today, NO_TIME)) for each in policy.purposes)
    return any(_asked_to_end(policy.source, each, state, facts, standing, today) is not None for each, state in states)


def _own_state(policy: Policy, purpose: Purpose, facts: Mapping[str, Fact], today: dt.date, extra: Period) -> PurposeState:
    """Return the state that the facts give a purpose, whatever anybody asked for.

    What certainly never applied is told before what nobody knows. A consent that was given after the purpose it extends had ended came too
    late: what is due is not revived.
    """
    applies = evaluate(purpose.when, facts) if purpose.when is not None else Truth.TRUE
    agreed = agreement(policy.source, purpose, facts)
    extended = _own_state(policy, policy.purpose(purpose.extends), facts, today, NO_TIME) if purpose.extends is not None else None
    if applies is Truth.FALSE:
        return NeverApplied("its condition is false")
    if isinstance(agreed, NotAgreed):
        return NeverApplied("its consent was not given")
    if isinstance(extended, NeverApplied):
        return NeverApplied(f"{purpose.extends}, which it extends, never applied")
    if applies is Truth.UNKNOWN:
        return Undetermined(f"its condition is unknown{_what_is_not_known(purpose.when, facts)}")
    if isinstance(agreed, Unknown):
        return Undetermined(agreed.why)
    if isinstance(extended, Undetermined):
        return Undetermined(f"{purpose.extends}, which it extends, is undetermined")
    end = _last_day(extended)
    if end is not None and agreed.on is not None and agreed.on > end:
        return NeverApplied(f"its consent was given after {purpose.extends}, which it extends, had ended")
    state = _by_period(purpose, facts, today, extra)
    if agreed.withdrawn is None or isinstance(state, NeverApplied):
        return state
    return _at_the_latest(state, extra.after(agreed.withdrawn), "its consent was withdrawn", today)


def _what_is_not_known(condition: Condition | None, facts: Mapping[str, Fact]) -> str:
    """Return the facts of a condition that nobody knows, each with the reason, so that whoever reads it knows where to look."""
    unknown = {name: fact.why for name in facts_of(condition) if isinstance(fact := facts.get(name), Unknown)}
    return "".join(f"{',' if number else ':'} {name}: {why}" for number, (name, why) in enumerate(unknown.items()))


def _last_day(state: PurposeState | None) -> dt.date | None:
    """Return the last day on which a purpose needs its fields, None when there is none or nobody knows."""
    return state.on if isinstance(state, Ended) else state.until if isinstance(state, Running) else None


def _at_the_latest(state: PurposeState, last: dt.date, why: str, today: dt.date) -> PurposeState:
    """Return the state of a purpose that ends on a day at the latest: nothing that ends it makes it last longer than its own period."""
    own = _last_day(state)
    if own is not None and own <= last:
        return state
    return Ended(last, why) if last < today else Running(last, why)


def _by_period(purpose: Purpose, facts: Mapping[str, Fact], today: dt.date, extra: Period) -> PurposeState:
    """Return the state that the purpose's own start event and period give it."""
    if purpose.start is None or purpose.term is None:
        return Running(None, "it has no end of its own")
    match start_of(purpose.start, facts):
        case Unknown(why):
            return Undetermined(why)
        case NotYet():
            return Running(None, "its start event has not happened yet", _waiting_since(purpose, facts, today))
        case NotApplicable():
            return NeverApplied("its start event does not apply")
        case Known(value):
            due = max(purpose.term.longer(extra).due(value), settled(purpose.start, facts)) if isinstance(value, dt.date) else NEVER
            return Ended(due, "its period is over") if due < today else Running(due, "its period runs")
        case other:
            assert_never(other)


def _waiting_since(purpose: Purpose, facts: Mapping[str, Fact], today: dt.date) -> dt.date | None:
    """Return the last known day of a start event that has not happened yet, when it may be waited for no longer from that day on."""
    if purpose.start is None or purpose.patience is None:
        return None
    stated = [facts[name] for name in (*purpose.start.facts, purpose.since) if name is not None]
    known = [found for fact in stated if isinstance(fact, Known) and (found := day(fact.value)) is not None]
    return max(known) if known and purpose.patience.due(max(known)) < today else None


def _contract_end(purpose: Purpose, facts: Mapping[str, Fact], today: dt.date) -> dt.date | None:
    """Return the past day on which the contract that a purpose rests on has ended (its start event), or None while it may still run."""
    if purpose.basis is not LegalBasis.CONTRACT or purpose.start is None:
        return None
    match start_of(purpose.start, facts):
        case Known(dt.date() as value) if (ended := max(value, settled(purpose.start, facts))) < today:
            return ended
        case _:
            return None


def _asked_to_end(
    source: Source, purpose: Purpose, state: PurposeState, facts: Mapping[str, Fact], standing: Standing, today: dt.date
) -> Ended | None:
    """Return the end that a request of the subject puts to a purpose in the state that the facts give it, or None.

    Erasure (GDPR 17) ends consent and legitimate-interest purposes, and contract purposes whose contract has ended, not before that day: a
    planned end lies ahead, so the contract still runs. Legal obligation, public task, vital interests and legal claims stay. Withdrawal
    (7(3)) ends what rests on the named consent unless that was given again since, an objection to direct marketing (21(3)) ends that, any
    other one that a person upheld (21(1), 17(1)(c)) what rests on legitimate interests or a public task, each on the day it was received.
    """
    if isinstance(state, NeverApplied) or not standing.requests:
        return None
    contract_end = None if isinstance(state, Undetermined) else _contract_end(purpose, facts, today)
    days: list[tuple[dt.date, str]] = []
    for request in standing.requests:
        match request.kind:
            case RequestKind.ERASE if request.verified and not purpose.legal_claim:
                if contract_end is not None:
                    days.append((max(request.received_on, contract_end), "the subject asked for erasure"))
                elif purpose.basis in (LegalBasis.CONSENT, LegalBasis.LEGITIMATE_INTERESTS):
                    days.append((request.received_on, "the subject asked for erasure"))
            case RequestKind.WITHDRAW if purpose.basis is LegalBasis.CONSENT and withdraws(request, source, purpose, facts):
                days.append((request.received_on, "its consent was withdrawn"))
            case RequestKind.OBJECT if request.marketing and purpose.marketing:
                days.append((request.received_on, "the subject objected to direct marketing"))
            case RequestKind.OBJECT if request.upheld and not purpose.legal_claim and purpose.basis in _OBJECTED_TO:
                days.append((request.received_on, "the subject's objection was upheld"))
            case _:
                pass
    return Ended(*min(days)) if days else None
