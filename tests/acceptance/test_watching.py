"""Watching: the alarm for a run that did not come, the service's figure, batches that nobody closed, signs of life, and their files."""

from __future__ import annotations

import datetime as dt
import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.acceptance.conftest import NOON, PEOPLE, Firm
from worker.ports import AFTER_WRITE

DAY = dt.timedelta(days=1)
HOUR = dt.timedelta(hours=1)
NIGHTLY = {"RETENTION_SCHEDULE": "0 3 * * *"}

Figures = dict[tuple[str, str], float]
"""By name and label."""


class Killer:
    """A fault port at which the process is killed."""

    def reached(self, point: str) -> None:
        """Die."""
        if point == AFTER_WRITE:
            os.kill(os.getpid(), signal.SIGKILL)


def figures(path: Path) -> Figures:
    """Read a file as Prometheus would."""
    families = list(text_string_to_metric_families(path.read_text(encoding="utf-8")))
    assert {"gauge"} == {each.type for each in families}
    assert all(each.documentation for each in families)
    return {(sample.name, "".join(sample.labels.values())): sample.value for each in families for sample in each.samples}


@pytest.fixture
def night(firm: Firm) -> Firm:
    """Return a firm that may work by itself."""
    assert 0 == firm("policies", "approve").code
    for source in ("contacts", "members"):
        assert 0 == firm("sources", "approve", source).code
    return firm


def test_the_schedule_says_what_is_missing(night: Firm) -> None:
    """A nightly run is missed once its time of the next day is over, a weekly one a week later; an own schedule wins."""
    assert 0 == night("run").code
    tomorrow = NOON.replace(hour=1) + DAY
    assert [0, 5] == [night("status", env=NIGHTLY, now=tomorrow + hours * HOUR).code for hours in (12, 13)]
    weekly = {**NIGHTLY, "RETENTION_SOURCES__CONTACTS__SCHEDULE": "0 3 * * SUN", "RETENTION_SOURCES__MEMBERS__SCHEDULE": "0 3 1 * *"}
    sunday = dt.datetime(2026, 7, 5, 1, tzinfo=dt.UTC)
    # On the first of July the members' own schedule called for a run.
    said = night("status", "--json", env=weekly, now=sunday + 12 * HOUR).json["sources"]
    assert [False, True] == [said[name]["missed"] for name in ("contacts", "members")]
    assert night("status", "--json", env=weekly, now=sunday + 13 * HOUR).json["sources"]["contacts"]["missed"]


def test_the_next_run(night: Firm) -> None:
    """With a schedule the next run is said in UTC, without one nothing is."""
    said = night("status", "--json", env=NIGHTLY)
    assert {"2026-07-01T01:00:00+00:00"} == {each["next_run"] for each in said.json["sources"].values()}
    assert {None} == {each["next_run"] for each in night("status", "--json").json["sources"].values()}
    assert "2026-07-01 01:00" in night("status", env=NIGHTLY).out


def test_a_schedule_that_is_none(night: Firm) -> None:
    """What is no cron expression stops every command, with the variable's name."""
    said = night("status", env={"RETENTION_SCHEDULE": "nightly"})
    assert 2 == said.code
    assert "RETENTION_SCHEDULE" in said.err
    assert "cron expression of five fields" in said.err


def test_the_figure_of_the_service(night: Firm) -> None:
    """The days since the oldest deadline that was not met; it grows every day that nothing is done, and is 0 afterwards."""
    night("plan")
    late = night("status", "--json").json["sources"]["contacts"]
    # Seen last on 2 March 2022, kept for two years, carried out within a week.
    assert ("2024-03-09", (dt.date(2026, 6, 30) - dt.date(2024, 3, 9)).days) == (late["oldest_deadline"], late["overdue_days"])
    night("status", "--textfile", night.folder / "retention.prom")
    assert (
        late["overdue_days"] * DAY.total_seconds() == figures(night.folder / "retention.prom")["retention_overdue_age_seconds", "contacts"]
    )
    assert late["overdue_days"] + 3 == night("status", "--json", now=NOON + 3 * DAY).json["sources"]["contacts"]["overdue_days"]
    assert 0 == night("run", now=NOON + HOUR).code
    assert 0 == night("status", "--json").json["sources"]["contacts"]["overdue_days"]


def test_a_batch_that_nobody_closed(night: Firm) -> None:
    """A process that was killed behind its intents leaves a batch that is said after an hour; the next run ends it."""
    assert 0 == night("run").code
    night.sql("UPDATE contacts SET last_contact_at = '2022-03-01 12:00:00' WHERE id = ?", PEOPLE)
    child = os.fork()
    if not child:
        try:
            night("run", faults=Killer(), now=NOON + HOUR)
        finally:
            os._exit(1)
    assert signal.SIGKILL == os.WTERMSIG(os.waitpid(child, 0)[1])
    before, after = (night("status", "--json", now=NOON + HOUR + each) for each in (HOUR, HOUR + dt.timedelta(seconds=1)))
    assert [(4, 0), (5, 1)] == [(each.code, each.json["sources"]["contacts"]["stuck_batches"]) for each in (before, after)]
    assert 5 == night("status", "--stuck-after", "1", now=NOON + HOUR + dt.timedelta(minutes=2)).code
    # The sign of life at its start was its last.
    assert [("run", None)] == [(each["command"], each["exit_code"]) for each in before.json["heartbeats"]]
    assert 0 == night("run", now=NOON + 3 * HOUR).code
    mended = night("status", "--json", now=NOON + 3 * HOUR)
    assert (0, 0) == (mended.code, mended.json["sources"]["contacts"]["stuck_batches"])


def test_signs_of_life(night: Firm) -> None:
    """A run that a brake stopped is no run, but its schedule lives; the exit code of the command is kept with the instant."""
    assert [] == night("status", "--json").json["heartbeats"]
    stopped = night("run", env={"RETENTION_MAX_RECORDS": "0"})
    said = night("status", "--json")
    assert [("run", "2026-06-30T10:00:00+00:00", stopped.code)] == [
        (each["command"], each["at"], each["exit_code"]) for each in said.json["heartbeats"]
    ]
    assert {True} == {each["missed"] for each in said.json["sources"].values()}
    assert 0 == night("run", now=NOON + HOUR).code
    assert "The command run was last there on 2026-06-30 11:00 UTC" in night("status").out
    failing = night("run", now=NOON + DAY, env={"RETENTION_SOURCES__CONTACTS__URL": "sqlite:////nowhere/crm.sqlite"})
    assert failing.code == night("status", "--json").json["heartbeats"][0]["exit_code"] != 0


def test_the_file_for_prometheus(night: Firm) -> None:
    """Every figure by source, as Prometheus reads it; what is not known yet has no line, and a 0 is a known 0."""
    path = night.folder / "retention.prom"
    assert 5 == night("status", "--textfile", path).code
    never = figures(path)
    assert (5, 1) == (never["retention_status_exit_code", ""], never["retention_run_missed", "contacts"])
    assert [] == [name for name, _ in never if "last_run" in name or "next_run" in name or "heartbeat" in name]
    night.sql("UPDATE contacts SET last_contact_at = NULL WHERE id = ?", PEOPLE)
    assert 4 == night("run").code
    assert 4 == night("status", "--textfile", path, "--json", env=NIGHTLY).code
    told = figures(path)
    expected = {
        ("retention_status_timestamp_seconds", ""): NOON.timestamp(),
        ("retention_status_exit_code", ""): 4,
        ("retention_last_run_timestamp_seconds", "contacts"): NOON.timestamp(),
        ("retention_last_run_exit_code", "contacts"): 4,
        ("retention_next_run_timestamp_seconds", "contacts"): dt.datetime(2026, 7, 1, 1, tzinfo=dt.UTC).timestamp(),
        ("retention_run_missed", "contacts"): 0,
        ("retention_overdue_records", "contacts"): 0,
        ("retention_overdue_age_seconds", "contacts"): 0,
        ("retention_held_records", "contacts"): 0,
        ("retention_undetermined_records", "contacts"): 1,
        ("retention_failed_records", "contacts"): 0,
        ("retention_stuck_batches", "contacts"): 0,
        ("retention_findings", "contacts"): 1,
        ("retention_new_findings", "contacts"): 1,
        ("retention_heartbeat_timestamp_seconds", "run"): NOON.timestamp(),
    }
    assert expected == {name: value for name, value in told.items() if name[1] != "members"}
    assert {name for name, label in told if label == "contacts"} == {name for name, label in told if label == "members"}
    assert 0o644 == stat.S_IMODE(path.stat().st_mode) & 0o644, "the node exporter is somebody else"


def test_a_file_that_nobody_would_read(night: Firm) -> None:
    """A name that the exporter passes over is refused; a folder that is not there is said, and nothing is left lying about."""
    assert 2 == night("status", "--textfile", night.folder / "retention.txt").code
    said = night("status", "--textfile", night.folder / "gone" / "retention.prom")
    assert (2, True) == (said.code, "can't be written" in said.err)
    night("status", "--textfile", night.folder / "retention.prom")
    assert ["retention.prom"] == [each.name for each in night.folder.glob("retention*")]


def test_the_operational_log(night: Firm) -> None:
    """An event for each source that an alarm can be set on, and one for the whole; a run says that it is there, twice."""

    def logged(*args: str) -> tuple[int, list[dict[str, object]]]:
        environ = {**os.environ, **night.environ, "RETENTION_LOG_FORMAT": "json", "PYTHONPATH": str(Path(__file__).parents[2])}
        done = subprocess.run(
            [sys.executable, "-m", "worker.cli.main", *args], cwd=night.folder, env=environ, capture_output=True, text=True, check=False
        )
        return done.returncode, [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]

    code, events = logged("run", "--json")
    assert [("run", None), ("run", code)] == [
        (each["command"], each["exit_code"]) for each in events if each["event"] == "retention.heartbeat"
    ]
    code, events = logged("status", "--log", "--json")
    of_sources = [each for each in events if each["event"] == "retention.status"]
    assert {"contacts", "members"} == {each["source"] for each in of_sources}
    assert all(isinstance(each["overdue_days"], int) and each["missed"] is False for each in of_sources)
    assert [code] == [each["exit_code"] for each in events if each["event"] == "retention.status_whole"]
    assert [] == logged("status")[1]


def test_status_says_what_to_do(night: Firm) -> None:
    """Whoever is called at night reads the next step, on standard error so that a pipe gets the figures only; all is well says nothing."""
    assert 0 == night("run").code
    assert "" == night("status").err
    night("run", now=NOON + HOUR, env={"RETENTION_MAX_RECORDS": "0"})
    night.sql("UPDATE contacts SET last_contact_at = '2021-06-20 12:00:00' WHERE id = 20")
    assert 3 == night("run", now=NOON + HOUR, env={"RETENTION_MAX_RECORDS": "0"}).code
    said = night("status", now=NOON + 5 * DAY)
    assert "exit code 3 (refused by a brake or for want of approval)" in said.out
    assert "retention.brake_tripped" in said.err
    assert "No run ended in time for contacts, members" in said.err
    assert "retention" not in night("status", "--json", now=NOON + 5 * DAY).err
