"""A record's key as a person types it, and as its system has it.

A number that was typed may be a text there, with zeros in front that count; sixteen bytes are typed as hexadecimal digits. Whoever keeps
something by a record's key looks the record up first: what was kept under another key than the system's would stand for no record.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from itertools import product

from worker.core.sources import Source
from worker.errors import ConfigurationError, RetentionError, Skippable, SourceFailed
from worker.ports import Key, KeyPart
from worker.usecases.machine import Machine

_UUID = 16
_NUMBER = re.compile(r"\s*-?\d{1,40}\s*", re.ASCII)


def readings(source: str, columns: Sequence[str], text: str) -> list[Key]:
    """Return what a typed key may be in its system, parts of a composite key separated by commas; whole numbers first, then texts.

    source -- how it is called in an error; columns -- of its key. Raises ConfigurationError for another number of parts.
    """
    parts = text.split(",") if len(columns) > 1 else [text]
    if len(parts) != len(columns):
        raise ConfigurationError(f"A key of {source} has {len(columns)} parts ({', '.join(columns)}), separated by commas.")
    return [*product(*(_readings(part) for part in parts))]


def _readings(part: str) -> list[KeyPart]:
    """Return what a part of a key may be: a number, a text, or bytes in hexadecimal digits."""
    found: list[KeyPart] = [int(part), part] if _NUMBER.fullmatch(part) else [part]
    with suppress(ValueError):
        found.append(bytes.fromhex(part.replace("-", "")))
    return found


def possible_keys(source: str, columns: Sequence[str], text: str) -> list[Key]:
    """Return the readings that a system is asked for: bytes only where they are those of a UUID, which nobody types by chance."""
    return [key for key in readings(source, columns, text) if all(not isinstance(part, bytes) or len(part) == _UUID for part in key)]


def stored_key(machine: Machine, source: Source, text: str) -> Key | None:
    """Return the key of a record as its system has it, given as it was typed; None when there is no such record.

    Raises ConfigurationError for another number of parts, and whatever the source raises when it can't be read.
    """
    refused: RetentionError | None = None
    alike: Key | None = None
    answered = False
    for typed in possible_keys(source.name, source.key, text):
        try:
            # A view of its own for each: a database that refuses to look for a number among texts answers nothing more in that one.
            with machine.open_source(source).reader() as reader:
                row = reader.get(typed, ())
        except (SourceFailed, Skippable, ConfigurationError) as error:
            refused = refused or error
            continue
        answered = True
        found: Key | None = None if row is None else row[: len(source.key)]  # type: ignore[assignment]
        if found == typed:
            return found
        # Asked for the number 42 a database may give the text 0042; asked for a text, what it gives is what it takes for the same.
        if found is not None and not any(isinstance(part, int) for part in typed):
            alike = alike or found
    if refused is not None and not answered:
        raise refused
    return alike
