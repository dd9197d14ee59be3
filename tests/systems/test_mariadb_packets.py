"""What the connector's own way of reading rows gives is what PyMySQL gives, from a real MariaDB."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pymysql
import pytest
from pymysql.cursors import SSCursor

from connectors.sql.packets import FastConnection, PageCursor
from tests.systems.servers.certificate import certify
from tests.systems.servers.mariadb import MariaDB, running_mariadb

_ROWS = 3_000
_TABLE = """
CREATE TABLE kinds (
        id BIGINT UNSIGNED PRIMARY KEY, small TINYINT, amount DECIMAL(20, 4), ratio DOUBLE, single FLOAT, day DATE,     moment
    DATETIME(6), stamp TIMESTAMP NULL, hour TIME, year YEAR, word VARCHAR(300), latin VARCHAR(20) CHARACTER SET latin1, body
    LONGTEXT, raw VARBINARY(300),     flags BIT(5), choice ENUM('a', 'ü'), several SET('x', 'y'), doc JSON, place POINT, address
    INET6
)
"""


@pytest.fixture(scope="module")
def url(mariadb: MariaDB) -> str:
    """Return a database with a table that has a column of every kind, with NULLs, empty texts, and texts of every length of a length."""
    made = mariadb.new_database("kinds")
    with contextlib.closing(_connected(made, pymysql.Connection)) as connection, connection.cursor() as cursor:
        cursor.execute(_TABLE)
        row = (-5, "12.3400", 0.1, 1.5, "2026-02-28", "2026-02-28 23:59:59.000001", "2026-02-28 23:59:59", "-12:30:00", 2026)
        rows: list[tuple[Any, ...]] = []
        for number in range(_ROWS):
            word = ("", "é" * 125, "x" * 250, "x" * 251, "☃😀")[number % 5]
            body = "b" * (70_000 if number == 17 else 200_000 if number == 1234 else number % 260)
            rows.append((number + 2**63, *row, word, "é", body, bytes(range(number % 256)), number % 32, "ü", "x,y", '{"a": "é"}', "::1"))
            if not number % 7:
                rows[-1] = (number + 2**63, *[None] * 18)
        marks = ", ".join(["%s"] * 17)
        cursor.executemany(
            "INSERT INTO kinds (id, small, amount, ratio, single, day, moment, stamp, hour, year, word, latin, body, raw, flags, choice, "
            f"several, doc, address) VALUES (%s, {marks}, %s)",
            rows,
        )
        cursor.execute("UPDATE kinds SET place = POINT(1, 2) WHERE id % 3 = 0")
    return made


def _connected(url: str, kind: type[pymysql.Connection], **options: Any) -> Any:
    server = urlsplit(url)
    return kind(
        host=server.hostname,
        port=server.port,
        user=server.username,
        password=server.password,
        database=server.path[1:],
        autocommit=True,
        **{"charset": "utf8mb4", **options},
    )


@contextlib.contextmanager
def _both(url: str, **options: Any) -> Iterator[tuple[Any, Any]]:
    """Yield a connection of ours and one of the driver's."""
    with (
        contextlib.closing(_connected(url, FastConnection, **options)) as ours,
        contextlib.closing(_connected(url, pymysql.Connection, **options)) as theirs,
    ):
        yield ours, theirs


def _all(connection: Any, statement: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.rowcount, cursor.description, cursor.fetchall()


@pytest.mark.parametrize("charset", ["utf8mb4", "latin1"])
@pytest.mark.parametrize("condition", ["TRUE", "id % 7 = 0", "FALSE", "id = 9223372036854775825"])
def test_every_kind_of_value_is_read_as_the_driver_reads_it(url: str, charset: str, condition: str) -> None:
    """Decided is on these values, so they are the same in type and content, whatever the connection's character set."""
    with _both(url, charset=charset) as (ours, theirs):
        statement = f"SELECT * FROM kinds WHERE {condition} ORDER BY id"
        expected, actual = _all(theirs, statement), _all(ours, statement)

    assert expected == actual
    assert [list(map(type, row)) for row in expected[2]] == [list(map(type, row)) for row in actual[2]]


@pytest.mark.parametrize("size", [1, 2, 999, 5000])
def test_pages_are_full_until_the_last(url: str, size: int) -> None:
    """A stream in pages is the same rows, and the connection can be used again afterwards."""
    with _both(url) as (ours, theirs):
        cursor = PageCursor(ours)
        cursor.execute("SELECT * FROM kinds ORDER BY id")
        pages = []
        while page := cursor.fetchmany(size):
            pages.append(page)
        cursor.close()

        assert _all(theirs, "SELECT * FROM kinds ORDER BY id")[2] == tuple(row for page in pages for row in page)
        assert {size} == {len(page) for page in pages[:-1]} or len(pages) == 1
        assert _all(theirs, "SELECT COUNT(*) FROM kinds")[2] == _all(ours, "SELECT COUNT(*) FROM kinds")[2]


def test_a_stream_that_is_left_early_does_not_spill_into_the_next_statement(url: str) -> None:
    """What was not fetched is read away, so the next answer is its own."""
    with _both(url) as (ours, _):
        cursor = PageCursor(ours)
        cursor.execute("SELECT * FROM kinds ORDER BY id")
        cursor.fetchmany(10)
        cursor.close()

        assert ((7,),) == _all(ours, "SELECT 7")[2]


def _drain(cursor: Any, statement: str) -> None:
    cursor.execute(statement)
    while cursor.fetchmany(100):
        pass


@pytest.mark.parametrize("streamed", [True, False])
def test_an_error_in_the_middle_of_the_rows_is_raised(url: str, streamed: bool) -> None:
    """Rows that came before an error are never taken for all there are."""
    # The limit is reached while rows are under way: every row takes a millisecond.
    statement = "SELECT id, SLEEP(0.001), body FROM kinds"
    kinds: tuple[tuple[type[pymysql.Connection], type[SSCursor]], ...] = ((FastConnection, PageCursor), (pymysql.Connection, SSCursor))
    raised = []
    for kind, streaming in kinds:
        with contextlib.closing(_connected(url, kind)) as connection:
            with connection.cursor() as cursor:
                cursor.execute("SET SESSION max_statement_time = 0.3")
            cursor = streaming(connection) if streamed else connection.cursor()
            with pytest.raises(pymysql.err.OperationalError) as caught:
                _drain(cursor, statement)
            raised.append(caught.value.args[0])

    assert raised[1:] == raised[:1]


@pytest.mark.parametrize("streamed", [True, False])
def test_a_server_that_falls_silent_is_a_lost_connection(url: str, streamed: bool) -> None:
    """A read that runs out of time in the middle of the rows ends the connection, and no row count is believed."""
    with contextlib.closing(_connected(url, FastConnection, read_timeout=1)) as connection:
        cursor = PageCursor(connection) if streamed else connection.cursor()
        with pytest.raises(pymysql.err.OperationalError) as caught:
            _drain(cursor, "SELECT id, IF(id % 1000 = 999, SLEEP(3), 0), REPEAT('x', 200) FROM kinds ORDER BY id")

        assert 2013 == caught.value.args[0]
        assert not connection.open


_READING = """
import hashlib, sys
from contextlib import closing
from connectors.sql import packets
host, port, user, password, database = sys.argv[1:]
options = {"host": host, "port": int(port), "user": user, "password": password, "database": database, "charset": "utf8mb4"}
digest = hashlib.sha256()
with closing(packets.FastConnection(**options)) as connection:
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM kinds ORDER BY id")
        digest.update(repr(list(cursor.fetchall())).encode())
    cursor = packets.PageCursor(connection)
    cursor.execute("SELECT * FROM kinds ORDER BY id")
    while page := cursor.fetchmany(700):
        digest.update(repr(list(page)).encode())
    cursor.close()
print(packets.KNOWN, digest.hexdigest())
"""


def _read_with(url: str, folder: Path) -> str:
    """Return what a process says that reads everything with the PyMySQL that lies in a folder."""
    server = urlsplit(url)
    where = (str(server.hostname), str(server.port), str(server.username), str(server.password), server.path[1:])
    path = os.pathsep.join([str(folder), str(Path(__file__).parents[2])])
    ran = subprocess.run(
        [sys.executable, "-c", _READING, *where], capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": path}
    )
    return ran.stdout.strip()


@pytest.mark.parametrize(
    "name", ["_read_row_from_packet", "_next_seq_id", "_rfile", "MySQLResult", "unbuffered_active", "_read_query_result"]
)
def test_a_release_with_other_names_is_read_row_by_row(url: str, tmp_path: Path, name: str) -> None:
    """What PyMySQL calls its own may be called otherwise tomorrow: then it reads all by itself, and every value is the same."""
    shutil.copytree(Path(pymysql.__file__).parent, tmp_path / "other" / "pymysql")
    for path in (tmp_path / "other").rglob("*.py"):
        path.write_text(re.sub(rf"\b{name}\b", f"{name}_renamed", path.read_text()))
    shutil.copytree(Path(pymysql.__file__).parent, tmp_path / "same" / "pymysql")
    known, expected = _read_with(url, tmp_path / "same").split()
    assert "True" == known
    assert f"False {expected}" == _read_with(url, tmp_path / "other")


def test_a_server_that_talks_by_tls_only(tmp_path: Path) -> None:
    """Rows are the driver's own, on several connections at once; what is said of certificates is heeded, on its connection alone."""
    certify(tmp_path)
    question = "SELECT seq, REPEAT('x', seq % 300) FROM seq_1_to_20000"
    with running_mariadb(encrypted=True) as server, contextlib.ExitStack() as stack:

        def connected(kind: type[pymysql.Connection], **options: Any) -> Any:
            return stack.enter_context(contextlib.closing(_connected(server.url, kind, **options)))

        expected = _rows(connected(pymysql.Connection), SSCursor, question)
        checked = connected(FastConnection, ssl_ca=str(server.folder / "certificate.pem"), ssl_verify_cert=True)
        for each in (connected(FastConnection), checked, connected(FastConnection)):
            assert [("Ssl_version", "TLSv1.3")] == _rows(each, PageCursor, "SHOW STATUS LIKE 'Ssl_version'")
            assert expected == _rows(each, PageCursor, question)
        assert ssl.CERT_REQUIRED == checked.ctx.verify_mode
        assert ssl.CERT_NONE == connected(FastConnection).ctx.verify_mode
        with pytest.raises(pymysql.err.OperationalError, match="certificate verify failed"):
            connected(FastConnection, ssl_ca=str(tmp_path / "certificate.pem"), ssl_verify_cert=True)


def _rows(connection: Any, kind: type[SSCursor], question: str) -> list[tuple[Any, ...]]:
    """Return all rows, read page by page."""
    with contextlib.closing(kind(connection)) as cursor:
        cursor.execute(question)
        found: list[tuple[Any, ...]] = []
        while page := cursor.fetchmany(1000):
            found += page
        return found
