"""What only Zoho CRM does: its recycle bin, what hangs on a record, its errors with HTTP 200; on the fake, through the proxy."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from connectors.contract import Request
from connectors.contract.harness import everything, read
from connectors.hosted import Gone, HostedSource
from connectors.zoho.records import ZohoRecords
from tests.systems.zoho_lab import FILES, NOTES, SOURCE, Place, changed, deleted, place
from tests.vendors.zoho import ORIGIN, field
from worker.core.facts import UNREADABLE
from worker.core.select import EVERYTHING
from worker.core.sources import Disposal, Relation
from worker.errors import ConfigurationError, Retriable, SourceFailed
from worker.ports import Along, Changes, KeyRange, Left, Level, OpenSource, Undone, Update

__all__ = ["place"]


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
