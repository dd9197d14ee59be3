"""How hard properties are tried: `make unit` asks for a quick look while somebody works, `make test` for all of it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TypeVar

T = TypeVar("T")

_QUICK = "QUICK" in os.environ
_LEAST = 6


def examples(count: int) -> int:
    """Return how many examples to try where a thorough run tries `count`."""
    return min(count, max(_LEAST, count // 10)) if _QUICK else count


def size(count: int) -> int:
    """Return how large something is to be that a thorough run makes of `count` parts, such as the signs of a text."""
    return count // 200 if _QUICK else count


def walked(count: int) -> int:
    """Return how many days in a row to walk where a thorough run walks `count`: a third of a century has nearly every kind of year."""
    return count // 3 if _QUICK else count


def some(values: Iterable[T]) -> list[T]:
    """Return which of many like cases to try where a thorough run tries all: every fifth."""
    return list(values)[:: 5 if _QUICK else 1]
