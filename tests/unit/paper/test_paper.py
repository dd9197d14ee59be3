"""Papers: what they say about whole files, in both languages and every format, and that nothing in a file breaks out of them.

To renew the golden files: REGENERATE=1 pytest tests/unit/paper
"""

from __future__ import annotations

import csv
import dataclasses
import datetime as dt
import io
import os
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from enum import StrEnum
from html.parser import HTMLParser
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given

from tests.strategies import AMSTERDAM, RULE, policies
from worker.core.conditions import Compare, Condition, Either, Every, Negated, Op
from worker.core.model import Combine, DispositionKind, LegalBasis, Organisation, Policy, Schedule
from worker.core.periods import CALENDAR_YEAR, NO_TIME, Anchor, Bound, Period
from worker.core.sources import Label, TreatmentKind
from worker.paper import Lang, RegisterFormat, StatementFormat, register, statement, unlabelled
from worker.paper.language import End, Language, Ordered, Phrase, Title, Unit
from worker.paper.languages import language
from worker.paper.view import view
from worker.paper.wording import condition, facts_of, period
from worker.policyfile import load, loads

HERE = Path(__file__).parent
TODAY = dt.date(2026, 6, 30)
SHIPPED = (HERE.parents[2] / "policies.toml", *sorted((HERE.parents[2] / "deploy" / "schedules").glob("*.toml")))
FILES = {"office": HERE.parents[2] / "policies.toml", "every_construct": HERE / "every_construct.toml"}
PAPERS: Mapping[str, Callable[[Schedule, Lang], str]] = {
    "statement.md": lambda schedule, lang: statement(schedule, lang, StatementFormat.MARKDOWN, TODAY),
    "statement.html": lambda schedule, lang: statement(schedule, lang, StatementFormat.HTML, TODAY),
    "register.md": lambda schedule, lang: register(schedule, lang, RegisterFormat.MARKDOWN),
    "register.html": lambda schedule, lang: register(schedule, lang, RegisterFormat.HTML),
    "register.csv": lambda schedule, lang: register(schedule, lang, RegisterFormat.CSV),
}
SCHEDULES = {name: load(path) for name, path in FILES.items()}


@pytest.mark.parametrize("lang", Lang)
@pytest.mark.parametrize("paper", PAPERS)
@pytest.mark.parametrize("file", FILES)
def test_golden(file: str, paper: str, lang: Lang) -> None:
    """Every paper about the shipped file and about one with every construct is, word for word, the one that a person read."""
    made = PAPERS[paper](SCHEDULES[file], lang)
    golden = HERE / "golden" / f"{file}.{lang.value}.{paper}"
    if "REGENERATE" in os.environ:
        golden.write_text(made, encoding="utf-8", newline="")
    assert golden.read_bytes().decode() == made


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_what_is_shipped_has_a_label_for_everything(path: Path) -> None:
    """What newcomers read and copy first is an example of labels too: papers quote nothing but purposes."""
    schedule = load(path)
    for lang in Lang:
        assert () == unlabelled(schedule, lang)
        purposes = {getattr(each.label, lang.value) for policy in schedule.policies for each in policy.purposes}
        assert set(re.findall("“([^”]+)”", statement(schedule, lang, StatementFormat.MARKDOWN, TODAY))) <= purposes


def test_what_has_no_label_is_named() -> None:
    """Whoever writes labels is told which are missing: sources, personal and deciding facts, purposes without a description."""
    expected = (
        "accounts.login_ip",
        "accounts.seen_on",
        "accounts.has_orders",
        "last_visit",
        "accounts: profile_use",
        "tickets",
        "tickets.email",
        "tickets.opened_at",
        "tickets: helping_them",
        "visits: visits",
        "old_archive",
        "suppliers.paid_up",
    )
    assert expected == unlabelled(SCHEDULES["every_construct"], Lang.NL)


class TestWords:
    """Nothing that a policy file can say is without words."""

    @pytest.mark.parametrize("lang", Lang)
    def test_every_member_of_every_enumeration(self, lang: Lang) -> None:
        """Both languages have words for every construct of the policy language, and none is empty."""
        words = language(lang)
        expected: list[tuple[Mapping[StrEnum, object], type[StrEnum]]] = [
            (words.units, Unit),
            (words.bases, LegalBasis),
            (words.articles, LegalBasis),
            (words.anchors, Anchor),
            (words.combined, Combine),
            (words.bounds, Bound),
            (words.ends, End),
            (words.steps, DispositionKind),
            (words.treatments, TreatmentKind),
            (words.phrases, Phrase),
            (words.titles, Title),
        ]
        for mapping, members in expected:
            assert set(members) == set(mapping)
            assert all(mapping.values())
        order = {Op.LT, Op.LE, Op.GT, Op.GE}
        assert {(kind, op) for kind in Ordered for op in order} == set(words.ordered)
        assert set(Op) - order == set(words.same)
        assert set(Op) - {Op.EXISTS} == set(words.counted)

    @pytest.mark.parametrize("member", [each.name for each in dataclasses.fields(Language)])
    def test_both_languages_ask_for_the_same_parts(self, member: str) -> None:
        """A sentence that leaves out its period in one language would promise something else there."""

        def parts(value: object) -> object:
            if isinstance(value, str):
                return set(re.findall(r"\{(\w+)\}", value))
            if isinstance(value, Mapping):
                return {key: parts(each) for key, each in value.items()}
            return [parts(each) for each in value] if isinstance(value, tuple) else None

        if member != "combined":  # The order of words differs; test_golden shows both.
            assert parts(getattr(language(Lang.EN), member)) == parts(getattr(language(Lang.NL), member))

    @pytest.mark.parametrize(
        ("text", "dutch", "english"),
        [
            ("P0D", "meteen", "at once"),
            ("P1D", "een dag", "one day"),
            ("P8W", "acht weken", "eight weeks"),
            ("P13W", "13 weken", "13 weeks"),
            ("P1Y6M", "een jaar en zes maanden", "one year and six months"),
            ("P1Y1M1W1D", "een jaar, een maand, een week en een dag", "one year, one month, one week and one day"),
            ("P1000D", "1.000 dagen", "1,000 days"),
        ],
    )
    def test_periods(self, text: str, dutch: str, english: str) -> None:
        """A period is said in words, its parts as a list."""
        assert (dutch, english) == tuple(period(Period.parse(text), language(lang)) for lang in (Lang.NL, Lang.EN))

    @pytest.mark.parametrize(
        ("of", "dutch", "english"),
        [
            (Compare("order_count", Op.GT, (0,)), "er bestellingen zijn", "there are orders"),
            (Negated(Compare("order_count", Op.GE, (1,))), "er geen bestellingen zijn", "there are no orders"),
            (Negated(Compare("order_count", Op.LT, (3,))), "er minstens 3 bestellingen zijn", "there are at least 3 orders"),
            (Compare("adult", Op.NE, (True,)), "je minderjarig bent", "you are under age"),
            (Negated(Compare("adult", Op.EQ, (False,))), "je meerderjarig bent", "you are of age"),
            (Compare("member", Op.EQ, (True,)), "lidmaatschap “ja” is", "membership is “yes”"),
            (Compare("score", Op.GE, (Decimal("1.25"),)), "de score minstens 1,25 is", "the score is at least 1.25"),
            (
                Negated(Compare("ended_on", Op.EXISTS, (False,))),
                "het einde van de overeenkomst is vastgelegd",
                "the end of the agreement is on record",
            ),
            (
                Negated(
                    Either((Compare("status", Op.EQ, ("a",)), Every((Compare("member", Op.EQ, (True,)), Compare("score", Op.EQ, (1,))))))
                ),
                "de status niet “a” is en (lidmaatschap niet “ja” is of de score niet 1 is)",
                "the status is not “a” and (membership is not “yes” or the score is not 1)",
            ),
            (Every(()), "", ""),
            (Either(()), "in geen geval", "in no case"),
        ],
    )
    def test_conditions(self, of: Condition, dutch: str, english: str) -> None:
        """A condition is said as it stands after "if", a negation where it belongs."""
        source = SCHEDULES["every_construct"].sources["accounts"]
        said = tuple(condition(of, facts_of(source, words), words) for words in (language(Lang.NL), language(Lang.EN)))
        assert (dutch, english) == said


# --- Whatever a file says ---------------------------------------------------------------------------------------------------------------


def labelled(policy: Policy) -> Policy:
    """Return a policy with a label for everything, none of them an identifier."""
    label = Label("het woord", "the word")
    source = dataclasses.replace(
        policy.source,
        label=label,
        fields=tuple(dataclasses.replace(each, label=label) for each in policy.source.fields),
        aggregates=tuple(dataclasses.replace(each, label=label) for each in policy.source.aggregates),
        consents=tuple(dataclasses.replace(each, label=label) for each in policy.source.consents),
        marks=tuple(dataclasses.replace(each, label=label) for each in policy.source.marks),
    )
    return dataclasses.replace(policy, source=source, purposes=tuple(dataclasses.replace(each, label=label) for each in policy.purposes))


def schedule_of(policy: Policy) -> Schedule:
    """Return a schedule with one policy."""
    organisation = Organisation("Office", ZoneInfo("Europe/Amsterdam"), CALENDAR_YEAR, NO_TIME)
    return Schedule(organisation, {policy.source.name: policy.source}, (policy,))


@RULE
@given(policies(zone=AMSTERDAM))
def test_random_policies(policy: Policy) -> None:
    """Every policy can be said, and where everything has a label no identifier shows, in no sentence of either language."""
    of_labels = schedule_of(labelled(policy))
    for lang in Lang:
        said = statement(of_labels, lang, StatementFormat.MARKDOWN, dt.date.max)
        text = repr(view(of_labels, language(lang)).sections[0].rows) + said
        source = policy.source
        names = {each.name for of_kind in (source.fields, source.aggregates, source.marks) for each in of_kind}
        assert [] == [name for name in names if "_" in name and (name in text or name.replace("_", "\\_") in text)]
        assert not re.search(r"[a-z]\\?_[a-z]", said)
        assert "{" not in text
        assert "seen:" not in text
        plain = schedule_of(policy)
        for layout in RegisterFormat:
            assert "\n" in register(plain, lang, layout)


class _Tags(HTMLParser):
    """Collects the tags of a page and which are open at its end."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.seen.add(tag)
        if tag not in ("meta", "link", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


HOSTILE = """version = 1
[organisation]
name = "=cmd|'/c calc'!A0</title><script>alert(1)</script>"
timezone = "UTC"
[sources.x]
connector = "crm"
table = "x"
key = "id"
subject = ["a"]
label = { en = "@SUM(1)\\n# heading | <img src=x onerror=alert(1)> `code` [link](javascript:x)" }
[sources.x.fields]
a = { label = { en = " +1" } }
b = { type = "date", label = { en = "<b>b</b>" } }
[[policies]]
source = "x"
clause = "\\t=1, \\"two\\"\\r\\nlines"
disposition = "delete"
[[policies.purposes]]
id = "p"
label = { en = "-2+3" }
basis = "contract"
fields = ["a"]
start = "b"
keep = "P1Y"
"""


class TestHostileTexts:
    """Texts of a policy file are texts on paper too."""

    @pytest.mark.parametrize("made", [PAPERS["statement.html"], PAPERS["register.html"]])
    def test_html(self, made: Callable[[Schedule, Lang], str]) -> None:
        """No text of the file becomes an element of a page, and the page needs nothing from elsewhere."""
        page = made(loads(HOSTILE, "x"), Lang.EN)
        tags = _Tags()
        tags.feed(page)
        assert not {"script", "img", "b", "link"} & tags.seen
        assert [] == tags.open
        assert not re.search(r"(src|href)=\"?http|url\(|@import", page)

    def test_markdown(self) -> None:
        """No text of the file begins a heading, a cell, a link or an element."""
        page = PAPERS["register.md"](loads(HOSTILE, "x"), Lang.EN)
        assert ["# Record of processing activities", "## Deletion classes"] == [line for line in page.splitlines() if line.startswith("#")]
        assert not re.search(r"(?<!\\)[<`\[]", page)
        table = [line for line in page.splitlines() if line.startswith("|")]
        assert {9, 2} == {len(re.findall(r"(?<!\\)\|", line)) - 1 for line in table}

    def test_csv(self) -> None:
        """RFC 4180 gives back what was written, and no cell begins like a formula."""
        made = PAPERS["register.csv"](loads(HOSTILE, "x"), Lang.EN)
        head, row = csv.reader(io.StringIO(made, newline=""))
        cells = dict(zip(head, row, strict=True))
        assert not [cell for cell in row if cell.lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\r"))]
        assert ("'-2+3", "' +1", '\'\t=1, "two"\r\nlines') == (cells["Purpose"], cells["Personal data"], cells["Where promised"])
        assert made.endswith("\r\n")
        assert ("x", "p", "P1Y") == (cells["policy"], cells["purpose"], cells["keep"])
