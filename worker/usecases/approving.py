"""A person's yes, and everything a plan is refused for."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from worker.audit.events import Action
from worker.errors import Refused
from worker.planfile import PlanFile
from worker.ports import Shape
from worker.usecases.machine import Machine, saying
from worker.usecases.planning import shape_digest


def open_plan(machine: Machine, path: Path) -> PlanFile:
    """Return a plan file that is whole and untouched; Refused otherwise, and when the ledger never saw it made."""
    with _refusals_said(machine, path):
        plan = PlanFile.open(path, *(key.secret for key in machine.keyring.plan_macs()))
        known = machine.ledger.plan(plan.header.plan_id)
        if known is None or known.mac != plan.mac:
            raise Refused(f"{path} is not a plan this ledger knows: make one with `retention plan` on this installation.")
    return plan


@contextmanager
def _refusals_said(machine: Machine, path: Path, plan_id: str | None = None) -> Iterator[None]:
    """Write down why a plan is refused; of one that can't be believed no id is known. The path is left out: people choose it."""
    try:
        yield
    except Refused as error:
        machine.trail.emit(
            Action.PLAN_REFUSED,
            {
                "event.outcome": "failure",
                "event.reason": str(error).replace(str(path), "FILE"),
                "retention.by": machine.operator,
                **({"retention.plan": plan_id} if plan_id is not None else {}),
            },
            sync=True,
        )
        raise


def approve(machine: Machine, path: Path, by: str, looked_at: str | None = None) -> PlanFile:
    """Approve a plan, and with it the version of every policy in it and the shape of every source.

    looked_at -- the id of the plan that the yes is to, where the person says so: meanwhile another one may have come under the same name.
    Refused when it is another plan, when it is no longer valid, when a source has another shape than it had for the plan, or when the same
    person made it where two are asked for. The ledger knows of the yes last, after everything else that it stands for is kept and in the
    trail: a plan that was refused, or whose approval a crash cut short, can't be carried out.
    """
    plan = open_plan(machine, path)
    header = plan.header
    # Of a source that could not be read the plan says nothing, and neither does a yes to it. A replay shows what came back and not what
    # a policy does, so a yes to it is a yes to no policy.
    shown = [] if header.replay else [name for name in header.policies if name in header.shapes]
    with _refusals_said(machine, plan.path, header.plan_id):
        if looked_at not in (None, header.plan_id):
            raise Refused(f"{path} holds another plan than the one to be approved: look at it with `retention plan show {path}`.")
        _refuse_outdated(machine, plan, "approved")
        _refuse_unseen(machine, plan)
        if machine.settings.four_eyes and by == header.made_by:
            raise Refused(f"This plan was made by {by}: somebody else has to approve it (setting: four_eyes).")
        # All of them first: to see a folder's shape every file with facts is read, and a yes is one to the plan as a whole.
        shapes = {source: _shape_now(machine, source) for source in shown}
        for source in shown:
            if shape_digest(shapes[source]) != header.shapes[source]:
                raise Refused(f"{source} has other columns or child tables than when the plan was made. Make a new plan.")
        for source, shape in shapes.items():
            if machine.ledger.approved_policy(source, header.policies[source]) is None:
                approve_policy(machine, source, by)
            _approve_shape(machine, source, shape, by)
    about = {"event.outcome": "success", "retention.plan": header.plan_id, "retention.by": by, "retention.mac": plan.mac}
    machine.ledger.approve_plan(header.plan_id, by, saying(machine, Action.PLAN_APPROVED, about))
    return plan


def approve_policy(machine: Machine, source: str, by: str) -> str:
    """Approve the present version of a source's policy and return its digest."""
    digest = machine.policy(source).digest
    about = {"rule.id": source, "rule.version": digest, "retention.source": source, "retention.by": by}
    machine.ledger.approve_policy(source, digest, by, saying(machine, Action.POLICY_APPROVED, about))
    return digest


def approve_shape(machine: Machine, source: str, by: str) -> None:
    """Approve the columns and child tables a source has now."""
    _approve_shape(machine, source, _shape_now(machine, source), by)


def _approve_shape(machine: Machine, source: str, shape: Shape, by: str) -> None:
    """Approve what a source looks like, unless that was approved last."""
    digest = shape_digest(shape)
    known = machine.ledger.approved_shape(source)
    if known is not None and known.digest == digest:
        return
    listing = {"columns": sorted(shape.columns), "referring": sorted(shape.referring)}
    about = {"retention.source": source, "retention.shape": digest, "retention.by": by}
    machine.ledger.approve_shape(source, digest, listing, by, saying(machine, Action.SOURCE_APPROVED, about))


def _shape_now(machine: Machine, source: str) -> Shape:
    """Return what a source looks like now."""
    return machine.open_source(machine.policy(source).source).shape()


def new_in_shape(machine: Machine, source: str) -> tuple[str, ...]:
    """Return the columns and child tables of a source that nobody has approved; none when it was never approved at all."""
    known = machine.ledger.approved_shape(source)
    if known is None:
        return ()
    shape = machine.open_source(machine.policy(source).source).shape()
    columns = sorted(set(shape.columns) - set(known.listing["columns"]))
    tables = sorted(set(shape.referring) - set(known.listing["referring"]))
    return (*(f"column {each}" for each in columns), *(f"child table {each}" for each in tables))


def require_approved(machine: Machine, plan: PlanFile) -> None:
    """Raise Refused unless the plan may be carried out now: approved, not expired, not from the future, its policies unchanged."""
    with _refusals_said(machine, plan.path, plan.header.plan_id):
        _refuse_outdated(machine, plan, "carried out")
        _refuse_unseen(machine, plan)
        _refuse_unapproved(machine, plan)


def _refuse_unapproved(machine: Machine, plan: PlanFile) -> None:
    """Raise Refused when no person said yes to the plan."""
    if machine.ledger.plan_approval(plan.header.plan_id) is None:
        raise Refused(f"Nobody has approved this plan. Look at it with `retention plan show {plan.path}`, then `retention approve`.")


def _refuse_unseen(machine: Machine, plan: PlanFile) -> None:
    """Raise Refused when a replay rests on a version of a policy that no person ever approved."""
    for source, digest in plan.header.policies.items() if plan.header.replay else ():
        if machine.ledger.approved_policy(source, digest) is None:
            raise Refused(
                f"No person ever approved this version of the policy of {source}: look at what it does with `retention plan`, approve "
                "that, and make a new replay."
            )


def _refuse_outdated(machine: Machine, plan: PlanFile, done: str) -> None:
    """Raise Refused when the plan is expired, from the future, or made from other policies than those in force."""
    now, header = machine.now(), plan.header
    if header.made_at > now + dt.timedelta(minutes=5):
        raise Refused(f"This plan was made in the future ({header.made_at:%Y-%m-%d %H:%M} UTC): check the clock.")
    if header.as_of > machine.today():
        raise Refused(f"This plan decides for {header.as_of}, which is still to come: it can be looked at, not {done}.")
    if now > header.expires_at:
        raise Refused(f"This plan expired on {header.expires_at:%Y-%m-%d}: make a new one with `retention plan`.")
    changed = [
        source
        for source, digest in header.policies.items()
        if (policy := machine.schedule.policy(source)) is None or policy.digest != digest
    ]
    if changed:
        raise Refused(f"The policies of {', '.join(changed)} have changed since this plan was made: make a new one with `retention plan`.")
