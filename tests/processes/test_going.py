"""The day on which the last record that names something went: only what was seen to go is gone, and nobody is told so by a gap."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from tests.unit.usecases.conftest import Killed, Lab
from worker.core.facts import Fact, Known, NotApplicable, NotYet, Unknown
from worker.ports import AFTER_COMMIT, AFTER_INTENT
from worker.usecases.applying import apply_plan
from worker.usecases.approving import approve, open_plan
from worker.usecases.gathering import gather
from worker.usecases.judging import Judge
from worker.usecases.planning import make_plan
from worker.usecases.reconciling import reconcile

POLICIES = """
version = 1
[organisation]
name = "Lab"
timezone = "Europe/Amsterdam"

[facts.row_gone]
gone = ["rows.file", "rows.preview"]

[sources.rows]
connector = "memory"
table = "rows"
key = "id"
subject = ["email"]
[sources.rows.fields]
email = { type = "email", treatment = "clear" }
title = { treatment = "clear" }
file = {}
preview = {}
seen_on = { type = "date" }
left_on = { type = "date" }

[[policies]]
source = "rows"
disposition = "delete"
[[policies.purposes]]
id = "contact"
basis = "legitimate-interests"
fields = ["email"]
start = "seen_on"
keep = "P2Y"
[[policies.purposes]]
id = "relation"
basis = "contract"
fields = ["title"]
start = "left_on"
keep = "P2Y"

[sources.files]
connector = "memory"
table = "files"
key = "id"
subject = ["name"]
uses = ["row_gone"]
[sources.files.fields]
name = {}

[[policies]]
source = "files"
disposition = "delete"
[[policies.purposes]]
id = "named"
basis = "legitimate-interests"
fields = ["name"]
start = "row_gone"
keep = "P1D"
"""
TODAY = dt.date(2026, 6, 30)
OLD, YOUNG = "2020-01-01", "2026-01-01"
WENT, NAMED, NEVER = Known(TODAY), NotYet(), Unknown("no source has a record of it")


@pytest.fixture
def office(tmp_path: Path) -> Lab:
    """Return an office in which the row of `a` and its preview is due, that of `b` only in part, and that of `c` is young; `x` has none."""
    lab = Lab(tmp_path, POLICIES)
    rows = ((1, "a.pdf", "a.png", OLD, OLD), (2, "b.pdf", None, OLD, YOUNG), (3, "c.pdf", "", YOUNG, YOUNG))
    lab.memory.tables["rows"] = {
        (n,): {"id": n, "email": f"{n}@x.example", "title": "T", "file": file, "preview": preview, "seen_on": seen, "left_on": left}
        for n, file, preview, seen, left in rows
    }
    names = ("a.pdf", "A.PNG", "b.pdf", "c.pdf", "x.pdf")
    lab.memory.tables["files"] = {(n,): {"id": n, "name": name} for n, name in enumerate(names, start=1)}
    return lab


def facts(lab: Lab) -> list[Fact]:
    """Return what is known about the five files, in their order."""
    with lab.machine() as machine:
        policy = machine.policy("files")
        with gather(machine, machine.policies(), TODAY) as gathered, machine.open_source(policy.source).reader() as reader:
            judge = Judge(machine, policy, TODAY, gathered)
            return [
                judge.facts(verdict)["row_gone"]
                for page in reader.rows(judge.selection(full=True), judge.columns)
                for verdict in judge.judge(page, reader.related)
            ]


def run(lab: Lab) -> None:
    """Plan, approve, apply."""
    with lab.machine() as machine:
        lab.plan_and_apply(machine)


def test_only_what_was_deleted_is_gone(office: Lab) -> None:
    """What the deleted row named by either field went that day; a treated row is there; what nobody ever named is unknown."""
    assert [NAMED, NAMED, NAMED, NAMED, NEVER] == facts(office)
    run(office)
    assert {2, 3} == set(office.table("rows"))
    assert [WENT, WENT, NAMED, NAMED, NEVER] == facts(office)


def test_another_program_leaves_no_day(office: Lab) -> None:
    """A row that somebody else deleted was not seen to go, also when it had been treated before: its file is as one that nobody named."""
    run(office)
    for key in ((2,),):
        del office.memory.tables["rows"][key]
    assert [WENT, WENT, NEVER, NAMED, NEVER] == facts(office)
    office.policies = office.policies.replace('"rows.preview"]', '"rows.preview"]\nnone = "not_applicable"')
    assert [WENT, WENT, NotApplicable(), NAMED, NotApplicable()] == facts(office)


def test_another_row_that_names_it(office: Lab) -> None:
    """A file is named as long as any row names it, by whichever field."""
    office.memory.tables["rows"][3,]["preview"] = "a.pdf"
    run(office)
    assert [NAMED, WENT, NAMED, NAMED, NEVER] == facts(office)


@pytest.mark.parametrize("left", [(), (4,)], ids=["empty", "nothing named"])
def test_a_table_that_was_emptied(office: Lab, left: tuple[int, ...]) -> None:
    """When no row names anything nobody knows anything, also about what went; when one does again, all is as it was."""
    run(office)
    before = office.memory.tables["rows"]
    office.memory.tables["rows"] = {(n,): {**before[3,], "id": n, "file": None, "preview": " "} for n in left}
    assert [Unknown("no record of rows names anything")] * 5 == facts(office)
    with office.machine() as machine:
        assert 0 == make_plan(machine, as_of=dt.date(2026, 7, 30)).acting["files"]
    office.memory.tables["rows"] = before
    assert [WENT, WENT, NAMED, NAMED, NEVER] == facts(office)


@pytest.mark.parametrize(("point", "expected"), [(AFTER_INTENT, NAMED), (AFTER_COMMIT, WENT)])
def test_a_process_that_dies(office: Lab, point: str, expected: Fact) -> None:
    """What was committed is gone before anybody has resolved it; what was not is never taken for gone, not even when its row is lost."""
    with office.machine() as machine:
        plan = make_plan(machine)
        approve(machine, plan.path, "ann")
        office.faults.point = point
        with pytest.raises(Killed):
            apply_plan(machine, open_plan(machine, plan.path))
    office.faults.point = None
    assert [expected, expected, NAMED, NAMED, NEVER] == facts(office)
    with office.machine() as machine:
        reconcile(machine, ["rows"])
    assert [expected, expected, NAMED, NAMED, NEVER] == facts(office)
    office.memory.tables["rows"].pop((1,), None)
    lost = NEVER if point == AFTER_INTENT else WENT
    assert [lost, lost, NAMED, NAMED, NEVER] == facts(office)
