"""MariaDB through PyMySQL: row locks at READ COMMITTED, instants in UTC, a marker row as the witness."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import pymysql
import sqlalchemy as sa
from pymysql.constants import FIELD_TYPE
from pymysql.converters import conversions
from pymysql.cursors import DictCursor
from sqlalchemy.engine import URL, Engine

from connectors.sql.database import PAGE, DriverConnection
from connectors.sql.expressions import WHITESPACE, Exact, Expression, Statement, value
from connectors.sql.failures import Cause
from connectors.sql.limits import Limits
from connectors.sql.marker import MarkerDatabase
from connectors.sql.packets import FastConnection, PageCursor
from connectors.sql.storage import Value
from connectors.sql.tables import ColumnInfo, Kind, Rows, TableInfo
from connectors.sql.typed import TypedStorage
from worker.errors import ConfigurationError
from worker.ports import Key, KeyRange, Load, Row

_UPDATE_CHUNK = 2_000
_CAUSES = {
    **dict.fromkeys((1205, 1213, 1969, 1317, 1020, 1040, 1203, 1226), Cause.BUSY),
    **dict.fromkeys((2006, 2013, 1053, 1927), Cause.LOST),
    **dict.fromkeys((2002, 2003, 2005), Cause.UNREACHABLE),
    **dict.fromkeys((1045, 1698, 1130, 1820), Cause.DENIED),
    **dict.fromkeys((1044, 1142, 1143, 1227, 1370), Cause.NO_RIGHT),
    1049: Cause.NO_DATABASE,
    **dict.fromkeys((1054, 1146, 1064, 1305, 1109), Cause.SCHEMA),
    **dict.fromkeys((1062, 1451, 1452, 1048, 1406, 4025, 1264, 1265, 1292, 1366, 1364, 3819, 1644, 1217, 1216, 1690), Cause.CONSTRAINT),
    **dict.fromkeys((1290, 1792, 1836), Cause.READ_ONLY),
    **dict.fromkeys((1021, 1114, 1030, 28), Cause.FULL),
}
_SHOWING = ("ALL PRIVILEGES", "SELECT", "REFERENCES")


_TRANSACTIONS = (
    "SELECT trx_mysql_thread_id AS session, TIMESTAMPDIFF(MICROSECOND, trx_started, SYSDATE(6)) / 1000000 AS age "
    "FROM information_schema.INNODB_TRX"
)


_PRIMARY = "a primary does not know how far its replicas are behind; name one with the option replica"


class _NoRightError(Exception):
    """The user may not look at that."""


class MariaDBStorage(TypedStorage):
    """What only MariaDB says about values; the methods without a docstring keep `TypedStorage`'s promise."""

    def only_spaces(self, column: Expression) -> Expression:  # noqa: D102
        return Exact(column).op("REGEXP", is_comparison=True)(value(rf"\A[{WHITESPACE}]*\z"))

    def matches(self, column: Expression, pattern: str) -> Expression:  # noqa: D102
        return Exact(column).op("REGEXP", is_comparison=True)(value(rf"\A(?:{pattern})\z"))

    def contains(self, column: Expression, pattern: str) -> Expression:  # noqa: D102
        return sa.func.coalesce(Exact(column).op("REGEXP", is_comparison=True)(value(pattern)), sa.true())

    def plainly_equal(self, column: Expression, constant: object) -> Expression:  # noqa: D102
        # A constant that the column's character set doesn't know can't be compared with it: then the exact comparison decides alone.
        return super().plainly_equal(column, constant) if str(constant).isascii() else sa.true()

    def has_time(self, column: Expression) -> Expression:  # noqa: D102
        return sa.func.time(column) != value("00:00:00")

    def odd_day(self, each: Value) -> Expression | None:  # noqa: D102
        # Zero days and months are no days, and a lenient server stores them anywhere in the order of dates.
        zero = sa.or_(sa.func.dayofmonth(each.column) == sa.literal_column("0"), sa.func.month(each.column) == sa.literal_column("0"))
        other = super().odd_day(each)
        return zero if other is None else sa.or_(zero, other)


class MariaDB(MarkerDatabase):
    """A MariaDB database; the methods without a docstring keep `Database`'s promise."""

    storage = MariaDBStorage()
    errors = (pymysql.err.Error,)
    chunk = 1_000

    def __init__(self, source: str, place: str, engine: Engine, limits: Limits) -> None:
        super().__init__(source, place, engine, limits)
        self.sessions: set[int] = set()
        """The server's numbers of the sessions of this pool: what they do is not others' load."""
        sa.event.listen(engine, "connect", lambda connection, _: self.sessions.add(connection.thread_id()))
        sa.event.listen(engine, "close", lambda connection, _: self.sessions.discard(connection.thread_id()))

    def cause(self, error: Exception) -> tuple[Cause, str]:  # noqa: D102
        code = error.args[0] if error.args and isinstance(error.args[0], int) else 0
        if isinstance(error, pymysql.err.InterfaceError):
            return Cause.LOST, ""
        return _CAUSES.get(code, Cause.OTHER), str(code or type(error).__name__)

    def stream(self, connection: DriverConnection, statement: Statement) -> Iterator[list[Sequence[Any]]]:  # noqa: D102
        cursor = PageCursor(connection)
        try:
            with self.guard:
                cursor.execute(statement.sql, statement.parameters)
            while True:
                with self.guard:
                    page = cursor.fetchmany(PAGE)
                if not page:
                    return
                yield list(page)
        finally:
            with self.guard:
                cursor.close()

    def begin_reading(self, connection: DriverConnection, view: str | None = None) -> str | None:  # noqa: ARG002, D102
        # A streamed statement is at work until its last row was fetched.
        self.command(connection, _limiting(lock=self.limits.batch, statement=self.limits.view, idle=self.limits.view))
        self.command(connection, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        self.command(connection, "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
        return None

    def begin_writing(self, connection: DriverConnection) -> None:  # noqa: D102
        self.command(connection, _limiting(lock=self.limits.lock, statement=self.limits.statement, idle=self.limits.idle))
        self.command(connection, "SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
        self.command(connection, "START TRANSACTION READ WRITE")

    def within(self, rows: Rows, key: Sequence[str], keys: KeyRange) -> Expression:  # noqa: D102
        if len(key) == 1:
            return super().within(rows, key, keys)
        columns = [rows.column(name) for name in key]
        # Row comparisons are not walked along an index here, their expansion is.
        return sa.and_(
            columns[0] >= value(keys.first[0]),
            columns[0] <= value(keys.last[0]),
            _behind(columns, keys.first, lower=True),
            _behind(columns, keys.last, lower=False),
        )

    def locking(self, select: sa.Select[Any], rows: Rows) -> sa.Select[Any]:  # noqa: ARG002, D102
        return select.with_for_update()

    def sharing(self, select: sa.Select[Any], rows: Rows) -> sa.Select[Any]:  # noqa: ARG002, D102
        return select.with_for_update(read=True)

    def among(self, columns: Sequence[str], infos: Sequence[ColumnInfo], keys: Sequence[Key]) -> Statement:  # noqa: ARG002, D102
        parts = tuple(part for key in keys for part in key)
        if len(columns) == 1:
            return Statement(f"{columns[0]} IN ({', '.join(['%s'] * len(keys))})", parts)
        one = "(" + " AND ".join(f"{name} = %s" for name in columns) + ")"
        return Statement("(" + " OR ".join([one] * len(keys)) + ")", parts)

    def update_rows(  # noqa: D102
        self, connection: DriverConnection, table: TableInfo, key: Sequence[str], columns: Sequence[str], rows: Sequence[Row]
    ) -> int:
        # Values go into a temporary table first: one UPDATE that joins it is a round trip for many rows, and unlike INSERT ... ON DUPLICATE
        # KEY UPDATE it can only ever touch the rows that were meant. Texts are as wide as can be there, so that a value that is too long
        # is refused by the real column; everything else has its column's own type and collation.
        names = (*key, *columns)
        wide = [name for name in columns if table.columns[name].kind is Kind.TEXT]
        types = "".join(f"{self.quote(name)} LONGTEXT CHARACTER SET utf8mb4, " for name in wide)
        same = ", ".join(self.quote(name) for name in names if name not in wide)
        given, target = self.quote("retention_given"), self.quoted(table)
        made = f"CREATE OR REPLACE TEMPORARY TABLE {given} ({types}PRIMARY KEY ({', '.join(map(self.quote, key))})) ENGINE = InnoDB "
        self.change(connection, Statement(f"{made}SELECT {same} FROM {target} LIMIT 0", ()))
        one = "(" + ", ".join(["%s"] * len(names)) + ")"
        head = f"INSERT INTO {given} ({', '.join(map(self.quote, names))}) VALUES"
        for start in range(0, len(rows), _UPDATE_CHUNK):
            part = rows[start : start + _UPDATE_CHUNK]
            self.change(connection, Statement(f"{head} {', '.join([one] * len(part))}", tuple(each for row in part for each in row)))
        assigned = ", ".join(f"target.{self.quote(name)} = given.{self.quote(name)}" for name in columns)
        found = " AND ".join(f"target.{self.quote(name)} = given.{self.quote(name)}" for name in key)
        done = self.change(connection, Statement(f"UPDATE {given} AS given STRAIGHT_JOIN {target} AS target ON {found} SET {assigned}", ()))
        self.command(connection, f"DROP TEMPORARY TABLE {given}")
        return done

    def question(self, batch_id: str) -> Statement:
        """Return the statement that reads a marker, and waits while a dying transaction may still commit it."""
        plain = super().question(batch_id)
        return Statement(f"{plain.sql} LOCK IN SHARE MODE", plain.parameters)

    def unfit(self, table: TableInfo) -> str:  # noqa: D102
        question = (
            "SELECT ENGINE, TABLE_TYPE FROM information_schema.TABLES WHERE TABLE_SCHEMA = COALESCE(%s, DATABASE()) AND TABLE_NAME = %s"
        )
        with self.borrowed() as connection:
            rows = self.run(connection.driver_connection, Statement(question, (table.schema, table.name)))
        engine = str(rows[0][0]) if rows and rows[0][0] else ""
        if rows and rows[0][1] == "BASE TABLE" and engine.upper() != "INNODB":
            return f"its engine {engine} has no transactions: a batch could not be rolled back"
        return ""

    def load(self) -> Load:  # noqa: D102
        lag, oldest, lag_unseen, transactions_unseen = None, None, "", ""
        try:
            lag = self.behind()
            lag_unseen = _PRIMARY if lag is None else ""
        except _NoRightError:
            lag_unseen = "its user does not see replication; grant it REPLICA MONITOR"
        try:
            with self.borrowed() as connection:
                rows = self._look(connection.driver_connection, _TRANSACTIONS)
            own = set(self.sessions)
            oldest = max((float(row["age"]) for row in rows if row["session"] not in own), default=None)
        except _NoRightError:
            transactions_unseen = "its user does not see the transactions of others; grant it PROCESS"
        return Load(lag, oldest, lag_unseen, transactions_unseen)

    def behind(self) -> float | None:  # noqa: D102
        with self.borrowed() as connection:
            rows = self._look(connection.driver_connection, "SHOW ALL SLAVES STATUS")
        lags = [row["Seconds_Behind_Master"] for row in rows]
        return max((math.inf if lag is None else float(lag) for lag in lags), default=None)

    def _look(self, connection: DriverConnection, question: str) -> list[dict[str, Any]]:
        """Return rows by the names of their columns; _NoRightError when this user may not look."""
        cursor = connection.cursor(DictCursor)
        try:
            cursor.execute(question)
            return list(cursor.fetchall())
        except self.errors as error:
            if self.cause(error)[0] is Cause.NO_RIGHT:
                raise _NoRightError from None
            raise
        finally:
            cursor.close()

    def keeps_history(self, table: TableInfo) -> bool:  # noqa: D102
        question = "SELECT TABLE_TYPE FROM information_schema.TABLES WHERE TABLE_SCHEMA = COALESCE(%s, DATABASE()) AND TABLE_NAME = %s"
        with self.borrowed() as connection:
            rows = self.run(connection.driver_connection, Statement(question, (table.schema, table.name)))
        return bool(rows) and rows[0][0] == "SYSTEM VERSIONED"

    def moving(self, table: TableInfo) -> frozenset[str]:  # noqa: D102
        question = (
            "SELECT COLUMN_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = COALESCE(%s, DATABASE()) AND TABLE_NAME = %s "
            "AND EXTRA LIKE %s"
        )
        with self.borrowed() as connection:
            rows = self.run(connection.driver_connection, Statement(question, (table.schema, table.name, "%on update%")))
        return frozenset(str(row[0]) for row in rows)

    def unseen(self) -> str:  # noqa: D102
        # Tables on which an account has no right are not there for it, and neither is what refers from them.
        with self.borrowed() as connection:
            database = str(self.run(connection.driver_connection, Statement("SELECT DATABASE()", ()))[0][0])
            found = [str(row[0]).replace("\\", "") for row in self.run(connection.driver_connection, Statement("SHOW GRANTS", ()))]
        for grant in found:
            rights, _, place = grant.partition(" ON ")
            if place.startswith(("*.* ", f"`{database}`.* ")) and any(word in rights for word in _SHOWING):
                return ""
        return (
            f"tables that this account has no right on are hidden from it; GRANT REFERENCES ON `{database}`.* shows what refers from them"
        )

    def triggers(self, table: TableInfo, event: str) -> list[str]:  # noqa: D102
        question = (
            "SELECT TRIGGER_NAME FROM information_schema.TRIGGERS WHERE EVENT_OBJECT_SCHEMA = COALESCE(%s, DATABASE()) "
            "AND EVENT_OBJECT_TABLE = %s AND EVENT_MANIPULATION = %s ORDER BY TRIGGER_NAME"
        )
        with self.borrowed() as connection:
            return [str(row[0]) for row in self.run(connection.driver_connection, Statement(question, (table.schema, table.name, event)))]

    def remarks(self, table: TableInfo) -> list[tuple[str, str]]:  # noqa: ARG002, D102
        found = []
        if self.refuses("CREATE OR REPLACE TEMPORARY TABLE retention_may_i (x INT)"):
            what = "the user may not create temporary tables, which treating fields needs."
            found.append((what, "GRANT CREATE TEMPORARY TABLES on the database."))
        question = "SELECT COUNT(*) FROM information_schema.USER_PRIVILEGES WHERE PRIVILEGE_TYPE = 'SUPER'"
        with self.borrowed() as connection:
            ((count,),) = self.run(connection.driver_connection, Statement(question, ()))
        if count:
            found.append(
                (
                    "the user may administer the server, which is much more than is needed.",
                    "Use one with the rights that docs/sql.md names.",
                )
            )
        return found


def mariadb_engine(url: URL, limits: Limits) -> Engine:
    """Return the engine for a MariaDB database; every session has the limits from its first statement on."""
    # Days and instants stay the server's ISO texts: they are read once per day and not once per row, and Python has no date for zeroes.
    texts = (FIELD_TYPE.DATE, FIELD_TYPE.DATETIME, FIELD_TYPE.TIMESTAMP)
    decoders = {**{kind: decode for kind, decode in conversions.items() if kind not in texts}, FIELD_TYPE.BIT: _bits}
    url = url.set(drivername="mysql+pymysql")
    if "charset" not in url.query:
        url = url.update_query_dict({"charset": "utf8mb4"})
    engine = sa.create_engine(
        url,
        hide_parameters=True,
        paramstyle="format",
        pool_size=2,
        max_overflow=8,
        pool_pre_ping=True,
        connect_args={"autocommit": True, "connect_timeout": 10, "conv": decoders},
    )

    @sa.event.listens_for(engine, "do_connect")
    def _connect(_: object, __: object, arguments: Any, options: Any) -> pymysql.Connection:
        return FastConnection(*arguments, **options)

    @sa.event.listens_for(engine, "connect")
    def _prepare(connection: Any, _: object) -> None:
        with connection.cursor() as cursor:
            # Long lists of keys would otherwise become subqueries that a DELETE reads the whole table for.
            cursor.execute(_limiting(lock=limits.lock, statement=limits.statement, idle=limits.idle))
            # How long a session may idle outside of a transaction, or leave what it asked for unread, is no danger to anybody.
            cursor.execute(f"SET SESSION wait_timeout = {limits.view}, net_write_timeout = {limits.reading}")
            cursor.execute(
                "SET SESSION time_zone = '+00:00', in_predicate_conversion_threshold = 0, "
                "sql_mode = 'STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION'"
            )

    return engine


def _limiting(*, lock: float, statement: float, idle: float) -> str:
    """Return the statement that puts a session under limits in seconds."""
    wait, whole = max(1, round(lock)), max(1, round(idle))
    # The kinds of idle transaction have a limit each, and one of the server's own may be shorter than that for all of them.
    kinds = ", ".join(f"idle_{kind}transaction_timeout = {whole}" for kind in ("", "write_", "readonly_"))
    return f"SET SESSION max_statement_time = {statement}, innodb_lock_wait_timeout = {wait}, lock_wait_timeout = {wait}, {kinds}"


def refuse_mysql(source: str, place: str, is_mariadb: bool) -> None:  # noqa: FBT001
    """Raise ConfigurationError when the server is MySQL, on which nothing here was ever tested."""
    if not is_mariadb:
        raise ConfigurationError(f"{source}: {place}: this server is MySQL, which is not supported; MariaDB 10.5 or later is.")


def _bits(data: bytes) -> int:
    """Return a BIT value as the number it is."""
    return int.from_bytes(data, "big")


def _behind(columns: Sequence[Expression], key: Key, *, lower: bool) -> Expression:
    """Return the comparison of several columns with a key, part by part."""
    first, bound = columns[0], value(key[0])
    if len(columns) == 1:
        return first >= bound if lower else first <= bound
    beyond = first > bound if lower else first < bound
    return sa.or_(beyond, sa.and_(first == bound, _behind(columns[1:], key[1:], lower=lower)))
