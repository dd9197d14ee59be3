"""Write one SQLite file of the office in one go, byte for byte the same for the same rows."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

_Value = str | int | float | None
Row = tuple[_Value, ...]


def write(path: Path, schema: str, tables: Mapping[str, Sequence[Row]]) -> None:
    """Create the file with this schema and these rows, parents before children.

    Raises sqlite3.IntegrityError when a row breaks a constraint or points at a row that isn't there.
    """
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        # A build that is cut short is simply done again, so nothing here waits for the disk.
        database.execute("PRAGMA synchronous = OFF")
        database.execute("PRAGMA foreign_keys = ON")
        database.executescript(f"BEGIN; {schema}")
        for table, rows in tables.items():
            places = ", ".join("?" * len(rows[0]))
            database.executemany(f"INSERT INTO {table} VALUES ({places})", rows)
        database.execute("COMMIT")
