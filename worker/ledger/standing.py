"""Holds, requests and marks: what people said about records, apart from the policies."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import Connection, delete, insert, select, update

from worker.errors import ConfigurationError
from worker.ledger import schema
from worker.ledger.connect import Say, Store, columns, nothing, put, values
from worker.ledger.rows import HoldRow, MarkRow, RequestRow

_VERSION = select(schema.standing.c.version)
_GROW = update(schema.standing).values(version=schema.standing.c.version + 1)
_HOLDS = select(*columns(schema.holds, HoldRow)).order_by(schema.holds.c.placed_at, schema.holds.c.hold_id)
_IN_FORCE = _HOLDS.where(schema.holds.c.released_at.is_(None))
_REQUESTS = select(*columns(schema.requests, RequestRow)).order_by(schema.requests.c.received_on, schema.requests.c.request_id)
_OPEN = _REQUESTS.where(schema.requests.c.closed_at.is_(None))


class Standing(Store):
    """Holds, requests and marks. Every change of one makes `standing_version` grow in the same transaction.

    say -- is called when nothing can refuse the change any more, before it is kept. What lets a record go has to be in the trail first.
    """

    def standing_version(self) -> int:
        """Return a number that grows with every change: while it is the same, what was read before still holds."""
        with self._read() as connection:
            return _version(connection)

    def all_standing(self) -> tuple[int, list[HoldRow], list[RequestRow]]:
        """Return the version, every hold, those that were released too, and the open requests: what a batch has to know."""
        with self._read() as connection:
            # The version first: whatever changes behind it is noticed by it.
            return _version(connection), _holds(connection, active=False), _requests(connection, active=True)

    def add_hold(self, hold: HoldRow) -> None:
        """Keep a hold. It is in force only when this returns inside `standing_exclusive`."""
        with self._write() as connection:
            connection.execute(insert(schema.holds).values(values(hold)))
            _grow(connection)

    def release_hold(self, hold_id: str, by: str, say: Say = nothing) -> None:
        """End a hold. Raises ConfigurationError when there is none with this id that is in force."""
        table = schema.holds
        with self._write() as connection:
            released = (
                update(table)
                .where(table.c.hold_id == hold_id, table.c.released_at.is_(None))
                .values(released_at=self._now(), released_by=by)
            )
            if connection.execute(released).rowcount == 0:
                raise ConfigurationError(f"No hold {hold_id} is in force. `retention hold list` shows those that are.")
            _grow(connection)
            say()

    def holds(self, *, active: bool = True) -> list[HoldRow]:
        """Return the holds in the order they were placed; active leaves out those that were released."""
        with self._read() as connection:
            return _holds(connection, active=active)

    def add_request(self, request: RequestRow, say: Say = nothing) -> None:
        """Keep what a subject asked for."""
        with self._write() as connection:
            connection.execute(insert(schema.requests).values(values(request)))
            _grow(connection)
            say()

    def uphold_request(self, request_id: str, by: str, say: Say = nothing) -> None:
        """Decide an objection for the subject. Raises ConfigurationError when no open one with this id waits for a decision."""
        table = schema.requests
        undecided = (table.c.kind == "object", table.c.marketing.is_(False), table.c.closed_at.is_(None), table.c.upheld_at.is_(None))
        with self._write() as connection:
            upheld = update(table).where(table.c.request_id == request_id, *undecided).values(upheld_at=self._now(), upheld_by=by)
            if connection.execute(upheld).rowcount == 0:
                raise ConfigurationError(
                    f"No request {request_id} waits for a decision. `retention request list` shows what is open: objections wait "
                    "until they are upheld or closed, those to direct marketing need no decision."
                )
            _grow(connection)
            say()

    def close_request(self, request_id: str, outcome: str, by: str, say: Say = nothing) -> None:
        """End a request. Raises ConfigurationError when there is no open one with this id."""
        table = schema.requests
        with self._write() as connection:
            closed = (
                update(table)
                .where(table.c.request_id == request_id, table.c.closed_at.is_(None))
                .values(closed_at=self._now(), closed_by=by, outcome=outcome)
            )
            if connection.execute(closed).rowcount == 0:
                raise ConfigurationError(f"No request {request_id} is open. `retention request list` shows those that are.")
            _grow(connection)
            say()

    def requests(self, *, active: bool = True) -> list[RequestRow]:
        """Return the requests in the order of their day; active leaves out those that were closed."""
        with self._read() as connection:
            return _requests(connection, active=active)

    def set_mark(self, source: str, record_token: str, name: str, day: dt.date, by: str, reason: str | None = None) -> None:
        """Keep a fact about one record that no system holds; a later one of the same name replaces it."""
        mark = MarkRow(source, record_token, name, day, by, self._now(), reason)
        with self._write() as connection:
            put(connection, schema.marks, values(mark))
            _grow(connection)

    def remove_mark(self, source: str, record_token: str, name: str) -> bool:
        """Forget a mark, and say whether there was one."""
        table = schema.marks
        one = (table.c.source == source, table.c.record_token == record_token, table.c.name == name)
        with self._write() as connection:
            found = connection.execute(delete(table).where(*one)).rowcount == 1
            if found:
                _grow(connection)
            return found

    def marks(self, source: str | None = None) -> list[MarkRow]:
        """Return the marks of a source, or of all: few, because people type them."""
        table = schema.marks
        wanted = select(*columns(table, MarkRow)).order_by(table.c.source, table.c.record_token, table.c.name)
        with self._read() as connection:
            found = connection.execute(wanted if source is None else wanted.where(table.c.source == source))
            return [MarkRow(**row) for row in found.mappings()]


def _version(connection: Connection) -> int:
    return int(connection.execute(_VERSION).scalar_one())


def _holds(connection: Connection, *, active: bool) -> list[HoldRow]:
    return [HoldRow(**row) for row in connection.execute(_IN_FORCE if active else _HOLDS).mappings()]


def _requests(connection: Connection, *, active: bool) -> list[RequestRow]:
    return [RequestRow(**row) for row in connection.execute(_OPEN if active else _REQUESTS).mappings()]


def _grow(connection: Connection) -> None:
    connection.execute(_GROW)
