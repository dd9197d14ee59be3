"""What records of several sources say together: the latest day, whatever the order, and never less after a record is gone."""

from __future__ import annotations

import dataclasses
import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.oracle import possible
from tests.strategies import AMSTERDAM, KEYS, ORGANISATION, RULE, days, facts_for, policies, selects, todays
from worker.core.compiled import RowDecider, fact_columns
from worker.core.conditions import Compare, Condition, Either, Every, Negated, Op
from worker.core.decide import Kept, decide
from worker.core.facts import Empty, Fact, FieldType, Known, NotApplicable, NotYet, Reading, Unknown
from worker.core.model import Policy
from worker.core.select import due, undetermined, union
from worker.core.shared import NOTHING, Seen, fact_of, left_behind, says, seen, together
from worker.core.sources import Field, Member, SharedFact, Source
from worker.core.standing import NOTHING as NOTHING_STANDS
from worker.core.treatments import treater

TODAY = dt.date(2026, 6, 30)
SHARED = SharedFact(
    "last_contact",
    tuple(Member(name, name, (Field("on", "on", Reading(FieldType.DATE, Empty.UNKNOWN, AMSTERDAM)),), ()) for name in ("mails", "calls")),
    Empty.NOT_APPLICABLE,
)
said: st.SearchStrategy[tuple[Fact, int]] = st.tuples(
    st.one_of(days.map(Known), st.sampled_from((NotYet(), NotApplicable(), Unknown("empty"), Known("not a day")))), st.integers(0, 1)
)


def of(*facts: tuple[Fact, int]) -> Fact:
    """Return the shared fact of records that say these things."""
    return fact_of(SHARED, together(*(seen(fact, position) for fact, position in facts)))


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ([], NotApplicable()),
        ([NotApplicable()], NotApplicable()),
        ([Known(dt.date(2024, 2, 29)), NotApplicable(), Known(dt.date(2023, 1, 1))], Known(dt.date(2024, 2, 29))),
        ([Known(dt.date(2024, 2, 29)), NotYet()], NotYet()),
        ([Known(dt.date(2024, 2, 29)), NotYet(), Unknown("empty")], Unknown("a record of calls can't tell")),
    ],
)
def test_what_records_say_together(facts: list[Fact], expected: Fact) -> None:
    """The latest of those that apply; one that lies ahead waits, one that can't tell makes it unknown, none is as declared."""
    assert expected == of(*((fact, 1) for fact in facts))


@RULE
@given(st.lists(said, max_size=5), st.permutations(range(5)))
def test_never_earlier_than_any_member(facts: list[tuple[Fact, int]], order: list[int]) -> None:
    """Whenever it is known, it is not before the day of any record; neither order nor repetition changes it."""
    whole = of(*facts)
    mixed = [facts[place] for place in order if place < len(facts)]
    assert whole == of(*mixed, *facts)
    if isinstance(whole, Known):
        assert all(isinstance(fact, NotApplicable) or (isinstance(fact, Known) and fact.value <= whole.value) for fact, _ in facts)  # type: ignore[operator]


@RULE
@given(st.lists(said, min_size=1, max_size=4), st.integers(0, 3), st.dates(TODAY, dt.date(2030, 1, 1)))
def test_a_record_that_goes_leaves_its_day(facts: list[tuple[Fact, int]], gone: int, on: dt.date) -> None:
    """Disposing of any record never moves a known day back, and what could not be known counts as of the day the record went."""
    one = seen(*facts[gone % len(facts)])
    others = together(*(seen(*each) for number, each in enumerate(facts) if number != gone % len(facts)))
    before, after = together(one, others), together(left_behind(one, on), others)
    assert after.there
    assert after.day >= before.day
    if one.ahead or one.unsure:
        assert after.day >= on.toordinal()
    else:
        assert after == before


KIND = Field("kind", "kind", Reading(FieldType.TEXT, Empty.NOT_APPLICABLE, AMSTERDAM))
BY_US = Field("by_us", "by_us", Reading(FieldType.BOOLEAN, Empty.UNKNOWN, AMSTERDAM))
ON = Field("on", "on", Reading(FieldType.DATE, Empty.NOT_APPLICABLE, AMSTERDAM))
conditions: st.SearchStrategy[Condition] = st.recursive(
    st.sampled_from(
        (
            Compare("kind", Op.IN, ("personal", "reply")),
            Compare("kind", Op.EXISTS, (False,)),
            Compare("by_us", Op.EQ, (False,)),
            Compare("on", Op.GE, (dt.date(2024, 1, 1),)),
        )
    ),
    lambda parts: st.one_of(
        parts.map(Negated),
        st.lists(parts, min_size=1, max_size=2).map(tuple).map(Every),
        st.lists(parts, min_size=1, max_size=2).map(tuple).map(Either),
    ),
    max_leaves=4,
)
rows = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(("personal", "reply", "bulk", "", None)),
        "by_us": st.sampled_from((True, False, None)),
        "on": st.sampled_from(("2024-02-29", "2023-05-01", "2020-01-01", "", "the other day")),
    }
)


@RULE
@given(conditions, st.lists(rows, max_size=4), st.sampled_from(Empty))
def test_only_records_count_for_which_the_condition_is_true(when: Condition, records: list[dict[str, object]], none: Empty) -> None:
    """As if the others were not there; and unknown when nobody can tell whether a record is one of them."""
    member = Member("mails", "mails", (ON,), (), when, (KIND, BY_US, ON))
    shared = SharedFact("last_contact", (member,), none)
    counted: list[Fact] = []
    for each in records:
        stated = {field.name: field.reading.fact(each[field.name], TODAY) for field in member.facts}  # type: ignore[arg-type]
        truths = possible(when, stated)
        counted += [] if truths == {False} else [stated["on"] if truths == {True} else Unknown("who knows")]
    known = [fact.value for fact in counted if isinstance(fact, Known)]
    fact = fact_of(shared, together(*(says(member, 0, each, TODAY)["on"] for each in records)))  # type: ignore[arg-type]
    if any(isinstance(each, Unknown) for each in counted):
        assert Unknown("a record of mails can't tell") == fact
    elif counted:
        assert fact == (Known(max(known)) if known else NotApplicable())  # type: ignore[type-var]
    else:
        assert fact_of(shared, NOTHING) == fact


def test_what_did_not_count_leaves_no_day() -> None:
    """A bulk mail that is disposed of says as little afterwards as before; one of which nobody knows what it was counts until that day."""
    member = Member("mails", "mails", (ON,), (), Compare("by_us", Op.EQ, (False,)), (BY_US,))
    left = [left_behind(says(member, 0, {"by_us": by_us, "on": "2024-02-29"}, TODAY)["on"], TODAY) for by_us in (True, False, None)]
    assert [NOTHING, Seen(1, dt.date(2024, 2, 29).toordinal()), Seen(1, TODAY.toordinal())] == left


def test_no_record_is_not_an_empty_record() -> None:
    """Nothing at all is what the policy declares; a record without an event is *not applicable*."""
    unknown = dataclasses.replace(SHARED, none=Empty.UNKNOWN)
    assert Unknown("no source has a record of it") == fact_of(unknown, NOTHING)
    assert NotApplicable() == fact_of(unknown, Seen(1))
    assert NotYet() == fact_of(dataclasses.replace(SHARED, none=Empty.NOT_YET), NOTHING)


def _shares(policy: Policy, name: str) -> Policy:
    """Return a policy of which one day fact lies in several sources and no longer in the source itself."""
    source = policy.source
    empty = source.field(name).reading.empty
    day = Field("on", "on", dataclasses.replace(source.field(name).reading, type=FieldType.DATE))
    fields = tuple(each for each in source.fields if each.name != name)
    shared = SharedFact(name, (Member("mails", "mails", (day,), ()),), empty)
    return dataclasses.replace(policy, source=dataclasses.replace(source, fields=fields, shared=(shared,)))


@RULE
@given(st.data(), policies(), todays)
def test_selections_never_miss_it(data: st.DataObject, drawn: Policy, today: dt.date) -> None:
    """A system can't see the fact: what depends on it is asked for whole, so everything that is due or undetermined is found."""
    facts = data.draw(facts_for(drawn, today))
    policy = _shares(drawn, "quoted_on")
    decision = decide(facts, policy, NOTHING_STANDS, today)
    if not isinstance(decision.outcome, Kept) or decision.undetermined:
        asked = union(due(policy, today), undetermined(policy, today))
        assert selects(asked, _visible(facts, policy.source), ("name", "email", "phone", "ip"))


def _visible(facts: dict[str, Fact], source: Source) -> dict[str, Fact]:
    """Return the facts that a connector could look at."""
    return {name: fact for name, fact in facts.items() if source.shared_fact(name) is None}


@RULE
@given(st.data(), policies(), todays)
def test_the_compiled_decider_takes_it_as_gathered(data: st.DataObject, drawn: Policy, today: dt.date) -> None:
    """In the hot loop a gathered fact decides as in `decide`; a row without one is unknown and keeps its record."""
    policy = _shares(drawn, "quoted_on")
    if "quoted_on" not in policy.deciding:
        return
    fact = data.draw(facts_for(drawn, today))["quoted_on"]
    columns = ("id", *dict.fromkeys((*fact_columns(policy), *policy.deciding)))
    decider = RowDecider(policy, today, columns, {field.name: treater(field, ORGANISATION, KEYS) for field in policy.treatable})
    row = [None if name != "quoted_on" else fact for name in columns]
    assert fact == decider.facts(row)["quoted_on"]
    assert decide(decider.facts(row), policy, NOTHING_STANDS, today, untreated=decider.untreated(row)) == decider.decide(row)
    assert Unknown("not gathered") == decider.facts([None for _ in columns])["quoted_on"]
