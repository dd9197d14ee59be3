"""Sidecars, index and names as pure texts: what is not changed stays, and every name has one key."""

from __future__ import annotations

import csv
import io
import json
import os

import tomlkit
from hypothesis import example, given
from hypothesis import strategies as st

from connectors.application_files import documents, index
from connectors.folder import key_of, name_of

CELLS = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=12)
KEYS = st.sampled_from(["a", "b", "c", "d"])


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
    found = index.parse((head + "".join(parts[1:])).encode(), "folder", ",")
    assert (head + "".join(kept)).encode() == found.written(remove, {})


@given(CELLS, CELLS, CELLS)
def test_a_cell_that_is_set_reads_back(before: str, other: str, after: str) -> None:
    """A cell that is set holds the new text when it is read again, and the cell beside it holds what it held."""
    text = io.StringIO(newline="")
    csv.writer(text).writerows([("folder", "x", "y"), ("a", before, other), ("b", before, other)])
    found = index.parse(text.getvalue().encode(), "folder", ",")
    again = index.parse(found.written((), {"a": {"x": after}}), "folder", ",")
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
