"""Whole files of closed streams, for tests that do something to them and verify."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import HealthCheck, settings

from worker.audit.broken import Damage
from worker.audit.checkpoint import Head, anchor_text
from worker.audit.lines import Seal, parse_seal
from worker.audit.note import Signer
from worker.audit.trail import AuditTrail
from worker.audit.verify import Verdict

NOON = dt.datetime(2026, 3, 1, 12, 0, tzinfo=dt.UTC)
SIGNER = Signer.of("retention-worker/e-000001", bytes(range(32)))
THIEF = Signer.of("retention-worker/e-000001", bytes(32))
KEYS = [SIGNER.verifier]
RULE = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@dataclass(frozen=True)
class File:
    """A whole file of a closed stream: its name and its lines. heads -- its chain value by number of lines."""

    name: str
    stream: str
    lines: tuple[bytes, ...] = field(repr=False)

    @property
    def seals(self) -> list[Seal]:
        return [seal for seal in map(parse_seal, self.lines) if seal is not None]

    def anchor(self, lines: int | None = None) -> str:
        """Return an anchor made when the stream was so long; by default when it was closed."""
        seal = next(each for each in reversed(self.seals) if lines is None or each.line < lines)
        return SIGNER.sign(anchor_text([Head(self.stream, seal.line + 1, seal.segment.chain)], "2026-03-02T00:00:00.000Z"))


def body(number: int) -> bytes:
    return b'{"@timestamp":"t","event.action":"retention.record_deleted","retention.record":"2026:%06d","retention.count":1.5}' % number


def write(folder: Path, sizes: tuple[int, ...], signer: Signer | None = SIGNER, *, close: bool = True) -> File:
    """Write a stream with segments of these sizes, and a checkpoint after every second one."""
    trail = AuditTrail.open(folder, now=lambda: NOON, service_version="1", sign=signer.sign if signer else None)
    for place, size in enumerate(sizes):
        trail.write([body(number) for number in range(size)])
        if place % 2:
            trail.checkpoint()
    if close:
        trail.close()
    else:
        trail._abandon()
    return File(trail.path.name, trail.stream, tuple(trail.path.read_bytes().splitlines(keepends=True)))


Checked = Callable[..., Verdict]


def kinds(verdict: Verdict) -> set[Damage]:
    return {found.kind for found in verdict.findings}
