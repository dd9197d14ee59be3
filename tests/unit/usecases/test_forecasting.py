"""Looking ahead: what is forecast for a month is what the plan for the day after it newly acts on."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import RULE
from tests.unit.usecases.conftest import POLICIES, Lab
from worker.errors import ConfigurationError, Problems, SourceFailed
from worker.usecases.approving import open_plan
from worker.usecases.forecasting import forecast, month_days, month_starts, upcoming
from worker.usecases.machine import Machine
from worker.usecases.planning import make_plan
from worker.usecases.standing import add_hold, add_request

TODAY = dt.date(2026, 6, 30)
MONTHS = 2
AHEAD = (
    POLICIES.replace('{ end_of_fiscal_year = "issued_on" }', '"issued_on"').replace(
        '{ end_of_fiscal_year = "last_invoice" }', '"last_invoice"'
    )
    + """
[sources.comments]
connector = "memory"
table = "comments"
key = "id"
subject = ["email"]
[sources.comments.fields]
author = { treatment = "clear" }
email = { type = "email", treatment = "pseudonym", domain = "answers" }
posted_on = { type = "date" }
kind = { empty = "not_applicable" }
[sources.comments.children.answers]
table = "comments"
key = "id"
match = { answers_to = "id" }
on_delete = "detach"
source = "comments"
[sources.comments.facts]
answers = { count = "answers", remaining = true }

[[policies]]
source = "comments"
disposition = [
  { do = "pseudonymise", when = { answers = { gt = 0 } }, then = [{ do = "delete", after = "P2M" }] },
  { do = "review", when = { kind = "A reviewer" } },
  { do = "delete" },
]
[[policies.purposes]]
id = "publication"
basis = "legitimate-interests"
fields = ["author"]
start = "posted_on"
keep = "P2M"
[[policies.purposes]]
id = "abuse"
basis = "legitimate-interests"
fields = ["email"]
start = "posted_on"
keep = "P1M"
"""
)
"""Children that keep their parents, fields that go before their record, threads, a chain, a review: all that may come in two steps."""


def spread(first: dt.date, last: dt.date) -> st.SearchStrategy[str | None]:
    """Return days between two, and now and then none, one that nobody can read, or one that lies ahead of today."""
    return st.one_of(*[st.dates(first, last).map(str)] * 5, st.sampled_from((None, "nonsense", "2026-07-09")))


names = st.sampled_from(("Ada", "Bob", "A reviewer", None))
emails = st.sampled_from(("ada@canary.example", "bob@canary.example", "held@canary.example", "gone@canary.example", "", None))
customers = st.lists(
    st.tuples(names, emails, spread(dt.date(2024, 5, 1), dt.date(2024, 10, 31)).map(lambda day: day and f"{day} 12:00:00"))
)
invoices = st.lists(st.tuples(st.integers(0, 5), spread(dt.date(2019, 5, 1), dt.date(2019, 10, 31))), max_size=5)
comments = st.lists(st.tuples(names, emails, spread(dt.date(2026, 3, 1), dt.date(2026, 7, 31)), st.integers(0, 6)), max_size=7)
Tables = Mapping[str, list[tuple[Any, ...]]]
tables = st.fixed_dictionaries({"customers": customers, "invoices": invoices, "comments": comments})
_COLUMNS = {
    "customers": ("name", "email", "seen_at"),
    "invoices": ("customer", "issued_on"),
    "comments": ("author", "email", "posted_on", "answers_to"),
}


def fill(lab: Lab, drawn: Tables) -> None:
    """Put drawn rows into the laboratory's tables, numbered from 0."""
    lab.memory.tables["notes"] = {}
    for name, rows in drawn.items():
        lab.memory.tables[name] = {
            (number,): {"id": number, "billed_to": "x", "kind": row[0], **dict(zip(_COLUMNS[name], row, strict=True))}
            for number, row in enumerate(rows)
        }


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Lab, Machine]]:
    """Return one laboratory for many examples, with a person who is held and one who asked to be forgotten."""
    lab = Lab(tmp_path_factory.mktemp("ahead"), AHEAD)
    fill(lab, {"customers": [], "invoices": [], "comments": []})
    with lab.machine() as machine:
        hold = {"kind": "dispute", "scope": "subject", "owner": "d", "reason": "r", "review_on": dt.date(2027, 1, 1)}
        add_hold(machine, identifiers=["held@canary.example"], **hold)  # type: ignore[arg-type]
        add_request(machine, kind="erase", identifiers=["gone@canary.example"], verified_by="ann")
        yield lab, machine


def planned(machine: Machine, day: dt.date) -> set[tuple[str, str]]:
    """Return (source, reference) of every record that a plan for a day acts on."""
    plan = open_plan(machine, make_plan(machine, as_of=day).path)
    return {(batch.source, reference) for batch in plan.batches() for reference in batch.records}


class TestForecast:
    """Counts by month."""

    def test_each_month_is_what_the_plan_after_it_newly_acts_on(self, shared: tuple[Lab, Machine]) -> None:
        """For random records: what is due now is today's plan, a month is what the plan for the day after it acts on for the first time."""
        lab, machine = shared

        @RULE
        @given(tables)
        def holds(drawn: Tables) -> None:
            fill(lab, drawn)
            seen: set[tuple[str, str]] = set()
            expected: dict[tuple[str, int], int] = {}
            for step, day in enumerate(month_days(TODAY, MONTHS)):
                new = planned(machine, day) - seen
                seen |= new
                for source, _ in new:
                    expected[source, step] = expected.get((source, step), 0) + 1
            made = forecast(machine, months=MONTHS)
            got: dict[tuple[str, int], int] = {}
            for each in made.policies:
                assert len(drawn[each.policy]) == each.total
                assert each.rest >= 0
                for (word, step), count in each.counts.items():
                    if word != "review":
                        got[each.policy, step] = got.get((each.policy, step), 0) + count
            assert expected == got

        holds()

    def test_a_record_counts_once_as_what_first_happens_to_it(self, lab: Lab) -> None:
        """Some fields in July and the whole record in August count in July, as some fields; a review is counted apart."""
        lab.policies = AHEAD
        fill(
            lab,
            {
                "customers": [("Ada", "ada@canary.example", "2024-07-10 12:00:00"), ("Bob", "bob@canary.example", "2030-01-01 12:00:00")],
                "invoices": [(0, "2019-08-31")],
                "comments": [("A reviewer", None, "2026-05-31", 9), ("Ada", "ada@canary.example", "2026-06-15", 9)],
            },
        )
        with lab.machine() as machine:
            found = {each.policy: each for each in forecast(machine, months=4).policies}
        # June, July, August, September are 1 to 4.
        assert {("partly", 2): 1} == found["customers"].counts
        assert 1 == found["customers"].rest
        assert {("due", 3): 1} == found["invoices"].counts
        assert {("review", 2): 1, ("partly", 2): 1} == found["comments"].counts

    def test_the_due_day_itself_belongs_to_its_month(self, lab: Lab) -> None:
        """What is kept through 31 July is July's, although it goes on 1 August; what is due today is not due now."""
        lab.policies = AHEAD
        fill(
            lab, {"customers": [], "comments": [], "invoices": [(9, "2019-06-29"), (9, "2019-06-30"), (9, "2019-07-31"), (9, "2019-08-01")]}
        )
        with lab.machine() as machine:
            counts = {each.policy: each.counts for each in forecast(machine, months=3).policies}["invoices"]
        assert {("due", step): 1 for step in range(4)} == counts

    def test_looking_ahead_writes_nothing(self, lab: Lab) -> None:
        """Neither a plan, nor an event, nor a finding, nor a key is made, not even for a pseudonym that was never written before."""
        with lab.machine() as machine:
            forecast(machine, months=2)
            upcoming(machine, days=3, records=True)
            assert [] == machine.ledger.open_findings()
        assert {"ledger.sqlite"} == {each.name for each in (lab.folder / "state").iterdir() if not each.name.startswith("ledger.sqlite-")}
        assert not (lab.folder / "keys").exists()

    def test_a_source_that_fails_is_named_and_the_others_are_counted(self, lab: Lab) -> None:
        """One source that is down is no reason to know nothing, and is never shown as empty."""
        with lab.machine() as machine:
            broken = failing(machine, "invoices", SourceFailed("it is down"))
            made = forecast(broken, months=2)
        assert {"invoices": "it is down"} == made.failed
        assert ["customers"] == [each.policy for each in made.policies]

    def test_a_source_that_is_not_as_declared_is_refused(self, lab: Lab) -> None:
        """A table that isn't there is no empty forecast."""
        del lab.memory.tables["notes"]
        with lab.machine() as machine, pytest.raises(Problems, match="notes"):
            forecast(machine, months=2)

    def test_months_end_with_the_calendar(self) -> None:
        """The months of a year's end go on in the next year, and beyond the year 9999 there is an error in words."""
        assert (dt.date(2026, 11, 1), dt.date(2026, 12, 1), dt.date(2027, 1, 1)) == month_starts(dt.date(2026, 11, 30), 3)
        with pytest.raises(ConfigurationError, match="beyond the calendar"):
            month_days(dt.date(9999, 12, 1), 1)


class TestUpcoming:
    """What falls due in the coming days."""

    def test_each_record_has_its_first_due_day(self, lab: Lab) -> None:
        """The day is the last day of keeping of what happens first; what is due already, and what lies behind the days, is left out."""
        lab.policies = AHEAD
        fill(
            lab,
            {
                "customers": [
                    ("Ada", "a@canary.example", f"2024-{day} 12:00:00") for day in ("06-29", "06-30", "07-01", "07-09", "07-10", "07-11")
                ],
                "invoices": [(3, "2019-07-05"), (2, "2019-07-08"), (3, "2030-01-01")],
                "comments": [],
            },
        )
        with lab.machine() as machine:
            found, failed = upcoming(machine, days=10, records=True)
        assert {} == failed
        rows = {each.policy: each for each in found}
        day = dt.date
        assert [
            ((1,), "due", day(2026, 6, 30)),
            # Seen on 1 July 2024: e-mail address then, the record when the invoice is due too.
            ((2,), "partly", day(2026, 7, 1)),
            ((3,), "partly", day(2026, 7, 9)),
        ] == rows["customers"].records
        assert day(2026, 7, 9) == rows["customers"].until
        assert [((0,), "due", day(2026, 7, 5)), ((1,), "due", day(2026, 7, 8))] == rows["invoices"].records
        assert (day(2026, 7, 5), 2) == (rows["invoices"].first, rows["invoices"].number("due"))

    def test_keys_are_kept_only_when_they_are_asked_for(self, lab: Lab) -> None:
        """Counting needs nobody's key."""
        with lab.machine() as machine:
            found, _ = upcoming(machine, days=3660)
        assert any(each.counts for each in found)
        assert [] == [key for each in found for key in each.records]

    def test_an_owner_nobody_knows_is_an_error(self, lab: Lab) -> None:
        """A misspelt name is no empty list."""
        with lab.machine() as machine, pytest.raises(ConfigurationError, match="No policy has the owner 'Ann'"):
            upcoming(machine, days=3, owner="Ann")


def failing(machine: Machine, name: str, error: Exception) -> Machine:
    """Return a machine of which one source can't be opened."""

    def opening(source: Any) -> Any:
        if source.name == name:
            raise error
        return machine.open_source(source)

    return dataclasses.replace(machine, open_source=opening)
