"""Records whose one identifier names several people: kept for each of them, ended by none of them."""

from __future__ import annotations

import datetime as dt

import pytest

from tests.unit.usecases.conftest import POLICIES, Lab
from tests.unit.usecases.test_matching import SECRET
from tests.unit.usecases.test_matching_cases import LOOSE, TREATED
from worker.core.sources import Comparison, Identifier
from worker.core.standing import NOTHING, Request, RequestKind, Standing
from worker.errors import ConfigurationError
from worker.usecases.matching import StandingIndex, identifier_tokens
from worker.usecases.planning import make_plan
from worker.usecases.standing import add_hold, add_request

NEXT_YEAR = dt.date(2027, 6, 1)
LATER = dt.datetime(2036, 1, 1, 12, tzinfo=dt.UTC)
MINE, THEIRS = "mine@canary.example", "theirs@canary.example"
BOTH = f"Mine <{MINE}>; {THEIRS}"


def held(machine: object, who: str) -> str:
    """Place a hold on a person and return its id."""
    (hold,) = add_hold(machine, kind="legal", scope="subject", owner="d", reason="r", review_on=NEXT_YEAR, identifiers=[who])  # type: ignore[arg-type]
    return hold.hold_id


@pytest.mark.parametrize("who", [MINE, THEIRS])
def test_held_for_either(lab: Lab, who: str) -> None:
    """A hold on one of two keeps the record."""
    lab.memory.tables["customers"][(1,)]["email"] = BOTH
    with lab.machine() as machine:
        held(machine, who)
        lab.plan_and_apply(machine)
    assert 1 in lab.table("customers")


@pytest.mark.parametrize(("stands", "gone"), [(BOTH, False), (f"Mine <{MINE}>", True), (f"{THEIRS} ({MINE})", False)])
def test_nobody_asks_for_the_other(lab: Lab, stands: str, gone: bool) -> None:
    """An erasure ends what is one person's, however the address is written, and nothing that names somebody else too."""
    lab.memory.tables["customers"][(2,)]["email"] = stands
    with lab.machine() as machine:
        asked = add_request(machine, kind="erase", identifiers=[MINE], verified_by="ann", received_on=dt.date(2026, 6, 1))
        plan, _ = lab.plan_and_apply(machine)
    assert gone is (2 not in lab.table("customers"))
    told = [each.detail for each in plan.findings if each.kind == "undetermined" and asked.request_id in each.detail]
    assert ([] if gone else [f"{asked.request_id}: it is about somebody else too, so a person decides"]) == told


def test_whose_records_we_only_process(lab: Lab) -> None:
    """Nothing ends there at anybody's request: the controller decides, and is not told of this one either."""
    lab.policies = POLICIES.replace("[sources.customers]\n", "[sources.customers]\nprocessor = true\n")
    lab.memory.tables["customers"][(2,)]["email"] = BOTH
    with lab.machine() as machine:
        add_request(machine, kind="erase", identifiers=[MINE], verified_by="ann", received_on=dt.date(2026, 6, 1))
        assert not any("somebody else" in each.detail for each in make_plan(machine).findings)


def test_restricted_for_either(lab: Lab) -> None:
    """GDPR 18: what one of two asked to be restricted is kept, also while the other asks for erasure."""
    lab.memory.tables["customers"][(1,)]["email"] = BOTH
    with lab.machine() as machine:
        add_request(machine, kind="restrict", identifiers=[MINE])
        add_request(machine, kind="erase", identifiers=[THEIRS], verified_by="ann", received_on=dt.date(2026, 6, 1))
        plan, _ = lab.plan_and_apply(machine)
    assert 1 == plan.summary.counts["customers"]["held"]
    assert 1 in lab.table("customers")


def test_who_is_certain_does_not_speak_for_who_is_named_beside() -> None:
    """The record is one person's by its number, who asks for erasure; what somebody asked who is named in its address is not lifted."""
    email, phone = Comparison(Identifier.EMAIL), Comparison(Identifier.PHONE)
    asked = Request("r1", RequestKind.ERASE, dt.date(2026, 6, 1), verified=True)
    still = Request("r2", RequestKind.RESTRICT, dt.date(2026, 6, 1))
    known = {
        identifier_tokens(SECRET, phone, "0612")[0]: Standing(requests=(asked,)),
        identifier_tokens(SECRET, email, THEIRS)[0]: Standing(requests=(still,)),
    }
    index = StandingIndex(1, NOTHING, known, {}, SECRET, (("email", email), ("phone", phone)))
    assert ("r2",) == index.touching("people", (1,), {"email": BOTH, "phone": "0612"}).suspending
    assert () == index.touching("people", (1,), {"email": THEIRS, "phone": "0612"}).suspending


def test_found_after_their_addresses_were_treated(lab: Lab) -> None:
    """The ledger keeps both for the record that stays: a later hold on either keeps it, a later erasure by either ends nothing."""
    lab.memory.tables["customers"][(3,)]["email"] = BOTH
    with lab.machine() as machine:
        lab.plan_and_apply(machine)
    assert "@canary" not in str(lab.table("customers")[3]["email"])
    with lab.machine() as machine:
        add_request(machine, kind="erase", identifiers=[THEIRS], verified_by="ann", received_on=dt.date(2026, 6, 30))
        lab.moment += dt.timedelta(days=2)
        plan = make_plan(machine, full=True)
        assert 0 == plan.summary.counts["customers"]["held"]
        # The invoice is theirs as much as its customer.
        assert [("customers", 1), ("invoices", 1)] == [
            (each.source, each.count) for each in plan.findings if "somebody else" in each.detail
        ]
        lab.plan_and_apply(machine)
        assert 3 in lab.table("customers")
        held(machine, MINE)
        assert 1 == make_plan(machine, as_of=dt.date(2040, 1, 1), full=True).summary.counts["customers"]["held"]


@pytest.mark.parametrize(("policies", "days"), [(LOOSE, (0,)), (TREATED, (0, 400))])
@pytest.mark.parametrize("who", [MINE, THEIRS])
def test_what_was_cut_loose(lab: Lab, policies: str, days: tuple[int, ...], who: str) -> None:
    """Their customer went, and with it whom the invoice was about: a hold on either keeps it."""
    lab.policies = policies
    lab.environ["RETENTION_MAX_SHARE"] = "1"
    lab.memory.tables["customers"][(3,)] |= {"seen_at": "2024-06-01 10:00:00", "email": BOTH}
    start = lab.moment
    for passed in days:
        lab.moment = start + dt.timedelta(days=passed)
        with lab.machine() as machine:
            lab.plan_and_apply(machine)
    assert 3 not in lab.table("customers")
    assert lab.table("invoices")[30]["customer"] is None
    lab.moment = LATER
    with lab.machine() as machine:
        held(machine, who)
        assert 1 == make_plan(machine, full=True).summary.counts["invoices"]["held"]
        lab.plan_and_apply(machine)
        assert 30 in lab.table("invoices")


def test_several_typed_at_once_are_refused(lab: Lab) -> None:
    """They would be looked for as one text that nobody has, and nobody would be told."""
    with lab.machine() as machine, pytest.raises(ConfigurationError, match="each on a line of its own"):
        held(machine, BOTH)
