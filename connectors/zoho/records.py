"""The records of one module: read in the order of their ids, deleted out of the recycle bin too, changed without workflows.

Threat model. What deleting means is in `connectors.zoho.removal`. What a crash between its two requests leaves in the recycle bin is found
again when the batch is read back: such a record is told with unreadable values, so that it is neither taken for gone nor for a record
that is in use. Workflows are muted, so that no deletion writes anybody a mail. A page begins behind an id, not at a place: deletions move
nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from connectors.hosted import Gone, Item, Refused, Related
from connectors.http import InDoubt
from connectors.zoho import checks
from connectors.zoho.api import MOST, Crm
from connectors.zoho.columns import BINNED, ID, Column, column, has, ordered, sent, value
from connectors.zoho.query import criteria, query, where
from connectors.zoho.removal import Removal
from connectors.zoho.rows import LISTED, PARENT, ListedRows, LookedUpRows
from worker.core.facts import Raw
from worker.core.model import Policy
from worker.core.select import EVERYTHING, NOTHING, Selection
from worker.core.sources import Relation, Source
from worker.errors import Problem, RetentionError, SourceFailed
from worker.ports import Key, KeyRange, Level

_BATCH = 100
_PAGE_OF_A_RANGE = 200
_CHANGE_COSTS = 3


class ZohoRecords:
    """The records of the module that a source calls its table."""

    most = _BATCH

    def __init__(
        self,
        source: Source,
        crm: Crm,
        siblings: Mapping[str, Source] | None = None,
        *,
        page: int = MOST,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.level = Level.SOFT if source.options.get("delete") == "bin" else Level.PERMANENT
        self._siblings = siblings or {}
        self._removal = Removal(crm, self.level, sleep=sleep)
        self._source = source
        self._module = source.table
        self._crm = crm
        self._page = page
        self._names = columns_read(source)
        self._columns: dict[str, Column] | None = None

    def pages(self, selection: Selection, within: KeyRange | None) -> Iterator[Sequence[Item]]:
        """Yield the records in the order of their ids, each once: a page begins behind the last id of the one before, not at a place."""
        if selection == NOTHING:
            return
        after, last = (0, None) if within is None else (_id(within.first) - 1, _id(within.last))
        asked = None if selection == EVERYTHING else criteria(self._source, self._described(), selection)
        limit = self._page if within is None else min(self._page, _PAGE_OF_A_RANGE)
        binned = self._binned(after, last) if within is not None and selection == EVERYTHING else []
        more = True
        while more:
            rows, more = self._crm.query(query(self._module, self._names, where(after, last, asked), limit), limit)
            if not ordered(rows, after):
                raise SourceFailed(
                    f"{self._source.name}: Zoho gave records in another order than it was asked for; nothing is left out silently."
                )
            after = int(rows[-1][ID]) if rows else after
            known = {each[ID] for each in rows}
            here = [each for each in binned if (int(each[ID]) <= after or not more) and each[ID] not in known]
            binned = [each for each in binned if int(each[ID]) > after and more]
            yield sorted([*rows, *here], key=lambda each: int(each[ID])) if here else rows

    def get(self, key: Key) -> Item | None:
        """Return one record as a query tells it now, in the same form as its page did."""
        rows, _ = self._crm.query(query(self._module, self._names, f"{ID} = '{_id(key)}'", 1), 1)
        return rows[0] if rows else None

    def key(self, item: Item) -> Key:
        """Return a record's id as a number, so that keys are ordered as Zoho orders them."""
        return (int(item[ID]),)

    def value(self, item: Item, column: str) -> Raw:
        """Return the value of a field."""
        if column not in self._names and column != ID:
            raise KeyError(column)
        return value(item, column)

    def delete(self, item: Item) -> None:
        """Move a record into the recycle bin, and out of that unless the source says that the bin is enough."""
        key = int(item[ID])
        self._removal.remove(key, lambda: self._crm.delete(self._module, key), lambda: self._crm.exists(self._module, key))

    def update(self, item: Item, settings: Mapping[str, Raw]) -> None:
        """Set fields of a record. Zoho leaves out without a word what the account may not write: so it is read back."""
        self._crm.credits.need(_CHANGE_COSTS)
        key = self.key(item)
        try:
            self._crm.update(self._module, int(item[ID]), sent(settings))
        except KeyError as unknown:
            if self.get(key) is None:
                raise Gone from None
            raise Refused(str(unknown.args[0])) from None
        try:
            now = self.get(key)
        except RetentionError:
            # The change itself was made, so nothing else may be said of it.
            raise InDoubt(f"{self._source.name}: nobody knows what became of a change.") from None
        if now is not None and not has(now, settings):
            raise Refused("HTTP 200 ignored")

    def gone(self, item: Item) -> bool:
        """Whether a record is in no list any more, and not in the recycle bin either when that is what deleting means here."""
        key = int(item[ID])
        return self._removal.is_gone(key, lambda: self._crm.exists(self._module, key))

    def relation(self, relation: Relation) -> Related:
        """Return notes, attachments, or the records of another module whose lookup leads here."""
        if len(relation.theirs) != 1 or relation.key != (ID,):
            raise KeyError(relation.name)
        if relation.table in LISTED:
            if relation.theirs != (PARENT,):
                raise KeyError(relation.name)
            return ListedRows(self._crm, self._removal, relation.table, self._module_above(relation))
        return LookedUpRows(self._crm, self._removal, relation.table, relation.theirs[0], self._columns_of(relation))

    def has(self, item: Item, settings: Mapping[str, Raw]) -> bool:
        """Whether a record that was just read has these values."""
        return has(item, settings)

    def columns(self) -> Sequence[str]:
        """Return the API names of the module's fields."""
        return list(self._described())

    def check(self, source: Source, policy: Policy | None) -> tuple[list[Problem], list[Problem]]:
        """Return (what makes the source unusable, what a person should know)."""
        return checks.check(source, policy, self._crm, self._described(), self.level, self._names)

    def rights(self, account: str, *, writes: bool) -> list[str]:
        """Return in words what the account needs."""
        return checks.rights(account, self._module, self.level, writes=writes)

    def close(self) -> None:
        """Let go of every connection."""
        self._crm.close()

    def _module_above(self, relation: Relation) -> str:
        """Return the module of the records that a relation's rows hang on: this one, or that of the relation it is declared under."""
        return next((above.table for above in _all_of(self._source.relations) if relation in above.children), self._module)

    def _columns_of(self, relation: Relation) -> list[str]:
        """Return all that may be asked about the rows of a relation."""
        theirs = self._siblings.get(relation.source or "") or (self._source if relation.table == self._module else None)
        columns = [] if theirs is None else [field.column for field in theirs.fields]
        for each in self._source.aggregates:
            if each.relation == relation.name:
                columns += [name for name in (each.column, *(match.column for match in each.where)) if name is not None]
        own = [name for child in relation.children for name in child.own if name != ID]
        return [*columns, *own]

    def _described(self) -> dict[str, Column]:
        """Return the module's fields by their API names; asked once."""
        if self._columns is None:
            found = {each.name: each for each in map(column, self._crm.fields(self._module))}
            # The list of fields leaves out the one that every record has.
            self._columns = {ID: Column(ID, "bigint", writable=False), **found}
        return self._columns

    def _binned(self, after: int, last: int | None) -> list[Item]:
        """Return what stands for the records of a range that lie in the recycle bin; none where that counts as gone."""
        found: dict[int, Item] = {}
        page, more = 1, self.level is Level.PERMANENT
        while more:
            rows, more = self._crm.binned(self._module, page)
            page += 1
            keys = [int(each[ID]) for each in rows]
            found |= {key: {ID: str(key), BINNED: True} for key in keys if key > after and (last is None or key <= last)}
        return [found[key] for key in sorted(found)]


def columns_read(source: Source) -> tuple[str, ...]:
    """Return the fields that are asked of every record: those declared, and those that its rows are found and compared by."""
    own = [name for relation in source.relations for name in relation.own]
    beside = [match.differs_from for each in source.aggregates for match in each.where if match.differs_from is not None]
    return tuple(dict.fromkeys(name for name in (*(field.column for field in source.fields), *own, *beside) if name != ID))


def _all_of(relations: Sequence[Relation]) -> Iterator[Relation]:
    """Yield relations and those beneath them."""
    for each in relations:
        yield each
        yield from _all_of(each.children)


def _id(key: Key) -> int:
    """Return the id of a key."""
    return int(key[0])
