"""A private Redis: nothing kept on disk, free loopback port, password demanded, gone at the end."""

from __future__ import annotations

import contextlib
import secrets
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import redis

from tests.systems.servers.process import LOOPBACK, Account, private_folder, program, running


@dataclass(frozen=True, slots=True)
class Redis:
    """A running server."""

    pid: int
    port: int
    password: str = field(repr=False)

    @property
    def url(self) -> str:
        """Its address, with the password."""
        return f"redis://:{self.password}@{LOOPBACK}:{self.port}/0"

    def emptied(self) -> None:
        """Forget every message."""
        with _client(self.port, self.password) as client:
            client.flushall()

    def queued(self) -> int:
        """Return how many messages wait in all queues."""
        with _client(self.port, self.password) as client:
            names = [name for name in client.keys("retention*") if client.type(name) == b"list"]
            return sum(int(client.llen(name)) for name in names)  # type: ignore[arg-type]


@contextlib.contextmanager
def running_redis(parent: Path | None = None, *, password: str | None = None) -> Iterator[Redis]:
    """Yield a private server. password -- of one that this one comes instead of. Raises ServerMissingError, ServerFailedError."""
    binary = program("redis-server")
    account = Account.other_than_root("redis")
    password = password or secrets.token_urlsafe(18)
    with private_folder("redis", account, parent) as folder:
        settings = folder / "redis.conf"
        settings.write_text(f'requirepass {password}\nbind {LOOPBACK}\nsave ""\nappendonly no\ndir {folder}\n')
        settings.chmod(0o600)
        account.owns(settings)

        def answers(port: int) -> bool:
            try:
                with _client(port, password) as client:
                    return bool(client.ping())
            except redis.exceptions.RedisError:
                return False

        with running(account, folder, lambda port: [binary, settings, "--port", str(port)], answers, stop=signal.SIGKILL) as (pid, port):
            yield Redis(pid, port, password)


def _client(port: int, password: str) -> redis.Redis:
    return redis.Redis(host=LOOPBACK, port=port, password=password, socket_timeout=5)
