"""The sql connector on real servers beyond the contract: checks, keys of every type, errors without secrets or values."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import pytest
import sqlalchemy as sa

from connectors.sql import open_source
from connectors.sql.open import SqlSource
from tests.systems.servers.mariadb import MariaDB
from tests.systems.servers.postgres import Postgres
from tests.unit.connectors.sql.conftest import field
from tests.unit.connectors.sql.test_check import said
from worker.core.facts import FieldType
from worker.core.select import EVERYTHING
from worker.core.sources import Aggregate, Disposal, Field, Function, Match, Relation, Source, Treatment, TreatmentKind
from worker.errors import ConfigurationError, RetentionError, Retriable, Skippable
from worker.ports import Along, Changes, Connection, KeyRange, Update

CANARY = "Canary-55d"


@dataclass
class Server:
    """A database of one server, and what tests have to know about it."""

    url: str
    is_postgres: bool
    engine: sa.Engine
    opened: list[SqlSource]

    def run(self, *statements: str) -> None:
        """Run statements as another program."""
        with self.engine.begin() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)

    def ask(self, question: str) -> list[tuple[object, ...]]:
        """Ask as another program."""
        with self.engine.connect() as connection:
            return [tuple(row) for row in connection.exec_driver_sql(question)]

    def open(self, source: Source, **options: str) -> SqlSource:
        """Open a source; it is closed after the test."""
        self.opened.append(open_source(source, Connection(self.url, witness_table=True, options={"lock_timeout": "1", **options})))
        return self.opened[-1]


@pytest.fixture(params=["postgres", "mariadb"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """Give an empty database on each server."""
    running: Postgres | MariaDB = request.getfixturevalue(request.param)
    url = running.new_database("office")
    engine = sa.create_engine(url, poolclass=sa.pool.NullPool)
    given = Server(url, request.param == "postgres", engine, [])
    yield given
    for each in given.opened:
        each.close()
    engine.dispose()


def source(*fields: Field, key: tuple[str, ...] = ("id",), table: str = "people", **more: object) -> Source:
    """Return a source."""
    return replace(Source("people", "sql", table, key, fields), **more)  # type: ignore[arg-type]


def keys_of(opened: SqlSource) -> list[tuple[object, ...]]:
    """Return all keys in the order in which they come."""
    with opened.reader() as reader:
        return [row for page in reader.rows(EVERYTHING, ()) for row in page]


def test_a_fitting_source_has_no_problems(server: Server) -> None:
    """Types that fit raise no word."""
    stamp = "TIMESTAMPTZ" if server.is_postgres else "DATETIME"
    server.run(
        f"CREATE TABLE people (id BIGINT PRIMARY KEY, name VARCHAR(80), seen_on DATE, at {stamp}, n NUMERIC(8, 2), ok BOOLEAN)",
    )
    fields = (
        field("name", treatment=Treatment(TreatmentKind.PSEUDONYM, domain="people")),
        field("seen_on", FieldType.DATE),
        field("at", FieldType.TIMESTAMP, zone=None if server.is_postgres else "UTC"),
        field("n", FieldType.NUMBER),
        field("ok", FieldType.BOOLEAN),
    )
    assert ([], []) == server.open(source(*fields)).problems(None, {})


@pytest.mark.parametrize(
    ("column", "declared", "expected"),
    [
        ("TEXT", field("x", FieldType.DATE), "can't be read as a date"),
        ("VARCHAR(30)", field("x", FieldType.TIMESTAMP), "can't be read as a timestamp"),
        ("DATE", field("x", FieldType.TIMESTAMP), "can't be read as a timestamp"),
        ("INTEGER", field("x", FieldType.DATE), "can't be read as a date"),
        ("INTEGER", field("x", treatment=Treatment(TreatmentKind.CONSTANT, "0")), "only a text column"),
        ("DATE", field("x", treatment=Treatment(TreatmentKind.PSEUDONYM, domain="d")), "only a text column"),
        ("VARCHAR(20)", field("x", treatment=Treatment(TreatmentKind.PSEUDONYM, domain="d")), "takes 20 characters"),
        ("VARCHAR(20) NOT NULL", field("x", treatment=Treatment(TreatmentKind.CLEAR)), "may not be empty"),
        ("VARCHAR(20) UNIQUE", field("x", treatment=Treatment(TreatmentKind.CONSTANT, "gone")), "is unique"),
    ],
)
def test_types_and_treatments_must_fit(server: Server, column: str, declared: Field, expected: str) -> None:
    """What a column can't hold or be read as is said before a run."""
    server.run(f"CREATE TABLE people (id INTEGER PRIMARY KEY, x {column})")
    problems, _ = server.open(source(declared)).problems(None, {})
    assert expected in said(problems)


def test_zones_must_be_declared_as_they_are(server: Server) -> None:
    """A column without zone needs one, a column of instants does not, and MariaDB's TIMESTAMP is read in UTC."""
    if server.is_postgres:
        server.run("CREATE TABLE people (id INTEGER PRIMARY KEY, x TIMESTAMP, y TIMESTAMPTZ)")
        problems, warnings = server.open(
            source(field("x", FieldType.TIMESTAMP, zone=None), field("y", FieldType.TIMESTAMP, zone="Europe/Amsterdam"))
        ).problems(None, {})
        assert "x has no time zone in it; declare one" in said(problems)
        assert "y holds instants, so the declared time zone Europe/Amsterdam is not used" in said(warnings)
    else:
        server.run("CREATE TABLE people (id INTEGER PRIMARY KEY, x TIMESTAMP NULL)")
        problems, _ = server.open(source(field("x", FieldType.TIMESTAMP, zone="Europe/Amsterdam"))).problems(None, {})
        assert "x is a TIMESTAMP, which is read in UTC" in said(problems)


def test_unfit_tables_are_refused(server: Server) -> None:
    """Views everywhere, tables without transactions on MariaDB, references and triggers that nobody declared."""
    server.run("CREATE TABLE people (id INTEGER PRIMARY KEY)", "CREATE VIEW seen AS SELECT id FROM people")
    assert "seen is a view" in said(server.open(source(table="seen")).problems(None, {})[0])
    server.run("CREATE TABLE notes (id INTEGER PRIMARY KEY, person INTEGER, FOREIGN KEY (person) REFERENCES people (id) ON DELETE CASCADE)")
    found = said(server.open(source()).problems(None, {})[0])
    assert "notes (person) refers to people, but is not declared as its child and the database would cascade" in found
    if server.is_postgres:
        server.run(
            "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END'",
            "CREATE TRIGGER keeper BEFORE DELETE OR UPDATE ON people FOR EACH ROW EXECUTE FUNCTION keep()",
        )
    else:
        server.run("CREATE TRIGGER keeper BEFORE DELETE ON people FOR EACH ROW SET @gone = OLD.id")
        server.run("CREATE TABLE old_table (id INTEGER PRIMARY KEY) ENGINE = MyISAM")
        assert "its engine MyISAM has no transactions" in said(server.open(source(table="old_table")).problems(None, {})[0])
    assert "the trigger keeper fires" in said(server.open(source()).problems(None, {})[0])


@pytest.mark.parametrize("kind", ["number", "text", "uuid", "bytes", "number and text", "text and number"])
def test_keys_of_every_type(server: Server, kind: str) -> None:
    """Rows are ranged over, taken, updated and deleted by keys of every type that a key may have, in the database's own order."""
    types = {
        "number": ("BIGINT", ["1", "5000000000", "-3"]),
        "text": ("VARCHAR(80)", ["'b'", "'A'", "'a c'", "'é'"]),
        "uuid": ("UUID" if server.is_postgres else "CHAR(36)", [f"'0b0e8400-e29b-41d4-a716-44665544000{n}'" for n in (3, 1, 2)]),
        "bytes": ("BYTEA", [r"'\x01ff'", r"'\x00'", r"'\x7f'"]) if server.is_postgres else ("VARBINARY(8)", ["x'01ff'", "x'00'", "x'7f'"]),
    }
    parts = [types[each] for each in kind.split(" and ")]
    names = tuple("ab"[: len(parts)])
    columns = ", ".join(f"{name} {declared} NOT NULL" for name, (declared, _) in zip(names, parts, strict=True))
    server.run(f"CREATE TABLE people ({columns}, name VARCHAR(80), PRIMARY KEY ({', '.join(names)}))")
    first, *rest = (literals for _, literals in parts)
    for one in first:
        for other in rest[0] if rest else [None]:
            server.run(f"INSERT INTO people VALUES ({', '.join(each for each in (one, other) if each)}, 'n')".replace("%", "%%"))
    opened = server.open(source(field("name"), key=names))
    assert [] == opened.problems(None, {})[0]
    keys = keys_of(opened)
    assert len(first) * (len(rest[0]) if rest else 1) == len(keys)
    middle = KeyRange(keys[1], keys[-2])  # type: ignore[arg-type]
    with opened.batch("left", middle, EVERYTHING, ("name",)) as batch:
        assert keys[1:-1] == [row[: len(names)] for row in batch.rows]
        batch.write(Changes(updates=[Update(("name",), [(*key, "new") for key in keys[1:-1]])]))
        batch.commit()
    assert [("new",)] * (len(keys) - 2) == server.ask("SELECT name FROM people WHERE name = 'new'")
    with opened.batch("taken", middle, EVERYTHING, (), take=True) as batch:
        assert sorted(keys[1:-1]) == sorted(batch.rows)  # type: ignore[type-var]
    with opened.batch("deleted", KeyRange(keys[0], keys[-1]), EVERYTHING, ()) as batch:  # type: ignore[arg-type]
        batch.write(Changes(delete=keys[:2]))  # type: ignore[arg-type]
        batch.commit()
    assert keys[2:] == keys_of(opened)


def test_texts_are_written_whole_or_not_at_all(server: Server) -> None:
    """A value that is too long is refused and never cut off, and the refusal does not repeat it."""
    server.run(
        "CREATE TABLE people (id INTEGER PRIMARY KEY, name VARCHAR(10), at DATE)", "INSERT INTO people VALUES (1, 'n', '2020-01-01')"
    )
    opened = server.open(source(field("name"), field("at", FieldType.DATE)))
    whole = KeyRange((1,), (1,))
    with pytest.raises(Skippable) as caught, opened.batch("long", whole, EVERYTHING, ()) as batch:
        batch.write(Changes(updates=[Update(("name",), [(1, f"{CANARY} is too long")])]))
    assert CANARY not in "".join(traceback.format_exception(caught.value))
    with opened.batch("clear", whole, EVERYTHING, ()) as batch:
        batch.write(Changes(updates=[Update(("at", "name"), [(1, None, "😀 'x' %s \\")])]))
        batch.commit()
    assert [(1, "😀 'x' %s \\", None)] == server.ask("SELECT id, name, at FROM people")


def test_values_that_other_rows_have_are_refused(server: Server) -> None:
    """A unique value is never written over another row's: exactly the meant rows change, or none."""
    server.run("CREATE TABLE people (id INTEGER PRIMARY KEY, email VARCHAR(80) UNIQUE, extra INTEGER NOT NULL)")
    server.run(f"INSERT INTO people VALUES (1, '{CANARY}', 1), (2, 'two', 2)")
    before = server.ask("SELECT * FROM people ORDER BY id")
    opened = server.open(source(field("email")))
    with pytest.raises(Skippable) as caught, opened.batch("b", KeyRange((1,), (2,)), EVERYTHING, ()) as batch:
        batch.write(Changes(updates=[Update(("email",), [(2, CANARY)])]))
    assert CANARY not in "".join(traceback.format_exception(caught.value))
    assert before == server.ask("SELECT * FROM people ORDER BY id")


def test_rows_of_relations_are_locked(server: Server) -> None:
    """Rows that a decision rests on, and rows that go along, can't change until the batch is over."""
    server.run(
        "CREATE TABLE people (id INTEGER PRIMARY KEY, name VARCHAR(80))",
        "CREATE TABLE notes (id INTEGER PRIMARY KEY, person INTEGER, author VARCHAR(80), FOREIGN KEY (person) REFERENCES people (id))",
        "INSERT INTO people VALUES (1, 'One'), (2, 'Two'), (3, NULL)",
        "INSERT INTO notes VALUES (11, 1, 'one'), (12, 1, 'One'), (21, 2, NULL), (31, 3, NULL)",
    )
    notes = Relation("notes", "notes", ("id",), ("person",), ("id",), Disposal.DELETE)
    count = Aggregate("count", "notes", Function.COUNT, where=(Match("author", differs_from="name"),))
    opened = server.open(source(field("name"), relations=(notes,), aggregates=(count,)))
    hurry = "SET LOCAL lock_timeout = 200" if server.is_postgres else "SET innodb_lock_wait_timeout = 0"
    with opened.batch("b", KeyRange((1,), (3,)), EVERYTHING, ("count", "relation:notes")) as batch:
        assert [(1, 1, 2), (2, 1, 1), (3, 0, 1)] == batch.rows
        for statement in ("UPDATE notes SET author = 'x' WHERE id = 11", "INSERT INTO notes VALUES (13, 1, 'x')"):
            with pytest.raises(sa.exc.OperationalError):
                server.run(hurry, statement)
        found = batch.related(("notes",), [(1,), (2,)], ())
        batch.write(Changes(delete=[(1,), (2,)], along=[Along(("notes",), [row for _, row in found])]))  # type: ignore[arg-type]
        batch.commit()
    assert [(3,)] == server.ask("SELECT id FROM people")
    assert [(31,)] == server.ask("SELECT id FROM notes")


def test_a_lock_is_waited_for_briefly(server: Server) -> None:
    """A row that another program holds makes the batch retriable."""
    server.run("CREATE TABLE people (id INTEGER PRIMARY KEY, name VARCHAR(80))", "INSERT INTO people VALUES (1, 'One')")
    opened = server.open(source(field("name")))
    with server.engine.begin() as other:
        other.exec_driver_sql("UPDATE people SET name = 'x' WHERE id = 1")
        with pytest.raises(Retriable), opened.batch("b", KeyRange((1,), (1,)), EVERYTHING, ()):
            pass


def test_a_lost_connection_is_retriable_and_the_next_one_works(server: Server) -> None:
    """When the server ends the connection, the batch may be tried again, on a new one."""
    server.run("CREATE TABLE people (id INTEGER PRIMARY KEY, name VARCHAR(80))", "INSERT INTO people VALUES (1, 'One')")
    opened = server.open(source(field("name")))
    whole = KeyRange((1,), (1,))

    def end() -> None:
        if server.is_postgres:
            server.ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'retention'")
        else:
            mine = "SELECT ID FROM information_schema.PROCESSLIST WHERE ID <> CONNECTION_ID() AND DB = DATABASE()"
            for (number,) in server.ask(mine):
                server.run(f"KILL {number}")

    with opened.batch("lost", whole, EVERYTHING, ()) as batch:
        end()
        with pytest.raises(Retriable):
            batch.write(Changes(delete=[(1,)]))
    with opened.batch("again", whole, EVERYTHING, ()) as batch:
        batch.write(Changes(delete=[(1,)]))
        batch.commit()
    assert [] == server.ask("SELECT id FROM people")


def test_a_reader_can_not_write(server: Server) -> None:
    """The server itself refuses to write on a reader's connection."""
    server.run("CREATE TABLE people (id INTEGER PRIMARY KEY)", "INSERT INTO people VALUES (1)")
    opened = server.open(source())
    with opened.reader() as reader:
        server.run("INSERT INTO people VALUES (2)")
        assert 1 == reader.count(EVERYTHING)
        with pytest.raises(RetentionError, match="can only be read"), reader.database.guard:
            reader.database.command(reader._asking.driver_connection, "DELETE FROM people")


@pytest.mark.parametrize("wrong", ["password", "user", "database"])
def test_what_is_wrong_with_the_address_is_said(server: Server, wrong: str) -> None:
    """A wrong user, password or database is a configuration error with host and database, and without the password."""
    url = sa.make_url(server.url)
    change: dict[str, Callable[[], sa.URL]] = {
        "password": lambda: url.set(password=f"{CANARY}-secret"),
        "user": lambda: url.set(username="nobody_at_all", password=f"{CANARY}-secret"),
        "database": lambda: url.set(database="no_such_database"),
    }
    address = change[wrong]().render_as_string(hide_password=False)
    with pytest.raises(ConfigurationError, match=f"127.0.0.1:{url.port}") as caught:
        open_source(source(), Connection(address))
    shown = "".join(traceback.format_exception(caught.value))
    assert CANARY not in shown
    assert str(url.password) not in shown


def test_a_missing_right_is_said(server: Server) -> None:
    """A user that may not delete is told so, as a configuration error."""
    server.run("CREATE TABLE people (id INTEGER PRIMARY KEY)", "INSERT INTO people VALUES (1)")
    if server.is_postgres:
        server.run("DROP ROLE IF EXISTS looker", "CREATE ROLE looker LOGIN PASSWORD 'looking'", "GRANT SELECT, UPDATE ON people TO looker")
    else:
        server.run(
            "CREATE OR REPLACE USER looker@'127.0.0.1' IDENTIFIED BY 'looking'", "GRANT SELECT, UPDATE ON people TO looker@'127.0.0.1'"
        )
    url = sa.make_url(server.url).set(username="looker", password="looking").render_as_string(hide_password=False)
    opened = open_source(source(), Connection(url))
    try:
        with pytest.raises(ConfigurationError, match="lacks a right"), opened.batch("b", KeyRange((1,), (1,)), EVERYTHING, ()) as batch:
            batch.write(Changes(delete=[(1,)]))
    finally:
        opened.close()
        if server.is_postgres:
            server.run("DROP OWNED BY looker", "DROP ROLE looker")
