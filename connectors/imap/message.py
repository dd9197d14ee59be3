"""What a message is to a source, and its columns: pure functions over what a server told about it, without its body.

People and programs of all kinds write headers, and strangers write those of what arrives. What can't be read for certain (two senders, a
damaged word, a date without a zone) is unreadable, so that it is kept and reported, and never a value made up.
"""

from __future__ import annotations

import binascii
import datetime as dt
import quopri
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import getaddresses, parsedate_tz

from worker.core.facts import UNREADABLE, Raw

RECEIVED, SENT, SIZE, CONTENT, FLAGS, FOLDER = "@received", "@sent", "@size", "@content", "@flags", "@folder"
FROM_NAME = "from_name"
FLAG, HEADER = "flag.", "header."
DELETED = "\\Deleted"
KEY = ("uidvalidity", "uid")

_ADDRESSES = {"from": "from", FROM_NAME: "from", "reply_to": "reply-to", "to": "to", "cc": "cc"}
_TEXTS = {"subject": "subject"}
COLUMNS = (*KEY, RECEIVED, SENT, SIZE, CONTENT, FLAGS, FOLDER, *_ADDRESSES, *_TEXTS)
"""The columns of every message; `flag.NAME` and `header.NAME` stand for one of its flags and one of its headers."""

_HEADER_NAME = re.compile(r"[A-Za-z0-9_.-]{1,76}")
_FLAG_NAME = re.compile(r"[\w$.-]{1,76}", re.ASCII)
_SYSTEM_FLAGS = frozenset({"seen", "answered", "flagged", "deleted", "draft"})
_FOLDED = re.compile(r"\r?\n(?=[ \t])")
_WORD = re.compile(r"=\?([^?*\s]+)(?:\*[^?\s]*)?\?([bBqQ])\?([^?]*)\?=")
_NOBODY = re.compile(r'[^:"<>@,]*:\s*;?')
_ZONED = re.compile(r"(?:[+-]\d{4}|\b(?:UTC?|GMT|[ECMP][SD]T))\s*(?:\([^()]*\)\s*)*$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Message:
    """One message as the server told it. received -- in UTC, None when the server didn't say; headers -- by name in lower case."""

    validity: int
    uid: int
    received: dt.datetime | None
    size: int
    flags: frozenset[str] = field(repr=False)
    headers: Mapping[str, Sequence[str]] = field(repr=False)

    @property
    def key(self) -> tuple[int, int]:
        """The number of the folder's numbering, and the message's number in it."""
        return (self.validity, self.uid)


def is_column(name: str) -> bool:
    """Whether messages have such a column."""
    if name.startswith(FLAG):
        return _FLAG_NAME.fullmatch(name.removeprefix(FLAG)) is not None
    if name.startswith(HEADER):
        return _HEADER_NAME.fullmatch(name.removeprefix(HEADER)) is not None
    return name in COLUMNS


def headers_for(columns: Sequence[str]) -> list[str]:
    """Return the headers that these columns are read from, sorted."""
    names = {_header_of(each) for each in columns}
    return sorted(name for name in names if name)


def headers_in(raw: bytes) -> dict[str, list[str]]:
    """Return headers by name in lower case, each on one line, every time it stands there; what is no ASCII is escaped (PEP 383)."""
    found: dict[str, list[str]] = {}
    for line in _FOLDED.sub("", raw.decode("ascii", "surrogateescape")).split("\n"):
        name, colon, said = line.partition(":")
        if colon:
            found.setdefault(name.strip().lower(), []).append(said.strip())
    return found


def value(message: Message, column: str, folder: str) -> Raw:
    """Return the value of a column: None for nothing, unreadable for what is no single value; KeyError for what is no column."""
    if column.startswith(FLAG):
        return _has_flag(message.flags, column.removeprefix(FLAG))
    plain: dict[str, Callable[[], Raw]] = {
        KEY[0]: lambda: message.validity,
        KEY[1]: lambda: message.uid,
        RECEIVED: lambda: message.received or UNREADABLE,
        SIZE: lambda: message.size,
        CONTENT: lambda: message.size,
        FLAGS: lambda: " ".join(sorted(message.flags)) or None,
        FOLDER: lambda: folder,
    }
    if column in plain:
        return plain[column]()
    said = message.headers.get(_header_of(column), ())
    if len(said) != 1:
        return UNREADABLE if said else None
    text = _in_unicode(said[0])
    if text is None:
        return UNREADABLE
    if column == SENT:
        return sent(text)
    return _address(text, column) if column in _ADDRESSES else decoded(text)


def sent(text: str) -> Raw:
    """Return the moment that a Date header states, with its offset; unreadable without one, or when it is no date."""
    if not text:
        return None
    found = parsedate_tz(text) if _ZONED.search(text) else None
    if found is None:
        return UNREADABLE
    try:
        zone = dt.timezone(dt.timedelta(seconds=found[9] or 0))
        return dt.datetime(*found[:6], tzinfo=zone)
    except (ValueError, OverflowError):
        return UNREADABLE


def decoded(text: str) -> Raw:
    """Return a header's text with its encoded words (RFC 2047) decoded; unreadable when one is damaged or of an unknown character set."""
    parts: list[tuple[str, bytes]] = []
    at = 0
    try:
        for word in _WORD.finditer(text):
            between = text[at : word.start()]
            if between and not (between.isspace() and at):
                parts.append(("utf-8", between.encode()))
            charset, said = word[1].lower(), _bytes_of(word[2], word[3])
            # Some programs cut a letter in two, so that only neighbouring words together can be read.
            together = not between.strip() and parts and at and parts[-1][0] == charset
            parts[-1:] = [(charset, parts[-1][1] + said)] if together else [*parts[-1:], (charset, said)]
            at = word.end()
        parts.append(("utf-8", text[at:].encode()))
        return "".join(said.decode(charset) for charset, said in parts) or None
    except (binascii.Error, LookupError, ValueError):
        return UNREADABLE


def _bytes_of(encoding: str, said: str) -> bytes:
    """Return what an encoded word encodes."""
    if encoding in "bB":
        return binascii.a2b_base64(said + "=" * (-len(said) % 4))
    return quopri.decodestring(said.encode(), header=True)


def _in_unicode(said: str) -> str | None:
    """Return a header with its bytes read as UTF-8; None when they are none."""
    try:
        return said.encode("ascii", "surrogateescape").decode()
    except UnicodeError:
        return None


def _address(text: str, column: str) -> Raw:
    """Return the address in a header, or the name beside it; where there may be several of them, all."""
    if not text or _NOBODY.fullmatch(text):
        return None
    found = getaddresses([text])
    if not found or any("@" not in address.strip("@") for _, address in found):
        return UNREADABLE
    if column in ("to", "cc"):
        return ", ".join(address for _, address in found)
    if len(found) > 1:
        return UNREADABLE
    name, address = found[0]
    return decoded(name) if column == FROM_NAME else address


def _header_of(column: str) -> str:
    """Return the header that a column is read from, in lower case; an empty text for one that is read from none."""
    if column.startswith(HEADER):
        return column.removeprefix(HEADER).lower()
    return {**_ADDRESSES, **_TEXTS, SENT: "date"}.get(column, "")


def _has_flag(flags: frozenset[str], name: str) -> bool:
    """Whether a message has a flag or keyword, by its name without the backslash that the five of the protocol begin with."""
    wanted = f"\\{name}" if name.lower() in _SYSTEM_FLAGS else name
    return wanted.lower() in {each.lower() for each in flags}
