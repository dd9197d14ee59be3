"""Key files to work with."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.keys.place import Place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    made = Place(tmp_path / "place")
    made.wrapped()
    return made


@pytest.fixture
def before(tmp_path: Path) -> Place:
    """Return a place from before there were roots."""
    made = Place(tmp_path / "before")
    made.unwrapped()
    return made
