"""Holds, requests, findings and explanations, end to end."""

from __future__ import annotations

import datetime as dt

import pytest

from tests.acceptance.conftest import DUE, NOON, PEOPLE, Firm

DAY = dt.timedelta(days=1)
WHO = ("--owner", "Legal", "--reason", "file 12", "--review-on", "2026-12-01")


def identifier(said: str) -> str:
    """Return the id that a placing or recording command printed."""
    return said.split()[1]


class TestHolds:
    """A hold always wins, until a person releases it."""

    def test_a_person_is_held_and_released(self, firm: Firm) -> None:
        """The held person's records stay, those of the others go; after the release they go with the next plan."""
        placed = firm("hold", "add", "--kind", "legal", "--scope", "subject", "--subject", "-", *WHO, typed=" Q3@firm.EXAMPLE \n")
        assert 0 == placed.code, placed.err
        assert "q3@" not in (placed.out + placed.err).lower()
        assert 1 == firm("plan", "--json").json["sources"]["contacts"]["held"]
        assert 0 == firm("apply", firm.approved()).code
        assert [3] == [key for key in firm.contacts() if key <= DUE]
        assert 0 == firm("hold", "release", identifier(placed.out)).code
        assert 0 == firm("apply", firm.approved()).code
        assert 3 not in firm.contacts()

    def test_a_hold_placed_after_the_plan_is_honoured(self, firm: Firm) -> None:
        """Apply works with the holds of the moment, not with those of the plan."""
        plan = firm.approved()
        assert 0 == firm("hold", "add", "--kind", "dispute", "--scope", "record", "--source", "contacts", "--key", "5", *WHO).code
        said = firm("apply", plan, "--json")
        assert 1 == said.json["sources"]["contacts"]["skipped_held"]
        assert [5] == [key for key in firm.contacts() if key <= DUE]

    @pytest.mark.parametrize("scope", [("source", "--source", "contacts"), ("category", "--category", "contacts")])
    def test_a_whole_source_or_category(self, firm: Firm, scope: tuple[str, ...]) -> None:
        """Nothing of a held source or category is acted on; the rest is."""
        assert 0 == firm("hold", "add", "--kind", "legal", "--scope", *scope, *WHO).code
        assert 0 == firm("apply", firm.approved()).code
        assert PEOPLE == len(firm.contacts())
        assert [(8,)] == firm.sql("SELECT count(*) FROM members")

    def test_a_passed_review_date_is_a_finding_and_never_a_release(self, firm: Firm) -> None:
        """A hold doesn't end by itself: somebody is told to look."""
        firm("hold", "add", "--kind", "legal", "--scope", "source", "--source", "contacts", *WHO[:-1], "2026-07-05")
        said = firm("plan", "--json", now=NOON + 10 * DAY)
        assert 4 == said.code
        assert ["hold_review"] == [each["kind"] for each in said.json["findings"]]
        assert 0 == said.json["sources"]["contacts"]["due"]

    def test_what_a_scope_needs_is_asked_for(self, firm: Firm) -> None:
        """A hold that would match nothing is refused before anything is opened."""
        for args in (("record", "--source", "contacts"), ("subject",), ("case",), ("category",), ("source",)):
            said = firm("hold", "add", "--kind", "legal", "--scope", *args, *WHO)
            assert 2 == said.code
            assert "needs --" in said.err

    def test_lists_name_nobody(self, firm: Firm) -> None:
        """Whom a hold or a request is about is kept as a keyed value, and not shown."""
        firm("hold", "add", "--kind", "legal", "--scope", "subject", "--subject", "-", *WHO, typed="q3@firm.example\n")
        firm("request", "add", "--kind", "restrict", "--subject", "-", typed="q4@firm.example\n")
        for args in (("hold", "list"), ("hold", "list", "--all", "--json"), ("request", "list"), ("request", "list", "--all", "--json")):
            said = firm(*args)
            assert 0 == said.code, said.err
            assert "token" not in said.out
            assert "firm.example" not in said.out


class TestRequests:
    """What a subject asks for is respected by every decision."""

    def test_a_verified_erasure_ends_purposes(self, firm: Firm) -> None:
        """Legitimate interests and consent end on the day it came in, for every record of that person."""
        unverified = firm("request", "add", "--kind", "erase", "--subject", "-", typed="q30@firm.example\n")
        assert (2, True) == (unverified.code, "--verified-by" in unverified.err)
        args = ("--verified-by", "B. Clerk", "--received-on", "2026-06-20")
        asked = firm("request", "add", "--kind", "erase", "--subject", "-", *args, typed="q30@firm.example\n")
        assert 0 == asked.code, asked.err
        assert "answered by 2026-07-20" in asked.out
        assert 0 == firm("apply", firm.approved()).code
        assert 30 not in firm.contacts()
        assert [] == firm.sql("SELECT id FROM members WHERE email = 'q30@firm.example'")
        assert 0 == firm("request", "close", identifier(asked.out), "--outcome", "erased").code
        assert [] == firm("request", "list", "--json").json

    def test_a_restriction_keeps_what_is_due(self, firm: Firm) -> None:
        """Who asks for restriction keeps the record where it is until a person decides."""
        firm("request", "add", "--kind", "restrict", "--subject", "-", typed="q7@firm.example\n")
        assert 0 == firm("apply", firm.approved()).code
        assert [7] == [key for key in firm.contacts() if key <= DUE]

    def test_a_hold_outranks_an_erasure(self, firm: Firm) -> None:
        """A legal hold keeps what the person asked to erase; their own restriction does not."""
        firm("request", "add", "--kind", "erase", "--subject", "-", "--verified-by", "B. Clerk", typed="q30@firm.example\n")
        firm("hold", "add", "--kind", "legal", "--scope", "subject", "--subject", "-", *WHO, typed="q30@firm.example\n")
        now = NOON + 2 * DAY
        assert 0 == firm("apply", firm.approved(now=now), now=now).code
        assert 30 in firm.contacts()

    def test_an_objection_to_marketing(self, firm: Firm) -> None:
        """It ends direct marketing that day, and nothing else."""
        firm("request", "add", "--kind", "object", "--marketing", "--subject", "-", typed="q25@firm.example\n")
        now = NOON + 2 * DAY
        assert 0 == firm("apply", firm.approved(now=now), now=now).code
        assert [] == firm.sql("SELECT id FROM members WHERE email = 'q25@firm.example'")
        assert 25 in firm.contacts()

    def test_an_upheld_objection(self, firm: Firm) -> None:
        """It restricts until a person decides; then it ends what rests on legitimate interests, and the list says who decided."""
        asked = firm("request", "add", "--kind", "object", "--subject", "-", "--received-on", "2026-06-20", typed="q30@firm.example\n")
        assert 0 == firm("apply", firm.approved()).code
        assert 30 in firm.contacts()
        upheld = firm("request", "uphold", identifier(asked.out), "--by", "D. Officer")
        assert 0 == upheld.code, upheld.err
        assert 2 == firm("request", "uphold", identifier(asked.out), "--by", "D. Officer").code
        assert 0 == firm("apply", firm.approved()).code
        assert 30 not in firm.contacts()
        assert "D. Officer" in firm("request", "list").out
        (said,) = firm.events("retention.request_upheld")
        assert "D. Officer" == said["retention.by"]
        assert 0 == firm("request", "close", identifier(asked.out), "--outcome", "erased").code


class TestFindings:
    """Nothing silent, and nothing that nags for ever."""

    def test_an_accepted_finding_no_longer_changes_the_exit_code(self, firm: Firm) -> None:
        """Accepted with an owner, a reason, an end and a number: new again when it grows, or when the day has passed."""
        firm.sql("UPDATE contacts SET last_contact_at = NULL WHERE id = 40")
        found = firm("plan", "--json")
        assert 4 == found.code
        finding = found.json["findings"][0]["id"]
        args = ("findings", "accept", finding[:8], "--owner", "A. Officer", "--reason", "asked the supplier", "--until", "2026-07-10")
        accepted = firm(*args)
        assert 0 == accepted.code, accepted.err
        assert 0 == firm("plan").code
        assert "accepted by A. Officer" in firm("findings", "list").out
        assert 1 == len(firm.events("retention.finding_accepted"))
        assert 4 == firm("plan", now=NOON + 11 * DAY).code
        firm.sql("UPDATE contacts SET last_contact_at = NULL WHERE id = 41")
        assert 4 == firm("plan").code
        assert 0 == firm(*args, "--at-most", 5).code
        assert 0 == firm("plan").code

    def test_a_finding_that_is_over_leaves_the_list(self, firm: Firm) -> None:
        """The list is what the last look still saw."""
        firm.sql("UPDATE contacts SET last_contact_at = NULL WHERE id = 40")
        firm("plan")
        assert 1 == len(firm("findings", "list", "--json").json)
        firm.sql("UPDATE contacts SET last_contact_at = '2026-06-01 00:00:00' WHERE id = 40")
        firm("plan", now=NOON + dt.timedelta(minutes=1))
        assert [] == firm("findings", "list", "--json").json

    def test_only_what_is_there_can_be_accepted(self, firm: Firm) -> None:
        """A wrong id, or a day that has passed, is refused."""
        rest = ("--owner", "A", "--reason", "b", "--until")
        assert 2 == firm("findings", "accept", "abcdef", *rest, "2026-12-31").code
        assert 2 == firm("findings", "accept", "abcdef", *rest, "2020-01-01").code


class TestExplain:
    """The decision in words."""

    def test_a_record(self, firm: Firm) -> None:
        """Every purpose with its state, start event and period; the due day; what happens."""
        said = firm("explain", "contacts", "3")
        assert 0 == said.code, said.err
        for expected in ("contact", "legitimate-interests", "P2Y", "2024-03-04", "It is deleted"):
            assert expected in said.out
        kept = firm("explain", "contacts", "30", "--json").json["records"][0]
        assert ("kept", None) == (kept["word"], kept["due"])
        assert "due" == firm("explain", "contacts", "30", "--as-of", "2029-01-01", "--json").json["records"][0]["word"]

    def test_backups(self, firm: Firm) -> None:
        """What would be deleted is gone from backups a declared while after the day that is asked about; nothing is said without one."""
        assert firm("explain", "contacts", "3", "--json").json["records"][0]["backups"] is None
        firm.rewrite('table = "contacts"', 'table = "contacts"\nbackups = "P35D"')
        assert "Deleted on 2026-06-30, it is gone from backups after 2026-08-04." in " ".join(firm("explain", "contacts", "3").out.split())
        later = firm("explain", "contacts", "3", "--as-of", "2026-12-31", "--json").json["records"][0]
        assert ("2026-12-31", "2027-02-04") == (later["as_of"], later["backups"])
        assert firm("explain", "contacts", "30", "--json").json["records"][0]["backups"] is None

    def test_a_policy_that_is_not_in_force_yet(self, firm: Firm) -> None:
        """Until its day nothing is due, and that is the reason given; on its day everything is that would have been."""
        firm.rewrite('source = "contacts"\ndisposition', 'source = "contacts"\neffective = 2026-07-01\ndisposition')
        said = firm("explain", "contacts", "3", "--json").json["records"][0]
        assert ("kept", None) == (said["word"], said["due"])
        assert "the policy is not in force yet" in said["purposes"][0]["state"]
        assert 0 == firm("apply", firm.approved("--source", "contacts")).code
        assert PEOPLE == len(firm.contacts())
        assert "2024-03-04" == firm("explain", "contacts", "3", "--as-of", "2026-07-01", "--json").json["records"][0]["due"]

    def test_a_person_over_all_sources(self, firm: Firm) -> None:
        """The identifier is read from standard input, and everything about the person is explained."""
        said = firm("explain", "--subject", "-", "--json", typed="Q25@firm.example\n")
        assert 0 == said.code, said.err
        assert "" == said.err
        assert {("contacts", 25), ("members", 5)} == {(each["source"], each["key"][0]) for each in said.json["records"]}
        assert "No source has a record" in firm("explain", "--subject", "-", typed="nobody@firm.example\n").out

    def test_an_identifier_on_the_command_line_brings_a_warning(self, firm: Firm) -> None:
        """It works, and says why it is unwise; a number that is only a key does not."""
        said = firm("explain", "--subject", "q25@firm.example")
        assert (0, True) == (said.code, "Warning" in said.err)
        assert "q25@" not in said.err
        assert "" == firm("explain", "contacts", "3").err

    def test_what_is_not_there(self, firm: Firm) -> None:
        """No such record or source, or neither asked for: exit 2, and the key is not repeated."""
        said = firm("explain", "contacts", "-", typed="99999\n")
        assert (2, True) == (said.code, "no record with that key" in said.err)
        assert "99999" not in said.err
        assert 2 == firm("explain", "nowhere", "1").code
        assert 2 == firm("explain").code
        assert 2 == firm("explain", "contacts").code
