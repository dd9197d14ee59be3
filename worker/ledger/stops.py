"""Stops: what a person said no run may go on with, seen by every worker on every machine before its next batch."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import delete, select

from worker.ledger import schema
from worker.ledger.connect import Store, columns, put, values
from worker.ledger.rows import StopRow

_STOP = columns(schema.stops, StopRow)
_ALL = select(*_STOP).order_by(schema.stops.c.source)


class Stops(Store):
    """The stops that are in force; one that was lifted is known from the audit trail only."""

    def put_stop(self, source: str, why: str, by: str) -> StopRow:
        """Keep a stop, in the place of an earlier one of the same source; durable when it returns."""
        row = StopRow(source, why, by, self._now())
        with self._write() as connection:
            put(connection, schema.stops, values(row))
        return row

    def lift_stops(self, sources: Collection[str]) -> list[StopRow]:
        """Drop the stops of these sources and return those that there were."""
        table = schema.stops
        with self._write() as connection:
            found = [StopRow(**row) for row in connection.execute(select(*_STOP).where(table.c.source.in_(sources))).mappings()]
            connection.execute(delete(table).where(table.c.source.in_(sources)))
        return found

    def stops(self) -> list[StopRow]:
        """Return the stops in force, that of all sources first."""
        with self._read() as connection:
            return [StopRow(**row) for row in connection.execute(_ALL).mappings()]
