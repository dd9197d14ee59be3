"""Removing and treating dossiers: all of a batch or nothing, whenever the machine stops, and never through a link."""

from __future__ import annotations

import datetime as dt
import json
import os
import signal
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from connectors.application_files import ApplicationFiles, open_source
from connectors.application_files import index as files_index
from connectors.application_files import removal as steps
from connectors.application_files.index import written
from worker.core.facts import Empty, FieldType, Reading
from worker.core.select import EVERYTHING
from worker.core.sources import Field, Source
from worker.errors import Changed, ConfigurationError, Retriable, Skippable, SourceFailed
from worker.ports import Changes, Connection, KeyRange, NoFaults, Resolution, Row, Shape, Update

ALL = KeyRange(("",), ("\U0010ffff",))
TEXT = Reading(FieldType.TEXT, Empty.UNKNOWN, ZoneInfo("UTC"))
WORKING = ".retention-removed"
POINTS = (steps.MANIFESTED, steps.MOVED, steps.MARKED, steps.REWRITTEN, steps.REMOVED)


def source_of(**options: str) -> Source:
    fields = (Field("name", "name", TEXT, personal=True), Field("email", "contact.email", TEXT, personal=True))
    return Source("applications", "application_files", ".", ("folder",), fields, options=options)


def dossier(root: Path, name: str, **said: object) -> Path:
    folder = root / name
    (folder / "mail").mkdir(parents=True)
    (folder / "cv.pdf").write_bytes(b"%PDF")
    (folder / "mail" / "first.txt").write_text("Dear reader")
    (folder / "application.json").write_text(json.dumps({"name": name, "contact": {"email": f"{name}@x.example"}, **said}))
    return folder


def opened(root: Path, **options: str) -> ApplicationFiles:
    return open_source(source_of(**options), Connection(path=root))


def content(root: Path) -> dict[str, bytes]:
    """Return every file outside the working folder, with its content."""
    files = (path for path in root.rglob("*") if path.is_file() and WORKING not in path.parts)
    return {str(path.relative_to(root)): path.read_bytes() for path in files}


def waiting(root: Path) -> list[str]:
    """Return what is in the working folder, except the marks of final batches."""
    working = root / WORKING
    return sorted(str(path.relative_to(working)) for path in working.rglob("*") if path.name != "committed" and path.parent != working)


class Dies:
    """Kills the process when a point is reached for the given time."""

    def __init__(self, point: str, times: int) -> None:
        self.point, self.left = point, times

    def reached(self, point: str) -> None:
        self.left -= point == self.point
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


class Interferes:
    """Does something else when a point is reached, once."""

    def __init__(self, point: str, what: Callable[[], object]) -> None:
        self.point, self.what = point, what

    def reached(self, point: str) -> None:
        if point == self.point:
            self.point = ""
            self.what()


def carry_out(source: ApplicationFiles, changes: Changes, batch_id: str = "b") -> None:
    with source.batch(batch_id, ALL, EVERYTHING, ("name",)) as batch:
        batch.write(changes)
        batch.commit()


def everything(root: Path) -> dict[str, tuple[int, bytes]]:
    """Return every entry below a root, the working folder included, with its date and content."""
    return {
        str(path.relative_to(root)): (path.lstat().st_mtime_ns, path.read_bytes() if path.is_file() else b"") for path in root.rglob("*")
    }


def read(source: ApplicationFiles) -> tuple[list[Row], int, Shape]:
    """Return what a plan reads: every row, their number, and the columns; each row is also found by its key."""
    with source.reader() as reader:
        rows = [row for page in reader.rows(EVERYTHING, ("name", "email")) for row in page]
        assert rows == [reader.get((str(row[0]),), ("name", "email")) for row in rows]
        return rows, reader.count(EVERYTHING), source.shape()


def in_a_process_of_its_own(what: Callable[[], None]) -> bool:
    """Run something in a child and return whether it was killed."""
    child = os.fork()
    if child == 0:
        try:
            what()
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


@pytest.mark.parametrize("layout", ["sidecars", "index"])
@pytest.mark.parametrize(("point", "times"), [(point, times) for point in POINTS for times in (1, 2)])
def test_a_kill_at_any_step_leaves_all_or_nothing(tmp_path: Path, layout: str, point: str, times: int) -> None:
    """After SIGKILL at every step of a batch, resolving it gives what a run never hurt gives, or what was there before, and says which.

    Who only reads sees beforehand what will be there then, and changes nothing.
    """
    options = {"index": "index.csv", "index_key": "folder"} if layout == "index" else {"shared": "../shared"}
    for root in (tmp_path / "hurt", tmp_path / "whole"):
        (root / "shared").mkdir(parents=True)
        (root / "shared" / "both.pdf").write_text("shared")
        for name in ("a", "b", "c", "d"):
            dossier(root, name, attachments=["../shared/both.pdf"] if name in "ab" else [])
        if layout == "index":
            (root / "shared").rename(root / "e")
            (root / "index.csv").write_text("folder,name,contact.email\r\n" + "".join(f"{n},N {n},{n}@x\r\n" for n in "abcde"))
    before = content(tmp_path / "hurt")
    changes = Changes(delete=[("a",), ("b",)], updates=[Update(("name", "email"), [("c", None, "new")])])

    def run(root: Path, faults: NoFaults | Dies) -> None:
        source = open_source(source_of(**options), Connection(path=root), faults)
        try:
            carry_out(source, changes)
        finally:
            source.close()

    run(tmp_path / "whole", NoFaults())
    after = content(tmp_path / "whole")
    died = in_a_process_of_its_own(lambda: run(tmp_path / "hurt", Dies(point, times)))
    source = opened(tmp_path / "hurt", **options)
    left = everything(tmp_path / "hurt")
    seen = read(source)
    assert left == everything(tmp_path / "hurt")
    resolved = source.resolve("b", {})
    assert resolved == source.resolve("b", {})
    assert read(source) == seen
    marked = point in (steps.MARKED, steps.REWRITTEN, steps.REMOVED)
    if not died or marked:
        assert (Resolution.COMMITTED, after) == (resolved, content(tmp_path / "hurt"))
    else:
        assert (Resolution.ROLLED_BACK, before) == (resolved, content(tmp_path / "hurt"))
    assert not waiting(tmp_path / "hurt")
    source.forget(["b"])
    assert not list((tmp_path / "hurt" / WORKING).iterdir())
    source.close()


def test_links_go_and_what_they_lead_to_stays(tmp_path: Path) -> None:
    """A link in a dossier is removed itself, and a link in the place of a dossier too; neither is followed."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "payroll.txt").write_text("stays")
    root = tmp_path / "root"
    folder = dossier(root, "a")
    (folder / "link").symlink_to(outside)
    (folder / "mail" / "file").symlink_to(outside / "payroll.txt")
    (folder / "loop").symlink_to(folder)
    (root / "b").symlink_to(outside)
    source = opened(root)
    carry_out(source, Changes(delete=[("a",), ("b",)]))
    source.close()
    assert not content(root)
    assert "stays" == (outside / "payroll.txt").read_text()


def test_a_linked_sidecar_is_not_read(tmp_path: Path) -> None:
    """A sidecar that is a link is unreadable, so nothing out of another place is ever read or rewritten."""
    folder = dossier(tmp_path / "root", "a")
    (folder / "application.json").rename(tmp_path / "elsewhere.json")
    (folder / "application.json").symlink_to(tmp_path / "elsewhere.json")
    source = opened(tmp_path / "root")
    before = (tmp_path / "elsewhere.json").read_bytes()
    with pytest.raises(Skippable):
        carry_out(source, Changes(updates=[Update(("name",), [("a", "new")])]))
    source.close()
    assert before == (tmp_path / "elsewhere.json").read_bytes()


@pytest.mark.parametrize("name", ["../outside", "/etc", "a/mail", ".hidden", "..", ".", "", WORKING])
def test_keys_lead_nowhere_else(tmp_path: Path, name: str) -> None:
    """A key that is no plain name of a folder names no dossier, whoever asks for it."""
    root = tmp_path / "root"
    dossier(root, "a")
    dossier(root, ".hidden")
    dossier(tmp_path, "outside")
    source = opened(root)
    with source.reader() as reader:
        assert reader.get((name,), ()) is None
    with pytest.raises(Changed):
        carry_out(source, Changes(delete=[(name,)]))
    source.close()
    assert (tmp_path / "outside" / "cv.pdf").exists()
    assert (root / ".hidden" / "cv.pdf").exists()


@pytest.mark.parametrize("shared", ["option", "none"])
def test_a_shared_file_goes_with_the_last_dossier(tmp_path: Path, shared: str) -> None:
    """A file that several sidecars name stays while one dossier names it, and goes with the last; undeclared ones are never touched."""
    (tmp_path / "shared" / "deep").mkdir(parents=True)
    for name in ("both.pdf", "deep/one.pdf", "unnamed.pdf"):
        (tmp_path / "shared" / name).write_text(name)
    dossier(tmp_path, "a", attachments=["../shared/both.pdf", "../shared/deep/../deep/one.pdf", "../shared/missing.pdf", "../c/cv.pdf"])
    dossier(tmp_path, "b", attachments=["../shared/both.pdf", "../../outside", "/etc/passwd", "cv.pdf"])
    dossier(tmp_path, "c")
    source = opened(tmp_path, **({"shared": "../shared"} if shared == "option" else {}))
    here = {"shared/both.pdf", "shared/deep/one.pdf", "shared/unnamed.pdf"}
    for key, gone in (("a", {"shared/deep/one.pdf"}), ("b", {"shared/both.pdf"})):
        carry_out(source, Changes(delete=[(key,)]), key)
        here -= gone if shared == "option" else set()
        assert here == {name for name in content(tmp_path) if name.startswith("shared")}
    source.close()
    assert (tmp_path / "c" / "cv.pdf").exists()


def test_a_shared_file_stays_while_a_dossier_is_unreadable(tmp_path: Path) -> None:
    """What a damaged sidecar names can't be known, so the file stays, is said, and goes with a batch after the repair."""
    (tmp_path / "shared").mkdir()
    for name in ("x.pdf", "y.pdf", "unnamed.pdf"):
        (tmp_path / "shared" / name).write_text("x")
    dossier(tmp_path, "a", attachments=["../shared/x.pdf", "../shared/y.pdf"])
    damaged = dossier(tmp_path, "b") / "application.json"
    damaged.write_text('{"attachments": ["../sha')
    dossier(tmp_path, "c")
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to("empty")
    source = opened(tmp_path, shared="../shared")
    carry_out(source, Changes(delete=[("a",)]), "first")
    assert {"shared/x.pdf", "shared/y.pdf", "shared/unnamed.pdf"} == {name for name in content(tmp_path) if name.startswith("shared")}
    assert "2 shared files outlived" in "".join(str(warning) for warning in source.problems(None, {})[1])
    damaged.write_text('{"attachments": ["../shared/y.pdf"]}')
    carry_out(source, Changes(delete=[("c",)]), "second")
    assert {"shared/y.pdf", "shared/unnamed.pdf"} == {name for name in content(tmp_path) if name.startswith("shared")}
    assert "outlived" not in "".join(str(warning) for warning in source.problems(None, {})[1])
    source.close()


@pytest.mark.parametrize("where", ["mail/second.txt", "mail/first.txt", "application.json"])
@pytest.mark.parametrize("point", [steps.MANIFESTED, "read"])
def test_a_dossier_that_changed_is_not_removed(tmp_path: Path, where: str, point: str) -> None:
    """A document that comes or changes after the dossier was decided on, until the very moment it is moved aside, saves it."""
    folder = dossier(tmp_path, "a")
    dossier(tmp_path, "b")

    def change() -> None:
        (folder / where).write_text("something newer")

    source = open_source(source_of(), Connection(path=tmp_path), Interferes(point, change))
    with source.batch("b", ALL, EVERYTHING, ()) as batch:
        if point == "read":
            change()
        with pytest.raises(Changed):
            batch.write(Changes(delete=[("a",), ("b",)], whole=True))
    source.close()
    assert "something newer" == (folder / where).read_text()
    assert (tmp_path / "b" / "cv.pdf").exists()
    assert not waiting(tmp_path)


def test_a_sidecar_that_changed_after_the_write_is_not_rewritten(tmp_path: Path) -> None:
    """Until the commit itself, a change by somebody else stops the batch and undoes it."""
    folder = dossier(tmp_path, "a")
    dossier(tmp_path, "b")
    source = opened(tmp_path)
    changes = Changes(delete=[("b",)], updates=[Update(("name",), [("a", "new")])])
    with source.batch("b", ALL, EVERYTHING, ()) as batch:
        batch.write(changes)
        (folder / "application.json").write_text('{"name": "newer"}')
        with pytest.raises(Changed):
            batch.commit()
    source.close()
    assert '{"name": "newer"}' == (folder / "application.json").read_text()
    assert (tmp_path / "b" / "cv.pdf").exists()


def test_a_name_taken_meanwhile_loses_nothing(tmp_path: Path) -> None:
    """When a dossier has to be put back and its name was taken, it comes back beside the new one."""
    dossier(tmp_path, "a")
    source = opened(tmp_path)
    with source.batch("b", ALL, EVERYTHING, ()) as batch:
        batch.write(Changes(delete=[("a",)]))
        (tmp_path / "a").mkdir()
        (tmp_path / "a" / "new.txt").write_text("new")
    source.close()
    assert (tmp_path / "a" / "new.txt").exists()
    assert (tmp_path / "a.returned-1" / "cv.pdf").exists()


def test_what_waits_is_seen_under_the_name_that_it_gets(tmp_path: Path) -> None:
    """Somebody took the name of a dossier that a killed batch moved aside: who reads sees both, as they will be, and changes nothing."""
    dossier(tmp_path, "a")
    dossier(tmp_path, "a.returned-1")

    def die() -> None:
        carry_out(open_source(source_of(), Connection(path=tmp_path), Dies(steps.MOVED, 1)), Changes(delete=[("a",)]))

    assert in_a_process_of_its_own(die)
    (tmp_path / "a").mkdir()
    left = everything(tmp_path)
    source = opened(tmp_path)
    seen = read(source)
    assert ["a", "a.returned-1", "a.returned-2"] == [row[0] for row in seen[0]]
    assert left == everything(tmp_path)
    source.resolve("b", {})
    assert seen == read(source)
    source.close()


def test_what_is_ended_while_it_is_read_is_read_where_it_went(tmp_path: Path) -> None:
    """A plan that began while a batch was open goes on when that is put back, or carried out, under its hands."""
    for committed in (False, True):
        root = tmp_path / str(committed)
        for name in ("a", "b"):
            dossier(root, name)
        point = steps.MARKED if committed else steps.MOVED

        def die(root: Path = root, point: str = point) -> None:
            carry_out(open_source(source_of(), Connection(path=root), Dies(point, 1)), Changes(delete=[("b",)]))

        assert in_a_process_of_its_own(die)
        source = opened(root)
        with source.reader() as reader:
            opened(root).resolve("b", {})
            assert (["a"] if committed else ["a", "b"]) == [row[0] for page in reader.rows(EVERYTHING, ("name",)) for row in page]
        source.close()


def test_names_in_the_working_folder_are_numbers(tmp_path: Path) -> None:
    """While dossiers wait to be removed, no name of a file tells whose they are, and only the owner may look."""
    dossier(tmp_path, "Jan Jansen")
    source = opened(tmp_path)
    with source.batch("run 7/3", ALL, EVERYTHING, ()) as batch:
        batch.write(Changes(delete=[("Jan Jansen",)]))
        working = tmp_path / WORKING
        (folder,) = working.iterdir()
        assert ["0", "manifest.json"] == sorted(path.name for path in folder.iterdir())
        assert {"folder": folder.name} == batch.witness
        assert [0o700, 0o700, 0o600] == [stat.S_IMODE(each.stat().st_mode) for each in (working, folder, folder / "manifest.json")]
        batch.commit()
        assert ["committed"] == [path.name for path in folder.iterdir()]
    source.close()


def test_deep_and_closed_folders_are_removed(tmp_path: Path) -> None:
    """Folders in folders, and folders that even their owner may not write in, go too."""
    folder = dossier(tmp_path, "a")
    deep = folder.joinpath(*("d" for _ in range(90)))
    deep.mkdir(parents=True)
    (deep / "file").write_text("x")
    (folder / "mail").chmod(0o500)
    deep.parent.chmod(0o500)
    source = opened(tmp_path)
    carry_out(source, Changes(delete=[("a",)]))
    source.close()
    assert [WORKING] == [path.name for path in tmp_path.iterdir()]


def test_a_dossier_too_deep_is_left_alone(tmp_path: Path) -> None:
    """A dossier that can't be read in full is not removed: nobody could tell whether it changed."""
    dossier(tmp_path, "a").joinpath(*("d" for _ in range(150))).mkdir(parents=True)
    source = opened(tmp_path)
    with pytest.raises(Skippable):
        carry_out(source, Changes(delete=[("a",)]))
    source.close()
    assert (tmp_path / "a" / "cv.pdf").exists()


def test_rewriting_keeps_rights_and_the_rest(tmp_path: Path) -> None:
    """A treated sidecar keeps its rights, its other facts and its layout."""
    folder = dossier(tmp_path, "a")
    sidecar = folder / "application.json"
    sidecar.write_text('{\n    "name": "Zoë",\n    "score": 1.50,\n    "contact": {\n        "email": "z@x.example"\n    }\n}\n')
    sidecar.chmod(0o640)
    source = opened(tmp_path)
    carry_out(source, Changes(updates=[Update(("name", "email"), [("a", "new", None)])]))
    source.close()
    expected = '{\n    "name": "new",\n    "score": 1.5,\n    "contact": {\n        "email": null\n    }\n}\n'
    assert expected == sidecar.read_text()
    assert 0o640 == stat.S_IMODE(sidecar.stat().st_mode)


def test_what_can_not_be_set_is_not_claimed(tmp_path: Path) -> None:
    """Where a text stands instead of the table that a column leads into, the treatment is refused and nothing is committed."""
    folder = dossier(tmp_path, "a", contact="a@x.example")
    before = content(tmp_path)
    source = opened(tmp_path)
    with pytest.raises(Skippable):
        carry_out(source, Changes(updates=[Update(("email",), [("a", "new")])]))
    source.close()
    assert before == content(tmp_path)
    assert folder.exists()


def test_an_index_damaged_before_the_end_is_said(tmp_path: Path) -> None:
    """When a committed batch can't be finished because the index broke meanwhile, that is an error until it is repaired."""
    dossier(tmp_path, "a")
    index = tmp_path / "index.csv"
    index.write_text("folder,name,contact.email\na,A,a@x\nb,B,b@x\n")
    source = open_source(
        source_of(index="index.csv", index_key="folder"),
        Connection(path=tmp_path),
        Interferes(steps.MARKED, lambda: index.write_bytes(b"\xff")),
    )
    with pytest.raises(SourceFailed, match="the index was damaged"):
        carry_out(source, Changes(delete=[("a",)]))
    with pytest.raises(SourceFailed):
        source.resolve("b", {})
    index.write_text("folder,name,contact.email\na,A,a@x\nb,B,b@x\n")
    assert Resolution.COMMITTED == source.resolve("b", {})
    source.close()
    assert "folder,name,contact.email\nb,B,b@x\n" == index.read_text()


@pytest.mark.parametrize("times", [1, 99])
def test_an_index_saved_while_it_is_written_anew(tmp_path: Path, times: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """What somebody saves while an index is written anew is not lost; who never stops saving is told of, and the batch ends later."""
    text = "folder,name,contact.email\na,A,a@x\nb,B,b@x\n"
    index = tmp_path / "index.csv"
    index.write_text(text)
    saved: list[str] = []

    def saving(*arguments: object) -> Iterator[bytes]:
        yield from written(*arguments)  # type: ignore[arg-type]
        if len(saved) < times:
            saved.append(f"c{len(saved)},C,c@x\n")
            index.write_text(text + "".join(saved))

    monkeypatch.setattr(files_index, "written", saving)
    source = opened(tmp_path, index="index.csv", index_key="folder")
    if times == 1:
        carry_out(source, Changes(delete=[("a",)]))
    else:
        with pytest.raises(Retriable, match="somebody goes on writing the index"):
            carry_out(source, Changes(delete=[("a",)]))
        assert text + "".join(saved) == index.read_text()
        times = 0
        assert Resolution.COMMITTED is source.resolve("b", {})
    assert "folder,name,contact.email\nb,B,b@x\n" + "".join(saved) == index.read_text()


def test_relations_and_parts_of_names_are_refused(tmp_path: Path) -> None:
    """What dossiers don't have, or what can't be written, is a mistake in the policy and changes nothing."""
    dossier(tmp_path, "a")
    fields = (Field("who", "@name", TEXT), Field("at", "@modified", Reading(FieldType.TIMESTAMP, Empty.UNKNOWN, ZoneInfo("UTC"))))
    source = open_source(Source("applications", "application_files", ".", ("folder",), fields), Connection(path=tmp_path))
    with pytest.raises(ConfigurationError):
        carry_out(source, Changes(updates=[Update(("who",), [("a", "new")])]))
    with source.reader() as reader:
        with pytest.raises(ConfigurationError):
            reader.related(("letters",), [("a",)], ())
        (key, who, at) = reader.get(("a",), ("who", "at")) or ()
    source.close()
    assert ("a", "a") == (key, who)
    assert isinstance(at, dt.datetime)
    assert dt.UTC == at.tzinfo
