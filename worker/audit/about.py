"""Which events a proof for one person (or one record) is made of: those about whoever was asked for, and those that say what came of them.

Whoever makes a proof and whoever checks one ask the same question here, so that nothing can be put in that would not have been taken.

Threat model. A proof is handed to the person. An event that is about somebody else, and came in because both have something in common,
would tell them about that person. So a hold or a request that names persons is taken only when it names this one, counts over many records
are left out, and a batch is joined by what closes it and reads it back, never by its other intents. What an event names besides stays in
it, since it was sealed so: keyed references, which nobody can resolve without the keys.
"""

from __future__ import annotations

from collections.abc import Iterable

from worker.audit.events import INTENTS, Action
from worker.audit.read import Payload
from worker.audit.search import leads_to, names

_COUNTS = frozenset({Action.RECORDS_HELD, Action.BATCH_CLOSED, Action.BATCH_VERIFIED})
"""Events that count what happened to many; they are about nobody."""
_AFTER_ATTEMPT = (".", "+")
"""What the id of a part of a batch, or of another try at it, has behind the batch's own."""


class About:
    """What is known to be about whoever was asked for; it grows with every event that is taken, so several readings may be needed."""

    def __init__(self, references: Iterable[str]) -> None:
        self._wanted = {*references}
        self._holds: set[str] = set()
        self.batches: set[str] = set()
        """The batches of intents that were taken."""

    @property
    def size(self) -> int:
        """How much is known; unchanged after a reading, there is nothing more to find."""
        return len(self._wanted) + len(self._holds) + len(self.batches)

    @property
    def words(self) -> set[str]:
        """The words of which an event that is about them has at least one."""
        return self._wanted | self._holds

    @property
    def wholes(self) -> set[str]:
        """The words of which an event that ends one of their batches, or reads it back, has at least one."""
        return {each for batch in self.batches for each in _with_whole(batch)}

    def has(self, event: Payload) -> bool:
        """Whether an event is about whoever was asked for."""
        action = event.get("event.action")
        if action in _COUNTS:
            return False
        if names(event, self._wanted):
            return True
        # A hold on a case, a category or a source is about nobody; it is told because it kept this record.
        return action == Action.HOLD_PLACED and event.get("retention.hold") in self._holds and not event.get("retention.subjects")

    def take(self, event: Payload) -> None:
        """Follow what an event that is about them leads to."""
        self._wanted |= leads_to(event)
        self._holds |= {str(each) for each in event.get("retention.holds", ())}
        if event.get("event.action") in INTENTS:
            self.batches.add(str(event.get("retention.batch")))


def reads_back(event: Payload, batch: str) -> bool:
    """Whether an event is the reading back of a batch: of this part of it, or of the whole that it is a part of."""
    return event.get("event.action") == Action.BATCH_VERIFIED and event.get("retention.batch") in _with_whole(batch)


def _with_whole(batch: str) -> set[str]:
    """Return a batch's id and those of the wholes that it may be a part of."""
    return {batch, *(batch[:at] for at, letter in enumerate(batch) if at and letter in _AFTER_ATTEMPT)}
