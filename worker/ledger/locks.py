"""Locks that live outside the ledger's transactions: the standing lock, one run lock for each source, and one lock for each worker.

The standing lock is the barrier between placing a hold and writing a batch. A batch takes it shared from before its
last reading of the holds until after its commit; whoever places a hold takes it exclusive, and says "in force" only
while having it. A worker's lock says nothing but that its process lives. All kinds end with the process that has them, however it dies.

With SQLite they are `flock`s on files beside the ledger, so they hold between processes of one machine, which is where
a SQLite ledger can be used. With PostgreSQL they are advisory locks of a session of their own; a pooler that shares
sessions between transactions (pgbouncer in transaction mode) breaks them and must not stand in between.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from worker.errors import LedgerUnreachable, RetentionError, Retriable
from worker.ledger.connect import explained, said

_POLL_SECONDS = 0.005
_BUSY = (errno.EAGAIN, errno.EACCES)


class Held(Protocol):
    """A lock that is held."""

    def confirm(self) -> None:
        """Raise RetentionError when the lock was lost meanwhile, because the server that kept it went away.

        Ask directly before the commit that the lock protects.
        """


class Locks(Protocol):
    """What both kinds of ledger offer."""

    def standing(self, *, exclusive: bool) -> contextlib.AbstractContextManager[Held]:
        """Hold the standing lock; raises Retriable when it can't be had in time, so nothing is written."""

    def runs(self, sources: Sequence[str]) -> contextlib.AbstractContextManager[tuple[Held | None, str]]:
        """Hold the run locks of all these sources, or none: then the first that was taken is named, without waiting."""

    def living(self, worker: str) -> contextlib.AbstractContextManager[Held]:
        """Show that a worker is alive, for as long as the block lasts or its process."""

    def lives(self, worker: str) -> bool:
        """Whether a worker is within its `living` block, as far as anybody can know."""


class _Kept:
    """A lock that the operating system keeps as long as this process lives."""

    def confirm(self) -> None:
        """Nothing can take a file lock away from a living process."""


class FileLocks:
    """Locks in files beside a SQLite ledger. The files stay: a lock on a deleted file would protect nothing."""

    def __init__(self, ledger: Path, wait_seconds: float) -> None:
        self._ledger = ledger
        self._polls = max(1, round(wait_seconds / _POLL_SECONDS))

    @contextlib.contextmanager
    def standing(self, *, exclusive: bool) -> Iterator[Held]:
        """Hold the standing lock.

        Everyone passes a gate first. Who waits for the exclusive lock keeps the gate closed, so that batches which
        come later wait behind it and a steady stream of them can't keep a hold from being placed.
        """
        with contextlib.ExitStack() as stack:
            gate = stack.enter_context(self._open("standing.gate"))
            self._take(gate, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH)
            lock = stack.enter_context(self._open("standing.lock"))
            self._take(lock, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH)
            fcntl.flock(gate, fcntl.LOCK_UN)
            yield _Kept()

    @contextlib.contextmanager
    def runs(self, sources: Sequence[str]) -> Iterator[tuple[Held | None, str]]:
        """Hold the run locks of all these sources, or none."""
        with contextlib.ExitStack() as stack:
            for source in sorted(set(sources)):
                # A source's name may hold characters that a file name can't.
                name = hashlib.sha256(source.encode()).hexdigest()[:16]
                lock = stack.enter_context(self._open(f"run.{name}.lock"))
                if not self._try(lock, fcntl.LOCK_EX):
                    stack.close()
                    yield None, source
                    return
            yield _Kept(), ""

    @contextlib.contextmanager
    def living(self, worker: str) -> Iterator[Held]:
        """Show that a worker is alive."""
        name = f"worker.{worker.rpartition(':')[2]}.lock"
        with self._open(name) as lock:
            self._take(lock, fcntl.LOCK_EX)
            try:
                yield _Kept()
            finally:
                self._ledger.with_name(f"{self._ledger.name}.{name}").unlink(missing_ok=True)

    def lives(self, worker: str) -> bool:
        """Whether a worker is within its `living` block. What a dead one left is taken away: no other worker ever has its name."""
        path = self._ledger.with_name(f"{self._ledger.name}.worker.{worker.rpartition(':')[2]}.lock")
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise RetentionError(f"The lock file {path} can't be opened: {error.strerror}. Nothing is written.") from error
        try:
            dead = self._try(descriptor, fcntl.LOCK_EX)
            if dead:
                path.unlink(missing_ok=True)
            return not dead
        finally:
            os.close(descriptor)

    @contextlib.contextmanager
    def _open(self, name: str) -> Iterator[int]:
        # Opened every time: a lock belongs to the opening, and threads of one process must exclude each other too.
        path = self._ledger.with_name(f"{self._ledger.name}.{name}")
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise RetentionError(f"The lock file {path} can't be opened: {error.strerror}. Nothing is written.") from error
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _take(self, descriptor: int, operation: int) -> None:
        for _ in range(self._polls):
            if self._try(descriptor, operation):
                return
            time.sleep(_POLL_SECONDS)
        raise _late()

    def _try(self, descriptor: int, operation: int) -> bool:
        try:
            fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _BUSY:
                return False
            raise RetentionError(
                f"The file system of {self._ledger.parent} can't lock files: {error.strerror}. Keep the ledger on a "
                "local disk, or in PostgreSQL."
            ) from error
        return True


class _Session:
    """An advisory lock, kept by a database session that can be lost."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._asking = threading.Lock()
        self._lost = False

    def confirm(self) -> None:
        """Ask the session that has the lock whether it still lives; one thread at a time, for a session has one conversation.

        Lost once is lost for good: the connection would come back by itself, with a new session that has no lock.
        """
        try:
            with self._asking:
                if self._lost:
                    raise RetentionError("A lock in the ledger was lost. Nothing more is written.")
                self._connection.execute(text("SELECT 1"))
        except SQLAlchemyError as error:
            self._lost = True
            raise RetentionError(f"A lock in the ledger was lost: {said(error)}. Nothing more is written.") from error


class AdvisoryLocks:
    """Locks in PostgreSQL. Its queue is fair: a shared request waits behind an exclusive one that came first."""

    def __init__(self, engine: Engine, wait_seconds: float) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._wait = f"{max(1, round(wait_seconds * 1000))}ms"

    @contextlib.contextmanager
    def standing(self, *, exclusive: bool) -> Iterator[Held]:
        """Hold the standing lock."""
        shared = "" if exclusive else "_shared"
        with self._session() as connection:
            try:
                connection.execute(text("SELECT set_config('lock_timeout', :wait, false)"), {"wait": self._wait})
                connection.execute(text(f"SELECT pg_advisory_lock{shared}(:key)"), {"key": _number("standing")})
            except DBAPIError as error:
                if getattr(error.orig, "sqlstate", None) == "55P03":
                    raise _late() from None
                raise LedgerUnreachable(f"The ledger can't be reached: {said(error)}. Nothing is written.") from error
            yield _Session(connection)

    @contextlib.contextmanager
    def runs(self, sources: Sequence[str]) -> Iterator[tuple[Held | None, str]]:
        """Hold the run locks of all these sources, or none."""
        with self._session() as connection:
            taken = ""
            for source in sorted(set(sources)):
                key = {"key": _number(f"run {source}")}
                with explained():
                    if not connection.execute(text("SELECT pg_try_advisory_lock(:key)"), key).scalar():
                        taken = source
                        break
            if taken:
                _release(connection)
                yield None, taken
            else:
                yield _Session(connection), ""

    @contextlib.contextmanager
    def living(self, worker: str) -> Iterator[Held]:
        """Show that a worker is alive."""
        with self._session() as connection:
            with explained():
                connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _number(f"worker {worker}")})
            yield _Session(connection)

    def lives(self, worker: str) -> bool:
        """Whether a worker is within its `living` block."""
        with self._session() as connection, explained():
            return not connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": _number(f"worker {worker}")}).scalar()

    @contextlib.contextmanager
    def _session(self) -> Iterator[Connection]:
        """Lend a session; every lock it took is given up at the end, or the session is."""
        with explained():
            connection = self._engine.connect()
        try:
            yield connection
        finally:
            _release(connection)
            connection.close()


def _release(connection: Connection) -> None:
    try:
        connection.execute(text("SELECT pg_advisory_unlock_all()"))
        connection.execute(text("RESET lock_timeout"))
    except SQLAlchemyError:
        # A session that can't say it let go must not be lent again.
        connection.invalidate()


def _number(name: str) -> int:
    """Return the advisory lock's number: 64 bits, so that no other program in this database meets it by chance."""
    return int.from_bytes(hashlib.sha256(f"retention ledger {name}".encode()).digest()[:8], signed=True)


def _late() -> Retriable:
    return Retriable(
        "The standing lock was not free in time: a batch is still being written, or a hold is being placed. Nothing was written; try again."
    )
