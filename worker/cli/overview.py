"""The tables that are looked at in a hurry, often over a narrow terminal: how things stand, what ran and was found, what is coming.

Where there is no room for every column the ones that something else says too are left out, and the caption names them: a table whose
figures are broken off says less than none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from rich.table import Table

from worker.cli.tables import FALLING, WIDE, figure, framed
from worker.ledger.rows import AcceptedFinding, HoldRow, OpenFinding, RequestRow, RunRow
from worker.usecases.forecasting import FALLS, Forecast
from worker.usecases.monitoring import SourceStatus
from worker.usecases.reporting import DUE

_ROOMY = WIDE + 24
_WITH_NEXT = 96
"""So many columns the table of all sources needs, and to say the next run of each on a narrow terminal."""
_BESIDE_MONTHS = 41
"""So many columns everything in a forecast takes that is no month and no name of a policy."""


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


def hold_table(rows: Sequence[HoldRow], width: int = WIDE) -> Table:
    """Return holds; whom they are about is kept as a keyed value and not shown. width -- columns of the terminal."""
    cells = [
        {
            "id": each.hold_id,
            "kind": each.kind,
            "scope": each.scope,
            "about": each.source or each.category or each.case or "one person",
            "owner": each.owner,
            "reason": each.reason,
            "placed": f"{each.placed_at:%Y-%m-%d}",
            "review on": str(each.review_on),
            "released": f"{each.released_at:%Y-%m-%d}" if each.released_at else "-",
        }
        for each in rows
    ]
    titles = ("id", "kind", "scope", "about", "owner", "reason", "placed", "review on", "released")
    return _with_what_there_is("Holds", titles, cells, width, spare="placed")


def request_table(rows: Sequence[RequestRow], width: int = WIDE) -> Table:
    """Return requests; who asked is kept as a keyed value and not shown. width -- columns of the terminal."""
    cells = [
        {
            "id": each.request_id,
            "kind": each.kind,
            "received": str(each.received_on),
            "answer by": str(each.answer_by),
            "verified by": each.verified_by or "nobody",
            "about": "direct marketing" if each.marketing else f"consent {each.consent}" if each.consent else "everything",
            "upheld by": each.upheld_by or "-",
            "closed": f"{each.closed_at:%Y-%m-%d}" if each.closed_at else "-",
            "outcome": each.outcome or "-",
        }
        for each in rows
    ]
    titles = ("id", "kind", "received", "answer by", "verified by", "about", "upheld by", "closed", "outcome")
    return _with_what_there_is("Requests", titles, cells, width, spare="received")


def _with_what_there_is(title: str, titles: Sequence[str], rows: Sequence[Mapping[str, str]], width: int, *, spare: str) -> Table:
    """Return a table; on a narrow terminal without the column that is spared first, and without those in which no row says anything."""
    left = [] if width >= WIDE else [each for each in titles if each == spare or all(row[each] == "-" for row in rows)]
    shown = [each for each in titles if each not in left]
    table = framed(title, *shown, caption=f"left out for want of room, or because it is empty: {', '.join(left)}" if left else None)
    for row in rows:
        table.add_row(*(row[each] for each in shown))
    return table


def forecast_tables(made: Forecast, width: int = WIDE) -> list[Table]:
    """Return what falls due in each month: policies down, months across; some fields and reviews in rows of their own.

    width -- columns of the terminal; as many months stand in each table as there is room for, the others below.
    """
    count = len(made.months)
    names = max((len(each.policy) for each in made.policies), default=0)
    figures = max((len(figure(number)) for each in made.policies for (_, at), number in each.counts.items() if at), default=0)
    step = max(1, (width - names - _BESIDE_MONTHS) // (max(2, figures) + 2))
    return [_forecast_part(made, first, min(first + step, count)) for first in range(0, count, step)]


def _forecast_part(made: Forecast, first: int, end: int) -> Table:
    """Return the months from one to before another: the first part says what is due now too, the last one what comes later or never."""
    begins, ends = first == 0, end == len(made.months)
    caption = "Each record counts once, in the month of its first due day; what is due now waits for the next run." if ends else None
    table = framed(f"What falls due, as of {made.as_of}" if begins else None, "policy", "what", caption=caption)
    months = made.months[first:end]
    years = ["" if at and month.month > 1 else f"{month:%Y}" for at, month in enumerate(months)]
    titles = [f"{year}\n{month:%m}" for year, month in zip(years, months, strict=True)]
    columns = [*(("records", "due\nnow") if begins else ()), *titles, *(("later\nor never",) if ends else ())]
    for title in columns:
        table.add_column(title, justify="right", no_wrap=True)
    for each in made.policies:
        for word in FALLS:
            # The first of all counts is what is due now.
            counts = [each.counts[word, at] for at in range(len(made.months) + 1)]
            shown = list(map(figure, counts[0 if begins else first + 1 : end + 1]))
            if word == DUE:
                total = [figure(each.total)] if begins else []
                table.add_row(each.policy, "record", *total, *shown, *([figure(each.rest)] if ends else []))
            elif any(counts):
                table.add_row("", FALLING[word], *([""] if begins else []), *shown, *([""] if ends else []))
    for name in made.failed:
        table.add_row(name, "could not be read", *["?"] * len(columns))
    return table
