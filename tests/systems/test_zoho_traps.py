"""What only Zoho CRM does: its recycle bin, its tokens, its credits, its errors with HTTP 200; on the fake, through the proxy."""

from __future__ import annotations

import datetime as dt
import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from dataclasses import field as field_of
from typing import Any

import pytest

from connectors.contract import FIELDS, FaultProxy, Request
from connectors.contract.harness import everything, read
from connectors.hosted import Gone, HostedSource
from connectors.http import Limits, Service, address_of
from connectors.plugins import zoho_crm as open_source
from connectors.zoho.api import Credits, Crm
from connectors.zoho.grant import Access, Grant, Secrets, SignIn
from connectors.zoho.records import ZohoRecords
from tests.vendors.zoho import ORIGIN, Zoho, field
from worker.core.conditions import Compare, Op
from worker.core.facts import UNREADABLE
from worker.core.select import EVERYTHING, Absent, Compares, Intersection, OnOrBefore, Union
from worker.core.sources import Disposal, Relation, Source
from worker.errors import ConfigurationError, Retriable, SourceFailed
from worker.ports import Along, Changes, Connection, KeyRange, Left, Level, OpenSource, Undone, Update

COLUMNS = {"name": "Last_Name", "email": "Email", "seen_on": "Seen_On", "changed_at": "Changed_At"}
FIELDS_OF = [field("Last_Name", system_mandatory=True), field("Email", "email"), field("Seen_On", "date"), field("Changed_At", "datetime")]
DECLARED = tuple(replace(each, column=COLUMNS[each.name]) for each in FIELDS if each.name in COLUMNS)
SOURCE = Source("people", "zoho_crm", "Contacts", ("id",), DECLARED)
NOTES = Relation("notes", "Notes", ("id",), ("Parent_Id",), ("id",), Disposal.DELETE)
FILES = Relation("files", "Attachments", ("id",), ("Parent_Id",), ("id",), Disposal.DELETE)
SECRETS = Secrets("1000.CLIENT", "client-secret", "1000.refresh-traps")
_REFRESH = itertools.count()


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
            "refresh_token": f"1000.refresh-{next(_REFRESH)}",
        }
        self.opened.append(
            opened := open_source(source, Connection(self.proxy.url, options={**secrets, "attempts": "3", "wait": "0.01", **options}))
        )
        return opened

    def crm(self) -> Crm:
        """Return the calls, signed in."""
        accounts = Service("people", self.proxy.url, limits=Limits(attempts=2, wait=0.01))
        sign_in = SignIn("people", accounts, replace(SECRETS, refresh_token=f"1000.refresh-{next(_REFRESH)}"), Grant(), near=True)
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


class TestBin:
    """Deleted is what the recycle bin doesn't hold."""

    def test_permanent_is_out_of_the_bin(self, place: Place) -> None:
        """A deleted record is neither listed nor in the bin; the level says permanent."""
        source = place.open()
        assert [] == deleted(source, 1, 2)
        assert (Level.PERMANENT, {}) == (source.level, place.zoho.bin)
        assert 4 == len(place.zoho.modules["Contacts"])

    def test_the_bin_may_be_enough(self, place: Place) -> None:
        """Where the source says so the record stays in the bin, no right to empty that is used, and the level says soft."""
        source = place.open(replace(SOURCE, options={"delete": "bin"}))
        assert [] == deleted(source, 1, 2)
        assert (Level.SOFT, {ORIGIN + 1, ORIGIN + 2}) == (source.level, set(place.zoho.bin))
        assert 0 == place.sent("DELETE", "recycle_bin")

    @pytest.mark.parametrize("applied", [True, False])
    @pytest.mark.parametrize("status", [None, 500, 200])
    def test_an_answer_about_the_bin_is_lost(self, place: Place, status: int | None, applied: bool) -> None:
        """When the answer to the second half is lost it is read back; in the end the record is gone and was deleted once."""
        source = place.open()
        place.proxy.about(place.of_bin, status, applied=applied, times=1)
        assert [] == deleted(source, 1)
        assert {} == place.zoho.bin
        assert 1 == place.sent("DELETE", "/Contacts/")

    @pytest.mark.parametrize("late", [1, 2, 5])
    def test_a_deletion_that_shows_only_later(self, place: Place, late: int) -> None:
        """When the answer to a deletion is lost, and lists go on showing the record, it is gone all the same, and deleted once."""
        source = place.open()
        whole = everything(source)[1]
        place.proxy.about(lambda r: "/Contacts/" in r.path, None, applied=True, times=1)
        place.zoho.late = late
        with source.batch("b", whole, EVERYTHING, ()) as batch:
            batch.write(Changes(delete=[(ORIGIN + 1,)]))
            undone = list(batch.commit())
        place.zoho.late = 0
        assert [] == undone
        assert {} == place.zoho.bin
        assert 1 == place.sent("DELETE", "/Contacts/")

    @pytest.mark.parametrize("after", [0, 1, 2])
    def test_nobody_knows_whether_it_was_sent(self, place: Place, after: int) -> None:
        """When a deletion got no answer and Zoho can't be asked any more, the commit says neither that it is done nor that it isn't."""
        source = place.open()
        whole = everything(source)[1]
        place.proxy.about(lambda r: "/Contacts/" in r.path, None, applied=True, times=1)
        place.proxy.reading(429, after=after).on = lambda r: r.method == "GET" and f"/{ORIGIN + 1}" in r.path
        with source.batch("b", whole, EVERYTHING, ()) as batch:
            batch.write(Changes(delete=[(ORIGIN + 1,)]))
            with pytest.raises(Retriable):
                batch.commit()

    def test_a_bin_that_does_not_let_go(self, place: Place) -> None:
        """A record that Zoho keeps in the bin is a failure that says where it lies, and the others are done."""
        place.zoho.kept = {ORIGIN + 2}
        undone = deleted(place.open(), 1, 2, 3)
        assert [((ORIGIN + 2,), Left.FAILED, "HTTP 200 CANNOT_DELETE, in the recycle bin")] == [(e.key, e.why, e.answer) for e in undone]
        assert {ORIGIN + 2} == set(place.zoho.bin)

    @pytest.mark.parametrize(("status", "word"), [(429, "Zoho could not be had"), (403, "HTTP 403"), (401, "the sign-in was refused")])
    def test_a_bin_that_can_not_be_reached(self, place: Place, status: int, word: str) -> None:
        """When the second half is refused for good, that one record is said to lie in the bin; nothing is said to be gone."""
        place.proxy.about(place.of_bin, status, body=b"{}")
        undone = deleted(place.open(), 1)
        assert [(Left.FAILED, f"{word}, in the recycle bin")] == [(each.why, each.answer) for each in undone]

    def test_a_deletion_that_zoho_does_later(self, place: Place) -> None:
        """Where much hangs on a record Zoho deletes it later: that is waited for, and else said."""
        place.zoho.later = {ORIGIN + 1, ORIGIN + 2}
        slept: list[float] = []

        def sleep(seconds: float) -> None:
            slept.append(seconds)
            if len(slept) == 7:
                place.zoho.settle()

        records = ZohoRecords(SOURCE, place.crm(), sleep=sleep)
        source = HostedSource(SOURCE, records, batch_seconds=60)
        undone = deleted(source, 1, 2)
        assert [((ORIGIN + 1,), "HTTP 200 SCHEDULED, in the recycle bin")] == [(each.key, each.answer) for each in undone]
        assert 7 == len(slept)
        assert {} == place.zoho.bin

    def test_a_crash_between_the_two_halves(self, place: Place) -> None:
        """What a dead process left in the bin is there when its batch is read back, unreadable; a plan doesn't take it for a record."""
        place.crm().delete("Contacts", ORIGIN + 3)
        source = place.open()
        within = KeyRange((ORIGIN + 2,), (ORIGIN + 4,))
        found = read(source, EVERYTHING, ("name",), within)
        assert [((ORIGIN + 2,), ("Name 2",)), ((ORIGIN + 3,), (UNREADABLE,)), ((ORIGIN + 4,), ("Name 4",))] == found
        assert [(ORIGIN + n,) for n in (1, 2, 4, 5, 6)] == everything(source)[0]

    def test_all_of_a_batch_in_the_bin(self, place: Place) -> None:
        """The same where no record of the range is left beside those in the bin."""
        crm = place.crm()
        for number in (5, 6):
            crm.delete("Contacts", ORIGIN + number)
        found = read(place.open(page="1"), EVERYTHING, (), KeyRange((ORIGIN + 5,), (ORIGIN + 6,)))
        assert [(ORIGIN + 5,), (ORIGIN + 6,)] == [key for key, _ in found]


class TestChildren:
    """Notes and attachments go before their record, and out of the bin."""

    @pytest.fixture
    def source(self, place: Place) -> OpenSource:
        """Return a source of which the first contact has two notes and a file, the second a note."""
        when = {"Created_Time": "2024-01-01T00:00:00+00:00", "Modified_Time": "2024-01-01T00:00:00+00:00"}
        for number, parent in ((11, 1), (12, 1), (13, 2)):
            place.zoho.notes[ORIGIN + number] = {"Note_Content": "Hello", "Parent_Id": {"id": str(ORIGIN + parent), "name": "x"}, **when}
        place.zoho.attachments[ORIGIN + 21] = {"File_Name": "letter", "Parent_Id": {"id": str(ORIGIN + 1), "name": "x"}, **when}
        return place.open(replace(SOURCE, relations=(NOTES, FILES)))

    def along(self, *notes: int) -> tuple[Along, ...]:
        """Return notes, and the file, as they go along."""
        return (Along(("notes",), [(ORIGIN + each,) for each in notes]), Along(("files",), [(ORIGIN + 21,)]))

    def test_they_are_counted_and_go(self, place: Place, source: OpenSource) -> None:
        """They are told as rows of their record, go one by one, and others' stay."""
        assert [(2, 1), (1, 0)] == [row for _, row in read(source, EVERYTHING, ("relation:notes", "relation:files"))][:2]
        assert [] == deleted(source, 1, along=self.along(11, 12))
        assert ({ORIGIN + 13}, {}, {}) == (set(place.zoho.notes), place.zoho.attachments, place.zoho.bin)
        assert (2, 1, 1) == (
            place.sent("DELETE", "/Notes/"),
            place.sent("DELETE", "/Attachments/"),
            place.sent("DELETE", f"/Contacts/{ORIGIN + 1}?"),
        )

    def test_a_child_that_is_refused_keeps_its_record(self, place: Place, source: OpenSource) -> None:
        """When Zoho refuses a note the contact stays with it."""
        place.zoho.locked = {ORIGIN + 12}
        undone = deleted(source, 1, along=self.along(11, 12))
        assert (ORIGIN + 1,) in [each.key for each in undone]
        assert ORIGIN + 1 in place.zoho.modules["Contacts"]
        assert {ORIGIN + 12, ORIGIN + 13} == set(place.zoho.notes)

    def test_a_child_that_came_in_keeps_its_record(self, place: Place, source: OpenSource) -> None:
        """A note that somebody writes after the decision is a change of the contact."""
        whole = everything(source)[1]
        with source.batch("b", whole, EVERYTHING, ()) as batch:
            batch.write(Changes(delete=[(ORIGIN + 2,)], along=[Along(("notes",), [(ORIGIN + 13,)])]))
            place.zoho.notes[ORIGIN + 14] = {**place.zoho.notes[ORIGIN + 13]}
            undone = list(batch.commit())
        assert {Left.CHANGED} == {each.why for each in undone}
        assert {ORIGIN + 13, ORIGIN + 14} <= set(place.zoho.notes)

    def test_more_notes_than_a_page(self, place: Place, source: OpenSource) -> None:
        """What hangs on a record is read until it stands still: a note that moves to another page is not missed."""
        for number in range(250):
            place.zoho.notes[ORIGIN + 100 + number] = {**place.zoho.notes[ORIGIN + 13]}
        taken: list[int] = []

        def moved(request: Request) -> bool:
            if "page=2" in request.path and not taken:
                taken.append(place.zoho.notes.pop(ORIGIN + 13) is not None)
            return False

        place.proxy.any(None).on = moved
        with source.reader() as reader:
            found = reader.related(("notes",), [(ORIGIN + 2,)], ())
        assert [True] == taken
        assert [ORIGIN + 100 + number for number in range(250)] == sorted(row[0] for _, row in found)

    @pytest.mark.parametrize("what", ["/Notes/", "/Attachments/", "/recycle_bin/"])
    def test_an_answer_about_a_child_is_lost(self, place: Place, source: OpenSource, what: str) -> None:
        """Whichever answer is lost, all is gone in the end, once."""
        place.proxy.about(lambda request: request.method == "DELETE" and what in request.path, None, applied=True, times=1)
        assert [] == deleted(source, 1, along=self.along(11, 12))
        assert ({}, {ORIGIN + 13}) == (place.zoho.bin, set(place.zoho.notes))
        assert 2 == place.sent("DELETE", "/Notes/")


class TestLookups:
    """Records of another module are found by whatever field of the record their lookup shares."""

    def test_a_row_that_leads_elsewhere(self, place: Place) -> None:
        """Rows whose lookup isn't in the answer, or leads elsewhere, are an error of the source and belong to no record."""
        deals = Relation("deals", "Contacts", ("id",), ("Email",), ("id",), Disposal.DELETE)
        source = place.open(replace(SOURCE, relations=(deals,)))
        with source.reader() as reader:
            reader.get((ORIGIN + 1,), ("name",))
            for row in ({"id": str(ORIGIN + 7)}, {"id": str(ORIGIN + 7), "Email": str(ORIGIN + 2)}):
                place.proxy.any(200, body=json.dumps({"data": [row], "info": {"more_records": False}}).encode(), times=1)
                with pytest.raises(SourceFailed, match="doesn't lead"):
                    reader.related(("deals",), [(ORIGIN + 1,)], ())

    def test_a_field_that_is_not_declared(self, place: Place) -> None:
        """A relation over a field that no policy needs is read all the same: without it a record would seem to have no rows."""
        zoho = place.zoho
        zoho.fields["Contacts"]["Account_Name"] = field("Account_Name", "lookup")
        zoho.fields["Invoices"] = {"Account_Name": field("Account_Name", "lookup")}
        account = {"id": str(ORIGIN + 77), "name": "Firm"}
        zoho.modules["Invoices"] = {ORIGIN + 50: {"Account_Name": account}}
        zoho.modules["Contacts"][ORIGIN + 1]["Account_Name"] = account
        invoices = Relation("invoices", "Invoices", ("Account_Name",), ("Account_Name",), ("id",), Disposal.KEEP_PARENT)
        source = place.open(replace(SOURCE, relations=(invoices,)))
        assert [1, 0, 0, 0, 0, 0] == [row[0] for _, row in read(source, EVERYTHING, ("relation:invoices",))]


class TestAnswers:
    """Zoho says an error with HTTP 200, a success with 207, and nothing with 204."""

    def written(self, place: Place, status: int, results: list[Mapping[str, Any]]) -> list[Undone]:
        """Write a name, answered in a certain way, and return what was not done."""
        source = place.open()
        whole = everything(source)[1]
        place.proxy.about(
            lambda request: request.method == "PUT", status, body=json.dumps({"data": results}).encode(), applied=True, times=1
        )
        with source.batch("b", whole, EVERYTHING, ()) as batch:
            batch.write(Changes(updates=[Update(("name",), [(ORIGIN + 1, "new")])]))
            return list(batch.commit())

    @pytest.mark.parametrize("status", [200, 202, 207])
    def test_an_error_with_a_good_status(self, place: Place, status: int) -> None:
        """A result that is an error is one, whatever the status; a success is one too."""
        error = {"code": "RECORD_LOCKED", "details": {}, "message": "x", "status": "error"}
        assert [(Left.FAILED, f"HTTP {status} RECORD_LOCKED")] == [(e.why, e.answer) for e in self.written(place, status, [error])]
        assert [] == self.written(place, status, [{"code": "SUCCESS", "details": {}, "message": "x", "status": "success"}])

    def test_a_field_that_zoho_refuses(self, place: Place) -> None:
        """A mandatory field that is emptied is refused, said with Zoho's word, and the record is as it was."""
        source = place.open()
        whole = everything(source)[1]
        with source.batch("b", whole, EVERYTHING, ()) as batch:
            batch.write(Changes(updates=[Update(("name",), [(ORIGIN + 1, None), (ORIGIN + 2, "new")])]))
            undone = list(batch.commit())
        assert [((ORIGIN + 1,), "HTTP 200 MANDATORY_NOT_FOUND")] == [(each.key, each.answer) for each in undone]
        assert ["Name 1", "new"] == [place.zoho.modules["Contacts"][ORIGIN + n]["Last_Name"] for n in (1, 2)]

    @pytest.mark.parametrize(("about", "said"), [(1, "HTTP 200 ignored"), (2, "no answer, and not done")])
    def test_a_change_that_was_not_made(self, place: Place, about: int, said: str) -> None:
        """A success that changed nothing, or that is about another record, is read back, and nobody says that it was done."""
        source = place.open()
        told = {"code": "SUCCESS", "details": {"id": str(ORIGIN + about)}, "message": "m", "status": "success"}
        place.proxy.about(lambda request: request.method == "PUT", 200, body=json.dumps({"data": [told]}).encode())
        (undone,) = changed(source, 1, "removed")
        assert (Left.FAILED, said) == (undone.why, undone.answer)

    def test_what_became_of_a_change_cant_be_seen(self, place: Place) -> None:
        """When Zoho is gone right after a change nobody says that nothing happened: the batch stays open."""
        source = place.open()
        whole = everything(source)[1]
        with source.batch("b", whole, EVERYTHING, ()) as batch:
            batch.write(Changes(updates=[Update(("name",), [(ORIGIN + 1, "removed")])]))
            place.proxy.about(lambda request: "coql" in request.path, None, after=1)
            with pytest.raises((Retriable, SourceFailed)):
                batch.commit()
        assert "removed" == place.zoho.modules["Contacts"][ORIGIN + 1]["Last_Name"]

    def test_what_is_left_out_is_not_empty(self, place: Place) -> None:
        """A field that was asked for and isn't in the answer is unreadable: empty it could make something due."""
        said = {"data": [{"id": str(ORIGIN + 1), "Last_Name": "Name 1", "Email": None}], "info": {"more_records": False}}
        source = place.open()
        with source.reader() as reader:
            place.proxy.any(200, body=json.dumps(said).encode(), after=1)
            assert [[(ORIGIN + 1, "Name 1", None, UNREADABLE)]] == list(reader.rows(EVERYTHING, ("name", "email", "seen_on")))

    def test_a_record_that_went_between_reading_and_writing(self, place: Place) -> None:
        """A record that somebody deletes between our last look and our request is gone, by nobody's failure."""
        crm = place.crm()
        records = ZohoRecords(SOURCE, crm)
        item = records.get((ORIGIN + 1,))
        del place.zoho.modules["Contacts"][ORIGIN + 1]
        with pytest.raises(Gone):
            records.delete(item)
        with pytest.raises(Gone):
            records.update(item, {"Last_Name": "new"})

    @pytest.mark.parametrize("status", [200, 400, 404])
    def test_a_record_that_is_not_there(self, place: Place, status: int) -> None:
        """Zoho says that there is no such record in more ways than one; what else it refuses is an error, never an absence."""
        crm = place.crm()
        body = json.dumps({"code": "NO_CONTENT", "details": {}, "message": "x", "status": "error"}).encode()
        place.proxy.reading(status, body=body, after=0, times=10**9).on = lambda request: f"/Contacts/{ORIGIN + 1}" in request.path
        assert crm.exists("Contacts", ORIGIN + 1), "a query still gives it"
        kept = place.zoho.modules["Contacts"].pop(ORIGIN + 1)
        assert not crm.exists("Contacts", ORIGIN + 1)
        place.zoho.modules["Contacts"][ORIGIN + 1] = kept
        place.proxy.heal()
        place.proxy.any(403, body=b"{}").on = lambda request: f"/Contacts/{ORIGIN + 1}" in request.path
        with pytest.raises(ConfigurationError):
            crm.exists("Contacts", ORIGIN + 1)

    def test_a_parameter_that_zoho_does_not_know(self, place: Place) -> None:
        """An error about what was asked is no word about the record, though it has the same code: an error, never an absence."""
        error = {"code": "INVALID_DATA", "details": {"param_name": "approved"}, "message": "x", "status": "error"}
        place.proxy.any(400, body=json.dumps(error).encode()).on = lambda request: f"/Contacts/{ORIGIN + 1}" in request.path
        with pytest.raises(ConfigurationError):
            place.crm().exists("Contacts", ORIGIN + 1)

    def test_one_word_for_two_things(self, place: Place) -> None:
        """Zoho says INVALID_DATA of what isn't there and of what it doesn't delete: it is looked for before it is said to be gone."""
        error = {"code": "INVALID_DATA", "details": {"id": "1"}, "message": "record not deleted", "status": "error"}
        place.proxy.about(lambda r: f"/Contacts/{ORIGIN + 1}?" in r.path, 200, body=json.dumps({"data": [error]}).encode())
        undone = deleted(place.open(), 1, 2)
        assert [((ORIGIN + 1,), Left.FAILED, "HTTP 200 INVALID_DATA")] == [(each.key, each.why, each.answer) for each in undone]

    def test_another_order_is_noticed(self, place: Place) -> None:
        """Records that come in another order than was asked for are no list that a page can follow: an error, never a gap."""
        rows = [{"id": str(ORIGIN + n)} for n in (2, 1)]
        place.proxy.any(200, body=json.dumps({"data": rows, "info": {"more_records": True}}).encode()).on = lambda r: "coql" in r.path
        with pytest.raises(SourceFailed):
            everything(place.open())


class TestTokens:
    """Ten tokens in ten minutes are few."""

    def test_sources_share_one(self, place: Place) -> None:
        """Sources of one process with the same refresh token ask for one token together; those with another ask for another."""
        options = {"refresh_token": f"1000.refresh-shared-{next(_REFRESH)}"}
        for _ in range(3):
            everything(place.open(**options))
        assert 1 == place.sent("POST", "/oauth/")
        everything(place.open())
        assert 2 == place.sent("POST", "/oauth/")

    def test_one_that_expired_is_renewed_once(self, place: Place) -> None:
        """A token that Zoho takes for expired is renewed, and the request is sent again."""
        source = place.open()
        everything(source)
        place.zoho.expire()
        assert 6 == len(everything(source)[0])
        assert 2 == place.sent("POST", "/oauth/")

    def test_it_is_renewed_before_it_expires(self) -> None:
        """A token is not used to its last second."""
        now = [0.0]
        grant = Grant(lambda: now[0])
        made = iter(Access(f"t{n}", "https://a.example", 100.0 * (n + 1)) for n in range(3))
        fetch: Callable[[], Access] = lambda: next(made)  # noqa: E731 - said twice
        assert ["t0", "t0"] == [grant.access("s", fetch).token for _ in range(2)]
        now[0] = 100.0
        assert "t1" == grant.access("s", fetch).token

    def test_no_more_than_nine_in_ten_minutes(self) -> None:
        """The tenth in ten minutes isn't asked for: the error says when the next one may be; after that it is."""
        now = [0.0]
        grant = Grant(lambda: now[0])
        made = (Access(f"t{n}", "https://a.example", 10_000.0) for n in itertools.count())
        held = None
        for _ in range(9):
            held = grant.access("s", lambda: next(made), instead_of=held.token if held else None)
            now[0] += 1
        with pytest.raises(Retriable) as caught:
            grant.access("s", lambda: next(made), instead_of=held.token if held else None)
        assert 591 == caught.value.retry_after
        now[0] = 601.0
        assert "t9" == grant.access("s", lambda: next(made), instead_of=held.token if held else None).token

    def test_zoho_gives_no_more(self, place: Place) -> None:
        """When Zoho itself refuses (other processes had theirs), a later run may do it: no wrong password."""
        refresh = f"1000.refresh-{next(_REFRESH)}"
        place.zoho._fetched[refresh] = [place.zoho.clock.now] * 10
        with pytest.raises(Retriable) as caught:
            everything(place.open(refresh_token=refresh))
        assert 600 == caught.value.retry_after

    @pytest.mark.parametrize("domain", ["http://api.example", "https://user@api.example", "ftp://127.0.0.1", "", "https://api.example/x"])
    def test_the_address_of_the_api(self, place: Place, domain: str) -> None:
        """Records are read only where it is encrypted, whatever the sign-in names."""
        place.zoho.domain = domain
        with pytest.raises(SourceFailed):
            everything(place.open())
        assert 0 == place.sent("POST", "/coql")

    def test_the_accounts_server_has_to_be_encrypted(self) -> None:
        """Secrets are sent nowhere without encryption but on this machine; they don't stand in the address; none is shown."""
        secrets = {"client_id": "a", "client_secret": "b-secret", "refresh_token": "c-secret"}
        for url in ("http://accounts.zoho.eu", "https://me:secret@accounts.zoho.eu"):
            with pytest.raises(ConfigurationError):
                open_source(SOURCE, Connection(url, options=secrets))
        with pytest.raises(ConfigurationError) as caught:
            open_source(SOURCE, Connection("https://accounts.zoho.eu", options={**secrets, "client_id": ""}))
        assert "CLIENT_ID" in str(caught.value)
        assert "secret" not in repr(Secrets("a", "b-secret", "c-secret"))
        assert address_of("people", "https://accounts.zoho.eu").encrypted


class TestCredits:
    """Credits are the office's, not ours."""

    def test_a_budget(self, place: Place) -> None:
        """A request that would go over the budget isn't sent; a deletion that can't be ended isn't begun."""
        source = place.open(credits="12")
        undone = deleted(source, 1, 2, 3)
        assert {Left.BUSY} == {each.why for each in undone}
        assert {} == place.zoho.bin
        assert 6 - (3 - len(undone)) == len(place.zoho.modules["Contacts"])
        assert place.zoho.credits <= 12

    def test_some_are_left_for_others(self, place: Place) -> None:
        """Where Zoho says how many are left for all, a run stops before it takes the last ones."""
        place.zoho.left = 900
        source = place.open(spare="1000")
        assert 6 == len(read(source, EVERYTHING, ()))
        with pytest.raises(Retriable):
            read(source, EVERYTHING, ())

    @pytest.mark.parametrize("options", [{"credits": "0"}, {"credits": "many"}, {"spare": "-1"}, {"page": "2001"}, {"pages": "1"}])
    def test_options_that_make_no_sense(self, place: Place, options: dict[str, str]) -> None:
        """An option that is none, or no number, is an error before anything is asked."""
        with pytest.raises(ConfigurationError):
            place.open(**options)


class TestQuery:
    """What can be asked for is asked for, so that a night costs what is due and not what exists."""

    def asked(self, place: Place) -> str:
        """Return the last query."""
        return next(json.loads(r.body)["select_query"] for r, _ in reversed(place.proxy.seen) if r.path.endswith("/coql"))

    def test_days_are_asked_for(self, place: Place) -> None:
        """A day on or before another, and an empty one, are asked for; records that don't have it are not fetched."""
        source = place.open()
        selection = Union((OnOrBefore("seen_on", dt.date(2020, 1, 2)), Absent("seen_on")))
        assert [(ORIGIN + 1,), (ORIGIN + 2,)] == [key for key, _ in read(source, selection, ())]
        assert "(Seen_On <= '2020-01-02' or Seen_On is null)" in self.asked(place)

    def test_moments_are_asked_for_with_a_day_to_spare(self, place: Place) -> None:
        """A local day of a moment is asked for as an instant by which it is over everywhere."""
        read(place.open(), OnOrBefore("changed_at", dt.date(2022, 3, 4)), ())
        assert "Changed_At <= '2022-03-06T00:00:00+00:00'" in self.asked(place)

    def test_texts_are_not_asked_for(self, place: Place) -> None:
        """What Zoho compares in another way is looked at here, and nothing of a record's values stands in a query."""
        named = Compares(Compare("name", Op.EQ, ("Name 1",)))
        assert [(ORIGIN + 1,)] == [
            key for key, _ in read(place.open(), Intersection((named, OnOrBefore("seen_on", dt.date(2021, 1, 1)))), ())
        ]
        assert "Name 1" not in self.asked(place)
        assert "Seen_On <= '2021-01-01'" in self.asked(place)

    def test_too_many_criteria(self, place: Place) -> None:
        """A selection of more criteria than Zoho takes is read whole."""
        parts = tuple(OnOrBefore("seen_on", dt.date(2000, 1, 1) + dt.timedelta(days=n)) for n in range(30))
        assert [] == read(place.open(), Union(parts), ())
        assert "Seen_On <=" not in self.asked(place)
