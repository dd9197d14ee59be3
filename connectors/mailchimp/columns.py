"""What a member has, and what may be written into it: pure functions over the JSON of one member.

The key is `contact_id`, not Mailchimp's `id`: that is the MD5 of the address, which anybody can guess back, and it changes with it. It is
needed for one call only, so it is read with the member, sent, and never shown as a column. Mailchimp can't tell an empty text from none, so
an empty text is no value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from worker.core.facts import UNREADABLE, Raw

Said = Mapping[str, Any]
"""One member as Mailchimp tells it, cut down to what was asked for."""

KEY, HASH, STATUS, ADDRESS = "contact_id", "id", "status", "email_address"
MERGE = "merge_fields."
UNSUBSCRIBED_AT = "@unsubscribed_at"
"""Not Mailchimp's own: when a member who is unsubscribed did that; empty when nothing says so."""
UNSUBSCRIBED, ARCHIVED = "unsubscribed", "archived"
TAGS = "tags"

COLUMNS = (
    KEY,
    ADDRESS,
    "full_name",
    STATUS,
    "unsubscribe_reason",
    "email_type",
    "language",
    "vip",
    "ip_signup",
    "timestamp_signup",
    "ip_opt",
    "timestamp_opt",
    "last_changed",
    "member_rating",
    "email_client",
    "location.latitude",
    "location.longitude",
    "location.country_code",
    "location.region",
    "location.timezone",
    "sms_phone_number",
    "sms_subscription_status",
    "source",
    "last_note.note",
    "last_note.created_at",
    TAGS,
)
"""The columns of every member; `merge_fields.TAG` stands for the audience's own, and `@unsubscribed_at` for what the activity says."""

PERSONAL = (
    "full_name",
    "ip_signup",
    "ip_opt",
    "location.latitude",
    "location.longitude",
    "sms_phone_number",
    "last_note.note",
)
"""Columns that say something about a person in every audience."""

_OPTIONAL = frozenset({"unsubscribe_reason", "sms_phone_number", "sms_subscription_status", "last_note"})
"""What Mailchimp tells only of members who have it; all else it always tells, as an empty text if need be."""
_OPTED_IN = ("timestamp_signup", "timestamp_opt")

WRITABLE = frozenset({"language", "ip_signup", "ip_opt"})
"""What may be written besides merge fields. Not the address: under a new one mail could be sent again, and the old one barred no more."""


def is_column(name: str) -> bool:
    """Whether members have such a column, or may have."""
    return name in (*COLUMNS, UNSUBSCRIBED_AT) or (name.startswith(MERGE) and len(name) > len(MERGE))


def is_writable(name: str) -> bool:
    """Whether a column of a member can be set."""
    return name in WRITABLE or name.startswith(MERGE)


def wanted(columns: Sequence[str]) -> tuple[str, ...]:
    """Return what Mailchimp is asked for, and nothing more, so that these columns can be read."""
    beside = _OPTED_IN if UNSUBSCRIBED_AT in columns else ()
    return tuple(sorted({KEY, HASH, STATUS, *beside, *(each for each in columns if each != UNSUBSCRIBED_AT)}))


def value(said: Said, column: str) -> Raw:
    """Return the value of a column; None for nothing. Tags, and an address of several lines, become one text; KeyError for no column.

    What Mailchimp always tells and here leaves out is unreadable: it was renamed, and is not empty.
    """
    if not is_column(column) or column == UNSUBSCRIBED_AT:
        raise KeyError(column)
    first, *inner = column.split(".", 1)
    found: Any = said.get(first, None if first in _OPTIONAL else UNREADABLE)
    if inner and not (found is None and first in _OPTIONAL):
        found = found.get(inner[0], UNREADABLE) if isinstance(found, Mapping) else UNREADABLE
    if column == TAGS and isinstance(found, list):
        names = [each.get("name") for each in found if isinstance(each, Mapping)]
        found = names if len(names) == len(found) and all(names) else UNREADABLE
    elif isinstance(found, Mapping):
        found = list(found.values())
    if isinstance(found, list):
        found = ", ".join(str(each) for each in found if each)
    if found is None or found == "":
        return None
    return found if isinstance(found, str | int | float) else UNREADABLE


def ended(said: Said, unsubscribed_at: str | None) -> Raw:
    """Return when a member who is unsubscribed did that, by what the activity says; None when it is about an earlier subscription.

    Who opted in again later, and was then unsubscribed by somebody else, has no activity that says when.
    """
    opted = [value(said, each) for each in _OPTED_IN]
    if unsubscribed_at is None or UNREADABLE in opted:
        return unsubscribed_at and UNREADABLE
    try:
        left = datetime.fromisoformat(unsubscribed_at)
        return None if any(datetime.fromisoformat(str(each)) > left for each in opted if each is not None) else unsubscribed_at
    except (TypeError, ValueError):
        return UNREADABLE


def body(settings: Mapping[str, Raw]) -> dict[str, Any]:
    """Return what is sent to set columns of a member; never a status, so that nobody is subscribed by it."""
    sent = {name: "" if new is None else new for name, new in settings.items()}
    merge = {name.removeprefix(MERGE): new for name, new in sent.items() if name.startswith(MERGE)}
    return {**{name: new for name, new in sent.items() if not name.startswith(MERGE)}, **({"merge_fields": merge} if merge else {})}


def has(said: Said, settings: Mapping[str, Raw]) -> bool:
    """Whether a member has these values; numbers may have become texts."""
    return all(_text(value(said, name)) == _text(new) for name, new in settings.items())


def _text(said: Raw) -> str:
    """Return a value as it is compared."""
    return "" if said is None else str(said)
