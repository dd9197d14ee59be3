"""Carrying out what a batch was told, one dossier after the other, and finding out about each what became of it.

Threat model. Nothing here is atomic: a dossier is many objects, and each is a request. So a dossier is read again as a whole directly
before its turn, and left when it is not as it was decided on. Its documents go first and its sidecar last: a dossier that was only half
deleted, because something in it was refused or the process died, keeps its facts, is found by the next plan, and is finished then. It
counts as gone only when a listing, afterwards, shows nothing of it: no file, no earlier version, no mark of deletion. What came in while
it went is somebody's new work: it stays, and is said. A request without an answer is followed by that same listing. While the system
can't be listed after a request, nobody knows, and the error says so (`Batch.commit`).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from connectors.application_files.documents import Setting, UnreadableDocument, changed
from connectors.application_files.layout import Layout
from connectors.patience import InDoubt
from connectors.remote_files.records import Dossier, View
from connectors.remote_files.storage import Gone, Refused, Storage, Stored
from worker.errors import RetentionError, SourceFailed
from worker.ports import Left, Undone

_TRIES = 3
_UNLISTED = "can not be listed as a whole"


class Removal:
    """The requests of one batch. seen -- the dossiers as they were decided on."""

    def __init__(self, source: str, layout: Layout, storage: Storage, view: View, seen: Mapping[str, Dossier]) -> None:
        self._source = source
        self._layout = layout
        self._storage = storage
        self._view = view
        self._seen = seen

    def carry_out(self, going: Sequence[str], settings: Mapping[str, Sequence[Setting]], *, until: float) -> list[Undone]:
        """Carry it out, and return what was not done; begins with no dossier after `until`, by the monotonic clock."""
        undone: list[Undone] = []
        jobs = [*going, *settings]
        for number, key in enumerate(jobs):
            # After that somebody else may have been told to do this batch.
            left = self._one_unless_away(key, settings.get(key)) if time.monotonic() <= until else (Left.BUSY, "")
            if left is not None:
                undone.append(Undone((key,), *_split(left)))
            if left is not None and left[0] is Left.BUSY:
                return undone + [Undone((each,), Left.BUSY) for each in jobs[number + 1 :]]
        return undone

    def _one_unless_away(self, key: str, settings: Sequence[Setting] | None) -> tuple[Left, str] | None:
        """Do what is to be done with one dossier, and return why it was not done."""
        try:
            now = self._view.dossier(key)
        except RetentionError:
            return Left.BUSY, ""
        if now is None:
            return Left.GONE, ""
        if not now.trace:
            return Left.FAILED, _UNLISTED
        if now.trace != self._seen[key].trace:
            return Left.CHANGED, ""
        return self._delete(now) if settings is None else self._rewrite(now, settings)

    def _delete(self, dossier: Dossier) -> tuple[Left, str] | None:
        """Delete a dossier: its documents, then what states its facts, then what else makes it a folder."""
        key, known = dossier.key, set(dossier.contents)
        try:
            obstacle = self._storage.obstacle(key, dossier.contents)
        except RetentionError:
            return Left.BUSY, ""
        if obstacle:
            return Left.FAILED, obstacle
        left: list[Stored] = list(dossier.contents)
        refused, why = "", Left.FAILED
        for _ in range(_TRIES):
            refused, why, doubt = self._removed(key, left)
            left = self._contents(key)
            if not left:
                return None
            # Removing changes the date of a folder; everything else that is new is somebody's work.
            if any(each not in known and each.readable for each in left):
                return Left.CHANGED, _share(len(known) - len(known.intersection(left)), len(known))
            if refused or not doubt:
                break
        said = refused or ("" if why is Left.BUSY else "not gone")
        return why, " - ".join(filter(None, (said, _share(len(known) - len(left), len(known)))))

    def _removed(self, key: str, some: Sequence[Stored]) -> tuple[str, Left, bool]:
        """Remove what there is; return (what was refused, what that means, whether it should be tried again)."""
        files = [each for each in some if not each.depth]
        folders = sorted((each for each in some if each.depth), key=lambda each: -each.depth)
        steps = (
            [each for each in files if each.path not in self._layout.sidecars],
            [each for each in files if each.path in self._layout.sidecars],
            folders,
        )
        try:
            for step in filter(None, steps):
                self._storage.remove(key, step)
        except InDoubt:
            return "", Left.FAILED, True
        except Refused as error:
            return error.answer, Left.FAILED, False
        except RetentionError:
            return "", Left.BUSY, False
        # What is there all the same gets another try: a listing may lag behind.
        return "", Left.FAILED, True

    def _contents(self, key: str) -> list[Stored]:
        """Return what is left of a dossier; SourceFailed when nobody can tell."""
        try:
            return list(self._storage.contents(key))
        except Refused as error:
            raise SourceFailed(f"{self._source}: what became of a dossier can't be read back ({error.answer}).") from None

    def _rewrite(self, dossier: Dossier, settings: Sequence[Setting]) -> tuple[Left, str] | None:
        """Set values in a dossier's sidecar, and let go of what it was before."""
        key, sidecar = dossier.key, dossier.sidecar
        if sidecar is None or dossier.content is None or not dossier.readable:
            return Left.FAILED, "its facts can not be read"
        if not sidecar.current:
            return Left.FAILED, "only earlier versions are left"
        try:
            new = changed(sidecar.path, dossier.content, settings)
        except UnreadableDocument:
            return Left.FAILED, "something else stands where a field is to be treated"
        old = [each for each in dossier.contents if each.path == sidecar.path]
        try:
            obstacle = self._storage.obstacle(key, old)
        except RetentionError:
            return Left.BUSY, ""
        if obstacle:
            return Left.FAILED, obstacle
        return self._replaced(key, sidecar, new)

    def _replaced(self, key: str, sidecar: Stored, new: bytes) -> tuple[Left, str] | None:
        """Write a sidecar, read it back, and remove its earlier versions."""
        said = "no answer"
        for _ in range(_TRIES):
            doubt = False
            try:
                self._storage.replace(key, sidecar, new)
            except Refused as error:
                return Left.FAILED, error.answer
            except (InDoubt, Gone):
                doubt = True
            except RetentionError:
                return Left.BUSY, ""
            now = self._view.dossier(key)
            if now is None:
                return Left.GONE, ""
            if now.content == new:
                return self._without_earlier(key, now)
            if not doubt or now.trace != self._seen[key].trace:
                return Left.CHANGED, ""
        return Left.FAILED, said

    def _without_earlier(self, key: str, now: Dossier) -> tuple[Left, str] | None:
        """Remove the earlier versions of a sidecar, in which stands what was just treated."""
        why, said = Left.FAILED, ""
        for _ in range(_TRIES):
            old = [each for each in now.contents if now.sidecar is not None and each.path == now.sidecar.path and each != now.sidecar]
            if not old:
                return None
            said, why, again = self._removed(key, old)
            now = replace(now, contents=tuple(self._contents(key)))
            if not again:
                break
        return why, f"{said or 'not gone'} - earlier versions stay"


def _share(gone: int, of: int) -> str:
    """Return how much of a dossier went, when something did."""
    return f"{gone} of {of} parts are gone" if gone > 0 else ""


def _split(left: tuple[Left, str]) -> tuple[Left, tuple[str, ...], str]:
    """Return the members of `Undone` behind its key."""
    return left[0], (), left[1]
