"""The decision: which purposes still need which fields of one record, and what happens to what nobody needs.

`decide` is pure and total, and the only place that decides. Push-down selections, the compiled decider, dry runs and explanations are
optimisations or views of it. It goes in two steps that can be read apart:

1. `purpose_state` (`worker.core.purposes`) - a purpose is, for one record, *running*, *ended on a day*, *never applied* or *undetermined*.
2. `conclude` - a field is due only if at least one purpose that lists it has ended and none is running or undetermined; the record's
   disposition applies when every personal field is due. "The longest wins" and "only the fields nobody needs" follow without priorities.

A field that no purpose lists, or for which every purpose never applied, is uncovered: kept and reported.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from worker.core.conditions import Truth, evaluate
from worker.core.facts import Fact, Known
from worker.core.model import Disposition, DispositionKind, Policy, Step, day
from worker.core.periods import NO_TIME, Period
from worker.core.purposes import NOT_IN_FORCE, Ended, NeverApplied, PurposeState, Running, Undetermined, asks_for_an_end, purpose_state
from worker.core.sources import ANSWERED
from worker.core.standing import NOTHING, RequestKind, Standing


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
    """Something is due, but nobody can tell what may be done about it; the record is kept and reported."""

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
            return (NOT_IN_FORCE,) * len(policy.purposes)
        return tuple(purpose_state(policy, each, facts, standing, today, extra) for each in policy.purposes)

    chosen = choose(policy.dispositions, facts)
    # Whoever asked for an end since then does not have to wait for the day that was named before; to ask for the end of something else,
    # such as the newsletter, takes nothing back of what a person decided about this record.
    answer = None if asks_for_an_end(policy, facts, standing, today) else facts.get(ANSWERED)
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
    Nor is any field of it treated before that: what a purpose needs again, by a policy or facts that changed, is no reason to go sooner.
    """
    reviewed = not isinstance(chosen, str) and any(step.kind is DispositionKind.REVIEW for step in chosen.steps)
    match outcome, answered:
        case ((Due(DispositionKind.REVIEW | DispositionKind.DELETE) | Waiting()), dt.date()) if reviewed:
            last = max(outcome.due, answered)
            return Due(DispositionKind.REVIEW, (), last) if last < today else Kept()
        case Partly(fields, due), dt.date() if reviewed:
            last = max(due, answered)
            return Partly(fields, last) if last < today else Kept()
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
