"""A private SFTP server (asyncssh, from PyPI): own folder, free loopback port, own host key, gone at the end.

Run as a program it is the server: FOLDER PORT, with `settings.json` (user, password) in the folder; it serves FOLDER/data.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import asyncssh

USER = "office"


@dataclass(frozen=True, slots=True)
class Sftp:
    """A running server. data -- the folder that it serves, where another program works; host_key -- its public key."""

    pid: int
    port: int
    data: Path
    host_key: str
    password: str = field(repr=False)


@contextlib.contextmanager
def running_sftp(parent: Path | None = None) -> Iterator[Sftp]:
    """Yield a private server and remove it with its data afterwards; raises ServerFailedError."""
    from tests.systems.servers.process import LOOPBACK, Account, private_folder, running

    def is_ready(port: int) -> bool:
        with contextlib.suppress(OSError), socket.create_connection((LOOPBACK, port), timeout=1):
            return True
        return False

    account = Account.other_than_root("root")
    password = secrets.token_urlsafe(24)
    key = asyncssh.generate_private_key("ssh-ed25519")
    with private_folder("sftp", account, parent) as folder:
        (folder / "data").mkdir()
        key.write_private_key(folder / "host")
        (folder / "settings.json").write_text(json.dumps({"user": USER, "password": password}))
        with running(account, folder, lambda port: [sys.executable, __file__, folder, str(port)], is_ready) as (pid, port):
            yield Sftp(pid, port, folder / "data", key.export_public_key().decode().strip(), password)


async def _serve(folder: Path, port: int) -> None:
    said = json.loads((folder / "settings.json").read_text())

    class Server(asyncssh.SSHServer):
        def begin_auth(self, username: str) -> bool:
            return True

        def password_auth_supported(self) -> bool:
            return True

        def validate_password(self, username: str, password: str) -> bool:
            return (username, password) == (said["user"], said["password"])

    def files(channel: asyncssh.SSHServerChannel) -> asyncssh.SFTPServer:
        return asyncssh.SFTPServer(channel, chroot=str(folder / "data").encode())

    await asyncssh.listen("127.0.0.1", port, server_factory=Server, server_host_keys=[str(folder / "host")], sftp_factory=files)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1]), int(sys.argv[2])))
