"""A policy decides nothing before the day on which it comes into force."""

import datetime as dt
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import RULE, facts_for, policies, standings
from worker.core.decide import Kept, Running, decide
from worker.core.model import Policy
from worker.core.select import NOTHING, due, undetermined
from worker.core.standing import Standing

DAY = dt.date(2026, 1, 1)


@RULE
@given(st.data(), policies(), standings, st.integers(1, 800))
def test_before_its_day(data: st.DataObject, policy: Policy, standing: Standing, before: int) -> None:
    """Every purpose is running, whatever is known or was asked for; nothing is asked of the source."""
    policy = replace(policy, effective=DAY)
    today = DAY - dt.timedelta(days=before)
    decision = decide(data.draw(facts_for(policy, today)), policy, standing, today)
    assert Kept() == decision.outcome
    assert {Running(None, "the policy is not in force yet")} == set(decision.purposes)
    assert () == decision.undetermined
    assert (NOTHING, NOTHING) == (due(policy, today), undetermined(policy, today))


@RULE
@given(st.data(), policies(), standings, st.integers(0, 800))
def test_from_its_day_on(data: st.DataObject, policy: Policy, standing: Standing, after: int) -> None:
    """On its day and later it decides what it would decide if it had always been in force."""
    today = DAY + dt.timedelta(days=after)
    always, since = (replace(policy, effective=each) for each in (None, DAY))
    facts = data.draw(facts_for(policy, today))
    assert decide(facts, always, standing, today) == decide(facts, since, standing, today)
    assert (due(always, today), undetermined(always, today)) == (due(since, today), undetermined(since, today))
