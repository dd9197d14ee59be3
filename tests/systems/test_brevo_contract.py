"""The brevo connector keeps the contract on a fake that our description of the calls watches, behind a proxy that makes bad days."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

import pytest

from connectors.contract import COLUMNS, FIELDS, ConnectorContract, FaultProxy, Record, Request, ServiceContract, ServiceHarness
from connectors.plugins import brevo as open_source
from tests.vendors.brevo import KEY, Brevo
from worker.core.sources import Source
from worker.ports import Connection, Key, OpenSource

PATIENCE = {"attempts": "4", "wait": "0.02", "timeout": "10"}
LIST = 7
ATTRIBUTES = {name: f"X_{name.upper()}" for name in COLUMNS}
TYPES = {"score": "float", "hired": "boolean"}


class ContactsHarness(ServiceHarness):
    """Contacts of one list, with the contract's fields as attributes; what everybody has (address, blocks) lies beside them."""

    more_than_a_page = 2_503
    many = 6_000
    mebibytes = 16  # the fake, which makes pages of 1,000 contacts, and what stands before it count here too
    selections = 30
    password = KEY
    odd_dates = ("0000-00-00", "yesterday", "  ", "2020-02-30", "")

    def __init__(self, vendor: Brevo, proxy: FaultProxy) -> None:
        self.vendor = vendor
        self.proxy = proxy
        fields = tuple(replace(each, column=f"attributes.{ATTRIBUTES[each.name]}") for each in FIELDS)
        self.source = Source("people", "brevo", str(LIST), ("id",), fields, options={"delete": "contact"})

    def open(self, key: str = KEY) -> OpenSource:
        return open_source(self.source, Connection(f"{self.proxy.url.replace('://', f'://{key}@')}/v3", options=PATIENCE))

    def open_as_stranger(self) -> OpenSource:
        return self.open("wrong")

    def is_about(self, request: Request, key: Key) -> bool:
        return re.search(rf"/contacts/{key[0]}\b", request.path) is not None

    def key(self, number: int) -> Key:
        return (number + 1,)

    def kept(self, value: str | None) -> str | None:
        return value or None

    def fill(self, records: Mapping[Key, Record]) -> None:
        self.vendor.clear()
        for key, record in records.items():
            self._put(key, record)

    def dump(self) -> dict[Key, dict[str, object]]:
        contacts = self.vendor.contacts.items()
        return {(key,): {name: each["attributes"].get(attribute) for name, attribute in ATTRIBUTES.items()} for key, each in contacts}

    def disturb(self, key: Key, record: Record | None) -> bool:
        self.vendor.remove(int(str(key[0])))
        if record is not None:
            self._put(key, record)
        return True

    def _put(self, key: Key, record: Record) -> None:
        given = {ATTRIBUTES[name]: _said(value) for name, value in record.items() if value is not None and value != ""}
        self.vendor.add(int(str(key[0])), f"{key[0]}@example.example", (LIST,), **given)


def _said(value: object) -> object:
    """Return a value as an attribute holds it: Brevo has no moments, so they are texts."""
    if isinstance(value, dt.datetime):
        return value.isoformat(sep=" ")
    return value.isoformat() if isinstance(value, dt.date) else value


@pytest.fixture(scope="module")
def vendor() -> Iterator[Brevo]:
    """Return a fake whose contacts have the contract's fields."""
    with Brevo().running() as running:
        running.attributes = {attribute: TYPES.get(name, "text") for name, attribute in ATTRIBUTES.items()}
        yield running


@pytest.fixture(scope="module")
def proxy(vendor: Brevo) -> Iterator[FaultProxy]:
    """Return the proxy in front of it."""
    with FaultProxy(vendor.url).running() as running:
        yield running


class TestContacts(ConnectorContract):
    """Contacts of a list."""

    @pytest.fixture
    def harness(self, vendor: Brevo, proxy: FaultProxy) -> Iterator[ContactsHarness]:
        proxy.heal()
        yield ContactsHarness(vendor, proxy)
        vendor.assert_described()


class TestBadDays(ServiceContract):
    """The same when the network, Brevo or the sign-in fails."""

    @pytest.fixture
    def harness(self, vendor: Brevo, proxy: FaultProxy) -> Iterator[ContactsHarness]:
        yield ContactsHarness(vendor, proxy)
        vendor.assert_described()
