"""What a person said yes to: policy versions, the shape of a source, plans."""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import Integer, Select, bindparam, insert, select, update

from worker.errors import ConfigurationError
from worker.ledger import schema
from worker.ledger.connect import Say, Store, columns, nothing, put, values
from worker.ledger.rows import Approval, PlanRow, Shape

_SHAPES, _PLANS, _VERSIONS = schema.shapes.c, schema.plans.c, schema.policy_versions.c
_APPROVED_POLICY = select(_VERSIONS.approved_by, _VERSIONS.approved_at)
_APPROVED_POLICY = _APPROVED_POLICY.where(_VERSIONS.source == bindparam("of"), _VERSIONS.digest == bindparam("known_by"))
_SHAPE = select(*columns(schema.shapes, Shape)).where(_SHAPES.source == bindparam("of")).order_by(_SHAPES.shape_id.desc()).limit(1)
_NEWEST_PLANS = (
    select(*columns(schema.plans, PlanRow)).order_by(_PLANS.made_at.desc(), _PLANS.plan_id.desc()).limit(bindparam("most", type_=Integer))
)
_PLAN = select(*columns(schema.plans, PlanRow)).where(_PLANS.plan_id == bindparam("of"))
_APPROVED_PLAN = select(_PLANS.approved_by, _PLANS.approved_at).where(_PLANS.plan_id == bindparam("of"))


class Approvals(Store):
    """Approvals. The latest one of a thing is kept here; every one is in the audit trail.

    say -- is called before an approval is kept: nothing may be done by one that the trail doesn't know.
    """

    def policy_seen(self, source: str, digest: str) -> bool:
        """Remember that a policy version exists; True when it is new."""
        row = {"source": source, "digest": digest, "seen_at": self._now()}
        with self._write() as connection:
            return put(connection, schema.policy_versions, row, replace=False)

    def approve_policy(self, source: str, digest: str, by: str, say: Say = nothing) -> Approval:
        """Keep a person's yes to one version of a source's policy."""
        at = self._now()
        row = {"source": source, "digest": digest, "seen_at": at, "approved_by": by, "approved_at": at}
        with self._write() as connection:
            put(connection, schema.policy_versions, row, keep=("seen_at",))
            say()
        return Approval(by, at)

    def approved_policy(self, source: str, policy_digest: str) -> Approval | None:
        """Return who approved this version of the source's policy, or None."""
        return self._approval(_APPROVED_POLICY, {"of": source, "known_by": policy_digest})

    def approve_shape(self, source: str, digest: str, listing: Any, by: str, say: Say = nothing) -> None:
        """Keep a person's yes to the columns and child tables that a source has now. listing -- a JSON value."""
        row = {"source": source, "digest": digest, "listing": listing, "by": by, "at": self._now()}
        with self._write() as connection:
            connection.execute(insert(schema.shapes), row)
            say()

    def approved_shape(self, source: str) -> Shape | None:
        """Return the shape of the source that was approved last, or None."""
        with self._read() as connection:
            row = connection.execute(_SHAPE, {"of": source}).mappings().first()
        return None if row is None else Shape(**row)

    def add_plan(self, plan: PlanRow) -> None:
        """Keep a plan that was made; its id must be new."""
        with self._write() as connection:
            connection.execute(insert(schema.plans), values(plan))

    def plan(self, plan_id: str) -> PlanRow | None:
        """Return a plan, or None."""
        return next(iter(self._plans(_PLAN, {"of": plan_id})), None)

    def latest_plan(self) -> PlanRow | None:
        """Return the plan that was made last, or None."""
        return next(iter(self.plans(1)), None)

    def plans(self, limit: int) -> list[PlanRow]:
        """Return the plans that were made last, newest first."""
        return self._plans(_NEWEST_PLANS, {"most": limit})

    def last_plan_holding(self, source: str) -> PlanRow | None:
        """Return the plan made last by which a source held any records, or None."""
        with self._read() as connection:
            for row in connection.execute(_NEWEST_PLANS.limit(None)).mappings():
                plan = PlanRow(**row)
                if plan.counts.get(source, {}).get("total"):
                    return plan
        return None

    def first_plan_holding(self, source: str, since: dt.datetime) -> PlanRow | None:
        """Return the plan made first since an instant by which a source held any records, or None."""
        first = None
        with self._read() as connection:
            for row in connection.execute(_NEWEST_PLANS.limit(None)).mappings():
                plan = PlanRow(**row)
                if plan.made_at < since:
                    break
                if plan.counts.get(source, {}).get("total"):
                    first = plan
        return first

    def approve_plan(self, plan_id: str, by: str, say: Say = nothing) -> Approval:
        """Keep a person's yes to a plan. Raises ConfigurationError when the ledger doesn't know the plan."""
        table, at = schema.plans, self._now()
        with self._write() as connection:
            approved = update(table).where(table.c.plan_id == plan_id).values(approved_by=by, approved_at=at)
            if connection.execute(approved).rowcount == 0:
                raise ConfigurationError(
                    f"The ledger doesn't know the plan {plan_id}: it was made with another ledger. Make a new plan here."
                )
            say()
        return Approval(by, at)

    def plan_approval(self, plan_id: str) -> Approval | None:
        """Return who approved the plan last, or None."""
        return self._approval(_APPROVED_PLAN, {"of": plan_id})

    def _plans(self, wanted: Select[Any], of: dict[str, Any]) -> list[PlanRow]:
        with self._read() as connection:
            return [PlanRow(**row) for row in connection.execute(wanted, of).mappings()]

    def _approval(self, wanted: Select[Any], of: dict[str, Any]) -> Approval | None:
        with self._read() as connection:
            row = connection.execute(wanted, of).first()
        return None if row is None or row.approved_at is None else Approval(row.approved_by, row.approved_at)
