"""The night run: plan, brakes, apply, and at the end what the audit trail itself no longer keeps - for cron.

Nothing is begun before every brake has let it pass. What a crash left open is ended before the plan is made, so that the plan is made of
what is there, and one run after a crash comes to what a run that was never hurt comes to. That decides nothing: a batch is carried to the
end that it had when its process died.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from worker.audit.events import Action
from worker.errors import Refused
from worker.log import get_logger
from worker.usecases.applying import DONE, NEW_FINDINGS, PARTIAL, Progress, RunResult, carry_out
from worker.usecases.approving import open_plan
from worker.usecases.braking import Tripped, clock_brakes, plan_brakes, say
from worker.usecases.machine import Machine
from worker.usecases.planning import MadePlan, make_plan
from worker.usecases.pruning import Pruned, prune_by_night
from worker.usecases.reconciling import reconcile
from worker.usecases.restored import stop_when_restored
from worker.usecases.stopping import stop_brakes


@dataclass(frozen=True)
class NightRun:
    """A night run: its plan, and what came of it (None when a brake or a missing approval stopped it before any write).

    pruned -- what was dropped of the audit trail at the end; None when nothing is declared, or the run was stopped; resolved -- how many
    batches that a crash had left open were ended before the plan was made.
    """

    plan: MadePlan | None
    result: RunResult | None
    tripped: list[Tripped] = field(default_factory=list)
    pruned: Pruned | None = None
    resolved: int = 0

    @property
    def exit_code(self) -> int:
        """That of the run, or of a part that failed when a file of the audit trail could not be pruned."""
        code = self.result.exit_code if self.result is not None else Refused.exit_code
        return PARTIAL if self.pruned is not None and self.pruned.failed and code in (DONE, NEW_FINDINGS) else code


def run(machine: Machine, *, sources: tuple[str, ...] = (), full: bool = False, progress: Progress | None = None) -> NightRun:
    """Plan and apply under the brakes; see `plan_under_brakes`."""
    begun = machine.monotonic()
    night = plan_under_brakes(machine, sources=sources, full=full)
    if night.plan is None or night.tripped:
        return night
    plan = open_plan(machine, night.plan.path)
    result = carry_out(machine, plan, kind="run", begun=begun, progress=progress, resolved=night.resolved)
    # The run only knows that its plan is not the whole; why a source could not be read is known here.
    result.failed.update(night.plan.failed)
    # A stop that somebody asked for meanwhile is one for everything that can't be undone.
    stopped = stop_brakes(machine, tuple(night.plan.header.policies))
    return NightRun(night.plan, result, pruned=None if stopped else prune_by_night(machine), resolved=night.resolved)


def plan_under_brakes(machine: Machine, *, sources: tuple[str, ...] = (), full: bool = False) -> NightRun:
    """Make the plan of a night and hold it against the brakes; it may be carried out when none tripped.

    With `approval = always` the plan is made and waits for a person. A brake that concerns the whole run, or any source, stops the run
    before any write; only a source that looks different is left out by itself. A source of which nobody can tell what became of a batch
    that a crash left open is not planned, and named in the plan's `failed`.
    """
    names = tuple(each.source.name for each in machine.policies(sources))
    stop_when_restored(machine)
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
        unsettled: dict[str, str] = {}
        resolved = len(reconcile(machine, names, unsettled))
        plan = make_plan(machine, sources=sources, full=full, unsettled=unsettled)
        for name, why in plan.failed.items():
            get_logger().warning("retention.source_unread", plan=plan.header.plan_id, source=name, why=why)
        # What a crash had left may have taken minutes to end, and a machine that slept meanwhile has another clock.
        tripped = [*clock_brakes(machine, plan.header.as_of), *plan_brakes(machine, plan)]
    if machine.settings.approval == "always" and any(plan.acting.values()):
        tripped.append(
            Tripped(
                "approval", None, f"Every plan needs a person's yes (setting: approval). Look at it, then `retention approve {plan.path}`."
            )
        )
    if tripped:
        say(machine, tripped, plan=plan.header.plan_id)
    return NightRun(plan, None, tripped, resolved=resolved)


def refusal(night: NightRun) -> Refused:
    """Return what the operator is told when the run was stopped."""
    lines = "\n".join(f"  - [{each.brake}] {each.what}" for each in night.tripped)
    ended = f"{night.resolved} batches that a crash had left open were ended. " if night.resolved else ""
    return Refused(f"{ended}Nothing{' else' if ended else ''} was written. A brake stopped the run:\n{lines}")
