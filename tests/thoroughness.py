"""How hard properties are tried: `make unit` asks for a quick look while somebody works, `make test` for all of it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TypeVar

T = TypeVar("T")

_QUICK = "QUICK" in os.environ
_LEAST = 8


def examples(count: int) -> int:
    """Return how many examples to try where a thorough run tries `count`."""
    return max(_LEAST, count // 4) if _QUICK else count


def some(values: Iterable[T]) -> list[T]:
    """Return which of many like cases to try where a thorough run tries all: every fifth."""
    return list(values)[:: 5 if _QUICK else 1]
