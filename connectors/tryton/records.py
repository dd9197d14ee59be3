"""What a source of Tryton does with its records: deletes them for good, or has parties erased in place."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from connectors.hosted import Item, Related
from connectors.tryton.checks import check, rights
from connectors.tryton.models import ID, Browser
from connectors.tryton.referring import Referring
from connectors.tryton.rpc import Rpc
from worker.core.facts import Raw
from worker.core.model import Policy
from worker.core.select import Selection
from worker.core.sources import Relation, Source
from worker.errors import Problem
from worker.ports import Key, KeyRange, Level

BATCH = 100


class TrytonRecords:
    """The records of one model (`connectors.hosted.Records`, with `Relating` and `Barring`)."""

    level = Level.PERMANENT
    most = BATCH

    def __init__(self, rpc: Rpc, source: Source, siblings: Mapping[str, Source], *, encrypted: bool) -> None:
        self._rpc = rpc
        self._source = source
        self._browser = Browser(rpc, source, siblings)
        self._model = self._browser.model
        self._encrypted = encrypted
        self._referring = Referring(rpc, source)

    def pages(self, selection: Selection, within: KeyRange | None) -> Iterator[Sequence[Item]]:
        """Yield the records in the order of their numbers."""
        return self._browser.pages(selection, within)

    def get(self, key: Key) -> Item | None:
        """Return one record, or None."""
        return self._model.get(key)

    def key(self, item: Item) -> Key:
        """Return a record's number."""
        return self._model.key(item)

    def value(self, item: Item, column: str) -> Raw:
        """Return the value of a column."""
        return self._model.value(item, column)

    def delete(self, item: Item) -> None:
        """Delete a record for good; notes and attachments go with it, and rows that say so in their models."""
        self._model.delete(item)

    def barred(self, records: Mapping[Key, Mapping[str, Collection[Key]]]) -> Mapping[Key, str]:
        """Return which records can't go whole, since something that isn't declared refers to them or to their rows."""
        return self._referring.barred(records)

    def update(self, item: Item, settings: Mapping[str, Raw]) -> None:
        """Set columns of a record."""
        self._model.update(item, settings)

    def gone(self, item: Item) -> bool:
        """Whether the record is gone."""
        return self._model.gone(item)

    def has(self, item: Item, settings: Mapping[str, Raw]) -> bool:
        """Whether a record has these values."""
        return self._model.has(item, settings)

    def columns(self) -> Sequence[str]:
        """Return the fields of the model."""
        return [name for name in self._model.fields if name != ID]

    def relation(self, relation: Relation) -> Related:
        """Return the rows of a relation."""
        return self._browser.relation(relation)

    def check(self, source: Source, policy: Policy | None) -> tuple[list[Problem], list[Problem]]:
        """Return (what makes the source unusable, what a person should know)."""
        return check(self._rpc, source, policy, encrypted=self._encrypted)

    def rights(self, account: str, *, writes: bool) -> list[str]:
        """Return in words what the account needs."""
        return rights(self._source, account, writes=writes)

    def close(self) -> None:
        """Let go of the connections."""
        self._rpc.close()
