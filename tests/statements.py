"""What was compiled for one ledger serves the next, as a test that plays several processes would compile all of it again for each."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine

from worker.ledger.ledger import Ledger

_first: list[Engine] = []
"""The engine of the first ledger on SQLite. Statements are remembered by their dialect, so the others take over both."""


def compiled_once(ledger: Ledger) -> Ledger:
    """Return a ledger on SQLite that shares the statements, not the connections, of the others that were given."""
    if not _first:
        _first.append(ledger._engine)
    shared: Any = _first[0]
    own: Any = ledger._engine
    own.dialect, own._compiled_cache = shared.dialect, shared._compiled_cache
    return ledger
