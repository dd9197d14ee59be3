"""Checking what was written to an audit trail against the closed set of events."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema

from worker.audit.events import Action
from worker.audit.lines import files
from worker.audit.vocabulary import json_schema

_DEFINITIONS = json_schema()["$defs"]
VALIDATORS = {action: jsonschema.Draft202012Validator(_DEFINITIONS[action.removeprefix("retention.")]) for action in Action}
"""What judges the events of one action."""

_DIGITS = re.compile(r"[0-9a-f]{4,}")
_known: set[str] = set()
"""Events that were judged already, the digits of their references made alike: most events differ in nothing else."""


def wrong_events(folder: Path) -> list[str]:
    """Return what is wrong with events under a folder, each with its action."""
    wrong = []
    for trail in {path.parent for path in folder.rglob("audit-*.jsonl")}:
        for path in files(trail):
            for line in path.read_text(encoding="ascii", errors="replace").splitlines():
                _, event, payload = line.partition(',"event":')
                if event and payload.endswith("}}"):
                    wrong += _wrong(payload[:-1])
    return wrong


def _wrong(payload: str) -> list[str]:
    """Return what is wrong with one event."""
    alike = _DIGITS.sub(lambda found: "0" * len(found[0]), payload)
    if alike in _known:
        return []
    event = json.loads(payload)
    found = [f"{event['event.action']}: {error.message}" for error in VALIDATORS[Action(event["event.action"])].iter_errors(event)]
    if not found:
        _known.add(alike)
    return found
