"""The decision: which purposes still need which fields of one record, and what happens to what nobody needs.

`decide` is pure and total, and the only place that decides. Push-down selections, the compiled decider, dry runs and explanations are
optimisations or views of it. It goes in two steps that can be read apart:

1. `purpose_state` - a purpose is, for one record, *running*, *ended on a day*, *never applied* or *undetermined*.
2. `conclude` - a field is due only if at least one purpose that lists it has ended and none is running or undetermined; the record's
   disposition applies when every personal field is due. "The longest wins" and "only the fields nobody needs" follow without priorities.

A field that no purpose lists, or for which every purpose never applied, is uncovered: kept and reported.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, assert_never

from worker.core.conditions import Truth, evaluate
from worker.core.consents import NotAgreed, agreement, withdraws
from worker.core.facts import Fact, Known, NotApplicable, NotYet, Unknown
from worker.core.model import (
    ANSWERED,
    Combine,
    Disposition,
    DispositionKind,
    LegalBasis,
    Policy,
    Purpose,
    Source,
    StartEvent,
    StateEnd,
    Step,
    day,
)
from worker.core.periods import NEVER, NO_TIME, Period
from worker.core.standing import NOTHING, RequestKind, Standing
from worker.core.states import settled, state_end

# --- The state of one purpose ---------------------------------------------------------------------------------------------------------


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

_NOT_IN_FORCE = Running(None, "the policy is not in force yet")


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
    if isinstance(state, NeverApplied):
        return state
    contract_end = None if isinstance(state, Undetermined) else _contract_end(purpose, facts, today)
    ended = _by_request(policy.source, purpose, facts, contract_end, standing)
    return _at_the_latest(state, extra.after(ended.on), ended.why, today) if ended is not None else state


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
        return Undetermined("its condition is unknown")
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


def _by_request(
    source: Source, purpose: Purpose, facts: Mapping[str, Fact], contract_end: dt.date | None, standing: Standing
) -> Ended | None:
    """Return the end that a request of the subject puts to a purpose, or None.

    Erasure (GDPR 17) ends consent and legitimate-interest purposes, and contract purposes whose contract has ended, not before that day: a
    planned end lies ahead, so the contract still runs. Legal obligation, public task, vital interests and legal claims stay. Withdrawal
    (7(3)) ends what rests on the named consent unless that was given again since, an objection to direct marketing (21(3)) ends that, any
    other one that a person upheld (21(1), 17(1)(c)) what rests on legitimate interests or a public task, each on the day it was received.
    """
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


# --- What follows for the record ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Kept:
    """Nothing of the record is due, or what is due was treated before."""


@dataclass(frozen=True, slots=True)
class Partly:
    """Some fields are due and get their treatments; the record stays. `due` is the latest due day among them."""

    fields: tuple[str, ...]
    due: dt.date


@dataclass(frozen=True, slots=True)
class Due:
    """The whole record is due; `fields` are those a pseudonymising step treats, and empty for deletion and review."""

    kind: DispositionKind
    fields: tuple[str, ...]
    due: dt.date


@dataclass(frozen=True, slots=True)
class Waiting:
    """The record is due for deletion but rows that go with it, or that keep it, are not; `relations` names them."""

    relations: tuple[str, ...]
    due: dt.date


@dataclass(frozen=True, slots=True)
class Undecided:
    """Every field is due, but no disposition can be chosen; the record is kept and reported."""

    why: str
    due: dt.date


@dataclass(frozen=True, slots=True)
class Held:
    """Holds or a restriction suspend what would have happened."""

    by: tuple[str, ...]
    instead_of: Partly | Due | Waiting


Outcome = Kept | Partly | Due | Waiting | Undecided | Held


@dataclass(frozen=True, slots=True)
class Decision:
    """What is decided for one record, with its reasons.

    purposes -- one state per purpose of the policy, in order; undetermined -- the ids of purposes that an unknown fact left open;
    uncovered -- the personal fields that no purpose covers; waiting -- the ids of purposes that have waited for their start event for too
    long, none while a person's answer to that stands; waited_through -- the last day on which nobody had to look at the record for them.
    """

    outcome: Outcome
    purposes: tuple[PurposeState, ...]
    undetermined: tuple[str, ...] = ()
    uncovered: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()
    waited_through: dt.date | None = None


def decide(
    facts: Mapping[str, Fact],
    policy: Policy,
    standing: Standing,
    today: dt.date,
    *,
    untreated: frozenset[str] | None = None,
    blocking: tuple[str, ...] = (),
) -> Decision:
    """Decide about one record on a local day of the organisation.

    facts -- every name in `policy.deciding` (a review without answer may be left out); untreated -- the personal fields that still hold
    something to treat (None: all of them); blocking -- relations with rows that keep the record from being deleted. Before the policy is
    in force every purpose is running, whatever was requested.
    """
    if not policy.source.controller:
        standing = Standing(standing.holds, tuple(each for each in standing.requests if each.kind is RequestKind.RESTRICT))

    def states(extra: Period) -> tuple[PurposeState, ...]:
        if not policy.in_force(today):
            return (_NOT_IN_FORCE,) * len(policy.purposes)
        return tuple(purpose_state(policy, each, facts, standing, today, extra) for each in policy.purposes)

    chosen = choose(policy.dispositions, facts)
    # Whoever asked for an end since then does not have to wait for the day that was named before.
    answer = None if standing.ends_purposes else facts.get(ANSWERED)
    answered = day(answer.value) if isinstance(answer, Known) else None
    now = states(NO_TIME)
    return conclude(policy, now, chosen, standing, today, untreated=untreated, blocking=blocking, later=states, answered=answered)


def choose(dispositions: Sequence[Disposition], facts: Mapping[str, Fact]) -> Disposition | str:
    """Return the first disposition whose condition is true; a text says why there is none. An unknown condition stops the reading."""
    for disposition in dispositions:
        truth = evaluate(disposition.when, facts) if disposition.when is not None else Truth.TRUE
        if truth is Truth.TRUE:
            return disposition
        if truth is Truth.UNKNOWN:
            return "a disposition's condition is unknown"
    return "no disposition matches"


def conclude(
    policy: Policy,
    states: tuple[PurposeState, ...],
    chosen: Disposition | str,
    standing: Standing,
    today: dt.date,
    *,
    untreated: frozenset[str] | None,
    blocking: tuple[str, ...],
    later: LaterStates,
    answered: dt.date | None,
) -> Decision:
    """Return what the purposes' states mean for the record; see `decide`.

    later -- gives the states with a longer period, for chains; answered -- the day through which a person's answer to a review counts.
    """
    due, uncovered = due_fields(policy, states)
    named = [(purpose.id, state) for purpose, state in zip(policy.purposes, states, strict=True)]
    undetermined = tuple(name for name, state in named if isinstance(state, Undetermined))
    outcome = _after_answer(_outcome(policy, due, chosen, untreated, blocking, later), chosen, answered, today)
    suspended = standing.suspending
    if suspended and isinstance(outcome, Partly | Due | Waiting):
        outcome = Held(suspended, outcome)
    return Decision(outcome, states, undetermined, uncovered, *_waiting(policy, states, answered, today))


def _waiting(
    policy: Policy, states: Sequence[PurposeState], answered: dt.date | None, today: dt.date
) -> tuple[tuple[str, ...], dt.date | None]:
    """Return the purposes that have waited too long, and the last day on which nobody had to look: that of an answer when it is later."""
    ends = {
        purpose.id: purpose.patience.due(state.waiting_since)
        for purpose, state in zip(policy.purposes, states, strict=True)
        if isinstance(state, Running) and state.waiting_since is not None and purpose.patience is not None
    }
    last = max(min(ends.values()), answered or dt.date.min) if ends else today
    return (tuple(ends), last) if last < today else ((), None)


class LaterStates(Protocol):
    """The type of `later`: from an extra period to the purposes' states."""

    def __call__(self, extra: Period, /) -> tuple[PurposeState, ...]:
        """Return one state per purpose with `extra` added to every period."""
        ...  # pragma: no cover


def due_fields(policy: Policy, states: Sequence[PurposeState]) -> tuple[dict[str, dt.date], tuple[str, ...]]:
    """Return the due day of every personal field that is due, and the fields that no purpose covers."""
    due: dict[str, dt.date] = {}
    uncovered: list[str] = []
    for name, positions in policy.purposes_of.items():
        concerned = [states[position] for position in positions]
        ends = [state.on for state in concerned if isinstance(state, Ended)]
        if all(isinstance(state, NeverApplied) for state in concerned):
            uncovered.append(name)
        elif ends and not any(isinstance(state, Running | Undetermined) for state in concerned):
            due[name] = max(ends)
    if due and len(due) == len(policy.purposes_of):
        latest = max(due.values())
        due.update({each.name: latest for each in policy.source.personal if each.follows_record})
    return due, tuple(uncovered)


def _outcome(
    policy: Policy,
    due: Mapping[str, dt.date],
    chosen: Disposition | str,
    untreated: frozenset[str] | None,
    blocking: tuple[str, ...],
    later: LaterStates,
) -> Kept | Partly | Due | Waiting | Undecided:
    """Return what happens to the record when no hold suspends it."""
    if not due:
        return Kept()
    left = tuple(each.name for each in policy.treatable if each.name in due and (untreated is None or each.name in untreated))
    if len(due) < len(policy.source.personal):
        return Partly(left, max(due[name] for name in left)) if left else Kept()
    latest = max(due.values())
    if isinstance(chosen, str):
        return Undecided(chosen, latest)
    step, latest = _last_due_step(policy, chosen, latest, later)
    match step.kind if step is not None else None:
        case None:
            return Kept()
        case DispositionKind.DELETE:
            return Waiting(blocking, latest) if blocking else Due(DispositionKind.DELETE, (), latest)
        case DispositionKind.PSEUDONYMISE:
            return Due(DispositionKind.PSEUDONYMISE, left, latest) if left else Kept()
        case DispositionKind.REVIEW:
            return Due(DispositionKind.REVIEW, (), latest)


def _after_answer(outcome: Outcome, chosen: Disposition | str, answered: dt.date | None, today: dt.date) -> Outcome:
    """Return what happens when a person has answered the record's review.

    It is kept through the day they named and is then due for review again, also where its chain goes on to delete what nobody reviewed.
    """
    reviewed = not isinstance(chosen, str) and any(step.kind is DispositionKind.REVIEW for step in chosen.steps)
    match outcome, answered:
        case ((Due(DispositionKind.REVIEW | DispositionKind.DELETE) | Waiting()), dt.date()) if reviewed:
            last = max(outcome.due, answered)
            return Due(DispositionKind.REVIEW, (), last) if last < today else Kept()
        case _:
            return outcome


def _last_due_step(policy: Policy, chosen: Disposition, latest: dt.date, later: LaterStates) -> tuple[Step | None, dt.date]:
    """Return the last step of a chain whose own due day has passed, with that day; every step counts from the original start event."""
    found: Step | None = None
    for step in chosen.steps:
        if step.after == NO_TIME:
            found = step
            continue
        due, _ = due_fields(policy, later(step.after))
        if len(due) == len(policy.source.personal):
            found, latest = step, max(due.values())
    return found, latest


def deadline(policy: Policy, due: dt.date, standing: Standing = NOTHING) -> dt.date:
    """Return the day by which a due disposition must be carried out: due day plus window, later after the release of a hold."""
    released = [hold.released_on for hold in standing.holds if hold.released_on is not None]
    return max([policy.window.after(due), *(policy.window.after(each) for each in released)])
