"""A SQLite file that a test describes in SQL, and a source that it declares on it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from connectors.sql import open_source
from connectors.sql.open import SqlSource
from worker.core.facts import Empty, FieldType, Reading
from worker.core.sources import Aggregate, Field, Relation, Source, Treatment
from worker.ports import Connection

Open = Callable[..., SqlSource]


def reading(kind: FieldType = FieldType.TEXT, zone: str | None = "UTC") -> Reading:
    """Return how a column is read."""
    stored = ZoneInfo(zone) if zone is not None and kind is FieldType.TIMESTAMP else None
    return Reading(kind, Empty.UNKNOWN, ZoneInfo("Europe/Amsterdam"), stored)


def field(name: str, kind: FieldType = FieldType.TEXT, treatment: Treatment | None = None, zone: str | None = "UTC") -> Field:
    """Return a field that is named like its column."""
    return Field(name, name, reading(kind, zone), personal=treatment is not None, treatment=treatment)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the file will be."""
    return tmp_path / "office.db"


@pytest.fixture
def opened(path: Path) -> Iterator[Open]:
    """Return the function that makes the file with some SQL and opens one of its tables as a source."""
    made: list[SqlSource] = []

    def open_(
        sql: str,
        *fields: Field,
        table: str = "people",
        key: tuple[str, ...] = ("id",),
        relations: tuple[Relation, ...] = (),
        aggregates: tuple[Aggregate, ...] = (),
        options: Mapping[str, str] | None = None,
        connection: Mapping[str, str] | None = None,
        witness: bool = False,
    ) -> SqlSource:
        with closing(sqlite3.connect(path)) as database:
            database.executescript(sql)
        source = Source("people", "sql", table, key, fields, aggregates, relations, options=options or {})
        made.append(open_source(source, Connection(f"sqlite:///{path}", options=connection or {}, witness_table=witness)))
        return made[-1]

    yield open_
    for each in made:
        each.close()
