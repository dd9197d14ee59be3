"""The witness of databases that can't be asked about a transaction: a marker row, written in the same transaction as the batch.

After a crash the row is there if and only if the batch was committed. The table holds batch ids and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from connectors.sql.database import WITNESS_TABLE, Database, DriverConnection
from connectors.sql.expressions import Statement, value
from connectors.sql.failures import Cause
from worker.errors import Changed

_TABLE = sa.Table(WITNESS_TABLE, sa.MetaData(), sa.Column("batch_id", sa.String(64), primary_key=True))
_MARKER = "marker"


class MarkerDatabase(Database):
    """A database whose batches are witnessed by a marker row."""

    _prepared = False

    def prepare_witness(self) -> None:
        """Make the table of markers when it is not there yet."""
        if self._prepared:
            return
        with self.guard, self.engine.begin() as connection:
            # Asked first, because who may not make tables may still use this one; and another lane or worker may make it at this moment.
            if not sa.inspect(connection).has_table(WITNESS_TABLE):
                connection.execute(sa.schema.CreateTable(_TABLE, if_not_exists=True))
        self._prepared = True

    def witness(self, connection: DriverConnection, batch_id: str) -> dict[str, str]:
        """Insert the marker of a batch; Changed when the batch was committed before, so no batch is ever carried out twice."""
        try:
            self.change(connection, self.compiled(_TABLE.insert().values(batch_id=value(batch_id))))
        except self.errors as error:
            if self.cause(error)[0] is not Cause.CONSTRAINT:
                raise
            raise Changed(f"{self.source}: this batch was committed before; nothing was done.") from None
        return {_MARKER: batch_id}

    def was_committed(self, batch_id: str, witness: Mapping[str, str]) -> bool | None:
        """Return whether the marker is there; waits for a transaction that may still be writing it."""
        if witness.get(_MARKER) != batch_id:
            return None
        with self.borrowed() as connection:
            # Without the table no marker was ever committed.
            if not sa.inspect(self.engine).has_table(WITNESS_TABLE):
                return False
            return bool(self.run(connection.driver_connection, self.question(batch_id)))

    def question(self, batch_id: str) -> Statement:
        """Return the statement that reads a marker."""
        return self.compiled(sa.select(_TABLE.c.batch_id).where(_TABLE.c.batch_id == value(batch_id)))

    def forget(self, batch_ids: Sequence[str]) -> None:
        """Delete the markers of batches."""
        if not batch_ids:
            return
        with self.borrowed() as connection:
            if self._may_have_markers():
                statement = _TABLE.delete().where(_TABLE.c.batch_id.in_([value(each) for each in batch_ids]))
                self.change(connection.driver_connection, self.compiled(statement))

    def _may_have_markers(self) -> bool:
        """Whether there is a table of markers; an account without any right on it never made one in it."""
        try:
            return sa.inspect(self.engine).has_table(WITNESS_TABLE)
        except sa.exc.DBAPIError as error:
            if isinstance(error.orig, self.errors) and self.cause(error.orig)[0] is Cause.NO_RIGHT:
                return False
            raise
