"""What lies outside a row: threads and the rows that are cut loose."""

from __future__ import annotations

from tests.unit.usecases.conftest import Lab
from tests.unit.usecases.test_forecasting import AHEAD, fill
from worker.usecases.planning import make_plan


def test_a_thread_that_is_due_goes_as_a_whole_and_a_reply_that_stays_keeps_nothing(lab: Lab) -> None:
    """Replies are cut loose and not deleted along, so they are no reason to wait: a due comment goes, whether its reply is due or not."""
    lab.policies = AHEAD
    rows = [
        ("Ada", None, "2026-01-01", None),
        ("Bob", None, "2026-01-01", 0),
        ("Cas", None, "2026-01-01", None),
        ("Dea", None, "2026-06-20", 2),
    ]
    fill(lab, {"customers": [], "invoices": [], "comments": rows})
    with lab.machine() as machine:
        lab.plan_and_apply(machine)
        assert 0 == make_plan(machine).acting["comments"]
    assert {3: None} == {key: record["answers_to"] for key, record in lab.table("comments").items()}
