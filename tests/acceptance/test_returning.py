"""Records that come back: what is kept of those that are deleted, and what every plan finds by it."""

from __future__ import annotations

import datetime as dt
import json
import signal
import sqlite3
from contextlib import closing

import pytest

from tests.acceptance.conftest import FIRM, NOON, Firm
from tests.acceptance.test_crash import killed_at

DAY = dt.timedelta(days=1)
WATCHED = FIRM.replace('subject = ["email"]\n', 'subject = ["email"]\nwatch = "P1Y"\nunchanging = ["created_at", "email"]\n', 1).replace(
    "last_contact_at = {", 'created_at = { type = "timestamp", timezone = "UTC" }\nlast_contact_at = {', 1
)
BACK, ELSEWHERE = "deleted records came back", "deleted records came back under another key"
PERSON = "somebody whose erasure was asked for is there again, with other facts: a person decides"


@pytest.fixture
def watched(firm: Firm) -> Firm:
    """Return a firm whose contacts are watched by the moment at which they were made; nobody has done anything yet."""
    firm.policies.write_text(WATCHED, encoding="utf-8")
    firm.sql("ALTER TABLE contacts ADD COLUMN created_at TIMESTAMP")
    firm.sql("UPDATE contacts SET created_at = '2021-05-06 07:08:' || printf('%02d', id % 60)")
    firm.environ["RETENTION_BATCH_SIZE"] = "3"
    return firm


def rows(firm: Firm, where: str) -> list[tuple[object, ...]]:
    """Return contacts as they stand in the table."""
    return firm.sql(f"SELECT * FROM contacts WHERE {where} ORDER BY id")


def insert(firm: Firm, *records: tuple[object, ...]) -> None:
    """Put contacts into the table, as an import or a restore would."""
    for each in records:
        firm.sql("INSERT INTO contacts VALUES (?, ?, ?, ?, ?)", *each)


def enforced(firm: Firm) -> None:
    """Carry out what is due, and move to the next day."""
    said = firm("apply", firm.approved())
    assert said.code in (0, 4), said.err
    firm.now += DAY


def returned(firm: Firm) -> dict[str, int]:
    """Return what a plan finds to have come back, by what it says, with the number."""
    said = firm("plan", "--json")
    assert said.code in (0, 4), said.err
    found = {each["detail"]: each["count"] for each in said.json["findings"] if each["kind"] == "returned"}
    assert (4 if found else 0) == said.code
    return found


def kept(firm: Firm, what: str = "count(*)") -> list[tuple[object, ...]]:
    """Return something of the tombstones in the ledger."""
    with closing(sqlite3.connect(firm.state / "ledger.sqlite")) as connection:
        return connection.execute(f"SELECT {what} FROM tombstones ORDER BY tombstone_id").fetchall()


def erased(firm: Firm, mail: str) -> None:
    """Have somebody's erasure asked for, carried out and answered."""
    request = firm("request", "add", "--kind", "erase", "--subject", "-", "--verified-by", "A. Clerk", typed=mail)
    assert 0 == request.code, request.err
    # Data are kept through the day on which their end was asked for.
    firm.now += DAY
    enforced(firm)
    assert 0 == firm("request", "close", request.out.split()[1], "--outcome", "erased").code


class TestWatchedSources:
    """Sources that declare for how long they are watched."""

    def test_one_blob_for_each_batch_and_no_row_for_a_record(self, watched: Firm) -> None:
        """Ten records in four batches: four rows, with their day and their end."""
        enforced(watched)
        assert [("contacts", "2026-06-30", "2027-06-30", 3)] * 3 + [("contacts", "2026-06-30", "2027-06-30", 1)] == kept(
            watched, "source, day, ends_on, records"
        )
        assert {} == returned(watched)

    def test_a_record_that_was_restored(self, watched: Firm) -> None:
        """It is found with its key and facts; the event names it as the deletion did, and nobody else learns which it is."""
        gone = rows(watched, "id = 3")
        enforced(watched)
        insert(watched, *gone)
        assert {BACK: 1} == returned(watched)
        event = watched.events("retention.record_returned")[0]
        before = [each for each in watched.events("retention.record_deleted") if each["retention.record"] == event["retention.record"]]
        assert [event["retention.batch"]] == [each["retention.batch"] for each in before]
        assert "q3@" not in "".join(watched.everything)

    def test_a_record_that_was_imported_under_another_key(self, watched: Firm) -> None:
        """A new number, the same address in other letters, the same moment written otherwise."""
        gone = rows(watched, "id = 3")[0]
        enforced(watched)
        insert(watched, (900, gone[1], " Q3@FIRM.example", gone[3], f"{gone[4]}.000"))
        assert {ELSEWHERE: 1} == returned(watched)

    def test_a_key_that_was_given_again_is_no_return(self, watched: Firm) -> None:
        """Another person under the number of a deleted one."""
        enforced(watched)
        insert(watched, (3, "New", "new@firm.example", "2026-06-01 12:00:00", "2026-06-01 12:00:00"))
        assert {} == returned(watched)

    def test_somebody_who_comes_anew_is_no_return(self, watched: Firm) -> None:
        """Deleted when their time was up, customers again later: a new record about the same person."""
        enforced(watched)
        insert(watched, (901, "Quirine 3", "q3@firm.example", "2026-06-29 12:00:00", "2026-06-29 12:00:00"))
        assert {} == returned(watched)

    def test_facts_alone_are_no_return(self, watched: Firm) -> None:
        """The same moment and nobody's address: an import makes many records at once."""
        gone = rows(watched, "id = 3")[0]
        enforced(watched)
        insert(watched, (902, "Other", "other@firm.example", "2026-06-01 12:00:00", gone[4]))
        assert {} == returned(watched)

    def test_a_record_without_facts_leaves_nothing(self, watched: Firm) -> None:
        """What can't be recognised is not kept: neither moment nor address."""
        watched.sql("UPDATE contacts SET created_at = NULL, email = '' WHERE id = 3")
        enforced(watched)
        assert [(9,)] == kept(watched, "sum(records)")

    def test_they_end(self, watched: Firm) -> None:
        """On the last day they are still looked for; the first run after it drops them and says how many."""
        gone = rows(watched, "id = 3")
        enforced(watched)
        insert(watched, *gone)
        watched.now = dt.datetime(2027, 6, 30, 10, tzinfo=dt.UTC)
        assert {BACK: 1} == returned(watched)
        watched.now += DAY
        assert {} == returned(watched)
        enforced(watched)
        assert [10] == [each["retention.count"] for each in watched.events("retention.tombstones_dropped")]
        # What that run deleted has tombstones of its own.
        assert [("2027-07-01",)] == list(set(kept(watched, "day")))

    @pytest.mark.parametrize("point", ["after_fsync", "after_intent", "after_write"])
    def test_a_batch_that_was_undone_leaves_none(self, watched: Firm, point: str) -> None:
        """Killed before its commit: the records are there because they never went."""
        plan = watched.folder / "plan.jsonl"
        watched.approved().rename(plan)
        assert signal.SIGKILL == killed_at(watched, point, 1)
        assert 0 == watched("reconcile").code
        assert {} == returned(watched)

    @pytest.mark.parametrize("point", ["after_commit", "after_close"])
    def test_a_batch_that_a_crash_left_open_counts_when_it_took_effect(self, watched: Firm, point: str) -> None:
        """Killed after its commit: what went is recognised."""
        gone = rows(watched, "id = 1")
        plan = watched.folder / "plan.jsonl"
        watched.approved().rename(plan)
        assert signal.SIGKILL == killed_at(watched, point, 1)
        assert 0 == watched("reconcile").code
        insert(watched, *gone)
        assert {BACK: 1} == returned(watched)

    def test_a_plan_for_another_day_looks_for_nothing(self, watched: Firm) -> None:
        """What stands open today is said by a plan for today."""
        gone = rows(watched, "id = 3")
        enforced(watched)
        insert(watched, *gone)
        said = watched("plan", "--as-of", "2026-12-31", "--json")
        assert "returned" not in {each["kind"] for each in said.json["findings"]}

    def test_a_field_that_is_no_longer_declared(self, watched: Firm) -> None:
        """What was told by it can't be recognised any more, which is said."""
        gone = rows(watched, "id = 3")
        enforced(watched)
        insert(watched, *gone)
        watched.rewrite('created_at = { type = "timestamp", timezone = "UTC" }\n', "")
        watched.rewrite('unchanging = ["created_at", "email"]', 'unchanging = ["email"]')
        assert {"what was deleted can't be recognised any more: its unchanging fields are no longer declared": 1} == returned(watched)


class TestErasures:
    """Records that were deleted because their person asked for it, in whatever source."""

    def test_every_source_watches_for_them(self, firm: Firm) -> None:
        """Nothing is declared: they are told by their identifiers, for a year."""
        erased(firm, "q25@firm.example")
        assert [("contacts", '["email"]', 1, "2027-07-01"), ("members", '["email"]', 1, "2027-07-01")] == kept(
            firm, "source, facts, erasure, ends_on"
        )
        firm.sql("INSERT INTO members VALUES (77, 'Q25@firm.example', 'subscribed', NULL)")
        assert {ELSEWHERE: 1} == returned(firm)

    def test_what_was_deleted_on_schedule_is_not_watched(self, firm: Firm) -> None:
        """Only where it is declared, or somebody asked."""
        enforced(firm)
        assert [] == kept(firm, "source")

    def test_watching_can_be_switched_off(self, firm: Firm) -> None:
        """For no time at all, nothing is kept."""
        firm.rewrite('window = "P7D"\n', 'window = "P7D"\nwatch_erasures = "P0D"\n')
        erased(firm, "q25@firm.example")
        assert [] == kept(firm, "source")

    def test_the_longer_period_counts(self, watched: Firm) -> None:
        """A source that watches for longer than erasures are watched for."""
        watched.rewrite('watch = "P1Y"', 'watch = "P3Y"')
        erased(watched, "q25@firm.example")
        assert [("2029-07-01", 1)] == [each for each in kept(watched, "ends_on, erasure") if each[1]][:1]

    def test_somebody_who_comes_anew_is_for_a_person(self, watched: Firm) -> None:
        """Other facts and the same address: perhaps they changed their mind."""
        erased(watched, "q25@firm.example")
        insert(watched, (900, "Quirine 25", "q25@firm.example", "2026-06-30 12:00:00", "2026-06-30 12:00:00"))
        assert {PERSON: 1} == returned(watched)

    def test_what_was_there_all_along_never_came_back(self, firm: Firm) -> None:
        """Somebody's other record that a hold keeps is like the one that went, and is no finding; nor is it when it changes."""
        firm.sql("INSERT INTO contacts VALUES (800, 'Quirine 25', 'q25@firm.example', '2026-03-03 12:00:00')")
        who = ("--owner", "Legal", "--reason", "file 12", "--review-on", "2026-12-01")
        assert 0 == firm("hold", "add", "--kind", "legal", "--scope", "record", "--source", "contacts", "--key", "800", *who).code
        gone = firm.sql("SELECT * FROM contacts WHERE id = 25")
        erased(firm, "q25@firm.example")
        assert 800 in firm.contacts()
        assert 25 not in firm.contacts()
        assert {} == returned(firm)
        firm.sql("UPDATE contacts SET name = 'Somebody' WHERE id = 800")
        assert {} == returned(firm)
        firm.sql("INSERT INTO contacts VALUES (?, ?, ?, ?)", *gone[0])
        assert {BACK: 1} == returned(firm)

    def test_a_source_of_somebody_else_executes_no_request(self, firm: Firm) -> None:
        """As a processor nothing is erased, so nothing is watched."""
        firm.rewrite('table = "contacts"\n', 'table = "contacts"\nprocessor = true\n')
        firm.now = NOON
        erased(firm, "q3@firm.example")
        assert [] == kept(firm, "source")


class TestReconciling:
    """Tombstones tell `audit reconcile` what a record is that has the key of a deleted one."""

    def test_the_same_record_or_another(self, watched: Firm) -> None:
        """The same came back: a finding of its own. Another was given the key: what was deleted is absent."""
        gone = rows(watched, "id = 3")
        enforced(watched)
        insert(watched, *gone, (4, "New", "new@firm.example", "2026-06-01 12:00:00", "2026-06-01 12:00:00"))
        said = watched("audit", "reconcile", "--json")
        assert [("returned", 1)] == [(each["kind"], each["count"]) for each in said.json["findings"]]
        assert 9 == said.json["sources"]["contacts"]["absent"]
        assert json.loads(said.out)["agree"] is False


def test_a_watch_needs_facts(watched: Firm) -> None:
    """A source that is watched says by what a record is recognised; a field that isn't there is named, and no time at all is refused."""
    watched.rewrite('unchanging = ["created_at", "email"]\n', "")
    said = watched("policies", "check")
    assert 2 == said.code
    assert "never recognised by its key alone" in said.out + said.err
    watched.rewrite('watch = "P1Y"', 'watch = "P0D"\nunchanging = ["created"]')
    said = watched("policies", "check")
    assert 'there is no field "created"' in said.out + said.err
    assert "no time at all" in said.out + said.err
