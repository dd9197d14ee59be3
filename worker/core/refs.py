"""Keyed references: how a plan and the audit trail name a record, and the facts it was decided on, without saying who it is.

Both are BLAKE2b in keyed mode (RFC 7693): without the key nobody can tell which record a reference stands for, or try all e-mail addresses.
A reference is bound to the source and the record's key, or to the source and a person's identifier; a fingerprint to the source and the
facts used.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from functools import lru_cache

_SEPARATOR = b"\x1f"
REFERENCE_BYTES = 16
FINGERPRINT_BYTES = 8
NOBODY = bytes(REFERENCE_BYTES)
"""Where a token stands in what is kept, and there is none."""


class Referrer:
    """Makes the references of one source with one key."""

    def __init__(self, secret: bytes, source: str) -> None:
        self._reference = hashlib.blake2b(key=secret, digest_size=REFERENCE_BYTES, person=b"reference")
        self._reference.update(source.encode() + b"\x00")
        self._fingerprint = hashlib.blake2b(key=secret, digest_size=FINGERPRINT_BYTES, person=b"fingerprint")
        self._fingerprint.update(source.encode() + b"\x00")
        self._subject = hashlib.blake2b(key=secret, digest_size=REFERENCE_BYTES, person=b"subject")
        self._subject.update(source.encode() + b"\x00")

    def reference(self, key: Sequence[object]) -> str:
        """Return the reference of a record, 32 hexadecimal digits."""
        state = self._reference.copy()
        first = key[0]
        # Most keys are one whole number; written out here because this is the hot path.
        state.update(b"i%d" % first if type(first) is int and len(key) == 1 else _key_bytes(key))
        return state.hexdigest()

    def references(self, keys: Iterable[Sequence[object]]) -> list[str]:
        """Return the references of many records."""
        # `reference` written out for keys of one whole number: the calls would cost half of it again.
        copy, found = self._reference.copy, []
        for key in keys:
            if len(key) == 1 and type(key[0]) is int:
                state = copy()
                state.update(b"i%d" % key[0])
                found.append(state.hexdigest())
            else:
                found.append(self.reference(key))
        return found

    def subject(self, identifier: str) -> str:
        """Return the reference of a person by an identifier in its canonical form, 32 hexadecimal digits.

        Bound to the source, so that nobody without the key can tell that two systems know the same person.
        """
        state = self._subject.copy()
        try:
            state.update(identifier.encode())
        except UnicodeEncodeError:
            # File names may hold lone surrogates.
            state.update(identifier.encode(errors="surrogatepass"))
        return state.hexdigest()

    def subjects(self, identifiers: Iterable[str]) -> list[str]:
        """Return `subject` of many identifiers; an empty text for an empty one, which is nobody."""
        copy, found = self._subject.copy, []
        for each in identifiers:
            if each.isascii() and each:
                state = copy()
                state.update(each.encode())
                found.append(state.hexdigest())
            else:
                found.append(self.subject(each) if each else "")
        return found

    def fingerprint(self, evidence: bytes) -> str:
        """Return the fingerprint of the facts that records were decided on, 16 hexadecimal digits; equal facts have equal ones."""
        state = self._fingerprint.copy()
        state.update(evidence)
        return state.hexdigest()


def _key_bytes(key: Sequence[object]) -> bytes:
    """Return an unambiguous form of a key: its type's letter and text, part by part."""
    return _SEPARATOR.join(
        b"i%d" % part if type(part) is int else b"b" + part if isinstance(part, bytes) else b"s" + str(part).encode() for part in key
    )


Secret = bytes | tuple[bytes, ...]
"""What tokens are made with: one key, or all keys there were in the order in which each took the place of the one before."""


def token(secret: Secret, *parts: str) -> bytes:
    """Return the keyed form of an identifier or a record, for matching holds, requests and aliases: 16 bytes.

    With several keys it is the form under the first, put under each of the others in turn (`again`): so what was kept under the first few
    can be brought under all of them by somebody who does not know of whom it is.
    """
    if isinstance(secret, bytes):
        return _token(secret, parts)
    made = _token(secret[0], parts)
    for later in secret[1:]:
        made = again(later, made)
    return made


def again(secret: bytes, made: bytes) -> bytes:
    """Return a token under one more key. Sixteen zeros stand for nobody and stay that."""
    if made == NOBODY:
        return made
    return hashlib.blake2b(made, key=secret, digest_size=REFERENCE_BYTES, person=b"match again").digest()


def _token(secret: bytes, parts: tuple[str, ...]) -> bytes:
    state = _begun(secret, parts[:-1]).copy()
    state.update(parts[-1].encode())
    return state.digest()


def tokens(secret: Secret, *parts: str, last: Iterable[str]) -> list[bytes]:
    """Return `token` of the same first parts with many last ones."""
    first, *more = (secret,) if isinstance(secret, bytes) else secret
    copy, found = _begun(first, parts).copy, []
    for each in last:
        state = copy()
        state.update(each.encode())
        found.append(state.digest())
    for later in more:
        found = [again(later, made) for made in found]
    return found


@lru_cache(maxsize=64)
def _begun(secret: bytes, parts: tuple[str, ...]) -> hashlib.blake2b:
    """Return the state that has taken in a key and all parts but the last: copying it costs half of making it again."""
    state = hashlib.blake2b(key=secret, digest_size=REFERENCE_BYTES, person=b"match")
    state.update("".join(f"{part}\x1f" for part in parts).encode())
    return state
