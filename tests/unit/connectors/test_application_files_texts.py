"""Sidecars, index and names as pure texts: what is not changed stays, and every name has one key."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Mapping
from contextlib import closing

import pytest
import tomlkit
from hypothesis import example, given
from hypothesis import strategies as st

from connectors.application_files import documents, index
from connectors.folder import key_of, name_of

CELLS = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=12)
KEYS = st.sampled_from(["a", "b", "c", "d"])


def index_of(text: str) -> closing[index.Index]:
    """Return an index as it is read."""
    return closing(index.spool("files", io.StringIO(text, newline=""), "folder", ","))


def after_writing(text: str, going: Mapping[str, str], settings: Mapping[str, Mapping[str, object]]) -> str:
    """Return an index as a batch leaves it."""
    return b"".join(index.written(io.StringIO(text, newline=""), "folder", ",", going, settings)).decode()


def seen_in(found: index.Index) -> dict[str, tuple[str, object]]:
    """Return all that can be seen of an index."""
    return {key: (found.digest(key), found.values(key)) for key in found}


@given(st.lists(st.tuples(KEYS, CELLS, CELLS), max_size=8), st.sets(KEYS), st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_lines_that_stay_are_untouched(lines: list[tuple[str, str, str]], remove: set[str], end: str, bom: bool) -> None:
    """Taking lines out of an index leaves every other byte as it was, whatever is quoted and however lines end."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n", quoting=csv.QUOTE_ALL)
    parts = []
    for line in [("folder", "x", "y"), *lines]:
        writer.writerow(line)
        parts.append(text.getvalue().removesuffix("\r\n") + end)
        text.seek(0)
        text.truncate()
    head = ("\ufeff" if bom else "") + parts[0]
    kept = [part for part, line in zip(parts[1:], lines, strict=True) if line[0] not in remove]
    before = head + "".join(parts[1:])
    with index_of(before) as found:
        digests = {key: found.digest(key) for key in remove}
    assert head + "".join(kept) == after_writing(before, digests, {})
    assert before == after_writing(before, dict.fromkeys(remove, "of other lines"), {})


@given(
    st.lists(st.lists(CELLS | KEYS, max_size=4), max_size=8),
    st.dictionaries(KEYS, st.booleans(), max_size=2),
    st.dictionaries(KEYS, st.dictionaries(st.sampled_from(["x", "y"]), CELLS, max_size=2), max_size=2),
)
def test_as_it_will_be_is_as_it_is_written(lines: list[list[str]], going: dict[str, bool], cells: dict[str, dict[str, str]]) -> None:
    """An index seen as a batch will leave it is what the batch then writes, whether lines fit or not, and of several for a dossier."""
    text = io.StringIO(newline="")
    csv.writer(text).writerows([("folder", "x", "y"), *lines])
    with index_of(text.getvalue()) as found:
        digests = {key: found.digest(key) if fresh else "of other lines" for key, fresh in going.items()}
        found.change(digests, cells)
        with index_of(after_writing(text.getvalue(), digests, cells)) as again:
            assert seen_in(again) == seen_in(found)


def test_only_what_is_wanted_is_held() -> None:
    """A batch holds the lines of its own dossiers, and of them all; lines without a key are counted."""
    text = "folder,x\na,1\nb,2\n,3\n\nc,4\nb,5\nd,6\n"
    with closing(index.spool("files", io.StringIO(text, newline=""), "folder", ",", ("b", "c"))) as found:
        assert (["b", "c"], 1) == (list(found), found.nameless)
        assert (None, {"folder": "c", "x": "4"}) == (found.values("b"), found.values("c"))


@pytest.mark.parametrize(
    "text",
    ["", "\n", "x,y\na,b\n", "folder,folder\n", "folder,x,x\n", 'folder\n"a', 'folder\n"a"b\n', "folder\n" + "a," * 10**6],
    ids=["nothing", "no header", "no key", "two keys", "two columns of a name", "open quotation", "text behind one", "a line without end"],
)
def test_what_is_no_index(text: str) -> None:
    """What can't be read as an index to its end is none, and none of it is taken for one."""
    with pytest.raises(index.UnreadableIndex):
        index.spool("files", io.StringIO(text, newline=""), "folder", ",")


@given(CELLS, CELLS, CELLS)
def test_a_cell_that_is_set_reads_back(before: str, other: str, after: str) -> None:
    """A cell that is set holds the new text when it is read again, and the cell beside it holds what it held."""
    text = io.StringIO(newline="")
    csv.writer(text).writerows([("folder", "x", "y"), ("a", before, other), ("b", before, other)])
    with index_of(text.getvalue()) as found, index_of(after_writing(text.getvalue(), {}, {"a": {"x": after}})) as again:
        assert {"folder": "a", "x": after or None, "y": other or None} == again.values("a")
        assert found.values("b") == again.values("b")


@given(st.binary(min_size=1, max_size=20).filter(lambda name: b"/" not in name and b"\0" not in name and not name.startswith(b".")))
def test_every_name_has_one_key(name: bytes) -> None:
    """Every name that a folder can have, valid text or not, has a key that can be stored and leads back to it alone."""
    text = os.fsdecode(name)
    key = key_of(text)
    key.encode()
    assert text == name_of(key)
    assert key == key_of(name_of(key))


@given(
    st.dictionaries(CELLS.filter(lambda name: name != "contact"), CELLS | st.integers(-(2**53), 2**53) | st.booleans(), max_size=4), CELLS
)
@example({}, "\x85 ")
def test_a_sidecar_keeps_its_other_facts(said: dict[str, object], new: str) -> None:
    """Setting one fact of a sidecar, in JSON or TOML, leaves all others as they were, and setting it twice is setting it once."""
    said = {**said, "name": "before"}
    for file, content in (("s.json", json.dumps(said).encode()), ("s.toml", tomlkit.dumps(said).encode())):
        settings = [(("name",), new), (("contact", "email"), new)]
        once = documents.changed(file, content, settings)
        assert {**said, "name": new, "contact": {"email": new}} == {"contact": None, **documents.parse(file, once)}
        assert once == documents.changed(file, once, settings)


def test_comments_in_toml_stay() -> None:
    """A treated TOML sidecar keeps its comments, and a cleared fact is a line less."""
    before = b'# by hand\nname = "A"  # the applicant\nscore = 1.50\n\n[contact]\nemail = "a@x.example"\nphone = "1"\n'
    after = documents.changed("s.toml", before, [(("contact", "email"), None), (("name",), "new"), (("gone", "deep"), None)])
    assert b'# by hand\nname = "new"  # the applicant\nscore = 1.50\n\n[contact]\nphone = "1"\n' == after
