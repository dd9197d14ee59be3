"""Calls of the command in a process of their own that dies, by a signal that nobody can handle, when a named point is reached."""

from __future__ import annotations

import os
import signal
from typing import Any

from tests.acceptance.conftest import Installation


class Killer:
    """Faults that kill this process when a point is reached for the n-th time, at once and without a word."""

    def __init__(self, point: str, number: int = 1) -> None:
        self._point = point
        self._left = number

    def reached(self, point: str) -> None:
        """Count down, and die."""
        self._left -= point == self._point
        if not self._left:
            os.kill(os.getpid(), signal.SIGKILL)


def killed(installation: Installation, killer: Killer, *args: object, **options: Any) -> int:
    """Call the command, and return the signal it died of (0: none)."""
    child = os.fork()
    if not child:
        try:
            installation(*args, faults=killer, **options)
        finally:
            # Whatever happened, this copy of the test may not go on.
            os._exit(1)
    return os.WTERMSIG(os.waitpid(child, 0)[1])
