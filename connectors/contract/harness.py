"""What a system has to be able to do so that a connector to it can be tested, and the records it is tested with."""

from __future__ import annotations

import datetime as dt
from abc import ABC, abstractmethod
from collections.abc import ItemsView, Iterable, Iterator, Mapping, Sequence
from zoneinfo import ZoneInfo

import pytest

from worker.core.facts import Empty, FieldType, Reading
from worker.core.select import EVERYTHING, Selection
from worker.core.sources import Field, Identifier, Source, Treatment, TreatmentKind
from worker.ports import Changes, Key, KeyRange, OpenSource, Row

Record = Mapping[str, object]
"""The values of one record by field name: texts, numbers, booleans, days, naive moments in UTC, or None."""

ZONE = ZoneInfo("Europe/Amsterdam")
TODAY = dt.date(2026, 6, 30)
CANARY = "Canary-7f3a"
"""A text that stands in personal values and may be seen nowhere else."""

AWKWARD = (
    "Zoë 'de' \"Wilge\" \\ %_ ; -- $1 {x}",
    "🌻👩‍👩‍👧‍👧",
    "مرحبا بالعالم",
    "שלום",
    "e\u0301 is not \u00e9",
    " spaces around ",
    "tab\tand\nline",
    "NULL",
    "long " * 4000,
)
"""Texts that a connector must bring back as they are."""


def reading(kind: FieldType, empty: Empty = Empty.UNKNOWN) -> Reading:
    """Return how values of a type are read; timestamps are stored in UTC."""
    return Reading(kind, empty, ZONE, ZoneInfo("UTC") if kind is FieldType.TIMESTAMP else None)


FIELDS = (
    Field("name", "name", reading(FieldType.TEXT), personal=True, treatment=Treatment(TreatmentKind.CLEAR)),
    Field(
        "email",
        "email",
        reading(FieldType.TEXT),
        personal=True,
        treatment=Treatment(TreatmentKind.PSEUDONYM, domain="people"),
        identifier=Identifier.EMAIL,
    ),
    Field("ip", "ip", reading(FieldType.TEXT), personal=True, treatment=Treatment(TreatmentKind.TRUNCATE)),
    Field("note", "note", reading(FieldType.TEXT), personal=True, treatment=Treatment(TreatmentKind.CONSTANT, value="removed")),
    Field("status", "status", reading(FieldType.TEXT, Empty.NOT_APPLICABLE)),
    Field("score", "score", reading(FieldType.NUMBER)),
    Field("hired", "hired", reading(FieldType.BOOLEAN)),
    Field("seen_on", "seen_on", reading(FieldType.DATE)),
    Field("left_on", "left_on", reading(FieldType.DATE, Empty.NOT_YET)),
    Field("asked_on", "asked_on", reading(FieldType.DATE, Empty.NOT_APPLICABLE)),
    Field("changed_at", "changed_at", reading(FieldType.TIMESTAMP)),
)
"""The fields of the source that a harness provides; columns are named like the fields, and all of them may be empty."""

COLUMNS = tuple(field.name for field in FIELDS)
TEXTS = tuple(field.name for field in FIELDS if field.reading.type is FieldType.TEXT)


class Harness(ABC):
    """A system with one empty source that has `FIELDS`, and a way around the connector to fill, read and disturb it.

    source -- as a policy file would declare it; more_than_a_page -- a number of records that takes the connector several pages;
    selections -- how many random selections are tried; survives -- whether the system outlives the process, so that a crash can be
    tried; many -- with how many records it is tried that memory stays constant, 0 for none; first_page -- with how many that the first page
    takes no more, 0 for none: for systems that are listed before anything is read, where filling is fast and reading is slow; mebibytes --
    what reading may allocate, in this process, of any number of records; bytes_a_key -- what it may take besides of each (a stand-in in
    memory that sorts, say); elsewhere -- MiB that libraries in other languages may keep besides, of any number of records (a database's
    cache); large -- whether very many are tried too, when the environment says how many (CONTRACT_RECORDS); awkward_keys -- keys that are
    hard to write down; odd_dates -- texts that the system can hold in a date field although they are none; treats -- whether records can
    be changed, and not only deleted.
    """

    source: Source
    more_than_a_page = 1_203
    selections = 150
    survives = True
    many = 0
    first_page = 0
    mebibytes = 4
    bytes_a_key = 0
    elsewhere = 0
    large = True
    awkward_keys: Sequence[Key] = ()
    odd_dates: Sequence[str] = ()
    treats = True

    @abstractmethod
    def open(self) -> OpenSource:
        """Open the source with the connector."""

    @abstractmethod
    def fill(self, records: Mapping[Key, Record]) -> None:
        """Make these records all that the source holds; a record has every field."""

    def fill_many(self, number: int) -> None:
        """Make so many records all that the source holds, the same as `fill` would make of `record`; a harness may know a faster way."""
        self.fill(Numbered(self, number))

    @abstractmethod
    def dump(self) -> dict[Key, dict[str, object]]:
        """Return all records as the system holds them, by field name; the same content always gives the same values."""

    @abstractmethod
    def disturb(self, key: Key, record: Record | None) -> bool:
        """Change a record (None: delete it) as another program would; False when a lock of the connector's keeps it from that."""

    def key(self, number: int) -> Key:
        """Return a key; keys of higher numbers come later in the connector's order."""
        return (f"record-{number:06}",)

    def kept(self, value: str | None) -> str | None:
        """Return what becomes of a text in this system: some systems can't tell an empty text from none."""
        return value

    def names(self) -> Iterable[str]:
        """Return the names of all files that the connector has made."""
        return ()


class Numbered(Mapping[Key, Record]):
    """So many records, in no memory: each is made when it is asked for."""

    def __init__(self, harness: Harness, number: int) -> None:
        self._harness = harness
        self._number = number

    def __getitem__(self, key: Key) -> Record:
        return next(values for each, values in self.items() if each == key)

    def __iter__(self) -> Iterator[Key]:
        return map(self._harness.key, range(self._number))

    def __len__(self) -> int:
        return self._number

    def items(self) -> ItemsView[Key, Record]:
        """Return (key, record), again and again if need be."""
        return _Items(self)

    def made(self) -> Iterator[tuple[Key, Record]]:
        """Yield what there is, in the order of the numbers."""
        return ((self._harness.key(number), record(number)) for number in range(self._number))


class _Items(ItemsView[Key, Record]):
    """The items of `Numbered`, made one after the other."""

    _mapping: Numbered

    def __iter__(self) -> Iterator[tuple[Key, Record]]:
        return self._mapping.made()


class RelationsHarness(Harness):
    """A system whose source has `RELATIONS` and `AGGREGATES` too; its key is the one column `id`."""

    @abstractmethod
    def fill_related(self, table: str, rows: Mapping[Key, Record]) -> None:
        """Make these rows, of `record_id` and `sent_on`, all that a related table holds; keys are numbers."""

    @abstractmethod
    def dump_related(self, table: str) -> dict[Key, dict[str, object]]:
        """Return all rows of a related table."""


def record(number: int = 0, **values: object) -> dict[str, object]:
    """Return a record with a value in every field, some of them given."""
    return {
        "name": f"Name {number} {CANARY}",
        "email": f"person{number}.{CANARY}@example.example",
        "ip": "192.0.2.77",
        "note": f"Note {CANARY}",
        "status": "open",
        "score": number,
        "hired": False,
        "seen_on": dt.date(2020, 1, 1) + dt.timedelta(days=number % 4000),
        "left_on": dt.date(2021, 3, 1),
        "asked_on": None,
        "changed_at": dt.datetime(2022, 3, 4, 5, 6, 7),  # noqa: DTZ001 - stored in UTC, without saying so
        **values,
    }


def kept(harness: Harness, values: Record) -> dict[str, object]:
    """Return a record as the system keeps it."""
    return {name: harness.kept(value) if isinstance(value, str) else value for name, value in values.items()}


def everything(source: OpenSource) -> tuple[list[Key], KeyRange]:
    """Return the keys of all records, and the range that holds them."""
    keys = [key for key, _ in read(source, EVERYTHING, ())]
    return keys, KeyRange(keys[0], keys[-1])


def read(source: OpenSource, selection: Selection, columns: Sequence[str], within: KeyRange | None = None) -> list[tuple[Key, Row]]:
    """Return what a selection holds, as (key, values)."""
    with source.reader() as reader:
        return [split(source, row) for page in reader.rows(selection, columns, within=within) for row in page]


def split(source: OpenSource, row: Row) -> tuple[Key, Row]:
    """Return a row's key and its values."""
    parts = len(source.spec.key)
    return tuple(row[:parts]), tuple(row[parts:])  # type: ignore[arg-type]


def carry_out(source: OpenSource, within: KeyRange, changes: Changes, batch_id: str = "b") -> None:
    """Write and commit one batch, all of which is to be done."""
    with source.batch(batch_id, within, EVERYTHING, ()) as batch:
        batch.write(changes)
        undone = batch.commit()
    assert not list(undone)


class Contract:
    """The fixtures of every part of the contract."""

    @pytest.fixture
    def harness(self) -> Harness:
        """Return the system; a subclass overrides this."""
        raise NotImplementedError("override the fixture `harness`")

    @pytest.fixture
    def source(self, harness: Harness) -> Iterator[OpenSource]:
        """Return the opened source."""
        opened = harness.open()
        yield opened
        opened.close()
