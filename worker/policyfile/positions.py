"""Where every key of a TOML document stands, so that a complaint can name its line.

`tomllib` answers the values of a document and nothing about places. This scanner walks a document that `tomllib` has already accepted
(TOML 1.0), so it need not tell right from wrong: it only follows headers, keys and the extent of values. The tests hold it to that with
random documents: it finds exactly the paths that `tomllib` finds, each on the line where the key was written.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping

Path = tuple[str | int, ...]
"""The way to a value: keys of tables, and 0-based numbers of elements."""

_BLANK = re.compile(r"[ \t]*")
_BETWEEN = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)*")
"""What may stand between two tokens: blanks, line ends and comments."""
_BARE_KEY = re.compile(r"[\w-]*")
_BARE_VALUE = re.compile(r"[^,\]}#\n]*")
_STRINGS = tuple(
    (quotes, re.compile(pattern, re.DOTALL))
    for quotes, pattern in (
        # A multi-line string may end with one or two quotes of its own before the closing three.
        ('"""', r'"""(?:[^"\\]++|\\.|"(?!""))*+""""*'),
        ("'''", r"'''.*?''''*"),
        ('"', r'"(?:[^"\\]++|\\.)*+"'),
        ("'", r"'[^']*'"),
    )
)
"""The four kinds of strings by what they begin with, the longer ones first."""


def positions(text: str) -> Mapping[Path, int]:
    """Return the 1-based line of every key and every element of an array, by path.

    The line of a key is where its name was written; a table that has a header of its own stands at its header, one that only came
    into being through longer names stands where it was first part of one; an array of tables stands at its first header.
    The text must be a document that `tomllib` accepts. RecursionError for values nested beyond reason.
    """
    scanner = _Scanner(text)
    scanner.document()
    return scanner.lines


class _Scanner:
    """Walks the text once from front to back."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.line = 1
        self.lines: dict[Path, int] = {}
        # The number of elements seen so far of every array of tables; a header that names the array means its last element.
        self.elements: dict[Path, int] = {}

    def document(self) -> None:
        """Walk headers and key-value pairs to the end of the text."""
        table: Path = ()
        while self._skip_to_token():
            if self._peek() == "[":
                table = self._header()
            else:
                self._pair(table)

    # --- Headers, keys and values --------------------------------------------------------------------------------------------------

    def _header(self) -> Path:
        """Read `[a.b]` or `[[a.b]]` and return the path of the table that follows."""
        line = self.line
        is_array = self.text.startswith("[[", self.at)
        self._advance(2 if is_array else 1)
        names = self._key()
        self._advance(2 if is_array else 1)
        path: Path = ()
        for name in names[:-1]:
            path = self._enter((*path, name), line)
        path = (*path, names[-1])
        if not is_array:
            self.lines[path] = line
            return path
        number = self.elements.get(path, 0)
        self.elements[path] = number + 1
        self.lines.setdefault(path, line)
        self.lines[*path, number] = line
        return (*path, number)

    def _enter(self, path: Path, line: int) -> Path:
        """Note a table that a longer name passes through, and step into the last element when it is an array of tables."""
        self.lines.setdefault(path, line)
        return (*path, self.elements[path] - 1) if path in self.elements else path

    def _pair(self, table: Path) -> None:
        """Read `a.b = value` into a table."""
        line = self.line
        path = table
        names = self._key()
        for name in names[:-1]:
            path = (*path, name)
            self.lines.setdefault(path, line)
        path = (*path, names[-1])
        self.lines[path] = line
        self._over(_BLANK)
        self._advance(1)
        self._over(_BLANK)
        self._value(path)

    def _key(self) -> list[str]:
        """Read a dotted name; afterwards the next character is the one behind it."""
        names: list[str] = []
        while True:
            self._over(_BLANK)
            if self._peek() in ('"', "'"):
                start = self.at
                self._string()
                names.append(_text_of(self.text[start : self.at]))
            else:
                names.append(self._over(_BARE_KEY))
            self._over(_BLANK)
            if self._peek() != ".":
                return names
            self._advance(1)

    def _value(self, path: Path) -> None:
        """Read over one value and note what lies inside it."""
        match self._peek():
            case '"' | "'":
                self._string()
            case "[":
                self._array(path)
            case "{":
                self._inline_table(path)
            case _:
                self._over(_BARE_VALUE)

    def _array(self, path: Path) -> None:
        """Read an array, whose elements may be spread over lines and set apart by comments."""
        self._advance(1)
        number = 0
        while self._skip_to_token() and self._peek() != "]":
            if self._peek() == ",":
                self._advance(1)
                continue
            self.lines[*path, number] = self.line
            self._value((*path, number))
            number += 1
        self._advance(1)

    def _inline_table(self, path: Path) -> None:
        """Read an inline table."""
        self._advance(1)
        while self._skip_to_token() and self._peek() != "}":
            if self._peek() == ",":
                self._advance(1)
            else:
                self._pair(path)
        self._advance(1)

    def _string(self) -> None:
        """Read over a string of any of the four kinds."""
        self._over(next(kind for quotes, kind in _STRINGS if self.text.startswith(quotes, self.at)))

    # --- Characters ----------------------------------------------------------------------------------------------------------------

    def _peek(self) -> str:
        """Return the next character, an empty text at the end."""
        return self.text[self.at : self.at + 1]

    def _advance(self, count: int) -> None:
        """Step over characters and count the lines among them."""
        self.line += self.text.count("\n", self.at, self.at + count)
        self.at += count

    def _over(self, pattern: re.Pattern[str]) -> str:
        """Step over what a pattern matches here, and return it; it must match, if only nothing."""
        found = pattern.match(self.text, self.at)
        text = found[0] if found is not None else ""
        self._advance(len(text))
        return text

    def _skip_to_token(self) -> bool:
        """Step over blanks, line ends and comments; False at the end of the text."""
        self._over(_BETWEEN)
        return self.at < len(self.text)


def _text_of(quoted: str) -> str:
    """Return what a quoted key says, by the rules of the library that reads the values."""
    return str(tomllib.loads(f"value = {quoted}")["value"])
