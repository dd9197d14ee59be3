"""Runs that many workers carry out, on any number of machines: handing one over, working on it for a while, and looking after it.

Everything stands in the ledger. A message only says that there may be something to do, so messages may come twice, late or never: whoever
looks after the runs, once a minute, finds what nobody is at. A scheduled run is begun once for each source and local day.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

from cronsim import CronSim

from worker.core.timetable import windows, within
from worker.errors import Busy, ConfigurationError, Refused, Retriable
from worker.ledger.rows import RunKind
from worker.planfile import PlanFile
from worker.usecases.applying import RunResult, new_run_id
from worker.usecases.approving import open_plan
from worker.usecases.closing import close, fail
from worker.usecases.draining import Drain, let_dead_leases_run_out
from worker.usecases.machine import Machine
from worker.usecases.pacing import Stop
from worker.usecases.restored import stop_when_restored
from worker.usecases.running import plan_under_brakes
from worker.usecases.starting import Wanted, begin
from worker.usecases.stopping import in_force, refuse_stopped

_CATCH_UP = dt.timedelta(hours=6)
"""So long after its time a scheduled run is still begun, when nobody was there to do it in time."""


# --- Beginning --------------------------------------------------------------------------------------------------------------------------


def hand_over(machine: Machine, plan: PlanFile, *, kind: RunKind = "apply", at_most: int | None = None, resolved: int = 0) -> str:
    """Begin a run whose right to be carried out was checked, leave its batches to the workers, and return its id.

    resolved -- see `Wanted`. Raises Busy when another run has one of its sources.
    """
    if kind == "apply":
        stop_when_restored(machine)
    refuse_stopped(machine, tuple(plan.header.policies), plan=plan.header.plan_id)
    wanted = Wanted(new_run_id(), plan, kind, at_most, spread=True, resolved=resolved)
    with machine.ledger.run_lock(tuple(plan.header.policies), run_id=wanted.run_id):
        prepare = begin(machine, wanted)
        try:
            prepare()
        except BaseException as error:
            fail(machine, wanted.run_id, error)
            raise
    return wanted.run_id


def tick(machine: Machine, sources: Sequence[str], day: dt.date) -> str | None:
    """Begin the scheduled run of these sources for a local day; None when it was begun before, or a brake stopped it.

    When another run is at work on them, or the ledger fails, nothing is kept of it, and the next look begins it.
    """
    ledger = machine.ledger
    known = [each.source.name for each in machine.policies() if each.source.name in sources]
    claimed = tuple(ledger.claim_nights(known, day, ledger.worker)) if not in_blackout(machine) else ()
    if not claimed:
        return None
    try:
        night = plan_under_brakes(machine, sources=claimed)
        if night.plan is None or night.tripped:
            ledger.end_nights(claimed, day, "refused: " + ", ".join(sorted({each.brake for each in night.tripped})))
            return None
        run_id = hand_over(machine, open_plan(machine, night.plan.path), kind="run", resolved=night.resolved)
    except (Busy, Retriable):
        ledger.release_nights(claimed, day, ledger.worker)
        raise
    except (Refused, ConfigurationError) as error:
        ledger.end_nights(claimed, day, f"failed: {type(error).__name__}")
        raise
    except BaseException:
        ledger.release_nights(claimed, day, ledger.worker)
        raise
    ledger.end_nights(claimed, day, "begun", run_id)
    return run_id


# --- Working ----------------------------------------------------------------------------------------------------------------------------


def free_batches(machine: Machine, run_id: str) -> Mapping[str, int]:
    """Return, by source, how many batches of a run could be carried out now that nobody is at; none of a source that a person stopped."""
    work = machine.ledger.work_of(run_id)
    left = {each.source.source for each in work if each.left}
    return {
        each.source.source: each.free
        for each in work
        if each.free and each.source.failed is None and not left & set(each.source.after) and in_force(machine, each.source.source) is None
    }


def refuse_elsewhere(machine: Machine, run_id: str) -> None:
    """Raise ConfigurationError when this worker can't share the ledger that a run stands in: another one, or a file of another machine."""
    order = machine.ledger.order(run_id)
    mend = "All workers and beat need the same ledger, which on several machines has to be in PostgreSQL (RETENTION_LEDGER)."
    if order is None:
        raise ConfigurationError(f"This worker's ledger doesn't know the run {run_id}. {mend}")
    if machine.ledger.dialect == "sqlite" and order.owner.partition(":")[0] != machine.ledger.worker.partition(":")[0]:
        raise ConfigurationError(f"The run {run_id} was begun on another machine, and the ledger is a SQLite file. {mend}")


def work_on(machine: Machine, drain: Drain, run_id: str, source: str) -> RunResult | None:
    """Carry out batches of one source of a spread run for as long as the drain goes on; returns how the run ended, if it did by this."""
    drain.source(source)
    stop = drain.pacer.stopped
    if stop is not None and stop.limit != "stop":
        # A person's stop is lifted again, and the run goes on; its time does not come back.
        machine.ledger.cut_short(run_id, {"*": asdict(stop)})
    return end_if_done(machine, run_id)


def end_if_done(machine: Machine, run_id: str) -> RunResult | None:
    """End a spread run of which nothing is left to be carried out, and return how it went.

    None while something is left, or when somebody else ends it.
    """
    ledger = machine.ledger
    order = ledger.order(run_id)
    if order is None or not order.spread or order.phase not in ("open", "closing"):
        return None
    stuck = order.phase == "closing" and (order.owner == ledger.worker or not ledger.lives(order.owner))
    if not ledger.close_order(run_id, ledger.worker, instead_of=order.owner if stuck else None):
        return None
    try:
        return close(machine, run_id, {name: Stop(**stop) for name, stop in order.said.get("stopped", {}).items()})
    except BaseException:
        ledger.reopen_order(run_id, ledger.worker)
        raise


# --- Looking after it -------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ToDo:
    """What workers are to be woken for. ticks -- (sources, local day); batches -- by run and source how many are free; ended -- runs."""

    ticks: Sequence[tuple[tuple[str, ...], dt.date]] = ()
    batches: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    ended: Sequence[RunResult] = ()


def look_after(machine: Machine) -> ToDo:
    """Free what dead workers had, end what nobody ends, and return what is to be done. Nothing within a blackout window."""
    if in_blackout(machine):
        return ToDo()
    ledger = machine.ledger
    batches: dict[str, Mapping[str, int]] = {}
    ended: list[RunResult] = []
    for order in ledger.spread_orders():
        if order.phase == "preparing":
            # Its process has the run locks, or is dead: then the next run of its sources ends it.
            continue
        let_dead_leases_run_out(machine, order.run_id)
        result = end_if_done(machine, order.run_id)
        if result is not None:
            ended.append(result)
        elif free := free_batches(machine, order.run_id):
            batches[order.run_id] = free
    return ToDo(due_nights(machine), batches, ended)


def due_nights(machine: Machine) -> list[tuple[tuple[str, ...], dt.date]]:
    """Return the scheduled runs whose time has come and that nobody has begun: sources of one day together, parents before children."""
    ledger, zone = machine.ledger, machine.schedule.organisation.zone
    local = machine.now().astimezone(zone)
    begun: set[tuple[str, dt.date]] = set()
    for night in ledger.nights((local - dt.timedelta(days=3)).date()):
        if night.outcome is None and not ledger.lives(night.owner):
            ledger.release_nights([night.source], night.logical_date, night.owner)
        else:
            begun.add((night.source, night.logical_date))
    due: dict[dt.date, list[str]] = {}
    for policy in machine.policies():
        name = policy.source.name
        expression = machine.settings.schedule_of(name)
        if expression is None:
            continue
        last = next(CronSim(expression, local + dt.timedelta(seconds=1), reverse=True))
        if local - last <= _CATCH_UP and (name, last.date()) not in begun:
            due.setdefault(last.date(), []).append(name)
    return [(tuple(names), day) for day, names in due.items()]


def in_blackout(machine: Machine) -> bool:
    """Whether workers may begin nothing now."""
    text = machine.settings.blackout
    return text is not None and within(windows(text), machine.now().astimezone(machine.schedule.organisation.zone))
