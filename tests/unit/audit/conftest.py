"""An audit trail that is always closed, and a clock that stands still."""

import datetime as dt
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.proofs import OTHER, OTHER_EVERYWHERE, proof_of, story
from tests.unit.audit.whole_files import KEYS, File, write
from worker.audit.proof import Proof, Reference
from worker.audit.trail import AuditTrail
from worker.audit.verify import Verdict, verify

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


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> File:
    return write(tmp_path_factory.mktemp("one"), (4, 1, 6, 3, 2))


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> File:
    return write(tmp_path_factory.mktemp("two"), (3, 5))


@pytest.fixture
def checked(tmp_path: Path) -> Callable[..., Verdict]:
    """Put files with these contents down and verify them."""
    counter = itertools.count()

    def check(contents: dict[str, bytes], *anchors: str) -> Verdict:
        folder = tmp_path / str(next(counter))
        folder.mkdir()
        for name, content in contents.items():
            (folder / name).write_bytes(content)
        return verify([folder / name for name in contents], KEYS, anchors)

    return check


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return story(tmp_path_factory.mktemp("story") / "audit")


@pytest.fixture(scope="module")
def proof(paths: list[Path]) -> Proof:
    return proof_of(paths)


@pytest.fixture(scope="module")
def died(tmp_path_factory: pytest.TempPathFactory) -> Proof:
    """Return the proof for the person out of a trail whose first process died."""
    return proof_of(story(tmp_path_factory.mktemp("died") / "audit", died=1))


@pytest.fixture(scope="module")
def others(paths: list[Path]) -> Proof:
    """Return the proof for the other person."""
    return proof_of(paths, [Reference("a-000001", 2026, "contacts", OTHER), Reference("a-000001", 2026, "*", OTHER_EVERYWHERE)])
