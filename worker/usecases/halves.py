"""Rows whose deletion takes several steps, of which the first hides them from their record: kept, sealed, until all of them were done.

Threat model. Between two steps the process may die, or the system refuse the second one. The row is then neither listed with its record nor
gone, and whoever looks at the record alone would say that it went. So the keys of all such rows of a batch are in the ledger with its
intent, before the first request, and those that came half way stay there when it is closed. While they are there the source gives them as
rows of their record: reading back finds them not done, and the next batch that takes the record ends them first, under the holds of that
day, with an intent and a closing event like everything else. Nothing is ended anywhere else. Keys may be personal data: they are sealed,
and dropped as soon as the source finds that nothing lies half way any more.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import TypeGuard

from worker.errors import ConfigurationError, Retriable, SourceFailed
from worker.keys import Keyring
from worker.ledger.ledger import Ledger
from worker.ledger.rows import BatchRow
from worker.ports import Begun, Halving
from worker.usecases.machine import Machine
from worker.usecases.planning import part_from_json, part_to_json


def is_halving(source: object) -> TypeGuard[Halving]:
    """Whether a source deletes rows along in several steps."""
    return isinstance(source, Halving) and source.halving


def seal(keyring: Keyring, batch_id: str, rows: Sequence[Begun]) -> str:
    """Return rows sealed for one batch; an empty text for none."""
    if not rows:
        return ""
    value = [[[part_to_json(part) for part in each.record], each.path, [part_to_json(part) for part in each.key]] for each in rows]
    return keyring.seal(json.dumps(value, separators=(",", ":")).encode(), context=_context(batch_id))


def unseal(keyring: Keyring, batch_id: str, sealed: str) -> list[Begun]:
    """Return the rows that were sealed for a batch."""
    value = json.loads(keyring.unseal(sealed, context=_context(batch_id)))
    return [Begun(tuple(map(part_from_json, record)), tuple(path), tuple(map(part_from_json, key))) for record, path, key in value]


def recalled(ledger: Ledger, keyring: Keyring, source: str) -> list[Begun]:
    """Return the rows of a source whose deletion batches have begun, or are about to."""
    return list(dict.fromkeys(each for batch_id, sealed in ledger.begun(source) for each in unseal(keyring, batch_id, sealed)))


def of_batch(machine: Machine, row: BatchRow) -> list[Begun]:
    """Return the rows of a batch that are kept."""
    kept = dict(machine.ledger.begun(row.source))
    return unseal(machine.keyring, row.batch_id, kept[row.batch_id]) if row.batch_id in kept else []


def forget_ended(machine: Machine, sources: Collection[str]) -> None:
    """Drop what is kept of batches that are final and lies half way no more; what can't be asked now is kept."""
    for name in sources:
        for batch_id, sealed in machine.ledger.begun(name, closed=True):
            with suppress(SourceFailed, Retriable, ConfigurationError):
                source = machine.open_source(machine.policy(name).source)
                rows = unseal(machine.keyring, batch_id, sealed)
                left = source.half_gone(rows) if isinstance(source, Halving) else rows
                if len(left) < len(rows):
                    machine.ledger.keep_begun(batch_id, seal(machine.keyring, batch_id, left))


def _context(batch_id: str) -> str:
    """Return what a sealed value is bound to."""
    return f"begun/{batch_id}"
