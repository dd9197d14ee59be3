"""How hard properties are tried: `make unit` asks for a quick look while somebody works, `make test` for all of it."""

from __future__ import annotations

import os

_QUICK = "QUICK" in os.environ
_LEAST = 8


def examples(count: int) -> int:
    """Return how many examples to try where a thorough run tries `count`."""
    return max(_LEAST, count // 4) if _QUICK else count
