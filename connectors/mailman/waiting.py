"""Requests to be put on a list that nobody confirmed or decided. Discarding one tells nobody; its address stays and is a left-over then.

The key is the request's token, with which its owner can confirm it; like all keys it is shown nowhere.
"""

from __future__ import annotations

from urllib.parse import quote

from connectors.mailman.checks import REQUESTS, list_of
from connectors.mailman.records import Entries, Entry, found
from connectors.spooled import Spooled


class Requests(Entries):
    """The requests for subscription of one list. Those for leaving it are no records: whoever asked wants them carried out."""

    kind = REQUESTS

    @property
    def _path(self) -> str:
        return f"/lists/{list_of(self._source)}/requests"

    def _list_keys(self, into: Spooled[str]) -> None:
        self._server.list_keys(self._path, "token", into)

    def _list_entries(self, into: Spooled[str]) -> None:
        self._server.list_entries(self._path, "token", into)

    def _entry(self, key: str) -> Entry | None:
        told = self._server.get(f"{self._path}/{quote(key, safe='')}")
        # Mailman gives out any token's request, whatever list is asked.
        if told is None or [self._server.said(told, name) for name in ("list_id", "type")] != [list_of(self._source), "subscription"]:
            return None
        return Entry(key, told)

    def delete(self, item: Entry) -> None:
        """Discard a request."""
        found(self._server.decide(f"{self._path}/{quote(item.key, safe='')}", "discard"))

    def gone(self, item: Entry) -> bool:
        """Whether the request is gone."""
        return self._entry(item.key) is None
