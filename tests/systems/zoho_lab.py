"""A small CRM at the fake of Zoho, behind the proxy that makes bad days, for the tests of what only Zoho does."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from dataclasses import field as field_of

import pytest

from connectors.contract import FIELDS, FaultProxy, Request
from connectors.contract.harness import everything
from connectors.http import Limits, Service
from connectors.plugins import zoho_crm as open_source
from connectors.zoho.api import Credits, Crm
from connectors.zoho.grant import Grant, Secrets, SignIn
from tests.vendors.zoho import ORIGIN, Zoho, field
from worker.core.select import EVERYTHING
from worker.core.sources import Disposal, Relation, Source
from worker.ports import Along, Changes, Connection, OpenSource, Undone, Update

COLUMNS = {"name": "Last_Name", "email": "Email", "seen_on": "Seen_On", "changed_at": "Changed_At"}
FIELDS_OF = [field("Last_Name", system_mandatory=True), field("Email", "email"), field("Seen_On", "date"), field("Changed_At", "datetime")]
DECLARED = tuple(replace(each, column=COLUMNS[each.name]) for each in FIELDS if each.name in COLUMNS)
SOURCE = Source("people", "zoho_crm", "Contacts", ("id",), DECLARED)
NOTES = Relation("notes", "Notes", ("id",), ("Parent_Id",), ("id",), Disposal.DELETE)
FILES = Relation("files", "Attachments", ("id",), ("Parent_Id",), ("id",), Disposal.DELETE)
SECRETS = Secrets("1000.CLIENT", "client-secret", "1000.refresh-traps")
REFRESH = itertools.count()


@dataclass
class Place:
    """A CRM with six contacts, and the proxy in front of it."""

    zoho: Zoho
    proxy: FaultProxy
    opened: list[OpenSource | Crm] = field_of(default_factory=list)

    def open(self, source: Source = SOURCE, **options: str) -> OpenSource:
        """Open a source with a refresh token of its own."""
        secrets = {
            "client_id": SECRETS.client_id,
            "client_secret": SECRETS.client_secret,
            "refresh_token": f"1000.refresh-{next(REFRESH)}",
        }
        self.opened.append(
            opened := open_source(source, Connection(self.proxy.url, options={**secrets, "attempts": "3", "wait": "0.01", **options}))
        )
        return opened

    def crm(self) -> Crm:
        """Return the calls, signed in."""
        accounts = Service("people", self.proxy.url, limits=Limits(attempts=2, wait=0.01))
        sign_in = SignIn("people", accounts, replace(SECRETS, refresh_token=f"1000.refresh-{next(REFRESH)}"), Grant(), near=True)
        self.opened.append(made := Crm("people", sign_in, Credits("people"), Limits(attempts=2, wait=0.01)))
        return made

    def of_bin(self, request: Request) -> bool:
        """Whether a request takes something out of the recycle bin."""
        return request.method == "DELETE" and "/recycle_bin/" in request.path

    def sent(self, method: str, part: str) -> int:
        """Return how many requests there were."""
        return sum(request.method == method and part in request.path for request, _ in self.proxy.seen)


@pytest.fixture
def place() -> Iterator[Place]:
    """Return the CRM; what is not as described fails the test, and so does a workflow that heard of something."""
    with Zoho({"Contacts": FIELDS_OF}).running() as zoho, FaultProxy(zoho.url).running() as proxy:
        zoho.domain = proxy.url
        moment = dt.datetime(2022, 3, 4, 5, 6, 7, tzinfo=dt.UTC)
        contacts = {ORIGIN + n: {"Last_Name": f"Name {n}", "Seen_On": dt.date(2020, 1, n), "Changed_At": moment} for n in range(1, 7)}
        zoho.put("Contacts", contacts)
        made = Place(zoho, proxy)
        yield made
        for each in made.opened:
            each.close()
    assert [] == zoho.fired


def deleted(source: OpenSource, *numbers: int, along: tuple[Along, ...] = ()) -> list[Undone]:
    """Delete records and return what was not done."""
    whole = everything(source)[1]
    with source.batch("b", whole, EVERYTHING, ()) as batch:
        batch.write(Changes(delete=[(ORIGIN + each,) for each in numbers], along=along))
        return list(batch.commit())


def changed(source: OpenSource, number: int, name: str) -> list[Undone]:
    """Give a record another name and return what was not done."""
    whole = everything(source)[1]
    with source.batch("b", whole, EVERYTHING, ()) as batch:
        batch.write(Changes(updates=[Update(("name",), [(ORIGIN + number, name)])]))
        return list(batch.commit())
