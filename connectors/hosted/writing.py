"""Carrying out what a batch was told, one record after the other, and finding out about each what became of it.

Threat model. Between the reading of a batch and its turn a record may be edited, deleted or put in by somebody else: it is read again
directly before it is written, and left when any declared column is not as it was decided on. A request may be carried out without an
answer: it is read back, and only what is read is said. While the service can't be read after such a request nobody knows, and the error
says so (`Batch.commit`). A service that can't be had any more before a request was sent has not done it: that record and all behind it are
left for a later run. What belongs to a record goes before it, row by row; one that is refused keeps the record and all that is left of it.
A row that came in since, went or says something else now is a change of the record.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from connectors.hosted.relatives import Path, Relatives
from connectors.hosted.service import Barring, Gone, HalfGone, Item, Records, Refused, Related, Stale
from connectors.patience import InDoubt
from connectors.relations import relations_along
from worker.core.facts import Raw
from worker.core.sources import Source
from worker.errors import RetentionError
from worker.ports import Key, Left, Undone

_TRIES = 3

Settings = Mapping[str, Raw]
"""New values by column."""


@dataclass(frozen=True, slots=True)
class Step:
    """A row of a relation that goes, or is cut loose, before its record; rows -- the client's rows of that relation."""

    path: Path
    key: Key
    item: Item
    rows: Related
    detach: bool = False


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be done with one record as it was decided on: deleted (None), or given these values; steps come before that."""

    key: Key
    item: Item
    settings: Settings | None = None
    steps: list[Step] = field(default_factory=list)


class Writing:
    """The requests of one batch. before, now -- what belongs to its records, as it was decided on and as it is."""

    def __init__(self, source: Source, records: Records, *, before: Relatives, now: Relatives) -> None:
        self._source = source
        self._records = records
        self._before = before
        self._now = now
        beside = {match.differs_from for each in source.aggregates for match in each.where if match.differs_from is not None}
        self._columns = sorted({*beside, *(each.column for each in source.fields)})

    def carry_out(self, jobs: Sequence[Job], *, until: float) -> list[Undone]:
        """Do one job after the other and return what was not done. Begins with nothing after `until` (monotonic)."""
        undone: list[Undone] = []
        try:
            barred = self._barred(jobs) if time.monotonic() <= until else {}
        except RetentionError:
            return [each for job in jobs for each in _left(job, job.steps, Left.BUSY)]
        for number, job in enumerate(jobs):
            # After that somebody else may have been told to do this batch.
            left = self._one(job, is_barred=job.key in barred) if time.monotonic() <= until else _left(job, job.steps, Left.BUSY)
            undone += left
            if any(each.why is Left.BUSY for each in left):
                return undone + [each for later in jobs[number + 1 :] for each in _left(later, later.steps, Left.BUSY)]
        return undone

    def _barred(self, jobs: Sequence[Job]) -> Mapping[Key, str]:
        """Return what is said of the records that the service would refuse after some of their rows have gone."""
        if not isinstance(self._records, Barring):
            return {}
        records: dict[Key, dict[str, set[Key]]] = {}
        for job in jobs:
            going = records[job.key] = {self._source.table: {job.key}} if job.settings is None else {}
            for step in job.steps:
                if not step.detach:
                    going.setdefault(relations_along(self._source, step.path)[-1].table, set()).add(step.key)
        records = {key: going for key, going in records.items() if going}
        return self._records.barred(records) if records else {}

    def _one(self, job: Job, *, is_barred: bool) -> list[Undone]:
        """Do what is to be done with one record and what belongs to it, and return what was not. is_barred -- it couldn't go whole."""
        try:
            now = self._records.get(job.key)
            why = Left.GONE if now is None else None if self._is_same(job, now) else Left.CHANGED
            barred = self._barred([job]).get(job.key) if is_barred and why is None else None
        except Refused as refused:
            return _left(job, job.steps, Left.FAILED, refused.answer)
        except RetentionError:
            return _left(job, job.steps, Left.BUSY)
        if why is not None:
            return _left(job, job.steps, why)
        if barred is not None:
            return _left(job, job.steps, Left.FAILED, barred)
        undone: list[Undone] = []
        for number, step in enumerate(job.steps):
            left, said, half = self._stepped(step)
            if left is Left.GONE:
                undone.append(Undone(step.key, left, step.path))
            elif left is not None:
                # The record stays with what it still has.
                record, this, *rest = _left(job, job.steps[number:], left, said)
                return [*undone, record, replace(this, begun=half), *rest]
        left, said, _ = self._written(job, now)
        return undone if left is None else [*undone, Undone(job.key, left, answer=said)]

    def _is_same(self, job: Job, now: Item) -> bool:
        """Whether a record, and what belongs to it, is as it was decided on."""
        value, before = self._records.value, self._before
        if any(value(now, each) != value(job.item, each) for each in self._columns):
            return False
        return all(
            before.state(path, before.of(path, {job.key: job.item})[job.key])
            == self._now.state(path, self._now.of(path, {job.key: now})[job.key])
            for path in before.watched()
        )

    def _stepped(self, step: Step) -> _Sent:
        """Delete a row, or cut it loose; return why that was not done."""
        rows, row = step.rows, step.item
        if step.detach:
            return _sent(lambda: rows.detach(row), lambda: rows.is_loose(row))
        return _sent(lambda: rows.delete(row), lambda: rows.gone(row), deletes=True)

    def _written(self, job: Job, now: Item) -> _Sent:
        """Delete a record, or set its values; return why that was not done."""
        settings = job.settings
        if settings is None:
            return _sent(lambda: self._records.delete(now), lambda: self._records.gone(now), deletes=True)
        return _sent(lambda: self._records.update(now, settings), lambda: self._has(job.key, settings))

    def _has(self, key: Key, settings: Settings) -> bool:
        """Whether what is read back is what was asked for."""
        now = self._records.get(key)
        return now is not None and self._records.has(now, settings)


class _Sent(NamedTuple):
    """Why something was not done, if it wasn't, in the service's own word; half -- its deletion came half way, or may have."""

    why: Left | None = None
    said: str = ""
    half: bool = False


def _sent(send: Callable[[], None], is_done: Callable[[], bool], *, deletes: bool = False) -> _Sent:
    """Send a request, and again while reading back shows that it was not carried out; return why it was not done.

    What is gone after a deletion without an answer went by that deletion: some services show for a while what they have deleted. What is
    gone after a change without an answer went by somebody else's hand.
    """
    in_doubt = False
    for _ in range(_TRIES):
        try:
            send()
        except InDoubt:
            in_doubt = True
        except Gone:
            return _Sent() if in_doubt and deletes else _Sent(Left.GONE)
        except Stale:
            return _Sent(Left.CHANGED, half=in_doubt)
        except Refused as refused:
            return _Sent(Left.FAILED, refused.answer, in_doubt or isinstance(refused, HalfGone))
        except RetentionError:
            if in_doubt:
                # What was read back may be old: some services show for a while what they have deleted.
                raise
            return _Sent(Left.BUSY)
        else:
            return _Sent()
        # What this raises leaves the batch open: nobody knows.
        if is_done():
            return _Sent()
    return _Sent(Left.FAILED, "no answer, and not done", half=True)


def _left(job: Job, steps: Sequence[Step], why: Left, answer: str = "") -> list[Undone]:
    """Return a record and these of its rows as not done."""
    return [Undone(job.key, why, answer=answer), *(Undone(step.key, why, step.path) for step in steps)]
