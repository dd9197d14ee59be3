"""Odd databases that are real ones: keys of odd types, references from elsewhere, rules, partitions, hidden rows, awkward names."""

# ruff: noqa: F811 - tests name the fixture that they take

from __future__ import annotations

from dataclasses import replace

import pytest
import sqlalchemy as sa

from connectors.sql.open import SqlSource
from tests.systems.servers.mariadb import MariaDB
from tests.systems.test_advice_servers import as_worker
from tests.systems.test_sql_servers import Server, keys_of, server, source  # noqa: F401 - a fixture
from tests.unit.connectors.sql.conftest import field
from tests.unit.connectors.sql.test_advice import policy_of
from tests.unit.connectors.sql.test_check import said
from worker.core.conditions import Compare, Op
from worker.core.facts import FieldType
from worker.core.model import DispositionKind
from worker.core.select import EVERYTHING, Compares
from worker.core.sources import Aggregate, Disposal, Function, Match, Relation, Treatment, TreatmentKind
from worker.ports import Changes, KeyRange, Update

PEOPLE = "CREATE TABLE people (id INTEGER PRIMARY KEY, name VARCHAR(80))"
NOTES = Relation("notes", "notes", ("id",), ("person",), ("id",), Disposal.DELETE)


only_on_postgres = pytest.mark.parametrize("server", ["postgres"], indirect=True)
only_on_mariadb = pytest.mark.parametrize("server", ["mariadb"], indirect=True)


def test_the_rows_of_a_padded_key_are_found(server: Server) -> None:
    """A key of the type CHAR(n) finds its own row and its children: a record whose children nobody sees would go without them."""
    server.run(
        "CREATE TABLE people (id CHAR(6) PRIMARY KEY, name VARCHAR(80))",
        "CREATE TABLE notes (id INTEGER PRIMARY KEY, person CHAR(6))",
        "INSERT INTO people VALUES ('ab', 'n'), ('cd', 'n')",
        "INSERT INTO notes VALUES (1, 'ab')",
    )
    opened = server.open(source(field("name"), relations=(NOTES,)))
    keys = keys_of(opened)
    with opened.reader() as reader:
        assert [(keys[0], (1,))] == reader.related(("notes",), keys, ())  # type: ignore[arg-type]
    with opened.batch("b", KeyRange(keys[0], keys[1]), EVERYTHING, ()) as batch:  # type: ignore[arg-type]
        batch.write(Changes(delete=[keys[1]], updates=[Update(("name",), [(*keys[0], "new")])]))  # type: ignore[list-item]
        batch.commit()
    assert [("new",)] == server.ask("SELECT name FROM people")


def test_a_key_of_an_enumeration(server: Server) -> None:
    """PostgreSQL sorts and compares an enumeration alike; MariaDB doesn't, so a range of such keys would miss rows, and it is refused."""
    if server.is_postgres:
        server.run("CREATE TYPE land AS ENUM ('zz', 'aa')")
    declared = "land" if server.is_postgres else "ENUM('zz', 'aa')"
    server.run(
        f"CREATE TABLE people (country {declared}, n INTEGER, name VARCHAR(80), PRIMARY KEY (country, n))",
        "INSERT INTO people VALUES ('zz', 1, 'n'), ('aa', 2, 'n')",
    )
    opened = server.open(source(field("name"), key=("country", "n")))
    problems, _ = opened.problems(None, {})
    if not server.is_postgres:
        assert "sorted by its places and compared by its texts" in said(problems)
        return
    assert [] == problems
    with opened.batch("b", KeyRange(("zz", 1), ("aa", 2)), EVERYTHING, ()) as batch:
        assert [("zz", 1), ("aa", 2)] == batch.rows
        batch.write(Changes(delete=[("aa", 2)], updates=[Update(("name",), [("zz", 1, "new")])]))
        batch.commit()
    assert [("zz", "new")] == server.ask("SELECT country::text, name FROM people")


@pytest.mark.parametrize("constant", [True, 1, "1"])
def test_a_restriction_to_bits_counts_them(server: Server, constant: str | int | bool) -> None:
    """What a bit says is counted, or refused: a contract that is not counted would keep nothing."""
    bit = "B'1'" if server.is_postgres else "b'1'"
    server.run(
        PEOPLE,
        "CREATE TABLE notes (id INTEGER PRIMARY KEY, person INTEGER, still_open BIT(1))",
        "INSERT INTO people VALUES (1, 'n')",
        f"INSERT INTO notes VALUES (1, 1, {bit}), (2, 1, {bit.replace('1', '0')})",
    )
    count = Aggregate("open", "notes", Function.COUNT, where=(Match("still_open", (constant,)),))
    opened = server.open(source(field("name"), relations=(NOTES,), aggregates=(count,)))
    problems, _ = opened.problems(None, {})
    if server.is_postgres and constant is True:
        assert "still_open of notes has the type BIT(1); no row of it can be true." in said(problems)
        return
    assert [] == problems
    with opened.reader() as reader:
        assert [[(1, 1)]] == list(reader.rows(EVERYTHING, ("open",)))


@pytest.mark.parametrize(
    ("declared", "constant", "expected"),
    [
        ("VARCHAR(5)", True, "no row of it can be true"),
        ("INTEGER", "open", "no row of it can be 'open'"),
        ("NUMERIC(5, 2)", "1.50", ""),
        ("VARCHAR(5)", "open", ""),
    ],
)
def test_a_restriction_that_nothing_satisfies_is_said(server: Server, declared: str, constant: str | bool, expected: str) -> None:
    """A constant that no row can hold counts nothing for ever, and what is not counted keeps nothing: it is a problem."""
    server.run(PEOPLE, f"CREATE TABLE notes (id INTEGER PRIMARY KEY, person INTEGER, state {declared})")
    count = Aggregate("open", "notes", Function.COUNT, where=(Match("state", (constant,)),))
    problems, _ = server.open(source(field("name"), relations=(NOTES,), aggregates=(count,))).problems(None, {})
    assert bool(expected) == bool(problems)
    assert expected in said(problems)


@only_on_postgres
def test_a_restriction_to_a_uuid_in_capital_letters(server: Server) -> None:
    """A UUID is the same in capital letters."""
    server.run(
        PEOPLE,
        "CREATE TABLE notes (id INTEGER PRIMARY KEY, person INTEGER, kind UUID)",
        "INSERT INTO people VALUES (1, 'n')",
        "INSERT INTO notes VALUES (1, 1, '0b0e8400-e29b-41d4-a716-446655440001')",
    )
    count = Aggregate("some", "notes", Function.COUNT, where=(Match("kind", ("0B0E8400-E29B-41D4-A716-446655440001",)),))
    with server.open(source(field("name"), relations=(NOTES,), aggregates=(count,))).reader() as reader:
        assert [[(1, 1)]] == list(reader.rows(EVERYTHING, ("some",)))


def elsewhere(server: Server, request: pytest.FixtureRequest) -> str:
    """Make another schema (on MariaDB: another database) and return its name."""
    if server.is_postgres:
        server.run("CREATE SCHEMA billing")
        return "billing"
    running: MariaDB = request.getfixturevalue("mariadb")
    return str(sa.make_url(running.new_database("billing")).database)


def test_a_reference_from_another_schema_is_found(server: Server, request: pytest.FixtureRequest) -> None:
    """The database cascades into other schemas too: a reference from there has to be declared like any other, and can be."""
    other = elsewhere(server, request)
    here = "" if server.is_postgres else f"{sa.make_url(server.url).database}."
    server.run(
        PEOPLE,
        "CREATE TABLE notes (id INTEGER PRIMARY KEY, person INTEGER)",
        f"CREATE TABLE {other}.notes (id INTEGER PRIMARY KEY, person INTEGER, "
        f"FOREIGN KEY (person) REFERENCES {here}people (id) ON DELETE CASCADE)",
    )
    expected = f"{other}.notes (person) refers to people, but is not declared as its child and the database would cascade"
    assert expected in said(server.open(source(field("name"))).problems(None, {})[0])
    # A table of the same name that lies here is another one.
    assert expected in said(server.open(source(field("name"), relations=(NOTES,))).problems(None, {})[0])
    opened = server.open(source(field("name"), relations=(replace(NOTES, table=f"{other}.notes"),)))
    assert [] == opened.problems(None, {})[0]
    assert (f"{other}.notes.person",) == opened.shape().referring


@only_on_postgres
def test_a_rule_is_read_like_a_trigger(server: Server) -> None:
    """A rule of PostgreSQL that does something else on a deletion has to be accepted by a person."""
    server.run(PEOPLE, "CREATE TABLE other (id INTEGER)", "CREATE RULE also AS ON DELETE TO people DO ALSO DELETE FROM other")
    assert "also fires when a row of people is deleted" in said(server.open(source(field("name"))).problems(None, {})[0])


@only_on_postgres
def test_partitions(server: Server) -> None:
    """What hangs on one partition alone counts, and what a partition only repeats is declared with its table."""
    server.run(
        "CREATE TABLE people (id INTEGER PRIMARY KEY, name VARCHAR(80)) PARTITION BY RANGE (id)",
        "CREATE TABLE people_1 PARTITION OF people FOR VALUES FROM (0) TO (100)",
        "CREATE TABLE notes (id INTEGER PRIMARY KEY, person INTEGER REFERENCES people (id)) PARTITION BY RANGE (id)",
        "CREATE TABLE notes_1 PARTITION OF notes FOR VALUES FROM (0) TO (100)",
    )
    declared = source(field("name"), relations=(NOTES,))
    assert [] == server.open(declared).problems(None, {})[0]
    server.run(
        "CREATE TABLE direct (id INTEGER PRIMARY KEY, person INTEGER REFERENCES people_1 (id) ON DELETE CASCADE)",
        "CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN OLD; END $$",
        "CREATE TRIGGER hidden BEFORE DELETE ON people_1 FOR EACH ROW EXECUTE FUNCTION nothing()",
    )
    problems = said(server.open(declared).problems(None, {})[0])
    assert "direct (person) refers to people" in problems
    assert "hidden fires when a row of people is deleted" in problems


@only_on_postgres
def test_rows_that_row_security_hides_are_a_problem(server: Server) -> None:
    """An invoice that the account can't see would keep nothing: row security on a child stops the source until a person accepts it."""
    server.run(
        PEOPLE,
        "CREATE TABLE notes (id INTEGER PRIMARY KEY, person INTEGER, tenant INTEGER)",
        "ALTER TABLE notes ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY own ON notes USING (tenant = 8)",
    )
    declared = source(field("name"), relations=(NOTES,))
    rights = ("SELECT, UPDATE, DELETE ON people", "SELECT, UPDATE, DELETE ON notes")
    opened = as_worker(server, *rights, source=declared)
    assert "row security is on for notes" in said(opened.problems(None, {})[0])
    server.run(f"ALTER ROLE {sa.make_url(server.url).database}_worker BYPASSRLS")
    opened.close()
    assert [] == opened.problems(None, {})[0]
    assert [] == server.open(declared).problems(None, {})[0]


@only_on_postgres
def test_row_security_that_was_looked_at_can_be_accepted(server: Server) -> None:
    """A policy that shows all rows is one nobody can tell from another: a person says so."""
    server.run(
        PEOPLE,
        "CREATE TABLE notes (id INTEGER PRIMARY KEY, person INTEGER)",
        "ALTER TABLE notes ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY every_row ON notes USING (true)",
    )
    declared = source(field("name"), relations=(NOTES,), options={"row_security": "accepted"})
    problems, warnings = as_worker(server, "SELECT ON people", "SELECT ON notes", source=declared).problems(None, {})
    assert [] == problems
    assert "row security is on for notes" in said(warnings)


def test_what_lies_beneath_a_child_is_checked(server: Server) -> None:
    """Triggers on, and rights to, the rows of rows that go along are looked at like those of the rows themselves."""
    server.run(
        PEOPLE,
        "CREATE TABLE notes (id INTEGER PRIMARY KEY, person INTEGER)",
        "CREATE TABLE links (id INTEGER PRIMARY KEY, note INTEGER)",
        "CREATE TABLE seen (id INTEGER)",
    )
    if server.is_postgres:
        server.run(
            "CREATE FUNCTION copied() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO seen VALUES (OLD.id); RETURN OLD; END $$",
            "CREATE TRIGGER copies BEFORE DELETE ON links FOR EACH ROW EXECUTE FUNCTION copied()",
        )
    else:
        server.run("CREATE TRIGGER copies BEFORE DELETE ON links FOR EACH ROW INSERT INTO seen VALUES (OLD.id)")
    links = Relation("links", "links", ("id",), ("note",), ("id",), Disposal.DELETE)
    declared = source(field("name"), relations=(replace(NOTES, children=(links,)),))
    assert "copies fires when a row of links is deleted" in said(server.open(declared).problems(None, {})[0])
    rights = ("SELECT, UPDATE, DELETE ON people", "SELECT, UPDATE, DELETE ON notes", "SELECT ON links")
    problems, _ = as_worker(server, *rights, source=declared).advice(policy_of(replace(declared), DispositionKind.DELETE))
    assert "the user may not DELETE from links" in said(problems)


def test_names_with_percent_signs_quotes_and_spaces(server: Server) -> None:
    """A table and columns of any name are checked, read, treated and deleted from."""
    mark = '"' if server.is_postgres else "`"
    table, key, text, day = ('we"ird %tabel é', "sel%ect", "korting % :x ?", "a%sb")
    quoted = {name: f"{mark}{name.replace(mark, mark * 2)}{mark}".replace("%", "%%") for name in (table, key, text, day)}
    server.run(
        f"CREATE TABLE {quoted[table]} ({quoted[key]} INTEGER PRIMARY KEY, {quoted[text]} VARCHAR(80), {quoted[day]} DATE)",
        f"INSERT INTO {quoted[table]} VALUES (1, 'n', '2020-01-01'), (2, 'n', '2020-01-01')",
    )
    fields = (field(text, treatment=Treatment(TreatmentKind.CONSTANT, "new")), field(day, FieldType.DATE))
    opened = server.open(source(*fields, key=(key,), table=table))
    assert [] == opened.problems(None, {})[0]
    assert [] == opened.advice(policy_of(opened.spec, DispositionKind.DELETE))[0]
    with opened.batch("b", KeyRange((1,), (2,)), EVERYTHING, (text, day)) as batch:
        assert [(1, "n", "2020-01-01"), (2, "n", "2020-01-01")] == batch.rows
        batch.write(Changes(delete=[(2,)], updates=[Update((text,), [(1, "new")])]))
        batch.commit()
    with opened.reader() as reader:
        assert [[(1, "new")]] == list(reader.rows(EVERYTHING, (text,)))


@only_on_mariadb
def test_a_day_that_every_change_moves_is_said(server: Server) -> None:
    """A period that starts at a column with ON UPDATE would begin anew whenever a field is treated, and never end."""
    moved = "TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP"
    server.run(
        f"CREATE TABLE people (id INTEGER PRIMARY KEY, name VARCHAR(80), seen_on {moved} ON UPDATE CURRENT_TIMESTAMP, made_on {moved})"
    )
    fields = (
        field("name", treatment=Treatment(TreatmentKind.CLEAR)),
        field("seen_on", FieldType.TIMESTAMP),
        field("made_on", FieldType.TIMESTAMP),
    )
    opened = server.open(source(*fields))
    told = [
        "the database sets seen_on whenever" in said(opened.advice(policy_of(opened.spec, kind))[1])
        for kind in (DispositionKind.PSEUDONYMISE, DispositionKind.DELETE)
    ]
    assert [True, False] == told


@only_on_mariadb
def test_a_constant_outside_of_the_columns_character_set(server: Server) -> None:
    """A constant that a column can't hold is found in no row; the server refuses to compare the two."""
    server.run(
        "CREATE TABLE people (id INTEGER PRIMARY KEY, name VARCHAR(80)) CHARACTER SET latin1",
        "INSERT INTO people VALUES (1, 'é'), (2, 'n')",
    )
    opened = server.open(source(field("name")))
    with opened.reader() as reader:
        counts = [reader.count(Compares(Compare("name", Op.EQ, (each,)))) for each in ("n", "é", "Ł", "🌻")]
    assert [1, 1, 0, 0] == counts


@only_on_postgres
def test_a_view_that_puts_rows_together_can_not_be_locked(server: Server) -> None:
    """Every batch would fail at a fact over such a view, so it is said beforehand; a plain view is as good as its table."""
    server.run(
        PEOPLE,
        "CREATE TABLE bills (id INTEGER PRIMARY KEY, person INTEGER)",
        "CREATE VIEW plain AS SELECT id, person FROM bills",
        "CREATE VIEW latest AS SELECT max(id) AS id, person FROM bills GROUP BY person",
        "CREATE MATERIALIZED VIEW copied AS SELECT id, person FROM bills",
        "INSERT INTO people VALUES (1, 'n')",
        "INSERT INTO bills VALUES (1, 1)",
    )
    count = Aggregate("count", "bills", Function.COUNT)

    def opened(view: str) -> SqlSource:
        bills = Relation("bills", view, ("id",), ("person",), ("id",))
        return server.open(source(field("name"), relations=(bills,), aggregates=(count,)))

    told = ["can't be locked" in said(opened(view).problems(None, {})[0]) for view in ("plain", "latest", "copied")]
    assert [False, True, True] == told
    assert "copied is a view" in said(server.open(source(table="copied")).problems(None, {})[0])
    with opened("plain").batch("b", KeyRange((1,), (1,)), EVERYTHING, ("count",)) as batch:
        assert [(1, 1)] == batch.rows
