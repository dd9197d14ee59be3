"""What a language has to bring so that every construct of a policy file can be said in it.

English and Dutch are values of one type, so the type checker asks each for everything; a test asks for every member of every enumeration.
Templates take their parts by name in braces and are phrases of a whole sentence, because the order of words differs.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from babel.dates import format_date
from babel.lists import format_list
from babel.numbers import format_decimal

from worker.core.conditions import Op
from worker.core.model import Combine, DispositionKind, LegalBasis
from worker.core.periods import Anchor, Bound
from worker.core.sources import Label, TreatmentKind


class Lang(StrEnum):
    """The languages that papers are written in, by their ISO 639-1 code."""

    NL = "nl"
    EN = "en"


class Unit(StrEnum):
    """The parts of a period."""

    YEARS = "years"
    MONTHS = "months"
    WEEKS = "weeks"
    DAYS = "days"


class Ordered(StrEnum):
    """What can come before or after something else; the words for it differ."""

    NUMBER = "number"
    DAY = "day"


class End(StrEnum):
    """What a person can do to end a purpose."""

    WITHDRAW = "withdraw"
    OBJECT = "object"
    ERASE = "erase"


class Phrase(StrEnum):
    """The sentences that sections are made of; each is one template."""

    KEEP = "keep"
    KEEP_IF = "keep_if"
    KEEP_INSTEAD = "keep_instead"
    FOR = "for"
    UNTIL = "until"
    UNTIL_YOU = "until_you"
    WITHOUT_END = "without_end"
    UNLESS_SOONER = "unless_sooner"
    CONSENT = "consent"
    NAMED_CONSENT = "named_consent"
    GAVE = "gave"
    IN_TIME = "in_time"
    PROMISED = "promised"
    NOT_REVIVED = "not_revived"
    WAITING = "waiting"
    WAITING_AT_ONCE = "waiting_at_once"
    STATE = "state"
    STATE_ENDED = "state_ended"
    SEEN = "seen"
    SEEN_OTHERWISE = "seen_otherwise"
    SETTLING = "settling"
    REST = "rest"
    DATA = "data"
    SHARED = "shared"
    SHARED_FOR = "shared_for"
    THEN = "then"
    DEPENDS = "depends"
    THEN_IF = "then_if"
    OTHERWISE = "otherwise"
    AFTER_STEP = "after_step"
    AGAIN = "again"
    REVIEWER = "reviewer"
    WINDOW = "window"
    BACKUPS = "backups"
    WATCH = "watch"
    SUPPRESS = "suppress"
    EARLIER = "earlier"
    FOLLOWS = "follows"
    PSEUDONYMS = "pseudonyms"
    SCRUBBED = "scrubbed"
    FOR_CLIENT = "for_client"
    FOR_NAMED_CLIENT = "for_named_client"
    FROM_DAY = "from_day"
    THROUGH = "through"


class Title(StrEnum):
    """Headings of papers and of the columns of tables."""

    STATEMENT = "statement"
    INTRODUCTION = "introduction"
    REGISTER = "register"
    SCOPE = "scope"
    CLASSES = "classes"
    CLASSES_SCOPE = "classes_scope"
    STANDARD = "standard"
    ODD_YEARS = "odd_years"
    DECLARED = "declared"
    DECLARED_SCOPE = "declared_scope"
    KIND = "kind"
    ATTESTATION = "attestation"
    REVIEW = "review"
    GAP = "gap"
    WHAT = "what"
    CATEGORIES = "categories"
    EVERY = "every"
    WITHOUT_POLICY = "without_policy"
    WITHOUT_PURPOSE = "without_purpose"
    PEOPLE = "people"
    PURPOSE = "purpose"
    BASIS = "basis"
    DATA = "data"
    RECIPIENTS = "recipients"
    PERIOD = "period"
    START = "start"
    CONDITION = "condition"
    AFTERWARDS = "afterwards"
    CLAUSE = "clause"
    VERSION = "version"
    OWNER = "owner"
    NO_START = "no_start"
    NO_PERIOD = "no_period"


@dataclass(frozen=True, slots=True)
class Language:
    """The words of one language.

    locale -- for dates, numbers and lists (Unicode CLDR); numerals -- one, two, ... in words; units -- singular and plural; truth -- yes
    and no; bases -- why, as a privacy statement says it, and articles -- as a register does; anchors -- {event}; combined -- {all} members
    with "and", the {first}, the {others} with "or"; bounds -- {period}; same and ordered -- {fact} and {value} after "if", and the
    opposite; counted -- {fact} in the plural and {value}; at_once -- the period of no days; ends -- what follows "you", with {consent};
    steps -- a main clause after an adverb; treatments -- {fields}; closing -- what holds everywhere.
    """

    lang: Lang
    locale: str
    numerals: tuple[str, ...]
    units: Mapping[Unit, tuple[str, str]]
    truth: tuple[str, str]
    bases: Mapping[LegalBasis, str]
    articles: Mapping[LegalBasis, str]
    anchors: Mapping[Anchor, str]
    combined: Mapping[Combine, str]
    bounds: Mapping[Bound, str]
    same: Mapping[Op, tuple[str, str]]
    ordered: Mapping[tuple[Ordered, Op], tuple[str, str]]
    counted: Mapping[Op, str]
    some: str
    none: str
    at_once: str
    always: str
    never: str
    ends: Mapping[End, str]
    steps: Mapping[DispositionKind, str]
    treatments: Mapping[TreatmentKind, str]
    phrases: Mapping[Phrase, str]
    titles: Mapping[Title, str]
    closing: tuple[str, ...]

    def of(self, label: Label) -> str:
        """Return a label in this language, an empty text where nobody gave one."""
        return label.nl if self.lang is Lang.NL else label.en

    def phrase(self, phrase: Phrase, **parts: str) -> str:
        """Return a sentence or a part of one with its parts filled in."""
        return self.phrases[phrase].format(**parts)

    def both(self, parts: Sequence[str]) -> str:
        """Return parts as a list with "and"."""
        return format_list(list(parts), style="standard", locale=self.locale)

    def either(self, parts: Sequence[str]) -> str:
        """Return parts as a list with "or"."""
        return format_list(list(parts), style="or", locale=self.locale)

    def amount(self, number: int, unit: Unit) -> str:
        """Return a number of years, months, weeks or days, small numbers in words."""
        said = self.numerals[number - 1] if 0 < number <= len(self.numerals) else self.value(number)
        singular, plural = self.units[unit]
        return f"{said} {singular if number == 1 else plural}"

    def value(self, value: str | int | Decimal | bool | dt.date) -> str:  # noqa: FBT001 - a value of a policy file
        """Return a constant: texts and truth in quotes, numbers and days as the language writes them."""
        match value:
            case bool():
                return f"“{self.truth[0] if value else self.truth[1]}”"
            case str():
                return f"“{value}”"
            case dt.date():
                return format_date(value, format="long", locale=self.locale)
            case _:
                return format_decimal(value, locale=self.locale, decimal_quantization=False)
