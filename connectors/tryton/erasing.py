"""Parties that Tryton itself erases: its own wizard empties them and what belongs to them in place, also in history.

Threat model. The wizard only erases parties that are inactive, and what it does can't be undone: a party is compared again after it was
made inactive, and left when anything else of it has changed meanwhile. A process that stops between the two leaves an inactive party, which
is a record as before and is erased by a later run. What is erased is known by its empty name and by being inactive: such a party is no
record any more, so nobody may declare that nameless inactive parties are to be kept and looked at.

The wizard of Tryton 8.2 leaves the compact form of e-mail addresses, telephone numbers and identifiers as it was, where everybody who reads
the tables finds them. So they are overwritten first, by a change as people make it, which writes the compact form too.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress

from connectors.hosted import Gone, Item, Refused, Stale
from connectors.tryton.models import ACTIVE, ID, Browser, Model
from connectors.tryton.records import TrytonRecords
from connectors.tryton.rpc import Rpc
from connectors.tryton.values import DAYS, MOMENTS, TEXTS
from worker.core.select import Selection
from worker.core.sources import Source
from worker.errors import RetentionError
from worker.ports import Key, KeyRange, Level

PARTY, NAME = "party.party", "name"
WIZARD = "wizard.party.erase"
EMPTIED = "****"
COMPACT: Mapping[str, tuple[str, str, Mapping[str, object]]] = {
    "party.contact_mechanism": ("value", "value_compact", {"type": "other", "value": EMPTIED, "name": None, "comment": None}),
    "party.identifier": ("code", "code_compact", {"type": None, "code": EMPTIED}),
}
"""By model: the field that the wizard overwrites, the one that it forgets, and what people would write to empty both."""
_PLAIN = (*TEXTS, *DAYS, *MOMENTS, "integer", "numeric", "boolean")
_MOVES = ("_timestamp", ACTIVE, "write_date", "write_uid", "last_modified_at")
"""What being made inactive changes of a party."""


class ErasedParties(TrytonRecords):
    """Parties that are erased instead of deleted: number, code and what refers to them stay, the person doesn't."""

    level = Level.SOFT

    def __init__(self, rpc: Rpc, source: Source, siblings: Mapping[str, Source], *, encrypted: bool) -> None:
        super().__init__(rpc, source, siblings, encrypted=encrypted)
        self._browser = Browser(rpc, source, siblings)
        self._browser.model = self._model = Model(rpc, source.table, (*self._browser.model.columns, ACTIVE, NAME))

    def pages(self, selection: Selection, within: KeyRange | None) -> Iterator[Sequence[Item]]:
        """Yield the parties that were not erased."""
        for page in super().pages(selection, within):
            yield [each for each in page if not _is_erased(each)]

    def get(self, key: Key) -> Item | None:
        """Return one party, or None when it is not there or was erased."""
        found = super().get(key)
        return None if found is None or _is_erased(found) else found

    def gone(self, item: Item) -> bool:
        """Whether the party was erased, or deleted, and no way to reach it is left."""
        return self.get(self.key(item)) is None and not any(self._left(item, model) for model in COMPACT)

    def barred(self, records: Mapping[Key, Mapping[str, Collection[Key]]]) -> Mapping[Key, str]:
        """Return of which parties a row can't go; the party itself stays, and what refers to it too."""
        return super().barred({record: {each: going[each] for each in going if each != PARTY} for record, going in records.items()})

    def delete(self, item: Item) -> None:
        """Make a party inactive, and have it erased."""
        now = self.get(self.key(item))
        if now is None:
            raise Gone
        if now[ACTIVE]:
            if self._said(now) != self._said(item):
                raise Stale
            self._model.update(now, {ACTIVE: False})
            now = self.get(self.key(item))
        if now is None or self._said(now) != self._said(item):
            raise Stale
        # The wizard would erase these too, unseen.
        if any(not _is_erased(each) for each in self._model.search([["replaced_by", "=", item[ID]]])):
            raise Refused("parties that it replaced have to go first")
        for model, (_, _, emptied) in COMPACT.items():
            left = self._left(item, model)
            if left:
                self._rpc.write(f"model.{model}.write", left, emptied)
        session, *_ = self._rpc.write(f"{WIZARD}.create")
        try:
            self._rpc.write(f"{WIZARD}.execute", session, {"ask": {"party": item[ID]}}, "erase")
        finally:
            # It holds the party's number and nothing else.
            with suppress(Refused, RetentionError):
                self._rpc.write(f"{WIZARD}.delete", session)

    def _left(self, item: Item, model: str) -> list[int]:
        """Return the rows of a model that still say something of a party."""
        value, compact, _ = COMPACT[model]
        where = [["party", "=", item[ID]], ["OR", [value, "!=", EMPTIED], [compact, "!=", EMPTIED]]]
        return [each[ID] for each in Model(self._rpc, model, ()).search(where)]

    def _said(self, item: Item) -> dict[str, object]:
        """Return what a party itself says, besides what the steps of its own erasing change."""
        fields = self._model.fields
        stored = [name for name in item if name in fields and fields[name]["searchable"] and fields[name]["type"] in _PLAIN]
        return {name: item[name] for name in stored if name not in _MOVES}


def _is_erased(item: Item) -> bool:
    """Whether Tryton has erased a party."""
    return not item[ACTIVE] and not item[NAME]
