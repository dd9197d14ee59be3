"""What a dead writer left is recorded by the next one: exactly once, and without touching it."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from worker.audit.endings import Ending, ending, has_writer, unfinished
from worker.audit.read import check, read
from worker.audit.trail import AuditTrail

Opened = Callable[[], AuditTrail]

BODY = b'{"@timestamp":"t","event.action":"retention.record_deleted"}'

KILLED = """
import datetime, os, signal, sys
from pathlib import Path
from worker.audit.trail import AuditTrail
trail = AuditTrail.open(Path(sys.argv[1]), now=lambda: datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC), service_version="1")
trail.write([b'{"@timestamp":"t","event.action":"retention.record_deleted"}'] * 3)
os.write(trail._descriptor, b'{"n":6,"salt":"00')
os.kill(os.getpid(), signal.SIGKILL)
"""


def records(trail: AuditTrail) -> list[dict[str, Any]]:
    """Return what a trail recorded of earlier ones."""
    events = [entry.payload for entry in read(trail.path) if entry.payload is not None]
    return [event for event in events if event["event.action"].startswith("retention.stream_") and "retention.offset" in event]


def died(trail: AuditTrail, tail: bytes = b"") -> None:
    """Let the trail's writer vanish without closing, after these last bytes."""
    os.write(trail._descriptor, tail)
    trail._abandon()


def test_a_killed_writer_is_recorded_and_its_file_kept(folder: Path, opened: Opened) -> None:
    """After SIGKILL in the middle of a line the successor says where and what, and changes not a byte."""
    result = subprocess.run([sys.executable, "-c", KILLED, str(folder)], check=False, timeout=30)
    assert result.returncode == -signal.SIGKILL
    (left,) = folder.iterdir()
    before = left.read_bytes()
    (event,) = records(opened())
    assert left.read_bytes() == before
    assert event["event.action"] == "retention.stream_torn"
    assert event["retention.stream"] in left.name
    tail = before[event["retention.offset"] :]
    assert tail == b'{"n":6,"salt":"00'
    assert (event["retention.length"], event["retention.sha256"]) == (len(tail), sha256(tail).hexdigest())


@pytest.mark.parametrize("tail", [b"", b"x", b'{"n":2,"salt":"', b'{"n":2}\n', b"\0" * 4096, b"\n", b"a\rb\n\n{"])
def test_every_end_is_recorded_once(opened: Opened, folder: Path, tail: bytes) -> None:
    """The first successor records it, the second doesn't, and then the folder is in order."""
    first = opened()
    died(first, tail)
    assert [broken.kind for broken in check(folder)] == ["torn" if tail else "unclosed"]
    second = opened()
    (event,) = records(second)
    assert event["event.action"] == ("retention.stream_torn" if tail else "retention.stream_unclosed")
    second.close()
    third = opened()
    assert records(third) == []
    third.close()
    assert list(check(folder)) == []


def test_a_segment_without_its_seal_is_torn(opened: Opened) -> None:
    """Whole lines that were never sealed were never promised to anybody."""
    first = opened()
    first.write([BODY] * 400)
    raw = first.path.read_bytes()
    died(first)
    cut = raw.rindex(b'{"n":402')
    first.path.write_bytes(raw[:cut])
    found = ending(first.path)
    assert found is not None
    assert found.length == cut - found.offset > 0
    assert raw[found.offset :].startswith(b'{"n":2,')


def test_an_end_that_changed_is_recorded_again(opened: Opened, folder: Path) -> None:
    """A tail that was cut off after its record is a new ending, so it shows."""
    first = opened()
    died(first, b"torn")
    opened().close()
    first.path.write_bytes(first.path.read_bytes()[:-1])
    assert [broken.kind for broken in check(folder)] == ["torn"]
    (event,) = records(opened())
    assert event["retention.length"] == 3


def test_a_successor_that_dies_too_is_recorded_with_the_first(opened: Opened) -> None:
    """Every ending has its record, however many writers died in a row."""
    first = opened()
    died(first, b"torn")
    second = opened()
    died(second)
    third = opened()
    assert [event["retention.stream"] for event in records(third)] == [second.stream]


def test_processes_that_open_at_once_record_an_end_once(opened: Opened, folder: Path) -> None:
    """Opening is done by one at a time, so two successors can't both record the same ending."""
    died(opened(), b"torn")
    threads = [threading.Thread(target=opened) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    text = "".join(path.read_text() for path in folder.iterdir())
    assert (text.count("retention.stream_opened"), text.count("retention.stream_torn")) == (7, 1)


def test_a_living_writer_is_left_alone(opened: Opened, folder: Path) -> None:
    """A file is judged only when nobody writes it any more."""
    first = opened()
    assert has_writer(first.path)
    assert unfinished(folder) == []
    died(first)
    assert not has_writer(first.path)
    assert [left.stream for left in unfinished(folder)] == [first.stream]


def test_an_empty_file_is_unclosed(folder: Path) -> None:
    """A writer that died before its first event left an empty file."""
    folder.mkdir()
    stream = "0" * 32
    path = folder / f"audit-20260101T000000Z-{stream}.jsonl"
    path.touch()
    assert ending(path) == Ending(stream, 0, 0, 0, sha256(b"").hexdigest())


def test_the_last_seal_is_found_however_long_the_tail(opened: Opened) -> None:
    """The search backwards goes as far as it must."""
    first = opened()
    first.write([BODY] * 3000)
    size = first.path.stat().st_size
    died(first, b"x" * 300_000)
    found = ending(first.path)
    assert found is not None
    assert (found.offset, found.length) == (size, 300_000)
