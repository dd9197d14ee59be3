"""The night run: it works by itself only inside the limits, and stops before any write outside of them."""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.acceptance.conftest import DUE, NOON, PEOPLE, Firm
from worker.ports import AFTER_LOCK, AFTER_WRITE

DAY = dt.timedelta(days=1)


@pytest.fixture
def night(firm: Firm) -> Firm:
    """Return a firm whose policies and sources a person approved."""
    assert 0 == firm("policies", "approve").code
    for source in ("contacts", "members"):
        assert 0 == firm("sources", "approve", source).code
    return firm


def brakes(firm: Firm, **options: object) -> list[str]:
    """Run the night and return the brakes that stopped it; nothing may have been written."""
    before = firm.contacts()
    said = firm("run", "--json", **options)  # type: ignore[arg-type]
    assert 3 == said.code, said.err
    assert before == firm.contacts()
    assert "Nothing was written" in said.err
    return [each["brake"] for each in said.json["brakes"]]


def test_an_ordinary_night(night: Firm) -> None:
    """Approved policies, few records: done without a person; the next night finds nothing."""
    said = night("run", "--json")
    assert 0 == said.code, said.err
    assert PEOPLE - DUE == len(night.contacts())
    again = night("run", "--json", now=NOON + DAY)
    assert (0, {}) == (again.code, again.json["sources"])


def test_a_policy_that_nobody_approved(firm: Firm) -> None:
    """A new policy, or a changed one, waits for a person."""
    assert ["policy", "policy"] == brakes(firm)
    firm("policies", "approve", "contacts", "members")
    firm.rewrite('keep = "P2Y"', 'keep = "P1Y"')
    assert ["policy"] == brakes(firm)
    assert 2 <= len(firm.events("retention.brake_tripped"))


def test_too_many_records(night: Firm) -> None:
    """An absolute number of records; 0 means nothing may be done, never no limit."""
    assert ["max_records"] == brakes(night, env={"RETENTION_MAX_RECORDS": "9"})
    assert ["max_records", "max_records"] == brakes(night, env={"RETENTION_MAX_RECORDS": "0"})
    assert 0 == night("run", env={"RETENTION_MAX_RECORDS": "10"}).code


def test_too_large_a_share(night: Firm) -> None:
    """A tenth of a source is less than ten of sixty."""
    assert "max_share" in brakes(night, env={"RETENTION_MAX_SHARE": "0.1", "RETENTION_JUMP_FLOOR": "0"})


def test_a_jump_against_earlier_runs(night: Firm) -> None:
    """After nights with a few records one with many is looked at first."""
    assert 0 == night("run").code
    night.sql("UPDATE contacts SET last_contact_at = '2024-06-20 12:00:00' WHERE id > 30")
    tripped = brakes(night, now=NOON + DAY, env={"RETENTION_MAX_JUMP": "2", "RETENTION_JUMP_FLOOR": "0", "RETENTION_MAX_SHARE": "1"})
    assert ["max_jump"] == tripped


def test_a_clock_that_went_back_or_leapt_ahead(night: Firm) -> None:
    """A wrong clock deletes early: before the last run's day, or long after it, a person looks first."""
    assert 0 == night("run").code
    night.sql("UPDATE contacts SET last_contact_at = '2021-06-20 12:00:00' WHERE id = 20")
    assert ["clock"] == brakes(night, now=NOON - DAY)
    assert ["clock"] == brakes(night, now=NOON + 60 * DAY)
    assert 0 == night("run", now=NOON + DAY).code


def test_always_asking_a_person(night: Firm) -> None:
    """With `approval = always` the night makes the plan and a person says yes."""
    env = {"RETENTION_APPROVAL": "always"}
    said = night("run", "--json", env=env)
    assert (3, PEOPLE) == (said.code, len(night.contacts()))
    plan = said.json["plan_file"]
    assert 0 == night("approve", plan, env=env).code
    assert 0 == night("apply", plan, env=env).code
    assert PEOPLE - DUE == len(night.contacts())


def test_a_new_column_stops_only_its_source(night: Firm) -> None:
    """Personal data may have moved in: that source waits for a person, the others go on, and the exit code says it is not the whole."""
    night.sql("ALTER TABLE contacts ADD COLUMN birthday TEXT")
    said = night("run", "--json")
    assert 5 == said.code, said.err
    assert PEOPLE == len(night.contacts())
    assert [(8,)] == night.sql("SELECT count(*) FROM members")
    assert "birthday" in said.json["failed"]["contacts"]
    assert "birthday" in night("sources", "check").err
    assert 0 == night("sources", "approve", "contacts").code
    assert 0 == night("run", now=NOON + DAY).code
    assert PEOPLE - DUE == len(night.contacts())


def test_a_new_child_table_stops_its_source(night: Firm) -> None:
    """So does a table that began to refer to it."""
    night.sql("CREATE TABLE gifts (id INTEGER PRIMARY KEY, contact_id INTEGER REFERENCES contacts (id))")
    said = night("run", "--json", "--source", "contacts")
    assert said.code in (2, 3, 5)
    assert PEOPLE == len(night.contacts())


class _Waiting:
    """Faults that stop a run at its first lock until another has been seen."""

    def __init__(self) -> None:
        self.inside = threading.Event()
        self.go_on = threading.Event()

    def reached(self, point: str) -> None:
        """Wait at the lock."""
        if point == AFTER_LOCK:
            self.inside.set()
            assert self.go_on.wait(30)


def test_the_second_of_two_runs_says_who_runs(night: Firm) -> None:
    """Two runs never act on one source at once: the second is refused, says since when and which process, and touches nothing."""
    plan = night.approved()
    waiting = _Waiting()
    codes: list[int] = []
    first = threading.Thread(target=lambda: codes.append(_quietly(night, plan, waiting)))
    first.start()
    try:
        assert waiting.inside.wait(30)
        said = night("run")
        assert 2 == said.code
        assert "works on" in said.err
        assert "process" in said.err
        assert PEOPLE == len(night.contacts())
    finally:
        waiting.go_on.set()
        first.join()
    assert [0] == codes
    assert PEOPLE - DUE == len(night.contacts())


def _quietly(firm: Firm, plan: object, waiting: _Waiting) -> int:
    """Apply a plan below the command line: two calls in one process would share standard output."""
    from worker.bootstrap import machine
    from worker.settings import load
    from worker.usecases.applying import apply_plan
    from worker.usecases.approving import open_plan

    with machine(load(firm.environ, folder=firm.folder), now=lambda: firm.now, faults=waiting) as joined:
        return apply_plan(joined, open_plan(joined, plan)).exit_code  # type: ignore[arg-type]


class _Interrupting:
    """Faults like a person's Ctrl-C at a point."""

    def reached(self, point: str) -> None:
        """Interrupt after the write, before the commit."""
        if point == AFTER_WRITE:
            raise KeyboardInterrupt


def test_an_interrupted_run_rolls_its_batch_back(night: Firm) -> None:
    """Ctrl-C: exit 130, the batch at work is rolled back, and the next call ends what was left and goes on."""
    plan = night.approved()
    said = night("apply", plan, faults=_Interrupting())
    assert (130, True) == (said.code, "rolled back" in said.err)
    assert PEOPLE == len(night.contacts())
    assert "failed" == night("runs", "--json").json[0]["state"]
    assert 0 == night("apply", plan).code
    assert PEOPLE - DUE == len(night.contacts())


def in_a_process(firm: Firm, *args: str, env: Mapping[str, str] | None = None) -> tuple[int, str, list[dict[str, object]]]:
    """Call the command in a process of its own and return its code, what it said to people, and its operational log."""
    root = str(Path(__file__).parents[2])
    environ = {
        **os.environ,
        **firm.environ,
        **(env or {}),
        "RETENTION_LOG_FORMAT": "json",
        "PYTHONPATH": root,
        "RETENTION_RETRY_SECONDS": "0.01",
    }
    done = subprocess.run(
        [sys.executable, "-m", "worker.cli.main", *args], cwd=firm.folder, env=environ, capture_output=True, text=True, check=False
    )
    lines = done.stderr.splitlines()
    logged = [json.loads(line) for line in lines if line.startswith("{")]
    return done.returncode, "\n".join(line for line in lines if not line.startswith("{")), logged


def test_a_source_that_is_down_at_night_is_named_with_the_reason(night: Firm) -> None:
    """Rule 5 of the house: whoever is called out of bed reads which server did not answer, not only that a plan is not whole."""
    down = {"RETENTION_SOURCES__MEMBERS__URL": "postgresql+psycopg://me:secret@127.0.0.1:9/crm"}
    down["RETENTION_SOURCES__MEMBERS__WITNESS_TABLE"] = "false"
    code, said, logged = in_a_process(night, "run", env=down)
    why = [each for each in logged if each["event"] == "retention.source_unread"]
    assert 5 == code
    assert ["members was not finished: 127.0.0.1:9"] == [line[:37] for line in said.splitlines() if line.startswith("members was")]
    assert "Make a new plan" not in said
    assert [("members", True)] == [(each["source"], "does not answer" in str(each["why"])) for each in why]
    assert "secret" not in said + str(logged)


def test_a_record_that_the_system_refuses_is_named_with_the_reason(night: Firm) -> None:
    """Its finding has the reference only; the operational log says why, and nothing of what is in the record."""
    night.sql("CREATE TRIGGER keep BEFORE DELETE ON contacts WHEN old.id = 5 BEGIN SELECT RAISE(ABORT, 'Quirine stays'); END")
    night.sql("DELETE FROM notes WHERE contact_id = 5")
    night.rewrite('table = "contacts"', 'table = "contacts"\noptions = { triggers = "accepted" }')
    assert 0 == night("policies", "approve").code
    code, said, logged = in_a_process(night, "run")
    refused = [each for each in logged if each["event"] == "retention.record_refused"]
    assert (5, ["contacts"]) == (code, [each["source"] for each in refused]), said
    assert str(refused[0]["record"]) in " ".join(f"{each}" for each in night.events("retention.record_skipped"))
    assert "constraint" in str(refused[0]["why"]) or "trigger" in str(refused[0]["why"])
    assert "Quirine" not in said + str(logged)
