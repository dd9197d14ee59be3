"""Parties of a Tryton: the documented policy on them, another program that makes them, and what opens the connector's source."""

from __future__ import annotations

import base64
import json
import re
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from connectors.plugins import tryton as open_source
from tests.acceptance.canaries import WORD
from tests.systems.servers.tryton import DATABASE, PASSWORD, USER, Tryton
from worker.policyfile.loading import loads
from worker.ports import Connection, OpenSource

PAGE = (Path(__file__).parents[3] / "docs" / "connectors" / "tryton.md").read_text(encoding="utf-8")
POLICIES = re.findall(r"<!-- example: tryton -->\n```toml\n(.*?)```", PAGE, re.DOTALL)[0]
PATIENCE = {"attempts": "4", "wait": "0.02", "timeout": "20"}


_SESSIONS: dict[int, str] = {}


@dataclass
class Client:
    """Tryton's own client, around the connector: another program."""

    server: Tryton
    session: str = ""

    def __call__(self, method: str, *parameters: Any, **context: Any) -> Any:
        """Call a method and return its result."""
        body = {"id": 1, "method": method, "params": [*parameters, *([] if method.startswith("common") else [context])]}
        headers = {"Content-Type": "application/json", "Accept-Encoding": "identity", "Authorization": self.session}
        asked = urllib.request.Request(f"{self.server.url}/{DATABASE}/rpc/", json.dumps(body).encode(), headers)
        with urllib.request.urlopen(asked, timeout=60) as answer:
            said = json.loads(answer.read())
        assert "error" not in said, said
        return said["result"]

    def signed_in(self) -> Client:
        """Make a session, one a server: Tryton takes its time over passwords."""
        if self.server.port not in _SESSIONS:
            _SESSIONS[self.server.port] = self._session()
        self.session = _SESSIONS[self.server.port]
        return self

    def _session(self) -> str:
        number, token, *_ = self("common.db.login", USER, {"password": PASSWORD})
        return "Session " + base64.b64encode(f"{USER}:{number}:{token}".encode()).decode()

    def parties(self, number: int) -> list[int]:
        """Create parties with an address and two ways to reach them each; every value of theirs is a canary."""
        people = [
            {
                "name": f"{WORD}name{each}",
                "identifiers": [["create", [{"code": f"{WORD}code{each}"}]]],
                "addresses": [["create", [{"street_unstructured": f"{WORD}street{each}", "city": f"{WORD}city"}]]],
                "contact_mechanisms": [
                    ["create", [{"type": "email", "value": f"{WORD}{each}@post.example"}, {"type": "other", "value": f"{WORD}phone{each}"}]]
                ],
            }
            for each in range(number)
        ]
        made: list[int] = self("model.party.party.create", people)
        return made

    def note(self, party: int) -> int:
        """Write a note about a party."""
        (made,) = self("model.ir.note.create", [{"resource": f"party.party,{party}", "message": f"{WORD}note"}])
        return int(made)


TABLES = ("ir_note", "party_contact_mechanism", "party_address", "party_identifier", "retention_contract", "party_party")


def rows(server: Tryton, table: str) -> list[dict[str, Any]]:
    """Return the rows of a table, as they lie in the database."""
    with server.database() as database:
        database.row_factory = lambda cursor, row: dict(zip([each[0] for each in cursor.description], row, strict=True))
        return database.execute(f"SELECT * FROM {table} ORDER BY id").fetchall()


def emptied(server: Tryton) -> Client:
    """Take all parties away, and return a client."""
    with server.database() as database:
        for table in TABLES:
            database.execute(f"DELETE FROM {table}")
    return Client(server).signed_in()


class Opened:
    """Opens sources of a policy file at the server, straight unless told otherwise, and closes them at the end."""

    def __init__(self, server: Tryton) -> None:
        self._server = server
        self._made: list[OpenSource] = []

    def __call__(self, text: str = POLICIES, *, url: str = "") -> OpenSource:
        """Open the source of the policy."""
        source = loads(text, "policies.toml").policies[0].source
        self._made.append(open_source(source, Connection(url or address(self._server.url), options=PATIENCE)))
        return self._made[-1]

    def close(self) -> None:
        """Close what was opened."""
        for each in self._made:
            each.close()


def address(base: str, database: str = DATABASE) -> str:
    """Return an address with user, password and database."""
    return f"{base.replace('://', f'://{USER}:{PASSWORD}@')}/{database}"
