"""The suppression list: who was deleted from a mailing list is not brought back by an import, until it ends or they consent again."""

from __future__ import annotations

import datetime as dt
import signal
import sqlite3
from contextlib import closing

import pytest

from tests.acceptance.conftest import FIRM, Firm
from tests.acceptance.killing import Killer, killed
from tests.acceptance.test_replay import NEEDED, carried_out, replayed
from tests.acceptance.test_returning import enforced
from worker.core.refs import token
from worker.core.sources import Identifier
from worker.usecases.matching import identifier_form

DAY = dt.timedelta(days=1)
MEMBERS = 'table = "members"\nkey = "id"\nsubject = ["email"]\n'
LISTED = FIRM.replace(
    MEMBERS, MEMBERS + 'suppress = { fields = ["email"], keep = "P5Y" }\nconsents.newsletter = { given = "agreed_at" }\n', 1
).replace("status = { }\n", 'status = { }\nagreed_at = { type = "timestamp", timezone = "UTC", empty = "not_applicable" }\n', 1)
GONE = ("q21@firm.example", "q22@firm.example")
"""Who has left the mailing list and goes on the first day."""


@pytest.fixture
def listed(firm: Firm) -> Firm:
    """Return a firm whose mailing list suppresses whoever was deleted; nobody has done anything yet."""
    firm.policies.write_text(LISTED, encoding="utf-8")
    firm.sql("ALTER TABLE members ADD COLUMN agreed_at TIMESTAMP")
    firm.sql("UPDATE members SET agreed_at = '2025-01-02 03:04:05'")
    firm.environ["RETENTION_BATCH_SIZE"] = "3"
    return firm


def imported(firm: Firm, key: int, mail: str, agreed: str | None = None, status: str = "subscribed") -> None:
    """Put somebody on the mailing list, as an import would."""
    firm.sql("INSERT INTO members VALUES (?, ?, ?, NULL, ?)", key, mail, status, agreed)


def kept(firm: Firm, what: str = "count(*)") -> list[tuple[object, ...]]:
    """Return something of the list in the ledger."""
    with closing(sqlite3.connect(firm.state / "ledger.sqlite")) as connection:
        return connection.execute(f"SELECT {what} FROM suppressions ORDER BY suppression_id").fetchall()


def found(firm: Firm) -> int:
    """Return how many a plan finds to be suppressed and there again."""
    said = firm("plan", "--json")
    assert said.code in (0, 4), said.err
    return sum(each["count"] for each in said.json["findings"] if each["kind"] == "suppressed")


def keys(firm: Firm) -> list[int]:
    return [key for (key,) in firm.sql("SELECT id FROM members ORDER BY id")]


def checked(firm: Firm, text: str, *args: object) -> list[str]:
    """Return what may be imported."""
    said = firm("suppression", "check", "members", *args, typed=text)
    assert 0 == said.code, said.err
    assert not set(GONE) & set(said.err.split())
    return said.out.splitlines()


class TestTheList:
    """What is kept of whom."""

    def test_one_row_for_a_batch_with_an_end(self, listed: Firm) -> None:
        """Two people in one batch: their tokens under the key `match`, bound to the source, for five years; nothing for other sources."""
        enforced(listed)
        assert [("members", "2026-06-30", "2031-06-30", 2, 64)] == kept(listed, "source, day, ends_on, records, length(blob)")
        ((blob,),) = kept(listed, "blob")
        with closing(sqlite3.connect(listed.state / "ledger.sqlite")) as connection:
            assert b"firm.example" not in b"".join(each[0] for each in connection.execute("SELECT blob FROM suppressions"))
        assert token(b"\x00" * 32, "suppressed", "members", identifier_form(Identifier.EMAIL, GONE[0])) not in (blob[16:32], blob[48:])
        assert [{"source": "members", "records": 2, "since": "2026-06-30", "until": "2031-06-30"}] == listed(
            "suppression", "list", "--json"
        ).json
        assert "2031-06-30" in listed("suppression", "list").out

    def test_an_erasure_is_suppressed_too(self, listed: Firm) -> None:
        """Whatever the record was deleted for."""
        request = listed("request", "add", "--kind", "erase", "--subject", "-", "--verified-by", "A. Clerk", typed="q25@firm.example\n")
        assert 0 == request.code
        listed.now += DAY
        enforced(listed)
        assert 0 == listed("request", "close", request.out.split()[1], "--outcome", "erased").code
        imported(listed, 77, "Q25@FIRM.example ")
        assert 1 == found(listed)

    def test_a_withdrawal_is_suppressed_too(self, listed: Firm) -> None:
        """Whoever writes that they want no more letters."""
        asked = ("request", "add", "--kind", "withdraw", "--subject", "-", "--verified-by", "A. Clerk")
        assert 0 == listed(*asked, typed="q26@firm.example\n").code
        listed.now += DAY
        enforced(listed)
        assert 6 not in keys(listed)
        assert ["q27@firm.example"] == checked(listed, "q26@firm.example\nq27@firm.example\n")

    def test_nobody_is_suppressed_where_it_is_not_declared(self, firm: Firm) -> None:
        """A default keeps nothing."""
        enforced(firm)
        assert [(0,)] == kept(firm)
        assert "Nobody is suppressed." in firm("suppression", "list").out
        for command in (("check", "members"), ("release", "members", "-")):
            said = firm("suppression", *command, typed="q1@firm.example\n")
            assert 2 == said.code
            assert "suppresses nobody" in said.err

    @pytest.mark.parametrize("point", ["after_fsync", "after_intent", "after_write"])
    def test_a_batch_that_was_undone_suppresses_nobody(self, listed: Firm, point: str) -> None:
        """Killed before its commit: whoever is there never went."""
        plan = listed.approved()
        assert signal.SIGKILL == killed(listed, Killer(point, 5), "apply", plan)
        assert 0 == listed("reconcile").code
        assert [1, 2] == keys(listed)[:2]
        assert 0 == found(listed)
        assert list(GONE) == checked(listed, "\n".join(GONE))

    @pytest.mark.parametrize("point", ["after_commit", "after_close"])
    def test_a_batch_that_a_crash_left_open_counts_when_it_took_effect(self, listed: Firm, point: str) -> None:
        """Killed after its commit: who went is on the list."""
        plan = listed.approved()
        assert signal.SIGKILL == killed(listed, Killer(point, 5), "apply", plan)
        assert 0 == listed("reconcile").code
        assert 3 == keys(listed)[0]
        imported(listed, 77, GONE[0])
        assert 1 == found(listed)

    def test_it_ends(self, listed: Firm) -> None:
        """On the last day somebody is still away; the first run after it forgets them and says of how many."""
        listed.environ["RETENTION_MAX_CLOCK_LEAP"] = "P9Y"
        listed.rewrite('keep = "P5Y"', 'keep = "P1Y"')
        enforced(listed)
        imported(listed, 77, GONE[0])
        listed.now = dt.datetime(2027, 6, 30, 10, tzinfo=dt.UTC)
        assert 1 == found(listed)
        listed.now += DAY
        assert 0 == found(listed)
        assert [GONE[0]] == checked(listed, GONE[0])
        enforced(listed)
        assert [(0,)] == kept(listed)
        assert [("their time is over", 2)] == [
            (each["event.reason"], each["retention.count"]) for each in listed.events("retention.suppression_ended")
        ]


class TestComingBack:
    """What plans find, and what a replay does about it."""

    def test_an_import_is_found_and_deleted_again(self, listed: Firm) -> None:
        """A new number, other letters, no consent: one finding, its event, and a replay that is approved as any plan."""
        enforced(listed)
        imported(listed, 77, " Q21@firm.EXAMPLE")
        imported(listed, 78, "new@firm.example")
        assert 1 == found(listed)
        (event,) = listed.events("retention.record_returned")
        assert ("they are suppressed and there again", "2026-06-30") == (event["event.reason"], event["retention.on"])
        count, stays, plan = replayed(listed)
        assert (1, {}) == (count, stays)
        assert 3 == listed("apply", plan).code
        assert 1 == carried_out(listed, plan)
        assert [*range(3, 11), 78] == keys(listed)
        assert 0 == found(listed)
        # Who was deleted again is suppressed from that day.
        assert ["2031-06-30", "2031-07-01"] == [day for (day,) in kept(listed, "ends_on")]
        assert 0 == listed("audit", "reconcile").code
        assert "q21@" not in "".join(listed.everything).lower()
        assert [] == [path for path in listed.state.rglob("*") if path.is_file() and b"q21@" in path.read_bytes().lower()]

    def test_a_consent_from_before_is_none(self, listed: Firm) -> None:
        """An old copy says when they agreed, which was before they left."""
        enforced(listed)
        imported(listed, 77, GONE[0], "2025-01-02 03:04:05")
        assert 1 == found(listed)
        assert 1 == replayed(listed)[0]

    def test_a_newer_consent_ends_it(self, listed: Firm) -> None:
        """They signed up again: no finding, no replay, and the next run takes them off the list, which is said."""
        enforced(listed)
        listed.now += DAY
        imported(listed, 77, GONE[0], "2026-07-01 09:00:00")
        assert 0 == found(listed)
        assert (0, {}) == replayed(listed)[:2]
        # A plan changes nothing.
        assert [] == checked(listed, GONE[0])
        enforced(listed)
        assert [GONE[0]] == checked(listed, "\n".join(GONE))
        assert [("a newer consent is known", 1)] == [
            (each["event.reason"], each["retention.count"]) for each in listed.events("retention.suppression_ended")
        ]
        enforced(listed)
        assert 77 in keys(listed)

    def test_a_consent_of_the_same_day_is_not_newer(self, listed: Firm) -> None:
        """On one day the end wins, as for a withdrawal (GDPR 7(3))."""
        enforced(listed)
        imported(listed, 77, GONE[0], "2026-06-30 21:59:59")
        assert 1 == found(listed)

    def test_what_was_there_all_along_never_came_back(self, listed: Firm) -> None:
        """Somebody is on the list twice and leaves once: the other record is no finding and no replay takes it, also when it is changed."""
        imported(listed, 60, GONE[0], "2025-01-02 03:04:05")
        enforced(listed)
        assert 60 in keys(listed)
        assert 0 == found(listed)
        assert 0 == replayed(listed)[0]
        listed.sql("UPDATE members SET email = 'Q21@firm.example' WHERE id = 60")
        assert 0 == found(listed)
        imported(listed, 61, GONE[0])
        assert 1 == found(listed)

    def test_on_the_same_day_nobody_goes_again(self, listed: Firm) -> None:
        """Data are kept through the day on which their end came."""
        assert listed("apply", listed.approved()).code in (0, 4)
        imported(listed, 77, GONE[0])
        assert 1 == found(listed)
        count, stays, _ = replayed(listed)
        assert (0, {NEEDED: 1}) == (count, stays)

    def test_what_the_law_needs_stays(self, listed: Firm) -> None:
        """A purpose that no erasure ends keeps the record; a person decides."""
        enforced(listed)
        with listed.policies.open("a", encoding="utf-8") as file:
            file.write('[[policies.purposes]]\nid = "proof"\nbasis = "legal-obligation"\nfields = ["email"]\nkeep = "indefinite"\n')
        imported(listed, 77, GONE[0])
        count, stays, _ = replayed(listed)
        assert (0, {NEEDED: 1}) == (count, stays)

    def test_a_hold_keeps_who_came_back(self, listed: Firm) -> None:
        """As in any plan."""
        enforced(listed)
        imported(listed, 77, GONE[0])
        hold = ("hold", "add", "--kind", "legal", "--scope", "subject", "--subject", "-", "--owner", "x", "--reason", "y")
        assert 0 == listed(*hold, "--review-on", "2027-01-01", typed=f"{GONE[0]}\n").code
        assert 0 == replayed(listed)[0]

    def test_one_who_consents_between_plan_and_replay_stays(self, listed: Firm) -> None:
        """Everything is asked again under lock."""
        enforced(listed)
        imported(listed, 77, GONE[0])
        listed.now += DAY
        plan = replayed(listed)[2]
        listed.sql("UPDATE members SET agreed_at = '2026-07-02 07:00:00' WHERE id = 77")
        assert 0 == carried_out(listed, plan)
        assert 77 in keys(listed)

    @pytest.mark.parametrize("point", ["after_intent", "before_commit", "after_commit", "after_close"])
    def test_killed_while_replaying(self, listed: Firm, point: str) -> None:
        """Whatever was done is said, and what was not is found again."""
        enforced(listed)
        imported(listed, 77, GONE[0])
        plan = replayed(listed)[2]
        assert 0 == listed("approve", plan).code
        assert signal.SIGKILL == killed(listed, Killer(point), "apply", plan)
        assert 0 == listed("reconcile").code
        there = 77 in keys(listed)
        assert there == (point in ("after_intent", "before_commit"))
        assert int(there) == found(listed)

    def test_a_new_match_key_finds_the_same_people(self, listed: Firm) -> None:
        """Also the records that never went."""
        imported(listed, 60, GONE[1], "2025-01-02 03:04:05")
        enforced(listed)
        assert 0 == listed("keys", "rotate", "match").code
        imported(listed, 77, GONE[0])
        assert 1 == found(listed)
        assert ["x@y.example"] == checked(listed, "x@y.example\n" + "\n".join(GONE))


class TestByHand:
    """Cleaning an import before it is made, and letting somebody come back."""

    def test_addresses_one_a_line(self, listed: Firm) -> None:
        """What may be imported comes out as it went in, in its order; empty lines too."""
        enforced(listed)
        text = f"a@b.example\n{GONE[0].upper()}\n\n  q23@firm.example \nnobody\n"
        assert ["a@b.example", "", "  q23@firm.example ", "nobody"] == checked(listed, text)
        assert ["2"] == checked(listed, text, "--suppressed")

    def test_csv(self, listed: Firm) -> None:
        """By the name of a column; quotes and line ends in other columns do no harm, and the numbers are those of the file."""
        enforced(listed)
        text = f'name,email\n"A, ""B""",a@b.example\n"two\nlines",{GONE[1]}\nC\n'
        assert ["name,email", '"A, ""B""",a@b.example', "C"] == checked(listed, text, "--column", "email")
        assert ["4"] == checked(listed, text, "--column", "email", "--suppressed")
        said = listed("suppression", "check", "members", "--column", "mail", typed=text)
        assert 2 == said.code
        assert "a@b.example" not in said.out + said.err

    def test_nothing_of_it_is_kept(self, listed: Firm) -> None:
        """Neither in the ledger nor in the trail nor in a file."""
        enforced(listed)
        before = {path: path.read_bytes() for path in listed.state.rglob("*") if path.is_file()}
        checked(listed, "canary@canary.example\n")
        after = {path: path.read_bytes() for path in listed.state.rglob("*") if path.is_file()}
        assert [] == [path for path, content in after.items() if b"canary" in content]
        assert {path for path in after if "audit" in path.parts} == {path for path in before if "audit" in path.parts}

    def test_somebody_is_released(self, listed: Firm) -> None:
        """By a person, said by reference and counted; others stay on the list."""
        enforced(listed)
        said = listed("suppression", "release", "members", "-", typed=f" {GONE[0].upper()}\nnobody@firm.example\n")
        assert (0, "1 released.") == (said.code, said.out.strip())
        assert [GONE[0]] == checked(listed, "\n".join(GONE))
        (event,) = listed.events("retention.suppression_released")
        assert ("members", 1, "tester", 1) == (
            event["retention.source"],
            event["retention.count"],
            event["retention.by"],
            len(event["retention.subjects"]),
        )
        assert "retention.suppression_released" in listed("audit", "subject", "-", "--json", typed=f"{GONE[0]}\n").out
        assert "Nobody" in listed("suppression", "release", "members", "-", typed=f"{GONE[0]}\n").out
        assert 1 == len(listed.events("retention.suppression_released"))
        assert [(1,)] == kept(listed, "records")

    def test_what_is_no_text(self, listed: Firm) -> None:
        """Bytes that are no UTF-8 are refused without being quoted."""
        enforced(listed)
        said = listed("suppression", "check", "members", typed=b"\xff\xfe\n")  # type: ignore[arg-type]
        assert (2, "") == (said.code, said.out)
        assert "UTF-8" in said.err
