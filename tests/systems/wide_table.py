"""One wide table with two tables of children, in which the facts of any random policy can lie: what varies is how they are declared.

Every fact has two columns, one of its own type and one of texts, into which people may have written anything.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from random import Random
from typing import Any

import sqlalchemy as sa
from hypothesis import strategies as st

from tests.strategies import KEYS, ORGANISATION
from tests.unit.connectors.sql import values
from worker.core.facts import FieldType, Raw, Reading
from worker.core.model import Policy
from worker.core.periods import NO_TIME
from worker.core.sources import Aggregate, Disposal, Field, Match, Member, Relation, SharedFact
from worker.core.treatments import treater

DATES = ("left_on", "quoted_on", "ends_on", "agreed_on", "withdrew_on")
TEXTS = ("status", "name", "email", "phone", "ip")
_TYPED = {**dict.fromkeys(DATES, "DATE"), "contacted_at": "TIMESTAMP", "hired": "BOOLEAN", "amount": "NUMERIC(20, 4)"}
_KINDS = ("final", "draft", "FINAL", None)


@dataclass(frozen=True)
class Dialect:
    """What is different about one database.

    text, moment -- its types; written -- how a value is handed to its driver; odd -- what its columns of days take that is no day.
    """

    text: str
    moment: str
    written: Callable[[Any], Any] = lambda raw: raw
    text_written: Callable[[Any], Any] = lambda raw: raw if raw is None or isinstance(raw, str) else str(raw)
    odd: tuple[object, ...] = ()


def _as_text(raw: Any) -> Any:
    """Return a value as SQLite's columns hold it."""
    if isinstance(raw, dt.datetime):
        return raw.isoformat(" ")
    return str(raw) if isinstance(raw, dt.date | Decimal) else raw


SQLITE = Dialect("TEXT", "TIMESTAMP", _as_text, _as_text, ("yesterday", "", "2024-02-30", "2024-03-01T00:00", 20240101, b"2024-01-01"))
POSTGRES = Dialect("TEXT", "TIMESTAMP", odd=("infinity", "-infinity", "0044-03-15 BC"))
MARIADB = Dialect("VARCHAR(120) COLLATE utf8mb4_general_ci", "DATETIME", odd=("0000-00-00", "2024-00-10"))


@dataclass(frozen=True)
class Content:
    """What is inserted: rows of the three tables by column, and for every record the days that people set and that other sources know."""

    records: list[dict[str, object]]
    invoices: list[dict[str, object]]
    replies: list[dict[str, object]]


@dataclass
class WideTable:
    """The table in one database, filled around the connector."""

    url: str
    engine: sa.Engine
    dialect: Dialect
    _columns: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def create(self) -> None:
        """Create the tables, with an index on what is looked at over children."""
        text = self.dialect.text
        typed = {name: self.dialect.moment if kind == "TIMESTAMP" else kind for name, kind in _TYPED.items()}
        own = {**typed, **{f"{name}_text": text for name in typed}, **dict.fromkeys(TEXTS, text)}
        self._create("contacts", own)
        self._create("invoices", {"contact_id": "INT", "sent_on": "DATE", "sent_on_text": text, "kind": text})
        self._create("replies", {"contact_id": "INT"})
        with self.engine.begin() as connection:
            connection.exec_driver_sql("CREATE INDEX invoices_of ON invoices (contact_id, sent_on)")

    def fill(self, content: Content) -> None:
        """Put rows in the place of those that are there."""
        with self.engine.begin() as connection:
            for table, rows in (("contacts", content.records), ("invoices", content.invoices), ("replies", content.replies)):
                connection.exec_driver_sql(f"DELETE FROM {table}")
                names = self._columns[table]
                marks = ", ".join(f":{name}" for name in names)
                if rows:
                    connection.execute(
                        sa.text(f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks})"), [self._written(row, names) for row in rows]
                    )

    def _create(self, table: str, columns: Mapping[str, str]) -> None:
        self._columns[table] = ("id", *columns)
        listed = ", ".join(f"{name} {kind} NULL" for name, kind in columns.items())
        with self.engine.begin() as connection:
            connection.exec_driver_sql(f"CREATE TABLE {table} (id INT PRIMARY KEY, {listed})")

    def _written(self, row: Mapping[str, object], names: Iterable[str]) -> dict[str, object]:
        """Return a row as the driver takes it."""
        is_text = {name for name in names if name.endswith("_text") or name in TEXTS}
        return {name: (self.dialect.text_written if name in is_text else self.dialect.written)(row[name]) for name in names}


# --- Declarations over the table ------------------------------------------------------------------------------------------------------


@st.composite
def declared(draw: st.DrawFn, policy: Policy) -> Policy:
    """Return a policy whose facts lie in the table: each in one of its columns, some in children, at most one in other sources."""
    # Chance itself chooses: hypothesis likes the first of two columns far better than the second.
    chance, source = Random(draw(st.integers(0, 2**32))), policy.source
    fields = tuple(replace(each, column=_column(each.name, typed=chance.random() < 0.6)) for each in source.fields)
    shared: tuple[SharedFact, ...] = ()
    if chance.random() < 0.15:
        fields, shared = _moved_out(fields, "quoted_on")
    aggregates = tuple(_aggregate(each, chance) for each in source.aggregates)
    disposals = (Disposal.DELETE, Disposal.DELETE, Disposal.KEEP_PARENT, Disposal.BLOCK, Disposal.DETACH)
    relations = tuple(Relation(name, name, ("id",), ("contact_id",), ("id",), chance.choice(disposals)) for name in ("invoices", "replies"))
    return replace(policy, source=replace(source, fields=fields, aggregates=aggregates, relations=relations, shared=shared))


def _column(name: str, *, typed: bool) -> str:
    """Return the column in which a fact lies."""
    return name if typed or name not in _TYPED else f"{name}_text"


def _moved_out(fields: tuple[Field, ...], name: str) -> tuple[tuple[Field, ...], tuple[SharedFact, ...]]:
    """Return the fields without one of them, which lies in several sources from now on."""
    (moved,) = [each for each in fields if each.name == name]
    day = replace(moved, name="on", column="on", reading=replace(moved.reading, type=FieldType.DATE))
    member = Member("mails", "mails", (day,), ())
    return tuple(each for each in fields if each is not moved), (SharedFact(name, (member,), moved.reading.empty),)


def _aggregate(aggregate: Aggregate, chance: Random) -> Aggregate:
    """Return an aggregate over all rows of its relation, or over some."""
    where = (Match("kind", ("final",)),) if aggregate.relation == "invoices" and chance.random() < 0.5 else ()
    if aggregate.column is None:
        return replace(aggregate, where=where)
    return replace(aggregate, column=chance.choice(("sent_on", "sent_on", "sent_on_text")), where=where)


# --- Rows -----------------------------------------------------------------------------------------------------------------------------


def border_days(policy: Policy, today: dt.date) -> list[dt.date]:
    """Return the days on both sides of every cutoff of a policy, of every step of its chains."""
    extras = {NO_TIME, *(step.after for disposition in policy.dispositions for step in disposition.steps)}
    terms = [purpose.term for purpose in policy.purposes if purpose.term is not None]
    cutoffs = [found for term in terms for extra in extras if (found := term.longer(extra).cutoff(today)) is not None]
    near = [cutoff.toordinal() + more for cutoff in (*cutoffs, today) for more in (-1, 0, 1, 2)]
    return [dt.date.fromordinal(each) for each in near if 1 <= each <= dt.date.max.toordinal()]


@dataclass(frozen=True)
class Filling:
    """Draws rows for a policy on a day. usual -- only values that can be read, in columns that can be trusted."""

    policy: Policy
    today: dt.date
    dialect: Dialect
    random: Random
    scribbles: Sequence[object]
    days: Sequence[dt.date]
    usual: bool = False

    def content(self, count: int) -> Content:
        """Return so many records with their children."""
        records = [{"id": key, **self._record()} for key in range(count)]
        invoices: list[dict[str, object]] = []
        replies: list[dict[str, object]] = []
        for key in range(count):
            for _ in range(self.random.choice((0, 0, 1, 1, 2, 3))):
                day = {"sent_on": self._date(), "sent_on_text": self._text(self._date)}
                invoices.append({"id": len(invoices), "contact_id": key, **day, "kind": self.random.choice(_KINDS)})
            if self.random.random() < 0.4:
                replies.append({"id": len(replies), "contact_id": key})
        return Content(records, invoices, replies)

    def _record(self) -> dict[str, object]:
        found: dict[str, object] = {}
        for name in DATES:
            found |= {name: self._date(), f"{name}_text": self._text(self._date)}
        found |= {"contacted_at": self._moment(), "contacted_at_text": self._text(self._moment)}
        pick = self.random.choice
        found |= {"hired": pick((None, True, False)), "hired_text": pick((None, "", "1", "0", "yes", "No", "true", "maybe", " T "))}
        found |= {
            "amount": pick((None, 0, 1, Decimal("2.5"), Decimal("2.5001"), -1)),
            "amount_text": pick((None, "", "0", "1", "1.0", " 2.5 ", "2.5e0", "NaN", "many", "9" * 40)),
            "status": pick((None, "", " ", "open", "OPEN", "open ", "won", "lost", "öpen", "o\u0308pen")),
            **{name: self._personal(name) for name in ("name", "email", "phone", "ip")},
        }
        return found

    def _personal(self, name: str) -> object:
        """Return content that was treated before, or that was not."""
        pick = self.random.choice
        if name == "ip":
            return pick((None, "", "192.0.2.7", "192.0.2.0", "2001:db8::1", "2001:db8::", "nowhere", "0.0.0.0", "Ada was here"))
        field = self.policy.source.field(name)
        treated = None if field.treatment is None else treater(field, ORGANISATION, KEYS).treat("a@office.example")
        found: list[object] = [None, treated, treated, "", "Ada", "a@office.example"]
        return pick(found if self.usual else [*found, "p1-k1-" + "a" * 26])

    def _day(self) -> dt.date:
        return self.random.choice(self.days)

    def _date(self) -> object:
        """Return a value of a column of days."""
        pick = self.random.random()
        if pick < 0.14:
            return None
        if self.usual or pick < 0.84:
            return self._day()
        odd = (dt.date(1970, 1, 1), dt.date(1900, 1, 1), dt.date(9999, 12, 31), dt.date(1, 1, 1), *self.dialect.odd)
        return self.random.choice(odd)

    def _moment(self) -> object:
        """Return a value of a column of moments, many of them next to a midnight of the organisation."""
        if self.random.random() < 0.14:
            return None
        reading: Reading = next(each.reading for each in self.policy.source.fields if each.name == "contacted_at")
        day = self._day()
        if not dt.date(2, 1, 1) < day < dt.date(9998, 1, 1):
            return dt.datetime.combine(day, dt.time(12))
        seconds = self.random.choice((0, 0, -1, -1, 1, -3600, 3600, self.random.randrange(86_400)))
        midnight = dt.datetime.combine(day, dt.time.min, tzinfo=self.policy.zone).astimezone(dt.UTC)
        moment = (midnight + dt.timedelta(seconds=seconds)).astimezone(reading.stored_zone).replace(tzinfo=None, fold=0)
        return moment if self.usual or self.random.random() < 0.85 else dt.datetime(1970, 1, 1)

    def _text(self, typed: Callable[[], object]) -> Raw:
        """Return what people write where a day or a moment belongs."""
        found = typed()
        if self.usual or self.random.random() < 0.6:
            return None if found is None else str(found) if isinstance(found, dt.date) else ""
        return self.random.choice(self.scribbles)


scribbles = st.lists(values.text_dates, min_size=12, max_size=20)
"""Texts in columns of days and moments: every form that is read, and garbage."""
