"""Noting when states were first seen to have ended."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from connectors.memory import MemorySource
from tests.unit.usecases.conftest import Killed, Lab, migrated_ledger
from worker.errors import SourceFailed
from worker.ports import AFTER_COMMIT, BEFORE_COMMIT, BEFORE_LOCK
from worker.usecases.applying import apply_plan
from worker.usecases.approving import approve, open_plan
from worker.usecases.planning import make_plan
from worker.usecases.reconciling import reconcile

POLICIES = """
version = 1
[organisation]
name = "Lab"
timezone = "Europe/Amsterdam"
[sources.suppliers]
connector = "memory"
table = "suppliers"
key = "id"
subject = ["email"]
[sources.suppliers.fields]
email = { type = "email" }
active = { type = "boolean" }
[[policies]]
source = "suppliers"
disposition = "delete"
[[policies.purposes]]
id = "relation"
basis = "contract"
fields = ["email"]
start = { while = { active = true } }
keep = "P0D"
"""


@pytest.fixture
def suppliers(tmp_path: Path) -> Lab:
    """Return a laboratory with suppliers: one active, two not, one of whom nobody knows."""
    assert migrated_ledger().exists()
    lab = Lab(tmp_path, POLICIES)
    rows = ((1, True), (2, False), (3, False), (4, None))
    lab.memory.tables["suppliers"] = {(key,): {"id": key, "email": f"s{key}@canary.example", "active": active} for key, active in rows}
    return lab


def night(lab: Any, days: int = 1) -> None:
    """Plan and apply, and let days pass."""
    with lab.machine() as machine:
        lab.plan_and_apply(machine)
    lab.moment += dt.timedelta(days=days)


def test_only_a_run_notes_and_an_unknown_state_is_never_over(suppliers: Any) -> None:
    """Plans note nothing; the night after the first run the two that were seen go, and of whom nobody knows stays and is reported."""
    with suppliers.machine() as machine:
        for _ in range(2):
            assert {"suppliers": 0} == make_plan(machine).acting
        assert {} == machine.ledger.observations("suppliers")
    night(suppliers)
    with suppliers.machine() as machine:
        plan = make_plan(machine)
    assert ({"suppliers": 2}, 1) == (plan.acting, plan.summary.counts["suppliers"]["undetermined"])
    night(suppliers)
    assert {1, 4} == set(suppliers.table("suppliers"))


def test_an_unknown_state_keeps_the_day_that_was_noted(suppliers: Any) -> None:
    """Nobody can tell whether a state came back while it could not be read: what was seen before stays, and counts again later."""
    night(suppliers)
    suppliers.memory.tables["suppliers"][2,]["active"] = "who knows"
    night(suppliers)
    assert {1, 2, 4} == set(suppliers.table("suppliers"))
    suppliers.memory.tables["suppliers"][2,]["active"] = False
    with suppliers.machine() as machine:
        assert {"suppliers": 1} == make_plan(machine).acting


@pytest.mark.parametrize("point", [BEFORE_LOCK, AFTER_COMMIT])
def test_a_crash_after_noting_does_no_harm(suppliers: Any, point: str) -> None:
    """Killed between its look and its work, or right after it, a run that is done again ends as one that nothing happened to."""
    night(suppliers)
    suppliers.memory.tables["suppliers"][1,]["active"] = False
    suppliers.faults.point = point
    with pytest.raises(Killed), suppliers.machine() as machine:
        suppliers.plan_and_apply(machine)
    suppliers.faults.point = None
    with suppliers.machine() as machine:
        reconcile(machine, ("suppliers",))
    night(suppliers)
    assert {1, 4} == set(suppliers.table("suppliers"))
    night(suppliers)
    assert {4} == set(suppliers.table("suppliers"))


@pytest.mark.parametrize("point", [None, AFTER_COMMIT])
def test_a_key_that_is_given_again_inherits_nothing(suppliers: Any, point: str | None) -> None:
    """A record with the key of one that was deleted is seen for the first time itself, also when the deleting run died after its commit."""
    night(suppliers)
    suppliers.faults.point = point
    if point is None:
        night(suppliers)
    else:
        with pytest.raises(Killed), suppliers.machine() as machine:
            suppliers.plan_and_apply(machine)
        suppliers.faults.point = None
        suppliers.moment += dt.timedelta(days=1)
    assert {1, 4} == set(suppliers.table("suppliers"))
    suppliers.memory.tables["suppliers"][2,] = {"id": 2, "email": "new@canary.example", "active": False}
    with suppliers.machine() as machine:
        reconcile(machine, ("suppliers",))
        assert {"suppliers": 0} == make_plan(machine).acting
    night(suppliers)
    assert {1, 2, 4} == set(suppliers.table("suppliers"))
    night(suppliers)
    assert {1, 4} == set(suppliers.table("suppliers"))


def test_what_was_rolled_back_leaves_what_was_seen(suppliers: Any) -> None:
    """A record that a dead run did not delete after all keeps the day on which its state was first seen to have ended."""
    night(suppliers)
    suppliers.faults.point = BEFORE_COMMIT
    with pytest.raises(Killed), suppliers.machine() as machine:
        suppliers.plan_and_apply(machine)
    suppliers.faults.point = None
    assert {1, 2, 3, 4} == set(suppliers.table("suppliers"))
    with suppliers.machine() as machine:
        reconcile(machine, ("suppliers",))
        assert {"suppliers": 2} == make_plan(machine).acting


class Silent(MemorySource):
    """A source that says what it looks like, but can't be read."""

    def reader(self) -> Any:
        """Fail."""
        raise SourceFailed("suppliers does not answer")


def test_a_source_that_can_not_be_read_forgets_nothing(suppliers: Any) -> None:
    """When the look at a source fails the source is left alone that night, and the days that were noted stay."""
    night(suppliers)
    with suppliers.machine() as machine:
        plan = make_plan(machine)
        approve(machine, plan.path, "ann")
        before = machine.ledger.observations("suppliers")
        silent = replace(machine, open_source=lambda source: Silent(source, suppliers.memory, machine.schedule.sources))
        result = apply_plan(silent, open_plan(machine, plan.path))
        assert (5, {"suppliers"}) == (result.exit_code, set(result.failed))
        assert before == machine.ledger.observations("suppliers")
    assert 4 == len(suppliers.table("suppliers"))


def test_a_state_may_hang_on_what_lies_in_several_sources(tmp_path: Path) -> None:
    """A state whose condition asks for a fact over several sources is seen to have ended like any other, and its record goes in time."""
    assert migrated_ledger().exists()
    text = POLICIES.replace("while = { active = true }", "while = { last_met = { gt = 2025-01-01 } }")
    text = text.replace("[sources.suppliers]\n", '[facts.last_met]\nlatest = ["suppliers.met_on"]\n[sources.suppliers]\n', 1)
    lab = Lab(tmp_path, text.replace('active = { type = "boolean" }', 'met_on = { type = "date" }'))
    met = {1: dt.date(2026, 1, 5), 2: dt.date(2020, 1, 5)}
    lab.memory.tables["suppliers"] = {(key,): {"id": key, "email": f"s{key}@canary.example", "met_on": day} for key, day in met.items()}
    for _ in range(2):
        night(lab)
    assert {1} == set(lab.table("suppliers"))
