"""Treatments in the policy file: read as declared, refused where they can't be carried out, doubted where they hardly help."""

from __future__ import annotations

import pytest

from worker.core.sources import Coarse, Scrubbing, Treatment, TreatmentKind
from worker.policyfile.loading import check_text, loads

HEAD = """version = 1
[organisation]
name = "Office"
timezone = "Europe/Amsterdam"
[sources.people]
connector = "crm"
table = "people"
key = "id"
subject = ["email"]
[sources.people.fields]
email = { type = "email", treatment = "random", domain = "post" }
name = { treatment = "clear" }
note = { treatment = "scrub" }
phone = { type = "phone", treatment = "clear" }
born_on = { type = "date", treatment = { generalise = "year" } }
region = { treatment = { generalise = "region" } }
score = { type = "number", treatment = { generalise = "range", size = 10 } }
member = { type = "boolean", treatment = "clear" }
seen_on = { type = "date" }
[[policies]]
source = "people"
disposition = [{ do = "pseudonymise", then = [{ do = "delete", after = "P1Y" }] }]
[[policies.examples]]
given = { seen_on = 2024-01-01 }
due = 2026-01-01
outcome = "pseudonymise"
"""
FIELDS = '["email", "name", "note", "phone", "born_on", "region", "score", "member"]'
CONTACT = f"""[[policies.purposes]]
id = "contact"
basis = "legitimate-interests"
fields = {FIELDS}
start = "seen_on"
keep = "P2Y"
"""


def said(text: str) -> tuple[list[str], list[str]]:
    """Return the problems and the warnings of a file."""
    report = check_text(text, "x")
    return [str(each) for each in report.problems], [str(each) for each in report.warnings]


def test_sound() -> None:
    """A file with every treatment is read without a word, and each becomes what it says."""
    assert ([], []) == said(HEAD + CONTACT)
    fields = {each.name: each.treatment for each in loads(HEAD + CONTACT, "x").sources["people"].fields}
    assert Treatment(TreatmentKind.RANDOM, domain="post") == fields["email"]
    assert Treatment(TreatmentKind.GENERALISE, coarse=Coarse.YEAR) == fields["born_on"]
    assert Treatment(TreatmentKind.GENERALISE, coarse=Coarse.REGION, size=2) == fields["region"]
    assert Treatment(TreatmentKind.GENERALISE, coarse=Coarse.RANGE, size=10) == fields["score"]
    assert Treatment(TreatmentKind.SCRUB, scrubbing=Scrubbing(("email",), "en", ("NL", "BE", "DE"))) == fields["note"]


@pytest.mark.parametrize(
    ("right", "wrong", "expected"),
    [
        (
            'born_on = { type = "date", treatment = { generalise = "year" } }',
            'born_on = { type = "date", treatment = "pseudonym" }',
            "coarser",
        ),
        ('{ generalise = "year" }', '{ generalise = "day" }', "is not one of month, year, region, range"),
        ('{ generalise = "year" }', '{ generalise = "region" }', "'region' is left of a text, and this is a date"),
        ('{ generalise = "year" }', '{ generalise = "year", size = 2 }', "has no `size`"),
        ('{ generalise = "region" }', '{ generalise = "region", size = 5 }', "a `size` of 1 to 4"),
        ('{ generalise = "region" }', '{ generalise = "month" }', "'month' is left of a date or timestamp, and this is a text"),
        ('{ generalise = "range", size = 10 }', '{ generalise = "range" }', "needs a `size`"),
        ('{ generalise = "range", size = 10 }', '{ generalise = "range", size = 1 }', "needs a `size`"),
        ('{ generalise = "range", size = 10 }', '{ generalise = "range", szie = 10 }', "Did you mean 'size'?"),
        ('type = "boolean", treatment = "clear"', 'type = "boolean", treatment = "random"', "a boolean can only be cleared"),
        ('name = { treatment = "clear" }', 'name = { treatment = "clear", domain = "x" }', "'pseudonym' or 'random' has a domain"),
        ('treatment = "scrub"', 'treatment = { scrub = ["nmae"] }', "Did you mean 'name'?"),
        ('treatment = "scrub"', 'treatment = { scrub = ["note"] }', "is a text that is scrubbed itself"),
        ('treatment = "scrub"', 'treatment = { scrub = ["born_on"] }', "'born_on' is a date"),
        ('treatment = "scrub"', 'treatment = { scrub = ["name"], language = "de" }', "is not one of en, nl"),
        ('treatment = "scrub"', 'treatment = { scrub = ["name"], countries = ["nl"] }', "is not the code of a country"),
        ('treatment = "scrub"', 'treatment = { scrub = ["name"], within = 0 }', "within"),
        ('note = { treatment = "scrub" }', 'note = { type = "phone", treatment = "scrub" }', "'scrub' is for running text"),
    ],
)
def test_refused(right: str, wrong: str, expected: str) -> None:
    """What a field can't hold, or what nobody could look for, is one complaint."""
    assert right in HEAD
    problems, _ = said(HEAD.replace(right, wrong) + CONTACT)
    assert [True] == [expected in each for each in problems], problems


class TestTogether:
    """A text and what it is scrubbed of are treated together, or the text first."""

    LATER = '[[policies.purposes]]\nid = "later"\nbasis = "contract"\nfields = {}\nstart = "seen_on"\nkeep = "P3Y"\n'

    def test_the_text_may_not_be_last(self) -> None:
        """What is treated before the text can't be found in it any more (a step may not destroy what a later one needs)."""
        problems, _ = said(HEAD + CONTACT + self.LATER.format('["note"]'))
        (problem,) = problems
        assert "is scrubbed of 'email', which may be treated before it" in problem

    def test_the_text_may_be_first(self) -> None:
        """What stays longer than the text only costs time, which is said."""
        later = self.LATER.format('["email"]').replace("P3Y", "P2Y")
        problems, warned = said(HEAD + CONTACT + later)
        assert [] == problems
        assert [True] == ["looked at again in every run after it was scrubbed, for as long as 'email' is there" in each for each in warned]

    def test_a_text_that_follows_its_record_is_last(self) -> None:
        """It has no purpose of its own and waits for all others."""
        head = HEAD.replace('note = { treatment = "scrub" }', 'note = { treatment = "scrub", follows = "record" }')
        contact = CONTACT.replace('"note", ', "")
        assert ([], []) == said(head + contact)
        (problem,) = said(head + contact + self.LATER.format('["phone"]'))[0]
        assert "may be treated before it" in problem

    def test_nothing_of_it_matters_where_records_only_go_whole(self) -> None:
        """Without a step that treats, no field is due alone, so nothing is scrubbed."""
        head = HEAD.replace('[{ do = "pseudonymise", then = [{ do = "delete", after = "P1Y" }] }]', '"delete"')
        assert ([], []) == said(head.replace('outcome = "pseudonymise"\n', "").replace('scrub"', 'scrub", personal = true') + CONTACT)


@pytest.mark.parametrize(
    "field",
    [
        'postcode = { treatment = "pseudonym" }',
        'geboortedatum = { treatment = "pseudonym" }',
        'x = { treatment = "pseudonym", column = "dateOfBirth" }',
        'year_of_birth = { treatment = "pseudonym" }',
        'x = { treatment = "pseudonym", values = { m = { en = "you are a man" } } }',
    ],
)
def test_few_values(field: str) -> None:
    """A pseudonym of what takes few values tells by its number alone, so it is doubted."""
    name = field.split()[0]
    text = HEAD.replace("member = {", f"{field}\nmember = {{") + CONTACT.replace('"member"', f'"member", "{name}"')
    problems, warned = said(text)
    assert [] == problems
    assert [True] == ["takes few values" in each for each in warned], warned


@pytest.mark.parametrize(
    "field",
    [
        'tel = { type = "phone", treatment = "pseudonym" }',
        'telefoonnummer = { treatment = "pseudonym" }',
        'x = { treatment = "pseudonym", column = "remoteAddr" }',
        'ip = { treatment = "pseudonym" }',
    ],
)
def test_what_can_all_be_tried(field: str) -> None:
    """Of telephone numbers and IP addresses there are so few that the key opens every pseudonym: that is said, not refused."""
    name = field.split()[0]
    text = HEAD.replace("member = {", f"{field}\nmember = {{") + CONTACT.replace('"member"', f'"member", "{name}"')
    problems, warned = said(text)
    assert [] == problems
    assert 1 == sum("can all be tried" in each for each in warned), warned


@pytest.mark.parametrize("name", ["page", "script", "hotel", "phonetics", "message", "landing", "agenda", "sexton"])
def test_names_that_only_look_alike(name: str) -> None:
    """A part of a word is not the word."""
    text = HEAD.replace("member = {", f'{name} = {{ treatment = "pseudonym" }}\nmember = {{') + CONTACT.replace(
        '"member"', f'"member", "{name}"'
    )
    assert ([], []) == said(text)


def test_nobodys_name() -> None:
    """A text scrubbed of forms alone is doubted."""
    problems, warned = said(HEAD.replace('treatment = "scrub"', "treatment = { scrub = [] }") + CONTACT)
    assert ([], [True]) == (problems, ["knows nobody's name" in each for each in warned])


def test_a_scrubbed_text_is_said_to_be_incomplete() -> None:
    """Whoever checks the file reads that scrubbing misses something; of other treatments nothing is said there."""
    lines = {each.field: each.text for each in check_text(HEAD + CONTACT, "x").fields}
    assert lines["note"].endswith("; treatment: scrub of email, recognisable forms (incomplete: what it does not recognise stays)")
    assert [] == [name for name, text in lines.items() if "treatment" in text and name != "note"]
