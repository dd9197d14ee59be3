"""`retention stop` and `resume`, the stop file, and nights that end early, as an operator meets them."""

from __future__ import annotations

import datetime as dt
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.acceptance.conftest import DUE, NOON, PEOPLE, Firm
from worker.ports import AFTER_CLOSE

DAY = dt.timedelta(days=1)
SMALL = {"RETENTION_BATCH_SIZE": "2"}


@pytest.fixture
def night(firm: Firm) -> Firm:
    """Return a firm whose policies and sources a person approved."""
    assert 0 == firm("policies", "approve").code
    for source in ("contacts", "members"):
        assert 0 == firm("sources", "approve", source).code
    return firm


class Midway:
    """Faults that let another call of the command happen when so many batches are closed."""

    def __init__(self, after: int, does: object) -> None:
        self._left = after
        self._does = does

    def reached(self, point: str) -> None:
        """Count the batches."""
        if point == AFTER_CLOSE:
            self._left -= 1
            if self._left == 0:
                self._does()  # type: ignore[operator]


def test_a_stop_by_another_process_ends_the_run_after_its_batch(night: Firm) -> None:
    """Another terminal says stop: two batches are whole, the rest is left, the run says so; after `resume` the next one does the rest."""
    other = Firm(night.folder, night.environ)
    said = night("run", "--json", env=SMALL, faults=Midway(2, lambda: other("stop", "--why", "moving house")))
    assert 5 == said.code, said.err
    assert PEOPLE - 4 == len(night.contacts())
    assert "moving house" in said.json["stopped"]["*"]
    assert (DUE - 4 + 2, "partial") == (said.json["left"], said.json["state"])
    assert "ended early" not in said.out
    for refused in (night("run", "--json"), night("apply", night.approved())):
        assert 3 == refused.code
        assert "moving house" in refused.err
        assert "retention resume" in refused.err
    status = night("status")
    assert (5, True) == (status.code, "moving house" in status.out)
    assert "may go on" in night("resume").out
    assert 0 == night("run", env=SMALL, now=NOON + DAY).code
    assert PEOPLE - DUE == len(night.contacts())


def test_one_source(night: Firm) -> None:
    """The others go on; the exit code says that it was not the whole."""
    assert 0 == night("stop", "contacts", "--why", "an import is running").code
    said = night("run")
    assert (5, PEOPLE) == (said.code, len(night.contacts()))
    assert "contacts ended early" in said.err
    assert [(8,)] == night.sql("SELECT count(*) FROM members")
    assert 3 == night("run", "--source", "contacts").code
    assert "Nothing was stopped" in night("resume", "members").out
    assert 0 == night("resume", "contacts").code
    assert 0 == night("run", now=NOON + DAY).code
    assert PEOPLE - DUE == len(night.contacts())


def test_an_unknown_source_stops_nothing(night: Firm) -> None:
    """A misspelt source is an error, and no stop of everything."""
    said = night("stop", "contact")
    assert 2 == said.code
    assert "There are policies for" in said.err
    assert not (night.state / "stop").exists()
    assert 0 == night("run").code


def test_a_file_stops_this_machine(night: Firm) -> None:
    """Touching a file is enough, and `resume` removes it."""
    night.state.mkdir(exist_ok=True)
    (night.state / "stop").touch()
    said = night("run", "--json")
    assert (3, ["stop"]) == (said.code, [each["brake"] for each in said.json["brakes"]])
    assert PEOPLE == len(night.contacts())
    assert "was removed" in night("resume").out
    assert "Nothing was stopped" in night("resume").out
    assert 0 == night("run").code


@pytest.mark.parametrize("broken", ["ledger", "policies"])
def test_without_a_ledger_or_policies_a_file_is_left(night: Firm, broken: str) -> None:
    """Stopping works when hardly anything else does, and says that it is for this machine only."""
    if broken == "ledger":
        env = {"RETENTION_LEDGER": "postgresql+psycopg://nobody:x@127.0.0.1:9/nothing"}
    else:
        wrong = night.folder / "wrong.toml"
        wrong.write_text("this is no policy file", encoding="utf-8")
        env = {"RETENTION_POLICIES": str(wrong)}
    said = night("stop", env=env)
    assert (5, True) == (said.code, (night.state / "stop").exists())
    assert "other machines may not have heard" in said.out
    (night.state / "stop").unlink()
    assert 2 == night("stop", "contacts", env=env).code
    assert not (night.state / "stop").exists()
    assert 5 == night("stop", env=env).code
    assert 3 == night("run").code
    assert 0 == night("resume").code
    assert 0 == night("run").code


def test_no_time_left(night: Firm) -> None:
    """A time budget of nothing does nothing, is partial, and says so; without it everything is done."""
    said = night("run", env={"RETENTION_MAX_MINUTES": "0"})
    assert (5, PEOPLE) == (said.code, len(night.contacts()))
    assert "The run ended early: The run has had its 0 minutes" in said.err
    assert 0 == night("run", now=NOON + DAY).code
    assert PEOPLE - DUE == len(night.contacts())


def test_a_portion_each_night(night: Firm) -> None:
    """The tranche is no brake: a night does as much and is well, and tomorrow's goes on."""
    env = {"RETENTION_TRANCHE": "4", **SMALL}
    left = []
    for number in range(4):
        said = night("run", "--json", env=env, now=NOON + number * DAY)
        assert 0 == said.code, said.err
        left.append(said.json["left"])
    assert [8, 4, 0, 0] == left
    assert PEOPLE - DUE == len(night.contacts())


def test_the_reason_is_kept_and_nobody_is_in_it(night: Firm, tmp_path: Path) -> None:
    """Who stopped and resumed stands in the trail."""
    night("stop", "--why", "drill")
    night("resume")
    assert [("drill", "*", "tester")] == [
        (each["event.reason"], each["retention.source"], each["retention.by"]) for each in night.events("retention.stop_requested")
    ]
    assert [("*", "tester")] == [(each["retention.source"], each["retention.by"]) for each in night.events("retention.stop_lifted")]


def test_a_file_that_somebody_keeps_locked(night: Firm) -> None:
    """Another program writes all night: what could not be had is deferred and said, never reported as done; the next night does it."""
    env = {"RETENTION_RETRIES": "1", "RETENTION_RETRY_SECONDS": "0.01"}
    env |= {f"RETENTION_SOURCES__{name}__OPTIONS__LOCK_TIMEOUT": "0.05" for name in ("CONTACTS", "MEMBERS")}
    assert 0 == night("plan", env=env).code
    # The table of witnesses is there from the first batch that was ever written.
    night.sql("CREATE TABLE retention_witness (batch_id VARCHAR(64) PRIMARY KEY)")
    with closing(sqlite3.connect(night.database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        said = night("run", "--json", env=env)
        other.execute("ROLLBACK")
    assert 5 == said.code, said.err
    assert {"contacts": 0, "members": 0} == {name: counts["acted"] for name, counts in said.json["sources"].items()}
    assert {("contacts", DUE), ("members", 2)} == {
        (each["retention.source"], each["retention.count"]) for each in night.events("retention.batch_deferred")
    }
    assert PEOPLE == len(night.contacts())
    assert 0 == night("run", now=NOON + DAY).code
    assert PEOPLE - DUE == len(night.contacts())
