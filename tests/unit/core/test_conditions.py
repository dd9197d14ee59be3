"""Three-valued conditions."""

import datetime as dt
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import oracle
from tests.strategies import RULE, conditions, facts_for, plain_policy, sources
from worker.core.conditions import Compare, Condition, Either, Every, Negated, Op, Truth, compare, evaluate, facts_of
from worker.core.facts import Fact, Known, NotApplicable, NotYet, Scalar, Unknown
from worker.core.model import LegalBasis, Purpose
from worker.core.sources import Source

T, F, U = Truth.TRUE, Truth.FALSE, Truth.UNKNOWN
FACTS: dict[str, Fact] = {"t": Known(True), "f": Known(False), "u": Unknown("empty")}
T_, F_, U_ = (Compare(name, Op.EQ, (True,)) for name in "tfu")
TABLE = {T: T_, F: F_, U: U_}


@pytest.mark.parametrize(("left", "right"), list(product((T, F, U), repeat=2)))
def test_kleene(left: Truth, right: Truth) -> None:
    """Unknown decides nothing: false and unknown is false, true or unknown is true, and the rest stays unknown."""
    order = [F, U, T]
    pair = (TABLE[left], TABLE[right])
    assert min(left, right, key=order.index) == evaluate(Every(pair), FACTS)
    assert max(left, right, key=order.index) == evaluate(Either(pair), FACTS)


def test_negation_and_empty_lists() -> None:
    """The opposite of unknown is unknown; all of nothing is true, one of nothing is false."""
    assert [F, T, U] == [evaluate(Negated(each), FACTS) for each in (T_, F_, U_)]
    assert (T, F) == (evaluate(Every(()), {}), evaluate(Either(()), {}))


@pytest.mark.parametrize(
    ("value", "op", "constants", "expected"),
    [
        (1, Op.EQ, (1,), T), (1, Op.NE, (1,), F), (1, Op.LT, (2,), T), (2, Op.LT, (2,), F), (2, Op.LE, (2,), T), (2, Op.GT, (2,), F),
        (3, Op.GT, (2,), T), (2, Op.GE, (2,), T), (1, Op.GE, (2,), F), ("a", Op.IN, ("a", "b"), T), ("c", Op.IN, ("a", "b"), F),
        ("a", Op.NOT_IN, ("a", "b"), F), ("c", Op.NOT_IN, ("a", "b"), T), ("a", Op.EXISTS, (True,), T), ("a", Op.EXISTS, (False,), F),
        ("a", Op.LT, (2,), U), (dt.date(2024, 1, 1), Op.GE, (dt.date(2024, 1, 1),), T), (dt.date(2024, 1, 1), Op.GT, ("2024",), U),
    ],
)  # fmt: skip
def test_comparisons(value: Scalar, op: Op, constants: tuple[Scalar, ...], expected: Truth) -> None:
    """Each comparison; values that have no order together are unknown and raise nothing."""
    assert expected == compare(Compare("x", op, constants), Known(value))


@pytest.mark.parametrize("op", list(Op))
def test_absent_facts_satisfy_nothing(op: Op) -> None:
    """What is not there equals nothing and differs from nothing; only `exists` asks for it. Unknown stays unknown in each of them."""
    for absent in (NotYet(), NotApplicable()):
        assert compare(Compare("x", op, (True,)), absent) is F
    assert compare(Compare("x", op, (True,)), Unknown("empty")) is U
    assert compare(Compare("x", Op.EXISTS, (False,)), NotYet()) is T


def test_facts_of() -> None:
    """Every fact that a condition asks for is named."""
    assert ["t", "f", "u"] == list(facts_of(Every((T_, Either((Negated(F_), U_))))))
    assert [] == list(facts_of(None))


@settings(RULE)
@given(st.data(), conditions, sources())
def test_agrees_with_the_set_of_what_may_be_true(data: st.DataObject, condition: Condition, source: Source) -> None:
    """A condition is unknown exactly when its parts, each taken for itself, leave both answers open."""
    policy = plain_policy(Purpose("p", LegalBasis.CONTRACT, ("name",), when=condition), source=source)
    facts = data.draw(facts_for(policy, dt.date(2026, 7, 1)))
    truths = oracle.possible(condition, facts)
    assert (U if len(truths) == 2 else Truth.of(truths.pop())) == evaluate(condition, facts)
