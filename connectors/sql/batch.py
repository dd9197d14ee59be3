"""One batch: rows locked and read again, what was decided is written, and every count is compared before the commit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import sqlalchemy as sa

from connectors.relations import relations_along
from connectors.sql.columns import Selected, selected
from connectors.sql.database import Database, DriverConnection
from connectors.sql.expressions import Expression, Statement
from connectors.sql.failures import Cause
from connectors.sql.ranged import on_range
from connectors.sql.related import related_rows
from connectors.sql.selection import Model, column_info, uses_rows
from connectors.sql.tables import Kind
from worker.core.select import Selection
from worker.core.sources import Relation, Source
from worker.errors import Changed, ConfigurationError, SourceFailed
from worker.ports import Along, Changes, Key, KeyRange, Row, Update


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a batch is asked for."""

    batch_id: str
    within: KeyRange
    selection: Selection
    columns: tuple[str, ...]
    take: bool
    witnessed: bool


class SqlBatch:
    """A batch in its transaction; `rows` and `witness` as in `worker.ports.Batch`."""

    def __init__(
        self, database: Database, connection: DriverConnection, model: Model, sources: Mapping[str, Source], wanted: Wanted
    ) -> None:
        self.rows: list[Row] = []
        self.witness: Mapping[str, str] = {}
        self._database = database
        self._connection = connection
        self._model = model
        self._sources = sources
        self._wanted = wanted
        self._taken = False

    def open(self, *, may_take: bool) -> None:
        """Begin, lock and read; with `may_take` the rows may be deleted at once, which is one statement instead of two."""
        database, model, wanted = self._database, self._model, self._wanted
        database.begin_writing(self._connection)
        if wanted.witnessed:
            self.witness = database.witness(self._connection, wanted.batch_id)
        table = model.table.rows
        chosen = selected(model, table, model.source.key, wanted.columns)
        looks_aside = chosen.relations | uses_rows(model.source, wanted.selection)
        if wanted.take and may_take and not looks_aside:
            self._take(chosen)
            return
        if looks_aside:
            self._lock(looks_aside)

        def build(within: Expression) -> sa.ClauseElement:
            statement = self._hinted(sa.select(*chosen.expressions).select_from(table.clause)).where(self._selection(), within)
            statement = statement.order_by(*(table.column(name) for name in model.source.key))
            return statement if looks_aside else database.locking(statement, table)

        self.rows = chosen.assemble(database.run(self._connection, self._on_range("read", build)))

    def _selection(self) -> Expression:
        """Return the condition of the selection."""
        return self._model.where(self._wanted.selection, self._model.table.rows)

    def _on_range(self, name: str, build: Callable[[Expression], sa.ClauseElement]) -> Statement:
        """Return a statement on the batch's range, built once for all batches with the same selection and columns."""
        wanted = self._wanted
        return on_range(self._database, self._model, (name, wanted.selection, wanted.columns), build, wanted.within)

    def _hinted(self, select: sa.Select[Any]) -> sa.Select[Any]:
        """Return a select on the table that walks the key."""
        hint = self._database.walking_key(self._model.table, self._model.source.key)
        return select.with_hint(self._model.table.clause, hint) if hint else select

    def _take(self, chosen: Selected) -> None:
        """Delete the rows and read them in one statement."""
        database, table = self._database, self._model.table

        def build(within: Expression) -> sa.ClauseElement:
            statement = sa.delete(table.clause).where(self._selection(), within).returning(*chosen.expressions)
            hint = database.walking_key(table, self._model.source.key)
            return statement.with_hint(hint, table.clause) if hint else statement

        rows = chosen.assemble(database.run(self._connection, self._on_range("take", build)))
        width = len(self._model.source.key)
        try:
            self.rows = sorted(rows, key=itemgetter(0) if width == 1 else itemgetter(slice(width)))
        except TypeError:
            self.rows = sorted(rows, key=lambda row: [(_rank(part), part) for part in row[:width]])
        self._taken = True

    def _lock(self, relations: set[str] | frozenset[str]) -> None:
        """Lock the rows first, and then the relations' rows they are decided by, so that what is read afterwards can't change any more."""
        database, model = self._database, self._model
        table = model.table.rows
        keys = [table.column(name) for name in model.source.key]

        def build(within: Expression) -> sa.ClauseElement:
            lock = self._hinted(sa.select(*keys).select_from(table.clause)).where(self._selection(), within)
            return database.locking(lock.order_by(*keys), table)

        found: list[Key] = [tuple(row) for row in database.run(self._connection, self._on_range("lock", build))]
        for name in sorted(relations):
            if model.source.relation(name).table != model.source.table:
                related_rows(database, self._connection, model, self._sources, ((name,), found, ()), lock=True)

    def related(self, path: Sequence[str], keys: Sequence[Key], columns: Sequence[str]) -> list[tuple[Key, Row]]:
        """Return and lock the relation's rows of some records."""
        with self._database.guard:
            return related_rows(self._database, self._connection, self._model, self._sources, (path, keys, columns), lock=True)

    def write(self, changes: Changes) -> None:
        """Write: what goes along first and deepest first, then new values, then the deletions."""
        if changes.whole and len(changes.delete) != len(self.rows):
            raise Changed(f"{self._model.source.name}: the batch holds other rows than the ones to delete; nothing was committed.")
        if self._taken and (not changes.whole or changes.updates or changes.along):
            raise Changed(f"{self._model.source.name}: the rows were taken to be deleted as a whole; ask again without taking them.")
        with self._database.guard:
            for along in sorted(changes.along, key=lambda each: -len(each.path)):
                self._write_along(along)
            for update in changes.updates:
                self._update(update)
            if changes.delete and not self._taken:
                counting = [each for each in self._model.source.relations if each.recount]
                parents = [(each, self._parents(each, changes.delete)) for each in counting]
                self._delete(changes)
                for relation, keys in parents:
                    self._recount(relation, keys)

    def _write_along(self, along: Along) -> None:
        """Delete rows of a relation, or detach them from their parents."""
        if not along.keys:
            return
        database = self._database
        relation = relations_along(self._model.source, along.path)[-1]
        table = self._model.tables[relation.table]
        if not along.detach:
            done = database.delete_keys(self._connection, table, relation.key, along.keys)
        else:
            empty = ", ".join(f"{database.quote(name)} = {_nothing(self._model, relation.table, name)}" for name in relation.theirs)
            done = database.by_keys(self._connection, f"UPDATE {database.quoted(table)} SET {empty} WHERE", table, relation.key, along.keys)
        self._compare(done, len(along.keys), f"rows of {relation.name} that go along")

    def _update(self, update: Update) -> None:
        """Write new values."""
        if not update.rows or not update.fields:
            return
        source = self._model.source
        columns = [source.field(name).column for name in update.fields]
        done = self._database.update_rows(self._connection, self._model.table, source.key, columns, update.rows)
        self._compare(done, len(update.rows), "records to treat")

    def _delete(self, changes: Changes) -> None:
        """Delete by range and selection where that is exactly what was locked, else by the keys."""
        database, table, key = self._database, self._model.table, self._model.source.key
        alone = changes.whole and not changes.updates and not changes.along
        if alone and not uses_rows(self._model.source, self._wanted.selection):

            def build(within: Expression) -> sa.ClauseElement:
                statement = sa.delete(table.clause).where(self._selection(), within)
                hint = database.walking_key(table, key)
                return statement.with_hint(hint, table.clause) if hint else statement

            done = database.change(self._connection, self._on_range("delete", build))
        else:
            done = database.delete_keys(self._connection, table, key, changes.delete)
        self._compare(done, len(changes.delete), "records to delete")

    def _parents(self, relation: Relation, keys: Sequence[Key]) -> list[Key]:
        """Return the keys of the parents of some records, each once."""
        found = related_rows(self._database, self._connection, self._model, self._sources, ((relation.name,), keys, ()), lock=True)
        return list(dict.fromkeys(tuple(row[: len(relation.key)]) for _, row in found))  # type: ignore[arg-type]

    def _recount(self, relation: Relation, keys: Sequence[Key]) -> None:
        """Set the columns of parents that count their records to what is there now."""
        database, model = self._database, self._model
        parents = model.tables[relation.table]
        records, quote = model.table.aliased("record"), database.quote
        for recount in relation.recount:
            conditions = [
                records.column(own) == sa.literal_column(f"{database.quoted(parents)}.{quote(theirs)}")
                for own, theirs in zip(relation.own, relation.theirs, strict=True)
            ]
            conditions.extend(
                model.storage.is_one_of(records.column(match.column), column_info(model.table, match.column), match.values)
                for match in recount.where
            )
            counted = database.compiled(sa.select(sa.func.count()).select_from(records.clause).where(*conditions))
            head = f"UPDATE {database.quoted(parents)} SET {quote(recount.column)} = ({counted.sql}) WHERE"
            database.by_keys(self._connection, type(counted)(head, counted.parameters), parents, relation.key, keys)

    def _compare(self, done: int, wanted: int, what: str) -> None:
        """Raise Changed unless exactly as many rows were changed as were to be."""
        if done != wanted:
            raise Changed(f"{self._model.source.name}: {wanted} {what}, but {done} were there; nothing was committed.")

    def commit(self) -> tuple[()]:
        """Commit. Whatever goes wrong here leaves it open whether the batch is in: only `resolve` can tell."""
        try:
            self._database.commit(self._connection)
        except self._database.errors as error:
            cause, code = self._database.cause(error)
            if cause is Cause.CONSTRAINT:
                # One that is only looked at in the commit.
                raise self._database.translated(error) from None
            raise SourceFailed(
                f"{self._model.source.name}: the commit of a batch failed (error {code}, {cause.name.lower()}); "
                "whether it is in will be found out by 'retention apply' or 'retention run' before anything else is written."
            ) from None
        return ()


@contextmanager
def writing(database: Database, model: Model, sources: Mapping[str, Source], wanted: Wanted, *, may_take: bool) -> Iterator[SqlBatch]:
    """Open a batch; what was not committed when it is left is rolled back."""
    if wanted.witnessed:
        database.prepare_witness()
    connection = database.connect()
    try:
        batch = SqlBatch(database, connection.driver_connection, model, sources, wanted)
        with database.guard:
            batch.open(may_take=may_take)
        yield batch
    finally:
        database.release(connection)


def _rank(part: object) -> int:
    """Return the place of a key's kind among others: one column of SQLite may hold several, and sorts them so."""
    return 2 if isinstance(part, bytes) else 1 if isinstance(part, str) else 0


def _nothing(model: Model, table: str, column: str) -> str:
    """Return what stands in a reference that refers to nothing: NULL, or 0 where a number is required."""
    info = model.tables[table].columns[column]
    if info.nullable:
        return "NULL"
    if info.kind is Kind.NUMBER:
        return "0"
    raise ConfigurationError(f"{model.source.name}: the rows of {table} can't be detached: {column} may not be empty.")
