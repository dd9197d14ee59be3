"""The zoho_crm connector keeps the contract on a fake of Zoho CRM, through a proxy that makes bad days."""

from __future__ import annotations

import datetime as dt
import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from connectors.contract import (
    AGGREGATES,
    FIELDS,
    RELATIONS,
    ConnectorContract,
    FaultProxy,
    Record,
    RelationsContract,
    RelationsHarness,
    Request,
    ServiceContract,
    ServiceHarness,
)
from connectors.plugins import zoho_crm as open_source
from tests.vendors.zoho import ORIGIN, Zoho, field
from worker.core.sources import Source
from worker.ports import Connection, Key, OpenSource

KINDS = {
    "name": ("First_Name", "text"),
    "email": ("Email", "email"),
    "ip": ("IP_Address", "text"),
    "note": ("Description", "textarea"),
    "status": ("Status", "text"),
    "score": ("Score", "integer"),
    "hired": ("Hired", "boolean"),
    "seen_on": ("Seen_On", "date"),
    "left_on": ("Left_On", "date"),
    "asked_on": ("Asked_On", "date"),
    "changed_at": ("Changed_At", "datetime"),
}
COLUMN = {name: column for name, (column, _) in KINDS.items()}
NAMES = {column: name for name, column in COLUMN.items()}
SECRETS = {"client_id": "1000.CLIENT", "client_secret": "client-secret"}
PAGE = "250"
_REFRESH = itertools.count()
MODULE = re.compile(r"/crm/v8/(?!settings)\w+/\d+")


def writes_records(request: Request) -> bool:
    """Whether a request changes a record or deletes it; what empties the bin is looked at elsewhere."""
    return request.method in ("PUT", "DELETE") and MODULE.match(request.path) is not None


class ModuleHarness(ServiceHarness):
    """One module; another program works on what the fake holds."""

    more_than_a_page = 603
    many = 2_400
    selections = 25
    password = "client-secret"
    renews = True
    page_at = 2

    def __init__(self, zoho: Zoho, proxy: FaultProxy) -> None:
        self.zoho = zoho
        self.proxy = proxy
        fields = tuple(replace(each, column=COLUMN[each.name]) for each in FIELDS)
        self.source = Source("people", "zoho_crm", "Contacts", ("id",), fields)

    def open(self) -> OpenSource:
        return self._opened(SECRETS)

    def open_as_stranger(self) -> OpenSource:
        return self._opened({**SECRETS, "client_id": "1000.STRANGER"})

    def _opened(self, secrets: Mapping[str, str]) -> OpenSource:
        patience = {"attempts": "4", "wait": "0.02", "timeout": "10"}
        options = {**secrets, **patience, "refresh_token": f"1000.refresh-{next(_REFRESH)}", "page": PAGE}
        return open_source(self.source, Connection(self.proxy.url, options=options))

    def is_about(self, request: Request, key: Key) -> bool:
        return re.search(rf"/{key[0]}\b", request.path) is not None

    def key(self, number: int) -> Key:
        return (ORIGIN + 1_000 + number,)

    def kept(self, value: str | None) -> str | None:
        return value or None

    def fill(self, records: Mapping[Key, Record]) -> None:
        self.zoho.put("Contacts", {int(key[0]): _stored(values) for key, values in records.items()})

    def dump(self) -> dict[Key, dict[str, object]]:
        return {(key,): {NAMES[name]: said for name, said in values.items()} for key, values in self.zoho.modules["Contacts"].items()}

    def disturb(self, key: Key, record: Record | None) -> bool:
        if record is None:
            del self.zoho.modules["Contacts"][int(key[0])]
        else:
            self.zoho.modules["Contacts"][int(key[0])] = _stored(record)
        return True


def _stored(values: Record) -> dict[str, Any]:
    """Return a record as Zoho keeps it."""
    stored: dict[str, Any] = {COLUMN[name]: said if said != "" else None for name, said in values.items()}
    for name, said in stored.items():
        if isinstance(said, dt.datetime) and said.tzinfo is None:
            stored[name] = said.replace(tzinfo=dt.UTC)
    return stored


class RelatedHarness(ModuleHarness, RelationsHarness):
    """The same with two modules whose lookup leads to the records."""

    def __init__(self, zoho: Zoho, proxy: FaultProxy) -> None:
        super().__init__(zoho, proxy)
        self.source = replace(self.source, relations=RELATIONS, aggregates=AGGREGATES)

    def fill_related(self, table: str, rows: Mapping[Key, Record]) -> None:
        stored = {int(key[0]): {**row, "record_id": _lookup(row["record_id"])} for key, row in rows.items()}
        self.zoho.put(table, stored)

    def dump_related(self, table: str) -> dict[Key, dict[str, object]]:
        return {(key,): dict(row) for key, row in self.zoho.modules[table].items()}


def _lookup(said: object) -> dict[str, str] | None:
    """Return what Zoho keeps of a record that another one leads to."""
    return None if said is None else {"id": str(said), "name": "Somebody"}


@pytest.fixture(scope="module")
def zoho() -> Iterator[Zoho]:
    """Return a CRM with the contract's fields."""
    related = [field("record_id", "lookup"), field("sent_on", "date")]
    modules = {"Contacts": [field(*each) for each in KINDS.values()], "letters": related, "bills": related}
    with Zoho(modules).running() as running:
        yield running


@pytest.fixture
def described(zoho: Zoho) -> Iterator[Zoho]:
    """Return the CRM, and fail the test for what is not as described."""
    yield zoho
    zoho.assert_described()
    assert [] == zoho.fired


def harness_on(zoho: Zoho, kind: type[ModuleHarness] = ModuleHarness) -> Iterator[ModuleHarness]:
    """Return a harness behind a proxy of its own."""
    with FaultProxy(zoho.url, writes_records).running() as proxy:
        zoho.domain = proxy.url
        yield kind(zoho, proxy)


class TestRecords(ConnectorContract):
    """Records of a module."""

    @pytest.fixture
    def harness(self, described: Zoho) -> Iterator[ModuleHarness]:
        yield from harness_on(described)


class TestBadDays(ServiceContract):
    """The same when the network, Zoho or the sign-in fails at the first half of a deletion."""

    @pytest.fixture
    def harness(self, described: Zoho) -> Iterator[ModuleHarness]:
        yield from harness_on(described)


class TestRelations(RelationsContract):
    """Records of other modules, by their lookup."""

    @pytest.fixture
    def harness(self, described: Zoho) -> Iterator[ModuleHarness]:
        yield from harness_on(described, RelatedHarness)
