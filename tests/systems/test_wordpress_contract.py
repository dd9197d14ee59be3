"""The wordpress connector keeps the contract on a real WordPress, through a proxy that makes bad days."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

import pytest
import sqlalchemy as sa

from connectors.contract import COLUMNS, FIELDS, ConnectorContract, Record, Request, ServiceContract, ServiceHarness
from connectors.plugins import wordpress as open_source
from tests.systems.servers.site import Rest, rest
from tests.systems.servers.wordpress import WordPress
from worker.core.sources import Source
from worker.ports import Connection, Key, OpenSource

OWN = {
    "name": ("author_name", "comment_author"),
    "email": ("author_email", "comment_author_email"),
    "ip": ("author_ip", "comment_author_IP"),
}
"""The fields that every comment has, as REST and as the table call them; the others are comment meta."""
META = tuple(name for name in COLUMNS if name not in OWN)
PATIENCE = {"attempts": "4", "wait": "0.02", "timeout": "10"}


class SiteHarness(ServiceHarness):
    """The comments of one post; another program works on the tables."""

    more_than_a_page = 203
    many = 1_600
    selections = 12
    odd_dates = ("0000-00-00", "yesterday", "  ", "2020-02-30", "")

    def __init__(self, way: Rest, engine: sa.Engine, post: int) -> None:
        self.way = way
        self.proxy = way.proxy
        self.password = way.password
        self.engine = engine
        self.post = post
        fields = tuple(replace(each, column=OWN[each.name][0] if each.name in OWN else f"meta.{each.name}") for each in FIELDS)
        self.source = Source("people", "wordpress", "comments", ("id",), fields)

    def open(self) -> OpenSource:
        return open_source(self.source, Connection(self.way.url(), options=PATIENCE))

    def open_as_stranger(self) -> OpenSource:
        return open_source(self.source, Connection(self.way.url("wrong"), options=PATIENCE))

    def is_about(self, request: Request, key: Key) -> bool:
        return re.search(rf"/comments/{key[0]}\b", request.path) is not None

    def key(self, number: int) -> Key:
        return (number + 1,)

    def kept(self, value: str | None) -> str | None:
        return value or None

    def fill(self, records: Mapping[Key, Record]) -> None:
        with self.engine.begin() as connection:
            connection.exec_driver_sql("DELETE FROM wp_comments")
            connection.exec_driver_sql("DELETE FROM wp_commentmeta")
            self._insert(connection, records)

    def dump(self) -> dict[Key, dict[str, object]]:
        with self.engine.begin() as connection:
            rows = connection.exec_driver_sql(f"SELECT comment_ID, {', '.join(name for _, name in OWN.values())} FROM wp_comments").all()
            meta = connection.exec_driver_sql("SELECT comment_id, meta_key, meta_value FROM wp_commentmeta").all()
        found = {(int(row[0]),): {**dict.fromkeys(COLUMNS), **dict(zip(OWN, row[1:], strict=True))} for row in rows}
        for key, name, value in meta:
            if (int(key),) in found:
                found[int(key),][name] = value
        return {key: {name: value or None for name, value in values.items()} for key, values in found.items()}

    def disturb(self, key: Key, record: Record | None) -> bool:
        with self.engine.begin() as connection:
            for table in ("wp_comments", "wp_commentmeta"):
                connection.exec_driver_sql(f"DELETE FROM {table} WHERE comment_ID = %s", key)
            if record is not None:
                self._insert(connection, {key: record})
        return True

    def _insert(self, connection: sa.Connection, records: Mapping[Key, Record]) -> None:
        names = ", ".join(column for _, column in OWN.values())
        if not records:
            return
        connection.exec_driver_sql(
            f"INSERT INTO wp_comments (comment_ID, comment_post_ID, comment_content, comment_agent, comment_date, comment_date_gmt,"
            f" comment_approved, comment_type, {names})"
            f" VALUES (%s, {self.post}, 'Hello', 'Agent', '2020-01-01', '2020-01-01', '1', 'comment', %s, %s, %s)",
            [(*key, *(values[name] or "" for name in OWN)) for key, values in records.items()],
        )
        meta = [(*key, name, _text(values[name])) for key, values in records.items() for name in META if values[name] is not None]
        if meta:
            connection.exec_driver_sql("INSERT INTO wp_commentmeta (comment_id, meta_key, meta_value) VALUES (%s, %s, %s)", meta)


def _text(value: object) -> str:
    """Return a value as comment meta holds it."""
    if isinstance(value, dt.datetime):
        return value.isoformat(sep=" ")
    return json.dumps(value) if isinstance(value, bool) else str(value)


@pytest.fixture(scope="module")
def way(wordpress: WordPress) -> Iterator[Rest]:
    """Return the way into a site on which the contract's other fields are registered as comment meta."""
    with rest(wordpress, META) as made:
        yield made


@pytest.fixture(scope="module")
def place(way: Rest) -> Iterator[tuple[sa.Engine, int]]:
    """Return another program's way to the tables, and a post."""
    engine = sa.create_engine(way.site.database_url)
    post = int(way.site.php("echo wp_insert_post(['post_title' => 'A post', 'post_status' => 'publish', 'post_author' => 1]);"))
    yield engine, post
    engine.dispose()


class TestComments(ConnectorContract):
    """Comments of a site."""

    @pytest.fixture
    def harness(self, way: Rest, place: tuple[sa.Engine, int]) -> SiteHarness:
        way.proxy.heal()
        return SiteHarness(way, *place)


class TestBadDays(ServiceContract):
    """The same when the network, the site or the sign-in fails."""

    @pytest.fixture
    def harness(self, way: Rest, place: tuple[sa.Engine, int]) -> SiteHarness:
        return SiteHarness(way, *place)
