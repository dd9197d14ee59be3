"""The tables that are looked at in a hurry: nothing that counts is broken off, however narrow the terminal."""

from __future__ import annotations

import datetime as dt
import io
from collections import Counter

import pytest
from rich.console import Console
from rich.table import Table

from worker.cli.overview import forecast_tables, hold_table, open_finding_table, run_table, status_table
from worker.ledger.rows import AcceptedFinding, FindingRow, HoldRow, OpenFinding, RunRow
from worker.usecases.forecasting import Forecast, PolicyForecast
from worker.usecases.monitoring import SourceStatus
from worker.usecases.reporting import DUE

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


@pytest.mark.parametrize("width", [80, 160])
def test_holds_and_requests_can_be_read(width: int) -> None:
    """Ids and days are typed again, so they are never broken; what no row says, and what can be spared, makes room for them."""
    hold = HoldRow(
        "hold-6c922319", "dispute", "subject", None, "token", "m-1", None, None, "Legal affairs", "file 12 of 2026", AT.date(), AT, "tester"
    )
    shown = lines(hold_table([hold], width), width)
    line = next(each for each in shown if each.startswith("hold-6c922319"))
    assert ("2026-11-23" in line, "subject" in line) == (True, True)
    assert any("review on" in each for each in shown)
    assert any("left out" in each and "placed, released" in each for each in shown) is (width == 80)


@pytest.mark.parametrize(("width", "tables"), [(80, 8), (112, 3), (160, 2)])
def test_a_forecast_of_two_years_breaks_no_figure(width: int, tables: int) -> None:
    """Months without room beside each other stand below each other, each once, between what is due now and what comes later."""
    months = tuple(dt.date(2026 + at // 12, 1 + at % 12, 1) for at in range(24))
    counts = Counter({(DUE, at): 1000 + at for at in range(25)})
    made = Forecast(AT.date(), months, [PolicyForecast("applications", counts.total() + 6789, counts)])
    found = forecast_tables(made, width)
    shown = [line for each in found for line in lines(each, width) if line.startswith("applications")]
    assert tables == len(found) == len(shown)
    figures = [int(each) for line in shown for each in line.replace("\u202f", "").split()[2:]]
    assert [counts.total() + 6789, *range(1000, 1025), 6789] == figures
