"""The reader believes nothing: every change to a file is found, and one segment is found without reading the rest."""

import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.events import wrong_events
from tests.thoroughness import examples
from worker.audit.broken import Broken, Damage
from worker.audit.lines import parse_seal
from worker.audit.outcomes import outcomes
from worker.audit.read import Dropped, Entry, check, read, segment
from worker.audit.trail import AuditTrail
from worker.core import merkle

Opened = Callable[[], AuditTrail]


def body(number: int) -> bytes:
    return b'{"@timestamp":"t","event.action":"retention.record_deleted","retention.record":"r%d"}' % number


def written(trail: AuditTrail) -> list[bytes]:
    """Write some segments, close the stream, and return its lines."""
    for size in (1, 4, 3):
        trail.write([body(number) for number in range(size)])
    trail.close()
    return trail.path.read_bytes().splitlines(keepends=True)


def until_broken(path: Path) -> tuple[list[Entry], Broken | None]:
    """Return what can be read, and what stopped the reading."""
    entries: list[Entry] = []
    try:
        for entry in read(path):
            entries.append(entry)  # noqa: PERF402 - what came before the error is wanted
    except Broken as broken:
        return entries, broken
    return entries, None


def damage(path: Path) -> Damage | None:
    broken = until_broken(path)[1]
    return broken.kind if broken else None


unharmed = settings(max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@unharmed
@given(data=st.data())
def test_any_edited_byte_is_found(trail: AuditTrail, data: st.DataObject) -> None:
    """Whatever single byte is changed, wherever it stands, reading the file to its end fails."""
    raw = b"".join(written(trail)) if not trail._closed else trail.path.read_bytes()
    place = data.draw(st.integers(0, len(raw) - 1))
    other = data.draw(st.integers(0, 255).filter(lambda value: value != raw[place]))
    trail.path.write_bytes(raw[:place] + bytes([other]) + raw[place + 1 :])
    assert damage(trail.path) is not None
    trail.path.write_bytes(raw)
    assert damage(trail.path) is None


@unharmed
@given(data=st.data())
def test_any_removed_doubled_or_moved_line_is_found(trail: AuditTrail, data: st.DataObject) -> None:
    """Lines can't be taken out, repeated or put elsewhere; not even the last ones."""
    raw = b"".join(written(trail)) if not trail._closed else trail.path.read_bytes()
    lines = raw.splitlines(keepends=True)
    one = data.draw(st.integers(0, len(lines) - 1))
    two = data.draw(st.integers(one + 1, len(lines)))
    changed = data.draw(
        st.sampled_from(
            [
                lines[:one] + lines[two:],
                lines[:two] + lines[one:],
                lines[:one] + lines[two:] + lines[one:two],
                lines[:one] + lines[one:two][::-1] + lines[two:],
            ]
        ).filter(lambda candidate: candidate != lines)
        if one or two < len(lines)
        else st.just(lines[1:])
    )
    trail.path.write_bytes(b"".join(changed))
    assert damage(trail.path) is not None
    trail.path.write_bytes(raw)


def test_the_kinds_of_damage_are_told_apart(trail: AuditTrail) -> None:
    """An auditor learns what was done to the file."""
    lines = written(trail)

    def after(changed: list[bytes]) -> Damage | None:
        trail.path.write_bytes(b"".join(changed))
        return damage(trail.path)

    assert after(lines) is None
    assert after([lines[0].replace(b"stream_opened", b"stream_closed"), *lines[1:]]) is Damage.EDITED
    assert after([*lines[:5], *lines[6:]]) is Damage.ORDER
    assert after([*lines[:4], b"garbage\n", *lines[5:]]) is Damage.FOREIGN
    assert after([lines[0], lines[1].replace(b'"previous":"0', b'"previous":"1'), *lines[2:]]) is Damage.CHAIN
    assert after(lines[:-1]) is Damage.TORN
    assert after(lines[:-2]) is Damage.UNCLOSED
    assert after([]) is Damage.UNCLOSED


def test_a_segment_that_was_made_anew_is_found_by_its_chain(opened: Opened) -> None:
    """Somebody who rewrites one segment with a right root and seal still breaks the seal after it."""
    trail, other = opened(), opened()
    lines, others = written(trail), written(other)
    stream = trail.stream.encode()
    forged = [line.replace(other.stream.encode(), stream) for line in others[:2]]
    trail.path.write_bytes(b"".join([*forged, *lines[2:]]))
    assert damage(trail.path) in {Damage.CHAIN, Damage.EDITED}


def test_a_seal_of_another_stream_is_foreign(opened: Opened) -> None:
    """A file can't be passed off as that of another stream."""
    trail, other = opened(), opened()
    lines = written(trail)
    written(other)
    other.path.write_bytes(b"".join(lines))
    assert damage(other.path) is Damage.FOREIGN


def test_a_sealed_payload_that_is_no_json_is_said(trail: AuditTrail) -> None:
    """A writer's own mistake is shown as damage, never skipped."""
    trail.write([b"{not json}"])
    trail.close()
    assert damage(trail.path) is Damage.FOREIGN


def test_unsealed_lines_are_shown_and_vouched_for_by_nobody(trail: AuditTrail) -> None:
    """After a crash what can be read can be read, but it is marked."""
    lines = written(trail)
    trail.path.write_bytes(b"".join(lines[:6]) + b'{"n":6,"sa')
    entries, broken = until_broken(trail.path)
    assert broken is not None
    assert broken.kind is Damage.TORN
    assert trail.path.name in str(broken)
    assert [(entry.number, entry.sealed) for entry in entries] == [(0, True), (2, True), (4, False), (5, False)]


def test_a_living_file_is_read_up_to_its_last_seal(trail: AuditTrail) -> None:
    """Reading beside the writer is no reason for alarm."""
    trail.write([body(1)])
    assert [entry.number for entry in read(trail.path)] == [0, 2]


def test_a_file_of_another_name_is_not_an_audit_file(trail: AuditTrail) -> None:
    """The stream is part of the name, and the name is checked."""
    written(trail)
    assert damage(trail.path.rename(trail.path.with_name("copy.jsonl"))) is Damage.FOREIGN
    other = trail.path.with_name(f"audit-20260101T000000Z-{'0' * 32}.jsonl")
    assert damage((other.with_name("copy.jsonl")).rename(other)) is Damage.FOREIGN


def test_a_dropped_payload_leaves_the_rest_provable(trail: AuditTrail, folder: Path) -> None:
    """A payload and its salt can be replaced by their leaf: the chain holds, and the entry says it was dropped."""
    lines = written(trail)
    line = json.loads(lines[5])
    payload = lines[5][lines[5].index(b'"event":') + 8 : -2]
    leaf = merkle.leaf_hash(bytes.fromhex(line["salt"]), payload)
    lines[5] = b'{"n":5,"leaf":"%b"}\n' % leaf.hex().encode()
    trail.path.write_bytes(b"".join(lines))
    assert [entry.number for entry in read(trail.path) if entry.payload is None] == [5]
    with pytest.raises(Dropped, match="lines 5 to 8 were dropped"):
        segment(folder, trail.stream, 4, 4)


def test_one_record_is_proven_without_the_others(trail: AuditTrail) -> None:
    """With its salt, its payload and a path, one line is shown to be under the sealed root."""
    lines = written(trail)
    seal = parse_seal(lines[8])
    assert seal is not None
    leaves = []
    for raw in lines[4:8]:
        salt, payload = raw[raw.index(b'"salt":"') + 8 :][:32], raw[raw.index(b'"event":') + 8 : -2]
        leaves.append(sha256(b"\x00" + bytes.fromhex(salt.decode()) + payload).digest())
    path = merkle.inclusion_path(leaves, 2)
    assert merkle.verify_inclusion(leaves[2], 2, 4, path, bytes.fromhex(seal.segment.root))


def test_one_segment_is_read_by_its_place(trail: AuditTrail, folder: Path) -> None:
    """The ledger's row leads to the payloads, in a file of any length, and its root must agree."""
    made = [trail.write([body(100 * number + place) for place in range(50)]) for number in range(60)]
    for number in (0, 1, 30, 58, 59):
        payloads = segment(folder, trail.stream, made[number].first, 50, root=made[number].root)
        assert [event["retention.record"] for event in payloads] == [f"r{100 * number + place}" for place in range(50)]
    with pytest.raises(Broken, match="ledger"):
        segment(folder, trail.stream, made[3].first, 50, root=made[4].root)


@pytest.mark.parametrize(("first", "count"), [(5, 4), (4, 3), (4, 5), (8, 1), (1, 1), (3, 1), (999, 1), (0, 4)])
def test_a_place_where_no_segment_begins_is_an_error(trail: AuditTrail, folder: Path, first: int, count: int) -> None:
    """A ledger row that points beside a segment is a finding, never a wrong answer."""
    written(trail)
    with pytest.raises(Broken):
        segment(folder, trail.stream, first, count)


def test_a_stream_that_is_not_there_is_an_error(trail: AuditTrail, folder: Path) -> None:
    """A missing file is said, and a name is never taken for a pattern."""
    for stream in ("f" * 32, "*"):
        with pytest.raises(Broken, match="no file"):
            segment(folder, stream, 0, 1)


def test_the_example_in_the_document_is_a_whole_file(folder: Path) -> None:
    """The format's document shows a real file: its hashes and its seals are right."""
    text = (Path(__file__).parents[3] / "docs" / "audit-format.md").read_text("utf-8")
    example = text.split("```jsonl\n")[1].split("```")[0]
    name = next(word for word in text.split("`") if word.startswith("audit-2") and word.endswith(".jsonl"))
    folder.mkdir()
    path = folder / name
    path.write_text(example)
    assert damage(path) is None
    assert [] == wrong_events(folder)
    assert [effect.payload["retention.record"] for effect in outcomes(folder)] == [
        "9b1c3f6204ea8d57b09c6a1f73e2d845",
        "04ef82d1c6a97b35e8f04d2b1c7a9630",
    ]


def test_the_check_goes_on_after_a_broken_file(opened: Opened, folder: Path) -> None:
    """One broken file hides no other."""
    broken, torn, whole = opened(), opened(), opened()
    for trail in (broken, torn, whole):
        written(trail)
    broken.path.write_bytes(broken.path.read_bytes().replace(b"r3", b"r4", 1))
    torn.path.write_bytes(torn.path.read_bytes()[:-5])
    assert {(found.path, found.kind) for found in check(folder)} == {
        (broken.path, Damage.EDITED),
        (torn.path, Damage.TORN),
    }
