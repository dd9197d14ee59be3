"""Opening a source: which database, whether it can be used, and what the tables look like."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace

import sqlalchemy as sa
from sqlalchemy.engine import URL

from connectors.sql.advice import advise
from connectors.sql.batch import SqlBatch, Wanted, writing
from connectors.sql.check import Checked, check
from connectors.sql.database import LOCK_SECONDS, Database
from connectors.sql.limits import Limits
from connectors.sql.mariadb import MariaDB, mariadb_engine, refuse_mysql
from connectors.sql.postgres import Postgres, postgres_engine, refuse_old
from connectors.sql.reader import SqlReader, reading
from connectors.sql.referring import referring
from connectors.sql.rights import grants, needs_of
from connectors.sql.selection import Model
from connectors.sql.sqlite import SQLite, sqlite_engine
from connectors.sql.tables import ForeignKey, TableInfo, reflect, split_name
from worker.core.model import Policy
from worker.core.select import Selection
from worker.core.sources import Relation, Source
from worker.errors import ConfigurationError, Problem
from worker.ports import Connection, KeyRange, Level, Load, Resolution, Shape

_OPTIONS = ("journal", "lock_timeout", "replica")


class SqlSource:
    """A table of a database as a source; see `worker.ports.OpenSource`."""

    level = Level.PERMANENT
    transactional = True
    most: int | None = None

    def __init__(
        self, source: Source, database: Database, model: Model, referring_keys: Sequence[ForeignKey], connection: Connection
    ) -> None:
        self.spec = source
        self._database = database
        self._model = model
        self._referring = referring_keys
        # SQLite has one writer at a time.
        self.lanes = 1 if isinstance(database, SQLite) else 2
        self._replica = _replica(source, connection)
        self._witnessed = connection.witness_table or isinstance(database, Postgres)
        self._sources: dict[str, Source] = {**connection.siblings, source.name: source}

    def problems(self, policy: Policy | None, schedule_sources: Mapping[str, Source]) -> tuple[list[Problem], list[Problem]]:
        """Return (what makes the source unusable, what a person should know)."""
        self._sources.update(schedule_sources)
        return check(Checked(self._database, self._model, self._referring, policy))

    def advice(self, policy: Policy | None) -> tuple[list[Problem], list[Problem]]:
        """Return (what a run would fail at, what a person should look at) beyond `problems`, after sampling values; see `advice`."""
        elsewhere = {each.table for each in self._sources.values() if each.name != self.spec.name}
        return advise(Checked(self._database, self._model, self._referring, policy), elsewhere)

    def shape(self) -> Shape:
        """Return the table's columns and who refers to it, as they are now."""
        schema, name = split_name(self.spec.table)
        with self._database.guard:
            inspector = sa.inspect(self._database.engine)
            columns = tuple(sorted(each["name"] for each in inspector.get_columns(name, schema=schema)))
            keys = referring(inspector, name, schema)
        return Shape(columns, tuple(sorted({f"{key.named}.{column}" for key in keys for column in key.columns})))

    def load(self) -> Load:
        """Return how loaded the server is, and how far the replica is behind that the connection's options name."""
        load = self._database.load()
        if self._replica is None:
            return load
        lag = self._replica.behind()
        return replace(load, lag_seconds=lag, lag_unseen="the server that the option replica names is no replica" if lag is None else "")

    def rights(self, policy: Policy | None, schedule_sources: Mapping[str, Source], account: str | None) -> list[str]:
        """Return the statements that give an account what this source needs and no more."""
        needed = needs_of(self.spec, policy, {**self._sources, **schedule_sources})
        return grants(self._database, needed, account, witness=self._witnessed and policy is not None)

    def reader(self) -> AbstractContextManager[SqlReader]:
        """Return one consistent view for reading."""
        return reading(self._database, self._model, self._sources)

    def batch(
        self, batch_id: str, within: KeyRange, selection: Selection, columns: Sequence[str], *, take: bool = False
    ) -> AbstractContextManager[SqlBatch]:
        """Return a batch on a key range; rows are taken only where nothing refers to them."""
        wanted = Wanted(batch_id, within, selection, tuple(columns), take, self._witnessed)
        alone = not self._referring and not any(each.disposal is not None or each.recount for each in self.spec.relations)
        return writing(self._database, self._model, self._sources, wanted, may_take=alone)

    def resolve(self, batch_id: str, witness: Mapping[str, str]) -> Resolution | None:
        """Return what became of a batch, by asking the server or by looking for its marker."""
        self._database.wait_for_writers()
        committed = self._database.was_committed(batch_id, witness) if witness else None
        if committed is None:
            return None
        return Resolution.COMMITTED if committed else Resolution.ROLLED_BACK

    def forget(self, batch_ids: Sequence[str]) -> None:
        """Drop the markers of final batches."""
        self._database.forget(batch_ids)

    def close(self) -> None:
        """Close every connection."""
        self._database.close()
        if self._replica is not None:
            self._replica.close()


def open_source(source: Source, connection: Connection) -> SqlSource:
    """Open a table; ConfigurationError when it can't be opened as declared, SourceFailed when the server does not answer."""
    database = _database(source, connection)
    try:
        with database.guard, database.engine.connect() as opened:
            inspector = sa.inspect(opened)
            if isinstance(database, MariaDB):
                refuse_mysql(source.name, database.place, bool(getattr(opened.dialect, "is_mariadb", False)))
            if isinstance(database, Postgres):
                refuse_old(source.name, database.place, opened.dialect.server_version_info or ())
            tables = {name: _reflected(inspector, source, name) for name in _tables(source)}
            schema, name = split_name(source.table)
            keys = referring(inspector, name, schema)
        return SqlSource(
            source,
            database,
            Model(source, tables[source.table], tables, database.storage),
            keys,
            connection,
        )
    except BaseException:
        database.close()
        raise


def _database(source: Source, connection: Connection) -> Database:
    """Return the database that an address names, not yet connected."""
    if not connection.url:
        raise ConfigurationError(f"{source.name}: a table needs the address of its database; set the source's url.")
    try:
        url: URL = sa.make_url(connection.url)
    except (sa.exc.ArgumentError, ValueError):
        raise ConfigurationError(
            f"{source.name}: the address of the database can't be read; write it as dialect://user@host/database, "
            "or sqlite:////folder/file.sqlite for a file."
        ) from None
    unknown = sorted(set(connection.options) - set(_OPTIONS))
    if unknown:
        raise ConfigurationError(f"{source.name}: unknown connection option {unknown[0]!r}; there are {', '.join(_OPTIONS)}.")
    try:
        limits = Limits(
            connection.batch_seconds, min(float(connection.options.get("lock_timeout", LOCK_SECONDS)), connection.batch_seconds)
        )
    except ValueError:
        raise ConfigurationError(f"{source.name}: the option lock_timeout must be a number of seconds.") from None
    host = f"{url.host or 'local'}{f':{url.port}' if url.port else ''}"
    place = f"{host}, database {url.database}"
    match url.get_backend_name():
        case "sqlite":
            return SQLite(source.name, str(url.database), sqlite_engine(source.name, url, connection.options, limits.lock), limits)
        case "postgresql" | "postgres":
            return Postgres(source.name, place, postgres_engine(url, limits), limits)
        case "mariadb" | "mysql":
            return MariaDB(source.name, place, mariadb_engine(url, limits), limits)
        case _:
            raise ConfigurationError(f"{source.name}: only sqlite, postgresql and mariadb addresses are known.")


def _replica(source: Source, connection: Connection) -> Database | None:
    """Return the database that the option `replica` names, not yet connected: it is asked how far it is behind, and nothing else."""
    url = connection.options.get("replica")
    if not url:
        return None
    return _database(source, replace(connection, url=url))


def _tables(source: Source) -> list[str]:
    """Return the source's table and those of its relations, each once."""

    def below(relations: Iterable[Relation]) -> Iterable[str]:
        for relation in relations:
            yield relation.table
            yield from below(relation.children)

    return list(dict.fromkeys((source.table, *below(source.relations))))


def _reflected(inspector: sa.Inspector, source: Source, table: str) -> TableInfo:
    """Return what a table looks like; ConfigurationError with the nearest name when there is none."""
    schema, name = split_name(table)
    try:
        return reflect(inspector, name, schema)
    except sa.exc.NoSuchTableError:
        names = [*inspector.get_table_names(schema=schema), *inspector.get_view_names(schema=schema)]
        near = difflib.get_close_matches(name, names, 1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ConfigurationError(f"{source.name}: there is no table {table!r} in the database.{hint}") from None
