"""Cases and people, addresses that are no e-mail addresses, and holds of which the policy file knows no more what they are on."""

from __future__ import annotations

import datetime as dt

import pytest

from tests.unit.usecases.conftest import POLICIES, Lab
from worker.core.facts import UNREADABLE
from worker.core.periods import Period
from worker.errors import ConfigurationError
from worker.usecases.planning import make_plan
from worker.usecases.reviewing import keep
from worker.usecases.standing import add_hold, add_request, close_request, release_hold, uphold_request

NEXT_YEAR = dt.date(2027, 6, 1)
ASKED = dt.date(2026, 6, 1)
FILES = """
version = 1
[organisation]
name = "Laboratory"
timezone = "Europe/Amsterdam"

[sources.files]
connector = "memory"
table = "files"
key = "id"
subject = ["email", "number"]
options = { case_field = "matter" }
[sources.files.fields]
email = { type = "email", treatment = "pseudonym", domain = "people" }
number = { treatment = "pseudonym", domain = "numbers" }
matter = { treatment = "clear" }
closed_on = { type = "date" }

[[policies]]
source = "files"
disposition = [{ do = "pseudonymise", then = [{ do = "delete", after = "P4Y" }] }]
categories = ["closed"]
[[policies.purposes]]
id = "file"
basis = "legitimate-interests"
fields = ["email", "number", "matter"]
start = "closed_on"
keep = "P1Y"
"""
OLD, NEW, MIDDLE = "2015-01-01", "2026-06-01", "2023-01-01"


def with_files(lab: Lab, *rows: tuple[int, object, object, object, str]) -> Lab:
    """Give a laboratory files: (id, e-mail address, number of the person, number of the case, day on which it was closed)."""
    lab.policies = FILES
    lab.environ["RETENTION_MAX_SHARE"] = "1"
    lab.memory.tables["files"] = {(row[0],): dict(zip(("id", "email", "number", "matter", "closed_on"), row, strict=True)) for row in rows}
    return lab


def hold_case(machine: object, case: str) -> str:
    """Hold a case, and return the hold's id."""
    (row,) = add_hold(machine, kind="legal", scope="case", owner="dora", reason="r", review_on=NEXT_YEAR, case=case)  # type: ignore[arg-type]
    return row.hold_id


def test_a_request_finds_nobody_by_the_number_of_a_case(lab: Lab) -> None:
    """Ann's number is that of Bob's case: with Ann's erasure Bob's file stays."""
    with with_files(lab, (1, "ann@x.example", "1042", "", NEW), (2, "bob@x.example", "7", "1042", NEW)).machine() as machine:
        add_request(machine, kind="erase", identifiers=["1042"], verified_by="ann", received_on=ASKED)
        lab.plan_and_apply(machine)
    assert [("bob@x.example", "1042")] == [(row["email"], row["matter"]) for row in lab.table("files").values() if row["matter"]]


def test_a_hold_on_a_case_keeps_its_files_and_nobody_elses(lab: Lab) -> None:
    """However its number is written; a person who happens to have that number is not held."""
    rows = (1, "ann@x.example", "1042", "", OLD), (2, "bob@x.example", "7", " 1042 ", OLD), (3, "eve@x.example", "8", UNREADABLE, OLD)
    with with_files(lab, *rows).machine() as machine:
        hold_case(machine, "1042")
        lab.plan_and_apply(machine)
    assert {2, 3} == set(lab.table("files"))


def test_a_case_is_found_after_its_number_was_treated(lab: Lab) -> None:
    """The number was cleared in a file that stayed; a hold that comes later still keeps the file from being deleted."""
    rows = (1, "ann@x.example", "5", "1042", MIDDLE), (2, "bob@x.example", "7", "9", MIDDLE)
    with with_files(lab, *rows).machine() as machine:
        lab.plan_and_apply(machine)
        assert [None, None] == [row["matter"] for row in lab.table("files").values()]
        hold_case(machine, "1042")
    lab.moment = dt.datetime(2029, 1, 1, 12, tzinfo=dt.UTC)
    with lab.machine() as machine:
        lab.plan_and_apply(machine)
    assert {1} == set(lab.table("files"))


@pytest.mark.parametrize("kind", ["restrict", "object"])
def test_who_may_have_asked_to_restrict_is_kept(lab: Lab, kind: str) -> None:
    """Nobody can read whose file it is: it may be that of the person whose objection nobody has decided about, or who asked to restrict."""
    with with_files(lab, (1, UNREADABLE, None, "", OLD), (2, "bob@x.example", None, "", OLD)).machine() as machine:
        asked = add_request(machine, kind=kind, identifiers=["eve@x.example"], received_on=ASKED)  # type: ignore[arg-type]
        lab.plan_and_apply(machine)
        assert {1} == set(lab.table("files"))
        if kind == "object":
            uphold_request(machine, asked.request_id, "ann")
            lab.plan_and_apply(machine)
            assert set() == set(lab.table("files"))


@pytest.mark.parametrize("number", ["@ann", "ann@x.example"])
def test_an_address_that_is_a_text(lab: Lab, number: str) -> None:
    """Where people are recognised by a text, that may be the name they have on a network, or an e-mail address as the name of a user."""
    with with_files(lab, (1, None, number, "", OLD), (2, None, "@bob", "", OLD)).machine() as machine:
        add_hold(machine, kind="legal", scope="subject", owner="d", reason="r", review_on=NEXT_YEAR, identifiers=[number.upper()])
        lab.plan_and_apply(machine)
    assert {1} == set(lab.table("files"))


_RENAMED = {
    "category": (FILES.replace('categories = ["closed"]', 'categories = ["closed-files"]'), {"category": "closed"}),
    "case": (FILES.replace('options = { case_field = "matter" }\n', ""), {"case": "1042"}),
    "source": (FILES.replace("sources.files", "sources.dossiers").replace('source = "files"', 'source = "dossiers"'), {"source": "files"}),
    "record": (
        FILES.replace("sources.files", "sources.dossiers").replace('source = "files"', 'source = "dossiers"'),
        {"source": "files", "key": "1"},
    ),
}


@pytest.mark.parametrize("scope", [*_RENAMED])
def test_a_hold_outlives_what_it_was_called(lab: Lab, scope: str) -> None:
    """Somebody gives a category or a source another name: what was held stays, with all else, until a release; and it is said."""
    after, about = _RENAMED[scope]
    with with_files(lab, (1, "ann@x.example", "5", "1042", OLD)).machine() as machine:
        (hold,) = add_hold(machine, kind="legal", scope=scope, owner="d", reason="r", review_on=NEXT_YEAR, **about)  # type: ignore[arg-type]
        assert [] == [each for each in make_plan(machine).findings if each.kind == "hold_review"]
    lab.policies = after
    with lab.machine() as machine:
        plan, _ = lab.plan_and_apply(machine)
        assert {1} == set(lab.table("files"))
        assert [f"hold {hold.hold_id} is on what the policy file knows no more, so it keeps all"] == [
            each.detail for each in plan.findings if each.kind == "hold_review"
        ]
        release_hold(machine, hold.hold_id)
        lab.plan_and_apply(machine)
    assert set() == set(lab.table("files"))


def test_a_hold_narrowed_to_a_source_that_was_renamed_holds_the_person(lab: Lab) -> None:
    """Of such a hold it is still known whom it is on: that person is kept everywhere, and nobody else."""
    after = _RENAMED["source"][0]
    with with_files(lab, (1, "ann@x.example", None, "", OLD), (2, "bob@x.example", None, "", OLD)).machine() as machine:
        add_hold(
            machine,
            kind="legal",
            scope="subject",
            owner="d",
            reason="r",
            review_on=NEXT_YEAR,
            source="files",
            identifiers=["ann@x.example"],
        )
    lab.policies = after
    with lab.machine() as machine:
        lab.plan_and_apply(machine)
    assert {1} == set(lab.table("files"))


LOOSE = POLICIES.replace('on_delete = "keep_parent"\nsource = "invoices"', 'on_delete = "detach"\nsource = "invoices"').replace(
    POLICIES[POLICIES.index('[[policies.purposes]]\nid = "invoices"') : POLICIES.index("[sources.invoices]")], ""
)
"""Invoices that are cut loose when their customer goes, and are kept for the tax."""
CHAIN = 'disposition = [{ do = "pseudonymise", then = [{ do = "delete", after = "P1Y" }] }]\ncategories'
TREATED = LOOSE.replace('disposition = "delete"\ncategories', CHAIN)


@pytest.mark.parametrize(("policies", "days"), [(LOOSE, (0,)), (TREATED, (0, 400))])
def test_a_record_that_is_cut_loose_is_still_about_somebody(lab: Lab, policies: str, days: tuple[int, ...]) -> None:
    """The customer went and nothing in the invoice says whose it was: a hold that comes later still keeps it.

    Once as it stands, and once with an e-mail address that was treated a year before.
    """
    lab.policies = policies
    lab.environ["RETENTION_MAX_SHARE"] = "1"
    lab.memory.tables["customers"][(3,)]["seen_at"] = lab.memory.tables["customers"][(5,)]["seen_at"] = "2024-06-01 10:00:00"
    lab.memory.tables["invoices"][(50,)]["issued_on"] = "2024-05-01"
    start = lab.moment
    for passed in days:
        lab.moment = start + dt.timedelta(days=passed)
        with lab.machine() as machine:
            lab.plan_and_apply(machine)
    assert {3, 5}.isdisjoint(lab.table("customers"))
    assert [None, None] == [lab.table("invoices")[key]["customer"] for key in (30, 50)]
    lab.moment = dt.datetime(2036, 1, 1, 12, tzinfo=dt.UTC)
    with lab.machine() as machine:
        (hold,) = add_hold(
            machine, kind="legal", scope="subject", owner="d", reason="r", review_on=NEXT_YEAR, identifiers=["invoice@canary.example"]
        )
        lab.plan_and_apply(machine)
        assert {30} == set(lab.table("invoices"))
        release_hold(machine, hold.hold_id)
        lab.plan_and_apply(machine)
        assert set() == set(lab.table("invoices"))


REVIEWED = FILES.replace('[{ do = "pseudonymise", then', '[{ do = "review", every = "P1Y", owner = "dora", then').replace(
    'basis = "legitimate-interests"', 'basis = "consent"\nconsent = "file"'
)


def test_an_answer_that_would_not_count_is_refused(lab: Lab) -> None:
    """The subject took the consent back: whoever answers the review is told, instead of believing that the file is kept."""
    with_files(lab, (1, "ann@x.example", None, "", MIDDLE))
    lab.policies = REVIEWED
    how = {"by": "bob", "reason": "r", "period": Period(months=1)}
    with lab.machine() as machine:
        add_request(machine, kind="withdraw", identifiers=["ann@x.example"], received_on=ASKED, consent="newsletter")
        assert dt.date(2026, 7, 30) == keep(machine, "files", "1", **how)  # type: ignore[arg-type]
        mine = add_request(machine, kind="withdraw", identifiers=["ann@x.example"], received_on=ASKED, consent="file")
        with pytest.raises(ConfigurationError, match=rf"an end \({mine.request_id}\)"):
            keep(machine, "files", "1", **how)  # type: ignore[arg-type]
        close_request(machine, mine.request_id, "done")
        assert dt.date(2026, 7, 30) == keep(machine, "files", "1", **how)  # type: ignore[arg-type]
