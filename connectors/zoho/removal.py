"""How a record, a note or an attachment goes: into the recycle bin, and out of that.

Threat model. Zoho's deletion is a move into a recycle bin, from which anybody with the right restores it for 60 days. So a deletion is two
requests, and between them a process may die or Zoho may stop answering. Nothing is said to be gone while it lies in the bin; a second
attempt begins where the first one ended; and a deletion whose second half Zoho refuses is said to have failed, with where the record lies.
A note, a file or a looked-up record in the bin hangs on its record no more, and the bin doesn't say on which it hung: its id is kept,
sealed, from before the first request until nothing of it lies in the bin (`worker.ports.Halving`). Nothing that isn't kept so is taken out
of the bin: what a person deleted may be restored for 60 days.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from connectors.hosted import Gone, HalfGone, Refused, Stale
from connectors.http import InDoubt
from connectors.zoho.api import SCHEDULED, Crm
from worker.errors import ConfigurationError, RetentionError
from worker.ports import Level

_COSTS = 6
_SCHEDULED_TRIES, _SCHEDULED_WAIT = 5, 2.0
_IN_BIN = "in the recycle bin"


class Removal:
    """Deletes as gone as `level` says. begun -- the ids of what an earlier attempt, whose answer was lost, may have moved into the bin."""

    def __init__(self, crm: Crm, level: Level, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self.level = level
        self._crm = crm
        self._sleep = sleep
        self._begun: set[int] = set()

    def remove(self, key: int, send: Callable[[], None], is_listed: Callable[[], bool]) -> None:
        """Delete something; raises as `Records.delete`. send -- moves it into the bin; is_listed -- whether it is where it was."""
        if self._is_to_be_sent(key, is_listed):
            self._send(key, send, is_listed)
        if self.level is Level.PERMANENT:
            self._purge(key)
        self._begun.discard(key)

    def end(self, key: int) -> None:
        """Take something out of the bin that an earlier batch moved into it; Stale when it isn't there any more. Raises as `remove`."""
        self._crm.credits.need(_COSTS)
        if not self.is_half(key):
            if key in self._begun:
                raise Gone
            # Somebody may have restored it: then it has to be read and decided on anew.
            raise Stale
        self._begun.add(key)
        self._purge(key)
        self._begun.discard(key)

    def is_half(self, key: int) -> bool:
        """Whether something lies in the bin, where that isn't gone."""
        return self.level is Level.PERMANENT and self._crm.is_binned(key)

    def is_gone(self, key: int, is_listed: Callable[[], bool]) -> bool:
        """Whether something is where it was no more, and not in the bin either when that is what deleting means."""
        return not is_listed() and (self.level is Level.SOFT or not self._crm.is_binned(key))

    def _is_to_be_sent(self, key: int, is_listed: Callable[[], bool]) -> bool:
        """Whether the first half has to be sent: not when an earlier attempt was carried out; InDoubt when that can't be found out now.

        The bin is asked first: a list may go on showing for a while what was deleted.
        """
        if key not in self._begun:
            # All requests of one deletion, and reading it back: what is begun can be ended.
            self._crm.credits.need(_COSTS)
            return True
        try:
            return not self._crm.is_binned(key) and is_listed()
        except RetentionError:
            raise InDoubt("A deletion got no answer, and what became of it can't be found out now.") from None

    def _send(self, key: int, send: Callable[[], None], is_listed: Callable[[], bool]) -> None:
        """Move something into the recycle bin. Zoho has one word for what isn't there and for what it doesn't delete: it is looked for."""
        self._begun.add(key)
        try:
            send()
        except InDoubt:
            raise
        except KeyError as unknown:
            self._begun.discard(key)
            if is_listed():
                raise Refused(str(unknown.args[0])) from None
            raise Gone from None
        except (Refused, RetentionError):
            self._begun.discard(key)
            raise

    def _purge(self, key: int) -> None:
        """Take something out of the recycle bin for good; Refused, with where it lies, when Zoho doesn't do that."""
        try:
            self._empty(key)
        except InDoubt:
            raise
        except Refused as refused:
            raise self._stuck(key, refused.answer) from None
        except RetentionError as error:
            word = "the sign-in was refused" if isinstance(error, ConfigurationError) else "Zoho could not be had"
            raise self._stuck(key, word) from None

    def _empty(self, key: int) -> None:
        """Take something out of the recycle bin, if it is in there."""
        try:
            if self._crm.purge(key) == SCHEDULED:
                self._await(key)
        except KeyError as unknown:
            if self._crm.is_binned(key):
                raise Refused(str(unknown.args[0])) from None

    def _await(self, key: int) -> None:
        """Wait for a deletion that Zoho does later, because much hangs on the record."""
        for _ in range(_SCHEDULED_TRIES):
            if not self._crm.is_binned(key):
                return
            self._sleep(_SCHEDULED_WAIT)
        raise Refused(f"HTTP 200 {SCHEDULED}")

    def _stuck(self, key: int, word: str) -> HalfGone:
        """Return the refusal of a deletion that came half way."""
        self._begun.discard(key)
        return HalfGone(f"{word}, {_IN_BIN}")
