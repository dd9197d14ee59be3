"""The benchmark works: a small one on SQLite, as its user starts it, comes to figures about everything it promises to measure."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the benchmark as the Makefile does."""
    return subprocess.run([sys.executable, "-m", "bench", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    """Give what a quick benchmark on SQLite answers to a program."""
    done = bench("--quick", "--only", "sqlite", "--json")
    assert (0, "") == (done.returncode, done.stderr if done.returncode else "")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def ways(report: dict[str, Any], job: str) -> set[str]:
    """Return the ways in which a job was done."""
    return {each["way"] for each in report["measures"] if each["job"] == job}


@pytest.mark.parametrize("job", ["delete", "pseudonymise"])
def test_compares_the_worker_with_the_database_itself_and_with_a_plain_loop(report: dict[str, Any], job: str) -> None:
    """Deleting and pseudonymising are measured in every way, in one run and on the same records."""
    worker = {"plan", "apply of an approved plan", "whole run (plan and apply)"}
    assert {"single statement", "plain batched loop", *worker} == ways(report, job)
    assert {4000} == {each["records"] for each in report["measures"] if each["job"] == job}


def test_a_ratio_is_a_rate_divided_by_the_rate_it_is_compared_with(report: dict[str, Any]) -> None:
    """The ratio to the single statement is that of the two rates, and the single statement's own is one."""
    rates = {each["way"]: each["per_second"] for each in report["measures"] if each["job"] == "delete"}
    ratios = {each["way"]: each["ratios"]["single statement"] for each in report["measures"] if each["job"] == "delete"}
    assert 1 == ratios["single statement"]
    apply = "apply of an approved plan"
    assert pytest.approx(rates[apply] / rates["single statement"], rel=0.01) == ratios[apply]


def test_measures_what_a_plan_costs_when_little_or_nothing_is_due(report: dict[str, Any]) -> None:
    """Plans are compared with the database's own count at three shares that are due, and after an earlier run."""
    jobs = {each["job"] for each in report["measures"] if each["job"].startswith("plan")}
    assert {"plan, 0 % due", "plan, 1 % due", "plan, 20 % due", "plan, half treated earlier, none due"} == jobs
    assert {frozenset({"SELECT COUNT(*)", "plan"})} == {frozenset(ways(report, job)) for job in jobs}


def test_measures_what_facts_cost_that_lie_elsewhere(report: dict[str, Any]) -> None:
    """Facts over children, consents, marks, other sources and open requests are compared with the plain policy over the same rows."""
    ratios = {each["way"]: each["ratios"] for each in report["measures"] if each["job"] == "facts"}
    assert {
        "plain policy: one day of the row",
        "the latest day over children, with an index",
        "a count over children, with an index",
        "a consent that extends",
        "a mark alone",
        "a fact over three sources",
        "an open request for erasure",
    } == set(ratios)
    assert {frozenset({"plain policy: one day of the row"})} == {frozenset(each) for each in ratios.values()}


def test_a_table_for_people_shows_what_such_facts_cost() -> None:
    """A person gets the seconds of every such plan and how many times the plain plan that is."""
    done = bench("--rows", "1000", "--only", "sqlite", "--job", "facts")
    assert 0 == done.returncode, done.stderr
    for text in ("Cost of a plan whose facts do not all lie in the row", "times the plain plan", "a fact over three sources"):
        assert text in done.stdout


def test_a_table_for_people_shows_the_same_on_another_run() -> None:
    """Without `--json` a person gets a table with the job, the ways and their share of the single statement."""
    done = bench("--rows", "1000", "--only", "sqlite", "--job", "delete")
    assert 0 == done.returncode, done.stderr
    for text in ("sqlite: delete 200 records", "of single", "plain batched loop", "apply of an approved plan"):
        assert text in done.stdout


def test_an_unknown_database_is_a_mistake_of_usage() -> None:
    """A name that is no database ends with the exit code for usage and says which names there are."""
    done = bench("--only", "oracle")
    assert 2 == done.returncode
    assert "postgresql" in done.stderr


def test_measures_what_the_audit_trail_costs(report: dict[str, Any]) -> None:
    """The phases of the trail are parts of one delete run, add up to what it takes together, and stand next to the whole."""
    seconds = {each["way"]: each["seconds"] for each in report["measures"] if each["job"] == "audit"}
    whole, apply, together = (seconds.pop(way) for way in ("delete run (plan and apply)", "of that the apply", "audit trail, together"))
    assert {"lines of the intents", "hashes", "lines of the file", "writing the file", "making it durable", "everything else"} == set(
        seconds
    )
    assert 0 < together < apply < whole
    assert pytest.approx(together, abs=0.001) == sum(seconds.values())


def test_verifying_is_measured_in_every_packaging() -> None:
    """The measure of the verification says lines a second for a file as it was written, and as other programs keep it."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.audit", "--lines", "2000", "--packed"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert 0 == done.returncode, done.stderr
    ways = {line.partition(":")[0] for line in done.stdout.splitlines()}
    journal = {"journal, json", "journal, export", "journal, short"}
    assert {"as written", "compressed", "container runtime", "Docker", *journal} == ways
