"""`retention keys`: which keys there are, rotating them, and destroying those of a year or of a pseudonym domain."""

from __future__ import annotations

import sys
from typing import assert_never

import click

from worker.cli.session import Session
from worker.cli.tables import key_table
from worker.errors import Refused
from worker.keys import ROOT, RootChange, RootKept, RootLeft, RootReplaced
from worker.usecases.applying import DONE, PARTIAL
from worker.usecases.keykeeping import destroy as destroy_keys
from worker.usecases.keykeeping import listed_roots, look_at_key
from worker.usecases.keyrotating import MATCH, rotate_root
from worker.usecases.keyrotating import rotate as rotate_key


@click.group()
def keys() -> None:
    """List keys, rotate them, and destroy those of a year or of a pseudonym domain."""


@keys.command("list", epilog="Example: retention keys list --json")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def list_keys(session: Session, *, as_json: bool) -> int:
    """List the keys by their ids, also those that were destroyed, and the root that wraps them.

    What a key is for stands in docs/keys.md. Nothing of its value is shown.
    """
    with session.machine(returned_keys=True) as machine:
        known, there = machine.ledger.known_keys(), frozenset(machine.keyring.checks())
        roots, root_file, keys_file = listed_roots(machine), machine.keyring.root_path, machine.keyring.path
    if as_json:
        session.data(
            [
                {
                    "key": each.root,
                    "family": ROOT,
                    "since": each.since,
                    "in_file": True,
                    "destroyed_at": None,
                    "destroyed_by": None,
                    "file": root_file,
                    "in_use": each.in_use,
                    "outlived": each.outlived,
                }
                for each in roots
            ]
            + [
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
        session.show(key_table(known, there, roots))
        if roots:
            session.show(f"The root is in {root_file}, the keys are in {keys_file}.")
    if there and not roots:
        session.say(f"The keys in {keys_file} lie open: `retention keys rotate root` wraps them.")
    for each in roots:
        if each.outlived:
            session.say(
                f"Keys were destroyed that {each.root} opens in older copies of the key file: put a new root in its place "
                "(`retention keys rotate root`), and destroy its copies."
            )
        if not each.in_use:
            session.say(f"{each.root} is in {root_file} too and wraps no key that is left: take it out if it is the older one.")
    return DONE


@keys.command(
    epilog="\b\nExamples:\n  retention keys rotate match\n  retention keys rotate pseudonym/customers\n  retention keys rotate root"
)
@click.argument("family")
@click.pass_obj
def rotate(session: Session, family: str) -> int:
    """Put a new key in the place of one that is in use.

    FAMILY is match, seal, plan-mac, pseudonym/DOMAIN or root. What was made with the old key is still recognised: holds, requests and
    tombstones find whom they are about, open plans can be applied, pseudonyms count as treated. But the same person gets another pseudonym
    from then on. Refused while a run is under way; commands that are running start again.

    The root wraps the others in the key file: with a new one, older copies of that file don't open. A root that somebody put into its file
    as a second line is taken instead of a new one. Ends with 5 while the old one is still there.
    """
    if family == ROOT:
        with session.machine() as machine:
            changed = rotate_root(machine)
        return _say_root(session, changed)
    with session.machine() as machine:
        done = rotate_key(machine, family)
    session.show(f"{done.family}: {done.new} took the place of {done.old}.")
    if family.startswith("pseudonym/"):
        session.say("Whoever was pseudonymised before has another pseudonym from now on: old and new ones can't be joined.")
    elif family == MATCH:
        session.say("Copies of the ledger from before can still be tested with the old key, until they expire.")
    session.say("Back up the key file: without the new key nothing works any more.")
    return DONE


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
    for the present year, and while a plan, a run, a hold or a request still needs the key. Who destroyed it goes into the trail. The other
    keys are put under a new root, so backups of the key file don't open any more: make new ones of both. Ends with 5 where the root's file
    can't be changed.
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
        changed = destroy_keys(machine, doomed)
    session.show(f"{doomed.family} ({doomed.phrase}) is destroyed.")
    return _say_root(session, changed) if changed is not None else DONE


def _say_root(session: Session, changed: RootChange) -> int:
    """Say what became of the root, what that leaves to do, and return the exit code: 5 while older copies of the key file still open."""
    match changed:
        case RootReplaced(old, new):
            session.show(f"root: {new} took the place of {old}." if old is not None else f"root: the keys are wrapped with {new}.")
            session.say("Back up the key file and its root now, apart: no backup of one from before goes with the other.")
            if old is not None:
                session.say(f"Destroy every copy of {old}: with it, copies of the key file from before still open. See docs/keys.md.")
            else:
                session.say("Copies of the key file from before hold their keys in the open, until they expire.")
            return DONE
        case RootKept(root, why):
            session.say(
                f"The root {root} could not be replaced: {why}. Copies of the key file from before still open with it.", style="bold"
            )
            session.say(
                "Have it writable, or where it comes from put a second line behind the first, 64 new hexadecimal digits (openssl rand "
                "-hex 32). Then: retention keys rotate root. Back up the key file now."
            )
            return PARTIAL
        case RootLeft(old, new, why):
            session.show(f"root: {new} took the place of {old}.")
            session.say(
                f"{old} could not be taken out of its file: {why}. Copies of the key file from before still open with it.", style="bold"
            )
            session.say("Take it out where the file comes from (the first line), and destroy its copies. Back up the key file now.")
            return PARTIAL
        case _:
            assert_never(changed)
