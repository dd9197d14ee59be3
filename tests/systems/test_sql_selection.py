"""Selections on typed databases: whatever stands in a column, and whatever the column's collation, nothing is missed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from connectors.contract.cases import TODAY, Facts
from connectors.sql import open_source
from tests.systems.servers.mariadb import MariaDB
from tests.systems.servers.postgres import Postgres
from tests.unit.connectors.sql import values
from worker.core.facts import FieldType
from worker.core.select import EVERYTHING, OnOrBefore, Selection, Suspect, Union
from worker.core.sources import Source
from worker.ports import Connection

COMMON = {
    **dict.fromkeys(values.COARSE_DAYS, "DATE"),
    "tens": "BIGINT",
    "price": "NUMERIC(30, 4)",
    "number": "BIGINT",
    "decimal_number": "NUMERIC(20, 4)",
    "wide": "DOUBLE PRECISION",
    "narrow": "REAL",
    "flag": "BOOLEAN",
    "day": "DATE",
}
POSTGRES = {
    **COMMON,
    "moment": "TIMESTAMP",
    "instant": "TIMESTAMPTZ",
    "stamp": "TIMESTAMP",
    "zoned": "TIMESTAMPTZ",
    "midnight": "TIMESTAMP",
    "text": "TEXT",
    "short": "CHAR(12)",
    "digits": "TEXT",
}
MARIADB = {
    **COMMON,
    "narrow": "FLOAT",
    "moment": "DATETIME(6)",
    "instant": "DATETIME",
    "stamp": "DATETIME(3)",
    "midnight": "DATETIME",
    "text": "VARCHAR(120) COLLATE utf8mb4_general_ci",
    "short": "VARCHAR(120) CHARACTER SET latin1",
    "digits": "VARCHAR(120)",
}
KINDS = {
    "number": FieldType.NUMBER,
    "decimal_number": FieldType.NUMBER,
    "wide": FieldType.NUMBER,
    "narrow": FieldType.NUMBER,
    "flag": FieldType.BOOLEAN,
    "day": FieldType.DATE,
    "stamp": FieldType.TIMESTAMP,
    "zoned": FieldType.TIMESTAMP,
    "midnight": FieldType.DATE,
    "text": FieldType.TEXT,
    "short": FieldType.TEXT,
    "digits": FieldType.NUMBER,
}
plain_texts = values.texts.filter(lambda text: text is None or len(text) <= 12)
latin = plain_texts.filter(lambda text: text is None or text.isascii())
days = st.one_of(values.days, st.sampled_from([None, dt.date(1900, 1, 1), dt.date(9999, 12, 31), dt.date(1, 1, 1), dt.date(1851, 1, 1)]))
moments = st.one_of(
    values.moments, st.sampled_from([None, dt.datetime(1900, 1, 1), dt.datetime(9999, 12, 31, 23, 59), dt.datetime(1850, 1, 1)])
)
BASE: dict[str, st.SearchStrategy[object]] = {
    "number": values.numbers,
    "decimal_number": st.sampled_from([None, Decimal("0.1"), Decimal("4.5"), Decimal(5), Decimal("-1.0001")]),
    "wide": st.sampled_from([None, 0.1, 4.5, 5.0, 1e300]),
    "narrow": st.sampled_from([None, 0.1, 4.5, 5.0]),
    "flag": st.sampled_from([None, True, False]),
    "day": days,
    "stamp": moments,
    "midnight": st.one_of(moments, days.map(lambda day: day and dt.datetime.combine(day, dt.time.min))),
    "text": values.texts,
    "short": latin,
    "digits": st.sampled_from([None, "", " 5", "5", "five", "1e3", "NaN", "0.10"]),
    **dict.fromkeys(values.TREATED, values.texts),
    **dict.fromkeys(values.COARSE_DAYS, values.first_days),
    **dict.fromkeys(values.COARSE_MOMENTS, values.first_moments),
    "tens": values.amounts,
    "price": st.one_of(values.amounts, st.sampled_from([Decimal("0.5"), Decimal("6.9999"), Decimal("7.0001")])),
}
ON_POSTGRES = {
    **BASE,
    "decimal_number": st.one_of(BASE["decimal_number"], st.just(Decimal("NaN"))),
    "wide": st.one_of(BASE["wide"], st.sampled_from([float("inf"), float("nan")])),
    "day": st.one_of(days, st.sampled_from(["infinity", "-infinity", "0044-03-15 BC", "20000-01-01"])),
    "month": st.one_of(values.first_days, st.sampled_from(["infinity", "-infinity", "0044-03-01 BC", "20000-01-01"])),
    "instant": st.one_of(values.first_moments, st.sampled_from(["infinity", "0044-01-01 BC", "20000-01-01"])),
    "price": st.one_of(BASE["price"], st.just(Decimal("NaN"))),
    "stamp": st.one_of(moments, st.sampled_from(["infinity", "-infinity"])),
    "zoned": st.one_of(
        moments.map(lambda moment: moment and moment.replace(tzinfo=dt.UTC)), st.sampled_from(["infinity", "0044-03-15 BC"])
    ),
}
ON_MARIADB = {
    **BASE,
    "day": st.one_of(days, st.sampled_from(["0000-00-00", "2024-00-10", "2024-03-00"])),
    "year": st.one_of(values.first_days, st.sampled_from(["0000-00-00", "2024-00-01", "2024-01-00", "0000-01-01"])),
    "stamp": st.one_of(moments, st.sampled_from(["0000-00-00 00:00:00", "2024-03-00 10:00:00"])),
    "flag": st.sampled_from([None, 0, 1, 2]),
}


class Table:
    """A table that is filled around the connector and asked through it."""

    def __init__(self, url: str, declared: Mapping[str, str], engine: sa.Engine) -> None:
        self.url = url
        self.declared = {**declared, **dict.fromkeys(values.TREATED, "VARCHAR(120)")}
        self.engine = engine
        columns = ", ".join(f"{name} {kind} NULL" for name, kind in self.declared.items())
        with engine.begin() as connection:
            connection.exec_driver_sql(f"CREATE TABLE things (id INT PRIMARY KEY, {columns})")

    def check(self, source: Source, rows: Sequence[Mapping[str, object]], selections: Sequence[Selection]) -> None:
        """Compare selections with what facts say about the values that come back."""
        names = list(self.declared)
        insert = sa.text(f"INSERT INTO things (id, {', '.join(names)}) VALUES (:id, {', '.join(f':{name}' for name in names)})")
        with self.engine.begin() as connection:
            connection.exec_driver_sql("DELETE FROM things")
            connection.execute(insert, [{"id": number, **row} for number, row in enumerate(rows)])
        facts = Facts(source)
        fields = [each.name for each in source.fields]
        opened = open_source(source, Connection(self.url))
        try:
            with opened.reader() as reader:
                stored = {row[0]: dict(zip(fields, row[1:], strict=True)) for page in reader.rows(EVERYTHING, fields) for row in page}
                for selection in selections:
                    got = {row[0] for page in reader.rows(selection, ()) for row in page}
                    must = {number for number, row in stored.items() if facts.must_hold(selection, row)}
                    name = getattr(selection, "fact", None)
                    assert must <= got, (selection, [stored[number].get(str(name), stored[number]) for number in must - got])
        finally:
            opened.close()


@st.composite
def cases(draw: st.DrawFn, declared: Mapping[str, st.SearchStrategy[object]]) -> tuple[Source, list[dict[str, object]], list[Selection]]:
    """Return a source, rows, and questions."""
    source = values.source_of(
        {name: draw(values.readings(kind, zoned=name == "zoned")) for name, kind in KINDS.items() if name in declared}
    )
    row: st.SearchStrategy[dict[str, object]] = st.fixed_dictionaries(dict(declared))  # type: ignore[arg-type]
    return source, draw(st.lists(row, min_size=6, max_size=12)), draw(st.lists(values.leaves(source), min_size=10, max_size=20))


@pytest.fixture(scope="module")
def on_postgres(postgres: Postgres) -> Iterator[Table]:
    """Return a table on PostgreSQL."""
    url = postgres.new_database("things")
    engine = sa.create_engine(url)
    yield Table(url, POSTGRES, engine)
    engine.dispose()


@pytest.fixture(scope="module")
def on_mariadb(mariadb: MariaDB) -> Iterator[Table]:
    """Return a table on MariaDB, on a connection that lets days be zero."""
    url = mariadb.new_database("things")
    engine = sa.create_engine(url, connect_args={"init_command": "SET sql_mode = ''"})
    yield Table(url, MARIADB, engine)
    engine.dispose()


# A failure is shown as it was found: making it smaller would take minutes on a server.
SLOWLY = settings(
    max_examples=40,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@SLOWLY
@given(case=cases(ON_POSTGRES))
def test_nothing_is_missed_on_postgres(on_postgres: Table, case: tuple[Source, list[dict[str, object]], list[Selection]]) -> None:
    """Every row of which facts say that it belongs to a selection is found by it on PostgreSQL."""
    on_postgres.check(*case)


@SLOWLY
@given(case=cases(ON_MARIADB))
def test_nothing_is_missed_on_mariadb(on_mariadb: Table, case: tuple[Source, list[dict[str, object]], list[Selection]]) -> None:
    """Every row of which facts say that it belongs to a selection is found by it on MariaDB."""
    on_mariadb.check(*case)


def test_what_is_due_or_undetermined_is_found_by_an_index_on_postgres(on_postgres: Table) -> None:
    """The questions of every night compare the column itself with constants, so that the index on it serves."""
    source = values.source_of(
        {"stamp": values.Reading(FieldType.TIMESTAMP, values.Empty.UNKNOWN, ZoneInfo("Europe/Amsterdam"), ZoneInfo("UTC"))}
    )
    opened = open_source(source, Connection(on_postgres.url))
    database, model = opened._database, opened._model
    where = model.where(Union((OnOrBefore("stamp", dt.date(2024, 1, 1)), Suspect("stamp", TODAY))), model.table.rows)
    statement = database.compiled(sa.select(model.table.rows.column("id")).select_from(model.table.clause).where(where))
    with on_postgres.engine.begin() as connection:
        connection.exec_driver_sql("CREATE INDEX ON things (stamp)")
        connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        plan = "\n".join(row[0] for row in connection.exec_driver_sql(f"EXPLAIN {statement.sql}", statement.parameters))
        connection.rollback()
    opened.close()
    assert "Seq Scan" not in plan, plan
