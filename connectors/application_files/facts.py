"""What is said about a dossier, from its sidecar, its name and the date of its files: pure, wherever the dossier is kept."""

from __future__ import annotations

import datetime as dt

from connectors.application_files import documents
from connectors.application_files.layout import LastModified, Layout, NamePart, Place, Stated, WholeName
from worker.core.facts import UNREADABLE, Raw


def said_in(sidecar: str | None, content: bytes | None) -> documents.Document | None:
    """Return what a sidecar says; None when there is none, or when nobody can tell."""
    if sidecar is None or content is None:
        return None
    try:
        return documents.parse(sidecar, content)
    except documents.UnreadableDocument:
        return None


def field_values(layout: Layout, key: str, said: documents.Document | None, latest: dt.datetime | None) -> dict[str, Raw]:
    """Return the values by field name; all are unreadable when nobody can tell what is said.

    latest -- the latest change of any file in the dossier, aware, None when nobody can tell.
    """
    if said is None:
        return dict.fromkeys(layout.places, UNREADABLE)
    return {field: _value(layout, place, key, said, latest) for field, place in layout.places.items()}


def _value(layout: Layout, place: Place, key: str, said: documents.Document, latest: dt.datetime | None) -> Raw:
    """Return a field's value."""
    match place:
        case Stated(path):
            return documents.value(said, path)
        case WholeName(prefix):
            return prefix + key
        case LastModified():
            return latest if latest is not None else UNREADABLE
        case NamePart(group):
            found = layout.pattern.fullmatch(key) if layout.pattern is not None else None
            return found[group] if found is not None else UNREADABLE


def plain(value: object) -> object:
    """Return a value as a sidecar or an index can hold it."""
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    return value if value is None or isinstance(value, str | bool | int | float) else str(value)
