"""Keys that are spooled come back in order, each once, in constant memory, from a file that nobody else sees."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.spooled import Listing, Spooled
from worker.errors import SourceFailed

MANY = 200_000


def keys_of(spooled: Spooled[str], size: int = 7) -> list[str]:
    return [key for page in spooled.pages(size) for key, _ in page]


@given(st.lists(st.text(st.characters(exclude_categories=()), max_size=8)))
def test_order_is_that_of_python(names: list[str]) -> None:
    """Texts come in the order in which Python sorts them, half characters that no valid text has included, and each once."""
    with Spooled[str]("files") as spooled:
        spooled.add((name, None) for name in names)
        assert sorted(set(names)) == keys_of(spooled, 3)
        assert len(set(names)) == len(spooled)


@given(st.lists(st.integers(-(2**63), 2**63 - 1)))
def test_numbers_come_as_numbers(numbers: list[int]) -> None:
    """Whole numbers come in the order of their size, and not in that of their digits."""
    with Spooled[int]("files") as spooled:
        spooled.add((number, b"x") for number in numbers)
        assert sorted(set(numbers)) == [key for page in spooled.pages(3) for key, _ in page]


def test_what_is_said_later_counts() -> None:
    """Of a key that comes twice the later bytes are held; what is removed or cleared is held no more."""
    with Spooled[str]("files") as spooled:
        spooled.add([("a", b"1"), ("b", b"2"), ("a", b"3")])
        assert [[("a", b"3"), ("b", b"2")]] == list(spooled.pages(10))
        spooled.remove(["a", "never there"])
        assert ("a" not in spooled, "b" in spooled) == (True, True)
        spooled.clear()
        assert 0 == len(spooled)


def test_what_is_said_is_put_behind_what_was() -> None:
    """Of a key that comes twice both bytes are held, in the order in which they came; they stay bytes, whatever they are."""
    with Spooled[str]("files") as spooled:
        spooled.add([("a", None), ("b", b"\xff1")])
        spooled.append([("b", b"\x002"), ("a", b"\xfe"), ("c", b"4"), ("b", b"3")])
        assert [[("a", b"\xfe"), ("b", b"\xff1\x0023"), ("c", b"4")]] == list(spooled.pages(10))


@given(st.sets(st.integers(0, 40)), st.none() | st.integers(0, 40), st.none() | st.integers(0, 40))
def test_pages_between_two_keys(numbers: set[int], first: int | None, last: int | None) -> None:
    """Pages hold what lies between two keys, both included, where they are given."""
    with Spooled[int]("files") as spooled:
        spooled.add((number, None) for number in numbers)
        expected = [each for each in sorted(numbers) if (first is None or first <= each) and (last is None or each <= last)]
        assert expected == [key for page in spooled.pages(3, first, last) for key, _ in page]


def test_a_run_is_listed_for_once() -> None:
    """All ranges of a run share one listing; another run has its own, and who belongs to none sees what is there now."""
    there = ["a"]
    listing = Listing[str]("files", lambda into: into.add((each, None) for each in there))

    def seen(run: str = "") -> list[str]:
        with listing.keys(run) as keys:
            return keys_of(keys)

    assert ["a"] == seen("first")
    there.append("b")
    assert (["a"], ["a", "b"], ["a"], True) == (seen("first"), seen(), seen("first"), listing.knows("first"))
    assert (["a", "b"], False, ["a", "b"]) == (seen("second"), listing.knows("first"), seen("first"))
    listing.close()
    assert not listing.knows("first")


def test_half_a_listing_is_none() -> None:
    """When listing fails nothing of it is kept, and the next range lists again."""
    failing = [True]

    def fill(into: Spooled[str]) -> None:
        into.add([("a", None)])
        if failing:
            raise SourceFailed(str(failing.pop()))
        into.add([("b", None)])

    listing = Listing[str]("files", fill)
    with pytest.raises(SourceFailed), listing.keys("run"):
        pass
    with listing.keys("run") as keys:
        assert ["a", "b"] == keys_of(keys)
    listing.close()


def test_it_may_change_while_it_is_read() -> None:
    """What is removed while pages are taken out is not met any more, and nothing else is missed or met twice."""
    with Spooled[str]("files") as spooled:
        spooled.add((f"{number:02}", None) for number in range(20))
        met: list[str] = []
        for page in spooled.pages(5):
            met += [key for key, _ in page]
            spooled.remove([*met, "07"])
    assert [f"{number:02}" for number in range(20) if number != 7] == met


def test_memory_is_constant() -> None:
    """However many keys are held, what is allocated is a page of them."""
    with Spooled[str]("files") as spooled:
        tracemalloc.start()
        try:
            numbers = random.Random(1)
            spooled.add((f"{numbers.random()} {number}", None) for number in range(MANY))
            assert MANY == sum(map(len, spooled.pages(100)))
            assert tracemalloc.get_traced_memory()[1] < 2**20
        finally:
            tracemalloc.stop()


SPOOLING = """
import os, resource, sys
from pathlib import Path
from connectors.spooled import Listing, Spooled
from worker.errors import SourceFailed
spooled = Spooled("files")
if sys.argv[1] == "full":
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
try:
    spooled.add((f"Zilverberg {number:09}", b"x" * 50) for number in range(200_000))
    list(spooled.pages(100))
except SourceFailed as error:
    print(error)
else:
    files = [os.readlink(each) for each in Path("/proc/self/fd").iterdir() if os.path.islink(each)]
    print([each.endswith("(deleted)") for each in files if "etilqs" in each])
"""


def spooling(how: str, folder: Path) -> str:
    ran = subprocess.run(
        [sys.executable, "-c", SPOOLING, how],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[3],
        env={**os.environ, "TMPDIR": str(folder), "SQLITE_TMPDIR": str(folder)},
    )
    return ran.stdout


def test_the_file_has_no_name(tmp_path: Path) -> None:
    """While keys are held the file that they are in has no name, so a process that is killed leaves nothing behind."""
    assert spooling("well", tmp_path).startswith("[True]")
    assert [] == list(tmp_path.iterdir())


def test_a_full_disk_is_an_error(tmp_path: Path) -> None:
    """When the file can't grow that is said, with what to do and without a key; it never looks like fewer keys."""
    said = spooling("full", tmp_path)
    assert said.startswith("files: what is read of all records at once is kept in a temporary file")
    assert "TMPDIR" in said
    assert "Zilverberg" not in said


def test_a_closed_one_is_an_error() -> None:
    """What is let go of can't be read as if it were empty."""
    spooled = Spooled[str]("files")
    spooled.close()
    with pytest.raises(SourceFailed):
        len(spooled)
