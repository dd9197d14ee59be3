"""PostgreSQL through psycopg 3: snapshots and row locks, arrays for keys and values, and transactions that can be asked for later."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import psycopg
import sqlalchemy as sa
from psycopg.types.string import TextLoader
from sqlalchemy.engine import URL, Engine

from connectors.sql.database import PAGE, Database, DriverConnection
from connectors.sql.expressions import WHITESPACE, Expression, Statement, value
from connectors.sql.failures import Cause
from connectors.sql.limits import Limits
from connectors.sql.tables import ColumnInfo, Kind, TableInfo
from connectors.sql.typed import TypedStorage
from worker.errors import ConfigurationError, Retriable
from worker.ports import Key, Load, Row

_OLDEST = 13
_TRANSACTION = "transaction"
_POLL_SECONDS = 0.25
_PROGRAM = "retention"
_HIDDEN = "<insufficient privilege>"
# What a session may not see of others stands there as a fixed text.
_OTHERS = """
SELECT max(extract(epoch FROM clock_timestamp() - began)), count(*) FILTER (WHERE hidden) FROM (
    SELECT xact_start, query = %(hidden)s FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name <> %(program)s
    AND (backend_type = 'client backend' OR query = %(hidden)s)
    UNION ALL SELECT prepared, false FROM pg_prepared_xacts WHERE database = current_database()
) AS others (began, hidden)
"""
# A replica that has replayed all it received is only then not behind when it still receives.
_BEHIND = """
SELECT pg_is_in_recovery(), CASE
    WHEN EXISTS (SELECT FROM pg_stat_wal_receiver) AND pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0
    ELSE extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()) END
"""
_REPLICAS = """
SELECT max(extract(epoch FROM replay_lag)), count(*) FILTER (WHERE state IS NULL) FROM pg_stat_replication
WHERE state IS NULL OR state <> 'backup'
"""
# Bits of tgtype: 3 is DELETE, 4 is UPDATE. Internal triggers are those of foreign keys; a partition repeats its parent's beside its own.
_TRIGGERS = """
WITH RECURSIVE parts AS (
    SELECT to_regclass(%(table)s)::oid AS oid
    UNION SELECT i.inhrelid FROM pg_inherits i JOIN parts ON i.inhparent = parts.oid
)
SELECT tgname::text AS name FROM pg_trigger JOIN parts ON parts.oid = tgrelid
WHERE NOT tgisinternal AND tgparentid = 0 AND tgenabled <> 'D' AND (tgtype::int & %(bit)s) <> 0
UNION SELECT rulename FROM pg_rewrite JOIN parts ON parts.oid = ev_class WHERE ev_type = %(kind)s AND ev_enabled <> 'D' ORDER BY name
"""
_CODES = {
    "40001": Cause.BUSY,
    "40P01": Cause.BUSY,
    "55P03": Cause.BUSY,
    "57014": Cause.BUSY,
    "25P03": Cause.BUSY,
    "25P04": Cause.BUSY,
    "25006": Cause.READ_ONLY,
    "42501": Cause.NO_RIGHT,
    "28P01": Cause.DENIED,
    "28000": Cause.DENIED,
    "3D000": Cause.NO_DATABASE,
}
_CLASSES = {
    "08": Cause.LOST,
    "57": Cause.LOST,
    "53": Cause.FULL,
    "58": Cause.FULL,
    "23": Cause.CONSTRAINT,
    "22": Cause.CONSTRAINT,
    "44": Cause.CONSTRAINT,
    # What a trigger or a function of the owner's raises concerns the record it raises it for.
    "P0": Cause.CONSTRAINT,
    "09": Cause.CONSTRAINT,
    "27": Cause.CONSTRAINT,
    "38": Cause.CONSTRAINT,
    "42": Cause.SCHEMA,
}
# A refused connection has no code, only the server's words.
_REFUSALS = (
    ("too many", Cause.BUSY),
    ("remaining connection slots", Cause.BUSY),
    ("starting up", Cause.LOST),
    ("shutting down", Cause.LOST),
    ("in recovery mode", Cause.LOST),
    ("password authentication failed", Cause.DENIED),
    ("no password supplied", Cause.DENIED),
    ("no pg_hba.conf entry", Cause.DENIED),
    ("authentication failed", Cause.DENIED),
    ("role ", Cause.DENIED),
    ("database ", Cause.NO_DATABASE),
)


class PostgresStorage(TypedStorage):
    """What only PostgreSQL says about values; the methods without a docstring keep `TypedStorage`'s promise."""

    def only_spaces(self, column: Expression) -> Expression:  # noqa: D102
        return sa.func.btrim(sa.cast(column, sa.Text), value(WHITESPACE)) == value("")

    def matches(self, column: Expression, pattern: str) -> Expression:  # noqa: D102
        return sa.cast(column, sa.Text).op("~", is_comparison=True)(value(f"^(?:{pattern})$"))

    def contains(self, column: Expression, pattern: str) -> Expression:  # noqa: D102
        return sa.cast(column, sa.Text).op("~", is_comparison=True)(value(pattern))

    def not_finite(self, column: Expression) -> Expression:  # noqa: D102
        return sa.cast(column, sa.Text).in_([value("NaN"), value("Infinity"), value("-Infinity")])

    def has_time(self, column: Expression) -> Expression:  # noqa: D102
        return sa.func.date_trunc(value("day"), column) != column


class Postgres(Database):
    """A PostgreSQL database; the methods without a docstring keep `Database`'s promise."""

    storage = PostgresStorage()
    errors = (psycopg.Error,)
    chunk = 50_000

    def cause(self, error: Exception) -> tuple[Cause, str]:  # noqa: D102
        code = getattr(error, "sqlstate", None)
        if code is None:
            if isinstance(error, psycopg.OperationalError):
                words = str(error)
                if "FATAL" in words:
                    return next((cause for word, cause in _REFUSALS if word in words), Cause.UNREACHABLE), ""
                lost = "server closed the connection" in words or "connection is lost" in words or "terminating connection" in words
                return Cause.LOST if lost or "the connection is closed" in words else Cause.UNREACHABLE, ""
            return Cause.CONSTRAINT if isinstance(error, psycopg.DataError) else Cause.OTHER, type(error).__name__
        return _CODES.get(code) or _CLASSES.get(code[:2], Cause.OTHER), code

    def stream(self, connection: DriverConnection, statement: Statement) -> Iterator[list[Sequence[Any]]]:  # noqa: D102
        with self.guard:
            cursor = connection.cursor(name=f"rows_{id(statement)}")
        try:
            with self.guard:
                cursor.execute(statement.sql, statement.parameters)
            while True:
                with self.guard:
                    page = cursor.fetchmany(PAGE)
                if not page:
                    return
                yield page
        finally:
            with self.guard:
                cursor.close()

    def begin_reading(self, connection: DriverConnection, view: str | None = None) -> str | None:  # noqa: D102
        joining = f"; SET TRANSACTION SNAPSHOT '{view}'" if view else ""
        limits = _setting(lock=self.limits.batch, statement=self.limits.reading, idle=self.limits.view)
        begin = f"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY{joining}"
        self.command(connection, f"{begin}; {limits}; SET LOCAL cursor_tuple_fraction = 1.0")
        # Exporting it also takes the snapshot now, and not at the first question.
        return view or str(self.run(connection, Statement("SELECT pg_export_snapshot()", {}))[0][0])

    def begin_writing(self, connection: DriverConnection) -> None:  # noqa: D102
        # A batch touches few rows of a large table: without sequential scans the planner walks the key, also right after a bulk load.
        limits = _setting(lock=self.limits.lock, statement=self.limits.statement, idle=self.limits.idle)
        self.command(connection, f"BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; {limits}; SET LOCAL enable_seqscan = off")

    def among(self, columns: Sequence[str], infos: Sequence[ColumnInfo], keys: Sequence[Key]) -> Statement:  # noqa: D102
        names = [f"retention_key_{number}" for number in range(len(columns))]
        arrays = [f"%({name})s::{_array_type(info)}" for name, info in zip(names, infos, strict=True)]
        parameters = {name: [key[number] for key in keys] for number, name in enumerate(names)}
        if len(columns) == 1:
            return Statement(f"{columns[0]} = ANY({arrays[0]})", parameters)
        return Statement(f"({', '.join(columns)}) IN (SELECT * FROM unnest({', '.join(arrays)}))", parameters)

    def update_rows(  # noqa: D102
        self, connection: DriverConnection, table: TableInfo, key: Sequence[str], columns: Sequence[str], rows: Sequence[Row]
    ) -> int:
        infos = [table.columns[name] for name in (*key, *columns)]
        names = [f"v{number}" for number in range(len(infos))]
        arrays = ", ".join(f"%({name})s::{_array_type(info)}" for name, info in zip(names, infos, strict=True))
        width = len(key)
        # An explicit cast to a text type with a length would cut the value off; assigning a plain text refuses it.
        assigned = ", ".join(
            f"{self.quote(info.name)} = given.{name}" + ("" if info.kind is Kind.TEXT and not _is_special(info) else f"::{info.declared}")
            for name, info in zip(names[width:], infos[width:], strict=True)
        )
        found = " AND ".join(f"target.{self.quote(name)} = given.{given}" for name, given in zip(key, names, strict=False))
        sql = f"UPDATE {self.quoted(table)} AS target SET {assigned} FROM unnest({arrays}) AS given({', '.join(names)}) WHERE {found}"
        values = list(zip(*rows, strict=True))
        parameters = {
            name: list(column) if number < width or info.kind is Kind.BYTES else [None if each is None else str(each) for each in column]
            for number, (name, info, column) in enumerate(zip(names, infos, values, strict=True))
        }
        return self.change(connection, Statement(sql, parameters))

    def prepare_witness(self) -> None:
        """Do nothing: the server itself remembers its transactions."""

    def witness(self, connection: DriverConnection, batch_id: str) -> dict[str, str]:  # noqa: ARG002, D102
        return {_TRANSACTION: str(self.run(connection, Statement("SELECT pg_current_xact_id()::text", {}))[0][0])}

    def was_committed(self, batch_id: str, witness: Mapping[str, str]) -> bool | None:  # noqa: ARG002, D102
        number = witness.get(_TRANSACTION, "")
        if not number.isdecimal():
            return None
        with self.borrowed() as connection:
            for _ in range(max(1, int(self.limits.lock / _POLL_SECONDS))):
                try:
                    rows = self.run(connection.driver_connection, Statement("SELECT pg_xact_status(%(number)s::xid8)", {"number": number}))
                except psycopg.errors.InvalidParameterValue:
                    return None  # A number from the future: this is another server, or one restored from a backup.
                if rows[0][0] != "in progress":
                    return None if rows[0][0] is None else rows[0][0] == "committed"
                time.sleep(_POLL_SECONDS)
        raise Retriable(f"{self.source}: {self.place}: the transaction of a batch that died is still running; try again later.")

    def forget(self, batch_ids: Sequence[str]) -> None:
        """Do nothing: nothing was kept."""

    def load(self) -> Load:  # noqa: D102
        hidden = {"hidden": _HIDDEN, "program": _PROGRAM}
        with self.borrowed() as connection:
            ((oldest, unseen),) = self.run(connection.driver_connection, Statement(_OTHERS, hidden))
            ((lag, unseen_replicas),) = self.run(connection.driver_connection, Statement(_REPLICAS, {}))
        return Load(
            None if lag is None else max(0.0, float(lag)),
            None if oldest is None else max(0.0, float(oldest)),
            "its user does not see the replicas; grant it pg_monitor" if unseen_replicas else "",
            "its user does not see the transactions of others; grant it pg_monitor" if unseen else "",
        )

    def behind(self) -> float | None:  # noqa: D102
        with self.borrowed() as connection:
            ((is_replica, lag),) = self.run(connection.driver_connection, Statement(_BEHIND, {}))
        return (math.inf if lag is None else max(0.0, float(lag))) if is_replica else None

    def triggers(self, table: TableInfo, event: str) -> list[str]:  # noqa: D102
        bit, kind = {"DELETE": (8, "4"), "UPDATE": (16, "2")}[event]
        parameters = {"table": self._regclass(table), "bit": bit, "kind": kind}
        with self.borrowed() as connection:
            return [str(row[0]) for row in self.run(connection.driver_connection, Statement(_TRIGGERS, parameters))]

    def unlockable(self, table: TableInfo) -> bool:  # noqa: D102
        with self.borrowed() as connection:
            try:
                self.run(connection.driver_connection, Statement(f"EXPLAIN SELECT 1 FROM {self.quoted(table)} FOR UPDATE", {}))
            except (psycopg.errors.FeatureNotSupported, psycopg.errors.WrongObjectType):
                return True
            except psycopg.errors.InsufficientPrivilege:
                return False
        return False

    def hides_rows(self, table: TableInfo) -> bool:  # noqa: D102
        question = "SELECT COALESCE(row_security_active(to_regclass(%(table)s)), false)"
        with self.borrowed() as connection:
            ((hidden,),) = self.run(connection.driver_connection, Statement(question, {"table": self._regclass(table)}))
        return bool(hidden)

    def remarks(self, table: TableInfo) -> list[tuple[str, str]]:  # noqa: D102
        with self.borrowed() as connection:
            question = Statement("SELECT rolsuper FROM pg_roles WHERE rolname = current_user", {})
            ((superuser,),) = self.run(connection.driver_connection, question)
        found = []
        if self.hides_rows(table):
            what = f"row security is on for {table.name}: rows that it hides from this user are never seen, and never deleted."
            found.append((what, "Give the user a policy that shows all rows, or BYPASSRLS."))
        if superuser:
            found.append(
                ("the user is a superuser, who may do much more than is needed.", "Use one with the rights that docs/sql.md names.")
            )
        return found

    def _regclass(self, table: TableInfo) -> str:
        """Return a table's name as a value that the server looks up."""
        return self.quoted(table).replace("%%", "%")


def postgres_engine(url: URL, limits: Limits) -> Engine:
    """Return the engine for a PostgreSQL database; every session has the limits from its first statement on."""
    first = {"timezone": "UTC", "datestyle": "ISO", **_timeouts(lock=limits.lock, statement=limits.statement, idle=limits.idle)}
    engine = sa.create_engine(
        url.set(drivername="postgresql+psycopg"),
        hide_parameters=True,
        pool_size=2,
        max_overflow=8,
        pool_pre_ping=True,
        connect_args={
            "autocommit": True,
            "connect_timeout": 10,
            "application_name": _PROGRAM,
            "options": " ".join(f"-c {name}={setting}" for name, setting in first.items()),
            # A server that is cut off is noticed in a minute and a half, and not after two hours.
            "keepalives_idle": 30,
            "keepalives_interval": 10,
            "keepalives_count": 6,
        },
    )

    @sa.event.listens_for(engine, "connect")
    def _prepare(connection: psycopg.Connection[Any], _: object) -> None:
        adapters = connection.adapters
        # Days and instants stay the server's ISO texts: they are read once per day and not once per row, and Python has no date for
        # infinity and for years before Christ.
        for name in ("date", "timestamp", "timestamptz", "uuid"):
            adapters.register_loader(name, TextLoader)

    return engine


def _timeouts(*, lock: float, statement: float, idle: float) -> dict[str, str]:
    """Return the server's names of limits in seconds, and their values."""
    named = {"lock_timeout": lock, "statement_timeout": statement, "idle_in_transaction_session_timeout": idle}
    return {name: f"{max(1, round(seconds * 1000))}" for name, seconds in named.items()}


def _setting(*, lock: float, statement: float, idle: float) -> str:
    """Return the statements that put a transaction under limits in seconds."""
    return "; ".join(f"SET LOCAL {name} = {limit}" for name, limit in _timeouts(lock=lock, statement=statement, idle=idle).items())


def refuse_old(source: str, place: str, version: Sequence[int | str]) -> None:
    """Raise ConfigurationError for a server older than PostgreSQL 13, which can't be asked what became of a transaction."""
    if not version or int(version[0]) < _OLDEST:
        raise ConfigurationError(f"{source}: {place}: PostgreSQL {_OLDEST} or later is needed.")


def _array_type(info: ColumnInfo) -> str:
    """Return the array type in which values of a column are sent; texts without length, so that nothing is cut off."""
    match info.kind:
        case Kind.TEXT if info.padded:
            # Compared with a text, a padded one would lose its spaces, and its key would find nothing.
            return "bpchar[]"
        case Kind.TEXT if _is_special(info):
            return f"{info.declared}[]"
        case Kind.NUMBER if "INT" in info.declared.upper() or "SERIAL" in info.declared.upper():
            return "int8[]"
        case Kind.UUID:
            return "uuid[]"
        case Kind.BYTES:
            return "bytea[]"
        case _:
            return "text[]"


def _is_special(info: ColumnInfo) -> bool:
    """Whether a text column has a type to which a text must be cast by name: an enumeration."""
    return not info.declared.upper().startswith(("VARCHAR", "CHARACTER", "CHAR", "TEXT", "CITEXT"))
