"""Limits that the server keeps on every session, and what of its load can be seen, on real servers."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import sqlalchemy as sa

from connectors.sql import open_source
from connectors.sql.open import SqlSource
from tests.systems.test_sql_servers import Server, server, source  # noqa: F401 - a fixture
from tests.unit.connectors.sql.conftest import field
from worker.core.select import EVERYTHING
from worker.errors import Retriable, Skippable
from worker.ports import Changes, Connection, KeyRange, Load

WHOLE = KeyRange((1,), (3,))


@pytest.fixture
def people(server: Server) -> Server:  # noqa: F811
    """Return a server with three people."""
    server.run("CREATE TABLE people (id INTEGER PRIMARY KEY, name VARCHAR(80))", "INSERT INTO people VALUES (1, 'a'), (2, 'b'), (3, 'c')")
    return server


def opened(server: Server, seconds: int, *, url: str = "", **options: str) -> SqlSource:  # noqa: F811
    """Open the people under a limit."""
    given = Connection(url or server.url, witness_table=True, options=options, batch_seconds=seconds)
    server.opened.append(open_source(source(field("name")), given))
    return server.opened[-1]


def limits_of(server: Server, asking: object) -> dict[str, float]:  # noqa: F811
    """Return the limits in force on a connection, in seconds."""
    names = (
        ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout")
        if server.is_postgres
        else ("innodb_lock_wait_timeout", "lock_wait_timeout", "max_statement_time", "idle_transaction_timeout")
    )
    cursor = asking.cursor()  # type: ignore[attr-defined]
    if server.is_postgres:
        cursor.execute(f"SELECT name, setting::bigint / 1000.0 FROM pg_settings WHERE name IN {names}")
    else:
        cursor.execute(f"SHOW SESSION VARIABLES WHERE Variable_name IN {names}")
    found = {name: float(setting) for name, setting in cursor.fetchall()}
    assert set(names) == set(found)
    return found


class TestLimits:
    """What the server itself ends."""

    def test_are_on_every_session(self, people: Server) -> None:
        """A session for questions, one that writes and one that reads all have limits, also when the same session did the other before."""
        database = opened(people, 20, lock_timeout="3")._database
        for _ in range(2):
            with database.borrowed() as connection:
                driver = connection.driver_connection
                asking = limits_of(people, driver)
                database.begin_writing(driver)
                writing = limits_of(people, driver)
                database.command(driver, "ROLLBACK")
                database.begin_reading(driver)
                reading = limits_of(people, driver)
                database.end_reading(driver)
            assert {3, 20} == set(writing.values())
            assert 0 < min(asking.values())
            assert 3600 <= max(reading.values()) <= 24 * 3600
            assert {20} == {seconds for name, seconds in reading.items() if "lock" in name}

    def test_a_lock_is_never_waited_for_longer_than_a_batch_may_take(self, people: Server) -> None:
        """A long wait for locks that somebody chose ends with the batch's own limit."""
        database = opened(people, 2, lock_timeout="500")._database
        assert 2 == database.limits.lock

    @pytest.mark.parametrize("does", ["write", "commit"])
    def test_a_batch_that_idles_is_ended_and_rolled_back(self, people: Server, does: str) -> None:
        """A worker that was frozen longer than the limit finds its session gone, whatever it does next, and nothing was done."""
        slow = opened(people, 1)
        with slow.batch("slow", WHOLE, EVERYTHING, ()) as batch:
            if does == "commit":
                batch.write(Changes(delete=[(1,)]))
            time.sleep(2.5)
            # Somebody else can have the rows now.
            people.run("UPDATE people SET name = 'theirs'")
            if does == "write":
                with pytest.raises(Retriable):
                    batch.write(Changes(delete=[(1,)]))
            else:
                with pytest.raises(Exception, match="commit of a batch failed"):
                    batch.commit()
        assert [(1, "theirs"), (2, "theirs"), (3, "theirs")] == people.ask("SELECT id, name FROM people ORDER BY id")
        assert slow.resolve("slow", batch.witness) is not None
        assert "rolled_back" == slow.resolve("slow", batch.witness)
        with slow.batch("again", WHOLE, EVERYTHING, ()) as batch:
            batch.write(Changes(delete=[(1,)]))
            batch.commit()
        assert [(2,), (3,)] == people.ask("SELECT id FROM people ORDER BY id")

    def test_a_statement_that_works_too_long_is_ended(self, people: Server) -> None:
        """The server stops it, and the batch may be tried again."""
        database = opened(people, 1)._database
        sleeping = "SELECT pg_sleep(20)" if people.is_postgres else "SELECT SUM(SLEEP(7)) FROM people"
        with database.borrowed() as connection:
            database.begin_writing(connection.driver_connection)
            begun = time.monotonic()
            with pytest.raises(Retriable), database.guard:
                database.command(connection.driver_connection, sleeping)
            assert time.monotonic() - begun < 6

    def test_a_reader_may_take_its_time(self, people: Server) -> None:
        """A plan that thinks longer than a batch may take goes on reading, and may still ask."""
        reading = opened(people, 1)
        with reading.reader() as reader:
            pages = reader.rows(EVERYTHING, ())
            assert 3 == len(next(pages))
            time.sleep(2.5)
            assert [] == list(pages)
            assert 3 == reader.count(EVERYTHING)

    def test_a_session_that_wrote_may_read_for_long(self, people: Server) -> None:
        """The limits of a batch do not stay on the session when it reads next."""
        both = opened(people, 1)
        for number in (1, 2):
            with both.batch(f"b{number}", WHOLE, EVERYTHING, ()) as batch:
                batch.write(Changes(delete=[(number,)]))
                batch.commit()
        with both.reader() as reader:
            time.sleep(2.5)
            assert 1 == reader.count(EVERYTHING)

    def test_a_constraint_that_is_looked_at_in_the_commit_concerns_its_records(self, people: Server) -> None:
        """A deferred constraint refuses the record and not the source: it can be set aside like any other."""
        if not people.is_postgres:
            return  # MariaDB looks at every constraint at once.
        people.run(
            "CREATE TABLE notes (id INTEGER, person INTEGER REFERENCES people (id) DEFERRABLE INITIALLY DEFERRED)",
            "INSERT INTO notes VALUES (1, 2)",
        )
        with opened(people, 20).batch("b", WHOLE, EVERYTHING, ()) as batch:
            batch.write(Changes(delete=[(2,)]))
            with pytest.raises(Skippable):
                batch.commit()
        assert 3 == len(people.ask("SELECT id FROM people"))


@contextmanager
def transaction(server: Server, seconds: float) -> Iterator[None]:  # noqa: F811
    """Have somebody else's transaction open, so many seconds old."""
    with server.engine.connect() as other, other.begin():
        other.exec_driver_sql("UPDATE people SET name = 'x' WHERE id = 1")
        time.sleep(seconds)
        yield


class TestLoad:
    """What is seen of a server's load."""

    def test_others_transactions_are_seen_and_own_ones_are_not(self, people: Server) -> None:
        """The oldest transaction of anybody else counts; batches and readers of the same worker do not."""
        mine = opened(people, 20)
        assert (None, None, "") == (mine.load().lag_seconds, mine.load().oldest_transaction_seconds, mine.load().transactions_unseen)
        with mine.batch("b", KeyRange((3,), (3,)), EVERYTHING, ()), mine.reader():
            time.sleep(0.3)
            assert None is mine.load().oldest_transaction_seconds
            with transaction(people, 1.2):
                oldest = mine.load().oldest_transaction_seconds
                assert oldest is not None
                assert 1 <= oldest < 10
        time.sleep(0.3)  # MariaDB keeps its list of transactions for a tenth of a second.
        assert None is mine.load().oldest_transaction_seconds

    def test_what_a_user_may_not_see_is_said(self, people: Server) -> None:
        """Without the right the figure would be too small, so the answer says which right is missing; with it all is seen."""
        name = "watcher"
        if people.is_postgres:
            people.run(f"DROP ROLE IF EXISTS {name}", f"CREATE ROLE {name} LOGIN PASSWORD 'w'", f"GRANT ALL ON people TO {name}")
            grant, right = f"GRANT pg_monitor TO {name}", "pg_monitor"
        else:
            database = sa.make_url(people.url).database
            people.run(f"CREATE OR REPLACE USER {name}@'127.0.0.1' IDENTIFIED BY 'w'", f"GRANT ALL ON `{database}`.* TO {name}@'127.0.0.1'")
            grant, right = f"GRANT PROCESS, REPLICA MONITOR ON *.* TO {name}@'127.0.0.1'", "PROCESS"
        url = sa.make_url(people.url).set(username=name, password="w").render_as_string(hide_password=False)
        try:
            with transaction(people, 1.2):
                blind = opened(people, 20, url=url).load()
                assert right in blind.transactions_unseen
                with people.engine.begin() as other:
                    other.exec_driver_sql(grant)
                seeing = opened(people, 20, url=url).load()
                assert "" == seeing.transactions_unseen
                assert "right" not in seeing.lag_unseen
                assert "grant" not in seeing.lag_unseen
                assert (seeing.oldest_transaction_seconds or 0) >= 1
        finally:
            for each in people.opened:
                each.close()
            if people.is_postgres:
                people.run(f"DROP OWNED BY {name}", f"DROP ROLE {name}")


def test_a_server_without_room_for_another_session_is_busy(people: Server) -> None:
    """Too many sessions, of all or of one user, are no failure of the source: it may be tried again."""
    name = "crowd"
    if people.is_postgres:
        people.run(f"DROP ROLE IF EXISTS {name}", f"CREATE ROLE {name} LOGIN PASSWORD 'w' CONNECTION LIMIT 1")
    else:
        database = sa.make_url(people.url).database
        people.run(
            f"CREATE OR REPLACE USER {name}@'127.0.0.1' IDENTIFIED BY 'w' WITH MAX_USER_CONNECTIONS 1",
            f"GRANT ALL ON `{database}`.* TO {name}@'127.0.0.1'",
        )
    url = sa.make_url(people.url).set(username=name, password="w")
    engine = sa.create_engine(url, poolclass=sa.pool.NullPool)
    with engine.connect() as other:
        other.exec_driver_sql("SELECT 1")
        with pytest.raises(Retriable):
            open_source(source(field("name")), Connection(url.render_as_string(hide_password=False)))
    engine.dispose()
    if people.is_postgres:
        people.run(f"DROP ROLE {name}")


def test_many_threads_may_ask(people: Server) -> None:
    """The load is asked beside batches of other lanes."""
    mine = opened(people, 20)
    found: list[Load] = []
    threads = [threading.Thread(target=lambda: found.append(mine.load())) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert 4 == len(found)
