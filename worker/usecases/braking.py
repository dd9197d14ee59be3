"""The brakes: limits that stop a night run before any write, because a mistake is cheaper to look at than to undo."""

from __future__ import annotations

import datetime as dt
import statistics
from dataclasses import dataclass

from worker.audit.events import Action
from worker.core.periods import Period
from worker.usecases.approving import new_in_shape
from worker.usecases.machine import Machine
from worker.usecases.planning import MadePlan

_HISTORY = 30


@dataclass(frozen=True, slots=True)
class Tripped:
    """One brake that tripped: for one source, or for the whole run (`source` None); `what` says which limit and what to do."""

    brake: str
    source: str | None
    what: str


def clock_brakes(machine: Machine, today: dt.date | None = None) -> list[Tripped]:
    """Return what is wrong with the clock, compared with the last run. today -- the day it gave; by default the one it gives now."""
    last = machine.ledger.last_as_of()
    today = today or machine.today()
    if last is None:
        return []
    if today < last:
        return [Tripped("clock", None, f"Today is {today}, but a run was made for {last}: the clock went back. Set it right.")]
    leap = Period.parse(machine.settings.max_clock_leap)
    if today > leap.after(last):
        return [
            Tripped(
                "clock",
                None,
                f"The last run was for {last}, more than {leap} ago. If the clock is right, make a plan, approve it and apply it.",
            )
        ]
    return []


def plan_brakes(machine: Machine, plan: MadePlan) -> list[Tripped]:
    """Return the limits that a plan exceeds. Nothing was written yet."""
    settings = machine.settings
    tripped: list[Tripped] = []
    look = f"Look at it with `retention plan show {plan.path}`; if it is right, approve and apply it."
    for source, acting in plan.acting.items():
        total = int(plan.summary.counts[source]["total"])
        if machine.ledger.approved_policy(source, plan.header.policies[source]) is None:
            tripped.append(Tripped("policy", source, f"{source}: no person ever approved this version of its policy. {look}"))
            continue
        if acting > settings.max_records:
            tripped.append(
                Tripped("max_records", source, f"{source}: {acting} records would be acted on, the limit is {settings.max_records}. {look}")
            )
        if total and acting > settings.jump_floor and acting / total > settings.max_share:
            tripped.append(
                Tripped(
                    "max_share",
                    source,
                    f"{source}: {acting / total:.0%} of it would be acted on, the limit is {settings.max_share:.0%}. {look}",
                )
            )
        earlier = machine.ledger.history(source, _HISTORY)
        usual = statistics.median(earlier) if earlier else None
        if usual is not None and acting > settings.jump_floor and acting > settings.max_jump * max(usual, 1):
            tripped.append(Tripped("max_jump", source, f"{source}: {acting} records would be acted on, {usual:g} were usual. {look}"))
    return tripped


def shape_brakes(machine: Machine, sources: tuple[str, ...]) -> list[Tripped]:
    """Return the sources that look different from what a person approved: personal data may have moved in. They alone are stopped."""
    tripped: list[Tripped] = []
    for source in sources:
        new = new_in_shape(machine, source)
        if new:
            tripped.append(
                Tripped(
                    "shape",
                    source,
                    f"{source} has something new: {', '.join(new)}. Declare it in the policy file if it holds personal data, "
                    f"then `retention sources approve {source}`.",
                )
            )
    return tripped


def say(machine: Machine, tripped: list[Tripped], **about: str) -> None:
    """Write an event for every brake that tripped. about -- the `plan` or the `run` that was stopped, where there is one."""
    for each in tripped:
        machine.trail.emit(
            Action.BRAKE_TRIPPED,
            {
                "event.outcome": "failure",
                "event.reason": each.what,
                "retention.brake": each.brake,
                "retention.source": each.source or "*",
                **{f"retention.{name}": value for name, value in about.items()},
            },
            sync=True,
        )
