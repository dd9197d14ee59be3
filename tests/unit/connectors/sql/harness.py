"""The contract's harness on a database, whichever it is: one table of people, two tables that refer to it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from connectors.contract import AGGREGATES, AWKWARD, FIELDS, RELATIONS, Record, RelationsHarness
from connectors.sql import open_source
from worker.core.facts import FieldType
from worker.core.sources import Source
from worker.ports import Connection, Key, OpenSource

TYPES = {
    FieldType.TEXT: sa.Text,
    FieldType.NUMBER: sa.BigInteger,
    FieldType.BOOLEAN: sa.Boolean,
    FieldType.DATE: sa.Date,
    FieldType.TIMESTAMP: sa.DateTime,
}


class SqlHarness(RelationsHarness):
    """A database that another program can use too, by an engine of its own."""

    more_than_a_page = 5_003
    awkward_keys: Sequence[Key] = tuple((text,) for text in AWKWARD if len(text) < 100)

    def __init__(self, url: str, engine: sa.Engine) -> None:
        self.url = url
        self.engine = engine
        self.source = Source("people", "sql", "people", ("id",), FIELDS, AGGREGATES, RELATIONS)
        self.metadata = sa.MetaData()
        columns = [sa.Column(each.column, self.type_of(each.reading.type)) for each in FIELDS]
        self.people = sa.Table("people", self.metadata, sa.Column("id", self.key_type(), primary_key=True), *columns)
        self.tables = {
            name: sa.Table(
                name,
                self.metadata,
                sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
                sa.Column("record_id", self.key_type(), sa.ForeignKey("people.id"), index=True),
                sa.Column("sent_on", sa.Date),
            )
            for name in ("letters", "bills")
        }
        with self.engine.begin() as connection:
            self.metadata.drop_all(connection)
            connection.exec_driver_sql("DROP TABLE IF EXISTS retention_witness")
            self.metadata.create_all(connection)

    def key_type(self) -> sa.types.TypeEngine[str]:
        """Return the type of the people's keys."""
        return sa.String(200)

    def type_of(self, kind: FieldType) -> sa.types.TypeEngine[object]:
        """Return the type of a field's column."""
        return TYPES[kind]()  # type: ignore[return-value]

    def open(self) -> OpenSource:
        return open_source(self.source, Connection(self.url, witness_table=True, options={"lock_timeout": "1"}))

    def fill(self, records: Mapping[Key, Record]) -> None:
        with self.engine.begin() as connection:
            for table in (*self.tables.values(), self.people):
                connection.execute(table.delete())
            rows = [{"id": key[0], **self.stored(record)} for key, record in records.items()]
            if rows:
                connection.execute(self.people.insert(), rows)

    def stored(self, record: Record) -> dict[str, object]:
        """Return a record as it is written."""
        return dict(record)

    def dump(self) -> dict[Key, dict[str, object]]:
        return self._dump(self.people)

    def disturb(self, key: Key, record: Record | None) -> bool:
        mine = self.people.c.id == key[0]
        try:
            with self.engine.begin() as connection:
                self.hurry(connection)
                if record is None:
                    connection.execute(self.people.delete().where(mine))
                else:
                    connection.execute(self.people.update().where(mine).values(self.stored(record)))
        except sa.exc.OperationalError:
            return False
        return True

    def hurry(self, connection: sa.Connection) -> None:
        """Make a connection wait for locks only briefly."""

    def fill_related(self, table: str, rows: Mapping[Key, Record]) -> None:
        with self.engine.begin() as connection:
            connection.execute(self.tables[table].delete())
            connection.execute(self.tables[table].insert(), [{"id": key[0], **row} for key, row in rows.items()])

    def dump_related(self, table: str) -> dict[Key, dict[str, object]]:
        return self._dump(self.tables[table])

    def _dump(self, table: sa.Table) -> dict[Key, dict[str, object]]:
        with self.engine.connect() as connection:
            names = [column.name for column in table.columns if column.name != "id"]
            query = sa.text(f"SELECT id, {', '.join(names)} FROM {table.name}")
            return {
                (row[0],): {name: _plain(value) for name, value in zip(names, row[1:], strict=True)} for row in connection.execute(query)
            }


def _plain(value: object) -> object:
    """Return a value as it compares best."""
    return value.isoformat() if isinstance(value, dt.date) else value
