"""The fields of a module, the values that records have in them, and how values are sent: pure functions over what Zoho says."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from itertools import pairwise
from typing import Any

from worker.core.facts import UNREADABLE, Raw

Record = Mapping[str, Any]

ID = "id"
BINNED = "$binned"
"""Marks what stands for a record that lies in the recycle bin: nothing of it can be read."""


@dataclass(frozen=True, slots=True)
class Column:
    """A field of a module. kind -- Zoho's `data_type`; length -- in characters, None where it doesn't matter."""

    name: str
    kind: str
    writable: bool = True
    required: bool = False
    unique: bool = False
    rich: bool = False
    length: int | None = None


def column(said: Mapping[str, Any]) -> Column:
    """Return a field out of what Zoho says about it."""
    operations = said.get("operation_type")
    writable = not said.get("read_only") and not said.get("field_read_only")
    if isinstance(operations, Mapping):
        writable = writable and operations.get("api_update") is not False
    textarea = said.get("textarea")
    unique = said.get("unique")
    length = said.get("length")
    return Column(
        str(said["api_name"]),
        str(said.get("data_type", "")),
        writable=writable,
        required=said.get("system_mandatory") is True,
        unique=isinstance(unique, Mapping) and bool(unique),
        rich=isinstance(textarea, Mapping) and textarea.get("type") == "rich_text",
        length=length if isinstance(length, int) and length > 0 else None,
    )


def value(record: Record, name: str) -> Raw:
    """Return the value of a field: of a lookup the id of what it leads to, unreadable what is no single value, or left out.

    Zoho says null for what is empty in a field that was asked for.
    """
    said = UNREADABLE if record.get(BINNED) else record.get(name, UNREADABLE)
    if isinstance(said, Mapping) and isinstance(said.get(ID), str):
        return str(said[ID])
    if said is None or said == "":
        return None
    return said if isinstance(said, str | int | float) else UNREADABLE


def sent(settings: Mapping[str, Raw]) -> dict[str, Any]:
    """Return values as they are sent; nothing is sent as null, which makes a field empty."""
    return {name: _sent(new) for name, new in settings.items()}


def _sent(new: Raw) -> Any:
    if new is None or new == "":
        return None
    if isinstance(new, dt.date):
        return new.isoformat()
    if isinstance(new, Decimal):
        return int(new) if new == new.to_integral_value() else float(new)
    return new


def has(record: Record, settings: Mapping[str, Raw]) -> bool:
    """Whether a record has these values; Zoho writes moments by another offset, and numbers with decimals."""
    return all(_same(value(record, name), new) for name, new in sent(settings).items())


def _same(said: Raw, new: Raw) -> bool:
    if said == new:
        return True
    if said is None or new is None or isinstance(said, bool) or isinstance(new, bool):
        return False
    for read in (_number, _moment):
        one, other = read(said), read(new)
        if one is not None and one == other:
            return True
    return False


def _number(said: Raw) -> Decimal | None:
    try:
        return Decimal(str(said))
    except InvalidOperation:
        return None


def _moment(said: Raw) -> dt.datetime | None:
    try:
        found = dt.datetime.fromisoformat(str(said))
    except ValueError:
        return None
    return found if found.tzinfo is not None else None


def ordered(rows: Sequence[Record], after: int) -> bool:
    """Whether records come in the order of their ids, all behind one id and each once."""
    keys = [after, *(int(each[ID]) for each in rows)]
    return all(one < other for one, other in pairwise(keys))
