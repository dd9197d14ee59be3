"""The line of every key: checked against hand-written documents, and against random ones whose writer kept count."""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.thoroughness import examples
from worker.policyfile.positions import Path, positions

SCALARS = (
    "1",
    "-2.5e3",
    "true",
    "2024-02-29",
    "2024-02-29 12:00:00Z",
    '"a # b"',
    "'c:\\'",
    '"quote \\" ] } end"',
    '""',
    '"""one\n[not.a.header]\nkey = "x"\n\\""" \n"""',
    "'''literal\n\\\n'''''",
    '""""two quotes"""""',
)
NAMES = st.one_of(st.sampled_from(["a", "b", "c-d", "e_1", "9"]), st.sampled_from(["", "a.b", 'q"', "#", "é", "new\nline", "a = 1"]))


def paths_of(value: object, path: Path = ()) -> set[Path]:
    """Return every path in a value as the TOML library reads it."""
    inner: set[Path] = set()
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in items:
        inner |= {(*path, key)} | paths_of(child, (*path, key))
    return inner


@dataclass
class Writer:
    """Writes a random document line by line and remembers on which line it wrote each name."""

    data: st.DataObject
    text: str = ""
    expected: dict[Path, int] = field(default_factory=dict)

    @property
    def line(self) -> int:
        return self.text.count("\n") + 1

    def name(self, text: str) -> str:
        bare = text.isascii() and text.replace("-", "").replace("_", "").isalnum()
        if bare and self.data.draw(st.booleans()):
            return text
        return json.dumps(text)

    def noise(self) -> None:
        self.text += self.data.draw(st.sampled_from(["", "", "\n", "# [no] = {\n", "\n  \t\r\n", "#\n#\n"]))

    def value(self, path: Path, depth: int) -> None:
        kind = self.data.draw(st.sampled_from(["scalar", "scalar", "array", "table"] if depth else ["scalar"]))
        if kind == "scalar":
            self.text += self.data.draw(st.sampled_from(SCALARS))
        elif kind == "array":
            self.text += "["
            for number in range(self.data.draw(st.integers(0, 3))):
                self.text += "," if number else ""
                self.text += self.data.draw(st.sampled_from(["", " ", "\n", " # ] comment\n  "]))
                self.expected[*path, number] = self.line
                self.value((*path, number), depth - 1)
            self.text += self.data.draw(st.sampled_from(["", "\n", " # end\n"])) + "]"
        else:
            self.text += "{ "
            for number, name in enumerate(self.names()):
                self.text += ", " if number else ""
                self.pair(path, name, depth - 1)
            self.text += " }"

    def names(self) -> list[str]:
        return self.data.draw(st.lists(NAMES, max_size=3, unique=True))

    def pair(self, path: Path, name: str, depth: int) -> None:
        dotted = [name, *self.data.draw(st.lists(NAMES, max_size=2))]
        line = self.line
        for length in range(1, len(dotted) + 1):
            self.expected[*path, *dotted[:length]] = line
        self.text += self.data.draw(st.sampled_from([".", " . "])).join(self.name(each) for each in dotted) + " = "
        self.value((*path, *dotted), depth)

    def table(self, path: Path) -> None:
        for name in self.names():
            self.noise()
            self.pair(path, name, 2)
            self.text += self.data.draw(st.sampled_from(["\n", " # said\n", "\r\n"]))

    def headers(self) -> None:
        """Write tables with headers, arrays of tables, and tables inside their last elements."""
        for name in self.data.draw(st.lists(st.sampled_from(["t", "u.v", "w"]), max_size=3, unique=True)):
            self.noise()
            path: Path = (name,)
            if self.data.draw(st.booleans()):
                self.expected[path] = self.line
                self.text += f"[ {json.dumps(name)} ]\n"
                self.table(path)
                continue
            for number in range(self.data.draw(st.integers(1, 3))):
                self.noise()
                self.expected.setdefault(path, self.line)
                self.expected[*path, number] = self.line
                self.text += f"[[{json.dumps(name)}]] # another\n"
                self.table((*path, number))
                self.noise()
                self.expected[*path, number, "in.ner"] = self.line
                self.expected[*path, number, "in.ner", "sub"] = self.line
                self.text += f'[ {json.dumps(name)} . "in.ner".sub ]\n'
                self.table((*path, number, "in.ner", "sub"))


class TestPositions:
    """Every key path has the line where its key stands."""

    @settings(max_examples=examples(30))
    @given(st.data())
    def test_random_documents(self, data: st.DataObject) -> None:
        """For random documents the lines are those the writer noted, and the paths are those the TOML library finds."""
        writer = Writer(data)
        writer.table(())
        writer.headers()
        values = tomllib.loads(writer.text)
        found = dict(positions(writer.text))
        assert writer.expected == found
        assert paths_of(values) == set(found)

    @pytest.mark.parametrize(
        ("text", "path", "line"),
        [
            ("a = 1\nb.c = 2\nb.d = 3\n", ("b",), 2),
            ("a = 1\nb.c = 2\nb.d = 3\n", ("b", "d"), 3),
            ("[a.b]\nx = 1\n[a]\ny = 2\n", ("a",), 3),
            ("[[a]]\n[[a.b]]\n[[a.b]]\nx = 1\n[[a]]\n[[a.b]]\nx = 2\n", ("a", 1, "b", 0, "x"), 7),
            ("a = '''\nb = 1\n'''\nc = 2", ("c",), 4),
            ("a = [\n  # one\n  1,\n  { b = 2 },\n]\n", ("a", 1, "b"), 4),
            ('\ufeffa = 1\n"b\\u0063" = 2'.removeprefix("\ufeff"), ("bc",), 2),
        ],
    )
    def test_known_documents(self, text: str, path: Path, line: int) -> None:
        """Dotted names, late headers, nested arrays of tables, multi-line strings, comments in arrays and escapes in names."""
        tomllib.loads(text)
        assert line == positions(text)[path]
