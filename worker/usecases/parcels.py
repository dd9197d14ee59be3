"""Planned batches as the ledger keeps them for whoever carries them out: what stands in the plan file, in few bytes.

Like the plan file they hold keyed references, reasons and a sealed key range, and no personal data. References don't compress, so they
stand as bytes; reasons and their positions are compressed.
"""

from __future__ import annotations

import datetime as dt
import json
import struct
import zlib
from array import array

from worker.ledger.rows import WorkRow
from worker.planfile import PlannedBatch, Reason

_HEAD = struct.Struct(">III")
_REFERENCE_DIGITS = 32


def packed(batch: PlannedBatch) -> bytes:
    """Return a planned batch without its id, source and number, which stand beside it."""
    reasons = [[each.action, each.due.isoformat(), each.why, each.facts, list(each.fields)] for each in batch.reasons]
    told = zlib.compress(json.dumps([batch.sealed_range, reasons], separators=(",", ":")).encode(), 1)
    references = bytes.fromhex("".join(batch.records))
    if len(references) * 2 != _REFERENCE_DIGITS * len(batch.records):
        raise ValueError("a reference is 16 bytes in hexadecimal")
    positions = zlib.compress(array("I", batch.records.values()).tobytes(), 1)
    return _HEAD.pack(len(told), len(references), len(positions)) + told + references + positions


def unpacked(body: bytes, batch_id: str, source: str, number: int) -> PlannedBatch:
    """Return the planned batch that `packed` packed."""
    sizes = _HEAD.unpack_from(body)
    begin = _HEAD.size
    parts = []
    for size in sizes:
        parts.append(body[begin : begin + size])
        begin += size
    sealed, reasons = json.loads(zlib.decompress(parts[0]))
    digits = parts[1].hex()
    references = [digits[start : start + _REFERENCE_DIGITS] for start in range(0, len(digits), _REFERENCE_DIGITS)]
    positions = array("I", zlib.decompress(parts[2]))
    table = [Reason(does, dt.date.fromisoformat(due), why, facts, tuple(fields)) for does, due, why, facts, fields in reasons]
    return PlannedBatch(batch_id, source, number, sealed, table, dict(zip(references, positions, strict=True)))


def work_row(run_id: str, batch: PlannedBatch, token: int) -> WorkRow:
    """Return a planned batch as a row that waits for a worker; token -- of the last attempt by which an earlier run tried it."""
    return WorkRow(run_id, batch.batch_id, batch.source, batch.number, len(batch.records), packed(batch), token)
