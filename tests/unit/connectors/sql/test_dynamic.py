"""Selections on SQLite: whatever stands in a column, nothing is missed, and what everybody writes is not over-selected."""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.dialects import sqlite

from connectors.contract.cases import TODAY, Facts
from connectors.sql.dynamic import DynamicStorage
from connectors.sql.expressions import compiled
from connectors.sql.selection import Model
from connectors.sql.sqlite import create_functions
from connectors.sql.tables import ColumnInfo, Kind, TableInfo
from tests.thoroughness import examples
from tests.unit.connectors.sql import values
from worker.core.facts import Empty, FieldType, Reading
from worker.core.select import OnOrBefore, Selection, Suspect
from worker.core.sources import Source

DECLARED = {"stamp": "TIMESTAMP", "zoned": "TEXT", "day": "DATE", "text": "TEXT", "loose": "", "number": "INTEGER", "flag": "BOOLEAN"}
DECLARED |= dict.fromkeys(values.TREATED, "VARCHAR(80)") | dict.fromkeys(values.COARSE_DAYS, "DATE")
DECLARED |= dict.fromkeys(values.COARSE_MOMENTS, "TIMESTAMP") | dict.fromkeys(values.COARSE_NUMBERS, "NUMERIC")


@pytest.fixture(scope="module")
def database() -> Iterator[sqlite3.Connection]:
    """Return a database with one empty table."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    create_functions(connection)
    connection.execute(f"CREATE TABLE things (id INTEGER PRIMARY KEY, {', '.join(f'{name} {kind}' for name, kind in DECLARED.items())})")
    yield connection
    connection.close()


def model(source: Source) -> Model:
    """Return the source as it lies in the table."""
    columns = {name: ColumnInfo(name, Kind.TEXT if "CHAR" in kind else Kind.OTHER, kind, nullable=True) for name, kind in DECLARED.items()}
    columns["id"] = ColumnInfo("id", Kind.NUMBER, "INTEGER", nullable=False)
    table = TableInfo("things", None, columns, ("id",), (), (), ())
    return Model(source, table, {"things": table}, DynamicStorage())


def found(database: sqlite3.Connection, source: Source, rows: Sequence[Mapping[str, object]], selection: Selection) -> set[int]:
    """Return the positions of the rows that a selection holds in the database."""
    database.execute("DELETE FROM things")
    names = list(DECLARED)
    marks = ", ".join("?" * (len(names) + 1))
    database.executemany(
        f"INSERT INTO things (id, {', '.join(names)}) VALUES ({marks})", [(n, *(row[name] for name in names)) for n, row in enumerate(rows)]
    )
    made = model(source)
    question = sa.select(made.table.rows.column("id")).select_from(made.table.clause).where(made.where(selection, made.table.rows))
    statement = compiled(question, sqlite.dialect(paramstyle="qmark"))
    return {row[0] for row in database.execute(statement.sql, statement.parameters)}


def stored(database: sqlite3.Connection) -> list[dict[str, object]]:
    """Return the rows as the database gives them back, which is what a decision sees."""
    names = list(DECLARED)
    return [dict(zip(names, row, strict=True)) for row in database.execute(f"SELECT {', '.join(names)} FROM things ORDER BY id")]


def _as_text(moment: dt.datetime | None) -> str | None:
    """Return a moment as most programs write it, at midnight as a day."""
    return None if moment is None else str(moment).removesuffix(" 00:00:00")


@st.composite
def cases(draw: st.DrawFn) -> tuple[Source, list[dict[str, object]], list[Selection]]:
    """Return a source, rows of values, and questions."""
    source = values.source_of(
        {
            "stamp": draw(values.readings(FieldType.TIMESTAMP)),
            "zoned": draw(values.readings(FieldType.TIMESTAMP, zoned=True)),
            "day": draw(values.readings(FieldType.DATE)),
            "text": draw(values.readings(FieldType.TEXT)),
            "loose": draw(values.readings(FieldType.TEXT)),
            "number": draw(values.readings(FieldType.NUMBER)),
            "flag": draw(values.readings(FieldType.BOOLEAN)),
        }
    )
    odd = st.one_of(values.texts, values.numbers, st.sampled_from([0.5, 1.0, b"open", "12", " 7 ", "1e3", "nan", "TRUE", "no", "y"]))
    row = st.fixed_dictionaries(
        {
            "stamp": values.text_dates,
            "zoned": values.text_dates,
            "day": values.text_dates,
            "text": odd,
            "loose": odd,
            "number": odd,
            "flag": odd,
            **dict.fromkeys(values.TREATED, values.texts),
            **dict.fromkeys(
                (*values.COARSE_DAYS, *values.COARSE_MOMENTS), st.one_of(values.text_dates, values.first_moments.map(_as_text))
            ),
            **dict.fromkeys(values.COARSE_NUMBERS, st.one_of(odd, values.amounts)),
        }
    )
    return source, draw(st.lists(row, min_size=4, max_size=12)), draw(st.lists(values.leaves(source), min_size=4, max_size=8))


@settings(max_examples=examples(80), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(case=cases())
def test_nothing_is_missed(database: sqlite3.Connection, case: tuple[Source, list[dict[str, object]], list[Selection]]) -> None:
    """Every row of which facts say that it belongs to a selection is found by it."""
    source, rows, selections = case
    facts = Facts(source)
    for selection in selections:
        got = found(database, source, rows, selection)
        must = {n for n, row in enumerate(stored(database)) if facts.must_hold(selection, row)}
        assert must <= got, (selection, [rows[n] for n in must - got])


@pytest.mark.parametrize(
    "form", ["%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d %H:%M:%S+00:00", "%Y-%m-%dT%H:%M:%S.000Z"]
)
@pytest.mark.parametrize("stored_in", ["UTC", "Europe/Amsterdam"])
def test_usual_forms_are_exact(database: sqlite3.Connection, form: str, stored_in: str) -> None:
    """A timestamp in a usual form is selected exactly when its local day is not after the day, to the second: batches depend on it."""
    reading = Reading(FieldType.TIMESTAMP, Empty.UNKNOWN, ZoneInfo("Europe/Amsterdam"), ZoneInfo(stored_in))
    source = values.source_of({"stamp": reading})
    day = dt.date(2025, 6, 10)
    start = dt.datetime(2025, 6, 10, 12)
    rows = [dict.fromkeys(DECLARED) | {"stamp": f"{start + dt.timedelta(minutes=30 * n, seconds=-1 * (n % 2)):{form}}"} for n in range(60)]
    facts = Facts(source)
    selection = OnOrBefore("stamp", day)
    must = {n for n, row in enumerate(rows) if facts.must_hold(selection, row)}
    assert must == found(database, source, rows, selection)


def test_usual_values_are_not_suspect(database: sqlite3.Connection) -> None:
    """Plain days and moments of the past raise no suspicion, so that the undetermined are few."""
    zone = ZoneInfo("Europe/Amsterdam")
    source = values.source_of(
        {"stamp": Reading(FieldType.TIMESTAMP, Empty.UNKNOWN, zone, ZoneInfo("UTC")), "day": Reading(FieldType.DATE, Empty.UNKNOWN, zone)}
    )
    rows = [
        dict.fromkeys(DECLARED)
        | {"stamp": f"{TODAY - dt.timedelta(days=10 + n * 97)} 22:30:00", "day": str(TODAY - dt.timedelta(days=n * 97))}
        for n in range(150)
    ]
    assert set() == found(database, source, rows, Suspect("stamp", TODAY))
    assert set() == found(database, source, rows, Suspect("day", TODAY))


@pytest.mark.parametrize("column", ["stamp", "day"])
@pytest.mark.parametrize("empty", list(Empty))
def test_empty_is_suspect_only_where_nobody_said_what_it_means(database: sqlite3.Connection, column: str, empty: Empty) -> None:
    """People who are still employed are not read every night for their empty day; an empty blob is no empty text, so it stays in doubt."""
    kind = FieldType.TIMESTAMP if column == "stamp" else FieldType.DATE
    source = values.source_of({column: Reading(kind, empty, ZoneInfo("Europe/Amsterdam"), ZoneInfo("UTC"))})
    rows = [dict.fromkeys(DECLARED) | {column: raw} for raw in (None, "", " ", "\xa0", b"", b" ", "2024-03-01")]
    blobs, blanks = {4, 5}, {0, 1, 2, 3}
    assert blobs | (blanks if empty is Empty.UNKNOWN else set()) == found(database, source, rows, Suspect(column, TODAY))


@pytest.mark.parametrize("column", ["stamp", "day"])
def test_an_index_serves(database: sqlite3.Connection, column: str) -> None:
    """The question for what is due searches an index on the date and does not read the table."""
    zone = ZoneInfo("Europe/Amsterdam")
    kind = FieldType.TIMESTAMP if column == "stamp" else FieldType.DATE
    made = model(values.source_of({column: Reading(kind, Empty.UNKNOWN, zone, ZoneInfo("UTC"))}))
    question = sa.select(made.table.rows.column("id")).select_from(made.table.clause)
    statement = compiled(
        question.where(made.where(OnOrBefore(column, dt.date(2024, 1, 1)), made.table.rows)), sqlite.dialect(paramstyle="qmark")
    )
    database.execute(f"CREATE INDEX by_{column} ON things ({column})")
    plan = [row[3] for row in database.execute(f"EXPLAIN QUERY PLAN {statement.sql}", statement.parameters)]
    database.execute(f"DROP INDEX by_{column}")
    assert not [line for line in plan if line.startswith("SCAN")], plan
