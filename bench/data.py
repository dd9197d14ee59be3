"""The contacts that everything is measured on: about 200 bytes each, the same every time, one in five expired.

Of every hundred rows one is very old, nineteen are old and eighty are recent, in a random order, so that expired rows lie between
recent ones as they do in a table that has been in use for years. Every day is weeks away from every border: what is due never hangs on
an hour, and a reference that compares instants deletes exactly what the worker deletes.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

BLOCK = 100
"""Rows are built in blocks of this many; the number of rows is a multiple of it."""

AS_OF = dt.datetime(2026, 6, 30, 10, tzinfo=dt.UTC)
"""The instant at which every measurement takes place."""

COLUMNS = ("id", "name", "email", "phone", "city", "remark", "last_contact_at")

_VERY_OLD = (dt.date(2016, 1, 1), 1000)
_OLD = (dt.date(2021, 1, 1), 1000)
_RECENT = (dt.date(2024, 9, 1), 600)

_FIRST = ("Anna", "Bram", "Chantal", "Dirk", "Esther", "Femke", "Gerrit", "Hanneke", "Ibrahim", "Jolanda", "Kees", "Lotte", "Moniek")
_LAST = ("de Vries", "Jansen", "van den Berg", "Bakker", "Yilmaz", "Visser", "Smit", "Meijer", "El Amrani", "Mulder", "de Boer")
_CITY = ("Amsterdam", "Alphen aan den Rijn", "Bergen op Zoom", "Capelle aan den IJssel", "Zwolle", "Leeuwarden", "'s-Hertogenbosch")
_REMARK = (
    "Asked for a quote about the new catalogue; call back after the summer, prefers mornings.",
    "Met at the fair in Utrecht. Wants the printed brochure and a visit to the showroom.",
    "Customer of the predecessor, no order since. Ask whether the address is still right.",
)

Row = tuple[int, str | None, str, str | None, str, str, dt.datetime]
"""A contact in the order of COLUMNS; the last contact is a naive instant in UTC."""


@dataclass(frozen=True, slots=True)
class Share:
    """A part of the contacts that is due. keep -- the retention period that makes it due; cutoff -- its rows are older, naive UTC."""

    percent: int
    keep: str
    cutoff: dt.datetime

    def of(self, rows: int) -> int:
        """Return how many of so many rows are due."""
        return rows * self.percent // 100


NONE_DUE = Share(0, "P12Y", dt.datetime.fromisoformat("2014-06-30"))
FEW_DUE = Share(1, "P6Y", dt.datetime.fromisoformat("2020-06-30"))
DUE = Share(20, "P2Y", dt.datetime.fromisoformat("2024-06-30"))


def contacts(rows: int) -> Iterator[Row]:
    """Yield so many contacts in the order of their keys."""
    yield from _contacts(rows, _ages)


def treated_contacts(rows: int) -> Iterator[Row]:
    """Yield contacts of which the older half was pseudonymised by an earlier run and the other half is recent, so that none is due."""
    for key, name, email, phone, city, remark, seen in _contacts(rows, _halves):
        if seen < DUE.cutoff:
            body = base64.b32encode(hashlib.sha256(email.encode()).digest()[:16]).decode().rstrip("=").lower()
            yield key, None, f"p1-bench-{body}@contacts.invalid", None, city, remark, seen
        else:
            yield key, name, email, phone, city, remark, seen


def _ages(random: Random) -> list[tuple[dt.date, int]]:
    """Return, for every row of a block, the first day and the number of days out of which its last contact is drawn."""
    ages = [_VERY_OLD, *[_OLD] * 19, *[_RECENT] * 80]
    random.shuffle(ages)
    return ages


def _halves(random: Random) -> list[tuple[dt.date, int]]:
    """Return the ages of a block of which half was treated earlier."""
    ages = [_OLD, _RECENT] * (BLOCK // 2)
    random.shuffle(ages)
    return ages


def _contacts(rows: int, ages: Callable[[Random], list[tuple[dt.date, int]]]) -> Iterator[Row]:
    if rows % BLOCK:
        raise ValueError(f"the number of rows must be a multiple of {BLOCK}")
    random = Random(20260630)  # noqa: S311 - the same contacts every time, not secrets
    midnight = {day: dt.datetime.combine(day, dt.time()) for day, _ in (_VERY_OLD, _OLD, _RECENT)}
    key = 0
    for _ in range(rows // BLOCK):
        for first_day, days in ages(random):
            key += 1
            first, last = _FIRST[key % len(_FIRST)], _LAST[key % len(_LAST)]
            seen = midnight[first_day] + dt.timedelta(seconds=int(random.random() * days * 86_400))
            email = f"{first}.{key}@mail-{key % 97}.example".lower()
            yield key, f"{first} {last}", email, f"+316{key % 100_000_000:08d}", _CITY[key % len(_CITY)], _REMARK[key % len(_REMARK)], seen
