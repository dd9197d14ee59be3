"""Dossiers in a bucket keep the contract on a real S3 server: with versions, without, and on bad days through a proxy."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from connectors.contract import FIELDS, ConnectorContract, FaultProxy, Record, Request, ServiceContract, ServiceHarness
from connectors.contract.harness import Numbered, record
from connectors.contract.reading import VERY_MANY
from connectors.plugins import s3_files
from tests.contract.test_application_files import AWKWARD_NAMES, _written
from tests.systems.servers.s3 import KEY, S3
from worker.core.sources import Source
from worker.ports import Connection, Key, OpenSource

PATIENCE = {"attempts": "4", "wait": "0.02", "timeout": "10"}
LETTER = "letters/first.txt"


def is_writing(request: Request) -> bool:
    """Whether a request to S3 changes anything."""
    return request.method in ("PUT", "POST", "DELETE")


class BucketHarness(ServiceHarness):
    """Dossiers below a prefix of a bucket, with a document each; the harness is another program, with every right."""

    awkward_keys = tuple((name,) for name in AWKWARD_NAMES if "\\" not in name)  # which SeaweedFS takes for a slash
    odd_dates = ("0000-00-00", "yesterday", "  ", "2020-02-30", "")
    selections = 2
    more_than_a_page = 203
    many = 160
    mebibytes = 6  # a page of a listing, as the library takes it apart
    documents = True

    def __init__(self, server: S3, bucket: str, proxy: FaultProxy | None = None) -> None:
        self.server = server
        self.client = server.client()
        self.bucket = bucket
        self.disturbed: set[Key] = set()
        self.password = server.secret
        if proxy is not None:
            self.proxy = proxy
        self.endpoint = proxy.url if proxy is not None else server.url
        self.source = Source("applications", "s3_files", "files", ("folder",), FIELDS)

    def open(self) -> OpenSource:
        return self._open(self.server.secret)

    def open_as_stranger(self) -> OpenSource:
        return self._open("wrong")

    def _open(self, secret: str) -> OpenSource:
        options = {"endpoint": self.endpoint, "key": KEY, "secret": secret, **PATIENCE}
        return s3_files(self.source, Connection(f"s3://{self.bucket}/hr%20office", options=options))

    def is_about(self, request: Request, key: Key) -> bool:
        return str(key[0]).encode() in request.body or str(key[0]) in request.path

    def fill(self, records: Mapping[Key, Record]) -> None:
        self._purge("")
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda each: self._put(*each), records.items()))

    def fill_many(self, number: int) -> None:
        self._purge("")
        self.server.put_many(self.bucket, self._objects(number))

    def _objects(self, number: int) -> Iterator[tuple[str, bytes]]:
        for (name,), values in Numbered(self, number).items():
            yield f"hr%20office/files/{name}/application.json", _said(values)
            # A bucket of very many is made of sidecars alone, which is half of the time; what is read of a dossier is the same.
            if self.documents and not VERY_MANY:
                yield f"hr%20office/files/{name}/{LETTER}", b"Dear reader"

    def dump(self) -> dict[Key, dict[str, object]]:
        found: dict[Key, dict[str, object]] = {}
        for page in self.client.get_paginator("list_object_versions").paginate(Bucket=self.bucket, Prefix="hr office/files/"):
            assert not page.get("DeleteMarkers")
            for each in page.get("Versions", ()):
                key, _, path = each["Key"].removeprefix("hr office/files/").partition("/")
                if path == "application.json":
                    if not each["IsLatest"]:
                        # Another program's change leaves one; behind ours it would say what was treated.
                        assert (key,) in self.disturbed
                        continue
                    found[(key,)] = json.loads(self.client.get_object(Bucket=self.bucket, Key=each["Key"])["Body"].read())
                else:
                    assert path == LETTER
        return found

    def disturb(self, key: Key, record: Record | None) -> bool:
        self.disturbed.add(key)
        if record is None:
            self._purge(f"{key[0]}/")
        else:
            self._put(key, record)
        return True

    def _put(self, key: Key, record: Record) -> None:
        self.client.put_object(Bucket=self.bucket, Key=f"hr office/files/{key[0]}/application.json", Body=_said(record))
        if self.documents:
            self.client.put_object(Bucket=self.bucket, Key=f"hr office/files/{key[0]}/{LETTER}", Body=b"Dear reader")

    def _purge(self, below: str) -> None:
        for page in self.client.get_paginator("list_object_versions").paginate(Bucket=self.bucket, Prefix=f"hr office/files/{below}"):
            there = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
            if there:
                objects = [{"Key": each["Key"], "VersionId": each["VersionId"]} for each in there]
                self.client.delete_objects(Bucket=self.bucket, Delete={"Objects": objects, "Quiet": True})

    def names(self) -> Iterable[str]:
        return [str(each) for each in self._names() if ".retention" in str(each)]

    def _names(self) -> Iterator[Any]:
        yield from (each["Key"] for each in self.client.list_objects_v2(Bucket=self.bucket).get("Contents", ()))


def _said(values: Record) -> bytes:
    """Return a sidecar."""
    return json.dumps(dict(values), default=_written, ensure_ascii=False).encode()


class LonelySidecars(BucketHarness):
    """Dossiers that are nothing but their sidecar: one changing request for each."""

    documents = False
    page_at = 3


@pytest.fixture(scope="module")
def proxy(s3: S3) -> Iterator[FaultProxy]:
    """Give a proxy; the service has to be told its name, because S3 signs it."""
    with FaultProxy(s3.url, is_writing, keeps_host=True).running() as made:
        yield made


@pytest.fixture(scope="module")
def versioned(s3: S3) -> str:
    return s3.new_bucket(versioned=True)


@pytest.fixture(scope="module")
def plain(s3: S3) -> str:
    return s3.new_bucket()


class TestVersionedBucket(ConnectorContract):
    """A bucket that keeps every version of every object."""

    @pytest.fixture
    def harness(self, s3: S3, versioned: str) -> Iterator[BucketHarness]:
        harness = BucketHarness(s3, versioned)
        harness.large = False  # twice the time for the same listings
        harness.fill({})
        yield harness
        harness.client.close()


class TestPlainBucket(ConnectorContract):
    """A bucket without versions."""

    @pytest.fixture
    def harness(self, s3: S3, plain: str) -> Iterator[BucketHarness]:
        harness = BucketHarness(s3, plain)
        harness.fill({})
        yield harness
        harness.client.close()


@pytest.mark.parametrize("versioned", [True, False])
def test_several_dossiers_by_one_listing(s3: S3, versioned: bool) -> None:
    """What one listing says about several dossiers is what a listing of each says, whatever their names; none is half there."""
    # One of its own: for a while this server goes on to list folders that were emptied.
    harness = BucketHarness(s3, s3.new_bucket(versioned=versioned))
    names = ["a", "a b", "a b c", "a-b", "a.b", "a.b.", "a0", "a:", "aa", "Zo\u00eb", *(f"a b{number:03}" for number in range(20))]
    harness.fill({(name,): record(number) for number, name in enumerate(names)})
    # More than a page in one of them, so that a page ends in the middle of it; versions and marks of deletion too.
    s3.put_many(harness.bucket, ((f"hr%20office/files/a-b/{number:04}.txt", b"x") for number in range(1_100)))
    harness._put(("a b",), record(99))
    harness.client.delete_object(Bucket=harness.bucket, Key="hr office/files/a.b/application.json")
    source = harness.open()
    storage = source._storage  # type: ignore[attr-defined]
    assert sorted(names) == sorted(storage.dossiers(list))
    for some in (names, names[3:], names[:2], ["a", "a0"], ["a-b", "aa"], ["a", "never there", "aa"]):
        found = storage.several(sorted(some))
        assert {name: storage.contents(name) for name in found} == found
    # Neighbours that fit on a page are all had by it.
    alike = [name for name in sorted(names) if name.startswith("a b")]
    assert set(alike) == set(storage.several(alike))
    source.close()
    harness.client.close()


class TestBadDays(ServiceContract):
    """The same when the network, the service or the sign-in fails."""

    @pytest.fixture
    def harness(self, s3: S3, plain: str, proxy: FaultProxy) -> Iterator[LonelySidecars]:
        proxy.heal()
        harness = LonelySidecars(s3, plain, proxy)
        yield harness
        harness.client.close()
