"""As much of COQL as the fake of Zoho CRM understands, strictly: what Zoho would refuse is refused here too."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Test = Callable[[Mapping[str, Any]], bool]

_WORD = re.compile(r"\s*('(?:[^']|'')*'|<=|>=|!=|[()=<>,]|[A-Za-z_][A-Za-z0-9_]*|\d+)")
_QUERY = re.compile(r"select (?P<names>.+?) from (?P<module>\w+) where (?P<where>.+?)(?: order by id asc)? limit (?P<limit>\d+)", re.DOTALL)
_IN_CRITERIA = frozenset({"bigint", "text", "email", "phone", "picklist", "integer", "boolean", "date", "datetime", "lookup"})
_MOST_VALUES, _MOST_CRITERIA, _MOST_COLUMNS, _MOST_RECORDS = 100, 25, 500, 2_000


class BadQueryError(Exception):
    """Zoho would refuse this query; the text is its code."""


@dataclass(frozen=True)
class Query:
    """A query taken apart. after -- the id behind which it begins."""

    module: str
    names: tuple[str, ...]
    test: Test
    limit: int
    after: int


def parse(text: str, kinds: Mapping[str, Mapping[str, str]]) -> Query:
    """Return a query; kinds -- of each module, the kind of each field."""
    found = _QUERY.fullmatch(text)
    if found is None or found["module"] not in kinds:
        raise BadQueryError("SYNTAX_ERROR")
    module, names, limit = found["module"], tuple(found["names"].split(", ")), int(found["limit"])
    if not set(names) <= kinds[module].keys() or len(names) > _MOST_COLUMNS or not 0 < limit <= _MOST_RECORDS:
        raise BadQueryError("INVALID_QUERY")
    reading = _Reading(_WORD.findall(found["where"]), kinds[module])
    test = reading.whole()
    begin = re.search(r"\bid > '(\d+)'", found["where"])
    return Query(module, names, test, limit, int(begin[1]) if begin else 0)


class _Reading:
    """Reads criteria word by word."""

    def __init__(self, words: Sequence[str], kinds: Mapping[str, str]) -> None:
        self._words = list(words)
        self._kinds = kinds
        self._criteria = 0

    def whole(self) -> Test:
        test = self._pair()
        if self._words or self._criteria > _MOST_CRITERIA:
            raise BadQueryError("SYNTAX_ERROR")
        return test

    def _pair(self) -> Test:
        """Read one criterion, or two of them; more have to stand in brackets, two by two."""
        one = self._one()
        if not self._words or self._words[0] not in ("and", "or"):
            return one
        word, other = self._words.pop(0), self._one()
        return (lambda each: one(each) and other(each)) if word == "and" else (lambda each: one(each) or other(each))

    def _one(self) -> Test:
        if self._next() != "(":
            return self._criterion()
        test = self._pair_in_brackets()
        if not self._words or self._words.pop(0) != ")":
            raise BadQueryError("SYNTAX_ERROR")
        return test

    def _pair_in_brackets(self) -> Test:
        self._words.pop(0)
        return self._pair()

    def _next(self) -> str:
        if not self._words:
            raise BadQueryError("SYNTAX_ERROR")
        return self._words[0]

    def _criterion(self) -> Test:
        self._criteria += 1
        name = self._words.pop(0)
        kind = self._kinds.get(name, "")
        if kind not in _IN_CRITERIA:
            raise BadQueryError("INVALID_QUERY")
        word = self._words.pop(0) if self._words else ""
        if word == "is":
            negated = self._next() == "not"
            if negated:
                self._words.pop(0)
            if not self._words or self._words.pop(0) != "null":
                raise BadQueryError("SYNTAX_ERROR")
            return lambda each: (each.get(name) is not None) is negated
        if word == "in":
            values = set(self._values())
            return lambda each: _plain(each.get(name)) in values
        compared = _COMPARED.get(word)
        if compared is None or not self._words:
            raise BadQueryError("SYNTAX_ERROR")
        wanted = _value(self._words.pop(0), kind)
        return lambda each: each.get(name) is not None and compared(_value(f"'{_plain(each[name])}'", kind), wanted)

    def _values(self) -> list[str]:
        end = self._words.index(")")
        values = [each.strip("'") for each in self._words[1:end] if each != ","]
        self._words = self._words[end + 1 :]
        if len(values) > _MOST_VALUES:
            raise BadQueryError("INVALID_QUERY")
        return values


def _plain(said: Any) -> str:
    return str(said["id"] if isinstance(said, dict) else said)


def _value(word: str, kind: str) -> Any:
    """Return a constant as the kind of its column; Zoho takes no other."""
    text = word.strip("'")
    try:
        match kind:
            case "bigint" | "integer":
                return int(text)
            case "date":
                return dt.date.fromisoformat(text)
            case "datetime":
                moment = dt.datetime.fromisoformat(text)
                if moment.tzinfo is None:
                    raise BadQueryError("INVALID_QUERY")
                return moment
            case _:
                return text
    except ValueError:
        raise BadQueryError("INVALID_QUERY") from None


_COMPARED: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda one, other: one == other,
    "<": lambda one, other: one < other,
    "<=": lambda one, other: one <= other,
    ">": lambda one, other: one > other,
    ">=": lambda one, other: one >= other,
}
