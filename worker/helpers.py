"""Helpers: other processes of one command, which carry out batches of its run and end when it needs no more of them.

They are forked before anything is opened, and wait at a pipe. So they come up within milliseconds, with everything imported, and inherit no
connection, lock or open file: an SQLite connection can't be carried across a fork (https://www.sqlite.org/howtocorrupt.html, 2.6), and two
processes on one connection to a server would take each other's answers. Each opens its own: ledger, systems, keys, audit file, and does so
while the command still begins the run. When the command is gone, or says so with SIGTERM, a helper ends the batch it is at and goes.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import NamedTuple

from worker.log import get_logger

_FORK = get_context("fork")


class Errand:
    """What a helper is needed for.

    ahead -- how many seconds the clock is played ahead; sources -- the names of those whose batches it is to carry out.
    """

    def __init__(self, ahead: float, sources: Sequence[str], told: Connection, parent: int) -> None:
        self.ahead = ahead
        self.sources = tuple(sources)
        self.run_id: str | None = None
        """The run whose batches they are, once `sent` has said so."""
        self._told = told
        self._parent = parent
        self._over = False

    def sent(self) -> str | None:
        """Wait until the batches are there and return the run's id; None when nobody is needed any more."""
        with suppress(EOFError):
            self.run_id = self._told.recv()
        return self.run_id

    def end(self) -> None:
        """Say that nothing more is to be begun."""
        self._over = True

    def go_on(self, _source: str = "") -> bool:
        """Whether the next batch may be taken."""
        return not self._over and os.getppid() == self._parent

    def rest(self, seconds: float) -> None:
        """Wait so many seconds, or until the command lets go of this helper."""
        self._told.poll(seconds)


Work = Callable[[Errand], None]
"""Opens what it needs, waits to be sent and carries out batches of the run for as long as it may go on."""


class _Helper(NamedTuple):
    """A helper, and the pipe through which it is told what to do."""

    process: _FORK.Process  # type: ignore[name-defined]
    pipe: Connection

    def tell(self, what: object) -> None:
        """Tell it something. One that is gone already is said to be, when all are to end."""
        with suppress(BrokenPipeError):
            self.pipe.send(what)


class Helpers:
    """So many processes that wait to be sent to the batches of a run. Make it before anything is opened, and close it.

    ahead -- how many seconds the clock is played ahead, when they are needed.
    """

    def __init__(self, count: int, work: Work, ahead: Callable[[], float]) -> None:
        self._work = work
        self._ahead = ahead
        self._idle: list[_Helper] = []
        for _ in range(count):
            try:
                self._idle.append(self._forked())
            except OSError as error:
                # A machine that has no room for one more process can still do the work with one less.
                get_logger().warning("retention.no_helper", why=error.strerror)
                return

    def close(self) -> None:
        """End the helpers that were never used: where nobody can tell them anything any more they go."""
        idle, self._idle = self._idle, []
        _ended(idle)

    @contextmanager
    def at_work(self, sources: Sequence[str]) -> Iterator[Callable[[str], None]]:
        """Have all of them while the block lasts, if there are sources to help with, and give what sends them to a run, by its id.

        They open what they need right away. What is given may be called once, when the run's batches are there.
        """
        mine: Sequence[_Helper] = ()
        if sources:
            mine, self._idle = self._idle, []
        for each in mine:
            each.tell((self._ahead(), tuple(sources)))

        def send(run_id: str) -> None:
            for each in mine:
                each.tell(run_id)

        try:
            yield send
        finally:
            for each in mine:
                # One that is at a batch ends it; one that was not sent anywhere just goes.
                each.process.terminate()
            _ended(mine)

    def _forked(self) -> _Helper:
        told, tell = _FORK.Pipe(duplex=False)
        process = _FORK.Process(target=self._wait, args=(os.getpid(), told, tell), daemon=True)
        try:
            process.start()
        except OSError:
            tell.close()
            raise
        finally:
            told.close()
        return _Helper(process, tell)

    def _wait(self, parent: int, told: Connection, tell: Connection) -> None:
        """Be a helper: wait for what is to be done, and do it."""
        # In a session of its own: Ctrl-C on a terminal reaches the command, which lets its helpers end their batch.
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        # While anybody has the other end of the pipe it does not end, whatever becomes of the command.
        for pipe in (tell, *(each.pipe for each in self._idle)):
            pipe.close()
        # Results are the command's to print.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.close(nowhere)
        try:
            ahead, sources = told.recv()
        except EOFError:
            return
        errand = Errand(ahead, sources, told, parent)
        signal.signal(signal.SIGTERM, lambda _number, _frame: errand.end())
        try:
            self._work(errand)
        except Exception as error:  # noqa: BLE001 - whoever runs this process would print its text, which may quote a record
            # The command carries out what is left, and says what is wrong if that fails as well.
            get_logger().warning("retention.helper_ended", run=errand.run_id, exc_info=error)


def _ended(helpers: Sequence[_Helper]) -> None:
    """Wait until helpers have ended, which nobody tells anything any more."""
    for each in helpers:
        each.pipe.close()
    for each in helpers:
        each.process.join()
        number = -(each.process.exitcode or 0)
        if number > 0 and number != signal.SIGTERM:
            # What it was at was done by others, and the next process that starts records how its audit file ended.
            get_logger().warning("retention.helper_died", process=each.process.pid, signal=number)
        each.process.close()
