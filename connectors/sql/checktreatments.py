"""Treatments against the columns they write to: NULL, length, type, uniqueness and generated columns are known before the run."""

from __future__ import annotations

from collections.abc import Iterator

from connectors.sql.selection import Model
from connectors.sql.tables import ColumnInfo, Kind, TableInfo
from worker.core.sources import Coarse, Field, Identifier, TreatmentKind
from worker.core.treatments import UNREADABLE_ADDRESS

_ALIKE = (TreatmentKind.CONSTANT, TreatmentKind.TRUNCATE, TreatmentKind.GENERALISE, TreatmentKind.SCRUB)
"""The treatments that may give two records the same value."""

_LONGEST_ADDRESS = len("ffff:ffff:ffff::")
_PSEUDONYM = len("p1-") + 8 + len("-") + 26
"""The length of a pseudonym made with a key whose id has eight characters."""
_TOKEN = len("r1-") + 26
_DAYS, _NUMBERS = (Kind.DATE, Kind.NAIVE, Kind.AWARE), (Kind.NUMBER, Kind.APPROXIMATE)


def treatment_problems(model: Model, *, dynamic: bool) -> Iterator[tuple[str, str]]:
    """Yield (where, what) for every treatment that its column can't take; `dynamic` for databases that don't enforce types."""
    for field in model.source.fields:
        if field.treatment is None:
            continue
        where = f".fields.{field.name}"
        info = model.table.columns[field.column]
        if field.column in model.source.key:
            yield where, f"{info.name} is part of the key and can't be treated."
        if info.generated:
            yield where, f"{info.name} is computed by the database and can't be treated."
        for what in _of_column(field, info, dynamic=dynamic):
            yield where, what
        if _is_unique(model.table, field.column) and field.treatment.kind in _ALIKE:
            yield where, f"{info.name} is unique, so not every record can get the same value."


def _of_column(field: Field, info: ColumnInfo, *, dynamic: bool) -> Iterator[str]:
    """Yield what the column's own declaration does not allow."""
    treatment = field.treatment
    if treatment is None:
        return
    if treatment.kind is TreatmentKind.CLEAR:
        if not info.nullable:
            yield f"{info.name} may not be empty (NOT NULL), so it can't be cleared; use another treatment, or allow NULL."
        return
    if treatment.coarse is not None and treatment.coarse is not Coarse.REGION:
        fitting = _NUMBERS if treatment.coarse is Coarse.RANGE else _DAYS
        if info.kind not in fitting and not dynamic:
            yield f"{info.name} has the type {info.declared}, of which no {treatment.coarse} can be written."
        return
    if treatment.scrubbing is not None and info.length is not None and not (treatment.scrubbing.within or info.length + 1) <= info.length:
        yield f"{info.name} takes {info.length} characters, and a scrubbed text may be longer than before: say within = {info.length}."
    if info.kind is not Kind.TEXT and not dynamic:
        yield f"{info.name} has the type {info.declared}; only a text column can take the treatment {treatment.kind}."
    needed = _needed_length(field)
    if info.length is not None and info.length < needed:
        yield f"{info.name} takes {info.length} characters, but the treatment {treatment.kind} writes up to {needed}."


def _needed_length(field: Field) -> int:
    """Return how long a text a treatment may write."""
    treatment = field.treatment
    match treatment.kind if treatment else None:
        case TreatmentKind.CONSTANT:
            return len(treatment.value) if treatment else 0
        case TreatmentKind.PSEUDONYM:
            tail = len(f"@{treatment.domain}.invalid") if treatment and field.identifier is Identifier.EMAIL else 0
            return _PSEUDONYM + tail
        case TreatmentKind.RANDOM:
            return _TOKEN + (len(f"@{treatment.domain}.invalid") if treatment and field.identifier is Identifier.EMAIL else 0)
        case TreatmentKind.GENERALISE:
            return treatment.size if treatment else 0
        case TreatmentKind.TRUNCATE:
            # An address that is longer in the column than its truncated form needs no more room than it had.
            return min(_LONGEST_ADDRESS, len(UNREADABLE_ADDRESS))
        case _:
            return 0


def _is_unique(table: TableInfo, column: str) -> bool:
    """Whether a column alone has to be unique."""
    return table.primary == (column,) or any(each.columns == (column,) for each in table.uniques)
