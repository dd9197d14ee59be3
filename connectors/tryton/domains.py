"""Selections as Tryton's domains, as far as days go: never narrower, and nothing where that can't be said."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

from connectors.tryton.values import DAYS, MOMENTS, written
from worker.core.select import Intersection, OnOrBefore, Selection, Union
from worker.core.sources import Source

_BEHIND = dt.timedelta(days=2)
"""No zone is a whole day behind UTC: a local day has ended by then."""


def domain(source: Source, selection: Selection, kind_of: Callable[[str], str | None]) -> list[Any] | None:
    """Return a domain that holds at least what the selection holds; None when that is everything. kind_of -- the type of a column."""
    match selection:
        case OnOrBefore(name, day) if day < dt.date.max - _BEHIND:
            column = next((each.column for each in source.fields if each.name == name), "")
            kind = kind_of(column)
            if kind in DAYS:
                return [[column, "<", written(day + _BEHIND, "date")]]
            return [[column, "<", written(day + _BEHIND, "datetime")]] if kind in MOMENTS else None
        case Union(of):
            found = [domain(source, each, kind_of) for each in of]
            return None if not found or None in found else ["OR", *found]
        case Intersection(of):
            known = [each for each in (domain(source, part, kind_of) for part in of) if each is not None]
            return ["AND", *known] if known else None
        case _:
            return None
