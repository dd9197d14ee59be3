"""A fake of Brevo's contacts: an account that behaves as the vendor's description and its texts say."""

from __future__ import annotations

import datetime as dt
from typing import Any

from tests.vendors.brevo_calls import DESCRIPTION
from tests.vendors.server import Asked, Reply, Vendor, route

KEY = "xkeysib-81b2c3d4-canary"


def mistake(status: int, code: str, message: str) -> Reply:
    """Return the answer to a request that is wrong."""
    return Reply(status, {"code": code, "message": message})


class Brevo(Vendor):
    """The contacts of one account, in the order in which they were made.

    contacts -- as the API tells them, by number; attributes -- the account's, each with its type, None when it doesn't show them;
    lifts -- when a change of an address lifts its block: `unless told` otherwise in the same request, or `always`, so that it takes a
    request of its own to block it again; shuffled -- whether contacts come in another order than that of their numbers;
    lingers -- how often a contact is shown by itself after it was deleted.
    """

    description = DESCRIPTION

    def __init__(self) -> None:
        super().__init__()
        self.contacts: dict[int, dict[str, Any]] = {}
        self.attributes: dict[str, str] | None = {}
        self.lifts = "unless told"
        self.shuffled = False
        self.lingers = 0
        self._ghosts: dict[int, list[dict[str, Any]]] = {}
        self._numbers: list[int] | None = None

    def add(self, number: int, email: str, lists: tuple[int, ...] = (), /, *, blocked: bool = False, **attributes: Any) -> None:
        """Put a contact into the account."""
        moment = dt.datetime(2020, 1, 1, tzinfo=dt.UTC) + dt.timedelta(minutes=number % 1_000_000)
        self.contacts[number] = {
            "id": number,
            "email": email,
            "emailBlacklisted": blocked,
            "smsBlacklisted": blocked,
            "createdAt": moment.isoformat(),
            "modifiedAt": moment.isoformat(),
            "listIds": list(lists),
            "attributes": attributes,
        }
        self._numbers = None

    def remove(self, number: int) -> None:
        """Take a contact away."""
        self.contacts.pop(number, None)
        self._numbers = None

    def clear(self) -> None:
        """Take all contacts away."""
        self.contacts.clear()
        self._numbers = None

    def admits(self, asked: Asked) -> Reply | None:
        """Refuse a key that is not the account's."""
        return None if asked.headers.get("api-key") == KEY else mistake(401, "unauthorized", "Key not found")

    @route("GET", "/contacts")
    def listed(self, asked: Asked) -> Reply:
        """Tell contacts from an offset on; what goes moves those behind it."""
        if self._numbers is None:
            self._numbers = sorted(self.contacts, reverse=self.shuffled)
        numbers = self._numbers if asked.query.get("sort", "desc") == "asc" else self._numbers[::-1]
        start = int(asked.query.get("offset", "0"))
        page = [self.contacts[each] for each in numbers[start : start + int(asked.query.get("limit", "50"))]]
        return Reply(body={"count": len(numbers), **({"contacts": page} if numbers else {})})

    @route("GET", "/contacts/attributes")
    def described(self, asked: Asked) -> Reply:
        """Tell the account's attributes, and one that Brevo works out itself."""
        if self.attributes is None:
            return mistake(403, "permission_denied", "No")
        found = [{"name": name, "category": "normal", "type": kind} for name, kind in self.attributes.items()]
        return Reply(body={"attributes": [*found, {"name": "BLACKLIST", "category": "global"}]})

    @route("GET", "/contacts/{identifier}")
    def one(self, asked: Asked) -> Reply:
        """Tell one contact, or one that was deleted a moment ago."""
        ghosts = self._ghosts.get(int(asked.places["identifier"]))
        if ghosts:
            return Reply(body=ghosts.pop())
        return self._missing(asked) or Reply(body=self.contacts[int(asked.places["identifier"])])

    @route("PUT", "/contacts/{identifier}")
    def change(self, asked: Asked) -> Reply:
        """Set what is named, and leave the rest."""
        missing = self._missing(asked)
        if missing is not None:
            return missing
        contact, said = self.contacts[int(asked.places["identifier"])], asked.json
        named = dict(said.get("attributes", {}))
        email = named.pop("EMAIL", contact["email"])
        if not email or "@" not in email:
            return mistake(400, "invalid_parameter", f"Invalid email {email}")
        if any(each["email"] == email for each in self.contacts.values() if each is not contact):
            return mistake(400, "duplicate_parameter", f"Contact {email} already exists")
        # What doesn't suit its attribute is ignored without a word.
        kinds = self.attributes or {}
        named = {name: value for name, value in named.items() if not value or kinds.get(name) != "date" or _is_day(value)}
        unknown = sorted(named.keys() - (self.attributes or {}).keys())
        if unknown:
            return mistake(400, "invalid_parameter", "Unknown attribute")
        flags = {name: said[name] for name in ("emailBlacklisted", "smsBlacklisted") if name in said}
        if email != contact["email"]:
            flags = {"emailBlacklisted": False, **flags} if self.lifts == "unless told" else {**flags, "emailBlacklisted": False}
        lists = [each for each in contact["listIds"] if each not in said.get("unlinkListIds", ())]
        contact["attributes"] = {name: value for name, value in {**contact["attributes"], **named}.items() if value != ""}
        contact.update(email=email, listIds=lists, modifiedAt=self.clock.now.isoformat(), **flags)
        return Reply(204)

    @route("DELETE", "/contacts/{identifier}")
    def delete(self, asked: Asked) -> Reply:
        """Delete a contact for good."""
        missing = self._missing(asked)
        if missing is not None:
            return missing
        number = int(asked.places["identifier"])
        self._ghosts[number] = [self.contacts[number]] * self.lingers
        self.remove(number)
        return Reply(204)

    def _missing(self, asked: Asked) -> Reply | None:
        """Return the answer when there is no such contact; without being told, a number is a telephone number."""
        if asked.query.get("identifierType") == "contact_id" and int(asked.places["identifier"]) in self.contacts:
            return None
        return mistake(404, "document_not_found", "Contact does not exist")


def _is_day(value: object) -> bool:
    """Whether a value suits an attribute that is a date."""
    try:
        return bool(dt.date.fromisoformat(str(value)))
    except ValueError:
        return False
