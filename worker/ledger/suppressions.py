"""The suppression list: whom no import may bring back. One blob per batch, never a row per record, each with an end."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from worker.ledger import schema
from worker.ledger.connect import Store, values
from worker.ledger.rows import Intent, Suppressed
from worker.ledger.tombstones import drop_ended, in_effect, took_effect

_TOKEN_BYTES = 16
_ENTRY_BYTES = 2 * _TOKEN_BYTES
_KEPT = ("source", "day", "ends_on", "records", "blob", "still")
_TABLE = schema.suppressions.c
_LISTED = (
    select(_TABLE.source, func.sum(_TABLE.records).label("records"), func.min(_TABLE.day), func.max(_TABLE.ends_on))
    .join_from(schema.suppressions, schema.batches, schema.batches.c.batch_id == _TABLE.batch_id)
    .where(_TABLE.ends_on >= bindparam("today"), *took_effect())
    .group_by(_TABLE.source)
    .order_by(_TABLE.source)
)


@dataclass(frozen=True, slots=True)
class Listed:
    """How much of one source is suppressed on a day: of how many records, since when the earliest, and until when the latest."""

    source: str
    records: int
    since: dt.date
    until: dt.date


class Suppressions(Store):
    """The suppression list. It is kept in the transaction of its batch's intent, and counts only when the batch took effect."""

    def suppressed(self, source: str, today: dt.date, *, run_id: str | None = None) -> Iterator[Suppressed]:
        """Yield what is suppressed in a source on a local day, oldest first, no transaction left open.

        run_id -- only what this run added.
        """
        for kept in in_effect(self, schema.suppressions, "suppression_id", _KEPT, (source, today, run_id)):
            yield Suppressed(**kept)

    def suppressing(self, today: dt.date) -> dict[str, Listed]:
        """Return how much is suppressed on a local day, by source; none that is without any."""
        with self._read() as connection:
            return {row[0]: Listed(row[0], int(row[1]), row[2], row[3]) for row in connection.execute(_LISTED, {"today": today})}

    def keep_still_there(self, suppressed: Suppressed, still: bytes) -> None:
        """Keep which records with these identifiers were there after the run, and never went."""
        if len(still) % _TOKEN_BYTES:
            raise ValueError("records that are still there are tokens of 16 bytes")
        table = schema.suppressions
        these = (table.c.batch_id == suppressed.batch_id, table.c.source == suppressed.source)
        with self._write() as connection:
            connection.execute(update(table).where(*these).values(still=still))

    def drop_suppressed(self, today: dt.date) -> dict[str, int]:
        """Drop what ended before a local day, and return of how many records, by source."""
        with self._write() as connection:
            return drop_ended(connection, schema.suppressions, today)

    def release(self, source: str, identifiers: Collection[bytes]) -> None:
        """Take identifiers off the list of a source; those that are not on it change nothing. Memory: one blob at a time."""
        table = schema.suppressions
        with self._write() as connection:
            for (number,) in connection.execute(select(table.c.suppression_id).where(table.c.source == source)).all():
                _leave(connection, number, lambda entry: entry[_TOKEN_BYTES:] not in identifiers)


def suppress(connection: Connection, intent: Intent, at: dt.datetime) -> None:
    """Keep what a batch suppresses in the transaction of its intent."""
    for each in intent.suppressed:
        if not each.blob or len(each.blob) % _ENTRY_BYTES:
            raise ValueError("what is suppressed is made of two 16-byte tokens")
        row: dict[str, Any] = {name: value for name, value in values(each).items() if name in _KEPT}
        connection.execute(insert(schema.suppressions).values({**row, "batch_id": intent.batch_id, "at": at}))


def take_back(connection: Connection, batch_id: str, stayed: Collection[bytes]) -> None:
    """Take back what records suppress that the system left as they were. stayed -- their tokens."""
    table = schema.suppressions
    for (number,) in connection.execute(select(table.c.suppression_id).where(table.c.batch_id == batch_id)).all():
        _leave(connection, number, lambda entry: entry[:_TOKEN_BYTES] not in stayed)


def _leave(connection: Connection, number: int, stays: Any) -> None:
    """Leave of one row what stays; a row of which nothing does goes."""
    table = schema.suppressions
    this = table.c.suppression_id == number
    blob = connection.execute(select(table.c.blob).where(this)).scalar() or b""
    entries = [blob[start : start + _ENTRY_BYTES] for start in range(0, len(blob), _ENTRY_BYTES)]
    left = [each for each in entries if stays(each)]
    if len(left) == len(entries):
        return
    records = len({each[:_TOKEN_BYTES] for each in left})
    changed = update(table).where(this).values(blob=b"".join(left), records=records)
    connection.execute(changed if left else delete(table).where(this))
