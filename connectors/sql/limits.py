"""How long a session may work, wait or idle: limits that the server itself keeps, also when this program can't any more.

A worker that was lost, or frozen and woken up later, must not hold rows for ever, and its batch must be over before somebody else is told
to do it. So every session is opened with these limits, and every transaction says them again, because a connection pool in between may
drop what a session said. From the moment at which a worker stops answering, its batch is over after `statement` and `idle` together.
"""

from __future__ import annotations

from dataclasses import dataclass

_DAY = 24 * 3600
_TIMES_LONGER = 12


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a source's sessions. batch -- seconds a batch may take; lock -- seconds it waits for a lock, never longer than that."""

    batch: int
    lock: float

    @property
    def statement(self) -> int:
        """Seconds that one statement of a batch may work."""
        return self.batch

    @property
    def idle(self) -> int:
        """Seconds that a batch may leave its transaction idle, while records are decided and intents are written."""
        return self.batch

    @property
    def reading(self) -> int:
        """Seconds that one question of a reader may work: it locks nothing, and the first page of a large table may need a sort."""
        return max(3600, _TIMES_LONGER * self.batch)

    @property
    def view(self) -> int:
        """Seconds that a reader's view may be idle: a plan streams for hours on one connection while the other one waits for questions."""
        return _DAY
