"""Texts without case and accents, for finding what was written otherwise, with the way back to where it stood.

"Müller", "MULLER" and a decomposed "Mu¨ller" are one word here. A sign may become several (ß: ss) or none (a combining accent), so what is
found in a folded text is led back to the original by position.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from functools import lru_cache

_STROKES = {"ø": "o", "đ": "d", "ð": "d", "ł": "l", "ħ": "h", "ŧ": "t", "æ": "ae", "œ": "oe", "þ": "th", "ı": "i", "’": "'", "‐": "-"}
"""Letters that no decomposition brings back to the plain ones that people write for them, and typographic signs."""


@dataclass(frozen=True, slots=True)
class Folded:
    """A folded text. positions -- where each of its signs stood in the original; None when every sign stands where it stood."""

    original: str
    text: str
    positions: tuple[int, ...] | None = None

    def place(self, start: int, end: int) -> tuple[int, int]:
        """Return (start, end) in the original of a part of the folded text, accents behind it included."""
        if self.positions is None:
            return start, end
        last = self.positions[end - 1] + 1
        while last < len(self.original) and unicodedata.combining(self.original[last]):
            last += 1
        return self.positions[start], last


def folded(text: str) -> Folded:
    """Return a text in small letters without accents."""
    if text.isascii():
        return Folded(text, text.lower())
    parts: list[str] = []
    positions: list[int] = []
    for position, sign in enumerate(text):
        part = _folded(sign)
        parts.append(part)
        positions.extend([position] * len(part))
    return Folded(text, "".join(parts), tuple(positions))


@lru_cache(maxsize=4096)
def _folded(sign: str) -> str:
    """Return one sign folded."""
    plain = "".join(each for each in unicodedata.normalize("NFKD", sign).casefold() if not unicodedata.combining(each))
    return "".join(_STROKES.get(each, each) for each in plain)
