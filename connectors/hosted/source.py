"""Records that a service keeps as a source: its reader, and its batches, which write one record after the other."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial

from connectors.hosted.relatives import Relatives, values_of
from connectors.hosted.service import Item, LeavingOut, Records, Relating
from connectors.hosted.writing import Job, Step, Writing
from connectors.matching import matcher
from connectors.relations import relations_along
from worker.core.facts import Raw
from worker.core.model import Policy
from worker.core.select import EVERYTHING, Selection
from worker.core.sources import Source
from worker.errors import Changed, Problem, SourceFailed
from worker.ports import Along, Begun, Changes, Key, KeyRange, Load, Resolution, Row, Shape, Undone, nothing_begun

_NO_LOAD = "a service shows neither replicas nor transactions; take the limit away"


class HostedSource:
    """The records of one service. There are no transactions and no locks: each record is read again directly before it is written.

    halving -- a row along goes in several steps, and is hidden from its record by the first (`worker.ports.Halving`); begun -- as in
    `Connection`.
    """

    transactional = False
    lanes = 1

    def __init__(
        self,
        source: Source,
        records: Records,
        *,
        batch_seconds: float,
        siblings: Mapping[str, Source] | None = None,
        halving: bool = False,
        begun: Callable[[], Sequence[Begun]] = nothing_begun,
    ) -> None:
        self.spec = source
        self.halving = halving
        self._begun = begun
        self._siblings = siblings or {}
        self.level = records.level
        self.most: int | None = records.most
        self._records = records
        self._batch_seconds = batch_seconds

    def problems(self, policy: Policy | None, schedule_sources: Mapping[str, Source]) -> tuple[list[Problem], list[Problem]]:  # noqa: ARG002
        """Return (what makes the source unusable, what a person should know) after asking the service what the account may do."""
        problems, warnings = self._records.check(self.spec, policy)
        if not problems and (half := len(self.half_gone(self._recalled()))):
            what = f"{half} rows that were to go with their records lie half way: a run was stopped, or refused the rest of the deletion."
            hint = "A later run ends those whose records are due; nothing else does."
            warnings = [*warnings, Problem(self.spec.name, what, hint)]
        return [*self._unknown_relations(), *problems], warnings

    def half_gone(self, rows: Sequence[Begun]) -> list[Begun]:
        """Return which of these rows lie half way now."""
        return HostedReader(self.spec, self._records, self._siblings, rows).half_gone()

    def _recalled(self) -> Sequence[Begun]:
        """Return the rows whose deletion may have come half way."""
        return self._begun() if self.halving else ()

    def shape(self) -> Shape:
        """Return the columns that records have, those that the service's customer added included."""
        referring = tuple(sorted(each.table for each in self.spec.relations if each.disposal))
        return Shape(tuple(sorted(self._records.columns())), referring)

    def rights(self, policy: Policy | None, schedule_sources: Mapping[str, Source], account: str | None) -> list[str]:  # noqa: ARG002
        """Return in words what the account needs: services give rights by roles and keys, not by statements."""
        return [f"-- {each}" for each in self._records.rights(account or "the account", writes=policy is not None)]

    def load(self) -> Load:
        """Return that nothing can be seen."""
        return Load(lag_unseen=_NO_LOAD, transactions_unseen=_NO_LOAD)

    @contextmanager
    def reader(self) -> Iterator[HostedReader]:
        """Return a view for reading; a service has no snapshots, so a record is as it is when its page is read."""
        yield HostedReader(self.spec, self._records, self._siblings, self._recalled())

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
        until = time.monotonic() + self._batch_seconds
        yield HostedBatch(self.spec, self._records, self._siblings, (within, selection, columns), until=until, begun=self._recalled())

    def resolve(self, batch_id: str, witness: Mapping[str, str]) -> Resolution | None:  # noqa: ARG002
        """Return None: only reading back can tell, record by record."""
        return None

    def forget(self, batch_ids: Sequence[str]) -> None:
        """Do nothing: nothing was kept."""

    def close(self) -> None:
        """Let go of the connections."""
        self._records.close()

    def _unknown_relations(self) -> list[Problem]:
        """Return what is declared of relations that this service's client can't do."""
        found: list[Problem] = []
        for relation in self.spec.relations:
            where = f"{self.spec.name}.{relation.name}"
            if not isinstance(self._records, Relating):
                found.append(Problem(where, "this connector knows no relations; remove children, parents and facts over them"))
            elif relation.recount:
                found.append(Problem(where, "the service counts by itself what belongs to a record; remove the columns to recount"))
        return found


class HostedReader:
    """Reads records page by page, with what their relations say about a page's records where that is asked for."""

    remembering = False

    def __init__(self, source: Source, records: Records, siblings: Mapping[str, Source], begun: Sequence[Begun] = ()) -> None:
        self._source = source
        self._records = records
        self._begun = begun
        self._relatives = relatives_of(source, records, siblings, remembering=self.remembering, begun=begun)

    def rows(self, selection: Selection, columns: Sequence[str], *, within: KeyRange | None = None) -> Iterator[list[Row]]:
        """Yield pages of rows in key order."""
        for page in self._selected(selection, columns, within):
            yield [self._row(item, worked_out, columns) for item, worked_out in page]
        self._refuse_renamed()

    def count(self, selection: Selection) -> int:
        """Return how many rows the selection holds."""
        return sum(map(len, self._selected(selection, (), None)))

    def get(self, key: Key, columns: Sequence[str]) -> Row | None:
        """Return one record's row, or None."""
        item = self._records.get(key)
        return None if item is None else self._row(item, self._relatives.values({key: item}, columns)[key], columns)

    def related(self, path: Sequence[str], keys: Sequence[Key], columns: Sequence[str]) -> list[tuple[Key, Row]]:
        """Return (record's key, row of a relation) for the relation's rows of some records."""
        return self._relatives.related(path, self._holding(path, keys), columns)

    def half_gone(self) -> list[Begun]:
        """Return which of the rows whose deletion was begun lie half way; those that are listed with their records aren't asked about."""
        found: list[Begun] = []
        for path in dict.fromkeys(each.path for each in self._begun if self._relatives.is_declared(each.path)):
            rows = [each for each in self._begun if each.path == path]
            records = self._holding(path, list(dict.fromkeys(each.record for each in rows)))
            hidden = self._relatives.hidden(path, records)
            found += [
                each for each in rows if (each.key in hidden if each.record in records else self._relatives.half_gone(each) is not None)
            ]
        return found

    def _holding(self, path: Sequence[str], keys: Sequence[Key]) -> dict[Key, Item]:
        """Return records as what leads to the rows at the end of a path: without those that are gone, where their key is not enough."""
        relations = [each for each in self._source.relations if each.name in path[:1]]
        by_key = bool(relations) and relations[0].own == self._source.key
        return dict.fromkeys(keys) if by_key else self._items(keys)

    def _items(self, keys: Sequence[Key]) -> dict[Key, Item]:
        """Return records by their keys, without those that are gone."""
        found = {key: self._records.get(key) for key in keys}
        return {key: item for key, item in found.items() if item is not None}

    def _selected(
        self, selection: Selection, columns: Sequence[str], within: KeyRange | None
    ) -> Iterator[list[tuple[Item, Mapping[str, Raw]]]]:
        """Yield pages of the records that a selection holds, each with what was worked out about it; no page is empty."""
        matches = matcher(self._source, selection)
        facts = {*columns, *(() if selection == EVERYTHING else (each.name for each in self._source.aggregates))}
        for page in self._records.pages(selection, within):
            items = {key: item for item in page if self._is_within(key := self._records.key(item), within)}
            worked_out = self._relatives.values(items, facts)
            chosen: list[tuple[Item, Mapping[str, Raw]]] = [
                (item, worked_out[key]) for key, item in items.items() if matches(partial(self._value, item, worked_out[key]))
            ]
            if chosen:
                yield chosen

    def _refuse_renamed(self) -> None:
        """Raise SourceFailed when what was read as empty may have been renamed: it could make something due."""
        gone = self._records.renamed() if isinstance(self._records, LeavingOut) else ()
        if gone:
            what = f"{', '.join(gone)} went or was renamed, so nobody can tell whether it is empty; nothing is believed that was read"
            raise SourceFailed(f"{self._source.name}: {what}. Correct the policy file.")

    def _is_within(self, key: Key, within: KeyRange | None) -> bool:
        """Whether a key lies in a range."""
        return within is None or within.first <= key <= within.last

    def _row(self, item: Item, worked_out: Mapping[str, Raw], columns: Sequence[str]) -> Row:
        """Return the key followed by the columns' values."""
        return (*self._records.key(item), *values_of(self._source, self._records, item, worked_out, columns))

    def _value(self, item: Item, worked_out: Mapping[str, Raw], name: str) -> Raw:
        """Return the value of a field, or of what was worked out."""
        return next(values_of(self._source, self._records, item, worked_out, (name,)))


class HostedBatch(HostedReader):
    """One unit of work on records; nothing is sent before it is committed."""

    remembering = True

    def __init__(
        self,
        source: Source,
        records: Records,
        siblings: Mapping[str, Source],
        asked: tuple[KeyRange, Selection, Sequence[str]],
        *,
        until: float,
        begun: Sequence[Begun] = (),
    ) -> None:
        super().__init__(source, records, siblings, begun)
        within, selection, columns = asked
        self._siblings = siblings
        self._until = until
        self._seen: dict[Key, Item] = {}
        self.rows: list[Row] = []  # type: ignore[assignment]
        for page in self._selected(selection, columns, within):
            self._seen |= {records.key(item): item for item, _ in page}
            self.rows += [self._row(item, worked_out, columns) for item, worked_out in page]
            self._relatives.keep(self._seen.keys())
        for path in self._relatives.watched():
            self._relatives.of(path, self._seen)
        if self._seen:
            self._refuse_renamed()
        self.witness: Mapping[str, str] = {}
        self._jobs: list[Job] = []

    def related(self, path: Sequence[str], keys: Sequence[Key], columns: Sequence[str]) -> list[tuple[Key, Row]]:
        """Return the relation's rows of some records, of those of the batch as they were when it was read."""
        if self._seen.keys() >= set(keys):
            return self._relatives.related(path, {key: self._seen[key] for key in keys}, columns)
        return super().related(path, keys, columns)

    def write(self, changes: Changes) -> None:
        """Check that the batch holds what it is told to write; Changed when it doesn't."""
        parts = len(self._source.key)
        settings: dict[Key, dict[str, Raw] | None] = {}
        for update in changes.updates:
            columns = [self._source.field(name).column for name in update.fields]
            for row in update.rows:
                values = settings.setdefault(tuple(row[:parts]), {})  # type: ignore[arg-type]
                assert values is not None
                values.update(zip(columns, row[parts:], strict=True))
        settings |= dict.fromkeys(map(tuple, changes.delete))
        if not settings.keys() <= self._seen.keys() or (changes.whole and len(changes.delete) != len(self._seen)):
            raise Changed(f"{self._source.name}: the batch does not hold exactly the records to write; nothing was sent.")
        jobs = {key: Job(key, self._seen[key], values) for key, values in settings.items()}
        # What belongs to what goes before it, what goes before what is only cut loose.
        for along in sorted(changes.along, key=lambda each: (-len(each.path), each.detach)):
            self._add_along(jobs, along)
        self._jobs = list(jobs.values())

    def commit(self) -> Sequence[Undone]:
        """Carry it out, one record after the other, and return what was not done."""
        now = relatives_of(self._source, self._records, self._siblings, begun=self._begun)
        return Writing(self._source, self._records, before=self._relatives, now=now).carry_out(self._jobs, until=self._until)

    def _add_along(self, jobs: Mapping[Key, Job], along: Along) -> None:
        """Add rows of a relation to what is to be done with their records; Changed when they are not theirs."""
        relation = relations_along(self._source, along.path)[-1]
        left = set(along.keys)
        for key, its in self._relatives.of(along.path, {key: job.item for key, job in jobs.items()}).items():
            for row in [each for each in its if each in left]:
                jobs[key].steps.append(Step(along.path, row, its[row], self._relatives.rows(relation), detach=along.detach))
            left -= its.keys()
        if left:
            raise Changed(f"{self._source.name}: the batch did not read all rows that are to go along; nothing was sent.")


def relatives_of(
    source: Source, records: Records, siblings: Mapping[str, Source], *, remembering: bool = False, begun: Sequence[Begun] = ()
) -> Relatives:
    """Return what belongs to the records of a source."""
    relating = records if isinstance(records, Relating) else None
    return Relatives(source, records, relating, siblings, remembering=remembering, begun=begun)
