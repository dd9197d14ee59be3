"""Conditions of the policy file: from tables to `worker.core.conditions`, every comparison checked against the type of its fact."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from worker.core.conditions import Compare, Condition, Either, Every, Negated, Op
from worker.core.facts import FieldType, Scalar
from worker.policyfile.document import Complaints, nearest, shortened
from worker.policyfile.positions import Path

RESERVED = ("any", "all", "not")
"""Words that mean something else in a condition than a fact's name."""

_DEPTH = 20
_DIGITS = 25
_LISTS = (Op.IN, Op.NOT_IN)
_ORDERED = (Op.LT, Op.LE, Op.GT, Op.GE)
_ORDERED_TYPES = (FieldType.NUMBER, FieldType.DATE)
_EXPECTED = {
    FieldType.TEXT: "a text in quotes",
    FieldType.NUMBER: f"a number of at most {_DIGITS} digits",
    FieldType.BOOLEAN: "true or false",
    FieldType.DATE: "a day without quotes, such as 2026-01-31",
}


@dataclass(frozen=True, slots=True)
class FactNames:
    """The facts of a source by name, with what they are compared as (timestamps are days by then).

    declared -- all names that stand in the file, also those that have something wrong with them; shared -- those over several sources;
    elsewhere -- facts over several sources that this one has nothing to do with.
    """

    source: str
    types: Mapping[str, FieldType]
    declared: Collection[str]
    fields: Collection[str]
    shared: Collection[str] = ()
    elsewhere: Collection[str] = ()

    def known(self, path: Path, name: str, complaints: Complaints) -> bool:
        """Whether a name is that of a fact of the source; noted as a problem unless it is one that has something wrong with it."""
        if name in self.elsewhere and name not in self.types:
            what = f"{name!r} is a fact over several sources, and {self.source!r} is not one of them"
            complaints.problem(path, what, f'Add uses = ["{name}"] to the source.', about=("sources", self.source, "uses"))
            return False
        return complaints.known(path, "fact", name, self.types, self.declared)

    def path(self, name: str) -> Path:
        """Return where a fact is declared."""
        if name in self.shared:
            return ("facts", name)
        return ("sources", self.source, "fields" if name in self.fields else "facts", name)


def check_day(path: Path, name: str, facts: FactNames, complaints: Complaints, why: str) -> None:
    """Check that a fact exists and is a day; `why` says in the problem what a day is needed for."""
    if not facts.known(path, name, complaints):
        return
    if facts.types[name] is not FieldType.DATE:
        days = [each for each, kind in facts.types.items() if kind is FieldType.DATE]
        hint = nearest(name, days) or (f"Days: {', '.join(days)}." if days else "")
        complaints.problem(path, f"{name!r} is a {facts.types[name].value}; {why}", hint, about=facts.path(name))


def condition(table: Mapping[str, Any], path: Path, facts: FactNames, complaints: Complaints, depth: int = 0) -> Condition:
    """Return the condition that a table states: all of its entries. What is wrong is complained about and left out."""
    parts: list[Condition] = []
    if not table:
        complaints.problem(path, "there is no condition in it", "Leave it out when it always applies.")
    if depth > _DEPTH:
        complaints.problem(path, f"conditions are nested more than {_DEPTH} deep")
        return Every(())
    for name, value in table.items():
        place = (*path, name)
        match name:
            case "any" | "all":
                of = _several(value, place, facts, complaints, depth)
                parts.append(Either(of) if name == "any" else Every(of))
            case "not":
                if isinstance(value, dict):
                    parts.append(Negated(condition(value, place, facts, complaints, depth + 1)))
                else:
                    complaints.problem(place, "must be a table with a condition")
            case _ if facts.known(place, name, complaints):
                parts.extend(_comparisons(name, facts, value, place, complaints))
    return parts[0] if len(parts) == 1 else Every(tuple(parts))


def _several(value: object, path: Path, facts: FactNames, complaints: Complaints, depth: int) -> tuple[Condition, ...]:
    """Return the conditions of `any` and `all`."""
    if not isinstance(value, list) or not value or not all(isinstance(each, dict) for each in value):
        complaints.problem(path, "must be a list of tables, each with a condition")
        return ()
    return tuple(condition(each, (*path, number), facts, complaints, depth + 1) for number, each in enumerate(value))


def _comparisons(name: str, facts: FactNames, value: object, path: Path, complaints: Complaints) -> list[Condition]:
    """Return the comparisons of one fact: a scalar means equal, a list one of, a table names its operators."""
    if not isinstance(value, dict):
        op = Op.IN if isinstance(value, list) else Op.EQ
        return _comparison(name, facts, op, value, path, complaints)
    if not value:
        complaints.problem(path, "there is no comparison in it", f"Give one of {', '.join(Op)}.")
    found: list[Condition] = []
    for operator, operand in value.items():
        if operator in list(Op):
            found += _comparison(name, facts, Op(operator), operand, (*path, operator), complaints)
        else:
            hint = nearest(operator, Op) or f"Operators: {', '.join(Op)}."
            complaints.problem((*path, operator), f"unknown operator {shortened(operator)}", hint)
    return found


def _comparison(name: str, facts: FactNames, op: Op, operand: object, path: Path, complaints: Complaints) -> list[Condition]:
    """Return one comparison, or nothing when its operand does not fit the fact."""
    kind, about = facts.types[name], facts.path(name)
    if op is Op.EXISTS:
        if isinstance(operand, bool):
            return [Compare(name, op, (operand,))]
        complaints.problem(path, "'exists' must be true or false")
        return []
    if op in _ORDERED and kind not in _ORDERED_TYPES:
        complaints.problem(path, f"{op.value!r} compares numbers and days, and {name!r} is a {kind.value}", about=about)
        return []
    if op in _LISTS:
        if not isinstance(operand, list) or not operand:
            complaints.problem(path, f"{op.value!r} needs a list with at least one value")
            return []
        operands = list(operand)
    else:
        operands = [operand]
    values = [scalar(each, kind) for each in operands]
    if any(each is None for each in values):
        what = f"{name!r} is a {kind.value} and can only be compared with {_EXPECTED[kind]}"
        complaints.problem(path, what, about=about)
        return []
    return [Compare(name, op, tuple(each for each in values if each is not None))]


def scalar(value: object, kind: FieldType) -> Scalar | None:
    """Return a value of the file as a constant of a type, or None when it is of another."""
    match kind:
        case FieldType.TEXT:
            return value if isinstance(value, str) else None
        case FieldType.BOOLEAN:
            return value if isinstance(value, bool) else None
        case FieldType.NUMBER:
            return _number(value)
        case FieldType.DATE | FieldType.TIMESTAMP:
            return value if isinstance(value, dt.date) and not isinstance(value, dt.datetime) else None


def _number(value: object) -> int | Decimal | None:
    """Return a number of a size that amounts and counts have; whole ones as int, so that 1 and 1.0 are one constant."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value if abs(value) < 10**_DIGITS else None
    if not isinstance(value, Decimal) or not value.is_finite():
        return None
    if abs(value.adjusted()) >= _DIGITS or len(value.as_tuple().digits) > _DIGITS:
        return None
    return int(value) if value == value.to_integral_value() else value.normalize()
