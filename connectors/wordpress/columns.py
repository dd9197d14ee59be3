"""What a comment has over REST, and what may be written into it: pure functions over the JSON of one comment.

WordPress can't tell an empty text from none, so an empty text is no value. Three things it refuses or overrules: an empty address
(`author_ip`), an empty user agent, which it replaces by its client's own, and an empty content.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from typing import Any

from worker.core.facts import UNREADABLE, Raw

Comment = Mapping[str, Any]
"""One comment as WordPress tells it in the context `edit`."""

ID, PARENT, STATUS, CONTENT, IP, AGENT = "id", "parent", "status", "content", "author_ip", "author_user_agent"
POST = "post"
TOLD: Mapping[str, type] = {ID: int, PARENT: int, STATUS: str, POST: int}
"""What every comment has, and the worker itself goes by."""
POST_STATE = "post_state"
"""Not WordPress' own: whether the post is `present`, in the `trash`, or `gone`; unreadable when nobody can tell."""
META = "meta."
NO_ADDRESS = "0.0.0.0"  # noqa: S104 - written in place of an address, never listened on
NO_AGENT = "-"

COLUMNS = (
    ID,
    POST,
    PARENT,
    "author",
    "author_name",
    "author_email",
    "author_url",
    IP,
    AGENT,
    "date",
    "date_gmt",
    CONTENT,
    STATUS,
    "type",
)
"""The columns of every comment; `meta.NAME` stands for registered comment meta."""

WRITABLE = frozenset({"author_name", "author_email", "author_url", IP, AGENT, CONTENT})


def wanted(columns: Sequence[str]) -> str:
    """Return what WordPress is asked for so that these columns can be read, and a comment rewritten."""
    names = {ID, PARENT, STATUS, IP, AGENT, POST}
    for column in columns:
        names.add("meta" if column.startswith(META) else "_links" if column == POST_STATE else column)
    return ",".join(sorted(names))


def untold(comment: Comment, fields: str) -> str | None:
    """Return a column that the worker goes by, and that was asked for and is not there as what it always was; None when all are."""
    asked = fields.split(",")
    return next((name for name, kind in TOLD.items() if name in asked and type(comment.get(name)) is not kind), None)


def value(comment: Comment, column: str) -> Raw:
    """Return the value of a column: None for nothing, unreadable for what is no single value, or is left out of the answer.

    WordPress tells every column of every comment, and all comment meta that is registered.
    """
    if column.startswith(META):
        meta = comment.get("meta")
        said = meta.get(column.removeprefix(META), UNREADABLE) if isinstance(meta, Mapping) else UNREADABLE
    else:
        said = comment.get(column, UNREADABLE)
        if column == CONTENT and isinstance(said, Mapping):
            said = said.get("raw", UNREADABLE)
    if said is None or said == "":
        return None
    return said if isinstance(said, str | int | float) else UNREADABLE


def body(comment: Comment, settings: Mapping[str, Raw]) -> dict[str, Any]:
    """Return what is sent to set columns of a comment; address and user agent always, because WordPress overwrites what it isn't sent."""
    sent: dict[str, Any] = {IP: _address(comment.get(IP)), AGENT: comment.get(AGENT) or NO_AGENT}
    meta = {name.removeprefix(META): new for name, new in settings.items() if name.startswith(META)}
    sent.update({name: "" if new is None else new for name, new in settings.items() if not name.startswith(META)})
    return {**sent, **({"meta": meta} if meta else {})}


def _address(said: object) -> str:
    """Return an address as WordPress takes it: the one that is there, or none when that is no address."""
    try:
        ip_address(str(said))
    except ValueError:
        return NO_ADDRESS
    return str(said)


def has(comment: Comment, settings: Mapping[str, Raw]) -> bool:
    """Whether a comment has these values."""
    return all(value(comment, name) == (new if new != "" else None) for name, new in settings.items())
