"""One measurement: what was done, to how many records, in how long, and whether it was really done."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import sqlalchemy as sa

from bench.data import DUE

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Time:
    """How long something took. seconds -- on the clock; busy -- seconds of a processor that this process used, servers not counted."""

    seconds: float
    busy: float


@dataclass(frozen=True, slots=True)
class Measure:
    """How long one way took. job -- delete, pseudonymise or plan."""

    database: str
    job: str
    way: str
    records: int
    time: Time

    @property
    def rate(self) -> float:
        """Records a second."""
        return self.records / self.time.seconds


class Wrong(Exception):
    """A way did not do what it was asked for, so its time means nothing."""


def timed(work: Callable[[], T]) -> tuple[T, Time]:
    """Do something and return what it answered and how long it took, the collection of old garbage not counted."""
    gc.collect()
    begin, busy = time.perf_counter(), time.process_time()
    answer = work()
    return answer, Time(time.perf_counter() - begin, time.process_time() - busy)


def confirm_deleted(engine: sa.Engine, way: str, left: int) -> None:
    """Raise Wrong unless exactly the rows that are not due are left."""
    _confirm(engine, way, "SELECT COUNT(*) FROM contacts", left)
    _confirm(engine, way, f"SELECT COUNT(*) FROM contacts WHERE last_contact_at < '{DUE.cutoff}'", 0)


def confirm_treated(engine: sa.Engine, way: str, treated: int) -> None:
    """Raise Wrong unless exactly the due rows have lost their name and phone and have a pseudonym."""
    gone = "name IS NULL AND phone IS NULL AND email LIKE 'p1-%'"
    _confirm(engine, way, f"SELECT COUNT(*) FROM contacts WHERE {gone}", treated)
    _confirm(engine, way, f"SELECT COUNT(*) FROM contacts WHERE {gone} AND last_contact_at < '{DUE.cutoff}'", treated)


def _confirm(engine: sa.Engine, way: str, question: str, expected: int) -> None:
    with engine.connect() as connection:
        actual = connection.exec_driver_sql(question.replace("%", "%%") if engine.dialect.paramstyle != "qmark" else question).scalar()
    if actual != expected:
        raise Wrong(f"{engine.dialect.name}, {way}: {question} answers {actual}, not {expected}")
