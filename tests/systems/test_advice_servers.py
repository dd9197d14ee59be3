"""What `sources check` tells about real servers: rights that are missing or too many, hidden rows, triggers, and history that stays."""

# ruff: noqa: F811 - tests name the fixture that they take

from __future__ import annotations

import sqlalchemy as sa

from connectors.sql import open_source
from connectors.sql.open import SqlSource
from tests.systems.test_sql_servers import Server, server  # noqa: F401 - a fixture
from tests.unit.connectors.sql.conftest import field
from tests.unit.connectors.sql.test_advice import CANARY, policy_of
from tests.unit.connectors.sql.test_check import said
from worker.core.facts import FieldType
from worker.core.model import DispositionKind
from worker.core.sources import Disposal, Relation, Source, Treatment, TreatmentKind
from worker.ports import Connection

FIELDS = (field("name", treatment=Treatment(TreatmentKind.CLEAR)), field("seen_on", FieldType.DATE))
NOTES = Relation("notes", "notes", ("id",), ("person",), ("id",), Disposal.DELETE)
SOURCE = Source("people", "sql", "people", ("id",), FIELDS)
WITH_NOTES = Source("people", "sql", "people", ("id",), FIELDS, relations=(NOTES,))
TABLES = (
    "CREATE TABLE people (id BIGINT PRIMARY KEY, name VARCHAR(80), seen_on DATE, extra VARCHAR(80))",
    "CREATE TABLE notes (id BIGINT PRIMARY KEY, person BIGINT NOT NULL REFERENCES people (id), body TEXT)",
)
DELETE, TREAT = DispositionKind.DELETE, DispositionKind.PSEUDONYMISE


def as_worker(server: Server, *grants: str, source: Source = SOURCE) -> SqlSource:
    """Open the source as a user who has some rights and no others."""
    url = sa.make_url(server.url)
    user = f"{url.database}_worker"
    if server.is_postgres:
        server.run(f"CREATE ROLE {user} LOGIN PASSWORD 'secret'", *(f"GRANT {each} TO {user}" for each in grants))
    else:
        server.run(f"CREATE USER {user}@'%%' IDENTIFIED BY 'secret'", *(f"GRANT {each} TO {user}@'%%'" for each in grants))
    address = url.set(username=user, password="secret").render_as_string(hide_password=False)
    server.opened.append(open_source(source, Connection(address)))
    return server.opened[-1]


def advice(opened: SqlSource, kind: DispositionKind) -> tuple[str, str]:
    """Return what is said about a source, problems and warnings apart; no value may be in it."""
    problems, warnings = opened.advice(policy_of(opened.spec, kind))
    both = said(problems), said(warnings)
    assert not any(CANARY in each.lower() for each in both)
    return both


def test_missing_rights(server: Server) -> None:
    """A user who may only read can't carry anything out, and is told what is missing on which table; nothing is changed to find out."""
    server.run(*TABLES, f"INSERT INTO people VALUES (1, '{CANARY}', NULL, NULL)", "INSERT INTO notes VALUES (1, 1, 'x')")
    opened = as_worker(server, "SELECT ON people", "SELECT ON notes", source=WITH_NOTES)
    problems, _ = advice(opened, DELETE)
    assert "the user may not DELETE from people" in problems
    assert "the user may not DELETE from notes" in problems
    problems, _ = advice(opened, TREAT)
    assert "the user may not UPDATE name of people" in problems
    assert "DELETE" not in problems
    assert [(1, 1)] == server.ask("SELECT (SELECT count(*) FROM people), (SELECT count(*) FROM notes)")


def test_rights_that_are_enough(server: Server) -> None:
    """With the rights that the documentation names there is nothing to say."""
    server.run(*TABLES)
    grants = ["SELECT, UPDATE, DELETE ON people", "SELECT, UPDATE, DELETE ON notes"]
    if not server.is_postgres:
        grants.append(f"CREATE TEMPORARY TABLES ON {sa.make_url(server.url).database}.*")
    opened = as_worker(server, *grants, source=WITH_NOTES)
    assert [("", ""), ("", "")] == [advice(opened, DELETE), advice(opened, TREAT)]


def test_too_many_rights(server: Server) -> None:
    """Whoever may administer the server may do more than a worker needs."""
    server.run(*TABLES)
    _, warned = advice(server.open(WITH_NOTES), DELETE)
    assert ("the user is a superuser" if server.is_postgres else "the user may administer the server") in warned


def test_columns_that_may_not_be_read(server: Server) -> None:
    """Where the user may not read every column nothing is sampled, and that is said."""
    server.run(*TABLES)
    opened = as_worker(server, "SELECT (id, name, seen_on), UPDATE, DELETE ON people", "SELECT ON notes", source=SOURCE)
    assert "not every column may be read, so no values were sampled" in advice(opened, DELETE)[1]


def test_values_are_counted_and_not_shown(server: Server) -> None:
    """What stands in a column that nobody declared is told by its form."""
    rows = ", ".join(f"({n}, NULL, NULL, 'ada{n}@{CANARY}.example')" for n in range(300))
    server.run(*TABLES, f"INSERT INTO people VALUES {rows}")
    _, warned = advice(server.open(SOURCE), DELETE)
    assert "the column extra of people is declared by no field, and 200 of 200 sampled values look like e-mail addresses" in warned


def test_triggers_on_changes(server: Server) -> None:
    """A trigger that fires on a change may copy what a treatment takes away, and one that fires on something else does not."""
    if server.is_postgres:
        server.run(
            *TABLES,
            "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
            "CREATE TRIGGER keeper BEFORE UPDATE ON people FOR EACH ROW EXECUTE FUNCTION keep()",
            "CREATE TRIGGER maker BEFORE INSERT ON people FOR EACH ROW EXECUTE FUNCTION keep()",
        )
    else:
        server.run(
            *TABLES,
            "CREATE TRIGGER keeper BEFORE UPDATE ON people FOR EACH ROW SET @kept = OLD.name",
            "CREATE TRIGGER maker BEFORE INSERT ON people FOR EACH ROW SET @made = NEW.name",
        )
    _, warned = advice(server.open(SOURCE), TREAT)
    assert "the trigger keeper fires when a row of people is changed" in warned
    assert "maker" not in warned


def test_rows_that_are_hidden(server: Server) -> None:
    """Row security hides rows from the worker, which then can't delete them and would not say so; only PostgreSQL has it."""
    server.run(*TABLES, *(["ALTER TABLE people ENABLE ROW LEVEL SECURITY"] if server.is_postgres else []))
    opened = as_worker(server, "SELECT, UPDATE, DELETE ON people", "SELECT ON notes")
    told = "row security is on for people: rows that it hides from this user are never seen" in advice(opened, DELETE)[1]
    assert server.is_postgres == told


def test_history_that_the_database_keeps(server: Server) -> None:
    """A table that keeps every row that was deleted is refused until a person accepts it; only MariaDB has such tables."""
    versioned = "" if server.is_postgres else " WITH SYSTEM VERSIONING"
    server.run(f"CREATE TABLE people (id BIGINT PRIMARY KEY, name VARCHAR(80), seen_on DATE){versioned}")
    problems, _ = server.open(SOURCE).problems(None, {})
    told = "the table people is system-versioned: the database keeps every row of it that is changed or deleted" in said(problems)
    assert told == bool(versioned)
    accepted = Source("people", "sql", "people", ("id",), FIELDS, options={"history": "accepted"})
    problems, warnings = server.open(accepted).problems(None, {})
    assert [] == problems
    assert ("is system-versioned" in said(warnings)) == bool(versioned)
