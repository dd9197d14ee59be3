"""Applications that arrived by mail, as another program puts them into a mailbox and looks at them."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from zoneinfo import ZoneInfo

from connectors.plugins import imap_mailbox
from tests.acceptance.conftest import Installation
from tests.systems.servers.dovecot import Dovecot
from worker.core.facts import Empty, FieldType, Reading
from worker.core.model import Disposition, DispositionKind, LegalBasis, Policy, Purpose, StartEvent, Step
from worker.core.periods import Period, Term
from worker.core.sources import Field, Identifier, Source
from worker.ports import Connection, Key, OpenSource

ZONE = ZoneInfo("Europe/Amsterdam")
CANARY = "Canary-7f3a"
FOLDER = "Applications"
NOON = dt.datetime(2026, 6, 30, 10, tzinfo=dt.UTC)
LONG_AGO = dt.datetime(2020, 1, 1, 12, tzinfo=dt.UTC)
PAGE = (Path(__file__).parents[2] / "docs" / "connectors" / "imap_mailbox.md").read_text(encoding="utf-8")
POLICIES = re.findall(r"<!-- example: imap_mailbox -->\n```toml\n(.*?)```", PAGE, re.DOTALL)[0]
PATIENCE = {"attempts": "4", "wait": "0.02", "timeout": "10"}


def field(name: str, column: str, kind: FieldType = FieldType.TEXT, **more: object) -> Field:
    """Return a field; moments carry their own offset."""
    return replace(Field(name, column, Reading(kind, Empty.UNKNOWN, ZONE)), **more)  # type: ignore[arg-type]


SOURCE = Source(
    "applications",
    "imap_mailbox",
    FOLDER,
    ("uidvalidity", "uid"),
    (
        field("sender", "from", personal=True, identifier=Identifier.EMAIL),
        field("content", "@content", FieldType.NUMBER, personal=True),
        field("received_at", "@received", FieldType.TIMESTAMP),
        field("sent_at", "@sent", FieldType.TIMESTAMP),
        field("deleted", "flag.Deleted", FieldType.BOOLEAN),
    ),
)


def policy(start: str = "received_at", source: Source = SOURCE) -> Policy:
    """Return a policy that deletes eight weeks after a day."""
    term = Term(Period(weeks=8))
    selection = Purpose("selection", LegalBasis.LEGITIMATE_INTERESTS, ("sender", "content"), StartEvent((start,)), term)
    return Policy(source, (selection,), (Disposition((Step(DispositionKind.DELETE),)),), zone=ZONE)


@dataclass(frozen=True)
class Mail:
    """One user's mailbox."""

    server: Dovecot
    user: str

    def arrive(
        self,
        who: str,
        at: dt.datetime = LONG_AGO,
        *,
        folder: str = FOLDER,
        flags: str = "",
        headers: str = "",
    ) -> None:
        """Have a message arrive at a moment."""
        self.arrive_all([(who, at)], folder=folder, flags=flags, headers=headers)

    def arrive_all(self, these: Iterable[tuple[str, dt.datetime]], *, folder: str = FOLDER, flags: str = "", headers: str = "") -> None:
        """Have messages arrive, (who, when) each."""
        with self.server.session(self.user) as session:
            for who, at in these:
                text = f"From: {who} {CANARY} <{who}.{CANARY}@example.example>\r\n{headers}Subject: {CANARY}\r\n\r\nI am {who} {CANARY}."
                said, _ = session.append(folder, flags, at, text.encode("utf-8"))
                assert said == "OK"

    def left(self, folder: str = FOLDER) -> list[tuple[int, str]]:
        """Return (UID, flags without `Recent`) of the messages in a folder."""
        with self.server.session(self.user) as session:
            session.select(folder, readonly=True)
            _, said = session.uid("FETCH", "1:*", "(FLAGS)")
        lines = [each.decode() for each in said if each]
        found = (re.search(r"UID (\d+)", each) for each in lines)
        flags = (" ".join(sorted(set(re.findall(r"[\\\w$]+", re.findall(r"FLAGS \((.*?)\)", each)[0])) - {"\\Recent"})) for each in lines)
        return sorted((int(uid[1]), flag) for uid, flag in zip(found, flags, strict=True) if uid)

    def uids(self, folder: str = FOLDER) -> list[int]:
        """Return the UIDs of the messages in a folder."""
        return [uid for uid, _ in self.left(folder)]

    def open(self, source: Source = SOURCE, *, port: int | None = None, password: str | None = None, **options: str) -> OpenSource:
        """Open the folder by the connector."""
        url = self.server.url(self.user, port=port, password=password)
        return imap_mailbox(source, Connection(url, options={**PATIENCE, **options}))

    def keys(self, folder: str = FOLDER) -> list[Key]:
        """Return the keys that the connector gives the messages in a folder."""
        with self.server.session(self.user) as session:
            _, said = session.status(folder, "(UIDVALIDITY)")
        validity = int(re.findall(rb"UIDVALIDITY (\d+)", said[0])[0])
        return [(validity, uid) for uid in self.uids(folder)]


def installation(folder: Path, mail: Mail, **more: str) -> Installation:
    """Return an office whose applications arrive by mail."""
    (folder / "policies.toml").write_text(POLICIES, encoding="utf-8")
    environ = {
        "RETENTION_POLICIES": str(folder / "policies.toml"),
        "RETENTION_STATE": str(folder / "state"),
        "RETENTION_KEYS": str(folder / "keys" / "keys.json"),
        "RETENTION_OPERATOR": "dora",
        "RETENTION_MAX_SHARE": "1",
        "RETENTION_SOURCES__APPLICATIONS__URL": mail.server.url(mail.user),
        **{f"RETENTION_SOURCES__APPLICATIONS__OPTIONS__{name.upper()}": said for name, said in {**PATIENCE, **more}.items()},
    }
    return Installation(folder, environ, now=NOON)
