"""What differs between two versions of a policy, in words."""

from __future__ import annotations

import pytest

from tests.unit.usecases.test_forecasting import AHEAD
from worker.policyfile import loads
from worker.policyfile.changes import changes, declared_changes


def said(*swaps: tuple[str, str], source: str = "comments") -> tuple[str, ...]:
    """Return what is said about a policy after some texts of the file were exchanged."""
    text = AHEAD
    for old, new in swaps:
        assert old in text
        text = text.replace(old, new)
    before, after = (loads(each, "policies.toml", ["memory"]).policy(source) for each in (AHEAD, text))
    assert before is not None
    assert after is not None
    return changes(before, after)


def test_nothing_is_said_about_what_is_only_for_people() -> None:
    """A description, a comment or another order changes no decision."""
    assert () == said(('id = "abuse"', 'id = "abuse"\ndescription = "Recognising abuse." # since 2020'))


def test_a_purpose_that_changed_says_what_it_was() -> None:
    """Period, start, condition and fields in the words of the file, each as it was and as it is."""
    found = said(
        (
            'fields = ["email"]\nstart = "posted_on"\nkeep = "P1M"',
            'fields = ["email"]\nwhen = { kind = "x" }\nstart = { end_of_month = "posted_on" }\nkeep = "P2M"',
        )
    )
    assert ("purpose abuse: keep P1M -> P2M from the end of month; when none -> kind is x",) == found


def test_purposes_that_come_and_go() -> None:
    """Another id is another purpose."""
    assert (
        "purpose spam is new: spam (legitimate-interests): at most P1M from posted_on",
        "purpose abuse is gone: abuse (legitimate-interests): at most P1M from posted_on",
    ) == said(('id = "abuse"', 'id = "spam"'))


def test_what_belongs_to_no_purpose() -> None:
    """Dispositions, the window, and which fields of the source are declared otherwise."""
    found = said(
        ('  { do = "review", when = { kind = "A reviewer" } },\n', ""),
        ('timezone = "Europe/Amsterdam"\n', 'timezone = "Europe/Amsterdam"\nwindow = "P7D"\n'),
        ('email = { type = "email", treatment = "pseudonym", domain = "answers" }', 'email = { type = "email", treatment = "clear" }'),
    )
    before = "pseudonymise, then delete after P2M when answers > 0, review when kind is A reviewer, delete"
    after = "pseudonymise, then delete after P2M when answers > 0, delete"
    assert (f"disposition {before} -> {after}", "window P0D -> P7D", "source: fields (email) declared otherwise") == found


SMALL = """version = 1
[organisation]
name = "Office"
timezone = "Europe/Amsterdam"
[periods]
short = "P1M"
long = "P1Y"
[facts.seen]
latest = ["people.came_on"]
[sources.people]
connector = "crm"
table = "people"
key = "id"
subject = ["email"]
[sources.people.fields]
email = { type = "email" }
came_on = { type = "date" }
active = { type = "boolean" }
agreed_on = { type = "date", empty = "not_applicable" }
withdrew_on = { type = "date", empty = "not_applicable" }
[sources.people.facts]
parted = { mark = "parted" }
[sources.people.consents]
later = { given = "agreed_on" }
[[policies]]
source = "people"
disposition = "delete"
[[policies.purposes]]
id = "base"
basis = "legitimate-interests"
fields = ["email"]
start = { end_of_fiscal_year = "came_on" }
keep = "short"
[[policies.purposes]]
id = "more"
basis = "consent"
fields = ["email"]
start = "seen"
keep = "P2Y"
"""
_YEARS = "fiscal_years = [{ first = 2020-01-01, last = 2021-06-30 }, { first = 2022-01-01, last = 2022-06-30 }]"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            'keep = "short"',
            'keep = "long"',
            "purpose base: keep P1M from the end of fiscal year (short) -> P1Y from the end of fiscal year (long)",
        ),
        ('keep = "P2Y"', 'keep = "long"', "purpose more: keep P2Y -> P1Y (long)"),
        (
            'keep = "P2Y"',
            'keep = "P2Y"\nwas = [{ keep = "P1Y", through = 2025-12-31 }]',
            "purpose more: was none -> P1Y for events through 2025-12-31",
        ),
        (
            'keep = "P2Y"',
            'keep = "P2Y"\nwas = [{ keep = "P1Y", through = 2025-12-31 }]\nstretch = true',
            "purpose more: was none -> P1Y for what was over on 2025-12-31",
        ),
        (
            'start = { end_of_fiscal_year = "came_on" }\nkeep = "short"',
            'keep = "indefinite"',
            "purpose base: keep P1M from the end of fiscal year (short) -> indefinite; start came_on -> none",
        ),
        ('start = "seen"', 'start = "came_on"', ("purpose more: start seen -> came_on", "fact seen: the latest of people.came_on -> none")),
        (
            'id = "more"',
            'id = "more"\nconsent = ["later", "x"]\nextends = "base"',
            "purpose more: consent none -> later, x; extends none -> base",
        ),
        ('id = "more"', 'id = "more"\nsince = "came_on"', "purpose more: since none -> came_on"),
        ('disposition = "delete"', 'disposition = "delete"\neffective = 2030-01-01', "effective none -> 2030-01-01"),
        ("[periods]", f"{_YEARS}\n[periods]", "fiscal year 12-31 -> 12-31, except 2020-01-01 to 2021-06-30, 2022-01-01 to 2022-06-30"),
        ('later = { given = "agreed_on" }', "", "consent later: given agreed_on -> none"),
        (
            '"agreed_on" }',
            '"agreed_on", withdrawn = "withdrew_on" }',
            "consent later: given agreed_on -> given agreed_on, withdrawn withdrew_on",
        ),
        (
            'latest = ["people.came_on"]',
            'latest = ["people.came_on", "people.agreed_on"]\nnone = "not_yet"',
            "fact seen: the latest of people.came_on -> the latest of people.came_on, people.agreed_on, not yet without any",
        ),
        (
            'start = "seen"',
            'start = { end_of_month = { while = { active = true }, ended = "parted", settling = "P30D" } }',
            (
                (
                    "purpose more: keep P2Y -> P2Y from the end of month; "
                    "start seen -> the end of: active is true, by parted or when it is first seen (settled after P30D)"
                ),
                "fact seen: the latest of people.came_on -> none",
            ),
        ),
        (
            'parted = { mark = "parted" }',
            'parted = { mark = "left", none = "not_yet", planned = true }',
            "fact parted: the mark parted -> the mark left, not yet without any, days ahead are meant",
        ),
        ('parted = { mark = "parted" }', "", "fact parted: the mark parted -> none"),
        (
            'disposition = "delete"',
            'disposition = [{ do = "review", every = "P1Y", then = [{ do = "delete", after = "P5Y" }] }]',
            "disposition delete -> review every P1Y, then delete after P5Y",
        ),
        ('mark = "parted" }', 'mark = "parted", label = { en = "our parting" } }', None),
        ('"people.came_on"]\n', '"people.came_on"]\nlabel = { en = "the last visit" }\n', None),
        ('"agreed_on" }', '"agreed_on", label = { en = "your consent" } }', None),
        ('keep = "short"', 'keep = "P1M"', None),
        ('short = "P1M"', 'short = { keep = "P1M", description = "Why." }', None),
        ('disposition = "delete"', 'disposition = "delete"\nversion = "2"\nowner = "Ada"\nlead = "P1M"\nstatement = "s"', None),
    ],
)
def test_what_each_construct_changes(old: str, new: str, expected: str | tuple[str, ...] | None) -> None:
    """Every member that changes a decision is said in the words of the file, once; what is only for people is not said."""
    before, after = (loads(text, "x").policies[0] for text in (SMALL, SMALL.replace(old, new, 1)))
    assert old in SMALL
    lines = () if expected is None else (expected,) if isinstance(expected, str) else expected
    assert lines == changes(before, after)
    assert (before.digest == after.digest) is (expected is None)


def test_how_a_fact_over_several_sources_joins_records() -> None:
    """What has no words of its own is told by its name, and a fact that a policy does not use is none of its changes."""
    text = SMALL.replace('subject = ["email"]', 'subject = ["email", "phone"]').replace(
        "email = {", 'phone = { type = "phone" }\nemail = {', 1
    )
    text = text.replace('fields = ["email"]', 'fields = ["email", "phone"]')
    assert "source: facts over several sources (seen) declared otherwise" in changes(
        loads(SMALL, "x").policies[0], loads(text, "x").policies[0]
    )
    unused = [each.replace('start = "seen"', 'start = "came_on"') for each in (SMALL, text.replace("[facts.seen]", "[facts.met]"))]
    assert not [line for line in changes(*(loads(each, "x").policies[0] for each in unused)) if "several sources" in line]


def test_how_long_an_event_is_waited_for() -> None:
    """A change of it changes what people look at, and is said."""
    before = SMALL.replace('agreed_on = { type = "date", empty = "not_applicable" }', 'agreed_on = { type = "date", empty = "not_yet" }')
    before = before.replace('start = "seen"', 'start = "agreed_on"\nsince = "came_on"')
    after = before.replace('since = "came_on"', 'since = "came_on"\nwaits = "short"')
    assert ("purpose more: waits none -> P1M",) == changes(*(loads(each, "x").policies[0] for each in (before, after)))


def test_a_new_purpose_says_what_it_waits_for() -> None:
    """The whole of a purpose that comes, long waiting included."""
    text = SMALL.replace('id = "more"', 'id = "other"\nsince = "came_on"')
    assert (
        "purpose other is new: other (consent): at most P2Y from seen, waited for from came_on on",
        "purpose more is gone: more (consent): at most P2Y from seen",
    ) == changes(loads(SMALL, "x").policies[0], loads(text, "x").policies[0])


def test_how_long_a_state_settles() -> None:
    """Another condition or another settling time is told with the whole of the event, as it was and as it is."""
    text = SMALL.replace('start = "seen"', 'start = { while = { active = true }, settling = "P30D" }')
    event = "the end of: active is true, when it is first seen (settled after {})"
    before, after = (loads(each, "x").policies[0] for each in (text, text.replace("P30D", "P7D")))
    assert (f"purpose more: start {event.format('P30D')} -> {event.format('P7D')}",) == changes(before, after)


DECLARED = """
[[attestations]]
id = "cookies"
what = "Cookies expire."
owner = "Web"
every = "P1Y"
[[reviews]]
id = "minors"
what = "Minors."
owner = "Sales"
every = "P6M"
[[gaps]]
id = "letters"
what = "No period for letters."
"""


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("", "", ()),
        ('owner = "Web"\nevery = "P1Y"', 'owner = "Ada"\nevery = "short"', ("attestation cookies: owner Web -> Ada; every P1Y -> P1M",)),
        (
            'every = "P1Y"',
            'every = "P1Y"\nperiod = "a year"\nclause = "5"',
            ("attestation cookies: clause none -> 5; period none -> a year",),
        ),
        ('what = "Minors."', 'what = "Children."', ("review minors: what Minors. -> Children.",)),
        ("letters.", 'letters."\ncategories = ["x", "y"]\nowner = "Ada', ("gap letters: owner none -> Ada; categories none -> x, y",)),
        ('id = "letters"', 'id = "faxes"', ("gap faxes is new: No period for letters.", "gap letters is gone: No period for letters.")),
        ("[[reviews]]", "[[attestations]]", ("attestation minors is new: Minors.", "review minors is gone: Minors.")),
    ],
)
def test_what_no_server_can_enforce(old: str, new: str, expected: tuple[str, ...]) -> None:
    """Everything about a declaration is for people, so everything that changed is told, and no policy has changed."""
    assert old in DECLARED
    before, after = (loads(SMALL + each, "x") for each in (DECLARED, DECLARED.replace(old, new, 1)))
    assert expected == declared_changes(before, after)
    assert () == changes(before.policies[0], after.policies[0])
