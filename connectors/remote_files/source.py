"""Application files in a storage as a source: its reader, and its batches, which write one dossier after the other."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from connectors.application_files.documents import Setting
from connectors.application_files.facts import plain
from connectors.application_files.layout import Layout, Stated, read_layout
from connectors.matching import matcher
from connectors.remote_files.checks import check
from connectors.remote_files.records import Dossier, View
from connectors.remote_files.removal import Removal
from connectors.remote_files.storage import Storage
from worker.core.model import Policy
from worker.core.select import Selection
from worker.core.sources import Source
from worker.errors import Changed, ConfigurationError, Problem, Problems
from worker.ports import Changes, Key, KeyRange, Level, Load, Resolution, Row, Shape, Undone, Update

_PAGE = 100
_BATCH = 50
_NOT_HERE = ("index", "index_key", "index_delimiter", "shared", "unit")
_NO_LOAD = "files have neither replicas nor transactions; take the limit away"


def layout_of(source: Source) -> Layout:
    """Return how the dossiers are laid out; Problems for what only a local folder can have."""
    wrong = [
        Problem(f"{source.name}.options.{name}", "is for a folder on a local disk.", "Keep facts in a sidecar in each dossier.")
        for name in _NOT_HERE
        if name in source.options
    ]
    if wrong:
        raise Problems(f"{source.name}: the options of the application files are wrong", wrong)
    return read_layout(source)


def folder_of(source: Source, base: str) -> str:
    """Return the path of the folder with the dossiers: that of the address and the source's table below it, without slashes around it."""
    parts = [] if source.table in ("", ".") else source.table.split("/")
    if any(part in ("", ".", "..") for part in parts):
        raise ConfigurationError(f"{source.name}: the table {source.table!r} is no folder below the address.")
    return "/".join([*filter(None, [base.strip("/")]), *parts])


class RemoteFiles:
    """One folder of dossiers. There are no transactions and no locks: each dossier is read again directly before it is written."""

    transactional = False
    lanes = 1
    most: int | None = _BATCH

    def __init__(self, source: Source, layout: Layout, storage: Storage, *, batch_seconds: float) -> None:
        self.spec = source
        self.level: Level = storage.level
        self._layout = layout
        self._storage = storage
        self._view = View(source.name, layout, storage)
        self._batch_seconds = batch_seconds

    def problems(self, policy: Policy | None, schedule_sources: Mapping[str, Source]) -> tuple[list[Problem], list[Problem]]:  # noqa: ARG002
        """Return (what makes the source unusable, what a person should know); names of dossiers are never in them."""
        return check(self.spec, self._layout, self._storage, self._view, policy)

    def shape(self) -> Shape:
        """Return the keys that any sidecar has; every sidecar is read for that."""
        return Shape(tuple(sorted({name for dossier in self._view.dossiers() for name in dossier.columns})))

    def rights(self, policy: Policy | None, schedule_sources: Mapping[str, Source], account: str | None) -> list[str]:  # noqa: ARG002
        """Return in words what the account needs: none of these systems gives rights by statements that could be run as they are."""
        return [f"-- {each}" for each in self._storage.rights(account or "the account", writes=policy is not None)]

    def load(self) -> Load:
        """Return that nothing can be seen."""
        return Load(lag_unseen=_NO_LOAD, transactions_unseen=_NO_LOAD)

    @contextmanager
    def reader(self) -> Iterator[DossierReader]:
        """Return a view for reading; there are no snapshots, so a dossier is as it is when its page is read."""
        yield DossierReader(self.spec, self._view)

    @contextmanager
    def batch(
        self,
        batch_id: str,  # noqa: ARG002
        within: KeyRange,
        selection: Selection,
        columns: Sequence[str],
        *,
        take: bool = False,  # noqa: ARG002
    ) -> Iterator[DossierBatch]:
        """Return a batch on a range of dossiers."""
        until = time.monotonic() + self._batch_seconds
        yield DossierBatch(self.spec, self._layout, self._storage, self._view, (within, selection, columns), until=until)

    def resolve(self, batch_id: str, witness: Mapping[str, str]) -> Resolution | None:  # noqa: ARG002
        """Return None: only reading back can tell, dossier by dossier."""
        return None

    def forget(self, batch_ids: Sequence[str]) -> None:
        """Do nothing: nothing was kept."""

    def close(self) -> None:
        """Let go of the connections."""
        self._view.close()
        self._storage.close()


class DossierReader:
    """Reads dossiers one by one; only their names are held."""

    def __init__(self, source: Source, view: View) -> None:
        self._source = source
        self._view = view

    def rows(self, selection: Selection, columns: Sequence[str], *, within: KeyRange | None = None) -> Iterator[list[Row]]:
        """Yield pages of rows in key order."""
        page: list[Row] = []
        for dossier in selected(self._source, self._view, selection, within):
            page.append(self._row(dossier, columns))
            if len(page) == _PAGE:
                yield page
                page = []
        if page:
            yield page

    def count(self, selection: Selection) -> int:
        """Return how many dossiers the selection holds; a name may be that of nothing (S3), so each is looked into."""
        return sum(1 for _ in selected(self._source, self._view, selection, None))

    def get(self, key: Key, columns: Sequence[str]) -> Row | None:
        """Return one dossier's row, or None."""
        dossier = self._view.dossier(str(key[0]))
        return None if dossier is None else self._row(dossier, columns)

    def related(self, path: Sequence[str], keys: Sequence[Key], columns: Sequence[str]) -> list[tuple[Key, Row]]:  # noqa: ARG002
        """Refuse: dossiers have no relations."""
        raise ConfigurationError(f"{self._source.name}: application files have no relations; remove children, parents and facts over them.")

    def _row(self, dossier: Dossier, columns: Sequence[str]) -> Row:
        """Return the key followed by the columns' values."""
        try:
            return (dossier.key, *(dossier.values[name] for name in columns))
        except KeyError as error:
            raise ConfigurationError(f"{self._source.name}: application files have no column {error}.") from None


class DossierBatch(DossierReader):
    """One unit of work on dossiers; nothing is sent before it is committed."""

    def __init__(
        self,
        source: Source,
        layout: Layout,
        storage: Storage,
        view: View,
        asked: tuple[KeyRange, Selection, Sequence[str]],
        *,
        until: float,
    ) -> None:
        super().__init__(source, view)
        within, selection, columns = asked
        self._seen = {dossier.key: dossier for dossier in selected(source, view, selection, within)}
        self._removal = Removal(source.name, layout, storage, view, self._seen)
        self._layout = layout
        self._until = until
        self._going: list[str] = []
        self._settings: dict[str, list[Setting]] = {}
        self.rows: list[Row] = [self._row(dossier, columns) for dossier in self._seen.values()]  # type: ignore[assignment]
        self.witness: Mapping[str, str] = {}

    def write(self, changes: Changes) -> None:
        """Check that the batch holds what it is told to write; Changed when it doesn't."""
        if changes.along:
            self.related((), (), ())
        going = [str(key[0]) for key in changes.delete]
        settings = self._set(changes.updates)
        if not {*going, *settings} <= self._seen.keys() or (changes.whole and len(going) != len(self._seen)):
            raise Changed(f"{self._source.name}: the batch does not hold exactly the dossiers to write; nothing was sent.")
        self._going, self._settings = going, {key: each for key, each in settings.items() if key not in going}

    def commit(self) -> Sequence[Undone]:
        """Carry it out, one dossier after the other, and return what was not done."""
        return self._removal.carry_out(self._going, self._settings, until=self._until)

    def _set(self, updates: Sequence[Update]) -> dict[str, list[Setting]]:
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


def selected(source: Source, view: View, selection: Selection, within: KeyRange | None) -> Iterator[Dossier]:
    """Yield the dossiers that a selection holds, in key order."""
    matches = matcher(source, selection)
    return (dossier for dossier in view.dossiers(within) if matches(dossier.values.__getitem__))
