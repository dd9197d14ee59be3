"""The seams of the machine: what a connector promises, and the fault points at which tests may stop everything.

A connector is a plug-in under the entry-point group `retention.connectors`: a callable `(Source, Connection) -> OpenSource`. What it must
keep is written as tests in `connectors.contract`; subclass them to make a connector of your own one.

A row is a tuple: the key columns first (`len(source.key)` of them), then the columns asked for, in their order. A column is a field's name,
an aggregate's name (count and existence: a number; latest and earliest: rows, empty, unreadable, lowest, highest), or `relation:NAME`, the
number of a relation's rows. Rows come in the order of their keys.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol, runtime_checkable

from worker.core.model import Policy
from worker.core.select import Selection
from worker.core.sources import Source
from worker.errors import Problem

KeyPart = str | int | bytes
Key = tuple[KeyPart, ...]
Row = tuple[object, ...]

BEFORE_LOCK = "before_lock"
AFTER_LOCK = "after_lock"
AFTER_INTENT = "after_intent"
AFTER_FSYNC = "after_fsync"
AFTER_WRITE = "after_write"
BEFORE_COMMIT = "before_commit"
AFTER_COMMIT = "after_commit"
AFTER_CLOSE = "after_close"
FAULT_POINTS = (BEFORE_LOCK, AFTER_LOCK, AFTER_INTENT, AFTER_FSYNC, AFTER_WRITE, BEFORE_COMMIT, AFTER_COMMIT, AFTER_CLOSE)


class Faults(Protocol):
    """Is told that a named point was reached; the real one does nothing, a test's may kill the process there."""

    def reached(self, point: str) -> None:
        """Return, or never return."""
        ...  # pragma: no cover


class NoFaults:
    """The fault port of every real run."""

    def reached(self, point: str) -> None:
        """Do nothing."""


BATCH_SECONDS = 300
"""How long a batch may take, unless the settings say otherwise."""


@dataclass(frozen=True, slots=True)
class Begun:
    """A row along whose deletion takes several steps, of which the first hides it from its record, and may not have come to its end.

    record -- the key of the source's record; path -- as in `Along`; key -- of the row.
    """

    record: Key
    path: tuple[str, ...]
    key: Key


def nothing_begun() -> Sequence[Begun]:
    """Return that every deletion of a row that was begun has ended."""
    return ()


@dataclass(frozen=True, slots=True)
class Connection:
    """Where a source's records are and how to get in; secrets are in `url` and are never shown.

    witness_table -- whether the connector may keep a small marker table in the source's database, so that a crash can be resolved;
    siblings -- every source of the policy file by name: `related` reads the columns of a relation's own source (`Relation.source`);
    batch_seconds -- how long a batch may take: where there is a server, it ends by itself a session that idles or works longer;
    begun -- asked whenever something is read: the rows of `Halving` whose deletion earlier batches of this source may not have ended.
    """

    url: str | None = field(default=None, repr=False)
    path: Path | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    witness_table: bool = False
    siblings: Mapping[str, Source] = field(default_factory=dict, repr=False)
    batch_seconds: int = BATCH_SECONDS
    begun: Callable[[], Sequence[Begun]] = field(default=nothing_begun, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class KeyRange:
    """Keys from `first` to `last`, both included, in the connector's key order.

    run -- which run works through this range and others that were planned with it: what came after its first batch is in none of them, so a
    system that must be listed to find keys may be listed once for them all. Empty where what is there now is asked for.
    """

    first: Key
    last: Key
    run: str = ""


class Level(StrEnum):
    """How gone a deleted record is in that system."""

    PERMANENT = "permanent"
    SOFT = "soft"


class Resolution(StrEnum):
    """What became of a batch whose process died."""

    COMMITTED = "committed"
    ROLLED_BACK = "rolled_back"
    PRESUMED_COMMITTED = "presumed_committed"
    PRESUMED_ROLLED_BACK = "presumed_rolled_back"


@dataclass(frozen=True, slots=True)
class Update:
    """New values for some fields of some records; each row of `rows` is the key's parts followed by the values in the order of `fields`."""

    fields: tuple[str, ...]
    rows: Sequence[Row]


@dataclass(frozen=True, slots=True)
class Along:
    """Rows of a relation that go (or are detached) with their parents; `path` leads from the source through its relations."""

    path: tuple[str, ...]
    keys: Sequence[Key]
    detach: bool = False


@dataclass(frozen=True, slots=True)
class Changes:
    """Everything one batch writes. `whole` says that `delete` is every row the batch has locked."""

    delete: Sequence[Key] = ()
    updates: Sequence[Update] = ()
    along: Sequence[Along] = ()
    whole: bool = False


class Left(StrEnum):
    """Why a record that a batch was to write is as it was, in a system that writes one record after the other."""

    GONE = "gone"
    """It was not there any more when its turn came."""
    CHANGED = "changed"
    """It was no longer what was decided on when its turn came."""
    FAILED = "failed"
    """The system refused it, and would again."""
    BUSY = "busy"
    """The system could not be had any more when its turn came; a later run may do it."""


@dataclass(frozen=True, slots=True)
class Undone:
    """A record, or a row that was to go along, that a committed batch left as it was.

    path -- as in `Along`, empty for the source's own records; answer -- what the system said, its status and its own word for it
    (`HTTP 403 rest_cannot_edit`), never anything out of a record; begun -- it is a row whose deletion came, or may have come, half way.
    """

    key: Key
    why: Left
    path: tuple[str, ...] = ()
    answer: str = ""
    begun: bool = False


@dataclass(frozen=True, slots=True)
class Shape:
    """What a source looks like: its columns, and the tables that refer to it. A new one since the last approval stops the source."""

    columns: tuple[str, ...]
    referring: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Load:
    """How loaded a system is by others, so that a run can wait for it.

    lag_seconds -- how far the slowest replica is behind, infinite when replication stands still, None when there is no replica;
    oldest_transaction_seconds -- the age of the oldest transaction that is not this program's own, None when there is none;
    lag_unseen, transactions_unseen -- why it can't be seen (a right is missing, there is no such thing), in words for the operator: the
    figure may be too small then, and a source that has a limit for it is given up.
    """

    lag_seconds: float | None = None
    oldest_transaction_seconds: float | None = None
    lag_unseen: str = ""
    transactions_unseen: str = ""


class Reader(Protocol):
    """One consistent view of a source, on a connection that can't write."""

    def rows(self, selection: Selection, columns: Sequence[str], *, within: KeyRange | None = None) -> Iterator[list[Row]]:
        """Yield pages of rows that the selection may hold (it may hold more), in key order, in constant memory."""
        ...  # pragma: no cover

    def count(self, selection: Selection) -> int:
        """Return how many rows the connector's selection holds."""
        ...  # pragma: no cover

    def get(self, key: Key, columns: Sequence[str]) -> Row | None:
        """Return one record's row, or None."""
        ...  # pragma: no cover

    def related(self, path: Sequence[str], keys: Sequence[Key], columns: Sequence[str]) -> list[tuple[Key, Row]]:
        """Return (the record's key, row of the relation: its key, then the columns) for the relation's rows of some records.

        path -- from this source through its relations and theirs; keys -- of this source's records, also for a longer path;
        columns -- columns of the relation's own source when it has one (`Relation.source`), or of this source for a relation to itself.
        """
        ...  # pragma: no cover


class Batch(Protocol):
    """One unit of work on a source: locked, decided again, written, committed or rolled back.

    rows -- what the selection holds within the range, re-read under lock where the system can lock; witness -- how to find out after a
    crash whether the batch was committed (empty: it can only be presumed from what is there).
    """

    rows: list[Row]
    witness: Mapping[str, str]

    def related(self, path: Sequence[str], keys: Sequence[Key], columns: Sequence[str]) -> list[tuple[Key, Row]]:
        """Return and lock the relation's rows of some records; see `Reader.related`."""
        ...  # pragma: no cover

    def write(self, changes: Changes) -> None:
        """Write; raises Changed when the system did not change exactly the rows it was told to, and then commits nothing.

        Where the system has no transactions nothing is sent yet: this only checks that the batch holds what it is told to write.
        """
        ...  # pragma: no cover

    def commit(self) -> Sequence[Undone]:
        """Make it permanent and return what was not done after all. Leaving the batch without this rolls it back where the system can.

        With transactions that is nothing: all of it is done, or it raises. Without them this is what sends the requests, one record after
        the other: each is read again directly before, and left when it changed; a request without an answer, or with one that doesn't say
        whether it was carried out, is read back before anything is said about it. When even that can't be done it raises Retriable or
        SourceFailed: then nobody knows what became of the batch, it stays open, and it is read back by a later run.
        """
        ...  # pragma: no cover


@runtime_checkable
class Advising(Protocol):
    """What an opened source may offer besides: a closer look, for people, before it is trusted. It may read values, and tells none."""

    def advice(self, policy: Policy | None) -> tuple[list[Problem], list[Problem]]:
        """Return (what a run would fail at, what a person should look at) of a source without problems."""
        ...  # pragma: no cover


@runtime_checkable
class Halving(Protocol):
    """What an opened source may have to offer besides: it deletes rows along in several steps, and the first hides them from their record.

    halving -- whether it does. Then the keys of all rows that are to go are kept, sealed, before the first request, until their batch has
    ended, and those whose deletion didn't end longer: the source gives them on as rows of their record (`Connection.begun`), so that the
    record doesn't go without them, and a later batch ends what was begun.
    """

    halving: bool

    def half_gone(self, rows: Sequence[Begun]) -> Sequence[Begun]:
        """Return which of these rows lie half way now; what has gone, or is where it was, isn't among them."""
        ...  # pragma: no cover


class OpenSource(Protocol):
    """A source as a connector has opened it.

    level -- how gone a deleted record is; transactional -- a batch that is left without commit leaves nothing behind, and one that is
    committed is done as a whole (see `Batch.commit`); lanes -- how many batches may be open at once; most -- how many records a batch may
    hold, None where the settings alone say so: no hold can be placed while a batch is written.
    """

    spec: Source
    level: Level
    transactional: bool
    lanes: int
    most: int | None

    def problems(self, policy: Policy | None, schedule_sources: Mapping[str, Source]) -> tuple[list[Problem], list[Problem]]:
        """Return (what makes the source unusable, what a person should know) after comparing what is declared with what is there."""
        ...  # pragma: no cover

    def shape(self) -> Shape:
        """Return what the source looks like now."""
        ...  # pragma: no cover

    def load(self) -> Load:
        """Return how loaded the system is now; cheap, because a run asks before every batch."""
        ...  # pragma: no cover

    def rights(self, policy: Policy | None, schedule_sources: Mapping[str, Source], account: str | None) -> list[str]:
        """Return, line by line, the statements that give an account what this source needs and no more, for an administrator to run.

        policy -- None for a source that is only read; account -- as the system names it, None for the one that the address names. Where
        rights are not given by statements a line beginning with `--` says what is needed.
        """
        ...  # pragma: no cover

    def reader(self) -> AbstractContextManager[Reader]:
        """Return one consistent view for reading; what a dead process left open is seen as `resolve` will leave it, and left so."""
        ...  # pragma: no cover

    def batch(
        self, batch_id: str, within: KeyRange, selection: Selection, columns: Sequence[str], *, take: bool = False
    ) -> AbstractContextManager[Batch]:
        """Return a batch on a key range.

        take -- a connector that can may already have deleted the rows it returns (uncommitted): then only a deletion that is
        `Changes.whole` may follow, and anything else means leaving the batch and asking again without `take`.
        """
        ...  # pragma: no cover

    def resolve(self, batch_id: str, witness: Mapping[str, str]) -> Resolution | None:
        """Return what became of a batch whose process died, after finishing what can be finished; None when only reading back can tell."""
        ...  # pragma: no cover

    def forget(self, batch_ids: Sequence[str]) -> None:
        """Drop what was kept to resolve batches that are final now."""
        ...  # pragma: no cover

    def close(self) -> None:
        """Let go of every connection."""
        ...  # pragma: no cover


class Connector(Protocol):
    """A plug-in."""

    def __call__(self, source: Source, connection: Connection) -> OpenSource:
        """Open a source; ConfigurationError when it can't be opened as declared, SourceFailed when the system does not answer."""
        ...  # pragma: no cover
