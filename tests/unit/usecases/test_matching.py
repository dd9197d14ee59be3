"""Whose record it is: what is held for a person is kept, also where nobody can read who that is."""

from __future__ import annotations

import datetime as dt

from tests.unit.usecases.conftest import Lab
from worker.core.facts import UNREADABLE
from worker.usecases.standing import add_hold, add_request, release_hold

NEXT_YEAR = dt.date(2027, 6, 1)


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
