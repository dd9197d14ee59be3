"""Reading dossiers: every one is a record, and what can't be read is unreadable and never empty."""

from __future__ import annotations

import datetime as dt
import json
import os
from collections.abc import Callable
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from connectors.application_files import open_source
from worker.core.facts import UNREADABLE, Empty, FieldType, Known, NotYet, Reading, Unknown
from worker.core.select import EVERYTHING, Absent, Suspect
from worker.core.sources import Field, Source
from worker.errors import ConfigurationError, Problems, SourceFailed
from worker.ports import Connection, Row

ZONE = ZoneInfo("Europe/Amsterdam")
TODAY = dt.date(2026, 6, 30)
DAY = Reading(FieldType.DATE, Empty.NOT_YET, ZONE)
TEXT = Reading(FieldType.TEXT, Empty.UNKNOWN, ZONE)
MOMENT = Reading(FieldType.TIMESTAMP, Empty.UNKNOWN, ZONE)
FIELDS = (Field("ended_on", "ended_on", DAY), Field("email", "applicant.email", TEXT, personal=True))


def rows(root: Path, fields: tuple[Field, ...] = FIELDS, **options: str) -> dict[str, Row]:
    """Return what each dossier gives, by the folder's name."""
    source = open_source(Source("applications", "application_files", ".", ("folder",), fields, options=options), Connection(path=root))
    try:
        with source.reader() as reader:
            names = [field.name for field in fields]
            return {str(row[0]): tuple(row[1:]) for page in reader.rows(EVERYTHING, names) for row in page}
    finally:
        source.close()


def sidecar(root: Path, name: str, content: str | bytes, file: str = "application.json") -> Path:
    folder = root / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / file).write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b'{"ended_on": "2020-',
        b"\xff\xfe\x00\x01",
        b"[]",
        b'"text"',
        b'{"ended_on": "2020-01-01", "ended_on": "2026-01-01"}',
        b"[" * 100_000,
        b'{"n": ' + b"9" * 5000 + b"}",
        None,
    ],
    ids=["empty", "breaks off", "no text", "a list", "a text", "said twice", "endless", "endless number", "missing"],
)
def test_an_unreadable_dossier_is_a_record_with_unknown_facts(tmp_path: Path, content: bytes | None) -> None:
    """A damaged or missing sidecar makes every fact unknown, also one whose emptiness would mean not yet, and is selected as suspect."""
    if content is None:
        (tmp_path / "a").mkdir()
    else:
        sidecar(tmp_path, "a", content)
    assert {"a": (UNREADABLE, UNREADABLE)} == rows(tmp_path)
    assert Unknown("unreadable") == DAY.fact(UNREADABLE, TODAY) == TEXT.fact(UNREADABLE, TODAY)
    source = open_source(Source("applications", "application_files", ".", ("folder",), FIELDS), Connection(path=tmp_path))
    with source.reader() as reader:
        assert 1 == reader.count(Suspect("ended_on", TODAY))
        assert 0 == reader.count(Absent("ended_on"))
    source.close()


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.mkdir(), lambda path: path.symlink_to("nowhere")])
def test_what_is_no_file_is_no_sidecar(tmp_path: Path, make: Callable[[Path], None]) -> None:
    """A pipe, a folder or a link in the place of a sidecar is unreadable, and nobody waits for it."""
    (tmp_path / "a").mkdir()
    make(tmp_path / "a" / "application.json")
    assert {"a": (UNREADABLE, UNREADABLE)} == rows(tmp_path)


def test_values_of_sidecars(tmp_path: Path) -> None:
    """Dotted columns lead into tables; a missing key is empty; a list, or a text where a table should be, is unreadable."""
    sidecar(tmp_path, "a", json.dumps({"ended_on": "2020-01-01", "applicant": {"email": "a@x.example"}}))
    sidecar(tmp_path, "b", 'ended_on = 2020-01-01\n[applicant]\nemail = ""\n', "application.toml")
    sidecar(tmp_path, "c", json.dumps({"applicant": "somebody", "ended_on": ["2020-01-01"]}))
    sidecar(tmp_path, "d", b"\xef\xbb\xbf{}")
    sidecar(tmp_path, "e", '{"applicant": {"email": "\\ud800"}}')
    expected: dict[str, Row] = {
        "a": ("2020-01-01", "a@x.example"),
        "b": (dt.date(2020, 1, 1), ""),
        "c": (UNREADABLE, UNREADABLE),
        "d": (None, None),
        "e": (None, UNREADABLE),
    }
    assert expected == rows(tmp_path)
    assert NotYet() == DAY.fact(None, TODAY)


def test_the_first_sidecar_that_is_there_is_read(tmp_path: Path) -> None:
    """Names of sidecars are tried in the declared order."""
    sidecar(tmp_path, "a", '{"ended_on": "2020-01-01"}')
    sidecar(tmp_path, "a", '{"ended_on": "2021-01-01"}', "facts.json")
    assert {"a": ("2021-01-01", None)} == rows(tmp_path, sidecar="facts.json, application.json")


def test_facts_from_name_and_date(tmp_path: Path) -> None:
    """Without sidecar, groups of the name pattern and the latest change of any file are facts; a name that doesn't fit is unreadable."""
    for name in ("2020-01-31 Jan", "no date"):
        (tmp_path / name / "mail").mkdir(parents=True)
        for number, file in enumerate(("cv.pdf", "mail/letter.txt")):
            (tmp_path / name / file).write_text("x")
            os.utime(tmp_path / name / file, (1_600_000_000 + number, 1_600_000_000 + number))
    (tmp_path / "2020-01-31 empty").mkdir()
    fields = (Field("day", "day", DAY), Field("who", "@name", TEXT), Field("changed", "@modified", MOMENT))
    found = rows(tmp_path, fields, name_pattern=r"(?P<day>\d{4}-\d\d-\d\d) .*")
    changed = dt.datetime.fromtimestamp(1_600_000_001, dt.UTC)
    expected: dict[str, Row] = {
        "2020-01-31 Jan": ("2020-01-31", "2020-01-31 Jan", changed),
        "2020-01-31 empty": ("2020-01-31", "2020-01-31 empty", UNREADABLE),
        "no date": (UNREADABLE, "no date", changed),
    }
    assert expected == found
    assert Known(dt.date(2020, 9, 13)) == MOMENT.fact(changed, TODAY)


def test_what_is_a_dossier(tmp_path: Path) -> None:
    """Folders, links and lines of the index are dossiers; hidden folders, files and the folder of shared files are none."""
    for name in ("a", ".hidden", ".retention-removed", "shared"):
        sidecar(tmp_path, name, "{}")
    (tmp_path / "note.txt").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    assert {"a": (None, None), "link": (UNREADABLE, UNREADABLE)} == rows(tmp_path, shared="../shared")
    assert {"a", "link", "shared"} == set(rows(tmp_path))


def test_a_dossier_that_is_a_single_file(tmp_path: Path) -> None:
    """Files are dossiers, and links in their place; folders, hidden files and what is in them are none; the path is as tables say it."""
    for name in ("ab12.pdf", ".hidden"):
        (tmp_path / name).write_text("x")
        os.utime(tmp_path / name, (1_600_000_000, 1_600_000_000))
    sidecar(tmp_path, "2025", "{}")
    (tmp_path / "link.pdf").symlink_to(tmp_path / "2025")
    fields = (Field("path", "@path", TEXT), Field("name", "@name", TEXT), Field("changed", "@modified", MOMENT))
    found = rows(tmp_path, fields, unit="file", prefix="attachments/")
    assert {"ab12.pdf", "link.pdf"} == set(found)
    assert ("attachments/ab12.pdf", "ab12.pdf", dt.datetime.fromtimestamp(1_600_000_000, dt.UTC)) == found["ab12.pdf"]
    source = open_source(
        Source("attachments", "application_files", ".", ("file",), fields, options={"unit": "file"}), Connection(path=tmp_path)
    )
    with source.reader() as reader:
        assert [None, None] == [reader.get((name,), ()) for name in ("2025", ".hidden")]
        assert ("link.pdf", "link.pdf") == reader.get(("link.pdf",), ("path",))
    source.close()


@pytest.mark.parametrize(
    ("options", "column", "said"),
    [
        ({"unit": "files"}, "@name", "is one of `folder`"),
        ({"unit": "file", "sidecar": "a.json"}, "@name", "a file holds neither a sidecar"),
        ({"unit": "file", "shared": "../shared"}, "@name", "a file holds neither a sidecar"),
        ({"unit": "file"}, "applicant.email", "nothing states it"),
    ],
)
def test_what_a_single_file_does_not_have(tmp_path: Path, options: dict[str, str], column: str, said: str) -> None:
    """A file has no sidecar, so nothing but its name and its date says anything."""
    source = Source("attachments", "application_files", ".", ("file",), (Field("x", column, TEXT),), options=options)
    with pytest.raises(Problems) as caught:
        open_source(source, Connection(path=tmp_path))
    assert said in str(caught.value)


def test_lines_of_an_index(tmp_path: Path) -> None:
    """A dossier's line gives its facts; no line, several, or one that doesn't fit the header, is unreadable; a line alone is a record."""
    for name in ("a", "b", "c", "d"):
        (tmp_path / name).mkdir()
    lines = [
        "map,ended_on,applicant.email",
        'a,2020-01-01,"x,y"',
        "b,2020-01-01",
        "c,1,2",
        "c,3,4",
        "alone,2021-01-01,",
        ",5,6",
        "../up,7,8",
        "",
    ]
    (tmp_path / "list.csv").write_text("\n".join(lines))
    expected: dict[str, Row] = {
        "a": ("2020-01-01", "x,y"),
        "alone": ("2021-01-01", None),
        "b": (UNREADABLE, UNREADABLE),
        "c": (UNREADABLE, UNREADABLE),
        "d": (UNREADABLE, UNREADABLE),
    }
    assert expected == rows(tmp_path, index="list.csv", index_key="map")


@pytest.mark.parametrize("content", [None, b"\xff", b"", b"no,key\n", b"map,map\n", b'map,"unfinished\n'])
def test_a_damaged_index_makes_all_unreadable(tmp_path: Path, content: bytes | None) -> None:
    """Without an index that can be read, nothing is known about any dossier."""
    (tmp_path / "a").mkdir()
    if content is not None:
        (tmp_path / "list.csv").write_bytes(content)
    assert {"a": (UNREADABLE, UNREADABLE)} == rows(tmp_path, index="list.csv", index_key="map")


def test_the_folder_must_be_one(tmp_path: Path) -> None:
    """A file or a link is refused, with the path and what to do; a missing folder may be a share that is not mounted tonight."""
    (tmp_path / "file").write_text("x")
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "real" / "inner").symlink_to(tmp_path)
    source = Source("applications", "application_files", ".", ("folder",), FIELDS)
    below = Source("applications", "application_files", "inner", ("folder",), FIELDS)
    above = Source("applications", "application_files", "../real", ("folder",), FIELDS)
    missing = Source("applications", "application_files", "gone", ("folder",), FIELDS)
    for name, each, message in (
        ("file", source, "file is no folder, or a link"),
        ("link", source, "link is no folder, or a link"),
        ("real", below, "real/inner is no folder, or a link"),
        ("real", above, "no folder below"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            open_source(each, Connection(path=tmp_path / name))
    with pytest.raises(ConfigurationError, match="is not set"):
        open_source(source, Connection())
    for name, each, message in (("none", source, "none does not exist. Mount it"), ("real", missing, "real/gone does not exist. Mount it")):
        with pytest.raises(SourceFailed, match=message):
            open_source(each, Connection(path=tmp_path / name))


def test_a_table_is_a_folder_below(tmp_path: Path) -> None:
    """The source's table names a folder below the path."""
    sidecar(tmp_path / "2026" / "web", "a", "{}")
    source = open_source(Source("applications", "application_files", "2026/web", ("folder",), FIELDS), Connection(path=tmp_path))
    with source.reader() as reader:
        assert [[("a",)]] == list(reader.rows(EVERYTHING, ()))
    source.close()


def test_a_folder_that_went_is_an_error(tmp_path: Path) -> None:
    """When the folder is removed while it is in use, that is said; it is not an empty one."""
    root = tmp_path / "root"
    root.mkdir()
    source = open_source(Source("applications", "application_files", ".", ("folder",), FIELDS), Connection(path=root))
    root.rmdir()
    with pytest.raises(SourceFailed), source.reader():
        pass
    source.close()


def test_wrong_options_are_all_reported(tmp_path: Path) -> None:
    """Every wrong option is named, with the nearest right one, at once."""
    options = {"sidecars": "x", "index": "a/b", "sidecar": ".x", "index_delimiter": ";;", "name_pattern": "(", "shared": "../../x"}
    with pytest.raises(Problems) as caught:
        open_source(Source("applications", "application_files", ".", ("a", "b"), FIELDS, options=options), Connection(path=tmp_path))
    text = str(caught.value)
    for part in (
        "'sidecars'",
        "did you mean 'sidecar'?",
        "options.index:",
        "options.index_key",
        "options.shared",
        "name_pattern",
        "delimiter",
        "key:",
    ):
        assert part in text
