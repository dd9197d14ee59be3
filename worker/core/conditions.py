"""Three-valued conditions over facts (Kleene's strong logic): an unknown fact makes a comparison unknown, never true or false.

A fact that is not there (not yet, not applicable) satisfies no comparison; only `exists` asks for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import assert_never

from worker.core.facts import Fact, Known, NotApplicable, NotYet, Scalar, Unknown


class Truth(Enum):
    """True, false, or nobody can tell."""

    TRUE = "true"
    FALSE = "false"
    UNKNOWN = "unknown"

    @classmethod
    def of(cls, value: bool) -> Truth:  # noqa: FBT001 - converting a boolean is the purpose
        """Return the truth value of a boolean."""
        return cls.TRUE if value else cls.FALSE


class Op(StrEnum):
    """How a fact is compared; the names are those of the policy file."""

    EQ = "eq"
    NE = "ne"
    LT = "lt"
    LE = "le"
    GT = "gt"
    GE = "ge"
    IN = "in"
    NOT_IN = "not_in"
    EXISTS = "exists"


@dataclass(frozen=True, slots=True)
class Compare:
    """A comparison of one fact with constants; `values` has one member except for `in` and `not_in`."""

    fact: str
    op: Op
    values: tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class Every:
    """All of the conditions; true when there are none."""

    of: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Either:
    """At least one of the conditions; false when there are none."""

    of: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Negated:
    """The opposite of a condition; unknown stays unknown."""

    of: Condition


Condition = Compare | Every | Either | Negated


def evaluate(condition: Condition, facts: Mapping[str, Fact]) -> Truth:
    """Return the truth of a condition over facts; a missing fact is a programming error (KeyError)."""
    match condition:
        case Compare():
            return compare(condition, facts[condition.fact])
        case Every(of):
            truths = [evaluate(part, facts) for part in of]
            if Truth.FALSE in truths:
                return Truth.FALSE
            return Truth.UNKNOWN if Truth.UNKNOWN in truths else Truth.TRUE
        case Either(of):
            truths = [evaluate(part, facts) for part in of]
            if Truth.TRUE in truths:
                return Truth.TRUE
            return Truth.UNKNOWN if Truth.UNKNOWN in truths else Truth.FALSE
        case Negated(of):
            truth = evaluate(of, facts)
            return {Truth.TRUE: Truth.FALSE, Truth.FALSE: Truth.TRUE, Truth.UNKNOWN: Truth.UNKNOWN}[truth]
        case _:
            assert_never(condition)


def compare(comparison: Compare, fact: Fact) -> Truth:
    """Return the truth of one comparison; values of types that can't be compared are unknown."""
    match fact:
        case Unknown():
            return Truth.UNKNOWN
        case NotYet() | NotApplicable():
            return Truth.of(comparison.op is Op.EXISTS and comparison.values == (False,))
        case Known(value):
            pass
        case _:
            assert_never(fact)
    first = comparison.values[0] if comparison.values else None
    try:
        match comparison.op:
            case Op.EXISTS:
                return Truth.of(first is True)
            case Op.EQ:
                return Truth.of(value == first)
            case Op.NE:
                return Truth.of(value != first)
            case Op.IN:
                return Truth.of(value in comparison.values)
            case Op.NOT_IN:
                return Truth.of(value not in comparison.values)
            case Op.LT:
                return Truth.of(value < first)  # type: ignore[operator]
            case Op.LE:
                return Truth.of(value <= first)  # type: ignore[operator]
            case Op.GT:
                return Truth.of(value > first)  # type: ignore[operator]
            case Op.GE:
                return Truth.of(value >= first)  # type: ignore[operator]
            case _:
                assert_never(comparison.op)
    except TypeError:
        return Truth.UNKNOWN


def facts_of(condition: Condition | None) -> Iterator[str]:
    """Yield the names of the facts that a condition asks for, with repetitions."""
    match condition:
        case None:
            return
        case Compare(fact):
            yield fact
        case Every(of) | Either(of):
            for part in of:
                yield from facts_of(part)
        case Negated(part):
            yield from facts_of(part)
        case _:
            assert_never(condition)
