"""Batches on SQLite beyond the contract: composite keys, rows below rows, errors that say nothing of a value."""

from __future__ import annotations

import sqlite3
import traceback
from contextlib import closing
from pathlib import Path

import pytest

from connectors.sql import open_source
from tests.unit.connectors.sql.conftest import Open, field
from worker.core.select import EVERYTHING
from worker.core.sources import Aggregate, Disposal, Function, Match, Relation, Source, Treatment, TreatmentKind
from worker.errors import Changed, ConfigurationError, RetentionError, Retriable, Skippable, SourceFailed
from worker.ports import Along, Changes, Connection, KeyRange, Resolution, Update

CANARY = "Canary-91c"
PAIRS = "CREATE TABLE people (a TEXT NOT NULL, b INTEGER NOT NULL, name TEXT, PRIMARY KEY (a, b));"
TREE = """
CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT, email TEXT UNIQUE);
CREATE TABLE notes (id INTEGER PRIMARY KEY, person INTEGER NOT NULL REFERENCES people (id), author TEXT);
CREATE TABLE marks (id INTEGER PRIMARY KEY, note INTEGER NOT NULL REFERENCES notes (id));
INSERT INTO people VALUES (1, 'One', 'one@example.example'), (2, 'Two', 'two@example.example'), (3, NULL, NULL);
INSERT INTO notes VALUES (11, 1, 'One'), (12, 1, 'Two'), (13, 1, NULL), (21, 2, 'Two'), (31, 3, NULL), (32, 3, 'Two');
INSERT INTO marks VALUES (111, 11), (112, 11), (211, 21);
"""
MARKS = Relation("marks", "marks", ("id",), ("note",), ("id",), Disposal.DELETE)
NOTES = Relation("notes", "notes", ("id",), ("person",), ("id",), Disposal.DELETE, children=(MARKS,))
WHOLE = KeyRange((1,), (99,))


def rows(path: Path, sql: str) -> list[tuple[object, ...]]:
    """Ask the file around the connector."""
    with closing(sqlite3.connect(path)) as database:
        return database.execute(sql).fetchall()


def test_composite_keys(opened: Open, path: Path) -> None:
    """Rows with a key of two columns are ranged over, updated and deleted like others."""
    values = ", ".join(f"('{a}', {b}, 'n')" for a in "xyz" for b in range(5))
    source = opened(f"{PAIRS} INSERT INTO people VALUES {values};", field("name"), key=("a", "b"))
    within = KeyRange(("x", 3), ("y", 1))
    with source.batch("b", within, EVERYTHING, ("name",)) as batch:
        assert [("x", 3), ("x", 4), ("y", 0), ("y", 1)] == [row[:2] for row in batch.rows]
        batch.write(Changes(delete=[("x", 4), ("y", 0)], updates=[Update(("name",), [("x", 3, "new"), ("y", 1, None)])]))
        batch.commit()
    assert [("x", 3, "new")] == rows(path, "SELECT * FROM people WHERE name = 'new'")
    assert [("y", 1)] == rows(path, "SELECT a, b FROM people WHERE name IS NULL")
    assert [(13,)] == rows(path, "SELECT count(*) FROM people")


def test_rows_below_rows_go_first(opened: Open, path: Path) -> None:
    """What goes along goes deepest first, whatever the order it is given in, and foreign keys hold throughout."""
    source = opened(TREE, relations=(NOTES,))
    with source.batch("b", WHOLE, EVERYTHING, ()) as batch:
        notes = batch.related(("notes",), [(1,)], ())
        marks = batch.related(("notes", "marks"), [(1,)], ("note",))
        assert [((1,), (11,)), ((1,), (12,)), ((1,), (13,))] == sorted(notes)
        assert [((1,), (111, 11)), ((1,), (112, 11))] == sorted(marks)
        along = [Along(("notes",), [row for _, row in notes]), Along(("notes", "marks"), [row[:1] for _, row in marks])]
        batch.write(Changes(delete=[(1,)], along=along))  # type: ignore[arg-type]
        batch.commit()
    assert [(2,), (3,)] == rows(path, "SELECT id FROM people ORDER BY id")
    assert [(211,)] == rows(path, "SELECT id FROM marks")


def test_differing_rows_are_counted(opened: Open) -> None:
    """`differs_from` compares exactly, and nothing differs from nothing."""
    by_others = Aggregate("by_others", "notes", Function.COUNT, where=(Match("author", differs_from="name"),))
    source = opened(TREE, relations=(NOTES,), aggregates=(by_others,))
    with source.reader() as reader:
        assert [(1, 2), (2, 0), (3, 1)] == [row for page in reader.rows(EVERYTHING, ("by_others",)) for row in page]


def test_a_reader_can_not_write_and_sees_one_moment(opened: Open, path: Path) -> None:
    """Nothing another program does while a reader is open is seen by it; questions in between come from the same view."""
    source = opened("PRAGMA journal_mode = WAL;" + TREE, field("name"))
    with source.reader() as reader:
        pages = reader.rows(EVERYTHING, ("name",))
        first = next(pages)
        with closing(sqlite3.connect(path)) as other:
            other.executescript("DELETE FROM marks; DELETE FROM notes; DELETE FROM people;")
        assert 3 == reader.count(EVERYTHING) == len(first)
        assert (1, "One") == reader.get((1,), ("name",))
        with pytest.raises(RetentionError, match="can only be read"), reader.database.guard:
            reader.database.command(reader._asking.driver_connection, "DELETE FROM people")
    with source.reader() as reader:
        assert 0 == reader.count(EVERYTHING)


def test_a_constraint_skips_without_a_value(opened: Open, path: Path) -> None:
    """A value that a constraint refuses is Skippable; no text and no chained error holds it; nothing is written."""
    source = opened(TREE.replace("one@example.example", f"{CANARY}@example.example"), field("email"))
    before = rows(path, "SELECT * FROM people")
    with pytest.raises(Skippable) as caught, source.batch("b", WHOLE, EVERYTHING, ()) as batch:
        batch.write(Changes(updates=[Update(("email",), [(2, f"{CANARY}@example.example")])]))
    assert CANARY not in "".join(traceback.format_exception(caught.value))
    assert before == rows(path, "SELECT * FROM people")


def test_an_undeclared_child_keeps_its_parent(opened: Open, path: Path) -> None:
    """Foreign keys are enforced also where SQLite would not by itself, so nothing is orphaned."""
    source = opened(TREE)
    with pytest.raises(Skippable), source.batch("b", WHOLE, EVERYTHING, (), take=True) as batch:
        batch.write(Changes(delete=[(1,), (2,), (3,)], whole=True))
    assert 3 == len(rows(path, "SELECT * FROM people"))


def test_a_locked_file_is_retriable(opened: Open, path: Path) -> None:
    """When another program holds the write lock, the batch may be tried again later."""
    source = opened(TREE, connection={"lock_timeout": "0.05"})
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Retriable, match="a lock was not free"), source.batch("b", WHOLE, EVERYTHING, ()):
            pass
        other.execute("ROLLBACK")


def test_a_batch_is_carried_out_once(opened: Open) -> None:
    """A batch that was committed can't begin again: its marker is there."""
    source = opened(TREE, field("name"), witness=True)
    for _ in range(2):
        with source.batch("left", WHOLE, EVERYTHING, ()) as batch:
            pass
    with source.batch("b", WHOLE, EVERYTHING, ()) as batch:
        batch.write(Changes(updates=[Update(("name",), [(1, None)])]))
        batch.commit()
    with pytest.raises(Changed, match="committed before"), source.batch("b", WHOLE, EVERYTHING, ()):
        pass
    assert Resolution.COMMITTED is source.resolve("b", {"marker": "b"})
    source.forget(["b"])
    assert Resolution.ROLLED_BACK is source.resolve("b", {"marker": "b"})


@pytest.mark.parametrize("witness", [True, False])
@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_nothing_is_said_of_a_batch_that_may_still_be_committed(opened: Open, *, witness: bool, journal: str) -> None:
    """A process that was stopped directly before its commit, and goes on later: until then nobody may say that it wrote nothing."""
    layout = f"PRAGMA journal_mode = {journal};" + TREE
    stopped = opened(layout, field("name"), witness=witness)
    other = opened("", field("name"), witness=witness, connection={"lock_timeout": "0.05"})
    with stopped.batch("b", WHOLE, EVERYTHING, ()) as batch:
        batch.write(Changes(updates=[Update(("name",), [(1, None)])]))
        with pytest.raises(Retriable, match="a lock was not free"):
            other.resolve("b", batch.witness)
        batch.commit()
    assert (Resolution.COMMITTED if witness else None) is other.resolve("b", batch.witness)


def test_a_commit_that_a_reader_is_in_the_way_of_was_rolled_back(opened: Open, path: Path) -> None:
    """Whoever could not commit asks what became of it, and is not in the way of its own question."""
    source = opened(TREE, field("name"), witness=True, connection={"lock_timeout": "0.05"})
    with closing(sqlite3.connect(path, isolation_level=None)) as reader, source.batch("b", WHOLE, EVERYTHING, ()) as batch:
        batch.write(Changes(updates=[Update(("name",), [(1, None)])]))
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM people").fetchone()
        with pytest.raises(SourceFailed, match="the commit of a batch failed"):
            batch.commit()
        assert Resolution.ROLLED_BACK is source.resolve("b", batch.witness)
    assert [("One",)] == rows(path, "SELECT name FROM people WHERE id = 1")


def test_without_a_witness_table_nothing_is_left(opened: Open, path: Path) -> None:
    """Where no small table is allowed there is no witness, and only reading back can tell."""
    source = opened(TREE, field("name"))
    with source.batch("b", WHOLE, EVERYTHING, ()) as batch:
        assert {} == batch.witness
        batch.write(Changes(updates=[Update(("name",), [(1, None)])]))
        batch.commit()
    assert source.resolve("b", {}) is None
    assert not rows(path, "SELECT * FROM sqlite_master WHERE name LIKE 'retention%'")


def test_deleted_content_is_overwritten(opened: Open, path: Path) -> None:
    """After a deletion the value is not left in a free part of the file."""
    source = opened(TREE.replace("'Two', 'two", f"'{CANARY}', 'two"), field("name", treatment=Treatment(TreatmentKind.CLEAR)))
    assert CANARY.encode() in path.read_bytes()
    with source.batch("b", WHOLE, EVERYTHING, ()) as batch:
        batch.write(Changes(updates=[Update(("name",), [(2, None)])]))
        batch.commit()
    source.close()
    assert CANARY.encode() not in path.read_bytes()


def test_the_journal_mode_is_the_customers(opened: Open, path: Path) -> None:
    """Only the option changes it."""
    opened(TREE)
    assert [("delete",)] == rows(path, "PRAGMA journal_mode")
    opened("", connection={"journal": "wal"}).shape()
    assert [("wal",)] == rows(path, "PRAGMA journal_mode")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (None, "needs the address of its database"),
        ("nonsense", "can't be read"),
        ("oracle://u:secret-9@h/d", "only sqlite, postgresql and mariadb"),
        ("sqlite:///:memory:", "must name a file"),
    ],
)
def test_bad_addresses_are_configuration_errors(url: str | None, expected: str) -> None:
    """What is wrong with the address is said, without the password in it."""
    with pytest.raises(ConfigurationError, match=expected) as caught:
        open_source(Source("people", "sql", "people", ("id",), ()), Connection(url))
    assert "secret-9" not in str(caught.value)


def test_a_file_that_is_not_there() -> None:
    """It may lie on a disk that is not mounted tonight: that is this source's failure, and nobody makes an empty file in its place."""
    with pytest.raises(SourceFailed, match=r"there is no file /nowhere/at/all\.db; mount the disk"):
        open_source(Source("people", "sql", "people", ("id",), ()), Connection("sqlite:////nowhere/at/all.db"))
    assert not Path("/nowhere").exists()


@pytest.mark.parametrize(("options", "expected"), [({"wal": "1"}, "unknown connection option 'wal'"), ({"lock_timeout": "x"}, "number")])
def test_bad_options_are_configuration_errors(path: Path, options: dict[str, str], expected: str) -> None:
    """Options that nobody knows are refused, not ignored."""
    path.touch()
    with pytest.raises(ConfigurationError, match=expected):
        open_source(Source("people", "sql", "people", ("id",), ()), Connection(f"sqlite:///{path}", options=options))


def test_a_file_that_is_no_database(path: Path) -> None:
    """A damaged file is a failed source; the others can go on."""
    path.write_bytes(b"This is not a database at all, but a text of some length." * 20)
    with pytest.raises(SourceFailed, match="no database, or it is damaged"):
        open_source(Source("people", "sql", "people", ("id",), ()), Connection(f"sqlite:///{path}"))


@pytest.mark.parametrize(
    ("port", "scheme"), [(1, "postgresql"), (1, "postgresql+psycopg"), (1, "mariadb+pymysql"), (1, "mysql+pymysql"), (1, "mariadb")]
)
def test_a_server_that_is_down_fails_the_source(port: int, scheme: str) -> None:
    """No answer is SourceFailed, with host and database and without the password."""
    secret = "".join(("secret", "-9"))  # In pieces, because a traceback shows these very lines.
    url = f"{scheme}://user:{secret}@127.0.0.1:{port}/crm"
    with pytest.raises(SourceFailed, match=r"127\.0\.0\.1:1, database crm: the server does not answer") as caught:
        open_source(Source("people", "sql", "people", ("id",), ()), Connection(url))
    assert secret not in "".join(traceback.format_exception(caught.value))


def test_rows_with_keys_of_several_kinds_are_taken(opened: Open, path: Path) -> None:
    """A column of SQLite may hold numbers, texts and bytes: they are taken in the order in which SQLite sorts them."""
    values = "(1, 'n'), ('abc', 'n'), (2, 'n'), (x'00ff', 'n'), ('Zoë', 'n')"
    source = opened(f"CREATE TABLE people (id INT PRIMARY KEY, name TEXT); INSERT INTO people VALUES {values};", field("name"))
    with source.reader() as reader:
        keys = [row for page in reader.rows(EVERYTHING, ()) for row in page]
    with source.batch("b", KeyRange(keys[0], keys[-1]), EVERYTHING, (), take=True) as batch:  # type: ignore[arg-type]
        assert keys == batch.rows
        batch.write(Changes(delete=keys, whole=True))  # type: ignore[arg-type]
        batch.commit()
    assert [] == rows(path, "SELECT * FROM people")


def test_children_are_found_as_the_foreign_key_finds_them(opened: Open) -> None:
    """SQLite's foreign keys compare by the collation of the table referred to: a child that it would cascade to is not overlooked."""
    source = opened(
        "CREATE TABLE people (id TEXT NOT NULL PRIMARY KEY COLLATE NOCASE);"
        "CREATE TABLE notes (id INTEGER PRIMARY KEY, person TEXT REFERENCES people (id) ON DELETE CASCADE);"
        "INSERT INTO people VALUES ('anna'), ('bob'); INSERT INTO notes VALUES (1, 'ANNA');",
        relations=(Relation("notes", "notes", ("id",), ("person",), ("id",), Disposal.KEEP_PARENT),),
    )
    with source.reader() as reader:
        assert [(("anna",), (1,))] == reader.related(("notes",), [("anna",), ("bob",)], ())
        assert [[("anna", 1), ("bob", 0)]] == list(reader.rows(EVERYTHING, ("relation:notes",)))


def test_a_new_value_never_replaces_another_row(opened: Open, path: Path) -> None:
    """Where a table says that a value that is there already replaces its row, the treatment is refused: nobody decided about that row."""
    source = opened(
        "CREATE TABLE people (id INTEGER PRIMARY KEY, email TEXT UNIQUE ON CONFLICT REPLACE);INSERT INTO people VALUES (1, 'a'), (2, 'b');",
        field("email"),
    )
    with pytest.raises(Skippable), source.batch("b", WHOLE, EVERYTHING, ()) as batch:
        batch.write(Changes(updates=[Update(("email",), [(1, "b")])]))
    assert [(1, "a"), (2, "b")] == rows(path, "SELECT * FROM people")
