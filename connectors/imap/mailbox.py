"""The messages of one folder: how they are found, looked at, and removed for good.

Threat model. Numbers of messages mean something only within one numbering of a folder (UIDVALIDITY): it is part of every key, and no number
of another numbering is ever looked up, let alone deleted; what it named can't be told any more, and that is said, not guessed. Only the
message that is named is removed (UID EXPUNGE): a plain EXPUNGE would take along what others have marked. A server may answer OK and do
nothing: the flag is read again, and the folder is searched for the message afterwards. A folder is opened to look only (EXAMINE),
and to write when something is to be removed. No command that reads sets a flag.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from connectors.hosted import Gone, Refused
from connectors.imap.address import Address
from connectors.imap.checks import check
from connectors.imap.message import COLUMNS, DELETED, Message, headers_for, is_column, value
from connectors.imap.reach import reach
from connectors.imap.session import Session
from connectors.patience import Again, InDoubt, Limits, Turns, repeated
from worker.core.facts import UNREADABLE, Raw
from worker.core.model import Policy
from worker.core.select import Selection
from worker.core.sources import Source
from worker.errors import Problem, RetentionError, SourceFailed
from worker.ports import Key, KeyRange, Level

T = TypeVar("T")

_PAGE = 250
_WINDOW = 20_000
"""How many messages a server is asked to search at once: the library takes no line of more than a million characters."""


class Mailbox:
    """The messages of one folder as `Records`. accept_renumbered -- a person said that what old numbers named may count as gone."""

    level = Level.PERMANENT
    most = 50

    def __init__(self, source: Source, address: Address, trust: ssl.SSLContext, limits: Limits, *, accept_renumbered: bool) -> None:
        self.name = source.name
        self.folder = source.table
        self._source = source
        self._limits = limits
        self._accepted = accept_renumbered
        self._columns = [each.column for each in source.fields]
        self.headers = headers_for(self._columns)
        turns = Turns(limits.per_second)
        self._connect: Callable[[], Session] = lambda: Session(source.name, address, trust, limits, turns)
        self._own: Session | None = None
        self._idle: list[Session] = []

    def pages(self, selection: Selection, within: KeyRange | None) -> Iterator[Sequence[Message]]:
        """Yield the messages that the selection may hold, by their numbers, each once; on a connection whose positions stand still."""
        found = reach(self._source, selection)
        pages = Pages(self, found.criteria(), within)
        try:
            while not found.is_none and (page := self.patiently(pages.next)) is not None:
                if page:
                    yield page
        finally:
            pages.close()

    def get(self, key: Key) -> Message | None:
        """Return a message as it is now, None when the folder doesn't hold it; SourceFailed when the folder was numbered anew."""

        def look() -> Message | None:
            session = self._opened(writable=False)
            if not self.knows(session, key[0]):
                return None
            session.refresh()
            return session.one(int(str(key[1])), self.headers)

        return self.patiently(look)

    def key(self, item: Message) -> Key:
        """Return (the number of the numbering, the number of the message)."""
        return item.key

    def value(self, item: Message, column: str) -> Raw:
        """Return the value of a column."""
        return value(item, column, self.folder)

    def delete(self, item: Message) -> None:
        """Remove a message for good; Gone, Refused (then it isn't marked any more, unless it was before), InDoubt.

        A message by two senders, or by one who can't be read, is nobody's whom a hold could protect: it is left for a person.
        """
        if any(self.value(item, each.column) is UNREADABLE for each in self._source.identifiers):
            raise Refused("unreadable identifier")
        self.patiently(lambda: self._remove(item))

    def _remove(self, item: Message) -> None:
        session = self._opened(writable=True)
        if not self.knows(session, item.validity):
            raise Gone
        if "UIDPLUS" not in session.capabilities:
            raise Refused("IMAP without UIDPLUS")
        session.mark(item.uid)
        # A server answers OK for a message that is gone, and may for one that it doesn't let be marked. Commands by UID bring its news.
        marked = session.one(item.uid)
        if marked is None:
            raise Gone
        if DELETED not in marked.flags:
            raise Refused("IMAP mark not taken")
        try:
            session.expunge(item.uid)
        except (Refused, Again):
            self._unmark(session, item)
            raise
        try:
            stayed = session.one(item.uid) is not None
        except Again as again:
            raise InDoubt(str(again.error)) from None
        if stayed:
            self._unmark(session, item)
            raise Refused("IMAP not removed")

    def _unmark(self, session: Session, item: Message) -> None:
        """Take the mark away from a message that stays, unless somebody else had set it; what can't be had now keeps it."""
        if DELETED not in item.flags:
            with suppress(Again, Refused, RetentionError):
                session.mark(item.uid, deleted=False)

    def update(self, item: Message, settings: Mapping[str, Raw]) -> None:  # noqa: ARG002
        """Refuse: a message can't be changed."""
        raise Refused("a message can't be changed")

    def gone(self, item: Message) -> bool:
        """Whether the folder doesn't hold a message any more, asked anew; SourceFailed when the folder was numbered anew."""
        return self.get(item.key) is None

    def has(self, item: Message, settings: Mapping[str, Raw]) -> bool:
        """Whether a message has these values."""
        return all(self.value(item, name) == new for name, new in settings.items())

    def columns(self) -> Sequence[str]:
        """Return the columns of every message, and the flags and headers that are declared: a message may have any."""
        return sorted({*COLUMNS, *filter(is_column, self._columns)})

    def check(self, source: Source, policy: Policy | None) -> tuple[list[Problem], list[Problem]]:
        """Return (what makes the source unusable, what a person should know); nothing is written."""
        return self.patiently(lambda: check(source, policy, self._signed_in(), self.folder))

    def rights(self, account: str, *, writes: bool) -> list[str]:
        """Return in words what the account needs (RFC 4314)."""
        if not writes:
            return [f"IMAP: {account} must be able to see and read the folder (rights l, r)."]
        return [f"IMAP: {account} must be able to see, read, mark and expunge in the folder (rights l, r, t, e); UIDPLUS is needed."]

    def close(self) -> None:
        """Sign out of every connection."""
        for session in (*self._idle, *([self._own] if self._own else [])):
            session.close()
        self._idle, self._own = [], None

    # --- For the pages ----------------------------------------------------------------------------------------------------------------

    def patiently(self, ask: Callable[[], T]) -> T:
        """Ask as often as it takes."""
        return repeated(self.name, self._limits, ask)

    def borrowed(self) -> Session:
        """Return a connection of one's own with the folder opened to look only, until it is given back."""
        session = self._idle.pop() if self._idle else self._connect()
        try:
            session.open(self.folder, writable=False)
        except BaseException:
            session.close()
            raise
        return session

    def give_back(self, session: Session) -> None:
        """Take back a connection; one that is broken is let go."""
        if session.broken:
            session.close()
        else:
            self._idle.append(session)

    def knows(self, session: Session, validity: object) -> bool:
        """Whether a numbering is the folder's own; SourceFailed when it isn't, or False where a person said that this may be."""
        if session.validity == validity:
            return True
        if self._accepted:
            return False
        raise SourceFailed(
            f"{self.name}: the folder was numbered anew (UIDVALIDITY), so what the old numbers named can't be looked up. Make a new plan. "
            "When a batch or a run from before is to be closed all the same, set the option renumbered to accept: "
            "its messages then count as gone."
        )

    def _signed_in(self) -> Session:
        """Return the connection for single messages."""
        if self._own is not None and self._own.broken:
            self._own.close()
            self._own = None
        if self._own is None:
            self._own = self._connect()
        return self._own

    def _opened(self, *, writable: bool) -> Session:
        """Return the connection for single messages with the folder open; one that may write may look."""
        session = self._signed_in()
        if session.writable is None or (writable and not session.writable):
            session.open(self.folder, writable=writable)
        return session


class Pages:
    """Goes through a folder from the lowest number up, and goes on behind the last one it gave on another connection when one breaks."""

    def __init__(self, mailbox: Mailbox, criteria: Sequence[Any], within: KeyRange | None) -> None:
        self._mailbox = mailbox
        self._criteria = criteria
        self._within = within
        self._session: Session | None = None
        self._validity: int | None = None
        self._after = 0
        self._low = 1
        self._found: Sequence[int] = ()

    def next(self) -> list[Message] | None:
        """Return the next messages, perhaps none, or None at the end; Again when it is to be asked for once more."""
        session = self._open()
        if self._empty(session):
            return None
        if not self._found:
            if self._low > session.exists:
                return None
            self._found = self._window(session)
        some, rest = self._found[:_PAGE], self._found[_PAGE:]
        page = session.fetch(some, self._mailbox.headers) if some else []
        # Only what has arrived is behind us.
        self._found = rest
        page = [each for each in page if each.uid > self._after]
        self._after = max((each.uid for each in page), default=self._after)
        return page

    def close(self) -> None:
        """Give back the connection."""
        if self._session is not None:
            self._mailbox.give_back(self._session)
            self._session = None

    def _open(self) -> Session:
        """Return the connection, another one when it broke; SourceFailed when the folder was numbered anew meanwhile."""
        if self._session is not None and self._session.broken:
            self.close()
        if self._session is None:
            self._session = self._mailbox.borrowed()
            self._low, self._found = 1, ()
            if self._validity not in (None, self._session.validity):
                raise SourceFailed(f"{self._mailbox.name}: the folder was numbered anew (UIDVALIDITY) while it was read; try again.")
            self._validity = self._session.validity
        return self._session

    def _empty(self, session: Session) -> bool:
        """Whether the range is one of another numbering, which a person said may be."""
        if self._within is None:
            return False
        return not all(self._mailbox.knows(session, each[0]) for each in (self._within.first, self._within.last))

    def _window(self, session: Session) -> Sequence[int]:
        """Return the positions of the messages that are wanted in the next window."""
        low, high = self._low, min(self._low + _WINDOW - 1, session.exists)
        wanted = [*self._criteria]
        if self._after:
            wanted += ["UID", f"{self._after + 1}:*"]
        if self._within is not None:
            wanted += ["UID", f"{self._within.first[1]!s}:{self._within.last[1]!s}"]
        found = session.positions([f"{low}:{high}", *wanted]) if wanted else range(low, high + 1)
        self._low = high + 1
        return found
