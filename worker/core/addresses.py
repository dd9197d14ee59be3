"""E-mail addresses where a system has more than the address alone: `Ann <ann@post.example>`, `ann@post.example; bob@post.example`.

One address with a name, brackets or a word beside it is that person's. Several are several people's, and nothing tells whose the record is.
What holds no address is left to be compared as it stands. Pure; never raises.
"""

from __future__ import annotations

import re

_BESIDE = re.compile(r"[^!#-&*+.0-9=?-Z^_`a-z{}~\\-]")
"""What may stand beside addresses or between them: all but the signs of bare ones. A solidus or an apostrophe may also be part of one."""
_PIECES = re.compile(r"[\s<>()\[\],;:|\"\u201c\u201d]+")
_QUOTES = "'`\u2018\u2019"
_ADDRESS = re.compile(r"[^@]+@[\w-]+(?:\.[\w-]+)*")


def bare(text: str) -> bool:
    """Whether a text surely holds nothing beside one address; of many texts in one, whether all are so."""
    return _BESIDE.search(text) is None


def addresses(text: str) -> tuple[str, ...]:
    """Return the different addresses that stand in a text, as they stand there; nothing where it is not sure to hold any."""
    found: dict[str, str] = {}
    for piece in _PIECES.split(text):
        if "@" not in piece:
            continue
        # Between two addresses a solidus parts them, else it is part of one.
        parts = [each.strip(_QUOTES) for each in piece.split("/")]
        for each in parts if all(map(_ADDRESS.fullmatch, parts)) else [piece.strip(_QUOTES)]:
            if _ADDRESS.fullmatch(each):
                found.setdefault(each.casefold(), each)
    return tuple(found.values())
