"""`retention audit schema`, `find` and `subject`: what the trail can say, and what it says about a record or a person."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import click

from worker.audit.search import Found
from worker.audit.vocabulary import json_schema
from worker.cli.marks import record_key
from worker.cli.session import Session, typed
from worker.cli.tables import trace_table
from worker.usecases.machine import Machine
from worker.usecases.tracing import trace_record, trace_subject

_FILES = click.argument("paths", nargs=-1, type=click.Path(path_type=Path), metavar="[FILES]...")
_JSON = click.option("--json", "as_json", is_flag=True, help="For programs: the events as they are, with where they stand.")


@click.command(epilog="Example: retention audit schema > audit-events.schema.json")
@click.pass_obj
def schema(session: Session) -> int:
    """Print the JSON Schema of the events.

    Every event that there can be, with its members, their types and meanings. It is for the value of `event` in a line of the trail.
    """
    session.out.print(json.dumps(json_schema(), indent=2, ensure_ascii=False), soft_wrap=True)
    return 0


@click.command(epilog="Example: retention audit find --source contacts --key -")
@click.option("--source", required=True, metavar="NAME", help="The source; SOURCE.CHILD for rows that go along with their records.")
@click.option("--key", required=True, metavar="-|KEY", help="The record's key, its parts separated by commas; - reads it.")
@_FILES
@_JSON
@click.pass_obj
def find(session: Session, source: str, key: str, paths: tuple[Path, ...], *, as_json: bool) -> int:
    """Show what the trail says about one record.

    The record may be gone. Its reference is made with the key of every year and looked for in FILES (audit files or folders), by default in
    the audit folder. An intent is shown with what became of its batch.
    """
    with session.machine() as machine:
        return _show(session, machine, trace_record(machine, source, record_key(session, key), paths), as_json=as_json)


@click.command(epilog="Example: retention audit subject -")
@click.argument("identifiers", nargs=1, metavar="-|TEXT")
@_FILES
@_JSON
@click.pass_obj
def subject(session: Session, identifiers: str, paths: tuple[Path, ...], *, as_json: bool) -> int:
    """Show what the trail says about one person.

    By e-mail address or number; - reads one or several of the same person. Their records in every source, their holds and their requests.
    What happened to a record after the person's identifiers in it were treated is found by `audit find` only.
    """
    with session.machine() as machine:
        return _show(session, machine, trace_subject(machine, typed(session, (identifiers,), "identifier"), paths), as_json=as_json)


def _show(session: Session, machine: Machine, found: Iterable[Found], *, as_json: bool) -> int:
    """Print what was found."""
    rows = list(found)
    if machine.schedule.audit_keep is not None:
        session.say(f"What events said is kept for {machine.schedule.audit_keep}; what was dropped after that can't be found.")
    if as_json:
        shown = [{"file": each.path.name, "line": each.line, "became": each.became, "event": each.payload} for each in rows]
        session.data(shown)
    elif rows:
        session.show(trace_table(rows))
    else:
        session.show("The trail says nothing about it.")
    return 0
