"""The root: 256 random bits in a file of their own, and what is wrapped with them.

The file holds lines of 64 hexadecimal digits, as a rule one; during a change of the root the old one and the new one. So a person can
keep it on paper or in a password manager, and whatever brings secrets to a machine can bring it. A root's id is made from its secret: a
wrong root is recognised as one, and nothing else has to be kept with it.

Threat model. The root alone opens nothing, but with a copy of the key file from its time it opens every key of then. So a root that is no
longer in use has to be gone everywhere: from this file, which `keep` replaces, and from copies, which are their owner's. A file that this
user may not write, by its owner or its mode, is somebody else's to change and is left as it is: it may be a copy that is brought again
tomorrow, and what was put under a root that only stood in the copy would be lost with it.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from worker.errors import ConfigurationError
from worker.keys.ownfile import forget_drafts, opened, replace_file

SECRET_BYTES = 32
NONCE_BYTES = 12
ROOT = "root"
"""The family of the root, where it is listed or told of."""
_TAG_BYTES = 16


@dataclass(frozen=True, slots=True)
class Key:
    """One key: a short public id, part of every value made with the key, and 32 secret bytes that repr never shows."""

    id: str
    secret: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Roots:
    """What is in the root's file, the newest last, and whether this user may change it."""

    keys: tuple[Key, ...]
    ours: bool

    def find(self, root_id: str) -> Key | None:
        """Return the root with this id, or None."""
        return next((each for each in self.keys if each.id == root_id), None)


class RootFile:
    """The file of the root."""

    def __init__(self, path: Path) -> None:
        # Links are followed each time: what brings secrets may let them lead elsewhere tomorrow.
        self.path = path.expanduser()

    def read(self) -> Roots:
        """Return the roots, none when there is no file; ConfigurationError when it isn't safe to use, or damaged."""
        found = opened(self.path, "root key", "RETENTION_ROOT_KEY", may_be_brought=True)
        if found is None:
            return Roots((), ours=True)
        content, status = found
        try:
            secret = [exact(line.lower()) for line in content.decode("ascii").split()]
        except ValueError:
            secret = []
        if not secret:
            raise ConfigurationError(
                f"The root key {self.path} is damaged or no root key: it is a line of 64 hexadecimal digits. Put it back from where you "
                "keep a copy."
            )
        ours = status.st_uid == os.geteuid() and bool(status.st_mode & stat.S_IWUSR)
        return Roots(tuple(_root(each) for each in dict.fromkeys(secret)), ours)

    def read_or_make(self) -> Roots:
        """Return the roots that somebody put there, or one that is made; ConfigurationError when it can't be kept."""
        roots = self.read()
        if roots.keys:
            return roots
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            return self.keep((new_root(),))
        except OSError as error:
            raise ConfigurationError(
                f"A root for the keys can't be kept in {self.path}: {error.strerror}. Make its folder writable for the user who runs this "
                "command, put a root there, or choose another place with RETENTION_ROOT_KEY."
            ) from error

    def keep(self, roots: tuple[Key, ...]) -> Roots:
        """Replace the file by one with these roots, and return them; durable when it returns, OSError when it can't be."""
        replace_file(self._real, "".join(f"{each.secret.hex()}\n" for each in roots).encode())
        return Roots(roots, ours=True)

    def forget_drafts(self) -> None:
        """Remove what crashes left of `keep`."""
        forget_drafts(self._real)

    @property
    def _real(self) -> Path:
        return Path(os.path.realpath(self.path))


def new_root(beside: tuple[Key, ...] = ()) -> Key:
    """Return a root that nobody has, with an id of its own among those beside it."""
    while True:
        root = _root(secrets.token_bytes(SECRET_BYTES))
        if root.id not in {each.id for each in beside}:
            return root


def wrapped(root: Key, secret: bytes, bound: bytes) -> str:
    """Encrypt a secret under a root, and authenticate it and what it is bound to: nonce and AES-256-GCM ciphertext, hexadecimal."""
    nonce = os.urandom(NONCE_BYTES)
    return (nonce + AESGCM(root.secret).encrypt(nonce, secret, bound)).hex()


def unwrapped(root: Key, text: str, bound: bytes) -> bytes:
    """Return the secret; InvalidTag or ValueError when anything about it was changed."""
    raw = exact(text, NONCE_BYTES + SECRET_BYTES + _TAG_BYTES)
    return AESGCM(root.secret).decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], bound)


def exact(text: str, size: int = SECRET_BYTES) -> bytes:
    """Return so many bytes that are written as hexadecimal digits in the one way there is; ValueError otherwise."""
    raw = bytes.fromhex(text)
    if len(raw) != size or raw.hex() != text:
        raise ValueError
    return raw


def _root(secret: bytes) -> Key:
    return Key("r-" + hashlib.sha256(b"retention root id 1|" + secret).hexdigest()[:6], secret)
