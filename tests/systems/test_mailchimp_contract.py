"""The mailchimp connector keeps the contract on a checked fake, through a proxy that makes bad days."""

from __future__ import annotations

import datetime as dt
import json
import random
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from connectors.contract import COLUMNS, FIELDS, ConnectorContract, FaultProxy, Record, Request, ServiceContract, ServiceHarness
from connectors.contract.reading import VERY_MANY
from connectors.plugins import mailchimp
from tests.vendors.mailchimp import KEY, LIST, Mailchimp
from worker.core.sources import Source
from worker.ports import Connection, Key, OpenSource

PATIENCE = {"attempts": "4", "wait": "0.02", "timeout": "10"}
MANY = 100_000
READER = r"""
import re, sys
from pathlib import Path
from connectors.contract.reading import VERY_MANY
from connectors.plugins import mailchimp
from tests.systems.test_mailchimp_contract import declared
from worker.core.select import EVERYTHING
from worker.ports import Connection
source = mailchimp(declared(), Connection(sys.argv[1]))
with source.reader() as reader:
    print(sum(len(page) for page in reader.rows(EVERYTHING, ("name", "note"))))
print(int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024)
"""
"""Reads all members of the audience at an address, and says how many there were and how much memory that took."""
PROJECT = Path(__file__).parents[2]


def declared() -> Source:
    """Return the contract's fields as merge fields."""
    fields = tuple(replace(each, column=f"merge_fields.{each.name.upper()}") for each in FIELDS)
    return Source("people", "mailchimp", LIST, ("contact_id",), fields)


class AudienceHarness(ServiceHarness):
    """The members of one audience; another program works on the fake's memory."""

    odd_dates = ("0000-00-00", "yesterday", "  ", "2020-02-30", "")
    selections = 40
    elsewhere = 4  # pages of 1,000 members; no more for 200,000 of them than for 25,000

    def __init__(self, fake: Mailchimp, proxy: FaultProxy) -> None:
        self.fake = fake
        self.proxy = proxy
        self.password = KEY
        self.source = declared()
        fake.merge = {name.upper(): "text" for name in COLUMNS}

    def open(self) -> OpenSource:
        return mailchimp(self.source, Connection(self.fake.address(url=self.proxy.url), options=PATIENCE))

    def open_as_stranger(self) -> OpenSource:
        return mailchimp(self.source, Connection(self.fake.address("wrong", self.proxy.url), options=PATIENCE))

    def is_about(self, request: Request, key: Key) -> bool:
        return self.fake.members[str(key[0])]["id"] in request.path or str(key[0]) in request.path

    def key(self, number: int) -> Key:
        return (f"{number:032x}",)

    def kept(self, value: str | None) -> str | None:
        return value or None

    def fill(self, records: Mapping[Key, Record]) -> None:
        self.fake.members.clear()
        self.fake.barred.clear()
        for key, values in records.items():
            self._put(key, values)

    def dump(self) -> dict[Key, dict[str, object]]:
        return {
            (key,): {name: member["merge_fields"][name.upper()] or None for name in COLUMNS} for key, member in self.fake.members.items()
        }

    def disturb(self, key: Key, record: Record | None) -> bool:
        self.fake.remove(str(key[0]))
        if record is not None:
            self._put(key, record)
        return True

    def _put(self, key: Key, values: Record) -> None:
        # The vendor's order is not that of the keys.
        at = dt.datetime(2020, 1, 1, tzinfo=dt.UTC) + dt.timedelta(seconds=random.Random(str(key[0])).randrange(10**6))
        merge = {name.upper(): _text(values[name]) for name in COLUMNS}
        self.fake.put(str(key[0]), f"{key[0]}@example.example", at=at, merge_fields=merge)


def _text(value: object) -> str:
    """Return a value as a merge field holds it."""
    if value is None:
        return ""
    if isinstance(value, dt.datetime):
        return value.isoformat(sep=" ")
    return json.dumps(value) if isinstance(value, bool) else str(value)


@pytest.fixture(scope="module")
def fake() -> Iterator[Mailchimp]:
    """Return a running fake, which fails the module for whatever was not as described."""
    with Mailchimp().running() as running:
        yield running


@pytest.fixture(scope="module")
def proxy(fake: Mailchimp) -> Iterator[FaultProxy]:
    """Return what stands between."""
    with FaultProxy(fake.url).running() as running:
        yield running


@pytest.fixture
def harness(fake: Mailchimp, proxy: FaultProxy) -> Iterator[AudienceHarness]:
    """Return the audience on a good day; afterwards every exchange was as described."""
    proxy.heal()
    yield AudienceHarness(fake, proxy)
    fake.assert_described()


class TestMembers(ConnectorContract):
    """Members of an audience."""

    @pytest.fixture
    def harness(self, harness: AudienceHarness) -> AudienceHarness:
        return harness

    def test_memory_is_constant(self, harness: AudienceHarness, source: OpenSource, record_property: Callable[[str, object], None]) -> None:  # type: ignore[override]
        """A process that reads 100,000 members takes no more memory than for 25,000."""
        if VERY_MANY:
            self._very_many(harness, record_property)
            return
        peaks = []
        for number in (MANY // 4, MANY):
            harness.fill({harness.key(each): dict.fromkeys(COLUMNS, f"A text {each}") for each in range(number)})
            # A process of its own, so that what the fake keeps doesn't count.
            ran = subprocess.run(
                [sys.executable, "-c", READER, harness.fake.address()], capture_output=True, text=True, check=True, cwd=PROJECT, timeout=300
            )
            read, peak = map(int, ran.stdout.split())
            assert number == read
            peaks.append(peak)
        harness.fill({})
        assert peaks[1] < 1.15 * peaks[0], peaks


class TestBadDays(ServiceContract):
    """The same when the network, the vendor or the sign-in fails."""

    @pytest.fixture
    def harness(self, harness: AudienceHarness) -> AudienceHarness:
        return harness
