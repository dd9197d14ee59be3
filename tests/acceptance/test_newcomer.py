"""A newcomer's five minutes: the whole job on the demonstration office, with the shipped policies."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.acceptance.conftest import Demonstration

ROOT = Path(__file__).parents[2]
GOLDEN = Path(__file__).parent / "golden"
_SHORTEST = 6


def golden(name: str, text: str) -> None:
    """Compare a text with a golden file; REGENERATE=1 writes it."""
    path = GOLDEN / name
    if "REGENERATE" in os.environ:
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == text


def without_trailing_blanks(text: str) -> str:
    """Return a table as a person sees it."""
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


def bytes_of(folder: Path) -> Iterator[tuple[Path, bytes]]:
    """Yield every file of a folder."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield path, path.read_bytes()


def leaks(canaries: frozenset[str], texts: Iterator[tuple[Path, bytes]]) -> list[str]:
    """Return where a personal value stands that may stand nowhere; the value itself is not named."""
    # A house number or an initial is in every text; what is looked for has to be somebody's.
    wanted = [value for value in canaries if len(value) >= _SHORTEST and not value.isdigit()]
    found = []
    for where, content in texts:
        text = content.decode("utf-8", "replace")
        # Thousands of values in megabytes: only those whose beginning is there at all are looked for.
        beginnings = {text[place : place + _SHORTEST] for place in range(len(text))}
        if any(value[:_SHORTEST] in beginnings and value in text for value in wanted):
            found.append(str(where))
    return found


def test_python_m_demo_shows_the_whole_job(tmp_path: Path) -> None:
    """`python -m demo` plans, approves, applies, verifies, plans again, and finds nothing left; under a minute; running it again works."""
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "demo", "--folder", str(tmp_path / "demo")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert 0 == done.returncode, done.stderr
    assert time.monotonic() - began < 60
    for expected in ("Plan for 2026-06-30", "is approved by demo", "Everything is as it was reported.", "What to try next"):
        assert expected in done.stdout
    assert "There is nothing to do." in done.stderr
    shell = f". {tmp_path}/demo/env.sh && {sys.executable} -m worker.cli.main explain contacts 1 --as-of 2026-06-30"
    tried = subprocess.run(["sh", "-c", shell], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert tried.returncode in (0, 2), tried.stderr
    assert "Internal error" not in tried.stderr
    assert not (tmp_path / "demo" / "state" / "keys.json").exists()


class TestOffice:
    """One pass through the office, looked at from several sides."""

    def test_the_plan_table_is_the_golden_one(self, demonstration: Demonstration) -> None:
        """What a DPO reads does not change unnoticed: the table and the findings of the office are a golden file."""
        said = demonstration("plan", "--full", "-o", demonstration.folder / "plan.jsonl")
        assert 4 == said.code
        golden("plan.txt", without_trailing_blanks(said.out.replace(str(demonstration.folder), "FOLDER")))

    def test_every_case_is_decided_as_the_office_expects(self, demonstration: Demonstration) -> None:
        """Every awkward case of the office comes to what it says it comes to, asked one by one with `explain`."""
        words = {
            "due": {"due", "review", "waiting"},
            "partly due": {"partly"},
            "kept": {"kept"},
            "undetermined": {"undetermined"},
            "unreadable": {"undetermined"},
        }
        assert demonstration.built is not None
        wrong = []
        for name, case in demonstration.built.cases.items():
            if case.source == "notes":
                continue
            said = demonstration("explain", case.source, case.key, "--json")
            got = said.json["records"][0]["word"] if said.code == 0 else said.err
            if got not in words[case.outcome]:
                wrong.append(f"{name}: {case.expected}, and explain says {got}")
        assert [] == wrong, "\n".join(wrong)

    def test_the_main_job_and_a_second_run_that_finds_nothing(self, demonstration: Demonstration) -> None:
        """Plan, approve, apply, verify; then nothing is left, applying again changes nothing, and nobody's data is in any output."""
        plan = demonstration.approved()
        applied = demonstration("apply", plan, "--json")
        assert 4 == applied.code
        assert 0 == applied.json["unverified"]
        assert applied.json["verified"] > 1000
        verified = demonstration("verify", applied.json["run"])
        assert 0 == verified.code, verified.out
        again = demonstration("plan", "--json").json
        assert {"delete": 0, "pseudonymise": 0, "treat": 0} == {
            does: sum(each["actions"][does] for each in again["sources"].values()) for does in ("delete", "pseudonymise", "treat")
        }
        twice = demonstration("apply", plan, "--json")
        assert 0 == sum(each["acted"] for each in twice.json["sources"].values())
        for args in (("runs",), ("findings", "list"), ("hold", "list"), ("request", "list"), ("policies", "list"), ("plan", "show", plan)):
            said = demonstration(*args)
            assert 0 == said.code, said.err
        assert demonstration.built is not None
        printed = iter([(Path("output"), text.encode()) for text in demonstration.everything])
        assert [] == leaks(demonstration.built.canaries, printed)
        assert [] == leaks(demonstration.built.canaries, bytes_of(demonstration.state))
        assert [] == leaks(demonstration.built.canaries, iter([(plan, plan.read_bytes())]))

    def test_the_canary_search_finds_what_is_there(self, demonstration: Demonstration) -> None:
        """A search that can't fail proves nothing: the same search finds people in the office's own files."""
        assert demonstration.built is not None
        assert leaks(demonstration.built.canaries, bytes_of(demonstration.built.folder))


def test_sources_check_says_what_is_in_order(demonstration: Demonstration) -> None:
    """`sources check` compares every source with its declaration; the office is in order."""
    said = demonstration("sources", "check")
    assert 0 == said.code, said.err
    assert 7 == len(re.findall(": in order", said.out))


def test_sources_check_shows_no_value(demonstration: Demonstration) -> None:
    """What it samples to find personal data that nobody declared is counted; no name, address or number of a person is printed or kept."""
    assert demonstration.built is not None
    with closing(sqlite3.connect(demonstration.built.crm_url.removeprefix("sqlite:///"))) as database, database:
        database.execute("ALTER TABLE contacts ADD COLUMN extra TEXT")
        database.execute("UPDATE contacts SET extra = email")
    for args in (("sources", "check"), ("sources", "check", "--json")):
        said = demonstration(*args)
        assert 0 == said.code, said.err
        told = " ".join((said.out + said.err).split())
        assert "the column extra of contacts is declared by no field, and 200 of 200 sampled values look like e-mail addresses" in told
    printed = iter([(Path("output"), text.encode()) for text in demonstration.everything])
    assert [] == leaks(demonstration.built.canaries, printed)
    assert [] == leaks(demonstration.built.canaries, bytes_of(demonstration.state))


@pytest.mark.parametrize("command", [("policies", "check"), ("policies", "schema"), ("settings",), ("settings", "--json")])
def test_what_needs_no_source(demonstration: Demonstration, command: tuple[str, ...]) -> None:
    """Checking the policies and showing settings work before anything is set up, and leave nothing behind."""
    assert 0 == demonstration(*command).code
    assert not demonstration.state.exists()
