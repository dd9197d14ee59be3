"""The in-memory connector keeps the contract."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from connectors.contract import AGGREGATES, AWKWARD, FIELDS, RELATIONS, ConnectorContract, Record, RelationsContract, RelationsHarness
from connectors.memory import Memory, MemoryService, MemorySource
from worker.core.sources import Source
from worker.ports import Key, OpenSource


class MemoryHarness(RelationsHarness):
    """Tables in memory; their columns are named like the fields."""

    survives = False
    awkward_keys = tuple((text,) for text in AWKWARD)
    odd_dates = ("0000-00-00", "yesterday", "  ", "2020-02-30", "")

    def __init__(self) -> None:
        self.source = Source("people", "memory", "people", ("id",), FIELDS, AGGREGATES, RELATIONS)
        self.memory = Memory({"people": {}, "letters": {}, "bills": {}})

    def open(self) -> OpenSource:
        return MemorySource(self.source, self.memory)

    def fill(self, records: Mapping[Key, Record]) -> None:
        self.memory.tables["people"] = {key: {"id": key[0], **record} for key, record in records.items()}

    def dump(self) -> dict[Key, dict[str, object]]:
        return self._table("people")

    def disturb(self, key: Key, record: Record | None) -> bool:
        if record is None:
            del self.memory.tables["people"][key]
        else:
            self.memory.tables["people"][key] = {"id": key[0], **record}
        return True

    def fill_related(self, table: str, rows: Mapping[Key, Record]) -> None:
        self.memory.tables[table] = {key: {"id": key[0], **row} for key, row in rows.items()}

    def dump_related(self, table: str) -> dict[Key, dict[str, object]]:
        return self._table(table)

    def _table(self, name: str) -> dict[Key, dict[str, object]]:
        return {key: {column: value for column, value in row.items() if column != "id"} for key, row in self.memory.tables[name].items()}


class ServiceHarness(MemoryHarness):
    """The same tables without transactions, and nothing that refers to them."""

    many = 100_000
    # A view copies nothing, but sorts the keys.
    bytes_a_key = 100

    def __init__(self) -> None:
        super().__init__()
        self.source = Source("people", "memory", "people", ("id",), FIELDS)

    def open(self) -> OpenSource:
        return MemoryService(self.source, self.memory)


class TestMemoryService(ConnectorContract):
    """Records in memory, without transactions."""

    @pytest.fixture
    def harness(self) -> ServiceHarness:
        return ServiceHarness()


class TestMemory(ConnectorContract):
    """Records in memory."""

    @pytest.fixture
    def harness(self) -> MemoryHarness:
        return MemoryHarness()


class TestMemoryRelations(RelationsContract):
    """Related tables in memory."""

    @pytest.fixture
    def harness(self) -> MemoryHarness:
        return MemoryHarness()
