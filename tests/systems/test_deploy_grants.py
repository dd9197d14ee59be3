"""The least rights: with what `sources grants` prints the whole job is done, and nothing outside of it can be.

On the real servers, with accounts that have nothing else: the small firm ends as if an account with every right had worked on it.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from tests.systems.servers.mariadb import MariaDB
from tests.systems.servers.postgres import Postgres
from tests.systems.small_firm import CONTACTS, POLICIES, TODAY, Firm, Unhurt, content, fill, make_firm, opened, source_environ, unhurt
from worker.cli.main import run
from worker.cli.session import Session
from worker.usecases.verifying import verify

_PASSWORD = "ledger-and-sources"
_NUMBERS = itertools.count(1)


@dataclass
class Server:
    """A server, and what comes of the firm there when nobody's rights are limited."""

    running: Postgres | MariaDB
    unhurt: Unhurt

    @property
    def is_postgres(self) -> bool:
        """Which of the two it is."""
        return isinstance(self.running, Postgres)

    def account(self, url: str) -> tuple[str, str]:
        """Make an account without any right; return its name and the address with which it enters a database."""
        name, database = f"least-{next(_NUMBERS)}", url.rpartition("/")[2].partition("?")[0]
        with opened(url) as connection:
            if self.is_postgres:
                connection.exec_driver_sql(f"CREATE ROLE \"{name}\" LOGIN PASSWORD '{_PASSWORD}'")
                # What everybody may is taken away, as an administrator who looks after a database does.
                connection.exec_driver_sql(f'REVOKE ALL ON DATABASE "{database}" FROM PUBLIC')
                connection.exec_driver_sql("REVOKE ALL ON SCHEMA public FROM PUBLIC")
            else:
                connection.exec_driver_sql(f"CREATE USER '{name}'@'127.0.0.1' IDENTIFIED BY '{_PASSWORD}'")
        return name if self.is_postgres else f"{name}@127.0.0.1", self.running.url_of(database, user=name, password=_PASSWORD)

    def firm(self, folder: Path, **environ: str) -> Firm:
        """Return a firm of its own, whose owner has every right."""
        url = self.running.new_database("firm")
        fill(url)
        return make_firm(folder / "firm", url, self.unhurt.keys, **environ)

    def limited(self, firm: Firm) -> Firm:
        """Return the firm as an account that has what `sources grants` printed for it."""
        name, url = self.account(firm.url)
        with opened(firm.url) as connection:
            for statement in printed(firm, "--to", name):
                connection.exec_driver_sql(statement)
        return replace(firm, urls=dict.fromkeys(firm.urls, url))


def printed(firm: Firm, *args: str) -> list[str]:
    """Return the statements that the command prints, without its comments."""
    with firm.machine():
        pass  # Writes the policy file.
    environ = {
        "RETENTION_POLICIES": str(firm.folder / "policies.toml"),
        "RETENTION_STATE": str(firm.folder / "state"),
        "RETENTION_KEYS": str(firm.folder / "keys" / "keys.json"),
        **{f"RETENTION_SOURCES__{source.upper()}__URL": url for source, url in firm.urls.items()},
        **firm.environ,
    }
    with CliRunner().isolation() as (out, err, _):
        code = run(["sources", "grants", *args], Session(environ, lambda: TODAY, folder=firm.folder))
        assert 0 == code, err.getvalue().decode()
        lines = out.getvalue().decode().splitlines()
    return [line for line in lines if not line.startswith("--")]


@contextmanager
def refused(firm: Firm) -> Iterator[sa.Connection]:
    """Give a connection on which the one statement that is tried must be refused for want of a right."""
    with pytest.raises(sa.exc.DBAPIError) as caught, opened(firm.url) as connection:
        yield connection
    original = caught.value.orig
    assert {"42501", 1044, 1142, 1143} & {getattr(original, "sqlstate", None), original.args[0]}, original  # type: ignore[union-attr]


@pytest.fixture(scope="module")
def on_postgres(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Server:
    """Return PostgreSQL."""
    return Server(postgres, unhurt(tmp_path_factory.mktemp("unhurt"), postgres.new_database("firm")))


@pytest.fixture(scope="module")
def on_mariadb(mariadb: MariaDB, tmp_path_factory: pytest.TempPathFactory) -> Server:
    """Return MariaDB."""
    return Server(mariadb, unhurt(tmp_path_factory.mktemp("unhurt"), mariadb.new_database("firm")))


@pytest.fixture(params=["on_postgres", "on_mariadb"])
def server(request: pytest.FixtureRequest) -> Server:
    """Return each server in turn."""
    found: Server = request.getfixturevalue(request.param)
    return found


@pytest.mark.parametrize("witness", ["true", "false"])
def test_the_whole_job_with_these_rights(server: Server, tmp_path: Path, witness: str) -> None:
    """Check, plan, approve, apply and verify come to the same as with every right, with and without a witness table."""
    owner = server.firm(tmp_path, **source_environ(witness_table=witness))
    firm = server.limited(owner)
    with firm.machine() as machine:
        for source in machine.schedule.sources.values():
            problems, _ = machine.open_source(source).problems(machine.policy(source.name), machine.schedule.sources)
            assert [] == problems
    _, result = firm.carry_out()
    assert (0, {}) == (result.exit_code, result.failed), result.as_json()
    with firm.machine() as machine:
        assert verify(machine, result.run_id).whole
    assert server.unhurt.content == content(owner.url)
    assert list(server.unhurt.effects) == firm.done()


def test_nothing_outside_of_it(server: Server, tmp_path: Path) -> None:
    """No other table, no other column, no new value in what is only looked at, no new table, no lifting of the limits."""
    owner = server.firm(tmp_path)
    with opened(owner.url) as connection:
        connection.exec_driver_sql("CREATE TABLE salaries (id BIGINT PRIMARY KEY, amount BIGINT)")
        connection.exec_driver_sql("ALTER TABLE contacts ADD COLUMN diagnosis VARCHAR(80)")
    firm = server.limited(owner)
    with opened(firm.url) as connection:
        assert CONTACTS == connection.exec_driver_sql("SELECT count(id) FROM contacts").scalar()
    forbidden = [
        "SELECT amount FROM salaries",
        "DELETE FROM salaries",
        "UPDATE contacts SET seen_at = NULL",
        "UPDATE contacts SET diagnosis = NULL",
        "UPDATE notes SET body = NULL",
        "UPDATE invoices SET issued_on = NULL",
        "INSERT INTO contacts (id, name) VALUES (-1, 'x')",
        "INSERT INTO notes (id, contact_id) VALUES (-1, 1)",
        "DROP TABLE notes",
        "CREATE TABLE loot (id INTEGER)",
        "ALTER TABLE contacts DROP COLUMN name",
    ]
    if server.is_postgres:
        forbidden += ["SELECT diagnosis FROM contacts", "SELECT body FROM notes", "SELECT * FROM contacts", "TRUNCATE notes"]
    for statement in forbidden:
        with refused(firm) as connection:
            connection.exec_driver_sql(statement)


def test_what_a_source_is_only_read_for(server: Server, tmp_path: Path) -> None:
    """A source without a policy gets SELECT and nothing else, although its records count for others."""
    firm = server.firm(tmp_path, **source_environ(witness_table="true"))
    firm.policies = POLICIES.rpartition('[[policies]]\nsource = "invoices"')[0]
    statements = printed(firm, "invoices", "--to", "reader")
    assert any("SELECT" in each for each in statements)
    assert not [each for each in statements if "UPDATE" in each or "DELETE" in each or "CREATE" in each]


def test_names_that_need_quotes(server: Server, tmp_path: Path) -> None:
    """An account's name is quoted, whatever is in it: what is printed is run by somebody who may do everything."""
    firm = server.firm(tmp_path)
    odd = "o'\"; DROP TABLE contacts; --`x"
    shown = '"o\'""; DROP TABLE contacts; --`x"' if server.is_postgres else "'o''\"; DROP TABLE contacts; --`x'@'%'"
    lines = [each for each in printed(firm, "--to", odd) if each]
    assert all(each.partition("  --")[0].removesuffix(";").endswith(f" TO {shown}") for each in lines), lines


def test_an_unknown_source_is_said(on_postgres: Server, tmp_path: Path) -> None:
    """A misspelt source is an error and not an empty script."""
    firm = on_postgres.firm(tmp_path)
    with pytest.raises(AssertionError, match="There is no source 'contcats'"):
        printed(firm, "contcats")


def test_what_refers_to_the_records_is_still_seen(server: Server, tmp_path: Path) -> None:
    """An account that may not read a table must still be told that it refers to records which are deleted."""
    owner = server.firm(tmp_path)
    with opened(owner.url) as connection:
        refers = "FOREIGN KEY (contact_id) REFERENCES contacts (id) ON DELETE CASCADE"
        connection.exec_driver_sql(f"CREATE TABLE orders (id BIGINT PRIMARY KEY, contact_id BIGINT, {refers})")
        if server.is_postgres:
            connection.exec_driver_sql("CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END'")
            connection.exec_driver_sql("CREATE TRIGGER keeper BEFORE DELETE ON contacts FOR EACH ROW EXECUTE FUNCTION keep()")
        else:
            connection.exec_driver_sql("CREATE TRIGGER keeper BEFORE DELETE ON contacts FOR EACH ROW SET @gone = OLD.id")
    firm = server.limited(owner)
    with firm.machine() as machine:
        source = machine.schedule.sources["contacts"]
        problems, warnings = machine.open_source(source).problems(machine.policy("contacts"), machine.schedule.sources)
    found = " ".join(map(str, problems))
    assert "orders (contact_id) refers to contacts" in found
    assert "the trigger keeper fires" in found
    assert [] == warnings


def test_an_account_that_can_not_see_is_warned(on_mariadb: Server, tmp_path: Path) -> None:
    """On MariaDB tables without any right are invisible, and so is their cascade: whoever gave rights by hand is told."""
    owner = on_mariadb.firm(tmp_path)
    name, url = on_mariadb.account(owner.url)
    with opened(owner.url) as connection:
        for statement in printed(owner, "--to", name):
            if "REFERENCES" not in statement:
                connection.exec_driver_sql(statement)
    with replace(owner, urls=dict.fromkeys(owner.urls, url)).machine() as machine:
        source = machine.schedule.sources["contacts"]
        _, warnings = machine.open_source(source).problems(machine.policy("contacts"), machine.schedule.sources)
    assert "GRANT REFERENCES" in " ".join(map(str, warnings))


def test_a_ledger_with_two_accounts(postgres: Postgres, tmp_path: Path) -> None:
    """The owner brings the ledger up to date; the account of the night may write rows and change no table, and does the whole job."""
    ledger, office = postgres.new_database("ledger"), postgres.new_database("firm")
    fill(office)
    owner = make_firm(tmp_path / "firm", office, RETENTION_LEDGER=ledger)
    with owner.machine():
        pass
    name = f"night-{next(_NUMBERS)}"
    sql = (Path(__file__).parents[2] / "deploy" / "sql" / "ledger-postgresql.sql").read_text(encoding="utf-8")
    _, _, rights = sql.partition("-- 2. The rights, in that database and as its owner.")
    assert rights
    with opened(ledger) as connection:
        connection.exec_driver_sql(f"CREATE ROLE \"{name}\" LOGIN PASSWORD '{_PASSWORD}'")
        database = ledger.rpartition("/")[2]
        owned = rights.replace("retention_worker", f'"{name}"').replace("retention_ledger", database)
        connection.exec_driver_sql(re.sub(r"--.*", "", owned))
    limited = postgres.url_of(ledger.rpartition("/")[2], user=name, password=_PASSWORD)
    firm = replace(owner, environ={**owner.environ, "RETENTION_LEDGER": limited})
    _, result = firm.carry_out()
    assert (0, {}) == (result.exit_code, result.failed)
    with opened(limited) as connection:
        assert 1 == connection.exec_driver_sql("SELECT count(*) FROM runs").scalar()
    for statement in ("DROP TABLE runs", "CREATE TABLE loot (id INTEGER)", "ALTER TABLE runs DROP COLUMN state", "TRUNCATE runs"):
        with pytest.raises(sa.exc.DBAPIError), opened(limited) as connection:
            connection.exec_driver_sql(statement)
