"""How much memory the worker takes at its highest, in a process of its own for each size: it should not grow with the number of records.

    python -m bench.memory URL FOLDER RECORDS

plans, approves and applies in the SQLite file at URL, where so many records are due, and prints the highest number of bytes it held.
"""

from __future__ import annotations

import resource
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from bench import ours
from bench.data import BLOCK, DUE, contacts
from bench.databases import SQLite
from bench.measure import Wrong

TIMES = 5
"""The larger table has this many times the rows of the smaller one."""


@dataclass(frozen=True, slots=True)
class Peak:
    """The most memory that was held, in bytes, with so many rows of which so many were due."""

    rows: int
    due: int
    bytes: int


def peaks(folder: Path, rows: int) -> list[Peak]:
    """Return the memory for next to nothing (what the program itself takes), for `rows` and for TIMES as many."""
    return [_peak(folder, each) for each in (BLOCK, rows, TIMES * rows)]


def _peak(folder: Path, rows: int) -> Peak:
    database = SQLite(folder)
    template = f"memory_{rows}"
    database.build(template, contacts(rows))
    due = DUE.of(rows)
    with database.fresh(template) as url:
        command = [sys.executable, "-m", "bench.memory", url, str(folder), str(due)]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)  # noqa: S603 - our own program
    if done.returncode != 0:
        raise Wrong(f"the measurement of memory ended with {done.returncode}: {done.stderr.strip()[-2000:]}")
    return Peak(rows, due, int(done.stdout))


def _highest() -> int:
    """Return the most memory this process has held, in bytes."""
    try:
        # What getrusage answers on Linux includes what the parent held when it started this process.
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


if __name__ == "__main__":
    ours.work_off(sys.argv[1], Path(sys.argv[2]), "delete", int(sys.argv[3]), lambda apply: apply())
    print(_highest())
