"""The laposta connector keeps the contract on a fake that our description of the calls watches, behind a proxy that makes bad days."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

import pytest

from connectors.contract import COLUMNS, FIELDS, ConnectorContract, FaultProxy, Record, Request, ServiceContract, ServiceHarness
from connectors.contract.reading import VERY_MANY
from connectors.plugins import laposta as open_source
from tests.vendors.laposta import KEY, LIST, Laposta
from worker.core.sources import Source
from worker.ports import Connection, Key, OpenSource

# The fake makes the whole list before it sends the beginning.
PATIENCE = {"attempts": "4", "wait": "0.02", "timeout": "300" if VERY_MANY else "10", "per_second": "0"}


class ListHarness(ServiceHarness):
    """One list, with the contract's fields as fields of the list; what everybody has (address, state) lies beside them."""

    more_than_a_page = 1_203
    page_at = 0  # The whole list is one answer.
    selections = 30
    password = KEY
    odd_dates = ("0000-00-00", "yesterday", "  ", "2020-02-30", "")

    def __init__(self, vendor: Laposta, proxy: FaultProxy) -> None:
        self.vendor = vendor
        self.proxy = proxy
        fields = tuple(replace(each, column=f"custom_fields.{each.name}") for each in FIELDS)
        self.source = Source("people", "laposta", LIST, ("member_id",), fields)

    def open(self, key: str = KEY) -> OpenSource:
        return open_source(self.source, Connection(f"{self.proxy.url.replace('://', f'://{key}@')}/v2", options=PATIENCE))

    def open_as_stranger(self) -> OpenSource:
        return self.open("wrong")

    def is_about(self, request: Request, key: Key) -> bool:
        return re.search(rf"/member/{key[0]}\b", request.path) is not None

    def key(self, number: int) -> Key:
        return (f"m{number:09}",)

    def kept(self, value: str | None) -> str | None:
        return value or None

    def fill(self, records: Mapping[Key, Record]) -> None:
        self.vendor.members.clear()
        for key, record in records.items():
            self._put(key, record)

    def dump(self) -> dict[Key, dict[str, object]]:
        members = self.vendor.members.items()
        return {(key,): {name: each["custom_fields"].get(name) or None for name in COLUMNS} for key, each in members}

    def disturb(self, key: Key, record: Record | None) -> bool:
        self.vendor.members.pop(str(key[0]), None)
        if record is not None:
            self._put(key, record)
        return True

    def _put(self, key: Key, record: Record) -> None:
        given = {name: _text(value) for name, value in record.items()}
        self.vendor.add(str(key[0]), f"{key[0]}@example.example", "active", **given)


def _text(value: object) -> str:
    """Return a value as a field of a list holds it."""
    if value is None:
        return ""
    if isinstance(value, dt.datetime):
        return value.isoformat(sep=" ")
    return json.dumps(value) if isinstance(value, bool) else str(value)


@pytest.fixture(scope="module")
def vendor() -> Iterator[Laposta]:
    """Return a fake whose list has the contract's fields."""
    with Laposta().running() as running:
        for name in COLUMNS:
            running.make_field(name)
        yield running


@pytest.fixture(scope="module")
def proxy(vendor: Laposta) -> Iterator[FaultProxy]:
    """Return the proxy in front of it."""
    with FaultProxy(vendor.url).running() as running:
        yield running


class TestMembers(ConnectorContract):
    """Members of a list."""

    @pytest.fixture
    def harness(self, vendor: Laposta, proxy: FaultProxy) -> Iterator[ListHarness]:
        proxy.heal()
        yield ListHarness(vendor, proxy)
        vendor.assert_described()


class TestBadDays(ServiceContract):
    """The same when the network, Laposta or the sign-in fails."""

    @pytest.fixture
    def harness(self, vendor: Laposta, proxy: FaultProxy) -> Iterator[ListHarness]:
        yield ListHarness(vendor, proxy)
        vendor.assert_described()
