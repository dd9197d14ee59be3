"""`retention keys`: which keys there are, and destroying those of a year's audit references."""

from __future__ import annotations

import sys

import click

from worker.cli.session import Session
from worker.cli.tables import key_table
from worker.errors import Refused
from worker.usecases.keykeeping import destroy as destroy_keys
from worker.usecases.keykeeping import look_at_key


@click.group()
def keys() -> None:
    """List keys, and destroy those of a year."""


@keys.command("list", epilog="Example: retention keys list --json")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def list_keys(session: Session, *, as_json: bool) -> int:
    """List the keys by their ids, also those that were destroyed.

    What a key is for stands in docs/keys.md. Nothing of its value is shown.
    """
    with session.machine(returned_keys=True) as machine:
        known, there = machine.ledger.known_keys(), frozenset(machine.keyring.checks())
    if as_json:
        session.data(
            [
                {
                    "key": each.key_id,
                    "family": each.family,
                    "since": each.seen_at,
                    "in_file": each.key_id in there,
                    "destroyed_at": each.destroyed_at,
                    "destroyed_by": each.destroyed_by,
                }
                for each in known
            ]
        )
    else:
        session.show(key_table(known, there))
    return 0


@keys.command(
    epilog="\b\nExamples:\n  retention keys destroy audit-ref/2019\n  retention keys destroy audit-ref/2019 --confirm a-3f9a2c",
)
@click.argument("family")
@click.option("--confirm", metavar="IDS", help="The id of the key, where nobody can be asked to type it.")
@click.pass_obj
def destroy(session: Session, family: str, confirm: str | None) -> int:
    """Destroy the key of a year's audit references.

    From then on nobody can tell which records the trail of that year speaks of; its proof stays. FAMILY is audit-ref/YYYY. Refused
    for the present year, and while a plan, a run, a hold or a request still needs the key. Who destroyed it goes into the trail. Backups of
    the key file hold the key until they expire.
    """
    with session.machine(returned_keys=True) as machine:
        doomed = look_at_key(machine, family)
        typed = confirm
        if typed is None and sys.stdin.isatty():
            typed = str(click.prompt(f"Nobody can bring {doomed.family} back. Type {doomed.phrase} to destroy it", err=True))
        if typed is None or typed.split() != list(doomed.key_ids):
            raise Refused(
                f"Nothing was destroyed: that wants the id of the key to be typed. It is {doomed.phrase} (--confirm '{doomed.phrase}')."
            )
        destroy_keys(machine, doomed)
    session.show(f"{doomed.family} ({doomed.phrase}) is destroyed.")
    session.say("Backups of the key file hold it until they expire: see docs/keys.md.")
    return 0
