"""`retention audit reconcile`: whether the audit trail, the ledger and the systems tell the same story."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click

from worker.cli.session import DAY, Session
from worker.cli.tables import agreement_table, disagreement_table
from worker.usecases.agreeing import Agreement
from worker.usecases.agreement import agree
from worker.usecases.applying import DONE, NEW_FINDINGS, PARTIAL


@click.command(
    name="reconcile",
    epilog="\b\nExamples:\n  retention audit reconcile\n  retention audit reconcile --since 2026-01-01 --no-systems\n"
    "  retention audit reconcile /mnt/archive/audit .retention/audit --json",
)
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path), metavar="[FILES]...")
@click.option("--since", type=DAY, metavar="DAY", help="Only runs that began on this local day or later.")
@click.option("--systems/--no-systems", default=True, show_default=True, help="Look into the systems too; they are read whole.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def reconcile_trail(session: Session, paths: tuple[Path, ...], since: dt.date | None, *, systems: bool, as_json: bool) -> int:
    """Compare audit trail, ledger and systems.

    Every effect has its intent and its closing event, in the trail and in the ledger; counts agree batch by batch and run by run; records
    that were reported as deleted are absent, treated fields still treated. FILES are audit files or folders, by default the audit folder.
    Changes nothing. Exit code 4 when something doesn't agree, 5 when a system could not be read.
    """
    with session.machine() as machine, session.progress("Reading") as progress:
        found = agree(machine, paths, since=since, systems=systems, progress=progress)
    code = PARTIAL if found.failed else NEW_FINDINGS if found.found else DONE
    if as_json:
        session.data({**_as_json(found, systems=systems), "exit_code": code})
        return code
    session.show(agreement_table(found.sides, found.failed, systems=systems))
    if found.found:
        session.show(disagreement_table(found.found))
    for name, side in found.sides.items():
        for why, count in sorted(side.incomparable.items()):
            session.show(f"{name}: {count} effects can't be compared: {why}.")
    for name, why in found.failed.items():
        session.say_failed(name, "could not be read", why)
    session.show(
        "They agree."
        if code == DONE
        else f"They don't agree: {len(found.found)} findings."
        if found.found
        else "As far as it could be read, they agree."
    )
    return code


def _as_json(found: Agreement, *, systems: bool) -> dict[str, Any]:
    """Return what was compared and found, for programs."""
    return {
        "agree": not found.found,
        "systems": systems,
        "sources": {
            name: {**asdict(replace(side, incomparable=Counter())), "incomparable": dict(side.incomparable)}
            for name, side in found.sides.items()
        },
        "findings": [asdict(each) for each in found.found],
        "failed": found.failed,
    }
