"""Carrying out what a batch was told, one record after the other, and finding out about each what became of it.

Threat model. Between the reading of a batch and its turn a record may be edited, deleted or put in by somebody else: it is read again
directly before it is written, and left when any declared column is not as it was decided on. A request may be carried out without an
answer: it is read back, and only what is read is said. While the service can't be read after such a request nobody knows, and the error
says so (`Batch.commit`). A service that can't be had any more before a request was sent has not done it: that record and all behind it are
left for a later run.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from connectors.hosted.service import Gone, Item, Records, Refused
from connectors.patience import InDoubt
from worker.core.facts import Raw
from worker.errors import RetentionError
from worker.ports import Key, Left, Undone

_TRIES = 3

Settings = Mapping[str, Raw]
"""New values by column."""


class Writing:
    """The requests of one batch. seen -- the records as they were decided on; columns -- those that are compared."""

    def __init__(self, records: Records, seen: Mapping[Key, Item], columns: Sequence[str]) -> None:
        self._records = records
        self._seen = seen
        self._columns = columns

    def carry_out(self, jobs: Mapping[Key, Settings | None], *, until: float) -> list[Undone]:
        """Delete (None) or set what stands behind each key; return what was not done. Begins with nothing after `until` (monotonic)."""
        undone: list[Undone] = []
        keys = list(jobs)
        for number, key in enumerate(keys):
            # After that somebody else may have been told to do this batch.
            left = self._one(key, jobs[key]) if time.monotonic() <= until else (Left.BUSY, "")
            if left is None:
                continue
            why, said = left
            undone.append(Undone(key, why, answer=said))
            if why is Left.BUSY:
                return undone + [Undone(each, Left.BUSY) for each in keys[number + 1 :]]
        return undone

    def _one(self, key: Key, settings: Settings | None) -> tuple[Left, str] | None:
        """Do what is to be done with one record, and return why it was not done."""
        try:
            now = self._records.get(key)
            if now is None:
                return Left.GONE, ""
            if not self._is_same(now, self._seen[key]):
                return Left.CHANGED, ""
        except Refused as refused:
            return Left.FAILED, refused.answer
        except RetentionError:
            return Left.BUSY, ""
        return self._written(key, now, settings)

    def _is_same(self, now: Item, before: Item) -> bool:
        """Whether a record is as it was decided on."""
        value = self._records.value
        return all(value(now, each) == value(before, each) for each in self._columns)

    def _written(self, key: Key, item: Item, settings: Settings | None) -> tuple[Left, str] | None:
        """Send the request, and again while reading back shows that it was not carried out."""
        for _ in range(_TRIES):
            try:
                if settings is None:
                    self._records.delete(item)
                else:
                    self._records.update(item, settings)
            except InDoubt:
                pass
            except Gone:
                return Left.GONE, ""
            except Refused as refused:
                return Left.FAILED, refused.answer
            except RetentionError:
                return Left.BUSY, ""
            else:
                return None
            # What this raises leaves the batch open: nobody knows.
            if self._is_done(key, item, settings):
                return None
        return Left.FAILED, "no answer, and not done"

    def _is_done(self, key: Key, item: Item, settings: Settings | None) -> bool:
        """Whether what is read back is what was asked for."""
        if settings is None:
            return self._records.gone(item)
        now = self._records.get(key)
        return now is not None and self._records.has(now, settings)
