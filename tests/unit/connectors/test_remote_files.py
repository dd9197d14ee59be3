"""What can be said about dossiers in a storage without any storage: settings, extras, and what a sidecar must not lose."""

from __future__ import annotations

import sys

import pytest

from connectors import plugins
from connectors.contract import FIELDS
from worker.core.sources import Source
from worker.errors import ConfigurationError
from worker.ports import Connection

SECRET = "s3cr3t-7f3a"
HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGqmVJ8i7cVsbWfPJb0rmEQ6Z3C7d4RkJ9nQJ6dYb6yP"
URLS = {
    "s3_files": f"s3://user:{SECRET}@bucket",
    "webdav_files": f"ftp://user:{SECRET}@host/path",
    "sftp_files": f"ssh://user:{SECRET}@host/path",
}


def source(table: str = ".", **options: str) -> Source:
    return Source("applications", "s3_files", table, ("folder",), FIELDS[:1], options=options)


@pytest.mark.parametrize(("plugin", "extra", "module"), [("s3_files", "s3", "s3fs"), ("sftp_files", "sftp", "paramiko")])
def test_a_missing_library_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch, plugin: str, extra: str, module: str) -> None:
    """On a machine without the library the worker starts, and the source says what to install."""
    for name in ("s3", "sftp"):
        monkeypatch.delitem(sys.modules, f"connectors.remote_files.{name}", raising=False)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigurationError, match=rf"needs {module}.*retention-worker\[{extra}\]"):
        getattr(plugins, plugin)(source(), Connection(URLS[plugin]))


@pytest.mark.parametrize("plugin", URLS)
def test_a_wrong_address_is_said_without_it(plugin: str) -> None:
    """An address that can't be right is refused by the name of its setting; neither it nor its password is shown."""
    with pytest.raises(ConfigurationError, match="RETENTION_SOURCES__APPLICATIONS__URL") as caught:
        getattr(plugins, plugin)(source(), Connection(URLS[plugin]))
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("option", ["index", "shared"])
def test_what_only_a_local_folder_can_have_is_refused(option: str) -> None:
    """An index or a shared folder would need several things changed at once, which no storage can."""
    with pytest.raises(ConfigurationError, match="local disk"):
        plugins.s3_files(source(**{option: "x"}), Connection("s3://bucket"))


@pytest.mark.parametrize("table", ["../other", "a//b", "./a"])
def test_a_table_leads_down(table: str) -> None:
    """A table is a folder below the address and leads nowhere else."""
    with pytest.raises(ConfigurationError, match="no folder below"):
        plugins.s3_files(source(table), Connection("s3://bucket"))


@pytest.mark.parametrize("options", [{"key": "k"}, {"attempts": "many"}, {"passwort": SECRET}])
def test_wrong_options_are_said_without_their_values(options: dict[str, str]) -> None:
    """Half a sign-in, a number that is none and an unknown option are refused; values are not shown."""
    with pytest.raises(ConfigurationError) as caught:
        plugins.s3_files(source(), Connection("s3://bucket", options=options))
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(("plugin", "url"), [("s3_files", "s3://bucket"), ("sftp_files", "sftp://user@host/path")])
def test_an_option_that_would_do_nothing_is_refused(plugin: str, url: str) -> None:
    """A limit of requests that nobody keeps is no setting: who sets it is told."""
    with pytest.raises(ConfigurationError, match="unknown options per_second"):
        getattr(plugins, plugin)(source(), Connection(url, options={"per_second": "5"}))
