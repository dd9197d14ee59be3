"""Our own description of the calls of a vendor's API that a connector makes, and the check of every exchange with the vendor's fake.

A description is a module `tests/vendors/NAME_calls.py` with a `Description` called `DESCRIPTION`. Schemas are JSON Schema (draft 7) as
Python says it; parts that repeat are variables. An object that names its properties has no others unless it says `additionalProperties`, so
what the description doesn't know is a violation: a parameter or member that the connector sends, and one that the fake answers.
`tests/vendors/compare.py` holds a description against the one that the vendor publishes.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl, unquote

import fastjsonschema

Schema = Mapping[str, Any]
Check = Callable[[Any], Any]


def _is_moment(text: str) -> bool:
    """Whether a text is a moment with its offset (RFC 3339)."""
    try:
        return dt.datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


_FORMATS = {"date-time": _is_moment}


class ViolationError(AssertionError):
    """A request or an answer is not as described; the text says which and how."""


@dataclass(frozen=True)
class Call:
    """One call. path -- below the description's base, with `{name}` for each part that varies.

    query -- the query parameters, by name (arrays stand with commas between); required -- those that have to be there; places -- schemas of
    the path's own parameters, for those that aren't just texts; body -- of the request, None for a request that has none; form -- the body
    is a form, not JSON; answers -- schema of the body by status, None for no body; `default` stands for every other status of 400 and more.
    elsewhere -- why the call is not in the document that the vendor publishes and we compare with; empty when it is; beyond -- the same of
    single query parameters.
    """

    method: str
    path: str
    answers: Mapping[int | str, Schema | None]
    query: Mapping[str, Schema] = field(default_factory=dict)
    required: Sequence[str] = ()
    places: Mapping[str, Schema] = field(default_factory=dict)
    body: Schema | None = None
    form: bool = False
    elsewhere: str = ""
    beyond: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Return how the call is named in messages."""
        return f"{self.method} {self.path}"

    @cached_property
    def _parts(self) -> list[str]:
        return self.path.strip("/").split("/")

    def taken_apart(self, method: str, path: str) -> dict[str, str] | None:
        """Return the path's parameters when a request is this call, else None. No parameter is empty."""
        parts = path.strip("/").split("/")
        if method != self.method or len(parts) != len(self._parts):
            return None
        found: dict[str, str] = {}
        for mine, theirs in zip(self._parts, parts, strict=True):
            if mine.startswith("{"):
                if not theirs:
                    return None
                found[mine[1:-1]] = unquote(theirs)
            elif mine != unquote(theirs):
                return None
        return found

    def check_request(self, places: Mapping[str, str], query: str, body: bytes) -> None:
        """Raise ViolationError when a request of this call holds what is not described or lacks what is required."""
        for name, schema in self.places.items():
            self._check(f"path parameter {name}", schema, _typed(places[name], schema))
        given = parse_qsl(query, keep_blank_values=True)
        for name, text in given:
            if name not in self.query:
                raise ViolationError(f"{self.name}: the query parameter {name!r} is not described.")
            self._check(f"query parameter {name}", self.query[name], _typed(text, self.query[name]))
        missing = sorted({*self.required} - {name for name, _ in given})
        if missing:
            raise ViolationError(f"{self.name}: the query parameters {', '.join(missing)} are missing.")
        if self.body is None:
            if body:
                raise ViolationError(f"{self.name}: it has a body, and none is described.")
            return
        self._check("request", self.body, self._body(body))

    def check_answer(self, status: int, body: Any) -> None:
        """Raise ViolationError when an answer of the fake is not described. body -- what becomes JSON, None for no body."""
        key: int | str = status if status in self.answers or status < 400 else "default"
        if key not in self.answers:
            raise ViolationError(f"{self.name}: the status {status} is not described.")
        schema = self.answers[key]
        if schema is None:
            if body is not None:
                raise ViolationError(f"{self.name}: status {status} has a body, and none is described.")
            return
        self._check(f"answer {status}", schema, body)

    def _body(self, body: bytes) -> Any:
        """Return a request's body as its schema sees it."""
        if not self.form:
            try:
                return json.loads(body)
            except ValueError:
                raise ViolationError(f"{self.name}: the body of the request is no JSON.") from None
        properties: Mapping[str, Schema] = (self.body or {}).get("properties", {})
        return {name: _typed(text, properties.get(name, {})) for name, text in parse_qsl(body.decode(), keep_blank_values=True)}

    def _check(self, what: str, schema: Schema, value: Any) -> None:
        try:
            _validator(json.dumps(schema, sort_keys=True))(value)
        except fastjsonschema.JsonSchemaValueException as error:
            raise ViolationError(f"{self.name}: {what}: {error.message}.") from None


@dataclass(frozen=True)
class Description:
    """The calls of one vendor that we use. base -- what stands before every path."""

    vendor: str
    base: str
    calls: Sequence[Call]

    def find(self, method: str, path: str) -> tuple[Call, dict[str, str]]:
        """Return the call that a request makes, and the path's parameters; ViolationError when it makes none of ours."""
        if path.startswith(f"{self.base}/"):
            below = path.removeprefix(self.base)
            for call in sorted(self.calls, key=lambda each: each.path.count("{")):
                places = call.taken_apart(method, below)
                if places is not None:
                    return call, places
        raise ViolationError(f"{method} {path}: {self.vendor}'s description has no such call.")


def closed(schema: Any) -> Any:
    """Return a schema in which every object that names its properties has no others, unless it says so."""
    if not isinstance(schema, Mapping):
        return schema
    made: dict[str, Any] = {}
    for name, said in schema.items():
        if name == "properties":
            made[name] = {each: closed(of) for each, of in said.items()}
        elif name in ("items", "additionalProperties"):
            made[name] = closed(said)
        elif name in ("anyOf", "oneOf"):
            made[name] = [closed(each) for each in said]
        else:
            made[name] = said
    if "properties" in made:
        made.setdefault("additionalProperties", False)
    return made


_COMPILED: dict[str, Check] = {}


def _validator(schema: str) -> Check:
    """Return what checks a value against a schema; compiled once."""
    if schema not in _COMPILED:
        _COMPILED[schema] = fastjsonschema.compile(closed(json.loads(schema)), formats=_FORMATS, use_default=False)
    return _COMPILED[schema]


def _typed(text: str, schema: Schema) -> Any:
    """Return a text of a query, a path or a form as the type that its schema asks for; the text itself when it is none."""
    kinds = schema.get("type", ())
    for kind in [kinds] if isinstance(kinds, str) else kinds:
        if kind == "array":
            return [_typed(each, schema.get("items", {})) for each in text.split(",")]
        if kind == "boolean" and text in ("true", "false"):
            return text == "true"
        if kind in ("integer", "number"):
            try:
                return int(text) if kind == "integer" else float(text)
            except ValueError:
                continue
    return text
