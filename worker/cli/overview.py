"""The tables that are looked at in a hurry, often over a narrow terminal: how things stand, what ran, what was found.

Where there is no room for every column the ones that something else says too are left out, and the caption names them: a table whose
figures are broken off says less than none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from rich.table import Table

from worker.cli.tables import WIDE, figure, framed
from worker.ledger.rows import AcceptedFinding, OpenFinding, RunRow
from worker.usecases.monitoring import SourceStatus

_ROOMY = WIDE + 24
_WITH_NEXT = 96
"""So many columns the table of all sources needs, and to say the next run of each on a narrow terminal."""


def status_table(rows: Sequence[SourceStatus], width: int = _ROOMY) -> Table:
    """Return how each source stands; instants are UTC. width -- columns of the terminal."""
    roomy = width >= _ROOMY
    scheduled = any(each.next for each in rows)
    following = roomy or (scheduled and width >= _WITH_NEXT)
    left = ("for", *(("next",) if scheduled and not following else ()), "oldest overdue", "plan of")
    names = ("last run", "for", "ended (UTC)", "state", "next (UTC)") if roomy else ("ended (UTC)", "state", "next (UTC)")
    shown = [name for name in names if name != "next (UTC)" or following]
    caption = None if roomy else f"last run: `retention runs`; left out for want of room: {', '.join(left)}"
    table = framed("How things stand", "source", *shown, caption=caption)
    for title in ("overdue", "days", "stuck"):
        table.add_column(title, justify="right", no_wrap=True)
    for title in ("oldest overdue", "plan of") if roomy else ():
        table.add_column(title, no_wrap=True)
    for each in rows:
        run, state = each.last, "no run yet"
        cells = {"next (UTC)": f"{each.next:%Y-%m-%d %H:%M}" if each.next else "-"}
        if run is not None:
            state = f"{run.state}, missed since" if each.missed else run.state
            cells |= {"last run": run.run_id, "for": str(run.logical_date), "ended (UTC)": f"{run.ended_at:%Y-%m-%d %H:%M}"}
        cells["state"] = state
        figures = (figure(each.overdue), figure(each.overdue_days), figure(each.stuck))
        days = (str(each.oldest or "-"), str(each.planned_for or "-")) if roomy else ()
        table.add_row(each.source, *(cells.get(name, "-") for name in shown), *figures, *days)
    return table


def run_table(rows: Sequence[RunRow], width: int = WIDE) -> Table:
    """Return runs, newest first; instants are UTC. width -- columns of the terminal."""
    roomy = width >= WIDE
    when = ("for", "started (UTC)", "ended (UTC)") if roomy else ("started (UTC)",)
    table = framed("Runs", "run", "kind", *when, "by", "state", caption=None if roomy else "left out for want of room: for, ended")
    for title in ("exit\ncode", "acted\non"):
        table.add_column(title, justify="right", no_wrap=True)
    for each in rows:
        acted = sum(int(counts.get("acted", 0)) for counts in each.counts.values())
        ended = f"{each.ended_at:%Y-%m-%d %H:%M}" if each.ended_at else "-"
        code = "-" if each.exit_code is None else str(each.exit_code)
        started = f"{each.started_at:%Y-%m-%d %H:%M}"
        times = (str(each.logical_date), started, ended) if roomy else (started,)
        table.add_row(each.run_id, each.kind, *times, each.by, each.state, code, figure(acted))
    return table


def open_finding_table(
    found: Sequence[OpenFinding], accepted: Mapping[str, AcceptedFinding], new: Iterable[str], width: int = WIDE
) -> Table:
    """Return the open findings of the ledger with who accepted them, until when and up to which number.

    width -- columns of the terminal; on a narrow one the day since when is left out, so that what was found can be read.
    """
    roomy = width >= WIDE
    table = framed("Open findings", "id", "kind", "source", "what", caption=None if roomy else "left out for want of room: since")
    table.add_column("records", justify="right", no_wrap=True)
    for title in ("since", "state") if roomy else ("state",):
        table.add_column(title, no_wrap=title == "since")
    fresh = set(new)
    for each in found:
        yes, state = accepted.get(each.digest), "new"
        if yes is not None:
            state = f"accepted by {yes.owner} until {yes.expires_on}, at most {yes.max_count}"
            state = f"new again: was {state}" if each.digest in fresh else state
        row = each.finding
        since = (str(each.first_seen.date()),) if roomy else ()
        table.add_row(each.digest[:12], row.kind, row.source, row.detail, figure(row.count), *since, state)
    return table
