"""The servers the other tests stand on: real, private, refusing strangers, and gone when they are through."""

from __future__ import annotations

import contextlib
import imaplib
import shutil
import signal
import subprocess
import sys
import time
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path
from typing import Protocol

import pytest
import sqlalchemy as sa

from tests.systems.servers.comments import Seed
from tests.systems.servers.dovecot import Dovecot
from tests.systems.servers.mariadb import MariaDB, running_mariadb
from tests.systems.servers.postgres import Postgres, running_postgres
from tests.systems.servers.process import ServerMissingError, is_alive, program
from tests.systems.servers.wordpress import PhpError, WordPress


class Starter(Protocol):
    """What starts a database server."""

    def __call__(self, *, durable: bool) -> AbstractContextManager[Postgres | MariaDB]: ...


def answer(url: str, question: str) -> object:
    """Ask one question on a connection of its own."""
    engine = sa.create_engine(url)
    try:
        with engine.connect() as connection:
            return connection.execute(sa.text(question)).scalar()
    finally:
        engine.dispose()


def processes_in(folder: Path) -> list[str]:
    """Return the command lines of the processes that mention or work in a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            where = str((process / "cwd").readlink())
        except OSError:
            continue  # It ended while we looked.
        if str(folder) in command or where.startswith(str(folder)):
            found.append(command)
    return found


class TestPostgres:
    def test_serves_databases_of_their_own(self, postgres: Postgres) -> None:
        """Two databases asked for by one name are two, and what one holds the other does not."""
        first, second = postgres.new_database("crm"), postgres.new_database("crm")
        names = [answer(url, "SELECT current_database()") for url in (first, second)]
        assert ["crm", "crm"] == [str(name).rpartition("_")[0] for name in names]
        assert len(set(names)) == len(names)
        assert answer(postgres.url, "SELECT pg_encoding_to_char(encoding) FROM pg_database LIMIT 1") == "UTF8"

    @pytest.mark.parametrize("password", ["not-it", "%20"])
    def test_refuses_a_wrong_password(self, postgres: Postgres, password: str) -> None:
        """A wrong password is refused, so the tests about wrong passwords prove something."""
        with pytest.raises(sa.exc.OperationalError, match="password authentication failed"):
            answer(postgres.url_of("postgres", password=password), "SELECT 1")

    def test_does_not_run_as_root(self, postgres: Postgres) -> None:
        """The server runs under an account of its own also where the tests run as root."""
        assert Path("/proc", str(postgres.pid)).stat().st_uid != 0


class TestMariaDB:
    def test_serves_databases_of_their_own(self, mariadb: MariaDB) -> None:
        """Two databases asked for by one name are two; tables are InnoDB and text is utf8mb4."""
        first, second = mariadb.new_database("crm"), mariadb.new_database("crm")
        assert first != second
        assert answer(first, "SELECT @@default_storage_engine") == "InnoDB"
        assert answer(second, "SELECT @@character_set_database") == "utf8mb4"

    @pytest.mark.parametrize("user", ["retention", "root", "nobody"])
    def test_refuses_a_wrong_password(self, mariadb: MariaDB, user: str) -> None:
        """A wrong password is refused, and so is the built-in administrator."""
        with pytest.raises(sa.exc.OperationalError, match="Access denied"):
            answer(mariadb.url_of("retention", user=user, password="not-it"), "SELECT 1")

    def test_does_not_run_as_root(self, mariadb: MariaDB) -> None:
        """The server runs under an account of its own also where the tests run as root."""
        assert Path("/proc", str(mariadb.pid)).stat().st_uid != 0


class TestStopping:
    @pytest.mark.parametrize(
        ("start", "question", "expected"),
        [
            (running_postgres, "SELECT current_setting('fsync') || current_setting('synchronous_commit')", "onon"),
            (running_mariadb, "SELECT @@innodb_flush_log_at_trx_commit", 1),
        ],
        ids=["postgres", "mariadb"],
    )
    def test_leaves_nothing_after_a_failure(self, start: Starter, question: str, expected: object) -> None:
        """A durable server waits for the disk; when its user fails, its processes and its data go all the same."""
        with contextlib.suppress(ZeroDivisionError), start(durable=True) as server:
            assert answer(server.url, question) == expected
            assert processes_in(server.folder) != []
            raise ZeroDivisionError
        assert not is_alive(server.pid)
        assert processes_in(server.folder) == []
        assert not server.folder.exists()

    def test_a_killed_test_run_leaves_no_server(self) -> None:
        """When the run that started a server is killed outright, the server ends by itself."""
        script = (
            "from tests.systems.servers.postgres import running_postgres as run; import time\n"
            "with run() as server: print(server.pid, server.folder, flush=True); time.sleep(60)"
        )
        with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            pid, folder = child.stdout.readline().split()
            child.send_signal(signal.SIGKILL)
        until = time.monotonic() + 10
        while is_alive(int(pid)) and time.monotonic() < until:
            time.sleep(0.05)
        shutil.rmtree(folder)
        assert not is_alive(int(pid))

    def test_a_missing_server_is_a_failure_that_says_what_to_do(self) -> None:
        """A program that is not there raises, it never skips."""
        with pytest.raises(ServerMissingError, match="no-such-server is not installed: run make servers"):
            program("no-such-server")


class TestDovecot:
    def test_keeps_mailboxes_apart_and_refuses_strangers(self, dovecot: Dovecot) -> None:
        """Every user has a mailbox of its own with a bin; a wrong password is refused."""
        with dovecot.session("first") as session:
            session.append("Applications", "", imaplib.Time2Internaldate(0), b"Subject: Hello\r\n\r\n")
            assert any(b"\\Trash" in each for each in session.list()[1] if isinstance(each, bytes))
        for user, count in (("first", b"1"), ("second", b"0")):
            with dovecot.session(user) as session:
                assert [count] == session.select("Applications", readonly=True)[1]
        with pytest.raises(imaplib.IMAP4.error, match="AUTHENTICATIONFAILED"), imaplib.IMAP4("127.0.0.1", dovecot.port) as session:
            session.login("first", "not-it")

    def test_does_not_run_as_root(self, dovecot: Dovecot) -> None:
        """The server runs under an account of its own also where the tests run as root."""
        assert Path("/proc", str(dovecot.pid)).stat().st_uid != 0


@pytest.fixture(scope="module")
def seed(wordpress: WordPress) -> Seed:
    """Give the comments that WordPress made."""
    return wordpress.seed()


class TestWordPress:
    def test_shows_approved_comments_and_only_those(self, wordpress: WordPress, seed: Seed) -> None:
        """A visitor sees each approved comment with its author's name, and no other comment."""
        page = wordpress.post_page(seed.posts["opening"])
        shown = {comment.label for comment in seed if f'id="comment-{comment.id}"' in page}
        assert {c.label for c in seed if c.status == "approved" and c.post == seed.posts["opening"]} == shown
        assert all(seed[label].author in page and seed[label].avatar in page for label in shown)

    def test_counts_approved_comments(self, wordpress: WordPress, seed: Seed) -> None:
        """The page says as many comments as WordPress keeps with the post: the approved ones."""
        for post in seed.posts.values():
            approved = sum(comment.status == "approved" and comment.post == post for comment in seed)
            assert approved == wordpress.comment_count(post)
            assert f">{approved} comments<" in wordpress.post_page(post)

    def test_holds_every_status_on_both_sides_of_the_limit(self, seed: Seed) -> None:
        """Older means more than the days asked for; each status occurs among the older comments."""
        limit = seed.as_of - timedelta(days=seed.days)
        assert [comment.is_older for comment in seed] == [comment.written_at < limit for comment in seed]
        assert {c.status for c in seed if c.is_older} == {"approved", "pending", "spam", "trash"}
        assert all(comment.written_at < reply.written_at for comment in seed for reply in seed.replies_to(comment.label))

    def test_keeps_personal_data_in_meta_too(self, wordpress: WordPress, seed: Seed) -> None:
        """E-mail address, IP address and user agent of each comment stand in its meta as well as in its row."""
        engine = sa.create_engine(wordpress.database_url)
        with engine.connect() as connection:
            rows = connection.execute(sa.text("SELECT comment_id, meta_value FROM wp_commentmeta")).all()
        engine.dispose()
        for comment in seed:
            meta = " ".join(value for key, value in rows if key == comment.id)
            assert [c for c in (*comment.canaries, comment.meta_ip) if c not in meta] == []

    def test_answers_as_a_web_site(self, wordpress: WordPress, seed: Seed) -> None:
        """Pages have readable addresses; what is not there is a 404."""
        assert [wordpress.get(path)[0] for path in ("/price-list/", "/no-such-page/")] == [200, 404]

    def test_a_failing_script_is_an_error(self, wordpress: WordPress) -> None:
        """PHP that fails says so; PHP that works gives what it printed."""
        assert wordpress.php("echo get_option('timezone_string');") == "Europe/Amsterdam"
        with pytest.raises(PhpError, match="no_such_function"):
            wordpress.php("no_such_function();")
