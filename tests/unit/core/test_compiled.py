"""The decider of the hot loop decides as `decide` does."""

import datetime as dt
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.strategies import (
    AMSTERDAM,
    KEYS,
    ORGANISATION,
    RULE,
    ZONES,
    blocking_relations,
    days,
    garbage,
    plain_policy,
    policies,
    rows_for,
    sources,
    standings,
    timestamps,
    todays,
)
from tests.thoroughness import examples
from worker.core.compiled import Memories, RowDecider, aggregate_fact, fact_columns, fact_reader
from worker.core.decide import decide
from worker.core.facts import Empty, Fact, FieldType, Known, NotApplicable, NotYet, Raw, Reading, Unknown
from worker.core.model import SEEN, DispositionKind, LegalBasis, Policy, Purpose, StartEvent, Step
from worker.core.periods import Period, Term
from worker.core.sources import ANSWERED, Aggregate, Field, Function, Source
from worker.core.standing import NOTHING, Hold, HoldKind, Standing
from worker.core.treatments import treater

TODAY = dt.date(2026, 7, 1)
UTC = ZoneInfo("UTC")


def long_way(policy: Policy, name: str, raw: Raw, today: dt.date) -> Fact:
    """Return a fact without any short cut or memory."""
    for aggregate in policy.source.aggregates:
        if aggregate.name == name:
            return aggregate_fact(aggregate, raw, today)
    if name == ANSWERED or name.startswith(SEEN):
        return NotApplicable() if raw is None else Known(raw)  # type: ignore[arg-type]
    mark = policy.source.mark(name)
    if mark is not None:
        return mark.reading.fact(raw, today)
    return policy.source.field(name).reading.fact(raw, today)


@settings(RULE, max_examples=examples(25))
@given(st.data(), policies(), todays, standings, blocking_relations)
def test_agrees_with_decide(data: st.DataObject, policy: Policy, today: dt.date, standing: Standing, blocking: tuple[str, ...]) -> None:
    """Over rows of any values, in any order, with and without what it remembers of earlier rows."""
    columns = ("id", *fact_columns(policy), *policy.outside)
    treaters = {field.name: treater(field, ORGANISATION, KEYS, fields=policy.source.fields) for field in policy.treatable}
    decider = RowDecider(policy, today, columns, treaters)
    for row in data.draw(rows_for(policy, columns, 6)):
        values = dict(zip(columns, row, strict=True))
        facts = {name: long_way(policy, name, values[name], today) for name in policy.deciding}
        left = (
            name
            for name, treats in treaters.items()
            if not policy.only_deletes and not treats.is_treated(values[name], *(values[each] for each in treats.beside))
        )
        untreated = None if policy.only_deletes else frozenset(left)
        assert facts == decider.facts(row)
        for stands in (NOTHING, standing):
            expected = decide(facts, policy, stands, today, untreated=untreated, blocking=blocking)
            assert expected == decider.decide(row, stands, blocking)


@settings(RULE, max_examples=examples(25))
@given(st.data(), policies(), todays)
def test_what_is_shared_between_layouts_changes_nothing(data: st.DataObject, policy: Policy, today: dt.date) -> None:
    """A plan and the batches that carry it out ask for other columns; with one memory each decides as it would with its own."""
    columns = ("id", *fact_columns(policy), *policy.outside)
    treaters = {field.name: treater(field, ORGANISATION, KEYS, fields=policy.source.fields) for field in policy.treatable}
    rows = data.draw(rows_for(policy, columns, 6))
    memories = Memories()
    for layout in (columns, tuple(reversed(columns)), columns):
        laid_out = [tuple(dict(zip(columns, row, strict=True))[name] for name in layout) for row in rows]
        alone = RowDecider(policy, today, layout, treaters)
        shared = RowDecider(policy, today, layout, treaters, memories.of(policy, today))
        expected = [alone.decide(row) for row in laid_out]
        assert expected == [each.decision for each in shared.judge_plain(laid_out)]
        assert expected == [each.decision for each in shared.judge_plain(laid_out)]


def test_a_memory_is_of_one_policy_and_one_day() -> None:
    """Nothing that was decided by another policy, or on another day, is ever taken for what is decided now."""
    memories = Memories()
    policy, other = policy_of(stamp(AMSTERDAM)), policy_of(stamp(AMSTERDAM))
    first = memories.of(policy, TODAY)

    assert first is memories.of(policy, TODAY)
    assert 4 == len(
        {
            id(each)
            for each in (
                first,
                memories.of(other, TODAY),
                memories.of(policy, TODAY + dt.timedelta(days=1)),
                memories.of(other, dt.date.max),
            )
        }
    )


def policy_of(*starts: Field, steps: tuple[Step, ...] = (Step(DispositionKind.DELETE),)) -> Policy:
    """Return a policy that keeps a name two years after the latest of some fields."""
    name = Field("name", "name", Reading(FieldType.TEXT, Empty.UNKNOWN, AMSTERDAM), personal=True)
    held = Purpose(
        "contact",
        LegalBasis.LEGITIMATE_INTERESTS,
        ("name",),
        StartEvent(tuple(each.name for each in starts)),
        Term(Period.parse("P2Y")),
    )
    return plain_policy(held, source=Source("contacts", "crm", "contacts", ("id",), (*starts, name)), steps=steps)


def stamp(zone: ZoneInfo, *, planned: bool = False) -> Field:
    """Return a timestamp field stored in UTC."""
    return Field("at", "at", Reading(FieldType.TIMESTAMP, Empty.UNKNOWN, zone, UTC, planned=planned))


@settings(RULE, max_examples=examples(80))
@given(st.lists(timestamps, min_size=1, max_size=8), st.sampled_from(ZONES), st.booleans())
def test_utc_short_cut(raws: list[Any], zone: ZoneInfo, planned: bool) -> None:
    """Timestamps in UTC give the same facts with the memory of other values of their day, garbage among them."""
    field = stamp(zone, planned=planned)
    read = fact_reader(policy_of(field), "at", TODAY)
    assert [field.reading.fact(raw, TODAY) for raw in raws] == [read(raw) for raw in raws]


@settings(RULE, max_examples=examples(60))
@given(days, st.lists(st.integers(0, 86_399), min_size=1, max_size=10), st.sampled_from(ZONES))
def test_utc_short_cut_around_one_day(day: dt.date, seconds: list[int], zone: ZoneInfo) -> None:
    """Every second of a UTC day falls on its own side of the local midnight, as text and as datetime."""
    field = stamp(zone)
    read = fact_reader(policy_of(field), "at", TODAY)
    moments = [dt.datetime.combine(day, dt.time.min) + dt.timedelta(seconds=second) for second in seconds]
    expected = [field.reading.fact(moment, TODAY) for moment in moments]
    assert expected == [read(moment) for moment in moments]
    assert expected == [read(str(moment)) for moment in moments]


@pytest.mark.parametrize(
    ("zone", "day"),
    [
        ("Africa/Cairo", "2024-10-31"),
        ("Africa/Cairo", "2024-04-25"),
        ("America/St_Johns", "2005-10-30"),
        ("America/St_Johns", "2006-04-02"),
        ("Pacific/Apia", "2011-12-30"),
        ("Europe/Amsterdam", "2024-03-31"),
        ("Europe/Amsterdam", "2024-10-27"),
        ("Europe/Lisbon", "2024-10-27"),
        ("Europe/Amsterdam", "1937-07-01"),
        ("Europe/Amsterdam", "1935-05-05"),
        ("Asia/Kathmandu", "2024-01-01"),
    ],
)
def test_days_on_which_clocks_change(zone: str, day: str) -> None:
    """Every minute of days with gaps and folds at midnight, a day that never was, and offsets with odd seconds."""
    field = stamp(ZoneInfo(zone))
    read = fact_reader(policy_of(field), "at", TODAY)
    moments = [dt.datetime.fromisoformat(day) + dt.timedelta(minutes=minute, seconds=minute % 60) for minute in range(1440)]
    expected = [field.reading.fact(moment, TODAY) for moment in moments]
    assert expected == [read(moment) for moment in moments]
    assert expected == [read(str(moment)) for moment in moments]


def test_garbage_on_a_remembered_day() -> None:
    """A day that was seen vouches for no other text that begins with it."""
    read = fact_reader(policy_of(stamp(AMSTERDAM)), "at", TODAY)
    assert Known(dt.date(2020, 5, 5)) == read("2020-05-05 10:00:00")
    assert [Unknown("not a timestamp")] * 3 == [read(f"2020-05-05 {clock}") for clock in ("24:00:00", "10:00:60", "whenever")]


def test_equal_values_of_other_types() -> None:
    """1 and 1.0 are equal, but only one of them is a boolean; and a list can't be remembered at all."""
    flag = Field("hired", "hired", Reading(FieldType.BOOLEAN, Empty.UNKNOWN, AMSTERDAM))
    read = fact_reader(policy_of(flag), "hired", TODAY)
    assert [Known(True), Unknown("not a boolean"), Known(True), Unknown("not a boolean")] == [read(raw) for raw in (1, 1.0, True, [1])]


def test_remembers_and_still_obeys_a_hold() -> None:
    """What is remembered is the decision without holds; a record that is held is decided by itself."""
    decider = RowDecider(policy_of(stamp(AMSTERDAM)), TODAY, ("id", "at"), {})
    rows = [(1, "2020-05-05 10:00:00"), (2, "2020-05-05 11:00:00")]
    first, second = (decider.decide(row) for row in rows)
    assert first is second
    held = Standing((Hold("h", HoldKind.LEGAL),))
    assert decide({"at": Known(dt.date(2020, 5, 5))}, decider.policy, held, TODAY) == decider.decide(rows[0], held)
    assert first is decider.decide(rows[0])


def test_equal_facts_give_equal_evidence() -> None:
    """What a plan fingerprints doesn't depend on the form in which a number was stored, nor on which row was seen first."""
    amount = Field("amount", "amount", Reading(FieldType.NUMBER, Empty.UNKNOWN, AMSTERDAM))
    policy = policy_of(amount)
    found = {RowDecider(policy, TODAY, ("amount",), {}).judge((raw,)).evidence for raw in (1, "1.0", 1.0, Decimal("1.00"), "1")}
    assert 1 == len(found)
    other = RowDecider(policy, TODAY, ("amount",), {}).judge((2,)).evidence
    assert other not in found


class TestAggregates:
    """Facts over the rows of a relation."""

    @staticmethod
    def latest(member: Empty = Empty.UNKNOWN, none: Empty = Empty.UNKNOWN, function: Function = Function.LATEST) -> Aggregate:
        """Return an aggregate over dates."""
        return Aggregate("last", "invoices", function, "sent_on", Reading(FieldType.DATE, member, AMSTERDAM), none)

    @pytest.mark.parametrize(
        ("member", "none", "raw", "expected"),
        [
            (Empty.UNKNOWN, Empty.NOT_APPLICABLE, (0, 0, 0, None, None), NotApplicable()),
            (Empty.UNKNOWN, Empty.NOT_YET, (0, 0, 0, None, None), NotYet()),
            (Empty.UNKNOWN, Empty.UNKNOWN, (0, 0, 0, None, None), Unknown("no rows")),
            (Empty.NOT_YET, Empty.UNKNOWN, (2, 1, 0, "2020-01-01", "2020-01-01"), NotYet()),
            (Empty.UNKNOWN, Empty.UNKNOWN, (2, 1, 0, "2020-01-01", "2020-01-01"), Unknown("an empty value among the rows")),
            (Empty.NOT_APPLICABLE, Empty.UNKNOWN, (2, 1, 0, "2020-01-01", "2020-01-01"), Known(dt.date(2020, 1, 1))),
            (Empty.NOT_APPLICABLE, Empty.UNKNOWN, (2, 2, 0, None, None), NotApplicable()),
            (Empty.NOT_YET, Empty.UNKNOWN, (3, 1, 1, "2020-01-01", "2020-01-01"), Unknown("an unreadable value among the rows")),
            (Empty.UNKNOWN, Empty.UNKNOWN, (2, 0, 0, "2020-01-01", "2021-01-01"), Known(dt.date(2021, 1, 1))),
            (Empty.UNKNOWN, Empty.UNKNOWN, (2, 0, 0, "1900-01-01", "2021-01-01"), Unknown("implausible date")),
            (Empty.UNKNOWN, Empty.UNKNOWN, (2, 0, 0, "2020-01-01", "2027-01-01"), Unknown("date in the future")),
            (Empty.UNKNOWN, Empty.UNKNOWN, None, Unknown("no summary of the rows")),
            (Empty.UNKNOWN, Empty.UNKNOWN, "abcde", Unknown("no summary of the rows")),
            (Empty.UNKNOWN, Empty.UNKNOWN, (1, 0), Unknown("no summary of the rows")),
        ],
    )
    def test_latest(self, member: Empty, none: Empty, raw: Raw, expected: Fact) -> None:
        """An open member has not happened yet, an unreadable one makes the whole unknown, and no rows mean what is declared."""
        assert expected == aggregate_fact(self.latest(member, none), raw, TODAY)

    def test_earliest(self) -> None:
        """The other end of the same summary."""
        found = aggregate_fact(self.latest(function=Function.EARLIEST), (2, 0, 0, "2020-01-01", "2021-01-01"), TODAY)
        assert Known(dt.date(2020, 1, 1)) == found

    def test_counts(self) -> None:
        """Numbers of rows as drivers answer them; anything else was not counted."""
        count, exists = Aggregate("n", "invoices", Function.COUNT), Aggregate("n", "invoices", Function.EXISTS)
        assert [Known(0), Known(3), Known(1)] == [aggregate_fact(count, raw, TODAY) for raw in (0, Decimal(3), True)]
        assert [Known(False), Known(True), Known(True)] == [aggregate_fact(exists, raw, TODAY) for raw in (0, 3, True)]
        assert [Unknown("not counted")] * 3 == [aggregate_fact(count, raw, TODAY) for raw in (None, "many", Decimal("NaN"))]

    @settings(RULE, max_examples=examples(60))
    @given(garbage, garbage, garbage, sources())
    def test_garbage_never_raises(self, raw: Raw, low: Raw, high: Raw, source: Source) -> None:
        """Whatever a driver answers is a fact."""
        for aggregate in source.aggregates:
            for each in (raw, (2, 0, 0, low, high), (2, 1, 0, low, high)):
                assert isinstance(aggregate_fact(aggregate, each, TODAY), Known | NotYet | NotApplicable | Unknown)


def test_columns() -> None:
    """A policy that only deletes needs no content; one that treats needs the fields it treats."""
    at = stamp(AMSTERDAM)
    assert ("at",) == fact_columns(policy_of(at))
    source = policy_of(at).source
    treated = Field("name", "name", source.field("name").reading, personal=True, treatment=None)
    assert ("at",) == fact_columns(policy_of(at, steps=(Step(DispositionKind.PSEUDONYMISE),)))
    assert treated.treatment is None
