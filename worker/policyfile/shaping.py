"""From a document to the models of its shape, with every departure from the shape told in words.

A part that is wrong is set aside, so that what is right can still be checked: one wrong value must not hide the other mistakes in the
file. What is set aside is whole things (a field, a purpose, an example, a source), because half a purpose would only bring follow-up
complaints.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from worker.core.model import LegalBasis
from worker.policyfile.document import Complaints, Document, nearest, nearest_name, shortened
from worker.policyfile.positions import Path
from worker.policyfile.schema import keys_at
from worker.policyfile.shape import FileShape
from worker.policyfile.values import NAME_PATTERNS, TAGS

_SPARE_ORGANISATION = {"name": "unnamed", "timezone": "UTC"}
_PARTS_OF_A_SOURCE = ("fields", "facts", "consents", "children", "parents")
_PARTS_OF_A_POLICY = ("purposes", "examples")
_LISTS = ("attestations", "reviews", "gaps")
_ROUNDS = 8
_WORDS = {
    "missing": "is missing",
    "string_type": "must be a text in quotes",
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "list_type": "must be a list",
    "dict_type": "must be a table",
    "model_type": "must be a table",
    "date_type": "must be a day without quotes and without a time, such as 2026-01-31",
    "too_short": "must not be empty",
    "string_too_short": "must not be empty",
}


_MISSING = {
    "version": "The file begins with the line version = 1.",
    "organisation": "Add [organisation] with `name` and `timezone`.",
    "timezone": 'Say in which zone days are counted, such as timezone = "Europe/Amsterdam".',
    "connector": 'Say which plug-in reads it, such as connector = "crm"; `retention connectors list` shows them.',
    "key": "Say which column identifies a record.",
    "purposes": "Say what the data are kept for, in one or more [[policies.purposes]].",
    "disposition": 'Say what happens when nothing needs a record: disposition = "delete", "pseudonymise" or "review".',
    "basis": f"One of {', '.join(each.value for each in LegalBasis)}.",
    "keep": 'Say how long, such as keep = "P2Y", or keep = "indefinite" for what has no end.',
}
"""What to write where a key is missing, by the key."""


@dataclass(frozen=True, slots=True)
class Shaped:
    """The part of a document that has the right shape.

    numbers -- for every list: the places its elements have in the document, since elements that are wrong were set aside.
    """

    file: FileShape
    numbers: Mapping[Path, list[int]]

    def paths(self, path: Path) -> list[Path]:
        """Return the paths in the document of the elements of the list at a path of the document."""
        return [(*path, number) for number in self.numbers.get(path, [])]


def shape(document: Document, complaints: Complaints) -> Shaped | None:
    """Return what has the right shape and complain about the rest; None when nothing can be made of the file."""
    aside: set[Path] = set()
    told = False
    for _ in range(_ROUNDS):
        numbers: dict[Path, list[int]] = {}
        values = _without(document.values, (), aside, numbers)
        if ("organisation",) in aside:
            values["organisation"] = _SPARE_ORGANISATION
        if ("version",) in aside:
            values["version"] = 1
        try:
            return Shaped(FileShape.model_validate(values), numbers)
        except ValidationError as error:
            found = [(*_place(document, each["loc"], numbers), each) for each in error.errors(include_url=False)]
            # Later rounds only find what setting things aside has left incomplete: no mistakes of the writer.
            if not told:
                _complain_all(complaints, found)
            for path, missing, each in found:
                aside.add(_unit(path if missing is None else (*path, missing), unknown_key=each["type"] == "extra_forbidden"))
            told = True
    return None


def _without(value: Any, path: Path, aside: Collection[Path], numbers: dict[Path, list[int]]) -> Any:
    """Return a copy of a value without what is set aside, and note which elements of lists are left."""
    if isinstance(value, dict):
        return {key: _without(each, (*path, key), aside, numbers) for key, each in value.items() if (*path, key) not in aside}
    if isinstance(value, list):
        numbers[path] = [number for number in range(len(value)) if (*path, number) not in aside]
        return [_without(value[number], (*path, number), aside, numbers) for number in numbers[path]]
    return value


def _place(document: Document, location: tuple[str | int, ...], numbers: Mapping[Path, list[int]]) -> tuple[Path, str | None]:
    """Return the path in the document that an error is about, and the key that is missing there, if one is."""
    path: Path = ()
    for part in location:
        value = document.value(path)
        if isinstance(part, int) and isinstance(value, list):
            path = (*path, numbers[path][part])
        elif isinstance(value, dict) and part in value:
            path = (*path, part)
        elif isinstance(part, str) and part not in TAGS and part != "[key]":
            return path, part
    return path, None


def _unit(path: Path, *, unknown_key: bool) -> Path:
    """Return what is set aside for an error at a path: an unknown key alone, else the smallest thing that means something by itself."""
    part_of = {"sources": _PARTS_OF_A_SOURCE, "policies": _PARTS_OF_A_POLICY, "periods": ()}
    if unknown_key or len(path) <= 1:
        return path[:1] if not unknown_key else path
    if path[0] in ("facts", *_LISTS):
        return path[:2]
    if path[0] not in part_of:
        return path[:1]
    of_part = len(path) >= 4 and path[2] in part_of[str(path[0])]
    return path[:4] if of_part else path[:2]


def _complain_all(complaints: Complaints, found: Sequence[tuple[Path, str | None, ErrorDetails]]) -> None:
    """Note every departure from the shape; a key that is missing because its name is misspelt is told once."""
    misspelt = {
        (*path[:-1], nearest_name(str(path[-1]), keys_at(path[:-1]))) for path, _, each in found if each["type"] == "extra_forbidden"
    }
    for path, missing, each in found:
        if missing is None or (*path, missing) not in misspelt:
            _complain(complaints, path, missing, each)


def _complain(complaints: Complaints, path: Path, missing: str | None, error: ErrorDetails) -> None:
    """Note one departure from the shape as a problem."""
    kind = error["type"]
    value = error["input"]
    context = error.get("ctx", {})
    if kind == "missing" and missing is not None:
        of_a_purpose = len(path) > 1 and path[-2] == "purposes"
        complaints.problem(path, f"{missing!r} is missing", _MISSING.get(missing, "") if missing != "keep" or of_a_purpose else "")
    elif kind == "extra_forbidden":
        keys = keys_at(path[:-1])
        complaints.problem(
            path, f"unknown key {shortened(str(path[-1]))}", nearest(str(path[-1]), keys) or f"Keys here: {', '.join(keys)}."
        )
    elif kind in ("enum", "literal_error"):
        valid = re.findall(r"'([^']*)'", str(context["expected"])) or [str(context["expected"])]
        if isinstance(value, str) and valid == [value]:  # Right but for its quotes.
            complaints.problem(path, f"must be {value}, without quotes")
            return
        shown = f"{shortened(value)} is not one of" if isinstance(value, str) else "must be one of"
        complaints.problem(path, f"{shown} {', '.join(valid)}", nearest(value, valid) if isinstance(value, str) else "")
    elif kind == "string_pattern_mismatch":
        complaints.problem(path, f"{shortened(str(value))} is not {NAME_PATTERNS[str(context['pattern'])]}")
    elif kind == "value_error":
        complaints.problem(path, str(context["error"]))
    else:
        complaints.problem(path, _WORDS.get(kind, str(error["msg"])), _form(kind, path, value))


def _form(kind: str, path: Path, value: object) -> str:
    """Return how a value of another kind would be written, where something of it is right."""
    if kind == "list_type" and isinstance(value, str):
        return f"Put it in square brackets: [{shortened(value)}]."
    if kind == "list_type" and isinstance(value, dict):
        return f"Write its header with two brackets: [[{_header(path)}]]."
    if kind in ("dict_type", "model_type") and not any(isinstance(each, int) for each in path):
        return f"Give it a header of its own, [{_header(path)}], and its keys below that."
    return ""


def _header(path: Path) -> str:
    """Return the header of a table at a path."""
    return ".".join(each for each in path if isinstance(each, str))
