"""Runs and their batches: what was begun, what was about to be written, and how it ended.

A batch goes one way: pending -> intended -> a final state. Its id is used for one attempt only, because every reader of
the audit trail joins intents with the closing event by that id: a batch that was rolled back and is tried again with
fewer records is a new batch. These are the methods on the hot path: one short transaction each.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Literal, get_args

from sqlalchemy import Connection, Integer, Select, and_, bindparam, delete, func, insert, or_, select, update

from worker.errors import RetentionError
from worker.ledger import schema
from worker.ledger.connect import columns, values
from worker.ledger.halves import begin, left
from worker.ledger.queue import Queue
from worker.ledger.rows import RECORD, BatchRow, BatchState, Intent, Lease, RunCounts, RunRow
from worker.ledger.suppressions import suppress, take_back
from worker.ledger.tombstones import bury, exhume, took_effect

RunEnd = Literal["done", "partial", "failed", "refused", "findings", "resolved_after_crash"]
BatchEnd = Literal["committed", "rolled_back", "resolved_after_crash", "presumed"]

_PAGE = 500
_TOKEN_BYTES = 16
_DAY_BYTES = 4

_RUN = columns(schema.runs, RunRow)
_BATCH = columns(schema.batches, BatchRow)
# Built once: the statements of the hot path are found in SQLAlchemy's cache without being put together again.
_INTEND = (
    update(schema.batches)
    .where(schema.batches.c.batch_id == bindparam("id"), schema.batches.c.state == "pending")
    .values({name: bindparam(name) for name in ("state", "witness", "stream", "first", "count", "root", "intended_at", "intended")})
)
_CLOSE = (
    update(schema.batches)
    .where(schema.batches.c.batch_id == bindparam("id"), schema.batches.c.state == bindparam("before"))
    .values({name: bindparam(name) for name in ("state", "effects", "digest", "closed_at")})
)
_NEWEST = select(*_RUN).order_by(schema.runs.c.started_at.desc(), schema.runs.c.run_id.desc())
_SOME_RUNS = _NEWEST.limit(bindparam("most", type_=Integer))
_OPEN_RUNS = _NEWEST.where(schema.runs.c.state == "running")
_ONE_RUN = select(*_RUN).where(schema.runs.c.run_id == bindparam("id"))
_END_RUN = (
    update(schema.runs)
    .where(schema.runs.c.run_id == bindparam("id"), schema.runs.c.state == "running")
    .values({name: bindparam(name) for name in ("state", "counts", "exit_code", "ended_at")})
)
_NOT_CLOSED = select(func.count()).where(schema.batches.c.run_id == bindparam("id"), schema.batches.c.state == "intended")
_ONE_BATCH = select(*_BATCH).where(schema.batches.c.batch_id == bindparam("id"))
_WALK = tuple(schema.batches.c[name] for name in ("run_id", "source", "policy", "number", "batch_id"))
_UNFINISHED = select(*_BATCH).where(schema.UNFINISHED).order_by(*_WALK)
_PAGE_OF_RUN = select(*_BATCH).where(schema.batches.c.run_id == bindparam("id")).order_by(*_WALK).limit(_PAGE)
_PAGE_OF_RUN = _PAGE_OF_RUN.offset(bindparam("done", type_=Integer))
_ALIASES = (
    select(schema.aliases.c.alias_id, schema.aliases.c.blob)
    .where(schema.aliases.c.source == bindparam("of"), schema.aliases.c.alias_id > bindparam("last"))
    .order_by(schema.aliases.c.alias_id)
    .limit(20)
)
_UNFINISHED_OF_RUN = _UNFINISHED.where(schema.batches.c.run_id == bindparam("id"))


class Work(Queue):
    """Runs, batches, the aliases kept for records that a batch treated, and what runs saw of states."""

    def start_run(self, run: RunRow) -> None:
        """Keep a run that begins."""
        with self._write() as connection:
            connection.execute(insert(schema.runs), values(run))

    def end_run(self, run_id: str, state: RunEnd, counts: RunCounts, exit_code: int) -> None:
        """Keep how a run ended. Raises RetentionError when it isn't running, or claims to be whole and isn't."""
        with self._write() as connection:
            if state in {"done", "findings"} and connection.execute(_NOT_CLOSED, {"id": run_id}).scalar():
                raise RetentionError(f"The run {run_id} can't end as {state}: a batch of it was not closed.")
            ended = {"id": run_id, "state": state, "counts": counts, "exit_code": exit_code, "ended_at": self._now()}
            if connection.execute(_END_RUN, ended).rowcount == 0:
                raise RetentionError(f"The run {run_id} can't be ended: it is not running.")
            self._end_order(connection, run_id)

    def run(self, run_id: str) -> RunRow | None:
        """Return a run, or None."""
        return next(iter(self._runs(_ONE_RUN, id=run_id)), None)

    def runs(self, limit: int) -> list[RunRow]:
        """Return the runs that started last, newest first."""
        return self._runs(_SOME_RUNS, most=limit)

    def open_runs(self) -> list[RunRow]:
        """Return the runs that have not ended; which of them still live, only their locks can tell."""
        return self._runs(_OPEN_RUNS)

    def history(self, source: str, limit: int) -> list[int]:
        """Return on how many records earlier runs acted in this source, newest first; refused and failed ones left out."""
        table = schema.runs
        counted = (
            select(table.c.counts)
            .where(table.c.state.in_(("done", "partial", "findings", "resolved_after_crash")))
            .order_by(table.c.started_at.desc(), table.c.run_id.desc())
        )
        acted: list[int] = []
        with self._read() as connection:
            for counts in connection.execute(counted).scalars():
                if len(acted) == limit:
                    break
                if source in counts:
                    acted.append(int(counts[source].get("acted", 0)))
        return acted

    def last_as_of(self) -> dt.date | None:
        """Return the latest day any run was for; one that was refused doesn't count, or a leapt clock would."""
        table = schema.runs
        with self._read() as connection:
            return connection.execute(select(func.max(table.c.logical_date)).where(table.c.state != "refused")).scalar()

    def add_batches(self, run_id: str, batches: Sequence[BatchRow], *, lease: Lease | None = None) -> None:
        """Keep the batches a run is going to work through, all or none.

        lease -- which lasts its whole time again. Raises LeaseLost when it doesn't count any more: whoever has the batch now has looked for
        what was left of it, and would not know of these.
        """
        if any(batch.run_id != run_id or batch.state != "pending" for batch in batches):
            raise ValueError("a new batch is pending and belongs to the run it is added to")
        if batches:
            with self._write() as connection:
                if lease is not None:
                    self._renew(connection, lease)
                connection.execute(insert(schema.batches), [values(batch) for batch in batches])

    def intend(self, batch_id: str, witness: Mapping[str, Any], stream: str, first: int, count: int, root: str) -> None:
        """Keep where the batch's intents are and how to resolve it after a crash; durable when it returns.

        Call it before the source commits. Raises RetentionError when the batch isn't pending: somebody else has it.
        """
        with self._write() as connection:
            self._intend(connection, Intent(batch_id, witness, stream, first, count, root))

    def intend_with(self, intent: Intent) -> None:
        """Do what `intend` does, with the batch's aliases, high-water marks, tombstones and what it suppresses in the same transaction."""
        with self._write() as connection:
            self._intend(connection, intent)

    def close_batch(
        self,
        batch_id: str,
        state: BatchEnd,
        effects: Mapping[str, int],
        digest: str,
        *,
        then: Intent | None = None,
        stayed: Collection[bytes] = (),
        begun: str | None = None,
    ) -> None:
        """Keep how a batch ended, and in the same transaction the intent of the next one.

        stayed -- tokens of records that were to be deleted and were not: what was kept of their going is taken back; begun -- sealed, the
        rows whose deletion it has begun and not ended, empty for none, None for a batch whose intent had none.

        Raises RetentionError when the batch was not intended, or closed before. A pending batch can only be rolled back.
        """
        if state not in get_args(BatchEnd):
            raise ValueError("not a final state of a batch")
        with self._write() as connection:
            closing = {"id": batch_id, "state": state, "effects": effects, "digest": digest, "closed_at": self._now()}
            before: list[BatchState] = ["intended", "pending"] if state == "rolled_back" else ["intended"]
            if not any(connection.execute(_CLOSE, {**closing, "before": one}).rowcount for one in before):
                raise RetentionError(f"The batch {batch_id} can't be {state}: {_now_is(connection, batch_id)}.")
            self._take_back(connection, batch_id, stayed)
            if begun is not None:
                left(connection, batch_id, begun)
            if then is not None:
                self._intend(connection, then)

    def _take_back(self, connection: Connection, batch_id: str, stayed: Collection[bytes]) -> None:
        """Take back that records went; what shared facts count of them may stay, because it says what the records still say."""
        if not stayed:
            return
        table, size = schema.high_water, _TOKEN_BYTES + _DAY_BYTES
        of_batch = select(table.c.high_water_id, table.c.blob).where(table.c.batch_id == batch_id, table.c.field == RECORD)
        for row in connection.execute(of_batch).all():
            entries = (row.blob[start : start + size] for start in range(0, len(row.blob), size))
            kept = b"".join(each for each in entries if each[:_TOKEN_BYTES] not in stayed)
            this = table.c.high_water_id == row.high_water_id
            connection.execute(update(table).where(this).values(blob=kept) if kept else delete(table).where(this))
        exhume(connection, batch_id, stayed)
        take_back(connection, batch_id, stayed)

    def batch(self, batch_id: str) -> BatchRow | None:
        """Return a batch, or None."""
        with self._read() as connection:
            row = connection.execute(_ONE_BATCH, {"id": batch_id}).mappings().first()
        return None if row is None else BatchRow(**row)

    def attempts(self, run_id: str, source: str, number: int) -> list[BatchRow]:
        """Return every attempt of a run at one planned batch, and the parts it was halved into."""
        table = schema.batches
        wanted = select(*_BATCH).where(table.c.run_id == run_id, table.c.source == source, table.c.number == number)
        with self._read() as connection:
            return [BatchRow(**row) for row in connection.execute(wanted.order_by(*_WALK)).mappings()]

    def committed_in(self, stream: str, last: int) -> list[BatchRow]:
        """Return the last committed batches with intents in a stream of the audit trail, in the order of these."""
        table = schema.batches
        wanted = select(*_BATCH).where(table.c.stream == stream, table.c.state == "committed").order_by(table.c.first.desc()).limit(last)
        with self._read() as connection:
            return [BatchRow(**row) for row in connection.execute(wanted).mappings()][::-1]

    def unfinished(self, run_id: str | None = None) -> list[BatchRow]:
        """Return the batches of one run, or of all, that are in no final state: pending or intended."""
        wanted = _UNFINISHED if run_id is None else _UNFINISHED_OF_RUN
        with self._read() as connection:
            return [BatchRow(**row) for row in connection.execute(wanted, {} if run_id is None else {"id": run_id}).mappings()]

    def batches(self, run_id: str) -> Iterator[BatchRow]:
        """Yield a run's batches by source, policy and number, in constant memory, with no transaction left open."""
        done = 0
        while True:
            # Batches are never deleted or renumbered, so an offset neither skips nor repeats one.
            with self._read() as connection:
                found = [BatchRow(**row) for row in connection.execute(_PAGE_OF_RUN, {"id": run_id, "done": done}).mappings()]
            yield from found
            done += len(found)
            if len(found) < _PAGE:
                return

    def keep_aliases(self, batch_id: str, source: str, blob: bytes) -> None:
        """Keep by which identifiers the records of a batch were known before it treated them; durable when it returns.

        blob -- for each pair 16 bytes of the record's token and 16 bytes of the identifier's. Once for each batch: the
        same again changes nothing, and anything else raises RetentionError.
        """
        with self._write() as connection:
            self._keep_aliases(connection, batch_id, source, blob)

    def aliases(self, source: str) -> Iterator[bytes]:
        """Yield the kept blobs of a source in the order they were kept, with no transaction left open."""
        yield from (blob for _, blob in self.aliases_after(source, 0))

    def last_alias(self, source: str) -> int:
        """Return the number of the blob that was kept last of a source, 0 for none."""
        with self._read() as connection:
            found = connection.execute(select(func.max(schema.aliases.c.alias_id)).where(schema.aliases.c.source == source)).scalar()
        return int(found or 0)

    def aliases_after(self, source: str, last: int) -> Iterator[tuple[int, bytes]]:
        """Yield (number, blob) of the blobs of a source that were kept after one, with no transaction left open."""
        while True:
            with self._read() as connection:
                found = connection.execute(_ALIASES, {"of": source, "last": last}).all()
            if not found:
                return
            yield from ((row.alias_id, row.blob) for row in found)
            last = found[-1].alias_id

    def high_water(self, source: str, field: str, *, undone: bool = True) -> Iterator[bytes]:
        """Yield the kept blobs of a field's days in the order they were kept, with no transaction left open.

        undone -- also those of batches that came to nothing; without them, what is not over yet counts as if it had been done.
        """
        table, batches = schema.high_water, schema.batches
        last = 0
        while True:
            wanted = (
                select(table.c.high_water_id, table.c.blob)
                .where(table.c.source == source, table.c.field == field, table.c.high_water_id > last)
                .order_by(table.c.high_water_id)
                .limit(20)
            )
            if not undone:
                came_to_something = or_(batches.c.state == "intended", and_(*took_effect()))
                wanted = wanted.join_from(table, batches, batches.c.batch_id == table.c.batch_id).where(came_to_something)
            with self._read() as connection:
                found = connection.execute(wanted).all()
            if not found:
                return
            yield from (row.blob for row in found)
            last = found[-1].high_water_id

    def departed(self, source: str) -> Iterator[tuple[bytes, dt.datetime]]:
        """Yield (blob of the field RECORD, when it was kept) of the batches of a source that took effect, no transaction left open."""
        table, batches = schema.high_water, schema.batches
        last = 0
        while True:
            wanted = (
                select(table.c.high_water_id, table.c.blob, table.c.at)
                .join_from(table, batches, batches.c.batch_id == table.c.batch_id)
                .where(table.c.source == source, table.c.field == RECORD, table.c.high_water_id > last)
                .where(*took_effect())  # what a crash undid is resolved, too
                .order_by(table.c.high_water_id)
                .limit(20)
            )
            with self._read() as connection:
                found = connection.execute(wanted).all()
            if not found:
                return
            yield from ((row.blob, row.at) for row in found)
            last = found[-1].high_water_id

    def keep_observations(self, source: str, blobs: Mapping[str, bytes]) -> None:
        """Keep, by name, when states of a source's records were first seen to have ended; all that was kept before goes."""
        table = schema.observations
        rows = [{"source": source, "purpose": name, "blob": blob, "at": self._now()} for name, blob in blobs.items()]
        with self._write() as connection:
            connection.execute(delete(table).where(table.c.source == source))
            if rows:
                connection.execute(insert(table), rows)

    def observations(self, source: str) -> dict[str, bytes]:
        """Return what `keep_observations` kept of a source."""
        table = schema.observations
        with self._read() as connection:
            found = connection.execute(select(table.c.purpose, table.c.blob).where(table.c.source == source))
            return {row.purpose: row.blob for row in found}

    def _intend(self, connection: Connection, intent: Intent) -> None:
        if intent.aliases:
            source = connection.execute(select(schema.batches.c.source).where(schema.batches.c.batch_id == intent.batch_id)).scalar()
            self._keep_aliases(connection, intent.batch_id, source or "", intent.aliases)
        row = {
            "id": intent.batch_id,
            "state": "intended",
            "witness": intent.witness,
            "stream": intent.stream,
            "first": intent.first,
            "count": intent.count,
            "root": intent.root,
            "intended_at": self._now(),
            "intended": intent.intended,
        }
        if intent.lease is not None:
            # In the same transaction: an intent without a lease that counts would be followed by a write.
            self._renew(connection, intent.lease)
        if connection.execute(_INTEND, row).rowcount == 0:
            state = _now_is(connection, intent.batch_id)
            raise RetentionError(f"The batch {intent.batch_id} can't be written: {state}. Nothing was written.")
        for each in intent.high_water:
            if not each.blob or len(each.blob) % (_TOKEN_BYTES + _DAY_BYTES):
                raise ValueError("a high-water mark is made of 16-byte tokens, each with a day in 4 bytes")
            kept = {"batch_id": intent.batch_id, **values(each), "at": self._now()}
            connection.execute(insert(schema.high_water).values(kept))
        begin(connection, intent, self._now())
        bury(connection, intent, self._now())
        suppress(connection, intent, self._now())

    def _keep_aliases(self, connection: Connection, batch_id: str, source: str, blob: bytes) -> None:
        if not blob or len(blob) % (2 * _TOKEN_BYTES):
            raise ValueError("aliases are pairs of 16-byte tokens")
        table = schema.aliases
        kept = connection.execute(select(table.c.blob).where(table.c.batch_id == batch_id)).scalar()
        if kept is None:
            row = {"batch_id": batch_id, "source": source, "blob": blob, "at": self._now()}
            connection.execute(insert(table).values(row))
        elif kept != blob:
            raise RetentionError(f"Other aliases were kept for the batch {batch_id} already. Nothing was written.")

    def _runs(self, wanted: Select[Any], **asked: object) -> list[RunRow]:
        with self._read() as connection:
            return [RunRow(**row) for row in connection.execute(wanted, asked).mappings()]


def _now_is(connection: Connection, batch_id: str) -> str:
    state = connection.execute(select(schema.batches.c.state).where(schema.batches.c.batch_id == batch_id)).scalar()
    return "the ledger doesn't know it" if state is None else f"it is {state}"
