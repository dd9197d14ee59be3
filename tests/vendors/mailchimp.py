"""A fake of Mailchimp's Marketing API 3.0, as far as the connector speaks to it; what it may say is in `mailchimp_calls`.

It behaves as the vendor's reference says: lists leave archived members out unless asked for them, everything that changes moves
`last_changed`, `fields` cuts an answer down, archiving keeps a member and its activity, and an address that was permanently deleted can't
be put in again. It was never compared with the real service.
"""

from __future__ import annotations

import base64
import copy
import datetime as dt
import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from tests.vendors.described import Description
from tests.vendors.mailchimp_calls import DESCRIPTION, MEMBER_PATH
from tests.vendors.server import Asked, Reply, Vendor, route

LIST = "a1b2c3d4e5"
KEY = "0123456789abcdef0123456789abcdef-us21"
ACTIVITIES = 50
LARGE = 10_000
"""Of more members than these the pages are remembered until something changes: they are checked once."""
OLD = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)


class BarredError(Exception):
    """The address was permanently deleted, so nobody can put it in again."""


class Mailchimp(Vendor):
    """One account with one audience.

    members -- by contact id; activity -- what a member did, by contact id, the latest first; merge -- types of merge fields by tag; barred
    -- hashes of addresses that were permanently deleted; between -- called after every page of members; role_of_key -- of the key's user;
    keeps_silent_about -- contact ids that it counts and doesn't show.
    """

    description: ClassVar[Description] = DESCRIPTION

    def __init__(self) -> None:
        super().__init__()
        self.members: dict[str, dict[str, Any]] = {}
        self.activity: dict[str, list[dict[str, str]]] = {}
        self.merge: dict[str, str] = {}
        self.barred: set[str] = set()
        self.between: Callable[[], object] = lambda: None
        self.role_of_key = "manager"
        self.keeps_silent_about: set[str] = set()
        self._sorted: dict[bool, list[dict[str, Any]]] | None = None
        self._pages: dict[str, bytes] = {}

    def address(self, key: str = KEY, url: str = "") -> str:
        """Return the address with a key, as the settings say it."""
        return (url or self.url).replace("://", f"://any:{key}@") + "/3.0"

    def put(self, contact: str, email: str, status: str = "subscribed", *, at: dt.datetime = OLD, **more: Any) -> None:
        """Put a member in, or another one in its place, as the website's form or an import does."""
        hashed = md5(email)
        if hashed in self.barred:
            raise BarredError
        self.members[contact] = {
            "id": hashed,
            "contact_id": contact,
            "email_address": email,
            "status": status,
            "merge_fields": {},
            "ip_signup": "",
            "timestamp_signup": "",
            "ip_opt": "",
            "timestamp_opt": at.isoformat(),
            "last_changed": at.isoformat(),
            "language": "nl",
            "tags": [],
            **more,
        }
        self.changed()

    def remove(self, contact: str) -> None:
        """Let a member be deleted by somebody else."""
        self.members.pop(contact, None)
        self.changed()

    def changed(self) -> None:
        """Say that members were changed from outside."""
        self._sorted = None
        self._pages.clear()

    def admits(self, asked: Asked) -> Reply | None:
        """Refuse a key that is not ours; the user name means nothing."""
        said = asked.headers.get("authorization", "").removeprefix("Basic ")
        if base64.b64decode(said).decode().partition(":")[2] == KEY:
            return None
        return problem(401, "API Key Invalid")

    @route("GET", "/lists/{list_id}/members")
    def page_of_members(self, asked: Asked) -> Reply:
        """Give a page of members."""
        if asked.places["list_id"] != LIST:
            return problem(404, "Resource Not Found")
        status = asked.query.get("status")
        found = self._in_order(archived=status == "archived")
        if status not in (None, "archived"):
            found = [each for each in found if each["status"] == status]
        if asked.query.get("sort_dir") == "DESC":
            found = found[::-1]
        at, count = int(asked.query.get("offset", 0)), int(asked.query.get("count", 10))
        fields, page_asked = asked.query["fields"].split(","), str(sorted(asked.query.items()))
        if page_asked in self._pages:
            return Reply(200, raw=self._pages[page_asked], headers={"Content-Type": "application/json"})
        wanted = [each.removeprefix("members.").split(".") for each in fields if each.startswith("members.")]
        page = [_cut(each, wanted) for each in found[at : at + count] if each["contact_id"] not in self.keeps_silent_about]
        said = {"members": page, "total_items": len(found)}
        if len(found) > LARGE:
            self._pages[page_asked] = json.dumps(said).encode()
        self.between()
        return Reply(200, said)

    @route("GET", MEMBER_PATH)
    def member(self, asked: Asked) -> Reply:
        """Give one member, found by hash, contact id or address."""
        found = self._found(asked)
        if found is None:
            return problem(404, "Resource Not Found")
        return Reply(200, _cut(found, [each.split(".") for each in asked.query["fields"].split(",")]))

    @route("PATCH", MEMBER_PATH)
    def change(self, asked: Asked) -> Reply:
        """Change a member and give it whole."""
        found = self._found(asked)
        if found is None:
            return problem(404, "Resource Not Found")
        said = copy.deepcopy(asked.json)
        merge = said.pop("merge_fields", {})
        if not merge.keys() <= self.merge.keys():
            return problem(400, "Invalid Resource")
        found["merge_fields"].update(merge)
        found.update(said)
        found["last_changed"] = self.clock.now.isoformat()
        self.changed()
        return Reply(200, found)

    @route("DELETE", MEMBER_PATH)
    def archive(self, asked: Asked) -> Reply:
        """Archive a member; one that is archived already can't be."""
        found = self._found(asked)
        if found is None:
            return problem(404, "Resource Not Found")
        if found["status"] == "archived":
            return problem(405, "Method Not Allowed")
        found |= {"status": "archived", "last_changed": self.clock.now.isoformat()}
        self.changed()
        return Reply(204)

    @route("POST", f"{MEMBER_PATH}/actions/delete-permanent")
    def delete(self, asked: Asked) -> Reply:
        """Delete a member for good; found by hash only."""
        hashed = asked.places["subscriber_hash"]
        found = next((each for each in self.members.values() if each["id"] == hashed), None) if self._is_ours(asked) else None
        if found is None:
            return problem(404, "Resource Not Found")
        self.barred.add(hashed)
        del self.members[found["contact_id"]]
        self.activity.pop(found["contact_id"], None)
        self.changed()
        return Reply(204)

    @route("GET", f"{MEMBER_PATH}/activity")
    def activities(self, asked: Asked) -> Reply:
        """Give what a member did of late: of the latest fifty activities those of the kinds that were asked for."""
        found = self._found(asked)
        if found is None:
            return problem(404, "Resource Not Found")
        kinds = asked.query["action"].split(",") if "action" in asked.query else None
        did = [each for each in self.activity.get(found["contact_id"], [])[:ACTIVITIES] if kinds is None or each["action"] in kinds]
        return Reply(200, {"activity": did, "total_items": len(did)})

    @route("GET", "/lists/{list_id}/merge-fields")
    def fields(self, asked: Asked) -> Reply:
        """Give the audience's own fields."""
        if asked.places["list_id"] != LIST:
            return problem(404, "Resource Not Found")
        return Reply(
            200, {"merge_fields": [{"tag": tag, "type": kind} for tag, kind in self.merge.items()], "total_items": len(self.merge)}
        )

    @route("GET", "/")
    def account(self, asked: Asked) -> Reply:
        """Give the account."""
        return Reply(200, {"role": self.role_of_key})

    def _is_ours(self, asked: Asked) -> bool:
        return asked.places["list_id"] == LIST

    def _found(self, asked: Asked) -> dict[str, Any] | None:
        """Return the member that a path names."""
        name = asked.places["subscriber_hash"]
        if not self._is_ours(asked):
            return None
        if name in self.members:
            return self.members[name]
        return next((each for each in self.members.values() if name in (each["id"], each["email_address"])), None)

    def _in_order(self, *, archived: bool) -> list[dict[str, Any]]:
        """Return the members by their last change."""
        if self._sorted is None:
            order = sorted(self.members.values(), key=lambda each: str(each["last_changed"]))
            self._sorted = {kind: [each for each in order if (each["status"] == "archived") is kind] for kind in (False, True)}
        return self._sorted[archived]


def md5(address: str) -> str:
    """Return Mailchimp's id of an address."""
    return hashlib.md5(address.lower().encode(), usedforsecurity=False).hexdigest()


def problem(status: int, title: str) -> Reply:
    """Return an error as Mailchimp says it."""
    said = {"type": "https://example.example/problem", "title": title, "status": status, "detail": "Said for tests.", "instance": "0"}
    return Reply(status, said, {"Content-Type": "application/problem+json; charset=utf-8"})


def _cut(said: Mapping[str, Any], wanted: list[list[str]]) -> dict[str, Any]:
    """Return those members of an object that were asked for."""
    made: dict[str, Any] = {}
    for steps in wanted:
        if steps[0] not in said:
            continue
        if len(steps) == 1:
            made[steps[0]] = said[steps[0]]
        elif isinstance(said[steps[0]], Mapping):
            found = made.setdefault(steps[0], {})
            if steps[1] in said[steps[0]]:
                found[steps[1]] = said[steps[0]][steps[1]]
    return made
