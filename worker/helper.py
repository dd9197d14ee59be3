"""A helper: a process that carries out batches of a run which another process of this machine began, and ends when that one needs no more.

It has a ledger connection, connections to the systems and an audit file of its own. What it is to do comes through its standard input, from
the process that started it. When that process is gone, or says so with SIGTERM, it ends the batch it is at and goes.
"""

from __future__ import annotations

import datetime as dt
import os
import pickle
import signal
import sys
from time import sleep

from worker import bootstrap, clock, log
from worker.bootstrap import Errand
from worker.errors import RetentionError
from worker.usecases.draining import Drain

_POLL_SECONDS = 0.05


def main() -> int:
    """Read the errand from standard input and do it; returns the exit code, which nobody acts on: the ledger says what was done."""
    parent = os.getppid()
    told = sys.stdin.buffer.read()
    if not told:
        return 0
    errand = pickle.loads(told)  # noqa: S301 - written by the process that started this one, through its own pipe
    assert isinstance(errand, Errand)
    stop = _Stop(parent)
    signal.signal(signal.SIGTERM, lambda _number, _frame: stop.now())
    log.configure(json=errand.settings.log_format == "json", level=errand.settings.log_level)
    try:
        _help(errand, stop)
    except RetentionError as error:
        # Whoever started this process carries out what is left, and says what is wrong if that fails as well.
        log.get_logger().warning("retention.helper_ended", run=errand.run_id, exc_info=error)
        return error.exit_code
    return 0


class _Stop:
    """Whether this helper is still needed."""

    def __init__(self, parent: int) -> None:
        self._parent = parent
        self._told = False

    def now(self) -> None:
        """Say that it is not."""
        self._told = True

    def go_on(self, _source: str = "") -> bool:
        """Whether the next batch may be taken."""
        return not self._told and os.getppid() == self._parent


def _help(errand: Errand, stop: _Stop) -> None:
    """Carry out batches of the sources in their turn, until no source has any that a helper may take."""
    ahead = dt.timedelta(seconds=errand.ahead)
    with (
        bootstrap.machine(errand.settings, schedule=errand.schedule, now=lambda: clock.now() + ahead) as machine,
        Drain(machine, errand.run_id, go_on=stop.go_on, apart_only=True) as drain,
    ):
        while stop.go_on():
            open_ones = [each for each in machine.ledger.work_of(errand.run_id) if each.waiting and each.source.lanes > 1]
            if not open_ones:
                return
            for each in open_ones:
                drain.source(each.source.source)
            sleep(_POLL_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
