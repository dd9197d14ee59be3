"""Which members each event of the audit trail has: the closed set, its JSON Schema, and its table in docs/audit-format.md.

The set has a version. A new event or a new optional member leaves it as it is; whatever could mislead a reader of before raises it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from worker.audit.events import INTENTS, Action
from worker.audit.members import MEMBERS, POLICIES, SECONDS, TOTALS

VERSION = 1
"""The version of the set, said by `retention.stream_opened`."""

RESERVED: frozenset[Action] = frozenset()
"""Events whose name and form stand, and that nothing writes yet."""


@dataclass(frozen=True, slots=True)
class Form:
    """Which members an event always has, and which it may have; what all events have is not repeated."""

    required: tuple[str, ...]
    optional: tuple[str, ...] = ()


def _form(required: str = "", optional: str = "") -> Form:
    """Return a form from names without their `retention.`; names of other families are written out, with their dot."""
    return Form(_names(required), _names(optional))


def _names(words: str) -> tuple[str, ...]:
    return tuple(word if "." in word else f"retention.{word}" for word in words.split())


_ALWAYS = ("@timestamp", "event.action")
_SERVICE = ("service.name", "service.version", "trace.id")
_INTENT = "rule.id rule.version run batch source record event.reason"
_DECIDED = f"{_INTENT} level due deadline purposes"
_BESIDE = "facts subjects holds requests"

FORMS: Mapping[Action, Form] = {
    Action.STREAM_OPENED: _form("process.pid stream format events_version"),
    Action.STREAM_CLOSED: _form(),
    Action.STREAM_TORN: _form("stream line offset length sha256 chain"),
    Action.STREAM_UNCLOSED: _form("stream line offset length sha256 chain"),
    Action.RUN_STARTED: _form("run plan as_of by"),
    Action.RUN_ENDED: _form(
        "event.outcome event.reason run", "exit_code failed_sources " + " ".join(f"retention.total.{each}" for each in TOTALS)
    ),
    Action.PLAN_MADE: _form("event.outcome plan as_of by counts failed_sources", "replay count"),
    Action.PLAN_APPROVED: _form("event.outcome plan by mac"),
    Action.PLAN_REFUSED: _form("event.outcome event.reason by", "plan"),
    Action.BRAKE_TRIPPED: _form("event.outcome event.reason brake source", "plan run"),
    Action.STOP_REQUESTED: _form("event.reason source by"),
    Action.STOP_LIFTED: _form("source by"),
    Action.RUN_PAUSED: _form("event.reason limit run source"),
    Action.RUN_STOPPED: _form("event.outcome event.reason limit run source"),
    Action.RECORD_DELETED: _form(_DECIDED, _BESIDE),
    Action.RECORD_PSEUDONYMISED: _form(f"{_DECIDED} fields treatments", _BESIDE),
    Action.FIELDS_TREATED: _form(f"{_DECIDED} fields treatments", _BESIDE),
    Action.CHILD_DELETED: _form(f"{_INTENT} relation parent"),
    Action.CHILD_DETACHED: _form(f"{_INTENT} relation parent"),
    Action.RECORD_HELD: _form("rule.id run batch source record", "holds requests subjects"),
    Action.RECORD_SKIPPED: _form("event.reason rule.id run batch source record", "answer"),
    Action.RECORDS_HELD: _form("rule.id rule.version plan source count", "hold request"),
    Action.BATCH_CLOSED: _form("event.outcome batch batch_outcome count digest run source", "excluded presumed"),
    Action.BATCH_DEFERRED: _form("event.outcome event.reason run batch source count"),
    Action.BATCH_VERIFIED: _form("event.outcome run batch source count"),
    Action.FINDING: _form("event.reason rule.id source finding finding_kind count", "run plan"),
    Action.FINDING_ACCEPTED: _form("finding source by until count"),
    Action.HOLD_PLACED: _form("hold hold_kind scope source review_on by", "record subjects"),
    Action.HOLD_RELEASED: _form("hold by"),
    Action.REQUEST_ADDED: _form("request request_kind received_on answer_by verified by subjects"),
    Action.REQUEST_UPHELD: _form("request by"),
    Action.REQUEST_CLOSED: _form("request by"),
    Action.MARK_SET: _form("source record mark on by"),
    Action.MARK_REMOVED: _form("source record mark by"),
    Action.REVIEW_ANSWERED: _form("source record until by"),
    Action.REVIEW_DONE: _form("declaration on by"),
    Action.STATES_OBSERVED: _form("rule.id rule.version run source count new dropped"),
    Action.POLICY_APPROVED: _form("rule.id rule.version source by"),
    Action.SOURCE_APPROVED: _form("source shape by"),
    Action.SOURCE_FAILED: _form("event.outcome event.reason run source"),
    Action.KEY_CREATED: _form("key key_family"),
    Action.KEY_ROTATED: _form("key key_family replaces by"),
    Action.KEY_DESTROYED: _form("key key_family by"),
    Action.CHECKPOINT: _form("segments note"),
    Action.AUDIT_PRUNED: _form("stream ranges count keep oldest newest"),
    Action.ANCHORED: _form("streams sha256 by"),
    Action.RECORD_RETURNED: _form("event.reason rule.id plan source record run batch on"),
    Action.SUPPRESSION_ENDED: _form("event.reason run source count"),
    Action.SUPPRESSION_RELEASED: _form("source count by subjects"),
    Action.TOMBSTONES_DROPPED: _form("run source count"),
    Action.AGREEMENT_CHECKED: _form("event.outcome by count failed_sources", "since"),
    Action.CLOCK_SUSPECT: _form("event.reason"),
}
"""The form of every event. Intents leave out the service: there are many of them, and the file's first event says it."""


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of an event's payload."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"Event of the retention worker's audit trail, version {VERSION}",
        "type": "object",
        "required": list(_ALWAYS),
        "oneOf": [{"$ref": f"#/$defs/{action.removeprefix('retention.')}"} for action in Action],
        "$defs": {action.removeprefix("retention."): _schema_of(action) for action in Action},
    }


def _schema_of(action: Action) -> dict[str, Any]:
    """Return the schema of one event."""
    form = FORMS[action]
    required = (*_ALWAYS, *(() if action in INTENTS else _SERVICE), *form.required)
    made: dict[str, Any] = {
        "description": action.meaning,
        "type": "object",
        "required": list(required),
        "properties": {name: _property(name) for name in (*required, *form.optional)},
        "additionalProperties": False,
    }
    made["properties"]["event.action"] = {"const": str(action)}
    if action is Action.PLAN_MADE:
        made["patternProperties"] = {
            f"^{POLICIES.replace('.', '[.]')}": {**MEMBERS["rule.version"].schema},
            f"^{SECONDS.replace('.', '[.]')}": {"type": "number", "minimum": 0},
        }
    return made


def _property(name: str) -> dict[str, Any]:
    member = MEMBERS[name]
    return {**member.schema, "description": member.meaning}


def tables() -> str:
    """Return the part of docs/audit-format.md that lists the events and their members, in Markdown."""
    events = "".join(f"| `{action}` | {action.meaning} | {_in_words(action)} |\n" for action in Action)
    members = "".join(f"| `{each.name}` | {each.type_in_words} | {each.meaning} |\n" for each in MEMBERS.values())
    return (
        f"| event | meaning | members |\n|---|---|---|\n{events}\n"
        f"Every event has {_listed(_ALWAYS)}; every one but the intents also {_listed(_SERVICE)}. Optional members are in brackets.\n\n"
        f"| member | type | meaning |\n|---|---|---|\n{members}"
        f"| `{POLICIES}<source>` | text | The digest of the version of that source's policy. |\n"
        f"| `{SECONDS}<source>` | number | How long reading that source took for the plan. |\n"
    )


def _in_words(action: Action) -> str:
    """Return an event's own members in one cell."""
    form = FORMS[action]
    said = [f"`{_short(name)}`" for name in form.required] + [f"(`{_short(name)}`)" for name in form.optional if ".total." not in name]
    if action is Action.RUN_ENDED:
        said.append("(`total.*`)")
    if action is Action.PLAN_MADE:
        said.append("(`policies.*`), (`seconds.*`)")
    return ", ".join(said) + (" Nothing writes it yet." if action in RESERVED else "")


def _short(name: str) -> str:
    """Return a name as the table shows it: `retention.` is left out."""
    return name.removeprefix("retention.")


def _listed(names: tuple[str, ...]) -> str:
    *first, last = (f"`{name}`" for name in names)
    return f"{', '.join(first)} and {last}"
