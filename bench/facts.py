"""What a plan costs when not all of the facts lie in the row, next to the plan of the plain policy over the same table in the same run.

Every policy here is due for the same contacts as the plain one (a mark and an open request apart), so the difference is the price of the
fact alone. The further days are all on the day of the last contact.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench import ours
from bench.data import AS_OF, DUE, contacts
from bench.databases import Database
from bench.measure import Measure, timed
from worker.core.standing import RequestKind
from worker.usecases.machine import Machine
from worker.usecases.marking import set_mark
from worker.usecases.standing import add_request

TEMPLATE = "contacts_with_facts"
JOB = "facts"
PLAIN = "plain policy: one day of the row"

_MARKED = 100
_MEMBERS = ("mails", "calls")

# Every second contact has a quote and a mail, every fifth a call, every tenth agreed to be kept longer.
_STATEMENTS = (
    "ALTER TABLE contacts ADD COLUMN agreed_on DATE",
    "UPDATE contacts SET agreed_on = date(last_contact_at) WHERE id % 10 = 0",
    "CREATE TABLE quotes (id BIGINT PRIMARY KEY, contact_id BIGINT, sent_on DATE)",
    "INSERT INTO quotes SELECT id, id, date(last_contact_at) FROM contacts WHERE id % 2 = 0",
    "CREATE INDEX quotes_of_contacts ON quotes (contact_id, sent_on)",
    "CREATE TABLE mails (id BIGINT PRIMARY KEY, email VARCHAR(120), sent_on DATE)",
    "INSERT INTO mails SELECT id, email, date(last_contact_at) FROM contacts WHERE id % 2 = 0",
    "CREATE TABLE calls (id BIGINT PRIMARY KEY, email VARCHAR(120), called_on DATE)",
    "INSERT INTO calls SELECT id, email, date(last_contact_at) FROM contacts WHERE id % 5 = 0",
)

_CHILDREN = """
[sources.contacts.children.quotes]
table = "quotes"
key = "id"
match = { contact_id = "id" }
on_delete = "delete"
"""
_QUOTED = _CHILDREN + '[sources.contacts.facts]\nlast_quote_on = { latest = "quotes.sent_on", type = "date", none = "not_applicable" }\n'
_COUNTED = _CHILDREN + '[sources.contacts.facts]\nquotes_sent = { count = "quotes" }\n'
_MARK = '[sources.contacts.facts]\nended = { mark = "relation-ended", none = "not_yet" }\n'
_CONSENT = '[sources.contacts.consents.longer]\ngiven = "agreed_on"\n'
_AGREED = """
[[policies.purposes]]
id = "longer"
basis = "consent"
consent = "longer"
extends = "contact"
fields = ["name", "email", "phone"]
start = "agreed_on"
keep = "P1Y"
"""
_MANY_SOURCES = """
[facts.last_contact]
latest = ["contacts.last_contact_at", "mails.sent_on", "calls.called_on"]

[sources.mails]
connector = "crm"
table = "mails"
key = "id"
subject = ["email"]
fields = { email = { type = "email" }, sent_on = { type = "date" } }

[sources.calls]
connector = "crm"
table = "calls"
key = "id"
subject = ["email"]
fields = { email = { type = "email" }, called_on = { type = "date" } }
"""


@dataclass(frozen=True)
class Case:
    """One policy that differs from the plain one.

    start -- its start event; declared, purposes -- what is added to the file; prepare -- what is said before the plan, given an address in
    the table that is not due; due -- how many contacts are due, by the number of rows; members -- further sources.
    """

    way: str
    start: str = '"last_contact_at"'
    declared: str = ""
    purposes: str = ""
    prepare: Callable[[Machine, str], None] | None = None
    due: Callable[[int], int] = DUE.of
    members: tuple[str, ...] = ()

    def policies(self) -> str:
        """Return the policy file."""
        text = ours.plain_policy("delete").replace('start = "last_contact_at"', f"start = {self.start}")
        fields = 'timezone = "UTC" }\nagreed_on = { type = "date", empty = "not_applicable" }\n' + self.declared
        return text.replace('timezone = "UTC" }\n', fields) + self.purposes


def _mark(machine: Machine, _address: str) -> None:
    """Mark some contacts: people set marks one by one, so they are few."""
    for key in range(1, _MARKED + 1):
        set_mark(machine, ours.SOURCE, str(key), "relation-ended", DUE.cutoff.date() - dt.timedelta(days=key))


def _ask(machine: Machine, address: str) -> None:
    """Ask for the erasure of one person."""
    add_request(
        machine, kind=RequestKind.ERASE, identifiers=[address], received_on=AS_OF.date() - dt.timedelta(days=1), verified_by="bench"
    )


_LATEST = '{ latest_of = ["last_contact_at", "last_quote_on"] }'
CASES = (
    Case(PLAIN),
    Case("the latest day over children, with an index", _LATEST, _QUOTED),
    Case("a count over children, with an index", '"last_contact_at"\nwhen = { quotes_sent = { lt = 9 } }', _COUNTED),
    Case("a consent that extends", declared=_CONSENT, purposes=_AGREED),
    Case("a mark alone", '"ended"', _MARK, prepare=_mark, due=lambda _rows: _MARKED),
    Case("a fact over three sources", '"last_contact"', _MANY_SOURCES, members=_MEMBERS),
    Case("an open request for erasure", prepare=_ask, due=lambda rows: DUE.of(rows) + 1),
)


def build(database: Database, rows: int) -> None:
    """Build the contacts with what lies beside them."""
    database.build(TEMPLATE, contacts(rows))
    engine = database.engine(database.template(TEMPLATE))
    analyse = "ANALYZE TABLE contacts, quotes, mails, calls" if engine.dialect.name == "mariadb" else "ANALYZE"
    with engine.begin() as connection:
        for statement in (*_STATEMENTS, analyse):
            connection.exec_driver_sql(statement if engine.dialect.paramstyle == "qmark" else statement.replace("%", "%%"))
    engine.dispose()


def facts(database: Database, folder: Path, rows: int) -> Iterator[Measure]:
    """Measure a plan for every case; each is made once before, so that the pages are in memory."""
    url = database.template(TEMPLATE)
    engine = database.engine(url)
    with engine.connect() as connection:
        question = f"SELECT email FROM contacts WHERE last_contact_at >= '{DUE.cutoff}' ORDER BY id LIMIT 1"
        address = str(connection.exec_driver_sql(question).scalar())
    engine.dispose()
    for case in CASES:
        with ours.working(url, folder, case.policies(), (ours.SOURCE, *case.members)) as machine:
            if case.prepare is not None:
                case.prepare(machine, address)
            ours.planned(machine, case.due(rows))
            _, took = timed(partial(ours.planned, machine, case.due(rows)))
        yield Measure(database.name, JOB, case.way, rows, took)
