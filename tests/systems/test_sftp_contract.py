"""Dossiers behind SFTP keep the contract on a real server; unknown hosts, links, rights, and a host that goes away."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from urllib.parse import quote

import asyncssh
import pytest

from connectors.contract import FIELDS, ConnectorContract
from connectors.contract.harness import everything, record
from connectors.plugins import sftp_files
from tests.contract.test_application_files import AWKWARD_NAMES, FilesHarness
from tests.systems.servers.process import IN_MEMORY
from tests.systems.servers.sftp import USER, Sftp, running_sftp
from worker.core.select import EVERYTHING
from worker.core.sources import Source
from worker.errors import ConfigurationError, Retriable, SourceFailed
from worker.ports import Changes, Connection, Key, KeyRange, Left, OpenSource

PATIENCE = {"attempts": "2", "wait": "0.02", "timeout": "10"}


class HostHarness(FilesHarness):
    """Dossiers in a folder of the host; the harness works on the server's disk."""

    awkward_keys = tuple((name,) for name in AWKWARD_NAMES)
    selections = 2
    more_than_a_page = 203
    many = 160
    first_page = 10_000

    def __init__(self, server: Sftp) -> None:
        folder = server.data / "hr office" / "files"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        super().__init__(folder)
        self.server = server
        self.source = Source("applications", "sftp_files", "files", ("folder",), FIELDS)

    def open(self) -> OpenSource:
        return self.opened(self.server.password, self.server.host_key)

    def opened(self, password: str, host_key: str) -> OpenSource:
        url = f"sftp://{USER}:{quote(password)}@127.0.0.1:{self.server.port}/hr%20office"
        return sftp_files(self.source, Connection(url, options={"host_key": host_key, **PATIENCE}))


@pytest.fixture(scope="module")
def server() -> Iterator[Sftp]:
    with running_sftp(IN_MEMORY) as running:
        yield running


@pytest.fixture
def host(server: Sftp) -> HostHarness:
    return HostHarness(server)


class TestHost(ConnectorContract):
    """A folder of a host."""

    @pytest.fixture
    def harness(self, server: Sftp) -> HostHarness:
        return HostHarness(server)


def _deleted(source: OpenSource, key: Key) -> list[tuple[Left, str]]:
    with source.batch("b", KeyRange(key, key), EVERYTHING, ()) as batch:
        batch.write(Changes(delete=[key]))
        return [(each.why, each.answer) for each in batch.commit()]


def test_another_host_gets_nothing(host: HostHarness) -> None:
    """A host with another key than the known one, a host without a known key, and a wrong password are errors, and none is shown."""
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    for password, key, said in (
        (host.server.password, other, "not the one whose key"),
        ("wrong-wrong", host.server.host_key, "refused the sign-in"),
    ):
        source = host.opened(password, key)
        with pytest.raises(ConfigurationError, match=said) as caught:
            everything(source)
        assert password not in str(caught.value)
        source.close()
    for key in ("", "ssh-ed25519 nonsense"):
        with pytest.raises(ConfigurationError, match="HOST_KEY"):
            host.opened(host.server.password, key)


def test_links_go_and_what_they_lead_to_stays(host: HostHarness) -> None:
    """Links in a dossier, to files and to folders, are removed and never followed; one in the place of a dossier is none."""
    host.fill({host.key(1): record(1)})
    elsewhere = host.root.parent / "elsewhere"
    elsewhere.mkdir(exist_ok=True)
    (elsewhere / "contract.pdf").write_text("keep")
    dossier = host.root / str(host.key(1)[0])
    (dossier / "one.pdf").symlink_to("../../elsewhere/contract.pdf")
    (dossier / "all").symlink_to("../../elsewhere")
    (host.root / "looks-like-one").symlink_to("../elsewhere")
    source = host.open()
    assert [host.key(1)] == everything(source)[0]
    assert any("1 entries beside the dossiers are links" in each.what for each in source.problems(None, {})[1])
    assert [] == _deleted(source, host.key(1))
    assert ["contract.pdf"] == [path.name for path in elsewhere.iterdir()]
    assert ["looks-like-one"] == [path.name for path in host.root.iterdir()]
    (host.root / "looks-like-one").unlink()
    source.close()


def test_what_comes_in_while_a_dossier_goes_stays(host: HostHarness) -> None:
    """A file that is put there while its dossier goes stays with its folder, and is said."""
    host.fill({host.key(1): record(1)})
    source = host.open()
    storage = source._storage  # type: ignore[attr-defined]
    really = storage.remove
    late = host.root / str(host.key(1)[0]) / "late.eml"

    def then(dossier: str, some: object) -> None:
        if not late.exists():
            late.write_text("Just now")
        really(dossier, some)

    storage.remove = then
    assert [Left.CHANGED] == [why for why, _ in _deleted(source, host.key(1))]
    assert "Just now" == late.read_text()
    source.close()


def test_a_host_that_goes_away(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A host that dies between the reading and the writing leaves everything for later, and is a source that failed."""
    with running_sftp() as server:
        host = HostHarness(server)
        host.fill({host.key(number): record(number) for number in range(3)})
        source = host.open()
        keys, whole = everything(source)
        with source.batch("b", whole, EVERYTHING, ()) as batch:
            batch.write(Changes(delete=keys))
            os.kill(server.pid, signal.SIGKILL)
            assert {Left.BUSY} == {each.why for each in batch.commit()}
        with pytest.raises((SourceFailed, Retriable)):
            everything(source)
        assert 3 == len(host.dump())
        source.close()


def test_a_host_that_goes_away_while_it_is_listed() -> None:
    """A listing that the host doesn't end, because it died, is a source that failed, and never a shorter list."""
    with running_sftp(IN_MEMORY) as server:
        host = HostHarness(server)
        host.fill_many(1_000)
        source = host.open()

        def take(names: Iterator[str]) -> list[str]:
            first = next(names)
            os.kill(server.pid, signal.SIGKILL)
            return [first, *names]

        with pytest.raises((SourceFailed, Retriable)):
            source._storage.dossiers(take)  # type: ignore[attr-defined]
        source.close()
