"""`retention status`: how things stand, for a person in a hurry and for monitoring."""

from __future__ import annotations

import click

from worker.cli.session import Session
from worker.cli.tables import status_table
from worker.core.periods import Period
from worker.usecases.monitoring import SourceStatus, status


@click.command("status", epilog="Example: retention status --json")
@click.option("--within", default="P2D", show_default=True, metavar="PERIOD", help="A run is missed when the last one lies longer ago.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def show_status(session: Session, within: str, *, as_json: bool) -> int:
    """Say how things stand.

    The last run of each source, what is overdue, and how many findings are open, from the ledger alone: no system is asked. Exit code 0
    when all is well, 4 when something is overdue or has to be looked at, 5 when a run is missing, was not whole, or is stopped by hand.
    """
    try:
        period = Period.parse(within)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--within") from None
    with session.machine() as machine:
        found = status(machine, period)
    if as_json:
        sources = {each.source: _json(each) for each in found.sources}
        counts = {"findings": found.findings, "new_findings": found.new, "stops": list(found.stops)}
        session.data({"sources": sources, **counts, "exit_code": found.exit_code})
        return found.exit_code
    session.show(status_table(found.sources))
    for each in found.stops:
        session.show(each)
    session.show(f"Open findings: {found.findings}, of which {found.new} nobody accepted.")
    return found.exit_code


def _json(each: SourceStatus) -> dict[str, object]:
    """Return one source for programs."""
    last = each.last
    run = (
        {"run": last.run_id, "for": last.logical_date, "ended": last.ended_at, "state": last.state, "exit_code": last.exit_code}
        if last
        else None
    )
    return {
        "last_run": run,
        "missed": each.missed,
        "planned_for": each.planned_for,
        "overdue": each.overdue,
        "oldest_deadline": each.oldest,
    }
