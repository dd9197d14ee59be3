"""The ledger: what the worker remembers between runs, in SQLite or PostgreSQL.

Each of its chapters is a class of its own; here they become one, are opened, and get their locks.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import secrets
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from sqlalchemy import Engine, delete, select
from sqlalchemy.exc import SQLAlchemyError

from worker.errors import Busy, ConfigurationError, RetentionError
from worker.ledger import schema
from worker.ledger.approvals import Approvals
from worker.ledger.attention import Attention
from worker.ledger.connect import DISK_TROUBLE, connect, parse, put, said
from worker.ledger.halves import Halves
from worker.ledger.locks import AdvisoryLocks, FileLocks, Held, Locks
from worker.ledger.migrate import migrate
from worker.ledger.nights import Nights
from worker.ledger.queue import LEASE_SECONDS
from worker.ledger.rekeying import Rekeying
from worker.ledger.rows import RunRow
from worker.ledger.standing import Standing
from worker.ledger.stops import Stops
from worker.ledger.suppressions import Suppressions
from worker.ledger.tombstones import Graveyard
from worker.ledger.work import Work


class Ledger(Rekeying, Approvals, Work, Halves, Nights, Graveyard, Suppressions, Standing, Attention, Stops):
    """Everything the worker remembers. Threads and processes may share one; close it, or use it as a context.

    Every method raises Retriable when the ledger can't be reached and RetentionError when it refuses. What a method
    wrote is durable when it returns.
    """

    def __init__(self, engine: Engine, locks: Locks, path: Path | None, now: Callable[[], dt.datetime]) -> None:
        super().__init__(engine, now)
        self._locks = locks
        self._path = path
        self._living = contextlib.ExitStack()
        self._naming = threading.Lock()
        self._worker = ""
        self._shown: Held | None = None

    @classmethod
    def open(cls, url: str, *, now: Callable[[], dt.datetime], lock_wait: float = 60.0, lease_seconds: float = LEASE_SECONDS) -> Ledger:
        """Open a ledger by its SQLAlchemy URL, make it when there is none, and bring its schema up to date.

        now -- answers the present instant, aware; lock_wait -- seconds to wait for the standing lock;
        lease_seconds -- see `Queue`. Raises ConfigurationError when it can't be reached, is no ledger, or was made by a newer version.
        """
        parsed = parse(url)
        path = Path(parsed.database or "") if parsed.get_backend_name() == "sqlite" else None
        engine = connect(parsed)
        try:
            locks: Locks = AdvisoryLocks(engine, lock_wait) if path is None else FileLocks(path, lock_wait)
            ledger = cls(engine, locks, path, now)
            ledger.lease_seconds = lease_seconds
            with ledger._transaction() as connection:
                migrate(connection)
        except SQLAlchemyError as error:
            engine.dispose()
            shown = parsed.render_as_string(hide_password=True).partition("?")[0]
            why = said(error)
            hint = "Check the address, the password and the rights in RETENTION_LEDGER."
            if path is not None:
                room = f"Is there room on the disk of {path.parent}, and may you write in that folder?"
                hint = room if why in DISK_TROUBLE else "Is that file a ledger? Name another one with RETENTION_LEDGER or RETENTION_STATE."
            raise ConfigurationError(f"The ledger {shown} can't be opened: {why}. {hint}") from error
        except BaseException:
            engine.dispose()
            raise
        return ledger

    @property
    def path(self) -> Path | None:
        """The file of a SQLite ledger, absolute and with links resolved, which no source may be in; else None."""
        return self._path

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self._engine.dialect.name

    @property
    def worker(self) -> str:
        """The name of this process in leases: host, process number and a random part. From the first question on it is seen to live.

        When the session that shows it was lost, everybody takes the bearer of the name for dead; then this process has a new one.
        """
        with self._naming:
            if self._shown is not None:
                try:
                    self._shown.confirm()
                except RetentionError:
                    self._shown = None
                    self._living.close()
            if self._shown is None:
                name = f"{socket.gethostname()[:60]}:{os.getpid()}:{secrets.token_hex(8)}"
                self._shown = self._living.enter_context(self._locks.living(name))
                self._worker = name
        return self._worker

    def lives(self, worker: str) -> bool:
        """Whether the process of a worker is alive: at once for one of this machine, and for all where the ledger is in PostgreSQL."""
        return worker == self._worker or self._locks.lives(worker)

    def close(self) -> None:
        """Close every connection."""
        try:
            self._living.close()
        finally:
            self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @contextlib.contextmanager
    def standing_shared(self) -> Iterator[Held]:
        """Keep holds from being placed: from before the last reading of the holds until after the source's commit.

        Raises RetentionError when it can't be had, or when keys were rotated since this process read them, by which it would not recognise
        whom a hold is about; then nothing may be written.
        """
        with self._locks.standing(exclusive=False) as held:
            self.confirm_keys_in_use()
            yield held

    @contextlib.contextmanager
    def standing_exclusive(self) -> Iterator[Held]:
        """Keep batches from being written: around `add_hold`, until the person was told that the hold is in force.

        Batches that come later wait behind it. Raises RetentionError when a batch took too long to end, ConfigurationError when keys were
        rotated since this process read them.
        """
        with self._locks.standing(exclusive=True) as held:
            self.confirm_keys_in_use()
            yield held

    def start_run(self, run: RunRow) -> None:
        """Keep a run that begins; ConfigurationError when keys were rotated or destroyed since this process read them.

        Whoever rotates has the run locks, and begins when no run is open. So a run has one set of keys from its beginning to its end.
        """
        self.confirm_keys_in_use()
        super().start_run(run)

    @contextlib.contextmanager
    def run_lock(self, source_names: Sequence[str], *, run_id: str = "", anyway: bool = False) -> Iterator[Held]:
        """Be the only run that acts on these sources; free again when this process dies, however it does.

        anyway -- also when a spread run has them, to end it.
        run_id -- told to whoever comes second. Raises Busy, at once, when another run has one of them.
        """
        with self._locks.runs(source_names) as (held, taken):
            if held is None:
                raise Busy(self._who_has(taken))
            owned = None if anyway else self.owning(source_names)
            if owned is not None:
                raise Busy(
                    f"Workers are busy with the run {owned[1]}, which has {owned[0]} until it ends. Nothing was written; "
                    "try again when it has ended. If its workers are gone for good, `retention reconcile` ends it."
                )
            table = schema.run_locks
            sources = sorted(set(source_names))
            who = {"run_id": run_id, "host": socket.gethostname(), "pid": os.getpid(), "since": self._now()}
            with self._write() as connection:
                for source in sources:
                    put(connection, table, {"source": source, **who})
            try:
                yield held
            finally:
                # These rows only tell who has the lock; not being able to tidy them up must not hide what went wrong.
                with contextlib.suppress(RetentionError), self._write() as connection:
                    connection.execute(delete(table).where(table.c.source.in_(sources)))

    def _who_has(self, source: str) -> str:
        table = schema.run_locks
        with self._read() as connection:
            row = connection.execute(select(table).where(table.c.source == source)).first()
        if row is None:
            return f"Another run that just started works on {source}. Nothing was written; try again when it has ended."
        since = row.since.strftime("%Y-%m-%d %H:%M:%S UTC")
        return (
            f"The run {row.run_id or '(without a name)'} works on {source} since {since} (host {row.host}, process "
            f"{row.pid}). Nothing was written; try again when it has ended."
        )
