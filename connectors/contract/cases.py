"""Records, selections and policies that a connector may stumble over, and what each selection must hold."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import assert_never

from connectors.contract.harness import COLUMNS, TODAY, ZONE, Record
from worker.core.compiled import fact_reader
from worker.core.conditions import Compare, Op, Truth, compare
from worker.core.facts import Fact, Known, NotApplicable, NotYet, Unknown
from worker.core.model import Disposition, DispositionKind, LegalBasis, Policy, Purpose, StartEvent, Step
from worker.core.periods import Period, Term
from worker.core.select import Absent, Compares, Holding, Intersection, OnOrBefore, Selection, Suspect, Union
from worker.core.sources import Consent, Source
from worker.core.treatments import PseudonymKey, Treater, treater


def seeded(seed: int) -> random.Random:
    """Return a source of numbers that are the same every time."""
    return random.Random(seed)  # noqa: S311 - chance here chooses examples


def _day(draw: random.Random) -> dt.date:
    """Return one of a few days, so that what is compared often meets exactly; among them the last and the first of every period."""
    middle = draw.choice((TODAY, dt.date(2024, 6, 30), dt.date(2021, 6, 30), TODAY - dt.timedelta(weeks=8), dt.date(2016, 2, 29)))
    return middle + dt.timedelta(days=draw.randrange(-3, 2))


def random_record(draw: random.Random, odd_dates: Sequence[str] = ()) -> dict[str, object]:
    """Return a record of values that decisions may stumble over."""

    def day() -> object:
        odd: list[object] = [None, None, *odd_dates]
        special = [dt.date(1970, 1, 1), dt.date(1900, 1, 1), dt.date(9999, 12, 31), dt.date(2024, 2, 29), TODAY, dt.date(2031, 1, 1)]
        usual = _day(draw)
        return draw.choice([usual, usual, usual, draw.choice(special), draw.choice(odd)])

    def moment() -> object:
        late = dt.datetime.combine(_day(draw), dt.time(draw.choice((0, 12, 22, 23)), 30))
        return draw.choice([None, late, late, late, dt.datetime(1970, 1, 1)])  # noqa: DTZ001 - a placeholder

    return {
        "name": draw.choice([None, "", "Name", "name"]),
        "email": draw.choice([None, "", "person@example.example", f"p1-k1-{'a' * 26}@people.invalid", f"p1-k1-{'a' * 26}"]),
        "ip": draw.choice([None, "", "192.0.2.77", "192.0.2.0", "2001:db8:1:2::3", "2001:db8:1::", "garbage", "0.0.0.0"]),  # noqa: S104
        "note": draw.choice([None, "", "removed", "Removed", "kept "]),
        "status": draw.choice([None, "", "  ", "open", "OPEN", "closed", "closed "]),
        "score": draw.choice([None, 0, 1, 5, -3, 1_000_000]),
        "hired": draw.choice([None, True, False]),
        "seen_on": day(),
        "left_on": day(),
        "asked_on": day(),
        "changed_at": moment(),
    }


def random_selection(draw: random.Random, depth: int = 3) -> Selection:
    """Return a selection over `FIELDS`."""
    if depth and draw.random() < 0.6:
        parts = tuple(random_selection(draw, depth - 1) for _ in range(draw.randrange(4)))
        return draw.choice((Union, Intersection))(parts)
    days = ("seen_on", "left_on", "asked_on", "changed_at")
    day = min(_day(draw), TODAY - dt.timedelta(days=1))
    comparisons = (
        Compare("status", draw.choice((Op.EQ, Op.NE)), (draw.choice(("open", "closed")),)),
        Compare("status", draw.choice((Op.IN, Op.NOT_IN)), ("open", "closed ")),
        Compare("score", draw.choice((Op.LT, Op.LE, Op.GT, Op.GE, Op.EQ, Op.NE)), (draw.choice((0, 1, 4)),)),
        Compare("hired", Op.EQ, (draw.random() < 0.5,)),
        Compare(draw.choice(days), draw.choice((Op.LT, Op.LE, Op.GT, Op.GE, Op.EQ, Op.NE)), (day,)),
        Compare(draw.choice(COLUMNS), Op.EXISTS, (True,)),
    )
    leaves: list[Selection] = [
        OnOrBefore(draw.choice(days), day),
        Absent(draw.choice(COLUMNS)),
        Suspect(draw.choice(COLUMNS), TODAY),
        Compares(draw.choice(comparisons)),
        Holding(draw.choice(("name", "email", "ip", "note"))),
    ]
    return draw.choice(leaves)


def policies(source: Source) -> tuple[Policy, ...]:
    """Return policies over `FIELDS` that delete, treat, do both, and rest on a consent."""
    personal = tuple(field.name for field in source.personal)
    contact = Purpose("contact", LegalBasis.LEGITIMATE_INTERESTS, personal, StartEvent(("seen_on",)), Term(Period(years=2)))
    work = Purpose("work", LegalBasis.CONTRACT, ("name", "email"), StartEvent(("left_on", "asked_on")), Term(Period(years=5)))
    hiring = Purpose(
        "hiring",
        LegalBasis.CONSENT,
        ("name", "note"),
        StartEvent(("changed_at",)),
        Term(Period(weeks=8)),
        when=Compare("hired", Op.EQ, (False,)),
    )
    consent = Consent("future-use", "asked_on", "left_on")
    longer = Purpose(
        "longer",
        LegalBasis.CONSENT,
        personal,
        StartEvent(("left_on", "seen_on")),
        Term(Period(years=3)),
        consents=("future-use",),
        extends="contact",
        since="asked_on",
    )
    delete = Disposition((Step(DispositionKind.DELETE),))
    closed = Disposition((Step(DispositionKind.DELETE),), when=Compare("status", Op.EQ, ("closed",)))
    treat = Disposition((Step(DispositionKind.PSEUDONYMISE), Step(DispositionKind.DELETE, Period(years=1))))
    return (
        Policy(source, (contact,), (delete,), zone=ZONE),
        Policy(source, (contact, work, hiring), (closed, treat), zone=ZONE),
        Policy(source, (contact, hiring), (treat,), zone=ZONE),
        Policy(replace(source, consents=(consent,)), (contact, longer), (delete,), zone=ZONE),
        Policy(replace(source, consents=(consent,)), (replace(longer, consents=(), extends=None),), (delete,), zone=ZONE),
    )


def treaters(source: Source) -> dict[str, Treater]:
    """Return the treaters of the source's fields, with a key of no importance."""
    keys = {"people": PseudonymKey("k1", bytes(32))}
    return {field.name: treater(field, "Example", keys, fields=source.fields) for field in source.fields if field.treatment is not None}


class Facts:
    """What a record's values mean; says whether a selection must hold the record."""

    def __init__(self, source: Source) -> None:
        policy = Policy(source, (), ())
        self._readers = {field.name: fact_reader(policy, field.name, TODAY) for field in source.fields}
        self._treaters = treaters(source)

    def of(self, values: Record, name: str) -> Fact:
        """Return one fact of a record."""
        return self._readers[name](values[name])

    def must_hold(self, selection: Selection, values: Record) -> bool:
        """Whether leaving the record out would miss something."""
        match selection:
            case Union(of):
                return any(self.must_hold(part, values) for part in of)
            case Intersection(of):
                return all(self.must_hold(part, values) for part in of)
            case OnOrBefore(name, day):
                fact = self.of(values, name)
                return isinstance(fact, Known) and isinstance(fact.value, dt.date) and fact.value <= day
            case Absent(name):
                raw = values[name]
                empty = raw is None or (isinstance(raw, str) and not raw.strip())
                return empty or isinstance(self.of(values, name), NotYet | NotApplicable)
            case Suspect(name):
                return isinstance(self.of(values, name), Unknown)
            case Compares(comparison):
                fact = self.of(values, comparison.fact)
                return isinstance(fact, Known) and compare(comparison, fact) is Truth.TRUE
            case Holding(name):
                treats = self._treaters[name]
                return not treats.is_treated(values[name], *(values[each] for each in treats.beside))
            case _:
                assert_never(selection)
