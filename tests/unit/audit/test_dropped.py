"""Payloads that were dropped after their time are counted; those that somebody took away in secret are found."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.audit.whole_files import NOON, RULE, SIGNER, Checked, File, kinds
from worker.audit.broken import Damage
from worker.audit.trail import AuditTrail
from worker.core import merkle


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
