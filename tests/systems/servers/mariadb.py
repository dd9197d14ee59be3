"""A private MariaDB: own data folder, free loopback port, password demanded, gone at the end.

`with running_mariadb() as server:` needs no test runner; the benchmark uses it with `durable=True`.
"""

from __future__ import annotations

import contextlib
import itertools
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pymysql

from tests.systems.servers.certificate import certify
from tests.systems.servers.process import LOOPBACK, Account, prepare, private_folder, program, running

USER = "retention"
FAST = {"innodb-flush-log-at-trx-commit": "0", "innodb-buffer-pool-size": "64M", "innodb-doublewrite": "0"}
DURABLE = {"innodb-flush-log-at-trx-commit": "1", "innodb-buffer-pool-size": "512M"}


@dataclass(frozen=True, slots=True)
class MariaDB:
    """A running server. pid -- of its process; durable -- whether a commit survives a loss of power."""

    pid: int
    port: int
    password: str = field(repr=False)
    durable: bool
    folder: Path
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1), repr=False)

    @property
    def url(self) -> str:
        """The SQLAlchemy address of a database that is always there; its user may do everything."""
        return self.url_of("retention")

    @property
    def socket(self) -> Path:
        """The server's Unix socket, for programs that like one; the password is demanded there too."""
        return self.folder / "s"

    def url_of(self, database: str, *, user: str = USER, password: str | None = None) -> str:
        """Return the SQLAlchemy address of a database, by default for the user who may do everything."""
        secret = password or self.password
        return f"mariadb+pymysql://{user}:{secret}@{LOOPBACK}:{self.port}/{database}?charset=utf8mb4"

    def new_database(self, name: str) -> str:
        """Create an empty database and return its SQLAlchemy address; a number after `name` makes it one of its own."""
        unique = f"{name}_{next(self._numbers)}"
        with _connected(self.port, self.password) as connection, connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE `{unique.replace('`', '``')}` CHARACTER SET utf8mb4")
        return self.url_of(unique)


@contextlib.contextmanager
def running_mariadb(*, durable: bool = False, encrypted: bool = False, parent: Path | None = None) -> Iterator[MariaDB]:
    """Yield a private server and remove it with its data afterwards.

    durable -- every commit waits for the disk, with the memory a small server has; else as fast as tests like it.
    encrypted -- it talks by TLS only, with a certificate of its own (certificate.pem in its folder).
    parent -- where the data folder is made (by default the system's temporary folder); the account `mysql`, or
    `nobody`, must be able to enter it. Raises ServerMissingError, ServerFailedError.
    """
    install, server = program("mariadb-install-db"), program("mariadbd")
    account = Account.other_than_root("mysql")
    password = secrets.token_urlsafe(18)
    with private_folder("mariadb", account, parent) as folder:
        data, accounts = folder / "data", folder / "accounts.sql"
        # The built-in administrator can enter by the socket only, as itself: no account is without a password.
        prepare(
            account,
            [install, "--no-defaults", f"--datadir={data}", "--auth-root-authentication-method=socket", "--skip-test-db"],
            folder,
            # A server that comes up removes the temporary files of another one that is being set up in the same place.
            environment={"TMPDIR": str(folder)},
        )
        accounts.write_text(
            "CREATE DATABASE IF NOT EXISTS retention CHARACTER SET utf8mb4;\n"
            + "".join(
                f"CREATE OR REPLACE USER {USER}@'{host}' IDENTIFIED BY '{password}';\n"
                f"GRANT ALL ON *.* TO {USER}@'{host}' WITH GRANT OPTION;\n"
                for host in (LOOPBACK, "localhost")
            )
        )
        account.owns(accounts)
        settings = {
            "datadir": data,
            "tmpdir": folder,
            "socket": folder / "s",
            "bind-address": LOOPBACK,
            "character-set-server": "utf8mb4",
            "init-file": accounts,
            "innodb-fast-shutdown": "2",
            "max-connections": "60",
            **(DURABLE if durable else FAST),
        }
        if encrypted:
            certify(folder)
            for name in ("key.pem", "certificate.pem"):
                account.owns(folder / name)
            settings |= {"ssl-key": folder / "key.pem", "ssl-cert": folder / "certificate.pem", "require-secure-transport": "ON"}
        options = ["--skip-log-bin", "--skip-name-resolve", *(f"--{name}={value}" for name, value in settings.items())]
        with running(
            account,
            folder,
            lambda port: [server, "--no-defaults", f"--port={port}", *options],
            lambda port: _is_ready(port, password),
        ) as (pid, port):
            yield MariaDB(pid, port, password, durable, folder)


def _connected(port: int, password: str) -> pymysql.Connection[Any]:
    return pymysql.connect(host=LOOPBACK, port=port, user=USER, password=password, autocommit=True)


def _is_ready(port: int, password: str) -> bool:
    try:
        _connected(port, password).close()
    except pymysql.err.OperationalError:
        return False
    return True
