"""The writer: what is promised when a call returns, and that a failed write ends everything."""

import datetime as dt
import errno
import os
import resource
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from worker.audit.events import Action
from worker.audit.read import check, read
from worker.audit.trail import AuditTrail, room_for
from worker.errors import AuditUnavailable, ConfigurationError

Opened = Callable[[], AuditTrail]


def body(number: int) -> bytes:
    return b'{"@timestamp":"t","event.action":"retention.record_deleted","retention.record":"r%d"}' % number


def sealed_events(trail: AuditTrail) -> list[dict[str, Any]]:
    return [entry.payload for entry in read(trail.path) if entry.payload is not None]


@pytest.fixture
def file_limit() -> Iterator[Callable[[int], None]]:
    """Set the largest file this process may write, as a full disk would; lifted at the end."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_stream_opens_with_its_identity(trail: AuditTrail, folder: Path) -> None:
    """The first event says who writes, in which format, and its time; the file is named for the time and the stream."""
    assert trail.path == folder / f"audit-20260301T120000Z-{trail.stream}.jsonl"
    assert sealed_events(trail) == [
        {
            "@timestamp": "2026-03-01T12:00:00.123Z",
            "event.action": "retention.stream_opened",
            "service.name": "retention-worker",
            "service.version": "0.1.0",
            "trace.id": trail.stream,
            "process.pid": os.getpid(),
            "retention.stream": trail.stream,
            "retention.format": 1,
            "retention.events_version": 1,
        }
    ]


def test_nobody_else_may_read_or_change_the_file(trail: AuditTrail, folder: Path) -> None:
    """The folder is the owner's, the file is not for others."""
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(trail.path.stat().st_mode) & 0o137 == 0


def test_a_segment_is_one_write_of_its_lines_and_a_seal(trail: AuditTrail) -> None:
    """Numbers run on through seals, and the segment says where it stands."""
    one, two = trail.write([body(1), body(2), body(3)]), trail.write([body(4)])
    assert [(made.number, made.first, made.count) for made in (one, two)] == [(1, 2, 3), (2, 6, 1)]
    assert [event.get("retention.record") for event in sealed_events(trail)] == [None, "r1", "r2", "r3", "r4"]
    size = trail.path.stat().st_size
    trail.write([body(5)] * 10)
    assert trail.path.stat().st_size - size <= room_for(10, 10 * len(body(5)))


def test_events_carry_the_context_and_dotted_names(folder: Path) -> None:
    """What was given at the start is in every event, and nested mappings become dotted names."""
    with AuditTrail.open(
        folder,
        now=lambda: dt.datetime(2026, 3, 1, tzinfo=dt.UTC),
        service_version="1",
        context={"organization.name": "Alsjelieft"},
    ) as trail:
        trail.emit("retention.run_started", {"retention.counts": {"due": 2}}, **{"retention.run": "run-1"})
        event = sealed_events(trail)[-1]
    assert event["organization.name"] == "Alsjelieft"
    assert event["retention.counts.due"] == 2
    assert event["retention.run"] == "run-1"
    assert next(iter(event)) == "@timestamp"


@pytest.mark.parametrize(
    ("action", "fields"),
    [
        ("retention.made_up", {}),
        ("retention.finding", {"event": "x"}),
        ("retention.finding", {"event.action": "retention.run_ended"}),
        ("retention.finding", {"@timestamp": "2020-01-01"}),
        ("retention.finding", {"service.name": "other"}),
    ],
)
def test_an_event_that_could_be_misread_is_refused(trail: AuditTrail, action: str, fields: dict[str, str]) -> None:
    """Only known names, and nobody overrides the time, the action or the context; nothing is written."""
    size = trail.path.stat().st_size
    with pytest.raises(ValueError, match=r"."):
        trail.emit(action, fields)
    assert trail.path.stat().st_size == size


@pytest.mark.parametrize("payloads", [[], [b""], [b"x"], [b"{}", b'{"a":1}\n'], [b'{"a":\n1}'], [b"[1]"]])
def test_what_is_not_a_line_of_the_format_is_refused(trail: AuditTrail, payloads: list[bytes]) -> None:
    """A payload that would break the file is an error of the caller, and the trail goes on."""
    size = trail.path.stat().st_size
    with pytest.raises(ValueError, match=r"."):
        trail.write(payloads)
    assert trail.path.stat().st_size == size
    assert trail.write([body(1)]).first == 2


def test_closing_says_so_and_refuses_more(trail: AuditTrail, folder: Path) -> None:
    """A stream that ended in order ends with that event, once."""
    trail.close()
    trail.close()
    assert sealed_events(trail)[-1]["event.action"] == Action.STREAM_CLOSED
    assert list(check(folder)) == []
    with pytest.raises(AuditUnavailable, match="closed"):
        trail.emit(Action.FINDING)


def test_a_short_write_ends_the_trail_and_stays(trail: AuditTrail, opened: Opened, folder: Path, file_limit: Callable[[int], None]) -> None:
    """A full disk: AuditUnavailable, everything after it is refused, and the torn bytes are left for the successor."""
    trail.write([body(1)])
    size = trail.path.stat().st_size
    file_limit(size + 100)
    with pytest.raises(AuditUnavailable, match="took only 100 of"):
        trail.write([body(2)] * 5)
    file_limit(resource.RLIM_INFINITY)
    for attempt in (lambda: trail.write([body(3)]), lambda: trail.emit(Action.FINDING), trail.sync):
        with pytest.raises(AuditUnavailable, match="took only"):
            attempt()
    trail.close()
    assert trail.path.stat().st_size == size + 100
    event = sealed_events(opened())[-1]
    assert event["event.action"] == Action.STREAM_TORN
    assert (event["retention.stream"], event["retention.offset"], event["retention.length"]) == (trail.stream, size, 100)
    assert list(check(folder)) == []


def test_a_refused_write_ends_the_trail(trail: AuditTrail, file_limit: Callable[[int], None]) -> None:
    """The same when the system refuses the write as a whole."""
    file_limit(trail.path.stat().st_size)
    with pytest.raises(AuditUnavailable, match=os.strerror(errno.EFBIG)):
        trail.emit(Action.FINDING)
    with pytest.raises(AuditUnavailable):
        trail.emit(Action.FINDING)


def test_a_failed_sync_ends_the_trail(trail: AuditTrail) -> None:
    """Lines that can't be made durable are not promised, and never tried again."""
    reading, writing = os.pipe()
    file = os.dup(trail._descriptor)
    os.dup2(writing, trail._descriptor)  # a pipe takes the bytes, and refuses fsync
    with pytest.raises(AuditUnavailable, match="durable"):
        trail.write([body(1)])
    with pytest.raises(AuditUnavailable, match="durable"):
        trail.write([body(1)])
    for descriptor in (reading, writing, file):
        os.close(descriptor)


def test_room_is_asked_for_before_a_batch(trail: AuditTrail, file_limit: Callable[[int], None]) -> None:
    """A log that can't take a batch says so before anything is written to a source; that alone poisons nothing."""
    trail.reserve(room_for(5000, 5000 * 300))
    with pytest.raises(AuditUnavailable, match="bytes free"):
        trail.reserve(1 << 62)
    file_limit(trail.path.stat().st_size + 1000)
    with pytest.raises(AuditUnavailable, match="limit"):
        trail.reserve(1001)
    trail.reserve(1000)
    file_limit(resource.RLIM_INFINITY)
    trail.write([body(1)])


@pytest.mark.parametrize("inside", [False, True])
def test_a_folder_that_cannot_be_used_is_a_configuration_error(tmp_path: Path, *, inside: bool) -> None:
    """The operator is told which folder and what to change."""
    (tmp_path / "file").write_text("x")
    folder = tmp_path / "file" / "audit" if inside else tmp_path / "file"
    with pytest.raises(ConfigurationError, match="audit folder"):
        AuditTrail.open(folder, now=lambda: dt.datetime(2026, 3, 1, tzinfo=dt.UTC), service_version="1")


def test_a_log_that_is_full_at_the_start_lets_go_of_its_file(folder: Path, file_limit: Callable[[int], None]) -> None:
    """Even the first event may fail; then nothing is open and nothing runs."""
    file_limit(10)
    with pytest.raises(AuditUnavailable):
        AuditTrail.open(folder, now=lambda: dt.datetime(2026, 3, 1, tzinfo=dt.UTC), service_version="1")
    file_limit(resource.RLIM_INFINITY)
    assert [broken.kind for broken in check(folder)] == ["torn"]


def test_two_trails_in_one_folder_do_not_meet(opened: Opened, folder: Path) -> None:
    """Each process has its own file and chain, and a living writer's file is left alone."""
    one, two = opened(), opened()
    for number in range(5):
        one.write([body(number)])
        two.write([body(number + 10)])
    assert {event["event.action"] for event in sealed_events(two)[1:]} == {"retention.record_deleted"}
    one.close()
    two.close()
    assert one.path != two.path
    assert list(check(folder)) == []


def test_threads_share_one_chain(trail: AuditTrail, folder: Path) -> None:
    """Two lanes write to one trail: no line is lost and every segment follows the one before."""

    def lane(offset: int) -> None:
        for number in range(20):
            trail.write([body(offset + number)] * 7)

    lanes = [threading.Thread(target=lane, args=(1000 * number,)) for number in range(3)]
    for thread in lanes:
        thread.start()
    for thread in lanes:
        thread.join()
    trail.close()
    assert len([event for event in read(trail.path) if event.payload]) == 3 * 20 * 7 + 2
    assert list(check(folder)) == []


class _Interrupted(AuditTrail):
    """Ctrl-C arrives right after the bytes are in the file."""

    def _put(self, data: bytes) -> None:
        super()._put(data)
        if b"retention.finding" in data:
            raise KeyboardInterrupt


def test_an_interrupted_write_ends_the_trail(folder: Path) -> None:
    """Lines that were written but not counted can't get a second line of the same number, not even the closing one."""
    trail = _Interrupted.open(folder, now=lambda: dt.datetime(2026, 3, 1, tzinfo=dt.UTC), service_version="1")
    with trail, pytest.raises(KeyboardInterrupt):
        trail.emit(Action.FINDING)
    assert [broken.kind for broken in check(folder)] == ["unclosed"]
    other = _Interrupted.open(folder, now=lambda: dt.datetime(2026, 3, 1, tzinfo=dt.UTC), service_version="1")
    with other:
        with pytest.raises(KeyboardInterrupt):
            other.emit(Action.FINDING)
        with pytest.raises(AuditUnavailable, match="interrupted"):
            other.emit(Action.RUN_ENDED)


def test_a_child_process_is_refused(trail: AuditTrail) -> None:
    """After a fork the file still has one writer: the parent."""
    trail._process += 1
    with pytest.raises(AuditUnavailable, match="another process"):
        trail.emit(Action.FINDING)
    trail._process -= 1
    trail.emit(Action.FINDING)


def test_a_stream_is_signed_to_its_end(folder: Path) -> None:
    """A checkpoint covers all segments before its own, is made once for the same end, and closing makes the last one."""
    signed: list[str] = []

    def sign(text: str) -> str:
        signed.append(text)
        return text

    with AuditTrail.open(folder, now=lambda: dt.datetime(2026, 3, 1, tzinfo=dt.UTC), service_version="1", sign=sign) as trail:
        trail.checkpoint()
        trail.checkpoint()
        trail.write([body(1), body(2)])
    assert [text.split("\n")[:2] for text in signed] == [[f"retention-worker/{trail.stream}", size] for size in ("1", "3")]
    actions = [event["event.action"] for event in sealed_events(trail)]
    assert actions[1] == actions[-2] == "retention.checkpoint"
    assert actions[-1] == "retention.stream_closed"


def test_a_checkpoint_that_another_thread_overtook_is_made_again(folder: Path) -> None:
    """Nothing stands between what is signed and the checkpoint, whoever writes meanwhile."""
    once = [True]

    def sign(text: str) -> str:
        if once:
            once.clear()
            trail.write([body(1)])
        return text

    with AuditTrail.open(folder, now=lambda: dt.datetime(2026, 3, 1, tzinfo=dt.UTC), service_version="1", sign=sign) as trail:
        trail.checkpoint()
        said = [event["retention.segments"] for event in sealed_events(trail) if "retention.segments" in event]
    assert said == [2]


NOON = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)


def test_a_copy_gets_the_same_bytes(folder: Path) -> None:
    """Whoever takes a copy has the file, whole segments in its order."""
    taken: list[bytes] = []
    with AuditTrail.open(folder, now=lambda: NOON, service_version="0.1.0", copy_to=taken.append) as trail:
        trail.write([b'{"retention.n":1}', b'{"retention.n":2}'])
    assert trail.path.read_bytes() == b"".join(taken)
    assert all(each.endswith(b"}}\n") for each in taken)


def test_a_copy_that_fails_stops_everything(folder: Path) -> None:
    """An output that can't be written is as bad as a full disk: nothing is said any more, so nothing is done any more."""
    broken = threading.Event()

    def copy(lines: bytes) -> None:
        if broken.is_set():
            raise BrokenPipeError(32, "Broken pipe")

    trail = AuditTrail.open(folder, now=lambda: NOON, service_version="0.1.0", copy_to=copy)
    broken.set()
    with pytest.raises(AuditUnavailable, match="standard output"):
        trail.write([b'{"retention.n":1}'])
    broken.clear()
    with pytest.raises(AuditUnavailable, match="standard output"):
        trail.write([b'{"retention.n":1}'])
    trail.close()
