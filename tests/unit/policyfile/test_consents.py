"""Consents in a policy file: what a right declaration becomes, and what is said about a wrong one."""

from __future__ import annotations

import pytest

from worker.core.model import Policy
from worker.core.periods import Period
from worker.core.sources import ANSWERED, Consent
from worker.policyfile import loads
from worker.policyfile.loading import check_text
from worker.policyfile.retention import purpose_in_words

TEXT = """\
version = 1
[organisation]
name = "Office"
timezone = "Europe/Amsterdam"

[sources.applications]
connector = "application_files"
table = "applications"
key = "folder"
subject = ["email"]
[sources.applications.fields]
email = { type = "email" }
ended_on = { type = "date", empty = "not_yet" }
received_on = { type = "date" }
applied_at = { type = "timestamp", timezone = "UTC", empty = "not_applicable" }
agreed_on = { type = "date", empty = "not_applicable" }
withdrew_on = { type = "date", empty = "not_applicable" }
hired = { type = "boolean" }
[sources.applications.consents]
application = { given = "applied_at" }
future-use = { given = "agreed_on", withdrawn = "withdrew_on" }

[[policies]]
source = "applications"
disposition = "delete"
[[policies.purposes]]
id = "application"
basis = "legitimate-interests"
fields = ["email"]
start = "ended_on"
keep = "P4W"
since = "received_on"
[[policies.purposes]]
id = "later"
basis = "consent"
consent = ["application", "future-use"]
extends = "application"
fields = ["email"]
start = "ended_on"
keep = "P1Y"
[[policies.examples]]
given = { ended_on = 2026-03-02, applied_at = 2026-01-05, agreed_on = 2026-03-30, withdrew_on = { is = "not_applicable" } }
due = 2027-03-02
[[policies.examples]]
given = { ended_on = { is = "not_yet" }, received_on = 2026-01-05, applied_at = 2026-01-05, agreed_on = { is = "not_applicable" } }
due = 2026-02-02
outcome = "review"
"""


def policy(text: str) -> Policy:
    """Return the one policy of a text."""
    return loads(text, "policies.toml").policies[0]


def test_becomes_the_model() -> None:
    """Names, facts and what is prolonged arrive as they were written, and a decision reads every fact that they name."""
    found = policy(TEXT)
    assert (Consent("application", "applied_at"), Consent("future-use", "agreed_on", "withdrew_on")) == found.source.consents
    first, second = found.purposes
    assert ((), None, "received_on") == (first.consents, first.extends, first.since)
    assert (("application", "future-use"), "application", None) == (second.consents, second.extends, second.since)
    assert ("ended_on", "received_on", "applied_at", "agreed_on", "withdrew_on", ANSWERED) == found.deciding
    assert "while the consent application and future-use stands, if it was given before the end of application" in purpose_in_words(second)


def test_how_long_an_event_is_waited_for() -> None:
    """A period, or the name of one, becomes part of the policy's version; said in words, and without it nothing changes."""
    named = policy(TEXT.replace('since = "received_on"', 'since = "received_on"\nwaits = "patience"') + '[periods]\npatience = "P4W"\n')
    plain = policy(TEXT.replace('since = "received_on"', 'since = "received_on"\nwaits = "P4W"'))
    assert named.digest == plain.digest != policy(TEXT).digest
    assert (Period(weeks=4), None) == (plain.purposes[0].waits, plain.purposes[1].waits)
    assert ("application (legitimate-interests): at most P4W from ended_on, waited for from received_on on for P4W") == purpose_in_words(
        plain.purposes[0]
    )


def test_one_name_is_a_list_of_one() -> None:
    """A purpose that rests on one consent says so by its name alone."""
    listed = TEXT.replace('["application", "future-use"]', '["future-use"]')
    assert policy(listed).digest == policy(listed.replace('["future-use"]', '"future-use"')).digest != policy(TEXT).digest


def test_order_is_not_part_of_the_version() -> None:
    """The consents of a purpose and of a source may be written in any order."""
    other = TEXT.replace('["application", "future-use"]', '["future-use", "application"]')
    assert policy(other).digest == policy(TEXT).digest


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ('"agreed_on"', '"agred_on"', "there is no fact \"agred_on\". Did you mean 'agreed_on'?"),
        ('"withdrew_on" }', '"hired" }', "'hired' is a boolean; a consent is given and withdrawn on a day"),
        ('withdrawn = "withdrew_on"', 'withdrawn = "agreed_on"', "so it would never be in force"),
        ('withdrawn = "withdrew_on"', 'withdrwan = "withdrew_on"', "Did you mean 'withdrawn'?"),
        ('given = "agreed_on", ', "", "'given' is missing"),
        ("future-use = {", '"Future use" = {', "is not a name of small letters"),
        ('["application", "future-use"]', "[]", "must not be empty"),
        ('["application", "future-use"]', "3", "must be a name or a list of names"),
        ('["application", "future-use"]', '["future-use", "future-use"]', "'future-use' is listed twice"),
        ('["application", "future-use"]', '"news"', "nobody knows when its consent was given"),
        ('extends = "application"', 'extends = "aplication"', "there is no purpose \"aplication\". Did you mean 'application'?"),
        ('extends = "application"', 'extends = "later"', "'later' prolongs itself"),
        ('basis = "consent"\nconsent = ["application", "future-use"]', 'basis = "contract"', "nobody knows when its consent was given"),
        ('since = "received_on"', 'since = "recieved_on"', "there is no fact \"recieved_on\". Did you mean 'received_on'?"),
        ('since = "received_on"', 'since = "hired"', "'hired' is a boolean; a period runs from a date"),
        ('keep = "P4W"', 'keep = "P4W"\nwaits = "patience"', 'there is no period "patience"'),
        ('keep = "P1Y"', 'keep = "P1Y"\nwaits = "P1Y"', "there is nothing to wait for"),
        ('start = "ended_on"\nkeep = "P4W"\nsince', 'keep = "indefinite"\nsince', "there is no `start` that could be waited for"),
    ],
)
def test_each_problem(right: str, wrong: str, said: str) -> None:
    """A wrong declaration is refused with what is wrong and the nearest right name, once."""
    assert right in TEXT
    report = check_text(TEXT.replace(right, wrong, 1), "policies.toml")
    assert [True] == [said in str(each) for each in report.problems]


def test_a_circle_is_refused() -> None:
    """Purposes that prolong each other would have no end to count from; each of them is named."""
    second = TEXT[TEXT.index('[[policies.purposes]]\nid = "later"') : TEXT.index("[[policies.examples]]")]
    third = second.replace('id = "later"', 'id = "latest"').replace('extends = "application"', 'extends = "later"')
    fine = TEXT.replace(second, second + third)
    assert () == check_text(fine, "policies.toml").problems
    circle = fine.replace('extends = "application"', 'extends = "latest"')
    assert ["prolongs itself" in str(each) for each in check_text(circle, "policies.toml").problems] == [True, True]


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ('["application", "future-use"]', '["future-use", "futur-uses"]', "'futur-uses', so it is in force until a request withdraws it"),
        (
            'withdrew_on = { type = "date", empty = "not_applicable" }',
            'withdrew_on = { type = "date" }',
            "'withdrew_on' is unknown where there is no day, so a consent that was not withdrawn is undetermined",
        ),
    ],
)
def test_each_warning(right: str, wrong: str, said: str) -> None:
    """What works and was hardly meant is said."""
    assert () == check_text(TEXT, "policies.toml").warnings
    report = check_text(TEXT.replace(right, wrong, 1), "policies.toml")
    assert () == report.problems
    assert [True] == [said in str(each) for each in report.warnings]
