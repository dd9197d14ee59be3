"""Carrying out what a batch of comments was told, one request after the other, and finding out about each what became of it.

Threat model. Between the reading of a batch and its turn a comment may be edited, deleted, answered or moved to the trash by somebody
else: it is read again directly before it is written, and left when it is not as it was decided on. A request may be carried out without an
answer: it is read back, and only what is read is said. While the site can't be read after such a request nobody knows, and the error says
so (`Batch.commit`). A site that can't be had any more before a request was sent has not done it: that comment and all behind it are left
for a later run. Deleting a comment moves its replies up to the comment it answered itself: WordPress does that, and it is what detaching
replies means here.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field

from connectors.http import Answer, InDoubt
from connectors.wordpress.columns import ID, PARENT, STATUS, Comment, body, has, value
from connectors.wordpress.site import COMMENT_GONE, Site, confirmed, is_about
from worker.core.facts import UNREADABLE, Raw
from worker.core.sources import Source
from worker.errors import RetentionError
from worker.ports import Along, Changes, Key, Left, Undone

_TRIES = 3
_ALREADY_TRASHED = 410


@dataclass(frozen=True, slots=True)
class _Job:
    """What is to be done with one comment: deleted, or given these values of columns. along -- its replies that go, or are cut loose."""

    key: int
    settings: Mapping[str, Raw] | None
    along: list[tuple[Along, Key]] = field(default_factory=list)


class Requests:
    """The requests of one batch. seen -- the comments as they were decided on; parents -- of every reply that the batch has read."""

    def __init__(
        self,
        source: Source,
        site: Site,
        seen: Mapping[int, Comment],
        parents: MutableMapping[int, int],
        columns: Sequence[str],
        fields: str,
    ) -> None:
        self._source = source
        self._site = site
        self._seen = seen
        self._parents = parents
        self._columns = columns
        self._fields = fields
        self._soft = source.options.get("delete") == "trash"

    def carry_out(self, changes: Changes, *, until: float) -> list[Undone]:
        """Carry it out, and return what was not done; begins with no comment after `until`, by the monotonic clock."""
        undone: list[Undone] = []
        jobs = self._jobs(changes)
        for number, job in enumerate(jobs):
            # After that somebody else may have been told to do this batch.
            done = self._one_unless_away(job) if time.monotonic() <= until else None
            if done is None:
                return undone + [each for left in jobs[number:] for each in _all_of(left, Left.BUSY)]
            undone += done
        return undone

    def _one_unless_away(self, job: _Job) -> list[Undone] | None:
        """Do what is to be done with one comment and return what of it was not; None when the site can't be had any more."""
        try:
            return self._one(job)
        except _NotNow:
            return None

    def _jobs(self, changes: Changes) -> list[_Job]:
        """Return what is to be done comment by comment: the latest first, so that replies go before what they answer."""
        settings: dict[int, dict[str, Raw]] = {}
        for update in changes.updates:
            columns = [self._source.field(name).column for name in update.fields]
            for row in update.rows:
                settings.setdefault(int(str(row[0])), {}).update(zip(columns, row[1:], strict=True))
        jobs = {int(str(key[0])): _Job(int(str(key[0])), None) for key in changes.delete}
        jobs |= {key: _Job(key, values) for key, values in settings.items()}
        for along in changes.along:
            for reply in along.keys:
                jobs[self._parents[int(str(reply[0]))]].along.append((along, reply))
        return sorted(jobs.values(), key=lambda job: -job.key)

    def _one(self, job: _Job) -> list[Undone]:
        """Do what is to be done with one comment; return what of it was not done."""
        why, answer = self._compare(job)
        if why is not None:
            return _all_of(job, why, answer)
        undone: list[Undone] = []
        loose = [(along, reply) for along, reply in job.along if along.detach]
        going = [(along, reply) for along, reply in job.along if not along.detach]
        for position, (along, reply) in enumerate(going):
            why, answer = self._written(_Job(int(str(reply[0])), None))
            if why is Left.GONE:
                undone.append(Undone(reply, why, along.path))
            elif why is not None:
                # The comment stays as well: deleting it would move this reply up.
                return undone + _all_of(_Job(job.key, job.settings, loose + going[position:]), why, answer)
        why, answer = self._written(job)
        if why is not None:
            return undone + _all_of(_Job(job.key, job.settings, loose), why, answer)
        if job.settings is None and not self._soft:
            above = int(self._seen[job.key].get(PARENT) or 0)
            self._parents.update({reply: above for reply, parent in self._parents.items() if parent == job.key})
        return undone

    def _compare(self, job: _Job) -> tuple[Left | None, str]:
        """Return why a comment is not to be written: it is gone, or no longer as it was decided on."""
        try:
            now, answer = self._site.get(job.key, self._fields)
        except RetentionError:
            raise _NotNow from None
        if now is None:
            return (Left.GONE, "") if is_about(answer, COMMENT_GONE) else (Left.FAILED, answer.in_words("code"))
        before = self._seen[job.key]
        same = all(value(now, each) == value(before, each) for each in self._columns)
        return (None, "") if same and not self._new_replies(job.key) else (Left.CHANGED, "")

    def _new_replies(self, key: int) -> bool:
        """Whether a comment has a reply that it didn't have when it was decided on."""
        if not self._source.relations:
            return False
        try:
            return any(self._parents.get(each[ID]) != key for each in self._site.replies(ID, [key]))
        except RetentionError:
            raise _NotNow from None

    def _written(self, job: _Job) -> tuple[Left | None, str]:
        """Send the request, and again while reading back shows that it was not carried out; return why it was not done."""
        said = ""
        for _ in range(_TRIES):
            try:
                answer = self._sent(job)
                return self._judged(job, answer)
            except InDoubt:
                # What this raises leaves the batch open: nobody knows.
                now, answer = self._site.get(job.key, self._fields)
                if self._is_done(job, now, answer):
                    return None, ""
                said = "no answer" if now is not None else answer.in_words("code")
            except RetentionError:
                raise _NotNow from None
        return Left.FAILED, said

    def _sent(self, job: _Job) -> Answer:
        """Send the request."""
        if job.settings is None:
            return self._site.delete(job.key, force=not self._soft)
        return self._site.update(job.key, body(self._seen[job.key], job.settings))

    def _judged(self, job: _Job, answer: Answer) -> tuple[Left | None, str]:
        """Return what WordPress' answer means; InDoubt when it isn't WordPress that speaks."""
        if is_about(answer, COMMENT_GONE):
            return Left.GONE, ""
        if self._soft and job.settings is None and answer.status == _ALREADY_TRASHED:
            return Left.GONE, ""
        if not answer.is_success:
            return Left.FAILED, answer.in_words("code")
        told = confirmed(answer, self._source.name)
        if not _says_what_it_did(told, job.settings, soft=self._soft):
            raise InDoubt(f"{self._source.name}: the answer to a change doesn't say what was done.")
        if job.settings is None:
            done = told.get("status") == "trash" if self._soft else told.get("deleted") is True
        else:
            done = has(told, job.settings)
        return (None, "") if done else (Left.FAILED, f"HTTP {answer.status} and not as asked")

    def _is_done(self, job: _Job, now: Comment | None, answer: Answer) -> bool:
        """Whether what was read back is what was asked for."""
        if job.settings is not None:
            return now is not None and has(now, job.settings)
        return is_about(answer, COMMENT_GONE) if now is None else self._soft and now[STATUS] == "trash"


def _says_what_it_did(told: Comment, settings: Mapping[str, Raw] | None, *, soft: bool) -> bool:
    """Whether an answer to a change holds what it is judged by."""
    if settings is None:
        return (STATUS if soft else "deleted") in told
    return all(value(told, name) is not UNREADABLE for name in settings)


class _NotNow(Exception):
    """The site can't be had any more, and the request was not carried out."""


def _all_of(job: _Job, why: Left, answer: str = "") -> list[Undone]:
    """Return a comment and its replies as not done."""
    return [Undone((job.key,), why, answer=answer), *(Undone(reply, why, along.path) for along, reply in job.along)]
