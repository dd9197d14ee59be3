"""What the three kinds of record share: how they are listed and read, and what a column is worth."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from connectors.hosted import Gone, Refused
from connectors.mailman.checks import Kind, check
from connectors.mailman.server import Json, Server
from worker.core.facts import UNREADABLE, Raw
from worker.core.model import Policy
from worker.core.select import Selection
from worker.core.sources import Source
from worker.errors import Problem
from worker.ports import Key, KeyRange, Level

_BATCH = 100
_AT_ONCE = 20


@dataclass(slots=True)
class Entry:
    """One record. told -- what Mailman says of it; asked -- what was asked for besides, by column."""

    key: str
    told: Json
    asked: dict[str, Raw] = field(default_factory=dict)


class Entries(ABC):
    """The records of one kind; `connectors.hosted.Records`, but for what each kind does its own way."""

    kind: ClassVar[Kind]
    level = Level.PERMANENT
    most = _BATCH

    def __init__(self, source: Source, server: Server, *, encrypted: bool) -> None:
        self._source = source
        self._server = server
        self._encrypted = encrypted

    @abstractmethod
    def _keys(self) -> list[str]:
        """Return the keys of all records, sorted."""

    @abstractmethod
    def _entry(self, key: str) -> Entry | None:
        """Return one record as it is now; None when Mailman says there is none, or that it is no record of this source."""

    def _asked(self, entry: Entry, column: str) -> Raw:  # noqa: ARG002
        """Return the value of a column that takes a request of its own."""
        raise KeyError(column)

    @abstractmethod
    def delete(self, item: Entry) -> None:
        """Delete a record; see `Records.delete`."""

    @abstractmethod
    def gone(self, item: Entry) -> bool:
        """Whether a record is gone; see `Records.gone`."""

    def _whole(self) -> list[Entry] | None:
        """Return all records by one request; None where there are too many, or it can't be done."""
        return None

    def pages(self, selection: Selection, within: KeyRange | None) -> Iterator[Sequence[Entry]]:  # noqa: ARG002
        """Yield the records in the order of their keys: all at once when they are few enough, else their keys and then each.

        Of a batch only the keys are listed, as of what is too much to be held; those that went since are left out.
        """
        whole = self._whole() if within is None else None
        if whole is not None:
            whole.sort(key=lambda each: each.key)
            yield from (whole[start : start + _AT_ONCE] for start in range(0, len(whole), _AT_ONCE))
            return
        keys = self._keys()
        if within is not None:
            keys = [each for each in keys if within.first <= (each,) <= within.last]
        for start in range(0, len(keys), _AT_ONCE):
            found = [self._entry(each) for each in keys[start : start + _AT_ONCE]]
            yield [each for each in found if each is not None]

    def get(self, key: Key) -> Entry | None:
        """Return one record as it is now."""
        return self._entry(str(key[0]))

    def key(self, item: Entry) -> Key:
        """Return the key of a record."""
        return (item.key,)

    def value(self, item: Entry, column: str) -> Raw:
        """Return the value of a column; an empty text is no value, and what Mailman always tells and leaves out is unreadable."""
        if column not in self.kind.columns:
            raise KeyError(column)
        if column.startswith("@"):
            if column not in item.asked:
                item.asked[column] = self._asked(item, column)
            return item.asked[column]
        said = item.told.get(column, None if column in self.kind.optional else UNREADABLE)
        if said is None or said == "" or (isinstance(said, str) and said.startswith(_NEVER)):
            return None
        return said if isinstance(said, str | int | float) else UNREADABLE

    def update(self, item: Entry, settings: Mapping[str, Raw]) -> None:  # noqa: ARG002
        """Refuse: nothing of these records can be set."""
        raise Refused("can't be changed")

    def has(self, item: Entry, settings: Mapping[str, Raw]) -> bool:
        """Whether a record has these values."""
        return all(self.value(item, name) == (new if new != "" else None) for name, new in settings.items())

    def columns(self) -> Sequence[str]:
        """Return the columns; Mailman's customers can't add any."""
        return self.kind.columns

    def check(self, source: Source, policy: Policy | None) -> tuple[list[Problem], list[Problem]]:
        """Return (what makes the source unusable, what a person should know)."""
        return check(self.kind, source, self._server, policy, encrypted=self._encrypted)

    def rights(self, account: str, *, writes: bool) -> list[str]:  # noqa: ARG002
        """Return in words what the account needs."""
        return [f"Mailman: {account} has to be the administrator of the REST API ([webservice] admin_user): it knows no smaller right."]

    def close(self) -> None:
        """Let go of every connection."""
        self._server.close()


_NEVER = "0001-01-01"
"""How Mailman writes a moment that has not been."""


def found(done: bool) -> None:  # noqa: FBT001 - what the request came to
    """Raise Gone when there was nothing to do it to."""
    if not done:
        raise Gone
