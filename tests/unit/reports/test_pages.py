"""The pages as a reader gets them: their numbers and words, nothing that is fetched or run, and a table behind every chart.

To renew the golden files: REGENERATE=1 pytest tests/unit/reports
"""

from __future__ import annotations

import datetime as dt
import itertools
import os
import re
import string
from html.parser import HTMLParser
from pathlib import Path
from typing import get_args

import pytest

from tests.proofs import EVERYWHERE, PERSON, SIGNER, proof_of, story
from tests.trails import a_week, counts
from worker.audit.history import History, history
from worker.audit.lines import files
from worker.audit.members import MEMBERS
from worker.audit.proof import rendered
from worker.audit.proofcheck import check
from worker.ledger.rows import Approval, FindingKind, FindingRow
from worker.paper import Lang
from worker.planfile import Header, PlanFile, PlannedBatch, PlanWriter, Reason, Summary
from worker.policyfile import loads
from worker.reports.dashboard import dashboard
from worker.reports.person import person_page
from worker.reports.plan import plan_page
from worker.reports.words import words
from worker.usecases.explaining import Explanation, PurposeLine
from worker.usecases.proving import Made, Stays
from worker.usecases.reporting import ACTIONS, DELETE, PSEUDONYMISE, TREAT, WORDS

HERE = Path(__file__).parent
NOW = dt.datetime(2026, 7, 3, 8, tzinfo=dt.UTC)
POLICIES = """version = 1
[organisation]
name = "Small & Sons"
timezone = "Europe/Amsterdam"
[sources.contacts]
connector = "crm"
table = "contacts"
key = "id"
label = { en = "Contacts", nl = "Contacten" }
subject = ["email"]
[sources.contacts.fields]
email = { type = "email", treatment = "clear", label = { en = "e-mail address", nl = "e-mailadres" } }
phone = { treatment = "clear", label = { en = "phone number", nl = "telefoonnummer" } }
seen_on = { type = "date", label = { en = "the last contact", nl = "het laatste contact" } }
[[policies]]
source = "contacts"
disposition = "delete"
[[policies.purposes]]
id = "contact"
label = { en = "Keeping in touch", nl = "Contact houden" }
basis = "legitimate-interests"
fields = ["email", "phone"]
start = "seen_on"
keep = "P2Y"
[[policies.purposes]]
id = "promise"
label = { en = "What we promised", nl = "Wat we beloofden" }
basis = "contract"
fields = ["email"]
start = "seen_on"
keep = "P5Y"
"""


class _Text(HTMLParser):
    """Turns a page into lines: a heading, a paragraph, an item or a row of a table each; checks that elements are closed in order."""

    _LINES = ("h1", "h2", "h3", "p", "li", "tr", "dt", "dd", "pre", "title")
    _VOID = ("meta", "br")

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.open: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in self._VOID:
            self.open.append(tag)
        if tag in self._LINES and "svg" not in self.open:
            self.lines.append(f"{tag}: ")
        elif tag in ("td", "th"):
            self.lines[-1] += "| "

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert tag == self.open.pop()

    def handle_data(self, data: str) -> None:
        if data.strip() and "svg" not in self.open and "style" not in self.open:
            self.lines[-1] += f"{' '.join(data.split())} "


def read(page: str) -> _Text:
    """Return a page as lines of text."""
    text = _Text()
    text.feed(page)
    text.close()
    assert [] == text.open
    return text


@pytest.fixture
def week(tmp_path: Path) -> History:
    """Return what the week of the small firm tells."""
    a_week(tmp_path / "audit")
    return history(files(tmp_path / "audit"))


def ref(number: int) -> str:
    """Return the reference of a record."""
    return f"{number:032x}"


@pytest.fixture
def plan(tmp_path: Path) -> PlanFile:
    """Return a plan for the small firm: one policy as the policy file has it, one that has another version by now."""
    schedule = loads(POLICIES, "policies.toml", connectors=("crm",))
    digest = schedule.policies[0].digest
    at = dt.datetime(2026, 6, 29, 12, tzinfo=dt.UTC)
    policies = {"contacts": digest, "members": "sha256:old"}
    header = Header("plan-1", at, "A. Operator", at.date(), at + dt.timedelta(days=7), policies, {}, "k")
    over = "contact ended on 2026-01-02: its period is over; promise never applied: its start event; does not apply"
    part = "contact ended on {}: its period is over; promise running through 2028-01-01: it has not ended"
    with PlanWriter(tmp_path / "the plan.jsonl", header, b"secret") as writer:
        reasons = [
            Reason(DELETE, dt.date(2025, 12, 31), over, "f"),
            Reason(TREAT, dt.date(2026, 1, 2), part.format("2026-01-02"), "f", ("phone",)),
            Reason(TREAT, dt.date(2026, 3, 4), part.format("2026-03-04"), "g", ("phone",)),
        ]
        writer.batch(PlannedBatch("b0", "contacts", 0, "x", reasons, {ref(1): 0, ref(2): 1, ref(3): 2, ref(4): 2}))
        writer.batch(PlannedBatch("b1", "contacts", 1, "x", reasons[:1], {ref(5): 0}))
        left = [Reason(DELETE, dt.date(2026, 6, 1), "left ended on 2026-06-01: withdrawn", "f")]
        writer.batch(PlannedBatch("b2", "members", 0, "x", left, {ref(6): 0}))
        seen = {
            "contacts": counts(20, delete=2, treat=3, overdue=6, kept=1, oldest="2026-01-07", held=1, undetermined=2),
            "members": counts(5, delete=1),
        }
        writer.finish(Summary(seen, []))
    return PlanFile.open(tmp_path / "the plan.jsonl", b"secret")


FOUND = (
    FindingRow("undetermined", "contacts", "contacts", "contact: seen_on: <i>empty</i>", 2),
    FindingRow("failed", "comments", "comments", "the source could not be read", 1),
)


def page_of(name: str, lang: Lang, week: History, plan: PlanFile) -> str:
    """Return one of the pages."""
    if name == "dashboard":
        return dashboard(week, lang, NOW)
    if name == "person":
        return person(lang, plan.path.parent)
    schedule = loads(POLICIES, "policies.toml", connectors=("crm",))
    yes = Approval("B. Officer", NOW)
    return plan_page(plan, schedule, lang, findings=FOUND, new={FOUND[0].digest}, approval=yes).replace(str(plan.path.parent), "/plans")


def staying(word: str, *lines: PurposeLine, action: str | None = None, backups: dt.date | None = None) -> Explanation:
    """Return what `explain` says of a record whose key nobody is to see."""
    day = dt.date(2026, 7, 10) if word != "kept" else None
    treated = ("phone",) if word == "partly" else ()
    return Explanation("contacts", ("secret-key",), word, "", day, day, lines, {}, (), NOW.date(), backups, action, treated)


def person(lang: Lang, folder: Path) -> str:
    """Return the page of a person to whom everything happened that can."""
    schedule = loads(POLICIES, "policies.toml", connectors=("crm",))
    reason = "contact ended on 2026-06-01: its period is over; promise never applied: its start event; does not apply"
    told = proof_of(story(folder / "story", died=2, version=schedule.policies[0].digest, reason=reason))
    needs = PurposeLine("contact", "", "", "", ("email", "phone"), ("seen_on: 2024-01-02",), runs=True, through=dt.date(2027, 3, 4))
    open_end = PurposeLine("promise", "", "", "", ("email",), (), runs=True, through=None)
    over = PurposeLine("promise", "", "ended on 2020-01-01", "", ("email",), (), runs=False, through=None)
    found = [
        staying("kept", needs, open_end),
        staying("partly", open_end, action=TREAT),
        staying("due", over, action=DELETE, backups=dt.date(2026, 8, 2)),
        staying("due", over, action=PSEUDONYMISE),
        *(staying(word) for word in ("held", "review", "waiting", "undetermined", "uncovered")),
    ]
    assert set(WORDS) == {each.word for each in found}
    made = Made(told, check(rendered(told), [SIGNER.verifier]))
    return person_page(made, schedule, Stays(NOW.date(), found, ("members",), ("files",)), lang, NOW)


@pytest.mark.parametrize("lang", Lang)
@pytest.mark.parametrize("name", ["dashboard", "plan"])
def test_a_table_behind_every_chart(name: str, lang: Lang, week: History, plan: PlanFile) -> None:
    """Who can't see a chart hears its name and finds its numbers in the table that comes next."""
    page = page_of(name, lang, week, plan)
    charts = [each.end() for each in re.finditer(r"<svg.*?</svg>", page, re.DOTALL)]
    assert charts
    assert len(charts) == len(re.findall(r'<svg[^>]*role="img"[^>]*aria-label="[^"]+', page))
    assert all(page.find("<table>", at) < page.find("<h", at) for at in charts)


@pytest.mark.parametrize("lang", Lang)
def test_the_page_of_a_person_names_nobody(lang: Lang, week: History, plan: PlanFile) -> None:
    """No key, no reference, no day out of a record: only days that follow from a policy."""
    page = page_of("person", lang, week, plan)
    assert not [word for word in ("secret-key", "2024", PERSON, EVERYWHERE, "tester") if word in page]


@pytest.mark.parametrize("lang", Lang)
@pytest.mark.parametrize("name", ["dashboard", "plan", "person"])
class TestPages:
    """All pages in both languages."""

    def test_golden(self, name: str, lang: Lang, week: History, plan: PlanFile) -> None:
        """Every word and number is the one that a person read; how it is drawn is the business of other tests."""
        said = page_of(name, lang, week, plan)
        made = "\n".join(each.rstrip() for each in read(re.sub(r"run-\d|audit-\S+jsonl", lambda each: each[0][:5], said)).lines) + "\n"
        golden = HERE / "golden" / f"{name}.{lang.value}.txt"
        if "REGENERATE" in os.environ:
            golden.write_text(made, encoding="utf-8")
        assert golden.read_text(encoding="utf-8") == made

    def test_nothing_is_fetched_or_run(self, name: str, lang: Lang, week: History, plan: PlanFile) -> None:
        """The page works from a disk without a network, and what a log or a policy file says is text in it."""
        page = page_of(name, lang, week, plan)
        text = read(page)
        assert {"html", "meta"} >= {tag for tag, name, _ in text.attributes if name in ("http-equiv", "lang")}
        links = [value for _, name, value in text.attributes if name in ("src", "href", "action", "data", "srcset")]
        assert all(each.startswith("#") for each in links)
        assert not re.search(r"https?:|url\(|@import|<script|javascript:|<b>|<i>", page)
        assert not [name for _, name, _ in text.attributes if name.startswith("on")]
        assert "default-src 'none'" in page

    def test_headings_and_headers(self, name: str, lang: Lang, week: History, plan: PlanFile) -> None:
        """Headings go down one level at a time, every cell of a header says what it heads, and what scrolls can be reached by keyboard."""
        page = page_of(name, lang, week, plan)
        levels = [int(each) for each in re.findall(r"<h([1-6])", page)]
        assert 1 == levels[0] == len([each for each in levels if each == 1])
        assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
        assert len(re.findall(r"<th\b", page)) == len(re.findall(r'<th scope="(?:col|row)"', page))
        scrolls = 'class="scroll"'
        assert page.count(scrolls) == len(re.findall(scrolls + ' role="region" aria-label="[^"]+" tabindex="0"', page))
        ids = re.findall(r' id="([^"]+)"', page)
        assert len(ids) == len(set(ids))
        assert set(re.findall(r'href="#([^"]+)"', page)) <= set(ids)


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours (WCAG 2.2, 1.4.3)."""

    def light(colour: str) -> float:
        digits = colour.lstrip("#")
        full = digits if len(digits) == 6 else "".join(2 * each for each in digits)
        parts = [int(full[at : at + 2], 16) / 255 for at in (0, 2, 4)]
        red, green, blue = (each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    high, low = sorted((light(one), light(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_colours_can_be_told_from_the_paper(week: History) -> None:
    """Text has a contrast of 4.5 and bars have one of 3, in the light, in the dark and on paper."""
    page = dashboard(week, Lang.EN, NOW)
    themes = [dict(re.findall(r"--(\w+): (#\w+)", block)) for block in re.findall(r":root \{(.*?)\}", page)]
    light, dark, printed, *more = themes
    assert 3 == len(more), "the charts have their colours in the same three themes"
    for paper, drawn in zip((light, dark, printed), more, strict=True):
        assert all(contrast(paper[ink], paper[on]) >= 4.5 for ink in ("ink", "soft", "mark") for on in ("paper", "head"))
        assert all(contrast(colour, paper["paper"]) >= (4.5 if name == "bad" else 3) for name, colour in drawn.items())


def test_both_languages_say_the_same() -> None:
    """What one language says the other says too, with the same parts to be filled in; every kind of finding has its word."""
    english, dutch = words(Lang.EN), words(Lang.NL)

    def gaps(said: str) -> set[str | None]:
        return {name for _, name, _, _ in string.Formatter().parse(said) if name is not None}

    assert {name: gaps(said) for name, said in english.said.items()} == {name: gaps(said) for name, said in dutch.said.items()}
    for each in (english, dutch):
        assert set(get_args(FindingKind)) == set(each.findings)
    assert {name: gaps(said) for name, said in english.person.items()} == {name: gaps(said) for name, said in dutch.person.items()}
    kinds = {name: MEMBERS[f"retention.{name}_kind"].schema["enum"] for name in ("hold", "request")}
    needed = {*(f"hold_{each}" for each in kinds["hold"]), *(f"asked_{each}" for each in kinds["request"])}
    needed |= {*(f"stays_{each}" for each in WORDS), *(f"did_{each}" for each in ACTIONS)}
    assert needed <= english.person.keys()
    for name in ("done", "stays", "left", "steps", "outcomes", "troubles", "damages", "actions", "states"):
        assert getattr(english, name).keys() == getattr(dutch, name).keys()
    assert len(english.meaning) == len(dutch.meaning)


@pytest.mark.parametrize(("seconds", "said"), [(0.04, "0 s"), (4.25, "4.2 s"), (59.4, "59.4 s"), (59.6, "1 min 0 s"), (3660, "1 h 01 min")])
def test_lengths_of_time(seconds: float, said: str) -> None:
    """A person reads two units at most."""
    assert said == words(Lang.EN).duration(seconds)


def test_an_empty_log(tmp_path: Path) -> None:
    """A page of nothing says so instead of drawing nothing."""
    page = dashboard(History(), Lang.EN, NOW)
    assert ("The log has no event." in page, "<svg" in page) == (True, False)
