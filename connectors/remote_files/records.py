"""Dossiers in a storage as records. One that can't be read is a record all the same, with every value unreadable."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from connectors.application_files.facts import field_values, said_in
from connectors.application_files.layout import Layout
from connectors.remote_files.ahead import Ahead
from connectors.remote_files.storage import Gone, Refused, Storage, Stored
from connectors.spooled import Listing, Spooled
from worker.core.facts import Raw
from worker.errors import SourceFailed
from worker.ports import KeyRange

_PAGE = 250
_TRIES = 3


@dataclass(frozen=True, slots=True)
class Dossier:
    """One dossier as it was read.

    values -- by field name; trace -- changes when anything in the dossier does, empty when it could not be listed; contents -- all that it
    holds; sidecar, content -- the file with its facts; columns -- the keys that this has; readable -- whether facts could be read.
    """

    key: str
    values: Mapping[str, Raw] = field(repr=False)
    trace: bytes
    contents: tuple[Stored, ...]
    sidecar: Stored | None
    content: bytes | None = field(repr=False)
    columns: tuple[str, ...] = ()
    readable: bool = True

    @property
    def has_documents(self) -> bool:
        """Whether anything but its sidecar is in it, current or not; one that can't be listed may hold anything."""
        sidecar = self.sidecar.path if self.sidecar is not None else None
        return not self.trace or any(each.readable and each.path != sidecar for each in self.contents)


class View:
    """The dossiers of a storage as they are when they are asked for."""

    def __init__(self, source: str, layout: Layout, storage: Storage) -> None:
        self._source = source
        self._layout = layout
        self._storage = storage
        self._listing = Listing[str](source, self._list)

    def close(self) -> None:
        """Let go of the names that are kept."""
        self._listing.close()

    def pages(self, within: KeyRange | None = None) -> Iterator[list[str]]:
        """Yield pages of the keys of all dossiers in order; none begins before the names of all are known, which are held on a disk."""
        first, last = (None, None) if within is None else (str(within.first[0]), str(within.last[0]))
        with self._listing.keys(within.run if within is not None else "") as spooled:
            for page in spooled.pages(_PAGE, first, last):
                yield [key for key, _ in page]

    def _list(self, into: Spooled[str]) -> None:
        """List the names of all dossiers."""

        def take(names: Iterator[str]) -> None:
            into.clear()
            into.add((each, None) for each in names if is_dossier(each))

        self._storage.dossiers(take)

    def dossiers(self, within: KeyRange | None = None) -> Iterator[Dossier]:
        """Yield every dossier in key order, a few read ahead; one that goes in the meantime is left out."""
        with Ahead(self._storage.at_once) as ahead:
            for keys in self.pages(within):
                known = self._storage.several(keys)
                for dossier in ahead.each(keys, lambda key, known=known: self.dossier(key, known.get(key))):  # type: ignore[misc]
                    if dossier is not None:
                        yield dossier

    def dossier(self, key: str, known: Sequence[Stored] | None = None) -> Dossier | None:
        """Return one dossier, None when there is none; known -- what it held a moment ago, where that is known."""
        if not is_dossier(key):
            return None
        for _ in range(_TRIES):
            try:
                return self._read(key, known)
            except Gone:
                known = None
        raise SourceFailed(f"{self._source}: a dossier changes faster than it can be read. Try again later.")

    def _read(self, key: str, known: Sequence[Stored] | None) -> Dossier | None:
        """Return one dossier; Gone when it changed while it was read."""
        try:
            contents = tuple(self._storage.contents(key) if known is None else known)
        except Refused:
            return Dossier(key, field_values(self._layout, key, None, None), b"", (), None, None, readable=False)
        if not contents:
            return None
        sidecar, content = self._sidecar(key, contents)
        said = said_in(sidecar.path if sidecar else None, content) if self._layout.sidecars else {}
        latest = max((each.changed for each in contents if each.readable and each.changed is not None), default=None)
        values = field_values(self._layout, key, said, latest)
        return Dossier(key, values, _trace(contents, content), contents, sidecar, content, tuple(said or ()), said is not None)

    def _sidecar(self, key: str, contents: tuple[Stored, ...]) -> tuple[Stored | None, bytes | None]:
        """Return the first sidecar that is there, its newest version with a content, and that; no content when it can't be read."""
        for name in self._layout.sidecars:
            # What somebody has marked as deleted is still there, and only its last content can say whether it is due.
            there = [each for each in contents if each.path == name]
            stored = next((each for each in there if each.readable), None)
            if stored is not None:
                try:
                    return stored, self._storage.read(key, stored)
                except Refused:
                    return stored, None
            if there:
                return None, None
        return None, None


def is_dossier(name: str) -> bool:
    """Whether a folder's name is one that a dossier can have."""
    return bool(name) and "/" not in name and "\0" not in name and not name.startswith(".")


def _trace(contents: tuple[Stored, ...], content: bytes | None) -> bytes:
    """Return a digest that changes when anything in a dossier does."""
    digest = hashlib.sha256(content or b"")
    for each in sorted(contents, key=lambda each: (each.path, each.version)):
        changed = each.changed.isoformat() if each.changed is not None else ""
        said = ("", each.path, each.version, each.tag, changed, str(each.readable), str(each.current))
        digest.update("\0".join(said).encode(errors="surrogatepass"))
    return digest.digest()
