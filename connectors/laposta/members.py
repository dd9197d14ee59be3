"""The members of a list at Laposta as records.

Laposta gives out a list in one piece: no pages, no order, no filter but the state. It is read once for each look at it, and only keys and
declared columns are kept until it can be given out in order (`connectors.spooled`). Changing a member may not subscribe it again: the
state of one that unsubscribed is sent along, and what comes back is looked at; the address of one that bounced or never confirmed
isn't changed at all, because Laposta takes no such state. Whoever subscribes again between our last look and our request is unsubscribed.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from connectors.hosted import Refused
from connectors.laposta import account as laposta
from connectors.laposta.account import Account
from connectors.laposta.checks import ACTIVE, COLUMNS, CUSTOM, EMAIL, ID, STATE, UNSUBSCRIBED, UNSUBSCRIBED_AT, check
from connectors.patience import InDoubt
from connectors.spooled import Spooled
from worker.core.facts import UNREADABLE, Raw
from worker.core.model import Policy
from worker.core.select import Selection
from worker.core.sources import Source
from worker.errors import Problem
from worker.ports import Key, KeyRange, Level

_PAGE = 500
_MOST = 100
_REQUESTS_A_RECORD = 6
"""At most: the record and its history twice, the change, and reading it back."""

_ENDS = (UNSUBSCRIBED, "subscribed")
_LEFT_OUT: tuple[()] = ()
"""Stands for a value that Laposta doesn't tell; as no single value it is unreadable."""


@dataclass(slots=True)
class Member:
    """A member, as far as its columns are declared."""

    id: str
    state: str
    values: Mapping[str, Any] = field(repr=False)
    unsubscribed_at: Raw = field(default=None, repr=False)
    asked: bool = False


class Members:
    """The members of one list. pace -- how many requests a batch may take, 0 for any number."""

    level = Level.PERMANENT

    def __init__(self, source: Source, account: Account, *, encrypted: bool, pace: float) -> None:
        self._source = source
        self._account = account
        self._encrypted = encrypted
        declared = {each.column for each in source.fields} - {ID, STATE, UNSUBSCRIBED_AT}
        self._columns = sorted(declared)
        # No hold can be placed while a batch is written, and none is to end for want of time.
        self.most = max(1, min(_MOST, int(pace / 2 / _REQUESTS_A_RECORD))) if pace else _MOST
        self._changed = ("", ACTIVE)

    def pages(self, selection: Selection, within: KeyRange | None) -> Iterator[Sequence[Member]]:  # noqa: ARG002
        """Yield the members in the order of their ids; the whole list is read, and its declared columns are spooled, before the first."""
        first, last = ("", None) if within is None else (str(within.first[0]), str(within.last[0]))
        with Spooled[str](self._source.name) as spooled:

            def take(members: Iterator[laposta.Member]) -> None:
                spooled.clear()
                spooled.add(
                    (member[ID], self._packed(member)) for member in members if first <= member[ID] and (last is None or member[ID] <= last)
                )

            self._account.members(take)
            for page in spooled.pages(_PAGE):
                yield [self._unpacked(key, said) for key, said in page if said is not None]

    def _packed(self, member: laposta.Member) -> bytes:
        """Return what is declared of a member."""
        return json.dumps([member[STATE], *(_said(member, column) for column in self._columns)], separators=(",", ":")).encode()

    def _unpacked(self, key: str, said: bytes) -> Member:
        """Return a member of which that is known."""
        state, *values = json.loads(said)
        return Member(key, str(state), dict(zip(self._columns, values, strict=True)))

    def get(self, key: Key) -> Member | None:
        """Return one member as it is now."""
        found = self._account.member(str(key[0]))
        return None if found is None else self._read(found)

    def key(self, item: Member) -> Key:
        """Return a member's id, which Laposta made up and which says nothing about the person."""
        return (item.id,)

    def value(self, item: Member, column: str) -> Raw:
        """Return the value of a column; for `@unsubscribed_at` the history of a member that unsubscribed is asked for, once."""
        if column == ID:
            return item.id
        if column == STATE:
            return item.state
        if column == UNSUBSCRIBED_AT:
            return self._unsubscribed_at(item)
        said = item.values[column]
        if said is None or said == "":
            return None
        return said if isinstance(said, str | int | float) else UNREADABLE

    def delete(self, item: Member) -> None:
        """Delete a member for good."""
        self._account.delete(item.id)

    def update(self, item: Member, settings: Mapping[str, Raw]) -> None:
        """Set columns of a member; it is subscribed afterwards only if it was before."""
        if EMAIL in settings and item.state not in (ACTIVE, UNSUBSCRIBED):
            raise Refused("its address isn't changed in this state")
        form = {_parameter(column): _text(new) for column, new in settings.items()}
        if item.state == UNSUBSCRIBED:
            form[STATE] = UNSUBSCRIBED
        self._changed = (item.id, item.state)
        now = self._read(self._account.change(item.id, form))
        if self._is_resubscribed(item.id, now.state):
            # It is read back, and asked for again.
            raise InDoubt(f"{self._source.name}: a change subscribed a member again.")
        if not self.has(now, settings):
            # Laposta leaves out without a word what doesn't suit a field.
            raise Refused("HTTP 200 ignored")

    def gone(self, item: Member) -> bool:
        """Whether a member can't be had any more."""
        return self._account.member(item.id) is None

    def has(self, item: Member, settings: Mapping[str, Raw]) -> bool:
        """Whether a member has these values, and no state that a change of ours gave it."""
        if self._is_resubscribed(item.id, item.state):
            return False
        return all(_same(self.value(item, column), new) for column, new in settings.items())

    def columns(self) -> Sequence[str]:
        """Return the columns of every member, and the fields of the list."""
        return [*COLUMNS, *(CUSTOM + str(each.get("custom_name")) for each in self._account.fields())]

    def renamed(self) -> Sequence[str]:
        """Return the declared fields that the list hasn't any more."""
        declared = [each for each in self._columns if each.startswith(CUSTOM)]
        if not declared:
            return ()
        known = {CUSTOM + str(each.get("custom_name")) for each in self._account.fields()}
        return [each for each in declared if each not in known]

    def check(self, source: Source, policy: Policy | None) -> tuple[list[Problem], list[Problem]]:
        """Return (what makes the source unusable, what a person should know)."""
        return check(source, self._account, policy, encrypted=self._encrypted)

    def rights(self, account: str, *, writes: bool) -> list[str]:
        """Return what the account needs: a key opens all of an account."""
        said = [f"Laposta: {account} needs an API key of the account. Keys have no rights of their own: one opens every list."]
        return [*said, "The worker changes and deletes members one by one; it never empties or deletes a list."] if writes else said

    def close(self) -> None:
        """Let go of the connections."""
        self._account.close()

    def _read(self, member: laposta.Member) -> Member:
        """Return a member as far as its columns are declared."""
        return Member(member[ID], member[STATE], {column: _said(member, column) for column in self._columns})

    def _is_resubscribed(self, member_id: str, state: str) -> bool:
        """Whether a member that a change of ours was about is active now and was not before."""
        changed, before = self._changed
        return member_id == changed and state == ACTIVE and before != ACTIVE

    def _unsubscribed_at(self, item: Member) -> Raw:
        """Return when a member unsubscribed; None for one that didn't, unreadable when its history doesn't say."""
        if item.state != UNSUBSCRIBED:
            return None
        if not item.asked:
            told = [(each.get("type"), each.get("event_date_iso")) for each in self._account.events(item.id) if each.get("type") in _ENDS]
            # Who was back after the latest unsubscribing has left since in a way that the history doesn't tell.
            latest = _latest([moment for _, moment in told])
            item.unsubscribed_at = latest if (UNSUBSCRIBED, latest) in told else UNREADABLE
            item.asked = True
        return item.unsubscribed_at


def _latest(moments: Sequence[Any]) -> Raw:
    """Return the latest moment, in whatever order they were told; unreadable when there is none, or one that is no moment."""
    try:
        return max(moments, key=_moment)
    except (TypeError, ValueError):
        return UNREADABLE


def _moment(said: str) -> dt.datetime:
    """Return a moment; ValueError when it has no offset from UTC."""
    moment = dt.datetime.fromisoformat(said)
    if moment.tzinfo is None:
        raise ValueError
    return moment


def _said(member: laposta.Member, column: str) -> Any:
    """Return what Laposta says in a column; what it leaves out is not empty. A list without fields has an empty array for them."""
    if not column.startswith(CUSTOM):
        return member.get(column, _LEFT_OUT)
    custom = member.get("custom_fields", _LEFT_OUT)
    return custom.get(column.removeprefix(CUSTOM)) if isinstance(custom, Mapping) else None if custom == [] else _LEFT_OUT


def _parameter(column: str) -> str:
    """Return what a column is called in a request."""
    return f"custom_fields[{column.removeprefix(CUSTOM)}]" if column.startswith(CUSTOM) else column


def _same(said: Raw, new: Raw) -> bool:
    """Whether a value is what was sent; an address may come back in small letters, a day with a time."""
    told, sent = _text(said).strip().casefold(), _text(new).strip().casefold()
    return told.startswith(sent) if isinstance(new, dt.date) else told == sent


def _text(value: Raw) -> str:
    """Return a value as a form says it, nothing as an empty text."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.isoformat() if isinstance(value, dt.date) else str(value)
