"""The tables that are looked at in a hurry: nothing that counts is broken off, however narrow the terminal."""

from __future__ import annotations

import datetime as dt
import io

import pytest
from rich.console import Console
from rich.table import Table

from worker.cli.overview import open_finding_table, run_table, status_table
from worker.ledger.rows import AcceptedFinding, FindingRow, OpenFinding, RunRow
from worker.usecases.monitoring import SourceStatus

AT = dt.datetime(2026, 11, 23, 3, 7, tzinfo=dt.UTC)
RUN = RunRow(
    "run-0123456789ab", "plan-1", "run", AT.date(), AT, "host", 1, "retention", "partial", AT, {"contacts": {"acted": 1234}}, exit_code=5
)
DETAIL = "the system refuses to change the record 98e8098f3815ee0efdfbff11ccbe0f32"


def lines(table: Table, width: int) -> list[str]:
    """Return a table as a person sees it on a terminal of a width."""
    shown = io.StringIO()
    Console(file=shown, width=width, markup=False).print(table)
    found = [line.strip() for line in shown.getvalue().splitlines()]
    assert max(len(line) for line in found) <= width
    return found


@pytest.mark.parametrize("width", [80, 100, 160])
@pytest.mark.parametrize("following", [None, AT + dt.timedelta(days=1)])
def test_how_things_stand_can_be_read(width: int, following: dt.datetime | None) -> None:
    """The figures by which the service is judged are whole, on one line with their source, at 80 columns too."""
    row = SourceStatus("applications", RUN, False, AT.date(), 12345, AT.date(), 1780, following, stuck=3)
    shown = lines(status_table([row], width), width)
    line = next(each for each in shown if each.startswith("applications"))
    for value in ("2026-11-23 03:07", "partial", "12\u202f345", "1\u202f780", " 3"):
        assert value in line
    assert ("2026-11-24 03:07" in line) is (following is not None and width > 80)
    assert (", next," in " ".join(shown)) is (following is not None and width == 80)
    assert ("run-0123456789ab" in line) is (width == 160)
    assert "…" not in "".join(shown)


@pytest.mark.parametrize("width", [80, 160])
def test_a_run_is_one_line(width: int) -> None:
    """What is typed again (its id) and how it ended, whole."""
    shown = lines(run_table([RUN], width), width)
    line = next(each for each in shown if each.startswith("run-0123456789ab"))
    for value in ("run ", "2026-11-23 03:07", "retention", "partial", " 5 ", "1\u202f234"):
        assert value in line
    assert width == 160 or any("left out for want of room" in each for each in shown)


@pytest.mark.parametrize("width", [80, 160])
def test_a_finding_says_what_and_how_many(width: int) -> None:
    """Who accepted it until when is there, whole words of what was found, and the number beside its id."""
    found = [OpenFinding(FindingRow("undetermined", "applications", "applications", DETAIL, 1234), "98e8098f3815ee0e", AT, AT, "run-1")]
    accepted = {"98e8098f3815ee0e": AcceptedFinding("98e8098f3815ee0e", "A. Officer", "known", AT.date(), 2000, AT)}
    shown = lines(open_finding_table(found, accepted, [], width), width)
    assert "1\u202f234" in next(each for each in shown if each.startswith("98e8098f3815"))
    assert {"system", "refuses"} <= set(" ".join(shown).split())
    assert ("2026-11-23 " in " ".join(shown)) is (width == 160)
