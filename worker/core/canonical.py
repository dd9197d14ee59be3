"""Canonical forms: what an identifier is compared by, so that one person written two ways is one subject.

The forms are versioned: a value made with one version never equals a value made with another. Changing a form means a new version and a
migration of what was kept under the old one.

A telephone number has several forms where the country is known in which it is dialled: that of its digits as they stand, and those of the
ways in which people write the same number (`telephone`). Two numbers are one person's when they have any form in common. What was kept
before the country was known is a form of the first kind, and is found by the others. An e-mail address with something beside it has that of
the whole text and that of the address. Where one value names several people (`several`), it has the form of the whole and nobody's own.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

import idna

from worker.core.addresses import addresses, bare
from worker.core.sources import Comparison, Identifier
from worker.core.telephone import ways_of_writing, written_plainly

VERSION = "c1"


_EMAIL = f"{VERSION}:{Identifier.EMAIL.value}:"
_PHONE = f"{VERSION}:{Identifier.PHONE.value}:"
_BETWEEN_NUMBERS = re.compile(r"[;,|/\n]")


def canonical(kind: Identifier, value: str) -> str:
    """Return the canonical form of an identifier, with version and kind in front; an empty text when nothing is left to compare."""
    if kind is Identifier.EMAIL and value.isascii():
        # The long way comes to this for an address in ASCII, which nearly all are.
        text = value.strip().lower()
        return _EMAIL + text if text else ""
    text = unicodedata.normalize("NFC", value).strip()
    match kind:
        case Identifier.EMAIL:
            text = _email(text)
        case Identifier.PHONE:
            text = _phone(text)
        case Identifier.TEXT:
            text = " ".join(text.casefold().split())
    return f"{VERSION}:{kind.value}:{text}" if text else ""


def canonicals(kind: Identifier, values: Iterable[str]) -> list[str]:
    """Return `canonical` of many values."""
    if kind is not Identifier.EMAIL:
        return [canonical(kind, value) for value in values]
    # The short way written out: the calls would cost more than what they do.
    return [_EMAIL + text if value.isascii() and (text := value.strip().lower()) else canonical(kind, value) for value in values]


def other_forms(comparison: Comparison, value: str) -> tuple[str, ...]:
    """Return the canonical forms that an identifier has besides that of the value as it stands; none where it has no other.

    Those of the ways in which a telephone number is written, where it is one and its country is known; that of the one address in a text.
    """
    if comparison.kind is Identifier.EMAIL:
        found = _addressed(value)
        return found if len(found) == 1 else ()
    if comparison.kind is not Identifier.PHONE or not comparison.country:
        return ()
    return tuple([_PHONE + each for each in ways_of_writing(value.strip(), comparison.country)])


def several(comparison: Comparison, value: str) -> tuple[str, ...]:
    """Return the canonical forms of everybody whom one value names, where it names more than one: `ann@post.example; bob@post.example`."""
    if comparison.kind is Identifier.EMAIL:
        found = _addressed(value)
        return found if len(found) > 1 else ()
    if other_forms(comparison, value):
        return ()
    ways = [other_forms(comparison, each) for each in _BETWEEN_NUMBERS.split(value)] if comparison.country else []
    # Digits that are no number of their own belong to what stands beside them.
    return tuple(dict.fromkeys(form for each in ways for form in each)) if len(ways) > 1 and all(ways) else ()


def has_one_form(comparison: Comparison, values: str) -> bool:
    """Whether a value surely has its own canonical form alone and names nobody else; of many values in one text, whether all are so."""
    return bare(values) if comparison.kind is Identifier.EMAIL else not comparison.country


def _addressed(value: str) -> tuple[str, ...]:
    """Return the canonical forms of the addresses that stand in a value."""
    return tuple(dict.fromkeys(canonical(Identifier.EMAIL, each) for each in addresses(value)))


def plain(comparison: Comparison, value: str) -> bool:
    """Whether what somebody typed as a telephone number surely is one (see `telephone.written_plainly`)."""
    first = canonical(comparison.kind, value)
    return written_plainly(value, first.removeprefix(_PHONE), ways_of_writing(value.strip(), comparison.country))


def _email(text: str) -> str:
    """Return an address in lower case with its domain in ASCII (IDNA 2008, RFC 5891); mailbox names are compared without case."""
    local, at, domain = text.rpartition("@")
    if not at:
        return text.casefold()
    if not domain.isascii():
        try:
            domain = idna.encode(domain, uts46=True).decode("ascii")
        except idna.IDNAError:
            domain = domain.casefold()
    # A domain in ASCII is its own IDNA form but for its case.
    return f"{unicodedata.normalize('NFC', local.casefold())}@{domain.lower()}"


def _phone(text: str) -> str:
    """Return the digits of a number, an international prefix written as 00 and not as +, a trunk zero in brackets left out."""
    text = text.replace("(0)", "")
    digits = "".join(str(unicodedata.digit(each)) for each in text if each.isdigit())
    return f"00{digits}" if text.startswith("+") else digits
