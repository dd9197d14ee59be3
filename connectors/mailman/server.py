"""One Mailman over REST: listing that misses nobody while people come and go, and what each answer means.

Mailman pages by number, in the order of addresses, and whoever unsubscribes moves all behind. A listing is believed when every page says
the same total, as many entries were met, and the last one of each page still stands where it stood after the next page was read. Else it is
made again, of the keys alone: what was told of those that are still there counts, whatever page it stood on.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any
from urllib.parse import quote

from connectors.hosted import Gone, Refused
from connectors.http import Answer, InDoubt, Service
from connectors.spooled import Spooled
from worker.errors import ConfigurationError, SourceFailed

Json = Mapping[str, Any]

ROLES = ("member", "nonmember", "owner", "moderator")
_SLASH = "/"
_PATIENCE = 5
_KEYS = 10
_NOT_FOUND = 404
_NO_CONTENT = 204
_CHUNK = 1_000


class Server:
    """The requests that are sent to one Mailman.

    page -- how many entries are asked for at once, of keys ten times as many.
    """

    def __init__(self, source: str, service: Service, *, page: int) -> None:
        self._source = source
        self._service = service
        self._page = page

    def list_keys(self, path: str, key: str, into: Spooled[str], other: str | None = None) -> None:
        """Put the keys of a collection into what may hold many, each with another attribute; key, other -- the names of these."""
        kept = other or key
        # Of members Mailman tells the attributes that it is asked for, ten times as fast; of others always all.
        fields = [key, kept] if "/roster/" in path else []
        for _ in range(_PATIENCE):
            if self._pass(path, key, into, lambda entry: self.said(entry, kept).encode(), page=self._page * _KEYS, fields=fields):
                return
        raise SourceFailed(f"{self._source}: records came and went faster than they can be listed; try again later.")

    def list_entries(self, path: str, key: str, into: Spooled[str]) -> None:
        """Put all entries of a collection by their keys, as JSON, into what may hold many; of some perhaps nothing but the key."""
        if self._pass(path, key, into, _packed, page=self._page, fields=[], through=True):
            return
        with Spooled[str](self._source) as there:
            self.list_keys(path, key, there)
            for page in into.pages(_CHUNK):
                into.remove(each for each, _ in page if each not in there)
            for page in there.pages(_CHUNK):
                into.add((each, None) for each, _ in page if each not in into)

    def keys(self, path: str, key: str) -> list[str]:
        """Return the keys of a collection of which there are few."""
        with Spooled[str](self._source) as found:
            self.list_keys(path, key, found)
            return [each for page in found.pages(_CHUNK) for each, _ in page]

    def total(self, path: str) -> int:
        """Return how many entries a collection has."""
        return self._part(path, {"count": 1, "page": 1})[0]

    def entries(self, path: str, **params: str) -> list[Json]:
        """Return all entries of a collection that is small; SourceFailed when they are not as many as Mailman says."""
        total, entries = self._part(path, params)
        return self._all_of(total, entries)

    def get(self, path: str) -> Json | None:
        """Return what there is at a path; None only when Mailman itself says that there is nothing."""
        answer = self._service.read(path)
        return None if _is_none(answer) else self._told(answer)

    def address(self, email: str) -> Json | None:
        """Return what Mailman keeps of an address, None of one that it doesn't have.

        One with a slash can't be asked for by itself, because Mailman takes what is behind that for a path: it is looked for among all.
        """
        if _SLASH not in email:
            return self.get(path_of(email))
        with Spooled[str](self._source) as known:
            self.list_entries("/addresses", "email", known)
            said = known.get(email)
            if said is None and email in known:
                raise SourceFailed(f"{self._source}: addresses came and went faster than they can be listed; try again later.")
        return json.loads(said) if said is not None else None

    def delete_address(self, email: str) -> bool:
        """Delete an address as `delete` does; Refused for one that Mailman can't be asked for by itself."""
        refuse_slash(email)
        return self.delete(path_of(email))

    def memberships(self, email: str) -> list[Json]:
        """Return every membership that goes by an address, on any list and in any role."""
        # A star is a wildcard there, so more may come back.
        return [each for each in self.entries("/members/find", subscriber=email) if self.said(each, "email") == email]

    def addresses(self, user: str) -> list[str]:
        """Return the addresses of a user; none of one who is gone."""
        told = self.get(f"/users/{user}/addresses")
        if told is None:
            return []
        return [self.said(each, "email") for each in self._all_of(told.get("total_size"), told.get("entries", []))]

    def said(self, entry: Json, name: str) -> str:
        """Return an attribute that Mailman tells of every such entry and the worker goes by; SourceFailed when it is left out."""
        said = entry.get(name)
        if not isinstance(said, str) or not said:
            what = f"Mailman doesn't tell {name!r} where it always did, so nobody can tell what may go"
            raise SourceFailed(f"{self._source}: {what}. Compare its version with the one that this was made for.")
        return said

    def is_owner(self, user: str) -> bool:
        """Whether a user owns the server or one of its domains, which would be left without."""
        told = self.get(f"/users/{user}")
        if told is not None and "is_server_owner" not in told:
            raise SourceFailed(f"{self._source}: Mailman doesn't tell 'is_server_owner' of a user, so nobody can tell who may go.")
        return user in self._domain_owners or (told is not None and told["is_server_owner"] is True)

    def delete(self, path: str) -> bool:
        """Delete what there is at a path; False when there was nothing. Raises Refused, InDoubt."""
        return self._done(self._service.write("DELETE", path))

    def change(self, path: str, form: Mapping[str, str]) -> None:
        """Set attributes of what there is at a path; raises Gone, Refused, InDoubt."""
        if not self._done(self._service.write("PATCH", path, form=form)):
            raise Gone

    def decide(self, path: str, action: str) -> bool:
        """Answer what waits for a moderator at a path; False when there was nothing. Raises Refused, InDoubt."""
        return self._done(self._service.write("POST", path, form={"action": action}))

    def end(self, list_id: str, email: str) -> bool:
        """End the membership of an address on a list without a word to anybody; False when there was none. Raises Refused, InDoubt.

        The way of a single membership (DELETE /members/ID) says goodbye to the member and tells the owners, as the list is set.
        """
        answer = self._service.write("DELETE", f"/lists/{list_id}/roster/member", form={"emails": [email]})
        if not answer.is_success:
            raise Refused(answer.in_words("title"))
        ended = (_table(answer) or {}).get(email)
        if not isinstance(ended, bool):
            raise InDoubt(f"{self._source}: the answer to a change says nothing about it.")
        return ended

    def close(self) -> None:
        """Let go of the connections."""
        self._service.close()

    @cached_property
    def _domain_owners(self) -> frozenset[str]:
        hosts = [quote(self.said(each, "mail_host"), safe="") for each in self.entries("/domains")]
        return frozenset(self.said(each, "user_id") for host in hosts for each in self.entries(f"/domains/{host}/owners"))

    def _pass(
        self,
        path: str,
        key: str,
        into: Spooled[str],
        kept: Callable[[Json], bytes],
        *,
        page: int,
        fields: Sequence[str],
        through: bool = False,
    ) -> bool:
        """Hold what one listing says; False when entries moved meanwhile. through -- whether it goes on then all the same."""
        into.clear()
        first, number, last, moved = None, 1, None, False
        while True:
            total, entries = self._part(path, {"count": page, "page": number, "fields": fields})
            first = total if first is None else first
            moved = moved or total != first or (last is not None and not self._stands(path, key, (number - 1) * page, last))
            if moved and not through:
                return False
            into.add((self.said(each, key), kept(each)) for each in entries)
            if number * page >= total or not entries:
                return not moved and number * page >= total and len(into) == total
            last, number = self.said(entries[-1], key), number + 1

    def _stands(self, path: str, key: str, number: int, last: str) -> bool:
        """Whether the entry with a number still is the one that was met as that."""
        _, entries = self._part(path, {"count": 1, "page": number})
        return [last] == [self.said(each, key) for each in entries]

    def _part(self, path: str, params: Mapping[str, Any]) -> tuple[int, list[Json]]:
        """Return the size of a collection, and the entries of one page of it."""
        answer = self._service.read(path, {name: said for name, said in params.items() if said})
        if _is_none(answer):
            raise ConfigurationError(f"{self._source}: Mailman knows no {path.split('?')[0]}; set the table to the id of a list.")
        told = self._told(answer)
        total, entries = told.get("total_size"), told.get("entries", [])
        if not isinstance(total, int) or not isinstance(entries, list):
            raise SourceFailed(f"{self._source}: the answer of {path.split('/')[1]} is no list of Mailman's.")
        return total, entries

    def _all_of(self, total: object, entries: object) -> list[Json]:
        """Return entries that are as many as Mailman says; what it lists under another name would else look like none."""
        if not isinstance(entries, list) or len(entries) != total:
            raise SourceFailed(f"{self._source}: Mailman shows another number of entries than it counts, so none of it is believed.")
        return entries

    def _told(self, answer: Answer) -> Json:
        """Return what an answer to a reading request says; it is never empty."""
        if not answer.is_success:
            raise SourceFailed(f"{self._source}: Mailman doesn't show what it was asked for ({answer.in_words('title')}).")
        told = _table(answer)
        if told is None:
            raise SourceFailed(f"{self._source}: what answers at the address is not Mailman's REST API.")
        return told

    def _done(self, answer: Answer) -> bool:
        """Whether a change was made; False when there was nothing to change."""
        if _is_none(answer):
            return False
        if not answer.is_success:
            raise Refused(answer.in_words("title"))
        if answer.status != _NO_CONTENT:
            raise InDoubt(f"{self._source}: the answer to a change is not Mailman's.")
        return True


def _packed(entry: Json) -> bytes:
    """Return an entry as bytes."""
    return json.dumps(entry, separators=(",", ":")).encode()


def _is_none(answer: Answer) -> bool:
    """Whether it is Mailman that says there is nothing, and not something that stands before it."""
    told = _table(answer) if answer.status == _NOT_FOUND else None
    return told is not None and str(told.get("title", "")).startswith(str(_NOT_FOUND))


def _table(answer: Answer) -> Json | None:
    """Return the table that an answer holds."""
    try:
        said = answer.json()
    except ValueError:
        return None
    return said if isinstance(said, dict) else None


def path_of(email: str) -> str:
    """Return the path of an address."""
    return f"/addresses/{quote(email, safe='@')}"


def refuse_slash(email: str) -> None:
    """Raise Refused for an address whose own path leads nowhere: Mailman would say that there is no such address."""
    if _SLASH in email:
        raise Refused("a slash in the address")


def user_of(entry: Json) -> str | None:
    """Return the id of the user whom a member or an address belongs to."""
    link = entry.get("user")
    return str(link).rsplit("/", 1)[-1] if link else None
