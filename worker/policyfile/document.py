"""One policy file as it was read: its values, the line of every key, and the problems that were found in it.

All problems of a file are collected here and told at once, each with its line, its key path and, for a misspelt name, the nearest one that
exists.
"""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from functools import cached_property
from typing import Any

from worker.errors import ConfigurationError, Problem
from worker.policyfile.positions import Path, positions
from worker.policyfile.syntax import syntax_error

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_LABELS = {"policies": "source", "purposes": "id", "attestations": "id", "reviews": "id", "gaps": "id"}
_NEAR = 0.6


@dataclass(frozen=True)
class Document:
    """The values of a file and its text; `name` is how the file is called in messages."""

    name: str
    values: Mapping[str, Any]
    text: str

    @cached_property
    def lines(self) -> Mapping[Path, int]:
        """The 1-based line of every path; looked for when the first is asked for, as a file without mistakes needs none."""
        return positions(self.text.replace("\r\n", "\n"))

    @classmethod
    def parse(cls, text: str, name: str) -> Document:
        """Return the document that a text holds; ConfigurationError with line and column when it is no TOML."""
        try:
            return cls(name, tomllib.loads(text, parse_float=_decimal), text)
        except tomllib.TOMLDecodeError as error:
            raise ConfigurationError(syntax_error(str(error), text, name)) from error
        except RecursionError as error:
            raise ConfigurationError(f"{name}: values are nested too deeply to be read") from error
        except ValueError as error:  # A number of thousands of digits, for one, is refused by the language and not by the grammar.
            raise ConfigurationError(f"{name}: a value can't be read") from error

    def value(self, path: Path) -> Any:
        """Return the value at a path, None where there is none."""
        value: Any = self.values
        for part in path:
            try:
                value = value[part]
            except (KeyError, IndexError, TypeError):
                return None
        return value

    def names(self, path: Path) -> Collection[str]:
        """Return the names that a table at a path holds, whether or not anything about them is right."""
        table = self.value(path)
        return table.keys() if isinstance(table, dict) else ()

    def line(self, path: Path) -> int | None:
        """Return the line of a path, or of the nearest table around it that has one."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.lines:
                return self.lines[path[:length]]
        return None

    def where(self, path: Path) -> str:
        """Return file and key path; policies are told apart by their source and purposes by their id, other elements by number."""
        parts = [""]
        for length, part in enumerate(path, start=1):
            if isinstance(part, str):
                parts.append(part if _BARE.fullmatch(part) else shortened(part))
                continue
            label = self.value((*path[:length], _LABELS.get(str(path[length - 2]), "")))
            parts[-1] += f"[{shortened(label) if isinstance(label, str) and not _BARE.fullmatch(label) else label or part}]"
        return f"{self.name}: {'.'.join(parts[1:])}" if path else self.name


@dataclass(slots=True)
class Complaints:
    """What is wrong with a document (problems) and what somebody should look at although it works (warnings)."""

    document: Document
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    _places: list[Path] = field(default_factory=list)

    def problem(self, path: Path, what: str, hint: str = "", *, about: Path | None = None) -> None:
        """Note that something at a path must be changed.

        Nothing is noted when something inside it is wrong already, or with the thing it is `about`: that would be a consequence, not
        another mistake.
        """
        if self._inside(path) or (about is not None and self.troubled(about)):
            return
        self._places.append(path)
        self.problems.append(self._at(path, what, hint))

    def troubled(self, path: Path) -> bool:
        """Whether something at a path or inside it is wrong."""
        return path in self._places or self._inside(path)

    def _inside(self, path: Path) -> bool:
        return any(len(each) > len(path) and each[: len(path)] == path for each in self._places)

    def warn(self, path: Path, what: str, hint: str = "") -> None:
        """Note, once, that something at a path may not be what was meant."""
        warning = self._at(path, what, hint)
        if warning not in self.warnings:  # Two policies may start from one fact.
            self.warnings.append(warning)

    def _at(self, path: Path, what: str, hint: str) -> Problem:
        return Problem(self.document.where(path), f"{what}." if hint else what, hint, self.document.line(path))

    def known(self, path: Path, noun: str, name: str, valid: Iterable[str], declared: Collection[str] = ()) -> bool:
        """Whether a name is one of the valid ones; noted as a problem unless it is declared and something else is wrong with it."""
        names = list(valid)
        if name in names:
            return True
        if name not in declared:
            self.problem(path, f"there is no {noun} {shortened(name)}", nearest(name, names) or _choice(names))
        return False


def _decimal(text: str) -> Decimal:
    """Return a number as it was written, without the rounding of binary fractions."""
    try:
        return Decimal(text)
    except InvalidOperation as error:
        raise ValueError("a number beyond reason") from error


def nearest(name: str, valid: Iterable[str]) -> str:
    """Return a question for the nearest valid name, or an empty text when none is near."""
    found = nearest_name(name, valid)
    return f"Did you mean {found!r}?" if found is not None else ""


def nearest_name(name: str, valid: Iterable[str]) -> str | None:
    """Return the nearest valid name, None when none is near."""
    by_case = {each.casefold(): each for each in valid}
    found = difflib.get_close_matches(name[:100].casefold(), by_case, n=1, cutoff=_NEAR)
    return by_case[found[0]] if found else None


def shortened(text: str) -> str:
    """Return a quoted text in a length that a message can bear."""
    limit = 60
    return json.dumps(text if len(text) <= limit else text[:limit] + "…", ensure_ascii=False)


def _choice(names: list[str]) -> str:
    """Return a hint with all valid names when they are few."""
    few = 20
    return f"There are: {', '.join(names)}." if 0 < len(names) <= few else "" if names else "None is declared."
