"""A fake of Laposta: one account with one list, that behaves as the vendor's description and its texts say.

What empties or deletes a list is not described, so a request for it fails the test.
"""

from __future__ import annotations

import base64
import datetime as dt
import random
import re
from collections.abc import Mapping
from typing import Any

from tests.vendors.laposta_calls import DESCRIPTION
from tests.vendors.server import Asked, Reply, Vendor, route

LIST = "BaImMu3JZA"
KEY = "JdMtbsMq2jqJdQZD9AHC"
EMPTY, UNKNOWN, EXISTS, NO_ADDRESS = 201, 203, 204, 208
STATES = ("active", "unsubscribed", "unconfirmed", "cleaned")
_FIELD = re.compile(r"custom_fields\[([^\]]+)\]")


def mistake(message: str, code: int | None = None, parameter: str | None = None, *, status: int = 400) -> Reply:
    """Return the answer to a request that is wrong."""
    said = {"type": "invalid_request" if code == UNKNOWN or status == 401 else "invalid_input", "message": message}
    return Reply(status, {"error": {**said, **({"code": code} if code else {}), **({"parameter": parameter} if parameter else {})}})


class Laposta(Vendor):
    """One list.

    members -- as the API tells them, by id; events -- their history, the earliest first; fields -- the list's own, by name;
    activates -- when a member is active again whose address is changed: `never`, `unless told` the state in the same request, or `always`;
    says_parameter -- whether a mistake names what was unknown; lists -- the states that a listing of all holds.
    """

    description = DESCRIPTION

    def __init__(self) -> None:
        super().__init__()
        self.members: dict[str, dict[str, Any]] = {}
        self.events: dict[str, list[tuple[str, str]]] = {}
        self.fields: dict[str, dict[str, Any]] = {}
        self.activates = "never"
        self.says_parameter = True
        self.lists: tuple[str, ...] = STATES
        self._order = random.Random(7)

    def add(self, member_id: str, email: str, state: str = "active", /, *, signed_up: str = "2020-01-01", **custom: Any) -> None:
        """Put a member on the list."""
        moment = f"{signed_up}T10:00:00+01:00"
        self.members[member_id] = {
            "member_id": member_id,
            "list_id": LIST,
            "email": email,
            "state": state,
            "timezone": "Europe/Amsterdam",
            "signup_date": f"{signed_up} 10:00:00",
            "signup_date_iso": moment,
            "modified": None,
            "modified_iso": None,
            "confirm_date": None,
            "confirm_date_iso": None,
            "ip": "192.0.2.9",
            "source_url": "",
            "custom_fields": custom,
        }
        self.events[member_id] = [("subscribed", moment)]

    def unsubscribe(self, member_id: str, moment: str) -> None:
        """Let a member unsubscribe at a moment, with its offset."""
        self.members[member_id].update(state="unsubscribed", modified_iso=moment)
        self.events[member_id].append(("unsubscribed", moment))

    def make_field(self, name: str, datatype: str = "text", *, required: bool = False) -> None:
        """Give the list a field."""
        self.fields[name] = {"field_id": f"f{len(self.fields)}", "list_id": LIST, "name": name, "custom_name": name}
        self.fields[name] |= {"datatype": datatype, "state": "active", "required": required, "is_email": False}

    def admits(self, asked: Asked) -> Reply | None:
        """Refuse a key that is not the account's."""
        right = base64.b64encode(f"{KEY}:".encode()).decode()
        return None if asked.headers.get("authorization") == f"Basic {right}" else mistake("No valid API key", status=401)

    @route("GET", "/member")
    def listed(self, asked: Asked) -> Reply:
        """All members, in no order."""
        if asked.query["list_id"] != LIST:
            return self._unknown("list_id")
        state = asked.query.get("state")
        chosen = [each for each in self.members.values() if (each["state"] == state if state else each["state"] in self.lists)]
        self._order.shuffle(chosen)
        return Reply(body={"data": [{"member": each} for each in chosen]})

    @route("GET", "/member/{member_id}")
    def one(self, asked: Asked) -> Reply:
        """One member."""
        return self._missing(asked, asked.query) or Reply(body={"member": self.members[asked.places["member_id"]]})

    @route("POST", "/member/{member_id}")
    def change(self, asked: Asked) -> Reply:
        """Set what is named, and leave the rest."""
        form = asked.form
        missing = self._missing(asked, form)
        if missing is not None:
            return missing
        member = self.members[asked.places["member_id"]]
        custom = {found[1]: text for name, text in form.items() if (found := _FIELD.fullmatch(name))}
        wrong = self._wrong(member, form, custom)
        if wrong is not None:
            return wrong
        member["custom_fields"] |= custom
        state = form.get("state", member["state"])
        if form.get("email", member["email"]) != member["email"]:
            member["email"] = form["email"]
            if self.activates == "always" or (self.activates == "unless told" and "state" not in form):
                state = "active"
        now = self.clock.now.astimezone(dt.timezone(dt.timedelta(hours=2)))
        member.update(state=state, modified=f"{now:%Y-%m-%d %H:%M:%S}", modified_iso=now.isoformat())
        return Reply(body={"member": member})

    @route("DELETE", "/member/{member_id}")
    def delete(self, asked: Asked) -> Reply:
        """Delete a member for good."""
        missing = self._missing(asked, asked.query)
        if missing is not None:
            return missing
        gone = self.members.pop(asked.places["member_id"])
        self.events.pop(gone["member_id"], None)
        return Reply(body={"member": {**gone, "state": "deleted"}})

    @route("GET", "/member/{member_id}/history")
    def history(self, asked: Asked) -> Reply:
        """Tell what happened to a member, in pages of at most three, whatever was asked for: whoever reads on gets all."""
        missing = self._missing(asked, asked.query)
        if missing is not None:
            return missing
        events = list(self.events[asked.places["member_id"]])
        if asked.query.get("order", "desc") == "desc":
            events.reverse()
        start = int(asked.query.get("cursor", "0"))
        more = start + 3 < len(events)
        data = [{"event": {"type": kind, "event_date_iso": moment}} for kind, moment in events[start : start + 3]]
        return Reply(body={"data": data, "pagination": {"limit": 3, "has_more": more, "next_cursor": str(start + 3) if more else None}})

    @route("GET", "/field")
    def described(self, asked: Asked) -> Reply:
        """Tell the list's fields, the one for the address among them."""
        if asked.query["list_id"] != LIST:
            return self._unknown("list_id")
        email = {"field_id": "f", "custom_name": "email", "datatype": "text", "is_email": True}
        return Reply(body={"data": [{"field": each} for each in (email, *self.fields.values())]})

    @route("GET", "/list/{list_id}")
    def about(self, asked: Asked) -> Reply:
        """Tell about the list itself."""
        return Reply(body={"list": {"list_id": LIST, "name": "Letter"}}) if asked.places["list_id"] == LIST else self._unknown("list_id")

    def _missing(self, asked: Asked, said: Mapping[str, str]) -> Reply | None:
        """Return the answer when there is no such list or member."""
        if said.get("list_id") != LIST:
            return self._unknown("list_id")
        return None if asked.places["member_id"] in self.members else self._unknown("member_id")

    def _unknown(self, parameter: str) -> Reply:
        return mistake(f"Unknown {parameter}", UNKNOWN, parameter if self.says_parameter else None)

    def _wrong(self, member: Mapping[str, Any], form: Mapping[str, str], custom: Mapping[str, str]) -> Reply | None:
        """Return what Laposta says against a change."""
        email = form.get("email")
        if email is not None and "@" not in email:
            return mistake(f"Not an address: {email}", NO_ADDRESS, "email")
        if email is not None and any(each["email"] == email for each in self.members.values() if each is not member):
            return mistake(f"{email} exists", EXISTS, "email")
        if form.get("state", "active") not in ("active", "unsubscribed"):
            return mistake("No such state", UNKNOWN, "state")
        for name, text in custom.items():
            if name not in self.fields:
                return mistake("Unknown field", UNKNOWN, f"custom_fields[{name}]")
            if not text and self.fields[name]["required"]:
                return mistake("Mandatory field", EMPTY, f"custom_fields[{name}]")
        return None
