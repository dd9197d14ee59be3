"""`retention mark`: days that people know and no system has a column for."""

from __future__ import annotations

import datetime as dt

import click

from worker.cli.session import DAY, Session, typed
from worker.cli.tables import mark_table
from worker.usecases.marking import remove_mark, set_mark


@click.group()
def mark() -> None:
    """Say on which day something happened that no system knows."""


@mark.command(
    "set",
    epilog="\b\nExamples:\n  retention mark set suppliers 17 relation-ended --on 2026-05-31\n"
    "  retention mark set applications - hired --on 2026-05-31",
)
@click.argument("source")
@click.argument("key")
@click.argument("name")
@click.option("--on", required=True, type=DAY, metavar="DAY", help="The day on which it happened.")
@click.pass_obj
def set_one(session: Session, source: str, key: str, name: str, on: dt.date) -> int:
    """Set a mark on a record.

    NAME is a mark that a fact of SOURCE asks for. KEY may be - to be asked for it; the parts of a composite key are separated by commas.
    Setting it again changes its day. When this returns, every decision respects it.
    """
    with session.machine() as machine:
        set_mark(machine, source, record_key(session, key), name, on)
    session.show(f"The record of {source} has the mark {name} on {on}.")
    return 0


@mark.command("remove", epilog="Example: retention mark remove suppliers 17 relation-ended")
@click.argument("source")
@click.argument("key")
@click.argument("name")
@click.pass_obj
def remove(session: Session, source: str, key: str, name: str) -> int:
    """Take a mark back.

    From then on it is as if nobody had set it. KEY may be - to be asked for it.
    """
    with session.machine() as machine:
        remove_mark(machine, source, record_key(session, key), name)
    session.show(f"The record of {source} no longer has the mark {name}.")
    return 0


@mark.command("list", epilog="Example: retention mark list suppliers --json")
@click.argument("source", required=False)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def list_marks(session: Session, source: str | None, *, as_json: bool) -> int:
    """List the marks, of SOURCE or of all sources.

    The mark `review` is the answer to a review; its day is the last one the record is kept. Which records they are about is kept as a keyed
    value only, and not shown; `retention explain` shows the marks of one record.
    """
    with session.machine() as machine:
        if source is not None:
            machine.policy(source)
        rows = machine.ledger.marks(source)
    if as_json:
        session.data([{"source": each.source, "mark": each.name, "on": each.day, "by": each.by, "at": each.at} for each in rows])
    else:
        session.show(mark_table(rows))
    return 0


def record_key(session: Session, key: str) -> str:
    """Return a record's key as it was typed; a number says nothing about a person by itself, any other key may be a name."""
    return typed(session, (key,), "key", warn=not key.replace(",", "").isdigit())[0]
