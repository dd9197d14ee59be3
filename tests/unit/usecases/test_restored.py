"""A ledger that is older than the trail: noticed before a run goes by it, and never where nothing is missing."""

from __future__ import annotations

import datetime as dt
import shutil
from pathlib import Path
from typing import Any

import pytest

from worker.errors import Refused
from worker.usecases.applying import apply_plan
from worker.usecases.approving import approve, open_plan
from worker.usecases.machine import Machine
from worker.usecases.planning import make_plan
from worker.usecases.running import run
from worker.usecases.spreading import hand_over
from worker.usecases.standing import add_hold, add_request, close_request, release_hold
from worker.usecases.stopping import resume, stop

Lab = Any
REVIEW = dt.date(2027, 1, 1)


def backed_up(lab: Lab) -> Path:
    """Return a copy of the ledger as it is now."""
    folder: Path = lab.folder / "backup"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for each in (lab.folder / "state").glob("ledger.sqlite*"):
        shutil.copy(each, folder)
    return folder


def put_back(lab: Lab, backup: Path | None) -> None:
    """Put a copy in the place of the ledger, or nothing."""
    for each in (lab.folder / "state").glob("ledger.sqlite*"):
        each.unlink()
    for each in backup.iterdir() if backup is not None else ():
        shutil.copy(each, lab.folder / "state")


def hold(machine: Machine, key: str = "7") -> str:
    """Place a hold on a customer and return its id."""
    (row,) = add_hold(machine, kind="legal", scope="record", source="customers", key=key, owner="ann", reason="file 12", review_on=REVIEW)
    return row.hold_id


def request(machine: Machine) -> str:
    """Record a request and return its id."""
    return add_request(machine, kind="restrict", identifiers=["seven@canary.example"]).request_id


@pytest.fixture
def running(lab: Lab) -> Lab:
    """Return a laboratory that has had a night, with somebody who is due in the next one."""
    with lab.machine() as machine:
        lab.plan_and_apply(machine)
        assert run(machine).result is not None
        lab.memory.tables["customers"][7,] = {"id": 7, "name": "n", "email": "seven@canary.example", "seen_at": "2020-01-01 00:00:00"}
    return lab


def stops(lab: Lab) -> list[str]:
    """Return why runs are stopped."""
    with lab.machine() as machine:
        return [each.why for each in machine.ledger.stops()]


def test_who_was_promised_a_hold_is_not_deleted(running: Lab) -> None:
    """The hold was placed after the backup: no run deletes its record, planned by the night or by hand; the id is said to whoever looks."""
    backup = backed_up(running)
    with running.machine() as machine:
        placed = hold(machine)
    put_back(running, backup)
    with running.machine() as machine:
        assert {"stop"} == {each.brake for each in run(machine).tripped}
        plan = make_plan(machine)
        approve(machine, plan.path, "ann")
        with pytest.raises(Refused, match="1 holds that this ledger does not know"):
            apply_plan(machine, open_plan(machine, plan.path))
        assert placed in machine.ledger.stops()[0].why
    assert 7 in running.table("customers")


@pytest.mark.parametrize("way", ["apply", "spread"])
def test_a_plan_of_a_person_is_held_up_as_well(running: Lab, way: str) -> None:
    """Also where no night came before it, and where workers are to carry it out."""
    with running.machine() as machine:
        plan = make_plan(machine)
        approve(machine, plan.path, "ann")
    backup = backed_up(running)
    with running.machine() as machine:
        hold(machine)
    put_back(running, backup)
    with running.machine() as machine:
        opened = open_plan(machine, plan.path)
        with pytest.raises(Refused, match="does not know"):
            apply_plan(machine, opened) if way == "apply" else hand_over(machine, opened)
    assert 7 in running.table("customers")


@pytest.mark.parametrize(("lost", "named"), [("request", "1 requests"), ("run", "1 runs")])
def test_what_else_shows_that_something_is_missing(running: Lab, lost: str, named: str) -> None:
    """What else only the ledger knows went with a request or a run: marks, answers, tombstones."""
    backup = backed_up(running)
    with running.machine() as machine:
        request(machine) if lost == "request" else run(machine)
    put_back(running, backup)
    with running.machine() as machine:
        assert {"stop"} == {each.brake for each in run(machine).tripped}
    assert [True] == [named in each for each in stops(running)]


def test_a_new_ledger_beside_an_old_trail(running: Lab) -> None:
    """A ledger that was lost is not begun anew as if nobody had ever said anything."""
    with running.machine() as machine:
        hold(machine)
    put_back(running, None)
    with running.machine() as machine:
        plan = make_plan(machine)
        approve(machine, plan.path, "ann")
        with pytest.raises(Refused, match="1 holds, 2 runs that this ledger does not know"):
            apply_plan(machine, open_plan(machine, plan.path))
    assert 7 in running.table("customers")


def test_a_person_decides_and_is_asked_once(running: Lab) -> None:
    """Who put things right lifts the stop; the same is not told again, on this day or later, and something else is."""
    backup = backed_up(running)
    with running.machine() as machine:
        hold(machine)
    put_back(running, backup)
    with running.machine() as machine:
        run(machine)
        hold(machine)
        assert ["*"] == [each.source for each in resume(machine)]
        for _ in range(3):
            night = run(machine)
            assert [] == night.tripped
            running.moment += dt.timedelta(days=1)
    assert 7 in running.table("customers")
    backup = backed_up(running)
    with running.machine() as machine:
        hold(machine, "2")
    put_back(running, backup)
    with running.machine() as machine:
        assert {"stop"} == {each.brake for each in run(machine).tripped}


def test_a_stop_of_a_person_keeps_its_reason(running: Lab) -> None:
    """Nothing runs meanwhile; what is missing is told when it is lifted."""
    with running.machine() as machine:
        stop(machine, why="the CRM is being moved")
    backup = backed_up(running)
    with running.machine() as machine:
        hold(machine)
    put_back(running, backup)
    with running.machine() as machine:
        run(machine)
        assert ["the CRM is being moved"] == [each.why for each in machine.ledger.stops()]
        resume(machine)
        assert {"stop"} == {each.brake for each in run(machine).tripped}


def test_where_nothing_is_missing_nothing_stops(running: Lab) -> None:
    """Holds that were released, requests that were closed, a torn file, a file of another program: all in order."""
    audit = running.folder / "state" / "audit"
    for _ in range(3):
        with running.machine() as machine:
            release_hold(machine, hold(machine))
            close_request(machine, request(machine), "done")
        with max(audit.glob("*.jsonl")).open("ab") as torn:
            torn.write(b'{"n":99,"salt":"')
        (audit / "notes.txt").write_text("retention.hold_placed")
        with running.machine() as machine:
            assert [] == run(machine).tripped
        running.moment += dt.timedelta(days=1)
    assert [] == stops(running)


def test_an_installation_that_ran_before_there_were_such_looks(running: Lab) -> None:
    """What was missing long before the first look is no reason to stop a service after an upgrade."""
    backup = backed_up(running)
    with running.machine() as machine:
        hold(machine)
    put_back(running, backup)
    with running.machine() as machine:
        machine.ledger.set_meta("trail_compared", "")
        running.moment += dt.timedelta(days=10)
        assert [] == run(machine).tripped
