"""Approvals: of policy versions, of a source's shape, and of plans."""

from __future__ import annotations

import pytest

from tests.unit.ledger.conftest import START, Clock, Rows
from worker.errors import ConfigurationError, RetentionError
from worker.ledger import Approval, Ledger, Shape


def test_a_policy_is_approved_by_version(ledger: Ledger) -> None:
    """A yes to one version is none to another, nor to another source's."""
    assert ledger.policy_seen("crm", "d1")
    assert not ledger.policy_seen("crm", "d1")
    assert ledger.approved_policy("crm", "d1") is None

    ledger.approve_policy("crm", "d1", "officer")

    assert Approval("officer", START) == ledger.approved_policy("crm", "d1")
    assert ledger.approved_policy("crm", "d2") is None
    assert ledger.approved_policy("list", "d1") is None
    assert not ledger.policy_seen("crm", "d1")


def test_the_shape_approved_last_counts(ledger: Ledger) -> None:
    """What is compared with is the latest yes, also when it went back to an earlier shape."""
    assert ledger.approved_shape("crm") is None
    for digest in ("s1", "s2", "s1"):
        ledger.approve_shape("crm", digest, {"contacts": ["id", "name"]}, "engineer")

    assert Shape("crm", "s1", {"contacts": ["id", "name"]}, "engineer", START) == ledger.approved_shape("crm")


def test_a_plan_comes_back_as_it_was(ledger: Ledger, rows: Rows, clock: Clock) -> None:
    """Every value of a plan survives, and its approval is apart from it."""
    plan = rows.plan()
    assert ledger.latest_plan() is None
    ledger.add_plan(plan)

    assert plan == ledger.plan("plan-1")
    assert ledger.plan_approval("plan-1") is None
    clock.forward(hours=1)
    assert ledger.approve_plan("plan-1", "officer") == ledger.plan_approval("plan-1")
    assert Approval("officer", clock.instant) == ledger.plan_approval("plan-1")


def test_plans_are_listed_newest_first(ledger: Ledger, rows: Rows, clock: Clock) -> None:
    """The latest plan is the one that was made last."""
    for number in (1, 2, 3):
        clock.forward(hours=1)
        ledger.add_plan(rows.plan(f"plan-{number}", clock.instant))

    assert ["plan-3", "plan-2"] == [plan.plan_id for plan in ledger.plans(2)]
    assert ledger.plan("plan-3") == ledger.latest_plan()


def test_an_unknown_plan_cant_be_approved(ledger: Ledger) -> None:
    """A yes to a plan of another ledger is not kept."""
    with pytest.raises(ConfigurationError, match="plan-9"):
        ledger.approve_plan("plan-9", "officer")
    assert ledger.plan("plan-9") is None
    assert ledger.plan_approval("plan-9") is None


def test_a_plan_is_added_once(ledger: Ledger, rows: Rows) -> None:
    """A plan under a known id doesn't replace the one that may have been approved."""
    ledger.add_plan(rows.plan())

    with pytest.raises(RetentionError, match="refused"):
        ledger.add_plan(rows.plan())
