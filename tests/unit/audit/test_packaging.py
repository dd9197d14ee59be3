"""What other programs made of the lines of the trail is undone, a block at a time or line by line, to the same end."""

from __future__ import annotations

import bz2
import gzip
import itertools
import json
import lzma
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.thoroughness import examples
from tests.unit.audit.whole_files import RULE, Checked, File, kinds
from worker.audit import packaging
from worker.audit.broken import Damage
from worker.audit.lanes import split
from worker.audit.packaging import Block, _Wrapping, blocks


def docker(line: bytes) -> list[bytes]:
    """Return a line as Docker's json-file driver keeps it, split where it is long."""
    text = line.decode()
    parts = [text[begin : begin + 300] for begin in range(0, len(text), 300)]
    return [json.dumps({"log": part, "stream": "stdout", "time": "2026-03-01T12:00:00.000000000Z"}).encode() + b"\n" for part in parts]


def cri(line: bytes) -> list[bytes]:
    """Return a line as a container runtime keeps it, split where it is long."""
    text = line.rstrip(b"\n")
    parts = [text[begin : begin + 300] for begin in range(0, len(text), 300)]
    flags = [b"P"] * (len(parts) - 1) + [b"F"]
    return [b"2026-03-01T12:00:00.000000000Z stdout %b %b\n" % (flag, part) for flag, part in zip(flags, parts, strict=True)]


def journal_json(line: bytes, pid: int) -> list[bytes]:
    text = line.decode().rstrip("\n")
    return [json.dumps({"__CURSOR": "s=1", "_PID": str(pid), "MESSAGE": text, "PRIORITY": "6"}).encode() + b"\n"]


def journal_stream(line: bytes, stream: str) -> bytes:
    entry = {"__CURSOR": "s=1", "_STREAM_ID": stream, "_PID": "7", "MESSAGE": line.decode().rstrip("\n"), "PRIORITY": "6"}
    return json.dumps(entry, separators=(",", ":")).encode() + b"\n"


def journal_export(line: bytes) -> bytes:
    return b"__CURSOR=s=1\n_PID=7\nMESSAGE=%bPRIORITY=6\n\n" % line


CRI_HEAD = b"2026-03-01T12:00:00.000000000Z stdout F "


def docker_lines(lines: tuple[bytes, ...], stream: str = "stdout", **more: object) -> list[bytes]:
    """Return lines as Docker's json-file driver keeps them: without spaces, and `<`, `>`, `&` escaped."""
    entries = ({"log": line.decode(), "stream": stream, **more, "time": "2026-03-01T12:00:00.000000000Z"} for line in lines)
    return [json.dumps(entry, separators=(",", ":")).replace(">", "\\u003e").encode() + b"\n" for entry in entries]


def journal_short(line: bytes, pid: int) -> list[bytes]:
    return [b"Mar 01 12:00:00 host retention[%d]: %b" % (pid, line)]


def mixed(first: list[bytes], second: list[bytes], foreign: bytes) -> Iterator[bytes]:
    """Yield two writers' lines by turns, with foreign lines between them."""
    for left, right in itertools.zip_longest(first, second, fillvalue=b""):
        yield from filter(None, (left, foreign, right))


def packed(lines: tuple[bytes, ...], wrap: Callable[[bytes], list[bytes]]) -> list[bytes]:
    return [part for line in lines for part in wrap(line)]


def packagings(one: File, two: File) -> dict[str, dict[str, bytes]]:
    """Return every packaging of the two streams, by its name."""
    raw, other = b"".join(one.lines), b"".join(two.lines)
    half = len(one.lines) // 2 + 1
    halves = b"".join(one.lines[:half]), b"".join(one.lines[half:])
    noise = b"2026-03-01T12:00:00.000000000Z stderr F something else {\n"
    words = b'Mar 01 12:00:00 host kernel: {"n" something else\n'
    entry = b'{"MESSAGE":"something else","_PID":"1"}\n'
    journal = mixed(packed(one.lines, lambda line: journal_json(line, 7)), packed(two.lines, lambda line: journal_json(line, 8)), entry)
    short = mixed(packed(one.lines, lambda line: journal_short(line, 7)), packed(two.lines, lambda line: journal_short(line, 8)), words)
    return {
        "compressed": {f"{one.name}.gz": gzip.compress(raw), f"{two.name}.xz": lzma.compress(other)},
        "bzip2": {f"{one.name}.bz2": bz2.compress(raw)},
        "rotated": {one.name: halves[1], f"{one.name}.1": halves[0], f"{two.name}-20260302": other},
        "rotated the other way": {f"{one.name}.2.gz": gzip.compress(halves[0]), f"{one.name}.3": halves[1]},
        "one after the other": {"all.log": raw + b"something else\n" + other},
        "docker": {
            "0123-json.log": b"".join(packed(one.lines, docker)),
            "4567-json.log": b"".join(docker(b"hello\n") + packed(two.lines, docker)),
        },
        "cri": {"0.log": b"".join([noise, *packed(one.lines, cri), noise])},
        "journal as json": {"journal.json": b"".join(journal)},
        "journal as text": {"journal.txt": b"".join(short)},
        "docker, whole lines": {"0123-json.log": b"".join(docker_lines((b"hello\n", *one.lines, b"good \xe2\x82\xac > bye\n")))},
        "docker, both outputs": {"4567-json.log": b"".join(docker_lines(one.lines)) + b"".join(docker_lines(two.lines, stream="stderr"))},
        "docker with attributes": {"89ab-json.log": b"".join(docker_lines(one.lines, attrs={"tag": "x", "of": "a"}))},
        "cri, whole lines": {"1.log": b"".join(CRI_HEAD + line for line in (b"hello {\n", *one.lines))},
        "journal of one process": {"one.json": b"".join(journal_stream(line, "a1") for line in one.lines)},
        "journal of two processes": {
            "two.json": b"".join(
                mixed([journal_stream(line, "a1") for line in one.lines], [journal_stream(line, "b2") for line in two.lines], b"")
            )
        },
        "journal as export": {"some.export": b"".join(journal_export(line) for line in (b"hello\n", *one.lines, b'or {"x": 1}\n'))},
        "behind a text": {"some.log": b"".join(b"prefix> " + line for line in one.lines)},
    }


@pytest.mark.parametrize("name", [*packagings(File("a", "", ()), File("b", "", ()))])
def test_every_packaging_of_whole_files_is_whole(one: File, two: File, checked: Checked, name: str) -> None:
    """Rotated, compressed, merged or wrapped, with foreign lines between: nothing is found, and every line was counted."""
    contents = packagings(one, two)[name]
    for order in (contents, dict(reversed(contents.items()))):
        verdict = checked(order)
        assert verdict.findings == []
        assert {each.state for each in verdict.streams} == {"closed"}


@RULE
@given(data=st.data())
def test_damage_is_found_through_a_packaging(one: File, two: File, checked: Checked, data: st.DataObject) -> None:
    """A removed or edited event of a journal in which two processes wrote by turns is found at its line of the journal."""
    lines = list(
        mixed(packed(one.lines, lambda line: journal_json(line, 7)), packed(two.lines, lambda line: journal_json(line, 8)), b"{}\n")
    )
    events = [index for index, line in enumerate(lines) if b"salt" in line]
    index = data.draw(st.sampled_from(events))
    if data.draw(st.booleans()):
        verdict = checked({"journal": b"".join(lines[:index] + lines[index + 1 :])})
        assert kinds(verdict) == {Damage.REMOVED}
    else:
        lines[index] = lines[index].replace(b"@timestamp", b"@timestamq")
        verdict = checked({"journal": b"".join(lines)})
        assert kinds(verdict) == {Damage.EDITED}
        assert verdict.findings[0].line <= index + 1 <= verdict.findings[0].last


@settings(RULE, max_examples=examples(100))
@given(data=st.data())
def test_a_block_and_its_lines_are_unwrapped_alike(one: File, two: File, tmp_path: Path, data: st.DataObject) -> None:
    """Taking lines apart by the block comes to what taking each by itself does, whatever stands between, in whatever order."""
    kinds_of = packagings(one, two)
    names = [name for name, contents in kinds_of.items() if not any(each.startswith("audit-") for each in contents)]
    name = data.draw(st.sampled_from(names))
    lines = [line for content in kinds_of[name].values() for line in content.splitlines(keepends=True)]
    other = [line for content in kinds_of[data.draw(st.sampled_from(names))].values() for line in content.splitlines(keepends=True)]
    between = data.draw(st.lists(st.sampled_from([*other, *HOSTILE]), max_size=3))
    for line in between:
        lines.insert(data.draw(st.integers(0, len(lines))), line)
    content = b"".join(lines)[: data.draw(st.sampled_from([None, -1, -20]))]
    (tmp_path / "some.log").write_bytes(content)

    def unwrapped(found: Iterator[Block]) -> list[tuple[bytes, int, bytes]]:
        return sorted((block.lane, place, line) for block in found for place, line in zip(block.places, split(block.data), strict=True))

    wrapping = _Wrapping(_foreign=False)
    places = range(1, 1 + len(split(content)))
    by_line = [*wrapping._one_by_one(content, places), *wrapping.rest(places[-1])]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(packaging, "_BLOCK", data.draw(st.sampled_from([1 << 20, 3_000, 700])))
        assert unwrapped(iter(by_line)) == unwrapped(blocks(tmp_path / "some.log"))


@pytest.mark.parametrize(
    ("content", "messages"),
    [
        (b'X=1\nMESSAGE={"n":1,"salt"}\nMESSAGE={"n":2,"salt"}\n', [(2, b'{"n":1,"salt"}\n'), (3, b'{"n":2,"salt"}\n')]),
        (b'2026 stdout F {"n":1,"salt"}\n2026 stdout P {"n":2,', [(1, b'{"n":1,"salt"}\n'), (2, b'{"n":2,')]),
    ],
)
def test_what_stands_side_by_side_or_was_never_finished(tmp_path: Path, content: bytes, messages: list[tuple[int, bytes]]) -> None:
    """Two messages in a row lose no byte, and the first part of a line whose end never came stands there once."""
    (tmp_path / "some.log").write_bytes(content)
    found = [(place, line) for block in blocks(tmp_path / "some.log") for place, line in zip(block.places, split(block.data), strict=True)]
    assert messages == found


HOSTILE = (
    b"{}\n",
    b"\n",
    b"MESSAGE=hello\n",
    b'{"MESSAGE":"{\\"n\\":1,\\"salt\\"","_STREAM_ID":"a1"}\n',
    b'{"log":"{\\"n\\":1,\\"salt\\":\\"\\\\\\"\\n","stream":"stdout","time":"x"}\n',
    b'{"log":"\\n","stream":"stdout","time":"x"}\n',
    b'2026 stdout P {"n":1\n',
    b'2026 stdout F ,"salt":\n',
    b'{"n": 5, "seal": []}\n',
    b'a[1]: {"n" "salt" {"n" "seal"\n',
)
