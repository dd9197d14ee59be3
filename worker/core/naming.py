"""How one person's own identifiers may be written in a running text: other case and accents, initials, another order, another format.

Names are taken apart into words. Every word of a name that is more than a particle ("van der") is found wherever it stands as a word,
alone or with the initials, particles and other words of the same name around it: "Jansen", "P. Jansen", "Jansen, P.J.", "pieter jansen".
A word that is also an ordinary one ("Will", "Roos"), and one of two letters, counts only with a capital. What this misses is said in
`docs/policies.md`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from worker.core.folding import Folded, folded


def _words(*lines: str) -> frozenset[str]:
    """Return the words of some lines."""
    return frozenset(word for line in lines for word in line.split())


_PARTICLES = _words(
    "van de den der het ten ter te von zu zur zum vom vor la le les du da di do dos das del della el al bin ibn ben of the and und en et y",
    "op in aan bij tot uit mr mrs ms miss dr ir ing drs prof dhr mevr mw heer mevrouw herr frau jr sr st",
)
_ORDINARY = _words(
    "will mark rose may june april august grace hope faith joy art sue bill rob pat nick dan wil mag roos bloem loes hans anker bakker",
    "visser smit mulder groot klein lang kort wit zwart groen bruin koning prins jong oude boer berg bos beek dijk vos haas weber fischer",
    "koch richter gross jung long young brown white black green king price cook baker page wood bush rich ernst frank",
)
"""Names that are words of every day in Dutch, English or German."""

_NOBODYS = _words(
    "info mail email contact office admin webmaster hello hallo post sales support service team noreply reply kontakt buero kantoor",
    "administratie facturen factuur invoice jobs vacature sollicitatie personeel receptie online website shop",
)
"""Mailbox names that are nobody's."""

_MOST_WORDS, _MOST_LETTERS = 12, 200
"""What is longer is no name but a text; only the whole of it is looked for then."""

_TELLING = 4
"""Shorter parts of a mailbox name are found in every other word."""

_SHORTEST_PHONE, _SUBSCRIBER = 7, 9
_WORD = re.compile(r"[^\W\d_]+")
_NOT_AFTER_A_LETTER, _NOT_BEFORE_A_LETTER = r"(?<![^\W\d_])", r"(?![^\W\d_])"
_GLUE = r"[\s.,'\-]{1,3}"
_DIGRAPHS = (("ae", "a"), ("oe", "o"), ("ue", "u"), ("aa", "a"))
_AS_TWO = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa", "ø": "oe"})


class Sort(Enum):
    """What kind of identifier something is."""

    NAME = "name"
    EMAIL = "email"
    PHONE = "phone"
    WEBSITE = "website"


@dataclass(frozen=True, slots=True)
class Own:
    """The identifiers of one record, taken apart, folded.

    words -- parts of names found in any case; capitals -- parts found only with a capital; particles and initials -- what belongs to a name
    when it stands beside one of its words; wholes -- found as they are; numbers -- the last digits of telephone numbers.
    """

    words: frozenset[str] = frozenset()
    capitals: frozenset[str] = frozenset()
    particles: frozenset[str] = frozenset()
    initials: frozenset[str] = frozenset()
    wholes: tuple[tuple[str, Sort], ...] = ()
    numbers: tuple[str, ...] = ()


def own(values: Iterable[str]) -> Own:
    """Return the identifiers that some values state; what kind each is shows from its form."""
    words: set[str] = set()
    names: list[list[str]] = []
    wholes: dict[str, Sort] = {}
    numbers: dict[str, None] = {}
    for value in values:
        written = unicodedata.normalize("NFC", value.strip()[: _MOST_LETTERS * 10])
        plain, as_two = folded(written).text, folded(written.lower().translate(_AS_TWO)).text
        digits = re.sub(r"[^0-9]", "", plain)
        parts = _WORD.findall(plain)
        if "@" in plain:
            local = plain.rpartition("@")[0]
            wholes[plain] = Sort.EMAIL
            if len(local) >= _TELLING and local not in _NOBODYS | _ORDINARY:
                wholes[local] = Sort.NAME
            words.update(each for each in _WORD.findall(local) if len(each) >= _TELLING and each not in _NOBODYS)
        elif len(digits) >= _SHORTEST_PHONE and len(digits) > sum(map(len, parts)):
            numbers[digits[-_SUBSCRIBER:].lstrip("0")] = None
        elif "://" in plain or plain.startswith("www."):
            wholes[re.sub(r"^[a-z]+://", "", plain).removeprefix("www.").rstrip("/")] = Sort.WEBSITE
        else:
            if len(parts) <= _MOST_WORDS and len(plain) <= _MOST_LETTERS:
                names += [parts, _WORD.findall(as_two)]
            if len(parts) != 1 or digits:
                wholes[plain] = Sort.NAME
    for parts in names:
        words.update(each for each in parts if len(each) > 1 and each not in _PARTICLES)
    several = {variant for word in words for variant in _spellings(word)}
    capitals = {each for each in several if len(each) == 2 or each in _ORDINARY}
    return Own(
        frozenset(several - capitals),
        frozenset(capitals),
        frozenset(each for parts in names for each in parts if each in _PARTICLES and len(each) > 1),
        frozenset(each[0] for parts in names for each in parts if each not in _PARTICLES),
        tuple((whole, sort) for whole, sort in wholes.items() if sum(map(str.isalnum, whole)) > 2),
        tuple(each for each in numbers if len(each) >= _SHORTEST_PHONE - 1),
    )


def _spellings(word: str) -> set[str]:
    """Return a word as it is, and with ae, oe, ue and aa written as the one letter they may stand for."""
    return {word, *(word.replace(two, one) for two, one in _DIGRAPHS if len(word) > 4)}


def found_in(text: str, identifiers: Own) -> list[tuple[int, int, Sort]]:
    """Return where in a text names, addresses and websites of a record stand, as (start, end, what), in order and without overlap."""
    words = identifiers.words | identifiers.capitals
    if not words and not identifiers.wholes:
        return []
    where = folded(text)
    # Nearly every text names nobody: asked before anything is compiled. An umlaut may be written as two letters in the text.
    plain = where.text
    there = [whole for whole in identifiers.wholes if whole[0] in plain]
    present = {word for word in words if word in plain}
    if not present and not there:
        return []
    places = [(match.start(), match.end(), sort) for whole, sort in there for match in _whole(whole).finditer(plain)]
    if present:
        pattern = _runs(present, identifiers)
        places += [(match.start(), match.end(), Sort.NAME) for match in pattern.finditer(plain) if _is_meant(where, match, identifiers)]
    return list(_grown(sorted(((*where.place(start, end), sort) for start, end, sort in places), key=lambda each: (each[0], -each[1]))))


def _whole(text: str) -> re.Pattern[str]:
    """Return the pattern of a text that stands alone."""
    return re.compile(rf"(?<![^\W_]){re.escape(text)}(?![^\W_])")


def _runs(present: set[str], identifiers: Own) -> re.Pattern[str]:
    """Return the pattern of a name: at least one of its words, with the initials, particles and words that belong to it."""
    word = "|".join(map(re.escape, sorted(present, key=len, reverse=True)))
    long = "|".join(re.escape(each) for each in sorted(present, key=len, reverse=True) if len(each) > 4)
    initial = f"[{re.escape(''.join(sorted(identifiers.initials)))}]" if identifiers.initials else r"(?!)"
    particle = "|".join(map(re.escape, sorted(identifiers.particles, key=len, reverse=True))) or r"(?!)"
    one = rf"(?:(?:{word})|{initial}{{1,2}}(?:{long or '(?!)'}))(?:'?s)?{_NOT_BEFORE_A_LETTER}"
    before = rf"(?:(?:{initial}{{1,4}}|{particle}){_GLUE}){{0,8}}"
    end = _NOT_BEFORE_A_LETTER
    after = rf"(?:{_GLUE}{one}|{_GLUE}(?:{particle}){end}|,\s?{initial}{{1,4}}{end}\.?|\s?{initial}\.){{0,12}}"
    return re.compile(rf"{_NOT_AFTER_A_LETTER}{before}{_NOT_AFTER_A_LETTER}{one}{after}\d{{0,4}}")


def _is_meant(where: Folded, match: re.Match[str], identifiers: Own) -> bool:
    """Whether a run of words is a name and no ordinary words: a word that is only a name is in it, or one with a capital."""
    for word in _WORD.finditer(match.group()):
        text = word.group()
        stems = {text, text.removesuffix("s"), *(text[cut:] for cut in (1, 2))}
        if stems & identifiers.words:
            return True
        start, _ = where.place(match.start() + word.start(), match.start() + word.end())
        if stems & identifiers.capitals and not where.original[start].islower():
            return True
    return False


def _grown(places: Iterable[tuple[int, int, Sort]]) -> Iterable[tuple[int, int, Sort]]:
    """Yield places in order, those that overlap as one."""
    current: tuple[int, int, Sort] | None = None
    for start, end, sort in places:
        if current is not None and start < current[1]:
            current = (current[0], max(end, current[1]), current[2])
        else:
            if current is not None:
                yield current
            current = (start, end, sort)
    if current is not None:
        yield current
