"""A private PostgreSQL: own data folder, free loopback port, password demanded, gone at the end.

`with running_postgres() as server:` needs no test runner; the benchmark uses it with `durable=True`.
"""

from __future__ import annotations

import contextlib
import itertools
import re
import secrets
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg import sql

from tests.systems.servers.process import LOOPBACK, Account, prepare, private_folder, program, running

USER = "retention"
FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "shared_buffers": "64MB"}
DURABLE = {"fsync": "on", "synchronous_commit": "on", "shared_buffers": "256MB", "max_wal_size": "2GB"}


@dataclass(frozen=True, slots=True)
class Postgres:
    """A running server. pid -- of its first process; durable -- whether a commit survives a loss of power."""

    pid: int
    port: int
    password: str = field(repr=False)
    durable: bool
    folder: Path
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1), repr=False)

    @property
    def url(self) -> str:
        """The SQLAlchemy address of a database that is always there; its user may do everything."""
        return self.url_of("postgres")

    def url_of(self, database: str, *, user: str = USER, password: str | None = None) -> str:
        """Return the SQLAlchemy address of a database, by default for the user who may do everything."""
        return f"postgresql+psycopg://{user}:{password or self.password}@{LOOPBACK}:{self.port}/{database}"

    def new_database(self, name: str) -> str:
        """Create an empty database and return its SQLAlchemy address; a number after `name` makes it one of its own."""
        unique = f"{name}_{next(self._numbers)}"
        with _connected(self.port, self.password) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(unique)))
        return self.url_of(unique)


@contextlib.contextmanager
def running_postgres(*, durable: bool = False, parent: Path | None = None) -> Iterator[Postgres]:
    """Yield a private server and remove it with its data afterwards.

    durable -- every commit waits for the disk, with the memory a small server has; else as fast as tests like it.
    parent -- where the data folder is made (by default the system's temporary folder); the account `postgres`, or
    `nobody`, must be able to enter it. Raises ServerMissingError, ServerFailedError.
    """
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_version, reverse=True)
    initdb, postgres = (program(name, *map(str, folders)) for name in ("initdb", "postgres"))
    account = Account.other_than_root("postgres")
    password = secrets.token_urlsafe(18)
    with private_folder("postgres", account, parent) as folder:
        data, words = folder / "data", folder / "password"
        words.write_text(password)
        account.owns(words)
        with_password = ["--auth=scram-sha-256", f"--pwfile={words}", f"--username={USER}"]
        prepare(account, [initdb, "-D", data, *with_password, "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"], folder)
        settings = {
            "listen_addresses": LOOPBACK,
            "unix_socket_directories": "",  # A socket's path would be too long in a deep temporary folder.
            "max_connections": "60",
            **(DURABLE if durable else FAST),
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with running(
            account,
            folder,
            lambda port: [postgres, "-D", data, "-p", str(port), *options],
            lambda port: _is_ready(port, password),
            stop=signal.SIGQUIT,  # At once, without a last checkpoint: the data folder is thrown away.
        ) as (pid, port):
            yield Postgres(pid, port, password, durable, folder)


def _connected(port: int, password: str) -> psycopg.Connection:
    return psycopg.connect(host=LOOPBACK, port=port, user=USER, password=password, dbname="postgres", autocommit=True)


def _is_ready(port: int, password: str) -> bool:
    try:
        _connected(port, password).close()
    except psycopg.OperationalError:
        return False
    return True


def _version(folder: Path) -> tuple[int, ...]:
    """Order 9.6 before 15: numbers, not letters."""
    return tuple(map(int, re.findall(r"\d+", folder.parent.name)))
