"""The CRM and the mailing list of the documentation, on real servers: rows go in the declared way, and the files on the disk after them.

Every fifth of two hundred contacts was last seen years ago. Of those, one in four has an agreement that has ended (name and address
stay), one in four an agreement that runs (everything stays); the other half goes. Everybody has a quote of long ago, a note, an invoice and
an attachment, every third contact a second one.
"""

from __future__ import annotations

import datetime as dt
import itertools
import json
import os
import re
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.acceptance.canaries import WORD, found_in, found_under
from tests.acceptance.conftest import Installation
from tests.events import wrong_events
from tests.systems.killing import killed
from tests.systems.servers.mariadb import MariaDB
from tests.systems.servers.postgres import Postgres
from tests.systems.small_firm import opened
from worker.ports import AFTER_COMMIT, AFTER_WRITE

PAGE = (Path(__file__).parents[2] / "docs" / "connectors" / "sql-crm.md").read_text(encoding="utf-8")
POLICIES = dict(re.findall(r"<!-- example: (\w+) -->\n```toml\n(.*?)```", PAGE, re.DOTALL))
NOW = dt.datetime(2026, 6, 30, 10, tzinfo=dt.UTC)
NIGHT = dt.timedelta(days=1)
PEOPLE, HELD = 200, 20
LONG_AGO, LATELY = dt.datetime(2021, 2, 1, 12), dt.datetime(2026, 5, 1, 12)
TABLES = (
    (
        "CREATE TABLE contacts (id BIGINT PRIMARY KEY, name VARCHAR(80) NOT NULL, email VARCHAR(120), phone VARCHAR(30), "
        "address VARCHAR(120), last_contact_at {timestamp})"
    ),
    "CREATE TABLE quotes (id BIGINT PRIMARY KEY, contact_id BIGINT NOT NULL REFERENCES contacts (id), asked_on DATE, body TEXT)",
    "CREATE TABLE agreements (id BIGINT PRIMARY KEY, contact_id BIGINT NOT NULL REFERENCES contacts (id), ended_on DATE, body TEXT)",
    "CREATE TABLE notes (id BIGINT PRIMARY KEY, contact_id BIGINT NOT NULL REFERENCES contacts (id), body TEXT)",
    (
        "CREATE TABLE invoices (id BIGINT PRIMARY KEY, contact_id BIGINT REFERENCES contacts (id), billed_to VARCHAR(80), "
        "billed_email VARCHAR(120), billed_address VARCHAR(120), issued_on DATE)"
    ),
    "CREATE TABLE invoice_lines (id BIGINT PRIMARY KEY, invoice_id BIGINT NOT NULL REFERENCES invoices (id), body TEXT)",
    "CREATE TABLE attachments (id BIGINT PRIMARY KEY, contact_id BIGINT REFERENCES contacts (id), path VARCHAR(200))",
    *(f"CREATE INDEX {table}_contact ON {table} (contact_id)" for table in ("quotes", "agreements", "notes", "invoices", "attachments")),
    "CREATE INDEX lines_invoice ON invoice_lines (invoice_id)",
    "CREATE INDEX contacts_seen ON contacts (last_contact_at)",
    "CREATE INDEX invoices_issued ON invoices (issued_on)",
)
ON_POSTGRESQL, ON_MARIADB = (pytest.mark.parametrize("server", [name], indirect=True) for name in ("postgresql", "mariadb"))
"""For what is the same on every server."""
_ACCOUNTS = itertools.count(1)


def old(n: int) -> bool:
    """Whether a contact was last seen years ago."""
    return n % 5 == 0


def goes(n: int) -> bool:
    """Whether a contact goes."""
    return old(n) and n % 20 not in (10, 15) and n != HELD


def loses_files(n: int) -> bool:
    """Whether a contact's attachments go: also those of one who stays for an agreement that has ended."""
    return goes(n) or n % 20 == 10


@dataclass
class Crm:
    """A CRM with its folder of attachments, and the command."""

    server: Postgres | MariaDB
    url: str
    attachments: Path
    command: Installation

    def sql(self, statement: str, rows: list[dict[str, object]] | None = None) -> list[tuple[object, ...]]:
        """Do something in the database, as another program would."""
        with opened(self.url) as connection:
            done = connection.execute(sa.text(statement), rows)
            return [tuple(row) for row in done] if done.returns_rows else []

    def insert(self, table: str, rows: list[dict[str, object]]) -> None:
        """Put rows into a table."""
        self.sql(f"INSERT INTO {table} ({', '.join(rows[0])}) VALUES ({', '.join(f':{name}' for name in rows[0])})", rows)

    def put(self, name: str, *, changed: dt.datetime = LONG_AGO) -> None:
        """Put down a file, last changed at some moment."""
        (self.attachments / name).write_bytes(b"%PDF")
        moment = changed.replace(tzinfo=changed.tzinfo or dt.UTC).timestamp()
        os.utime(self.attachments / name, (moment, moment))

    def numbers(self, table: str, column: str = "id") -> set[object]:
        """Return what a column of a table holds."""
        return {value for (value,) in self.sql(f"SELECT {column} FROM {table}")}

    @property
    def files(self) -> set[str]:
        """The files that are there."""
        return {each.name for each in self.attachments.iterdir() if not each.name.startswith(".")}

    def night(self, number: int, *codes: int) -> dict[str, object]:
        """Run as cron does, some nights after the first, and return what was said."""
        said = self.command("run", "--json", now=NOW + number * NIGHT)
        assert said.code in (codes or (0,)), f"{said.code}\n{said.out}\n{said.err}"
        found: dict[str, object] = json.loads(said.out)
        return found


def file_of(n: int, second: str = "") -> str:
    """Return the name of a contact's file."""
    return f"{WORD} {n}{second}.pdf"


def files_of(*numbers: int) -> set[str]:
    """Return the names of the files of some contacts."""
    return {file_of(n) for n in numbers} | {file_of(n, "b") for n in numbers if n % 3 == 0}


EVERYBODY = range(1, PEOPLE + 1)


def fill(crm: Crm) -> None:
    """Build the tables and the files."""
    with opened(crm.url) as connection:
        timestamp = "TIMESTAMP" if connection.dialect.name == "postgresql" else "DATETIME"
        for statement in TABLES:
            connection.execute(sa.text(statement.format(timestamp=timestamp)))
    crm.insert(
        "contacts",
        [
            {
                "id": n,
                "name": f"{WORD} {n}",
                "email": f"{WORD}{n}@post.example",
                "phone": f"+31 6 1{n:07}",
                "address": f"{WORD} street {n}",
                "last_contact_at": LONG_AGO if old(n) else LATELY,
            }
            for n in EVERYBODY
        ],
    )
    crm.insert("quotes", [{"id": n, "contact_id": n, "asked_on": dt.date(2020, 1, 1), "body": WORD} for n in EVERYBODY])
    ended = {10: dt.date(2022, 3, 1), 15: None}
    crm.insert("agreements", [{"id": n, "contact_id": n, "ended_on": ended[n % 20], "body": WORD} for n in EVERYBODY if n % 20 in ended])
    crm.insert("notes", [{"id": n, "contact_id": n, "body": f"{WORD} called"} for n in EVERYBODY])
    crm.insert(
        "invoices",
        [
            {
                "id": n,
                "contact_id": n,
                "billed_to": f"{WORD} {n}",
                "billed_email": f"{WORD}{n}@post.example",
                "billed_address": f"{WORD} street {n}",
                "issued_on": dt.date(2018 if n % 4 == 0 else 2021, 6, 30),
            }
            for n in EVERYBODY
        ],
    )
    crm.insert("invoice_lines", [{"id": n, "invoice_id": n, "body": WORD} for n in EVERYBODY])
    named = [(n, file_of(n)) for n in EVERYBODY] + [(n, file_of(n, "b")) for n in EVERYBODY if n % 3 == 0]
    crm.insert("attachments", [{"id": at, "contact_id": n, "path": f"attachments/{name}"} for at, (n, name) in enumerate(named, start=1)])
    for _, name in named:
        crm.put(name)


def installed(server: Postgres | MariaDB, folder: Path, policies: str, filled: Callable[[Crm], None]) -> Crm:
    """Return a filled CRM, worked on by an account that has what `sources grants` prints and nothing else."""
    url = server.new_database("crm")
    environ = {
        "RETENTION_POLICIES": str(folder / "policies.toml"),
        "RETENTION_STATE": str(folder / "state"),
        "RETENTION_KEYS": str(folder / "keys" / "keys.json"),
        "RETENTION_OPERATOR": "dora",
        "RETENTION_MAX_SHARE": "1",
        "RETENTION_MAX_JUMP": "1000",
    }
    (folder / "policies.toml").write_text(policies, encoding="utf-8")
    (folder / "attachments").mkdir()
    sources = re.findall(r"^\[sources\.(\w+)\]\nconnector = \"(\w+)\"", policies, re.MULTILINE)
    crm = Crm(server, url, folder / "attachments", Installation(folder, environ, now=NOW))
    filled(crm)
    for name, connector in sources:
        if connector == "application_files":
            environ[f"RETENTION_SOURCES__{name.upper()}__PATH"] = str(crm.attachments)
            continue
        environ[f"RETENTION_SOURCES__{name.upper()}__URL"] = url
        environ[f"RETENTION_SOURCES__{name.upper()}__WITNESS_TABLE"] = "true"
    limited = account(crm)
    for name, connector in sources:
        if connector != "application_files":
            environ[f"RETENTION_SOURCES__{name.upper()}__URL"] = limited
    assert 0 == crm.command("policies", "approve").code
    for name, _ in sources:
        said = crm.command("sources", "approve", name)
        assert 0 == said.code, said.err
    return crm


def account(crm: Crm) -> str:
    """Make an account with the rights that the command prints; return the address with which it enters the database."""
    name, database = f"sql-crm-{next(_ACCOUNTS)}", crm.url.rpartition("/")[2].partition("?")[0]
    said = crm.command("sources", "grants", "--to", name if isinstance(crm.server, Postgres) else f"{name}@127.0.0.1")
    assert 0 == said.code, said.err
    with opened(crm.url) as connection:
        if isinstance(crm.server, Postgres):
            connection.exec_driver_sql(f"CREATE ROLE \"{name}\" LOGIN PASSWORD 'x'")
        else:
            connection.exec_driver_sql(f"CREATE USER '{name}'@'127.0.0.1' IDENTIFIED BY 'x'")
        for line in said.out.splitlines():
            if line and not line.startswith("--"):
                connection.exec_driver_sql(line)
    return crm.server.url_of(database, user=name, password="x")


@pytest.fixture(params=["postgresql", "mariadb"])
def server(request: pytest.FixtureRequest, postgres: Postgres, mariadb: MariaDB) -> Postgres | MariaDB:
    """Return each server in turn."""
    return postgres if request.param == "postgresql" else mariadb


@pytest.fixture
def crm(server: Postgres | MariaDB, tmp_path: Path) -> Iterator[Crm]:
    """Return the CRM; nothing personal may have been printed, or written down, at the end."""
    crm = installed(server, tmp_path, POLICIES["sql_crm"], fill)
    yield crm
    assert set() == found_in("".join(crm.command.everything).encode())
    assert [] == found_under(tmp_path / "state")
    assert [] == wrong_events(tmp_path)


def test_rows_and_then_files(crm: Crm) -> None:
    """Rows go in the declared way tonight, their files two nights later, and then there is nothing to do any more.

    Invoices outlive their contact, a running agreement keeps everything, and so does a hold.
    """
    command = crm.command
    said = command("sources", "check")
    assert 0 == said.code, said.out + said.err
    who = ("--owner", "d", "--reason", "r", "--review-on", "2027-01-01")
    held = command("hold", "add", "--kind", "legal", "--scope", "subject", "--subject", "-", *who, typed=f"{WORD}{HELD}@post.example\n")
    assert 0 == held.code, held.err
    plan = command.approved()
    applied = command("apply", plan, "--json")
    assert 0 == applied.code, applied.out + applied.err
    stay = {n for n in EVERYBODY if not goes(n)}
    assert stay == crm.numbers("contacts") == crm.numbers("quotes") == crm.numbers("notes")
    assert {n for n in EVERYBODY if n % 20 in (10, 15)} == crm.numbers("agreements")
    ended = {n for n in EVERYBODY if n % 20 == 10}
    assert {(f"{WORD} {n}", None, None) for n in ended} == set(crm.sql("SELECT name, email, phone FROM contacts WHERE mod(id, 20) = 10"))
    assert stay - ended == {n for (n,) in crm.sql("SELECT id FROM contacts WHERE email IS NOT NULL AND address IS NOT NULL")}
    invoices = {n for n in EVERYBODY if n % 4 != 0 or n == HELD}
    assert invoices == crm.numbers("invoices") == crm.numbers("invoice_lines", "invoice_id")
    assert {n for n in invoices if goes(n)} == {n for (n,) in crm.sql("SELECT id FROM invoices WHERE contact_id IS NULL")}
    named = {str(path).removeprefix("attachments/") for path in crm.numbers("attachments", "path")}
    assert files_of(*(n for n in EVERYBODY if not loses_files(n))) == named
    assert files_of(*EVERYBODY) == crm.files
    run = json.loads(applied.out)["run"]
    assert 0 == command("verify", run).code

    crm.night(1)
    assert files_of(*EVERYBODY) == crm.files
    crm.night(2)
    assert named == crm.files
    assert {} == crm.night(3)["sources"]
    assert named == crm.files


def test_a_process_that_dies_between_rows_and_files(server: Postgres | MariaDB, tmp_path: Path) -> None:
    """Killed right after the rows went, or while the files were moved aside: the next run does the rest, and no file too many."""
    crm = installed(server, tmp_path, POLICIES["sql_crm"], fill)
    killed(run_and_die, crm.command, AFTER_COMMIT, 0)
    assert files_of(*EVERYBODY) == crm.files
    crm.night(1)
    assert {n for n in EVERYBODY if not goes(n) and n != HELD} == crm.numbers("contacts") - {HELD}
    killed(run_and_die, crm.command, AFTER_WRITE, 3)
    assert crm.files < files_of(*EVERYBODY)
    crm.night(4)
    kept = {str(path).removeprefix("attachments/") for path in crm.numbers("attachments", "path")}
    assert files_of(*(n for n in EVERYBODY if not loses_files(n) and n != HELD)) == kept
    assert kept == crm.files
    assert {} == crm.night(5)["sources"]


class Dies:
    """Kills the process at a named point."""

    def __init__(self, point: str) -> None:
        self._point = point

    def reached(self, point: str) -> None:
        if point == self._point:
            os.kill(os.getpid(), signal.SIGKILL)


def run_and_die(command: Installation, point: str, night: int) -> None:
    """Run some nights after the first, and die at a point."""
    replace(command)("run", now=NOW + night * NIGHT, faults=Dies(point))


# --- Files of which nobody can tell ---------------------------------------------------------------------------------------------------


@ON_POSTGRESQL
def test_what_keeps_a_file(crm: Crm) -> None:
    """A file stays that another attachment names, that nobody ever named, that was just written, or whose row came a moment ago."""
    crm.insert("attachments", [{"id": 9001, "contact_id": 21, "path": f"attachments/{file_of(40)}"}])
    crm.put(f"{WORD} nobody.pdf")
    crm.night(0, 4)
    # The last attachment of these two went; one is written again, the other is named again an hour before its night.
    written, named, early = file_of(60), file_of(80), f"{WORD} early.pdf"
    crm.put(written, changed=NOW + NIGHT)
    crm.insert("attachments", [{"id": 9002, "contact_id": 21, "path": f"attachments/{named}"}])
    crm.put(early, changed=NOW + 2 * NIGHT)
    before = crm.files
    crm.night(2, 4)
    stay = {file_of(40), f"{WORD} nobody.pdf", written, named, early}
    assert before - files_of(*(n for n in EVERYBODY if loses_files(n) or n == HELD)) | stay == crm.files
    # A week after it was written, and when no attachment names it any more, each goes.
    crm.sql("DELETE FROM attachments WHERE id IN (9001, 9002)")
    crm.night(9, 4)
    assert {f"{WORD} nobody.pdf", early} == crm.files & stay


def test_nothing_goes_because_a_table_is_empty_or_can_not_be_read(crm: Crm) -> None:
    """Files of which the last attachment went stay with all others while nobody can read the table, or it holds nothing; then they go."""
    crm.night(0)
    crm.sql("ALTER TABLE attachments RENAME TO elsewhere")
    said = crm.command("run", "--json", now=NOW + 2 * NIGHT)
    assert said.code not in (0, 4)
    assert files_of(*EVERYBODY) == crm.files
    crm.sql("ALTER TABLE elsewhere RENAME TO attachments")
    rows = [{"id": at, "contact_id": n, "path": path} for at, n, path in crm.sql("SELECT id, contact_id, path FROM attachments")]
    crm.sql("DELETE FROM attachments")
    found = crm.night(3, 4)
    assert [
        "named: attachment_gone: no record of attachments names anything",
        "it holds no records at all any more, and no run deleted these",
    ] == [each["detail"] for each in found["findings"]]  # type: ignore[attr-defined]
    assert files_of(*EVERYBODY) == crm.files
    # Nor by a plan that was made before it was emptied.
    crm.insert("attachments", rows)
    plan = crm.command.approved(now=NOW + 4 * NIGHT)
    crm.sql("DELETE FROM attachments")
    said = crm.command("apply", plan, "--json", now=NOW + 4 * NIGHT)
    assert (5, {"attachment_files"}) == (said.code, set(said.json["failed"])), said.out
    assert files_of(*EVERYBODY) == crm.files
    crm.insert("attachments", rows)
    crm.night(5)
    assert {str(path).removeprefix("attachments/") for path in crm.numbers("attachments", "path")} == crm.files


@ON_MARIADB
def test_brakes_for_files_that_nobody_names(crm: Crm) -> None:
    """Where the policy lets files go that nobody ever named, a table that is half there stops at a brake, and not after the fact."""
    text = POLICIES["sql_crm"].replace('gone = ["attachments.file"]', 'gone = ["attachments.file"]\nnone = "not_applicable"')
    (crm.command.folder / "policies.toml").write_text(text, encoding="utf-8")
    assert 0 == crm.command("policies", "approve").code
    crm.command.environ["RETENTION_MAX_SHARE"] = "0.3"
    crm.command.environ["RETENTION_MAX_RECORDS"] = "100"
    crm.sql("DELETE FROM attachments WHERE id > 40")
    said = crm.command("run", "--json")
    assert 3 == said.code, said.out
    assert files_of(*EVERYBODY) == crm.files


# --- The other policies of the page ---------------------------------------------------------------------------------------------------


def fill_folders(crm: Crm) -> None:
    """Build a CRM whose attachments lie in a folder for each contact, with one of somebody who never was in the table."""
    fill(crm)
    for table in ("quotes", "agreements", "notes", "invoice_lines", "invoices"):
        crm.sql(f"DROP TABLE {table}")
    for path in crm.attachments.iterdir():
        path.unlink()
    for n in (*EVERYBODY, 9999):
        (crm.attachments / str(n) / "letters").mkdir(parents=True)
        (crm.attachments / str(n) / "letters" / f"{WORD}.pdf").write_bytes(b"%PDF")


@ON_POSTGRESQL
def test_a_folder_for_each_contact(server: Postgres | MariaDB, tmp_path: Path) -> None:
    """A folder goes after its contact, whoever has the contact's address beside; that of somebody unknown stays, and is reported."""
    crm = installed(server, tmp_path, POLICIES["sql_crm_folders"], fill_folders)
    crm.sql(f"UPDATE contacts SET email = '{WORD}1@post.example' WHERE id IN (1, 5)")
    assert 0 == crm.command("sources", "check").code
    crm.night(0, 4)
    stay = {n for n in EVERYBODY if not old(n)}
    assert stay == crm.numbers("contacts") == crm.numbers("attachments", "contact_id")
    assert {str(n) for n in (*EVERYBODY, 9999)} == crm.files
    crm.night(2, 0, 4)
    assert {str(n) for n in (*stay, 9999)} == crm.files
    assert {} == crm.night(3, 0, 4)["sources"]
    assert [] == found_under(tmp_path / "state")


def fill_list(crm: Crm) -> None:
    """Build a mailing list: every third has unsubscribed, every seventh bounced, and everybody has an entry in the log."""
    with opened(crm.url) as connection:
        timestamp = "TIMESTAMP" if connection.dialect.name == "postgresql" else "DATETIME"
        for statement in (
            (
                "CREATE TABLE subscribers (id BIGINT PRIMARY KEY, email VARCHAR(120), name VARCHAR(80), subscribed_at {0} NULL, "
                "unsubscribed_at {0} NULL, bounced_on DATE)"
            ),
            (
                "CREATE TABLE consent_log (id BIGINT PRIMARY KEY, subscriber_id BIGINT NOT NULL REFERENCES subscribers (id), "
                "given_at {0} NULL, ip VARCHAR(40), wording TEXT)"
            ),
            "CREATE INDEX log_subscriber ON consent_log (subscriber_id)",
        ):
            connection.execute(sa.text(statement.format(timestamp)))
    crm.insert(
        "subscribers",
        [
            {
                "id": n,
                "email": f"{WORD}{n}@post.example",
                "name": f"{WORD} {n}",
                "subscribed_at": LONG_AGO,
                "unsubscribed_at": LATELY if n % 3 == 0 else None,
                "bounced_on": LATELY.date() if n % 7 == 0 else None,
            }
            for n in EVERYBODY
        ],
    )
    crm.insert("consent_log", [{"id": n, "subscriber_id": n, "given_at": LONG_AGO, "ip": "192.0.2.1", "wording": WORD} for n in EVERYBODY])


@ON_MARIADB
def test_a_mailing_list(server: Postgres | MariaDB, tmp_path: Path) -> None:
    """Who unsubscribed or can't be reached goes with the log of the consent; an import that brings one back is found."""
    crm = installed(server, tmp_path, POLICIES["sql_list"], fill_list)
    assert crm.command("sources", "check").code in (0, 4)
    crm.night(0)
    stay = {n for n in EVERYBODY if n % 3 and n % 7}
    assert stay == crm.numbers("subscribers") == crm.numbers("consent_log", "subscriber_id")
    assert {} == crm.night(1)["sources"]
    back = {"id": 9001, "email": f"{WORD}3@post.example", "name": WORD, "subscribed_at": LONG_AGO}
    crm.insert("subscribers", [back])
    found = crm.night(2, 4)
    assert {"returned"} == {each["kind"] for each in found["findings"]}  # type: ignore[attr-defined]
    assert [] == found_under(tmp_path / "state")
