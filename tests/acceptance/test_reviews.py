"""Reviews of records and of what no system can enforce, end to end."""

from __future__ import annotations

import datetime as dt
import importlib
from pathlib import Path

import pytest

from tests.acceptance.conftest import DUE, NOON, PEOPLE, Firm
from tests.acceptance.schedules.office import build

DAY = dt.timedelta(days=1)
WHO = ("--by", "B. Buyer", "--reason", "work may follow")


@pytest.fixture
def reviewed(firm: Firm) -> Firm:
    """Return the firm with contacts that a person reviews once a year instead of having them deleted."""
    firm.rewrite(
        'source = "contacts"\ndisposition = "delete"',
        'source = "contacts"\ndisposition = [{ do = "review", every = "P1Y", owner = "Sales" }]',
    )
    return firm


class TestRecords:
    """Records that a person has to look at."""

    def test_an_answer_keeps_a_record_until_the_day(self, reviewed: Firm) -> None:
        """Who answers is asked again the day after the one that was named, and not before; the record is never touched."""
        listed = reviewed("reviews", "list", "--json").json["records"]
        assert [("contacts", "Sales", DUE, DUE)] == [(each["source"], each["owner"], each["records"], each["overdue"]) for each in listed]
        said = reviewed("reviews", "keep", "contacts", "7", "--until", "2026-07-05", *WHO)
        assert 0 == said.code, said.err
        counts = [
            reviewed("reviews", "list", "contacts", "--json", now=NOON + days * DAY).json["records"][0]["records"] for days in (0, 5, 6)
        ]
        assert [DUE - 1, DUE - 1, DUE] == counts
        assert "a review that keeps it through 2026-07-05" in reviewed("explain", "contacts", "7").out
        plan = reviewed("plan", "--json").json["sources"]["contacts"]
        assert (DUE - 1, 0) == (plan["review"], plan["due"])
        assert 0 == reviewed("mark", "remove", "contacts", "7", "review").code
        assert DUE == reviewed("reviews", "list", "--json").json["records"][0]["records"]
        assert PEOPLE == len(reviewed.contacts())

    def test_the_answer_is_in_the_trail_without_its_reason(self, reviewed: Firm) -> None:
        """Who kept which record and until when is an event; why they did is kept in the ledger only."""
        reviewed("reviews", "keep", "contacts", "-", "--for", "P6M", *WHO, typed="7\n")
        (event,) = reviewed.events("retention.review_answered")
        assert ("B. Buyer", "2026-12-30") == (event["retention.by"], event["retention.until"])
        assert "work may follow" not in str(event)
        assert [("review", "2026-12-30")] == [(each["mark"], each["on"]) for each in reviewed("mark", "list", "--json").json]

    def test_who_asks_for_erasure_is_not_kept_waiting(self, reviewed: Firm) -> None:
        """An answer counts for nothing while the subject's request is open: the review is due again."""
        reviewed("reviews", "keep", "contacts", "7", *WHO)
        assert DUE - 1 == reviewed("reviews", "list", "--json").json["records"][0]["records"]
        reviewed("request", "add", "--kind", "erase", "--subject", "-", "--verified-by", "B. Clerk", typed="q7@firm.example\n")
        assert DUE == reviewed("reviews", "list", "--json", now=NOON + DAY).json["records"][0]["records"]

    def test_what_can_not_be_answered(self, reviewed: Firm) -> None:
        """No answer for a record that waits for none, for a day that has passed, or for longer than the policy lets a review wait."""
        for args, said in (
            (("contacts", "20", *WHO), "not due for review: it is kept"),
            (("contacts", "999", *WHO), "no record with that key"),
            (("members", "1", *WHO), "not due for review"),
            (("contacts", "7", "--until", "2026-06-29", *WHO), "has passed"),
            (("contacts", "7", "--until", "2027-07-01", *WHO), "on 2027-06-30 at the latest"),
            (("contacts", "7", "--until", "2026-07-05", "--for", "P1D", *WHO), "either --until or --for"),
            (("contacts", "7", "--for", "1 year", *WHO), "written as P1Y"),
        ):
            told = reviewed("reviews", "keep", *args)
            assert (2, True) == (told.code, said in told.err), told.err
        assert [] == reviewed("mark", "list", "--json").json

    def test_keys_are_shown_on_a_terminal_only(self, reviewed: Firm) -> None:
        """A key may be a name: it goes into no file and no pipe."""
        assert 2 == reviewed("reviews", "list", "--records").code
        shown = reviewed("reviews", "list", "--records", interactive=True)
        assert "contacts: 1, 2, 3" in shown.out


class TestWaiting:
    """AL-7: accounts that stay open for too long after their agreement, in the office of a shipped schedule."""

    def test_what_waits_too_long_is_listed_and_answered(self, tmp_path: Path) -> None:
        """On the list for the policy's owner with what it waits for; answered it is silent until that day, and never touched."""
        office = build(importlib.import_module("tests.acceptance.schedules.alsjelieft").PLAN, tmp_path)
        waits = {"source": "accounts", "owner": "Support", "waiting": ["account-contract", "telephone-contract"]}

        def on(day: str) -> tuple[list[tuple[int, int, str]], list[str]]:
            """Return the records, the late ones and the oldest day of what is listed on a day, and the kinds of the plan's findings."""
            now = dt.datetime.combine(dt.date.fromisoformat(day), dt.time(12), dt.UTC)
            listed = office("reviews", "list", "accounts", "--json", now=now).json["records"]
            assert all(waits.items() <= each.items() for each in listed)
            planned = office("plan", "--source", "accounts", "--json", now=now).json
            found = [each["kind"] for each in planned["findings"] if each["kind"] in ("waiting", "overdue")]
            assert [each["records"] for each in listed] == [each for each in (planned["sources"]["accounts"]["review"],) if each]
            return [(each["records"], each["overdue"], each["oldest"]) for each in listed], sorted(found)

        # The agreement of account 4 ended on 2021-06-29, that of account 5 a day later; the window is a week.
        assert ([(1, 0, "2026-06-29")], ["waiting", "waiting"]) == on("2026-06-30")
        shown = office("reviews", "list", "accounts", "--records", interactive=True)
        assert "accounts (waits: account-contract, telephone-contract): 4" in shown.out
        assert all(each in shown.out for each in ("waiting for", "the start of account-contract", "Support"))
        for key in ("1", "5"):
            refused = office("reviews", "keep", "accounts", key, "--for", "P1M", *WHO)
            assert (2, True) == (refused.code, "not due for review: it is kept" in refused.err)
        unlimited = office("reviews", "keep", "accounts", "4", *WHO)
        assert (2, True) == (unlimited.code, "--until DAY or --for PERIOD" in unlimited.err)
        assert 0 == office("reviews", "keep", "accounts", "4", "--until", "2026-07-31", *WHO).code
        assert ([], []) == on("2026-06-30")
        assert "a review that keeps it through 2026-07-31" in office("explain", "accounts", "4").out
        office.now += DAY
        assert ([(1, 0, "2026-06-30")], ["waiting", "waiting"]) == on("2026-07-01")
        for until in ("2026-08-31", "2026-07-31"):
            assert 0 == office("reviews", "keep", "accounts", "5", "--until", until, *WHO).code
        assert ([], []) == on("2026-07-31")
        assert ([(2, 0, "2026-07-31")], ["waiting", "waiting"]) == on("2026-08-01")
        assert ([(2, 2, "2026-07-31")], ["overdue", "waiting", "waiting"]) == on("2026-08-08")
        assert ("accounts", 4) in office.contents()


class TestDeclarations:
    """Attestations, periodic reviews and gaps."""

    DECLARED = """
[[attestations]]
id = "cookies"
what = "Cookies expire as promised."
owner = "Web editor"
every = "P1M"
[[reviews]]
id = "suppliers"
what = "Which suppliers may still get work."
owner = "Purchasing"
every = "P1Y"
[[gaps]]
id = "letters"
what = "No period for letters."
"""

    def test_overdue_is_a_finding_until_somebody_does_it(self, firm: Firm) -> None:
        """Never done is overdue; done in time is none; a month later it is again, for the plan as for the night run. Gaps are none."""
        firm.policies.write_text(firm.policies.read_text() + self.DECLARED)
        said = firm("plan", "--json")
        assert 4 == said.code
        assert ["cookies", "suppliers"] == sorted(each["detail"].split()[2] for each in said.json["findings"] if each["kind"] == "review")
        for each in ("cookies", "suppliers"):
            done = firm("reviews", "done", each, "--by", "W. Editor", "--note", "looked at two browsers")
            assert 0 == done.code, done.err
        assert 0 == firm("plan").code
        assert 0 == firm("apply", firm.approved()).code
        assert 0 == firm("run", now=NOON + 30 * DAY).code
        late = firm("run", "--json", now=NOON + 31 * DAY)
        assert 4 == late.code
        assert ["review"] == [each["kind"] for each in late.json["findings"] if each["new"]]

    def test_everything_declared_is_listed(self, firm: Firm) -> None:
        """The check of the file and the list of reviews show what is declared, gaps too; who did it last is said, the note is not."""
        firm.policies.write_text(firm.policies.read_text() + self.DECLARED)
        checked = firm("policies", "check").out
        assert all(each in checked for each in ("attestation cookies", "review suppliers", "gap letters: No period for letters."))
        firm("reviews", "done", "cookies", "--by", "W. Editor", "--note", "looked at two browsers")
        listed = firm("reviews", "list", "--json").json
        assert [False, True] == [each["overdue"] for each in listed["declared"]]
        assert {"on": "2026-06-30", "by": "W. Editor"} == listed["declared"][0]["last"]
        assert ["letters"] == [each["id"] for each in listed["gaps"]]
        (event,) = firm.events("retention.review_done")
        assert ("cookies", "W. Editor") == (event["retention.declaration"], event["retention.by"])
        assert "browsers" not in str(event)
        table = firm("reviews", "list").out
        assert all(each in table for each in ("Web editor", "overdue", "2026-07-30", "No period for letters."))

    def test_a_name_that_nothing_declares(self, firm: Firm) -> None:
        """What is done has to be declared, and a gap can't be done."""
        firm.policies.write_text(firm.policies.read_text() + self.DECLARED)
        for given, said in (("cookie", "Did you mean 'cookies'?"), ("letters", "no attestation and no review")):
            told = firm("reviews", "done", given, "--by", "W. Editor")
            assert (2, True) == (told.code, said in told.err), told.err
