"""A shared index: one CSV file with a line for each dossier. What is not changed stays as it was, byte for byte.

An empty cell is an empty value. A line whose cells don't fit the header, or one of several lines for the same dossier, is unreadable:
nobody can tell what was meant. When a dossier goes, every line of its own goes.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from worker.core.facts import Raw

_BOM = "\ufeff"


class UnreadableIndex(Exception):
    """The text is no index."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the index (it may span several, in quotation marks): its text with the line end, and its cells."""

    text: str
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Index:
    """An index as it was read: the header, the lines by the dossier's key, and everything in the order of the file."""

    header: Line
    lines: tuple[Line, ...]
    key: int
    delimiter: str
    by_key: Mapping[str, tuple[Line, ...]]

    def values(self, key: str) -> Mapping[str, Raw] | None:
        """Return the values of a dossier's line by column; None when it has no readable one."""
        lines = self.by_key.get(key, ())
        if len(lines) != 1 or len(lines[0].cells) != len(self.header.cells):
            return None
        return {name: cell or None for name, cell in zip(self.header.cells, lines[0].cells, strict=True)}

    def digest(self, key: str) -> str:
        """Return a digest of a dossier's lines, which changes when they do."""
        return hashlib.sha256("\0".join(line.text for line in self.by_key.get(key, ())).encode()).hexdigest()

    def written(self, remove: Collection[str], settings: Mapping[str, Mapping[str, object]]) -> bytes:
        """Return the index without the lines of some dossiers, and with some cells of others set."""
        parts = [self.header.text]
        for line in self.lines:
            key = self._key(line)
            if key is not None and key in settings and len(line.cells) == len(self.header.cells):
                parts.append(self._changed(line, settings[key]))
            elif key is None or key not in remove:
                parts.append(line.text)
        return "".join(parts).encode()

    def _key(self, line: Line) -> str | None:
        """Return the key that a line is about, None for a line without one."""
        return line.cells[self.key] or None if len(line.cells) > self.key else None

    def _changed(self, line: Line, settings: Mapping[str, object]) -> str:
        """Return a line with some cells set."""
        cells = [settings.get(name, cell) for name, cell in zip(self.header.cells, line.cells, strict=True)]
        end = line.text[len(line.text.rstrip("\r\n")) :]
        text = io.StringIO(newline="")
        # The writer puts a cell in quotation marks for the characters of its own line end, so that has to be both of them.
        csv.writer(text, delimiter=self.delimiter, lineterminator="\r\n").writerow("" if cell is None else cell for cell in cells)
        return text.getvalue().removesuffix("\r\n") + end


def parse(content: bytes, key: str, delimiter: str) -> Index:
    """Return an index; UnreadableIndex when it is no UTF-8 text, has no header, or has no column of that name."""
    try:
        found = list(_lines(content.decode(), delimiter))
    except (UnicodeDecodeError, csv.Error):
        raise UnreadableIndex from None
    if not found:
        raise UnreadableIndex
    header = found[0]
    if header.cells.count(key) != 1 or len(set(header.cells)) != len(header.cells):
        raise UnreadableIndex
    position = header.cells.index(key)
    by_key: dict[str, tuple[Line, ...]] = {}
    for line in found[1:]:
        if len(line.cells) > position and line.cells[position]:
            name = line.cells[position]
            by_key[name] = (*by_key.get(name, ()), line)
    return Index(header, tuple(found[1:]), position, delimiter, by_key)


def _lines(text: str, delimiter: str) -> Iterator[Line]:
    """Yield the lines of an index; the reader takes as much text as one line needs, so what it took is the line's text."""
    taken: list[str] = []

    def taking() -> Iterator[str]:
        for number, part in enumerate(io.StringIO(text, newline="")):
            taken.append(part)
            yield part.removeprefix(_BOM) if number == 0 else part

    for cells in csv.reader(taking(), delimiter=delimiter, strict=True):
        yield Line("".join(taken), tuple(cells))
        taken.clear()
