"""Where the worker's own time goes, for the plan and for the apply: functions by their own time, then by what they call as well."""

from __future__ import annotations

import cProfile
import io
import pstats
from collections.abc import Callable
from pathlib import Path

from bench import ours
from bench.data import DUE
from bench.databases import Database
from worker.usecases.applying import RunResult

_LINES = 40


def profile(database: Database, folder: Path, rows: int) -> str:
    """Return the profiles of planning, deleting and pseudonymising in one database."""
    found: list[str] = []
    with ours.opened(database.template("contacts"), folder, "delete") as machine:
        ours.planned(machine, DUE.of(rows))
        found.append(_profiled("plan", lambda: ours.planned(machine, DUE.of(rows))))
    dispositions: tuple[ours.Disposition, ...] = ("delete", "pseudonymise")
    for disposition in dispositions:
        with database.fresh("contacts") as url:
            ours.work_off(url, folder, disposition, DUE.of(rows), _keeping(found, f"apply, {disposition}"))
    return "\n".join(f"{database.name}: {each}" for each in found)


def _keeping(found: list[str], title: str) -> Callable[[Callable[[], RunResult]], RunResult]:
    """Return something that profiles what it is given and adds the profile to a list."""

    def around(apply: Callable[[], RunResult]) -> RunResult:
        results: list[RunResult] = []
        found.append(_profiled(title, lambda: results.append(apply())))
        return results[0]

    return around


def _profiled(title: str, work: Callable[[], object]) -> str:
    """Return the profile of a piece of work as a table."""
    profiler = cProfile.Profile()
    profiler.runcall(work)
    text = io.StringIO()
    stats = pstats.Stats(profiler, stream=text).strip_dirs()
    for order in ("tottime", "cumulative"):
        stats.sort_stats(order).print_stats(_LINES)
    return f"{title}\n{text.getvalue().strip()}\n"
