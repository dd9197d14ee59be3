"""Whatever point of a run the process dies at, the next one ends it."""

from __future__ import annotations

import pytest

from tests.unit.usecases.conftest import Lab
from worker.ports import FAULT_POINTS
from worker.usecases.applying import apply_plan
from worker.usecases.approving import approve, open_plan
from worker.usecases.planning import make_plan


@pytest.mark.parametrize("point", FAULT_POINTS)
def test_recovery_gives_the_same_content_and_the_same_effects(lab: Lab, unhurt: Lab, point: str) -> None:
    """After a crash at any fault point, reconciling and applying again gives what a run never hurt gives, each effect once."""
    with lab.machine() as machine:
        plan = make_plan(machine)
        approve(machine, plan.path, "ann")
    lab.faults.point = point
    with pytest.raises(BaseException, match=point), lab.machine() as machine:
        apply_plan(machine, open_plan(machine, plan.path))
    lab.faults.point = None
    with lab.machine() as machine:
        apply_plan(machine, open_plan(machine, plan.path))
        assert [] == machine.ledger.unfinished()
        assert [] == machine.ledger.open_runs()
    assert {name: set(unhurt.table(name)) for name in unhurt.memory.tables} == {name: set(lab.table(name)) for name in lab.memory.tables}
    assert [action for action, _ in unhurt.effects()] == [action for action, _ in lab.effects()]
