"""The night run: it works by itself only inside the limits, and stops before any write outside of them."""

from __future__ import annotations

import datetime as dt
import threading

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
