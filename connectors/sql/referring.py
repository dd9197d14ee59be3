"""Who refers to a table: every foreign key that leads to it, from whatever schema or database of the server.

Threat model. A reference that is missed may carry a cascade: the database then deletes rows that nobody declared, counted or audited. So
the server's own catalogue is asked, and not table by table of one schema; what the account may not see `Database.unseen` says.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine.reflection import Inspector

from connectors.sql.tables import ForeignKey, on_delete

_REFUSES = ("NO ACTION", "RESTRICT")
_RULES = {"a": "", "r": "", "c": "CASCADE", "n": "SET NULL", "d": "SET DEFAULT"}
# A reference to or from a partition stands there once as it was declared, and once more for every partition it holds for.
_POSTGRESQL = """
WITH RECURSIVE parts AS (
    SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relname = :name AND CASE WHEN :schema = '' THEN pg_table_is_visible(c.oid) ELSE n.nspname = :schema END
    UNION SELECT i.inhrelid FROM pg_inherits i JOIN parts ON i.inhparent = parts.oid
)
SELECT n.nspname, c.relname, pg_table_is_visible(c.oid), k.confdeltype::text,
    ARRAY(SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY AS u (number, place)
        JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.number ORDER BY u.place),
    ARRAY(SELECT a.attname::text FROM unnest(k.confkey) WITH ORDINALITY AS u (number, place)
        JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.number ORDER BY u.place)
FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE k.contype = 'f' AND k.conparentid = 0 AND k.confrelid IN (SELECT oid FROM parts)
"""
_MARIADB = """
SELECT k.TABLE_SCHEMA, k.TABLE_NAME, k.TABLE_SCHEMA = DATABASE(), r.DELETE_RULE, k.COLUMN_NAME, k.REFERENCED_COLUMN_NAME, k.CONSTRAINT_NAME
FROM information_schema.KEY_COLUMN_USAGE k JOIN information_schema.REFERENTIAL_CONSTRAINTS r
    ON r.CONSTRAINT_SCHEMA = k.CONSTRAINT_SCHEMA AND r.TABLE_NAME = k.TABLE_NAME AND r.CONSTRAINT_NAME = k.CONSTRAINT_NAME
WHERE k.REFERENCED_TABLE_SCHEMA = COALESCE(NULLIF(:schema, ''), DATABASE()) AND LOWER(k.REFERENCED_TABLE_NAME) = LOWER(:name)
ORDER BY k.TABLE_SCHEMA, k.TABLE_NAME, k.CONSTRAINT_NAME, k.ORDINAL_POSITION
"""


def referring(inspector: Inspector, name: str, schema: str | None) -> list[ForeignKey]:
    """Return the foreign keys that refer to a table, of every schema that there is."""
    match inspector.dialect.name:
        case "postgresql":
            found = [
                ForeignKey(table, tuple(own), name, tuple(theirs), _RULES[rule], where, visible=visible)
                for where, table, visible, rule, own, theirs in _asked(inspector, _POSTGRESQL, name, schema)
            ]
        case "sqlite":
            found = _of_one_file(inspector, name, schema)
        case _:
            found = _grouped(_asked(inspector, _MARIADB, name, schema), name)
    return sorted(found, key=lambda each: (each.schema or "", each.table, each.columns))


def _asked(inspector: Inspector, question: str, name: str, schema: str | None) -> Sequence[Any]:
    """Return what the catalogue says."""
    with inspector.bind.engine.connect() as connection:
        return connection.execute(sa.text(question), {"name": name, "schema": schema or ""}).all()


def _grouped(rows: Sequence[Any], name: str) -> list[ForeignKey]:
    """Return foreign keys out of rows with one column of a key each."""
    keys: dict[tuple[str, str, str], list[Any]] = {}
    for row in rows:
        keys.setdefault((row[0], row[1], row[6]), []).append(row)
    return [
        ForeignKey(
            table, tuple(row[4] for row in of), name, tuple(row[5] for row in of), _cascade(of[0][3]), schema, visible=bool(of[0][2])
        )
        for (schema, table, _), of in keys.items()
    ]


def _cascade(rule: object) -> str:
    """Return what happens to the referring row, an empty text when the deletion is refused."""
    return "" if str(rule).upper() in _REFUSES else str(rule)


def _of_one_file(inspector: Inspector, name: str, schema: str | None) -> list[ForeignKey]:
    """Return the foreign keys of a SQLite file: no other file can refer to it."""
    return [
        ForeignKey(table, tuple(key["constrained_columns"]), name, tuple(key["referred_columns"]), on_delete(inspector, table, key), schema)
        for (_, table), keys in inspector.get_multi_foreign_keys(schema=schema).items()
        for key in keys
        if key["referred_table"].lower() == name.lower()
    ]
