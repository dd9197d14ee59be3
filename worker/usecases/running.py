"""The night run: plan, brakes, apply - for cron. Nothing is written before every brake has let it pass."""

from __future__ import annotations

from dataclasses import dataclass, field

from worker.audit.events import Action
from worker.errors import Refused
from worker.usecases.applying import Progress, RunResult, carry_out
from worker.usecases.approving import open_plan
from worker.usecases.braking import Tripped, clock_brakes, plan_brakes, say
from worker.usecases.machine import Machine
from worker.usecases.planning import MadePlan, make_plan
from worker.usecases.stopping import stop_brakes


@dataclass(frozen=True)
class NightRun:
    """A night run: its plan, and what came of it (None when a brake or a missing approval stopped it before any write)."""

    plan: MadePlan | None
    result: RunResult | None
    tripped: list[Tripped] = field(default_factory=list)


def run(machine: Machine, *, sources: tuple[str, ...] = (), full: bool = False, progress: Progress | None = None) -> NightRun:
    """Plan and apply under the brakes; see `plan_under_brakes`."""
    begun = machine.monotonic()
    night = plan_under_brakes(machine, sources=sources, full=full)
    if night.plan is None or night.tripped:
        return night
    result = carry_out(machine, open_plan(machine, night.plan.path), kind="run", begun=begun, progress=progress)
    result.failed.update({name: why for name, why in night.plan.failed.items() if name not in result.failed})
    return NightRun(night.plan, result)


def plan_under_brakes(machine: Machine, *, sources: tuple[str, ...] = (), full: bool = False) -> NightRun:
    """Make the plan of a night and hold it against the brakes; it may be carried out when none tripped.

    With `approval = always` the plan is made and waits for a person. A brake that concerns the whole run, or any source, stops the run
    before any write; only a source that looks different is left out by itself.
    """
    names = tuple(each.source.name for each in machine.policies(sources))
    tripped = stop_brakes(machine, names)
    if tripped:
        say(machine, tripped)
        return NightRun(None, None, tripped)
    with machine.ledger.run_lock(names, run_id="planning"):
        tripped = clock_brakes(machine)
        if tripped:
            say(machine, tripped)
            machine.trail.emit(Action.CLOCK_SUSPECT, {"event.reason": tripped[0].what}, sync=True)
            return NightRun(None, None, tripped)
        plan = make_plan(machine, sources=sources, full=full, progress=None)
        tripped = plan_brakes(machine, plan)
    if machine.settings.approval == "always" and any(plan.acting.values()):
        tripped.append(
            Tripped(
                "approval", None, f"Every plan needs a person's yes (setting: approval). Look at it, then `retention approve {plan.path}`."
            )
        )
    if tripped:
        say(machine, tripped, plan=plan.header.plan_id)
    return NightRun(plan, None, tripped)


def refusal(night: NightRun) -> Refused:
    """Return what the operator is told when the run was stopped."""
    lines = "\n".join(f"  - [{each.brake}] {each.what}" for each in night.tripped)
    return Refused(f"Nothing was written. A brake stopped the run:\n{lines}")
