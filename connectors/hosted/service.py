"""What the client of one service has to be able to do so that its records are a source, and what it says when it can't.

No error text and no answer holds anything out of a record, nor an address with a password or a key.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from worker.core.facts import Raw
from worker.core.model import Policy
from worker.core.select import Selection
from worker.core.sources import Relation, Source
from worker.errors import Problem
from worker.ports import Key, KeyRange, Level

Item = Any
"""One record as the client holds it; only the client looks into it."""


class Refused(Exception):
    """The service refused one request about one record, and would again. answer -- its status and its own plain word for it."""

    def __init__(self, answer: str) -> None:
        super().__init__(answer)
        self.answer = answer


class HalfGone(Refused):
    """The service refused a later step of a deletion: what it was about lies half way, where its record doesn't show it any more."""


class Gone(Exception):
    """The record isn't there any more."""


class Stale(Exception):
    """The service itself found that the record is no longer as it was read; nothing was done."""


class Records(Protocol):
    """The records of one service, of one kind. Every method may raise Retriable, SourceFailed and ConfigurationError.

    level -- how gone is what was deleted; most -- how many records a batch may hold.
    """

    level: Level
    most: int

    def pages(self, selection: Selection, within: KeyRange | None) -> Iterator[Sequence[Item]]:
        """Yield the records in the order of their keys, each once, also while records go that were yielded; None is left out.

        It may leave out what the selection certainly doesn't hold and what lies outside the range; it needn't. Memory is constant, but for
        the keys where the service can't sort or moves its pages.
        """
        ...  # pragma: no cover

    def get(self, key: Key) -> Item | None:
        """Return one record as it is now; None only when the service itself says that there is none."""
        ...  # pragma: no cover

    def key(self, item: Item) -> Key:
        """Return the key of a record."""
        ...  # pragma: no cover

    def value(self, item: Item, column: str) -> Raw:
        """Return the value of a column: None for nothing, `UNREADABLE` for what is no single value; KeyError for what is no column.

        What the service always tells and this time leaves out was renamed: it is unreadable, or SourceFailed, and never nothing, which
        could make something due. Where it leaves out what is empty, nobody can see that in a record; see `LeavingOut`.
        Where it takes a request of its own (a history, say) the client asks once for each record.
        """
        ...  # pragma: no cover

    def delete(self, item: Item) -> None:
        """Delete a record, as gone as `level` says, with all that the service keeps beside it under its own key.

        Gone when it was not there, Stale when the service found it changed, Refused when the service refuses, InDoubt when nobody knows;
        other errors say that nothing was done.
        What is half done raises InDoubt: it is read back and done again.
        """
        ...  # pragma: no cover

    def update(self, item: Item, settings: Mapping[str, Raw]) -> None:
        """Set columns of a record to these values, and nothing else; raises as `delete`."""
        ...  # pragma: no cover

    def gone(self, item: Item) -> bool:
        """Whether a record is as gone as `level` says, asked anew; not only out of sight."""
        ...  # pragma: no cover

    def has(self, item: Item, settings: Mapping[str, Raw]) -> bool:
        """Whether a record that was just read has these values; a service may write them its own way."""
        ...  # pragma: no cover

    def columns(self) -> Sequence[str]:
        """Return the columns that records have now, those that the service's customer added included."""
        ...  # pragma: no cover

    def check(self, source: Source, policy: Policy | None) -> tuple[list[Problem], list[Problem]]:
        """Return (what makes the source unusable, what a person should know) about declaration, account and service; changes nothing."""
        ...  # pragma: no cover

    def rights(self, account: str, *, writes: bool) -> list[str]:
        """Return in words what an account needs, to read only or to delete and treat too."""
        ...  # pragma: no cover

    def close(self) -> None:
        """Let go of every connection."""
        ...  # pragma: no cover


@runtime_checkable
class LeavingOut(Protocol):
    """What a client offers besides when its service leaves out what is empty, so that in a record a renamed column looks empty."""

    def renamed(self) -> Sequence[str]:
        """Return the declared columns that the service knows no more; asked after records were read, whose values may rest on it."""
        ...  # pragma: no cover


class Related(Protocol):
    """The rows of one relation of a service's records. Every method may raise what those of `Records` may."""

    def of(self, values: Sequence[Key]) -> Iterator[tuple[Key, Item]]:
        """Yield (values, row) for every row whose columns `Relation.theirs` have one of these values, rows of one record by their keys.

        As few requests as the service allows; a row that belongs to two of them comes twice.
        """
        ...  # pragma: no cover

    def key(self, item: Item) -> Key:
        """Return the key of a row."""
        ...  # pragma: no cover

    def value(self, item: Item, column: str) -> Raw:
        """Return the value of a row's column, as `Records.value` does."""
        ...  # pragma: no cover

    def delete(self, item: Item) -> None:
        """Delete a row; raises as `Records.delete`."""
        ...  # pragma: no cover

    def gone(self, item: Item) -> bool:
        """Whether a row is gone, asked anew."""
        ...  # pragma: no cover

    def detach(self, item: Item) -> None:
        """Let a row no longer belong to its record, and leave all else of it as it is; raises as `Records.delete`."""
        ...  # pragma: no cover

    def is_loose(self, item: Item) -> bool:
        """Whether a row no longer belongs to the record it belonged to, asked anew."""
        ...  # pragma: no cover


@runtime_checkable
class Halved(Protocol):
    """What the rows of a relation offer besides when a row goes in several steps, and is hidden from its record after the first."""

    def half_gone(self, key: Key) -> Item | None:
        """Return what stands for a row that lies half way now, None when it is gone, or where it was.

        Of it nothing has to be readable but its key (`UNREADABLE`, never what it may have been), and `delete` ends what was begun: Stale
        when it lies there no more.
        """
        ...  # pragma: no cover


@runtime_checkable
class Barring(Protocol):
    """What a client offers besides when its service refuses to delete what others refer to, and each request stands for itself."""

    def barred(self, records: Mapping[Key, Mapping[str, Collection[Key]]]) -> Mapping[Key, str]:
        """Return why some of these records can't go whole: what to say of them (`Refused.answer`).

        Asked once for a batch, before it begins, and again about those it named, since what keeps one may go with another.
        records -- by record all that goes with it, and itself if it goes: keys by table. Raises as `Records.get`.
        """
        ...  # pragma: no cover


@runtime_checkable
class Relating(Protocol):
    """What a client offers besides when its records have relations; `Records.check` says which it knows, and what it can't do with them."""

    def relation(self, relation: Relation) -> Related:
        """Return the rows of a declared relation of the records, or of their rows; KeyError when there is no such thing."""
        ...  # pragma: no cover
