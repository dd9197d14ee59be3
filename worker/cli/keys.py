"""`retention keys`: which keys there are, rotating them, and destroying those of a year or of a pseudonym domain."""

from __future__ import annotations

import sys

import click

from worker.cli.session import Session
from worker.cli.tables import key_table
from worker.errors import Refused
from worker.usecases.keykeeping import destroy as destroy_keys
from worker.usecases.keykeeping import look_at_key
from worker.usecases.keyrotating import MATCH
from worker.usecases.keyrotating import rotate as rotate_key


@click.group()
def keys() -> None:
    """List keys, rotate them, and destroy those of a year or of a pseudonym domain."""


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


@keys.command(epilog="\b\nExamples:\n  retention keys rotate match\n  retention keys rotate pseudonym/customers")
@click.argument("family")
@click.pass_obj
def rotate(session: Session, family: str) -> int:
    """Put a new key in the place of one that is in use.

    FAMILY is match, seal, plan-mac or pseudonym/DOMAIN. What was made with the old key is still recognised: holds, requests and tombstones
    find whom they are about, open plans can be applied, pseudonyms count as treated. But the same person gets another pseudonym from then
    on. Refused while a run is under way; commands that are running start again.
    """
    with session.machine() as machine:
        done = rotate_key(machine, family)
    session.show(f"{done.family}: {done.new} took the place of {done.old}.")
    if family.startswith("pseudonym/"):
        session.say("Whoever was pseudonymised before has another pseudonym from now on: old and new ones can't be joined.")
    elif family == MATCH:
        session.say("Copies of the ledger from before can still be tested with the old key, until they expire.")
    session.say("Back up the key file: without the new key nothing works any more.")
    return 0


@keys.command(
    epilog="\b\nExamples:\n  retention keys destroy audit-ref/2019\n  retention keys destroy audit-ref/2019 --confirm a-3f9a2c\n"
    "  retention keys destroy pseudonym/customers",
)
@click.argument("family")
@click.option("--confirm", metavar="IDS", help="The ids of the keys, where nobody can be asked to type them.")
@click.pass_obj
def destroy(session: Session, family: str, confirm: str | None) -> int:
    """Destroy the key of a year's audit references, or of a pseudonym domain.

    From then on nobody can tell which records the trail of that year speaks of; its proof stays. Or nobody can attribute the domain's
    pseudonyms; they still count as treated, and the next one is made with a new key. FAMILY is audit-ref/YYYY or pseudonym/DOMAIN. Refused
    for the present year, and while a plan, a run, a hold or a request still needs the key. Who destroyed it goes into the trail. Backups of
    the key file hold the key until they expire.
    """
    with session.machine(returned_keys=True) as machine:
        doomed = look_at_key(machine, family)
        for name in doomed.used_by:
            session.say(f"{name} is pseudonymised with it. Its pseudonyms stay and nobody can attribute them; new ones will be others.")
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
