"""Whatever is done to the files, it is found, called by its name, and located; what nobody touched is whole."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.audit.whole_files import KEYS, NOON, RULE, SIGNER, THIEF, Checked, File, body, kinds, write
from worker.audit.broken import Damage
from worker.audit.lines import Seal, Segment, chain, event_lines, parse_seal, seal_line
from worker.audit.note import Signer
from worker.audit.trail import AuditTrail
from worker.audit.verify import Verdict, verify
from worker.core import merkle
from worker.errors import ConfigurationError


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
