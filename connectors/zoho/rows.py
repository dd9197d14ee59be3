"""What hangs on records of Zoho CRM: notes and attachments, which Zoho lists record by record, and records of other modules, by a lookup.

Zoho takes notes and attachments along when their record is deleted, into the bin and out of it, and empties lookups. Declared as children
they go before it, one by one and counted; undeclared they go all the same, and nothing says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from connectors.hosted import Gone, Item, Refused
from connectors.http import InDoubt
from connectors.zoho.api import MOST, Crm, Record
from connectors.zoho.columns import BINNED, ID, ordered, value
from connectors.zoho.query import in_list, query, where
from connectors.zoho.removal import Removal
from worker.core.facts import Raw
from worker.errors import RetentionError, SourceFailed
from worker.ports import Key

NOTES, ATTACHMENTS = "Notes", "Attachments"
PARENT = "Parent_Id"
LISTED = {
    NOTES: ("Note_Title", "Note_Content", "Created_Time", "Modified_Time", PARENT),
    ATTACHMENTS: ("File_Name", "Size", "Created_Time", "Modified_Time", PARENT),
}
"""The fields of what Zoho lists record by record."""
_PATIENCE = 5
_DETACH_COSTS = 2
_TOGETHER = 100
"""The most values that one criterion takes."""


class Rows:
    """What all rows have in common."""

    def __init__(self, crm: Crm, removal: Removal, module: str) -> None:
        self._crm = crm
        self._removal = removal
        self._module = module

    def key(self, item: Item) -> Key:
        """Return a row's id as a number."""
        return (int(item[ID]),)

    def value(self, item: Item, column: str) -> Raw:
        """Return the value of a row's field."""
        return value(item, column)

    def half_gone(self, key: Key) -> Item | None:
        """Return what stands for a row in the recycle bin, of which nothing can be read."""
        number = int(key[0])
        return {ID: str(number), BINNED: True} if self._removal.is_half(number) else None

    def delete(self, item: Item) -> None:
        """Delete a row, as gone as a record; of one that lies in the bin the second half."""
        if item.get(BINNED):
            self._removal.end(int(item[ID]))
            return
        self._removal.remove(int(item[ID]), lambda: self._send(item), lambda: self._is_listed(item))

    def gone(self, item: Item) -> bool:
        """Whether a row is as gone as a record."""
        if item.get(BINNED):
            return not self._removal.is_half(int(item[ID]))
        return self._removal.is_gone(int(item[ID]), lambda: self._is_listed(item))

    def detach(self, item: Item) -> None:  # noqa: ARG002
        """Refuse: such a row is nothing without its record."""
        raise Refused("it can't be without its record")

    def is_loose(self, item: Item) -> bool:  # noqa: ARG002
        """Return that it belongs to its record."""
        return False

    def _send(self, item: Item) -> None:
        self._crm.delete(self._module, int(item[ID]))

    def _is_listed(self, item: Item) -> bool:
        return self._crm.exists(self._module, int(item[ID]))


class ListedRows(Rows):
    """Notes, or attachments: one request for each record that may have some. module -- of the records."""

    def __init__(self, crm: Crm, removal: Removal, kind: str, module: str) -> None:
        super().__init__(crm, removal, kind)
        self._of_module = module

    def of(self, values: Sequence[Key]) -> Iterator[tuple[Key, Item]]:
        """Yield what hangs on each of these records."""
        for each in values:
            parent = int(each[0])
            for row in sorted(self._of(parent), key=lambda row: int(row[ID])):
                yield each, {**row, PARENT: {ID: str(parent)}}

    def _of(self, parent: int) -> list[Record]:
        """Return what hangs on a record; of more than a page it is read until it stands still, since what goes moves the pages."""
        found, is_whole = self._read(parent)
        for _ in range(_PATIENCE):
            if is_whole:
                return list(found.values())
            before = found.keys()
            found, is_whole = self._read(parent)
            is_whole = is_whole or found.keys() == before
        raise SourceFailed(f"{self._module} of one record change faster than they can be read; try again later.")

    def _read(self, parent: int) -> tuple[dict[str, Record], bool]:
        """Return what hangs on a record by id, and whether one page held it all."""
        found: dict[str, Record] = {}
        page, more = 0, True
        while more:
            page += 1
            rows, more = self._crm.listed(self._of_module, parent, self._module, LISTED[self._module], page)
            found |= {str(each[ID]): each for each in rows}
        return found, page == 1

    def _send(self, item: Item) -> None:
        if self._module == NOTES:
            self._crm.delete_note(int(item[ID]))
        else:
            self._crm.delete_attachment(self._of_module, int(item[PARENT][ID]), int(item[ID]))

    def _is_listed(self, item: Item) -> bool:
        return any(each[ID] == item[ID] for each in self._of(int(item[PARENT][ID])))


class LookedUpRows(Rows):
    """Records of another module whose lookup leads to the records. columns -- all that is asked of them."""

    def __init__(self, crm: Crm, removal: Removal, module: str, lookup: str, columns: Sequence[str]) -> None:
        super().__init__(crm, removal, module)
        self._lookup = lookup
        self._columns = tuple(dict.fromkeys((lookup, *columns)))

    def of(self, values: Sequence[Key]) -> Iterator[tuple[Key, Item]]:
        """Yield the records that lead to each of these, in the order of their ids."""
        for start in range(0, len(values), _TOGETHER):
            asked = {str(each[0]): each for each in values[start : start + _TOGETHER]}
            for row in self._leading_to(list(asked)):
                owner = asked.get(str(value(row, self._lookup)))
                if owner is None:
                    raise SourceFailed(f"{self._module}: Zoho gave a record that doesn't lead where it was asked for.")
                yield owner, row

    def detach(self, item: Item) -> None:
        """Empty the lookup. Zoho leaves out without a word what the account may not write: so it is read back."""
        self._crm.credits.need(_DETACH_COSTS)
        try:
            self._crm.update(self._module, int(item[ID]), {self._lookup: None})
        except KeyError as unknown:
            if self._is_listed(item):
                raise Refused(str(unknown.args[0])) from None
            raise Gone from None
        try:
            is_loose = self.is_loose(item)
        except RetentionError:
            # The change itself was made, so nothing else may be said of it.
            raise InDoubt(f"{self._module}: nobody knows what became of a change.") from None
        if not is_loose:
            raise Refused("HTTP 200 ignored")

    def is_loose(self, item: Item) -> bool:
        """Whether the lookup leads elsewhere, or the record is gone."""
        rows, _ = self._crm.query(query(self._module, self._columns, f"{ID} = '{item[ID]}'", 1), 1)
        return not rows or value(rows[0], self._lookup) != value(item, self._lookup)

    def _leading_to(self, keys: Sequence[str]) -> Iterator[Record]:
        after, more = 0, True
        # What a limit costs is paid whether so many are there or not.
        limit = 200
        while more:
            criteria = where(after, None, in_list(self._lookup, keys))
            rows, more = self._crm.query(query(self._module, self._columns, criteria, limit), limit)
            if not ordered(rows, after):
                raise SourceFailed(f"{self._module}: Zoho gave records in another order than it was asked for.")
            after, limit = (int(rows[-1][ID]) if rows else after), MOST
            yield from rows
