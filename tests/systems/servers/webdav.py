"""A private WebDAV server (WsgiDAV, from PyPI): own folder, free loopback port, password demanded, gone at the end."""

from __future__ import annotations

import contextlib
import json
import secrets
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.systems.servers.process import LOOPBACK, Account, private_folder, program, running

USER = "office"


@dataclass(frozen=True, slots=True)
class WebDav:
    """A running server. data -- the folder that it serves, where another program works."""

    pid: int
    port: int
    data: Path
    password: str = field(repr=False)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{LOOPBACK}:{self.port}"


@contextlib.contextmanager
def running_webdav(parent: Path | None = None) -> Iterator[WebDav]:
    """Yield a private server and remove it with its data afterwards; raises ServerMissingError, ServerFailedError."""
    wsgidav = program("wsgidav", str(Path(sys.executable).parent))
    # It has to write what the tests, another program, have written.
    account = Account.other_than_root("root")
    password = secrets.token_urlsafe(24)
    with private_folder("webdav", account, parent) as folder:
        data = folder / "data"
        data.mkdir()

        def command(port: int) -> list[str | Path]:
            said = {
                "host": LOOPBACK,
                "port": port,
                "provider_mapping": {"/": str(data)},
                "simple_dc": {"user_mapping": {"*": {USER: {"password": password}}}},
                "http_authenticator": {"accept_basic": True, "accept_digest": False, "default_to_digest": False},
                "property_manager": True,
                "lock_storage": True,
                "verbose": 1,
            }
            (folder / "settings.json").write_text(json.dumps(said))
            return [wsgidav, f"--config={folder / 'settings.json'}"]

        with running(account, folder, command, _is_ready) as (pid, port):
            yield WebDav(pid, port, data, password)


def _is_ready(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((LOOPBACK, port), timeout=1):
        return True
    return False
