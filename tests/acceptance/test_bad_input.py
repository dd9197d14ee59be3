"""Bad input: a clear error, exit code 2, and nothing is touched."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.acceptance.conftest import PEOPLE, Firm, Said


def refused(firm: Firm, *args: object, says: str, **options: object) -> None:
    """Call the command; it has to end with 2 and say this, without a traceback, and the records have to be as they were."""
    before = firm.sql("SELECT * FROM contacts") + firm.sql("SELECT * FROM members")
    said = firm(*args, **options)  # type: ignore[arg-type]
    assert 2 == said.code, said.out + said.err
    assert says in said.err
    assert "Traceback" not in said.err
    assert "Internal error" not in said.err
    assert before == firm.sql("SELECT * FROM contacts") + firm.sql("SELECT * FROM members")


def unprivileged(call: Callable[[], Said]) -> Said:
    """Do something in a process that may not do what only root may: the tests may run as root, users don't."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            header = (ctypes.c_uint32 * 2)(0x20080522, 0)
            ctypes.CDLL(None).capset(header, (ctypes.c_uint32 * 6)())
            said = call()
            os.write(writing, json.dumps([said.code, said.out, said.err]).encode())
        finally:
            # Whatever happened, this copy of the test may not go on.
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    return Said(*json.loads(answer))


class TestPolicyFile:
    """What is wrong in the file is said with its line, before anything is opened."""

    @pytest.mark.parametrize(
        ("old", "new", "says"),
        [
            ("version = 1", "version = ", "line 1"),
            ('treatment = "clear"', 'treatmnt = "clear"', "treatment"),
            ('keep = "P2Y"', 'keep = "P0.5Y"', "P0.5Y"),
            ('keep = "P2Y"', "keep = 2", "keep"),
            ('start = "last_contact_at"', 'start = "last_contact"', "last_contact_at"),
            (
                'type = "timestamp", timezone = "UTC", earliest = 2000-01-01 }\n[sources.contacts.children',
                'type = "timestamp" }\n[sources.contacts.children',
                "timezone",
            ),
            ('connector = "crm"', 'connector = "crn"', "crm"),
        ],
    )
    def test_a_mistake(self, firm: Firm, old: str, new: str, says: str) -> None:
        """Broken TOML, an unknown word, a period that is none, a wrong type, a name that is not there, a timestamp without zone."""
        firm.rewrite(old, new)
        refused(firm, "policies", "check", says=says)
        refused(firm, "plan", says=says)
        refused(firm, "run", says="line")
        assert not firm.state.exists()

    def test_no_file_and_no_text(self, firm: Firm) -> None:
        """A file that is not there, or not text."""
        refused(firm, "--policies", firm.folder / "none.toml", "plan", says="can't be read")
        (firm.folder / "bytes.toml").write_bytes(b"\xff\xfe")
        refused(firm, "--policies", firm.folder / "bytes.toml", "policies", "check", says="UTF-8")

    def test_a_file_without_permission(self, firm: Firm) -> None:
        """Who may not read the policies enforces nothing."""
        firm.policies.chmod(0)
        said = unprivileged(lambda: firm("plan"))
        assert (2, True) == (said.code, "Permission denied" in said.err)


class TestSources:
    """What does not fit, or does not answer."""

    def test_a_table_without_key(self, firm: Firm) -> None:
        """Without something that is unique and stays, the wrong record could go."""
        firm.sql("DROP TABLE members")
        firm.sql("CREATE TABLE members (id INTEGER, email TEXT, status TEXT, unsubscribed_at TIMESTAMP)")
        firm.sql("INSERT INTO members VALUES (1, 'q1@firm.example', 'unsubscribed', '2026-01-01 00:00:00')")
        for args in (("sources", "check"), ("plan",), ("run",)):
            refused(firm, *args, says="key")

    def test_a_column_or_table_that_is_not_there(self, firm: Firm) -> None:
        """A misspelt column is no reason to call a field empty."""
        firm.sql("ALTER TABLE contacts RENAME COLUMN name TO full_name")
        for args in (("sources", "check"), ("plan",), ("run",)):
            refused(firm, *args, says="name")

    def test_a_column_in_other_letters(self, firm: Firm) -> None:
        """Programs that make tables differ in capitals only; the one that is there is proposed."""
        firm.rewrite('table = "contacts"\nkey = "id"', 'table = "contacts"\nkey = "ID"')
        refused(firm, "sources", "check", says="has no column 'ID'. Did you mean 'id'?")

    def test_an_address_that_is_a_file_only(self, firm: Firm) -> None:
        """The name of a file is no address yet: its form is told, and the source once."""
        said = firm("sources", "check", env={"RETENTION_SOURCES__MEMBERS__URL": "crm.sqlite"})
        assert (2, True) == (said.code, "sqlite:////folder/file.sqlite" in said.err)
        assert "members: members:" not in said.err

    def test_a_treatment_a_column_can_not_take(self, firm: Firm) -> None:
        """NOT NULL and clear don't go together: said before the run, not in the middle of it."""
        firm.rewrite('disposition = "delete"\ncategories = ["contacts"]', 'disposition = "pseudonymise"\ncategories = ["contacts"]')
        firm.sql("DROP TABLE notes")
        firm.sql("DROP TABLE contacts")
        firm.sql(
            "CREATE TABLE contacts (id INTEGER PRIMARY KEY, name TEXT NOT NULL CHECK (length(name) > 3), email TEXT, "
            "last_contact_at TIMESTAMP)"
        )
        firm.sql("CREATE TABLE notes (id INTEGER PRIMARY KEY, contact_id INTEGER REFERENCES contacts (id), body TEXT)")
        refused(firm, "sources", "check", says="name")
        refused(firm, "plan", says="name")

    def test_no_address(self, firm: Firm) -> None:
        """A source without an address is named, with the setting that is missing."""
        refused(
            firm,
            "plan",
            says="RETENTION_SOURCES__MEMBERS",
            env={"RETENTION_SOURCES__MEMBERS__URL": "", "RETENTION_SOURCES__MEMBERS__WITNESS_TABLE": ""},
        )

    def test_a_database_that_is_down(self, firm: Firm) -> None:
        """Nobody answers there."""
        down = dict.fromkeys(
            ("RETENTION_SOURCES__CONTACTS__URL", "RETENTION_SOURCES__MEMBERS__URL"), "postgresql+psycopg://me:secret@127.0.0.1:9/crm"
        )
        refused(firm, "plan", says="does not answer", env=down)
        refused(firm, "run", says="does not answer", env=down)
        assert "secret" not in "".join(firm.everything)

    def test_a_wrong_password(self, firm: Firm) -> None:
        """The server says no: so do we, without repeating the password."""
        with _refusing_server() as port:
            url = f"postgresql+psycopg://me:s3cret@127.0.0.1:{port}/crm?gssencmode=disable"
            wrong = dict.fromkeys(("RETENTION_SOURCES__CONTACTS__URL", "RETENTION_SOURCES__MEMBERS__URL"), url)
            refused(firm, "plan", says="password", env=wrong)
            refused(firm, "sources", "check", says="password", env=wrong)
        assert "s3cret" not in "".join(firm.everything)

    def test_a_database_file_without_permission(self, firm: Firm) -> None:
        """A file that may not be read is not an empty one."""
        firm.database.chmod(0)
        said = unprivileged(lambda: firm("plan"))
        assert 2 == said.code, said.out + said.err
        assert "Internal error" not in said.err

    def test_a_folder_that_is_read_only(self, firm: Firm) -> None:
        """Files in a folder that may not be written can't be removed: said before anything is planned."""
        dossier = _with_dossier(firm)
        dossier.parent.chmod(0o555)
        said = unprivileged(lambda: firm("sources", "check"))
        assert 2 == said.code, said.out + said.err
        said = unprivileged(lambda: firm("plan", "--source", "applications"))
        assert 2 == said.code, said.out + said.err
        assert "applications" in said.err
        assert dossier.is_dir()


class TestOwnFiles:
    """Where the worker keeps what it keeps."""

    def test_a_ledger_inside_a_source(self, firm: Firm) -> None:
        """Cleaning up the one would destroy the other."""
        refused(firm, "plan", says="same file as the source", env={"RETENTION_LEDGER": f"sqlite:///{firm.database}"})
        link = firm.folder / "link.sqlite"
        link.symlink_to(firm.database)
        refused(firm, "plan", says="same file as the source", env={"RETENTION_LEDGER": f"sqlite:///{link}"})

    def test_keys_beside_the_ledger(self, firm: Firm) -> None:
        """A copy of the one would carry the other along."""
        refused(firm, "plan", says="lies in the state folder", env={"RETENTION_KEYS": str(firm.state / "keys.json")})

    def test_keys_that_others_can_read_or_that_are_lost(self, firm: Firm) -> None:
        """Keys that others could read are not used, and lost ones are not made anew."""
        firm.plan()
        keys = Path(firm.environ["RETENTION_KEYS"])
        keys.chmod(0o644)
        refused(firm, "plan", says=str(keys))
        keys.unlink()
        refused(firm, "plan", says="missing")

    def test_a_state_folder_that_is_read_only(self, firm: Firm) -> None:
        """No ledger, no run."""
        firm.folder.joinpath("closed").mkdir(mode=0o555)
        said = unprivileged(lambda: firm("plan", env={"RETENTION_STATE": str(firm.folder / "closed" / "state")}))
        assert (2, True) == (said.code, "RETENTION_STATE" in said.err)

    def test_a_ledger_that_is_none(self, firm: Firm) -> None:
        """A file that is something else, or a server that is down."""
        (firm.folder / "other.sqlite").write_bytes(b"not a database at all, but long enough to be read as one" * 50)
        refused(firm, "plan", says="ledger", env={"RETENTION_LEDGER": f"sqlite:///{firm.folder / 'other.sqlite'}"})
        refused(firm, "plan", says="ledger", env={"RETENTION_LEDGER": "postgresql+psycopg://me:secret@127.0.0.1:9/ledger"})
        assert "secret" not in "".join(firm.everything)

    def test_a_full_disk_at_the_ledger(self, firm: Firm) -> None:
        """A disk without room is told as one, not as a wrong address or password."""
        firm.plan()
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
        try:
            said = firm("status")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert (2, True) == (said.code, f"Is there room on the disk of {firm.state}" in said.err)
        assert "password" not in said.err

    def test_an_audit_folder_that_can_not_be_opened(self, firm: Firm) -> None:
        """What can't be written down is not done."""
        plan = firm.approved()
        (firm.folder / "file").write_text("no folder", encoding="utf-8")
        for args in (("apply", plan), ("plan",), ("run",)):
            refused(firm, *args, says="audit", env={"RETENTION_AUDIT": str(firm.folder / "file")})

    def test_a_full_disk_at_the_audit_log(self, firm: Firm) -> None:
        """No room for the intents of a batch: stopped before the write, and the same plan goes on when there is room."""
        firm.sql("DELETE FROM notes")
        firm.sql(
            "WITH RECURSIVE n(i) AS (SELECT 1000 UNION ALL SELECT i + 1 FROM n WHERE i < 6000) "
            "INSERT INTO contacts SELECT i, 'Quirine', 'q' || i || '@firm.example', '2022-03-01 12:00:00' FROM n"
        )
        plan = firm.approved("--source", "contacts", env={"RETENTION_FIRST_BATCH": "5000"})
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (5_000_000, hard))
        try:
            refused(firm, "apply", plan, says="limit")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert [] == firm.events("retention.record_deleted")
        assert 0 == firm("apply", plan).code
        assert PEOPLE - 10 == len(firm.contacts())

    def test_a_misspelt_setting(self, firm: Firm) -> None:
        """A misspelt brake would be no brake."""
        refused(firm, "plan", says="RETENTION_MAX_RECORDS", env={"RETENTION_MAX_RECORD": "5"})


class TestUsage:
    """What is typed wrongly."""

    @pytest.mark.parametrize(
        "args",
        [
            ("plann",),
            ("plan", "--as-of", "30-06-2026"),
            ("apply",),
            ("plan", "--source", "nowhere"),
            ("verify", "run-none"),
            ("runs", "--limit", "0"),
        ],
    )
    def test_usage(self, firm: Firm, args: tuple[str, ...]) -> None:
        """Exit code 2 and what to do, never a traceback."""
        refused(firm, *args, says="")

    def test_a_plan_file_that_is_none(self, firm: Firm) -> None:
        """No file: 2; a file that is no plan: refused."""
        refused(firm, "apply", firm.folder / "none.jsonl", says="can't be read")
        (firm.folder / "other.txt").write_text("hello\n", encoding="utf-8")
        assert 3 == firm("apply", firm.folder / "other.txt").code


def _with_dossier(firm: Firm) -> Path:
    """Give the firm a source of application files with one dossier, and return its folder."""
    text = (
        '[sources.applications]\nconnector = "application_files"\ntable = "applications"\nkey = "folder"\n[sources.applications.fields]\n'
        'name = { personal = true }\nended_on = { type = "date", empty = "not_yet", earliest = 2000-01-01 }\n'
        '[[policies]]\nsource = "applications"\ndisposition = "delete"\n[[policies.purposes]]\nid = "application"\n'
        'basis = "legitimate-interests"\nfields = ["name"]\nstart = "ended_on"\nkeep = "P8W"\n'
    )
    firm.policies.write_text(firm.policies.read_text(encoding="utf-8") + "\n" + text, encoding="utf-8")
    firm.environ["RETENTION_SOURCES__APPLICATIONS__PATH"] = str(firm.folder / "files")
    dossier = firm.folder / "files" / "applications" / "one"
    dossier.mkdir(parents=True)
    (dossier / "application.json").write_text(json.dumps({"name": "Ysolde", "ended_on": "2026-01-15"}), encoding="utf-8")
    return dossier


@contextlib.contextmanager
def _refusing_server() -> Iterator[int]:
    """Give the port of a server that answers every PostgreSQL client: wrong password."""
    fields = b'SFATAL\0VFATAL\0C28P01\0Mpassword authentication failed for user "me"\0\0'
    answer = b"E" + (len(fields) + 4).to_bytes(4, "big") + fields
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        over = threading.Event()

        def serve() -> None:
            while not over.is_set():
                with contextlib.suppress(OSError):
                    client, _ = server.accept()
                    with client:
                        client.settimeout(5)
                        while len(start := client.recv(8)) == 8 and int.from_bytes(start[4:], "big") in (80877103, 80877104):
                            client.sendall(b"N")
                        client.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            over.set()
            thread.join()
