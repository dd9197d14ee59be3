"""The six families of keys of one organisation, as one ring.

Threat model. Whoever holds the key file together with its root can attribute every pseudonym, recognise every person in the ledger, read
which keys a plan selects, forge a plan, and sign what an auditor believes. Whoever loses one of the two can do none of these any more,
and nor can the organisation. So only `destroy` ever takes a key out of the file, the replacement is atomic and durable before a new key
is used, and no secret appears in a repr or an error. The families are independent: each is 256 random bits, none is derived from another,
so that one can be destroyed or given away without the others. They are wrapped by a root that changes whenever one is destroyed, so that
older copies of the file open nothing; see `worker.keys.keyfile`.

A rotated key stays, because what was made with it has to be recognised; of a family the last is in use. The exception is `match`: tokens
are kept, compared and never opened, so the ledger puts them all under the new key at once, and which keys are in force is for it to say.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import secrets
import threading
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from worker.core.refs import Secret
from worker.errors import ConfigurationError, RetentionError
from worker.keys.keyfile import LETTERS, Change, Content, Entry, KeyFile, RootChange, looks_like_an_id
from worker.keys.rootfile import NONCE_BYTES, SECRET_BYTES, Key, RootFile

_SEAL_VERSION = 1


@dataclass(frozen=True, slots=True)
class MatchKey:
    """What tokens are made with: the id of the key that is in use, and its secret, behind those of the keys that it took the place of."""

    id: str
    secret: Secret = field(repr=False)


@dataclass(frozen=True, slots=True)
class Destroyed:
    """The ids of keys that were in the file and are gone from it, and what became of the root; None when nothing was there."""

    gone: tuple[str, ...]
    root: RootChange | None


class Keyring:
    """The keys of one organisation. Keys are generated when they are first asked for; threads and processes may share it.

    Every method that may generate a key raises ConfigurationError when the file can't be read or written safely.
    """

    def __init__(self, file: KeyFile, content: Content | None) -> None:
        self._file = file
        self._content = content or Content(())
        self._mutex = threading.Lock()
        self._lasting = True
        self._in_force: tuple[str, ...] = ()

    @classmethod
    def open(cls, path: Path, root: Path, *, allow_create: bool = True) -> Keyring:
        """Read the key file and its root; missing ones are made when the first key is asked for.

        allow_create=False is for when values made with keys exist already: then a missing file is a lost file, as is a missing root always.
        Raises ConfigurationError when the file is missing and may not be made, one of the two isn't ours, is readable or writable by
        others, or isn't what it should be, and when the root isn't the one that the keys are wrapped with.
        """
        file = KeyFile(path, RootFile(root))
        content = file.read()
        if content is None and not allow_create:
            raise ConfigurationError(
                f"The key file {file.path} is missing, but the ledger knows keys that were in it. Put it back from your "
                "backup, or point RETENTION_KEYS at it. No new keys were made: without the old ones pseudonyms, "
                "holds and requests no longer match the people they stand for."
            )
        return cls(file, content)

    def unsaved(self) -> Keyring:
        """Return the same keys for somebody who only looks: one that is missing is made for the moment and never written."""
        other = Keyring(self._file, self._content)
        other._lasting = False
        other._in_force = self._in_force
        return other

    @property
    def path(self) -> Path:
        """The key file, links resolved."""
        return self._file.path

    @property
    def root(self) -> str | None:
        """The id of the root that wraps the keys; None when there is no key yet, and for a file from before there were roots."""
        return None if self._content.root is None else self._content.root.id

    @property
    def other_roots(self) -> tuple[str, ...]:
        """The ids of roots that are in the root's file and wrap none of these keys."""
        return tuple(each.id for each in self._content.roots.keys if each != self._content.root)

    @property
    def root_path(self) -> Path:
        """The file of the root."""
        return self._file.root.path

    @property
    def _entries(self) -> tuple[Entry, ...]:
        return self._content.entries

    def audit_ref(self, year: int) -> Key:
        """Return the key for references to records in the audit trail of one calendar year; it can be destroyed."""
        return self._current(f"audit-ref/{year:04d}")

    def audit_refs(self) -> tuple[Key, ...]:
        """Return every key for references there is, of whatever year; none is made."""
        return tuple(entry.key for entry in self._entries if entry.family.startswith("audit-ref/"))

    def audit_ref_years(self) -> tuple[tuple[int, Key], ...]:
        """Return the same keys, each with the calendar year it is for."""
        return tuple((int(each.family.partition("/")[2]), each.key) for each in self._entries if each.family.startswith("audit-ref/"))

    def go_by(self, match: tuple[str, ...]) -> None:
        """Make tokens with these keys, in this order: those that the ledger's were made with; with none, the first key there is counts."""
        self._in_force = match

    def match(self) -> MatchKey:
        """Return what makes the tokens by which holds, requests and tombstones recognise a person or a record."""
        if not self._in_force:
            key = self._current("match")
            return MatchKey(key.id, key.secret)
        keys = [self.find(key_id) for key_id in self._in_force]
        known = tuple(key.secret for key in keys if key is not None)
        if len(known) < len(keys):
            raise ConfigurationError(f"A key `match` that the ledger needs is not in {self.path}. Put the key file back from your backup.")
        return MatchKey(self._in_force[-1], known if len(known) > 1 else known[0])

    def pseudonym(self, domain: str) -> Key:
        """Return the key for pseudonyms of one domain: equal values get equal pseudonyms only inside a domain."""
        if not domain:
            raise ConfigurationError("A pseudonym needs a domain: give its treatment a domain that isn't empty.")
        return self._current(f"pseudonym/{domain}")

    def seal_key(self) -> Key:
        """Return the key that encrypts key ranges in plans and in the ledger."""
        return self._current("seal")

    def plan_mac(self) -> Key:
        """Return the key that authenticates plan files."""
        return self._current("plan-mac")

    def plan_macs(self) -> tuple[Key, ...]:
        """Return every key that plan files which are still open may have been authenticated with, the one in use last."""
        self.plan_mac()
        return tuple(entry.key for entry in self._entries if entry.family == "plan-mac")

    def sign_key(self) -> Key:
        """Return the key that signs checkpoints and anchors of the audit trail (its 32 bytes are an Ed25519 private key)."""
        return self._current("sign")

    def find(self, key_id: str) -> Key | None:
        """Return the key with this id, also one that is no longer in use, or None."""
        found = _by_id(self._entries, key_id)
        if found is None:
            # Another process may have added it since the file was read.
            with self._mutex:
                self._content = self._file.read() or self._content
            found = _by_id(self._entries, key_id)
        return found

    def ids_of(self, family: str) -> tuple[str, ...]:
        """Return the ids of a family's keys that are in the file, the oldest first; none is made."""
        return tuple(entry.key.id for entry in self._entries if entry.family == family)

    def add(self, family: str) -> Key:
        """Add a key to a family that has one, and return it; it is in use when this returns, but see `go_by`.

        A key `match` that was added before and never put in force, because of a crash, is returned instead of another.
        """
        with self._mutex, self._file.changing() as change:
            entries = change.entries or ()
            last = _last_of(entries, family)
            if last is None:
                raise ConfigurationError(f"There is no key {family} in the key file. `retention keys list` shows what there is.")
            waiting = family == "match" and last.id not in (self._in_force or self.ids_of(family)[:1])
            key = last if waiting else _made(family, entries)
            if not waiting:
                change.write((*entries, Entry(family, key)))
            self._take(change)
        return key

    def destroy(self, key_ids: Collection[str]) -> Destroyed:
        """Remove the keys with these ids from the file, put the others under a new root, and let the old root go.

        From then on nobody can attribute what was made with them, and no older copy of the key file opens. Copies of the old root are the
        caller's to destroy: one of them and an older copy of the file bring a key back. Retire the ids in the ledger first, or their loss
        will be reported.
        """
        with self._mutex, self._file.changing() as change:
            entries = change.entries or ()
            gone = tuple(entry.key.id for entry in entries if entry.key.id in key_ids)
            root = change.renew_root(tuple(entry for entry in entries if entry.key.id not in key_ids)) if gone else None
            self._take(change)
        return Destroyed(gone, root)

    def renew_root(self) -> RootChange:
        """Put all keys under a new root, or under one that somebody put behind the old one, and let the old one go."""
        with self._mutex, self._file.changing() as change:
            if change.entries is None:
                raise ConfigurationError("There are no keys yet; a root is made together with the first one.")
            root = change.renew_root(change.entries)
            self._take(change)
        return root

    def seal(self, plaintext: bytes, *, context: str) -> str:
        """Encrypt and authenticate; only `unseal` with the same context opens it. Returns base64url text.

        AES-256-GCM with a random nonce; the key's id is readable in the value, and id and context are authenticated.
        """
        key = self.seal_key()
        key_id = key.id.encode()
        head = bytes((_SEAL_VERSION, len(key_id))) + key_id
        nonce = os.urandom(NONCE_BYTES)
        sealed = AESGCM(key.secret).encrypt(nonce, plaintext, head + context.encode())
        return base64.urlsafe_b64encode(head + nonce + sealed).rstrip(b"=").decode()

    def unseal(self, sealed: str, *, context: str) -> bytes:
        """Return what `seal` was given.

        Raises ConfigurationError when the key isn't in the file any more, RetentionError when the value was changed
        or was sealed for another context.
        """
        spoiled = f"A sealed value ({context}) was changed, cut off, or belongs somewhere else; it was not opened."
        try:
            raw = base64.b64decode(sealed.encode("ascii") + b"=" * (-len(sealed) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, UnicodeEncodeError):
            raise RetentionError(spoiled) from None
        head_length = 2 + (raw[1] if len(raw) > 1 else 0)
        if len(raw) < head_length + NONCE_BYTES or raw[0] != _SEAL_VERSION:
            raise RetentionError(spoiled)
        head, nonce = raw[:head_length], raw[head_length : head_length + NONCE_BYTES]
        key_id = head[2:].decode("ascii", errors="replace")
        key = self.find(key_id)
        if key is None:
            if not looks_like_an_id(key_id):
                raise RetentionError(spoiled)
            raise ConfigurationError(
                f"The key {key_id} that sealed a value ({context}) is not in {self.path}. Put the key file back from "
                "your backup; a plan that was sealed with a lost key has to be made again."
            )
        try:
            return AESGCM(key.secret).decrypt(nonce, raw[head_length + NONCE_BYTES :], head + context.encode())
        except InvalidTag:
            raise RetentionError(spoiled) from None

    def checks(self) -> dict[str, str]:
        """Return for every key its id and `family:check`, a value that recognises the key and tells nothing about it.

        The ledger keeps them, so that a lost or changed key is noticed before it does harm.
        """
        return {entry.key.id: f"{entry.family}:{_check_value(entry)}" for entry in sorted(self._entries, key=lambda entry: entry.key.id)}

    def __repr__(self) -> str:
        return f"Keyring({str(self.path)!r}, {len(self._entries)} keys)"

    def _take(self, change: Change) -> None:
        self._content = change.content or self._content

    def _current(self, family: str) -> Key:
        pick = _first_of if family == "match" else _last_of
        key = pick(self._entries, family)
        if key is not None:
            return key
        if not self._lasting:
            with self._mutex:
                key = pick(self._entries, family)
                if key is None:
                    key = _made(family, self._entries)
                    self._content = replace(self._content, entries=(*self._entries, Entry(family, key)))
            return key
        with self._mutex, self._file.changing() as change:
            # Read again under the lock: another creator may have been first, and its key is the one that counts.
            if change.entries is None and self._entries:
                raise ConfigurationError(
                    f"The key file {self.path} disappeared while it was in use. Put it back from your backup; no new keys were made."
                )
            entries = change.entries or ()
            key = pick(entries, family)
            if key is None:
                key = _made(family, entries)
                change.write((*entries, Entry(family, key)))
            self._take(change)
            return key


def _made(family: str, entries: tuple[Entry, ...]) -> Key:
    return Key(_new_id(family, {entry.key.id for entry in entries}), secrets.token_bytes(SECRET_BYTES))


def _by_id(entries: tuple[Entry, ...], key_id: str) -> Key | None:
    return next((entry.key for entry in entries if entry.key.id == key_id), None)


def _last_of(entries: tuple[Entry, ...], family: str) -> Key | None:
    return next((entry.key for entry in reversed(entries) if entry.family == family), None)


def _first_of(entries: tuple[Entry, ...], family: str) -> Key | None:
    return next((entry.key for entry in entries if entry.family == family), None)


def _new_id(family: str, taken: set[str]) -> str:
    while True:
        key_id = f"{LETTERS[family.partition('/')[0]]}-{secrets.token_hex(3)}"
        if key_id not in taken:
            return key_id


def _check_value(entry: Entry) -> str:
    message = f"retention key check 1|{entry.family}|{entry.key.id}".encode()
    return hmac.new(entry.key.secret, message, hashlib.sha256).hexdigest()[:32]
