"""How much memory reading takes: what is allocated here, or by how much another process grows that does nothing else.

The second is what an operator sees, and holds what is allocated outside of Python too. It needs Linux, which tells the most that a process
ever had in memory and forgets it when asked to.
"""

from __future__ import annotations

import gc
import os
import sys
import time
import traceback
import tracemalloc
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Self

from worker.core.select import EVERYTHING
from worker.ports import OpenSource

_COLUMNS = ("name", "note")
_COLLECTING = (700, 10, 10)
"""After how many new objects the interpreter looks for what nobody needs any more, as long as nobody tells it otherwise."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One reading of a whole source. grown -- bytes of memory that its process had more than before, at the most."""

    records: int
    seconds: float
    grown: int


def allocated(source: OpenSource, *, pages: int | None = None) -> tuple[int, int]:
    """Return (how many records were read, how many bytes were allocated at once for that, at the most). pages -- how many are read."""
    met = 0
    gc.collect()
    # What nobody needs any more is no memory of the reader's, whenever it is collected: and a worker collects rarely.
    gc.freeze()
    usual = gc.get_threshold()
    gc.set_threshold(*_COLLECTING)
    tracemalloc.start()
    try:
        with source.reader() as reader:
            for number, page in enumerate(reader.rows(EVERYTHING, _COLUMNS), 1):
                met += len(page)
                gc.collect()
                if number == pages:
                    break
        return met, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        gc.set_threshold(*usual)
        gc.unfreeze()


class ReadingApart:
    """A process that opens a source and reads it when it is told to; it ends with the context. What is filled in meanwhile is not its own.

    The source should hold a few records when this is made: with these all is got ready that reading needs, however much it reads.
    """

    def __init__(self, opened: Callable[[], OpenSource]) -> None:
        self._ours, theirs = Pipe()
        with warnings.catch_warnings():
            # Other threads are those of servers and proxies, which the new process needs nothing of.
            warnings.simplefilter("ignore", DeprecationWarning)
            self._pid = os.fork()
        if not self._pid:
            self._ours.close()
            _serve(theirs, opened)
        theirs.close()
        assert self._ours.recv() == "ready"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._ours.close()
        os.waitpid(self._pid, 0)

    def read(self) -> Reading:
        """Return what reading everything took; AssertionError with what it said when it failed."""
        self._ours.send("read")
        told = self._ours.recv()
        assert isinstance(told, Reading), told
        return told


def _serve(told: Connection, opened: Callable[[], OpenSource]) -> None:
    """Read a source once for practice and once when told to, in a process of its own that ends here."""
    try:
        source = opened()
        _read(source)
        told.send("ready")
        told.recv()
        gc.collect()
        Path("/proc/self/clear_refs").write_text("5")
        before, began = _memory("VmRSS"), time.monotonic()
        records = _read(source)
        told.send(Reading(records, time.monotonic() - began, _memory("VmHWM") - before))
    except EOFError:
        pass
    except BaseException:  # noqa: BLE001 - whatever it is, the test has to hear of it
        told.send("".join(traceback.format_exception(*sys.exc_info())))
    finally:
        os._exit(0)


def _read(source: OpenSource) -> int:
    """Read everything, and return how many records that were."""
    with source.reader() as reader:
        return sum(len(page) for page in reader.rows(EVERYTHING, _COLUMNS))


def _memory(name: str) -> int:
    """Return a figure about this process's memory, in bytes."""
    return int(Path("/proc/self/status").read_text().split(f"{name}:")[1].split()[0]) * 1024
