"""The key file: reading it, replacing it, and putting all its keys under a new root.

Every key in it is wrapped with the root, which lies in a file of its own. Taking a key out of the key file would leave it in every older
copy; so what destroys a key also makes a new root, puts the others under it, and lets the old one go. From then on no older copy opens.

Threat model. Whoever has the key file alone has nothing, nor has whoever has the root alone; both together are all keys. A wrapped key is
bound to its family, its id, its place, the number of keys, and the root, so whoever can write the file can't exchange, reorder, add or
leave out one. A root that is missing is lost and never made anew: what is under it would be gone.

A crash. The new root stands in the root's file behind the old one, durably, before anything is under it; the old one leaves that file
when the key file is durable under the new one. So at every moment the root's file holds what opens the key file. When both are there and
the key file is under the last, what remains is to take the first out, and whoever reads next does it. When the key file is still under
the first, the second has opened nothing yet, and the next change of the root takes it. Readers take no lock: the key file is read before
the root's, and where the two don't belong together, both are read again when whoever is changing them is done.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag

from worker.errors import ConfigurationError
from worker.keys.ownfile import forget_drafts, opened, replace_file
from worker.keys.rootfile import Key, RootFile, Roots, exact, new_root, unwrapped, wrapped

# The first letter of a key's id says which family made a value, to a person who finds it in a log.
LETTERS = {"audit-ref": "a", "match": "m", "pseudonym": "p", "seal": "s", "plan-mac": "c", "sign": "e"}
_FORMAT, _UNWRAPPED = 2, 1
_NOT_OURS = "this user may not write it"


@dataclass(frozen=True, slots=True)
class Entry:
    """One key as the file keeps it. Of several entries of one family the last is the one in use."""

    family: str
    key: Key


@dataclass(frozen=True, slots=True)
class Content:
    """What the files hold. root -- what the keys are wrapped with; None in a file from before there were roots, whose keys lie open."""

    entries: tuple[Entry, ...]
    root: Key | None = None
    roots: Roots = field(default_factory=lambda: Roots((), ours=True))

    @property
    def half_done(self) -> bool:
        """Whether a root that was replaced still waits to be taken out, and may be."""
        return self.roots.ours and len(self.roots.keys) > 1 and self.root == self.roots.keys[-1]


@dataclass(frozen=True, slots=True)
class RootReplaced:
    """All keys are under a new root, and the old one is gone from its file. old -- None where keys lay open until then."""

    old: str | None
    new: str


@dataclass(frozen=True, slots=True)
class RootKept:
    """The root is the one it was, because its file can't be changed: older copies of the key file still open with it."""

    root: str
    why: str


@dataclass(frozen=True, slots=True)
class RootLeft:
    """All keys are under a new root, but the old one is still in the root's file: older copies of the key file still open with it."""

    old: str
    new: str
    why: str


RootChange = RootReplaced | RootKept | RootLeft
"""What became of the root."""


class KeyFile:
    """A key file and its root. Both are read without a lock, and changed by one process at a time."""

    def __init__(self, path: Path, root: RootFile) -> None:
        # Resolved first, so that the atomic replacement replaces the file and not a link that leads to it.
        self.path = Path(os.path.realpath(path.expanduser()))
        self.root = root

    def read(self) -> Content | None:
        """Return what the files hold, or None when there is no key file.

        Raises ConfigurationError when one of them isn't ours, can be read or changed by others, or is damaged, and when the root is lost or
        another one.
        """
        try:
            content = self._read()
        except _NoRootError:
            with contextlib.suppress(OSError), self._locked(fcntl.LOCK_SH, os.O_RDONLY):
                pass
            return self._read()
        if content is not None and content.half_done:
            # Who may only read the folder can't, and needn't: the next one will.
            with contextlib.suppress(OSError), self._locked(fcntl.LOCK_EX):
                content = self._settled()
        return content

    @contextlib.contextmanager
    def changing(self) -> Iterator[Change]:
        """Be the only one who changes the files, also between processes, until the block ends; drafts that crashes left are removed."""
        with contextlib.ExitStack() as held:
            try:
                self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                held.enter_context(self._locked(fcntl.LOCK_EX))
                forget_drafts(self.path)
                self.root.forget_drafts()
            except OSError as error:
                raise self._unwritable(error) from error
            yield Change(self, self._settled())

    def write(self, entries: tuple[Entry, ...], root: Key) -> None:
        """Replace the key file; for whoever is alone in changing it. Durable when it returns."""
        count = len(entries)
        keys = [
            {
                "id": each.key.id,
                "family": each.family,
                "wrapped": wrapped(root, each.key.secret, _bound(root, each.family, each.key.id, place, count)),
            }
            for place, each in enumerate(entries, 1)
        ]
        content = json.dumps({"format": _FORMAT, "root": root.id, "keys": keys}, indent=1).encode() + b"\n"
        try:
            replace_file(self.path, content)
        except OSError as error:
            raise self._unwritable(error) from error

    @contextlib.contextmanager
    def _locked(self, how: int, flags: int = os.O_RDWR | os.O_CREAT) -> Iterator[None]:
        lock = os.open(self.path.with_name(self.path.name + ".lock"), flags | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, how)
            yield
        finally:
            os.close(lock)

    def _settled(self) -> Content | None:
        """Read under the lock, and take out a root that was replaced before a crash."""
        content = self._read()
        if content is not None and content.half_done:
            with contextlib.suppress(OSError):
                return Content(content.entries, content.root, self.root.keep(content.roots.keys[-1:]))
        return content

    def _read(self) -> Content | None:
        found = opened(self.path, "key file", "RETENTION_KEYS")
        if found is None:
            return None
        try:
            return self._parsed(json.loads(found[0]))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, InvalidTag):
            # The cause is not chained: its text can quote the file.
            raise ConfigurationError(f"The key file {self.path} is damaged or not a key file. Put it back from your backup.") from None

    def _parsed(self, document: dict[str, Any]) -> Content:
        items: list[dict[str, str]] = document["keys"]
        if document["format"] == _UNWRAPPED:
            return Content(_entries(items, lambda item, _place: exact(item["secret"].lower())))
        if document["format"] != _FORMAT or not looks_like_an_id(document["root"], "r"):
            raise ValueError
        roots = self.root.read()
        root = roots.find(document["root"])
        if root is None:
            raise self._no_root(document["root"], roots)

        def secret(item: dict[str, str], place: int) -> bytes:
            return unwrapped(root, item["wrapped"], _bound(root, item["family"], item["id"], place, len(items)))

        return Content(_entries(items, secret), root, roots)

    def _no_root(self, root_id: str, roots: Roots) -> _NoRootError:
        if not roots.keys:
            return _NoRootError(
                f"The root key {self.root.path} is missing: the keys in {self.path} are wrapped with the root {root_id}. Put it back from "
                "where you keep a copy, or point RETENTION_ROOT_KEY at it. No new one was made: these keys open with their own root only."
            )
        return _NoRootError(
            f"The key file {self.path} is wrapped with the root {root_id}, and {self.root.path} holds "
            f"{', '.join(each.id for each in roots.keys)}. Put the two back that belong together. "
            "A copy of the key file from before a key was destroyed doesn't open any more."
        )

    def _unwritable(self, error: OSError) -> ConfigurationError:
        return ConfigurationError(
            f"A new key can't be kept in {self.path}: {error.strerror}. Make its folder writable for the user who runs this "
            "command, or choose another place with RETENTION_KEYS."
        )


class Change:
    """The files while nobody else may change them."""

    def __init__(self, file: KeyFile, content: Content | None) -> None:
        self._file = file
        self.content = content

    @property
    def entries(self) -> tuple[Entry, ...] | None:
        """The keys that are there, None when there is no key file."""
        return None if self.content is None else self.content.entries

    def write(self, entries: tuple[Entry, ...]) -> None:
        """Keep these keys under the root there is; durable when it returns. Where none wraps them yet, it does from now on."""
        self._put(entries, *self._root())

    def renew_root(self, entries: tuple[Entry, ...]) -> RootChange:
        """Keep these keys under another root, and let the old one go; durable when it returns.

        A root behind the one in use, which somebody put there or a crash left, is taken instead of a new one. Where the root's file can't
        be changed, the keys are kept all the same.
        """
        wrapping = self.content.root if self.content is not None else None
        old, roots = self._root()
        if wrapping is None:
            self._put(entries, old, roots)
            return RootReplaced(None, old.id)
        if old == roots.keys[-1]:
            roots, why = self._try((*roots.keys, new_root(roots.keys)), roots)
            if why:
                if entries != self.entries:
                    self._put(entries, old, roots)
                return RootKept(old.id, why)
        new = roots.keys[-1]
        self._put(entries, new, roots)
        roots, why = self._try((new,), roots)
        self.content = Content(entries, new, roots)
        return RootLeft(old.id, new.id, why) if why else RootReplaced(old.id, new.id)

    def _root(self) -> tuple[Key, Roots]:
        """Return what wraps the keys, or else what is going to, and what is in the root's file."""
        if self.content is not None and self.content.root is not None:
            return self.content.root, self.content.roots
        roots = self._file.root.read_or_make()
        return roots.keys[-1], roots

    def _try(self, wanted: tuple[Key, ...], there: Roots) -> tuple[Roots, str]:
        """Replace the root's file; return what it holds then, and why that isn't what was wanted."""
        if not there.ours:
            return there, _NOT_OURS
        try:
            return self._file.root.keep(wanted), ""
        except OSError as error:
            return there, error.strerror or type(error).__name__

    def _put(self, entries: tuple[Entry, ...], root: Key, roots: Roots) -> None:
        self._file.write(entries, root)
        self.content = Content(entries, root, roots)


class _NoRootError(ConfigurationError):
    """The root that the key file is wrapped with isn't in the root's file."""


def looks_like_an_id(text: str, letters: Collection[str] = tuple(LETTERS.values())) -> bool:
    """Whether a text has the form of a key's id, with one of these letters."""
    letter, dash, rest = text.partition("-")
    return letter in letters and bool(dash) and len(rest) == 6 and set(rest) <= set("0123456789abcdef")


def _bound(root: Key, family: str, key_id: str, place: int, count: int) -> bytes:
    """Return what is authenticated with a wrapped key; no two keys, places, files of another length or roots have the same."""
    return f"retention key file {_FORMAT}|{root.id}|{place}/{count}|{family}|{key_id}".encode()


def _entries(items: list[dict[str, str]], secret: Callable[[dict[str, str], int], bytes]) -> tuple[Entry, ...]:
    """Return the entries of a file, each with its secret; ValueError for what no key file holds."""
    entries = []
    for place, item in enumerate(items, 1):
        if item["family"].partition("/")[0] not in LETTERS or not looks_like_an_id(item["id"]):
            raise ValueError
        entries.append(Entry(item["family"], Key(item["id"], secret(item, place))))
    if len({entry.key.id for entry in entries}) != len(entries):
        raise ValueError
    return tuple(entries)
