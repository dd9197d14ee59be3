"""The figures as a table for people and as JSON for programs; every rate stands next to its share of the database's own."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Sequence
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.cost import APPLY as APPLYING
from bench.cost import GOAL as AUDIT_GOAL
from bench.cost import JOB as AUDIT
from bench.cost import TOGETHER, TOTAL
from bench.facts import JOB as FACTS
from bench.facts import PLAIN
from bench.measure import Measure, Time
from bench.memory import Peak
from bench.ours import APPLY, PLAN, RUN
from bench.references import ARCHIVER, COUNT, LOOP, SINGLE

_OURS = (APPLY, RUN)

GOALS: dict[tuple[str, str], float] = {
    ("postgresql", "delete"): 0.19,
    ("mariadb", "delete"): 0.27,
    ("sqlite", "delete"): 0.35,
    ("postgresql", "pseudonymise"): 0.37,
    ("mariadb", "pseudonymise"): 0.20,
    ("sqlite", "pseudonymise"): 0.47,
}
"""The least share of the single statement that `apply` reaches with a million rows, everything promised included."""


def middle(measures: Iterable[Measure]) -> list[Measure]:
    """Return one measure for each way of doing a job, the median of its repetitions, in the order in which they were first made."""
    grouped: dict[tuple[str, str, str, int], list[Time]] = {}
    for each in measures:
        grouped.setdefault((each.database, each.job, each.way, each.records), []).append(each.time)
    return [
        Measure(*names, Time(median(each.seconds for each in times), median(each.busy for each in times)))
        for names, times in grouped.items()
    ]


def as_json(measures: Sequence[Measure], peaks: Sequence[Peak], rows: int) -> dict[str, Any]:
    """Return everything that was measured; ratios are rates divided by the rate of the way they name."""
    return {
        "rows": rows,
        "machine": {"cores": os.cpu_count(), "python": platform.python_version(), "system": platform.platform()},
        "measures": [
            {
                "database": each.database,
                "job": each.job,
                "way": each.way,
                "records": each.records,
                "seconds": round(each.time.seconds, 4),
                "busy": round(each.time.busy, 4),
                "per_second": round(each.rate),
                "ratios": {name: round(ratio, 4) for name, ratio in _ratios(each, measures).items()},
                **({"goal": goal} if (goal := _goal(each)) is not None else {}),
            }
            for each in measures
        ],
        "memory": [{"rows": each.rows, "due": each.due, "bytes": each.bytes} for each in peaks],
    }


def show(console: Console, measures: Sequence[Measure], peaks: Sequence[Peak], rows: int) -> None:
    """Print everything that was measured."""
    console.print(f"{rows:,} contacts; {os.cpu_count()} cores; Python {platform.python_version()}; {platform.platform()}")
    for database, job in dict.fromkeys(
        (each.database, each.job) for each in measures if each.job not in (FACTS, AUDIT) and not each.job.startswith("plan")
    ):
        _show_job(console, [each for each in measures if (each.database, each.job) == (database, job)])
    plans = [each for each in measures if each.job.startswith("plan")]
    if plans:
        _show_plans(console, plans)
    beside = [each for each in measures if each.job == FACTS]
    if beside:
        _show_facts(console, beside)
    audited = [each for each in measures if each.job == AUDIT]
    if audited:
        _show_audit(console, audited)
    if peaks:
        _show_memory(console, peaks)


def _show_job(console: Console, measures: Sequence[Measure]) -> None:
    """Print one job on one database."""
    first = measures[0]
    table = Table(title=f"{first.database}: {first.job} {first.records:,} records", title_justify="left", title_style="bold")
    table.add_column("way")
    for name in ("seconds", "own CPU", "records/s", "of single", "of loop", "of pt-archiver", "goal"):
        table.add_column(name, justify="right")
    for each in measures:
        ratios = _ratios(each, measures)
        shares = (f"{ratios[way]:.2f}" if way in ratios else "" for way in (SINGLE, LOOP, ARCHIVER))
        goal = _goal(each)
        table.add_row(
            each.way,
            f"{each.time.seconds:.2f}",
            f"{each.time.busy:.2f}",
            f"{each.rate:,.0f}",
            *shares,
            "" if goal is None else f"{goal:.2f}",
            style="bold" if each.way in _OURS else "",
        )
    console.print(table)


def _show_plans(console: Console, measures: Sequence[Measure]) -> None:
    """Print what plans cost."""
    table = Table(title="Cost of a plan", title_justify="left", title_style="bold")
    table.add_column("database")
    table.add_column("table")
    for name in ("SELECT COUNT(*)", "plan", "times the count"):
        table.add_column(name, justify="right")
    for database, job in dict.fromkeys((each.database, each.job) for each in measures):
        seconds = {each.way: each.time.seconds for each in measures if (each.database, each.job) == (database, job)}
        counted, planned = seconds[COUNT], seconds[PLAN]
        table.add_row(database, job.removeprefix("plan, "), f"{counted:.3f} s", f"{planned:.3f} s", f"{planned / counted:.1f}")
    console.print(table)


def _show_facts(console: Console, measures: Sequence[Measure]) -> None:
    """Print what plans cost whose facts do not all lie in the row."""
    table = Table(title="Cost of a plan whose facts do not all lie in the row", title_justify="left", title_style="bold")
    table.add_column("database")
    table.add_column("fact")
    for name in ("plan", "own CPU", "times the plain plan"):
        table.add_column(name, justify="right")
    for each in measures:
        times = 1 / _ratios(each, measures)[PLAIN]
        table.add_row(each.database, each.way, f"{each.time.seconds:.3f} s", f"{each.time.busy:.3f} s", f"{times:.1f}")
    console.print(table)


def _show_audit(console: Console, measures: Sequence[Measure]) -> None:
    """Print which share of a delete run the audit trail takes."""
    table = Table(title=f"Cost of the audit trail, {measures[0].records:,} records deleted", title_justify="left", title_style="bold")
    table.add_column("database")
    table.add_column("phase")
    for name in ("seconds", "a record", "of the run", "of the apply", "goal (of the run)"):
        table.add_column(name, justify="right")
    whole = {(each.database, each.way): each.time.seconds for each in measures}
    for each in measures:
        micros = f"{each.time.seconds / each.records * 1e6:.1f} µs"
        shares = [f"{each.time.seconds / whole[each.database, way]:.2f}" for way in (TOTAL, APPLYING)]
        goal = f"{AUDIT_GOAL:.2f}" if each.way == TOGETHER else ""
        table.add_row(each.database, each.way, f"{each.time.seconds:.3f}", micros, shares[0], "" if each.way == TOTAL else shares[1], goal)
    console.print(table)


def _show_memory(console: Console, peaks: Sequence[Peak]) -> None:
    """Print how much memory was held at most."""
    table = Table(title="Memory at its highest, plan and apply on SQLite", title_justify="left", title_style="bold")
    for name in ("rows", "due", "MB"):
        table.add_column(name, justify="right")
    for each in peaks:
        table.add_row(f"{each.rows:,}", f"{each.due:,}", f"{each.bytes / 1e6:.0f}")
    console.print(table)


def _ratios(measure: Measure, measures: Sequence[Measure]) -> dict[str, float]:
    """Return a measure's rate divided by that of every way it is compared with."""
    return {
        each.way: measure.rate / each.rate
        for each in measures
        if (each.database, each.job) == (measure.database, measure.job)
        and each.way in (SINGLE, LOOP, ARCHIVER, COUNT, PLAIN, *((TOTAL, APPLYING) if measure.job == AUDIT else ()))
    }


def _goal(measure: Measure) -> float | None:
    """Return the least share of the single statement that a measure is to reach, if it has such a goal."""
    return GOALS.get((measure.database, measure.job)) if measure.way == APPLY else None
