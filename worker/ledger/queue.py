"""The planned batches of open runs, each with the lease of whoever carries it out. Messages only wake workers; the work stands here.

A lease is for one batch and ends by itself. Its token grows with every lease of that batch, and whatever is written for a lease is
written only while no later one was given, in one transaction with that question. Who may have how many batches of a source at once is
decided under a lock on that source's row, so it holds over all workers of all machines. Rows are there while their run is open.

On PostgreSQL leases are measured by the server's clock, so clocks of workers that differ do no harm.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, case, delete, func, insert, select, update

from worker.errors import LeaseLost, RetentionError
from worker.ledger import schema
from worker.ledger.connect import Store, columns, values
from worker.ledger.rows import Lease, OrderRow, Phase, RunSourceRow, SourceWork, WorkRow

Outcome = Mapping[str, Any]
"""What carrying out a planned batch came to, as `worker.usecases.draining` writes and reads it."""

LEASE_SECONDS = 360.0
_PAGE_BYTES = 4 << 20
_OPEN = ("waiting", "leased")
_LEFT = ("waiting", "left")
_ORDER = columns(schema.orders, OrderRow)
_SOURCE = columns(schema.run_sources, RunSourceRow)

# What is asked for every batch is built once. A batch's own row is read and written without what it holds, whose size is the batch's.
_work, _orders, _sources = schema.work.c, schema.orders.c, schema.run_sources.c
_ORDER_NOW = select(_orders.phase, _orders.at_most, _orders.acted).where(_orders.run_id == bindparam("of_run"))
_SOURCE_NOW = (
    select(_sources.lanes, _sources.after, _sources.failed)
    .where(_sources.run_id == bindparam("of_run"), _sources.source == bindparam("of_source"))
    .with_for_update()
)
_LEASED = select(_work.source).where(_work.run_id == bindparam("of_run"), _work.state == "leased", _work.leased_until > bindparam("at"))
_OF_SOURCE = (
    select(_work.batch_id, _work.number, _work.token, _work.tries)
    .where(_work.run_id == bindparam("of_run"), _work.source == bindparam("of_source"))
    .order_by(_work.number)
    .limit(1)
)
_LAPSED = _OF_SOURCE.where(_work.state == "leased", _work.leased_until <= bindparam("at"))
_WAITING = _OF_SOURCE.where(_work.state == "waiting")
_THIS = (_work.run_id == bindparam("of_run"), _work.batch_id == bindparam("of_batch"))
_HAS = (*_THIS, _work.token == bindparam("with_token"), _work.state == "leased")
_LEASE_NOW = select(_work.token, _work.state, _work.leased_until).where(*_THIS)
_TAKE = (
    update(schema.work)
    .where(*_THIS)
    .values(
        state="leased",
        token=bindparam("to_token"),
        tries=bindparam("to_tries"),
        worker=bindparam("to_worker"),
        leased_until=bindparam("until"),
    )
)
_RENEW = update(schema.work).where(*_HAS).values(leased_until=bindparam("until"))
_FINISH = update(schema.work).where(*_HAS).values(state="done", outcome=bindparam("came_to"), leased_until=None)
_COUNT = update(schema.orders).where(_orders.run_id == bindparam("of_run")).values(acted=_orders.acted + bindparam("more"))
_BODY = select(schema.parcels.c.body).where(
    schema.parcels.c.run_id == bindparam("of_run"), schema.parcels.c.batch_id == bindparam("of_batch")
)


class Queue(Store):
    """Orders, their sources, and their planned batches.

    lease_seconds -- for how long a batch is somebody's from the last sign of life on: longer than any transaction of it can be open.
    """

    lease_seconds: float = LEASE_SECONDS

    # --- Beginning --------------------------------------------------------------------------------------------------------------------

    def begin_order(self, order: OrderRow) -> None:
        """Keep what a run has to know; nobody takes anything of it yet."""
        with self._write() as connection:
            connection.execute(insert(schema.orders).values(values(order)))

    def enqueue(self, sources: Sequence[RunSourceRow], batches: Iterable[WorkRow]) -> None:
        """Keep the sources of a run and their planned batches, page by page in constant memory."""
        with self._write() as connection:
            if sources:
                connection.execute(insert(schema.run_sources), [values(each) for each in sources])
        page: list[WorkRow] = []
        size = 0
        for each in batches:
            page.append(each)
            size += len(each.body)
            if size >= _PAGE_BYTES:
                self._add(page)
                page, size = [], 0
        self._add(page)

    def _add(self, page: Sequence[WorkRow]) -> None:
        if page:
            with self._write() as connection:
                connection.execute(insert(schema.work), [{**_apart(each), "state": "waiting", "tries": 0} for each in page])
                bodies = [{"run_id": each.run_id, "batch_id": each.batch_id, "body": each.body} for each in page]
                connection.execute(insert(schema.parcels), bodies)

    def open_order(self, run_id: str, said: Mapping[str, Any]) -> None:
        """Let workers take the batches of a run that was prepared."""
        with self._write() as connection:
            table = schema.orders
            opened = update(table).where(table.c.run_id == run_id, table.c.phase == "preparing").values(phase="open", said=said)
            if connection.execute(opened).rowcount == 0:
                raise RetentionError(f"The run {run_id} can't be opened: somebody else has ended it.")

    # --- Taking and giving ------------------------------------------------------------------------------------------------------------

    def lease(self, run_id: str, source: str, *, worker: str, finished: tuple[Lease, Outcome] | None = None) -> tuple[Lease, bytes] | None:
        """Return the next batch of a source that may be carried out now, with its body; None when there is none.

        finished -- a batch that was carried out, which is written down in the same transaction (see `finish`). None is returned while so
        many batches of the source are being carried out as may be at once, while sources that come first have batches left, when the run's
        limit is reached, and when the source was given up. Batches whose lease has run out come first.
        """
        with self._write() as connection:
            if finished is not None:
                self._finish(connection, *finished)
            now = self._instant(connection)
            if not self._may_lease(connection, run_id, source, now):
                return None
            place = {"of_run": run_id, "of_source": source}
            row = connection.execute(_LAPSED, {**place, "at": now}).first() or connection.execute(_WAITING, place).first()
            if row is None:
                return None
            lease = Lease(run_id, row.batch_id, source, row.number, row.token + 1, row.tries + 1, worker)
            this = {"of_run": run_id, "of_batch": row.batch_id}
            taken = {"to_token": lease.token, "to_tries": lease.tries, "to_worker": worker, "until": now + self._lasting()}
            connection.execute(_TAKE, {**this, **taken})
            return lease, bytes(connection.execute(_BODY, this).scalar_one())

    def _may_lease(self, connection: Connection, run_id: str, source: str, now: dt.datetime) -> bool:
        """Whether one more batch of a source may be carried out; its row stays locked until the transaction ends."""
        order = connection.execute(_ORDER_NOW, {"of_run": run_id}).first()
        if order is None or order.phase != "open":
            return False
        if order.at_most is not None:
            # With a limit every batch is counted before the next one begins, whatever its source.
            order = connection.execute(_ORDER_NOW.with_for_update(), {"of_run": run_id}).first()
            if order is None or order.acted >= order.at_most:
                return False
        row = connection.execute(_SOURCE_NOW, {"of_run": run_id, "of_source": source}).first()
        if row is None or row.failed is not None:
            return False
        if row.after:
            work = schema.work
            before = select(work.c.batch_id).where(work.c.run_id == run_id, work.c.source.in_(row.after), work.c.state.in_(_OPEN)).limit(1)
            if connection.execute(before).first() is not None:
                return False
        # Few are leased, however many wait: only those are counted.
        running = [each.source for each in connection.execute(_LEASED, {"of_run": run_id, "at": now})]
        return not (order.at_most is not None and running) and running.count(source) < row.lanes

    def renew(self, lease: Lease) -> None:
        """Have a lease last its whole time from now on. Raises LeaseLost."""
        with self._write() as connection:
            self._renew(connection, lease)

    def confirm(self, lease: Lease) -> None:
        """Raise LeaseLost unless a lease still counts. Ask directly before the commit that it protects."""
        with self._read() as connection:
            row = connection.execute(_LEASE_NOW, {"of_run": lease.run_id, "of_batch": lease.batch_id}).first()
            if row is None or (row.token, row.state) != (lease.token, "leased") or row.leased_until <= self._instant(connection):
                raise _lost(lease)

    def finish(self, lease: Lease, outcome: Outcome) -> None:
        """Keep what a batch came to. Raises LeaseLost when somebody else has it by now: that one's outcome counts."""
        with self._write() as connection:
            self._finish(connection, lease, outcome)

    def give_back(self, lease: Lease) -> None:
        """Let somebody else carry out a batch; nothing happens when somebody has it already."""
        work = schema.work
        with self._write() as connection:
            held = update(work).where(*_is(lease), work.c.token == lease.token, work.c.state == "leased")
            connection.execute(held.values(state="waiting", leased_until=None))

    def expire(self, run_id: str, worker: str) -> int:
        """Let the leases of a worker that is dead run out now; return how many there were."""
        work = schema.work
        with self._write() as connection:
            now = self._instant(connection)
            held = update(work).where(work.c.run_id == run_id, work.c.worker == worker, work.c.state == "leased", work.c.leased_until > now)
            return connection.execute(held.values(leased_until=now)).rowcount

    def give_up(self, run_id: str, source: str, why: str) -> bool:
        """Set aside the batches of a source that nobody carries out now; False when it was given up before.

        Those that are being carried out go on. why -- what the operator is told; no personal data.
        """
        sources, work = schema.run_sources, schema.work
        with self._write() as connection:
            named = update(sources).where(sources.c.run_id == run_id, sources.c.source == source, sources.c.failed.is_(None))
            first = connection.execute(named.values(failed=why)).rowcount == 1
            left = update(work).where(work.c.run_id == run_id, work.c.source == source)
            now = self._instant(connection)
            idle = (work.c.state == "waiting") | ((work.c.state == "leased") & (work.c.leased_until <= now))
            connection.execute(left.where(idle).values(state="set_aside"))
            return first

    def leave(self, run_id: str, source: str) -> None:
        """Leave the batches of a source that nobody carries out now for a later run; sources that come after it need not wait for them."""
        work = schema.work
        with self._write() as connection:
            waiting = update(work).where(work.c.run_id == run_id, work.c.source == source, work.c.state == "waiting")
            connection.execute(waiting.values(state="left"))

    def set_aside_lapsed(self, run_id: str) -> int:
        """Set aside the batches of given-up sources whose lease ran out: nobody takes them any more, and no run may wait for them for ever.

        Returns how many there were. What they left open at the source is resolved when a run of that source begins.
        """
        sources, work = schema.run_sources, schema.work
        with self._write() as connection:
            given_up = select(sources.c.source).where(sources.c.run_id == run_id, sources.c.failed.is_not(None))
            now = self._instant(connection)
            lapsed = update(work).where(work.c.run_id == run_id, work.c.state == "leased", work.c.leased_until <= now)
            done = connection.execute(lapsed.where(work.c.source.in_(given_up)).values(state="set_aside", leased_until=None))
            return done.rowcount

    def set_aside(self, lease: Lease) -> None:
        """Leave a batch that can't be carried out in this run; nothing happens when somebody else has it."""
        work = schema.work
        with self._write() as connection:
            held = update(work).where(*_is(lease), work.c.token == lease.token, work.c.state == "leased")
            connection.execute(held.values(state="set_aside", leased_until=None))

    # --- Ending -----------------------------------------------------------------------------------------------------------------------

    def close_order(self, run_id: str, owner: str, *, instead_of: str | None = None) -> bool:
        """Become the one that closes a run, when no batch of it is left to be carried out now; False when it isn't so.

        instead_of -- a process that began to close it and died.
        """
        orders, work = schema.orders, schema.work
        with self._write() as connection:
            order = connection.execute(select(orders).where(orders.c.run_id == run_id).with_for_update()).first()
            if order is None:
                return False
            states = select(func.count(case((work.c.state == "leased", 1))), func.count()).where(
                work.c.run_id == run_id, work.c.state.in_(_OPEN)
            )
            leased, left = connection.execute(states).one()
            reached = order.at_most is not None and order.acted >= order.at_most
            if leased or (left and not reached):
                return False
            mine: Sequence[tuple[Phase, str | None]] = (("open", None), ("closing", instead_of))
            if not any(order.phase == phase and who in (None, order.owner) for phase, who in mine if phase == "open" or who is not None):
                return False
            connection.execute(update(orders).where(orders.c.run_id == run_id).values(phase="closing", owner=owner))
            return True

    def cut_short(self, run_id: str, stopped: Mapping[str, Any]) -> None:
        """Let no more batches of a run be begun, so that it ends when those at work have; what is left waits for a later run.

        stopped -- why, for whoever closes it.
        """
        orders = schema.orders
        with self._write() as connection:
            order = connection.execute(select(orders).where(orders.c.run_id == run_id).with_for_update()).first()
            if order is not None and order.phase == "open":
                said = {**order.said, "stopped": stopped}
                connection.execute(update(orders).where(orders.c.run_id == run_id).values(at_most=order.acted, said=said))

    def halt_order(self, run_id: str, owner: str) -> None:
        """Let nobody take a batch of a run any more, because it is about to be ended as it is."""
        orders = schema.orders
        with self._write() as connection:
            open_one = update(orders).where(orders.c.run_id == run_id, orders.c.phase.in_(("open", "closing")))
            connection.execute(open_one.values(phase="closing", owner=owner))

    def reopen_order(self, run_id: str, owner: str) -> None:
        """Let workers go on with a run that this process could not close, or somebody else close it."""
        orders = schema.orders
        with self._write() as connection:
            mine = update(orders).where(orders.c.run_id == run_id, orders.c.owner == owner, orders.c.phase == "closing")
            connection.execute(mine.values(phase="open"))

    def _end_order(self, connection: Connection, run_id: str) -> None:
        """Forget the batches of a run that ends."""
        connection.execute(delete(schema.parcels).where(schema.parcels.c.run_id == run_id))
        connection.execute(delete(schema.work).where(schema.work.c.run_id == run_id))
        connection.execute(update(schema.orders).where(schema.orders.c.run_id == run_id).values(phase="ended"))

    # --- Looking ----------------------------------------------------------------------------------------------------------------------

    def order(self, run_id: str) -> OrderRow | None:
        """Return what a run has to know, or None."""
        with self._read() as connection:
            row = connection.execute(select(*_ORDER).where(schema.orders.c.run_id == run_id)).mappings().first()
        return None if row is None else OrderRow(**row)

    def spread_orders(self) -> list[OrderRow]:
        """Return the orders of spread runs that have not ended, oldest first."""
        orders, runs = schema.orders, schema.runs
        wanted = select(*_ORDER).join_from(orders, runs, runs.c.run_id == orders.c.run_id)
        wanted = wanted.where(orders.c.spread, orders.c.phase != "ended").order_by(runs.c.started_at, runs.c.run_id)
        with self._read() as connection:
            return [OrderRow(**row) for row in connection.execute(wanted).mappings()]

    def owning(self, sources: Sequence[str]) -> tuple[str, str] | None:
        """Return (source, id) of a spread run that has one of these sources until it ends, or None."""
        orders, named = schema.orders, schema.run_sources
        wanted = select(named.c.source, orders.c.run_id).join_from(named, orders, orders.c.run_id == named.c.run_id)
        wanted = wanted.where(orders.c.spread, orders.c.phase.in_(("open", "closing")), named.c.source.in_(list(sources)))
        with self._read() as connection:
            row = connection.execute(wanted.order_by(named.c.source).limit(1)).first()
        return None if row is None else (row.source, row.run_id)

    def work_of(self, run_id: str) -> list[SourceWork]:
        """Return how far the sources of a run are, in their turn."""
        work = schema.work
        with self._read() as connection:
            now = self._instant(connection)
            found = [RunSourceRow(**row) for row in connection.execute(_turns(run_id)).mappings()]
            counted = select(
                work.c.source,
                func.count(case((work.c.state == "waiting", 1))),
                func.count(case((work.c.state == "leased", 1))),
                func.count(case(((work.c.state == "leased") & (work.c.leased_until <= now), 1))),
                func.count(case((work.c.state == "done", 1))),
            )
            counts = {row[0]: row[1:] for row in connection.execute(counted.where(work.c.run_id == run_id).group_by(work.c.source))}
        return [SourceWork(each, *counts.get(each.source, (0, 0, 0, 0))) for each in found]

    def leases(self, run_id: str) -> list[tuple[str, bool]]:
        """Return (worker, whether it lasts) for every lease of a run that was neither finished nor given back."""
        work = schema.work
        with self._read() as connection:
            now = self._instant(connection)
            held = select(work.c.worker, work.c.leased_until).where(work.c.run_id == run_id, work.c.state == "leased")
            return [(str(row.worker), row.leased_until > now) for row in connection.execute(held)]

    def outcomes_of(self, run_id: str) -> list[tuple[str, Outcome]]:
        """Return (source, outcome) of every batch that was carried out, in no order."""
        work = schema.work
        done = select(work.c.source, work.c.outcome).where(work.c.run_id == run_id, work.c.state == "done")
        with self._read() as connection:
            return [(row.source, row.outcome) for row in connection.execute(done)]

    def left_of(self, run_id: str) -> int:
        """Return how many planned records of a run wait for a later one, those of sources that were given up left out."""
        work = schema.work
        left = select(func.coalesce(func.sum(work.c.planned), 0)).where(work.c.run_id == run_id, work.c.state.in_(_LEFT))
        with self._read() as connection:
            return int(connection.execute(left).scalar_one())

    def unfinished_sources(self, run_id: str) -> set[str]:
        """Return the sources of which planned batches wait for a later run."""
        work = schema.work
        with self._read() as connection:
            return set(
                connection.execute(select(work.c.source).distinct().where(work.c.run_id == run_id, work.c.state.in_(_LEFT))).scalars()
            )

    # --- Parts ------------------------------------------------------------------------------------------------------------------------

    def _finish(self, connection: Connection, lease: Lease, outcome: Outcome) -> None:
        if connection.execute(_FINISH, {**_held(lease), "came_to": outcome}).rowcount == 0:
            raise _lost(lease)
        connection.execute(_COUNT, {"of_run": lease.run_id, "more": int(outcome.get("acted", 0))})

    def _lasting(self) -> dt.timedelta:
        return dt.timedelta(seconds=self.lease_seconds)

    def _renew(self, connection: Connection, lease: Lease) -> None:
        until = self._instant(connection) + self._lasting()
        if connection.execute(_RENEW, {**_held(lease), "until": until}).rowcount == 0:
            raise _lost(lease)

    def _instant(self, connection: Connection) -> dt.datetime:
        """Return the present instant as all workers of this ledger see it."""
        if connection.dialect.name == "postgresql":
            now: dt.datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
            return now
        return self._now()


def _turns(run_id: str) -> Any:
    return select(*_SOURCE).where(schema.run_sources.c.run_id == run_id).order_by(schema.run_sources.c.position)


def _held(lease: Lease) -> dict[str, Any]:
    """Return what `_HAS` asks for."""
    return {"of_run": lease.run_id, "of_batch": lease.batch_id, "with_token": lease.token}


def _apart(row: WorkRow) -> dict[str, Any]:
    """Return a planned batch without what it holds."""
    return {name: value for name, value in values(row).items() if name != "body"}


def _is(lease: Lease) -> tuple[Any, ...]:
    return schema.work.c.run_id == lease.run_id, schema.work.c.batch_id == lease.batch_id


def _lost(lease: Lease) -> LeaseLost:
    return LeaseLost(
        f"{lease.source}: batch {lease.attempt} took longer than its lease and is somebody else's now. "
        "What was not committed is rolled back."
    )
