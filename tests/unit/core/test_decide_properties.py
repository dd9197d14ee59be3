"""What holds for every decision: the calendar walked day by day says the same, holds win, nothing is due sooner than it was."""

import datetime as dt
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests import oracle
from tests.strategies import (
    RULE,
    blocking_relations,
    facts_for,
    policies,
    purposes,
    standings,
    todays,
    untreated_fields,
    waiting_records,
)
from tests.thoroughness import examples
from worker.core.decide import Decision, Due, Held, Kept, Outcome, Partly, Undecided, Waiting, decide
from worker.core.facts import Fact
from worker.core.model import Policy, Purpose
from worker.core.purposes import Ended, NeverApplied, Running
from worker.core.standing import NOTHING, Hold, HoldKind, RequestKind, Standing


def plain(found: Outcome) -> tuple[Any, ...]:
    """Return an outcome in the oracle's words."""
    match found:
        case Kept():
            return ("kept",)
        case Partly(fields, due):
            return ("partly", fields, due)
        case Due(kind, fields, due):
            return ("due", kind.value, fields, due)
        case Waiting(relations, due):
            return ("waiting", relations, due)
        case Undecided(_, due):
            return ("undecided", due)
        case Held(by, instead_of):
            return ("held", set(by), plain(instead_of))


def state_of(state: object) -> oracle.State:
    """Return a purpose's state in the oracle's words."""
    match state:
        case Running(until):
            return "running", until
        case Ended(on):
            return "ended", on
        case NeverApplied():
            return "never applied", None
        case _:
            return "undetermined", None


@settings(RULE, max_examples=examples(60))
@given(st.data(), policies(), todays, standings, untreated_fields, blocking_relations)
def test_agrees_with_the_calendar_walked_day_by_day(
    data: st.DataObject,
    policy: Policy,
    today: dt.date,
    standing: Standing,
    untreated: frozenset[str] | None,
    blocking: tuple[str, ...],
) -> None:
    """Two implementations of the promises, one of them slow and naive, give one answer; so nothing is ever decided early."""
    facts = data.draw(facts_for(policy, today))
    decision = decide(facts, policy, standing, today, untreated=untreated, blocking=blocking)
    expected, states, uncovered = oracle.decide(facts, policy, standing, today, untreated, blocking)
    assert states == [state_of(each) for each in decision.purposes]
    assert expected == plain(decision.outcome)
    assert uncovered == decision.uncovered
    named = list(zip(policy.purposes, states, strict=True))
    assert tuple(each.id for each, (word, _) in named if word == "undetermined") == decision.undetermined
    assert oracle.waiting(policy, facts, states, standing, today) == (decision.waiting, decision.waited_through)


@settings(RULE)
@given(waiting_records(), st.one_of(st.just(NOTHING), standings))
def test_waiting_agrees_with_the_calendar_walked_day_by_day(case: tuple[Policy, dict[str, Fact], dt.date], standing: Standing) -> None:
    """Who waits for too long, from which day on, and how an answer quiets it: two implementations give one answer."""
    policy, facts, today = case
    decision = decide(facts, policy, standing, today)
    states = [state_of(each) for each in decision.purposes]
    assert oracle.waiting(policy, facts, states, standing, today) == (decision.waiting, decision.waited_through)


def acts(decision: Decision) -> bool:
    """Whether something would be written."""
    return isinstance(decision.outcome, Partly | Due)


@settings(RULE)
@given(st.data(), policies(), todays, standings, st.sampled_from([HoldKind.LEGAL, HoldKind.DISPUTE]))
def test_a_legal_hold_always_wins(data: st.DataObject, policy: Policy, today: dt.date, standing: Standing, kind: HoldKind) -> None:
    """With a legal or dispute hold in force nothing is ever acted on, whatever else stands."""
    facts = data.draw(facts_for(policy, today))
    held = Standing((*standing.holds, Hold("legal", kind)), standing.requests)
    assert not acts(decide(facts, policy, held, today))


def due_days(found: Outcome) -> dict[str, dt.date]:
    """Return the fields that an outcome acts on, with its due day; a whole record under an empty name."""
    match found:
        case Partly(fields, due):
            return dict.fromkeys(fields, due)
        case Due(_, _, due) | Waiting(_, due) | Undecided(_, due):
            return {"": due}
        case _:
            return {}


@settings(RULE)
@given(st.data(), policies(), purposes("added"), todays)
def test_a_purpose_more_never_makes_sooner(data: st.DataObject, policy: Policy, added: Purpose, today: dt.date) -> None:
    """Adding a purpose to fields of which each has an ended one never makes anything due, or due sooner."""
    longer = replace(policy, purposes=(*policy.purposes, added))
    facts = data.draw(facts_for(longer, today))
    before, after = decide(facts, policy, NOTHING, today), decide(facts, longer, NOTHING, today)
    ended = {
        name
        for name, positions in policy.purposes_of.items()
        if any(isinstance(before.purposes[position], Ended) for position in positions)
    }
    if not set(added.fields) <= ended:
        return
    was, now = due_days(before.outcome), due_days(after.outcome)
    if "" in now:
        assert "" in was
        assert now[""] >= was[""]
    elif "" not in was:
        assert set(now) <= set(was)


@settings(RULE)
@given(st.data(), policies(), todays, standings)
def test_the_order_of_purposes_does_not_matter(data: st.DataObject, policy: Policy, today: dt.date, standing: Standing) -> None:
    """There are no priorities: the same purposes in any order decide the same."""
    facts = data.draw(facts_for(policy, today))
    order = data.draw(st.permutations(policy.purposes))
    shuffled = replace(policy, purposes=tuple(order))
    first, second = decide(facts, policy, standing, today), decide(facts, shuffled, standing, today)
    assert (first.outcome, first.uncovered, set(first.undetermined)) == (second.outcome, second.uncovered, set(second.undetermined))


@settings(RULE)
@given(st.data(), policies(), todays, standings)
def test_once_due_stays_due(data: st.DataObject, policy: Policy, today: dt.date, standing: Standing) -> None:
    """What has ended stays ended on the same day as time goes on: nothing comes due and is then forgotten."""
    facts = data.draw(facts_for(policy, today))
    later = today + dt.timedelta(days=data.draw(st.integers(1, 800)))
    for before, after in zip(decide(facts, policy, standing, today).purposes, decide(facts, policy, standing, later).purposes, strict=True):
        if isinstance(before, Ended) and not any(request.kind is RequestKind.ERASE for request in standing.requests):
            assert before == after
