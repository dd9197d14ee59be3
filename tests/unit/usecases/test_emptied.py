"""Sources that hold nothing any more: only what runs deleted may be gone without a word."""

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
