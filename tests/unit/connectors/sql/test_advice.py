"""What `sources check` tells people to look at before they trust a source; no value of any record is ever among it."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from connectors.sql.advice import SAMPLED
from connectors.sql.open import SqlSource
from tests.strategies import plain_policy
from tests.unit.connectors.sql.conftest import Open, field
from tests.unit.connectors.sql.test_check import CLEAR, said
from worker.core.facts import FieldType
from worker.core.model import DispositionKind, LegalBasis, Policy, Purpose, StartEvent, Step
from worker.core.periods import Period, Term
from worker.core.sources import Disposal, Relation, Source

CANARY = "canary"
PEOPLE = "CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT, seen_on DATE, {more});"
NAME, SEEN = field("name", treatment=CLEAR), field("seen_on", FieldType.DATE)


def policy_of(source: Source, kind: DispositionKind = DispositionKind.DELETE, *deciding: str) -> Policy:
    """Return a policy that keeps a name for two years after some days."""
    contact = Purpose("contact", LegalBasis.LEGITIMATE_INTERESTS, ("name",), StartEvent(deciding or ("seen_on",)), Term(Period(years=2)))
    return plain_policy(contact, source=source, steps=(Step(kind),))


def advice(opened: SqlSource, kind: DispositionKind = DispositionKind.DELETE, *deciding: str) -> tuple[str, str]:
    """Return what is said about a source with such a policy, problems and warnings apart; no value may be in it."""
    problems, warnings = opened.advice(policy_of(opened.spec, kind, *deciding))
    both = said(problems), said(warnings)
    assert not any(CANARY in each.lower() for each in both)
    return both


def filled(table: str, column: str, values: Sequence[object], path: Path) -> None:
    """Write rows as another program does."""
    with closing(sqlite3.connect(path)) as database, database:
        database.executemany(f"INSERT INTO {table} ({column}) VALUES (?)", [(each,) for each in values])


def test_nothing_to_say(opened: Open) -> None:
    """A table of declared columns that nothing refers to is in order."""
    assert ("", "") == advice(opened(PEOPLE.format(more="status TEXT"), NAME, SEEN, field("status")))


@pytest.mark.parametrize("column", ["Email", "phone_2", "geboortedatum", "strasse", "remarks"])
def test_columns_that_nobody_declared(opened: Open, column: str) -> None:
    """A column that is called like personal data and that no field declares would stay when its record's other fields go."""
    _, warned = advice(opened(PEOPLE.format(more=f"{column} TEXT"), NAME, SEEN))
    assert f"the column {column} of people is declared by no field, and is called like" in warned
    _, warned = advice(opened("", NAME, SEEN, options={"not_personal": f"other, {column}"}))
    assert "" == warned


def test_columns_that_hold_personal_data(opened: Open, path: Path) -> None:
    """Values tell what a name hides, declared or not; they are counted and not shown."""
    source = opened(PEOPLE.format(more="extra TEXT, code TEXT, ref TEXT"), NAME, SEEN, field("code"))
    filled("people", "extra", [f"ada{n}@{CANARY}.example" for n in range(4)], path)
    filled("people", "code", ["open"] * 30 + [f"06-1234567{n}" for n in range(5)], path)
    filled("people", "ref", ["order 20240517123", "Canary Street", "x"], path)
    _, warned = advice(source)
    assert "the column extra of people is declared by no field, and 4 of 4 sampled values look like e-mail addresses" in warned
    assert (
        "the column code of people is declared, but not as personal data, and 5 of 35 sampled values look like telephone numbers" in warned
    )
    assert "ref" not in warned


def test_only_a_few_values_are_looked_at(opened: Open, path: Path) -> None:
    """The youngest records are sampled, so a table of millions costs no more, and what only its oldest hold may be missed."""
    source = opened(PEOPLE.format(more="extra TEXT"), NAME, SEEN)
    filled("people", "extra", [f"ada{n}@{CANARY}.example" for n in range(50)] + ["x"] * SAMPLED, path)
    assert ("", "") == advice(source)


def test_soft_deletion(opened: Open) -> None:
    """What a program calls deleted is still there; only a policy that decides by the mark knows of it."""
    sql = PEOPLE.format(more="deleted_at DATE")
    for fields in ((NAME, SEEN), (NAME, SEEN, field("deleted_at", FieldType.DATE))):
        _, warned = advice(opened(sql if fields[-1] is SEEN else "", *fields))
        assert "the column deleted_at of people is called like a mark of what was deleted and is still there" in warned
    assert ("", "") == advice(opened("", NAME, SEEN, field("deleted_at", FieldType.DATE)), DispositionKind.DELETE, "seen_on", "deleted_at")


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ("people_history (id INTEGER, name TEXT, at DATE)", True),
        ("audit_log (id INTEGER, name TEXT)", True),
        ("people_extra (id INTEGER, name TEXT)", True),
        ("shadow_of (id INTEGER, name TEXT, seen_on DATE, status TEXT)", True),
        ("products (id INTEGER, name TEXT, price INTEGER)", False),
        ("people_settings (id INTEGER, colour TEXT)", False),
    ],
)
def test_tables_that_keep_a_copy(opened: Open, table: str, *, told: bool) -> None:
    """A table of old content, by its name or because it has the same columns, keeps what goes from the records."""
    _, warned = advice(opened(PEOPLE.format(more="status TEXT") + f"CREATE TABLE {table};", NAME, SEEN, field("status")))
    assert told == (f"the table {table.split()[0]} has columns of the same names (name" in warned)


def test_declared_tables_are_no_copies(opened: Open) -> None:
    """What is a child, or another source's table, has rules of its own."""
    sql = PEOPLE.format(more="status TEXT") + "CREATE TABLE people_log (id INTEGER PRIMARY KEY, person INTEGER, name TEXT);"
    log = Relation("log", "people_log", ("id",), ("person",), ("id",), Disposal.DELETE)
    assert ("", "") == advice(opened(sql, NAME, SEEN, field("status"), relations=(log,)))
    other = opened("", NAME, SEEN, field("status"))
    other.problems(None, {"log": replace(other.spec, name="log", table="people_log")})
    assert ("", "") == advice(other)


def test_triggers_on_changes(opened: Open) -> None:
    """A trigger that fires on a change may keep what was there before a treatment; where records only go whole it does not matter."""
    trigger = "CREATE TRIGGER keeper AFTER UPDATE ON people BEGIN SELECT 1; END;"
    source = opened(PEOPLE.format(more="status TEXT") + trigger, NAME, SEEN, field("status"))
    assert "the trigger keeper fires when a row of people is changed" in advice(source, DispositionKind.PSEUDONYMISE)[1]
    assert ("", "") == advice(source)


def test_moments_without_a_zone(opened: Open, path: Path) -> None:
    """Where every value was said to carry its own zone, those that do not are counted."""
    at = field("at", FieldType.TIMESTAMP, zone=None)
    source = opened(PEOPLE.format(more="at TEXT"), NAME, SEEN, at)
    filled("people", "at", ["2024-05-17 10:00:00", "2024-05-17T10:00:00Z", "2024-05-17 10:00:00+02:00", "", None], path)
    _, warned = advice(source)
    assert "1 of 3 sampled values of at carry no zone of their own, and are unknown" in warned


def test_files_that_can_not_be_written(opened: Open, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that may only be read lets every plan be made and no run be carried out."""
    source = opened(PEOPLE.format(more="status TEXT"), NAME, SEEN, field("status"))
    monkeypatch.setattr("os.access", lambda file, _: str(file) != str(path))
    problems, _ = source.advice(policy_of(source.spec))
    assert "the file office.db may only be read" in said(problems)
    monkeypatch.setattr("os.access", lambda file, _: str(file) == str(path))
    problems, _ = source.advice(policy_of(source.spec))
    assert "nothing may be written in the folder of the file office.db" in said(problems)
