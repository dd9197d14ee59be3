"""Intents become effects only by the closing event of their batch."""

from collections.abc import Callable
from pathlib import Path

import pytest

from worker.audit.broken import Broken, Damage
from worker.audit.events import Action, Closing, closing_fields
from worker.audit.lines import Segment
from worker.audit.outcomes import outcomes
from worker.audit.render import compile_template, fragment
from worker.audit.trail import AuditTrail
from worker.core.merkle import leaf_hash

Opened = Callable[[], AuditTrail]


def intents(trail: AuditTrail, batch: str, records: list[str]) -> Segment:
    render = compile_template(
        {"@timestamp": "t", "event.action": str(Action.RECORD_DELETED), "retention.batch": batch}, ["retention.record"]
    )
    return trail.write([render(fragment(record)) for record in records])


def close(trail: AuditTrail, batch: str, how: Closing, made: Segment, count: int, *excluded: str) -> None:
    trail.emit(Action.BATCH_CLOSED, closing_fields(batch, how, digest=made.root, count=count, excluded=excluded))


def done(folder: Path) -> list[str]:
    return [effect.payload["retention.record"] for effect in outcomes(folder)]


def test_a_bare_intent_is_no_effect(trail: AuditTrail, folder: Path) -> None:
    """What was only announced never happened, for all a reader knows."""
    intents(trail, "b1", ["r1", "r2"])
    assert done(folder) == []


def test_a_committed_batch_counts_and_a_rolled_back_one_does_not(trail: AuditTrail, folder: Path) -> None:
    """The closing event decides, batch by batch."""
    one, two = intents(trail, "b1", ["r1", "r2"]), intents(trail, "b2", ["r3"])
    close(trail, "b1", Closing.COMMITTED, one, 2)
    close(trail, "b2", Closing.ROLLED_BACK, two, 0)
    found = list(outcomes(folder))
    assert [(effect.batch, effect.number, effect.closing) for effect in found] == [
        ("b1", one.first, Closing.COMMITTED),
        ("b1", one.first + 1, Closing.COMMITTED),
    ]


def test_a_second_attempt_is_not_mixed_up_with_the_first(trail: AuditTrail, folder: Path) -> None:
    """The digest names the segment, so of a batch that was tried twice only the attempt that was committed counts."""
    first = intents(trail, "b1", ["r1", "bad"])
    close(trail, "b1", Closing.ROLLED_BACK, first, 0)
    second = intents(trail, "b1", ["r1"])
    close(trail, "b1", Closing.COMMITTED, second, 1)
    assert done(folder) == ["r1"]


@pytest.mark.parametrize(("count", "expected"), [(2, ["r1", "r2"]), (0, [])])
def test_a_crash_is_resolved_by_a_later_process(opened: Opened, folder: Path, count: int, expected: list[str]) -> None:
    """The closing event may stand in another file, and its count says whether it happened."""
    first = opened()
    made = intents(first, "b1", ["r1", "r2"])
    first._abandon()
    close(opened(), "b1", Closing.RESOLVED_AFTER_CRASH, made, count)
    assert done(folder) == expected


def test_what_a_closing_event_excludes_did_not_happen(trail: AuditTrail, folder: Path) -> None:
    """Where there are no transactions one record can fail alone."""
    made = intents(trail, "b1", ["r1", "r2", "r3"])
    close(trail, "b1", Closing.COMMITTED, made, 2, "r2")
    assert done(folder) == ["r1", "r3"]


@pytest.mark.parametrize("count", [1, 3])
def test_a_count_that_does_not_fit_is_an_error(trail: AuditTrail, folder: Path, count: int) -> None:
    """An event that claims an effect without an intent, or fewer than there are, is never passed over."""
    made = intents(trail, "b1", ["r1", "r2"])
    close(trail, "b1", Closing.COMMITTED, made, count)
    with pytest.raises(Broken) as caught:
        done(folder)
    assert caught.value.kind is Damage.COUNT


def test_a_batch_cannot_be_closed_twice_differently(trail: AuditTrail, folder: Path) -> None:
    """Two closing events that agree are one; two that don't are a contradiction."""
    made = intents(trail, "b1", ["r1"])
    close(trail, "b1", Closing.COMMITTED, made, 1)
    close(trail, "b1", Closing.RESOLVED_AFTER_CRASH, made, 1)
    assert done(folder) == ["r1"]
    close(trail, "b1", Closing.ROLLED_BACK, made, 0)
    with pytest.raises(Broken) as caught:
        done(folder)
    assert caught.value.kind is Damage.COUNT


def test_dropped_payloads_are_no_contradiction(trail: AuditTrail, folder: Path) -> None:
    """When payloads were dropped after their time, fewer effects than counted are in order."""
    made = intents(trail, "b1", ["r1", "r2"])
    close(trail, "b1", Closing.COMMITTED, made, 2)
    trail.close()
    lines = trail.path.read_bytes().splitlines(keepends=True)
    salt, payload = lines[2][lines[2].index(b'"salt":"') + 8 :][:32], lines[2][lines[2].index(b'"event":') + 8 : -2]
    leaf = leaf_hash(bytes.fromhex(salt.decode()), payload).hex()
    lines[2] = b'{"n":2,"leaf":"%b"}\n' % leaf.encode()
    trail.path.write_bytes(b"".join(lines))
    assert done(folder) == ["r2"]


@pytest.mark.parametrize("lost", ["retention.batch", "retention.digest", "retention.count", "retention.batch_outcome"])
def test_a_closing_event_that_lacks_a_member_is_an_error(trail: AuditTrail, folder: Path, lost: str) -> None:
    """What can't be joined is never passed over."""
    fields = closing_fields("b1", Closing.COMMITTED, digest="00", count=0)
    del fields[lost]
    trail.emit(Action.BATCH_CLOSED, fields)
    with pytest.raises(Broken) as caught:
        done(folder)
    assert caught.value.kind is Damage.FOREIGN


def test_damage_is_not_passed_over(trail: AuditTrail, folder: Path) -> None:
    """No effect is counted out of a file that was edited."""
    close(trail, "b1", Closing.COMMITTED, intents(trail, "b1", ["r1"]), 1)
    trail.close()
    trail.path.write_bytes(trail.path.read_bytes().replace(b'"r1"', b'"r2"'))
    with pytest.raises(Broken) as caught:
        done(folder)
    assert caught.value.kind is Damage.EDITED


def test_a_torn_file_does_not_hide_the_others(opened: Opened, folder: Path) -> None:
    """A crash in one process leaves the effects of all readable."""
    first, second = opened(), opened()
    close(first, "b1", Closing.COMMITTED, intents(first, "b1", ["r1"]), 1)
    first._abandon()
    first.path.write_bytes(first.path.read_bytes() + b"torn")
    close(second, "b2", Closing.COMMITTED, intents(second, "b2", ["r2"]), 1)
    assert sorted(done(folder)) == ["r1", "r2"]
