"""The records of one module: read in the order of their ids, deleted out of the recycle bin too, changed without workflows.

Threat model. Zoho's deletion is a move into a recycle bin, from which anybody with the right restores it for 60 days. So a deletion is two
requests, and between them a process may die or Zoho may stop answering. Nothing is said to be gone while it lies in the bin: `gone` looks
there too, a second attempt begins where the first one ended, and a deletion whose second half Zoho refuses is said to have failed, with
where the record lies. What a crash leaves in the bin is found again when the batch is read back: such a record is told with unreadable
values, so that nothing of it is taken for a record that is still in use. Workflows are muted, so that no deletion writes anybody a mail.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from connectors.hosted import Gone, Item, Refused
from connectors.http import InDoubt
from connectors.zoho import checks
from connectors.zoho.api import MOST, SCHEDULED, Crm
from connectors.zoho.columns import BINNED, ID, Column, column, has, ordered, sent, value
from connectors.zoho.query import criteria, query, where
from worker.core.facts import Raw
from worker.core.model import Policy
from worker.core.select import EVERYTHING, NOTHING, Selection
from worker.core.sources import Source
from worker.errors import ConfigurationError, Problem, RetentionError, SourceFailed
from worker.ports import Key, KeyRange, Level

_BATCH = 100
_PAGE_OF_A_RANGE = 200
_DELETION_COSTS, _CHANGE_COSTS = 6, 3
_SCHEDULED_TRIES, _SCHEDULED_WAIT = 5, 2.0
_IN_BIN = "in the recycle bin"


class ZohoRecords:
    """The records of the module that a source calls its table."""

    most = _BATCH

    def __init__(self, source: Source, crm: Crm, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self.level = Level.SOFT if source.options.get("delete") == "bin" else Level.PERMANENT
        self._source = source
        self._module = source.table
        self._crm = crm
        self._sleep = sleep
        self._names = tuple(dict.fromkeys(field.column for field in source.fields))
        self._columns: dict[str, Column] | None = None
        self._begun: set[int] = set()

    def pages(self, selection: Selection, within: KeyRange | None) -> Iterator[Sequence[Item]]:
        """Yield the records in the order of their ids, each once: a page begins behind the last id of the one before, not at a place."""
        if selection == NOTHING:
            return
        after, last = (0, None) if within is None else (_id(within.first) - 1, _id(within.last))
        asked = None if selection == EVERYTHING else criteria(self._source, self._described(), selection)
        limit = MOST if within is None else _PAGE_OF_A_RANGE
        binned = self._binned(after, last) if within is not None and selection == EVERYTHING else []
        more = True
        while more:
            rows, more = self._crm.query(query(self._module, self._names, where(after, last, asked), limit), limit)
            if not ordered(rows, after):
                raise SourceFailed(f"{self._source.name}: Zoho gave records in another order than it was asked for; nothing is left out silently.")
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
        if column not in self._names and column not in self._described():
            raise KeyError(column)
        return value(item, column)

    def delete(self, item: Item) -> None:
        """Move a record into the recycle bin, and out of that unless the source says that the bin is enough."""
        key = int(item[ID])
        # All requests of one deletion, and reading it back: what is begun can be ended.
        self._crm.credits.need(_DELETION_COSTS)
        if self._is_to_be_sent(key):
            self._sent_to_bin(key)
        if self.level is Level.PERMANENT:
            self._purged(key)
        self._begun.discard(key)

    def update(self, item: Item, settings: Mapping[str, Raw]) -> None:
        """Set fields of a record."""
        self._crm.credits.need(_CHANGE_COSTS)
        try:
            self._crm.update(self._module, int(item[ID]), sent(settings))
        except KeyError as unknown:
            if self.get(self.key(item)) is None:
                raise Gone from None
            raise Refused(str(unknown.args[0])) from None

    def gone(self, item: Item) -> bool:
        """Whether a record is in no list any more, and not in the recycle bin either when that is what deleting means here."""
        key = int(item[ID])
        if self._crm.exists(self._module, key):
            return False
        return self.level is Level.SOFT or not self._crm.is_binned(key)

    def has(self, item: Item, settings: Mapping[str, Raw]) -> bool:
        """Whether a record that was just read has these values."""
        return has(item, settings)

    def columns(self) -> Sequence[str]:
        """Return the API names of the module's fields."""
        return list(self._described())

    def check(self, source: Source, policy: Policy | None) -> tuple[list[Problem], list[Problem]]:
        """Return (what makes the source unusable, what a person should know)."""
        return checks.check(source, policy, self._crm, self._described(), self.level)

    def rights(self, account: str, *, writes: bool) -> list[str]:
        """Return in words what the account needs."""
        return checks.rights(account, self._module, self.level, writes=writes)

    def close(self) -> None:
        """Let go of every connection."""
        self._crm.close()

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
            rows, more = self._crm.bin(page)
            page += 1
            for each in rows:
                key, module = int(each[ID]), each.get("module") or {}
                if module.get("api_name") == self._module and key > after and (last is None or key <= last):
                    found[key] = {ID: str(key), BINNED: True}
        return [found[key] for key in sorted(found)]

    def _is_to_be_sent(self, key: int) -> bool:
        """Whether a deletion has to be sent: not when an earlier attempt, whose answer was lost, was carried out."""
        return key not in self._begun or self._crm.exists(self._module, key)

    def _sent_to_bin(self, key: int) -> None:
        """Move a record into the recycle bin."""
        self._begun.add(key)
        try:
            self._crm.delete(self._module, key)
        except InDoubt:
            raise
        except KeyError:
            self._begun.discard(key)
            raise Gone from None
        except (Refused, RetentionError):
            self._begun.discard(key)
            raise

    def _purged(self, key: int) -> None:
        """Take a record out of the recycle bin for good; Refused, with where it lies, when Zoho doesn't do that."""
        try:
            if self._crm.purge(key) == SCHEDULED:
                self._awaited(key)
        except InDoubt:
            raise
        except KeyError as unknown:
            if self._crm.is_binned(key):
                raise self._stuck(key, str(unknown.args[0])) from None
        except Refused as refused:
            raise self._stuck(key, refused.answer) from None
        except RetentionError as error:
            word = "the sign-in was refused" if isinstance(error, ConfigurationError) else "Zoho could not be had"
            raise self._stuck(key, word) from None

    def _awaited(self, key: int) -> None:
        """Wait for a deletion that Zoho does later, because much hangs on the record."""
        for _ in range(_SCHEDULED_TRIES):
            if not self._crm.is_binned(key):
                return
            self._sleep(_SCHEDULED_WAIT)
        raise self._stuck(key, f"HTTP 200 {SCHEDULED}")

    def _stuck(self, key: int, word: str) -> Refused:
        """Return the refusal of a deletion that came half way."""
        self._begun.discard(key)
        return Refused(f"{word}, {_IN_BIN}")


def _id(key: Key) -> int:
    """Return the id of a key."""
    return int(key[0])
