"""One audience over the API: paging that misses nobody while members come, go and change, and what each answer means.

Mailchimp pages by an offset and can't sort by a key. Whoever goes moves all behind him a place forward, whoever changes moves to the end
(the lists are sorted by the last change). So pages overlap: a page counts when it begins with a member of the page before it, else one
further back is asked for; and a list has ended only when as many different members were met as Mailchimp says there were all along, else it
is walked again for the rest. Without a status Mailchimp leaves archived members out, so those are a list of their own.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote

from connectors.hosted import Gone, Refused
from connectors.http import Answer, InDoubt, Service
from connectors.mailchimp.columns import ADDRESS, ARCHIVED, HASH, KEY, STATUS, Said
from connectors.spooled import Spooled
from worker.errors import ConfigurationError, SourceFailed

PAGE = 1000
"""The most that Mailchimp gives in one answer."""

_MOST_FIELDS = 100
_ALWAYS = (KEY, STATUS, ADDRESS)
_PATIENCE = 5
_MISSING = "Resource Not Found"
_OK, _DONE, _FORBIDDEN, _NOT_FOUND = 200, 204, 403, 404


class Audience:
    """The members of one audience. fields -- what is asked for of each; archives -- archived members are left out, being deleted."""

    def __init__(self, source: str, service: Service, audience: str, fields: Sequence[str], *, archives: bool) -> None:
        self._source = source
        self._service = service
        self._path = f"/lists/{quote(audience, safe='')}"
        self._fields = fields
        self._archives = archives

    def members(self) -> Iterator[Said]:
        """Yield every member once, in no order that means anything."""
        yield from self._all(self._fields)

    def keys(self) -> Iterator[str]:
        """Yield the keys of all members once, in no order; nothing else is asked for."""
        yield from (each[KEY] for each in self._all((KEY,)))

    def get(self, key: str) -> Said | None:
        """Return a member as it is now; None only when Mailchimp itself says that there is none."""
        answer = self._service.read(self._member(key), {"fields": ",".join(self._fields)})
        if self._is_missing(answer):
            return None
        said = self._object(answer, "the account may not read members")
        if said.get(KEY) != key or not _is_member(said, self._fields):
            raise SourceFailed(f"{self._source}: Mailchimp answered with another member than was asked for.")
        return said

    def unsubscribed_at(self, key: str) -> str | None:
        """Return the latest moment at which a member unsubscribed, by the activity that Mailchimp keeps; None when that says nothing."""
        answer = self._service.read(
            f"{self._member(key)}/activity", {"action": "unsub", "fields": "activity.action,activity.timestamp,total_items"}
        )
        if self._is_missing(answer):
            return None
        said = self._object(answer, "the account may not read the activity of members").get("activity")
        if not isinstance(said, list):
            raise SourceFailed(f"{self._source}: what answers there is not Mailchimp's list of activities.")
        if not all(isinstance(each, dict) and each.get("action") and each.get("timestamp") for each in said):
            return "?"
        try:
            # What is no moment with an offset makes the fact unknown, so the member is kept and reported.
            return max((str(each["timestamp"]) for each in said if each["action"] == "unsub"), key=datetime.fromisoformat, default=None)
        except (ValueError, TypeError):
            return "?"

    def update(self, key: str, body: Mapping[str, Any]) -> Said:
        """Set fields of a member, required ones too, and return the member as Mailchimp has it then."""
        answer = self._service.write("PATCH", self._member(key), params={"skip_merge_validation": "true"}, body=body)
        self._refused(answer)
        said = answer.object()
        if answer.status != _OK or said is None or said.get(KEY) != key:
            raise InDoubt(f"{self._source}: the answer to a change is not Mailchimp's own.")
        return said

    def delete(self, member: Said) -> None:
        """Delete a member for good. This call alone wants the hash of the address."""
        known = str(member.get(HASH) or "")
        if not known:
            raise Refused("no address")
        self._done(self._service.write("POST", f"{self._member(known)}/actions/delete-permanent"))

    def archive(self, key: str) -> None:
        """Archive a member."""
        self._done(self._service.write("DELETE", self._member(key)))

    def merge_fields(self) -> dict[str, str]:
        """Return the type of each of the audience's own fields, by its tag."""
        asked = {"count": _MOST_FIELDS, "fields": "merge_fields.tag,merge_fields.type,total_items"}
        said = self._object(self._service.read(f"{self._path}/merge-fields", asked), "the account may not read the audience's fields").get(
            "merge_fields"
        )
        if not isinstance(said, list):
            raise SourceFailed(f"{self._source}: what answers there is not Mailchimp's list of merge fields.")
        return {str(each["tag"]): str(each.get("type", "")) for each in said if isinstance(each, dict) and each.get("tag")}

    def role(self) -> str:
        """Return the role of the user whose key it is: owner, admin, manager, author or viewer; empty when Mailchimp doesn't say."""
        return str(self._object(self._service.read("/", {"fields": "role"}), "the key may not be used").get("role") or "")

    def count(self, **asked: str) -> int:
        """Return how many members there are, archived ones not counted unless asked for."""
        return self._page(asked, (KEY,), 0, 1)[1]

    def _all(self, fields: Sequence[str]) -> Iterator[Said]:
        """Yield every member once."""
        with Spooled[str](self._source) as met, Spooled[str](self._source) as archived:
            yield from self._walked({}, fields, met)
            if not self._archives:
                yield from (each for each in self._walked({"status": ARCHIVED}, fields, archived) if each[KEY] not in met)

    def _walked(self, asked: Mapping[str, str], fields: Sequence[str], met: Spooled[str]) -> Iterator[Said]:
        """Yield the members of one list, each once, and remember who was met."""
        for _ in range(_PATIENCE):
            total = yield from self._once_through(asked, fields, met)
            if len(met) >= total:
                return
        raise SourceFailed(f"{self._source}: Mailchimp counts members that it doesn't show, or they change faster than they can be read.")

    def _once_through(self, asked: Mapping[str, str], fields: Sequence[str], met: Spooled[str]) -> Generator[Said, None, int]:
        """Yield the members of one list who were not met; return how many there were all along, by what Mailchimp says."""
        before: set[str] = set()
        at, back, steps = 0, 1, 0
        fewest: int | None = None
        while True:
            page, total = self._page(asked, fields, at, PAGE)
            if page and at + len(page) > total:
                # A list ends where the count says; a count that is too low would end it early.
                steps += 1
                if steps > _PATIENCE:
                    raise SourceFailed(f"{self._source}: Mailchimp shows more members than it counts; try again later.")
                continue
            fewest = total if fewest is None else min(fewest, total)
            if at and not (page and page[0][KEY] in before):
                # Somebody before this place went: whoever lies between may have moved in front of it.
                steps += 1
                if steps > _PATIENCE * (2 + total // PAGE):
                    raise SourceFailed(f"{self._source}: members go faster than they can be read; try again later.")
                at, back = max(0, at - back), back * 10
                continue
            new = [each for each in page if each[KEY] not in met]
            met.add((each[KEY], None) for each in new)
            yield from new
            if len(page) <= 1 or at + len(page) >= total:
                return fewest
            before, back = {each[KEY] for each in page}, 1
            at += len(page) - 1

    def _page(self, asked: Mapping[str, str], fields: Sequence[str], offset: int, count: int) -> tuple[list[Said], int]:
        """Return members from an offset on, and how many there are in all."""
        wanted = ",".join([*(f"members.{each}" for each in fields), "total_items"])
        paging = {"count": count, "offset": offset, "sort_field": "last_changed", "sort_dir": "ASC", "fields": wanted}
        answer = self._service.read(f"{self._path}/members", {**asked, **paging})
        if answer.status == _NOT_FOUND:
            raise ConfigurationError(
                f"{self._source}: there is no such audience for this key (HTTP 404). Set `table` to the audience's id, which stands in "
                "Mailchimp under Settings, Audience name and defaults, and the address to that of the key's data centre."
            )
        said = self._object(answer, "the account may not read members")
        page, total = said.get("members"), said.get("total_items")
        if not isinstance(page, list) or not isinstance(total, int) or not all(_is_member(each, fields) for each in page):
            raise SourceFailed(f"{self._source}: what answers there is not Mailchimp's list of members (a proxy, a notice?).")
        return page, total

    def _member(self, key: str) -> str:
        """Return the path of a member, which is never that of all of them."""
        if not key:
            raise ConfigurationError(f"{self._source}: a member has no empty key.")
        return f"{self._path}/members/{quote(key, safe='')}"

    def _done(self, answer: Answer) -> None:
        """Return when Mailchimp did what it was asked to; Gone, Refused or InDoubt."""
        self._refused(answer)
        if answer.status != _DONE:
            raise InDoubt(f"{self._source}: the answer to a change is not Mailchimp's own.")

    def _refused(self, answer: Answer) -> None:
        """Raise Gone or Refused for an answer that says so."""
        if self._is_missing(answer):
            raise Gone
        if not answer.is_success:
            raise Refused(answer.in_words("title", "code"))

    def _is_missing(self, answer: Answer) -> bool:
        """Whether Mailchimp itself says that there is no such member; any other 404 may come from anything on the way."""
        said = answer.object() or {}
        return answer.status == said.get("status") == _NOT_FOUND and said.get("title") == _MISSING

    def _object(self, answer: Answer, forbidden: str) -> dict[str, Any]:
        """Return the object that an answer holds; ConfigurationError for a refusal, SourceFailed when it holds none."""
        if answer.status == _FORBIDDEN:
            raise ConfigurationError(
                f"{self._source}: {forbidden} ({answer.in_words('title')}). Use the key of a user who may, at its own data centre."
            )
        said = answer.object()
        if not answer.is_success or said is None:
            raise SourceFailed(f"{self._source}: what answers there is not Mailchimp (HTTP {answer.status}).")
        return said


def _is_member(said: object, fields: Sequence[str]) -> bool:
    """Whether this is a member, with a key, and, where they were asked for, a status and the address that holds are matched on."""
    return isinstance(said, dict) and all(isinstance(said.get(each), str) and bool(said[each]) for each in _ALWAYS if each in fields)


def is_busy(answer: Answer) -> bool:
    """Whether an answer asks for fewer requests: a 403 without Mailchimp's JSON comes from the guard in front of it."""
    return answer.status == _FORBIDDEN and answer.object() is None
