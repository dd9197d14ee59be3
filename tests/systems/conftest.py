"""Real servers for the tests in this folder: private, on free loopback ports, started once and always stopped.

A server that is not installed fails the tests that need it ("run make servers"); nothing is skipped.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import pytest

from connectors.contract import FaultProxy
from tests.systems.servers.dovecot import Dovecot, running_dovecot
from tests.systems.servers.mariadb import MariaDB, running_mariadb
from tests.systems.servers.postgres import Postgres, running_postgres
from tests.systems.servers.redis import Redis, running_redis
from tests.systems.servers.s3 import S3, running_s3
from tests.systems.servers.tryton import Tryton, running_tryton
from tests.systems.servers.wordpress import WordPress, running_wordpress


class Vendor(Protocol):
    """What plays a service: `vendor` is the fixture of the module that needs one."""

    @property
    def url(self) -> str:
        """Where it answers."""


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """Give a private PostgreSQL; take a database of your own with `postgres.new_database("crm")`."""
    with running_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDB]:
    """Give a private MariaDB; take a database of your own with `mariadb.new_database("crm")`."""
    with running_mariadb() as server:
        yield server


@pytest.fixture(scope="session")
def s3() -> Iterator[S3]:
    """Give a private S3 server; take a bucket of your own with `s3.new_bucket(versioned=True)`."""
    with running_s3() as server:
        yield server


@pytest.fixture(scope="session")
def redis_server() -> Iterator[Redis]:
    """Give a private Redis; empty it with `emptied`."""
    with running_redis() as server:
        yield server


@pytest.fixture(scope="session")
def dovecot() -> Iterator[Dovecot]:
    """Give a private IMAP server; every user name has a mailbox of its own."""
    with running_dovecot() as server:
        yield server


@pytest.fixture(scope="session")
def tryton() -> Iterator[Tryton]:
    """Give a private Tryton with the module party and one for the contract; each test empties the tables that it fills."""
    with running_tryton() as server:
        yield server


@pytest.fixture(scope="module")
def wordpress(mariadb: MariaDB) -> Iterator[WordPress]:
    """Give a freshly installed WordPress without content; each test module has its own, so none sees another's comments."""
    with running_wordpress(mariadb) as site:
        yield site


@pytest.fixture
def proxy(vendor: Vendor) -> Iterator[FaultProxy]:
    """Give a proxy in front of the played service of a module."""
    with FaultProxy(vendor.url).running() as running:
        yield running
