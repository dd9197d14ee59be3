"""Signed notes as C2SP defines them (signed-note, tlog-checkpoint), with Ed25519: a text, an empty line, signatures.

Threat model. A note is what an auditor believes when everything else may have been changed. So it is opened only as exact bytes, with a
key the auditor brought along: a signature by another key counts for nothing, and one by a known key that doesn't fit spoils the note. The
key's id stands in the note to find the key, never to choose whom to trust. Other tools for transparency logs read and make the same notes.

A verifier key is written `<name>+<hash, 8 hex digits>+<base64 of 0x01 and the 32 bytes of the public key>`; the hash is the first four
bytes of SHA-256 over name, line feed, 0x01 and key.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from worker.errors import ConfigurationError, RetentionError

_ED25519 = b"\x01"
_KEY_BYTES = 32
_HASH_BYTES = 4
_SIGNATURE_BYTES = 64
_DASH = "\u2014 "
_SPLIT = "\n\n"


class BadNote(RetentionError):
    """A note is not one, or nobody whose key is at hand signed it; the text says which."""


class OtherKey(BadNote):
    """A note is one, and none of the keys at hand signed it."""


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key with the name it signs under."""

    name: str
    public: bytes

    @property
    def hash(self) -> bytes:
        """The four bytes by which a signature line says whose it is."""
        return sha256(self.name.encode() + b"\n" + _ED25519 + self.public).digest()[:_HASH_BYTES]

    def __str__(self) -> str:
        """Return the key as it is handed out."""
        return f"{self.name}+{self.hash.hex()}+{base64.b64encode(_ED25519 + self.public).decode()}"

    @classmethod
    def parse(cls, text: str) -> VerifierKey:
        """Read a key that was handed out. Raises ConfigurationError for anything else, a wrong hash too: one digit may be mistyped."""
        name, hashed, encoded = (*text.strip().split("+", 2), "", "")[:3]
        raw = _decoded(encoded)
        if not _is_name(name) or raw[:1] != _ED25519 or len(raw) != 1 + _KEY_BYTES:
            raise ConfigurationError("That is no verifier key: it looks like name+1a2b3c4d+AQ... and is printed by `retention audit key`.")
        key = cls(name, raw[1:])
        if key.hash.hex() != hashed.lower():
            raise ConfigurationError(f"The verifier key {name} was mistyped: its hash and its key don't belong together.")
        return key


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs under a name with an Ed25519 key made from 32 secret bytes."""

    name: str
    _key: Ed25519PrivateKey

    @classmethod
    def of(cls, name: str, secret: bytes) -> Signer:
        """Return the signer for a secret. Raises ValueError for a name that a note can't hold."""
        if not _is_name(name):
            raise ValueError("the name of a signing key has no spaces and no plus")
        return cls(name, Ed25519PrivateKey.from_private_bytes(secret))

    @property
    def verifier(self) -> VerifierKey:
        """The public half."""
        return VerifierKey(self.name, self._key.public_key().public_bytes_raw())

    def sign(self, text: str) -> str:
        """Return the signed note. Raises ValueError unless the text is whole lines without control characters."""
        if not _is_text(text):
            raise ValueError("the text of a note is lines of printable characters")
        signature = base64.b64encode(self.verifier.hash + self._key.sign(text.encode())).decode()
        return f"{text}\n{_DASH}{self.name} {signature}\n"


def text_of(note: str) -> str:
    """Return what a note says, whoever signed it. Raises BadNote when it is none."""
    return _parts(note)[0]


def opened(note: str, keys: Sequence[VerifierKey]) -> str:
    """Return what a note says, after one of the keys was found to have signed it.

    Raises OtherKey when none of the keys signed it, BadNote when it is no note or when a signature by one of them doesn't fit.
    """
    text, signatures = _parts(note)
    vouched = False
    for name, raw in signatures:
        for key in keys:
            if (key.name, key.hash) != (name, raw[:_HASH_BYTES]):
                continue
            try:
                Ed25519PublicKey.from_public_bytes(key.public).verify(raw[_HASH_BYTES:], text.encode())
            except (InvalidSignature, ValueError):
                raise BadNote(f"the signature by {name} does not fit") from None
            vouched = True
    if not vouched:
        raise OtherKey("it is signed by another key: " + ", ".join(name for name, _ in signatures))
    return text


def _parts(note: str) -> tuple[str, list[tuple[str, bytes]]]:
    """Return the text and the (name, hash and signature) pairs."""
    text, split, lines = note.rpartition(_SPLIT)
    text += "\n"
    if not split or not _is_text(text) or not lines.endswith("\n"):
        raise BadNote("it is not a signed note")
    signatures = []
    for line in lines[:-1].split("\n"):
        name, _, encoded = line.removeprefix(_DASH).partition(" ")
        raw = _decoded(encoded)
        if not line.startswith(_DASH) or not _is_name(name) or len(raw) <= _HASH_BYTES:
            raise BadNote("it is not a signed note")
        signatures.append((name, raw))
    return text, signatures


def _decoded(encoded: str) -> bytes:
    """Return the bytes behind base64, none when it is none or not written the one way that has no loose bits in its last character."""
    try:
        raw = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return b""
    return raw if base64.b64encode(raw).decode() == encoded else b""


def _is_name(name: str) -> bool:
    return bool(name) and "+" not in name and not any(each.isspace() for each in name)


def _is_text(text: str) -> bool:
    return text.endswith("\n") and all(each >= " " or each == "\n" for each in text)
