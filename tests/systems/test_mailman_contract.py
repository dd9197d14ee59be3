"""The mailman connector keeps the contract on a real Mailman, through a proxy that makes bad days.

A member has fewer columns than the contract's records. So each record stands as JSON in the name of an address, and a thin layer takes
columns out of it and puts them back; listing, reading, comparing, writing and reading back are the connector's own.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Mapping, Sequence

import httpx
import pytest

from connectors.contract import COLUMNS, FIELDS, ConnectorContract, FaultProxy, Record, Request, ServiceContract, ServiceHarness
from connectors.contract.reading import VERY_MANY, ReadingContract
from connectors.hosted import HostedSource
from connectors.http import Limits, Service
from connectors.mailman.checks import DISPLAY_NAME
from connectors.mailman.members import Members
from connectors.mailman.records import Entry
from connectors.mailman.server import Server
from tests.systems.servers.mailman import USER, Mailman, running_mailman
from worker.core.facts import Raw
from worker.core.model import Policy
from worker.core.sources import Source
from worker.errors import Problem
from worker.ports import Key, OpenSource

_MEMBER = 1


class Packed(Members):
    """Members whose names hold the columns of the contract's records."""

    def value(self, item: Entry, column: str) -> Raw:
        found: Raw = _unpacked(item)[column]
        return found

    def update(self, item: Entry, settings: Mapping[str, Raw]) -> None:
        super().update(item, {DISPLAY_NAME: json.dumps({**_unpacked(item), **settings})})

    def has(self, item: Entry, settings: Mapping[str, Raw]) -> bool:
        return all(_unpacked(item)[name] == new for name, new in settings.items())

    def columns(self) -> Sequence[str]:
        return COLUMNS

    def check(self, source: Source, policy: Policy | None) -> tuple[list[Problem], list[Problem]]:
        return super().check(source, None if policy is None else Policy(source, (), ()))


def _unpacked(item: Entry) -> dict[str, Raw]:
    """Return what stands in a name."""
    found: dict[str, Raw] = json.loads(item.told[DISPLAY_NAME])
    return found


class ListHarness(ServiceHarness):
    """The members of one list; another program works on Mailman's database."""

    more_than_a_page = 123
    selections = 6
    page = 50
    odd_dates = ("0000-00-00", "yesterday", "  ", "2020-02-30", "")

    def __init__(self, server: Mailman, proxy: FaultProxy, list_id: str) -> None:
        self.server = server
        self.proxy = proxy
        self.password = server.password
        self.list_id = list_id
        self.source = Source("people", "mailman", list_id, ("member_id",), FIELDS)

    def open(self) -> OpenSource:
        return self._open(self.password)

    def open_as_stranger(self) -> OpenSource:
        return self._open("wrong")

    def _open(self, password: str) -> OpenSource:
        limits = Limits(attempts=4, wait=0.02, timeout=10)
        service = Service(self.source.name, f"{self.proxy.url}/3.1", auth=httpx.BasicAuth(USER, password), limits=limits)
        records = Packed(self.source, Server(self.source.name, service, page=self.page), encrypted=True)
        return HostedSource(self.source, records, batch_seconds=300)

    def is_about(self, request: Request, key: Key) -> bool:
        return f"/addresses/{_email(key)}" in request.path

    def key(self, number: int) -> Key:
        return (f"{number + 1:032x}",)

    def fill(self, records: Mapping[Key, Record]) -> None:
        self.server.emptied()
        self._insert(records)

    def dump(self) -> dict[Key, dict[str, object]]:
        with self.server.database() as database:
            rows = database.execute(
                "SELECT m._member_id, a.display_name FROM member m JOIN address a ON a.id = m.address_id WHERE m.list_id = ?",
                (self.list_id,),
            ).fetchall()
        return {(key,): json.loads(packed) for key, packed in rows}

    def disturb(self, key: Key, record: Record | None) -> bool:
        with self.server.database() as database:
            database.execute("DELETE FROM member WHERE _member_id = ?", key)
            database.execute("DELETE FROM address WHERE email = ?", (_email(key),))
        if record is not None:
            self._insert({key: record})
        return True

    def _insert(self, records: Mapping[Key, Record]) -> None:
        numbered = [(_number(key), key, json.dumps(values, default=_text)) for key, values in records.items()]
        with self.server.database() as database:
            preferences = [(2 * number + half,) for number, _, _ in numbered for half in (0, 1)]
            database.executemany("INSERT OR REPLACE INTO preferences (id) VALUES (?)", preferences)
            database.executemany(
                "INSERT INTO address (id, email, display_name, registered_on, preferences_id) VALUES (?, ?, ?, '2020-01-01 00:00:00', ?)",
                [(n, _email(key), packed, 2 * n) for n, key, packed in numbered],
            )
            database.executemany(
                "INSERT INTO member (id, _member_id, role, list_id, address_id, preferences_id, bounce_score, total_warnings_sent)"
                f" VALUES (?, ?, {_MEMBER}, ?, ?, ?, 0, 0)",
                [(n, *key, self.list_id, n, 2 * n + 1) for n, key, _ in numbered],
            )


class LongListHarness(ListHarness):
    """The members of a list that takes many pages."""

    page = 500 if VERY_MANY else 50
    many = 800


def _number(key: Key) -> int:
    return int(str(key[0]), 16)


def _email(key: Key) -> str:
    # The server lists by address: the other way round than by key.
    return f"p{10**9 - _number(key)}@example.example"


def _text(value: object) -> str:
    """Return a day or a moment as text."""
    assert isinstance(value, dt.date)
    return value.isoformat(sep=" ") if isinstance(value, dt.datetime) else value.isoformat()


@pytest.fixture(scope="module")
def server() -> Iterator[Mailman]:
    with running_mailman() as running:
        yield running


@pytest.fixture(scope="module")
def list_id(server: Mailman) -> str:
    return server.make_list("news")


@pytest.fixture(scope="module")
def proxy(server: Mailman) -> Iterator[FaultProxy]:
    with FaultProxy(server.url).running() as made:
        yield made


class TestMembers(ConnectorContract):
    """Members of a list."""

    @pytest.fixture
    def harness(self, server: Mailman, proxy: FaultProxy, list_id: str) -> ListHarness:
        proxy.heal()
        return ListHarness(server, proxy, list_id)


class TestLongList(ReadingContract):
    """Where it takes many pages to read everything, nobody is missed either."""

    # Many pages make these slow, and what they are about is the same code as above.
    test_selection_never_misses = None  # type: ignore[assignment]
    test_selections_of_policies_never_miss = None  # type: ignore[assignment]

    @pytest.fixture
    def harness(self, server: Mailman, proxy: FaultProxy, list_id: str) -> LongListHarness:
        proxy.heal()
        return LongListHarness(server, proxy, list_id)


class TestBadDays(ServiceContract):
    """The same when the network, Mailman or the sign-in fails."""

    @pytest.fixture
    def harness(self, server: Mailman, proxy: FaultProxy, list_id: str) -> LongListHarness:
        return LongListHarness(server, proxy, list_id)
