"""Whatever is done to the files, it is found, called by its name, and located; and what nobody touched is whole in every packaging."""

from __future__ import annotations

import bz2
import datetime as dt
import gzip
import itertools
import json
import lzma
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from worker.audit.broken import Damage
from worker.audit.checkpoint import Head, anchor_text
from worker.audit.lanes import split
from worker.audit.lines import Seal, Segment, chain, event_lines, parse_seal, seal_line
from worker.audit.note import Signer
from worker.audit.packaging import Block, _Wrapping, blocks
from worker.audit.trail import AuditTrail
from worker.audit.verify import Verdict, verify
from worker.core import merkle
from worker.errors import ConfigurationError

NOON = dt.datetime(2026, 3, 1, 12, 0, tzinfo=dt.UTC)
SIGNER = Signer.of("retention-worker/e-000001", bytes(range(32)))
THIEF = Signer.of("retention-worker/e-000001", bytes(32))
KEYS = [SIGNER.verifier]
RULE = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@dataclass(frozen=True)
class File:
    """A whole file of a closed stream: its name and its lines. heads -- its chain value by number of lines."""

    name: str
    stream: str
    lines: tuple[bytes, ...] = field(repr=False)

    @property
    def seals(self) -> list[Seal]:
        return [seal for seal in map(parse_seal, self.lines) if seal is not None]

    def anchor(self, lines: int | None = None) -> str:
        """Return an anchor made when the stream was so long; by default when it was closed."""
        seal = next(each for each in reversed(self.seals) if lines is None or each.line < lines)
        return SIGNER.sign(anchor_text([Head(self.stream, seal.line + 1, seal.segment.chain)], "2026-03-02T00:00:00.000Z"))


def body(number: int) -> bytes:
    return b'{"@timestamp":"t","event.action":"retention.record_deleted","retention.record":"2026:%06d","retention.count":1.5}' % number


def write(folder: Path, sizes: tuple[int, ...], signer: Signer | None = SIGNER, *, close: bool = True) -> File:
    """Write a stream with segments of these sizes, and a checkpoint after every second one."""
    trail = AuditTrail.open(folder, now=lambda: NOON, service_version="1", sign=signer.sign if signer else None)
    for place, size in enumerate(sizes):
        trail.write([body(number) for number in range(size)])
        if place % 2:
            trail.checkpoint()
    if close:
        trail.close()
    else:
        trail._abandon()
    return File(trail.path.name, trail.stream, tuple(trail.path.read_bytes().splitlines(keepends=True)))


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> File:
    return write(tmp_path_factory.mktemp("one"), (4, 1, 6, 3, 2))


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> File:
    return write(tmp_path_factory.mktemp("two"), (3, 5))


@pytest.fixture
def checked(tmp_path: Path) -> Callable[..., Verdict]:
    """Put files with these contents down and verify them."""
    counter = itertools.count()

    def check(contents: dict[str, bytes], *anchors: str) -> Verdict:
        folder = tmp_path / str(next(counter))
        folder.mkdir()
        for name, content in contents.items():
            (folder / name).write_bytes(content)
        return verify([folder / name for name in contents], KEYS, anchors)

    return check


Checked = Callable[..., Verdict]


def kinds(verdict: Verdict) -> set[Damage]:
    return {found.kind for found in verdict.findings}


def located(verdict: Verdict, first: int, last: int | None = None) -> bool:
    """Tell whether every finding touches these lines, from 1."""
    return all(found.line <= (last or first) and found.last >= first for found in verdict.findings)


def is_seal(line: bytes) -> bool:
    return parse_seal(line) is not None


def segment_around(file: File, index: int) -> tuple[int, int]:
    """Return the indices of the first line and of the seal of the segment that a line stands in."""
    seal = next(each for each in file.seals if each.line >= index)
    return seal.segment.first, seal.line


def test_what_nobody_touched_is_whole(one: File, two: File, checked: Checked) -> None:
    """Two closed streams, in any order, with the anchor of one: nothing is found, and both are signed to their end."""
    verdict = checked({two.name: b"".join(two.lines), one.name: b"".join(one.lines)}, one.anchor())
    assert verdict.findings == []
    assert [(each.state, each.unsigned) for each in verdict.streams] == [("closed", 2), ("closed", 2)]
    assert verdict.lines == len(one.lines) + len(two.lines)


@RULE
@given(data=st.data())
def test_an_edited_byte_is_edited(one: File, checked: Checked, data: st.DataObject) -> None:
    """One byte of any line, seals and salts too, makes an edited line in its segment, and nothing else is said."""
    index = data.draw(st.integers(0, len(one.lines) - 1))
    line = one.lines[index]
    place = data.draw(st.integers(0, len(line) - 2))
    other = data.draw(st.integers(33, 126).filter(lambda value: value != line[place]))
    changed = [*one.lines[:index], line[:place] + bytes([other]) + line[place + 1 :], *one.lines[index + 1 :]]
    verdict = checked({one.name: b"".join(changed)})
    first, seal = segment_around(one, index)
    assert kinds(verdict) == {Damage.EDITED}
    assert located(verdict, first + 1, seal + 1)


@RULE
@given(data=st.data())
def test_a_line_taken_out_is_removed(one: File, checked: Checked, data: st.DataObject) -> None:
    """Any one line but the last seal (that looks like a crash), whether an event or a seal."""
    index = data.draw(st.integers(0, len(one.lines) - 2))
    verdict = checked({one.name: b"".join(one.lines[:index] + one.lines[index + 1 :])})
    first, seal = segment_around(one, index)
    if seal - first == 1 and index == seal:
        assert kinds(verdict) <= {Damage.REMOVED}
    assert kinds(verdict) == {Damage.REMOVED}
    assert located(verdict, first, seal + 2)
    assert str(index) in verdict.findings[0].what


@RULE
@given(data=st.data())
def test_whole_segments_taken_out_are_a_gap(one: File, checked: Checked, data: st.DataObject) -> None:
    """Segments with their seals, from the first to the one before the last, as when a rotated file is lost."""
    seals = [-1, *(seal.line for seal in one.seals)]
    begin, end = sorted(data.draw(st.lists(st.integers(0, len(seals) - 2), min_size=2, max_size=2, unique=True)))
    verdict = checked({one.name: b"".join(one.lines[: seals[begin] + 1] + one.lines[seals[end] + 1 :])})
    assert kinds(verdict) == {Damage.GAP}
    assert located(verdict, seals[begin] + 2)


@RULE
@given(data=st.data())
def test_a_line_put_in_is_inserted(one: File, checked: Checked, data: st.DataObject) -> None:
    """A line in the right form with any number, or one of another kind, at any place."""
    index = data.draw(st.integers(0, len(one.lines)))
    number = data.draw(st.integers(0, len(one.lines) + 5))
    line = data.draw(st.sampled_from([event_lines(number, bytes(16), [body(9)])[0], b"something else\n", b"\n"]))
    verdict = checked({one.name: b"".join((*one.lines[:index], line, *one.lines[index:]))})
    assert kinds(verdict) == {Damage.INSERTED}
    assert located(verdict, index + 1)


@RULE
@given(data=st.data())
def test_a_moved_line_is_reordered(one: File, checked: Checked, data: st.DataObject) -> None:
    """Any line, moved to any other place but behind the last seal, where it looks like the rest of a write."""
    index = data.draw(st.integers(0, len(one.lines) - 2))
    target = data.draw(st.integers(0, len(one.lines) - 2).filter(lambda value: value != index))
    lines = list(one.lines)
    lines.insert(target, lines.pop(index))
    verdict = checked({one.name: b"".join(lines)})
    assert kinds(verdict) == {Damage.REORDERED}
    low, high = sorted((index, target))
    assert located(verdict, low, high + 2)


@RULE
@given(data=st.data())
def test_moved_segments_are_reordered(one: File, checked: Checked, data: st.DataObject) -> None:
    """Two neighbouring stretches of whole segments change places."""
    seals = [-1, *(seal.line for seal in one.seals)]
    a, b, c = (seals[each] + 1 for each in sorted(data.draw(st.lists(st.integers(0, len(seals) - 2), min_size=3, max_size=3, unique=True))))
    verdict = checked({one.name: b"".join(one.lines[:a] + one.lines[b:c] + one.lines[a:b] + one.lines[c:])})
    assert kinds(verdict) == {Damage.REORDERED}
    assert located(verdict, a + 1, c)


@RULE
@given(data=st.data())
def test_a_repeated_stretch_is_duplicated(one: File, checked: Checked, data: st.DataObject) -> None:
    """Any stretch of lines, repeated at once, or one line repeated anywhere."""
    begin = data.draw(st.integers(0, len(one.lines) - 1))
    if data.draw(st.booleans()):
        end = data.draw(st.integers(begin + 1, len(one.lines)))
        verdict = checked({one.name: b"".join(one.lines[:end] + one.lines[begin:])})
        assert located(verdict, begin + 1, 2 * end - begin)
    else:
        place = data.draw(st.integers(0, len(one.lines)))
        verdict = checked({one.name: b"".join((*one.lines[:place], one.lines[begin], *one.lines[place:]))})
    assert kinds(verdict) == {Damage.DUPLICATED}


@RULE
@given(data=st.data())
def test_a_cut_tail_is_certain_below_the_anchor_and_said_to_be_open_above(one: File, checked: Checked, data: st.DataObject) -> None:
    """Cut at any byte: what the anchor knows of is a cut; without one it may be a crash, and the words say so."""
    raw = b"".join(one.lines)
    place = data.draw(st.integers(len(one.lines[0]) + len(one.lines[1]), len(raw) - 1))
    anchored, alone = checked({one.name: raw[:place]}, one.anchor()), checked({one.name: raw[:place]})
    assert kinds(anchored) == {Damage.CUT}
    assert kinds(alone) <= {Damage.TORN, Damage.UNCLOSED}
    assert "can't be told from a crash" in alone.findings[0].what


def test_an_anchor_from_before_says_nothing_about_what_came_later(one: File, checked: Checked) -> None:
    """A stream that grew after it was anchored is whole; cut above the anchored head it may have crashed."""
    seal = one.seals[3].line + 1
    early = one.anchor(seal)
    assert checked({one.name: b"".join(one.lines)}, early).whole
    assert kinds(checked({one.name: b"".join(one.lines[:seal])}, early)) == {Damage.UNCLOSED}
    assert kinds(checked({one.name: b"".join(one.lines[: seal - 1])}, early)) == {Damage.CUT}


def test_a_missing_file_is_known_to_the_anchor(one: File, two: File, checked: Checked) -> None:
    """A stream that was anchored and isn't there is said by its name."""
    verdict = checked({two.name: b"".join(two.lines)}, one.anchor())
    assert [(found.kind, found.stream) for found in verdict.findings] == [(Damage.ABSENT, one.stream)]


def test_swapped_files_are_found_by_their_names(one: File, two: File, checked: Checked) -> None:
    """Each file holds the other's stream."""
    verdict = checked({one.name: b"".join(two.lines), f"{two.name}.1": b"".join(one.lines)})
    assert kinds(verdict) == {Damage.SWAPPED}
    assert len(verdict.findings) == 2


def rewritten(file: File, change: Callable[[bytes], bytes | None]) -> list[bytes]:
    """Return the stream with changed payloads (None: without the event) and right leaves, roots and chains: all that needs no key."""
    lines: list[bytes] = []
    payloads: list[bytes] = []
    previous, number = "0" * 64, 0
    for line in file.lines:
        seal = parse_seal(line)
        if seal is None:
            changed = change(line[line.index(b'"event":') + 8 : -2])
            payloads += [] if changed is None else [changed]
        elif payloads:
            first, count, salts = len(lines), len(payloads), bytes(16 * len(payloads))
            root = merkle.root(merkle.leaf_hashes(salts, 16, payloads)).hex()
            chained = chain(previous, root, file.stream, number, first, count)
            made = Segment(file.stream, number, first, count, root, chained)
            lines += [*event_lines(first, salts, payloads), seal_line(Seal(first + count, made, previous))]
            previous, number, payloads = chained, number + 1, []
    return lines


def test_a_stream_made_anew_does_not_fit_its_checkpoints(one: File, checked: Checked) -> None:
    """With right hashes everywhere but without the key, the first checkpoint behind the change gives it away."""
    lines = rewritten(one, lambda payload: payload.replace(b":000003", b":000004"))
    verdict = checked({one.name: b"".join(lines)})
    assert kinds(verdict) == {Damage.EDITED}
    assert b"retention.checkpoint" in lines[verdict.findings[0].line - 1]


def test_a_checkpoint_signed_by_somebody_else_is_forged(tmp_path: Path, checked: Checked) -> None:
    """A stream made by a thief with a key of the same name, or with another name."""
    for signer, words in ((THIEF, "another key"), (Signer.of("other", bytes(32)), "another key: other")):
        forged = write(tmp_path / words, (3, 1, 2), signer)
        verdict = checked({forged.name: b"".join(forged.lines)})
        assert kinds(verdict) == {Damage.FORGED}
        assert all(b"retention.checkpoint" in forged.lines[found.line - 1] and words in found.what for found in verdict.findings)


@RULE
@given(data=st.data())
def test_a_changed_checkpoint_is_forged(one: File, checked: Checked, data: st.DataObject) -> None:
    """Whatever character of a note is changed, with right hashes around it, the checkpoint no longer proves anything."""
    note = next(json.loads(line)["event"]["retention.note"] for line in one.lines if b"retention.note" in line)
    place = data.draw(st.integers(0, len(note) - 1))
    other = data.draw(st.characters(min_codepoint=33, max_codepoint=126).filter(lambda value: value != note[place]))
    was, new = (json.dumps(each).encode() for each in (note, note[:place] + other + note[place + 1 :]))
    verdict = checked({one.name: b"".join(rewritten(one, lambda payload: payload.replace(was, new)))})
    # What was made anew around it doesn't fit the next checkpoint, which is left as it was.
    assert [found.kind for found in verdict.findings] == [Damage.FORGED, Damage.EDITED]


def test_a_checkpoint_from_another_place_is_forged(one: File, two: File, checked: Checked) -> None:
    """A good note counts only in its own stream and at its own place."""
    notes = [
        json.dumps(json.loads(line)["event"]["retention.note"]).encode()
        for file in (one, two)
        for line in file.lines
        if b"retention.note" in line
    ]
    for other in (notes[1], notes[-1]):
        lines = rewritten(one, lambda payload, other=other: payload.replace(notes[0], other))  # type: ignore[misc]
        verdict = checked({one.name: b"".join(lines)})
        assert verdict.findings[0].kind is Damage.FORGED
        assert "another place" in verdict.findings[0].what


def test_what_nobody_signed_is_said_unless_an_anchor_knows_it(one: File, tmp_path: Path, checked: Checked) -> None:
    """A stream without checkpoints proves nothing, and lines between the last checkpoint and the end are no part of what was signed."""
    plain = write(tmp_path / "plain", (3, 1), None)
    assert kinds(checked({plain.name: b"".join(plain.lines)})) == {Damage.UNSIGNED}
    assert checked({plain.name: b"".join(plain.lines)}, plain.anchor()).whole
    stripped = rewritten(one, lambda payload: None if b'"retention.checkpoint"' in payload else payload)
    assert kinds(checked({one.name: b"".join(stripped)})) == {Damage.UNSIGNED}
    more = rewritten(one, lambda payload: payload.replace(b"stream_closed", b"finding") if b"stream_closed" in payload else payload)
    assert kinds(checked({one.name: b"".join(more)})) != set()


def test_another_file_with_the_same_name_is_swapped(one: File, checked: Checked) -> None:
    """A stream that was replaced as a whole is not the one that was anchored."""
    lines = rewritten(one, lambda payload: payload.replace(b":000003", b":000004"))
    assert Damage.SWAPPED in kinds(checked({one.name: b"".join(lines)}, one.anchor()))


def spaced(line: bytes) -> bytes:
    """Return the same JSON as a shipper writes it."""
    return json.dumps(json.loads(line)).encode() + b"\n"


@RULE
@given(data=st.data())
def test_the_same_json_in_other_bytes_is_re_encoded(one: File, checked: Checked, data: st.DataObject) -> None:
    """Some lines, or all of them: what they say is what was sealed, and that is told apart from a change."""
    chosen = data.draw(st.sets(st.integers(0, len(one.lines) - 1), min_size=1))
    every = data.draw(st.booleans())
    lines = [spaced(line) if every or index in chosen else line for index, line in enumerate(one.lines)]
    verdict = checked({one.name: b"".join(lines)})
    assert kinds(verdict) == {Damage.REENCODED}
    said = {line for found in verdict.findings for line in range(found.line, found.last + 1)}
    assert said == ({index + 1 for index in chosen} if not every else set(range(1, len(lines) + 1)))


def test_re_encoding_that_also_sorts_is_said_line_by_line(one: File, checked: Checked) -> None:
    """When the order of members is lost, the bytes can't be had back, and the lines in other bytes are the ones named."""
    lines = list(one.lines)
    index = next(place for place, line in enumerate(lines) if b":000003" in line)
    lines[index] = json.dumps(dict(sorted(json.loads(lines[index]).items())), sort_keys=True).encode() + b"\n"
    verdict = checked({one.name: b"".join(lines)})
    assert [(found.kind, found.line) for found in verdict.findings] == [(Damage.EDITED, index + 1)]
    assert "other bytes" in verdict.findings[0].what


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


def test_a_crash_that_was_recorded_is_in_order_and_a_later_cut_is_certain(tmp_path: Path, checked: Checked) -> None:
    """What a later process wrote about the end of a stream is what the end is held against, its whole content too."""
    crashed = write(tmp_path, (3, 1, 4), close=False)
    later = write(tmp_path, (1,))
    rest = b"".join(later.lines)
    assert checked({crashed.name: b"".join(crashed.lines), later.name: rest}).whole
    last = crashed.seals[-2].line + 1
    assert kinds(checked({crashed.name: b"".join(crashed.lines[:last]), later.name: rest})) == {Damage.CUT}
    anew = rewritten(crashed, lambda payload: payload.replace(b":000003", b":000004"))
    assert Damage.EDITED in kinds(checked({crashed.name: b"".join(anew), later.name: rest}))
    alone = checked({crashed.name: b"".join(crashed.lines)})
    assert kinds(alone) == {Damage.UNCLOSED}
    assert alone.streams[0].unsigned == 5


def test_a_torn_end_that_was_recorded_is_in_order(tmp_path: Path, checked: Checked) -> None:
    """Half a line that a crash left is told by its hash, and another half is not that one."""
    crashed = write(tmp_path, (3,), close=False)
    with (tmp_path / crashed.name).open("ab") as file:
        file.write(b'{"n":6,"sal')
    later = write(tmp_path, (1,))
    raw, rest = (tmp_path / crashed.name).read_bytes(), b"".join(later.lines)
    assert checked({crashed.name: raw, later.name: rest}).whole
    assert kinds(checked({crashed.name: raw[:-1] + b"x", later.name: rest})) == {Damage.EDITED}
    assert kinds(checked({crashed.name: raw[:-11], later.name: rest})) == {Damage.CUT}
    assert kinds(checked({crashed.name: raw})) == {Damage.TORN}


def test_a_file_that_is_being_written_is_whole_so_far(tmp_path: Path) -> None:
    """Reading beside the writer is no reason for alarm."""
    trail = AuditTrail.open(tmp_path, now=lambda: NOON, service_version="1", sign=SIGNER.sign)
    trail.write([body(1)])
    verdict = verify([trail.path], KEYS)
    trail.close()
    assert verdict.whole
    assert verdict.streams[0].state == "written"


def test_what_can_not_be_read_is_said(one: File, checked: Checked) -> None:
    """A compressed file that ends too early is a finding; a file without a trail proves nothing and is no success."""
    cut = gzip.compress(b"".join(one.lines))[:-20]
    assert Damage.FOREIGN in kinds(checked({f"{one.name}.gz": cut}))
    with pytest.raises(ConfigurationError, match="nothing was verified"):
        checked({"other.log": b"something else\n"})
    with pytest.raises(ConfigurationError, match="anchor"):
        checked({one.name: b"".join(one.lines)}, THIEF.sign("retention-worker/anchor\n0\nnow\n"))


def dropped(file: File, *segments: int) -> bytes:
    """Return the content of a file whose segments with these numbers lost what they said."""
    lines = list(file.lines)
    for seal in file.seals:
        if seal.segment.number in segments:
            for index in range(seal.segment.first, seal.line):
                entry = json.loads(lines[index])
                leaf = merkle.leaf_hash(bytes.fromhex(entry["salt"]), lines[index][lines[index].index(b'"event":') + 8 : -2])
                lines[index] = b'{"n":%d,"leaf":"%b"}\n' % (index, leaf.hex().encode())
    return b"".join(lines)


def saying(folder: Path, file: File, *ranges: str) -> File:
    """Write a stream that says which segments of a file were dropped."""
    with AuditTrail.open(folder, now=lambda: NOON, service_version="1", sign=SIGNER.sign) as trail:
        trail.emit("retention.audit_pruned", {"retention.stream": file.stream, "retention.ranges": list(ranges)})
    return File(trail.path.name, trail.stream, tuple(trail.path.read_bytes().splitlines(keepends=True)))


@RULE
@given(gone=st.sets(st.integers(1, 5)), said=st.sets(st.integers(1, 5)))
def test_payloads_may_be_gone_where_an_event_says_so(
    one: File, checked: Checked, tmp_path_factory: pytest.TempPathFactory, gone: set[int], said: set[int]
) -> None:
    """What was dropped and said is counted and whole, also against an older anchor; what nobody said is a finding, and nothing else is."""
    ranges = ("7-8", *(f"{number}-{number}" for number in sorted(said, reverse=True)))
    later = saying(tmp_path_factory.mktemp("later"), one, *ranges)
    # The checkpoints are segments of their own: 3 and 6.
    gone -= {3, 6}
    verdict = checked({one.name: dropped(one, *gone), later.name: b"".join(later.lines)}, one.anchor())
    counts = {seal.segment.number: seal.segment.count for seal in one.seals}
    assert {one.stream: sum(counts[number] for number in gone), later.stream: 0} == {each.stream: each.dropped for each in verdict.streams}
    assert ({Damage.DROPPED} if gone - said else set()) == kinds(verdict)


def test_what_was_dropped_in_secret_is_located(one: File, checked: Checked) -> None:
    """Without an event the lines that lost their payload are named; dropped structure is missed as if it were not there."""
    verdict = checked({one.name: dropped(one, 4)})
    assert [(Damage.DROPPED, 12, 18)] == [(found.kind, found.line, found.last) for found in verdict.findings]
    without_checkpoints = checked({one.name: dropped(one, *(seal.segment.number for seal in one.seals if seal.segment.count == 1))})
    assert Damage.DROPPED in kinds(without_checkpoints)
    assert not without_checkpoints.whole


def test_one_line_of_a_segment_may_be_dropped(one: File, checked: Checked) -> None:
    """A reader of this format also takes segments of which only some lines lost their payload, and counts these."""
    lines = list(one.lines)
    index = next(place for place, line in enumerate(lines) if b":000003" in line)
    other = dropped(one, *(seal.segment.number for seal in one.seals)).splitlines(keepends=True)
    lines[index] = other[index]
    verdict = checked({one.name: b"".join(lines)})
    assert (1, {Damage.DROPPED}) == (verdict.streams[0].dropped, kinds(verdict))


@pytest.mark.parametrize(
    "line",
    [
        b'{"n":1,"salt":' + b"[" * 100_000 + b"\n",
        b'{"MESSAGE":' + b"[" * 100_000 + b' "n" "salt"\n',
        b'{"log":"\\ud800 \\"n\\" \\"salt\\"\\n","stream":"stdout"}\n',
        b'["log", "n", "salt"]\n',
        b'{"n": 5, "seal": []}\n',
        b'{"n": ' + b"9" * 5000 + b', "seal": {}}\n',
    ],
)
@pytest.mark.parametrize("owned", [True, False])
def test_hostile_lines_do_not_stop_the_verification(one: File, checked: Checked, line: bytes, *, owned: bool) -> None:
    """Lines made to break a reader are inserted lines in the writer's own file, and foreign ones elsewhere."""
    lines = (*one.lines[:5], line, *one.lines[5:])
    verdict = checked({one.name if owned else "some.log": b"".join(lines)})
    assert [(found.kind, found.line) for found in verdict.findings] == ([(Damage.INSERTED, 6)] if owned else [])


def test_a_forged_seal_of_endless_lines_costs_nothing(one: File, checked: Checked) -> None:
    """A seal that is right in itself and claims more lines than a segment can have is no seal, and one far ahead is told by its number."""
    for first, count in ((31, 10**17), (10**17, 1)):
        root = "0" * 64
        made = Segment(one.stream, 10, first, count, root, chain(root, root, one.stream, 10, first, count))
        lines = (*one.lines, seal_line(Seal(first + count, made, root)))
        assert not checked({one.name: b"".join(lines)}).whole


@RULE
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
    assert unwrapped(iter(by_line)) == unwrapped(blocks(tmp_path / "some.log"))


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
