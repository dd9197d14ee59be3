"""Work in a process of its own: one that is ended by SIGKILL before its n-th step, and ones that have fewer rights than the tests."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import traceback
from collections.abc import Callable
from itertools import count

STEPS = {"open", "os.mkdir", "os.remove", "os.rename", "fcntl.flock"}
"""What the interpreter announces before it does it; whatever lies between two of them changes no name and no file that has one."""


def stopped_before(number: int, work: Callable[[], object]) -> bool:
    """Do the work in a copy of this process that dies before its step of this number; return whether it got that far, and so died."""

    def counted() -> None:
        steps = count(1)

        def announced(event: str, _arguments: object) -> None:
            if event in STEPS and next(steps) == number:
                os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(announced)
        work()

    status = _status(counted)
    assert status in (0, signal.SIGKILL), status
    return status != 0


def lessened(work: Callable[[], object], user: int | None = None) -> None:
    """Do the work without what only the system's root may do, or as another user: the tests may run as root, users don't."""

    def less() -> None:
        if user is not None:
            os.setuid(user)
        header = (ctypes.c_uint32 * 2)(0x20080522, 0)
        ctypes.CDLL(None).capset(header, (ctypes.c_uint32 * 6)())
        work()

    assert 0 == _status(less), "see what it printed"


def equal(expected: object, actual: object) -> None:
    """Compare, where an assertion can't stand."""
    assert expected == actual


def _status(work: Callable[[], object]) -> int:
    """Return how a copy of this process ended that did the work."""
    child = os.fork()
    if not child:
        try:
            work()
            os._exit(0)
        except BaseException:  # noqa: BLE001 - whatever happened, this copy of the test may not go on
            traceback.print_exc()
        finally:
            os._exit(1)
    return os.waitpid(child, 0)[1]
