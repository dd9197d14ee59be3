"""A clock for worker processes that a test plays nights with: the present instant, moved by what stands in a file.

Imported before the worker's modules, which take `worker.clock.now` as their default when they are read. `CLOCK` names the file: so many
seconds ahead, as text. It is read at every question, so that a night begins in all processes at once.
"""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path

from worker import clock


def play(path: Path) -> None:
    """Have the worker's clock show what the file says."""
    real = clock.now

    def now() -> dt.datetime:
        return real() + dt.timedelta(seconds=float(path.read_text() or "0"))

    clock.now = now


if "CLOCK" in os.environ:
    play(Path(os.environ["CLOCK"]))
