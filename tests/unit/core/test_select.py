"""What a source is asked for: never less than what `decide` acts on or reports."""

import datetime as dt
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.strategies import (
    AMSTERDAM,
    RULE,
    blocking_relations,
    facts_for,
    plain_policy,
    policies,
    selects,
    todays,
    untreated_fields,
    waiting_records,
)
from tests.thoroughness import examples
from worker.core.conditions import Compare, Condition, Negated, Op
from worker.core.decide import Due, Held, Kept, Partly, Undecided, Waiting, decide
from worker.core.facts import Empty, Fact, FieldType, Known, NotApplicable, NotYet, Reading, Unknown
from worker.core.model import Combine, DispositionKind, LegalBasis, Policy, Purpose, StartEvent, Step
from worker.core.periods import Period, Term
from worker.core.purposes import Ended
from worker.core.select import EVERYTHING, NOTHING, Compares, Holding, Intersection, OnOrBefore, due, reading, undetermined, union
from worker.core.sources import ANSWERED, Aggregate, Field, Function, Mark, Source, Treatment, TreatmentKind
from worker.core.standing import NOTHING as NOTHING_STANDS
from worker.core.standing import Hold, HoldKind, Standing

TODAY = dt.date(2026, 7, 1)
_DATE = Reading(FieldType.DATE, Empty.NOT_APPLICABLE, AMSTERDAM)
SOURCE = Source(
    "contacts",
    "crm",
    "contacts",
    ("id",),
    (
        Field("left_on", "left_on", _DATE),
        Field("quoted_on", "quoted_on", Reading(FieldType.DATE, Empty.UNKNOWN, AMSTERDAM)),
        Field("name", "name", _DATE, personal=True, treatment=Treatment(TreatmentKind.CLEAR)),
    ),
)
_TWO_YEARS = Term(Period.parse("P2Y"))
_FIELDS = ("name", "email", "phone", "ip")


def purpose(when: Condition | None = None) -> Purpose:
    """Return a purpose that keeps a name two years."""
    return Purpose("p", LegalBasis.CONTRACT, ("name",), StartEvent(("left_on",)), _TWO_YEARS, when)


def test_one_comparison() -> None:
    """The common policy is one comparison with a constant: the cutoff."""
    assert OnOrBefore("left_on", dt.date(2024, 6, 30)) == due(plain_policy(purpose(), source=SOURCE), TODAY)


def test_what_was_treated_is_left_out() -> None:
    """A policy that pseudonymises asks only for what still holds something."""
    policy = plain_policy(purpose(), source=SOURCE, steps=(Step(DispositionKind.PSEUDONYMISE),))
    assert Intersection((OnOrBefore("left_on", dt.date(2024, 6, 30)), Holding("name"))) == due(policy, TODAY)


def test_a_chain_counts_from_the_start() -> None:
    """The later step has its own cutoff, from the sum of the periods."""
    steps = (Step(DispositionKind.PSEUDONYMISE), Step(DispositionKind.DELETE, Period(years=1)))
    selection = due(plain_policy(purpose(), source=SOURCE, steps=steps), TODAY)
    facts: dict[str, Fact] = {"left_on": Known(dt.date(2023, 6, 30))}
    assert [True, False] == [selects(selection, facts | {"left_on": Known(day)}, ()) for day in (dt.date(2023, 6, 30), dt.date(2023, 7, 1))]
    assert selects(selection, {"left_on": Known(dt.date(2024, 6, 30))}, ("name",))


@pytest.mark.parametrize("wanted", [True, False])
@pytest.mark.parametrize("fact", [Known(dt.date(2020, 1, 1)), NotApplicable(), NotYet()])
def test_existence(wanted: bool, fact: Fact) -> None:
    """Asking that a fact is there, or that it is not, directly or by a negation, selects the records for which that holds."""
    for asked in (Compare("left_on", Op.EXISTS, (wanted,)), Negated(Compare("left_on", Op.EXISTS, (not wanted,)))):
        held = Purpose("p", LegalBasis.CONTRACT, ("name",), StartEvent(("quoted_on",)), _TWO_YEARS, asked)
        selection = due(plain_policy(held, source=SOURCE), TODAY)
        facts = {"left_on": fact, "quoted_on": Known(dt.date(2010, 1, 1))}
        assert (isinstance(fact, Known) is wanted) == selects(selection, facts, ())


def test_comparisons_of_existence_ask_for_presence() -> None:
    """A comparison in a selection is true of facts that are there, so absence has its own word."""
    asked = Negated(Compare("left_on", Op.EXISTS, (False,)))
    policy = plain_policy(Purpose("p", LegalBasis.CONTRACT, ("name",), StartEvent(("left_on",)), _TWO_YEARS, asked), source=SOURCE)
    assert Compares(Compare("left_on", Op.EXISTS, (True,))) in due(policy, TODAY).of  # type: ignore[union-attr]


def test_a_mark_is_nothing_to_ask_a_system_for() -> None:
    """No connector sees a mark, so what depends on one is selected whatever it says, and what does not is asked for as always."""
    source = replace(SOURCE, marks=(Mark("ended", "relation-ended", _DATE),))
    marked = Purpose("p", LegalBasis.CONTRACT, ("name",), StartEvent(("ended",)), _TWO_YEARS)
    assert EVERYTHING == due(plain_policy(marked, source=source), TODAY)
    both = Purpose("p", LegalBasis.CONTRACT, ("name",), StartEvent(("quoted_on", "ended"), Combine.ALL_OF), _TWO_YEARS)
    assert OnOrBefore("quoted_on", dt.date(2024, 6, 30)) == due(plain_policy(both, source=source), TODAY)


def test_nothing_can_be_due() -> None:
    """Where the calendar has no day that is old enough, and where no purpose has a period, nothing is asked for."""
    endless = Purpose("p", LegalBasis.CONSENT, ("name",))
    old = Purpose("p", LegalBasis.CONSENT, ("name",), StartEvent(("left_on",)), Term(Period.parse("P9999Y")))
    assert [NOTHING, NOTHING] == [due(plain_policy(each, source=SOURCE), TODAY) for each in (endless, old)]


def test_union_and_readings() -> None:
    """A union with everything is everything; counts and existence have no reading."""
    assert EVERYTHING == union(NOTHING, EVERYTHING)
    assert _DATE == reading(SOURCE, "left_on")
    counted = Aggregate("invoice_count", "invoices", Function.COUNT)
    assert reading(Source("contacts", "crm", "contacts", ("id",), (), (counted,)), "invoice_count") is None


@settings(RULE, max_examples=examples(60))
@given(st.data(), policies(), todays, untreated_fields, blocking_relations, st.booleans())
def test_never_misses(
    data: st.DataObject, policy: Policy, today: dt.date, untreated: frozenset[str] | None, blocking: tuple[str, ...], held: bool
) -> None:
    """`due` selects all that would be acted on, waits or is held, `undetermined` all that must be looked at; both read narrowly."""
    facts = data.draw(facts_for(policy, today))
    if policy.only_deletes:
        untreated = None
    standing = Standing((Hold("h", HoldKind.LEGAL),)) if held else NOTHING_STANDS
    decision = decide(facts, policy, standing, today, untreated=untreated, blocking=blocking)
    holding = _FIELDS if untreated is None else untreated
    if isinstance(decision.outcome, Partly | Due | Waiting | Held):
        assert selects(due(policy, today), facts, holding)
    elif isinstance(decision.outcome, Undecided):
        steps = [step for disposition in policy.dispositions for step in disposition.steps]
        if any(step == Step(step.kind) and step.kind is not DispositionKind.PSEUDONYMISE for step in steps):
            assert selects(due(policy, today), facts, holding)
    listed = {name for each in policy.purposes for name in each.fields}
    if decision.undetermined or decision.waiting or set(decision.uncovered) & listed:
        assert selects(undetermined(policy, today), facts, holding)


@settings(RULE)
@given(waiting_records())
def test_never_misses_what_waits(case: tuple[Policy, dict[str, Fact], dt.date]) -> None:
    """What waits for an event longer than it may is selected, and only a policy in which that can be asks people for answers."""
    policy, facts, today = case
    if decide(facts, policy, NOTHING_STANDS, today).waiting:
        assert policy.waits
        assert ANSWERED in policy.outside
        assert selects(undetermined(policy, today), facts, _FIELDS)


@settings(RULE)
@given(st.data(), policies(), todays)
def test_asks_for_no_more_than_it_must(data: st.DataObject, policy: Policy, today: dt.date) -> None:
    """Without conditions, and with every fact known or still to come, what is selected has at least one field that is due."""
    bare = plain_policy(
        *(Purpose(each.id, each.basis, each.fields, each.start, each.term) for each in policy.purposes), source=policy.source
    )
    facts = data.draw(facts_for(bare, today))
    facts.pop(ANSWERED, None)
    if (
        set(bare.outside) - {ANSWERED}
        or any(isinstance(fact, Unknown | NotApplicable) for fact in facts.values())
        or facts.get("last_invoice_on") == NotYet()
    ):
        return
    decision = decide(facts, bare, NOTHING_STANDS, today)
    if selects(due(bare, today), facts, _FIELDS):
        assert any(isinstance(state, Ended) for state in decision.purposes)
        assert not isinstance(decision.outcome, Kept)
