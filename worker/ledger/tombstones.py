"""Tombstones: what is kept of deleted records to recognise them when they come back. One blob per batch, never a row per record."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, Delete, Select, Table, bindparam, delete, func, insert, select, update

from worker.ledger import schema
from worker.ledger.connect import Store, values
from worker.ledger.rows import Intent, Tombstones

_TOKEN_BYTES = 16
_ENTRY_BYTES = 3 * _TOKEN_BYTES
_TOOK_EFFECT = ("committed", "resolved_after_crash", "presumed")
_KEPT = ("source", "facts", "erasure", "day", "ends_on", "records", "blob", "still")


def in_effect(
    store: Store, table: Table, number: str, names: Sequence[str], wanted: tuple[str, dt.date, str | None]
) -> Iterator[dict[str, Any]]:
    """Yield rows of a table that keeps something for each batch: of those that took effect, oldest first, no transaction left open.

    number -- the column by which they are in order; names -- the columns, besides batch and run; wanted -- of which source, what has not
    ended on which local day, and of which run (None: of all).
    """
    source, today, run_id = wanted
    asked = _asked(table, number, tuple(names), of_run=run_id is not None)
    of = {"of": source, "today": today} | ({} if run_id is None else {"run": run_id})
    last = 0
    while True:
        with store._read() as connection:  # noqa: SLF001 - part of the store, shared by two of its halves
            found = connection.execute(asked, {**of, "last": last}).mappings().all()
        if not found:
            return
        for row in found:
            kept = dict(row)
            last = kept.pop(number)
            yield kept


@cache
def _asked(table: Table, number: str, names: tuple[str, ...], *, of_run: bool) -> Select[Any]:
    """Return what `in_effect` asks page by page, built once."""
    batches = schema.batches
    after = table.c[number] > bindparam("last")
    asked = (
        select(table.c[number], *(table.c[name] for name in names), table.c.batch_id, batches.c.run_id)
        .join_from(table, batches, batches.c.batch_id == table.c.batch_id)
        .where(table.c.source == bindparam("of"), table.c.ends_on >= bindparam("today"), after, *took_effect())
        .order_by(table.c[number])
        .limit(20)
    )
    return asked.where(batches.c.run_id == bindparam("run")) if of_run else asked


class Graveyard(Store):
    """The tombstones. They are kept in the transaction of their batch's intent, and count only when the batch took effect."""

    def tombstones(self, source: str, today: dt.date, *, run_id: str | None = None) -> Iterator[Tombstones]:
        """Yield the tombstones of a source that have not ended on a local day, oldest first, no transaction left open.

        run_id -- only those of this run.
        """
        for kept in in_effect(self, schema.tombstones, "tombstone_id", _KEPT, (source, today, run_id)):
            yield Tombstones(**{**kept, "facts": tuple(kept["facts"])})

    def watched(self, today: dt.date) -> dict[str, int]:
        """Return of how many records there are tombstones on a local day, by source; none that is without any."""
        with self._read() as connection:
            return {row.source: int(row.records) for row in connection.execute(_WATCHED, {"today": today})}

    def keep_still(self, tombstones: Tombstones, still: bytes) -> None:
        """Keep which records were there after the run of these tombstones, and like them."""
        if len(still) % _TOKEN_BYTES:
            raise ValueError("records that are still there are tokens of 16 bytes")
        table = schema.tombstones
        these = (table.c.batch_id == tombstones.batch_id, table.c.source == tombstones.source, table.c.erasure == tombstones.erasure)
        with self._write() as connection:
            connection.execute(update(table).where(*these).values(still=still))

    def drop_tombstones(self, today: dt.date) -> dict[str, int]:
        """Drop the tombstones that ended before a local day, and return of how many records, by source."""
        with self._write() as connection:
            return drop_ended(connection, schema.tombstones, today)


def drop_ended(connection: Connection, table: Table, today: dt.date) -> dict[str, int]:
    """Drop the rows of a table that ended before a local day, and return of how many records they were, by source."""
    found, drop = _over(table)
    dropped: Counter[str] = Counter()
    for row in connection.execute(found, {"today": today}):
        dropped[row.source] += row.records
    if dropped:
        connection.execute(drop, {"today": today})
    return dict(dropped)


@cache
def _over(table: Table) -> tuple[Select[Any], Delete]:
    over = table.c.ends_on < bindparam("today")
    return select(table.c.source, table.c.records).where(over), delete(table).where(over)


def bury(connection: Connection, intent: Intent, at: dt.datetime) -> None:
    """Keep the tombstones of a batch in the transaction of its intent."""
    for each in intent.tombstones:
        if not each.blob or len(each.blob) % _ENTRY_BYTES:
            raise ValueError("a tombstone is made of three 16-byte tokens")
        row: dict[str, Any] = {name: value for name, value in values(each).items() if name in _KEPT}
        connection.execute(insert(schema.tombstones).values({**row, "facts": list(each.facts), "batch_id": intent.batch_id, "at": at}))


def exhume(connection: Connection, batch_id: str, stayed: Collection[bytes]) -> None:
    """Take back the tombstones of records that the system left as they were. stayed -- their tokens."""
    table = schema.tombstones
    for row in connection.execute(select(table.c.tombstone_id, table.c.blob).where(table.c.batch_id == batch_id)).all():
        entries = [row.blob[start : start + _ENTRY_BYTES] for start in range(0, len(row.blob), _ENTRY_BYTES)]
        left = [each for each in entries if each[:_TOKEN_BYTES] not in stayed]
        records = len({each[:_TOKEN_BYTES] for each in left})
        this = table.c.tombstone_id == row.tombstone_id
        kept = update(table).where(this).values(blob=b"".join(left), records=records)
        connection.execute(kept if left else delete(table).where(this))


def took_effect() -> tuple[Any, Any]:
    """Return the conditions on a batch that it did something; what a crash undid is resolved, too, and without effects."""
    batches = schema.batches
    return batches.c.state.in_(_TOOK_EFFECT), batches.c.effects != {}


_WATCHED = (
    select(schema.tombstones.c.source, func.sum(schema.tombstones.c.records).label("records"))
    .join_from(schema.tombstones, schema.batches, schema.batches.c.batch_id == schema.tombstones.c.batch_id)
    .where(schema.tombstones.c.ends_on >= bindparam("today"), *took_effect())
    .group_by(schema.tombstones.c.source)
    .order_by(schema.tombstones.c.source)
)
