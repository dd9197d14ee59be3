"""What a Mailman keeps of each kind of record, and what is wrong, or worth knowing, about a declaration before anything is done."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass

from connectors.mailman.server import ROLES, Server
from worker.core.model import Policy
from worker.core.sources import Source
from worker.errors import Problem

DISPLAY_NAME = "display_name"
_EXTENTS = ("membership", "address", "user")
_REQUESTS = "/requests"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of record.

    key -- its key column; columns -- with @ those that take a request of their own; personal -- those of them that plainly are; optional --
    those that Mailman leaves out where there is nothing: what else it leaves out was renamed; writable -- those that can be treated;
    options -- what may be declared.
    """

    what: str
    key: str
    columns: tuple[str, ...]
    personal: tuple[str, ...]
    optional: frozenset[str]
    writable: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


MEMBERS = Kind(
    "members",
    "member_id",
    (
        "member_id",
        "email",
        DISPLAY_NAME,
        "role",
        "subscription_mode",
        "delivery_mode",
        "moderation_action",
        "bounce_score",
        "last_bounce_received",
        "last_warning_sent",
        "total_warnings_sent",
        "@delivery_status",
        "@registered_on",
        "@verified_on",
        "@user_created_on",
    ),
    ("email", DISPLAY_NAME),
    frozenset({DISPLAY_NAME, "moderation_action", "last_bounce_received", "last_warning_sent", "@verified_on"}),
    (DISPLAY_NAME,),
    ("role", "delete"),
)
LEFTOVERS = Kind(
    "left-over addresses",
    "email",
    ("email", "original_email", DISPLAY_NAME, "registered_on", "verified_on", "@user_created_on", "@user_memberships"),
    ("email", DISPLAY_NAME),
    frozenset({DISPLAY_NAME, "verified_on"}),
)
REQUESTS = Kind("requests", "token", ("email", DISPLAY_NAME, "when", "token_owner"), ("email", DISPLAY_NAME), frozenset({DISPLAY_NAME}))


def kind_of(source: Source) -> Kind:
    """Return what a source's table means."""
    if source.table == "addresses":
        return LEFTOVERS
    return REQUESTS if source.table.endswith(_REQUESTS) else MEMBERS


def list_of(source: Source) -> str:
    """Return the id of the list that a source's table names."""
    return source.table.removesuffix(_REQUESTS)


def kept_whole(source: Source) -> bool:
    """Whether address and user stay when a membership goes."""
    return source.options.get("delete") == "membership"


def declared(source: Source) -> list[Problem]:
    """Return what can't be right about a declaration, whatever Mailman says."""
    kind = kind_of(source)
    return [*_table(source, kind), *_options(source, kind), *_fields(source, kind), *_relations(source)]


def check(kind: Kind, source: Source, server: Server, policy: Policy | None, *, encrypted: bool) -> tuple[list[Problem], list[Problem]]:
    """Return (what makes the source unusable, what a person should know)."""
    version = server.get("/system/versions")
    if version is None or "mailman_version" not in version:
        return [Problem(source.name, "what answers at the address is not Mailman's REST API.", "Set the address in the settings.")], []
    if kind is not LEFTOVERS and server.get(f"/lists/{list_of(source)}") is None:
        known = difflib.get_close_matches(list_of(source), server.keys("/lists", "list_id"), n=1)
        hint = f"Did you mean {known[0]!r}?" if known else "Set the table to the list's id: news.example.com."
        return [Problem(f"{source.name}.table", "Mailman has no such list.", hint)], []
    problems = [] if policy is None else [*_treatments(source, kind, policy)]
    beside = _beside(source, server) if kind is MEMBERS else ()
    return problems, [*_worth_knowing(kind, source, encrypted=encrypted), *beside]


def _table(source: Source, kind: Kind) -> Iterator[Problem]:
    """Find tables and keys that Mailman doesn't have."""
    if kind is not LEFTOVERS and ("@" in source.table or "." not in source.table or "/" in list_of(source)):
        hint = 'Declare the id of a list ("news.example.com", not its address), "news.example.com/requests", or "addresses".'
        yield Problem(f"{source.name}.table", "is none that Mailman has.", hint)
    if source.key != (kind.key,):
        yield Problem(f"{source.name}.key", f"the key of {kind.what} is {kind.key}.", f'Declare key = "{kind.key}".')


def _options(source: Source, kind: Kind) -> Iterator[Problem]:
    """Find options that don't exist."""
    for name in source.options:
        if name not in kind.options:
            has = f"There are: {', '.join(kind.options)}." if kind.options else f"The {kind.what} have none."
            yield Problem(f"{source.name}.options.{name}", "there is no such option.", has)
    for name, known in (("role", ROLES), ("delete", _EXTENTS)):
        if name in source.options and source.options[name] not in known:
            yield Problem(f"{source.name}.options.{name}", f"is one of {', '.join(known)}.")


def _fields(source: Source, kind: Kind) -> Iterator[Problem]:
    """Find columns that these records don't have."""
    for field in source.fields:
        if field.column not in kind.columns:
            near = difflib.get_close_matches(field.column, kind.columns, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"There are {', '.join(kind.columns)}."
            yield Problem(f"{source.name}.{field.name}", f"{kind.what} have no column {field.column!r}.", hint)


def _relations(source: Source) -> Iterator[Problem]:
    """Find relations and facts over them."""
    for name in (*(each.name for each in source.relations), *(each.name for each in source.aggregates)):
        yield Problem(f"{source.name}.{name}", "Mailman's records have no relations.")


def _treatments(source: Source, kind: Kind, policy: Policy) -> Iterator[Problem]:
    """Find treatments that can't be carried out."""
    for field in policy.treatable:
        where = f"{source.name}.{field.name}"
        if kind is MEMBERS and field.column == "email":
            what = "an address can't be treated: a new one would have to be confirmed by mail, and would get the list's mails."
            yield Problem(where, what, "Let it be kept, or deleted, with its record.")
        elif field.column not in kind.writable:
            yield Problem(where, f"{field.column} of {kind.what} can't be written.", "Let it be kept, or deleted, with its record.")


def _worth_knowing(kind: Kind, source: Source, *, encrypted: bool) -> Iterator[Problem]:
    """Say what a person should know about a declaration."""
    if not encrypted:
        what = "the address is not encrypted: the password and all records can be read on the way."
        yield Problem(source.name, what, "Use https, or run on Mailman's own host.")
    for column in kind.personal:
        if not any(field.column == column for field in source.fields):
            yield Problem(source.name, f"the column {column} is not declared, and is personal.", "Declare it as a field.")
    if kept_whole(source):
        what = "only the membership is deleted: address, name and user stay in Mailman."
        yield Problem(f"{source.name}.options.delete", what, 'Declare a source with table = "addresses" for what is left over.')


def _beside(source: Source, server: Server) -> Iterator[Problem]:
    """Say what else a list keeps about people, in numbers."""
    path = f"/lists/{source.table}"
    role = source.options.get("role", "member")
    if role == "member":
        unseen = int((server.get(path) or {}).get("member_count", 0)) - server.total(f"{path}/roster/member")
        if unseen > 0:
            what = f"{unseen} members have a user without a preferred address; Mailman doesn't list them, so they are no records."
            yield Problem(source.name, what, "Give these users a preferred address, or unsubscribe them.")
    for other in ROLES:
        number = server.total(f"{path}/roster/{other}") if other != role else 0
        if number:
            hint = f'Declare a source of their own with options = {{ role = "{other}" }}.'
            yield Problem(source.name, f"{number} people are on the list as {other}, and no records of this source.", hint)
    requests, held = (int((server.get(f"{path}/{each}/count") or {}).get("count", 0)) for each in ("requests", "held"))
    if requests:
        what = f"{requests} requests for subscription wait for an answer, and are no records of this source."
        yield Problem(source.name, what, f'Declare a source with table = "{source.table}{_REQUESTS}".')
    if held:
        hint = "Decide on them in Mailman, and set the list's max_days_to_hold, so that it discards them by itself."
        yield Problem(source.name, f"{held} messages wait for a moderator, with their senders' addresses.", hint)
    bans = server.total(f"{path}/bans") + server.total("/bans")
    if bans:
        what = f"{bans} bans hold addresses. They keep people off the list on purpose and are left alone."
        yield Problem(source.name, what, "Look through them in Mailman.")
