"""A shared index: one CSV file with a line for each dossier. What is not changed stays as it was, byte for byte.

An empty cell is an empty value. A line whose cells don't fit the header, or one of several lines for the same dossier, is unreadable:
nobody can tell what was meant. When a dossier goes, every line of its own goes.

The file is read and written line by line, and its lines lie spooled by the dossier's key: however long it is, it takes no more memory.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TextIO

from connectors.spooled import Spooled
from worker.core.facts import Raw

_BOM = "\ufeff"
_LONGEST = 1024 * 1024
_PAGE = 500


class UnreadableIndex(Exception):
    """The text is no index."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the index (it may span several, in quotation marks): its text with the line end, and its cells."""

    text: str
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Form:
    """How an index is written: its header, at which place the dossier's key stands, and what stands between cells."""

    header: Line
    key: int
    delimiter: str

    def key_of(self, line: Line) -> str | None:
        """Return the key that a line is about, None for a line without one."""
        return line.cells[self.key] or None if len(line.cells) > self.key else None

    def changed(self, line: Line, settings: Mapping[str, object]) -> Line:
        """Return a line with some cells set; one whose cells don't fit the header is returned as it is."""
        if len(line.cells) != len(self.header.cells):
            return line
        cells = [settings.get(name, cell) for name, cell in zip(self.header.cells, line.cells, strict=True)]
        end = line.text[len(line.text.rstrip("\r\n")) :]
        text = io.StringIO(newline="")
        # The writer puts a cell in quotation marks for the characters of its own line end, so that has to be both of them.
        csv.writer(text, delimiter=self.delimiter, lineterminator="\r\n").writerow("" if cell is None else cell for cell in cells)
        return self.line(text.getvalue().removesuffix("\r\n") + end)

    def line(self, text: str) -> Line:
        """Return the line that has this text."""
        return Line(text, tuple(next(csv.reader(io.StringIO(text, newline=""), delimiter=self.delimiter, strict=True))))


class Index:
    """An index as it was read: its form, and the lines of each key in the order of the file; closed by its owner.

    nameless -- how many lines have cells, and no key.
    """

    def __init__(self, form: Form, spooled: Spooled[str]) -> None:
        self.form = form
        self.nameless = 0
        self._spooled = spooled

    def close(self) -> None:
        """Let go of the lines."""
        self._spooled.close()

    def add(self, lines: Iterable[Line], wanted: tuple[str, str] | None = None) -> None:
        """Hold lines behind those that are held. wanted -- the first and the last key of those that are."""

        def held() -> Iterator[tuple[str, bytes]]:
            for line in lines:
                key = self.form.key_of(line)
                if key is None:
                    self.nameless += bool(line.cells)
                elif wanted is None or wanted[0] <= key <= wanted[1]:
                    yield key, json.dumps(line.text).encode() + b"\n"

        self._spooled.append(held())

    def __iter__(self) -> Iterator[str]:
        """Yield the keys that lines are about, in order."""
        for page in self._spooled.pages(_PAGE):
            yield from (key for key, _ in page)

    def __contains__(self, key: str) -> bool:
        """Whether any line is about a dossier."""
        return key in self._spooled

    def values(self, key: str) -> Mapping[str, Raw] | None:
        """Return the values of a dossier's line by column; None when it has no readable one."""
        texts = self._texts(key)
        cells = self.form.line(texts[0]).cells if len(texts) == 1 else ()
        names = self.form.header.cells
        return {name: cell or None for name, cell in zip(names, cells, strict=True)} if len(cells) == len(names) else None

    def digest(self, key: str) -> str:
        """Return a digest of a dossier's lines, which changes when they do."""
        return digest_of(self._texts(key))

    def change(self, going: Mapping[str, str], settings: Mapping[str, Mapping[str, object]]) -> None:
        """Hold the lines as `written` writes them."""
        self._spooled.remove([key for key, digest in going.items() if self.digest(key) == digest and key not in settings])
        for key, cells in settings.items():
            lines = [self.form.changed(self.form.line(text), cells) for text in self._texts(key)]
            self._spooled.remove([key])
            self.add(lines)

    def _texts(self, key: str) -> list[str]:
        """Return the texts of a dossier's lines."""
        return [json.loads(each) for each in (self._spooled.get(key) or b"").splitlines()]


def digest_of(texts: Iterable[str]) -> str:
    """Return the digest of a dossier's lines out of their texts."""
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()


def spool(source: str, file: TextIO, key: str, delimiter: str, wanted: tuple[str, str] | None = None) -> Index:
    """Return an index; UnreadableIndex when it is no UTF-8 text, has no header, or has no column of that name.

    source -- whose index it is, for errors; file -- UTF-8, with its line ends as they are; wanted -- the first and the last key of the
    lines that are held.
    """
    form, lines = read(file, key, delimiter)
    index = Index(form, Spooled(source))
    try:
        index.add(lines, wanted)
    except BaseException:
        index.close()
        raise
    return index


def read(file: TextIO, key: str, delimiter: str) -> tuple[Form, Iterator[Line]]:
    """Return (the form, the lines behind the header, which are read when they are taken); UnreadableIndex, also while they are."""
    lines = _lines(file, delimiter)
    header = next(lines, None)
    if header is None or header.cells.count(key) != 1 or len(set(header.cells)) != len(header.cells):
        raise UnreadableIndex
    return Form(header, header.cells.index(key), delimiter), lines


def trouble(file: TextIO, key: str, delimiter: str) -> tuple[str, str] | None:
    """Return (what is wrong with an index, what to do about it), None when it can be read. Nothing of what stands in it is repeated."""
    if (line := _undecodable(file)) is not None:
        return f"is not UTF-8 text in line {line}", "Save it as UTF-8; spreadsheets call that form 'CSV UTF-8'."
    file.seek(0)
    rows = _lines(file, delimiter)
    try:
        header = next(rows, None)
        if header is None:
            return "is empty", "It needs a header."
        cells = header.cells
        if cells.count(key) != 1:
            return _without_key(header, key, delimiter)
        if len(set(cells)) != len(cells):
            return "has two columns of one name", "Give every column a name of its own."
        for _ in rows:
            pass
    except UnreadableIndex:
        return "has a quotation mark that nothing closes, or a line without end", "Mend it, or save it anew."
    return None


def _undecodable(file: TextIO) -> int | None:
    """Return the first line that is no UTF-8."""
    for number, line in enumerate(iter(lambda: file.buffer.readline(_LONGEST), b""), start=1):
        try:
            line.decode()
        except UnicodeDecodeError:
            # A line without end may be cut off in the midst of a character.
            return number if len(line) < _LONGEST else None
    return None


def _without_key(header: Line, key: str, delimiter: str) -> tuple[str, str]:
    """Return what to say about a header that does not name the column of the key, once."""
    what = f"has no column {key!r} in its first line" if key not in header.cells else f"has two columns {key!r}"
    others = {each: header.text.count(each) for each in ";,\t|" if each != delimiter}
    likely = max(others, key=lambda each: others[each])
    if len(header.cells) == 1 and others[likely]:
        written = "\\t" if likely == "\t" else likely
        return what, f'Its cells seem to be set apart by another sign: declare index_delimiter = "{written}".'
    near = next((each for each in header.cells if each.strip().casefold() == key.strip().casefold()), None)
    return what, f"Did you mean {near!r}?" if near is not None else "The first line has to be the header, and `index_key` one of its names."


def written(
    file: TextIO, key: str, delimiter: str, going: Mapping[str, str], settings: Mapping[str, Mapping[str, object]]
) -> Iterator[bytes]:
    """Yield an index anew: without the lines of some dossiers, as long as they still have these digests, and with some cells of others set.

    The file is read twice: what is known about a dossier's lines is known when all of them are. UnreadableIndex as in reading it.
    """
    form, lines = read(file, key, delimiter)
    texts: dict[str, list[str]] = {}
    for line in lines:
        if (about := form.key_of(line)) is not None and about in going:
            texts.setdefault(about, []).append(line.text)
    removed = {about for about, found in texts.items() if digest_of(found) == going[about]}
    file.seek(0)
    form, lines = read(file, key, delimiter)
    yield form.header.text.encode()
    yield from (line.text.encode() for line in _changed(form, lines, removed, settings))


def _changed(form: Form, lines: Iterable[Line], removed: Collection[str], settings: Mapping[str, Mapping[str, object]]) -> Iterator[Line]:
    """Yield lines with some of them changed and some left out."""
    for line in lines:
        key = form.key_of(line)
        if key is not None and key in settings:
            yield form.changed(line, settings[key])
        elif key is None or key not in removed:
            yield line


def _lines(file: TextIO, delimiter: str) -> Iterator[Line]:
    """Yield the lines of an index; the reader takes as much text as one line needs, so what it took is the line's text."""
    taken: list[str] = []

    def taking() -> Iterator[str]:
        first = True
        while part := file.readline(_LONGEST):
            if len(part) == _LONGEST and not part.endswith(("\n", "\r")):
                raise UnreadableIndex
            taken.append(part)
            yield part.removeprefix(_BOM) if first else part
            first = False

    try:
        for cells in csv.reader(taking(), delimiter=delimiter, strict=True):
            yield Line("".join(taken), tuple(cells))
            taken.clear()
    except (UnicodeDecodeError, csv.Error):
        raise UnreadableIndex from None
