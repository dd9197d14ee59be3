"""What each construct of a policy file adds to the papers, and that none is left out by oversight."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from worker.core.declarations import Attestation, Gap, PeriodicReview
from worker.core.model import Disposition, Organisation, Policy, Purpose, Schedule, StandardPeriod, StartEvent, StateEnd, Step
from worker.core.periods import NO_TIME, Period, Term
from worker.core.sources import Consent, Mark, SharedFact, Source
from worker.paper import Lang, RegisterFormat, StatementFormat, register, statement
from worker.paper.languages import language
from worker.paper.register import matrix
from worker.paper.view import view
from worker.paper.wording import duration
from worker.policyfile import load, loads

TODAY = dt.date(2026, 6, 30)
EVERY = load(Path(__file__).parent / "every_construct.toml")
PAPERS: Mapping[str, Callable[[Schedule], str]] = {
    "statement.md": lambda schedule: statement(schedule, Lang.NL, StatementFormat.MARKDOWN, TODAY),
    "register.md": lambda schedule: register(schedule, Lang.NL, RegisterFormat.MARKDOWN),
    "register.html": lambda schedule: register(schedule, Lang.NL, RegisterFormat.HTML),
    "register.csv": lambda schedule: register(schedule, Lang.NL, RegisterFormat.CSV),
}

SAID: Mapping[type, frozenset[str]] = {
    Policy: frozenset(
        {"source", "purposes", "dispositions", "window", "categories", "clause", "statement", "version", "effective", "owner"}
    ),
    Source: frozenset(
        {
            "name",
            "fields",
            "aggregates",
            "controller",
            "controller_name",
            "backups",
            "recipients",
            "consents",
            "shared",
            "label",
            "marks",
            "watch",
            "suppress",
        }
    ),
    Purpose: frozenset(each.name for each in dataclasses.fields(Purpose)),
    Term: frozenset({"period", "anchor", "fiscal_year", "was", "stretch"}),
    Disposition: frozenset({"steps", "when"}),
    Step: frozenset({"kind", "after", "every", "owner"}),
    StartEvent: frozenset({"facts", "combine"}),
    StateEnd: frozenset({"condition", "ended", "settling"}),
    Mark: frozenset({"name", "reading", "label"}),
    Consent: frozenset({"name", "given", "withdrawn", "label"}),
    SharedFact: frozenset({"name", "members", "none", "label"}),
    StandardPeriod: frozenset({"name", "period", "description"}),
    Organisation: frozenset({"name", "fiscal_year", "periods", "owner"}),
    Schedule: frozenset({"organisation", "sources", "policies", "attestations", "reviews", "gaps"}),
    Attestation: frozenset({"what", "owner", "every", "clause", "period"}),
    PeriodicReview: frozenset({"what", "owner", "every", "clause"}),
    Gap: frozenset({"what", "owner", "clause", "categories"}),
}
"""What papers say of each class of the model; an owner of the organisation is that of its policies."""
UNSAID: Mapping[type, frozenset[str]] = {
    Policy: frozenset({"zone", "fiscal_year", "description", "digest", "lead"}),
    Source: frozenset({"connector", "table", "key", "relations", "options", "unchanging"}),
    Term: frozenset({"bound", "extra"}),
    Organisation: frozenset({"zone", "country", "window", "lead", "watch_erasures"}),
    StateEnd: frozenset({"seen"}),
    Mark: frozenset({"mark"}),
    Schedule: frozenset({"facts", "audit_keep"}),
    **dict.fromkeys((Attestation, PeriodicReview, Gap), frozenset({"id"})),
}
"""How things are done, what only we look at, and what is said elsewhere: a term's bound is its purpose's, what a step adds is the step's,
windows are the policies', facts over several sources are their sources'."""

SMALL = """version = 1
[organisation]
name = "Office"
timezone = "Europe/Amsterdam"
[sources.people]
connector = "crm"
table = "people"
key = "id"
subject = ["email"]
label = { nl = "Mensen", en = "People" }
[sources.people.fields]
email = { type = "email", label = { nl = "adres", en = "address" } }
ended_on = { type = "date", empty = "not_yet", label = { nl = "het einde", en = "the end" } }
closed_on = { type = "date", empty = "not_yet", label = { nl = "de sluiting", en = "the closing" } }
came_on = { type = "date", label = { nl = "je komst", en = "your coming" } }
agreed_on = { type = "date", empty = "not_applicable" }
status = { values = { active = { nl = "je klant bent", en = "you are a customer" } } }
[[policies]]
source = "people"
disposition = "delete"
[[policies.purposes]]
id = "base"
label = { nl = "Het begin", en = "The beginning" }
basis = "legitimate-interests"
fields = ["email"]
start = "ended_on"
keep = "P2Y"
[[policies.purposes]]
id = "more"
label = { nl = "Meer", en = "More" }
basis = "consent"
fields = ["email"]
start = "ended_on"
keep = "P3Y"
"""
"""A file to which constructs are added: after a line, or in the place of one."""

_YEAR = "fiscal_years = [{ first = 2020-01-01, last = 2021-06-30 }]"
_MARCH = "was = [{ keep = 'P1Y', through = 2020-03-31 }]"
_ASKED = "[sources.people.consents.later]\ngiven = 'agreed_on'\nlabel = { nl = 'je toestemming voor later' }\n[[policies]]"
_ADDED = {"[[policies]]": _ASKED, 'basis = "consent"': "basis = 'consent'\nconsent = 'later'"}
_START_OF = 'start = "ended_on"\nkeep = "P2Y"'
_PARTED = "[sources.people.facts]\nparted = { mark = 'x', none = 'not_yet', label = { nl = 'ons afscheid' } }\n[[policies]]"
_MARK = {"[[policies]]": _PARTED}
_ATTESTATION = "[[attestations]]\nid = 'a'\nwhat = 'Cookies.'\nclause = '5'\nowner = 'Web'\nevery = 'P6M'\nperiod = 'a year'\n[[policies]]"
_ATTESTED = {"[[policies]]": _ATTESTATION}
ADDED: list[tuple[dict[str, str], str, str]] = [
    (
        {'key = "id"': "key = 'id'\nwatch = 'P1Y'\nunchanging = ['came_on', 'email']"},
        "statement.md",
        "een kenmerk, met een geheime sleutel gemaakt, dat zegt of ze terugkomen.",
    ),
    (
        {'key = "id"': "key = 'id'\nsuppress = { fields = ['email'], keep = 'P5Y' }"},
        "statement.md",
        "Tot vijf jaar na het verwijderen bewaren we een kenmerk, met een geheime sleutel, dat een import tegenhoudt.",
    ),
    (
        {'keep = "P2Y"': "keep = 'two'", "[sources.people]": "[periods]\ntwo = 'P2Y'\n[sources.people]"},
        "register.md",
        "maximaal twee jaar (two)",
    ),
    (
        {'keep = "P2Y"': "keep = 'two'", "[sources.people]": "[periods]\ntwo = { keep = 'P2Y', description = 'Why' }\n[sources.people]"},
        "register.md",
        "- two: twee jaar (Why)",
    ),
    (
        {"[sources.people]": f"{_YEAR}\n[sources.people]", 'start = "ended_on"': "start = { end_of_fiscal_year = 'ended_on' }"},
        "register.html",
        "Afwijkende boekjaren: 1 januari 2020 tot en met 30 juni 2021.",
    ),
    ({"[sources.people]": "owner = 'The board'\n[sources.people]"}, "register.md", "| The board |"),
    ({'disposition = "delete"': "disposition = 'delete'\nowner = 'Sales'"}, "register.csv", "Sales"),
    (
        {'disposition = "delete"': "disposition = 'delete'\nversion = '2'\neffective = 2020-01-01"},
        "register.md",
        "2, geldt vanaf 1 januari 2020",
    ),
    ({'disposition = "delete"': "disposition = 'delete'\nstatement = 'Privacy'\nclause = '4'"}, "register.md", "| Privacy: 4 |"),
    ({'key = "id"': "key = 'id'\nrecipients = ['the post']"}, "statement.md", "We delen deze gegevens met the post."),
    ({'id = "more"': "id = 'more'\nrecipients = ['the bank', 'us']"}, "statement.md", "Hiervoor delen we ze met the bank en us."),
    (
        {'key = "id"': "key = 'id'\nrecipients = ['the post']", 'id = "more"': "id = 'more'\nrecipients = ['the bank', 'the post']"},
        "register.md",
        "| the post, the bank |",
    ),
    (
        {'key = "id"': "key = 'id'\nbackups = 'P35D'"},
        "statement.md",
        "verwijderen we de gegevens. Uiterlijk 35 dagen na het verwijderen zijn de gegevens ook uit onze back-ups verdwenen.",
    ),
    ({'key = "id"': "key = 'id'\nprocessor = true"}, "statement.md", "in opdracht van een klant, die erover beslist."),
    (
        {'key = "id"': "key = 'id'\nprocessor = true\ncontroller_name = 'Cedar'"},
        "statement.md",
        "in opdracht van Cedar, die erover beslist. Je verzoeken geven we aan Cedar door.",
    ),
    (
        {'keep = "P2Y"': f"keep = 'P2Y'\n{_MARCH}"},
        "statement.md",
        "Viel het einde op of vóór 31 maart 2020, dan geldt de kortere termijn van een jaar die we toen beloofden.",
    ),
    (
        {'keep = "P2Y"': f"keep = 'P2Y'\n{_MARCH}\nstretch = true"},
        "register.md",
        "maximaal twee jaar. Liep de eerdere termijn van een jaar uiterlijk op 31 maart 2020 af, dan blijft het daarbij.",
    ),
    (_ADDED, "statement.md", "Als je ons je toestemming voor later gaf, bewaren we deze gegevens tot maximaal drie jaar na het einde"),
    (_ADDED, "statement.md", "tenzij je eerder je toestemming voor later intrekt."),
    (
        _ADDED | {'id = "more"': "id = 'more'\nextends = 'base'"},
        "statement.md",
        "gaf voordat de termijn van “Het begin” voorbij was, bewaren we deze gegevens in plaats daarvan tot maximaal drie jaar",
    ),
    (
        _ADDED | {'basis = "consent"': "basis = 'consent'\nconsent = ['later', 'more_of_it']"},
        "statement.md",
        "tenzij je eerder je toestemming voor later of je toestemming “more of it” intrekt.",
    ),
    (
        {'keep = "P2Y"': "keep = 'P2Y'\nsince = 'came_on'"},
        "statement.md",
        "Laat het einde, gerekend vanaf je komst, langer dan twee jaar op zich wachten, dan kijkt een van ons ernaar.",
    ),
    (
        {'keep = "P2Y"': "keep = 'P2Y'\nsince = 'came_on'\nwaits = 'P6M'"},
        "statement.md",
        "Laat het einde, gerekend vanaf je komst, langer dan zes maanden op zich wachten, dan kijkt een van ons ernaar.",
    ),
    (
        {'start = "ended_on"\nkeep = "P2Y"': "start = { latest_of = ['ended_on', 'came_on', 'agreed_on'] }\nkeep = 'P2Y'"},
        "statement.md",
        "Laat het einde, gerekend vanaf je komst of, als dat later is, “agreed on”, langer dan twee jaar op zich wachten",
    ),
    (
        {
            'start = "ended_on"': "start = { end_of_month = { all_of = ['ended_on', 'closed_on'] } }",
            'keep = "P2Y"': "keep = 'P2Y'\nsince = 'came_on'",
        },
        "register.html",
        "Laat het einde of de sluiting, gerekend vanaf het einde van de maand waarin je komst of, als dat later is, de rest valt, langer",
    ),
    (
        {
            "[sources.people]": "[facts.seen]\nlatest = ['people.came_on']\nlabel = { nl = 'het laatste contact' }\n[sources.people]",
            'start = "ended_on"\nkeep = "P3Y"': "start = 'seen'\nwhen = { seen = { gt = 2020-01-31 } }\nkeep = 'P3Y'",
        },
        "statement.md",
        "Als het laatste contact na 31 januari 2020 valt, bewaren we deze gegevens tot maximaal drie jaar na het laatste contact",
    ),
    (
        {
            "[sources.people]": "[facts.seen_at]\nlatest = ['people.came_on']\nnone = 'not_yet'\n[sources.people]",
            'start = "ended_on"\nkeep = "P2Y"': "start = 'seen_at'\nsince = 'came_on'\nkeep = 'P2Y'",
        },
        "statement.md",
        "twee jaar na “seen at”. Laat “seen at”, gerekend vanaf je komst, langer dan twee jaar op zich wachten",
    ),
    (
        {'keep = "P2Y"': "keep = 'P0D'\nsince = 'came_on'"},
        "statement.md",
        "tot het einde. Moet het einde na je komst nog komen, dan kijkt een van ons ernaar.",
    ),
    (
        {_START_OF: "start = 'came_on'\nmarketing = true\nkeep = 'P0D'"},
        "statement.md",
        "tot je komst, tenzij je eerder bezwaar maakt tegen direct marketing.",
    ),
    (
        {_START_OF: "start = 'ended_on'\nsince = 'came_on'\nwhen = { ended_on = { exists = false } }\nkeep = 'P2Y'"},
        "statement.md",
        "langer dan twee jaar op zich wachten",
    ),
    (
        _MARK | {_START_OF: "start = 'parted'\nsince = 'came_on'\nkeep = 'P2Y'"},
        "statement.md",
        "twee jaar na ons afscheid. Laat ons afscheid, gerekend vanaf je komst, langer dan twee jaar op zich wachten",
    ),
    (_MARK | {'id = "more"': "id = 'more'\nwhen = { parted = { exists = true } }"}, "register.csv", "ons afscheid is vastgelegd"),
    (
        {_START_OF: "start = { while = { status = 'active' } }\nkeep = 'P2Y'"},
        "statement.md",
        "tot maximaal twee jaar na het einde van de tijd waarin je klant bent. Daarbij telt de dag waarop we voor het eerst zien dat",
    ),
    (
        {_START_OF: "start = { end_of_month = { while = { status = 'active' }, ended = 'agreed_on' } }\nkeep = 'P2Y'"},
        "register.md",
        "het einde van de maand waarin het einde van de tijd waarin je klant bent (“agreed on”, als die dag is vastgelegd) valt",
    ),
    (
        {_START_OF: "start = { while = { status = 'active' }, ended = 'agreed_on' }\nkeep = 'P2Y'"},
        "statement.md",
        "Is het einde niet vastgelegd, dan telt de dag waarop we voor het eerst zien dat het voorbij is.",
    ),
    (
        {_START_OF: "start = { while = { status = 'active' }, settling = 'P30D' }\nkeep = 'P7D'"},
        "register.html",
        "Daarna wachten we minstens 30 dagen, voor het geval dat niet klopte.",
    ),
    (
        {'disposition = "delete"': "disposition = [{ do = 'review', every = 'P1Y', then = [{ do = 'delete', after = 'P2Y' }] }]"},
        "statement.md",
        "Daarna beslist een medewerker wat er met de gegevens gebeurt (en hoogstens een jaar later opnieuw) en twee jaar later verwijderen",
    ),
    (
        {'disposition = "delete"': "owner = 'Us'\ndisposition = [{ do = 'review', owner = 'Me' }]"},
        "register.md",
        "| Us; beoordeling door Me |",
    ),
    ({'disposition = "delete"': "disposition = [{ do = 'review', owner = 'Me' }]"}, "register.csv", "beoordeling door Me"),
    (_ATTESTED, "register.md", "| Cookies. | verklaring | a year | zes maanden | 5 | Web |"),
    (_ATTESTED, "register.html", '<td data-title="Wat">Cookies.</td><td data-title="Soort">verklaring</td>'),
    (
        {"[[policies]]": "[[reviews]]\nid = 'a'\nwhat = 'Minors.'\nowner = 'Web'\nevery = 'P6M'\n[[policies]]"},
        "register.md",
        "| periodieke controle |",
    ),
    (
        {"[[policies]]": "[[gaps]]\nid = 'a'\nwhat = 'Letters.'\ncategories = ['x', 'y']\n[[policies]]"},
        "register.md",
        "| Letters. | leemte | x, y |",
    ),
]
NOT_ADDED: list[tuple[dict[str, str], str]] = [
    ({'keep = "P2Y"': "keep = 'P2Y'\nwas = [{ keep = 'P24M', through = 2020-03-31 }]"}, "31 maart 2020"),
    ({'start = "ended_on"\nkeep = "P2Y"': "start = 'came_on'\nsince = 'agreed_on'\nkeep = 'P2Y'"}, "op zich wachten"),
    ({'start = "ended_on"\nkeep = "P2Y"': "start = { earliest_of = ['ended_on', 'came_on'] }\nkeep = 'P2Y'"}, "op zich wachten"),
    (
        {_START_OF: "start = 'ended_on'\nsince = 'came_on'\nwhen = { ended_on = { exists = true } }\nkeep = 'P2Y'"},
        "op zich wachten",
    ),
    ({'key = "id"': "key = 'id'\nbackups = 'P0D'"}, "back-ups"),
    ({'key = "id"': "key = 'id'\nbackups = 'P35D'", 'disposition = "delete"': "disposition = 'review'"}, "back-ups"),
    (
        {'key = "id"': "key = 'id'\nwatch = 'P1Y'\nunchanging = ['email']", 'disposition = "delete"': "disposition = 'review'"},
        "terugkomen",
    ),
    ({'key = "id"': "key = 'id'\nprocessor = true"}, "tenzij je eerder je toestemming intrekt"),
    ({_START_OF: "start = { while = { status = 'active' }, settling = 'P30D' }\nkeep = 'P2Y'"}, "wachten we minstens"),
    ({'disposition = "delete"': "owner = 'Us'\ndisposition = [{ do = 'review', owner = 'Zoë' }]"}, "Zoë"),
    (_ATTESTED, "Cookies"),
]


def swapped(swaps: Mapping[str, str]) -> Schedule:
    """Return the small file with texts in the place of others."""
    text = SMALL
    for old, new in swaps.items():
        assert old in text
        text = text.replace(old, new, 1)
    return loads(text, "x")


class TestWhatEachConstructAdds:
    """Nothing of a file is left out by oversight."""

    @pytest.mark.parametrize("kind", SAID)
    def test_every_member_was_thought_of(self, kind: type) -> None:
        """Who gives the model a member decides here whether papers say it, and adds what they say to the next test."""
        members = {each.name for each in dataclasses.fields(kind)}
        assert members == SAID[kind] | UNSAID.get(kind, frozenset())
        assert not SAID[kind] & UNSAID.get(kind, frozenset())

    @pytest.mark.parametrize(("swaps", "paper", "said"), ADDED)
    def test_what_is_said(self, swaps: dict[str, str], paper: str, said: str) -> None:
        """With a construct its paper says so in words, without it it does not."""
        assert said in PAPERS[paper](swapped(swaps))
        assert said not in PAPERS[paper](loads(SMALL, "x"))

    @pytest.mark.parametrize(("swaps", "said"), NOT_ADDED)
    def test_what_makes_no_difference_is_not_said(self, swaps: dict[str, str], said: str) -> None:
        """No promise that changes nothing, no waiting that can't be, no backups of what stays, no withdrawal that nobody carries out."""
        assert said not in statement(swapped(swaps), Lang.NL, StatementFormat.MARKDOWN, TODAY)

    def test_not_in_force(self) -> None:
        """The day decides whether a policy is part of the statement."""
        said = [statement(EVERY, Lang.EN, StatementFormat.MARKDOWN, day) for day in (dt.date(2098, 12, 31), dt.date(2099, 1, 1))]
        assert [False, True] == ["## Visits" in each for each in said]

    def test_of_several_promises_those_that_count(self) -> None:
        """A period that is no shorter than all after it changes nothing, and is not said."""
        (row,) = [each for _, each in view(EVERY, language(Lang.EN)).rows if each.purpose == "use"]
        day = "If the last of the closing of your account and the end of the agreement (once all have happened) was on or before"
        assert (
            f"{day} 31 December 2018, the shorter period of six months that we promised then applies.",
            f"{day} 31 December 2019, the shorter period of one year that we promised then applies.",
        ) == row.notes[1:]

    def test_a_class_is_a_period_by_name(self) -> None:
        """A standard period is a column of its own; another purpose that is as long stands beside it."""
        found = matrix(view(EVERY, language(Lang.NL)), language(Lang.NL))
        assert ("drie jaar (guest-book)", "zeven jaar (tax)", "zeven jaar", "geen vaste einddatum") == found.periods[-4:]
        month = "het einde van de maand waarin het sluiten van je account valt"
        assert ("Accounts | *klanten*: De helpdesk",) == found.cells[month, "zeven jaar"]

    def test_no_time_at_all(self) -> None:
        """A shorter period of no days is said as such."""
        assert ("0 dagen", "0 days", "een jaar") == (
            *(duration(NO_TIME, language(lang)) for lang in (Lang.NL, Lang.EN)),
            duration(Period(years=1), language(Lang.NL)),
        )

    def test_who_only_processes_promises_nothing(self) -> None:
        """Where somebody else decides about requests, none ends a purpose; a withdrawal that the record states does."""
        processor = {
            'key = "id"': "key = 'id'\nprocessor = true",
            "[[policies]]": _ASKED,
            'start = "ended_on"\nkeep = "P3Y"': "keep = 'indefinite'",
        }
        processor['basis = "consent"'] = "basis = 'consent'\nconsent = 'later'\nmarketing = true"
        stated = processor | {"[[policies]]": _ASKED.replace("'agreed_on'", "'agreed_on'\nwithdrawn = 'came_on'")}
        found = [view(swapped(each), language(Lang.EN)).sections[0].rows[1].sentence for each in (processor, stated)]
        assert [
            "If you gave us your consent, we keep these data without a fixed end date.",
            "If you gave us your consent, we keep these data until you withdraw your consent.",
        ] == found
