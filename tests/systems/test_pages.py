"""The pages in a real browser, and the trail in lnav: nothing to complain about, nothing fetched, readable on a telephone and at night."""

from __future__ import annotations

import csv
import io
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.acceptance.conftest import make_firm
from tests.systems.servers.browser import look, printed
from tests.systems.servers.process import ServerMissingError
from tests.trails import a_week
from worker.audit.history import history
from worker.audit.lines import files

FORMAT = Path(__file__).parents[2] / "deploy" / "lnav"
PHONE = 360


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return a dashboard and the page of a plan, as the command makes them."""
    folder = tmp_path_factory.mktemp("pages")
    firm = make_firm(folder)
    made = {"dashboard": folder / "dashboard.html", "plan": folder / "plan.html", "person": folder / "person.html"}
    firm.sql("UPDATE contacts SET email = 'q3@firm.example' WHERE id = 30")
    whom = "q3@firm.example"
    assert 0 == firm("request", "add", "--kind", "erase", "--subject", "-", "--verified-by", "B", typed=whom).code
    plan = firm.approved()
    assert 0 == firm("plan", "show", plan, "--html", "-o", made["plan"]).code
    assert 0 == firm("apply", plan).code
    said = firm("dashboard", firm.audit, "-o", made["dashboard"])
    assert 0 == said.code, said.err
    said = firm("audit", "prove", "--subject", "-", "-o", folder / "proof.json", "--html", made["person"], typed=whom)
    assert 0 == said.code, said.err
    return made


@pytest.mark.parametrize("name", ["dashboard", "plan"])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_page_on_a_telephone(pages: dict[str, Path], name: str, *, dark: bool) -> None:
    """No complaint, no request, no sideways scrolling of the page; charts are drawn, and in the colours of the hour."""
    seen = look(pages[name], width=PHONE, dark=dark)
    found = seen.measures
    assert ([], []) == (seen.console, found["fetched"])
    assert found["width"] <= PHONE
    assert found["charts"] == found["drawn"] >= 1
    assert ("rgb(20, 25, 29)" if dark else "rgb(255, 255, 255)") == found["background"]
    assert ("rgb(127, 180, 230)" if dark else "rgb(31, 95, 153)") == found["bar"]
    assert found["reachable"]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_page_of_a_person_on_a_telephone(pages: dict[str, Path], *, dark: bool) -> None:
    """It has no charts, and otherwise keeps the same promises."""
    seen = look(pages["person"], width=PHONE, dark=dark)
    found = seen.measures
    assert ([], [], 0) == (seen.console, found["fetched"], found["charts"])
    assert found["width"] <= PHONE
    assert ("rgb(20, 25, 29)" if dark else "rgb(255, 255, 255)") == found["background"]


def test_the_browser_would_tell(tmp_path: Path) -> None:
    """The proof that the others prove something: a page that fetches or runs anything is complained about."""
    page = tmp_path / "page.html"
    page.write_text("<!doctype html><title>x</title><img src='https://example.org/x.png'><script>null.x</script>", encoding="utf-8")
    seen = look(page, width=PHONE)
    assert (1, ["https://example.org/x.png"]) == (len(seen.console), seen.measures["fetched"])


@pytest.mark.parametrize("name", ["dashboard", "plan", "person"])
def test_a_page_on_paper(pages: dict[str, Path], name: str) -> None:
    """A page can be printed, on a few sheets."""
    assert 1 <= printed(pages[name]) <= 6


@pytest.fixture(scope="module")
def trail(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the trail of a week."""
    folder = tmp_path_factory.mktemp("lnav") / "audit"
    a_week(folder)
    return folder


class TestLnav:
    """The format for lnav: every line is understood, and its queries agree with every other reader."""

    def ask(self, trail: Path, query: str) -> list[dict[str, str]]:
        """Return the rows of a query."""
        if shutil.which("lnav") is None:
            raise ServerMissingError("lnav is not installed: run `make servers`.")
        done = subprocess.run(
            ["lnav", "-n", "-I", FORMAT, "-c", query, "-c", ":write-csv-to -", *files(trail)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={"HOME": str(trail.parent), "PATH": "/usr/local/bin:/usr/bin:/bin", "TERM": "dumb"},
        )
        assert ("", 0) == (done.stderr, done.returncode)
        return list(csv.DictReader(io.StringIO(done.stdout)))

    def test_every_event_is_read(self, trail: Path) -> None:
        """Events are messages, seals are none."""
        told = self.ask(trail, ";SELECT count(*) AS lines FROM retention_log WHERE \"event/event.action\" LIKE 'retention.%'")
        assert [str(history(files(trail)).lines)] == [each["lines"] for each in told]

    def test_what_was_done(self, trail: Path) -> None:
        """Only intents whose batch was closed with an effect count."""
        found = {(each["day"], each["source"], each["action"]): int(each["records"]) for each in self.ask(trail, "|retention-done")}
        told = history(files(trail))
        assert sum(sum(run.effects.values()) for run in told.runs.values()) == sum(found.values())
        assert {"contacts"} == {source for _, source, _ in found}

    def test_runs_findings_stops_and_what_is_overdue(self, trail: Path) -> None:
        """The other queries give what the dashboard shows."""
        assert [("run-0", "4"), ("run-1", "5")] == [(each["run"], each["exit_code"]) for each in self.ask(trail, "|retention-runs")]
        assert ["f2", "f1"] == [each["id"] for each in self.ask(trail, "|retention-findings")]
        assert ["", "max_share"] == [each["brake"].replace("<NULL>", "") for each in self.ask(trail, "|retention-stops")]
        assert [("contacts", "2", "2026-06-20")] == [
            (each["policy"], each["overdue"], each["oldest_deadline"]) for each in self.ask(trail, "|retention-overdue")
        ]
