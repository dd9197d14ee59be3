"""`retention explain`: why a record, or everything about a person, is kept or due."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict

import click

from worker.cli.session import DAY, Session, typed
from worker.cli.tables import explanation
from worker.usecases.applying import DONE, PARTIAL
from worker.usecases.explaining import Explanation, explain_record, explain_subject


@click.command(epilog="\b\nExamples:\n  retention explain contacts 17\n  retention explain applications -\n  retention explain --subject -")
@click.argument("source", required=False)
@click.argument("key", required=False)
@click.option(
    "--subject", "subjects", multiple=True, metavar="-|TEXT", help="A person's e-mail address or number, over all sources; - reads it."
)
@click.option("--as-of", type=DAY, metavar="DAY", help="Decide for this local day instead of today.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def explain(
    session: Session, source: str | None, key: str | None, subjects: tuple[str, ...], as_of: dt.date | None, *, as_json: bool
) -> int:
    """Say why a record, or all about a person, is kept or due.

    For the record KEY of SOURCE, or for every record about a person: each purpose with its state, start event and period, and what follows.
    KEY may be - to be asked for it; the parts of a composite key are separated by commas. With --subject every source is read whole.
    """
    if bool(subjects) == (source is not None) or (source is not None and key is None):
        raise click.UsageError("Give either SOURCE and KEY, or --subject.")
    found: list[Explanation] = []
    unread: dict[str, str] = {}
    with session.machine() as machine:
        if source is not None and key is not None:
            # A number says nothing about a person by itself; any other key may be a name.
            chosen = typed(session, (key,), "key", warn=not key.replace(",", "").isdigit())[0]
            found.append(explain_record(machine, source, chosen, as_of))
        else:
            for each in explain_subject(machine, typed(session, subjects, "identifier"), as_of, doubtful=True):
                match each:
                    case Explanation():
                        found.append(each)
                    case (name, why):
                        unread[name] = why
    if as_json:
        session.data({"records": [asdict(each) for each in found], "failed": unread})
        return PARTIAL if unread else DONE
    for each in found:
        session.show(*explanation(each))
    if not found:
        session.show("No source has a record about this person.")
    for name, why in unread.items():
        session.say_failed(name, "could not be read", why)
    return PARTIAL if unread else DONE
