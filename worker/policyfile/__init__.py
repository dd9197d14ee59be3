"""The policy file: from TOML to `worker.core.model.Schedule`, and everything that can be said about the file on the way.

What reads a file is imported when it is asked for: loading it takes a sixth of the time in which a process comes up.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from worker.policyfile.document import nearest
from worker.policyfile.normalform import digest, state_name

if TYPE_CHECKING:
    from worker.policyfile.declarations import in_words
    from worker.policyfile.loading import Report, check, load, loads
    from worker.policyfile.retention import Line
    from worker.policyfile.schema import json_schema

__all__ = ["Line", "Report", "check", "digest", "in_words", "json_schema", "load", "loads", "nearest", "state_name"]

_READING = {
    "Line": "retention",
    "Report": "loading",
    "check": "loading",
    "in_words": "declarations",
    "json_schema": "schema",
    "load": "loading",
    "loads": "loading",
}


def __getattr__(name: str) -> Any:
    """Return what reads policy files, imported now."""
    if name not in _READING:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_READING[name]}"), name)
