"""`retention apply`, `run`, `verify`, `reconcile` and `runs`: carrying out, reading back, and cleaning up after a crash."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from worker.cli.audit_upkeep import pruned_json
from worker.cli.overview import run_table
from worker.cli.session import FILE, Session
from worker.cli.tables import finding_table, result_table, verified_table
from worker.errors import ConfigurationError
from worker.ledger.rows import OF_A_RUN
from worker.planfile import PlanFile
from worker.usecases.applying import DONE, PARTIAL, RunResult, apply_plan
from worker.usecases.approving import open_plan, require_approved
from worker.usecases.heartbeat import alive
from worker.usecases.machine import Machine
from worker.usecases.reconciling import reconcile as end_what_was_left
from worker.usecases.reporting import finding_json
from worker.usecases.running import NightRun, refusal
from worker.usecases.running import run as run_night
from worker.usecases.spreading import hand_over
from worker.usecases.verifying import verify as verify_run


@click.command(epilog="\b\nExamples:\n  retention apply plan.jsonl\n  retention apply plan.jsonl --at-most 5000")
@click.argument("file", type=FILE)
@click.option("--at-most", type=click.IntRange(1), metavar="N", help="Stop after the batch that reaches N records; call again for more.")
@click.option("--spread", is_flag=True, help="Leave it to the workers (`retention worker`), and return when they have it.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def apply(session: Session, file: Path, at_most: int | None, *, spread: bool, as_json: bool) -> int:
    """Carry out an approved plan and read it back.

    Exactly the plan, with the holds of this moment. What changed since the plan was made is left and reported. Applying twice equals
    applying once. Refused when the plan is unapproved, expired, from the future, changed, or made from other policies than those in
    force.
    """
    with session.machine(helpers=not spread and at_most is None) as machine:
        plan = open_plan(machine, file)
        if spread:
            return _hand_over(session, machine, plan, at_most, as_json=as_json)
        totals = {name: sum(counts["actions"].values()) for name, counts in plan.summary.counts.items()}
        with session.progress("Applying", totals) as progress:
            result = apply_plan(machine, plan, at_most=at_most, progress=progress)
        return report_run(session, machine, result, as_json=as_json, with_known=False)


def _hand_over(session: Session, machine: Machine, plan: PlanFile, at_most: int | None, *, as_json: bool) -> int:
    """Leave a plan to the workers."""
    if session.settings.broker is None:
        raise ConfigurationError("There are no workers without a broker: set RETENTION_BROKER, or apply the plan without --spread.")
    require_approved(machine, plan)
    run_id = hand_over(machine, plan, at_most=at_most)
    if as_json:
        session.data({"run": run_id, "plan": plan.header.plan_id, "state": "running"})
    else:
        session.show(f"The workers have it as {run_id} and begin within a minute. `retention runs` says when it has ended.")
    return DONE


@click.command(epilog="\b\nExamples:\n  retention run\n  17 2 * * *  cd /srv/retention && retention run --json >> run.log")
@click.option("--source", "named", multiple=True, metavar="NAME", help="Only this source; may be repeated.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def run(session: Session, named: tuple[str, ...], *, as_json: bool) -> int:
    """Plan and apply under the brakes, for the night.

    Stops before any write, with exit code 3, when a brake trips: too many records, too large a share, a jump against earlier runs, a policy
    version that no person approved, a clock that went back or leapt ahead. A source with a new column or child table is left out.
    """
    with session.machine(helpers=True) as machine, alive(machine, "run") as ending:
        with session.progress("Applying") as progress:
            night = run_night(machine, sources=named, progress=progress)
        if night.plan is not None and night.plan.failed and not night.plan.acting:
            reasons = "\n".join(f"  - {name}: {why}" for name, why in night.plan.failed.items())
            raise ConfigurationError(f"No source could be read, so nothing was done:\n{reasons}")
        if night.result is None:
            error = refusal(night)
            if as_json:
                plan = str(night.plan.path) if night.plan is not None else None
                brakes = [asdict(each) for each in night.tripped]
                session.data({"state": "refused", "plan_file": plan, "brakes": brakes, "exit_code": error.exit_code})
            raise error
        ending.exit_code = night.exit_code
        if as_json:
            report_run(session, machine, night.result, as_json=True, more=_more(night))
            return night.exit_code
        report_run(session, machine, night.result)
        if night.pruned is not None and night.pruned.events:
            session.show(f"Audit trail: what {night.pruned.events} events said was dropped after its time.")
        for why in night.pruned.failed.values() if night.pruned is not None else ():
            session.say(why, style="red")
        return night.exit_code


def _more(night: NightRun) -> dict[str, Any]:
    """Return what a night run says besides its run, for programs."""
    pruned = pruned_json(night.pruned) if night.pruned is not None else None
    return {"audit_pruned": pruned, "exit_code": night.exit_code}


def report_run(
    session: Session,
    machine: Machine,
    result: RunResult,
    *,
    as_json: bool = False,
    with_known: bool = True,
    more: Mapping[str, Any] | None = None,
) -> int:
    """Print how a run went and return its exit code.

    with_known -- list the plan's findings too, which whoever approved it has seen; more -- what programs are told besides.
    """
    if as_json:
        fresh = {each.digest for each in result.new_findings}
        findings = [{**finding_json(each), "new": each.digest in fresh} for each in result.findings]
        session.data({**result.as_json(), "findings": findings, "audit": str(machine.settings.audit_folder), **(more or {})})
        return result.exit_code
    if result.resolved:
        session.say(f"{result.resolved} batches that a crash had left open were ended first.")
    session.show(result_table(result))
    known = result.findings if with_known else [each for each in result.findings if each.kind in OF_A_RUN]
    if known:
        session.show(finding_table(known, {each.digest for each in result.new_findings}))
    session.show(f"Read back: {result.verified} as reported, {result.unverified} still there.")
    session.show(f"Audit trail: {machine.settings.audit_folder}")
    for name, reason in result.failed.items():
        session.say_failed(name, "was not finished", reason)
    for name, why in result.stopped.items():
        session.say(f"{'The run' if name == '*' else name} ended early: {why}", style="yellow")
    if result.left:
        session.say(f"{result.left} planned records are left for the next part: call `retention apply` with the same plan again.")
    if result.new_findings:
        session.say(f"{len(result.new_findings)} new findings: `retention findings list` shows them; mend the cause, or accept one.")
    session.say(f"Next: `retention verify {result.run_id}` compares every effect with what is there now.")
    return result.exit_code


@click.command(epilog="Example: retention verify run-0123456789ab")
@click.argument("run_id", metavar="RUN")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def verify(session: Session, run_id: str, *, as_json: bool) -> int:
    """Compare a run's effects with what is there.

    Every effect that the audit trail has is compared with what is in the systems now. Exit code 5 when something is not so.
    """
    with session.machine() as machine, session.progress("Reading back") as progress:
        found = verify_run(machine, run_id, progress)
    names = list(found.gone)
    code = DONE if found.whole else PARTIAL
    if as_json:
        session.data({"run": run_id, **asdict(found), "whole": found.whole, "exit_code": code})
        return code
    rows = ((name, found.gone[name], found.treated[name], found.still_there[name], found.untreated[name]) for name in names)
    session.show(verified_table(f"Run {run_id}", rows))
    session.show("Everything is as it was reported." if found.whole else "Not everything is as it was reported.")
    return code


@click.command(epilog="Example: retention reconcile")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def reconcile(session: Session, *, as_json: bool) -> int:
    """End what a crash left open.

    Every batch gets its final state, by proof where the system keeps one, else by reading back. `apply` and `run` do this by themselves
    first. A run that was handed to workers is ended as well, unless one of them is at a batch of it. What can't be ended now is said, with
    exit code 5.
    """
    with session.machine() as machine:
        sources = tuple(each.source.name for each in machine.policies())
        failed: dict[str, str] = {}
        with machine.ledger.run_lock(sources, run_id="reconcile", anyway=True):
            left = [(row, machine.ledger.batch(row.batch_id)) for row in end_what_was_left(machine, sources, failed, abandon=True)]
            still = Counter((row.source, row.state) for row in machine.ledger.unfinished())
    states = Counter((row.source, after.state if after is not None else row.state) for row, after in left)
    if as_json:
        ended = [{"source": source, "state": state, "batches": count} for (source, state), count in states.items()]
        open_ones = [
            {"source": source, "state": state, "batches": count, "why": failed.get(source, _NO_POLICY)}
            for (source, state), count in still.items()
        ]
        session.data([*ended, *open_ones])
        return PARTIAL if still else DONE
    for (source, state), count in states.items():
        session.show(f"{source}: {count} batches ended as {state}.")
    for (source, state), count in still.items():
        session.say(f"{source}: {count} batches are still {state}. {failed.get(source, _NO_POLICY)}", style="red")
    if not left and not still:
        session.show("Nothing was left open.")
    return PARTIAL if still else DONE


_NO_POLICY = "No policy is about this source any more, so nobody can ask its system: put its policy back until they are ended."


@click.command(epilog="Example: retention runs --limit 5")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, metavar="N", help="How many, newest first.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def runs(session: Session, limit: int, *, as_json: bool) -> int:
    """List the last runs and how they ended."""
    with session.machine() as machine:
        rows = machine.ledger.runs(limit)
    if as_json:
        session.data([asdict(each) for each in rows])
    else:
        session.show(run_table(rows, session.out.width))
    return DONE
