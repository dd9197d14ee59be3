"""What the three kinds of record share: how they are listed and read, and what a column is worth."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from connectors.hosted import Gone, Refused
from connectors.mailman.checks import Kind, check
from connectors.mailman.server import Json, Server
from connectors.spooled import Listing, Spooled
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
    """The records of one kind; `connectors.hosted.Records`, but for what each kind does its own way.

    listed_once -- whether a run may list the keys once for all of its batches: reading a record tells whether it still is one.
    """

    listed_once: ClassVar[bool] = True
    kind: ClassVar[Kind]
    level = Level.PERMANENT
    most = _BATCH

    def __init__(self, source: Source, server: Server, *, encrypted: bool) -> None:
        self._source = source
        self._server = server
        self._encrypted = encrypted
        self._listing = Listing[str](source.name, self._list_keys)

    @abstractmethod
    def _list_keys(self, into: Spooled[str]) -> None:
        """Put the keys of all records into what may hold many."""

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

    def _list_entries(self, into: Spooled[str]) -> None:
        """Put all records into what may hold many, as `Server.list_entries` does; only their keys where no listing tells enough."""
        with Spooled[str](self._source.name) as keys:
            self._list_keys(keys)
            for page in keys.pages(_AT_ONCE):
                into.add((key, None) for key, _ in page)

    def _told(self, key: str, said: bytes) -> Entry:
        """Return a record out of what a listing said."""
        return Entry(key, json.loads(said))

    def pages(self, selection: Selection, within: KeyRange | None) -> Iterator[Sequence[Entry]]:  # noqa: ARG002
        """Yield the records in the order of their keys: as a listing of them all told them, and each that it could not tell as it is now.

        Of a batch only the keys are listed, and then each is read; those that went since are left out.
        """
        if within is None:
            with Spooled[str](self._source.name) as spooled:
                self._list_entries(spooled)
                for page in spooled.pages(_AT_ONCE):
                    found = [self._entry(key) if said is None else self._told(key, said) for key, said in page]
                    yield [each for each in found if each is not None]
            return
        with self._listing.keys(within.run if self.listed_once else "") as keys:
            for page in keys.pages(_AT_ONCE, str(within.first[0]), str(within.last[0])):
                found = [self._entry(key) for key, _ in page]
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
        self._listing.close()
        self._server.close()


_NEVER = "0001-01-01"
"""How Mailman writes a moment that has not been."""


def found(done: bool) -> None:  # noqa: FBT001 - what the request came to
    """Raise Gone when there was nothing to do it to."""
    if not done:
        raise Gone
