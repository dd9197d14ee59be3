"""The worker's Celery application as the tests start it: it sweeps twice a second, and dies where a test says, once.

`DIE_AT` is a fault point, `DIE_IN` the batch of the process, counted from one; `DIED` names a file that is made at the death.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

from worker import app as real
from worker.ports import BEFORE_LOCK

app = real.app
app.conf.beat_schedule["sweep"]["schedule"] = 0.5
app.conf.beat_max_loop_interval = 0.2


class DieOnce:
    """A fault port that kills its process at a point, the first of all processes that comes there."""

    def __init__(self, point: str, batch: int, died: Path) -> None:
        self._point = point
        self._batch = batch
        self._died = died
        self._begun = 0

    def reached(self, point: str) -> None:
        """Count the batches, and die in the chosen one."""
        self._begun += point == BEFORE_LOCK
        if point != self._point or self._begun < self._batch:
            return
        try:
            self._died.touch(exist_ok=False)
        except FileExistsError:
            return
        os.kill(os.getpid(), signal.SIGKILL)


if "DIE_AT" in os.environ:
    real._opened.faults = DieOnce(os.environ["DIE_AT"], int(os.environ["DIE_IN"]), Path(os.environ["DIED"]))
