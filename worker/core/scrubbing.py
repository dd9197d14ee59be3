"""Personal data taken out of running text: what the record itself says of its person, and what has a form that can be recognised.

Threat model. A text that is written back has lost what was there: what is taken out by mistake (an order number that looks like a telephone
number) is gone, what is missed stays. Scrubbing is incomplete by nature: a name that the record does not know, "the neighbour with the red
car", an address spelled out, are not found. It is a treatment for texts that must stay and that others can read with the rest of the record
already treated; it makes nothing anonymous, and a text that need not stay should be cleared.

`scrubbed` is a function of the text and the record's identifiers, and a fixed point: scrubbing what it returns changes nothing. What was
taken out is named in brackets; brackets of ours are never looked into. No value makes it raise, and its time grows with the text's length
(and not faster); where a text is made to exhaust it, more is taken out, not less.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from phonenumbers import Leniency, PhoneNumberMatcher
from stdnum import iban
from stdnum.nl import bsn

from worker.core.facts import Raw
from worker.core.naming import Own, Sort, found_in, own
from worker.core.sources import Scrubbing

TELLS = (
    "@"
    r"|[0-9]([^0-9A-Za-z]{0,3}[0-9]){6}"
    r"|[0-9]{1,3}[.][0-9]{1,3}[.][0-9]{1,3}[.][0-9]"
    r"|::|([0-9A-Fa-f]{1,4}:){5}"
    r"|[A-Za-z]{2}[0-9]{2}[ -]?[0-9A-Za-z]{4}[ -]?[0-9A-Za-z]{4}"
)
"""A regular expression that Python, PostgreSQL and MariaDB read alike: a text without a match holds nothing that its form gives away."""

LANGUAGES = ("en", "nl")


class Found(Enum):
    """What was taken out."""

    NAME = "name"
    EMAIL = "email"
    PHONE = "phone"
    IBAN = "iban"
    NUMBER = "number"
    ADDRESS = "address"
    WEBSITE = "website"
    ALL = "all"


_WORDS = {
    "en": {Found.NAME: "name", Found.PHONE: "phone", Found.ALL: "removed"},
    "nl": {Found.NAME: "naam", Found.PHONE: "telefoon", Found.ALL: "verwijderd"},
}
_EVERYWHERE = {Found.EMAIL: "e-mail", Found.IBAN: "IBAN", Found.NUMBER: "BSN", Found.ADDRESS: "IP", Found.WEBSITE: "website"}
_OURS = re.compile(
    "("
    + "|".join(re.escape(f"[{word}]") for word in sorted({*_EVERYWHERE.values(), *(w for each in _WORDS.values() for w in each.values())}))
    + ")"
)
_SHORT = "*"
"""What takes the place of something where a longer word would not fit the column."""

_ROUNDS = 8
_ASKED = 500
"""So many runs of digits are looked at one by one; in a text with more, all others go too."""

_TELL = re.compile(TELLS)
_AT_LEFT, _AT_RIGHT = frozenset("!#$%&'*+-/=?^_`{|}~."), frozenset("-.")
_LONGEST_MAILBOX, _LONGEST_DOMAIN = 128, 255
_IBAN = re.compile(r"(?<![0-9A-Za-z])[A-Za-z]{2}[0-9]{2}(?:[ -]?[0-9A-Za-z]){11,30}")
_BSN = re.compile(
    r"(?<![0-9A-Za-z])(?:[0-9]{9}|[0-9]{4}[ .][0-9]{2}[ .][0-9]{3}|[0-9]{3}[ .-][0-9]{3}[ .-][0-9]{3}|[0-9]{3}[ .-][0-9]{2}[ .-][0-9]{4})"
    r"(?![0-9A-Za-z])"
)
_V4 = re.compile(r"(?<![0-9A-Za-z.])[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?![0-9A-Za-z])(?!\.[0-9])")
_V6 = re.compile(r"(?<![0-9A-Za-z:.])[0-9A-Fa-f:]{0,40}::?[0-9A-Fa-f:.]{1,40}(?![0-9A-Za-z:])")
_RUN = re.compile(r"(?<![0-9A-Za-z])[+(]{0,2}[0-9](?:[^0-9A-Za-z\n]{0,3}[0-9]){6,60}(?![0-9A-Za-z])")


Place = tuple[int, int, Found]
Finder = Callable[[str], Iterable[Place]]


@dataclass(frozen=True)
class Scrubber:
    """Scrubs texts as one field declares it."""

    scrubbing: Scrubbing

    def scrubbed(self, raw: Raw, beside: Sequence[Raw] = ()) -> Raw:
        """Return a text without what was found in it; `beside` are the record's own identifiers. Empty stays empty; never raises."""
        if raw is None or raw == "":
            return raw
        text = raw if isinstance(raw, str) else str(raw)
        identifiers = own(str(each) for each in beside if each is not None and each != "")
        result = self._settled(text, identifiers, short=False)
        if self.scrubbing.within is not None and len(result) > max(self.scrubbing.within, 1):
            result = self._settled(text, identifiers, short=True)
        return raw if result == text else result

    def is_scrubbed(self, raw: Raw, beside: Sequence[Raw] = ()) -> bool:
        """Whether scrubbing would leave a text as it is."""
        return raw is None or raw == "" or self.scrubbed(raw, beside) is raw

    def _settled(self, text: str, identifiers: Own, *, short: bool) -> str:
        """Return the text after as many rounds as it takes until nothing is found any more."""
        finders = self._finders(identifiers)
        for _ in range(_ROUNDS):
            before = text
            if _TELL.search(text) is not None:
                for finder in finders:
                    text = self._without(text, finder, short=short)
            text = self._without(text, lambda part: _named(part, identifiers), short=short)
            if text == before:
                return text
        return self._placeholder(Found.ALL, len(text), short=short)

    def _finders(self, identifiers: Own) -> tuple[Finder, ...]:
        """Return what looks for forms, in the order in which they are looked for."""
        countries = self.scrubbing.countries
        return (
            _emails,
            _ibans,
            _addresses,
            lambda text: _own_numbers(text, identifiers.numbers),
            _citizens,
            lambda text: _phones(text, countries),
        )

    def _without(self, text: str, finder: Finder, *, short: bool) -> str:
        """Return the text with what one finder finds outside of our own brackets replaced."""
        parts = _OURS.split(text)
        # Every second part is a bracket of ours.
        parts[::2] = [self._replaced(part, finder(part), short=short) if part else part for part in parts[::2]]
        return "".join(parts)

    def _replaced(self, text: str, places: Iterable[Place], *, short: bool) -> str:
        """Return a text with the word for what was found at some places, which come in order, in the place of it."""
        kept: list[str] = []
        last = 0
        for start, end, what in places:
            kept += (text[last:start], self._placeholder(what, end - start, short=short))
            last = end
        return "".join([*kept, text[last:]]) if kept else text

    def _placeholder(self, what: Found, room: int, *, short: bool) -> str:
        """Return what takes the place of something; with `short` nothing longer than it was."""
        words = _WORDS.get(self.scrubbing.language, _WORDS["en"])
        placeholder = f"[{words.get(what) or _EVERYWHERE[what]}]"
        return _SHORT if short and len(placeholder) > room else placeholder


def tells(text: str) -> bool:
    """Whether a text holds something that may be found by its form alone."""
    return _TELL.search(text) is not None


def _named(text: str, identifiers: Own) -> Iterator[Place]:
    """Yield where the record's own names, addresses and websites stand."""
    kinds = {Sort.NAME: Found.NAME, Sort.EMAIL: Found.EMAIL, Sort.WEBSITE: Found.WEBSITE, Sort.PHONE: Found.PHONE}
    for start, end, sort in found_in(text, identifiers):
        yield start, end, kinds[sort]


def _emails(text: str) -> Iterator[Place]:
    """Yield where e-mail addresses stand: what can be one on both sides of an @, and a dot in the domain."""
    last = 0
    at = text.find("@")
    while at >= 0:
        start, end = at, at + 1
        while start > max(last, at - _LONGEST_MAILBOX) and (text[start - 1].isalnum() or text[start - 1] in _AT_LEFT):
            start -= 1
        while end < min(len(text), at + _LONGEST_DOMAIN) and (text[end].isalnum() or text[end] in _AT_RIGHT):
            end += 1
        while end > at + 1 and text[end - 1] in _AT_RIGHT:
            end -= 1
        if start < at and "." in text[at + 1 : end]:
            yield start, end, Found.EMAIL
            last = end
        at = text.find("@", max(end, at + 1))


def _ibans(text: str) -> Iterator[Place]:
    """Yield where bank account numbers stand whose check digits are right (ISO 13616), followed by no further letter or digit."""
    for match in _IBAN.finditer(text):
        signs = [place for place in range(match.start(), match.end()) if text[place].isalnum()]
        for count in range(len(signs), 14, -1):
            end = signs[count - 1] + 1
            if end < len(text) and text[end].isascii() and text[end].isalnum():
                continue
            number = "".join(text[place] for place in signs[:count]).upper()
            if int("".join(str(int(sign, 36)) for sign in number[4:] + number[:4])) % 97 == 1 and iban.is_valid(number):
                yield match.start(), end, Found.IBAN
                break


def _addresses(text: str) -> list[Place]:
    """Return where IP addresses stand, in order."""
    places = [(match.start(), match.end()) for match in _V4.finditer(text) if _is_address(match.group())]
    for match in _V6.finditer(text):
        end = match.end() - (len(match.group()) - len(match.group().rstrip(".")))
        if any(sign in "0123456789abcdefABCDEF" for sign in match.group()) and _is_address(text[match.start() : end]):
            places.append((match.start(), end))
    last = 0
    found: list[Place] = []
    for start, end in sorted(places):
        if start >= last:
            found.append((start, end, Found.ADDRESS))
            last = end
    return found


def _is_address(text: str) -> bool:
    """Whether a text is an IP address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _citizens(text: str) -> Iterator[Place]:
    """Yield where Dutch citizen service numbers stand that pass the eleven test."""
    for match in _BSN.finditer(text):
        if bsn.is_valid(re.sub(r"[^0-9]", "", match.group())):
            yield match.start(), match.end(), Found.NUMBER


def _own_numbers(text: str, numbers: Sequence[str]) -> Iterator[Place]:
    """Yield where the record's own telephone numbers stand, in whatever format."""
    if not numbers:
        return
    for match in _RUN.finditer(text):
        digits = re.sub(r"[^0-9]", "", match.group())
        if any(number in digits for number in numbers):
            yield match.start(), match.end(), Found.PHONE


def _phones(text: str, countries: Sequence[str]) -> Iterator[Place]:
    """Yield where telephone numbers stand that are valid in one of the countries, or with an international prefix."""
    for number, match in enumerate(_RUN.finditer(text)):
        if number >= _ASKED:
            yield match.start(), match.end(), Found.PHONE
            continue
        last = 0
        for start, end in sorted(_numbers(match.group(), countries)):
            if start >= last:
                yield match.start() + start, match.start() + end, Found.PHONE
                last = end


def _numbers(run: str, countries: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Yield where telephone numbers stand in a run of digits."""
    for country in countries or ("ZZ",):
        for match in PhoneNumberMatcher(run, country, leniency=Leniency.VALID):
            yield match.start, match.end
