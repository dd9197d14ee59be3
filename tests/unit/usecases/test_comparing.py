"""Two versions of the policies over the same records: what becomes due, earlier, later or no longer."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections import Counter
from typing import Any

import pytest
from hypothesis import given

from connectors.memory import MemorySource
from tests.strategies import RULE
from tests.unit.usecases.conftest import POLICIES, Lab
from tests.unit.usecases.test_forecasting import AHEAD, comments, fill
from worker.policyfile import loads
from worker.usecases.comparing import Comparison, Effect, Fate, State, compare, effect
from worker.usecases.machine import Machine

D1, D2 = dt.date(2026, 7, 1), dt.date(2026, 8, 1)
DELETE, TREAT = ("due", "delete"), ("partly", "", "email")
SHORTER = AHEAD.replace('keep = "P2M"', 'keep = "P1M"')
MEANWHILE = AHEAD.replace("posted_on = {", "edited_on = {}\nposted_on = {")
"""The same policies with a field that nothing uses: nothing changes, but the source is declared otherwise."""


def other(machine: Machine, lab: Lab, text: str) -> Machine:
    """Return the same machine with another policy file."""
    schedule = loads(text, "other.toml", connectors=["memory"])
    return dataclasses.replace(machine, schedule=schedule, open_source=lambda source: MemorySource(source, lab.memory, schedule.sources))


def effects(made: Comparison) -> dict[str, Counter[Effect]]:
    """Return the counts by policy."""
    return {each.policy: each.effects for each in made.policies}


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (Fate(), Fate(), None),
        (Fate(later=True), Fate(), None),
        (Fate(), Fate(undetermined=True), Effect.UNDETERMINED),
        (Fate(now=True, day=D1, does=DELETE), Fate(undetermined=True), Effect.UNDETERMINED),
        (Fate(undetermined=True), Fate(undetermined=True), None),
        (Fate(undetermined=True), Fate(now=True, day=D1, does=DELETE), Effect.NOW),
        (Fate(day=D2, does=DELETE), Fate(now=True, day=D1, does=DELETE), Effect.NOW),
        (Fate(now=True, day=D1, does=DELETE), Fate(now=True, day=D2, does=DELETE), Effect.UNCHANGED),
        (Fate(now=True, day=D2, does=DELETE), Fate(now=True, day=D1, does=TREAT), Effect.OTHERWISE),
        (Fate(now=True, day=D1, does=DELETE), Fate(day=D2, does=DELETE), Effect.LATER),
        (Fate(now=True, day=D1, does=DELETE), Fate(later=True), Effect.LATER),
        (Fate(now=True, day=D1, does=DELETE), Fate(), Effect.NEVER),
        (Fate(day=D1, does=DELETE), Fate(), Effect.NEVER),
        (Fate(), Fate(day=D1, does=DELETE), Effect.EARLIER),
        (Fate(day=D2, does=DELETE), Fate(day=D1, does=DELETE), Effect.EARLIER),
        (Fate(day=D1, does=DELETE), Fate(day=D2, does=DELETE), Effect.LATER),
        (Fate(day=D1, does=DELETE), Fate(day=D1, does=DELETE), Effect.UNCHANGED),
        (Fate(day=D1, does=DELETE), Fate(day=D1, does=TREAT), Effect.OTHERWISE),
    ],
)
def test_one_word_says_what_changes_for_a_record(before: Fate, after: Fate, expected: Effect | None) -> None:
    """Undetermined comes first, then what is due now, then the due days, then what happens on them."""
    assert expected is effect(before, after)


class TestCompare:
    """Over records that are there."""

    def test_one_snapshot_and_two_views_come_to_the_same(self, lab: Lab) -> None:
        """For random comments: a source declared otherwise and read whole twice gives the counts of one read once by selection."""
        lab.policies = SHORTER
        fill(lab, {"customers": [], "invoices": [], "comments": []})
        with lab.machine() as machine:
            old, meanwhile = other(machine, lab, AHEAD), other(machine, lab, MEANWHILE)

            @RULE
            @given(comments)
            def holds(drawn: list[tuple[Any, ...]]) -> None:
                fill(lab, {"customers": [], "invoices": [], "comments": drawn})
                together = compare(old, machine, months=2)
                assert effects(together)["comments"] == effects(compare(meanwhile, machine, months=2))["comments"]

            holds()

    def test_a_period_that_gets_shorter_or_longer(self, lab: Lab) -> None:
        """Every kind of change for a handful of records, with what the file says otherwise in words."""
        text = POLICIES.replace('start = "seen_at"\nkeep = "P2Y"', 'start = "seen_at"\nkeep = "P1Y"').replace(
            'start = { end_of_fiscal_year = "issued_on" }\nkeep = "P7Y"', 'start = { end_of_fiscal_year = "issued_on" }\nkeep = "P10Y"'
        )
        days = {10: "2025-01-01", 11: "2025-12-01", 12: "2024-12-01", 13: "2024-01-01"}
        lab.memory.tables["customers"] = {
            (key,): {"id": key, "name": "n", "email": "e", "seen_at": f"{day} 10:00:00"} for key, day in days.items()
        }
        with lab.machine() as machine:
            made = compare(machine, other(machine, lab, text), months=12)
        found = {each.policy: each for each in made.policies}
        assert {Effect.NOW: 2, Effect.EARLIER: 1, Effect.UNCHANGED: 1} == found["customers"].effects
        assert ("purpose contact: keep P2Y -> P1Y",) == found["customers"].words
        assert (State.CHANGED, State.CHANGED) == (found["customers"].state, found["invoices"].state)
        # Those of 2014 and 2018 were due at the end of 2021 and 2025; ten years are over at the end of 2024 and 2028.
        assert {Effect.UNCHANGED: 1, Effect.LATER: 1} == found["invoices"].effects
        assert ("purpose tax: keep P7Y from the end of fiscal year -> P10Y from the end of fiscal year",) == found["invoices"].words
        assert (4, dt.date(2027, 5, 31)) == (found["customers"].total, made.until)

    def test_policies_that_come_go_move_and_stay(self, lab: Lab) -> None:
        """A new policy's due records are due now, a lost one's no longer; another table has other records; what is the same isn't read."""
        lab.policies = AHEAD
        fill(lab, {"customers": [], "invoices": [(9, "2010-01-01")], "comments": [("Ada", None, "2026-01-01", 9)]})
        start = AHEAD.index("[sources.comments]")
        without = AHEAD[:start]
        moved = without + AHEAD[start:].replace('table = "comments"', 'table = "notes"')
        with lab.machine() as machine:
            gone, elsewhere = other(machine, lab, without), other(machine, lab, moved)
            lost = compare(machine, gone, months=2)
            won = compare(gone, machine, months=2)
            shifted = compare(machine, elsewhere, months=2)
        assert [("comments", State.DISAPPEARS, {Effect.NEVER: 1})] == [(each.policy, each.state, each.effects) for each in lost.policies]
        assert [("comments", State.APPEARS, {Effect.NOW: 1})] == [(each.policy, each.state, each.effects) for each in won.policies]
        assert [("comments", State.MOVED, {})] == [(each.policy, each.state, each.effects) for each in shifted.policies]
        assert ["customers", "invoices"] == won.same

    def test_what_no_server_can_enforce_is_in_words(self, lab: Lab) -> None:
        """A declaration that changed is told, and no source is read for it."""
        gap = '\n[[gaps]]\nid = "letters"\nwhat = "No period for letters."\n'
        with lab.machine() as machine:
            made = compare(machine, other(machine, lab, POLICIES + gap), months=2)
        assert (("gap letters is new: No period for letters.",), []) == (made.declared, made.policies)

    def test_children_that_are_kept_longer_keep_their_parent(self, lab: Lab) -> None:
        """A policy that stayed the same is compared when that of its children did not; the other way round nothing can change."""
        text = POLICIES.replace('start = { end_of_fiscal_year = "issued_on" }\nkeep = "P7Y"', 'start = "issued_on"\nkeep = "P20Y"')
        with lab.machine() as machine:
            made = compare(machine, other(machine, lab, text), months=12)
            parent = compare(
                machine, other(machine, lab, POLICIES.replace('"seen_at"\nkeep = "P2Y"', '"seen_at"\nkeep = "P3Y"')), months=12
            )
        found = {each.policy: each for each in made.policies}
        # The customer whose invoice of 2014 could go with them waits for it now.
        assert (State.RELATED, (), 1) == (found["customers"].state, found["customers"].words, found["customers"].effects[Effect.NEVER])
        assert ["invoices"] == parent.same

    def test_a_fact_that_is_not_read_any_more_is_newly_undetermined(self, lab: Lab) -> None:
        """An earliest plausible day that rules out what is there turns a due record into a question; the source is declared otherwise."""
        text = POLICIES.replace('issued_on = { type = "date" }', 'issued_on = { type = "date", earliest = 2016-01-01 }')
        with lab.machine() as machine:
            made = compare(machine, other(machine, lab, text), months=12)
        found = {each.policy: each for each in made.policies}
        assert 1 == found["invoices"].effects[Effect.UNDETERMINED]
        assert ("source: fields (issued_on) declared otherwise",) == found["invoices"].words

    def test_comparing_writes_nothing(self, lab: Lab) -> None:
        """No event, no plan, no finding, and no key for a pseudonym domain that only one of the files knows."""
        lab.policies = AHEAD
        fill(lab, {"customers": [], "invoices": [], "comments": [("Ada", "ada@canary.example", "2026-01-01", 9)]})
        with lab.machine() as machine:
            made = compare(other(machine, lab, AHEAD.replace('domain = "answers"', 'domain = "elsewhere"')), machine, months=1)
            assert ["comments"] == [each.policy for each in made.policies]
        assert {"ledger.sqlite"} == {each.name for each in (lab.folder / "state").iterdir() if not each.name.startswith("ledger.sqlite-")}
        assert not (lab.folder / "keys").exists()
