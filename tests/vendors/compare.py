"""Hold our description of a vendor's calls against the one that the vendor publishes.

    python -m tests.vendors.compare mailchimp members.yml

The vendor's is a file of OpenAPI 3 or Swagger 2 (YAML or JSON), or a folder of them. What ours knows and theirs doesn't (path, parameter,
member, type, value of an enumeration, status) is a contradiction, as is a parameter or member that theirs requires and ours doesn't: each
is printed, and the exit code is 1. Remarks are no contradictions: calls that stand elsewhere, empty values (vendors rarely say null), and
references that lead out of the documents. The vendors' documents are theirs; they are no part of this project and no test reads them.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.vendors.described import Call, Description

Document = Mapping[str, Any]
_COMBINED = ("oneOf", "anyOf")


@dataclass
class Found:
    """What the comparison found."""

    contradictions: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Part:
    """A piece of one document, of which references are followed in that document or in another one of the folder."""

    said: Mapping[str, Any]
    document: Document
    all: Mapping[str, Document]

    def of(self, said: Any) -> Part:
        """Return another piece of the same document, its reference followed."""
        part = Part(said if isinstance(said, Mapping) else {}, self.document, self.all)
        for _ in range(20):
            target = part.said.get("$ref")
            if not isinstance(target, str):
                return part
            name, _, pointer = target.partition("#")
            document = part.document if not name else self.all.get(name.rpartition("/")[2])
            if document is None:
                return Part({"x-elsewhere": target}, part.document, self.all)
            found: Any = document
            for step in pointer.strip("/").split("/"):
                found = found.get(step.replace("~1", "/").replace("~0", "~"), {}) if isinstance(found, Mapping) else {}
            part = Part(found, document, self.all)
        return part


def compare(description: Description, documents: Mapping[str, Document]) -> Found:
    """Return what of a description contradicts a vendor's documents, which go by their file names."""
    found = Found()
    for call in description.calls:
        if call.elsewhere:
            found.remarks.append(f"{call.name}: not compared: {call.elsewhere}")
            continue
        theirs = next(_operations(call, documents, description.base), None)
        if theirs is None:
            found.contradictions.append(f"{call.name}: there is no such call.")
            continue
        _parameters(call, theirs, found)
        _request(call, theirs, found)
        _answers(call, theirs, found)
    return found


def _operations(call: Call, documents: Mapping[str, Document], base: str) -> Iterator[Part]:
    """Yield the operations that a call may be, those of exactly its path first."""
    shapes = [_shape(call.path), _shape(base + call.path)]
    loose: list[Part] = []
    for document in documents.values():
        for path, item in (document.get("paths") or {}).items():
            said = (item or {}).get(call.method.lower())
            if said is None:
                continue
            shared = [*item.get("parameters", ()), *said.get("parameters", ())]
            part = Part({**said, "parameters": shared}, document, documents)
            if _shape(path) in shapes:
                yield part
            elif any(_fits(shape, _shape(path)) for shape in shapes):
                loose.append(part)
    yield from loose


def _shape(path: str) -> str:
    """Return a path without the names of its parameters."""
    return re.sub(r"{[^}]*}", "{}", path).strip("/")


def _fits(mine: str, theirs: str) -> bool:
    """Whether a path with a word in it is one that has a parameter there."""
    ours, others = mine.split("/"), theirs.split("/")
    return len(ours) == len(others) and all(there in ("{}", here) for here, there in zip(ours, others, strict=True))


def _parameters(call: Call, operation: Part, found: Found) -> None:
    """Compare query parameters."""
    theirs = {each.said.get("name"): each for each in map(operation.of, operation.said["parameters"]) if each.said.get("in") == "query"}
    for name, schema in call.query.items():
        if name not in theirs and name in call.beyond:
            found.remarks.append(f"{call.name}: query parameter {name}: not compared: {call.beyond[name]}")
            continue
        if name not in theirs:
            found.contradictions.append(f"{call.name}: the query parameter {name!r} is unknown there.")
            continue
        described = theirs[name].of(theirs[name].said.get("schema", theirs[name].said))
        _schemas(f"{call.name}: query parameter {name}", schema, described, found, sent=True)
    for name, part in theirs.items():
        if part.said.get("required") and name not in call.required:
            found.contradictions.append(f"{call.name}: the query parameter {name!r} is required there.")


def _request(call: Call, operation: Part, found: Found) -> None:
    """Compare the body of a request."""
    schema, forms = _body(operation)
    if call.body is None:
        if operation.of(operation.said.get("requestBody", {})).said.get("required"):
            found.contradictions.append(f"{call.name}: a body is required there.")
        return
    if schema is None:
        found.contradictions.append(f"{call.name}: no body is known there.")
        return
    if forms is not None and call.form not in forms:
        found.contradictions.append(f"{call.name}: the body is {'a form' if call.form else 'JSON'} here and not there.")
    _schemas(f"{call.name}: request", call.body, schema, found, sent=True)


def _body(operation: Part) -> tuple[Part | None, set[bool] | None]:
    """Return the schema of a request's body, and whether it is a form (True), JSON (False) or either."""
    content = operation.of(operation.said.get("requestBody", {})).said.get("content") or {}
    for kind in content.values():
        return operation.of(kind.get("schema", {})), {"form" in each for each in content}
    for parameter in map(operation.of, operation.said["parameters"]):
        if parameter.said.get("in") == "body":
            return parameter.of(parameter.said.get("schema", {})), None
    return None, None


def _answers(call: Call, operation: Part, found: Found) -> None:
    """Compare the answers."""
    theirs = {str(status): operation.of(said) for status, said in (operation.said.get("responses") or {}).items()}
    for status, schema in call.answers.items():
        there = theirs.get(str(status)) or theirs.get(f"{str(status)[0]}XX")
        if there is None and (status == "default" or int(status) >= 400):
            there = theirs.get("default")
        if there is None:
            found.contradictions.append(f"{call.name}: the status {status} is unknown there.")
            continue
        contents = list((there.said.get("content") or {}).values())
        said = there.said.get("schema") or (contents[0].get("schema") if contents else None)
        if schema is None:
            continue
        if said is None:
            found.remarks.append(f"{call.name}: answer {status}: no body is described there.")
            continue
        _schemas(f"{call.name}: answer {status}", schema, there.of(said), found, sent=False)


def _schemas(where: str, mine: Mapping[str, Any], theirs: Part, found: Found, *, sent: bool) -> None:
    """Compare a schema of ours with one of theirs. sent -- it is of what we send, so what they require has to be there."""
    if "x-elsewhere" in theirs.said:
        found.remarks.append(f"{where}: not compared: {theirs.said['x-elsewhere']}")
        return
    for word in _COMBINED:
        if word in mine:
            for number, each in enumerate(mine[word]):
                _schemas(f"{where} ({number + 1})", each, theirs, found, sent=sent)
            return
    for word in _COMBINED:
        if theirs.said.get(word):
            _any_of(where, mine, [theirs.of(each) for each in theirs.said[word]], found, sent=sent)
            return
    _types(where, mine, theirs, found)
    _members(where, mine, theirs, found, sent=sent)
    if "items" in mine and "items" in theirs.said:
        _schemas(f"{where}[]", mine["items"], theirs.of(theirs.said["items"]), found, sent=sent)


def _any_of(where: str, mine: Mapping[str, Any], theirs: Sequence[Part], found: Found, *, sent: bool) -> None:
    """Compare with several alternatives: one that fits is enough; else say what the nearest one has against it."""
    tried = []
    for each in theirs:
        tried.append(Found())
        _schemas(where, mine, each, tried[-1], sent=sent)
    best = min(tried, key=lambda each: (len(each.contradictions), len(each.remarks)))
    found.contradictions += best.contradictions
    found.remarks += best.remarks


def _types(where: str, mine: Mapping[str, Any], theirs: Part, found: Found) -> None:
    """Compare types and enumerations."""
    ours, others = _kinds(mine), _kinds(theirs.said)
    if others and ours:
        for kind in sorted(ours - others):
            if kind == "null":
                if not theirs.said.get("nullable"):
                    found.remarks.append(f"{where}: may be null here; nothing says so there.")
            elif not (kind == "integer" and "number" in others):
                found.contradictions.append(f"{where}: {kind} here, {' or '.join(sorted(others))} there.")
    values = [mine["const"]] if "const" in mine else mine.get("enum")
    allowed = _flat(theirs.said.get("enum"))
    if values is not None and allowed:
        for value in values:
            if value is not None and value not in allowed and str(value) not in map(str, allowed):
                found.contradictions.append(f"{where}: the value {value!r} is unknown there.")


def _flat(values: object) -> list[Any]:
    """Return the values of an enumeration; some vendors put each into a list of its own."""
    if not isinstance(values, list):
        return []
    return [each for value in values for each in (value if isinstance(value, list) else [value])]


def _kinds(schema: Mapping[str, Any]) -> set[str]:
    """Return the types of a schema."""
    said = schema.get("type")
    if said is None:
        return {"object"} if "properties" in schema else {"array"} if "items" in schema else set()
    return {said} if isinstance(said, str) else set(said)


def _members(where: str, mine: Mapping[str, Any], theirs: Part, found: Found, *, sent: bool) -> None:
    """Compare the members of objects."""
    known, required, is_open = _properties(theirs)
    for name, schema in mine.get("properties", {}).items():
        if name in known:
            _schemas(f"{where}.{name}", schema, known[name], found, sent=sent)
        elif not is_open:
            found.contradictions.append(f"{where}.{name} is unknown there.")
    if sent and "properties" in mine:
        for name in sorted(required - {*mine.get("required", ())}):
            found.contradictions.append(f"{where}.{name} is required there.")


def _properties(theirs: Part) -> tuple[dict[str, Part], set[str], bool]:
    """Return their members, which of them are required, and whether there may be others."""
    known = {name: theirs.of(said) for name, said in (theirs.said.get("properties") or {}).items()}
    required = set(theirs.said.get("required") or ()) if isinstance(theirs.said.get("required"), list) else set()
    more = theirs.said.get("additionalProperties")
    is_open = bool(more) or (not known and more is None and not theirs.said.get("allOf"))
    for each in theirs.said.get("allOf") or ():
        others, needed, opened = _properties(theirs.of(each))
        known |= others
        required |= needed
        is_open = is_open or (opened and not others)
    return known, required, is_open


def documents_in(path: Path) -> dict[str, Document]:
    """Return the documents of a file or a folder, by file name."""
    files = sorted(each for each in path.rglob("*") if each.suffix in (".json", ".yml", ".yaml")) if path.is_dir() else [path]
    return {each.name: yaml.safe_load(each.read_text(encoding="utf-8")) for each in files}


def main(arguments: Sequence[str]) -> int:
    """Compare, print, and return the exit code: 0 when nothing contradicts, 1 when something does, 2 for a call that makes no sense."""
    if len(arguments) != 2:
        print("python -m tests.vendors.compare VENDOR PATH-OF-THE-VENDOR'S-DESCRIPTION", file=sys.stderr)
        return 2
    description: Description = importlib.import_module(f"tests.vendors.{arguments[0]}_calls").DESCRIPTION
    found = compare(description, documents_in(Path(arguments[1])))
    for each in dict.fromkeys(found.contradictions):
        print(f"contradiction: {each}")
    for each in dict.fromkeys(found.remarks):
        print(f"remark: {each}")
    print(f"{len(description.calls)} calls, {len(found.contradictions)} contradictions, {len(found.remarks)} remarks")
    return 1 if found.contradictions else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
