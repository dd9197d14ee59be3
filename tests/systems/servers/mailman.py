"""A private Mailman 3: the core's REST service and nothing else of it, so no mail can leave; own folder, free loopback port.

The environment that it runs in is its own (`make servers`), because it needs other versions of libraries than the worker. Mail that Mailman
wants to send stays in its queue, where `mails` counts it: nothing takes it from there.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import secrets
import sqlite3
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.systems.servers.process import LOOPBACK, Account, ServerMissingError, prepare, private_folder, running

PROGRAMS = Path(__file__).resolve().parents[3] / ".servers" / "mailman" / "bin"
USER = "restadmin"
DOMAIN = "lists.example"
_SETTINGS = """
[mailman]
layout: here
site_owner: admin@lists.example
[paths.here]
var_dir: {folder}
bin_dir: {programs}
[webservice]
hostname: {host}
port: {port}
workers: 1
admin_user: {user}
admin_pass: {password}
[mta]
incoming: mailman.mta.null.NullMTA
outgoing: mailman.mta.deliver.deliver
smtp_host: {host}
smtp_port: 1
"""


@dataclass(frozen=True, slots=True)
class Mailman:
    """A running server with the domain `DOMAIN`. folder -- all that it keeps; pid -- of the REST runner."""

    pid: int
    port: int
    folder: Path
    password: str = field(repr=False)

    @property
    def url(self) -> str:
        """Where it listens, without the version of the API."""
        return f"http://{LOOPBACK}:{self.port}"

    def call(self, method: str, path: str, form: Mapping[str, Any] | None = None) -> tuple[int, Any]:
        """Send a request as the administrator: (HTTP status, what the JSON says or None). path -- behind `/3.1`."""
        content = urllib.parse.urlencode(form, doseq=True).encode() if form is not None else None
        request = urllib.request.Request(f"{self.url}/3.1{path}", content, method=method)
        request.add_header("Authorization", "Basic " + base64.b64encode(f"{USER}:{self.password}".encode()).decode())
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=60) as answer:
                status, body = answer.status, answer.read()
        except urllib.error.HTTPError as refused:
            with refused:
                status, body = refused.code, refused.read()
        return status, json.loads(body) if body.startswith(b"{") else None

    def make_list(self, name: str) -> str:
        """Make a mailing list that greets nobody and return its id."""
        status, _ = self.call("POST", "/lists", {"fqdn_listname": f"{name}@{DOMAIN}"})
        assert status == 201, status
        self.call("PATCH", f"/lists/{name}.{DOMAIN}/config", {"send_welcome_message": "false", "admin_notify_mchanges": "false"})
        return f"{name}.{DOMAIN}"

    def subscribe(self, list_id: str, email: str, name: str = "", *, role: str = "member", **more: str) -> str:
        """Make somebody a member, confirmed and approved, and return the member's id."""
        form = {"list_id": list_id, "subscriber": email, "display_name": name, "role": role, **more}
        if role == "member":
            form = {"pre_verified": "true", "pre_confirmed": "true", "pre_approved": "true", **form}
        status, said = self.call("POST", "/members", form)
        assert status == 201, (status, said)
        return next(each["member_id"] for each in self.members(list_id, role) if each["email"] == email.lower())

    def members(self, list_id: str, role: str = "member") -> list[dict[str, Any]]:
        """Return all members of a list with a role."""
        status, said = self.call("GET", f"/lists/{list_id}/roster/{role}")
        assert status == 200, status
        found: list[dict[str, Any]] = said.get("entries", [])
        return found

    def has(self, path: str) -> bool:
        """Whether there is something at a path."""
        status, _ = self.call("GET", path)
        assert status in (200, 404), status
        return status == 200

    def mails(self) -> int:
        """Return how many mails Mailman wanted to send since it was started."""
        return sum(1 for queue in ("virgin", "out", "pipeline", "bounces") for _ in (self.folder / "queue" / queue).glob("*.pck"))

    @contextlib.contextmanager
    def database(self) -> Iterator[sqlite3.Connection]:
        """Yield the server's own database, as another program would open it; committed at the end."""
        connection = sqlite3.connect(self.folder / "data" / "mailman.db", timeout=30)
        try:
            with connection:
                yield connection
        finally:
            connection.close()

    def enrol(self, list_id: str, emails: Sequence[str], registered_on: str = "2026-06-01 12:00:00", role: int = 1) -> None:
        """Put people on a list behind Mailman's back, fast and at any time: each a user named by the address, with one address, confirmed.

        registered_on -- UTC; role -- 1 member, 2 owner, 3 moderator, 4 non-member.
        """
        with self.database() as database:
            (last,) = database.execute(
                'SELECT max((SELECT coalesce(max(id), 0) FROM preferences), (SELECT coalesce(max(id), 0) FROM "user"),'
                " (SELECT coalesce(max(id), 0) FROM address), (SELECT coalesce(max(id), 0) FROM member))"
            ).fetchone()
            for number, email in enumerate(emails):
                at = last + 1 + 3 * number
                name = email.partition("@")[0].title()
                database.executemany("INSERT INTO preferences (id) VALUES (?)", [(at,), (at + 1,), (at + 2,)])
                database.execute(
                    'INSERT INTO "user" (id, _user_id, display_name, _created_on, is_server_owner, preferences_id)'
                    " VALUES (?, ?, ?, ?, 0, ?)",
                    (at, uuid.uuid4().hex, name, registered_on, at),
                )
                database.execute(
                    "INSERT INTO address (id, email, display_name, registered_on, verified_on, user_id, preferences_id)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (at, email, name, registered_on, registered_on, at, at + 1),
                )
                database.execute(
                    "INSERT INTO member (id, _member_id, role, list_id, address_id, preferences_id, bounce_score, total_warnings_sent)"
                    " VALUES (?, ?, ?, ?, ?, ?, 0, 0)",
                    (at, uuid.uuid4().hex, role, list_id, at, at + 2),
                )

    def emptied(self, tables: Sequence[str] = ("member", "address", "user", "preferences", "ban", "pendedkeyvalue", "pended")) -> None:
        """Take everybody away, and leave the lists."""
        with self.database() as database:
            for each in tables:
                database.execute(f'DELETE FROM "{each}"')


@contextlib.contextmanager
def running_mailman(parent: Path | None = None) -> Iterator[Mailman]:
    """Yield a private server and remove it with its data afterwards; raises ServerMissingError, ServerFailedError."""
    if not (PROGRAMS / "runner").exists():
        raise ServerMissingError("Mailman is not there: run make servers")
    # It has to write what the tests, another program, have written.
    account = Account.other_than_root("root")
    password = secrets.token_urlsafe(24)
    with private_folder("mailman", account, parent) as folder:
        settings = folder / "mailman.cfg"

        def command(port: int) -> list[str | Path]:
            words = {"folder": folder, "programs": PROGRAMS, "host": LOOPBACK, "port": port, "user": USER, "password": password}
            settings.write_text(_SETTINGS.format(**words))
            return [PROGRAMS / "runner", "-C", settings, "--runner=rest:0:1"]

        command(0)
        as_root = ["--run-as-root"] if os.geteuid() == 0 else []
        prepare(account, [PROGRAMS / "mailman", *as_root, "-C", settings, "info"], folder)
        environment = {"MAILMAN_CONFIG_FILE": str(settings)}
        with running(account, folder, command, lambda port: _is_ready(port, password), environment=environment) as (pid, port):
            server = Mailman(pid, port, folder, password)
            status, _ = server.call("POST", "/domains", {"mail_host": DOMAIN})
            assert status == 201, status
            yield server


def _is_ready(port: int, password: str) -> bool:
    with contextlib.suppress(OSError):
        status, _ = Mailman(0, port, Path(), password).call("GET", "/system/versions")
        return status == 200
    return False
