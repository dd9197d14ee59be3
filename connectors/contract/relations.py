"""What a connector promises that has related tables."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import pytest

from connectors.contract.harness import TODAY, RelationsHarness, carry_out, everything, read, reading, record
from worker.core.compiled import fact_reader
from worker.core.conditions import Compare, Op
from worker.core.facts import Empty, FieldType, Known, NotApplicable, Unknown
from worker.core.model import Policy
from worker.core.select import EVERYTHING, Absent, Compares, OnOrBefore, Selection, Suspect
from worker.core.sources import Aggregate, Disposal, Function, Relation
from worker.errors import Changed
from worker.ports import Along, Changes, OpenSource

RELATIONS = (
    Relation("letters", "letters", ("id",), ("record_id",), ("id",), Disposal.DELETE),
    Relation("bills", "bills", ("id",), ("record_id",), ("id",), Disposal.DETACH),
)
"""The relations of the source that a `RelationsHarness` provides: two tables with `id`, `record_id` and `sent_on`, empty allowed."""

AGGREGATES = (
    Aggregate("letter_count", "letters", Function.COUNT),
    Aggregate("has_bills", "bills", Function.EXISTS),
    Aggregate("last_letter", "letters", Function.LATEST, "sent_on", reading(FieldType.DATE), Empty.NOT_APPLICABLE),
    Aggregate("first_letter", "letters", Function.EARLIEST, "sent_on", reading(FieldType.DATE), Empty.NOT_APPLICABLE),
)


class RelationsContract:
    """What a connector promises that has related tables."""

    @pytest.fixture
    def harness(self) -> RelationsHarness:
        """Return the system; a subclass overrides this."""
        raise NotImplementedError("override the fixture `harness`")

    @pytest.fixture
    def source(self, harness: RelationsHarness) -> Iterator[OpenSource]:
        """Return the opened source, with three records: two letters and a bill, one undated letter, and nothing."""
        first, second, third = (harness.key(number)[0] for number in range(3))
        harness.fill({harness.key(number): record(number) for number in range(3)})
        day = dt.date(2020, 5, 1)
        harness.fill_related(
            "letters",
            {
                (1,): {"record_id": first, "sent_on": day},
                (2,): {"record_id": first, "sent_on": day + dt.timedelta(days=40)},
                (3,): {"record_id": second, "sent_on": None},
            },
        )
        harness.fill_related("bills", {(1,): {"record_id": first, "sent_on": day}, (2,): {"record_id": None, "sent_on": day}})
        assert third is not None
        opened = harness.open()
        yield opened
        opened.close()

    def test_aggregates(self, harness: RelationsHarness, source: OpenSource) -> None:
        """Counts are numbers, latest and earliest are summaries, and `relation:NAME` is the number of rows."""
        policy = Policy(harness.source, (), ())
        names = tuple(each.name for each in AGGREGATES)
        readers = [fact_reader(policy, name, TODAY) for name in names]
        rows = read(source, EVERYTHING, (*names, "relation:letters", "relation:bills"))
        assert [
            [Known(2), Known(True), Known(dt.date(2020, 6, 10)), Known(dt.date(2020, 5, 1))],  # noqa: FBT003 - a fact
            [Known(1), Known(False), Unknown("an empty value among the rows"), Unknown("an empty value among the rows")],  # noqa: FBT003
            [Known(0), Known(False), NotApplicable(), NotApplicable()],  # noqa: FBT003
        ] == [[fact(raw) for fact, raw in zip(readers, row, strict=False)] for _, row in rows]
        numbers = [(2, 1), (1, 0), (0, 0)]
        assert numbers == [row[-2:] for _, row in rows]

    def test_selection_over_aggregates_never_misses(self, harness: RelationsHarness, source: OpenSource) -> None:
        """Selections by what related rows say hold at least the records they must."""
        expectations: list[tuple[Selection, set[int]]] = [
            (OnOrBefore("last_letter", dt.date(2020, 6, 10)), {0}),
            (OnOrBefore("first_letter", dt.date(2020, 5, 1)), {0}),
            (Absent("last_letter"), {2}),
            (Suspect("last_letter", TODAY), {1}),
            (Compares(Compare("letter_count", Op.GE, (1,))), {0, 1}),
            (Compares(Compare("letter_count", Op.EQ, (0,))), {2}),
            (Compares(Compare("has_bills", Op.EQ, (True,))), {0}),
            (Compares(Compare("has_bills", Op.EQ, (False,))), {1, 2}),
        ]
        for selection, must in expectations:
            assert {harness.key(number) for number in must} <= {key for key, _ in read(source, selection, ())}, selection

    def test_related(self, harness: RelationsHarness, source: OpenSource) -> None:
        """A relation's rows come with their parents' keys, from a reader and from a batch."""
        keys, whole = everything(source)
        expected = [(harness.key(0), (1,)), (harness.key(0), (2,)), (harness.key(1), (3,))]
        with source.reader() as reader:
            assert expected == sorted(reader.related(("letters",), keys, ()))
            assert not reader.related(("letters",), [harness.key(2)], ())
        with source.batch("b", whole, EVERYTHING, ()) as batch:
            assert expected == sorted(batch.related(("letters",), keys, ()))

    def test_along(self, harness: RelationsHarness, source: OpenSource) -> None:
        """Rows that are to go go with their parent, rows to be detached stay without it, all others stay as they were."""
        bills = harness.dump_related("bills")
        _, whole = everything(source)
        changes = Changes(
            delete=[harness.key(0)],
            along=[Along(("letters",), [(1,), (2,)]), Along(("bills",), [(1,)], detach=True)],
        )
        with source.batch("left", whole, EVERYTHING, ()) as batch:
            batch.related(("letters",), [harness.key(0)], ())
            batch.write(changes)
        assert {(1,), (2,), (3,)} == set(harness.dump_related("letters"))
        with source.batch("b", whole, EVERYTHING, ()) as batch:
            batch.related(("letters",), [harness.key(0)], ())
            batch.write(changes)
            batch.commit()
        assert {harness.key(1), harness.key(2)} == set(harness.dump())
        assert {(3,)} == set(harness.dump_related("letters"))
        assert {**bills, (1,): {**bills[(1,)], "record_id": None}} == harness.dump_related("bills")

    def test_a_missing_row_along_is_refused(self, harness: RelationsHarness, source: OpenSource) -> None:
        """When a related row is not there to go along, nothing is committed."""
        _, whole = everything(source)
        before = harness.dump(), harness.dump_related("letters")
        with pytest.raises(Changed):
            carry_out(source, whole, Changes(delete=[harness.key(0)], along=[Along(("letters",), [(1,), (99,)])]))
        assert before == (harness.dump(), harness.dump_related("letters"))
