"""The JSON Schema of a policy file, for editors that complete and check while somebody writes.

It says less than `load`: names that must exist elsewhere in the file, and what belongs together, only `load` knows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from worker.policyfile.shape import FileShape
from worker.policyfile.values import FORM

_DAY = {"type": "string", "format": "date"}
_SCALAR = {"anyOf": [{"type": "string"}, {"type": "number"}, {"type": "boolean"}, _DAY]}
_SCALARS = {"type": "array", "items": _SCALAR, "minItems": 1}
_CONDITION = {"$ref": "#/$defs/Condition"}
_FORMS: dict[str, dict[str, Any]] = {
    "Comparisons": {
        "type": "object",
        "additionalProperties": False,
        "minProperties": 1,
        "properties": {
            **dict.fromkeys(("eq", "ne", "lt", "le", "gt", "ge"), _SCALAR),
            "in": _SCALARS,
            "not_in": _SCALARS,
            "exists": {"type": "boolean"},
        },
    },
    "Condition": {
        "description": "Facts by name and what they must be; all of them have to be true.",
        "type": "object",
        "minProperties": 1,
        "properties": {
            "any": {"type": "array", "items": _CONDITION, "minItems": 1, "description": "At least one of these is true."},
            "all": {"type": "array", "items": _CONDITION, "minItems": 1, "description": "All of these are true."},
            "not": {**_CONDITION, "description": "This is false."},
        },
        "additionalProperties": {"anyOf": [_SCALAR, _SCALARS, {"$ref": "#/$defs/Comparisons"}]},
    },
    "Given": {
        "anyOf": [
            _SCALAR,
            {
                "type": "object",
                "additionalProperties": False,
                "required": ["is"],
                "properties": {"is": {"enum": ["unknown", "not_yet", "not_applicable"]}},
            },
        ]
    },
    "Values": {"anyOf": [_SCALAR, _SCALARS]},
}


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a policy file."""
    made = _cleaned(FileShape.model_json_schema())
    made["$defs"] = {**made["$defs"], **_FORMS}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made, "title": "Retention policy file"}


def keys_at(path: Sequence[str | int]) -> tuple[str, ...]:
    """Return the keys that a table at a path may have, in declared order; empty where any name goes or the path leads nowhere."""
    schema = _schema()
    found = [schema]
    for part in path:
        found = [inner for each in found for inner in _inside(schema, each, part)]
    return tuple(dict.fromkeys(key for each in found for table in _resolved(schema, each) for key in table.get("properties", ())))


@cache
def _schema() -> dict[str, Any]:
    return json_schema()


def _resolved(schema: dict[str, Any], part: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the alternatives that a part of the schema stands for."""
    if "$ref" in part:
        yield from _resolved(schema, schema["$defs"][part["$ref"].rpartition("/")[2]])
    yield part
    for each in (*part.get("anyOf", ()), *part.get("oneOf", ())):
        yield from _resolved(schema, each)


def _inside(schema: dict[str, Any], part: dict[str, Any], step: str | int) -> Iterator[dict[str, Any]]:
    """Yield what the schema says about one key or element of a part."""
    for each in _resolved(schema, part):
        if isinstance(step, int):
            if "items" in each:
                yield each["items"]
        elif step in each.get("properties", {}):
            yield each["properties"][step]
        else:
            yield from each.get("patternProperties", {}).values()


def _cleaned(part: Any) -> Any:
    """Return a schema without what only Python means: titles made from names, and null, which TOML does not have."""
    if isinstance(part, list):
        return [_cleaned(each) for each in part]
    if not isinstance(part, dict):
        return part
    if FORM in part:
        return {**{key: value for key, value in part.items() if key != FORM}, "$ref": f"#/$defs/{part[FORM]}"}
    kept: dict[str, Any] = {}
    for key, value in part.items():
        if key in ("properties", "$defs"):
            kept[key] = {name: _cleaned(each) for name, each in value.items()}
        elif not (key == "title" or (key == "default" and not isinstance(value, str | bool))):
            kept[key] = _cleaned(value)
    alternatives = [each for each in kept.get("anyOf", ()) if each != {"type": "null"}]
    if len(alternatives) == 1:
        del kept["anyOf"]
        return {**alternatives[0], **kept}
    if alternatives:
        kept["anyOf"] = alternatives
    return kept
