"""A standby of a private PostgreSQL: what it is behind can be seen, and replay can be stopped."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg

from tests.systems.servers.postgres import USER, Postgres, _version
from tests.systems.servers.process import LOOPBACK, Account, prepare, private_folder, program, running


@contextlib.contextmanager
def running_standby(primary: Postgres) -> Iterator[str]:
    """Yield the SQLAlchemy address of a database on a fresh standby of a server, and remove it afterwards."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_version, reverse=True)
    backup, postgres = (program(name, *map(str, folders)) for name in ("pg_basebackup", "postgres"))
    account = Account.other_than_root("postgres")
    with private_folder("standby", account) as folder:
        data = folder / "data"
        source = f"host={LOOPBACK} port={primary.port} user={USER} password={primary.password}"
        prepare(account, [backup, "-D", data, "-d", source, "-R", "-X", "stream", "--checkpoint=fast", "--no-sync"], folder)
        settings = {"listen_addresses": LOOPBACK, "unix_socket_directories": "", "wal_receiver_status_interval": "1s"}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]

        def ready(port: int) -> bool:
            try:
                connected(port, primary.password).close()
            except psycopg.OperationalError:
                return False
            return True

        with running(account, folder, lambda port: [postgres, "-D", data, "-p", str(port), *options], ready) as (_, port):
            yield f"postgresql+psycopg://{USER}:{primary.password}@{LOOPBACK}:{port}/postgres"


def connected(port: int, password: str) -> psycopg.Connection:
    """Return a connection to a standby."""
    return psycopg.connect(host=LOOPBACK, port=port, user=USER, password=password, dbname="postgres", autocommit=True)


def until(seconds: float, holds: object) -> bool:
    """Return whether something comes true in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if holds():  # type: ignore[operator]
            return True
        time.sleep(0.1)
    return False
