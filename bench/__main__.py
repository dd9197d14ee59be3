"""Measure the worker against the databases' own means, all in one run.

    make bench                     one million contacts; takes a while
    make bench ROWS=200000
    python -m bench --quick --only sqlite

What is measured, and how to read it, stands in docs/benchmarks.md.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import click
from rich.console import Console

from bench import cost, facts, memory, ours, plans, profiling, references, report
from bench.data import BLOCK, contacts, treated_contacts
from bench.databases import NAMES, Database, running
from bench.measure import Measure, Wrong
from tests.systems.servers.process import ServerFailedError, ServerMissingError
from worker.errors import RetentionError

_QUICK = 20_000
_JOBS = {
    "delete": (references.delete, ours.delete),
    "pseudonymise": (references.pseudonymise, ours.pseudonymise),
    "plan": (plans.plan,),
    "facts": (facts.facts,),
    cost.JOB: (cost.cost,),
}


@click.command(help="Measure the worker against the databases' own means.")
@click.option("--rows", type=click.IntRange(min=BLOCK), default=1_000_000, envvar="ROWS", show_default=True, help="Contacts in the table.")
@click.option("--only", type=click.Choice(NAMES), multiple=True, help="Only this database; may be given again. All three by default.")
@click.option("--job", type=click.Choice(tuple(_JOBS)), multiple=True, help="Only this job; may be given again. All of them by default.")
@click.option("--repeat", type=click.IntRange(min=1), default=1, show_default=True, help="Do everything so often and show medians.")
@click.option("--memory", "with_memory", is_flag=True, help=f"Also the memory at the number of rows and at {memory.TIMES} times as many.")
@click.option("--profile", "with_profile", is_flag=True, help="Instead of measuring, show where the worker's time goes.")
@click.option("--quick", is_flag=True, help=f"{_QUICK:,} contacts, to see that everything works; the figures mean little.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def main(
    *,
    rows: int,
    only: tuple[str, ...],
    job: tuple[str, ...],
    repeat: int,
    with_memory: bool,
    with_profile: bool,
    quick: bool,
    as_json: bool,
) -> None:
    """Measure and print."""
    rows = _QUICK if quick else rows
    rows -= rows % BLOCK
    measures: list[Measure] = []
    peaks: list[memory.Peak] = []
    try:
        with tempfile.TemporaryDirectory(prefix="retention-bench-") as name:
            folder = Path(name)
            for each in only or NAMES:
                with running(each, folder) as database:
                    jobs = job or tuple(_JOBS)
                    _build(database, rows, jobs=() if with_profile else jobs)
                    if with_profile:
                        click.echo(profiling.profile(database, folder, rows))
                    else:
                        measures.extend(_told(_measured(database, folder, rows, jobs * repeat)))
            if with_memory and not with_profile:
                _say(f"memory at {rows:,} and {rows * memory.TIMES:,} rows")
                peaks = memory.peaks(folder, rows)
    except (Wrong, RetentionError, ServerMissingError, ServerFailedError) as error:
        _say(f"The benchmark stopped: {error}")
        sys.exit(1)
    if with_profile:
        return
    measures = report.middle(measures)
    if as_json:
        click.echo(json.dumps(report.as_json(measures, peaks, rows), indent=2))
    else:
        report.show(Console(width=None if sys.stdout.isatty() else 140, highlight=False), measures, peaks, rows)


def _build(database: Database, rows: int, *, jobs: Iterable[str]) -> None:
    """Build the tables that everything else copies."""
    begin = time.monotonic()
    database.build("contacts", contacts(rows))
    if "plan" in jobs:
        database.build(plans.TREATED, treated_contacts(rows))
    if facts.JOB in jobs:
        facts.build(database, rows)
    _say(f"{database.name}: built {rows:,} contacts in {time.monotonic() - begin:.1f} s")


def _measured(database: Database, folder: Path, rows: int, jobs: Iterable[str]) -> Iterator[Measure]:
    """Do the jobs in every way."""
    for job in jobs:
        for ways in _JOBS[job]:
            yield from ways(database, folder, rows)


def _told(measures: Iterable[Measure]) -> Iterator[Measure]:
    """Say what was measured as soon as it is known: the whole takes a while."""
    for each in measures:
        _say(f"{each.database}: {each.job}: {each.way}: {each.time.seconds:.2f} s, {each.rate:,.0f}/s")
        yield each


def _say(text: str) -> None:
    """Tell a person who waits; what is piped on stays clean."""
    click.echo(text, err=True)


if __name__ == "__main__":
    main()
