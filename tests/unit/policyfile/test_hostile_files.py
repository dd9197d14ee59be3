"""Files that nobody meant: whatever stands in them, the checker answers with problems, and nothing becomes due of it."""

from __future__ import annotations

import datetime as dt
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import RULE
from worker.core.decide import Due, Partly, Waiting, decide
from worker.core.facts import Fact, FieldType, Known, NotApplicable, Unknown
from worker.core.model import Policy, Schedule
from worker.core.select import definition, due, undetermined
from worker.core.sources import ANSWERED
from worker.core.standing import NOTHING
from worker.errors import ConfigurationError
from worker.policyfile.loading import check_text

WHOLE = """\
version = 1

[organisation]
name = "Office"
timezone = "Africa/Cairo"
fiscal_year_ends = "06-30"
window = "week"
lead = "P30D"
owner = "The board"

[[organisation.fiscal_years]]
first = 2022-07-01
last = 2023-12-31

[periods]
week = "P7D"
tax = { keep = "P7Y", description = "Tax law." }

[facts.last_contact]
latest = ["people.met_on", "mails.sent_on"]
none = "unknown"

[sources.people]
connector = "crm"
table = "people"
key = "id"
subject = ["email"]
backups = "P35D"

[sources.people.fields]
name = { treatment = "clear" }
email = { type = "email", treatment = "pseudonym" }
status = {}
met_on = { type = "date", empty = "not_applicable" }
ended_on = { type = "date", empty = "not_yet", planned = true }
agreed_on = { type = "date", empty = "not_applicable" }
withdrew_at = { type = "timestamp", timezone = "UTC", empty = "not_applicable" }

[sources.people.facts]
relation_ended = { mark = "relation-ended", none = "not_yet" }

[sources.people.consents.longer]
given = "agreed_on"
withdrawn = "withdrew_at"

[[policies]]
source = "people"
version = "2"
effective = 2020-01-01
disposition = [
  { do = "review", every = "P1Y", owner = "Sales", when = { status = "important" } },
  { do = "pseudonymise", then = [{ do = "delete", after = "P1Y" }] },
]

[[policies.purposes]]
id = "contact"
basis = "legitimate-interests"
fields = ["name", "email"]
start = { latest_of = ["last_contact", "relation_ended"] }
keep = "P2Y"
since = "met_on"
was = [{ keep = "P1Y", through = 2019-12-31 }, { keep = "week", through = 2021-12-31 }]
stretch = true

[[policies.purposes]]
id = "tax"
basis = "legal-obligation"
bound = "floor"
fields = ["name"]
when = { any = [{ status = ["client", "former"] }, { not = { met_on = { lt = 2000-01-01 } } }] }
start = { end_of_fiscal_year = "ended_on" }
keep = "tax"

[[policies.purposes]]
id = "relation"
basis = "contract"
fields = ["email"]
start = { while = { status = ["lead", "client"] }, ended = "ended_on", settling = "P30D" }
keep = "P1M"

[[policies.purposes]]
id = "longer"
basis = "consent"
consent = "longer"
extends = "contact"
fields = ["name", "email"]
start = "agreed_on"
keep = "P5Y"

[sources.mails]
connector = "crm"
table = "mails"
key = "id"
subject = ["sender"]
fields = { sender = { type = "email" }, sent_on = { type = "date" } }

[[attestations]]
id = "cookies"
what = "The cookie goes after a year."
owner = "The web desk"
every = "P1Y"
period = "P1Y"

[[reviews]]
id = "paper"
what = "The paper archive."
owner = "The board"
every = "week"

[[gaps]]
id = "photos"
what = "Nobody said how long."
categories = ["photos"]
"""

_HUGE = (
    "P9999Y",
    "P99999999Y",
    f"P{'9' * 5000}D",
    "P0D",
    "P1Y1Y",
    "-P1Y",
    "P\u0661Y",
    "9999-12-31",
    "\u200b",
    "\u202eti\u0301me",
    "\U0001f4a3" * 300,
)
_ENDS = (dt.date.min, dt.date(1970, 1, 1), dt.date(2024, 2, 29), dt.date.max)
_NAMES = (
    "tax",
    "week",
    "people",
    "last_contact",
    "contact",
    "longer",
    "met_on",
    "ended_on",
    "relation_ended",
    "status",
    "not_yet",
    "indefinite",
)
_KEYS = ("latest_of", "while", "ended", "settling", "any", "not", "is", "do", "every", "mark", "keep", "through", "lt", "x")
VALUES = st.recursive(
    st.one_of(
        st.sampled_from((*_HUGE, *_ENDS, *_NAMES, *_NAMES)),
        st.sampled_from((10**40, -(2**63), 2**63 - 1, float("inf"), float("nan"), True, dt.time.max, dt.datetime.max)),
        st.text(max_size=4),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(_KEYS), inner, max_size=3)),
    max_leaves=4,
)


def _written(value: object) -> str:
    """Return a value as TOML."""
    match value:
        case dict():
            return "{ " + ", ".join(f"{json.dumps(key)} = {_written(each)}" for key, each in value.items()) + " }"
        case list():
            return "[" + ", ".join(_written(each) for each in value) + "]"
        case bool():
            return str(value).lower()
        case str():
            return json.dumps(value).replace("\\ud", "x") if not value.isprintable() else json.dumps(value, ensure_ascii=False)
        case dt.date() | dt.time():
            return value.isoformat()
        case _:
            return str(value)


@st.composite
def _broken(draw: st.DrawFn) -> str:
    """Draw the whole language with a few other values, and with tables dropped, doubled or cut off."""
    lines = WHOLE.split("\n")
    places = [place for place, line in enumerate(lines) if line]
    for place in draw(st.lists(st.sampled_from(places), min_size=1, max_size=3, unique=True)):
        key, equals, value = lines[place].partition(" = ")
        how = draw(st.sampled_from(("value", "value", "value", "inner", "inner", "drop", "double", "cut")))
        if how == "drop":
            lines[place] = ""
        elif how == "double":
            lines[place] += "\n" + lines[place]
        elif how == "cut":
            lines[place] = lines[place][: draw(st.integers(0, len(lines[place])))]
        elif how == "inner" and " = " in value:
            inner, _, rest = value.rpartition(" = ")
            end = min(found for found in (rest.find(","), rest.find(" }"), len(rest)) if found >= 0)
            lines[place] = f"{key} = {inner} = {_written(draw(VALUES))}{rest[end:]}"
        elif equals:
            lines[place] = f"{key} = {_written(draw(VALUES))}"
    return "\n".join(lines)


_PLACES = list(re.finditer(r'"P[0-9]+[YMWD]"|[0-9]{4}-[0-9]{2}-[0-9]{2}', WHOLE))


@st.composite
def _extreme(draw: st.DrawFn) -> str:
    """Draw the whole language with other periods and days, at the ends of the calendar and far beyond."""
    text = WHOLE
    # From the end, so that the places before stay where they are.
    for place in sorted(draw(st.lists(st.sampled_from(_PLACES), min_size=1, max_size=3, unique=True)), key=re.Match.start, reverse=True):
        is_period = place[0].startswith('"')
        others = ('"P0D"', '"P9999Y"', '"P99999999Y"', '"P7000Y99999M"') if is_period else ("0001-01-01", "9999-12-31", "2024-02-29")
        text = text[: place.start()] + draw(st.sampled_from(others)) + text[place.end() :]
    return text


def _facts(policy: Policy, on: dt.date | None) -> dict[str, Fact]:
    """Return facts of which every day is the given one and nothing else is known; without a day nothing is."""

    def fact(name: str) -> Fact:
        if on is None:
            return Unknown("garbage")
        is_day = not policy.visible(name) or _type(policy, name) in (FieldType.DATE, FieldType.TIMESTAMP)
        return Known(on) if is_day else Known("client")

    return {name: NotApplicable() if name == ANSWERED else fact(name) for name in policy.deciding}


def _type(policy: Policy, name: str) -> FieldType | None:
    declared = definition(policy.source, name)
    return declared.reading.type if declared.reading is not None else None


def assert_nothing_due(schedule: Schedule) -> None:
    """Assert that what is unknown, and what happened today, is due today under none of the policies, on any day of the calendar."""
    for policy in schedule.policies:
        for today in (dt.date.min, dt.date(2026, 7, 1), dt.date.max):
            for facts in (_facts(policy, None), _facts(policy, today)):
                outcome = decide(facts, policy, NOTHING, today).outcome
                assert not isinstance(outcome, Due | Partly | Waiting), outcome
            due(policy, today)
            undetermined(policy, today)


def test_the_whole_language_is_read() -> None:
    """The file that is broken below is right as it stands, so that what is broken is what was meant to be."""
    report = check_text(WHOLE, "x")
    assert () == report.problems
    assert report.schedule is not None
    assert_nothing_due(report.schedule)


@RULE
@given(st.one_of(_broken(), _extreme()))
def test_broken_files(text: str) -> None:
    """Any construct of the language with any value is refused with a problem or read; what is read makes nothing due that just happened."""
    try:
        report = check_text(text, "x")
    except ConfigurationError:
        return
    assert (report.schedule is None) == bool(report.problems)
    if report.schedule is not None:
        assert_nothing_due(report.schedule)


@pytest.mark.parametrize("depth", [50, 400, 5000])
@pytest.mark.parametrize(("open_", "close"), [("[", "]"), ("{a = ", "}")])
def test_values_nested_beyond_reason(depth: int, open_: str, close: str) -> None:
    """However deep values lie in each other, there is an answer, also where it is only noticed when the line of a mistake is looked for."""
    text = f"version = 1\norganisation = {open_ * depth}1{close * depth}\n"
    said: set[str] = set()
    try:
        said.update(each.where for each in check_text(text, "policies.toml").problems)
    except ConfigurationError as error:
        said.add(str(error))
    deep = "policies.toml: values are nested too deeply to be read"
    assert said
    assert all(each == deep or each.startswith("policies.toml: organisation") for each in said)
