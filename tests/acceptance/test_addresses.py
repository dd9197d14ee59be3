"""E-mail addresses with something beside them are the person's all the same, and several in one field are several people's."""

from __future__ import annotations

import datetime as dt

import pytest

from tests.acceptance.conftest import DUE, Firm
from tests.acceptance.test_returning import enforced
from tests.acceptance.test_telephones import WHO, asked, checked, deleted, held

DAY = dt.timedelta(days=1)
MINE, THEIRS = "quirine@firm.example", "anna@firm.example"
NAMED, BOTH = f"Quirine Canary <{MINE.upper()}>", f"{THEIRS}; {MINE}"
UNCLEAR = "it is about somebody else too, so a person decides"


def written(firm: Firm, key: int, email: str) -> None:
    """Write a contact's address in another way."""
    firm.sql("UPDATE contacts SET email = ? WHERE id = ?", email, key)


@pytest.mark.parametrize("stands", [NAMED, f"mailto:{MINE}", BOTH])
@pytest.mark.parametrize("typed", [MINE, f"Q. <{MINE}>"])
def test_a_hold_keeps_its_persons_record(firm: Firm, stands: str, typed: str) -> None:
    """However the record and the person at the keyboard write the address, and whoever else the record names."""
    written(firm, 3, stands)
    held(firm, typed)
    assert 1 == firm("plan", "--json").json["sources"]["contacts"]["held"]
    enforced(firm)
    assert [3] == [key for key in firm.contacts() if key <= DUE]
    assert not any(MINE in each.casefold() for each in firm.everything)


def test_an_erasure_of_an_address_with_a_name(firm: Firm) -> None:
    """The record goes although it was not due, and the trail finds it by the address alone."""
    written(firm, 40, NAMED)
    asked(firm, MINE)
    firm.now += DAY
    enforced(firm)
    assert 40 not in firm.contacts()
    assert 1 == len(deleted(firm, MINE))


def test_an_erasure_of_one_of_two(firm: Firm) -> None:
    """The record stays, the plan says that somebody has to look, and `explain` finds it and says why; a decision by hand ends it."""
    written(firm, 40, BOTH)
    request = asked(firm, MINE).out.split()[1]
    firm.now += DAY
    said = firm("plan", "--json")
    assert 4 == said.code
    assert [(f"{request}: {UNCLEAR}", 1)] == [(each["detail"], each["count"]) for each in said.json["findings"]]
    enforced(firm)
    assert 40 in firm.contacts()
    for who in (MINE, THEIRS):
        (found,) = firm("explain", "--subject", "-", "--json", typed=f"{who}\n").json["records"]
        assert ([40], ["several people in its email, so that nothing ends at the request of one"]) == (found["key"], found["standing"])
    written(firm, 40, THEIRS)
    assert 0 == firm("plan").code
    written(firm, 40, MINE)
    enforced(firm)
    assert 40 not in firm.contacts()


def test_who_was_deleted_under_two_names_is_found_by_both(firm: Firm) -> None:
    """In the trail: the same event for either, and for nobody else."""
    written(firm, 3, BOTH)
    enforced(firm)
    assert 1 == len(deleted(firm, MINE))
    assert deleted(firm, MINE) == deleted(firm, THEIRS) != deleted(firm, "q4@firm.example")


def test_suppressed_with_a_name_and_without(firm: Firm) -> None:
    """An import is told of the address however either is written."""
    firm.rewrite('subject = ["email"]\n', 'subject = ["email"]\nsuppress = { fields = ["email"], keep = "P5Y" }\n')
    written(firm, 3, NAMED)
    enforced(firm)
    assert [THEIRS] == checked(firm, MINE, f"Quirine <{MINE}>", THEIRS)
    said = firm("suppression", "release", "contacts", "-", typed=f"{MINE}\n")
    assert "1 released" in said.out
    assert [MINE, NAMED] == checked(firm, MINE, NAMED)


@pytest.mark.parametrize(
    "command",
    [
        ("hold", "add", "--kind", "legal", "--scope", "subject", "--subject", "-", *WHO),
        ("request", "add", "--kind", "restrict", "--subject", "-"),
        ("explain", "--subject", "-"),
        ("audit", "subject", "-"),
    ],
)
def test_two_typed_on_one_line_are_refused(firm: Firm, command: tuple[str, ...]) -> None:
    """Nobody has both as one address, so nobody would be found and nobody told; what was typed is not repeated."""
    assert 0 == firm("plan").code
    said = firm(*command, typed=f"{BOTH}\n")
    assert 2 == said.code
    assert "type each on a line of its own" in " ".join(said.err.split())
    assert MINE not in said.out + said.err
    assert [] == firm("hold", "list", "--json").json
