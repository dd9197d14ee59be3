"""Values as Tryton's JSON writes them, and as rows have them. Moments are naive and in UTC, on every server."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from worker.core.facts import UNREADABLE, Raw

DAYS, MOMENTS = ("date",), ("datetime", "timestamp")
TEXTS = ("char", "text", "fulltext", "selection")
MANY = ("one2many", "many2many")


def read(value: Any, kind: str) -> Raw:
    """Return a value as a row has it; kind -- the type of its field. What is no single value is UNREADABLE."""
    if value is None:
        return None
    if kind == "boolean":
        return bool(value)
    if isinstance(value, Mapping):
        return _object(value)
    if isinstance(value, list) or kind in MANY:
        return UNREADABLE
    return value


def written(value: Raw, kind: str) -> Any:
    """Return a value as Tryton takes it for a field of this type."""
    if isinstance(value, str) and kind in (*DAYS, *MOMENTS):
        return written(_day(value, kind), kind) if value else None
    if isinstance(value, dt.datetime):
        if value.tzinfo is not None:
            value = value.astimezone(dt.UTC).replace(tzinfo=None)
        parts = ("year", "month", "day", "hour", "minute", "second", "microsecond")
        return {"__class__": "datetime", **{part: getattr(value, part) for part in parts}}
    if isinstance(value, dt.date):
        day = {part: getattr(value, part) for part in ("year", "month", "day")}
        return (
            {"__class__": "datetime", **day, **dict.fromkeys(("hour", "minute", "second", "microsecond"), 0)}
            if kind in MOMENTS
            else {
                "__class__": "date",
                **day,
            }
        )
    if isinstance(value, Decimal) or (kind == "numeric" and isinstance(value, int | str)):
        return {"__class__": "Decimal", "decimal": str(value)}
    return value


def is_same(read_back: Raw, asked: Raw, kind: str) -> bool:
    """Whether Tryton holds what it was given; it strips texts, and an empty one may be none."""
    if kind in TEXTS and isinstance(asked, str | None) and isinstance(read_back, str | None):
        return (read_back or "").strip() == (asked or "").strip()
    return read_back == read(written(asked, kind), kind)


def _object(value: Mapping[str, Any]) -> Raw:
    """Return the value that an object stands for."""
    try:
        match value.get("__class__"):
            case "datetime":
                parts = ("year", "month", "day", "hour", "minute", "second", "microsecond")
                return dt.datetime(*(value[part] for part in parts))  # noqa: DTZ001 - naive, in UTC
            case "date":
                return dt.date(value["year"], value["month"], value["day"])
            case "Decimal":
                return Decimal(value["decimal"])
    except (KeyError, TypeError, ValueError, InvalidOperation):
        pass
    return UNREADABLE


def _day(text: str, kind: str) -> dt.date:
    """Return the day or the moment that a text says; ValueError when it says none."""
    return dt.datetime.fromisoformat(text) if kind in MOMENTS else dt.date.fromisoformat(text)
