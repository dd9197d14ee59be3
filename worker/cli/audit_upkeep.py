"""`retention audit prune`: the retention of the audit trail itself."""

from __future__ import annotations

from typing import Any

import click

from worker.cli.session import Session
from worker.cli.tables import pruning_table
from worker.usecases.applying import DONE, PARTIAL
from worker.usecases.pruning import Pruned, carry_out, look_at_trail


@click.command(epilog="\b\nExamples:\n  retention audit prune\n  retention audit prune --yes")
@click.option("--yes", is_flag=True, help="Do it. Without this it is only shown.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def prune(session: Session, *, yes: bool, as_json: bool) -> int:
    """Drop what old events of the audit trail said.

    Events older than `[audit] keep` in the policy file lose their payload and salt, which nobody can bring back; their hashes stay, so
    everything else is proven as before. What is still needed stays. `retention run` does the same at its end. Exit code 5 when a file could
    not be worked on.
    """
    with session.machine() as machine:
        if yes:
            # Opening a file of its own records how the files of dead processes ended; until then these are left alone.
            _ = machine.trail
        found = look_at_trail(machine)
        done = carry_out(machine, found) if yes else None
    failed = done.failed if done is not None else found.damaged or {}
    code = PARTIAL if failed else DONE
    if as_json:
        session.data(
            {
                "keep": str(found.keep),
                "through": found.through,
                "done": pruned_json(done) if done is not None else None,
                "files": [
                    {"file": each.path.name, "events": each.events, "oldest": each.oldest, "newest": each.newest} for each in found.files
                ],
                "left_alone": {path.name: why for path, why in failed.items()},
                "exit_code": code,
            }
        )
        return code
    if found.files:
        session.show(pruning_table(found))
    for why in failed.values():
        session.say(why, style="red")
    if done is not None and found.events:
        session.show(f"{done.events} events of {done.files} files were dropped.")
    elif found.events:
        session.say("Nothing was dropped yet. What was dropped can't be brought back: `retention audit prune --yes` does it.")
    else:
        session.show(f"No event is older than {found.keep} and no longer needed.")
    return code


def pruned_json(done: Pruned) -> dict[str, Any]:
    """Return what was dropped for programs."""
    return {"events": done.events, "files": done.files, "failed": {path.name: why for path, why in done.failed.items()}}
