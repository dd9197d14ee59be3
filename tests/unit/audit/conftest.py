"""An audit trail that is always closed, and a clock that stands still."""

import datetime as dt
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from worker.audit.trail import AuditTrail

NOON = dt.datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=dt.UTC)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "audit"


@pytest.fixture
def opened(folder: Path) -> Iterator[Callable[[], AuditTrail]]:
    """Open trails in the folder; each is let go at the end of the test."""
    trails: list[AuditTrail] = []

    def start() -> AuditTrail:
        trails.append(AuditTrail.open(folder, now=lambda: NOON, service_version="0.1.0"))
        return trails[-1]

    yield start
    for trail in trails:
        trail._abandon()


@pytest.fixture
def trail(opened: Callable[[], AuditTrail]) -> AuditTrail:
    return opened()
