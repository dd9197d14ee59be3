"""The rows of relations of a service's records: found hop by hop, worked out in Python, and remembered as a batch decided on them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import Protocol

from connectors.hosted.service import Halved, Item, Related, Relating
from connectors.relations import relations_along, summary
from worker.core.compiled import RELATION
from worker.core.facts import Raw
from worker.core.sources import Relation, Source
from worker.errors import ConfigurationError
from worker.ports import Begun, Key, Row

Path = tuple[str, ...]


class Holder(Protocol):
    """Whatever gives the values of its items: the records, or the rows of a relation."""

    def value(self, item: Item, column: str) -> Raw:
        """Return the value of a column."""
        ...  # pragma: no cover


class Relatives:
    """What belongs to the records of a source. holder -- gives their values; relating -- the client, None when it knows no relations.

    With `remembering` every answer is kept, and given again, until `keep` drops it: a batch writes what it has decided on.

    begun -- rows whose deletion may have come half way: where that is so they belong to their record still, which is not to go without
    them. Facts about the rows of a record are worked out without them, as they are of rows that went.
    """

    def __init__(
        self,
        source: Source,
        holder: Holder,
        relating: Relating | None,
        siblings: Mapping[str, Source],
        *,
        remembering: bool = False,
        begun: Sequence[Begun] = (),
    ) -> None:
        self._begun = begun
        self._hidden: dict[Path, set[Key]] = {}
        self._source = source
        self._holder = holder
        self._relating = relating
        self._siblings = siblings
        self._remembering = remembering
        self._remembered: dict[Path, dict[Key, dict[Key, Item]]] = {}

    def rows(self, relation: Relation) -> Related:
        """Return the client's rows of a relation; ConfigurationError when it has none."""
        try:
            if self._relating is not None:
                return self._relating.relation(relation)
        except KeyError:
            pass
        raise ConfigurationError(f"{self._source.name}.{relation.name}: this connector knows no such relation; take it out of the source.")

    def of(self, path: Path, records: Mapping[Key, Item]) -> dict[Key, dict[Key, Item]]:
        """Return for each record its rows at the end of a path, by their keys."""
        known = self._remembered.get(path, {})
        if records and records.keys() <= known.keys():
            return {key: known[key] for key in records}
        found = self._asked(path, records)
        self._add_hidden(path, found)
        if self._remembering:
            self._remembered.setdefault(path, {}).update(found)
        return found

    def keep(self, keys: Collection[Key]) -> None:
        """Forget the rows of all other records."""
        for known in self._remembered.values():
            for key in known.keys() - set(keys):
                del known[key]

    def values(self, records: Mapping[Key, Item], names: Collection[str]) -> dict[Key, dict[str, Raw]]:
        """Return for each record those of these columns that are worked out: aggregates, and the numbers of a relation's rows."""
        found: dict[Key, dict[str, Raw]] = {key: {} for key in records}
        for aggregate in self._source.aggregates:
            if aggregate.name in names:
                rows = self.rows(self._source.relation(aggregate.relation))
                for key, its in self._shown((aggregate.relation,), records).items():
                    own = partial(self._holder.value, records[key])
                    found[key][aggregate.name] = summary(aggregate, own, [partial(rows.value, row) for row in its.values()])
        for name in names:
            if name.startswith(RELATION):
                for key, its in self._shown((name.removeprefix(RELATION),), records).items():
                    found[key][name] = len(its)
        return found

    def _shown(self, path: Path, records: Mapping[Key, Item]) -> dict[Key, dict[Key, Item]]:
        """Return for each record the rows that the service shows with it."""
        found = self.of(path, records)
        hidden = self._hidden.get(path)
        return {key: {row: its[row] for row in its if row not in hidden} for key, its in found.items()} if hidden else found

    def _add_hidden(self, path: Path, found: Mapping[Key, dict[Key, Item]]) -> None:
        """Add to the rows of records those that lie half way."""
        for each in self._begun:
            its = found.get(each.record) if each.path == path else None
            if its is not None and each.key not in its:
                row = self.half_gone(each)
                if row is not None:
                    its[each.key] = row
                    self._hidden.setdefault(path, set()).add(each.key)

    def is_declared(self, path: Path) -> bool:
        """Whether there is such a path of relations."""
        try:
            return bool(relations_along(self._source, path))
        except KeyError:
            return False

    def hidden(self, path: Path, records: Mapping[Key, Item]) -> set[Key]:
        """Return which rows of records lie half way."""
        self.of(path, records)
        return self._hidden.get(path, set())

    def half_gone(self, begun: Begun) -> Item | None:
        """Return what stands for a row that lies half way; None when it doesn't, or its relation is declared no more."""
        if not self.is_declared(begun.path):
            return None
        rows = self.rows(relations_along(self._source, begun.path)[-1])
        return rows.half_gone(begun.key) if isinstance(rows, Halved) else None

    def related(self, path: Sequence[str], records: Mapping[Key, Item], columns: Sequence[str]) -> list[tuple[Key, Row]]:
        """Return (record's key, row of a relation), as `Reader.related` promises."""
        try:
            relation = relations_along(self._source, path)[-1]
        except (KeyError, IndexError):
            raise ConfigurationError(f"{self._source.name}: no relation is called {'.'.join(path) or 'so'}.") from None
        rows = self.rows(relation)
        reached = [(record, key, row) for record, its in self.of(tuple(path), records).items() for key, row in its.items()]
        theirs = self.source_of(relation)
        if theirs is None:
            return [(record, (*key, *(rows.value(row, name) for name in columns))) for record, key, row in reached]
        worked_out = Relatives(theirs, rows, self._relating, self._siblings).values({key: row for _, key, row in reached}, columns)
        return [(record, (*key, *values_of(theirs, rows, row, worked_out[key], columns))) for record, key, row in reached]

    def source_of(self, relation: Relation) -> Source | None:
        """Return the source in whose words a relation's columns are named; None when they are the service's own."""
        return self._siblings.get(relation.source or "") or (self._source if relation.table == self._source.table else None)

    def watched(self) -> list[Path]:
        """Return the paths of the relations that a decision or a deletion rests on: a record is left when their rows have changed."""
        used = {aggregate.relation for aggregate in self._source.aggregates}
        tops = [each for each in self._source.relations if each.disposal is not None or each.name in used]
        return [path for each in tops for path in _paths(each)]

    def state(self, path: Path, its: Mapping[Key, Item]) -> dict[Key, tuple[Raw, ...]]:
        """Return what of some rows may not change between a decision and its execution: which they are, and what is declared of them."""
        relation = relations_along(self._source, path)[-1]
        theirs = self.source_of(relation)
        columns = {each.column for each in theirs.fields} if theirs is not None else set()
        for aggregate in self._source.aggregates if len(path) == 1 else ():
            if aggregate.relation == relation.name:
                columns.update(each for each in (aggregate.column, *(match.column for match in aggregate.where)) if each is not None)
        rows = self.rows(relation)
        return {key: tuple(rows.value(row, name) for name in sorted(columns)) for key, row in its.items()}

    def _asked(self, path: Path, records: Mapping[Key, Item]) -> dict[Key, dict[Key, Item]]:
        """Ask the service for the rows at the end of a path."""
        columns, holder = self._source.key, self._holder
        reached = [(key, key, item) for key, item in records.items()]
        for relation in relations_along(self._source, path):
            rows = self.rows(relation)
            wanted = [(record, _own(relation, columns, holder, key, item)) for record, key, item in reached]
            asked = list(dict.fromkeys(own for _, own in wanted if own is not None))
            found: dict[Key, list[Item]] = {}
            for own, row in rows.of(asked) if asked else ():
                found.setdefault(own, []).append(row)
            reached = [(record, rows.key(row), row) for record, own in wanted if own is not None for row in found.get(own, ())]
            columns, holder = relation.key, rows
        result: dict[Key, dict[Key, Item]] = {key: {} for key in records}
        for record, key, row in reached:
            result[record][key] = row
        return result


def values_of(source: Source, holder: Holder, item: Item, worked_out: Mapping[str, Raw], names: Sequence[str]) -> Iterator[Raw]:
    """Yield an item's values by the names of a source's fields and of what was worked out."""
    for name in names:
        yield worked_out[name] if name in worked_out else holder.value(item, source.field(name).column)


def _own(relation: Relation, columns: Sequence[str], holder: Holder, key: Key, item: Item) -> Key | None:
    """Return the values by which a record's rows are found; None when one is empty, and there are no rows."""
    if tuple(relation.own) == tuple(columns):
        return key
    values = tuple(holder.value(item, name) for name in relation.own)
    return None if None in values else values  # type: ignore[return-value]


def _paths(relation: Relation, before: Path = ()) -> Iterator[Path]:
    """Yield the paths to a relation and to all beneath it."""
    path = (*before, relation.name)
    yield path
    for child in relation.children:
        yield from _paths(child, path)
