"""The calls of Laposta's API that a source is made of, and what each answer means.

Threat model. Laposta has one call that empties a list (DELETE on the list's members) and one that deletes it. Neither is made in here: the
only address that is ever deleted is `/member/ID`, and ID is letters and digits or nothing is sent; it can't be empty, lead elsewhere, or
be an e-mail address, which Laposta would take too. A member that isn't there is HTTP 400 with the code 203, and so is a list that isn't: a
member is called gone only when the answer is about the member. The whole list comes in one answer, so it is read piece by piece; an
answer that breaks off, or is no list of members, is an error and never a shorter list.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from typing import Any, TypeGuard, TypeVar

import ijson

from connectors.hosted import Gone, Refused
from connectors.http import Answer, InDoubt, Service
from worker.errors import ConfigurationError, SourceFailed

T = TypeVar("T")
Member = Mapping[str, Any]
"""A member as Laposta tells it."""

HISTORY_PAGE = 1000
_ID = re.compile(r"[A-Za-z0-9]{1,64}")
_WORD = re.compile(r"[a-z_]{1,40}")
_REFUSED, _UNKNOWN = 400, 203
_DELETED = "deleted"
_FIRST_PIECES = 4096


def is_id(text: object) -> bool:
    """Whether something can be the id of a member or a list."""
    return isinstance(text, str) and _ID.fullmatch(text) is not None


def _is_member(said: object) -> TypeGuard[dict[str, Any]]:
    """Whether something is a member: it has an id, a state, on which periods rest, and the address by which holds find it."""
    return isinstance(said, dict) and is_id(said.get("member_id")) and all(isinstance(said.get(each), str) for each in ("state", "email"))


class Account:
    """One list of an account."""

    def __init__(self, source: str, service: Service, list_id: str) -> None:
        if not is_id(list_id):
            raise ConfigurationError(f"{source}: the table is the id of a list at Laposta, letters and digits.")
        self._source = source
        self._service = service
        self._list = list_id

    def close(self) -> None:
        """Let go of the connections."""
        self._service.close()

    def members(self, take: Callable[[Iterator[Member]], T], state: str | None = None) -> T:
        """Return what `take` makes of the members of the list, as they come; it may be called again from the beginning.

        state -- only members in this state; Laposta gives members of every state without.
        """
        asked = {"list_id": self._list, **({"state": state} if state else {})}
        said = self._service.streamed("/member", asked, lambda pieces: take(self._told(pieces)))
        if isinstance(said, Answer):
            raise self._unlisted(said)
        return said

    def member(self, member_id: str) -> Member | None:
        """Return a member as it is now, None when Laposta says that there is none."""
        answer = self._service.read(self._path(member_id), {"list_id": self._list})
        if answer.is_success:
            found = self._of(answer, member_id, SourceFailed)
            return found if found.get("state") != _DELETED else None
        if self._is_missing(answer):
            return None
        raise self._unlisted(answer)

    def events(self, member_id: str) -> Iterator[Mapping[str, Any]]:
        """Yield what happened to a member, the latest first."""
        asked: dict[str, Any] = {"list_id": self._list, "limit": HISTORY_PAGE, "order_by": "event_date", "order": "desc"}
        while True:
            answer = self._service.read(f"{self._path(member_id)}/history", asked)
            if not answer.is_success:
                raise self._unlisted(answer)
            said = self._object(answer)
            events, pages = said.get("data"), said.get("pagination")
            if not isinstance(events, list) or not isinstance(pages, dict):
                raise self._foreign()
            yield from (each["event"] for each in events if isinstance(each, dict) and isinstance(each.get("event"), dict))
            if not pages.get("has_more") or not pages.get("next_cursor"):
                return
            asked = {**asked, "cursor": pages["next_cursor"]}

    def fields(self) -> list[Mapping[str, Any]]:
        """Return the fields that the list's owner made, the e-mail address not among them."""
        answer = self._service.read("/field", {"list_id": self._list})
        if not answer.is_success:
            raise self._unlisted(answer)
        said = self._object(answer).get("data")
        if not isinstance(said, list) or not all(isinstance(each, dict) and isinstance(each.get("field"), dict) for each in said):
            raise self._foreign()
        return [each["field"] for each in said if not each["field"].get("is_email")]

    def change(self, member_id: str, form: Mapping[str, str]) -> Member:
        """Set fields of a member and return it as it is then; Gone, Refused, InDoubt."""
        answer = self._service.write("POST", self._path(member_id), form={"list_id": self._list, **form})
        return self._done(answer, member_id)

    def delete(self, member_id: str) -> None:
        """Delete a member for good; Gone, Refused, InDoubt."""
        member = self._done(self._service.write("DELETE", self._path(member_id), params={"list_id": self._list}), member_id)
        if member["state"] != _DELETED:
            raise InDoubt(f"{self._source}: the answer to a deletion is about a member that is there.")

    def _path(self, member_id: str) -> str:
        """Return the address of one member."""
        if not is_id(member_id):
            raise ConfigurationError(f"{self._source}: what is to be looked up or written has no id of a member; nothing was sent.")
        return f"/member/{member_id}"

    def _told(self, pieces: Iterator[bytes]) -> Iterator[Member]:
        """Yield the members that an answer holds; SourceFailed when it is no list of members or breaks off."""
        beginning = b""
        number = 0

        def kept() -> Iterator[bytes]:
            nonlocal beginning
            for piece in pieces:
                if len(beginning) < _FIRST_PIECES:
                    beginning += piece[:_FIRST_PIECES]
                yield piece

        try:
            for number, said in enumerate(ijson.items(ijson.from_iter(kept()), "data.item", use_float=True), start=1):  # noqa: B007
                member = said.get("member") if isinstance(said, dict) else {}
                if not _is_member(member):
                    raise self._foreign()
                if member.get("state") != _DELETED:
                    yield member
        except ijson.JSONError:
            raise self._foreign() from None
        if number == 0 and not _is_empty_list(beginning):
            raise self._foreign()

    def _done(self, answer: Answer, member_id: str) -> Member:
        """Return the member that an answer to a change holds; raise what else it means."""
        if answer.is_success:
            return self._of(answer, member_id, InDoubt)
        if self._is_missing(answer):
            raise Gone
        raise Refused(_in_words(answer))

    def _of(self, answer: Answer, member_id: str, otherwise: type[SourceFailed | InDoubt]) -> Member:
        """Return the member that an answer is about, or raise that it is about something else."""
        member = (answer.object() or {}).get("member")
        if not _is_member(member) or member["member_id"] != member_id:
            raise otherwise(f"{self._source}: what answers there is not Laposta, or it speaks of another member.")
        return member

    def _is_missing(self, answer: Answer) -> bool:
        """Whether an answer says that there is no such member, and not that there is no such list."""
        error = _error(answer)
        if answer.status != _REFUSED or error.get("code") != _UNKNOWN:
            return False
        if error.get("parameter") is None:
            # It doesn't say what is unknown: the member is, if the list isn't.
            return self._service.read(f"/list/{self._list}").is_success
        return bool(error["parameter"] == "member_id")

    def _object(self, answer: Answer) -> dict[str, Any]:
        """Return the object that an answer holds; SourceFailed when it holds none."""
        said = answer.object()
        if said is None:
            raise self._foreign()
        return said

    def _foreign(self) -> SourceFailed:
        """Return the error for what Laposta would not answer."""
        return SourceFailed(f"{self._source}: what answers there is not what Laposta would answer, or it broke off.")

    def _unlisted(self, answer: Answer) -> ConfigurationError:
        """Return the error for something that Laposta doesn't let be read."""
        said = _in_words(answer)
        if _error(answer).get("code") == _UNKNOWN:
            return ConfigurationError(f"{self._source}: the account has no list with the id that is the source's table ({said}).")
        return ConfigurationError(
            f"{self._source}: Laposta doesn't let it be read ({said}). The address ends in /v2, with a key of the account."
        )


def _error(answer: Answer) -> Mapping[str, Any]:
    """Return what an answer says about a mistake; nothing when it says nothing."""
    error = (answer.object() or {}).get("error")
    return error if isinstance(error, dict) else {}


def _in_words(answer: Answer) -> str:
    """Return the status, and Laposta's own word and number for a mistake: `HTTP 400 invalid_input 208`."""
    error = _error(answer)
    kind, code = error.get("type"), error.get("code")
    words = [kind if isinstance(kind, str) and _WORD.fullmatch(kind) else "", str(code) if isinstance(code, int) else ""]
    return " ".join(each for each in chain([f"HTTP {answer.status}"], words) if each)


def _is_empty_list(body: bytes) -> bool:
    """Whether the whole of an answer is a list without members."""
    return re.fullmatch(rb'\s*\{\s*"data"\s*:\s*\[\s*\]\s*\}\s*', body) is not None
