"""Processes that die in the middle of their work, by a signal that nobody can handle.

They come from a small server process that has everything imported, so that each costs a fork and not a start of Python.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.systems.small_firm import At, Firm
from worker.usecases.applying import apply_plan
from worker.usecases.approving import open_plan
from worker.usecases.planning import make_plan

_SECONDS = 60
_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(["tests.systems.killing"])


def die() -> None:
    """End this process at once: no handler, no `finally`, no goodbye to any server."""
    os.kill(os.getpid(), signal.SIGKILL)


def killed(work: Callable[..., object], *arguments: object) -> None:
    """Do some work in a process of its own and make sure that it died of it."""
    process = _processes.Process(target=work, args=arguments)
    process.start()
    process.join(_SECONDS)
    ended = process.exitcode
    if ended is None:
        process.kill()
        process.join()
    process.close()
    assert -signal.SIGKILL == ended, f"it was to be killed, and ended with {ended}"


def apply_and_die(firm: Firm, plan: Path, point: str, batch: int) -> None:
    """Carry out a plan, and die at a fault point of a batch."""
    firm.apply(plan, At(point, batch, die))


def reconcile_and_die(firm: Firm, plan: Path) -> None:
    """Begin to carry out a plan, and die between saying what became of a batch and noting that it was said."""
    with firm.machine() as machine:
        apply_plan(replace(machine, ledger=_DiesAtClosing(machine.ledger)), open_plan(machine, plan))  # type: ignore[arg-type]


def plan_and_die(firm: Firm, after: int) -> None:
    """Make a plan, and die when so many pages were read."""
    pages = 0

    def read(_source: str, _count: int) -> None:
        nonlocal pages
        pages += 1
        if pages == after:
            die()

    with firm.machine() as machine:
        make_plan(machine, progress=read)


def approve_and_die(firm: Firm) -> None:
    """Make and approve a plan, and die."""
    firm.approved()
    die()


class _DiesAtClosing:
    """A ledger that is never told how a batch ended."""

    def __init__(self, ledger: Any) -> None:
        self._ledger = ledger

    def __getattr__(self, name: str) -> Any:
        if name == "close_batch":
            die()
        return getattr(self._ledger, name)
