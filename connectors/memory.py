"""A source in memory: for tests, and the smallest example of everything a connector promises.

A `Memory` holds tables of records, and knows which batches were committed. Whoever changes its tables directly plays another program that
uses the same system.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field

from connectors.matching import matcher
from connectors.relations import relations_along, restricts, summary
from worker.core.compiled import RELATION
from worker.core.facts import Raw
from worker.core.model import Policy
from worker.core.select import Selection
from worker.core.sources import Aggregate, Relation, Source
from worker.errors import Changed, ConfigurationError, Problem, Skippable
from worker.ports import Along, Changes, Key, KeyRange, Left, Level, Load, Resolution, Row, Shape, Undone

Record = dict[str, object]
Table = dict[Key, Record]
Tables = dict[str, Table]

_PAGE = 500


@dataclass(slots=True)
class Memory:
    """A system that lives in memory: its tables by name, the batches it committed, how loaded it says it is.

    refuses -- the first parts of keys of records that it will not change, as a constraint would; asked -- is told before each request to a
    system without transactions which record it is about, and may answer why it is refused.
    """

    tables: Tables = field(default_factory=dict)
    committed: set[str] = field(default_factory=set)
    asked: Callable[[Key], Left | None] = lambda _key: None
    load: Load = field(default_factory=Load)
    refuses: set[object] = field(default_factory=set)


class MemorySource:
    """A source whose records stand in a `Memory`; key columns are columns like any other."""

    level = Level.PERMANENT
    transactional = True
    lanes = 1
    most: int | None = None

    def __init__(self, source: Source, memory: Memory, sources: Mapping[str, Source] | None = None) -> None:
        if source.table not in memory.tables:
            raise ConfigurationError(f"{source.name}: there is no table {source.table!r} in memory")
        self.spec = source
        self._memory = memory
        self._sources = {**(sources or {}), source.name: source}

    def problems(self, policy: Policy | None, schedule_sources: Mapping[str, Source]) -> tuple[list[Problem], list[Problem]]:  # noqa: ARG002
        """Return the tables of relations that don't exist; there is nothing else to compare with."""
        self._sources.update(schedule_sources)
        missing = [
            Problem(f"{self.spec.name}.{relation.name}", f"there is no table {relation.table!r} in memory")
            for relation in self.spec.relations
            if relation.table not in self._memory.tables
        ]
        return missing, []

    def shape(self) -> Shape:
        """Return the columns of all records of the table."""
        names = {name for record in self._memory.tables[self.spec.table].values() for name in record}
        return Shape(tuple(sorted(names)), tuple(sorted(relation.table for relation in self.spec.relations if relation.disposal)))

    def load(self) -> Load:
        """Return what was said about the memory."""
        return self._memory.load

    def rights(self, policy: Policy | None, schedule_sources: Mapping[str, Source], account: str | None) -> list[str]:  # noqa: ARG002
        """Return nothing: memory asks nobody for rights."""
        return []

    @contextmanager
    def reader(self) -> Iterator[MemoryReader]:
        """Return a view of the records as they are now."""
        yield MemoryReader(self.spec, deepcopy(self._memory.tables), self._sources)

    @contextmanager
    def batch(
        self, batch_id: str, within: KeyRange, selection: Selection, columns: Sequence[str], *, take: bool = False
    ) -> Iterator[MemoryBatch]:
        """Return a batch that works on a copy, which takes the place of the tables when it is committed."""
        yield MemoryBatch(self.spec, self._memory, self._sources, batch_id, (within, selection, tuple(columns)), take=take)

    def resolve(self, batch_id: str, witness: Mapping[str, str]) -> Resolution | None:
        """Return whether the batch was committed."""
        if not witness:
            return None
        return Resolution.COMMITTED if batch_id in self._memory.committed else Resolution.ROLLED_BACK

    def forget(self, batch_ids: Sequence[str]) -> None:
        """Drop the marks of final batches."""
        self._memory.committed.difference_update(batch_ids)

    def close(self) -> None:
        """Do nothing: there is no connection."""


class MemoryReader:
    """A view of tables that nobody changes."""

    def __init__(self, source: Source, tables: Tables, sources: Mapping[str, Source]) -> None:
        self._source = source
        self._tables = tables
        self._sources = sources

    def rows(self, selection: Selection, columns: Sequence[str], *, within: KeyRange | None = None) -> Iterator[list[Row]]:
        """Yield pages of rows in key order."""
        matches = matcher(self._source, selection)
        page: list[Row] = []
        for key, record in sorted(self._tables[self._source.table].items()):
            if within is not None and not within.first <= key <= within.last:
                continue
            if matches(lambda name, record=record: self._value(self._source, record, name)):  # type: ignore[misc]
                page.append(self._row(self._source, key, record, columns))
            if len(page) == _PAGE:
                yield page
                page = []
        if page:
            yield page

    def count(self, selection: Selection) -> int:
        """Return how many rows the selection holds."""
        return sum(len(page) for page in self.rows(selection, ()))

    def get(self, key: Key, columns: Sequence[str]) -> Row | None:
        """Return one record's row, or None."""
        record = self._tables[self._source.table].get(key)
        return None if record is None else self._row(self._source, key, record, columns)

    def related(self, path: Sequence[str], keys: Sequence[Key], columns: Sequence[str]) -> list[tuple[Key, Row]]:
        """Return (parent's key, row) for the relation's rows of some records."""
        table = self._tables[self._source.table]
        reached = [(key, table[key]) for key in keys if key in table]
        for relation in relations_along(self._source, path):
            reached = [(key, other) for key, record in reached for _, other in self._joined(relation, record)]
        theirs = self._sources.get(relation.source) if relation.source else None
        if theirs is None and relation.table == self._source.table:
            theirs = self._source
        return [(key, self._row(theirs, tuple(record[name] for name in relation.key), record, columns)) for key, record in reached]  # type: ignore[misc]

    def _joined(self, relation: Relation, record: Record) -> list[tuple[Key, Record]]:
        """Return the rows of a relation that belong to a record, in key order; an empty column belongs to nothing."""
        wanted = [record.get(name) for name in relation.own]
        if None in wanted:
            return []
        rows = sorted(self._tables[relation.table].items())
        return [(key, other) for key, other in rows if wanted == [other.get(name) for name in relation.theirs]]

    def _row(self, source: Source | None, key: Key, record: Record, columns: Sequence[str]) -> Row:
        """Return the key's parts followed by the columns' values; without a known source, columns are the table's own."""
        if source is None:
            return (*key, *(record.get(name) for name in columns))
        return (*key, *(self._value(source, record, name) for name in columns))

    def _value(self, source: Source, record: Record, name: str) -> Raw:
        """Return the raw value of a field, an aggregate, or the number of a relation's rows."""
        if name.startswith(RELATION):
            return len(self._joined(source.relation(name.removeprefix(RELATION)), record))
        for aggregate in source.aggregates:
            if aggregate.name == name:
                return self._summary(source, aggregate, record)
        return record.get(source.field(name).column)

    def _summary(self, source: Source, aggregate: Aggregate, record: Record) -> Raw:
        """Return what is to be known about a relation's rows: their number, or (rows, empty, unreadable, lowest, highest)."""
        rows = [other for _, other in self._joined(source.relation(aggregate.relation), record)]
        return summary(aggregate, record.get, [other.get for other in rows])


class MemoryService(MemorySource):
    """The same records in a system without transactions: a batch writes one after the other, and says which it could not."""

    transactional = False
    most: int | None = 100

    @contextmanager
    def reader(self) -> Iterator[MemoryReader]:
        """Return a view of the records as they are when they are met."""
        yield MemoryReader(self.spec, self._memory.tables, self._sources)

    @contextmanager
    def batch(  # type: ignore[override]
        self,
        batch_id: str,  # noqa: ARG002
        within: KeyRange,
        selection: Selection,
        columns: Sequence[str],
        *,
        take: bool = False,  # noqa: ARG002
    ) -> Iterator[MemoryRequests]:
        """Return a batch that works on the live tables."""
        yield MemoryRequests(self.spec, self._memory, self._sources, (within, selection, tuple(columns)))


class MemoryBatch(MemoryReader):
    """One unit of work: it writes into a copy, and compares with the live tables before the copy takes their place."""

    def __init__(
        self,
        source: Source,
        memory: Memory,
        sources: Mapping[str, Source],
        batch_id: str,
        asked: tuple[KeyRange, Selection, tuple[str, ...]],
        *,
        take: bool,
    ) -> None:
        super().__init__(source, deepcopy(memory.tables), sources)
        within, selection, columns = asked
        self._memory = memory
        self._batch_id = batch_id
        self._seen = deepcopy(memory.tables)
        self._touched: set[tuple[str, Key]] = set()
        self._taken = take and not source.relations
        self.witness: Mapping[str, str] = {"batch": batch_id}
        self.rows: list[Row] = [row for page in MemoryReader.rows(self, selection, columns, within=within) for row in page]  # type: ignore[assignment]
        if self._taken:
            for key in self._keys():
                self._delete(source.table, key)

    def write(self, changes: Changes) -> None:
        """Write into the copy; Changed when a row is not there, or not as it was."""
        mine = self._source.table
        if changes.whole and sorted(changes.delete) != self._keys():
            raise Changed(f"{self._source.name}: the batch holds other rows than the ones to delete")
        if self._taken and not changes.whole:
            raise Changed(f"{self._source.name}: the rows were taken to be deleted as a whole; ask again without taking them")
        for along in sorted(changes.along, key=lambda each: -len(each.path)):
            self._write_along(along)
        if not self._taken:
            for key in changes.delete:
                self._delete(mine, key)
        self._recount(changes.delete)
        for update in changes.updates:
            columns = [self._source.field(name).column for name in update.fields]
            for row in update.rows:
                record = self._tables[mine].get(tuple(row[: len(self._source.key)]))  # type: ignore[arg-type]
                if record is None:
                    raise Changed(f"{self._source.name}: a record to update is not there any more")
                record.update(zip(columns, row[len(self._source.key) :], strict=True))
                self._touched.add((mine, tuple(row[: len(self._source.key)])))  # type: ignore[arg-type]
        self._compare()
        if any(key[0] in self._memory.refuses for table, key in self._touched if table == mine):
            raise Skippable(f"{self._source.name}: a record may not be changed")

    def commit(self) -> Sequence[Undone]:
        """Put the written rows in the place of the live ones."""
        self._compare()
        for table, key in self._touched:
            written = self._tables[table].get(key)
            if written is None:
                self._memory.tables[table].pop(key, None)
            else:
                self._memory.tables[table][key] = written
        self._memory.committed.add(self._batch_id)
        return ()

    def _keys(self) -> list[Key]:
        """Return the keys of the batch's rows, in order."""
        return [tuple(row[: len(self._source.key)]) for row in self.rows]  # type: ignore[arg-type]

    def _write_along(self, along: Along) -> None:
        """Delete or detach rows of a relation."""
        relation = relations_along(self._source, along.path)[-1]
        for key in along.keys:
            if not along.detach:
                self._delete(relation.table, key)
                continue
            record = self._tables[relation.table].get(key)
            if record is None:
                raise Changed(f"{self._source.name}.{relation.name}: a row to detach is not there any more")
            record.update(dict.fromkeys(relation.theirs))
            self._touched.add((relation.table, key))

    def _recount(self, deleted: Sequence[Key]) -> None:
        """Set the columns right in which parents count the records."""
        for relation in self._source.relations:
            for key in deleted if relation.recount else ():
                for parent, other in self._joined(relation, self._seen[self._source.table][key]):
                    mine = [
                        record
                        for record in self._tables[self._source.table].values()
                        if [record.get(name) for name in relation.own] == [other.get(name) for name in relation.theirs]
                    ]
                    for recount in relation.recount:
                        other[recount.column] = sum(
                            all(restricts(match, other.get, record.get) for match in recount.where) for record in mine
                        )
                    self._touched.add((relation.table, parent))

    def _delete(self, table: str, key: Key) -> None:
        """Take a row out of the copy."""
        if self._tables[table].pop(key, None) is None:
            raise Changed(f"{self._source.name}: a row to delete is not there any more")
        self._touched.add((table, key))

    def _compare(self) -> None:
        """Raise Changed when somebody else has changed a row that is written here."""
        for table, key in self._touched:
            if self._memory.tables[table].get(key) != self._seen[table].get(key):
                raise Changed(f"{self._source.name}: a row was changed by somebody else")


class MemoryRequests(MemoryReader):
    """One unit of work without transactions: each record is compared again directly before it is written, with the rows that go along."""

    def __init__(
        self, source: Source, memory: Memory, sources: Mapping[str, Source], asked: tuple[KeyRange, Selection, tuple[str, ...]]
    ) -> None:
        super().__init__(source, memory.tables, sources)
        within, selection, columns = asked
        self._memory = memory
        self._changes: Changes | None = None
        self._rows: dict[Key, list[tuple[Along, Key]]] = {}
        self.witness: Mapping[str, str] = {}
        self.rows: list[Row] = [row for page in MemoryReader.rows(self, selection, columns, within=within) for row in page]  # type: ignore[assignment]
        self._seen = {key: dict(memory.tables[source.table][key]) for key in self._keys()}

    def write(self, changes: Changes) -> None:
        """Check that the batch holds what it is to write; Changed when it doesn't."""
        wanted = [*changes.delete, *(self._key(row) for update in changes.updates for row in update.rows)]
        if not {*wanted} <= self._seen.keys() or (changes.whole and len(changes.delete) != len(self._seen)):
            raise Changed(f"{self._source.name}: the batch does not hold exactly the records to write")
        self._changes = changes
        for along in sorted(changes.along, key=lambda each: -len(each.path)):
            for key, row in self.related(along.path, list(dict.fromkeys(wanted)), ()):
                if row in along.keys:
                    self._rows.setdefault(key, []).append((along, row))  # type: ignore[arg-type]

    def commit(self) -> Sequence[Undone]:
        """Write one record after the other."""
        changes = self._changes or Changes()
        undone: list[Undone] = []
        settings: dict[Key, Record] = {}
        for update in changes.updates:
            columns = [self._source.field(name).column for name in update.fields]
            for row in update.rows:
                settings.setdefault(self._key(row), {}).update(zip(columns, row[len(self._source.key) :], strict=True))
        for key in dict.fromkeys((*changes.delete, *settings)):
            why = self._refused(key)
            rows = self._rows.get(key, [])
            if why is not None:
                undone += [Undone(key, why, answer="refused"), *(Undone(found, why, along.path) for along, found in rows)]
                continue
            for along, found in rows:
                self._write_along(along, found)
            if key in settings:
                self._tables[self._source.table][key].update(settings[key])
            else:
                del self._tables[self._source.table][key]
        return undone

    def _refused(self, key: Key) -> Left | None:
        """Return why a record can't be written now."""
        refused = self._memory.asked(key)
        now = self._tables[self._source.table].get(key)
        return refused or (Left.GONE if now is None else None if now == self._seen[key] else Left.CHANGED)

    def _write_along(self, along: Along, key: Key) -> None:
        """Delete or detach a row of a relation."""
        relation = relations_along(self._source, along.path)[-1]
        if along.detach:
            self._tables[relation.table][key].update(dict.fromkeys(relation.theirs))
        else:
            self._tables[relation.table].pop(key, None)

    def _keys(self) -> list[Key]:
        """Return the keys of the batch's rows, in order."""
        return [self._key(row) for row in self.rows]

    def _key(self, row: Row) -> Key:
        """Return a row's key."""
        return tuple(row[: len(self._source.key)])  # type: ignore[arg-type]
