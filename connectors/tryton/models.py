"""The records of one model: found by keysets, with the columns that a source declares, and written one by one.

Threat model. A record may be written by somebody else between its reading and its turn: Tryton is told when it was last written, and
refuses when that has changed. Deleting a record that isn't there is no error to Tryton: records are read directly before. What refers to a
record keeps it, or goes with it, as the models say; which rows those are, the API doesn't tell (`checks.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from connectors.hosted import Gone, Item, Refused, Stale
from connectors.tryton.domains import domain
from connectors.tryton.rpc import Changed, Definition, Rpc
from connectors.tryton.values import is_same, read, written
from worker.core.facts import UNREADABLE, Raw
from worker.core.select import Selection
from worker.core.sources import Aggregate, Relation, Source
from worker.errors import ConfigurationError, SourceFailed
from worker.ports import Key, KeyRange

ID, ACTIVE, STAMP = "id", "active", "_timestamp"
PAGE = 200
_DESCRIBED = frozenset({"type", "required", "readonly", "searchable"})
"""What is gone by of what Tryton says about a field."""


class Model:
    """One model of a Tryton. columns -- what is read of its records; a dot leads to the record that a field points to."""

    def __init__(self, rpc: Rpc, name: str, columns: Sequence[str]) -> None:
        self._rpc = rpc
        self.name = name
        self.columns = [*dict.fromkeys((ID, STAMP, *columns))]

    @property
    def fields(self) -> Definition:
        """What Tryton says about the fields, asked once; ConfigurationError when it knows no such model."""
        if self.name not in self._rpc.definitions:
            self._rpc.definitions[self.name] = definition(self._rpc, self.name)
        return self._rpc.definitions[self.name]

    def kind(self, column: str) -> str | None:
        """Return the type of a column; None when there is none, or a dot leads to it."""
        return str(self.fields[column]["type"]) if column in self.fields else None

    def search(self, where: Sequence[Any], limit: int | None = None) -> list[Item]:
        """Return the records of a domain in the order of their numbers, those that were made inactive too."""
        found: list[Item] = self._rpc.read(f"model.{self.name}.search_read", list(where), 0, limit, [[ID, "ASC"]], self.columns)
        lacking = next((each for each in self.columns if "." not in each for row in found if each not in row), None)
        if lacking is not None:
            raise SourceFailed(f"Tryton tells no field {lacking!r} of {self.name}, which it was asked for, so nobody can tell what may go.")
        return found

    def get(self, key: Key) -> Item | None:
        """Return one record, or None."""
        return next(iter(self.search([[ID, "=", key[0]]], 1)), None)

    def key(self, item: Item) -> Key:
        """Return the key of a record: its number."""
        return (int(item[ID]),)

    def value(self, item: Item, column: str) -> Raw:
        """Return the value of a column; KeyError when the record was read without it."""
        first, dot, rest = column.partition(".")
        if not dot:
            return read(item[column], self.kind(column) or "")
        other = item[f"{first}."]
        while isinstance(other, Mapping):
            first, dot, rest = rest.partition(".")
            if not dot:
                return read(other[first], "")
            other = other[f"{first}."]
        return None if other is None else UNREADABLE

    def delete(self, item: Item) -> None:
        """Delete a record."""
        self._changed(item, "delete")

    def update(self, item: Item, settings: Mapping[str, Raw]) -> None:
        """Set columns of a record."""
        self._changed(item, "write", {name: written(value, self.kind(name) or "") for name, value in settings.items()})

    def gone(self, item: Item) -> bool:
        """Whether there is no such record any more."""
        return self._now(item) is None

    def has(self, item: Item, settings: Mapping[str, Raw]) -> bool:
        """Whether a record that was just read has these values."""
        return all(is_same(self.value(item, name), value, self.kind(name) or "") for name, value in settings.items())

    def _changed(self, item: Item, method: str, *parameters: Any) -> None:
        """Call something that changes one record, unless it was written since it was read."""
        number = item[ID]
        context = {"_timestamp": {f"{self.name},{number}": item[STAMP]}}
        try:
            self._rpc.write(f"model.{self.name}.{method}", [number], *parameters, context=context)
        except Changed:
            raise Stale from None
        except Refused:
            if self._now(item) is None:
                raise Gone from None
            raise

    def _now(self, item: Item) -> Item | None:
        """Return a record as it is now, None when it is gone."""
        return self.get(self.key(item))


class Rows(Model):
    """The rows of one relation: those of a model whose fields point to a record."""

    def __init__(self, rpc: Rpc, relation: Relation, columns: Sequence[str], pointed_at: str) -> None:
        super().__init__(rpc, relation.table, (*columns, *relation.theirs))
        self._theirs = relation.theirs
        self._pointed_at = pointed_at

    def of(self, values: Sequence[Key]) -> Iterator[tuple[Key, Item]]:
        """Yield (values, row) for the rows that point to these."""
        asked = {self._as_theirs(value): value for value in values}
        wanted = list(asked)
        for start in range(0, len(wanted), PAGE):
            part = wanted[start : start + PAGE]
            for row in self.search(self._where(part)):
                said = tuple(row[name] for name in self._theirs)
                if said in asked:
                    yield asked[said], row

    def detach(self, item: Item) -> None:
        """Empty the fields by which a row points to its record."""
        self.update(item, dict.fromkeys(self._theirs))

    def is_loose(self, item: Item) -> bool:
        """Whether a row points to its record no more."""
        return self._now(item) is None

    def _now(self, item: Item) -> Item | None:
        """Return a row that still belongs to the same record; notes are shown to nobody who doesn't say of what."""
        return next(iter(self.search([[ID, "=", item[ID]], *([name, "=", item[name]] for name in self._theirs)], 1)), None)

    def _as_theirs(self, value: Key) -> Key:
        """Return values as the row's fields hold them: a field that may point to any model holds its name too."""
        return tuple(
            f"{self._pointed_at},{each!s}" if self.kind(name) == "reference" else each
            for name, each in zip(self._theirs, value, strict=True)
        )

    def _where(self, part: Sequence[Key]) -> list[Any]:
        """Return the domain of the rows with these values."""
        if len(self._theirs) == 1:
            return [[self._theirs[0], "in", [each[0] for each in part]]]
        return ["OR", *([[name, "=", each] for name, each in zip(self._theirs, values, strict=True)] for values in part)]


class Browser:
    """The records of a source. siblings -- every source of the policy file: relations read the columns that those declare."""

    def __init__(self, rpc: Rpc, source: Source, siblings: Mapping[str, Source]) -> None:
        self.rpc = rpc
        self.source = source
        self.siblings = {**siblings, source.name: source}
        self.model = Model(rpc, source.table, declared(source))

    def pages(self, selection: Selection, within: KeyRange | None) -> Iterator[list[Item]]:
        """Yield pages of records in the order of their numbers; what goes meanwhile moves nothing."""
        narrowed = domain(self.source, selection, self.model.kind)
        last = 0 if within is None else int(str(within.first[0])) - 1
        end = [] if within is None else [[ID, "<=", within.last[0]]]
        while True:
            page = self.model.search([[ID, ">", last], *end, *([narrowed] if narrowed else [])], PAGE)
            if not page:
                return
            last = int(page[-1][ID])
            yield page
            if len(page) < PAGE:
                return

    def relation(self, relation: Relation) -> Rows:
        """Return the rows of a relation."""
        columns = [column for each in self.siblings.values() if each.table == relation.table for column in declared(each)]
        columns += [column for child in relation.children for column in child.own]
        pointed_at = self.source.table
        for source in self.siblings.values():
            for table, each in _tree(source.table, source.relations):
                # Two that say the same, of two models, point to different ones.
                if each is relation:
                    pointed_at = table
                    columns += [
                        column for aggregate in source.aggregates if aggregate.relation == each.name for column in _looked_at(aggregate)
                    ]
        return Rows(self.rpc, relation, columns, pointed_at)


def _tree(table: str, relations: Sequence[Relation]) -> Iterator[tuple[str, Relation]]:
    """Yield relations, and those beneath them, each with the model that their rows point to."""
    for relation in relations:
        yield table, relation
        yield from _tree(relation.table, relation.children)


def _looked_at(aggregate: Aggregate) -> list[str]:
    """Return the columns of its rows that an aggregate looks at."""
    return [each for each in (aggregate.column, *(match.column for match in aggregate.where)) if each is not None]


def declared(source: Source) -> list[str]:
    """Return the columns of its model that a source names."""
    beside = [match.differs_from for each in source.aggregates for match in each.where if match.differs_from is not None]
    return [*(each.column for each in source.fields), *(column for each in source.relations for column in each.own), *beside]


def definition(rpc: Rpc, model: str) -> Definition:
    """Return what Tryton says about the fields of a model; ConfigurationError when it knows no such model."""
    try:
        found: Definition = rpc.asks(f"model.{model}.fields_get", [])
    except KeyError:
        raise ConfigurationError(f"Tryton has no model {model!r} that the account may see; is its module activated?") from None
    if not isinstance(found, dict) or not all(isinstance(each, dict) and each.keys() >= _DESCRIBED for each in found.values()):
        raise SourceFailed(f"Tryton describes the fields of {model!r} in a way that is not known here, so nobody can tell what may go.")
    return found
