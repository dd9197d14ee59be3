"""Holds, requests and marks: what people said about records, apart from the policies."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import Connection, delete, insert, select, update

from worker.errors import ConfigurationError
from worker.ledger import schema
from worker.ledger.connect import Store, columns, put, values
from worker.ledger.rows import HoldRow, MarkRow, RequestRow


class Standing(Store):
    """Holds, requests and marks. Every change of one makes `standing_version` grow in the same transaction."""

    def standing_version(self) -> int:
        """Return a number that grows with every change: while it is the same, what was read before still holds."""
        with self._read() as connection:
            return int(connection.execute(select(schema.standing.c.version)).scalar_one())

    def add_hold(self, hold: HoldRow) -> None:
        """Keep a hold. It is in force only when this returns inside `standing_exclusive`."""
        with self._write() as connection:
            connection.execute(insert(schema.holds).values(values(hold)))
            _grow(connection)

    def release_hold(self, hold_id: str, by: str) -> None:
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

    def holds(self, *, active: bool = True) -> list[HoldRow]:
        """Return the holds in the order they were placed; active leaves out those that were released."""
        table = schema.holds
        wanted = select(*columns(table, HoldRow)).order_by(table.c.placed_at, table.c.hold_id)
        with self._read() as connection:
            found = connection.execute(wanted.where(table.c.released_at.is_(None)) if active else wanted)
            return [HoldRow(**row) for row in found.mappings()]

    def add_request(self, request: RequestRow) -> None:
        """Keep what a subject asked for."""
        with self._write() as connection:
            connection.execute(insert(schema.requests).values(values(request)))
            _grow(connection)

    def uphold_request(self, request_id: str, by: str) -> None:
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

    def close_request(self, request_id: str, outcome: str, by: str) -> None:
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

    def requests(self, *, active: bool = True) -> list[RequestRow]:
        """Return the requests in the order of their day; active leaves out those that were closed."""
        table = schema.requests
        wanted = select(*columns(table, RequestRow)).order_by(table.c.received_on, table.c.request_id)
        with self._read() as connection:
            found = connection.execute(wanted.where(table.c.closed_at.is_(None)) if active else wanted)
            return [RequestRow(**row) for row in found.mappings()]

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


def _grow(connection: Connection) -> None:
    connection.execute(update(schema.standing).values(version=schema.standing.c.version + 1))
