"""One telephone number in the ways in which people write it: `06 12345678`, `+31 6 12345678` and `0031 (0)6-12345678` are one person's.

What is kept and compared are digits as somebody wrote them (`canonical`), so a number is looked for as all that it may have been written
as. The international way names it in the whole world; the national one only in its own country, so numbers of other countries have none.
What can't be a number is left to be compared as it stands.

Pure: what countries have for numbers is data of the library `phonenumbers`. A number that is long enough for its country counts although
the library does not know its range, because ranges are given out faster than installations are brought up to date.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from phonenumbers import (
    SUPPORTED_REGIONS,
    NumberParseException,
    PhoneNumber,
    ValidationResult,
    country_code_for_region,
    is_possible_number_with_reason,
    is_valid_number,
    national_significant_number,
    ndd_prefix_for_region,
    parse,
)

COUNTRIES = frozenset(SUPPORTED_REGIONS)
"""The countries whose numbers are known (ISO 3166-1 alpha-2)."""

_EXTENSION = re.compile(
    r"(?:;\s*ext\s*=|\be?xt(?:ension)?|\btoestel|\btst|\bdoorkies(?:nummer)?|\bDurchwahl|(?<![^\W\d_])[x#])[\s.:]*(\d{1,7})\s*$",
    re.IGNORECASE,
)
_PREFIXED = re.compile(r"\D*(?:[+\uff0b]|0)")
_ABROAD = re.compile(r"\W*0\W*0")
_LETTERS = re.compile(r"[^\W\d_]+")
_LONGEST = 60
_SURELY_A_NUMBER = 7
"""Fewer digits make a number only where the library knows it: what is that short is often something else."""
_NORTH_AMERICA = 1
_REMEMBERED = 10_000


def ways_of_writing(text: str, country: str) -> tuple[str, ...]:
    """Return the digits of a number as it is written: with 00 and the country's code, and in its own country as there; empty for no number.

    country -- where a number without an international prefix is dialled. An extension makes another number: `;ext=` and its digits stand
    behind. The ways are the same however the number was written. Never raises.
    """
    return () if len(text) > _LONGEST else _ways(text, country)


# One record's number is asked for by what matches it, what remembers it and what says it in the trail, a batch later each.
@lru_cache(maxsize=_REMEMBERED)
def _ways(text: str, country: str) -> tuple[str, ...]:
    extension = _EXTENSION.search(text)
    number = _number(text[: extension.start()] if extension else text, country)
    if number is None:
        return ()
    national = national_significant_number(number)
    international = f"00{number.country_code}{national}"
    if extension:
        return (f"{international};ext={int(extension[1])}",)
    if number.country_code != country_code_for_region(country):
        return (international,)
    trunk = ndd_prefix_for_region(country, True)  # noqa: FBT003 - without the sign for waiting
    ways = [international, *([trunk + national] if trunk else [])]
    # Without a trunk prefix, or where people write it as they like, which only North America does.
    if not trunk or number.country_code == _NORTH_AMERICA:
        ways.append(national)
    return tuple(ways)


def _number(text: str, country: str) -> PhoneNumber | None:
    """Return the number that a text is; None when it is none, or more than one."""
    # Letters are words beside the number ("home"), and never stand for digits as on a telephone's keys: they would make another number.
    text = _LETTERS.sub(" ", text)
    abroad = _ABROAD.match(text)
    if abroad:
        # In many countries another prefix is dialled, and still 00 is written, as it is in what is kept here.
        number = _parsed(f"+{text[abroad.end() :]}", country)
        if number is not None and is_valid_number(number):
            return number
    return _parsed(text, country)


def _parsed(text: str, country: str) -> PhoneNumber | None:
    """Return the number that a text without words is; None for none."""
    try:
        number = parse(text, country)
    except NumberParseException:
        return None
    if is_possible_number_with_reason(number) != ValidationResult.IS_POSSIBLE:
        return None
    return number if len(str(number.national_number)) >= _SURELY_A_NUMBER or is_valid_number(number) else None


def written_plainly(text: str, digits: str, ways: Sequence[str]) -> bool:
    """Whether somebody who writes this surely means the number: with an international or a trunk prefix, or as it is always written.

    digits -- of the text; ways -- what `ways_of_writing` made of it. Nine digits without a zero in front may be a Dutch mobile number that
    lost it in a spreadsheet, and as well the number of a customer.
    """
    return digits.startswith("0") or _PREFIXED.match(text) is not None or digits in ways
