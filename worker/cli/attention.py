"""`retention findings`: what a person must look at, and living with it for a while."""

from __future__ import annotations

import datetime as dt

import click

from worker.cli.overview import open_finding_table
from worker.cli.session import DAY, Session
from worker.usecases.accepting import accept as accept_finding
from worker.usecases.reporting import finding_json


@click.group()
def findings() -> None:
    """List and accept what a person must look at."""


@findings.command("list", epilog="Example: retention findings list --json")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def list_findings(session: Session, *, as_json: bool) -> int:
    """List what the last look at each source found."""
    with session.machine() as machine:
        found = machine.ledger.open_findings()
        accepted = {each.digest: each for each in machine.ledger.accepted()}
        new = {each.digest for each in machine.ledger.new_findings(machine.today(), [each.finding for each in found])}
    if not as_json:
        session.show(open_finding_table(found, accepted, new, session.out.width))
        return 0
    session.data(
        [
            {
                **finding_json(each.finding),
                "digest": each.digest,
                "first_seen": each.first_seen,
                "last_seen": each.last_seen,
                "new": each.digest in new,
                "accepted_by": accepted[each.digest].owner if each.digest in accepted else None,
                "accepted_until": accepted[each.digest].expires_on if each.digest in accepted else None,
            }
            for each in found
        ]
    )
    return 0


@findings.command(epilog="Example: retention findings accept 3f9a1c --owner 'A. Officer' --reason 'asked the supplier' --until 2026-12-31")
@click.argument("finding_id", metavar="ID")
@click.option("--owner", required=True, metavar="NAME", help="Who answers for it.")
@click.option("--reason", required=True, metavar="TEXT", help="Why it may stay so; no personal data.")
@click.option("--until", required=True, type=DAY, metavar="DAY", help="The last day it is accepted.")
@click.option("--at-most", type=click.IntRange(0), metavar="N", help="How many records it may grow to; by default as many as now.")
@click.pass_obj
def accept(session: Session, finding_id: str, owner: str, reason: str, until: dt.date, at_most: int | None) -> int:
    """Live with a finding for a while.

    Until a day, and up to a number of records, it no longer changes the exit code. ID is the beginning of its id.
    """
    with session.machine() as machine:
        accepted = accept_finding(machine, finding_id, owner=owner, reason=reason, until=until, at_most=at_most)
    session.show(f"Finding {accepted.digest[:12]} is accepted by {owner} until {until}, for at most {accepted.max_count} records.")
    return 0
