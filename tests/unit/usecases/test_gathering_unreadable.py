"""A record with an identifier that can't be read may be about anybody: it makes nobody's data due, and leaves nothing that is nobody's."""

# ruff: noqa: F811 - tests name the fixtures that they take

from __future__ import annotations

import datetime as dt

import pytest

from tests.unit.usecases.conftest import Lab
from tests.unit.usecases.test_gathering import ADA, call, done, facts, mail, person, shop, table  # noqa: F401 - a fixture
from worker.core.facts import UNREADABLE, Known, Unknown
from worker.usecases.applying import apply_plan
from worker.usecases.approving import approve, open_plan
from worker.usecases.planning import make_plan


@pytest.mark.parametrize("reads", [("phone",), ("email",), ("email", "phone")])
def test_whoever_can_not_be_read_may_be_anybody(shop: Lab, reads: tuple[str, ...]) -> None:
    """A record with an identifier that can't be read has nobody's fact, also where its other one leads to an old contact."""
    shop.policies = shop.policies.replace('table = "people"', 'uses = ["last_contact"]\ntable = "people"', 1)
    shop.policies = shop.policies.replace('["people.met_on", ', "[", 1)
    known = {"email": ADA, "phone": "+31612345678"}
    table(shop, "mails", mail(1, ADA, "2020-01-01"))
    table(shop, "calls", call(1, "0031612345678", "2026-06-01"))
    table(shop, "people", person(1, **known), person(2, **{**known, **dict.fromkeys(reads, UNREADABLE)}), person(3, email=ADA))
    anybody = Unknown("an identifier of the record can't be read")
    with shop.machine() as machine:
        assert {1: Known(dt.date(2026, 6, 1)), 2: anybody, 3: Known(dt.date(2020, 1, 1))} == facts(machine, "people")
        plan = make_plan(machine)
    assert 1 == plan.acting["people"]
    assert f"contact: last_contact: {anybody.why}" in [each.detail for each in plan.findings if each.source == "people"]


def test_a_record_that_became_unreadable_since_the_plan_is_left(shop: Lab) -> None:
    """Between gathering and the batch a person's number was damaged: the batch can't tell any more whose last contact it was."""
    shop.policies = shop.policies.replace('table = "people"', 'uses = ["last_contact"]\ntable = "people"', 1)
    shop.policies = shop.policies.replace('["people.met_on", ', "[", 1)
    table(shop, "people", person(1, email=ADA, phone="+31612345678"))
    table(shop, "mails", mail(1, ADA, "2020-01-01"))
    table(shop, "calls", call(1, "0201234567", "2026-06-01"))
    with shop.machine() as machine:
        plan = make_plan(machine, sources=("people",))
        assert 1 == plan.acting["people"]
        approve(machine, plan.path, "tester")
        shop.table("people")[1]["phone"] = UNREADABLE
        result = apply_plan(machine, open_plan(machine, plan.path))
    assert {1} == set(shop.table("people"))
    assert {"changed": 1} == {why: count for why, count in result.results["people"].skipped.items() if count}


@pytest.mark.parametrize("disposition", ["delete", "pseudonymise"])
def test_a_mail_of_nobody_knows_whom_stays(shop: Lab, disposition: str) -> None:
    """What it leaves would be nobody's, and the next plan would take somebody's last contact to be older than it was.

    So nothing is done to it, a plan says so, and the others are done.
    """
    shop.policies = shop.policies.replace('email" }\nsent_on', 'email", treatment = "clear" }\nsent_on')
    start = shop.policies.index('source = "mails"\ndisposition')
    rest = shop.policies[start:].replace('"delete"', f'"{disposition}"', 1)
    shop.policies = shop.policies[:start] + rest
    table(shop, "people", person(1, "2020-01-01", ADA))
    table(shop, "mails", mail(1, UNREADABLE, "2025-03-01"), mail(2, "bob@canary.example", "2025-03-01"))
    table(shop, "calls")
    with shop.machine() as machine:
        assert {1: Unknown("a record of mails can't be read")} == facts(machine, "people")
        plan = done(shop, machine)
        assert (1, 0) == (plan.acting["mails"], plan.acting["people"])
        detail = "disposition: an identifier can't be read, by which it counts for somebody in other sources"
        assert {detail, "undetermined past the deadline"} == {each.detail for each in plan.findings if each.source == "mails"}
        assert UNREADABLE is shop.table("mails")[1]["address"]
        assert None is shop.table("mails").get(2, {}).get("address")
        assert {1: Unknown("a record of mails can't be read")} == facts(machine, "people")
