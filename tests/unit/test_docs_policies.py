"""The policy reference is run: every example loads, is refused or warns as the page says, and every row of its calendar is computed."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from worker.core.facts import Empty, FieldType, Known, Reading, Unknown
from worker.core.periods import Anchor, FiscalYear, Period, Term
from worker.paper import Lang, StatementFormat, statement
from worker.policyfile.loading import check_text, loads
from worker.policyfile.schema import keys_at

PAGE = (Path(__file__).parents[2] / "docs" / "policies.md").read_text(encoding="utf-8")
_MARKER = r"<!-- example: (?P<name>\w+)(?:, after (?P<after>\w+))?(?:; (?P<verdict>refused|warns): (?P<said>.*?))? -->"
_MARKED = re.compile(_MARKER + r"\n```toml\n(?P<text>.*?)```", re.DOTALL)
_ROW = re.compile(r"^\| [^|]+ \| (\d{4}-\d\d-\d\d) \| ([^|]+) \| (P\w+) \| (\d{4}-\d\d-\d\d) \| (\d{4}-\d\d-\d\d) \|$", re.MULTILINE)

_DRAWN = re.compile(r"<!-- drawn: (\w+)/([\w-]+) -->\n```\n(.*?)```", re.DOTALL)


@dataclass(frozen=True)
class Example:
    """One piece of TOML of the page, behind everything it continues."""

    name: str
    text: str
    verdict: str | None
    said: str | None


def examples() -> list[Example]:
    """Return the examples of the page, each with the text of those it comes after."""
    texts: dict[str, str] = {}
    found = []
    for match in _MARKED.finditer(PAGE):
        before = f"{texts[match['after']]}\n" if match["after"] else ""
        texts[match["name"]] = before + match["text"]
        found.append(Example(match["name"], texts[match["name"]], match["verdict"], match["said"]))
    return found


class TestExamples:
    """The page shows nothing that does not work as it says."""

    @pytest.mark.parametrize("example", examples(), ids=lambda example: example.name)
    def test_each_example(self, example: Example) -> None:
        """An example loads without a problem, or is refused or doubtful for the reason that the page gives."""
        report = check_text(example.text, "policies.toml", ["crm", "mailing_list", "comments", "application_files"])
        if example.verdict == "refused":
            assert [True] == [str(example.said) in str(problem) for problem in report.problems]
            return
        assert () == report.problems
        assert example.text.count("[[policies.examples]]") == report.examples_run
        if example.verdict == "warns":
            assert any(str(example.said) in str(warning) for warning in report.warnings)

    def test_what_becomes_of_labels(self) -> None:
        """The sentences that the page quotes stand in the statement that is made from its example."""
        text = next(each.text for each in examples() if each.name == "labels")
        said = statement(loads(text, "policies.toml"), Lang.EN, StatementFormat.MARKDOWN, dt.date(2026, 6, 30))
        section = PAGE[PAGE.index("This becomes") : PAGE.index("## What is refused, and")]
        quoted = re.findall(r'"([^"]+)"', " ".join(section.split()))
        assert [True, True] == [each in said for each in quoted]

    def test_every_block_is_an_example(self) -> None:
        """No piece of TOML stands on the page without being run."""
        assert PAGE.count("```toml") == len(examples())

    @pytest.mark.parametrize(
        "path",
        [
            ("organisation",),
            ("organisation", "fiscal_years", 0),
            ("periods", "x"),
            ("facts", "x"),
            ("facts", "x", "latest", 0),
            ("sources", "x"),
            ("sources", "x", "fields", "y"),
            ("sources", "x", "children", "y"),
            ("sources", "x", "parents", "y"),
            ("sources", "x", "facts", "y"),
            ("sources", "x", "consents", "y"),
            ("policies", 0),
            ("policies", 0, "purposes", 0),
            ("policies", 0, "purposes", 0, "start"),
            ("policies", 0, "purposes", 0, "was", 0),
            ("policies", 0, "disposition", 0),
            ("attestations", 0),
            ("reviews", 0),
            ("gaps", 0),
            ("policies", 0, "examples", 0),
            ("policies", 0, "examples", 0, "request"),
        ],
        ids=lambda path: ".".join(map(str, path)),
    )
    def test_every_key_is_explained(self, path: tuple[str | int, ...]) -> None:
        """Every key of every table is named on the page."""
        keys = keys_at(path)
        assert keys
        assert [] == [key for key in keys if not re.search(rf"\b{key}\b", PAGE)]


def drawn(term: Term, start: dt.date) -> str:
    """Return the calendar of one event: a line a year, a letter a month."""
    due, counted_from = term.due(start), term.counted_from(start)
    lines = [f"event {start}, {f'counted from {counted_from}, ' if counted_from != start else ''}kept through {due}"]
    lines.append("      J F M A M J J A S O N D")
    first, last = (start.year, start.month), (due.year, due.month)
    for year in range(start.year, due.year + 1):
        months = [(year, month) for month in range(1, 13)]
        marks = ("x" if each == last else "o" if each == first else "=" if first < each < last else "." for each in months)
        lines.append(f"{year}  {' '.join(marks)}")
    return "\n".join(lines)


class TestCalendar:
    """The worked calendar is what the core computes."""

    @pytest.mark.parametrize("row", _ROW.findall(PAGE), ids=lambda row: f"{row[0]} {row[2]} from {row[1]}")
    def test_each_row(self, row: tuple[str, str, str, str, str]) -> None:
        """Due day and first day after it follow from the event, the anchor and the period."""
        started, counted_from, keep, through, first = row
        anchors = {"the day": Anchor.DAY, "end of calendar year": Anchor.END_OF_CALENDAR_YEAR, "end of month": Anchor.END_OF_MONTH}
        fiscal_year = FiscalYear.parse(counted_from[-5:]) if "fiscal" in counted_from else FiscalYear()
        term = Term(Period.parse(keep), anchors.get(counted_from, Anchor.END_OF_FISCAL_YEAR), fiscal_year)
        assert dt.date.fromisoformat(through) == term.due(dt.date.fromisoformat(started))
        assert dt.timedelta(days=1) == dt.date.fromisoformat(first) - dt.date.fromisoformat(through)

    @pytest.mark.parametrize("calendar", _DRAWN.findall(PAGE), ids=lambda calendar: f"{calendar[0]}/{calendar[1]}")
    def test_each_drawing(self, calendar: tuple[str, str, str]) -> None:
        """A calendar that is drawn for a purpose of an example is the one that the purpose's term gives for its events."""
        name, purpose, text = calendar
        schedule = loads(next(each.text for each in examples() if each.name == name), "policies.toml")
        term = next(each.term for policy in schedule.policies for each in policy.purposes if each.id == purpose)
        assert term is not None
        starts = re.findall(r"^event (\d{4}-\d\d-\d\d),", text, re.MULTILINE)
        assert "\n\n".join(drawn(term, dt.date.fromisoformat(start)) for start in starts) == text.strip("\n")

    def test_rows_are_found(self) -> None:
        """The calendar has rows, so that the test above proves something."""
        assert 13 == len(_ROW.findall(PAGE))
        assert len(_DRAWN.findall(PAGE)) == PAGE.count("J F M A M J J A S O N D") - PAGE.count("\n\nevent ")
        assert len(_DRAWN.findall(PAGE)) >= 5


_FORMS = re.compile(r"^\| `(date|timestamp|number|boolean)` \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)


@pytest.mark.parametrize("row", _FORMS.findall(PAGE), ids=lambda row: row[0])
def test_what_is_read_and_what_is_unknown_is_so(row: tuple[str, str, str]) -> None:
    """Every form of a value that the page names is read, or unknown, as it says."""
    zone = ZoneInfo("Europe/Amsterdam")
    reading = Reading(FieldType(row[0]), Empty.UNKNOWN, zone, zone)
    good, bad = ([reading.fact(each, dt.date(2026, 6, 30)) for each in re.findall(r"`([^`]+)`", cell)] for cell in row[1:])
    assert good
    assert {Known} == {type(each) for each in good}
    assert {Unknown} >= {type(each) for each in bad}


def test_the_forms_of_all_types_are_on_the_page() -> None:
    """Otherwise the test before would prove nothing."""
    assert ["date", "timestamp", "number", "boolean"] == [row[0] for row in _FORMS.findall(PAGE)]
