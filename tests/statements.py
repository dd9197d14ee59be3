"""What was compiled for one ledger serves the next: a test that opens a ledger per process it plays would compile everything again each time."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine

from worker.ledger.ledger import Ledger

_first: list[Engine] = []
"""The engine of the first ledger on SQLite. Statements are remembered by their dialect, so the others take that over with what it compiled."""


def compiled_once(ledger: Ledger) -> Ledger:
    """Return a ledger on SQLite that shares the statements, not the connections, of the others that were given."""
    if not _first:
        _first.append(ledger._engine)
    shared: Any = _first[0]
    for engine in (ledger._engine, ledger._writing):
        engine.dialect, engine._compiled_cache = shared.dialect, shared._compiled_cache
    return ledger
