"""One telephone number written in two ways is one person's: for holds, requests, suppression, tombstones and the audit trail."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from tests.acceptance.conftest import DUE, FIRM, Firm, Said
from tests.acceptance.test_returning import BACK, enforced, returned

DAY = dt.timedelta(days=1)
WHO = ("--owner", "Legal", "--reason", "file 12", "--review-on", "2026-12-01")
ABROAD, AT_HOME, ODD, OTHER = "+31 6 12345678", "06-12 34 56 78", "31612345678", "06 12345679"
IN_NL = ('timezone = "Europe/Amsterdam"\n', 'timezone = "Europe/Amsterdam"\ncountry = "NL"\n')
EMAIL = 'email = { type = "email", treatment = "pseudonym", domain = "people" }'
PHONES = (
    FIRM.replace('subject = ["email"]', 'subject = ["phone"]', 1)
    .replace(EMAIL, 'phone = { type = "phone", treatment = "clear" }')
    .replace('fields = ["name", "email"]', 'fields = ["name", "phone"]')
)


@pytest.fixture
def nowhere(firm: Firm) -> Firm:
    """Return a firm that knows its contacts by telephone; nothing says in which country. The third and the fortieth have one number."""
    firm.policies.write_text(PHONES, encoding="utf-8")
    firm.sql("ALTER TABLE contacts ADD COLUMN phone TEXT")
    firm.sql("UPDATE contacts SET phone = '020 62400' || printf('%02d', id)")
    for key in (3, 40):
        written(firm, key, ABROAD)
    written(firm, 4, OTHER)
    return firm


@pytest.fixture
def phones(nowhere: Firm) -> Firm:
    """Return that firm with a policy file that says that its numbers are dialled in the Netherlands."""
    nowhere.rewrite(*IN_NL)
    return nowhere


def written(firm: Firm, key: int, phone: object) -> None:
    """Write a contact's number in another way."""
    firm.sql("UPDATE contacts SET phone = ? WHERE id = ?", phone, key)


def held(firm: Firm, typed: str) -> Said:
    """Place a hold on somebody by what is typed."""
    said = firm("hold", "add", "--kind", "legal", "--scope", "subject", "--subject", "-", *WHO, typed=f"{typed}\n")
    assert 0 == said.code, said.err
    return said


def asked(firm: Firm, typed: str) -> Said:
    """Record a request for erasure by what is typed."""
    said = firm("request", "add", "--kind", "erase", "--subject", "-", "--verified-by", "A. Clerk", typed=f"{typed}\n")
    assert 0 == said.code, said.err
    return said


class TestHolds:
    """A hold keeps the records of its person, however either was written."""

    @pytest.mark.parametrize(("typed", "stands"), [(AT_HOME, ABROAD), (ABROAD, AT_HOME), ("0031 (0)612345678", ODD), (ODD, AT_HOME)])
    def test_a_record_written_otherwise_is_kept(self, phones: Firm, typed: str, stands: str) -> None:
        """The record of the person stays, and that of somebody whose number differs in its last digit goes with all others."""
        written(phones, 3, stands)
        said = held(phones, typed)
        assert "however records write it" in said.out
        assert 1 == phones("plan", "--json").json["sources"]["contacts"]["held"]
        enforced(phones)
        assert [3] == [key for key in phones.contacts() if key <= DUE]
        assert not any("12345678" in each.replace(" ", "") for each in phones.everything)

    def test_a_number_that_lost_its_zero(self, phones: Firm) -> None:
        """A spreadsheet made a whole number of it: it is still the person's who is held."""
        written(phones, 3, 612345678)
        held(phones, ABROAD)
        enforced(phones)
        assert [3] == [key for key in phones.contacts() if key <= DUE]

    def test_placed_after_the_plan(self, phones: Firm) -> None:
        """Apply works with the holds of the moment, and compares as the plan did."""
        plan = phones.approved()
        held(phones, AT_HOME)
        said = phones("apply", plan, "--json")
        assert 1 == said.json["sources"]["contacts"]["skipped_held"]
        assert [3] == [key for key in phones.contacts() if key <= DUE]

    @pytest.mark.parametrize("typed", [AT_HOME, ABROAD])
    @pytest.mark.parametrize("stands", [AT_HOME, ABROAD, ODD])
    def test_placed_before_anybody_said_the_country(self, nowhere: Firm, typed: str, stands: str) -> None:
        """What was kept then is one of the ways that are looked for now; nobody has to place it again."""
        written(nowhere, 3, stands)
        assert "as it was typed" in held(nowhere, typed).out
        nowhere.rewrite(*IN_NL)
        enforced(nowhere)
        assert [3] == [key for key in nowhere.contacts() if key <= DUE]

    def test_without_a_country_only_what_is_written_alike(self, nowhere: Firm) -> None:
        """As it always was, and the command that places the hold says so."""
        said = held(nowhere, AT_HOME)
        assert "no `country` in [organisation]" in said.out
        assert 0 == nowhere("plan", "--json").json["sources"]["contacts"]["held"]

    def test_after_the_number_was_treated(self, phones: Firm) -> None:
        """The ledger keeps all ways of writing it for a record that stays, so any of them leads to it."""
        phones.rewrite('disposition = "delete"\ncategories = ["contacts"]', 'disposition = "pseudonymise"\ncategories = ["contacts"]')
        enforced(phones)
        assert [(None,)] == phones.sql("SELECT phone FROM contacts WHERE id = 3")
        said = held(phones, AT_HOME)
        assert any(hold in phones("explain", "contacts", "3").out for hold in (line.split()[1] for line in said.out.splitlines()[:3]))

    def test_explained_as_it_is_held(self, phones: Firm) -> None:
        """Whoever placed a hold by a number without its zero finds by the same number what it keeps."""
        held(phones, "612345678")
        found = phones("explain", "--subject", "-", "--json", typed="612345678\n").json["records"]
        assert [[3], [40]] == [each["key"] for each in found]
        assert all(each["standing"] for each in found)


class TestRequests:
    """A request concerns the person, and nobody who could be."""

    def test_erasure(self, phones: Firm) -> None:
        """Records of the person that were not due go, the neighbour's stay."""
        asked(phones, AT_HOME)
        written(phones, 41, OTHER)
        phones.now += DAY
        enforced(phones)
        assert 40 not in phones.contacts()
        assert 41 in phones.contacts()

    def test_what_may_be_another_number_is_looked_for_as_typed(self, phones: Firm) -> None:
        """A customer's number with nine digits erases nobody whose telephone has them too; what to type is said."""
        said = asked(phones, "612345678")
        assert "type its first 0, or + and its country's code" in said.out
        phones.now += DAY
        enforced(phones)
        assert 40 in phones.contacts()

    def test_recorded_before_anybody_said_the_country(self, nowhere: Firm) -> None:
        """It finds the record then."""
        asked(nowhere, AT_HOME)
        nowhere.rewrite(*IN_NL)
        nowhere.now += DAY
        enforced(nowhere)
        assert 40 not in nowhere.contacts()


class TestWhatComesBack:
    """Tombstones and the suppression list."""

    @pytest.mark.parametrize("country", ["before", "after"])
    def test_a_record_written_otherwise_came_back(self, nowhere: Firm, country: str) -> None:
        """Its number is one of the facts that tell that it is the same, whether it was written down before or after the country was."""
        nowhere.rewrite('subject = ["phone"]\n', 'subject = ["phone"]\nwatch = "P1Y"\nunchanging = ["phone"]\n')
        if country == "before":
            nowhere.rewrite(*IN_NL)
        gone = nowhere.sql("SELECT id, name, last_contact_at FROM contacts WHERE id = 3")[0]
        enforced(nowhere)
        if country == "after":
            nowhere.rewrite(*IN_NL)
        nowhere.sql("INSERT INTO contacts (id, name, last_contact_at, phone) VALUES (?, ?, ?, ?)", *gone, AT_HOME)
        assert 1 == returned(nowhere)[BACK]

    def test_another_number_is_no_return(self, phones: Firm) -> None:
        """Its last digit differs."""
        phones.rewrite('subject = ["phone"]\n', 'subject = ["phone"]\nwatch = "P1Y"\nunchanging = ["phone"]\n')
        enforced(phones)
        phones.sql("INSERT INTO contacts (id, name, last_contact_at, phone) VALUES (3, 'x', '2026-06-01 12:00:00', '06 12345677')")
        assert {} == returned(phones)

    @pytest.mark.parametrize("gone", [ABROAD, AT_HOME, ODD])
    def test_suppressed_and_released_by_any_way(self, phones: Firm, gone: str) -> None:
        """Kept out of imports however they write it, and in none of the ways once they were taken off the list."""
        phones.rewrite('subject = ["phone"]\n', 'subject = ["phone"]\nsuppress = { fields = ["phone"], keep = "P5Y" }\n')
        phones.sql("DELETE FROM contacts WHERE id = 40")
        written(phones, 3, gone)
        enforced(phones)
        ways = (ABROAD, AT_HOME, ODD, "0031612345678")
        assert [OTHER[:-1] + "0"] == checked(phones, *ways, OTHER[:-1] + "0")
        phones.sql("INSERT INTO contacts (id, name, last_contact_at, phone) VALUES (300, 'x', '2026-06-01 12:00:00', ?)", "0612345678")
        findings = phones("plan", "--json").json["findings"]
        assert [1] == [each["count"] for each in findings if each["kind"] == "suppressed"]
        said = phones("suppression", "release", "contacts", "-", typed=f"{AT_HOME}\n")
        assert "1 released" in said.out
        assert [*ways] == checked(phones, *ways)

    def test_who_was_there_all_along_is_not_suppressed(self, phones: Firm) -> None:
        """A second record of the person, with the number written otherwise, that was not due and never went."""
        phones.rewrite('subject = ["phone"]\n', 'subject = ["phone"]\nsuppress = { fields = ["phone"], keep = "P5Y" }\n')
        written(phones, 40, AT_HOME)
        enforced(phones)
        assert 3 not in phones.contacts()
        assert [] == [each for each in phones("plan", "--json").json["findings"] if each["kind"] == "suppressed"]
        assert [] == checked(phones, AT_HOME)


def checked(firm: Firm, *lines: str) -> list[str]:
    """Return what of an import may be imported."""
    said = firm("suppression", "check", "contacts", typed="\n".join(lines) + "\n")
    assert 0 == said.code, said.err
    return said.out.splitlines()


class TestTheTrail:
    """What the audit trail says about somebody is found however their number is written."""

    @pytest.mark.parametrize(("stands", "typed"), [(ABROAD, AT_HOME), (AT_HOME, ABROAD), (ODD, AT_HOME)])
    def test_a_person_is_found_and_proven(self, phones: Firm, tmp_path: Path, stands: str, typed: str) -> None:
        """The hold, its release and the deletion, in the trail and in a proof; nobody else's."""
        written(phones, 3, stands)
        phones("hold", "release", held(phones, typed).out.split()[1])
        for each in phones("hold", "list", "--json").json:
            phones("hold", "release", each["hold_id"])
        enforced(phones)
        found = [each["event"]["event.action"].removeprefix("retention.") for each in traced(phones, typed)]
        assert 1 == found.count("record_deleted")
        assert found.count("hold_placed") == found.count("hold_released") >= 1
        proof = tmp_path / "proof.json"
        assert 0 == phones("audit", "prove", "--subject", "-", "-o", proof, typed=typed).code
        assert "retention.record_deleted" in proof.read_text()
        assert "12345678" not in proof.read_text()

    @pytest.mark.parametrize(("stands", "typed"), [(ABROAD, AT_HOME), (AT_HOME, ABROAD)])
    def test_events_of_before_are_found(self, nowhere: Firm, stands: str, typed: str) -> None:
        """They carry a number as the record wrote it, and both usual ways are looked for."""
        written(nowhere, 3, stands)
        enforced(nowhere)
        assert [] == traced(nowhere, typed)
        nowhere.rewrite(*IN_NL)
        assert 1 == len(deleted(nowhere, typed))

    def test_two_are_not_taken_for_one(self, phones: Firm) -> None:
        """The neighbour's deletion is not found."""
        enforced(phones)
        mine, other = (deleted(phones, typed) for typed in (AT_HOME, OTHER))
        assert 1 == len(mine) == len(other)
        assert mine != other


def deleted(firm: Firm, typed: str) -> list[str]:
    """Return the references of the records of a person that were deleted."""
    events = [each["event"] for each in traced(firm, typed)]
    return [each["retention.record"] for each in events if each["event.action"] == "retention.record_deleted"]


def traced(firm: Firm, typed: str) -> list[dict[str, dict[str, str]]]:
    """Return the events about a person."""
    said = firm("audit", "subject", "-", "--json", typed=f"{typed}\n")
    assert 0 == said.code, said.err
    return list(said.json)


class TestThePolicyFile:
    """`policies check` says what is missed without a country, and refuses one that there is not."""

    def test_a_warning_until_it_is_said(self, nowhere: Firm) -> None:
        """A telephone number that recognises people and no country: works, and may not be what was meant."""
        said = nowhere("policies", "check")
        assert 0 == said.code
        assert "does not keep a record with +31 6 12345678" in " ".join((said.out + said.err).split())
        nowhere.rewrite(*IN_NL)
        said = nowhere("policies", "check")
        assert "+31 6 12345678" not in said.out + said.err

    @pytest.mark.parametrize(
        ("written", "hint"),
        [
            ("UK", "Did you mean 'GB'?"),
            ("NK", "there is no country 'NK'"),
            ("nl", "two capitals"),
            ("Nederland", "two capitals"),
        ],
    )
    def test_no_such_country(self, nowhere: Firm, written: str, hint: str) -> None:
        """Refused before anything is compared by it; and nothing else is said then."""
        nowhere.rewrite(IN_NL[0], f'{IN_NL[0]}country = "{written}"\n')
        said = nowhere("policies", "check")
        assert 2 == said.code
        assert hint in " ".join(said.err.split())
        assert "+31 6 12345678" not in said.err
