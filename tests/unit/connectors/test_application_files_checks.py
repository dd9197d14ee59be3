"""What `sources check` says about a folder of dossiers."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from connectors.application_files import open_source
from connectors.application_files.checks import _writable
from connectors.folder import told
from worker.core.facts import Empty, FieldType, Reading
from worker.core.model import Disposition, DispositionKind, LegalBasis, Policy, Purpose, StartEvent, Step
from worker.core.periods import Period, Term
from worker.core.sources import Disposal, Field, Relation, Source, Treatment, TreatmentKind
from worker.errors import ConfigurationError, RetentionError, Retriable, Skippable, SourceFailed
from worker.ports import Connection

ZONE = ZoneInfo("Europe/Amsterdam")
TEXT = Reading(FieldType.TEXT, Empty.UNKNOWN, ZONE)
CLEAR = Treatment(TreatmentKind.CLEAR)
FIELDS = (
    Field("name", "name", TEXT, personal=True, treatment=CLEAR),
    Field("ended_on", "ended_on", Reading(FieldType.DATE, Empty.NOT_YET, ZONE)),
)


def checked(
    root: Path,
    fields: tuple[Field, ...] = FIELDS,
    kind: DispositionKind = DispositionKind.DELETE,
    start: str = "ended_on",
    relations: tuple[Relation, ...] = (),
    options: Mapping[str, str] | None = None,
) -> tuple[str, str]:
    """Return the problems and the warnings as texts."""
    source = Source("applications", "application_files", ".", ("folder",), fields, relations=relations, options=options or {})
    personal = tuple(field.name for field in source.personal)
    purpose = Purpose("apply", LegalBasis.LEGITIMATE_INTERESTS, personal, StartEvent((start,)), Term(Period(weeks=8)))
    policy = Policy(source, (purpose,), (Disposition((Step(kind),)),), zone=ZONE)
    opened = open_source(source, Connection(path=root))
    try:
        problems, warnings = opened.problems(policy, {})
    finally:
        opened.close()
    return "\n".join(map(str, problems)), "\n".join(map(str, warnings))


def dossier(root: Path, folder: str, **said: object) -> Path:
    (root / folder).mkdir()
    (root / folder / "application.json").write_text(json.dumps(said))
    return root / folder


def test_a_sound_folder_has_nothing_wrong(tmp_path: Path) -> None:
    """Dossiers with documents that are deleted as a whole, and sidecars without documents that are treated, are fine."""
    folder = dossier(tmp_path, "a", name="A", ended_on="2020-01-01")
    assert ("", "") == checked(tmp_path, kind=DispositionKind.PSEUDONYMISE)
    (folder / "cv.pdf").write_text("x")
    assert ("", "") == checked(tmp_path)


def test_documents_can_not_be_treated(tmp_path: Path) -> None:
    """A policy that would leave a dossier with its documents and treat its fields is refused."""
    (dossier(tmp_path, "a", name="A", ended_on="2020-01-01") / "cv.pdf").write_text("x")
    problems, _ = checked(tmp_path, kind=DispositionKind.PSEUDONYMISE)
    assert "dossiers hold documents" in problems


def test_names_and_dates_can_not_be_treated(tmp_path: Path) -> None:
    """A treated folder name is refused, and so is a start event that the treatment itself would move."""
    dossier(tmp_path, "a", name="A")
    moment = Reading(FieldType.TIMESTAMP, Empty.UNKNOWN, ZONE)
    fields = (FIELDS[0], Field("who", "@name", TEXT, personal=True, treatment=CLEAR), Field("at", "@modified", moment))
    problems, _ = checked(tmp_path, fields, DispositionKind.PSEUDONYMISE, "at")
    assert "applications.who: a folder's name or a file's date can't be treated" in problems
    assert "applications.at: treating a sidecar changes the date" in problems


def test_what_dossiers_do_not_have(tmp_path: Path) -> None:
    """Relations are refused, and a date of a file that is declared as a day."""
    relation = Relation("letters", "letters", ("id",), ("id",), ("id",), Disposal.DELETE)
    fields = (*FIELDS, Field("at", "@modified", Reading(FieldType.DATE, Empty.UNKNOWN, ZONE)))
    problems, _ = checked(tmp_path, fields, relations=(relation,))
    assert "applications.letters: application files have no relations" in problems
    assert "applications.at: the latest change of a file is a moment" in problems


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "list.csv is not there. It belongs beside the dossiers"),
        (b"", "list.csv is empty"),
        (
            b"folder;name;ended_on\na;Anna;\n",
            "has no column 'folder' in its first line. Its cells seem to be set apart by another sign: declare index_delimiter = \";\".",
        ),
        (b"folder\tname\tended_on\na\tAnna\t\n", 'declare index_delimiter = "\\t".'),
        (
            "folder,name,ended_on\na,Anna Müller,\n".encode("cp1252"),
            "is not UTF-8 text in line 2. Save it as UTF-8; spreadsheets call that form 'CSV UTF-8'.",
        ),
        ("folder,name,ended_on\na,Anna,\n".encode("utf-16"), "is not UTF-8 text in line 1"),
        (b"Folder ,name,ended_on\na,Anna,\n", "has no column 'folder' in its first line. Did you mean 'Folder '?"),
        (b"a,Anna Quirine,2020-01-01\n", "The first line has to be the header"),
        (b"folder,folder,name,ended_on\n", "has two columns 'folder'"),
        (b"folder,name,name,ended_on\n", "has two columns of one name"),
        (b'folder,name,ended_on\na,"Anna,\n', "has a quotation mark that nothing closes"),
    ],
)
def test_an_index_that_can_not_be_read_says_why(tmp_path: Path, content: bytes | None, says: str) -> None:
    """What a spreadsheet makes of a list, and what to do about it; a first line that is a record is not repeated."""
    dossier(tmp_path, "a", name="A", ended_on="2020-01-01")
    if content is not None:
        (tmp_path / "list.csv").write_bytes(content)
    problems, _ = checked(tmp_path, options={"index": "list.csv", "index_key": "folder"})
    assert says in problems
    assert "Anna" not in problems


def test_an_index_with_a_mark_at_its_beginning(tmp_path: Path) -> None:
    """Programs put a byte order mark before UTF-8: it is no part of the first column's name."""
    dossier(tmp_path, "a")
    (tmp_path / "list.csv").write_text("folder,name,ended_on\na,Anna,\n", encoding="utf-8-sig")
    assert "" == checked(tmp_path, options={"index": "list.csv", "index_key": "folder"})[0]


def test_an_index_must_fit(tmp_path: Path) -> None:
    """A missing index and a missing column are refused, the column with the nearest name."""
    options = {"index": "list.csv", "index_key": "folder"}
    assert "list.csv is not there" in checked(tmp_path, options=options)[0]
    (tmp_path / "list.csv").write_text("folder,name,ended-on\n,x,y\n.hidden,x,y\n")
    problems, warnings = checked(tmp_path, options=options)
    assert "list.csv has no column 'ended_on'. Did you mean 'ended-on'?" in problems
    assert "2 lines of the index can belong to no dossier" in warnings


def test_what_a_person_should_know(tmp_path: Path) -> None:
    """Stray files, links, unreadable dossiers, unknown columns, a missing shared folder and begun batches are said, without names."""
    assert "holds no dossier" in checked(tmp_path)[1]
    dossier(tmp_path, "Jan Jansen", name="A", endedon="2020-01-01")
    (tmp_path / "Piet").mkdir()
    (tmp_path / "Kees").symlink_to("nowhere")
    (tmp_path / "Note about Jan.txt").write_text("x")
    (tmp_path / ".retention-removed" / "b").mkdir(parents=True)
    problems, warnings = checked(tmp_path, options={"shared": "../shared"})
    assert not problems
    for text in (
        "none of the first 3 sidecars has 'ended_on'. Did you mean 'endedon'?",
        "2 of the first 3 dossiers have no facts",
        "1 entries are links",
        "1 files lie beside the dossiers",
        "there is no folder 'shared'",
        "1 batches were begun and not finished",
    ):
        assert text in warnings
    assert not [name for name in ("Jan", "Piet", "Kees") if name in warnings]


def test_what_lies_beside_single_files(tmp_path: Path) -> None:
    """Folders beside files that are dossiers are counted: no policy reaches what is in them."""
    fields = (Field("name", "@name", TEXT, personal=True), Field("ended_on", "@path", TEXT))
    assert "holds no dossier" in checked(tmp_path, fields, options={"unit": "file"})[1]
    (tmp_path / "Jan.pdf").write_text("x")
    (tmp_path / "2025").mkdir()
    problems, warnings = checked(tmp_path, fields, options={"unit": "file"})
    assert not problems
    assert "1 folders lie beside the files; no policy reaches what is in them." in warnings
    assert "1 files lie beside" not in warnings
    assert "Jan" not in warnings


def test_the_working_folder_must_be_one(tmp_path: Path) -> None:
    """Something else with the name of the working folder is refused."""
    (tmp_path / ".retention-removed").symlink_to("/")
    assert ".retention-removed in the folder is no folder" in checked(tmp_path)[0]


@pytest.mark.parametrize(
    ("may_write", "flags", "expected"), [(True, 0, ""), (False, 0, "may not be written in"), (True, os.ST_RDONLY, "mounted read-only")]
)
def test_a_folder_must_be_writable(may_write: bool, flags: int, expected: str) -> None:
    """A folder without the right to write, or on a read-only file system, is refused before a run."""
    source = Source("applications", "application_files", ".", ("folder",), FIELDS)
    text = "".join(str(problem) for problem in _writable(source, may_write=may_write, flags=flags))
    assert expected in text
    assert bool(expected) is bool(text)


@pytest.mark.parametrize(
    ("number", "one", "expected"),
    [
        (13, False, ConfigurationError),
        (30, False, ConfigurationError),
        (30, True, ConfigurationError),
        (13, True, Skippable),
        (16, True, Skippable),
        (18, True, Skippable),
        (28, False, SourceFailed),
        (5, False, SourceFailed),
        (24, False, Retriable),
    ],
)
def test_errors_of_the_system(number: int, one: bool, expected: type[RetentionError]) -> None:
    """An error of the system is typed by what to do next, and its text holds no name of a file."""
    with pytest.raises(expected) as caught, told("applications", "reading", one=one):
        raise OSError(number, os.strerror(number), "Jan Jansen/cv.pdf")
    assert expected is type(caught.value)
    assert "Jan" not in str(caught.value)
    assert caught.value.__suppress_context__
