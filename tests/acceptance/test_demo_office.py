"""The demonstration office on disk, built twice."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from demo.office import build


def fingerprints(folder: Path) -> Iterator[tuple[str, str, float]]:
    for path in sorted(folder.rglob("*")):
        dated = path.stat().st_mtime if "applications" in path.parts else 0.0
        content = path.read_bytes() if path.is_file() else b"folder"
        yield str(path.relative_to(folder)), hashlib.sha256(content).hexdigest(), dated


def test_an_earlier_office_is_replaced_byte_for_byte(tmp_path: Path) -> None:
    """Whatever a run did to an office, building again gives the very same files, dates of dossiers included."""
    office = build(tmp_path / "office")
    again = shutil.copytree(office.folder, tmp_path / "again")
    (again / "crm.sqlite").write_bytes(b"damaged")
    (again / "crm.sqlite-wal").write_bytes(b"left behind")
    (again / "applications" / "2020-9999").mkdir()
    rebuilt = build(again)
    assert list(fingerprints(office.folder)) == list(fingerprints(again))
    assert (office.cases, office.canaries) == (rebuilt.cases, rebuilt.canaries)
