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

# Built once, as in `work`: what is asked for every batch is found in SQLAlchemy's cache without being put together again.
_WORK, _ORDERS, _SOURCES = schema.work.c, schema.orders.c, schema.run_sources.c
_OF_RUN = _WORK.run_id == bindparam("run")
_IS = (_OF_RUN, _WORK.batch_id == bindparam("batch"))
_HELD = (*_IS, _WORK.token == bindparam("held"), _WORK.state == "leased")
_RUNNING = (_WORK.state == "leased") & (_WORK.leased_until > bindparam("now"))
_LAPSED = (_WORK.state == "leased") & (_WORK.leased_until <= bindparam("now"))
_TURN = select(_WORK.batch_id, _WORK.number, _WORK.token, _WORK.tries)
_TURN = _TURN.where(_OF_RUN, _WORK.source == bindparam("source")).order_by(_WORK.number).limit(1)
_LAPSED_TURN, _WAITING_TURN = _TURN.where(_LAPSED), _TURN.where(_WORK.state == "waiting")
_PARCEL = select(schema.parcels.c.body)
_PARCEL = _PARCEL.where(schema.parcels.c.run_id == bindparam("run"), schema.parcels.c.batch_id == bindparam("batch"))
_TAKE = update(schema.work).where(*_IS)
_TAKE = _TAKE.values(state="leased", **{name: bindparam(f"new_{name}") for name in ("token", "tries", "worker", "leased_until")})
_PHASE = select(_ORDERS.phase, _ORDERS.at_most, _ORDERS.acted).where(_ORDERS.run_id == bindparam("run"))
_PHASE_ALONE = _PHASE.with_for_update()
_LANES = select(_SOURCES.lanes, _SOURCES.after, _SOURCES.failed)
_LANES = _LANES.where(_SOURCES.run_id == bindparam("run"), _SOURCES.source == bindparam("source")).with_for_update()
_BEFORE = select(_WORK.batch_id)
_BEFORE = _BEFORE.where(_OF_RUN, _WORK.state.in_(_OPEN), _WORK.source.in_(bindparam("before", expanding=True))).limit(1)
_AT_WORK = select(_WORK.source).where(_OF_RUN, _RUNNING)
_CONFIRM = select(_WORK.token, _WORK.state, _WORK.leased_until).where(*_IS)
_RENEW = update(schema.work).where(*_HELD).values(leased_until=bindparam("until"))
_FINISH = update(schema.work).where(*_HELD).values(state="done", outcome=bindparam("came_to"), leased_until=None)
_COUNT = update(schema.orders).where(_ORDERS.run_id == bindparam("run")).values(acted=_ORDERS.acted + bindparam("more"))
_OPEN_UP = update(schema.orders).where(_ORDERS.run_id == bindparam("run"), _ORDERS.phase == "preparing")
_OPEN_UP = _OPEN_UP.values(phase="open", said=bindparam("to_say"))
_CLOSING = update(schema.orders).where(_ORDERS.run_id == bindparam("run")).values(phase="closing", owner=bindparam("by"))
_END = update(schema.orders).where(_ORDERS.run_id == bindparam("run")).values(phase="ended")
_FORGET = delete(schema.work).where(_OF_RUN)
_FORGET_PARCELS = delete(schema.parcels).where(schema.parcels.c.run_id == bindparam("run"))
_ORDER_ALONE = select(schema.orders).where(_ORDERS.run_id == bindparam("run")).with_for_update()
_STATES = select(func.count(case((_WORK.state == "leased", 1))), func.count()).where(_OF_RUN, _WORK.state.in_(_OPEN))
_LEFT_OF = select(func.coalesce(func.sum(_WORK.planned), 0)).where(_OF_RUN, _WORK.state.in_(_LEFT))
_LEFT_SOURCES = select(_WORK.source).distinct().where(_OF_RUN, _WORK.state.in_(_LEFT))
_OUTCOMES = select(_WORK.source, _WORK.outcome).where(_OF_RUN, _WORK.state == "done")
_ORDER_OF = select(*_ORDER).where(_ORDERS.run_id == bindparam("run"))
_TURNS = select(*_SOURCE).where(_SOURCES.run_id == bindparam("run")).order_by(_SOURCES.position)
_OWNING = (
    select(_SOURCES.source, _ORDERS.run_id)
    .join_from(schema.run_sources, schema.orders, _ORDERS.run_id == _SOURCES.run_id)
    .where(_ORDERS.spread, _ORDERS.phase.in_(("open", "closing")), _SOURCES.source.in_(bindparam("sources", expanding=True)))
    .order_by(_SOURCES.source)
    .limit(1)
)
_PROGRESS = (
    select(
        _WORK.source,
        func.count(case((_WORK.state == "waiting", 1))),
        func.count(case((_WORK.state == "leased", 1))),
        func.count(case((_LAPSED, 1))),
        func.count(case((_WORK.state == "done", 1))),
    )
    .where(_OF_RUN)
    .group_by(_WORK.source)
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
            connection.execute(insert(schema.orders), values(order))

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
            if connection.execute(_OPEN_UP, {"run": run_id, "to_say": said}).rowcount == 0:
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
            place = {"run": run_id, "source": source}
            row = connection.execute(_LAPSED_TURN, {**place, "now": now}).first() or connection.execute(_WAITING_TURN, place).first()
            if row is None:
                return None
            lease = Lease(run_id, row.batch_id, source, row.number, row.token + 1, row.tries + 1, worker)
            taken = {"new_token": lease.token, "new_tries": lease.tries, "new_worker": worker, "new_leased_until": now + self._lasting()}
            this = {"run": run_id, "batch": row.batch_id}
            connection.execute(_TAKE, {**this, **taken})
            return lease, bytes(connection.execute(_PARCEL, this).scalar_one())

    def _may_lease(self, connection: Connection, run_id: str, source: str, now: dt.datetime) -> bool:
        """Whether one more batch of a source may be carried out; its row stays locked until the transaction ends."""
        order = connection.execute(_PHASE, {"run": run_id}).first()
        if order is None or order.phase != "open":
            return False
        if order.at_most is not None:
            # With a limit every batch is counted before the next one begins, whatever its source.
            order = connection.execute(_PHASE_ALONE, {"run": run_id}).first()
            if order is None or order.acted >= order.at_most:
                return False
        row = connection.execute(_LANES, {"run": run_id, "source": source}).first()
        if row is None or row.failed is not None:
            return False
        if row.after and connection.execute(_BEFORE, {"run": run_id, "before": row.after}).first() is not None:
            return False
        # Few are being carried out, however many wait: only those are counted.
        running = [each.source for each in connection.execute(_AT_WORK, {"run": run_id, "now": now})]
        return not (order.at_most is not None and running) and running.count(source) < row.lanes

    def renew(self, lease: Lease) -> None:
        """Have a lease last its whole time from now on. Raises LeaseLost."""
        with self._write() as connection:
            self._renew(connection, lease)

    def confirm(self, lease: Lease) -> None:
        """Raise LeaseLost unless a lease still counts. Ask directly before the commit that it protects."""
        with self._read() as connection:
            row = connection.execute(_CONFIRM, _the(lease)).first()
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
            connection.execute(update(work).where(*_HELD).values(state="waiting", leased_until=None), {**_the(lease), "held": lease.token})

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
            aside = update(work).where(*_HELD).values(state="set_aside", leased_until=None)
            connection.execute(aside, {**_the(lease), "held": lease.token})

    # --- Ending -----------------------------------------------------------------------------------------------------------------------

    def close_order(self, run_id: str, owner: str, *, instead_of: str | None = None) -> bool:
        """Become the one that closes a run, when no batch of it is left to be carried out now; False when it isn't so.

        instead_of -- a process that began to close it and died.
        """
        with self._write() as connection:
            order = connection.execute(_ORDER_ALONE, {"run": run_id}).first()
            if order is None:
                return False
            leased, left = connection.execute(_STATES, {"run": run_id}).one()
            reached = order.at_most is not None and order.acted >= order.at_most
            if leased or (left and not reached):
                return False
            mine: Sequence[tuple[Phase, str | None]] = (("open", None), ("closing", instead_of))
            if not any(order.phase == phase and who in (None, order.owner) for phase, who in mine if phase == "open" or who is not None):
                return False
            connection.execute(_CLOSING, {"run": run_id, "by": owner})
            return True

    def cut_short(self, run_id: str, stopped: Mapping[str, Any]) -> None:
        """Let no more batches of a run be begun, so that it ends when those at work have; what is left waits for a later run.

        stopped -- why, for whoever closes it.
        """
        orders = schema.orders
        with self._write() as connection:
            order = connection.execute(_ORDER_ALONE, {"run": run_id}).first()
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
        connection.execute(_FORGET_PARCELS, {"run": run_id})
        connection.execute(_FORGET, {"run": run_id})
        connection.execute(_END, {"run": run_id})

    # --- Looking ----------------------------------------------------------------------------------------------------------------------

    def order(self, run_id: str) -> OrderRow | None:
        """Return what a run has to know, or None."""
        with self._read() as connection:
            row = connection.execute(_ORDER_OF, {"run": run_id}).mappings().first()
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
        with self._read() as connection:
            row = connection.execute(_OWNING, {"sources": list(sources)}).first()
        return None if row is None else (row.source, row.run_id)

    def work_of(self, run_id: str) -> list[SourceWork]:
        """Return how far the sources of a run are, in their turn."""
        with self._read() as connection:
            asked = {"run": run_id, "now": self._instant(connection)}
            found = [RunSourceRow(**row) for row in connection.execute(_TURNS, {"run": run_id}).mappings()]
            counts = {row[0]: row[1:] for row in connection.execute(_PROGRESS, asked)}
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
        with self._read() as connection:
            return [(row.source, row.outcome) for row in connection.execute(_OUTCOMES, {"run": run_id})]

    def left_of(self, run_id: str) -> int:
        """Return how many planned records of a run wait for a later one, those of sources that were given up left out."""
        with self._read() as connection:
            return int(connection.execute(_LEFT_OF, {"run": run_id}).scalar_one())

    def unfinished_sources(self, run_id: str) -> set[str]:
        """Return the sources of which planned batches wait for a later run."""
        with self._read() as connection:
            return set(connection.execute(_LEFT_SOURCES, {"run": run_id}).scalars())

    # --- Parts ------------------------------------------------------------------------------------------------------------------------

    def _finish(self, connection: Connection, lease: Lease, outcome: Outcome) -> None:
        if connection.execute(_FINISH, {**_the(lease), "held": lease.token, "came_to": outcome}).rowcount == 0:
            raise _lost(lease)
        connection.execute(_COUNT, {"run": lease.run_id, "more": int(outcome.get("acted", 0))})

    def _lasting(self) -> dt.timedelta:
        return dt.timedelta(seconds=self.lease_seconds)

    def _renew(self, connection: Connection, lease: Lease) -> None:
        until = self._instant(connection) + self._lasting()
        if connection.execute(_RENEW, {**_the(lease), "held": lease.token, "until": until}).rowcount == 0:
            raise _lost(lease)

    def _instant(self, connection: Connection) -> dt.datetime:
        """Return the present instant as all workers of this ledger see it."""
        if connection.dialect.name == "postgresql":
            now: dt.datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
            return now
        return self._now()


def _apart(row: WorkRow) -> dict[str, Any]:
    """Return a planned batch without what it holds, whose size is the batch's: it stands apart from who has the batch."""
    return {name: value for name, value in values(row).items() if name != "body"}


def _the(lease: Lease) -> dict[str, str]:
    """Return which batch a statement is about."""
    return {"run": lease.run_id, "batch": lease.batch_id}


def _lost(lease: Lease) -> LeaseLost:
    return LeaseLost(
        f"{lease.source}: batch {lease.attempt} took longer than its lease and is somebody else's now. "
        "What was not committed is rolled back."
    )
