"""`retention status`: how things stand, for a person in a hurry and for monitoring."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import click

from worker.cli.overview import status_table
from worker.cli.session import Session
from worker.core.periods import Period
from worker.errors import Refused
from worker.usecases.monitoring import STUCK_AFTER, SourceStatus, Status, status, tell

_CODES = {
    0: "done",
    1: "failed",
    2: "usage or configuration",
    3: "refused by a brake or for want of approval",
    4: "done, with new findings",
    5: "partial",
    130: "interrupted",
}
_MINUTES = int(STUCK_AFTER.total_seconds() // 60)


@click.command(
    "status", epilog="\b\nExamples:\n  retention status --json\n  retention status --textfile /var/lib/prometheus/retention.prom"
)
@click.option("--within", metavar="PERIOD", help="A run is missed when the last one lies longer ago.  [default: as scheduled, else P2D]")
@click.option(
    "--stuck-after",
    type=click.IntRange(1),
    default=_MINUTES,
    show_default=True,
    metavar="MINUTES",
    help="A batch that nobody closed is stuck.",
)
@click.option(
    "--textfile", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Also write it for Prometheus' node exporter."
)
@click.option("--log", "to_log", is_flag=True, help="Also say it to the operational log, an event for each source.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def show_status(session: Session, within: str | None, stuck_after: int, textfile: Path | None, *, to_log: bool, as_json: bool) -> int:
    """Say how things stand.

    The last run of each source and the next, what is overdue and for how many days, and how many findings are open, from the ledger alone:
    no system is asked. Exit code 0 when all is well, 4 when something is overdue or has to be looked at, 5 when a run is missing, was not
    whole or is stopped by hand, or a batch was left open.
    """
    try:
        period = Period.parse(within) if within is not None else None
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--within") from None
    if textfile is not None and textfile.suffix != ".prom":
        raise click.BadParameter("the node exporter reads no file whose name does not end in .prom.", param_hint="--textfile")
    with session.machine() as machine:
        found = status(machine, period, dt.timedelta(minutes=stuck_after))
    if to_log:
        tell(found)
    if textfile is not None:
        from worker.reports.metrics import write_textfile

        write_textfile(found, textfile)
    if as_json:
        session.data(_json(found))
        return found.exit_code
    session.show(status_table(found.sources, session.out.width))
    for stopped in found.stops:
        session.show(stopped)
    for source, count in found.stranded.items():
        session.show(f"{source}: {count} batches were left open, and no policy is about this source any more: see `retention reconcile`.")
    for each in found.heartbeats:
        how = "is at work, or was killed" if each.exit_code is None else f"ended with exit code {_ended(each.exit_code)}"
        session.show(f"The command {each.command} was last there on {each.at:%Y-%m-%d %H:%M} UTC on {each.host} and {how}.")
    session.show(f"Open findings: {found.findings}, of which {found.new} nobody accepted.")
    for step in _next_steps(found):
        session.say(step)
    return found.exit_code


def _ended(code: int) -> str:
    """Return an exit code with what it means."""
    return f"{code} ({_CODES[code]})" if code in _CODES else str(code)


def _next_steps(found: Status) -> Iterator[str]:
    """Yield what to do next about everything for which the exit code is not 0, what is worst first."""
    missed = [each.source for each in found.sources if each.missed]
    if missed:
        yield f"No run ended in time for {', '.join(missed)}: does its timer or cron job still start `retention run`, and what did it say?"
    if any(each.command == "run" and each.exit_code == Refused.exit_code for each in found.heartbeats):
        yield (
            "Which brake stopped the last `retention run`, and what to do, stands in its output, in the trail (retention.brake_tripped) "
            "and in `retention dashboard`."
        )
    if any(each.stuck for each in found.sources):
        yield "What is stuck is ended by the next run, or now by `retention reconcile`."
    parts = [each.source for each in found.sources if not each.whole]
    if parts:
        yield f"The last run did not do all of {', '.join(parts)}: see `retention findings list`, kind failed, and what the run said."
    if found.new:
        yield "`retention findings list` shows what was found; mend the cause, or accept one."


def _json(found: Status) -> dict[str, object]:
    """Return how things stand for programs."""
    return {
        "at": found.at,
        "sources": {each.source: _of_source(each) for each in found.sources},
        "heartbeats": [asdict(each) for each in found.heartbeats],
        "findings": found.findings,
        "new_findings": found.new,
        "stops": list(found.stops),
        "stuck_without_policy": dict(found.stranded),
        "exit_code": found.exit_code,
    }


def _of_source(each: SourceStatus) -> dict[str, object]:
    """Return one source for programs."""
    last = each.last
    run = (
        {"run": last.run_id, "for": last.logical_date, "ended": last.ended_at, "state": last.state, "exit_code": last.exit_code}
        if last
        else None
    )
    return {
        "last_run": run,
        "next_run": each.next,
        "missed": each.missed,
        "planned_for": each.planned_for,
        "overdue": each.overdue,
        "overdue_days": each.overdue_days,
        "oldest_deadline": each.oldest,
        "stuck_batches": each.stuck,
        "failed": each.failed,
        "findings": each.findings,
        "new_findings": each.new,
    }
