"""Dossiers on a WebDAV share keep the contract on a real server, and on bad days through a proxy."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from connectors.contract import FIELDS, ConnectorContract, FaultProxy, Record, Request, ServiceContract, ServiceHarness
from connectors.contract.reading import VERY_MANY
from connectors.plugins import webdav_files
from tests.contract.test_application_files import AWKWARD_NAMES, FilesHarness
from tests.systems.servers.process import IN_MEMORY
from tests.systems.servers.webdav import USER, WebDav, running_webdav
from worker.core.select import EVERYTHING
from worker.core.sources import Source
from worker.ports import Changes, Connection, Key, KeyRange, Left, Level, OpenSource

# The server makes a listing of 100,000 folders as a whole before it sends the beginning.
PATIENCE = {"attempts": "4", "wait": "0.02", "timeout": "900" if VERY_MANY else "10"}


class ShareHarness(FilesHarness, ServiceHarness):
    """Dossiers in a folder of the share; the harness works on the server's disk."""

    awkward_keys = tuple((name,) for name in (*AWKWARD_NAMES, "a?b#c%20d"))
    selections = 2
    more_than_a_page = 203
    many = 160
    first_page = 10_000

    def __init__(self, server: WebDav, address: str, proxy: FaultProxy | None = None) -> None:
        folder = server.data / "hr office" / "files"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        super().__init__(folder)
        self.password = server.password
        self.address = address
        if proxy is not None:
            self.proxy = proxy
        self.source = Source("applications", "webdav_files", "files", ("folder",), FIELDS)

    def open(self) -> OpenSource:
        return self._open(self.password)

    def open_as_stranger(self) -> OpenSource:
        return self._open("wrong")

    def _open(self, password: str) -> OpenSource:
        url = self.address.replace("://", f"://{USER}:{quote(password)}@") + "/hr%20office"
        return webdav_files(self.source, Connection(url, options=PATIENCE))

    def is_about(self, request: Request, key: Key) -> bool:
        return f"/{quote(str(key[0]))}" in request.path

    def disturb(self, key: Key, record: Record | None) -> bool:
        changed = super().disturb(key, record)
        if record is not None:
            # A program that writes a file anew gives it another size or date; within the same second only the size.
            with (self._folder(key) / "application.json").open("a") as file:
                file.write(" \n")
        return changed


@pytest.fixture(scope="module")
def server() -> Iterator[WebDav]:
    with running_webdav(IN_MEMORY) as running:
        yield running


@pytest.fixture(scope="module")
def proxy(server: WebDav) -> Iterator[FaultProxy]:
    """Give a proxy for which only what writes a sidecar counts: the empty folder that goes afterwards is a second request."""
    with FaultProxy(server.url, lambda request: request.method in ("PUT", "DELETE") and request.path.endswith(".json")).running() as made:
        yield made


class TestShare(ConnectorContract):
    """A folder of a share."""

    @pytest.fixture
    def harness(self, server: WebDav) -> ShareHarness:
        return ShareHarness(server, server.url)


@pytest.fixture
def share(server: WebDav) -> ShareHarness:
    return ShareHarness(server, server.url)


def _deleted(source: OpenSource, key: Key) -> list[tuple[Left, str]]:
    with source.batch("b", KeyRange(key, key), EVERYTHING, ()) as batch:
        batch.write(Changes(delete=[key]))
        return [(each.why, each.answer) for each in batch.commit()]


def _filled(share: ShareHarness) -> Key:
    from connectors.contract.harness import record

    share.fill({share.key(1): record(1)})
    folder = share.root / str(share.key(1)[0]) / "mail" / "old ones"
    folder.mkdir(parents=True)
    (folder / "1.eml").write_text("Hello")
    return share.key(1)


def test_folders_go_with_their_dossier(share: ShareHarness) -> None:
    """Everything in a dossier goes, folders in folders too, and the dossier itself."""
    key = _filled(share)
    source = share.open()
    assert [] == _deleted(source, key)
    assert [] == list(share.root.iterdir())
    source.close()


def test_a_lock_keeps_the_whole_dossier(share: ShareHarness) -> None:
    """A file that somebody has locked keeps its dossier whole; it is said, and goes when the lock is gone."""
    key = _filled(share)
    path = f"{share.address}/hr%20office/files/{key[0]}/mail/old%20ones/1.eml"
    auth = (USER, share.password)
    body = '<?xml version="1.0"?><lockinfo xmlns="DAV:"><lockscope><exclusive/></lockscope><locktype><write/></locktype></lockinfo>'
    lock = httpx.request("LOCK", path, auth=auth, content=body, headers={"Content-Type": "application/xml", "Depth": "0"})
    assert 200 == lock.status_code
    source = share.open()
    before = sorted(share.root.rglob("*"))
    assert [(Left.FAILED, "HTTP 423 Locked")] == _deleted(source, key)
    assert before == sorted(share.root.rglob("*"))
    httpx.request("UNLOCK", path, auth=auth, headers={"Lock-Token": lock.headers["lock-token"]})
    assert [] == _deleted(source, key)
    source.close()


def test_what_comes_in_while_a_dossier_goes_stays(share: ShareHarness) -> None:
    """A file that is put into a folder while its dossier goes is not taken along by the deletion of the folder."""
    key = _filled(share)
    source = share.open()
    storage = source._storage  # type: ignore[attr-defined]
    really = storage.remove
    late = share.root / str(key[0]) / "mail" / "late.eml"

    def then(dossier: str, some: object) -> None:
        really(dossier, some)
        if not late.exists():
            late.write_text("Just now")

    storage.remove = then
    assert [Left.CHANGED] == [why for why, _ in _deleted(source, key)]
    assert "Just now" == late.read_text()
    source.close()


def test_a_bin_is_said(share: ShareHarness) -> None:
    """Where the settings say that deleted files go to a bin, the level that deleting reaches is soft."""
    url = share.address.replace("://", f"://{USER}:{share.password}@")
    levels = []
    for options in ({}, {"bin": "yes"}):
        source = webdav_files(share.source, Connection(url, options=options))
        levels.append(source.level)
        source.close()
    assert [Level.PERMANENT, Level.SOFT] == levels


class BareSidecars(ShareHarness):
    """Dossiers that are nothing but their sidecar, in which a record is two changing requests: the file, and its folder."""

    page_at = 3

    def fill(self, records: Mapping[Key, Record]) -> None:
        super().fill(records)
        for folder in self._folders():
            (folder / "letter.txt").unlink()

    def dump(self) -> dict[Key, dict[str, object]]:
        found: dict[Key, dict[str, object]] = {}
        for folder in self._folders():
            sidecar = Path(folder) / "application.json"
            if sidecar.exists():
                found[self._key(folder)] = self.said(sidecar.read_bytes())
        return found


class TestBadDays(ServiceContract):
    """The same when the network, the share or the sign-in fails."""

    @pytest.fixture
    def harness(self, server: WebDav, proxy: FaultProxy) -> BareSidecars:
        proxy.heal()
        return BareSidecars(server, proxy.url, proxy)
