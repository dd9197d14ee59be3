"""`retention reviews`: what a person has to look at, and what that person says about it."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict
from typing import Any

import click

from worker.cli.marks import record_key
from worker.cli.session import DAY, Session
from worker.cli.tables import declared_table, gap_table, printable, review_table
from worker.core.periods import Period
from worker.errors import ConfigurationError
from worker.usecases.applying import DONE, PARTIAL
from worker.usecases.declared import Declared, mark_done, standing_of
from worker.usecases.reviewing import due_reviews
from worker.usecases.reviewing import keep as keep_record


@click.group()
def reviews() -> None:
    """List what a person has to review, and answer."""


@reviews.command("list", epilog="\b\nExamples:\n  retention reviews list\n  retention reviews list suppliers --records")
@click.argument("source", required=False)
@click.option("--records", is_flag=True, help="Also the keys of the records; on a terminal only.")
@click.option("--json", "as_json", is_flag=True, help="For programs; without keys.")
@click.pass_obj
def list_reviews(session: Session, source: str | None, *, records: bool, as_json: bool) -> int:
    """List what is due for review.

    How many records of SOURCE, or of all sources, wait for whose review, those among them that wait for an event longer than they may;
    without SOURCE also the attestations and periodic reviews that the policy file declares, and its gaps. Exit code 5 when a source could
    not be read.
    """
    if records and not session.watched:
        raise ConfigurationError("Keys may be personal data, so they are shown on a terminal only, not written to a file or a pipe.")
    with session.machine() as machine:
        found, failed = due_reviews(machine, (source,) if source is not None else (), keys=records)
        declared = standing_of(machine) if source is None else []
        gaps = machine.schedule.gaps if source is None else ()
    code = PARTIAL if failed else DONE
    if as_json:
        counts = [
            {
                "source": each.source,
                "owner": each.owner,
                "waiting": each.waiting,
                "records": each.count,
                "overdue": each.overdue,
                "oldest": each.oldest,
            }
            for each in found
        ]
        said = [_declared_json(each) for each in declared]
        session.data({"records": counts, "declared": said, "gaps": [asdict(each) for each in gaps], "failed": failed, "exit_code": code})
        return code
    session.show(review_table(found) if found else "No record is due for review.")
    for each in found if records else ():
        waits = f" (waits: {', '.join(each.waiting)})" if each.waiting else ""
        session.show(f"{each.source}{waits}: {', '.join(printable(','.join(map(str, key))) for key in each.keys)}")
    if declared:
        session.show(declared_table(declared))
    if gaps:
        session.show(gap_table(gaps))
    for name, why in failed.items():
        session.say_failed(name, "could not be read", why)
    return code


def _declared_json(each: Declared) -> dict[str, Any]:
    """Return an attestation or a periodic review for programs."""
    last = {"on": each.last.day, "by": each.last.by} if each.last is not None else None
    return {"kind": each.kind, **asdict(each.declared), "every": str(each.declared.every), "last": last, "overdue": each.overdue}


class PeriodType(click.ParamType[Period]):
    """A calendar period, written as in the policy file."""

    name = "period"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Period:
        """Return the period."""
        if isinstance(value, Period):
            return value
        try:
            return Period.parse(str(value))
        except ValueError:
            self.fail("a period is written as P1Y, P6M, P8W or P30D.", param, ctx)


@reviews.command(
    epilog="\b\nExamples:\n  retention reviews keep suppliers 17 --for P1Y --by 'B. Buyer' --reason 'work may follow'\n"
    "  retention reviews keep applications - --until 2027-01-31 --by 'B. Buyer' --reason 'asked to be kept'"
)
@click.argument("source")
@click.argument("key")
@click.option("--until", type=DAY, metavar="DAY", help="The last day it is kept.")
@click.option("--for", "period", type=PeriodType(), metavar="PERIOD", help="How long it is kept from today on, such as P1Y.")
@click.option("--by", required=True, metavar="NAME", help="Who reviewed it.")
@click.option("--reason", required=True, metavar="TEXT", help="Why it is still needed; no personal data.")
@click.pass_obj
def keep(session: Session, source: str, key: str, until: dt.date | None, period: Period | None, by: str, reason: str) -> int:
    """Answer a review: the record is kept for a while.

    Through that day nobody has to look at it and nothing that a review leads to happens to it; then it is due for review again. When an
    event that it waits for comes first, the period from that day on decides. Without a day or a period the answer lasts as long as the
    policy lets it (`every`), and never longer. KEY may be - to be asked for it. `retention mark remove SOURCE KEY review` takes the answer
    back.
    """
    if until is not None and period is not None:
        raise click.UsageError("Give either --until or --for.")
    with session.machine() as machine:
        last = keep_record(machine, source, record_key(session, key), by=by, reason=reason, until=until, period=period)
    session.show(f"{by} looked at the record of {source}: through {last} nobody else has to, then it is due for review again.")
    return DONE


@reviews.command(epilog="Example: retention reviews done cookies --by 'W. Master' --note 'checked on two browsers'")
@click.argument("declared_id", metavar="ID")
@click.option("--by", required=True, metavar="NAME", help="Who did it.")
@click.option("--note", metavar="TEXT", help="What came of it; no personal data.")
@click.pass_obj
def done(session: Session, declared_id: str, by: str, note: str | None) -> int:
    """Say that an attestation or a review was done.

    ID is that of an attestation or a periodic review in the policy file. It counts from today on, and is overdue again when it was not
    repeated in time.
    """
    with session.machine() as machine:
        until = mark_done(machine, declared_id, by=by, note=note)
    session.show(f"{declared_id} was done by {by}; it is in time until {until}.")
    return DONE
