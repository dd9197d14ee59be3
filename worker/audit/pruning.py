"""Dropping what old events said: a line keeps its number and its hash, and loses its payload and its salt.

Threat model. This is the only code that ever changes a file of the trail, and what it takes away can't be brought back.
- A file that somebody changed is evidence: it is read as strictly as anywhere before a byte of its successor is written, and left alone
  with its damage.
- A file that a process still writes, or whose end nobody recorded yet: its lock, taken for as long as the work lasts, keeps it out, and
  two that prune at once from working on one file.
- A crash or a full disk: the new file is whole, on disk and read back before the event about it is durable, and only then takes the old
  one's place, in one step. Whatever happens, one of the two stands there; a draft that was left is thrown away.
- Dropping as a disguise for hiding: the event names the segments, and of these only; verifying misses it for any other.
- The bytes after the last seal stay as they are, since the process that recorded them vouches for exactly those.
"""

from __future__ import annotations

import datetime as dt
import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from zoneinfo import ZoneInfo

from worker.audit.endings import sealed_end
from worker.audit.events import STRUCTURE
from worker.audit.lines import dropped_lines, stream_of
from worker.audit.read import Payload, parsed, pieces
from worker.errors import RetentionError

AFTER_DRAFT, AFTER_EVENT, AFTER_EXCHANGE = "after_draft", "after_prune_event", "after_exchange"
PRUNE_POINTS = (AFTER_DRAFT, AFTER_EVENT, AFTER_EXCHANGE)
"""Where a test may end the process."""


@dataclass(frozen=True, slots=True)
class Run:
    """Segments in a row: the numbers of the first and the last, and how many events they hold."""

    first: int
    last: int
    events: int

    def __str__(self) -> str:
        """Return the form in which events name it."""
        return f"{self.first}-{self.last}"


@dataclass(frozen=True, slots=True)
class FilePruning:
    """What is to be dropped from one file.

    runs -- segments in a row; oldest, newest -- local days of the events; finished -- nothing else of the file will ever have to go.
    """

    path: Path
    runs: tuple[Run, ...]
    oldest: dt.date | None
    newest: dt.date | None
    finished: bool

    @property
    def stream(self) -> str:
        """The stream of the file."""
        return stream_of(self.path) or ""

    @property
    def events(self) -> int:
        """How many events are to lose what they said."""
        return sum(each.events for each in self.runs)


def look(path: Path, through: dt.date, zone: ZoneInfo, needed: Callable[[Payload], bool]) -> FilePruning:
    """Return what of a file is to be dropped: segments all of whose events are of the day `through` (local to `zone`) or earlier.

    A segment stays when one of its events is needed, or belongs to the structure of the trail. No event counts as older than those before
    it in its stream, whatever the clock said. Raises Broken for a file that is not as it was written, OSError when it can't be read.
    """
    runs: list[Run] = []
    oldest: dt.date | None = None
    newest = last = dt.date.min
    finished = True
    for piece in pieces(path):
        made = piece.seal.segment
        if piece.dropped == made.count:
            continue
        events = [parsed(path, payload, made.first + 1) or {} for payload in piece.payloads if payload is not None]
        if all(event.get("event.action") in STRUCTURE for event in events):
            continue
        newest = max(newest, *(_local_day(event, zone) for event in events))
        if newest > through:
            finished = False
            break
        if piece.dropped or any(event.get("event.action") in STRUCTURE or needed(event) for event in events):
            finished = False
            continue
        if runs and runs[-1].last + 1 == made.number:
            runs[-1] = Run(runs[-1].first, made.number, runs[-1].events + made.count)
        else:
            runs.append(Run(made.number, made.number, made.count))
        oldest, last = oldest or newest, newest
    return FilePruning(path, tuple(runs), oldest, last if runs else None, finished)


def prune(chosen: FilePruning, say: Callable[[FilePruning], object], reached: Callable[[str], None]) -> bool:
    """Drop what was chosen; False when the file is written or pruned by another process, or was meanwhile.

    say -- writes the event, durably; reached -- is told the points of PRUNE_POINTS. Raises Broken when the file is no longer as it was
    written, RetentionError when there is no room or right for the new file: then the old one stands as it was.
    """
    with _taken(chosen.path) as file:
        if file is None:
            return False
        draft = chosen.path.with_name(f".{chosen.path.name}.draft")
        try:
            draft.unlink(missing_ok=True)
            if not _write(draft, file, chosen):
                draft.unlink()
                return False
            reached(AFTER_DRAFT)
            say(chosen)
            reached(AFTER_EVENT)
            draft.replace(chosen.path)
        except OSError as error:
            draft.unlink(missing_ok=True)
            raise RetentionError(
                f"{chosen.path.name} can't be written anew: {error.strerror}. It is as it was; free the disk or mend the folder."
            ) from error
        except RetentionError:
            draft.unlink(missing_ok=True)
            raise
        reached(AFTER_EXCHANGE)
        _sync_folder(chosen.path)
    return True


@contextmanager
def _taken(path: Path) -> Iterator[BinaryIO | None]:
    """Give the file, locked as by its writer, or None when another process has it or has put another in its place."""
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
            return
        yield file if os.path.samestat(os.fstat(file.fileno()), path.stat()) else None


def _write(draft: Path, file: BinaryIO, chosen: FilePruning) -> bool:
    """Write the file anew beside the old one, durably, and make sure that it says the same; False when it was pruned meanwhile."""
    mode = os.fstat(file.fileno()).st_mode & 0o777
    end = sealed_end(file)
    with os.fdopen(os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode), "w+b") as made:
        os.fchmod(made.fileno(), mode)
        dropping = {number for run in chosen.runs for number in range(run.first, run.last + 1)}
        for piece in pieces(chosen.path):
            segment = piece.seal.segment
            if segment.number in dropping and piece.dropped:
                return False
            made.write(dropped_lines(segment.first, piece.leaves) if segment.number in dropping else piece.body)
            made.write(piece.raw)
        file.seek(end.offset)
        while tail := file.read(1 << 20):
            made.write(tail)
        made.flush()
        os.fsync(made.fileno())
    with draft.open("rb") as made:
        again = sealed_end(made)
    # Each chain value holds all before it, so with the last one all seals are the same, and the lines under them were checked.
    for _ in pieces(draft, chosen.stream):
        pass
    if (again.line, again.chain, again.closed) != (end.line, end.chain, end.closed):
        raise RetentionError(f"{chosen.path.name} was written anew and reads otherwise. It is as it was; the disk may be failing.")
    return True


def _sync_folder(path: Path) -> None:
    """Make the exchange of a file durable; RetentionError when that can't be promised. After a power failure either file may be there."""
    try:
        descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise RetentionError(
            f"{path.name} was written anew, and its folder can't be made durable: {error.strerror}. Prune again."
        ) from error


def _local_day(event: Payload, zone: ZoneInfo) -> dt.date:
    """Return the local day of an event; one that doesn't say when it was is never old."""
    try:
        return dt.datetime.fromisoformat(event["@timestamp"]).astimezone(zone).date()
    except (KeyError, TypeError, ValueError):
        return dt.date.max
