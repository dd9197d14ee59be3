"""The languages there are."""

from __future__ import annotations

from typing import assert_never

from worker.paper import Lang
from worker.reports.dutch import DUTCH
from worker.reports.english import ENGLISH
from worker.reports.language import Words


def words(lang: Lang) -> Words:
    """Return the words of a language."""
    match lang:
        case Lang.NL:
            return DUTCH
        case Lang.EN:
            return ENGLISH
        case _:
            assert_never(lang)
