"""`retention stop` and `resume`: the hand brake."""

from __future__ import annotations

import click

from worker.cli.session import Session
from worker.errors import RetentionError
from worker.usecases.applying import DONE, PARTIAL
from worker.usecases.stopping import ALL, remove_stop_file, resume, stop, write_stop_file


@click.command("stop", epilog="\b\nExamples:\n  retention stop --why 'the CRM is being moved'\n  retention stop contacts members")
@click.argument("sources", nargs=-1, metavar="[SOURCE]...")
@click.option("--why", default="", metavar="TEXT", help="The reason, for whoever finds it stopped; no personal data.")
@click.pass_obj
def stop_runs(session: Session, sources: tuple[str, ...], why: str) -> int:
    """Stop runs after their batch at work.

    Every worker on every machine finishes the batch it is at, begins no other one, and ends its run as partial. No run starts until
    `retention resume`; calling this again changes the reason and stays a stop. Without a SOURCE everything is stopped, also when
    the ledger or the policies can't be read: then a stop file is left in the state folder, which stops the runs on this machine (exit
    code 5).
    """
    try:
        with session.machine() as machine:
            rows = stop(machine, sources, why)
    except RetentionError as error:
        if sources:
            raise
        write_stop_file(session.settings)
        session.say(str(error), style="red")
        session.show(
            f"So the file {session.settings.stop_file} was left: every run on this machine stops; other machines may not have heard."
        )
        return PARTIAL
    for row in rows:
        session.show(f"{'Everything' if row.source == ALL else row.source} is stopped. A batch at work is finished first.")
    session.say("`retention resume` lets runs go on.")
    return DONE


@click.command("resume", epilog="\b\nExamples:\n  retention resume\n  retention resume contacts")
@click.argument("sources", nargs=-1, metavar="[SOURCE]...")
@click.pass_obj
def resume_runs(session: Session, sources: tuple[str, ...]) -> int:
    """Let runs go on after `retention stop`.

    Without a SOURCE every stop is lifted, and the stop file of this machine is removed. What was left is done by the next run.
    """
    had_file = not sources and remove_stop_file(session.settings)
    with session.machine() as machine:
        lifted = resume(machine, sources)
    if had_file:
        session.show(f"The file {session.settings.stop_file} was removed.")
    for row in lifted:
        session.show(f"{'Everything' if row.source == ALL else row.source} may go on: it was stopped by {row.by} ({row.why}).")
    if not lifted and not had_file:
        session.show("Nothing was stopped.")
    return DONE
