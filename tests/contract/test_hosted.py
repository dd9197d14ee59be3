"""Records that a service keeps keep the contract, with relations and without, whatever the service: here one that lives in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import pytest

from connectors.contract import AGGREGATES, FIELDS, RELATIONS, ConnectorContract, Record, RelationsContract, RelationsHarness
from connectors.contract.harness import everything, record
from connectors.hosted import Gone, HostedSource, Item, Refused, Related
from connectors.patience import InDoubt
from worker.core.facts import Raw
from worker.core.model import Policy
from worker.core.select import EVERYTHING, Selection
from worker.core.sources import Disposal, Relation, Source
from worker.errors import Changed, ConfigurationError, Problem, Retriable
from worker.ports import Along, Changes, Key, KeyRange, Left, Level, OpenSource, Undone, Update

Tables = dict[str, dict[Key, dict[str, object]]]


class Meddling:
    """Is told of every request that writes, by table and key, and may raise in its place."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Key]] = []
        self.before: Callable[[str, Key], None] = lambda table, key: None
        self.after: Callable[[str, Key], None] = lambda table, key: None


@dataclass
class Rows:
    """One table of the service."""

    name: str
    tables: Tables
    meddling: Meddling
    theirs: tuple[str, ...] = ()

    @property
    def table(self) -> dict[Key, dict[str, object]]:
        return self.tables[self.name]

    def of(self, values: Sequence[Key]) -> Iterator[tuple[Key, Item]]:
        for value in values:
            for _, row in sorted(self.table.items()):
                if tuple(row[name] for name in self.theirs) == value:
                    yield value, dict(row)

    def key(self, item: Item) -> Key:
        return (item["id"],)

    def value(self, item: Item, column: str) -> Raw:
        return item[column]

    def delete(self, item: Item) -> None:
        self._written(item, lambda: self.table.pop(self.key(item)))

    def gone(self, item: Item) -> bool:
        return self.key(item) not in self.table

    def detach(self, item: Item) -> None:
        self._written(item, lambda: self.table[self.key(item)].update(dict.fromkeys(self.theirs)))

    def is_loose(self, item: Item) -> bool:
        return self.gone(item) or all(self.table[self.key(item)][name] is None for name in self.theirs)

    def update(self, item: Item, settings: Mapping[str, Raw]) -> None:
        self._written(item, lambda: self.table[self.key(item)].update(settings))

    def _written(self, item: Item, write: Callable[[], object]) -> None:
        key = self.key(item)
        self.meddling.told.append((self.name, key))
        self.meddling.before(self.name, key)
        if self.gone(item):
            raise Gone
        write()
        self.meddling.after(self.name, key)


class Plain(Rows):
    """A service whose records have no relations."""

    level = Level.PERMANENT
    most = 100

    def pages(self, selection: Selection, within: KeyRange | None) -> Iterator[Sequence[Item]]:
        keys = sorted(self.table)
        for start in range(0, len(keys), 500):
            yield [dict(self.table[key]) for key in keys[start : start + 500] if key in self.table]

    def get(self, key: Key) -> Item | None:
        found = self.table.get(key)
        return None if found is None else dict(found)

    def has(self, item: Item, settings: Mapping[str, Raw]) -> bool:
        return all(item[name] == value for name, value in settings.items())

    def columns(self) -> Sequence[str]:
        return [each.column for each in FIELDS]

    def check(self, source: Source, policy: Policy | None) -> tuple[list[Problem], list[Problem]]:
        return [], []

    def rights(self, account: str, *, writes: bool) -> list[str]:
        return [account]

    def close(self) -> None:
        pass


class Relational(Plain):
    """The same with relations to other tables."""

    def relation(self, relation: Relation) -> Related:
        if relation.table not in self.tables:
            raise KeyError(relation.table)
        return Rows(relation.table, self.tables, self.meddling, relation.theirs)


class HostedHarness(RelationsHarness):
    """Tables of a service that lives in memory."""

    survives = False
    selections = 40
    kind: type[Plain] = Relational
    siblings: Mapping[str, Source] = {}

    def __init__(self) -> None:
        self.source = Source("people", "hosted", "people", ("id",), FIELDS, AGGREGATES, RELATIONS)
        self.tables: Tables = {"people": {}, "letters": {}, "bills": {}, "copies": {}}
        self.meddling = Meddling()

    def open(self) -> HostedSource:
        records = self.kind("people", self.tables, self.meddling)
        return HostedSource(self.source, records, batch_seconds=300, siblings=self.siblings)

    def fill(self, records: Mapping[Key, Record]) -> None:
        self.tables["people"] = {key: {"id": key[0], **values} for key, values in records.items()}

    def dump(self) -> dict[Key, dict[str, object]]:
        return self._table("people")

    def disturb(self, key: Key, record: Record | None) -> bool:
        if record is None:
            del self.tables["people"][key]
        else:
            self.tables["people"][key] = {"id": key[0], **record}
        return True

    def fill_related(self, table: str, rows: Mapping[Key, Record]) -> None:
        self.tables[table] = {key: {"id": key[0], **row} for key, row in rows.items()}

    def dump_related(self, table: str) -> dict[Key, dict[str, object]]:
        return self._table(table)

    def _table(self, name: str) -> dict[Key, dict[str, object]]:
        return {key: {column: value for column, value in row.items() if column != "id"} for key, row in self.tables[name].items()}


class PlainHarness(HostedHarness):
    """Records without relations."""

    kind = Plain
    many = 100_000
    bytes_a_key = 100

    def __init__(self) -> None:
        super().__init__()
        self.source = replace(self.source, aggregates=(), relations=())


class TestPlain(ConnectorContract):
    """Records of a service without relations."""

    @pytest.fixture
    def harness(self) -> PlainHarness:
        return PlainHarness()


class TestRelations(RelationsContract):
    """Rows of relations of a service's records."""

    @pytest.fixture
    def harness(self) -> HostedHarness:
        return HostedHarness()


@pytest.fixture
def harness() -> HostedHarness:
    """Return two records: one with three letters and two bills, one with a letter."""
    made = HostedHarness()
    made.fill({made.key(number): record(number) for number in range(2)})
    first, second = made.key(0)[0], made.key(1)[0]
    owners = {(1,): first, (2,): first, (3,): first, (4,): second}
    made.fill_related("letters", {key: {"record_id": owner, "sent_on": None} for key, owner in owners.items()})
    made.fill_related("bills", {(1,): {"record_id": first, "sent_on": None}, (2,): {"record_id": first, "sent_on": None}})
    return made


@pytest.fixture
def source(harness: HostedHarness) -> OpenSource:
    return harness.open()


ALL_ALONG = (Along(("letters",), [(1,), (2,), (3,)]), Along(("bills",), [(1,), (2,)], detach=True))


def carried_out(source: OpenSource, changes: Changes, meanwhile: Callable[[], None] = lambda: None) -> list[Undone]:
    """Carry out a batch on everything; `meanwhile` happens between the decision and the requests."""
    _, whole = everything(source)
    with source.batch("b", whole, EVERYTHING, ()) as batch:
        batch.write(changes)
        meanwhile()
        return list(batch.commit())


def refuse(table: str, key: Key, why: Exception, told: str, about: Key) -> None:
    """Raise for one row."""
    if (table, key) == (told, about):
        raise why


def test_a_record_that_went_was_not_changed(harness: HostedHarness, source: OpenSource) -> None:
    """When a change gets no answer and somebody else deletes the record meanwhile, nobody says that it was changed: it is gone."""
    key = harness.key(0)

    def lost(table: str, about: Key) -> None:
        if harness.tables[table].pop(about, None) is not None:
            raise InDoubt("no answer")

    harness.meddling.before = lost
    undone = carried_out(source, Changes(updates=[Update(("name",), [(*key, "x")])]))
    assert [(key, Left.GONE)] == [(each.key, each.why) for each in undone]


def test_what_is_shown_after_it_went_is_in_doubt(harness: HostedHarness, source: OpenSource) -> None:
    """A deletion without an answer that shows only later may have been carried out: when it can't be sent again nobody says it wasn't."""
    key = harness.key(0)
    answers: list[Exception] = [Retriable("busy"), InDoubt("no answer")]

    def answered(table: str, about: Key) -> None:
        if answers:
            raise answers.pop()

    harness.meddling.before = answered
    with pytest.raises(Retriable, match="busy"):
        carried_out(source, Changes(delete=[key], along=ALL_ALONG))


def test_rows_go_before_their_record(harness: HostedHarness, source: OpenSource) -> None:
    """Rows that go are deleted first, then others are cut loose, and the record goes last, each by a request of its own."""
    key = harness.key(0)
    assert [] == carried_out(source, Changes(delete=[key], along=ALL_ALONG))
    names = [name for name, _ in harness.meddling.told]
    assert ["letters"] * 3 + ["bills"] * 2 + ["people"] == names


@pytest.mark.parametrize("table", ["letters", "bills"])
def test_a_record_stays_with_the_row_that_was_refused(harness: HostedHarness, source: OpenSource, table: str) -> None:
    """When the service refuses one row, that row, what would have followed and the record stay, and are said to; others go on."""
    key, other = harness.key(0), harness.key(1)
    harness.meddling.before = partial(refuse, table, (2,), Refused("HTTP 403 no"))
    undone = carried_out(source, Changes(delete=[key, other], along=[*ALL_ALONG, Along(("letters",), [(4,)])]))
    assert [key] == list(harness.dump())
    said = {(each.path, each.key) for each in undone}
    loose = {k for k, row in harness.dump_related("bills").items() if row["record_id"] is None}
    still = {(("letters",), k) for k in harness.dump_related("letters")} | {(("bills",), (n,)) for n in (1, 2) if (n,) not in loose}
    assert said == still | {((), key)}
    assert {Left.FAILED} == {each.why for each in undone}
    assert ["HTTP 403 no"] == [each.answer for each in undone if not each.path]


def test_a_row_that_came_in_since_keeps_the_record(harness: HostedHarness, source: OpenSource) -> None:
    """A row that came in, or went, between decision and request is a change of its record: nothing of it is touched."""
    key = harness.key(0)
    for change in (
        lambda: harness.tables["letters"].update({(9,): {"id": 9, "record_id": key[0], "sent_on": None}}),
        lambda: harness.tables["letters"].pop((9,)),
    ):
        along = [Along(("letters",), sorted(k for k, row in harness.tables["letters"].items() if row["record_id"] == key[0])), ALL_ALONG[1]]
        undone = carried_out(source, Changes(delete=[key], along=along), change)
        assert {Left.CHANGED} == {each.why for each in undone}
        assert not harness.meddling.told


def test_what_a_fact_is_taken_from_is_read_again(harness: HostedHarness, source: OpenSource) -> None:
    """A treatment rests on what rows say too: when such a day changed since, the record is left."""
    key = harness.key(0)

    def write_a_letter() -> None:
        harness.tables["letters"][(1,)]["sent_on"] = "2026-01-01"

    undone = carried_out(source, Changes(updates=[Update(("note",), [(*key, "new")])]), write_a_letter)
    assert [(key, Left.CHANGED)] == [(each.key, each.why) for each in undone]


def test_a_row_that_is_gone_holds_nothing_up(harness: HostedHarness, source: OpenSource) -> None:
    """A row that somebody deletes after the comparison is said to be gone, and its record goes."""
    key = harness.key(0)

    def delete_the_second(table: str, at: Key) -> None:
        if (table, at) == ("letters", (1,)):
            del harness.tables["letters"][(2,)]

    harness.meddling.before = delete_the_second
    undone = carried_out(source, Changes(delete=[key], along=ALL_ALONG))
    assert [Undone((2,), Left.GONE, ("letters",))] == undone
    assert key not in harness.dump()


@pytest.mark.parametrize(("table", "key"), [("letters", (2,)), ("bills", (1,)), ("people", ("record-000000",))])
@pytest.mark.parametrize("applied", [True, False])
def test_without_an_answer_it_is_read_back(harness: HostedHarness, source: OpenSource, table: str, key: Key, *, applied: bool) -> None:
    """A request about a row or a record that got no answer is read back, and sent again only when it was not carried out."""
    once = iter([True])

    def lose(told: str, about: Key) -> None:
        if (told, about) == (table, key) and next(once, False):
            raise InDoubt("no answer")

    setattr(harness.meddling, "after" if applied else "before", lose)
    assert [] == carried_out(source, Changes(delete=[harness.key(0)], along=ALL_ALONG))
    assert (1 if applied else 2) == harness.meddling.told.count((table, key))


def test_a_service_that_stops_between_two_rows(harness: HostedHarness, source: OpenSource) -> None:
    """What is left of a record when the service can't be had any more is left for later, with the record and all behind it."""
    harness.meddling.before = partial(refuse, "letters", (1,), Retriable("later"))
    keys = [harness.key(0), harness.key(1)]
    undone = carried_out(source, Changes(delete=keys, along=[*ALL_ALONG, Along(("letters",), [(4,)])]))
    assert {Left.BUSY} == {each.why for each in undone}
    assert keys == sorted(harness.dump())
    assert {((), k) for k in keys} <= {(each.path, each.key) for each in undone}
    assert (("letters",), (4,)) in {(each.path, each.key) for each in undone}


def test_rows_of_rows(harness: HostedHarness) -> None:
    """A path of two relations reaches the rows of rows; they go first, and a new one keeps the record."""
    copies = Relation("copies", "copies", ("id",), ("letter_id",), ("id",), Disposal.DELETE)
    letters = replace(RELATIONS[0], children=(copies,))
    harness.source = replace(harness.source, relations=(letters,), aggregates=())
    harness.fill_related("copies", {(7,): {"letter_id": 1}, (8,): {"letter_id": 4}})
    source, key = harness.open(), harness.key(0)
    with source.reader() as reader:
        assert [(key, (7,))] == reader.related(("letters", "copies"), [key], ())
    along = [Along(("letters",), [(1,), (2,), (3,)]), Along(("letters", "copies"), [(7,)])]
    undone = carried_out(
        source, Changes(delete=[key], along=along), lambda: harness.tables["copies"].update({(9,): {"id": 9, "letter_id": 2}})
    )
    assert {Left.CHANGED} == {each.why for each in undone}
    del harness.tables["copies"][(9,)]
    assert [] == carried_out(source, Changes(delete=[key], along=along))
    assert ["copies", *["letters"] * 3, "people"] == [name for name, _ in harness.meddling.told]


def test_a_relation_by_another_column_and_its_own_source(harness: HostedHarness) -> None:
    """A parent is found by a column of the record's, and its columns are named by the source that has its policy."""
    parent = Relation("writer", "people", ("record_id",), ("id",), ("id",), source="people", same_subject=True)
    people = harness.source
    letters = Source("letters", "hosted", "letters", ("id",), (), relations=(parent,))
    records = Relational("letters", harness.tables, harness.meddling)
    harness.tables["letters"][(5,)] = {"id": 5, "record_id": None, "sent_on": None}
    source = HostedSource(letters, records, batch_seconds=300, siblings={"people": people})
    with source.reader() as reader:
        found = reader.related(("writer",), [(4,), (5,), (6,)], ("score", "letter_count"))
    assert [((4,), (*harness.key(1), 1, 1))] == found


def test_rows_that_the_batch_has_not_read_are_refused(harness: HostedHarness, source: OpenSource) -> None:
    """A row of another record, or of none, is not written along."""
    with pytest.raises(Changed):
        carried_out(source, Changes(delete=[harness.key(0)], along=[Along(("letters",), [(4,)])]))
    assert not harness.meddling.told


def test_what_a_service_can_not_is_said(harness: HostedHarness) -> None:
    """Relations that a client doesn't know are problems before a run, and errors that name them during one."""
    harness.kind = Plain
    source = harness.open()
    assert ["people.letters", "people.bills"] == [str(each).partition(":")[0] for each in source.problems(None, {})[0]]
    with source.reader() as reader, pytest.raises(ConfigurationError, match=r"people\.letters"):
        reader.related(("letters",), [harness.key(0)], ())
    harness.kind = Relational
    with harness.open().reader() as reader, pytest.raises(ConfigurationError, match="no relation"):
        reader.related(("nothing",), [harness.key(0)], ())
