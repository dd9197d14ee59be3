"""Selections as COQL, Zoho's query language: what it can say exactly or wider is said, all else is left to be looked at record by record.

Only dates, moments and emptiness are asked for. Texts aren't: Zoho compares them without regard to case and knows no blanks. A moment is
compared as an instant, so a local day is asked for with a day to spare on each side. Criteria stand in pairs of brackets, as Zoho wants
them, and a selection of more than it takes is read whole.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from functools import reduce

from connectors.zoho.columns import ID, Column
from worker.core.conditions import Op
from worker.core.facts import PLACEHOLDERS, FieldType, Unknown
from worker.core.select import Absent, Compares, Holding, Intersection, OnOrBefore, Selection, Suspect, Union
from worker.core.sources import Source
from worker.core.treatments import recogniser

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_MOST_CRITERIA = 22
_DATES = {FieldType.DATE: "date", FieldType.TIMESTAMP: "datetime"}
_SPARE = dt.timedelta(days=2)
_ASKED_FOR_EMPTINESS = frozenset({"text", "email", "phone", "website", "picklist", "date", "datetime"})


def query(module: str, columns: Sequence[str], where: str, limit: int) -> str:
    """Return the query for records in the order of their ids."""
    names = ", ".join(dict.fromkeys((ID, *columns)))
    return f"select {names} from {module} where {where} order by {ID} asc limit {limit}"


def where(after: int, last: int | None, criteria: str | None) -> str:
    """Return the criteria for records behind one id, up to another, that meet others too."""
    parts = [f"{ID} > '{after}'"]
    if last is not None:
        parts.append(f"{ID} <= '{last}'")
    if criteria is not None:
        parts.append(criteria)
    return _joined("and", parts)


def in_list(column: str, keys: Sequence[str]) -> str:
    """Return the criterion for a column that has one of these ids."""
    listed = ", ".join(f"'{each}'" for each in keys)
    return f"{column} in ({listed})"


def criteria(source: Source, columns: Mapping[str, Column], selection: Selection) -> str | None:
    """Return criteria that hold all records of a selection, and may hold more; None for all records."""
    said = _Asking(source, columns).of(selection)
    return said if said is None or len(re.findall(r" (?:<=|>=|<|>|is null|is not null)", said)) <= _MOST_CRITERIA else None


class _Asking:
    """Says selections over the fields of one source."""

    def __init__(self, source: Source, columns: Mapping[str, Column]) -> None:
        self._source = source
        self._columns = columns

    def of(self, selection: Selection) -> str | None:
        """Return the criteria for a selection; None for everything."""
        match selection:
            case Union(of):
                parts = [self.of(each) for each in of]
                if not parts:
                    return f"{ID} is null"
                return None if None in parts else _joined("or", [each for each in parts if each is not None])
            case Intersection(of):
                said = [each for each in map(self.of, of) if each is not None]
                return _joined("and", said) if said else None
            case OnOrBefore(fact, day):
                column = self._dated(fact)
                return None if column is None else f"{column.name} <= '{_moment(column, day, _SPARE)}'"
            case Absent(fact):
                column = self._dated(fact)
                return None if column is None else f"{column.name} is null"
            case Suspect(fact, today):
                return self._suspect(fact, today)
            case Compares(comparison) if comparison.op is Op.EXISTS and comparison.values == (True,):
                column = self._dated(comparison.fact)
                return None if column is None else f"{column.name} is not null"
            case Holding(name):
                return self._holding(name)
            case _:
                return None

    def _dated(self, fact: str) -> Column | None:
        """Return the column of a fact that is declared as what it is: a date or a moment."""
        field = next((each for each in self._source.fields if each.name == fact), None)
        column = None if field is None else self._columns.get(field.column)
        return column if field is not None and column is not None and column.kind == _DATES.get(field.reading.type) else None

    def _suspect(self, fact: str, today: dt.date) -> str | None:
        """Return the criteria for values that nobody can have meant."""
        column = self._dated(fact)
        if column is None:
            return None
        reading = self._source.field(fact).reading
        parts = [f"{column.name} <= '{_moment(column, max(reading.earliest, *_EARLY), _SPARE)}'"]
        parts.append(f"{column.name} >= '{_moment(column, min(max(PLACEHOLDERS), today), -_SPARE)}'")
        if isinstance(reading.fact(None, today), Unknown):
            parts.append(f"{column.name} is null")
        return _joined("or", parts)

    def _holding(self, name: str) -> str | None:
        """Return the criteria for fields that hold something, where nothing counts as treated."""
        field = self._source.field(name)
        column = self._columns.get(field.column)
        if column is None or column.kind not in _ASKED_FOR_EMPTINESS or field.treatment is None or field.treatment.beside:
            return None
        return f"{column.name} is not null" if recogniser(field)(None) else None


_EARLY = tuple(each for each in PLACEHOLDERS if each.year < 2_000)


def _moment(column: Column, day: dt.date, spare: dt.timedelta) -> str:
    """Return a day as a column of dates takes it, or a moment by which it has certainly passed, or has certainly not begun."""
    if column.kind == "date":
        return day.isoformat()
    try:
        return f"{(day + spare).isoformat()}T00:00:00+00:00"
    except OverflowError:
        return f"{day.isoformat()}T00:00:00+00:00"


def _joined(word: str, parts: Sequence[str]) -> str:
    """Return criteria joined in pairs."""
    return reduce(lambda one, other: f"({one} {word} {other})", parts)
