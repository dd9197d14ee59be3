"""Dossiers in a storage as records. One that can't be read is a record all the same, with every value unreadable."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from connectors.application_files.facts import field_values, said_in
from connectors.application_files.layout import Layout
from connectors.remote_files.storage import Gone, Refused, Storage, Stored
from worker.core.facts import Raw
from worker.errors import SourceFailed
from worker.ports import KeyRange

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

    def keys(self, within: KeyRange | None = None) -> list[str]:
        """Return the keys of all dossiers in order; only these are held of all dossiers at once."""
        found = sorted({name for name in self._storage.dossiers() if is_dossier(name)})
        if within is None:
            return found
        first, last = str(within.first[0]), str(within.last[0])
        return [key for key in found if first <= key <= last]

    def dossiers(self, within: KeyRange | None = None) -> Iterator[Dossier]:
        """Yield every dossier in key order; one that goes in the meantime is left out."""
        for key in self.keys(within):
            dossier = self.dossier(key)
            if dossier is not None:
                yield dossier

    def dossier(self, key: str) -> Dossier | None:
        """Return one dossier, None when there is none."""
        if not is_dossier(key):
            return None
        for _ in range(_TRIES):
            try:
                return self._read(key)
            except Gone:
                continue
        raise SourceFailed(f"{self._source}: a dossier changes faster than it can be read. Try again later.")

    def _read(self, key: str) -> Dossier | None:
        """Return one dossier; Gone when it changed while it was read."""
        try:
            contents = tuple(self._storage.contents(key))
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
