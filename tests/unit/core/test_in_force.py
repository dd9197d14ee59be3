"""A policy decides nothing before the day on which it comes into force."""

import datetime as dt
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import RULE, facts_for, plain_policy, policies, standings
from worker.core.decide import Kept, decide
from worker.core.model import Policy
from worker.core.purposes import Running
from worker.core.select import NOTHING, due, undetermined
from worker.core.sources import Source
from worker.core.standing import Standing

DAY = dt.date(2026, 1, 1)


@RULE
@given(st.data(), policies(), standings, st.integers(-800, 800))
def test_from_its_day_on(data: st.DataObject, policy: Policy, standing: Standing, offset: int) -> None:
    """Before its day every purpose is running, whatever was asked for, and the source is asked nothing; from then on it decides."""
    today = DAY + dt.timedelta(days=offset)
    always, since = (replace(policy, effective=each) for each in (None, DAY))
    facts = data.draw(facts_for(policy, today))
    decision = decide(facts, since, standing, today)
    if offset >= 0:
        assert decide(facts, always, standing, today) == decision
        assert (due(always, today), undetermined(always, today)) == (due(since, today), undetermined(since, today))
        return
    assert Kept() == decision.outcome
    assert {Running(None, "the policy is not in force yet")} == set(decision.purposes)
    assert () == decision.undetermined
    assert (NOTHING, NOTHING) == (due(since, today), undetermined(since, today))


def test_the_first_day() -> None:
    """The day itself counts; a policy without one is always in force."""
    policy = plain_policy(source=Source("s", "crm", "t", ("id",), ()))
    since = replace(policy, effective=DAY)
    assert [False, True] == [since.in_force(each) for each in (DAY - dt.timedelta(days=1), DAY)]
    assert policy.in_force(dt.date.min)
