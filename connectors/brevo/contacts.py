"""Contacts at Brevo as records: all of an account, or those in one list.

Threat model. A contact exists once and may be in many lists. Deleting it for the sake of one list would take it from all: so a list says
what deleting means, `membership` or `contact`, and a contact that is in another list too is not deleted for one of them. Changing the
e-mail address (or the telephone number) of a contact that is blocked lets it be written to again: the block is sent along, read back, and
set again where it was lost, before the change is called done. For a moment the contact may stand there without it, under its pseudonym.
Brevo answers 204 too when it ignores a value that doesn't suit its attribute: so whatever is changed is read back.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from connectors.brevo.account import Account, Contact
from connectors.brevo.checks import ANY, ATTRIBUTE, COLUMNS, EMAIL, ID, MEMBERSHIP, check
from connectors.hosted import Gone, Refused
from connectors.hosted.paging import Offsets
from connectors.patience import InDoubt
from worker.core.facts import UNREADABLE, Raw
from worker.core.model import Policy
from worker.core.select import Selection
from worker.core.sources import Source
from worker.errors import Problem, RetentionError, SourceFailed
from worker.ports import Key, KeyRange, Level

PAGE = 1000
"""The most that Brevo gives in one answer."""

_MOST = 100
_REMEDY = f'Declare options = {{ order = "{ANY}" }}.'
_BLOCKS = {EMAIL: "emailBlacklisted", f"{ATTRIBUTE}SMS": "smsBlacklisted"}
"""By the column whose change lifts it: the flag that says that somebody may not be written to there."""


class Contacts:
    """The contacts of one account. list_id -- only those in this list, None for all."""

    most = _MOST

    def __init__(self, source: Source, account: Account, list_id: int | None, *, encrypted: bool) -> None:
        self._source = source
        self._account = account
        self._list = list_id
        self._encrypted = encrypted
        self._leaves = list_id is not None and source.options.get("delete") == MEMBERSHIP
        self.level = Level.SOFT if self._leaves else Level.PERMANENT
        self._columns = {ID, "listIds", *_BLOCKS.values(), *(each.column for each in source.fields)}
        self._guarded: tuple[int, Mapping[str, bool]] = (0, {})

    def pages(self, selection: Selection, within: KeyRange | None) -> Iterator[Sequence[Contact]]:  # noqa: ARG002
        """Yield the contacts in the order of their numbers; memory is a page; of those declared to come in any order all are read first."""
        first, last = (0, None) if within is None else (int(within.first[0]), int(within.last[0]))
        listing = Offsets(self._source.name, self._account.contacts, lambda each: int(each[ID]), PAGE, _REMEDY)
        if self._source.options.get("order") == ANY:
            with listing.held(lambda each: [self._packed(each)]) as held:
                for packed in held.pages(PAGE):
                    yield [contact for _, (contact,) in packed if self._is_ours(contact)]
            return
        for page in listing.pages(first=first, last=last):
            yield [each for each in page if self._is_ours(each)]

    def get(self, key: Key) -> Contact | None:
        """Return one contact as it is now; one that isn't in the list any more is no record of it."""
        found = self._account.contact(int(key[0]))
        return found if found is not None and self._is_ours(found) else None

    def key(self, item: Contact) -> Key:
        """Return a contact's number, which Brevo made up and which says nothing about the person."""
        return (item[ID],)

    def value(self, item: Contact, column: str) -> Raw:
        """Return the value of a column."""
        if column.startswith(ATTRIBUTE):
            # An attribute that isn't set is left out; `check` looks whether there is such an attribute.
            said = item["attributes"].get(column.removeprefix(ATTRIBUTE))
        elif column in COLUMNS:
            # The address is missing where there is none; anything else that Brevo tells no more is not empty.
            said = item.get(column, None if column == EMAIL else UNREADABLE)
        else:
            raise KeyError(column)
        if said is None or said == "":
            return None
        return said if isinstance(said, str | int | float) else UNREADABLE

    def delete(self, item: Contact) -> None:
        """Take a contact off the list, or delete it from the account for good."""
        if self._leaves:
            self._account.change(item[ID], {"unlinkListIds": [self._list]})
            if not self._is_off(item):
                raise Refused("HTTP 204 ignored")
            return
        if self._list is not None and len(self._lists(item)) > 1:
            raise Refused("in other lists too")
        self._account.delete(item[ID])

    def update(self, item: Contact, settings: Mapping[str, Raw]) -> None:
        """Set columns of a contact; nobody who was blocked may be written to afterwards."""
        named = {"EMAIL" if column == EMAIL else column.removeprefix(ATTRIBUTE): _sent(new) for column, new in settings.items()}
        if any(column in settings and not isinstance(item.get(flag), bool) for column, flag in _BLOCKS.items()):
            raise Refused("nobody can tell whether it is blocked")
        blocks = {flag: True for column, flag in _BLOCKS.items() if column in settings and item.get(flag) is True}
        self._guarded = (item[ID], blocks)
        self._account.change(item[ID], {"attributes": named, **blocks})
        now = self._seen_after(item[ID], blocks)
        if not self._has_values(now, settings):
            raise Refused("HTTP 204 ignored")

    def gone(self, item: Contact) -> bool:
        """Whether a contact can't be had any more, or is off the list where that is what deleting means."""
        found = self._account.contact(item[ID])
        return found is None or (self._leaves and not self._is_ours(found))

    def has(self, item: Contact, settings: Mapping[str, Raw]) -> bool:
        """Whether a contact has these values, and the blocks that a change of ours found."""
        number, blocks = self._guarded
        return (item[ID] != number or _is_blocked(item, blocks)) and self._has_values(item, settings)

    def columns(self) -> Sequence[str]:
        """Return the columns of every contact, and the account's attributes, or those declared where the account doesn't show them."""
        attributes = self._account.attributes()
        if attributes is None:
            return sorted({*COLUMNS, *(each.column for each in self._source.fields)})
        return [*COLUMNS, *(ATTRIBUTE + name for name in attributes)]

    def renamed(self) -> Sequence[str]:
        """Return the declared attributes that the account hasn't any more; none where it doesn't show them, and then none may decide."""
        declared = sorted(each for each in self._columns if each.startswith(ATTRIBUTE))
        known = self._account.attributes() if declared else None
        return () if known is None else [each for each in declared if each.removeprefix(ATTRIBUTE) not in known]

    def check(self, source: Source, policy: Policy | None) -> tuple[list[Problem], list[Problem]]:
        """Return (what makes the source unusable, what a person should know)."""
        return check(source, self._account, policy, encrypted=self._encrypted)

    def rights(self, account: str, *, writes: bool) -> list[str]:
        """Return what the account needs: a key opens all of an account."""
        said = [f"Brevo: {account} needs an API key (v3). Keys have no rights of their own: one opens the whole account."]
        return [*said, "The worker changes and deletes contacts one by one; it writes no list and no attribute."] if writes else said

    def close(self) -> None:
        """Let go of the connections."""
        self._account.close()

    def _packed(self, contact: Contact) -> Contact:
        """Return what has to be held of a contact: its lists and blocks, and what is declared."""
        attributes = {name: said for name, said in contact["attributes"].items() if ATTRIBUTE + name in self._columns}
        return {
            **{name: contact[name] for name in (*COLUMNS, "listIds") if name in self._columns and name in contact},
            "attributes": attributes,
        }

    def _is_ours(self, contact: Contact) -> bool:
        """Whether a contact is a record of the source."""
        return self._list is None or self._list in self._lists(contact)

    def _lists(self, contact: Contact) -> Sequence[Any]:
        """Return the lists that a contact is in; SourceFailed when Brevo doesn't say: then nobody can tell that it left one."""
        lists = contact.get("listIds")
        if not isinstance(lists, list):
            raise SourceFailed(f"{self._source.name}: Brevo doesn't say in which lists contacts are, so nobody can tell whose they are.")
        return lists

    def _is_off(self, item: Contact) -> bool:
        """Whether a contact that was taken off the list is off it; InDoubt when nobody can tell."""
        try:
            return self.gone(item)
        except RetentionError:
            raise InDoubt(f"{self._source.name}: nobody knows whether a contact left its list.") from None

    def _seen_after(self, number: int, blocks: Mapping[str, bool]) -> Contact:
        """Return a contact as it is after a change, blocked as before; InDoubt when nobody can tell: it is read back and changed anew."""
        in_doubt = InDoubt(f"{self._source.name}: nobody knows what became of a change.")
        try:
            now = self._account.contact(number)
            if now is not None and not _is_blocked(now, blocks):
                self._account.change(number, blocks)
                now = self._account.contact(number)
        except (RetentionError, Refused, Gone):
            # The change itself was made, so nothing else may be said of it.
            raise in_doubt from None
        if now is None or not _is_blocked(now, blocks):
            raise in_doubt
        return now

    def _has_values(self, contact: Contact, settings: Mapping[str, Raw]) -> bool:
        """Whether a contact has these values."""
        return all(_same(self.value(contact, column), new) for column, new in settings.items())


def _is_blocked(contact: Contact, blocks: Mapping[str, bool]) -> bool:
    """Whether a contact has these blocks."""
    return all(contact.get(flag) is True for flag in blocks)


def _sent(value: Raw) -> Any:
    """Return a value as it is sent; an empty text empties an attribute."""
    if value is None:
        return ""
    return value.isoformat() if isinstance(value, dt.date) else value


def _same(said: Raw, new: Raw) -> bool:
    """Whether a value is what was sent; Brevo writes addresses in small letters, days with a time, and nothing for an empty text."""
    sent = _sent(new)
    if not isinstance(said, str) or not isinstance(sent, str):
        return said == (None if sent == "" else sent)
    return said.startswith(sent) if isinstance(new, dt.date) else said.strip().casefold() == sent.strip().casefold()
