"""The languages there are."""

from __future__ import annotations

from typing import assert_never

from worker.paper.dutch import DUTCH
from worker.paper.english import ENGLISH
from worker.paper.language import Lang, Language


def language(lang: Lang) -> Language:
    """Return the words of a language."""
    match lang:
        case Lang.NL:
            return DUTCH
        case Lang.EN:
            return ENGLISH
        case _:
            assert_never(lang)
