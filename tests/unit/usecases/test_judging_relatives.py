"""Rows that are about more than one person: what stands for any of them counts, and for nobody else."""

from __future__ import annotations

import datetime as dt

import pytest

from tests.unit.usecases.conftest import Lab
from worker.usecases.standing import add_hold, add_request, close_request

MEETINGS = """
version = 1
[organisation]
name = "Laboratory"
timezone = "Europe/Amsterdam"
[sources.people]
connector = "memory"
table = "people"
key = "id"
subject = ["email"]
[sources.people.fields]
email = { type = "email", treatment = "pseudonym" }
seen_on = { type = "date" }
[sources.people.children.meetings]
table = "meetings"
key = "id"
match = { host = "id" }
on_delete = "delete"
source = "meetings"
[[policies]]
source = "people"
disposition = "delete"
[[policies.purposes]]
id = "contact"
basis = "legitimate-interests"
fields = ["email"]
start = "seen_on"
keep = "P2Y"
[sources.meetings]
connector = "memory"
table = "meetings"
key = "id"
[sources.meetings.fields]
text = { treatment = "clear" }
met_on = { type = "date" }
[sources.meetings.parents.host]
table = "people"
key = "id"
match = { id = "host" }
source = "people"
same_subject = true
[sources.meetings.parents.guest]
table = "people"
key = "id"
match = { id = "guest" }
source = "people"
same_subject = true
[[policies]]
source = "meetings"
disposition = "delete"
[[policies.purposes]]
id = "x"
basis = "legitimate-interests"
fields = ["text"]
start = "met_on"
keep = "P1Y"
"""
OLD, NEW = "2020-01-01", "2026-06-01"


def between(lab: Lab, host: str, guest: str, met: str) -> Lab:
    """Give a laboratory one meeting, and the days on which its host and its guest were seen last."""
    lab.policies = MEETINGS
    lab.environ["RETENTION_MAX_SHARE"] = "1"
    lab.memory.tables["people"] = {
        (key,): {"id": key, "email": f"{name}@x.example", "seen_on": seen} for key, name, seen in ((1, "host", host), (2, "guest", guest))
    }
    lab.memory.tables["meetings"] = {(1,): {"id": 1, "host": 1, "guest": 2, "text": "w", "met_on": met}}
    return lab


def held(machine: object, name: str) -> None:
    """Hold a person."""
    add_hold(
        machine,  # type: ignore[arg-type]
        kind="legal",
        scope="subject",
        owner="d",
        reason="r",
        review_on=dt.date(2027, 6, 1),
        identifiers=[f"{name}@x.example"],
    )


@pytest.mark.parametrize("name", ["host", "guest"])
def test_a_hold_on_any_of_them_keeps_it(lab: Lab, name: str) -> None:
    """Also when it would go along with the other one, who waits for it then."""
    with between(lab, OLD, OLD, OLD).machine() as machine:
        held(machine, name)
        for _ in range(2):
            lab.plan_and_apply(machine)
    assert {1} == set(lab.table("meetings"))
    assert {1} <= set(lab.table("people"))


@pytest.mark.parametrize("name", [None, "nobody"])
def test_it_goes_when_nobody_of_them_is_held(lab: Lab, name: str | None) -> None:
    """Along with its host, in the same night, also where something stands for somebody else."""
    with between(lab, OLD, OLD, OLD).machine() as machine:
        if name is not None:
            held(machine, name)
        lab.plan_and_apply(machine)
    assert (set(), set()) == (set(lab.table("meetings")), set(lab.table("people")))


def test_an_erasure_reaches_only_what_is_about_the_person(lab: Lab) -> None:
    """The file says that a meeting is about its guest and not about its host: with the host's erasure it does not go, so the host waits."""
    between(lab, NEW, NEW, NEW)
    lab.policies = MEETINGS.replace("same_subject = true\n", "", 1)
    with lab.machine() as machine:
        add_request(machine, kind="erase", identifiers=["host@x.example"], verified_by="ann", received_on=dt.date(2026, 6, 10))
        lab.plan_and_apply(machine)
        assert ({1}, {1, 2}) == (set(lab.table("meetings")), set(lab.table("people")))


@pytest.mark.parametrize("asked", ["restrict", "object"])
def test_nobodys_erasure_lifts_what_another_asked_for(lab: Lab, asked: str) -> None:
    """The host asked for erasure and the guest to restrict: the meeting is about both, so it stays until the guest's request is closed."""
    with between(lab, NEW, NEW, NEW).machine() as machine:
        other = add_request(machine, kind=asked, identifiers=["guest@x.example"], received_on=dt.date(2026, 6, 10))  # type: ignore[arg-type]
        add_request(machine, kind="erase", identifiers=["host@x.example"], verified_by="ann", received_on=dt.date(2026, 6, 10))
        for _ in range(2):
            lab.plan_and_apply(machine)
        assert ({1}, {1, 2}) == (set(lab.table("meetings")), set(lab.table("people")))
        close_request(machine, other.request_id, "done")
        for _ in range(2):
            lab.plan_and_apply(machine)
    assert (set(), {2}) == (set(lab.table("meetings")), set(lab.table("people")))


def test_ones_own_erasure_lifts_ones_restriction(lab: Lab) -> None:
    """Whoever asked to restrict and then for erasure gets it, also for what another person has no say in."""
    with between(lab, NEW, NEW, NEW).machine() as machine:
        for kind, verified in (("restrict", None), ("erase", "ann")):
            add_request(machine, kind=kind, identifiers=["host@x.example"], verified_by=verified, received_on=dt.date(2026, 6, 10))  # type: ignore[arg-type]
        for _ in range(2):
            lab.plan_and_apply(machine)
    assert (set(), {2}) == (set(lab.table("meetings")), set(lab.table("people")))
