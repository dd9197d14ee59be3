"""Tables for people."""

from __future__ import annotations

import datetime as dt
import io

from rich.console import Console
from rich.table import Table

from worker.cli.tables import finding_table, plan_table, printable, result_table, setting_table
from worker.ledger.rows import FindingRow
from worker.settings import Shown
from worker.usecases.applying import RunResult
from worker.usecases.batching import BatchResult
from worker.usecases.reporting import WORDS


def text(table: Table) -> str:
    """Return a table as a person sees it."""
    shown = io.StringIO()
    Console(file=shown, width=160, markup=False).print(table)
    return shown.getvalue()


def test_a_plan_has_a_row_per_source_and_a_dash_for_nothing() -> None:
    """Numbers are grouped, nothing is a dash, and a source that failed is never shown as empty."""
    counts = {"contacts": {"total": 12345, **dict.fromkeys(WORDS, 0), "due": 7, "overdue": 3, "oldest_deadline": "2024-03-09"}}
    shown = text(plan_table(dt.date(2026, 6, 30), counts, {"members": "it is down"}))
    assert "12\u202f345" in shown
    assert "2024-03-09" in shown
    members = next(line for line in shown.splitlines() if "members" in line)
    assert "could not be read" in members
    assert "-" not in members


def test_findings_say_whether_they_are_new() -> None:
    """What was accepted is told apart from what is new."""
    rows = [FindingRow("undetermined", "a", "a", "one", 1), FindingRow("uncovered", "b", "b", "two", 2)]
    one, two = (line for line in text(finding_table(rows, {rows[0].digest})).splitlines() if "one" in line or "two" in line)
    assert "new" in one
    assert "accepted" in two


def test_a_run_shows_what_was_left_and_what_failed() -> None:
    """Effects, what was left and why, and sources that could not be worked on."""
    result = RunResult("run-1", "plan-1", results={"contacts": BatchResult()}, failed={"members": "it is down"})
    result.results["contacts"].effects["delete"] = 4
    result.results["contacts"].skipped["held"] = 2
    shown = text(result_table(result))
    assert ["contacts", "4", "-", "-", "-", "-", "-", "2", "-"] == next(line for line in shown.splitlines() if "contacts" in line).split()
    assert ["members", *["?"] * 8] == next(line for line in shown.splitlines() if "members" in line).split()


def test_brackets_are_text() -> None:
    """A value with brackets is shown as it is."""
    assert "[bold]x" in text(setting_table([Shown("A", "[bold]x", "environment")]))


def test_a_value_can_do_nothing_to_a_terminal() -> None:
    """Escape sequences and turned writing directions in a record are shown as signs that do nothing."""
    assert "\ufffd[31mred\ufffd" == printable("\x1b[31mred\u202e")
    assert "Zoë 王 'é'" == printable("Zoë 王 'é'")


def test_records_kept_busy_by_somebody_else_are_shown() -> None:
    """A put-off batch is no silence: its records have a column, which other runs don't need."""
    busy = BatchResult()
    busy.skipped["busy"] = 12
    quiet = RunResult("run-1", "plan-1", results={"contacts": BatchResult()})
    assert "busy" not in text(result_table(quiet))
    shown = text(result_table(RunResult("run-1", "plan-1", results={"contacts": busy})))
    assert "busy" in shown
    assert "12" in next(line for line in shown.splitlines() if "contacts" in line)
