"""The six families of keys, kept in one file that only its owner can read.

Threat model. Whoever holds this file can attribute every pseudonym, recognise every person in the ledger, read which
keys a plan selects, forge a plan, and sign what an auditor believes. Whoever loses it can do none of these any more,
and nor can the organisation. So the file is made for its owner alone, a file that others can read is refused rather
than mended (it may have been read already), only `destroy` ever takes a key out of it, the replacement is atomic and durable
before a new key is used, and no secret appears in a repr or an error. The families are independent: each is 256
random bits, none is derived from another, so that one can be destroyed or given away without the others. There is no root key from which
a domain's key could be made again, or that would have to be kept elsewhere to unwrap it: what is destroyed is gone with its last copy.

A rotated key stays, because what was made with it has to be recognised; of a family the last is in use. The exception is `match`: tokens
are kept, compared and never opened, so the ledger puts them all under the new key at once, and which keys are in force is for it to say.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import fcntl
import glob
import hashlib
import hmac
import json
import os
import secrets
import stat
import threading
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from worker.core.refs import Secret
from worker.errors import ConfigurationError, RetentionError

_FORMAT = 1
_SECRET_BYTES = 32
_NONCE_BYTES = 12
_SEAL_VERSION = 1
# The first letter of a key's id says which family made a value, to a person who finds it in a log.
_LETTERS = {"audit-ref": "a", "match": "m", "pseudonym": "p", "seal": "s", "plan-mac": "c", "sign": "e"}


@dataclass(frozen=True, slots=True)
class Key:
    """One key: a short public id, part of every value made with the key, and 32 secret bytes that repr never shows."""

    id: str
    secret: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class MatchKey:
    """What tokens are made with: the id of the key that is in use, and its secret, behind those of the keys that it took the place of."""

    id: str
    secret: Secret = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Entry:
    """One key as the file keeps it. Of several entries of one family the last is the one in use."""

    family: str
    key: Key


class Keyring:
    """The keys of one organisation. Keys are generated when they are first asked for; threads and processes may share it.

    Every method that may generate a key raises ConfigurationError when the file can't be read or written safely.
    """

    def __init__(self, path: Path, entries: tuple[_Entry, ...]) -> None:
        self._path = path
        self._entries = entries
        self._mutex = threading.Lock()
        self._lasting = True
        self._in_force: tuple[str, ...] = ()

    @classmethod
    def open(cls, path: Path, *, allow_create: bool = True) -> Keyring:
        """Read the key file; a missing one is made when the first key is asked for.

        allow_create=False is for when values made with keys exist already: then a missing file is a lost file.
        Raises ConfigurationError when the file is missing and may not be made, isn't ours, is readable or writable by
        others, or isn't a key file.
        """
        # Resolved first, so that the atomic replacement replaces the file and not a link that leads to it.
        path = Path(os.path.realpath(path.expanduser()))
        entries = _read(path)
        if entries is None and not allow_create:
            raise ConfigurationError(
                f"The key file {path} is missing, but the ledger knows keys that were in it. Put it back from your "
                "backup, or point RETENTION_KEYS at it. No new keys were made: without the old ones pseudonyms, "
                "holds and requests no longer match the people they stand for."
            )
        return cls(path, entries or ())

    def unsaved(self) -> Keyring:
        """Return the same keys for somebody who only looks: one that is missing is made for the moment and never written."""
        other = Keyring(self._path, self._entries)
        other._lasting = False
        other._in_force = self._in_force
        return other

    @property
    def path(self) -> Path:
        """The key file, links resolved."""
        return self._path

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
            raise ConfigurationError(f"A key `match` that the ledger needs is not in {self._path}. Put the key file back from your backup.")
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
                self._entries = _read(self._path) or self._entries
            found = _by_id(self._entries, key_id)
        return found

    def ids_of(self, family: str) -> tuple[str, ...]:
        """Return the ids of a family's keys that are in the file, the oldest first; none is made."""
        return tuple(entry.key.id for entry in self._entries if entry.family == family)

    def add(self, family: str) -> Key:
        """Add a key to a family that has one, and return it; it is in use when this returns, but see `go_by`.

        A key `match` that was added before and never put in force, because of a crash, is returned instead of another.
        """
        with self._mutex, _creating(self._path):
            entries = _read(self._path) or ()
            last = _last_of(entries, family)
            if last is None:
                raise ConfigurationError(f"There is no key {family} in the key file. `retention keys list` shows what there is.")
            waiting = family == "match" and last.id not in (self._in_force or self.ids_of(family)[:1])
            key = last if waiting else _made(family, entries)
            self._entries = entries if waiting else (*entries, _Entry(family, key))
            if not waiting:
                _write(self._path, self._entries)
        return key

    def destroy(self, key_ids: Collection[str]) -> tuple[str, ...]:
        """Remove the keys with these ids from the file, and drafts that a crash left beside it; return the ids that were there.

        From then on nobody can attribute what was made with them. Copies of the file keep them: backups are the caller's to destroy. Retire
        the ids in the ledger first, or their loss will be reported.
        """
        with self._mutex, _creating(self._path):
            entries = _read(self._path) or ()
            gone = tuple(entry.key.id for entry in entries if entry.key.id in key_ids)
            if gone:
                self._entries = tuple(entry for entry in entries if entry.key.id not in key_ids)
                _write(self._path, self._entries)
            _forget_drafts(self._path)
        return gone

    def seal(self, plaintext: bytes, *, context: str) -> str:
        """Encrypt and authenticate; only `unseal` with the same context opens it. Returns base64url text.

        AES-256-GCM with a random nonce; the key's id is readable in the value, and id and context are authenticated.
        """
        key = self.seal_key()
        key_id = key.id.encode()
        head = bytes((_SEAL_VERSION, len(key_id))) + key_id
        nonce = os.urandom(_NONCE_BYTES)
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
        if len(raw) < head_length + _NONCE_BYTES or raw[0] != _SEAL_VERSION:
            raise RetentionError(spoiled)
        head, nonce = raw[:head_length], raw[head_length : head_length + _NONCE_BYTES]
        key_id = head[2:].decode("ascii", errors="replace")
        key = self.find(key_id)
        if key is None:
            if not _looks_like_an_id(key_id):
                raise RetentionError(spoiled)
            raise ConfigurationError(
                f"The key {key_id} that sealed a value ({context}) is not in {self._path}. Put the key file back from "
                "your backup; a plan that was sealed with a lost key has to be made again."
            )
        try:
            return AESGCM(key.secret).decrypt(nonce, raw[head_length + _NONCE_BYTES :], head + context.encode())
        except InvalidTag:
            raise RetentionError(spoiled) from None

    def checks(self) -> dict[str, str]:
        """Return for every key its id and `family:check`, a value that recognises the key and tells nothing about it.

        The ledger keeps them, so that a lost or changed key is noticed before it does harm.
        """
        return {entry.key.id: f"{entry.family}:{_check_value(entry)}" for entry in sorted(self._entries, key=lambda entry: entry.key.id)}

    def __repr__(self) -> str:
        return f"Keyring({str(self._path)!r}, {len(self._entries)} keys)"

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
                    self._entries = (*self._entries, _Entry(family, key))
            return key
        with self._mutex, _creating(self._path):
            # Read again under the lock: another creator may have been first, and its key is the one that counts.
            entries = _read(self._path)
            if entries is None and self._entries:
                raise ConfigurationError(
                    f"The key file {self._path} disappeared while it was in use. Put it back from your backup; no new keys were made."
                )
            self._entries = entries or ()
            key = pick(self._entries, family)
            if key is None:
                key = _made(family, self._entries)
                extended = (*self._entries, _Entry(family, key))
                _write(self._path, extended)
                self._entries = extended
            return key


def _made(family: str, entries: tuple[_Entry, ...]) -> Key:
    return Key(_new_id(family, {entry.key.id for entry in entries}), secrets.token_bytes(_SECRET_BYTES))


def _by_id(entries: tuple[_Entry, ...], key_id: str) -> Key | None:
    return next((entry.key for entry in entries if entry.key.id == key_id), None)


def _last_of(entries: tuple[_Entry, ...], family: str) -> Key | None:
    return next((entry.key for entry in reversed(entries) if entry.family == family), None)


def _first_of(entries: tuple[_Entry, ...], family: str) -> Key | None:
    return next((entry.key for entry in entries if entry.family == family), None)


def _new_id(family: str, taken: set[str]) -> str:
    while True:
        key_id = f"{_LETTERS[family.partition('/')[0]]}-{secrets.token_hex(3)}"
        if key_id not in taken:
            return key_id


def _looks_like_an_id(text: str) -> bool:
    letter, dash, rest = text.partition("-")
    return letter in _LETTERS.values() and bool(dash) and len(rest) == 6 and set(rest) <= set("0123456789abcdef")


def _check_value(entry: _Entry) -> str:
    message = f"retention key check 1|{entry.family}|{entry.key.id}".encode()
    return hmac.new(entry.key.secret, message, hashlib.sha256).hexdigest()[:32]


@contextlib.contextmanager
def _creating(path: Path) -> Iterator[None]:
    """Be the only one who changes the key file, also between processes, until the block ends."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _read(path: Path) -> tuple[_Entry, ...] | None:
    """Return the entries of a key file that is safe to use, or None when there is none."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigurationError(
            f"The key file {path} can't be read: {error.strerror}. It must belong to the user who runs this command; "
            "RETENTION_KEYS says where it is."
        ) from error
    with open(descriptor, "rb") as file:  # noqa: PTH123 - the descriptor is what was checked, a path could be swapped
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ConfigurationError(f"The key file {path} is not a regular file. Point RETENTION_KEYS at a file.")
        if status.st_uid != os.geteuid():
            raise ConfigurationError(
                f"The key file {path} belongs to another user (uid {status.st_uid}). Run as that user, or give "
                "yourself a key file of your own with RETENTION_KEYS."
            )
        if status.st_mode & 0o077:
            raise ConfigurationError(
                f"The key file {path} can be read or changed by others (mode {stat.S_IMODE(status.st_mode):04o}). "
                f"Find out who could have read it, then run: chmod 600 {path}"
            )
        try:
            return _parse(file.read())
        except (ValueError, KeyError, TypeError):
            # The cause is not chained: its text can quote the file.
            raise ConfigurationError(f"The key file {path} is damaged or not a key file. Put it back from your backup.") from None


def _parse(content: bytes) -> tuple[_Entry, ...]:
    document = json.loads(content)
    if document["format"] != _FORMAT:
        raise ValueError
    entries = []
    for item in document["keys"]:
        secret = bytes.fromhex(item["secret"])
        if len(secret) != _SECRET_BYTES or item["family"].partition("/")[0] not in _LETTERS or not _looks_like_an_id(item["id"]):
            raise ValueError
        entries.append(_Entry(item["family"], Key(item["id"], secret)))
    if len({entry.key.id for entry in entries}) != len(entries):
        raise ValueError
    return tuple(entries)


def _write(path: Path, entries: tuple[_Entry, ...]) -> None:
    """Replace the key file; when this returns, the new one is on disk, and at no moment was there half a file."""
    keys = [{"id": entry.key.id, "family": entry.family, "secret": entry.key.secret.hex()} for entry in entries]
    content = json.dumps({"format": _FORMAT, "keys": keys}, indent=1).encode() + b"\n"
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}.draft")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with open(descriptor, "wb") as file:  # noqa: PTH123 - made by descriptor, so that the mode is right at once
                file.write(content)
                file.flush()
                os.fsync(descriptor)
            draft.replace(path)
        except OSError:
            draft.unlink(missing_ok=True)
            raise
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise _unwritable(path, error) from error


def _forget_drafts(path: Path) -> None:
    """Remove what a crash left of writing the file: it holds the keys of then. Whoever has the lock is alone in writing."""
    try:
        for draft in path.parent.glob(f".{glob.escape(path.name)}.*.draft"):
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> ConfigurationError:
    return ConfigurationError(
        f"A new key can't be kept in {path}: {error.strerror}. Make its folder writable for the user who runs this "
        "command, or choose another place with RETENTION_KEYS."
    )
