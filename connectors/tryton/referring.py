"""What points to records from outside of a declaration, asked before anything of a record goes.

Threat model. Tryton refuses to delete what a field of another model may not lose, and each of its calls is a transaction of its own: by
then the rows that go before their record would be gone, and the record would stay without them. Other fields it empties, or takes their
rows along, and nothing would say so. The API doesn't tell which of the three a field does, so a record is left, whole, while anything that
isn't declared points to it or to a row of it. Somebody may still make such a reference between the question and the deletion: then Tryton's
own refusal is all there is. What the account can't read can't be asked about; `sources check` names it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from connectors.tryton.models import ID, PAGE, definition
from connectors.tryton.rpc import Definition, Rpc
from worker.core.sources import Relation, Source
from worker.errors import ConfigurationError
from worker.ports import Key

_ROWS = 1_000
_ANSWER = 80

Going = Mapping[str, Collection[Key]]
"""By model the records that go together."""


class Models:
    """The fields of models, each asked for once."""

    def __init__(self, rpc: Rpc) -> None:
        self._rpc = rpc
        self._known: dict[str, Definition] = {}

    def of(self, name: str) -> Definition:
        """Return a model's fields; ConfigurationError when there is no such model."""
        if name not in self._known:
            self._known[name] = definition(self._rpc, name)
        return self._known[name]

    def has(self, name: str) -> bool:
        """Whether there is such a model."""
        try:
            return bool(self.of(name))
        except ConfigurationError:
            return False

    def shows(self, name: str, field: str, pointed_at: str) -> bool:
        """Whether the API shows the records of a model that point to another: mere links between two it doesn't."""
        nobody = f"{pointed_at},0" if self.of(name).get(field, {}).get("type") == "reference" else 0
        try:
            self._rpc.asks(f"model.{name}.search_count", [[field, "=", nobody]])
        except KeyError:
            return False
        return True


@dataclass(frozen=True, slots=True)
class Pointer:
    """A field of a model that points to records of another. belongs -- its rows belong to these; shown -- the API lets the account ask."""

    model: str
    field: str
    belongs: bool
    shown: bool


def pointers(rpc: Rpc, models: Models, table: str, declared: Collection[tuple[str, str]]) -> list[Pointer]:
    """Return the fields that point to records of a model, without those that are declared (model, field)."""
    fields = models.of(table)
    own = {(str(each.get("relation")), str(each.get("relation_field"))) for each in fields.values() if each["type"] == "one2many"}
    said = rpc.read("model.ir.model.field.search_read", [["relation", "=", table]], 0, None, None, ["name", "model", "ttype"])
    found: list[Pointer] = []
    for model, name in sorted({(each["model"], each["name"]) for each in said if each["ttype"] == "many2one"} - set(declared)):
        if not models.has(model):
            found.append(Pointer(model, name, belongs=False, shown=False))
            continue
        theirs = models.of(model)
        # What only a window asks for, or what is worked out, is kept nowhere.
        if "create_date" in theirs and theirs.get(name, {}).get("searchable", True):
            belongs = bool(theirs.get(name, {}).get("required")) or (model, name) in own
            found.append(Pointer(model, name, belongs=belongs, shown=models.shows(model, name, table)))
    return found


class Referring:
    """Finds what points to records of a source, and to the rows that go with them, and isn't declared."""

    def __init__(self, rpc: Rpc, source: Source) -> None:
        self._rpc = rpc
        self._models = Models(rpc)
        self._declared = dict(_declared(source.table, source.relations))
        self._pointers: dict[str, list[Pointer]] = {}

    def barred(self, records: Mapping[Key, Going]) -> dict[Key, str]:
        """Return for those of some records that can't go whole which model and field points to them; in each what goes with it."""
        owners: dict[str, dict[int, list[Key]]] = {}
        for record, going in records.items():
            for table, keys in going.items():
                for key in keys:
                    owners.setdefault(table, {}).setdefault(int(key[0]), []).append(record)
        barred: dict[Key, str] = {}
        for table, owned in owners.items():
            for pointer in self._of(table):
                for number, row in self._rows(pointer, sorted(owned)):
                    for record in owned.get(number, ()):
                        if (row,) not in records[record].get(pointer.model, ()):
                            barred.setdefault(record, f"referred to by {pointer.field} of {pointer.model}"[:_ANSWER])
        return barred

    def _of(self, table: str) -> list[Pointer]:
        """Return the fields to be asked about; those of a model are looked for once."""
        if table not in self._pointers:
            found = pointers(self._rpc, self._models, table, self._declared.get(table, ()))
            self._pointers[table] = [each for each in found if each.shown]
        return self._pointers[table]

    def _rows(self, pointer: Pointer, numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
        """Yield (what is pointed at, the row that does) of those of some records that a field points to."""
        method = f"model.{pointer.model}.search_read"
        for start in range(0, len(numbers), PAGE):
            last, more = 0, True
            while more:
                where = [[pointer.field, "in", numbers[start : start + PAGE]], [ID, ">", last]]
                rows = self._rpc.read(method, where, 0, _ROWS, [[ID, "ASC"]], [ID, pointer.field])
                yield from ((int(each[pointer.field]), int(each[ID])) for each in rows)
                more = len(rows) == _ROWS
                last = int(rows[-1][ID]) if rows else last


def _declared(table: str, relations: Sequence[Relation]) -> Iterator[tuple[str, set[tuple[str, str]]]]:
    """Yield each model of a declaration with the fields that are declared to point to it."""
    found: dict[str, set[tuple[str, str]]] = {}
    waiting = [(table, each) for each in relations]
    while waiting:
        above, relation = waiting.pop()
        found.setdefault(above, set()).update((relation.table, name) for name in relation.theirs)
        waiting += [(relation.table, each) for each in relation.children]
    yield from found.items()
