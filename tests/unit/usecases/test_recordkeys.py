"""A record's key as it was typed: what is kept by it is kept for the record that is there, whatever its system makes of a number."""

from __future__ import annotations

import datetime as dt
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from connectors.memory import MemorySource
from connectors.sql.open import open_source
from tests.unit.usecases.conftest import Lab, schedule_of
from worker.errors import ConfigurationError, SourceFailed
from worker.ports import Connection
from worker.usecases.explaining import explain_record
from worker.usecases.marking import remove_mark, set_mark
from worker.usecases.recordkeys import possible_keys, readings, stored_key
from worker.usecases.standing import add_hold

NEXT_YEAR = dt.date(2027, 6, 1)
UUID = "0192f3a4-0000-7000-8000-00000000abcd"
FILES = """
version = 1
[organisation]
name = "Laboratory"
timezone = "Europe/Amsterdam"

[sources.files]
connector = "memory"
table = "files"
key = "id"
[sources.files.fields]
name = { treatment = "clear" }
closed_on = { type = "date" }
[sources.files.facts]
reopened_on = { mark = "reopened", none = "not_applicable" }

[[policies]]
source = "files"
disposition = "delete"
[[policies.purposes]]
id = "file"
basis = "contract"
fields = ["name"]
start = { latest_of = ["closed_on", "reopened_on"] }
keep = "P1Y"
"""


def held(machine: Any, key: str) -> int:
    """Hold a record by its key, and return how many holds that took."""
    return len(add_hold(machine, kind="legal", scope="record", owner="dora", reason="r", review_on=NEXT_YEAR, source="files", key=key))


def with_files(lab: Lab, *keys: object) -> Lab:
    """Give a laboratory files that were closed long ago."""
    lab.policies = FILES
    lab.environ["RETENTION_MAX_SHARE"] = "1"
    lab.memory.tables["files"] = {(key,): {"id": key, "name": "x", "closed_on": "2020-01-01"} for key in keys}  # type: ignore[misc]
    return lab


def in_database(lab: Lab, column: str, *keys: object) -> Path:
    """Put the files into a SQLite table whose key has a declared type, and return its path."""
    with_files(lab)
    path = lab.folder / "files.sqlite"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"CREATE TABLE files (id {column} PRIMARY KEY, name TEXT, closed_on TEXT)")
        connection.executemany("INSERT INTO files VALUES (?, 'x', '2020-01-01')", [(key,) for key in keys])
    opened = open_source(schedule_of(FILES).sources["files"], Connection(f"sqlite:///{path}"))
    lab.opens = lambda source, memory, sources: opened  # type: ignore[assignment, misc]
    return path


def left(path: Path) -> set[object]:
    """Return the keys of the files that are still there."""
    with closing(sqlite3.connect(path)) as connection:
        return {key for (key,) in connection.execute("SELECT id FROM files")}


@pytest.mark.parametrize(
    ("key", "typed"),
    [("0042", "0042"), ("42", "42"), ("ab", "ab"), (42, "42"), (42, "042"), (-7, "-7"), ("--5", "--5"), ("²", "²"), ("٣", "٣")],
)
def test_a_hold_on_a_record_keeps_that_record(lab: Lab, key: object, typed: str) -> None:
    """Also where what looks like a number is a text in its system; the other record goes."""
    with with_files(lab, key, "other" if isinstance(key, str) else 1000).machine() as machine:
        assert 1 == held(machine, typed)
        lab.plan_and_apply(machine)
    assert {key} == set(lab.table("files"))


@pytest.mark.parametrize(
    ("column", "keys", "typed", "kept"),
    [
        ("TEXT", ("0042", "42", "7"), "0042", {"0042"}),
        ("TEXT", ("0042", "42", "7"), "42", {"42"}),
        ("INTEGER", (42, 7), "42", {42}),
        ("INTEGER", (42, 7), "0042", {42}),
        ("BLOB", ("42", 7), "42", {"42"}),
        ("BLOB", (42, 7), "42", {42}),
        ("BLOB", (bytes.fromhex(UUID.replace("-", "")), 7), UUID, {bytes.fromhex(UUID.replace("-", ""))}),
    ],
)
def test_in_a_database(lab: Lab, column: str, keys: tuple[object, ...], typed: str, kept: set[object]) -> None:
    """What the database takes for the same is looked up, so the hold is on the key that its rows have."""
    path = in_database(lab, column, *keys)
    with lab.machine() as machine:
        held(machine, typed)
        lab.plan_and_apply(machine)
    assert kept == left(path)


def test_marks_and_explanations_find_the_record_too(lab: Lab) -> None:
    """A file called 0042 can be explained and marked, and the mark counts for it and not for 42."""
    with with_files(lab, "0042", "42").machine() as machine:
        assert "delete" == explain_record(machine, "files", "0042").action
        set_mark(machine, "files", "0042", "reopened", dt.date(2026, 6, 1))
        lab.plan_and_apply(machine)
        assert {"0042"} == set(lab.table("files"))
        remove_mark(machine, "files", "0042", "reopened")
        lab.plan_and_apply(machine)
        assert set() == set(lab.table("files"))


def test_a_mark_of_a_record_that_is_gone_can_be_taken_back(lab: Lab) -> None:
    """Under whatever the key was there."""
    with with_files(lab, "0042").machine() as machine:
        set_mark(machine, "files", "0042", "reopened", dt.date(2026, 6, 1))
        lab.memory.tables["files"].clear()
        remove_mark(machine, "files", "0042", "reopened")
        with pytest.raises(ConfigurationError, match="no mark"):
            remove_mark(machine, "files", "0042", "reopened")


class Away(MemorySource):
    """A source that nobody reaches."""

    def reader(self) -> Any:
        """Fail."""
        raise SourceFailed("files: away")


@pytest.mark.parametrize("key", ["0042", 42])
def test_a_hold_does_not_wait_for_a_system_that_is_away(lab: Lab, key: object) -> None:
    """Then it is on all that the key may be, so that it is in force when the system is back."""
    with_files(lab, key)
    lab.opens = Away
    with lab.machine() as machine:
        assert 2 == held(machine, str(key) if isinstance(key, str) else "42")
        with pytest.raises(SourceFailed):
            stored_key(machine, machine.policy("files").source, "42")
    lab.opens = MemorySource
    with lab.machine() as machine:
        lab.plan_and_apply(machine)
    assert {key} == set(lab.table("files"))


def test_readings() -> None:
    """Numbers come first; composite keys have as many parts as columns; bytes are looked for where they may be a UUID."""
    assert [(7, "a"), ("7", "a")] == readings("files", ("one", "two"), "7,a")
    assert [(12,), ("12",), (b"\x12",)] == readings("files", ("id",), "12")
    assert [(12,), ("12",)] == possible_keys("files", ("id",), "12")
    assert [(UUID,), (bytes.fromhex(UUID.replace("-", "")),)] == possible_keys("files", ("id",), UUID)
    with pytest.raises(ConfigurationError, match="2 parts"):
        readings("files", ("one", "two"), "7")
