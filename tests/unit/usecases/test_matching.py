"""Whose record it is: which holds and requests touch it, by its identifiers, also where nobody can read those."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.usecases.conftest import Lab
from worker.core.facts import UNREADABLE
from worker.core.refs import token
from worker.core.sources import Comparison, Identifier
from worker.core.standing import NOTHING, Hold, HoldKind, Request, RequestKind, Standing
from worker.usecases.matching import (
    StandingIndex,
    first_forms,
    identifier_form,
    identifier_forms,
    identifier_tokens,
    tokens_of_identifiers,
)
from worker.usecases.standing import add_hold, add_request, release_hold

SECRET = b"s" * 32
NEXT_YEAR = dt.date(2027, 6, 1)
HELD = Hold("h1", HoldKind.LEGAL)
RELEASED = Hold("h2", HoldKind.LEGAL, dt.date(2026, 1, 1))
ASKED = Request("r1", RequestKind.ERASE, dt.date(2026, 1, 1), verified=True)


def index() -> StandingIndex:
    """Return a hold on one person, one on another that was released, and a request of the first."""
    email = Comparison(Identifier.EMAIL)
    tokens = [token for name in ("zoe", "ann") for token in identifier_tokens(SECRET, email, f"{name}@example.example")]
    standings = {tokens[0]: Standing((HELD,), (ASKED,)), tokens[1]: Standing((RELEASED,))}
    return StandingIndex(1, NOTHING, standings, {}, SECRET, (("email", email), ("phone", Comparison(Identifier.PHONE))))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"email": "Zoe@example.example", "phone": None}, Standing((HELD,), (ASKED,))),
        ({"email": "ann@example.example", "phone": None}, Standing((RELEASED,))),
        ({"email": "bob@example.example", "phone": None}, NOTHING),
        ({"email": None, "phone": ""}, NOTHING),
        ({"email": UNREADABLE, "phone": None}, Standing((HELD,))),
        ({"email": "bob@example.example", "phone": UNREADABLE}, Standing((HELD,))),
        ({"email": "zoe@example.example", "phone": UNREADABLE}, Standing((HELD,), (ASKED,))),
        ({"email": "Zoe <zoe@example.example>", "phone": None}, Standing((HELD,), (ASKED,))),
        ({"email": "bob@example.example; zoe@example.example", "phone": None}, Standing((HELD,), unclear=("r1",))),
        ({"email": "zoe@example.example, ann@example.example", "phone": None}, Standing((HELD,), unclear=("r1",))),
        ({"email": "ann@example.example / bob@example.example", "phone": None}, NOTHING),
    ],
)
def test_what_cant_be_read_may_be_anybodys(values: dict[str, object], expected: Standing) -> None:
    """An identifier that can't be read might be that of somebody who is held, so the record is; nobody's request ends anything by it."""
    assert expected == index().touching("people", (1,), values)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("06 12345678", 2),
        (612345678, 3),
        (612345678.0, 3),
        (Decimal("612345678.00"), 3),
        ("+33 6 12 34 56 78", 1),
        ("nobody knows", 0),
        (float("inf"), 0),
        (None, 0),
        ("", 0),
        (UNREADABLE, 0),
        ("p1-people-aaaaaaaaaaaaaaaaaaaaaaaaaa", 0),
    ],
)
def test_however_a_number_stands_in_a_row(value: object, expected: int) -> None:
    """One by one and all at once it has the same tokens; with a country those of its other ways, the one without first."""
    with_country, without = Comparison(Identifier.PHONE, "NL"), Comparison(Identifier.PHONE)
    found = identifier_tokens(SECRET, with_country, value)
    assert expected == len(found)
    assert [found, []] == [list(each) for each in tokens_of_identifiers(SECRET, with_country, [value, None])]
    assert found[:1] == identifier_tokens(SECRET, without, value)
    assert [found[:1], []] == [list(each) for each in tokens_of_identifiers(SECRET, without, [value, None])]
    same = identifier_tokens(SECRET, with_country, "+31612345678")
    assert (expected > 1) is not set(same).isdisjoint(found)


def test_a_record_whose_person_cannot_be_read_is_kept_while_anybody_is_held(lab: Lab) -> None:
    """It may be about the one who is held. When nobody is held any more, it goes as any other."""
    lab.environ["RETENTION_MAX_SHARE"] = "1"
    lab.memory.tables["customers"][(1,)]["email"] = UNREADABLE
    with lab.machine() as machine:
        (hold,) = add_hold(
            machine, kind="legal", scope="subject", owner="dora", reason="case 7", review_on=NEXT_YEAR, identifiers=["else@canary.example"]
        )
        lab.plan_and_apply(machine)
        assert {1} <= set(lab.table("customers"))
        release_hold(machine, hold.hold_id)
        lab.plan_and_apply(machine)
        assert 1 not in lab.table("customers")


def test_a_request_of_one_person_does_nothing_to_a_record_of_nobody_knows_whom(lab: Lab) -> None:
    """An erasure erases what is certainly about the person, and nothing that may be."""
    lab.memory.tables["customers"][(2,)]["email"] = UNREADABLE
    with lab.machine() as machine:
        add_request(machine, kind="erase", identifiers=["lately@canary.example"], verified_by="ann", received_on=dt.date(2026, 6, 1))
        lab.plan_and_apply(machine)
    assert 2 in lab.table("customers")


_PSEUDONYM = "p1-p-3f9a2c-" + "a" * 26


@given(
    st.sampled_from(Identifier),
    st.lists(st.text(max_size=8) | st.sampled_from([None, UNREADABLE, 612, "p1", _PSEUDONYM, "Zoe <zoe@x.example>"]), max_size=8),
)
def test_forms_of_many_are_the_forms_of_each(kind: Identifier, values: list[object]) -> None:
    """Whoever a batch names in the trail is who a single record would name: nobody for nothing, and for a pseudonym.

    One that may have another form is told apart.
    """
    comparison = Comparison(kind)
    firsts, more = first_forms(comparison, values)
    assert [identifier_form(kind, value) for value in values] == firsts
    assert {place for place, value in enumerate(values) if len(identifier_forms(comparison, value)) > 1} <= {*more}
    forms = [identifier_forms(comparison, value) for value in values]
    assert [[token(SECRET, "identifier", form) for form in each] for each in forms] == [
        list(each) for each in tokens_of_identifiers(SECRET, comparison, values)
    ]
