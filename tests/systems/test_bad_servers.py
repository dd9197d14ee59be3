"""Servers that refuse, and a log that is full: a clear error with the right exit code, nothing half done, and the rest done."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.systems.servers.mariadb import MariaDB
from tests.systems.servers.postgres import Postgres
from tests.systems.servers.process import free_port
from tests.systems.small_firm import (
    BATCH,
    CONTACTS,
    TODAY,
    Firm,
    Unhurt,
    content,
    due,
    fill,
    make_firm,
    opened,
    partly,
    source_environ,
    unhurt,
)

POISON = 60
"""A contact that is due, in the second batch."""
CLERK, CLERKS_PASSWORD = "clerk", "only-for-this-test"
ROOT = Path(__file__).parents[2]


@dataclass
class Server:
    """One of the two servers, with what a run comes to on it when nothing is wrong."""

    running: Postgres | MariaDB
    unhurt: Unhurt

    @property
    def is_postgres(self) -> bool:
        """Whether it is PostgreSQL."""
        return isinstance(self.running, Postgres)

    def firm(self, folder: Path, **environ: str) -> Firm:
        """Return a firm with a database of its own."""
        url = self.running.new_database("firm")
        fill(url)
        environ = {**source_environ(options__lock_timeout="0.2"), **environ}
        return make_firm(folder / "firm", url, self.unhurt.keys, **environ)

    def as_clerk(self, firm: Firm, rights: str) -> Firm:
        """Return the firm as somebody who has some rights only."""
        database = firm.url.rpartition("/")[2].partition("?")[0]
        with opened(firm.url) as connection:
            for statement in self._granting(database, rights):
                connection.exec_driver_sql(statement)
        url = self.running.url_of(database, user=CLERK, password=CLERKS_PASSWORD)
        return replace(firm, urls=dict.fromkeys(firm.urls, url))

    def _granting(self, database: str, rights: str) -> Iterator[str]:
        if self.is_postgres:
            yield f"DO $$ BEGIN CREATE ROLE {CLERK} LOGIN PASSWORD '{CLERKS_PASSWORD}'; EXCEPTION WHEN duplicate_object THEN NULL; END $$"
            yield f"GRANT {rights} ON ALL TABLES IN SCHEMA public TO {CLERK}"
        else:
            yield f"CREATE OR REPLACE USER {CLERK}@'127.0.0.1' IDENTIFIED BY '{CLERKS_PASSWORD}'"
            yield f"GRANT {rights}, CREATE TEMPORARY TABLES ON `{database}`.* TO {CLERK}@'127.0.0.1'"

    def assert_done_in_the_end(self, firm: Firm) -> None:
        """Make a new plan, carry it out, and compare with a run that nothing happened to."""
        assert 0 == firm.apply(firm.approved()).exit_code
        assert self.unhurt.content == content(firm.url)
        effects = [(source, record) for source, _, record in firm.done()]
        assert sorted((source, record) for source, _, record in self.unhurt.effects) == sorted(effects)
        firm.runs()


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


def command(firm: Firm, *words: str, before: str = "") -> subprocess.CompletedProcess[str]:
    """Call the command in a process of its own; `before` is a statement that it runs first."""
    environ = {
        "PATH": os.environ.get("PATH", os.defpath),
        "PYTHONDONTWRITEBYTECODE": "1",
        "RETENTION_POLICIES": str(firm.folder / "policies.toml"),
        "RETENTION_STATE": str(firm.folder / "state"),
        "RETENTION_KEYS": str(firm.folder / "keys" / "keys.json"),
        "RETENTION_OPERATOR": "dora",
        **{f"RETENTION_SOURCES__{name.upper()}__URL": url for name, url in firm.urls.items()},
        **firm.environ,
    }
    (firm.folder / "policies.toml").write_text(firm.policies)
    program = "\n".join(
        (
            f"import datetime, sys; sys.path.insert(0, {str(ROOT)!r}); {before}",
            "from worker.cli.main import run; from worker.cli.session import Session",
            f"now = datetime.datetime.fromisoformat({TODAY.isoformat()!r})",
            "sys.exit(run(sys.argv[1:], Session(now=lambda: now, own_process=True)))",
        )
    )
    arguments = [sys.executable, "-c", program, *words]
    return subprocess.run(arguments, env=environ, cwd=firm.folder, capture_output=True, text=True, check=False)


class TestCantGetIn:
    """What an operator has to mend before anything can run: exit code 2, and the error names the source and the place, no password."""

    @pytest.mark.parametrize(
        ("wrong", "says"),
        [
            (lambda server, url: url.replace(f":{server.port}/", f":{free_port()}/"), "does not answer"),
            (lambda server, url: url.replace(server.password, "wrong-password"), "the user or the password is refused"),
            (lambda server, url: url.replace("/firm_", "/no_such_firm_"), "there is no such database"),
        ],
        ids=["down", "wrong password", "no such database"],
    )
    def test_says_what_is_wrong(self, server: Server, tmp_path: Path, wrong: Callable[[object, str], str], says: str) -> None:
        """Nothing is planned, and the operator reads what to look at."""
        firm = server.firm(tmp_path)
        bad = wrong(server.running, firm.url)
        done = command(replace(firm, urls=dict.fromkeys(firm.urls, bad)), "plan")
        assert (2, "") == (done.returncode, done.stdout), done.stderr
        for text in ("contacts", says, "127.0.0.1"):
            assert text in done.stderr
        for secret in (server.running.password, "wrong-password", "Traceback"):
            assert secret not in done.stderr


class TestRights:
    """Users with fewer rights than are needed."""

    def test_no_right_to_delete(self, server: Server, tmp_path: Path) -> None:
        """Nothing of a batch that deletes is done, the run is partial and says which right is missing; granted, it is all done."""
        firm = server.firm(tmp_path)
        before = content(firm.url)
        clerk = server.as_clerk(firm, "SELECT, UPDATE")
        result = clerk.apply(clerk.approved())
        assert (5, "partial", ["contacts", "invoices"]) == (result.exit_code, result.state, sorted(result.failed))
        assert all("lacks a right" in why for why in result.failed.values()), result.failed
        assert before == content(firm.url)
        assert [] == firm.done()
        server.assert_done_in_the_end(server.as_clerk(firm, "SELECT, UPDATE, DELETE"))

    def test_transactions_that_can_only_read_by_default(self, server: Server, tmp_path: Path) -> None:
        """A server's default is no limit: what writes says so, what reads can't write anyway."""
        firm = server.firm(tmp_path)
        clerk = server.as_clerk(firm, "SELECT, UPDATE, DELETE")
        with opened(firm.url) as connection:
            if server.is_postgres:
                connection.exec_driver_sql(f"ALTER ROLE {CLERK} SET default_transaction_read_only = on")
            else:
                connection.exec_driver_sql("SET GLOBAL tx_read_only = 1")
        try:
            assert 0 == clerk.apply(clerk.approved()).exit_code
        finally:
            with opened(firm.url) as connection:
                if server.is_postgres:
                    connection.exec_driver_sql(f"ALTER ROLE {CLERK} RESET default_transaction_read_only")
                else:
                    connection.exec_driver_sql("SET GLOBAL tx_read_only = 0")
        assert server.unhurt.content == content(firm.url)

    def test_a_server_that_is_set_to_read_only(self, on_mariadb: Server, tmp_path: Path) -> None:
        """A replica, or a server under maintenance: nothing is done, the run is partial and says why."""
        firm = on_mariadb.firm(tmp_path)
        before = content(firm.url)
        clerk = on_mariadb.as_clerk(firm, "SELECT, UPDATE, DELETE")
        with opened(firm.url) as connection:
            connection.exec_driver_sql("SET GLOBAL read_only = 1")
        try:
            result = clerk.apply(clerk.approved())
        finally:
            with opened(firm.url) as connection:
                connection.exec_driver_sql("SET GLOBAL read_only = 0")
        assert (5, "partial") == (result.exit_code, result.state)
        assert all("can only be read" in why for why in result.failed.values()), result.failed
        assert before == content(firm.url)


@contextmanager
def in_use(url: str, number: int) -> Iterator[None]:
    """Be somebody who works on a contact and does not let go of it."""
    with opened(url) as connection:
        connection.execute(sa.text("SELECT * FROM contacts WHERE id = :id FOR UPDATE"), {"id": number})
        yield


class TestOneRecord:
    """One record that can't be changed must not stop the others, nor let the run report success."""

    def test_a_record_that_somebody_else_works_on_puts_off_its_batch(self, server: Server, tmp_path: Path) -> None:
        """The batch is put off and found, the others are done, and the run is partial; later it is done."""
        firm = server.firm(tmp_path)
        plan = firm.approved()
        with in_use(firm.url, POISON):
            result = firm.apply(plan)
        assert (5, "partial", {}) == (result.exit_code, result.state, result.failed)
        assert {"busy": BATCH} == dict(result.results["contacts"].skipped)
        assert ["records that somebody else kept busy; a later run does them"] == [each.detail for each in result.new_findings]
        acting = sum(due(number) or partly(number) for number in range(1, CONTACTS + 1))
        assert acting - BATCH == result.results["contacts"].effects["delete"] + result.results["contacts"].effects["treat"]
        server.assert_done_in_the_end(firm)

    def test_a_record_that_the_database_refuses_to_delete_is_set_aside(self, server: Server, tmp_path: Path) -> None:
        """A trigger that raises for one record leaves that one, with all its children, and nothing else."""
        firm = server.firm(tmp_path)
        plan = firm.approved()
        kept = next(row for row in content(firm.url)["contacts"] if row[0] == POISON)
        with opened(firm.url) as connection:
            for statement in _POISONING[server.is_postgres]:
                connection.exec_driver_sql(statement)
        result = firm.apply(plan)
        assert (5, "partial", {}) == (result.exit_code, result.state, result.failed)
        assert {"failed": 1} == dict(result.results["contacts"].skipped)
        after = content(firm.url)
        wanted = server.unhurt.content["contacts"]
        assert [kept] == [row for row in after["contacts"] if row not in wanted]
        assert len(wanted) + 1 == len(after["contacts"])
        assert [(10 * POISON, POISON)] == [row[:2] for row in after["notes"] if row[1] == POISON]
        with opened(firm.url) as connection:
            connection.exec_driver_sql("DROP TRIGGER guard" + (" ON contacts" if server.is_postgres else ""))
        server.assert_done_in_the_end(firm)


_POISONING = {
    True: (
        "CREATE FUNCTION refuse() RETURNS trigger AS $$ BEGIN RAISE EXCEPTION 'person60@canary.example stays'; END $$ LANGUAGE plpgsql",
        f"CREATE TRIGGER guard BEFORE DELETE ON contacts FOR EACH ROW WHEN (OLD.id = {POISON}) EXECUTE FUNCTION refuse()",
    ),
    False: (
        (
            f"CREATE TRIGGER guard BEFORE DELETE ON contacts FOR EACH ROW IF OLD.id = {POISON} THEN "
            "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'person60@canary.example stays'; END IF"
        ),
    ),
}
"""By whether it is PostgreSQL: a trigger that refuses one contact, in words that hold personal data."""


class TestFullLog:
    """No effect without its event: when the log can't take the events of a batch, the batch is not begun."""

    @pytest.mark.parametrize(("limit", "some"), [(300, False), (60_000, False), (100_000, True)])
    def test_stops_before_the_write(self, on_postgres: Server, postgres: Postgres, tmp_path: Path, limit: int, some: bool) -> None:
        """Exit code 2, whole batches only and only those that the log had room for; with room for the rest it is done."""
        # A ledger in a file would be under the same limit.
        firm = on_postgres.firm(tmp_path, RETENTION_LEDGER=postgres.new_database("ledger"))
        plan = firm.approved()
        before = content(firm.url)
        full = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))"
        done = command(firm, "apply", str(plan), before=full)
        assert 2 == done.returncode, done.stderr
        assert "audit" in done.stderr
        after = content(firm.url)
        acted = len([row for row in before["contacts"] if row not in after["contacts"]])
        assert (some, 0) == (acted > 0, acted % BATCH)
        assert acted == len([each for each in firm.done() if each[0] == "contacts"])
        assert 0 == firm.apply(plan).exit_code
        assert on_postgres.unhurt.content == content(firm.url)
        assert on_postgres.unhurt.effects == firm.done()
        firm.runs()
