"""`replay`: what was deleted and came back is deleted again, and nothing that is another record, held, or needed anew."""

from __future__ import annotations

import datetime as dt
import signal
from pathlib import Path

import pytest

from tests.acceptance.conftest import Firm
from tests.acceptance.test_crash import effects, killed_at, left_open
from tests.acceptance.test_returning import DAY, WATCHED, erased, insert, rows
from tests.acceptance.test_returning import watched as watched
from worker.ports import FAULT_POINTS

ANEW = "something about it is newer than its deletion: a person decides"
UNTOLD = "nothing tells whether it is needed anew: a person decides"
NEEDED = "the policy needs it today: a person decides"
PERSON = "only the person is the same: a person decides"


def restored(firm: Firm, where: str) -> list[tuple[object, ...]]:
    """Delete what is due, and a day later put some of it back as it was; returns what was put back."""
    gone = rows(firm, where)
    assert gone
    said = firm("apply", firm.approved())
    assert said.code in (0, 4), said.err
    firm.now += DAY
    insert(firm, *gone)
    return gone


def replayed(firm: Firm, *args: object) -> tuple[int, dict[str, int], Path]:
    """Make a replay; returns how many records are in it, what stays and why, and the plan file."""
    said = firm("replay", "--json", *args)
    assert said.code in (0, 4), said.err
    stays = {each["detail"]: each["count"] for each in said.json["findings"]}
    return sum(each["actions"]["delete"] for each in said.json["sources"].values()), stays, Path(said.json["file"])


def carried_out(firm: Firm, plan: Path) -> int:
    """Approve a plan and apply it; returns how many records were deleted."""
    assert 0 == firm("approve", plan).code
    said = firm("apply", plan, "--json")
    assert said.code in (0, 4), said.err
    return sum(each.get("delete", 0) for each in said.json["sources"].values())


class TestWhatGoes:
    """Records that came back as they were."""

    def test_a_restore_is_undone(self, watched: Firm) -> None:
        """Ten records with their keys and facts: found, shown, approved, deleted again; the trail says of which batch."""
        restored(watched, "id <= 10")
        count, stays, plan = replayed(watched)
        assert (10, {}) == (count, stays)
        assert "A replay: it deletes again" in watched("plan", "show", plan).out
        page = watched("plan", "show", plan, "--html").out
        assert 1 == page.count("was deleted before and came back")
        assert 3 == watched("apply", plan).code
        assert 10 == carried_out(watched, plan)
        assert [] == rows(watched, "id <= 10")
        deleted = [each for each in watched.events("retention.record_deleted") if each["retention.source"] == "contacts"]
        batches = {each["retention.record"]: each for each in deleted[:10]}
        assert 20 == len(deleted)
        for each in deleted[10:]:
            before = batches[each["retention.record"]]
            assert each["event.reason"].startswith(f"replay of {before['retention.batch']} of {before['retention.run']}: ")
        assert [] == [each for each in watched("plan", "--json").json["findings"] if each["kind"] == "returned"]
        assert 0 == watched("audit", "reconcile").code

    def test_children_that_came_back_go_with_their_record(self, watched: Firm) -> None:
        """As in any plan."""
        restored(watched, "id = 3")
        watched.sql("INSERT INTO notes VALUES (3, 3, 'called Quirine 3')")
        assert 1 == carried_out(watched, replayed(watched)[2])
        assert [] == watched.sql("SELECT * FROM notes WHERE contact_id = 3")

    def test_an_import_under_another_key(self, watched: Firm) -> None:
        """The same address and the same moment."""
        gone = rows(watched, "id = 3")[0]
        restored(watched, "id = 4")
        insert(watched, (900, *gone[1:]))
        count, _, plan = replayed(watched)
        assert 2 == count
        assert 2 == carried_out(watched, plan)
        assert [] == rows(watched, "id IN (4, 900)")

    def test_an_erasure_is_carried_out_again(self, watched: Firm) -> None:
        """Answered and closed; the record came back as it was, and by the policy alone it would be kept."""
        gone = rows(watched, "id = 25")
        erased(watched, "q25@firm.example")
        insert(watched, *gone)
        assert 0 == watched("plan", "--json").json["sources"]["contacts"]["due"]
        assert 1 == carried_out(watched, replayed(watched)[2])
        assert [] == rows(watched, "id = 25")
        asked = [each for each in watched.events("retention.record_deleted") if "erasure" in each["event.reason"]]
        first, again = (each for each in asked if each["retention.source"] == "contacts")
        assert (True, False) == ("retention.requests" in first, "retention.requests" in again)

    def test_a_subscription_that_a_restore_revived(self, firm: Firm) -> None:
        """A member who had left is subscribed again in an old copy, with the moment at which the record was made."""
        members = 'table = "members"\nkey = "id"\nsubject = ["email"]\n'
        firm.rewrite(members, members + 'watch = "P1Y"\nunchanging = ["made_at", "email"]\n')
        firm.rewrite(
            'email = { type = "email" }\nstatus', 'email = { type = "email" }\nmade_at = { type = "timestamp", timezone = "UTC" }\nstatus'
        )
        firm.sql("ALTER TABLE members ADD COLUMN made_at TIMESTAMP")
        firm.sql("UPDATE members SET made_at = '2020-01-02 03:04:05'")
        assert 0 == firm("apply", firm.approved()).code
        firm.now += DAY
        firm.sql("INSERT INTO members VALUES (1, 'q21@firm.example', 'subscribed', NULL, '2020-01-02 03:04:05')")
        count, stays, plan = replayed(firm, "members")
        assert (1, {}) == (count, stays)
        assert 1 == carried_out(firm, plan)

    def test_applying_twice_equals_applying_once(self, watched: Firm) -> None:
        """The second time there is nothing left to do."""
        restored(watched, "id <= 10")
        plan = replayed(watched)[2]
        assert 10 == carried_out(watched, plan)
        assert 0 == watched("apply", plan).code
        assert 20 + 2 == len(watched.events("retention.record_deleted"))

    def test_it_may_come_back_again(self, watched: Firm) -> None:
        """What a replay deleted has a tombstone of its own."""
        gone = restored(watched, "id = 3")
        for _ in range(2):
            assert 1 == carried_out(watched, replayed(watched)[2])
            watched.now += DAY
            insert(watched, *gone)
        assert 1 == replayed(watched)[0]


class TestWhatStays:
    """A replay never takes one record for another, and nothing that is held or needed anew."""

    def test_a_key_alone_is_nothing(self, watched: Firm) -> None:
        """Somebody else has the number now, with days as old as you like."""
        gone = restored(watched, "id = 3")[0]
        watched.sql("DELETE FROM contacts WHERE id = 3")
        insert(watched, (3, "Other", "other@firm.example", gone[3], "2019-01-01 00:00:00"))
        assert (0, {}) == replayed(watched)[:2]

    def test_a_held_record(self, watched: Firm) -> None:
        """Counted as held, and not in the plan; a hold that comes after the plan is honoured too."""
        restored(watched, "id IN (3, 4)")
        who = ("--owner", "Legal", "--reason", "file 12", "--review-on", "2026-12-01")
        assert 0 == watched("hold", "add", "--kind", "legal", "--scope", "record", "--source", "contacts", "--key", "3", *who).code
        said = watched("replay", "--json")
        assert (1, 1) == (said.json["sources"]["contacts"]["held"], said.json["sources"]["contacts"]["due"])
        assert 0 == watched("hold", "add", "--kind", "legal", "--scope", "subject", "--subject", "-", *who, typed="q4@firm.example").code
        assert 0 == carried_out(watched, Path(said.json["file"]))
        assert [3, 4] == [row[0] for row in rows(watched, "id IN (3, 4)")]

    @pytest.mark.parametrize("day", ["2026-06-30 12:00:00", "2026-07-01 06:00:00"])
    def test_a_contact_since_then(self, watched: Firm, day: str) -> None:
        """The start event lies on the day of the deletion or later: somebody needs the record anew."""
        restored(watched, "id = 3")
        watched.sql("UPDATE contacts SET last_contact_at = ? WHERE id = 3", day)
        assert (0, {ANEW: 1}) == replayed(watched)[:2]

    def test_a_contact_between_plan_and_apply(self, watched: Firm) -> None:
        """Asked again under lock: what changed since the plan was made is left, and said."""
        restored(watched, "id IN (3, 4)")
        plan = replayed(watched)[2]
        watched.sql("UPDATE contacts SET last_contact_at = '2026-07-01 06:00:00' WHERE id = 3")
        watched.sql("UPDATE contacts SET created_at = '2026-07-01 06:00:00' WHERE id = 4")
        assert 0 == carried_out(watched, plan)
        assert 2 == len(watched.events("retention.record_skipped"))

    def test_another_record_took_the_key_between_plan_and_apply(self, watched: Firm) -> None:
        """With the same old days, and other facts: it is not the one that was planned."""
        gone = restored(watched, "id = 3")[0]
        plan = replayed(watched)[2]
        watched.sql("UPDATE contacts SET email = 'other@firm.example' WHERE id = 3")
        assert 0 == carried_out(watched, plan)
        assert [("other@firm.example", gone[4])] == watched.sql("SELECT email, created_at FROM contacts WHERE id = 3")

    def test_a_day_that_cant_be_read(self, watched: Firm) -> None:
        """An erasure ends the purpose whatever its day; whether the record is newer nobody can tell."""
        gone = rows(watched, "id = 25")
        erased(watched, "q25@firm.example")
        insert(watched, *gone)
        watched.sql("UPDATE contacts SET last_contact_at = 'some day' WHERE id = 25")
        assert (0, {UNTOLD: 1}) == replayed(watched)[:2]

    def test_a_period_that_became_longer(self, watched: Firm) -> None:
        """The policy needs the record today although it did not when it was deleted."""
        restored(watched, "id = 3")
        watched.rewrite('keep = "P2Y"', 'keep = "P9Y"')
        assert (0, {NEEDED: 1}) == replayed(watched)[:2]

    def test_somebody_who_comes_anew(self, watched: Firm) -> None:
        """After an erasure the same person with another record: for a person to decide."""
        erased(watched, "q25@firm.example")
        insert(watched, (900, "Quirine 25", "q25@firm.example", "2020-01-01 12:00:00", "2026-07-02 00:00:00"))
        assert (0, {PERSON: 1}) == replayed(watched)[:2]

    def test_a_subscription_without_a_day(self, firm: Firm) -> None:
        """Erased from a list that knows no days; the same address is on it: restored, or subscribed again, nobody can tell."""
        erased(firm, "q25@firm.example")
        firm.sql("INSERT INTO members VALUES (5, 'q25@firm.example', 'subscribed', NULL)")
        assert (0, {UNTOLD: 1}) == replayed(firm)[:2]

    def test_an_address_with_old_days_only(self, firm: Firm) -> None:
        """Where nothing but the address tells, days that all lie before the erasure do."""
        gone = firm.sql("SELECT * FROM contacts WHERE id = 25")[0]
        erased(firm, "q25@firm.example")
        firm.sql("INSERT INTO contacts VALUES (?, ?, ?, ?)", 925, *gone[1:])
        count, stays, plan = replayed(firm)
        assert (1, {}) == (count, stays)
        assert 1 == carried_out(firm, plan)
        assert 925 not in firm.contacts()

    def test_on_the_day_itself_nothing_ended_yet(self, watched: Firm) -> None:
        """An end counts from the day after: what came back within the day of an erasure waits for tomorrow's replay."""
        gone = rows(watched, "id = 25")
        erased(watched, "q25@firm.example")
        watched.now -= DAY
        insert(watched, *gone)
        assert (0, {NEEDED: 1}) == replayed(watched)[:2]


class TestAPlanAsAnyOther:
    """Approval, brakes and the ledger."""

    def test_a_yes_to_a_replay_is_no_yes_to_a_policy(self, watched: Firm) -> None:
        """A replay that rests on a version of a policy that nobody approved is refused, by approve and by apply."""
        restored(watched, "id = 3")
        watched.rewrite('window = "P7D"', 'window = "P8D"')
        plan = replayed(watched)[2]
        said = watched("approve", plan)
        assert 3 == said.code
        assert "No person ever approved this version of the policy of contacts" in said.err

    def test_what_a_night_would_stop_at_is_said(self, watched: Firm) -> None:
        """The limits of the brakes, before somebody says yes."""
        restored(watched, "id <= 10")
        said = watched("replay", env={"RETENTION_MAX_RECORDS": "5"})
        assert "[max_records]" in said.err

    def test_it_takes_no_other_plan_s_place(self, watched: Firm) -> None:
        """Open findings stay open, and `status` tells of the last plan for everything."""
        restored(watched, "id = 3")
        watched.sql("UPDATE contacts SET last_contact_at = '' WHERE id = 30")
        assert 4 == watched("plan").code
        before = watched("findings", "list", "--json").json, watched("status", "--json").json["sources"]
        plan = replayed(watched)[2]
        assert 1 == carried_out(watched, plan)
        kinds = {each["kind"] for each in watched("findings", "list", "--json").json}
        assert {each["kind"] for each in before[0]} == kinds
        assert before[1] == watched("status", "--json").json["sources"]
        assert [True] == [each["retention.replay"] for each in watched.events("retention.plan_made") if "retention.replay" in each]
        assert 0 == watched("dashboard", watched.audit, "-o", watched.folder / "page.html").code

    def test_nothing_is_watched(self, firm: Firm) -> None:
        """Without tombstones there is no plan, which is said; a source that is not there is named."""
        said = firm("replay")
        assert (0, True) == (said.code, "No source has tombstones" in said.out)
        assert 0 == firm("replay", "--json").code
        assert 2 == firm("replay", "nowhere").code

    def test_nothing_came_back(self, watched: Firm) -> None:
        """An empty plan."""
        assert 0 == watched("apply", watched.approved()).code
        assert (0, {}) == replayed(watched)[:2]


@pytest.mark.parametrize("point", FAULT_POINTS)
def test_killed_at_a_point(tmp_path: Path, firm: Firm, point: str) -> None:
    """SIGKILL in the second batch of a replay: the next start ends every batch, does the rest, and all agree."""
    firm.policies.write_text(WATCHED, encoding="utf-8")
    firm.sql("ALTER TABLE contacts ADD COLUMN created_at TIMESTAMP")
    firm.sql("UPDATE contacts SET created_at = '2021-05-06 07:08:09'")
    firm.environ["RETENTION_BATCH_SIZE"] = "4"
    restored(firm, "id <= 10")
    plan = firm.folder / "plan.jsonl"
    replayed(firm)[2].rename(plan)
    assert 0 == firm("approve", plan).code
    assert signal.SIGKILL == killed_at(firm, point, 2)
    assert 0 == firm("apply", plan).code
    assert [] == rows(firm, "id <= 10")
    assert [] == left_open(firm)
    assert {2} == {
        count for (action, source, _), count in effects(firm).items() if action.endswith("record_deleted") and source == "contacts"
    }
    assert 0 == firm("audit", "reconcile").code
    firm.now += dt.timedelta(days=1)
    assert (0, {}) == replayed(firm)[:2]
