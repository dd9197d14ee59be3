"""Sources that hold nothing any more, or far less: only what runs deleted may be gone without a word."""

from __future__ import annotations

import datetime as dt
from typing import Any

from worker.usecases.planning import make_plan
from worker.usecases.running import run

Lab = Any


def said(lab: Lab, **asked: Any) -> list[tuple[str, int]]:
    """Return (source, how many are missing) of every source that a new plan says was emptied."""
    with lab.machine() as machine:
        return [(each.source, each.count) for each in make_plan(machine, **asked).findings if "no records at all" in each.detail]


def open_ones(lab: Lab) -> list[str]:
    """Return the sources of which the ledger knows that they are empty and should not be."""
    with lab.machine() as machine:
        found = [each.finding for each in machine.ledger.open_findings()]
    return [each.source for each in found if "no records at all" in each.detail]


class TestEmptied:
    """What is said of a source that held records and holds none now."""

    def test_a_source_that_is_empty_without_a_run_is_a_finding_until_it_holds_something(self, lab: Lab) -> None:
        """A share that is not mounted is no night with nothing to do: it is said every night, and is over when the records are back."""
        assert [] == said(lab)
        table = lab.memory.tables["customers"]
        lab.memory.tables["customers"] = {}
        for _ in range(2):
            lab.moment += dt.timedelta(days=1)
            assert [("customers", 5)] == said(lab)
            assert ["customers"] == open_ones(lab)
        lab.memory.tables["customers"] = table
        assert [] == said(lab) == open_ones(lab)

    def test_it_is_more_than_a_night_with_nothing_to_do(self, lab: Lab) -> None:
        """The night ends with the exit code of new findings, and they are open after it, though nothing was to be done in the source."""
        del lab.memory.tables["customers"][4,]
        with lab.machine() as machine:
            lab.plan_and_apply(machine)
            lab.moment += dt.timedelta(days=1)
            assert 0 == run(machine).exit_code
        lab.moment += dt.timedelta(days=1)
        lab.memory.tables["customers"] = {}
        with lab.machine() as machine:
            night = run(machine)
            assert night.result is not None
            found = [each.count for each in night.result.new_findings if each.source == "customers"]
        assert (4, [2]) == (night.exit_code, found)
        assert ["customers"] == open_ones(lab)

    def test_what_runs_deleted_is_not_missed(self, lab: Lab) -> None:
        """A source whose last records were due, and those that went along with their parents, is empty as it should be."""
        for name, keys in (("customers", (2, 3, 4)), ("invoices", (30,))):
            for key in keys:
                del lab.memory.tables[name][key,]
        with lab.machine() as machine:
            lab.plan_and_apply(machine)
        assert {} == lab.table("customers") == lab.table("invoices")
        lab.moment += dt.timedelta(days=1)
        assert [] == said(lab)

    def test_what_is_gone_besides_what_runs_deleted_is_counted(self, lab: Lab) -> None:
        """Of five customers a run deletes two; when the others are gone the next night, three are missing."""
        with lab.machine() as machine:
            lab.plan_and_apply(machine)
        lab.moment += dt.timedelta(days=1)
        lab.memory.tables["customers"] = {}
        assert [("customers", 3)] == said(lab)

    def test_a_source_that_never_held_anything_is_not_missed(self, lab: Lab) -> None:
        """A new list is empty, and nobody has to be told."""
        lab.memory.tables["customers"] = {}
        assert [] == said(lab)
        lab.moment += dt.timedelta(days=1)
        assert [] == said(lab)

    def test_a_look_at_another_day_forgets_nothing(self, lab: Lab) -> None:
        """A forecast that finds the source empty says nothing, and the next plan says it all the same."""
        assert [] == said(lab)
        lab.memory.tables["customers"] = {}
        assert [] == said(lab, as_of=dt.date(2030, 1, 1))
        assert [("customers", 5)] == said(lab)


LESS = "less than half"


def filled(lab: Lab, many: int, *, seen: str = "2026-06-01 10:00:00") -> dict[tuple[int], dict[str, Any]]:
    """Give the customers' table so many records of which none is due, and return them."""
    one = lab.memory.tables["customers"][1,]
    every = {(key,): {**one, "id": key, "email": f"c{key}@canary.example", "seen_at": seen} for key in range(1, many + 1)}
    lab.memory.tables["customers"] = dict(every)
    return every


def dwindled(lab: Lab) -> list[tuple[str, int]]:
    """Return (source, how many are missing) of every source that a new plan says holds far less, and that is open then."""
    with lab.machine() as machine:
        found = [(each.source, each.count) for each in make_plan(machine).findings if LESS in each.detail]
        still = [(each.finding.source, each.finding.count) for each in machine.ledger.open_findings() if LESS in each.finding.detail]
    assert found == still
    return found


class TestDwindled:
    """What is said of a source that holds less than half of what it held."""

    def test_it_is_said_every_night_until_the_records_are_back(self, lab: Lab) -> None:
        """A share that is half there, or rights that hide most records, make a quiet night; it is over when they are there again."""
        every = filled(lab, 60)
        assert [] == dwindled(lab)
        for key in range(11, 61):
            del lab.memory.tables["customers"][key,]
        for _ in range(3):
            lab.moment += dt.timedelta(days=1)
            assert [("customers", 50)] == dwindled(lab)
        lab.memory.tables["customers"] = every
        assert [] == dwindled(lab)

    def test_after_a_month_it_is_as_it_is(self, lab: Lab) -> None:
        """Nobody is told for ever: what a plan of more than thirty days ago counted is no longer compared with."""
        filled(lab, 60)
        for days in range(40):
            found = dwindled(lab)
            assert ([("customers", 50)] if 0 < days <= 30 else []) == found, days
            if not days:
                filled(lab, 10)
            lab.moment += dt.timedelta(days=1)

    def test_what_runs_deleted_is_not_missed(self, lab: Lab) -> None:
        """A first run takes nearly all of them; the few that somebody took away by hand besides are nobody's news."""
        lab.environ["RETENTION_MAX_SHARE"] = "1"
        filled(lab, 60, seen="2020-01-01 10:00:00")
        for key in range(1, 6):
            lab.memory.tables["customers"][key,]["seen_at"] = "2026-06-01 10:00:00"
        with lab.machine() as machine:
            lab.plan_and_apply(machine)
        assert 5 == len(lab.table("customers"))
        del lab.memory.tables["customers"][5,]
        lab.moment += dt.timedelta(days=1)
        assert [] == dwindled(lab)

    def test_a_few_may_go_without_a_word(self, lab: Lab) -> None:
        """Of twenty-five, twenty are taken away by hand: nobody has to be told. Of a hundred half of them, either."""
        for before, after in ((25, 5), (100, 50)):
            lab.moment += dt.timedelta(days=40)
            filled(lab, before)
            assert [] == dwindled(lab)
            filled(lab, after)
            assert [] == dwindled(lab)
