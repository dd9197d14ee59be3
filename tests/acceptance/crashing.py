"""Applies a plan in a process of its own, which dies by SIGKILL when a named point is reached for the n-th time.

python tests/acceptance/crashing.py PLAN POINT N
"""

from __future__ import annotations

import datetime as dt
import os
import signal
import sys

from worker.cli.main import run
from worker.cli.session import Session


class Killer:
    """Faults that kill this process, at once and without a word."""

    def __init__(self, point: str, number: int) -> None:
        self._point = point
        self._left = number

    def reached(self, point: str) -> None:
        """Count down, and die."""
        if point == self._point:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    """Apply the plan, as far as it comes."""
    plan, point, number = sys.argv[1:]
    now = dt.datetime(2026, 6, 30, 10, tzinfo=dt.UTC)
    sys.exit(run(["apply", plan], Session(now=lambda: now, faults=Killer(point, int(number)))))


if __name__ == "__main__":
    main()
