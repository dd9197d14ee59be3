"""Records that a service keeps as a source: its reader, and its batches, which write one record after the other."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial

from connectors.hosted.service import Item, Records
from connectors.hosted.writing import Settings, Writing
from connectors.matching import matcher
from worker.core.facts import Raw
from worker.core.model import Policy
from worker.core.select import Selection
from worker.core.sources import Source
from worker.errors import Changed, ConfigurationError, Problem
from worker.ports import Changes, Key, KeyRange, Load, Resolution, Row, Shape, Undone

_NO_LOAD = "a service shows neither replicas nor transactions; take the limit away"


class HostedSource:
    """The records of one service. There are no transactions and no locks: each record is read again directly before it is written."""

    transactional = False
    lanes = 1

    def __init__(self, source: Source, records: Records, *, batch_seconds: float) -> None:
        self.spec = source
        self.level = records.level
        self.most: int | None = records.most
        self._records = records
        self._batch_seconds = batch_seconds

    def problems(self, policy: Policy | None, schedule_sources: Mapping[str, Source]) -> tuple[list[Problem], list[Problem]]:  # noqa: ARG002
        """Return (what makes the source unusable, what a person should know) after asking the service what the account may do."""
        return self._records.check(self.spec, policy)

    def shape(self) -> Shape:
        """Return the columns that records have, those that the service's customer added included."""
        return Shape(tuple(sorted(self._records.columns())))

    def rights(self, policy: Policy | None, schedule_sources: Mapping[str, Source], account: str | None) -> list[str]:  # noqa: ARG002
        """Return in words what the account needs: services give rights by roles and keys, not by statements."""
        return [f"-- {each}" for each in self._records.rights(account or "the account", writes=policy is not None)]

    def load(self) -> Load:
        """Return that nothing can be seen."""
        return Load(lag_unseen=_NO_LOAD, transactions_unseen=_NO_LOAD)

    @contextmanager
    def reader(self) -> Iterator[HostedReader]:
        """Return a view for reading; a service has no snapshots, so a record is as it is when its page is read."""
        yield HostedReader(self.spec, self._records)

    @contextmanager
    def batch(
        self,
        batch_id: str,  # noqa: ARG002
        within: KeyRange,
        selection: Selection,
        columns: Sequence[str],
        *,
        take: bool = False,  # noqa: ARG002
    ) -> Iterator[HostedBatch]:
        """Return a batch on a range of records."""
        yield HostedBatch(self.spec, self._records, within, selection, columns, until=time.monotonic() + self._batch_seconds)

    def resolve(self, batch_id: str, witness: Mapping[str, str]) -> Resolution | None:  # noqa: ARG002
        """Return None: only reading back can tell, record by record."""
        return None

    def forget(self, batch_ids: Sequence[str]) -> None:
        """Do nothing: nothing was kept."""

    def close(self) -> None:
        """Let go of the connections."""
        self._records.close()


class HostedReader:
    """Reads records page by page."""

    def __init__(self, source: Source, records: Records) -> None:
        self._source = source
        self._records = records

    def rows(self, selection: Selection, columns: Sequence[str], *, within: KeyRange | None = None) -> Iterator[list[Row]]:
        """Yield pages of rows in key order."""
        for page in self._selected(selection, within):
            yield [self._row(item, columns) for item in page]

    def count(self, selection: Selection) -> int:
        """Return how many rows the selection holds."""
        return sum(map(len, self._selected(selection, None)))

    def get(self, key: Key, columns: Sequence[str]) -> Row | None:
        """Return one record's row, or None."""
        item = self._records.get(key)
        return None if item is None else self._row(item, columns)

    def related(self, path: Sequence[str], keys: Sequence[Key], columns: Sequence[str]) -> list[tuple[Key, Row]]:  # noqa: ARG002
        """Refuse: these records have no relations."""
        raise ConfigurationError(f"{self._source.name}: its connector knows no relations; remove children, parents and facts over them.")

    def _selected(self, selection: Selection, within: KeyRange | None) -> Iterator[list[Item]]:
        """Yield pages of the records that a selection holds; no page is empty."""
        matches = matcher(self._source, selection)
        for page in self._records.pages(selection, within):
            chosen = [item for item in page if self._is_within(item, within) and matches(partial(self._value, item))]
            if chosen:
                yield chosen

    def _is_within(self, item: Item, within: KeyRange | None) -> bool:
        """Whether a record's key lies in a range."""
        return within is None or within.first <= self._records.key(item) <= within.last

    def _row(self, item: Item, columns: Sequence[str]) -> Row:
        """Return the key followed by the columns' values."""
        return (*self._records.key(item), *(self._value(item, name) for name in columns))

    def _value(self, item: Item, name: str) -> Raw:
        """Return the value of a field."""
        return self._records.value(item, self._source.field(name).column)


class HostedBatch(HostedReader):
    """One unit of work on records; nothing is sent before it is committed."""

    def __init__(
        self, source: Source, records: Records, within: KeyRange, selection: Selection, columns: Sequence[str], *, until: float
    ) -> None:
        super().__init__(source, records)
        self._until = until
        self._seen = {records.key(item): item for page in self._selected(selection, within) for item in page}
        self.rows: list[Row] = [self._row(item, columns) for item in self._seen.values()]  # type: ignore[assignment]
        self.witness: Mapping[str, str] = {}
        self._jobs: dict[Key, Settings | None] = {}

    def write(self, changes: Changes) -> None:
        """Check that the batch holds what it is told to write; Changed when it doesn't."""
        if changes.along:
            self.related((), (), ())
        parts = len(self._source.key)
        jobs: dict[Key, dict[str, Raw] | None] = {}
        for update in changes.updates:
            columns = [self._source.field(name).column for name in update.fields]
            for row in update.rows:
                settings = jobs.setdefault(tuple(row[:parts]), {})  # type: ignore[arg-type]
                assert settings is not None
                settings.update(zip(columns, row[parts:], strict=True))
        jobs |= dict.fromkeys(map(tuple, changes.delete))
        if not jobs.keys() <= self._seen.keys() or (changes.whole and len(changes.delete) != len(self._seen)):
            raise Changed(f"{self._source.name}: the batch does not hold exactly the records to write; nothing was sent.")
        self._jobs = dict(jobs)

    def commit(self) -> Sequence[Undone]:
        """Carry it out, one record after the other, and return what was not done."""
        columns = sorted({field.column for field in self._source.fields})
        return Writing(self._records, self._seen, columns).carry_out(self._jobs, until=self._until)
