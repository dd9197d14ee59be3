"""`retention replay`: a plan of what was deleted and came back."""

from __future__ import annotations

from pathlib import Path

import click

from worker.cli.plans import report_plan
from worker.cli.session import FILE, Session
from worker.usecases.applying import DONE
from worker.usecases.braking import plan_brakes
from worker.usecases.replaying import make_replay


@click.command(epilog="\b\nExamples:\n  retention replay\n  retention replay contacts -o replay.jsonl")
@click.argument("named", nargs=-1, metavar="[SOURCE]...")
@click.option("-o", "--output", type=FILE, metavar="FILE", help="Where the plan file goes, instead of the plans folder.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def replay(session: Session, named: tuple[str, ...], output: Path | None, *, as_json: bool) -> int:
    """Plan to delete again what came back.

    Reads only: it makes a plan file, to be looked at, approved and applied as any other one. In it are records of watched sources that have
    the unchanging facts of one that was deleted, and about which nothing is newer than that; what a person has to decide about is a finding
    (exit code 4). Records that are due anyway are deleted by the next run too.
    """
    with session.machine() as machine:
        with session.progress("Reading") as progress:
            made = make_replay(machine, sources=named, path=output, progress=progress)
        if made is None:
            if as_json:
                session.data({"plan": None, "sources": {}, "findings": [], "failed": {}, "exit_code": DONE})
            else:
                session.show("No source has tombstones, so nobody can tell what came back.")
            return DONE
        code = report_plan(session, machine, made, as_json=as_json)
        for each in plan_brakes(machine, made):
            session.say(f"A run by night would stop here [{each.brake}]: {each.what}", style="yellow")
    return code
