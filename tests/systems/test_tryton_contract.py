"""The tryton connector keeps the contract on a real Tryton, through a proxy that makes bad days."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

import pytest

from connectors.contract import (
    AGGREGATES,
    COLUMNS,
    FIELDS,
    RELATIONS,
    ConnectorContract,
    FaultProxy,
    Record,
    RelationsContract,
    RelationsHarness,
    Request,
    ServiceContract,
    ServiceHarness,
)
from connectors.plugins import tryton as open_source
from tests.systems.servers.parties import PATIENCE
from tests.systems.servers.tryton import DATABASE, PASSWORD, USER, Tryton
from worker.core.sources import Source
from worker.ports import Connection, Key, OpenSource

CHANGES = (b".write", b".delete", b".create", b".execute")
TABLES = {"retention.person": "retention_person", "letters": "retention_letter", "bills": "retention_bill"}


def is_change(request: Request) -> bool:
    """Whether a call changes something: all of them are POSTs."""
    method = re.search(rb'"method": "([a-z._-]+)"', request.body)
    return method is not None and method[1].endswith(CHANGES)


class TrytonHarness(ServiceHarness, RelationsHarness):
    """The people of a module of its own; another program works on the tables."""

    more_than_a_page = 399
    many = 4_000
    selections = 12
    renews = True
    page_at = 2

    def __init__(self, server: Tryton, proxy: FaultProxy) -> None:
        self.server = server
        self.proxy = proxy
        self.password = PASSWORD
        relations = tuple(replace(each, table=f"retention.{each.table.removesuffix('s')}") for each in RELATIONS)
        self.plain = Source("people", "tryton", "retention.person", ("id",), FIELDS)
        self.source = replace(self.plain, aggregates=AGGREGATES, relations=relations)

    def open(self) -> OpenSource:
        return self._opened(PASSWORD)

    def open_as_stranger(self) -> OpenSource:
        return self._opened("wrong")

    def _opened(self, password: str) -> OpenSource:
        address = self.proxy.url.replace("://", f"://{USER}:{password}@")
        return open_source(self.source, Connection(f"{address}/{DATABASE}", options=PATIENCE))

    def is_about(self, request: Request, key: Key) -> bool:
        return json.loads(request.body)["params"][0] == [key[0]]

    def key(self, number: int) -> Key:
        return (number + 1,)

    def kept(self, value: str | None) -> str | None:
        return value

    def fill(self, records: Mapping[Key, Record]) -> None:
        with self.server.database() as database:
            for table in TABLES.values():
                database.execute(f"DELETE FROM {table}")
            names = ", ".join(COLUMNS)
            database.executemany(
                f"INSERT INTO retention_person (id, {names}) VALUES (?{', ?' * len(COLUMNS)})",
                ((*key, *(self._stored(values[name]) for name in COLUMNS)) for key, values in records.items()),
            )

    def dump(self) -> dict[Key, dict[str, object]]:
        with self.server.database() as database:
            rows = database.execute(f"SELECT id, {', '.join(COLUMNS)} FROM retention_person").fetchall()
        return {(row[0],): dict(zip(COLUMNS, row[1:], strict=True)) for row in rows}

    def disturb(self, key: Key, record: Record | None) -> bool:
        with self.server.database() as database:
            if record is None:
                database.execute("DELETE FROM retention_person WHERE id = ?", key)
            else:
                settings = ", ".join(f"{name} = ?" for name in COLUMNS)
                database.execute(
                    f"UPDATE retention_person SET {settings} WHERE id = ?", (*(self._stored(record[name]) for name in COLUMNS), *key)
                )
        return True

    def fill_related(self, table: str, rows: Mapping[Key, Record]) -> None:
        with self.server.database() as database:
            database.execute(f"DELETE FROM {TABLES[table]}")
            database.executemany(
                f"INSERT INTO {TABLES[table]} (id, record_id, sent_on) VALUES (?, ?, ?)",
                [(*key, row["record_id"], self._stored(row["sent_on"])) for key, row in rows.items()],
            )

    def dump_related(self, table: str) -> dict[Key, dict[str, object]]:
        with self.server.database() as database:
            rows = database.execute(f"SELECT id, record_id, sent_on FROM {TABLES[table]}").fetchall()
        return {(row[0],): {"record_id": row[1], "sent_on": row[2]} for row in rows}

    def _stored(self, value: object) -> object:
        """Return a value as SQLite has it in Tryton's tables."""
        if isinstance(value, dt.datetime):
            return value.isoformat(sep=" ")
        if isinstance(value, dt.date):
            return value.isoformat()
        return self.kept(value) if isinstance(value, str) else value


@pytest.fixture(scope="module")
def proxy(tryton: Tryton) -> Iterator[FaultProxy]:
    """Return what stands between the connector and Tryton."""
    with FaultProxy(tryton.url, is_change, keeps_encoding=True).running() as made:
        yield made


class TestPeople(ConnectorContract):
    """Records of a model without relations."""

    @pytest.fixture
    def harness(self, tryton: Tryton, proxy: FaultProxy) -> TrytonHarness:
        proxy.heal()
        made = TrytonHarness(tryton, proxy)
        made.source = made.plain
        return made


class TestRelated(RelationsContract):
    """Rows that belong to records."""

    @pytest.fixture
    def harness(self, tryton: Tryton, proxy: FaultProxy) -> TrytonHarness:
        proxy.heal()
        return TrytonHarness(tryton, proxy)


class TestBadDays(ServiceContract):
    """The same when the network, Tryton or the sign-in fails."""

    @pytest.fixture
    def harness(self, tryton: Tryton, proxy: FaultProxy) -> TrytonHarness:
        made = TrytonHarness(tryton, proxy)
        made.source = made.plain
        return made
