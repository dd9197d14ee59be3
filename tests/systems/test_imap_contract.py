"""The imap_mailbox connector keeps the contract on a real Dovecot, where another program works on the folder's files."""

from __future__ import annotations

import base64
import datetime as dt
import email
import json
import os
from collections.abc import Mapping
from dataclasses import replace
from email.header import decode_header, make_header

import pytest

from connectors.contract import COLUMNS, FIELDS, ConnectorContract, Harness, Record
from connectors.contract.cases import policies
from connectors.contract.harness import everything, record
from connectors.plugins import imap_mailbox
from tests.systems.servers.dovecot import MEMORY, Dovecot
from worker.core.select import EVERYTHING
from worker.core.sources import Source
from worker.ports import Changes, Connection, Key, Left, OpenSource, Update

VALIDITY = 1_700_000_000
PATIENCE = {"attempts": "4", "wait": "0.02", "timeout": "10"}


class FolderHarness(Harness):
    """A folder of a mailbox as the server keeps it: a file a message, and a list of their numbers."""

    more_than_a_page = 603
    many = 1_600
    selections = 25
    odd_dates = ("0000-00-00", "yesterday", "  ", "2020-02-30", "")
    treats = False

    def __init__(self, server: Dovecot, user: str) -> None:
        self.server = server
        self.user = user
        self.place = server.folder(user, "Applications")
        fields = tuple(replace(each, column=f"header.X-{each.name}") for each in FIELDS)
        self.source = Source("people", "imap_mailbox", "Applications", ("uidvalidity", "uid"), fields)

    def open(self) -> OpenSource:
        return imap_mailbox(self.source, Connection(self.server.url(self.user), options=PATIENCE))

    def key(self, number: int) -> Key:
        return (VALIDITY, number + 1)

    def kept(self, value: str | None) -> str | None:
        return value or None

    def fill(self, records: Mapping[Key, Record]) -> None:
        for name in ("", "cur", "new", "tmp"):
            (self.place / name).mkdir(parents=True, exist_ok=True)
        for old in (self.place / "cur").iterdir():
            old.unlink()
        for key, values in records.items():
            self._write(key, values)
        following = max((int(str(key[1])) for key in records), default=0) + 1
        lines = [f"3 V{VALIDITY} N{following} G{'1' * 32}", *(f"{key[1]} :{self._name(key)}" for key in sorted(records))]
        (self.place / "dovecot-uidlist").write_text("\n".join(lines) + "\n")
        for path in (self.server.mail, self.place.parent, self.place, *(self.place / name for name in ("cur", "new", "tmp"))):
            os.chown(path, self.server.account.uid, self.server.account.gid)
        os.chown(self.place / "dovecot-uidlist", self.server.account.uid, self.server.account.gid)

    def dump(self) -> dict[Key, dict[str, object]]:
        found: dict[Key, dict[str, object]] = {}
        for path in (self.place / "cur").iterdir():
            headers = email.message_from_bytes(path.read_bytes())
            said = {name: headers[f"X-{name}"] for name in COLUMNS}
            number = int(path.name.partition(".")[0])
            found[(VALIDITY, number)] = {name: str(make_header(decode_header(text))) if text else None for name, text in said.items()}
        return found

    def disturb(self, key: Key, record: Record | None) -> bool:
        path = self.place / "cur" / f"{self._name(key)}:2,"
        if record is None:
            path.unlink()
        else:
            self._write(key, record)
        return True

    @staticmethod
    def _name(key: Key) -> str:
        return f"{key[1]}.message"

    def _write(self, key: Key, values: Record) -> None:
        lines = [f"X-{name}: {_word(value)}" for name, value in values.items() if value is not None]
        path = self.place / "cur" / f"{self._name(key)}:2,"
        aside = path.with_name(path.name + "aside")
        aside.write_bytes("\r\n".join([*lines, "Subject: An application", "", "Hello"]).encode())
        aside.rename(path)


def _word(value: object) -> str:
    """Return a value as it stands in a header: an encoded word, so that everything in it survives."""
    if isinstance(value, dt.datetime):
        value = value.isoformat(sep=" ")
    text = json.dumps(value) if isinstance(value, bool) else str(value)
    return f"=?utf-8?B?{base64.b64encode(text.encode()).decode()}?=" if text else ""


class TestMessages(ConnectorContract):
    """Messages of a folder."""

    @pytest.fixture
    def harness(self, dovecot: Dovecot, request: pytest.FixtureRequest) -> FolderHarness:
        number = abs(hash(request.node.name))
        return FolderHarness(dovecot, f"u{number}@{MEMORY}")

    def test_what_can_not_be_changed_is_left_and_named(self, harness: FolderHarness, source: OpenSource) -> None:
        """A policy that treats is a problem, and a message that is to be changed all the same is named and as it was."""
        harness.fill({harness.key(number): record(number) for number in range(3)})
        before = harness.dump()
        keys, whole = everything(source)
        made = policies(harness.source)
        assert [each.only_deletes for each in made] == [not source.problems(each, {})[0] for each in made]
        assert {True, False} == {each.only_deletes for each in made}
        with source.batch("b", whole, EVERYTHING, ()) as batch:
            batch.write(Changes(updates=[Update(("name",), [(*keys[1], None)])]))
            undone = batch.commit()
        assert [(keys[1], Left.FAILED)] == [(each.key, each.why) for each in undone]
        assert before == harness.dump()
