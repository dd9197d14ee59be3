"""What is wrong, or worth knowing, about a mailbox before anything is done to it. No folder is named: people's names stand there too."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from connectors.hosted import Refused
from connectors.imap.message import COLUMNS, DELETED, FLAG, HEADER, KEY, RECEIVED, SENT, is_column
from connectors.imap.session import Session
from worker.core.facts import FieldType
from worker.core.model import Policy, StartEvent
from worker.core.sources import Source
from worker.errors import Problem

_NEEDED = {"t": "mark for deletion", "e": "expunge"}
_SELF_EMPTYING = frozenset({"\\Trash", "\\Junk"})


def declared(source: Source) -> list[Problem]:
    """Return what can't be right about a declaration, whatever the server says."""
    return [*_shape(source), *_fields(source)]


def check(source: Source, policy: Policy | None, session: Session, folder: str) -> tuple[list[Problem], list[Problem]]:
    """Return (what makes the source unusable, what a person should know); a source without a policy is only looked at."""
    special = session.special()
    problems: list[Problem] = []
    if policy is not None:
        problems = [*_treatments(source, policy), *_rights(source, session, folder), *_labels(source, session, special, folder)]
    session.open(folder, writable=False)
    return problems, [*_elsewhere(source, session, special, folder), *_marked(source, session), *_forgeable(source, policy)]


def _shape(source: Source) -> Iterator[Problem]:
    """Find what messages don't have."""
    if source.key != KEY:
        yield Problem(f"{source.name}.key", "the key of a message is its folder's numbering and its number.", f"Declare key = {list(KEY)}.")
    for name in source.options:
        yield Problem(f"{source.name}.options.{name}", "there is no such option.", "A mailbox has none in the policy file.")
    for name in (*(each.name for each in source.relations), *(each.name for each in source.aggregates)):
        yield Problem(f"{source.name}.{name}", "messages have no relations, and no facts over them.", "Remove it.")


def _fields(source: Source) -> Iterator[Problem]:
    """Find columns that no message has, and days that aren't read as such."""
    for field in source.fields:
        where = f"{source.name}.{field.name}"
        if not is_column(field.column):
            near = difflib.get_close_matches(field.column, COLUMNS, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"There are {', '.join(COLUMNS)}, {FLAG}NAME and {HEADER}NAME."
            yield Problem(where, f"messages have no column {field.column!r}.", hint)
        elif field.column in (RECEIVED, SENT) and field.reading.type is not FieldType.TIMESTAMP:
            yield Problem(where, "this is a moment with its own offset.", 'Declare type = "timestamp", timezone = "offset".')


def _treatments(source: Source, policy: Policy) -> Iterator[Problem]:
    """Find a policy that would change messages."""
    if policy.treatable and not policy.only_deletes:
        yield Problem(
            source.name, "messages are deleted and not treated.", 'Use the disposition "delete", and purposes that list every field.'
        )


def _rights(source: Source, session: Session, folder: str) -> Iterator[Problem]:
    """Find out what the account may not do."""
    if "UIDPLUS" not in session.capabilities:
        what = "the server can't remove one message alone (no UIDPLUS): removing it would take along what others have marked."
        yield Problem(source.name, what, "Nothing can be deleted here.")
    try:
        session.open(folder, writable=True)
    except Refused:
        yield Problem(source.name, "the account may only look into this folder.", "Give it the rights t and e.")
        return
    given = session.rights(folder) if "ACL" in session.capabilities else None
    lacking = [words for right, words in _NEEDED.items() if given is not None and right not in given]
    if DELETED.lower() not in session.permanent:
        lacking = lacking or [_NEEDED["t"]]
    if lacking:
        yield Problem(source.name, f"the account may not {' and not '.join(lacking)} here.", "Give it the rights t and e.")


def _labels(source: Source, session: Session, special: list[tuple[frozenset[str], str]], folder: str) -> Iterator[Problem]:
    """Find a server whose folders are labels, where a message that is expunged lives on under another."""
    if "X-GM-EXT-1" in session.capabilities and not any(name == folder and uses & _SELF_EMPTYING for uses, name in special):
        what = "folders are labels at this provider (Gmail): a message that is expunged here stays in All Mail."
        yield Problem(source.name, what, "Only the folders for deleted messages and for spam can be a source.")


def _elsewhere(source: Source, session: Session, special: list[tuple[frozenset[str], str]], folder: str) -> Iterator[Problem]:
    """Say which folders hold messages that are no records of this source."""
    for uses, name in special:
        count = session.count(name) if name != folder else 0
        if count:
            what = f"the folder for {' and '.join(sorted(uses))} holds {count} messages that are no records of this source."
            yield Problem(source.name, what, "Moving a message there is not erasing it: make that folder a source too.")


def _marked(source: Source, session: Session) -> Iterator[Problem]:
    """Say how many messages somebody has deleted that are still there."""
    count = len(session.positions(["DELETED"]))
    if count:
        yield Problem(source.name, f"{count} messages are marked as deleted and still there: they are records until they are expunged.")


def _forgeable(source: Source, policy: Policy | None) -> Iterator[Problem]:
    """Say when a period runs from what the sender wrote."""
    stated = {each.name for each in source.fields if each.column == SENT}
    starts = [each.start for each in policy.purposes if isinstance(each.start, StartEvent)] if policy is not None else []
    if any(stated & set(each.facts) for each in starts):
        yield Problem(source.name, f"a period runs from {SENT}, which the sender writes as he likes.", f"{RECEIVED} is the server's own.")
