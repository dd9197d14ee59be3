"""The members of one list in one role, and what goes with a membership.

Threat model. Mailman keeps a person in three places: the membership, the address and the user; its own unsubscription leaves the last two
for ever. What nothing else uses goes with the membership, in one request (Mailman ends memberships with the address or the user they go
by), so no crash leaves half of it. Nothing goes that is still used: not an address that is subscribed elsewhere, in whatever role, or that
a user with further addresses prefers; not a user with another address; not one who owns the server or a domain. That is asked directly
before. Somebody who subscribes to another list in the moment between is unsubscribed there as well: Mailman has no way to prevent it.

A membership of role `member` ends by its address and not by its id, because only that way sends no mail. So it is left alone when the
address is on the list twice (by itself and as the preferred one of its user).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum

from connectors.hosted import Gone, Refused
from connectors.http import InDoubt
from connectors.mailman.checks import DISPLAY_NAME, MEMBERS, kept_whole
from connectors.mailman.records import Entries, Entry, found
from connectors.mailman.server import Json, Server, path_of, refuse_slash, user_of
from connectors.spooled import Spooled
from worker.core.facts import UNREADABLE, Raw
from worker.core.select import Selection
from worker.core.sources import Source
from worker.errors import RetentionError
from worker.ports import KeyRange, Level

_A_LISTED_ONE = 4
"""So many addresses are listed in the time that one takes that is asked for by itself."""
_BY_ADDRESS = "as_address"
_LEFT_OUT: Mapping[str, Raw] = {"registered_on": UNREADABLE, "verified_on": None}
"""What it means when Mailman leaves one of these out of an address."""
_OF_ADDRESS = {"@registered_on": "registered_on", "@verified_on": "verified_on"}


class _Goes(Enum):
    """What goes."""

    MEMBERSHIP = 1
    ADDRESS = 2
    USER = 3


class Members(Entries):
    """The members of one list."""

    kind = MEMBERS

    def __init__(self, source: Source, server: Server, *, encrypted: bool) -> None:
        super().__init__(source, server, encrypted=encrypted)
        self._list = source.table
        self._role = source.options.get("role", "member")
        self._roster = f"/lists/{self._list}/roster/{self._role}"
        self._extent = source.options.get("delete", "address")
        self.level = Level.SOFT if kept_whole(source) else Level.PERMANENT

    def _list_keys(self, into: Spooled[str]) -> None:
        self._server.list_keys(self._roster, "member_id", into)

    def _list_entries(self, into: Spooled[str]) -> None:
        self._server.list_entries(self._roster, "member_id", into)

    def pages(self, selection: Selection, within: KeyRange | None) -> Iterator[Sequence[Entry]]:
        """Yield the members; their addresses are listed besides where days that stand with these are declared, and listing is faster."""
        days = any(field.column in _OF_ADDRESS for field in self._source.fields)
        if within is not None or not days or not self._are_most_of_all():
            yield from super().pages(selection, within)
            return
        with Spooled[str](self._source.name) as addresses:
            self._server.list_entries("/addresses", "email", addresses)
            for page in super().pages(selection, within):
                for entry in page:
                    said = addresses.get(self._email(entry))
                    if said is not None:
                        entry.asked.update(_days(json.loads(said)))
                yield page

    def _are_most_of_all(self) -> bool:
        """Whether asking for each member's address would take longer than listing all that the server has."""
        return self._server.total("/addresses") <= _A_LISTED_ONE * self._server.total(self._roster)

    def _entry(self, key: str) -> Entry | None:
        told = self._server.get(f"/members/{key}")
        if told is None or (self._server.said(told, "list_id"), self._server.said(told, "role")) != (self._list, self._role):
            return None
        return Entry(key, told)

    def _asked(self, entry: Entry, column: str) -> Raw:
        if column in _OF_ADDRESS:
            told = self._server.address(self._email(entry))
            entry.asked.update(_days(told))
            return entry.asked[column]
        if column == "@delivery_status":
            told = self._server.get(f"/members/{entry.key}/all/preferences")
            return UNREADABLE if told is None else told.get("delivery_status", UNREADABLE)
        user = user_of(entry.told)
        if not user:
            return None
        told = self._server.get(f"/users/{user}")
        return UNREADABLE if told is None else told.get("created_on", UNREADABLE)

    def _email(self, entry: Entry) -> str:
        """Return the address that a membership goes by."""
        return self._server.said(entry.told, "email")

    def delete(self, item: Entry) -> None:
        """End a membership, and take along what nothing else uses, as far as the option `delete` says."""
        email, user = self._email(item), user_of(item.told)
        goes = self._goes(item)
        if goes is _Goes.USER:
            found(self._server.delete(f"/users/{user}"))
        elif goes is _Goes.ADDRESS:
            found(self._server.delete_address(email))
        else:
            found(self._ended(item))

    def gone(self, item: Entry) -> bool:
        """Whether the membership has ended and nothing is left behind that it alone had use for."""
        if self._entry(item.key) is not None:
            return False
        if self._extent == "membership" or self._server.address(self._email(item)) is None:
            return True
        return self._goes(item) is _Goes.MEMBERSHIP

    def update(self, item: Entry, settings: Mapping[str, Raw]) -> None:
        """Set the name; it is the address's and the user's, and refused when another membership goes by one of these."""
        if {*settings} != {DISPLAY_NAME}:
            raise Refused("only the name can be changed")
        email, user = self._email(item), user_of(item.told)
        refuse_slash(email)
        addresses = {email, *(self._server.addresses(user) if user else ())}
        if any(self._others(item, each) for each in addresses):
            raise Refused("the name is that of another membership too")
        form = {DISPLAY_NAME: str(settings[DISPLAY_NAME] or "")}
        # What the member is shown by comes last: until then the record is not treated.
        paths = [path for path, kept in self._names(email, user) if kept != form[DISPLAY_NAME]]
        for number, path in enumerate(paths):
            try:
                self._server.change(path, form)
            except (RetentionError, Refused, Gone):
                if not number:
                    raise
                raise InDoubt(f"{self._source.name}: a name was changed in one of two places.") from None

    def has(self, item: Entry, settings: Mapping[str, Raw]) -> bool:
        """Whether the name is this one wherever it stands."""
        names = self._names(self._email(item), user_of(item.told))
        return super().has(item, settings) and all(kept in ("", settings[DISPLAY_NAME] or "") for _, kept in names)

    def _names(self, email: str, user: str | None) -> list[tuple[str, str]]:
        """Return the places of a member's name, and what stands there: first the user, then the address."""
        paths = [*([f"/users/{user}"] if user else []), path_of(email)]
        return [(path, str((self._server.get(path) or {}).get(DISPLAY_NAME, ""))) for path in paths]

    def _goes(self, item: Entry) -> _Goes:
        """Return what goes with a membership: what nothing else uses."""
        email, user = self._email(item), user_of(item.told)
        if self._extent == "membership" or self._others(item, email):
            return _Goes.MEMBERSHIP
        if user is None:
            return _Goes.ADDRESS
        if self._server.is_owner(user):
            return _Goes.MEMBERSHIP
        further = [each for each in self._server.addresses(user) if each != email]
        if not further or (self._extent == "user" and not any(self._server.memberships(each) for each in further)):
            return _Goes.USER
        # Without the address that it goes by, a user's own membership would stay where nobody sees it.
        return _Goes.ADDRESS if self._server.said(item.told, "subscription_mode") == _BY_ADDRESS else _Goes.MEMBERSHIP

    def _others(self, item: Entry, email: str) -> list[Json]:
        """Return the other memberships that go by an address."""
        return [each for each in self._server.memberships(email) if self._server.said(each, "member_id") != item.key]

    def _ended(self, item: Entry) -> bool:
        """End a membership and nothing else, without a mail to anybody; False when it has ended by now."""
        if self._role != "member":
            return self._server.delete(f"/members/{item.key}")
        email = self._email(item)
        told = [[self._server.said(each, name) for name in ("member_id", "list_id", "role")] for each in self._server.memberships(email)]
        here = [key for key, *where in told if where == [self._list, "member"]]
        if item.key not in here:
            return False
        if len(here) > 1:
            raise Refused("subscribed twice with one address")
        return self._server.end(self._list, email)


def _days(address: Json | None) -> dict[str, Raw]:
    """Return the columns that stand with an address; None stands for one that is gone."""
    return {name: UNREADABLE if address is None else address.get(theirs, _LEFT_OUT[theirs]) for name, theirs in _OF_ADDRESS.items()}
