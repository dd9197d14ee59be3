"""Application files keep the contract, with sidecars in JSON and TOML, with a shared index, and where each is a single file."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest
import tomlkit

from connectors.contract import COLUMNS, FIELDS, ConnectorContract, Harness, Record
from connectors.plugins import application_files
from worker.core.sources import Source
from worker.ports import Connection, Key, OpenSource

WORKING = ".retention-removed"
AWKWARD_NAMES = (
    "Zoë 'de' \"Wilge\" \\ %_ ; -- $1 {x}",
    "🌻👩‍👩‍👧‍👧",
    "مرحبا",
    "e\u0301",
    "\u00e9",
    "line\nend",
    " spaces ",
    "-rf",
    "n" * 255,
    "*",
)


class FilesHarness(Harness):
    """Dossiers with one kind of sidecar and a document."""

    awkward_keys = tuple((name,) for name in (*AWKWARD_NAMES, "\ufffd:" + b"caf\xe9".hex()))
    odd_dates = ("0000-00-00", "yesterday", "  ", "2020-02-30", "")
    selections = 30
    many = 2_000
    first_page = 10_000
    suffix = "json"
    options: Mapping[str, str] = {}

    def __init__(self, root: Path) -> None:
        self.root = root
        self.source = Source("applications", "application_files", ".", ("folder",), FIELDS, options=self.options)

    def open(self) -> OpenSource:
        return application_files(self.source, Connection(path=self.root))

    def fill(self, records: Mapping[Key, Record]) -> None:
        for folder in self._folders():
            shutil.rmtree(folder)
        for key, record in records.items():
            folder = self._folder(key)
            folder.mkdir()
            (folder / "letter.txt").write_text("Dear reader")
            self.write(folder, record)

    def write(self, folder: Path, record: Record) -> None:
        (folder / f"application.{self.suffix}").write_bytes(self.text(record))

    def text(self, record: Record) -> bytes:
        return json.dumps(record, default=_written, ensure_ascii=False).encode()

    def said(self, text: bytes) -> dict[str, object]:
        found: dict[str, object] = json.loads(text)
        return found

    def dump(self) -> dict[Key, dict[str, object]]:
        found: dict[Key, dict[str, object]] = {}
        for folder in self._folders():
            assert "Dear reader" == (folder / "letter.txt").read_text()
            found[self._key(folder)] = self.said((folder / f"application.{self.suffix}").read_bytes())
        return found

    def disturb(self, key: Key, record: Record | None) -> bool:
        if record is None:
            shutil.rmtree(self._folder(key))
        else:
            self.write(self._folder(key), record)
        return True

    def names(self) -> Iterable[str]:
        working = self.root / WORKING
        return [str(path.relative_to(working)) for path in working.rglob("*")] if working.exists() else []

    def _folders(self) -> list[Path]:
        return [path for path in self.root.iterdir() if path.is_dir() and path.name != WORKING]

    def _folder(self, key: Key) -> Path:
        name = str(key[0])
        return self.root / (os.fsdecode(bytes.fromhex(name[2:])) if name.startswith("\ufffd:") else name)

    def _key(self, folder: Path) -> Key:
        name = os.fsencode(folder.name)
        try:
            return (name.decode(),)
        except UnicodeDecodeError:
            return (f"\ufffd:{name.hex()}",)


class TomlHarness(FilesHarness):
    """Dossiers with sidecars in TOML, where an empty value is a line that is left out."""

    many = 0
    first_page = 0
    suffix = "toml"

    def text(self, record: Record) -> bytes:
        return tomlkit.dumps({name: value for name, value in record.items() if value is not None}).encode()

    def said(self, text: bytes) -> dict[str, object]:
        return dict.fromkeys(COLUMNS) | dict(tomlkit.loads(text.decode()).unwrap())


class IndexHarness(FilesHarness):
    """Dossiers with one index for all, in the CSV of a spreadsheet; an empty cell is an empty value."""

    options: Mapping[str, str] = {"index": "index.csv", "index_key": "Folder", "index_delimiter": ";"}

    def kept(self, value: str | None) -> str | None:
        return value or None

    def fill(self, records: Mapping[Key, Record]) -> None:
        self.lines: dict[Key, dict[str, object]] = {}
        super().fill(records)
        self.lines = {key: dict(record) for key, record in records.items()}
        self._save()

    def write(self, folder: Path, record: Record) -> None:
        if self._key(folder) in self.lines:
            self.lines[self._key(folder)] = dict(record)
            self._save()

    def dump(self) -> dict[Key, dict[str, object]]:
        with (self.root / "index.csv").open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file, delimiter=";"))
        found = {(row.pop("Folder"),): {name: cell or None for name, cell in row.items()} for row in rows}
        assert sorted(found) == sorted(self._key(folder) for folder in self._folders())
        return dict(found)

    def disturb(self, key: Key, record: Record | None) -> bool:
        if record is None:
            del self.lines[key]
            self._save()
        return super().disturb(key, record)

    def _save(self) -> None:
        text = io.StringIO(newline="")
        writer = csv.writer(text, delimiter=";", lineterminator="\r\n")
        writer.writerow(["Folder", *COLUMNS])
        for key, record in self.lines.items():
            writer.writerow([key[0], *("" if record[name] is None else _written(record[name]) for name in COLUMNS)])
        (self.root / "index.csv").write_bytes(b"\xef\xbb\xbf" + text.getvalue().encode())


class SingleFilesHarness(IndexHarness):
    """Single files that one index tells about; folders and the files in them are beside the point."""

    options: Mapping[str, str] = {"unit": "file", **IndexHarness.options}

    def fill(self, records: Mapping[Key, Record]) -> None:
        self.lines = {key: dict(record) for key, record in records.items()}
        self._save()
        (self.root / "beside").mkdir(exist_ok=True)
        (self.root / "beside" / "letter.txt").touch()
        for file in self._folders():
            file.unlink()
        for key in records:
            self._folder(key).write_text("Dear reader")

    def dump(self) -> dict[Key, dict[str, object]]:
        assert ["letter.txt"] == [each.name for each in (self.root / "beside").iterdir()]
        for file in self._folders():
            assert "Dear reader" == file.read_text()
        return super().dump()

    def disturb(self, key: Key, record: Record | None) -> bool:
        if record is None:
            del self.lines[key]
            self._folder(key).unlink()
        else:
            self.lines[key] = dict(record)
        self._save()
        return True

    def _folders(self) -> list[Path]:
        return [path for path in self.root.iterdir() if path.is_file() and path.name != "index.csv"]


def _written(value: object) -> object:
    """Return a value as JSON and CSV hold it."""
    return value.isoformat(sep=" ") if isinstance(value, dt.datetime) else value.isoformat() if isinstance(value, dt.date) else value


class TestJsonSidecars(ConnectorContract):
    """Facts in a sidecar in JSON."""

    @pytest.fixture
    def harness(self, tmp_path: Path) -> FilesHarness:
        return FilesHarness(tmp_path)


class TestTomlSidecars(ConnectorContract):
    """Facts in a sidecar in TOML."""

    @pytest.fixture
    def harness(self, tmp_path: Path) -> FilesHarness:
        return TomlHarness(tmp_path)


class TestIndex(ConnectorContract):
    """Facts in a shared index."""

    @pytest.fixture
    def harness(self, tmp_path: Path) -> FilesHarness:
        return IndexHarness(tmp_path)


class TestSingleFiles(ConnectorContract):
    """With an index, and a file for each dossier."""

    @pytest.fixture
    def harness(self, tmp_path: Path) -> FilesHarness:
        return SingleFilesHarness(tmp_path)
