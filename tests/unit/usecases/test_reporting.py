"""What is said about records, one word and one finding at a time."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from zoneinfo import ZoneInfo

from worker.core.decide import Decision, Kept, Partly
from worker.core.facts import Empty, FieldType, Reading
from worker.core.model import LegalBasis, Policy, Purpose
from worker.core.periods import Period
from worker.core.purposes import NeverApplied, Running, Undetermined
from worker.core.sources import Field, Source
from worker.core.standing import NOTHING, Hold, HoldKind, Standing
from worker.ledger.rows import FindingRow
from worker.usecases.reporting import KEPT, REVIEW, UNDETERMINED, SourceCounts, state_in_words, why, word

_NAME = Field("name", "name", Reading(FieldType.TEXT, Empty.UNKNOWN, ZoneInfo("UTC")), personal=True)
POLICY = Policy(
    Source("files", "x", "files", ("id",), (_NAME,)), (Purpose("account", LegalBasis.CONTRACT, ("name",)),), (), window=Period(days=7)
)
WAITS = Running(None, "its start event has not happened yet", dt.date(2019, 3, 1))
WAITING = Decision(Kept(), (WAITS,), waiting=("account",), waited_through=dt.date(2026, 6, 23))


def test_waiting_too_long_is_a_review() -> None:
    """A record that waits too long is for a person to review, unless something about it is unknown."""
    assert [REVIEW, UNDETERMINED, KEPT] == [
        word(POLICY, WAITING),
        word(POLICY, Decision(Kept(), (Undetermined("x"),), ("account",), (), ("account",))),
        word(POLICY, Decision(Kept(), (NeverApplied("x"),))),
    ]


def test_waiting_too_long_is_a_finding() -> None:
    """Such records are counted per source and purpose, and nothing is done to them; through the window nobody is late."""
    counts = SourceCounts(POLICY, dt.date(2026, 6, 30))
    counts.add(WAITING, NOTHING, 3)
    counts.close(10, full=False)
    expected = FindingRow("waiting", "files", "files", "account: its start event is waited for longer than its own period", 3)
    assert [expected] == counts.rows()
    assert (3, 7, 0) == (counts.words[REVIEW], counts.words[KEPT], counts.overdue)


def test_looked_at_by_nobody_is_overdue() -> None:
    """Past the window a record that waits is overdue as any review is, counted once; not while something suspends what becomes of it."""
    for standing, overdue in ((NOTHING, 3), (Standing((Hold("h", HoldKind.LEGAL),)), 0)):
        counts = SourceCounts(POLICY, dt.date(2026, 7, 1))
        counts.add(WAITING, standing, 3)
        found = [(each.kind, each.detail, each.count) for each in counts.rows() if each.kind == "overdue"]
        assert ([("overdue", "review past the deadline", 3)] if overdue else [], overdue) == (found, counts.overdue)
    late = Decision(Partly(("name",), dt.date(2026, 6, 20)), (WAITS,), waiting=("account",), waited_through=dt.date(2026, 6, 23))
    counts = SourceCounts(POLICY, dt.date(2026, 7, 1))
    counts.add(late, NOTHING)
    assert (1, dt.date(2026, 6, 27)) == (counts.overdue, counts.oldest_deadline)


def test_its_own_time_is_said() -> None:
    """Where the purpose says how long its event is waited for, the finding does."""
    policy = replace(POLICY, purposes=(replace(POLICY.purposes[0], waits=Period(years=5)),))
    counts = SourceCounts(policy, dt.date(2026, 6, 30))
    counts.add(WAITING, NOTHING)
    assert ["account: its start event is waited for longer than P5Y"] == [each.detail for each in counts.rows()]


def test_the_day_is_said() -> None:
    """The reason names the day that lies too long ago."""
    assert "running: its start event has not happened yet, and 2019-03-01 lies longer ago than it may take" == state_in_words(WAITS)
    assert "2019-03-01" in why(POLICY, WAITING)
