"""The trail's own retention: what old events said goes, what is still needed stays, and everything else is proven as before."""

from __future__ import annotations

import datetime as dt
import json
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.unit.usecases.conftest import Killed, Lab
from worker.audit.endings import ending
from worker.audit.events import STRUCTURE
from worker.audit.history import history
from worker.audit.lines import files
from worker.audit.outcomes import outcomes
from worker.audit.pruning import PRUNE_POINTS, look
from worker.audit.read import Dropped, Payload, check, pieces, read
from worker.audit.trail import AuditTrail
from worker.errors import ConfigurationError, Refused
from worker.ports import AFTER_INTENT
from worker.usecases.approving import approve_policy
from worker.usecases.machine import Machine
from worker.usecases.pruning import Pruned, carry_out, look_at_trail, prune_by_night
from worker.usecases.reconciling import reconcile
from worker.usecases.standing import add_hold, add_request, close_request, release_hold
from worker.usecases.verifying import verify

LATER = dt.timedelta(days=366)
STAYING = STRUCTURE | {"retention.policy_approved"}
"""What an old run leaves: the approvals of the policies that are still in force."""


@pytest.fixture
def keeping(lab: Lab) -> Lab:
    """Return a laboratory whose policy file keeps the audit trail for a year."""
    lab.policies += '\n[audit]\nkeep = "P1Y"\n'
    lab.environ["RETENTION_MAX_CLOCK_LEAP"] = "P2Y"
    return lab


def folder_of(lab: Lab) -> Path:
    return lab.folder / "state" / "audit"


def actions(lab: Lab) -> list[str]:
    return [str(json.loads(payload)["event.action"]) for path in files(folder_of(lab)) for payload in payloads(path)]


def payloads(path: Path) -> list[bytes]:
    """Return what a file's events say, without those that were dropped."""
    return [payload for piece in pieces(path) for payload in piece.payloads if payload is not None]


def chains(lab: Lab) -> dict[str, list[str]]:
    """Return the chain values of every file."""
    return {path.name: [piece.seal.segment.chain for piece in pieces(path)] for path in files(folder_of(lab))}


def pruned(machine: Machine) -> Pruned:
    """Look at the whole trail and drop what may go, as `audit prune --yes` does."""
    _ = machine.trail
    return carry_out(machine, look_at_trail(machine))


def a_run(lab: Lab) -> str:
    """Let a process make and carry out a plan, and return the run."""
    with lab.machine() as machine:
        _, result = lab.plan_and_apply(machine)
    return result.run_id


def test_nothing_is_dropped_where_nothing_is_declared(lab: Lab) -> None:
    """Without a declared period a night drops nothing, whatever the age, and asking for it is a mistake of configuration."""
    a_run(lab)
    before = {path: path.read_bytes() for path in files(folder_of(lab))}
    lab.moment += 20 * LATER
    with lab.machine() as machine:
        assert prune_by_night(machine) is None
        with pytest.raises(ConfigurationError, match="keep"):
            look_at_trail(machine)
    assert before == {path: path.read_bytes() for path in before}


def test_what_old_events_said_is_gone_and_the_rest_is_proven(keeping: Lab) -> None:
    """References, reasons and names of an old run are in no file any more; seals, chains and structure are what they were."""
    run_id = a_run(keeping)
    before = chains(keeping)
    old = files(folder_of(keeping))
    references = {effect.payload["retention.record"] for effect in outcomes(folder_of(keeping))}
    assert references
    keeping.moment += LATER
    with keeping.machine() as machine:
        done = pruned(machine)
        with pytest.raises(Dropped, match="dropped after their time"):
            verify(machine, run_id)
    assert (len(old), {}) == (done.files, done.failed)
    assert [] == list(check(folder_of(keeping)))
    assert before.items() <= chains(keeping).items()
    content = b"".join(path.read_bytes() for path in old)
    assert not [each for each in references if each.encode() in content]
    assert STAYING >= {json.loads(payload)["event.action"] for path in old for payload in payloads(path)}
    assert [] == keeping.effects()
    told = history(files(folder_of(keeping)))
    assert (done.events, []) == (told.dropped, told.damage)


def test_the_event_says_which_segments_and_how_many(keeping: Lab) -> None:
    """Streams, ranges, counts and days in the event are those of the files."""
    a_run(keeping)
    day = keeping.moment.date()
    keeping.moment += LATER
    with keeping.machine() as machine:
        done = pruned(machine)
    found = [each for path in files(folder_of(keeping)) for each in map(json.loads, payloads(path))]
    events = [each for each in found if each["event.action"] == "retention.audit_pruned"]
    assert done.events == sum(each["retention.count"] for each in events)
    assert {("P1Y", str(day), str(day))} == {
        (each["retention.keep"], each["retention.oldest"], each["retention.newest"]) for each in events
    }
    for event in events:
        (path,) = folder_of(keeping).glob(f"*{event['retention.stream']}.jsonl")
        named = {
            number for each in event["retention.ranges"] for number in range(int(each.partition("-")[0]), int(each.partition("-")[2]) + 1)
        }
        assert named == {piece.seal.segment.number for piece in pieces(path) if piece.dropped}


@pytest.mark.parametrize(
    ("at", "days", "goes"),
    [
        ("2026-06-30T21:59:00+00:00", 365, False),
        ("2026-06-30T21:59:00+00:00", 366, True),
        ("2026-06-30T22:01:00+00:00", 366, False),
        ("2026-06-30T22:01:00+00:00", 367, True),
    ],
)
def test_an_event_is_kept_through_its_due_day(keeping: Lab, at: str, days: int, *, goes: bool) -> None:
    """Days are those of the organisation: an event at 00:01 in Amsterdam is of the next day, and stays through that day a year later."""
    keeping.moment = dt.datetime.fromisoformat(at)
    with keeping.machine() as machine:
        machine.trail.emit("retention.hold_released", {"retention.hold": "hold-0", "retention.by": "dora"})
    keeping.moment = dt.datetime(2026, 6, 30, 10, tzinfo=dt.UTC) + dt.timedelta(days=days)
    with keeping.machine() as machine:
        assert int(goes) == pruned(machine).events


def test_what_is_still_needed_stays_and_goes_when_it_is_not(keeping: Lab) -> None:
    """Open holds and requests, and what holds until a day that hasn't passed, keep their events; once over, these go as well."""
    with keeping.machine() as machine:
        (hold,) = add_hold(machine, kind="legal", scope="source", owner="x", reason="y", review_on=dt.date(2030, 1, 1), source="customers")
        request = add_request(machine, kind="object", identifiers=["lately@canary.example"])
        for until in ("2027-06-30", "2029-01-01"):
            answered = {"retention.source": "customers", "retention.record": "0" * 32, "retention.until": until, "retention.by": "dora"}
            machine.trail.emit("retention.review_answered", answered)
    keeping.moment += LATER
    with keeping.machine() as machine:
        assert 1 == pruned(machine).events
        assert 0 == pruned(machine).events
        assert {"retention.hold_placed", "retention.request_added", "retention.review_answered"} <= {*actions(keeping)}
        release_hold(machine, hold.hold_id)
        close_request(machine, request.request_id, "answered")
    keeping.moment += dt.timedelta(days=1)
    with keeping.machine() as machine:
        done = prune_by_night(machine)
    assert done is not None
    assert 2 == done.events
    assert ["2029-01-01"] == [each["retention.until"] for each in kept(keeping) if "retention.until" in each]


def kept(lab: Lab) -> list[Payload]:
    return [json.loads(payload) for path in files(folder_of(lab)) for payload in payloads(path)]


def test_only_the_last_approval_of_a_policy_stays(keeping: Lab) -> None:
    """Who approved the policy in force has to be known for as long as it is; who did before, no longer."""
    a_run(keeping)
    keeping.moment += dt.timedelta(seconds=1)
    with keeping.machine() as machine:
        approve_policy(machine, "customers", "bob")
    keeping.moment += LATER
    with keeping.machine() as machine:
        pruned(machine)
    found = [each for each in kept(keeping) if each["event.action"] == "retention.policy_approved"]
    assert [("bob", "customers"), ("ann", "invoices")] == sorted(
        ((each["retention.by"], each["retention.source"]) for each in found), reverse=True
    )


def test_intents_of_a_batch_that_nobody_ended_stay(keeping: Lab) -> None:
    """What a crash left open is resolved by its intents, however old they are; closed, they go with their closing event."""
    with keeping.machine() as machine:
        keeping.faults.point = AFTER_INTENT
        with pytest.raises(Killed):
            keeping.plan_and_apply(machine)
    keeping.faults.point = None
    keeping.moment += LATER
    with keeping.machine() as machine:
        pruned(machine)
        assert "retention.record_deleted" in actions(keeping)
        assert machine.ledger.unfinished()
        reconcile(machine, ("customers", "invoices"))
        assert not machine.ledger.unfinished()
        pruned(machine)
    assert "retention.record_deleted" not in actions(keeping)
    assert [] == list(check(folder_of(keeping)))


@pytest.mark.parametrize("point", PRUNE_POINTS)
def test_a_crash_at_any_point_leaves_a_whole_trail_that_the_next_prune_finishes(keeping: Lab, point: str) -> None:
    """Killed between draft, event and exchange, the trail is whole, nothing is lost that should stay, and the next time does the rest."""
    a_run(keeping)
    a_run(keeping)
    before = chains(keeping)
    keeping.moment += LATER
    keeping.faults.point = point
    with keeping.machine() as machine, pytest.raises(Killed):
        pruned(machine)
    assert [] == list(check(folder_of(keeping)))
    assert before.items() <= chains(keeping).items()
    keeping.faults.point = None
    with keeping.machine() as machine:
        pruned(machine)
    assert [] == list(check(folder_of(keeping)))
    assert before.items() <= chains(keeping).items()
    assert [] == [path.name for path in folder_of(keeping).iterdir() if path.name.startswith(".")]
    assert STAYING >= {json.loads(payload)["event.action"] for name in before for payload in payloads(folder_of(keeping) / name)}


def test_a_damaged_file_is_evidence(keeping: Lab) -> None:
    """A file that somebody changed is left as it is, byte for byte, and said; the others are pruned."""
    a_run(keeping)
    keeping.moment += dt.timedelta(days=1)
    a_run(keeping)
    damaged = files(folder_of(keeping))[0]
    damaged.write_bytes(damaged.read_bytes().replace(b'"retention.by":"dora"', b'"retention.by":"doro"', 1))
    content = damaged.read_bytes()
    keeping.moment += LATER
    with keeping.machine() as machine:
        done = pruned(machine)
    assert [damaged] == [*done.failed]
    assert content == damaged.read_bytes()
    assert done.files == 1


def test_a_torn_end_stays_what_its_successor_recorded(keeping: Lab) -> None:
    """The bytes behind the last seal are not touched, so what was recorded of them still holds; until it is, the file is left alone."""
    with keeping.machine() as machine:
        trail = AuditTrail.open(folder_of(keeping), now=machine.now, service_version="0")
        trail.emit("retention.hold_released", {"retention.hold": "hold-0", "retention.by": "dora"})
        with trail.path.open("ab") as file:
            file.write(b'{"n":4,"salt":"00')
        trail._abandon()
    how = ending(trail.path)
    assert how is not None
    keeping.moment += LATER
    with keeping.machine() as machine:
        assert 0 == carry_out(machine, look_at_trail(machine)).events
        assert 1 == pruned(machine).events
    again = ending(trail.path)
    assert again is not None
    assert how.identity == again.identity
    assert trail.path.read_bytes().endswith(b'{"n":4,"salt":"00')
    assert [] == list(check(folder_of(keeping)))


def test_a_file_that_is_written_or_pruned_by_another_is_left_alone(keeping: Lab) -> None:
    """The lock of a living writer, and that of somebody who prunes, keeps others off; a later prune takes the file."""
    with keeping.machine() as machine:
        other = AuditTrail.open(folder_of(keeping), now=machine.now, service_version="0")
        other.emit("retention.hold_released", {"retention.hold": "hold-0", "retention.by": "dora"})
        keeping.moment += LATER
        assert 0 == pruned(machine).events
        other.close()
        found = look_at_trail(machine)
        assert 1 == found.events
        first, second = carry_out(machine, found), carry_out(machine, found)
    assert ((1, {}), (0, {})) == ((first.events, first.failed), (second.events, second.failed))
    assert [] == list(check(folder_of(keeping)))
    assert ["retention.audit_pruned"] == [each for each in actions(keeping) if each == "retention.audit_pruned"]


def test_no_event_counts_as_older_than_those_before_it(keeping: Lab) -> None:
    """A clock that went back in the middle of a stream drops nothing early."""
    with keeping.machine() as machine:
        machine.trail.emit("retention.hold_released", {"retention.hold": "hold-0", "retention.by": "dora"})
        keeping.moment -= 3 * LATER
        machine.trail.emit("retention.hold_released", {"retention.hold": "hold-1", "retention.by": "dora"})
        keeping.moment += 3 * LATER + dt.timedelta(days=300)
    with keeping.machine() as machine:
        assert 0 == pruned(machine).events


def test_a_clock_that_leapt_ahead_drops_nothing(keeping: Lab) -> None:
    """What stops a run stops a prune: on a day that can't be right nothing is old."""
    a_run(keeping)
    with keeping.machine() as machine:
        keeping.moment += 30 * LATER
        with pytest.raises(Refused, match="Nothing was dropped"):
            look_at_trail(machine)


@contextmanager
def no_file_over(size: int) -> Iterator[None]:
    """Let no file grow over a size, as a full disk would."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_leaves_the_file_as_it_was(keeping: Lab) -> None:
    """Without room for the new file the old one stays, nothing is said to be dropped, and no draft is left."""
    with keeping.machine() as machine:
        machine.trail.emit("retention.hold_released", {"retention.hold": "hold-0", "retention.by": "dora"})
        keeping.moment += LATER
        for number in range(3000):
            machine.trail.emit("retention.hold_released", {"retention.hold": f"hold-{number}", "retention.by": "dora"})
    (path,) = files(folder_of(keeping))
    content = path.read_bytes()
    with keeping.machine() as machine:
        _ = machine.trail
        found = look_at_trail(machine)
        with no_file_over(1 << 20):
            done = carry_out(machine, found)
    assert [path] == [*done.failed]
    assert content == path.read_bytes()
    assert "retention.audit_pruned" not in actions(keeping)
    assert [] == [each.name for each in folder_of(keeping).iterdir() if each.name.startswith(".")]


def test_a_night_looks_only_at_what_earlier_ones_left(keeping: Lab) -> None:
    """Files that are through are not read every night: damage there is for `audit verify`, and for a prune by hand."""
    with keeping.machine() as machine:
        machine.trail.emit("retention.hold_released", {"retention.hold": "hold-0", "retention.by": "dora"})
    keeping.moment += LATER
    with keeping.machine() as machine:
        done = prune_by_night(machine)
        assert done is not None
        assert done.events
    old = files(folder_of(keeping))[0]
    old.write_bytes(old.read_bytes().replace(b'"retention.format":1', b'"retention.format":2', 1))
    with keeping.machine() as machine:
        again = prune_by_night(machine)
        assert again is not None
        assert ({}, 0) == (again.failed, again.events)
        assert [old] == [*pruned(machine).failed]


def test_looking_changes_nothing(keeping: Lab) -> None:
    """The value that says what would go is made by reading."""
    a_run(keeping)
    keeping.moment += LATER
    before = {path: path.read_bytes() for path in folder_of(keeping).iterdir()}
    with keeping.machine() as machine:
        assert look_at_trail(machine).events
    assert before == {path: path.read_bytes() for path in folder_of(keeping).iterdir()}


def test_an_event_without_an_instant_is_never_old(keeping: Lab) -> None:
    """What doesn't say when it was, and all behind it, stays."""
    with keeping.machine() as machine:
        trail = machine.trail
        trail.write([b'{"event.action":"retention.hold_released","retention.hold":"hold-0"}'])
    found = look(trail.path, dt.date(9999, 1, 1), machine.schedule.organisation.zone, lambda _: False)
    assert ((), False) == (found.runs, found.finished)
    trail.path.unlink()


def test_reading_says_which_lines_were_dropped(keeping: Lab) -> None:
    """An entry without a payload is a line whose event was dropped; readers go on."""
    a_run(keeping)
    keeping.moment += LATER
    with keeping.machine() as machine:
        done = pruned(machine)
    assert done.events == sum(entry.payload is None for path in files(folder_of(keeping)) for entry in read(path))
