"""Deletions that were begun and may not have ended: sealed, one blob per batch, and only as long as that is so."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import Connection, delete, insert, select, update

from worker.ledger import schema
from worker.ledger.connect import Store
from worker.ledger.rows import Intent


class Halves(Store):
    """What batches of a source were to delete in several steps."""

    def begun(self, source: str, *, closed: bool = False) -> list[tuple[str, str]]:
        """Return (batch, what was sealed for it) of a source, the oldest first. closed -- only of batches that are final."""
        table, batches = schema.begun, schema.batches
        wanted = select(table.c.batch_id, table.c.sealed).where(table.c.source == source).order_by(table.c.at, table.c.batch_id)
        if closed:
            wanted = wanted.join_from(table, batches, batches.c.batch_id == table.c.batch_id).where(batches.c.closed_at.is_not(None))
        with self._read() as connection:
            return [(row.batch_id, row.sealed) for row in connection.execute(wanted)]

    def keep_begun(self, batch_id: str, sealed: str) -> None:
        """Keep of a batch that is final what is begun still; nothing for an empty text."""
        with self._write() as connection:
            left(connection, batch_id, sealed)


def begin(connection: Connection, intent: Intent, at: dt.datetime) -> None:
    """Keep what a batch is about to begin in the transaction of its intent."""
    if intent.begun:
        batches = schema.batches
        source = connection.execute(select(batches.c.source).where(batches.c.batch_id == intent.batch_id)).scalar()
        row = {"batch_id": intent.batch_id, "source": source or "", "sealed": intent.begun, "at": at}
        connection.execute(insert(schema.begun).values(row))


def left(connection: Connection, batch_id: str, sealed: str) -> None:
    """Keep what a batch has begun and not ended, in the place of all that it was to begin."""
    this = schema.begun.c.batch_id == batch_id
    connection.execute(update(schema.begun).where(this).values(sealed=sealed) if sealed else delete(schema.begun).where(this))
