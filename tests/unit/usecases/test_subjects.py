"""Joining records to subjects in a temporary file: the right ones, nothing personal, and nothing left."""

from __future__ import annotations

import itertools
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import RULE
from worker.core.shared import NOTHING, Seen, together
from worker.errors import RetentionError
from worker.usecases.subjects import SubjectIndex


def token(number: int) -> bytes:
    """Return a token; their order is not that of the numbers."""
    return bytes([number * 151 % 256]) * 16


said = st.builds(Seen, st.just(1), st.integers(0, 9), st.integers(0, 1), st.integers(0, 2))
records = st.lists(st.tuples(st.lists(st.integers(0, 12), max_size=3, unique=True), said), max_size=12)


def obvious(found: list[tuple[list[int], Seen]], asked: int) -> Seen:
    """Return what the records of one subject say, by following shared tokens until nothing is added."""
    subject = {asked}
    for _ in found:
        for tokens, _ in found:
            if subject & set(tokens):
                subject |= set(tokens)
    return together(*(what for tokens, what in found if subject & set(tokens)))


class TestSubjectIndex:
    """Everything that shares a token, directly or through others, is about one subject."""

    @RULE
    @given(records)
    def test_agrees_with_the_obvious_way(self, tmp_path_factory: pytest.TempPathFactory, found: list[tuple[list[int], Seen]]) -> None:
        """Whatever the records share, every token of a subject is answered alike, with all that its records say."""
        with SubjectIndex(tmp_path_factory.getbasetemp()) as index:
            for tokens, what in found:
                index.add([([token(each) for each in tokens], what)])
            index.seal()
            assert [obvious(found, each) for each in range(13)] == [index.seen([token(each)]) for each in range(13)]
            assert together(*(what for tokens, what in found if tokens)) == index.seen([token(each) for each in range(13)])

    def test_long_chains_over_many_pages(self, tmp_path: Path) -> None:
        """A subject may have more tokens than fit on a page of the sealing."""
        tokens = [number.to_bytes(2, "big") * 8 for number in range(2500)]
        with SubjectIndex(tmp_path) as index:
            index.add(([one, other], Seen(1, day)) for day, (one, other) in enumerate(itertools.pairwise(tokens), 1))
            index.add([([b"\xff" * 16], Seen(1, 7))])
            index.seal()
            assert Seen(1, 2499) == index.seen([tokens[0]]) == index.seen([tokens[-1]])
            assert (Seen(1, 7), NOTHING) == (index.seen([b"\xff" * 16]), index.seen([b"\xfe" * 16]))

    def test_the_file_is_the_owners_alone_and_has_no_name(self, tmp_path: Path) -> None:
        """It lies in the state folder, only its owner may read it, and it is gone however the process ends."""
        folder = tmp_path / "state"
        with SubjectIndex(folder) as index:
            index.add([([token(1), token(2)], Seen(1, 5))])
            index.seal()
            assert [] == list(folder.iterdir())
            opened = [each for each in Path("/proc/self/fd").iterdir() if _target(each).startswith(f"{folder}/facts-")]
            assert [0o600] == [each.stat().st_mode & 0o777 for each in opened]
        assert not any(_target(each).startswith(str(folder)) for each in Path("/proc/self/fd").iterdir())

    def test_nothing_is_left_of_a_file_that_could_not_be_prepared(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A full disk is told as what to do about it, and leaves no file behind."""
        monkeypatch.setattr("worker.usecases.subjects._TABLE", "no statement")
        with pytest.raises(RetentionError, match="RETENTION_STATE"):
            SubjectIndex(tmp_path)
        assert [] == list(tmp_path.iterdir())

    def test_a_folder_that_can_not_be_made(self, tmp_path: Path) -> None:
        """The operator is told which setting to change."""
        (tmp_path / "state").write_text("a file")
        with pytest.raises(RetentionError, match="RETENTION_STATE"):
            SubjectIndex(tmp_path / "state")

    def test_sqlite_errors_are_no_tracebacks(self, tmp_path: Path) -> None:
        """What SQLite says while it is asked is an error of the worker's own."""
        index = SubjectIndex(tmp_path)
        index.__exit__(None, None, None)
        with pytest.raises(RetentionError) as caught:
            index.seen([token(1)])
        assert isinstance(caught.value.__cause__, sqlite3.Error)


def _target(descriptor: Path) -> str:
    """Return what an open file is; an empty text for one that was closed meanwhile."""
    try:
        return str(descriptor.readlink())
    except OSError:
        return ""
