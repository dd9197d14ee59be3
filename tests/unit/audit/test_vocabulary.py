"""The closed set of events: documented, shipped as a schema, and the same as what the program's other parts call things.

To renew the schema and the tables of the document: REGENERATE=1 pytest tests/unit/audit/test_vocabulary.py.
"""

from __future__ import annotations

import ast
import json
import os
import re
from pathlib import Path
from typing import get_args

import jsonschema
import pytest

from tests.events import VALIDATORS
from worker.audit.events import Action
from worker.audit.members import MEMBERS, TOTALS
from worker.audit.vocabulary import FORMS, RESERVED, json_schema, tables
from worker.ledger import rows
from worker.ports import Level
from worker.usecases import pacing, reporting, sorting

ROOT = Path(__file__).parents[3]
SCHEMA = ROOT / "docs" / "audit-events.schema.json"
DOCUMENT = ROOT / "docs" / "audit-format.md"
_BEGIN = "<!-- The tables of events and members begin here; they are made from worker/audit/vocabulary.py. -->\n"
_END = "<!-- The tables of events and members end here. -->\n"


def test_the_shipped_schema_is_the_one_that_is_made() -> None:
    """Whoever reads the trail with the shipped schema reads what this version writes; and it is a schema."""
    made = json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"
    if "REGENERATE" in os.environ:
        SCHEMA.write_text(made, encoding="utf-8")
    assert made == SCHEMA.read_text(encoding="utf-8")
    jsonschema.Draft202012Validator.check_schema(json_schema())


def test_the_document_has_every_event_and_every_member() -> None:
    """The tables of the format's document are made from the set."""
    before, begin, rest = DOCUMENT.read_text(encoding="utf-8").partition(_BEGIN)
    _, end, after = rest.partition(_END)
    assert begin, "the page lost its mark"
    assert end, "the page lost its second mark"
    expected = before + begin + "\n" + tables() + "\n" + end + after
    if "REGENERATE" in os.environ:
        DOCUMENT.write_text(expected, encoding="utf-8")
    assert expected == DOCUMENT.read_text(encoding="utf-8")


def test_every_event_has_a_meaning_and_a_form() -> None:
    """Nothing can be said that is not described, and no member is described that no event has."""
    assert [] == [action for action in Action if not action.meaning]
    assert set(Action) == set(FORMS)
    used = {name for form in FORMS.values() for name in (*form.required, *form.optional)}
    assert set(MEMBERS) == used | {"@timestamp", "event.action", "service.name", "service.version", "trace.id"}


def test_the_words_of_members_are_those_of_the_program() -> None:
    """A kind of hold, a brake or a count that the program learns is one that the schema knows."""
    words = {name: set(member.schema.get("enum", ())) for name, member in MEMBERS.items()}
    assert set(get_args(rows.HoldKind)) == words["retention.hold_kind"]
    assert set(get_args(rows.HoldScope)) == words["retention.scope"]
    assert set(get_args(rows.RequestKind)) == words["retention.request_kind"]
    assert set(get_args(rows.FindingKind)) == words["retention.finding_kind"]
    assert {str(each) for each in Level} == words["retention.level"]
    sources = (ROOT / "worker" / "usecases").glob("*.py")
    brakes = {name for path in sources for name in re.findall(r'Tripped\(\s*"(\w+)"', path.read_text(encoding="utf-8"))}
    assert brakes == words["retention.brake"]
    assert set(get_args(pacing.Limit)) == words["retention.limit"]
    counted = {"acted", sorting.CHILDREN, *reporting.ACTIONS, *(f"skipped_{why}" for why in sorting.SKIPS)}
    assert counted == set(TOTALS)


def test_every_event_is_said_somewhere() -> None:
    """An event that no code mentions would be a promise nobody keeps; those that wait for their code are listed as reserved."""
    said: set[str] = set()
    for path in (ROOT / "worker").rglob("*.py"):
        if path.name not in ("events.py", "vocabulary.py"):
            text = path.read_text(encoding="utf-8")
            for node in ast.walk(ast.parse(text)) if "Action" in text else ():
                if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "Action":
                    said.add(node.attr)
    assert {action.name for action in Action} - {action.name for action in RESERVED} == said


@pytest.mark.parametrize(
    "change",
    [
        {"retention.name": "Jan"},
        {"retention.on": "yesterday"},
        {"retention.on": None},
        {"retention.record": "jan@firm.example"},
        {"@timestamp": "2026-01-01T00:00:00Z"},
        {"service.version": 1},
    ],
)
def test_what_is_not_declared_is_not_valid(change: dict[str, object]) -> None:
    """The schema is closed: another member, another type, or a value where a reference belongs is told."""
    event = {
        "@timestamp": "2026-01-01T00:00:00.000Z",
        "event.action": "retention.mark_set",
        "service.name": "retention-worker",
        "service.version": "1",
        "trace.id": "0" * 32,
        "retention.source": "contacts",
        "retention.record": "a" * 32,
        "retention.mark": "ended",
        "retention.on": "2026-01-01",
        "retention.by": "dora",
    }
    validator = VALIDATORS[Action.MARK_SET]
    assert validator.is_valid(event)
    assert not validator.is_valid({name: value for name, value in {**event, **change}.items() if value is not None})
