"""Dossiers as records: one view of the root, in which every dossier is read on its own.

A dossier that can't be read is a record all the same, with every value unreadable: it is kept and reported, never skipped.
"""

from __future__ import annotations

import datetime as dt
import errno
import hashlib
import json
import os
import posixpath
import stat
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain
from types import TracebackType
from typing import Self

from connectors.application_files import documents, index
from connectors.application_files.aside import NOTHING_ASIDE, look_aside
from connectors.application_files.facts import field_values, said_in
from connectors.application_files.layout import KEPT, Layout, Unit
from connectors.batchfolder import WORKING
from connectors.folder import TooDeep, exists, key_of, name_of, opened, opened_text, read_file, trace, unsorted_entries
from connectors.spooled import Spooled
from worker.core.facts import Raw
from worker.errors import SourceFailed
from worker.ports import KeyRange

_PAGE = 500
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_OURS = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)


@dataclass(frozen=True, slots=True)
class Dossier:
    """One dossier as it was read.

    values -- by field name; trace -- changes when anything in the dossier, its sidecar or its line changes; present -- whether there is a
    folder (there may be nothing but a line in the index); sidecar -- the name of the one that was read; attachments -- the shared files it
    names, None when nobody can tell; columns -- the keys that its sidecar has; readable -- False when its facts could not be read.
    """

    key: str
    values: Mapping[str, Raw]
    trace: bytes
    present: bool
    sidecar: str | None
    attachments: frozenset[str] | None
    columns: tuple[str, ...]
    readable: bool


class View:
    """The dossiers below a root, with the index as it was when the view was made; to be used as a context.

    within -- the index is held for these dossiers only, and no others may be asked for; ended -- batches that a dead process left open are
    seen as they will be when they are ended; see `aside`. A batch itself may not look at it so: it can only move what is in its place.
    """

    def __init__(self, source: str, layout: Layout, root: int, within: KeyRange | None = None, *, ended: bool = False) -> None:
        if os.fstat(root).st_nlink == 0:
            raise SourceFailed(f"{source}: the folder was removed while it was in use. Start again when it is there.")
        self._source = source
        self._layout = layout
        self._root = root
        self._aside = look_aside(root) if ended else NOTHING_ASIDE
        self.index = _read_index(source, layout, root, within)
        if self.index is not None:
            self._aside.amend(self.index)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.index is not None:
            self.index.close()

    def pages(self, within: KeyRange | None = None) -> Iterator[list[str]]:
        """Yield pages of the keys of all dossiers in order: folders (or files), links in their place, and lines of the index without one.

        A folder's names come in no order; they are spooled, and not held in memory.
        """
        first, last = ("", None) if within is None else (str(within.first[0]), str(within.last[0]))
        with Spooled[str](self._source) as spooled:
            spooled.add((key, None) for key in self._there() if first <= key and (last is None or key <= last))
            for page in spooled.pages(_PAGE):
                yield [key for key, _ in page]

    def _there(self) -> Iterator[str]:
        """Yield the keys of all dossiers in no order; some twice."""
        for name, is_folder, is_link in unsorted_entries(self._root):
            if self._layout.is_dossier(name, is_folder=is_folder, is_link=is_link):
                yield key_of(name)
        if self.index is not None:
            yield from (key for key in self.index if self.can_be(key))
        yield from self._aside.dossiers

    def dossiers(self, within: KeyRange | None = None) -> Iterator[Dossier]:
        """Yield every dossier in key order; one that goes in the meantime is left out."""
        for key in chain.from_iterable(self.pages(within)):
            dossier = self.dossier(key)
            if dossier is not None:
                yield dossier

    def dossier(self, key: str) -> Dossier | None:
        """Return one dossier, None when there is none."""
        if not self.can_be(key):
            return None
        name = name_of(key)
        present = self._is_there(name)
        waiting = None if present else self._waiting(key)
        if waiting is not None:
            return waiting
        if not present and (self.index is None or key not in self.index):
            return None
        return self.read(self._root, name, key, present=present)

    def can_be(self, key: str) -> bool:
        """Whether a dossier can have a key: some lines of an index are about none."""
        return (name := name_of(key)) != "" and name not in self._layout.other_folders

    def _waiting(self, key: str) -> Dossier | None:
        """Return a dossier that waits to get its name back; None when there is none, or when that has happened meanwhile."""
        batch, number = self._aside.dossiers.get(key, ("", ""))
        if not batch:
            return None
        try:
            with opened(self._root, WORKING) as working, opened(working, batch) as folder:
                return self.read(folder, number, key, present=True) if exists(folder, number) else None
        except FileNotFoundError:
            return None

    def _is_there(self, name: str) -> bool:
        """Whether the root has an entry of that name; where dossiers are files, one that is no folder and not the index."""
        if self._layout.unit is Unit.FOLDER:
            return exists(self._root, name)
        try:
            about = os.lstat(name, dir_fd=self._root)
        except FileNotFoundError:
            return False
        return self._layout.is_dossier(name, is_folder=stat.S_ISDIR(about.st_mode), is_link=stat.S_ISLNK(about.st_mode))

    def read(self, folder: int, name: str, key: str, *, present: bool) -> Dossier:
        """Return the dossier that stands in a folder under a name, which is another one than its own while it waits to be removed."""
        digest = hashlib.sha256()
        latest: int | None = None
        content: bytes | None = None
        sidecar: str | None = None
        listed = True
        hidden = False
        if present:
            try:
                traced, latest = trace(folder, name)
                digest.update(traced)
            except (TooDeep, OSError) as error:
                _raise_ours(error)
                listed = False
            try:
                sidecar, content = self._sidecar(folder, name)
                if sidecar is not None and content is not None:
                    content = self._aside.sidecar_after(key, sidecar, content)
            except OSError as error:
                _raise_ours(error)
                # A link in the place of a dossier has no sidecar; any other error hides one.
                hidden = error.errno != errno.ENOTDIR
        digest.update(content or b"")
        if self.index is not None:
            digest.update(self.index.digest(key).encode())
        said = self._said(key, sidecar, content) if listed else None
        values = field_values(self._layout, key, said, _moment(latest))
        readable = said is not None
        nothing = listed and not hidden and content is None
        attached = self._attached(said) if said is not None else frozenset[str]() if nothing else None
        return Dossier(key, values, digest.digest() if listed else b"", present, sidecar, attached, tuple(said or ()), readable)

    def _sidecar(self, folder: int, name: str) -> tuple[str | None, bytes | None]:
        """Return name and content of the first sidecar that is there."""
        if not self._layout.sidecars:
            return None, None
        with opened(folder, name) as inside:
            for each in self._layout.sidecars:
                try:
                    return each, read_file(inside, each)
                except FileNotFoundError:
                    continue
        return None, None

    def _said(self, key: str, sidecar: str | None, content: bytes | None) -> documents.Document | None:
        """Return what is said about a dossier; None when it can't be read, an empty document when nothing need be said."""
        if self._layout.index is not None:
            return self.index.values(key) if self.index is not None else None
        if not self._layout.sidecars:
            return {}
        return said_in(sidecar, content)

    def _attached(self, said: documents.Document) -> frozenset[str] | None:
        """Return the paths, inside the shared folder, of the shared files that a sidecar names; None when nobody can tell."""
        if self._layout.shared is None:
            return frozenset()
        named = documents.attachments(said)
        if named is None:
            return None
        inside = f"{self._layout.shared}/"
        paths = (posixpath.normpath(f"dossier/{each}") for each in named if not each.startswith("/"))
        return frozenset(path.removeprefix(inside) for path in paths if path.startswith(inside) and "\0" not in path)

    def can_rewrite(self, key: str, sidecar: str, settings: Sequence[documents.Setting]) -> bool:
        """Whether values can be set in a dossier's sidecar, tried out before anything is written."""
        with opened(self._root, name_of(key)) as folder:
            content = read_file(folder, sidecar)
        try:
            documents.changed(sidecar, content, settings)
        except documents.UnreadableDocument:
            return False
        return True

    def last_used_by(self, going: Collection[Dossier]) -> tuple[list[str], list[str]]:
        """Return (the shared files that only the dossiers that go have named, those of them that may have another user nobody can read).

        A file that somebody may still need stays: that a dossier is unreadable is reported, and that it names nothing can't be known. Such
        files are remembered, and asked about again in every batch.
        """
        named = {path for dossier in going for path in dossier.attachments or ()} | set(read_kept(self._root))
        candidates = {path for path in named if self._is_shared_file(path)}
        leaving = {dossier.key for dossier in going}
        for key in chain.from_iterable(self.pages()) if candidates else ():
            staying = self.dossier(key) if key not in leaving else None
            if staying is not None:
                if staying.attachments is None:
                    return [], sorted(candidates)
                candidates -= staying.attachments
            if not candidates:
                break
        return sorted(candidates), []

    def _is_shared_file(self, path: str) -> bool:
        """Whether a path leads to something in the shared folder that is no folder, without passing through a link."""
        *folders, name = [self._layout.shared or "", *path.split("/")]
        try:
            with ExitStack() as stack:
                folder = self._root
                for each in folders:
                    folder = stack.enter_context(opened(folder, each))
                return not stat.S_ISDIR(os.lstat(name, dir_fd=folder).st_mode)
        except OSError:
            return False


def _moment(latest: int | None) -> dt.datetime | None:
    """Return nanoseconds since 1970 as a moment; None for none, or for one that is no date."""
    try:
        return _EPOCH + dt.timedelta(microseconds=latest // 1000) if latest is not None else None
    except OverflowError:
        return None


def read_kept(root: int) -> list[str]:
    """Return the shared files that outlived their last readable dossier because of an unreadable one."""
    try:
        with opened(root, WORKING) as working:
            kept: list[str] = json.loads(read_file(working, KEPT))
    except (FileNotFoundError, NotADirectoryError):
        return []
    return kept


def _raise_ours(error: Exception) -> None:
    """Raise an error again that says something about this process and nothing about a dossier."""
    if isinstance(error, OSError) and error.errno in _OURS:
        raise error


def _read_index(source: str, layout: Layout, root: int, within: KeyRange | None) -> index.Index | None:
    """Return the index; None when there is none or it can't be read, which makes every dossier unreadable."""
    if layout.index is None:
        return None
    wanted = None if within is None else (str(within.first[0]), str(within.last[0]))
    try:
        with opened_text(root, layout.index) as file:
            return index.spool(source, file, layout.index_key, layout.delimiter, wanted)
    except (OSError, index.UnreadableIndex):
        return None
