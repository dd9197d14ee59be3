"""Application files as a source: its reader, its batches, and what becomes of a batch whose process died."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from connectors.application_files.checks import check
from connectors.application_files.documents import Setting
from connectors.application_files.facts import plain
from connectors.application_files.layout import Layout, Stated, read_layout
from connectors.application_files.records import Dossier, View
from connectors.application_files.removal import Removal
from connectors.application_files.work import Work
from connectors.batchfolder import BatchFolder
from connectors.folder import open_root, told
from connectors.matching import matcher
from worker.core.model import Policy
from worker.core.select import EVERYTHING, Selection
from worker.core.sources import Source
from worker.errors import Changed, ConfigurationError, Problem, Skippable, SourceFailed
from worker.ports import Changes, Connection, Faults, Key, KeyRange, Level, Load, NoFaults, Resolution, Row, Shape, Update

ViewMaker = Callable[[], View]
"""Makes a new view of the dossiers as they are now, to be used as a context."""

_PAGE = 500
_NO_LOAD = "a folder has neither replicas nor transactions; take the limit away"


def open_source(source: Source, connection: Connection, faults: Faults | None = None) -> ApplicationFiles:
    """Open the folder that holds the dossiers: the connection's path, or the source's table as a folder below it.

    ConfigurationError when the folder is missing, is none, is a link, or may not be entered, or when the options are wrong.
    """
    layout = read_layout(source)
    if connection.path is None:
        raise ConfigurationError(f"{source.name}: the folder with the application files is not set. Set the source's path.")
    return ApplicationFiles(source, layout, open_root(source.name, source.table, connection.path), faults or NoFaults())


class ApplicationFiles:
    """One folder of dossiers. Reading never follows a link; a removal is permanent, and all of a batch or nothing."""

    level = Level.PERMANENT
    transactional = True
    lanes = 1
    most: int | None = None

    def __init__(self, source: Source, layout: Layout, root: int, faults: Faults) -> None:
        self.spec = source
        self._layout = layout
        self._root = root
        self._faults = faults

    def problems(self, policy: Policy | None, schedule_sources: Mapping[str, Source]) -> tuple[list[Problem], list[Problem]]:  # noqa: ARG002
        """Return (what makes the source unusable, what a person should know); names of dossiers are never in them."""
        with told(self.spec.name, "checking the folder"):
            return check(self.spec, self._layout, self._root, policy)

    def shape(self) -> Shape:
        """Return the columns of the index, or the keys that any sidecar has; every sidecar is read for that."""
        with told(self.spec.name, "reading the folder"), self._view(ended=True) as view:
            if view.index is not None:
                return Shape(tuple(sorted(view.index.form.header.cells)))
            names: set[str] = set()
            for dossier in view.dossiers():
                names.update(dossier.columns)
            return Shape(tuple(sorted(names)))

    def load(self) -> Load:
        """Return that nothing can be seen: a file system has no replicas and no transactions."""
        return Load(lag_unseen=_NO_LOAD, transactions_unseen=_NO_LOAD)

    def rights(self, policy: Policy | None, schedule_sources: Mapping[str, Source], account: str | None) -> list[str]:  # noqa: ARG002
        """Return in words what a folder asks for: the operating system gives these rights."""
        does = "read" if policy is None else "read and write"
        return [
            f"-- A folder: {account or 'whoever runs the worker'} must be able to {does} it and all that is in it, as its owner or group."
        ]

    @contextmanager
    def reader(self) -> Iterator[FilesReader]:
        """Return a view of the dossiers, as they are once what a crash left open is ended.

        A file system has no snapshots, so a dossier is as it is when its page is read.
        """
        with told(self.spec.name, "reading the folder"):
            view = self._view(ended=True)
        with view:
            yield FilesReader(self.spec, view)

    @contextmanager
    def batch(
        self,
        batch_id: str,
        within: KeyRange,
        selection: Selection,
        columns: Sequence[str],
        *,
        take: bool = False,  # noqa: ARG002
    ) -> Iterator[FilesBatch]:
        """Return a batch on a range of dossiers. There are no locks: what is written is compared with what was read, after it was moved."""
        with told(self.spec.name, "reading the folder"):
            removal = Removal(self.spec.name, self._layout, self._root, batch_id, self._faults)
            batch = FilesBatch(self.spec, self._layout, removal, (within, selection, columns), lambda: self._view(within))
        try:
            yield batch
        finally:
            batch.leave()

    def resolve(self, batch_id: str, witness: Mapping[str, str]) -> Resolution | None:  # noqa: ARG002
        """Bring a batch to its end and say which: what stands in the working folder is certain, so a witness is not needed."""
        return Removal(self.spec.name, self._layout, self._root, batch_id, self._faults).resolve()

    def forget(self, batch_ids: Sequence[str]) -> None:
        """Drop the marks of batches that are final."""
        for batch_id in batch_ids:
            BatchFolder(self.spec.name, self._root, batch_id).forget()

    def close(self) -> None:
        """Let go of the folder."""
        if self._root >= 0:
            os.close(self._root)
            self._root = -1

    def _view(self, within: KeyRange | None = None, *, ended: bool = False) -> View:
        """Return a view of the dossiers as they are now; within, ended -- see `View`."""
        return View(self.spec.name, self._layout, self._root, within, ended=ended)


class FilesReader:
    """Reads dossiers one by one; only their names are held."""

    def __init__(self, source: Source, view: View) -> None:
        self._source = source
        self._view = view

    def rows(self, selection: Selection, columns: Sequence[str], *, within: KeyRange | None = None) -> Iterator[list[Row]]:
        """Yield pages of rows in key order."""
        page: list[Row] = []
        for dossier in _selected(self._source, self._view, selection, within):
            page.append(_row(self._source, dossier, columns))
            if len(page) == _PAGE:
                yield page
                page = []
        if page:
            yield page

    def count(self, selection: Selection) -> int:
        """Return how many dossiers the selection holds; to count them all their names are enough."""
        if selection == EVERYTHING:
            with told(self._source.name, "reading the folder"):
                return sum(map(len, self._view.pages()))
        return sum(1 for _ in _selected(self._source, self._view, selection, None))

    def get(self, key: Key, columns: Sequence[str]) -> Row | None:
        """Return one dossier's row, or None."""
        with told(self._source.name, "reading a dossier"):
            dossier = self._view.dossier(str(key[0]))
        return None if dossier is None else _row(self._source, dossier, columns)

    def related(self, path: Sequence[str], keys: Sequence[Key], columns: Sequence[str]) -> list[tuple[Key, Row]]:  # noqa: ARG002
        """Refuse: dossiers have no relations."""
        raise _no_relations(self._source)


class FilesBatch:
    """One unit of work on dossiers; see `Removal` for how it is all or nothing."""

    def __init__(
        self,
        source: Source,
        layout: Layout,
        removal: Removal,
        asked: tuple[KeyRange, Selection, Sequence[str]],
        look: ViewMaker,
    ) -> None:
        within, selection, columns = asked
        self._source = source
        self._layout = layout
        self._removal = removal
        self._look = look
        with look() as view:
            self._seen = {dossier.key: dossier for dossier in _selected(source, view, selection, within)}
        self._written: frozenset[str] | None = None
        self._final = False
        self.rows: list[Row] = [_row(source, dossier, columns) for dossier in self._seen.values()]
        self.witness: Mapping[str, str] = {"folder": removal.folder.name}

    def related(self, path: Sequence[str], keys: Sequence[Key], columns: Sequence[str]) -> list[tuple[Key, Row]]:  # noqa: ARG002
        """Refuse: dossiers have no relations."""
        raise _no_relations(self._source)

    def write(self, changes: Changes) -> None:
        """Move aside what goes and get ready what is rewritten; Changed when a dossier is not as the batch has read it."""
        if self._written is not None:
            raise Skippable(f"{self._source.name}: a batch of application files is written once.")
        if changes.along:
            raise _no_relations(self._source)
        going = [str(key[0]) for key in changes.delete]
        settings = self._settings(changes.updates)
        touched = {*going, *settings}
        if len(touched) != len(going) + len(settings) or not touched <= self._seen.keys():
            raise Changed(f"{self._source.name}: the batch does not hold each of the dossiers to write, once.")
        if changes.whole and len(going) != len(self._seen):
            raise Changed(f"{self._source.name}: the batch holds other dossiers than the ones to delete.")
        with told(self._source.name, "reading the folder"), self._look() as view:
            work = self._work(view, going, settings)
        self._removal.prepare(work, self._compare_moved)
        self._written = frozenset(touched.difference(work.dossiers))

    def commit(self) -> tuple[()]:
        """Make it permanent; Changed, with everything as it was, when a sidecar or the index changed after it was written."""
        if self._written is None:
            return ()
        with told(self._source.name, "reading the folder"), self._look() as view:
            self._compare(self._written, view)
        self._removal.mark()
        self._final = True
        self._removal.finish()
        return ()

    def leave(self) -> None:
        """Put everything back unless the batch was committed."""
        if self._written is not None and not self._final:
            self._removal.resolve()

    def _settings(self, updates: Sequence[Update]) -> dict[str, list[Setting]]:
        """Return the values to set by dossier."""
        found: dict[str, list[Setting]] = {}
        for update in updates:
            places = [self._layout.places[name] for name in update.fields]
            for row in update.rows:
                settings = found.setdefault(str(row[0]), [])
                for place, value in zip(places, row[1:], strict=True):
                    if not isinstance(place, Stated):
                        raise ConfigurationError(f"{self._source.name}: a part of a folder's name, or a file's date, can't be treated.")
                    settings.append((place.path, plain(value)))
        return found

    def _work(self, view: View, going: Sequence[str], settings: Mapping[str, Sequence[Setting]]) -> Work:
        """Return what is to be done, having compared every dossier with what was read before."""
        self._compare({*going, *settings}, view)
        gone = [self._seen[key] for key in going]
        folders = [dossier.key for dossier in gone if dossier.present]
        if view.index is None:
            rewritten = [(key, self._sidecar(key), each) for key, each in settings.items()]
            if not all(view.can_rewrite(key, sidecar, each) for key, sidecar, each in rewritten):
                raise Skippable(f"{self._source.name}: a sidecar holds something else where a field is to be treated.")
            shared, kept = view.last_used_by(gone)
            return Work(folders, shared, kept, rewritten)
        cells = {key: {path[0]: value for path, value in each} for key, each in settings.items() if self._sidecar(key) or each}
        return Work(folders, lines={key: view.index.digest(key) for key in going}, cells=cells)

    def _sidecar(self, key: str) -> str:
        """Return the name of a dossier's sidecar ('' with an index); Skippable when there is none to write in."""
        dossier = self._seen[key]
        if not dossier.readable:
            raise Skippable(f"{self._source.name}: a dossier's facts can't be read, so they can't be treated.")
        return dossier.sidecar or ""

    def _compare(self, keys: frozenset[str] | set[str], view: View) -> None:
        """Raise Changed when a dossier in its place is not as it was read."""
        if self._layout.index is not None and view.index is None and keys:
            raise SourceFailed(f"{self._source.name}: the index can't be read. Repair it and try again.")
        for key in keys:
            self._compare_one(key, view.dossier(key))

    def _compare_moved(self, folder: int, keys: Sequence[str]) -> None:
        """Raise Changed when a dossier that was moved aside is not as it was read."""
        with self._look() as view:
            for number, key in enumerate(keys):
                self._compare_one(key, view.read(folder, str(number), key, present=True))

    def _compare_one(self, key: str, now: Dossier | None) -> None:
        """Raise Changed when a dossier is not as it was read, Skippable when nobody can tell."""
        before = self._seen[key].trace
        if not before:
            raise Skippable(f"{self._source.name}: a dossier can't be read in full, so it is left alone.")
        if now is None or now.trace != before:
            raise Changed(f"{self._source.name}: a dossier changed after it was decided on.")


def _selected(source: Source, view: View, selection: Selection, within: KeyRange | None) -> Iterator[Dossier]:
    """Yield the dossiers that a selection holds, in key order."""
    matches = matcher(source, selection)
    dossiers = view.dossiers(within)
    while True:
        with told(source.name, "reading a dossier"):
            dossier = next(dossiers, None)
        if dossier is None:
            return
        if matches(dossier.values.__getitem__):
            yield dossier


def _row(source: Source, dossier: Dossier, columns: Sequence[str]) -> Row:
    """Return the key followed by the columns' values."""
    try:
        return (dossier.key, *(dossier.values[name] for name in columns))
    except KeyError as error:
        raise ConfigurationError(f"{source.name}: application files have no column {error}.") from None


def _no_relations(source: Source) -> ConfigurationError:
    """Return the error for a relation, which dossiers don't have."""
    return ConfigurationError(f"{source.name}: application files have no relations; remove children, parents and facts over them.")
