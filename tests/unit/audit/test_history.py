"""What the audit trail tells in numbers: only what really happened counts, in whatever order its files are read."""

from __future__ import annotations

import datetime as dt
import itertools
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.strategies import RULE
from tests.trails import DAY, MIDNIGHT, Process, a_week, counts, deletions
from worker.audit.broken import Damage
from worker.audit.events import Action
from worker.audit.history import History, history
from worker.audit.lines import files
from worker.audit.outcomes import outcomes


def done(told: History) -> Counter[str]:
    """Return how many effects each source had."""
    return sum((Counter({source: number}) for run in told.runs.values() for (source, _), number in run.effects.items()), Counter())


@pytest.mark.parametrize("turned", [False, True])
def test_a_closing_event_in_another_file(tmp_path: Path, *, turned: bool) -> None:
    """A crash's successor closes the batch; which of the two files is read first changes nothing."""
    with Process(tmp_path) as one:
        one.start("r", "p", MIDNIGHT.date())
        made = one.intents("r", "b", "crm", deletions("a", "b", "c"))
    with Process(tmp_path, MIDNIGHT + DAY) as two:
        two.close("r", "b", "crm", made, 2, "b")
    found = sorted(files(tmp_path), reverse=turned)
    assert Counter({"crm": 2}) == done(history(found))
    alone = history(found[-1:] if turned else found[:1])
    assert (Counter(), 3) == (done(alone), alone.unclosed), "a bare intent is never an effect"


_BATCHES = st.lists(st.tuples(st.sets(st.sampled_from("abcdef"), min_size=1), st.sampled_from(["all", "none", "some", "open"])), max_size=5)


@settings(RULE, max_examples=10)
@given(_BATCHES)
def test_the_same_effects_as_every_other_reader(batches: list[tuple[set[str], str]]) -> None:
    """Counting agrees with `outcomes`, which says of every single intent whether it took effect."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with Process(folder) as process:
            process.start("r", "p", MIDNIGHT.date())
            for number, (records, how) in enumerate(batches):
                made = process.intents("r", f"b{number}", "crm", deletions(*sorted(records)))
                excluded = sorted(records)[1:] if how == "some" else []
                if how != "open":
                    process.close("r", f"b{number}", "crm", made, 0 if how == "none" else len(records) - len(excluded), *excluded)
        told = history(files(folder))
        assert sum(1 for _ in outcomes(folder)) == done(told).total()
        assert sum(len(records) for records, how in batches if how == "open") == told.unclosed


def test_every_order_of_files_tells_the_same(tmp_path: Path) -> None:
    """Files come from many machines by many ways, so nothing may hang on their order."""
    a_week(tmp_path)
    first, *others = (history(order) for order in itertools.permutations(files(tmp_path)))
    assert [(first.runs, first.plans, first.troubles, first.lines)] * len(others) == [
        (each.runs, each.plans, each.troubles, each.lines) for each in others
    ]


def test_damage_is_told_and_what_stands_before_it_counts(tmp_path: Path) -> None:
    """An edited line is named with its file; the lines sealed before it are still what they were, those after it count for nothing."""
    a_week(tmp_path)
    whole = history(files(tmp_path))
    path = files(tmp_path)[-1]
    path.write_bytes(path.read_bytes().replace(b"held past the deadline", b"held past the dead-end"))
    told = history(files(tmp_path))
    assert [(Damage.EDITED, path)] == [(each.kind, each.path) for each in told.damage]
    assert ([], whole.runs["run-0"]) == (whole.damage, told.runs["run-0"])
    assert told.runs["run-1"].ended is None


def test_a_look_ahead_says_nothing_about_now(tmp_path: Path) -> None:
    """A plan for a day to come is no state of affairs; a source that could not be read keeps what its last plan saw."""
    a_week(tmp_path)
    latest = history(files(tmp_path)).latest_plans()
    assert {"contacts": "p2", "members": "p1"} == {source: plan.plan_id for source, plan in latest.items()}


def test_findings_are_those_of_the_last_look(tmp_path: Path) -> None:
    """What a later plan or run did not find again in a source is over unless it could not look; an acceptance is told with its finding."""
    a_week(tmp_path)
    found = history(files(tmp_path)).open_findings()
    assert [("f2", "2026-12-31"), ("f1", "")] == [(each.finding_id, each.accepted_until) for each in found]
    day = (MIDNIGHT + 4 * DAY).date()
    with Process(tmp_path, MIDNIGHT + 4 * DAY) as next_night:
        next_night.plan("p3", day, {"members": counts(40)}, {}, ["contacts"])
        next_night.start("run-2", "p3", day)
        next_night.say(
            Action.FINDING, run="run-2", source="members", finding="f3", finding_kind="changed", count=1, event_reason="changed meanwhile"
        )
        next_night.end("run-2", 4)
    assert ["f2", "f1", "f3"] == [each.finding_id for each in history(files(tmp_path)).open_findings()]
    with Process(tmp_path, MIDNIGHT + 5 * DAY) as last_night:
        last_night.plan("p4", day + DAY, {"contacts": counts(96), "members": counts(40)}, {})
    assert [] == history(files(tmp_path)).open_findings()


def test_a_later_verification_replaces_the_reading_back(tmp_path: Path) -> None:
    """`verify` looks again: what is found then counts, and the run is not longer for it."""
    a_week(tmp_path)
    with Process(tmp_path, MIDNIGHT + 5 * DAY) as later:
        later.say(Action.BATCH_VERIFIED, run="run-0", batch="p0-0", source="contacts", count=2)
    run = history(files(tmp_path)).runs["run-0"]
    assert (1, 2, dt.timedelta(seconds=30)) == (run.read_back, run.still_there, run.worked["contacts"][1] - run.worked["contacts"][0])
