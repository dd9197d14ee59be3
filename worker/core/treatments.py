"""What happens to one field of a record that stays, and how a treated value is recognised.

A treatment is idempotent: treating a treated value gives the same value, so a field that was treated is never due again. A pseudonym is
still personal data (GDPR 4(5)): whoever holds its key can attribute it again. A random token is made from nothing, so nobody can; two
records of one person get two.

Scrubbing looks at what the record itself says of its person, so it is asked with a whole row (`in_rows`), and before the identifiers in
that row are treated. Identifiers that were treated already are no identifiers any more.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from worker.core.canonical import canonicals
from worker.core.facts import Raw
from worker.core.generalising import generalised, is_generalised
from worker.core.scrubbing import Scrubber
from worker.core.sources import Field, Identifier, Scrubbing, TreatmentKind

MARKER = "p1"
RANDOM_MARKER = "r1"
_LENGTH = 26  # 128 bits in base 32
_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"
_SHAPE = re.compile(rf"{MARKER}-([a-z0-9]+(?:-[a-z0-9]+)*)-([a-z2-7]{{{_LENGTH}}})(@[a-z0-9.-]+\.invalid)?")
_RANDOM_SHAPE = re.compile(rf"{RANDOM_MARKER}-[a-z2-7]{{{_LENGTH}}}(@[a-z0-9.-]+\.invalid)?")
_RANDOM_BYTES = 16
UNREADABLE_ADDRESS = "0.0.0.0"  # noqa: S104 - written in place of an IP address that can't be read, never listened on
_V4_BITS, _V6_BITS = 24, 48
_SIX_TO_FOUR_BITS = 40  # A 6to4 address (RFC 3056) holds a whole IPv4 address in its first 48 bits.


@dataclass(frozen=True, slots=True)
class PseudonymKey:
    """A key for one pseudonym domain; its id is part of every pseudonym. `repr` never shows the secret."""

    id: str
    secret: bytes

    def __repr__(self) -> str:
        """Return the key's id only."""
        return f"PseudonymKey({self.id})"


def pseudonym(key: PseudonymKey, organisation: str, domain: str, field: str, kind: Identifier, value: str) -> str:
    """Return the pseudonym of a value: marker, key id and 128 bits of HMAC-SHA-256 in base 32.

    The message is organisation, domain, the field's name and canonical form, separated by U+001F. An e-mail address becomes
    `<pseudonym>@<domain>.invalid` (RFC 2606), so that no mail ever reaches anybody.
    """
    return _pseudonymiser(key, organisation, domain, field, kind)([value])[0]


def _pseudonymiser(key: PseudonymKey, organisation: str, domain: str, field: str, kind: Identifier) -> Callable[[Iterable[str]], list[str]]:
    """Return `pseudonym` for many values of one field: what they have in common is put together once."""
    front, back = f"{MARKER}-{key.id}-", f"@{domain}.invalid" if kind is Identifier.EMAIL else ""
    inner, outer = _mac(key.secret)
    inner.update(_bytes(f"{organisation}\x1f{domain}\x1f{field}\x1f"))

    def of(values: Iterable[str]) -> list[str]:
        made = []
        for form in canonicals(kind, values):
            within, around = inner.copy(), outer.copy()
            within.update(_bytes(form))
            around.update(within.digest())
            made.append(f"{front}{_base32(around.digest()[:16])}{back}")
        return made

    return of


def _mac(secret: bytes) -> tuple[hashlib._Hash, hashlib._Hash]:
    """Return the states of HMAC-SHA-256 (RFC 2104) under one key before its message, and before the digest of that.

    They depend on the key alone and are worked out once, which leaves a third of the work.
    """
    block = hashlib.sha256().block_size
    padded = (hashlib.sha256(secret).digest() if len(secret) > block else secret).ljust(block, b"\0")
    return hashlib.sha256(bytes(byte ^ 0x36 for byte in padded)), hashlib.sha256(bytes(byte ^ 0x5C for byte in padded))


def _bytes(text: str) -> bytes:
    """Return a text as it goes into a message: file names may hold lone surrogates."""
    return text.encode(errors="surrogatepass")


_PAIRS = tuple(first + second for first in _ALPHABET for second in _ALPHABET)


def _base32(digest: bytes) -> str:
    """Return 128 bits in base 32 (RFC 4648) without padding, in small letters: ten bits at a time, written out for the hot path."""
    number = int.from_bytes(digest, "big") << 2
    # fmt: off
    return (
        f"{_PAIRS[number >> 120]}{_PAIRS[number >> 110 & 1023]}{_PAIRS[number >> 100 & 1023]}{_PAIRS[number >> 90 & 1023]}"
        f"{_PAIRS[number >> 80 & 1023]}{_PAIRS[number >> 70 & 1023]}{_PAIRS[number >> 60 & 1023]}{_PAIRS[number >> 50 & 1023]}"
        f"{_PAIRS[number >> 40 & 1023]}{_PAIRS[number >> 30 & 1023]}{_PAIRS[number >> 20 & 1023]}{_PAIRS[number >> 10 & 1023]}"
        f"{_PAIRS[number & 1023]}"
    )
    # fmt: on


def truncated(value: str) -> str:
    """Return an IP address without its last octet (IPv4, also inside IPv6) or last 80 bits (IPv6); 0.0.0.0 for what is no address."""
    try:
        address = ipaddress.ip_address(value.strip())
    except ValueError:
        return UNREADABLE_ADDRESS
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    bits = _V4_BITS if address.version == 4 else _V6_BITS
    if isinstance(address, ipaddress.IPv6Address) and address.sixtofour is not None:
        bits = _SIX_TO_FOUR_BITS
    return str(ipaddress.ip_network((address, bits), strict=False).network_address)


@dataclass(frozen=True, slots=True)
class Treater:
    """Treats and recognises the values of one field.

    treat -- from the raw value to the new one; what is treated stays as it is; is_treated -- whether a raw value needs nothing more
    (empty counts as treated). Both take the value and, in order, the raw values of the fields `beside`, where there are any; without them
    they tell as much as the value alone tells. treat_many -- `treat` for many values at a time, where that is faster.
    """

    field: Field
    treat: Callable[..., Raw]
    is_treated: Callable[..., bool]
    beside: tuple[str, ...] = ()
    treat_many: Callable[[Sequence[Raw]], list[Raw]] | None = None

    def in_rows(self, position: Callable[[str], int]) -> tuple[Callable[[Sequence[Raw]], Raw], Callable[[Sequence[Raw]], bool]]:
        """Return `treat` and `is_treated` for whole rows in which every field stands at its position."""
        treat, is_treated = self.treat, self.is_treated
        own, *others = [position(name) for name in (self.field.name, *self.beside)]
        if not others:
            return lambda row: treat(row[own]), lambda row: is_treated(row[own])
        return lambda row: treat(row[own], *[row[each] for each in others]), lambda row: is_treated(
            row[own], *[row[each] for each in others]
        )

    def of_rows(self, position: Callable[[str], int]) -> Callable[[Sequence[Sequence[Raw]]], list[Raw]]:
        """Return what gives the new values of the field for many whole rows, in their order."""
        if self.field.treatment is not None and self.field.treatment.kind is TreatmentKind.CLEAR:
            return lambda rows: [None] * len(rows)
        if self.beside:
            treat_row, _ = self.in_rows(position)
            return lambda rows: [treat_row(row) for row in rows]
        treat, treat_many, own = self.treat, self.treat_many, position(self.field.name)
        if treat_many is not None:
            return lambda rows: treat_many([row[own] for row in rows])
        return lambda rows: [treat(row[own]) for row in rows]


def treater(
    field: Field,
    organisation: str,
    keys: Mapping[str, PseudonymKey],
    *,
    fields: Iterable[Field] = (),
    random: Callable[[int], bytes] = secrets.token_bytes,
) -> Treater:
    """Return the treater of a field that has a treatment.

    keys -- from a pseudonym domain to its key (KeyError when it is missing); fields -- those of its source, for what stands beside it;
    random -- the source of random tokens, from a number of bytes to as many.
    """
    treatment = field.treatment
    if treatment is None:
        raise ValueError(f"{field.name} has no treatment")
    is_treated = recogniser(field)
    make: Callable[[Raw], Raw]
    match treatment.kind:
        case TreatmentKind.CLEAR:
            return Treater(field, lambda _: None, is_treated)
        case TreatmentKind.CONSTANT:
            value = treatment.value
            return Treater(field, lambda raw: None if raw is None else value, is_treated)
        case TreatmentKind.TRUNCATE:
            return Treater(field, lambda raw: raw if _empty(raw) else truncated(str(raw)), is_treated)
        case TreatmentKind.GENERALISE:
            return Treater(field, lambda raw: raw if is_treated(raw) else generalised(treatment, raw), is_treated)
        case TreatmentKind.PSEUDONYM:
            pseudonymise = _pseudonymiser(keys[treatment.domain], organisation, treatment.domain, field.name, _written_as(field))

            def treat_many(raws: Sequence[Raw]) -> list[Raw]:
                made = iter(pseudonymise([str(raw) for raw in raws if not is_treated(raw)]))
                return [raw if is_treated(raw) else next(made) for raw in raws]

            return Treater(field, lambda raw: treat_many([raw])[0], is_treated, treat_many=treat_many)
        case TreatmentKind.RANDOM:
            back = f"@{treatment.domain}.invalid" if _written_as(field) is Identifier.EMAIL else ""
            make = lambda _: f"{RANDOM_MARKER}-{_base32(random(_RANDOM_BYTES))}{back}"  # noqa: E731
            return Treater(field, lambda raw: raw if is_treated(raw) else make(raw), is_treated)
        case TreatmentKind.SCRUB:
            return _scrub_treater(field, treatment.scrubbing or Scrubbing(), fields)


def _scrub_treater(field: Field, scrubbing: Scrubbing, fields: Iterable[Field]) -> Treater:
    """Return the treater that scrubs a text of what the fields beside it say, as long as they were not treated themselves."""
    scrubber = Scrubber(scrubbing)
    declared = {each.name: each for each in fields}
    known = [recogniser(declared[name]) if name in declared and declared[name].treatment else _empty for name in scrubbing.beside]

    def identifiers(beside: Sequence[Raw]) -> list[Raw]:
        return [raw for raw, is_treated in zip(beside, known, strict=False) if not is_treated(raw)]

    return Treater(
        field,
        lambda raw, *beside: scrubber.scrubbed(raw, identifiers(beside)),
        lambda raw, *beside: scrubber.is_scrubbed(raw, identifiers(beside)),
        scrubbing.beside,
    )


def recogniser(field: Field) -> Callable[[Raw], bool]:
    """Return the function that says whether a value of a field needs no more treatment, as far as the value alone tells.

    A pseudonym made with any key of ours is recognised by its marker, key id and exact form.
    """
    treatment = field.treatment
    if treatment is None:
        return lambda raw: raw is None
    match treatment.kind:
        case TreatmentKind.CLEAR:
            return lambda raw: raw is None
        case TreatmentKind.CONSTANT:
            value = treatment.value
            return lambda raw: raw is None or str(raw) == value
        case TreatmentKind.TRUNCATE:
            # Drivers may answer an address as an object, so texts are compared.
            return lambda raw: _empty(raw) or truncated(str(raw)) == str(raw)
        case TreatmentKind.GENERALISE:
            return partial(is_generalised, treatment)
        case TreatmentKind.PSEUDONYM:
            return _is_pseudonymised
        case TreatmentKind.RANDOM:
            return lambda raw: _empty(raw) or _RANDOM_SHAPE.fullmatch(str(raw)) is not None
        case TreatmentKind.SCRUB:
            return Scrubber(treatment.scrubbing or Scrubbing()).is_scrubbed


def _is_pseudonymised(raw: Raw) -> bool:
    """Whether a value is empty or a pseudonym."""
    # `is_pseudonym` written out: asked for every record that is read.
    if raw is None or raw == "":
        return True
    text = raw if type(raw) is str else str(raw)
    return text.startswith(MARKER) and _SHAPE.fullmatch(text) is not None


def _written_as(field: Field) -> Identifier:
    """Return as what kind of identifier the values of a field are written."""
    return field.identifier or Identifier.TEXT


def is_pseudonym(text: str) -> bool:
    """Whether a text is a pseudonym and nothing else."""
    return text.startswith(MARKER) and _SHAPE.fullmatch(text) is not None


def pseudonym_pattern(field: Field) -> str:
    """Return an SQL LIKE pattern that every pseudonym of a field matches: marker, any key id, exact length."""
    tail = f"@{field.treatment.domain}.invalid" if field.treatment and field.identifier is Identifier.EMAIL else ""
    return f"{MARKER}-%-{'_' * _LENGTH}{tail}"


def _empty(raw: Raw) -> bool:
    """Whether a raw value holds nothing."""
    return raw is None or raw == ""
