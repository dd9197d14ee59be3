"""What of a service's records can't go in one request: rows that lie half way, and records that would be refused after their rows."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import pytest

from connectors.hosted import Gone, HalfGone, HostedSource, Item, Related, Stale
from connectors.patience import InDoubt
from tests.contract.test_hosted import ALL_ALONG, HostedHarness, Relational, Rows, carried_out, harness
from worker.core.facts import UNREADABLE, Raw
from worker.core.sources import Relation
from worker.errors import Retriable
from worker.ports import Begun, Changes, Halving, Key, Left, Undone, Update

__all__ = ["harness"]

BIN: dict[Key, dict[str, object]] = {}
STUCK: dict[Key, Exception] = {}


class Binned(Rows):
    """Rows that go into a bin, where nothing is listed, and out of it by a second request."""

    def delete(self, item: Item) -> None:
        key = self.key(item)
        if key not in BIN:
            if item.get("binned"):
                raise Stale
            if key not in self.table:
                raise Gone
            BIN[key] = self.table.pop(key)
        if key in STUCK:
            raise STUCK[key]
        self.meddling.told.append((self.name, key))
        del BIN[key]

    def value(self, item: Item, column: str) -> Raw:
        return UNREADABLE if item.get("binned") else super().value(item, column)

    def gone(self, item: Item) -> bool:
        return super().gone(item) and self.key(item) not in BIN

    def half_gone(self, key: Key) -> Item | None:
        return {"id": key[0], "binned": True} if key in BIN else None


class Binning(Relational):
    """A service with a bin for what belongs to its records."""

    def relation(self, relation: Relation) -> Related:
        super().relation(relation)
        return Binned(relation.table, self.tables, self.meddling, relation.theirs)


@pytest.fixture(autouse=True)
def _emptied() -> None:
    BIN.clear()
    STUCK.clear()


def opened(harness: HostedHarness, *begun: Begun) -> HostedSource:
    """Open a source that deletes in two steps, for which an earlier batch began something."""
    records = Binning("people", harness.tables, harness.meddling)
    return HostedSource(harness.source, records, batch_seconds=300, halving=True, begun=lambda: begun)


def test_what_is_stuck_is_said_to_be_begun(harness: HostedHarness) -> None:
    """A row that came half way is named apart from those of which nothing was done, and its record stays."""
    STUCK[2,] = HalfGone("HTTP 403, in the bin")
    source = opened(harness)
    assert isinstance(source, Halving)
    undone = carried_out(source, Changes(delete=[harness.key(0)], along=ALL_ALONG))
    assert [(2,)] == [each.key for each in undone if each.begun]
    assert {(), ("letters",), ("bills",)} == {each.path for each in undone}
    assert [harness.key(0), harness.key(1)] == sorted(harness.dump())


def test_what_nobody_answered_may_be_begun(harness: HostedHarness) -> None:
    """A deletion that was never answered, and that reading back shows not done, may have come half way."""
    STUCK[2,] = InDoubt("no answer")
    undone = carried_out(opened(harness), Changes(delete=[harness.key(0)], along=ALL_ALONG))
    assert [(Left.FAILED, (2,))] == [(each.why, each.key) for each in undone if each.begun]


def test_it_is_a_row_of_its_record(harness: HostedHarness) -> None:
    """What an earlier batch began is given with its record, unless it is gone or where it was, and counts in no fact."""
    first = harness.key(0)
    BIN[2,] = harness.tables["letters"].pop((2,))
    begun = [*(Begun(first, ("letters",), (number,)) for number in (1, 2, 9)), Begun(first, ("nothing",), (2,))]
    source = opened(harness, *begun)
    assert [Begun(first, ("letters",), (2,))] == source.half_gone(begun)
    with source.reader() as reader:
        assert [(1,), (2,), (3,)] == sorted(row for _, row in reader.related(("letters",), [first], ()))
        assert (2,) == reader.get(first, ("relation:letters",))[len(first) :]  # type: ignore[index]


def test_a_later_batch_ends_it(harness: HostedHarness) -> None:
    """The batch that takes the record ends what was begun, and then deletes the record."""
    first = harness.key(0)
    BIN[2,] = harness.tables["letters"].pop((2,))
    source = opened(harness, Begun(first, ("letters",), (2,)))
    assert [] == carried_out(source, Changes(delete=[first], along=ALL_ALONG))
    assert {} == BIN
    assert ("letters", (2,)) in harness.meddling.told
    assert [harness.key(1)] == list(harness.dump())


def test_it_was_restored_meanwhile(harness: HostedHarness) -> None:
    """A row that somebody restores between the decision and its turn is decided on anew; the record stays."""
    first = harness.key(0)
    BIN[2,] = harness.tables["letters"].pop((2,))

    def restore() -> None:
        harness.tables["letters"][2,] = BIN.pop((2,))

    undone = carried_out(opened(harness, Begun(first, ("letters",), (2,))), Changes(delete=[first], along=ALL_ALONG), restore)
    assert {Left.CHANGED} == {each.why for each in undone}
    assert (2,) in harness.tables["letters"]


class Barred(Relational):
    """A service that refuses records to which something else refers."""

    asked: list[Mapping[Key, Mapping[str, Collection[Key]]]]
    kept: set[Key]
    error: Exception | None = None

    def barred(self, records: Mapping[Key, Mapping[str, Collection[Key]]]) -> Mapping[Key, str]:
        self.asked.append(records)
        if self.error is not None:
            raise self.error
        return {key: "referred to by bills" for key in records if key in self.kept}


@pytest.fixture
def service(harness: HostedHarness) -> Barred:
    """Return a service that keeps the first record."""
    made = Barred("people", harness.tables, harness.meddling)
    made.asked, made.kept = [], {harness.key(0)}
    return made


def both(harness: HostedHarness, service: Barred) -> Sequence[Undone]:
    """Delete both records."""
    source = HostedSource(harness.source, service, batch_seconds=300)
    return carried_out(source, Changes(delete=[harness.key(0), harness.key(1)], along=ALL_ALONG))


def test_a_record_that_would_be_refused_stays_whole(harness: HostedHarness, service: Barred) -> None:
    """Nothing of it is sent; the others go. All are asked about at once, with what goes with them and not what is only cut loose."""
    undone = both(harness, service)
    assert {("people", harness.key(1))} == set(harness.meddling.told)
    assert (harness.key(0), Left.FAILED, "referred to by bills") == (undone[0].key, undone[0].why, undone[0].answer)
    assert 6 == len(undone)
    first, second = harness.key(0), harness.key(1)
    whole = {"people": {first}, "letters": {(1,), (2,), (3,)}}
    assert [{first: whole, second: {"people": {second}}}, {first: whole}] == service.asked


def test_what_kept_it_went_meanwhile(harness: HostedHarness, service: Barred) -> None:
    """What kept a record at the beginning of the batch may have gone by its turn: then it goes too."""
    keys = [harness.key(1), harness.key(0)]

    def gone(table: str, key: Key) -> None:
        if key == keys[0]:
            service.kept.clear()

    harness.meddling.after = gone
    source = HostedSource(harness.source, service, batch_seconds=300)
    assert [] == carried_out(source, Changes(delete=keys, along=ALL_ALONG))


def test_nobody_can_be_asked(harness: HostedHarness, service: Barred) -> None:
    """When the service can't be asked nothing is begun, and all is left for later."""
    service.error = Retriable("busy")
    assert {Left.BUSY} == {each.why for each in both(harness, service)}
    assert [] == harness.meddling.told


def test_what_is_only_changed_is_not_asked_about(harness: HostedHarness, service: Barred) -> None:
    """A record that stays is changed though something refers to it."""
    source = HostedSource(harness.source, service, batch_seconds=300)
    assert [] == carried_out(source, Changes(updates=[Update(("name",), [(*harness.key(0), "x")])]))
    assert [] == service.asked
