"""What the worker is compared with: the database's own single statement, the loop everybody writes, and pt-archiver.

None of them decides anything, asks for holds, reads back, or keeps a trail that survives a loss of power. The loop writes a line a record.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import sqlalchemy as sa

from bench.data import DUE
from bench.databases import TABLE, Database
from bench.measure import Measure, Wrong, confirm_deleted, confirm_treated, timed

SINGLE, LOOP = "single statement", "plain batched loop"
ARCHIVER, ARCHIVER_FILE = "pt-archiver, bulk", "pt-archiver, bulk, with a file of the rows"
COUNT = "SELECT COUNT(*)"
Way = Callable[[sa.Engine, str], None]
"""Is given an engine and the address of the same database."""

_LOOP_BATCH = 1000
_ARCHIVER_BATCH = 5000
_SALT = "a fixed salt"

_CONTACTS = sa.table(
    TABLE, *(sa.column(name) for name in ("id", "name", "email", "phone", "city")), sa.column("last_contact_at", sa.DateTime)
)

_UPDATE = "UPDATE contacts SET name = NULL, phone = NULL, email = {pseudonym} WHERE last_contact_at < '{cutoff}'"
_PSEUDONYM = {
    "sqlite": "pseudonym(email)",
    "postgresql": "'p1-sql-' || substr(encode(sha256(convert_to('{salt}' || email, 'UTF8')), 'hex'), 1, 32) || '@contacts.invalid'",
    "mariadb": "CONCAT('p1-sql-', LEFT(SHA2(CONCAT('{salt}', email), 256), 32), '@contacts.invalid')",
}


def delete(database: Database, folder: Path, rows: int) -> Iterator[Measure]:
    """Measure every other way to delete what is due."""
    ways: dict[str, Way] = {
        SINGLE: lambda engine, _: _execute(engine, f"DELETE FROM contacts WHERE last_contact_at < '{DUE.cutoff}'"),
        LOOP: lambda engine, _: _loop_deleting(engine, folder / "loop.jsonl"),
    }
    if database.name == "mariadb":
        ways[ARCHIVER] = lambda _, url: _archiver(url, folder, to_file=False)
        ways[ARCHIVER_FILE] = lambda _, url: _archiver(url, folder, to_file=True)
    yield from _measured(database, "delete", ways, DUE.of(rows), lambda engine, way: confirm_deleted(engine, way, rows - DUE.of(rows)))


def pseudonymise(database: Database, folder: Path, rows: int) -> Iterator[Measure]:
    """Measure every other way to pseudonymise what is due."""
    update = _UPDATE.format(pseudonym=_PSEUDONYM[database.name].format(salt=_SALT), cutoff=DUE.cutoff)
    ways: dict[str, Way] = {
        SINGLE: lambda engine, _: _execute(engine, update),
        LOOP: lambda engine, _: _loop_treating(engine, folder / "loop.jsonl"),
    }
    yield from _measured(database, "pseudonymise", ways, DUE.of(rows), lambda engine, way: confirm_treated(engine, way, DUE.of(rows)))


def _measured(
    database: Database, job: str, ways: Mapping[str, Way], due: int, confirm: Callable[[sa.Engine, str], None]
) -> Iterator[Measure]:
    """Measure each way on a copy of its own, over a connection that is open already, and look whether it did its job."""
    for way, work in ways.items():
        with database.fresh("contacts") as url, engine_of(database, url) as engine:
            engine.connect().close()
            _, took = timed(partial(work, engine, url))
            confirm(engine, way)
        yield Measure(database.name, job, way, due, took)


def count(database: Database, url: str, condition: str, rows: int, job: str, expected: int) -> Measure:
    """Measure the database's own count of the rows under a condition; it is asked once before, so that the pages are in memory."""
    with engine_of(database, url) as engine, engine.connect() as connection:
        question = sa.text(f"SELECT COUNT(*) FROM contacts WHERE {condition}")
        connection.execute(question)
        answer, took = timed(lambda: connection.execute(question).scalar())
    if answer != expected:
        raise Wrong(f"{database.name}, {job}: {answer} rows fulfil the condition, not {expected}")
    return Measure(database.name, job, COUNT, rows, took)


@contextlib.contextmanager
def engine_of(database: Database, url: str) -> Iterator[sa.Engine]:
    """Yield an engine and dispose of it."""
    engine = database.engine(url)
    try:
        yield engine
    finally:
        engine.dispose()


def _execute(engine: sa.Engine, statement: str) -> None:
    """Run one statement and commit."""
    with engine.begin() as connection:
        if engine.dialect.name == "sqlite":
            raw = connection.connection.driver_connection
            assert raw is not None
            raw.create_function("pseudonym", 1, lambda email: _hashed(email, "sql"), deterministic=True)
        connection.exec_driver_sql(statement)


def _loop_deleting(engine: sa.Engine, log: Path) -> None:
    """Delete as most people would: read a thousand, delete them by key, write a line for each, commit, go on."""
    due = sa.select(_CONTACTS).where(_CONTACTS.c.last_contact_at < DUE.cutoff).order_by(_CONTACTS.c.id).limit(_LOOP_BATCH)
    with log.open("w") as file:
        last = 0
        while True:
            with engine.begin() as connection:
                found = connection.execute(due.where(_CONTACTS.c.id > last)).all()
                if not found:
                    return
                last = found[-1].id
                connection.execute(sa.delete(_CONTACTS).where(_CONTACTS.c.id.in_([row.id for row in found])))
                for row in found:
                    file.write(json.dumps({"event": "deleted", "table": TABLE, "id": row.id, "seen": str(row.last_contact_at)}) + "\n")
                file.flush()


def _loop_treating(engine: sa.Engine, log: Path) -> None:
    """Pseudonymise as most people would: read a thousand, update them one by one in one call, write a line for each, commit, go on."""
    due = sa.select(_CONTACTS).where(_CONTACTS.c.last_contact_at < DUE.cutoff).order_by(_CONTACTS.c.id).limit(_LOOP_BATCH)
    update = (
        sa.update(_CONTACTS).where(_CONTACTS.c.id == sa.bindparam("key")).values(name=None, phone=None, email=sa.bindparam("pseudonym"))
    )
    with log.open("w") as file:
        last = 0
        while True:
            with engine.begin() as connection:
                found = connection.execute(due.where(_CONTACTS.c.id > last)).all()
                if not found:
                    return
                last = found[-1].id
                connection.execute(update, [{"key": row.id, "pseudonym": _keyed(row.email)} for row in found])
                for row in found:
                    file.write(
                        json.dumps({"event": "pseudonymised", "table": TABLE, "id": row.id, "seen": str(row.last_contact_at)}) + "\n"
                    )
                file.flush()


def _hashed(email: str, by: str) -> str:
    return f"p1-{by}-{hashlib.sha256((_SALT + email).encode()).hexdigest()[:32]}@contacts.invalid"


def _keyed(email: str) -> str:
    return f"p1-loop-{hmac.new(_SALT.encode(), email.encode(), 'sha256').hexdigest()[:32]}@contacts.invalid"


def _archiver(url: str, folder: Path, *, to_file: bool) -> None:
    """Delete with Percona's pt-archiver in its fast mode, in transactions of the worker's size; its start is part of the time."""
    program = shutil.which("pt-archiver")
    if program is None:
        raise Wrong("pt-archiver is not installed: run make bench-tools")
    address = urlsplit(url)
    # On the command line everybody on the machine could read the password.
    account = folder / "archiver.cnf"
    account.touch(mode=0o600)
    account.write_text(f"[client]\nuser={address.username}\npassword={address.password}\n")
    output = folder / "archived.txt"
    output.unlink(missing_ok=True)
    place = f"F={account},h={address.hostname},P={address.port},D={address.path.removeprefix('/')},t={TABLE},A=utf8mb4"
    keeping = ["--file", str(output)] if to_file else ["--purge"]
    batches = ["--bulk-delete", "--limit", str(_ARCHIVER_BATCH), "--commit-each", "--no-version-check"]
    condition = f"last_contact_at < '{DUE.cutoff}'"
    done = subprocess.run(  # noqa: S603 - an installed program, and no text of anybody else
        [program, "--source", place, "--where", condition, *keeping, *batches],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise Wrong(f"pt-archiver ended with {done.returncode}: {done.stderr.strip()[-1000:]}")
