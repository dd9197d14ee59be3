"""Addresses that no membership goes by: what Mailman keeps of people who left, and of those who never came further than asking.

An address is looked at again directly before it goes, and is no record any more when somebody has subscribed with it. Addresses of
those who own the server or a domain are no records, nor are those for which a request for subscription waits: deciding on it needs them.
"""

from __future__ import annotations

from connectors.mailman.checks import LEFTOVERS
from connectors.mailman.records import Entries, Entry, found
from connectors.mailman.server import ROLES, user_of
from connectors.spooled import Spooled
from worker.core.facts import UNREADABLE, Raw

_AT_ONCE = 1_000


class Leftovers(Entries):
    """The left-over addresses of a whole Mailman."""

    kind = LEFTOVERS
    # That a request waits for an address can be seen in a listing only.
    listed_once = False

    def _list_keys(self, into: Spooled[str]) -> None:
        self._server.list_keys("/addresses", "email", into)
        for list_id in self._server.keys("/lists", "list_id"):
            self._leave_out(f"/lists/{list_id}/requests", "token", into)
            for role in ROLES:
                self._leave_out(f"/lists/{list_id}/roster/{role}", "member_id", into)

    def _leave_out(self, path: str, key: str, into: Spooled[str]) -> None:
        """Leave out the addresses that stand in a collection."""
        with Spooled[str](self._source.name) as used:
            self._server.list_keys(path, key, used, "email")
            for page in used.pages(_AT_ONCE):
                into.remove(email.decode() for _, email in page if email is not None)

    def _entry(self, key: str) -> Entry | None:
        told = self._server.address(key)
        if told is None or self._server.memberships(key):
            return None
        user = user_of(told)
        return None if user and self._server.is_owner(user) else Entry(key, told)

    def _asked(self, entry: Entry, column: str) -> Raw:
        user = user_of(entry.told)
        if column == "@user_memberships":
            further = self._server.addresses(user) if user else []
            return sum(len(self._server.memberships(each)) for each in further)
        if not user:
            return None
        told = self._server.get(f"/users/{user}")
        return UNREADABLE if told is None else told.get("created_on", UNREADABLE)

    def delete(self, item: Entry) -> None:
        """Delete an address, with its user when that is the user's only one."""
        user = user_of(item.told)
        alone = user is not None and self._server.addresses(user) == [item.key]
        found(self._server.delete(f"/users/{user}") if alone else self._server.delete_address(item.key))

    def gone(self, item: Entry) -> bool:
        """Whether the address is gone."""
        return self._server.address(item.key) is None
