"""The calls of Brevo's API that a source is made of, and what each answer means.

Threat model. Brevo takes an e-mail address, a telephone number or a contact's id in the same place of an address: so an id is always a
number, is always sent with what it is (`identifierType=contact_id`), and what comes back has to have it. A contact is called gone only when
Brevo says so in its own words; any other 404 may come from anything on the way. Lists, folders and attributes are never written.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connectors.hosted import Gone, Refused
from connectors.http import Answer, InDoubt, Service
from worker.errors import ConfigurationError, SourceFailed

Contact = Mapping[str, Any]
"""A contact as Brevo tells it."""

_BY_ID = {"identifierType": "contact_id"}
_NO_CONTENT, _NOT_FOUND = 204, 404
_MISSING = "document_not_found"
_OTHER_WAYS = ("SMS", "WHATSAPP", "LANDLINE_NUMBER", "EXT_ID")
"""What identifies a contact that has no address."""


class Account:
    """One account's contacts."""

    def __init__(self, source: str, service: Service) -> None:
        self._source = source
        self._service = service

    def close(self) -> None:
        """Let go of the connections."""
        self._service.close()

    def contacts(self, offset: int, most: int) -> tuple[list[Contact], int]:
        """Return contacts in the order in which they were made, from an offset on, and how many there are in all."""
        answer = self._service.read("/contacts", {"limit": most, "offset": offset, "sort": "asc"})
        if not answer.is_success:
            raise self._refused(answer)
        said = self._object(answer)
        # An account without contacts may leave the member out.
        page, total = said.get("contacts", []), said.get("count")
        if (
            not isinstance(total, int)
            or not isinstance(page, list)
            or not all(map(_is_contact, page))
            or (total and "contacts" not in said)
        ):
            raise self._foreign()
        return page, total

    def contact(self, number: int) -> Contact | None:
        """Return a contact as it is now, None when Brevo says that there is none."""
        answer = self._service.read(self._path(number), _BY_ID)
        if _is_missing(answer):
            return None
        if not answer.is_success:
            raise self._refused(answer)
        said = self._object(answer)
        if not _is_contact(said) or said["id"] != number:
            raise self._foreign()
        return said

    def attributes(self) -> dict[str, str] | None:
        """Return the attributes of contacts, each with its type; None when the account doesn't let them be seen."""
        answer = self._service.read("/contacts/attributes")
        said = self._object(answer).get("attributes") if answer.is_success else None
        if not isinstance(said, list):
            return None
        return {str(each["name"]): str(each.get("type") or each.get("category") or "") for each in said if _is_an_attribute(each)}

    def change(self, number: int, body: Mapping[str, Any]) -> None:
        """Set attributes and flags of a contact, or take it off lists; Gone, Refused, InDoubt."""
        self._done(self._service.write("PUT", self._path(number), params=_BY_ID, body=body))

    def delete(self, number: int) -> None:
        """Delete a contact from the account for good; Gone, Refused, InDoubt."""
        self._done(self._service.write("DELETE", self._path(number), params=_BY_ID))

    def _path(self, number: int) -> str:
        """Return the address of one contact."""
        if not isinstance(number, int) or number <= 0:
            raise ConfigurationError(f"{self._source}: what is to be looked up or written has no number of a contact; nothing was sent.")
        return f"/contacts/{number}"

    def _done(self, answer: Answer) -> None:
        """Raise what an answer to a change means, unless it is done."""
        if answer.status == _NO_CONTENT:
            return
        if answer.is_success:
            raise InDoubt(f"{self._source}: the answer to a change is not Brevo's own.")
        if _is_missing(answer):
            raise Gone
        raise Refused(answer.in_words("code"))

    def _object(self, answer: Answer) -> dict[str, Any]:
        """Return the object that an answer holds; SourceFailed when it holds none."""
        said = answer.object()
        if said is None:
            raise self._foreign()
        return said

    def _foreign(self) -> SourceFailed:
        """Return the error for what Brevo would not answer."""
        return SourceFailed(f"{self._source}: what answers there is not what Brevo would answer (a notice, another site?).")

    def _refused(self, answer: Answer) -> ConfigurationError:
        """Return the error for something that Brevo doesn't let be read."""
        said = answer.in_words("code")
        return ConfigurationError(
            f"{self._source}: Brevo doesn't let contacts be read ({said}). The address ends in /v3; the key is the account's."
        )


def _is_contact(said: object) -> bool:
    """Whether something is a contact: it has a number, attributes, and an address, by which holds find it, or another way to reach it."""
    if not isinstance(said, dict) or type(said.get("id")) is not int or not isinstance(said.get("attributes"), dict):
        return False
    return "email" in said or any(said["attributes"].get(each) for each in _OTHER_WAYS)


def _is_an_attribute(said: object) -> bool:
    """Whether something is an attribute of contacts, and not one that Brevo works out over all of them."""
    return isinstance(said, dict) and isinstance(said.get("name"), str) and said.get("category") in ("normal", "category")


def _is_missing(answer: Answer) -> bool:
    """Whether Brevo itself says that there is no such contact."""
    return answer.status == _NOT_FOUND and answer.in_words("code").endswith(f" {_MISSING}")
