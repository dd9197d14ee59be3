"""The writing side of the audit trail: one file per process, one writer, never changed and never cut off.

Threat model. What must not happen, and what stands against it:
- An effect without its event. `write` returns only when the lines are on disk; any failure raises AuditUnavailable, and
  from then on the trail refuses everything, so nobody goes on writing to a source beside a log that is broken.
- A failed write that is repaired and so hides what was there. Nothing is ever truncated, rewritten or retried; the next
  process records how the file ended.
- Lines edited, removed, moved or added later. Every segment is a hash tree with a seal, and each seal holds the one before;
  the ledger keeps the root of each batch, so a file rewritten as a whole is found as well.
- A whole file made anew with right seals: runs and streams end with a checkpoint, signed with a key that is not in the folder.
- Payloads guessed from their hashes once they were dropped: every leaf has its own random salt.
- Two writers in one file, after a fork for instance: the file is created by its writer alone, locked for as long as it
  lives, and a child process is refused.
- Personal data in the trail: nothing here can know; events take keyed references, counts and reasons, never values.
"""

from __future__ import annotations

import datetime as dt
import fcntl
import os
import resource
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Self, TypeAlias

import structlog

from worker.audit.checkpoint import Checkpoint
from worker.audit.endings import Ending, unfinished
from worker.audit.events import Action
from worker.audit.lines import (
    FIRST_PREVIOUS,
    FORMAT,
    LINE_BYTES,
    MAX_LINES,
    SALT_BYTES,
    SEAL_BYTES,
    Seal,
    Segment,
    chain,
    event_lines,
    file_name,
    seal_line,
)
from worker.audit.read import recorded_endings
from worker.audit.render import TIMESTAMP, JsonValue, flattened, instant, payload
from worker.audit.vocabulary import VERSION
from worker.core import merkle
from worker.errors import AuditUnavailable, ConfigurationError

__all__ = ["SERVICE", "AuditTrail", "Segment", "room_for"]

SERVICE = "retention-worker"
Sign: TypeAlias = Callable[[str], str]
"""Makes a signed note of a text that consists of whole lines."""
Resay: TypeAlias = Callable[[Path, Sequence[Ending]], Sequence[tuple[Action, Mapping[str, JsonValue]]]]
"""Knows, from the folder and how files in it were left, the events that were lost with their ends although what they say holds."""
_OPENING, _CLOSING = b"{}"
_LINE_END = b"\n"
_WHAT_NEXT = "Nothing was written to any system after this. Free the disk or mend the folder, and start again."


class AuditTrail:
    """The one writer of one stream. A context manager; safe to share between the threads of one process.

    stream -- random 128-bit hex id; path -- the file; context -- members every event has (service and what was given).
    """

    def __init__(
        self,
        path: Path,
        stream: str,
        descriptor: int,
        *,
        now: Callable[[], dt.datetime],
        sign: Sign | None = None,
        copy_to: Callable[[bytes], None] | None = None,
    ) -> None:
        """Take over an empty file that was created and locked for this stream: use `open`."""
        self.path = path
        self.stream = stream
        self.context: Mapping[str, str] = MappingProxyType({})
        self._descriptor = descriptor
        self._process = os.getpid()
        self._now = now
        self._sign = sign
        self._tree = merkle.Frontier()
        self._signed = 0
        self._copy_to = copy_to
        self._line = 0
        self._segment = 0
        self._chain = FIRST_PREVIOUS
        self._written = 0
        self._durable = 0
        self._broken: str | None = None
        self._closed = False
        self._midway = False
        self._appending = threading.Lock()
        self._syncing = threading.Lock()
        self._log = _TrailLogger(_Sink(self), [self._placed, _rendered], {})

    @classmethod
    def open(
        cls,
        folder: Path,
        *,
        now: Callable[[], dt.datetime],
        service_version: str,
        context: Mapping[str, str] | None = None,
        sign: Sign | None = None,
        copy_to: Callable[[bytes], None] | None = None,
        resay: Resay | None = None,
    ) -> Self:
        """Start a stream in the folder (made with mode 0700 when missing) and say so in it, durably.

        Records what earlier writers left torn or unclosed, unless that was recorded before, and in the same segment what `resay` knows to
        be lost with it. `now` answers the present aware instant; `sign` makes a signed note of a text, and without it there are no
        checkpoints. `copy_to` is given the bytes of every segment after the file has them; an OSError of it counts as a failed write.
        Raises ConfigurationError when the folder or an earlier file in it can't be used, AuditUnavailable
        when the first events can't be written.
        """
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with _only_opener(folder) as directory:
                trail = cls._create(folder, now, sign, copy_to)
                trail._begin(folder, service_version, context or {}, resay)  # noqa: SLF001 - the second half of construction
                os.fsync(directory)
        except OSError as error:
            raise ConfigurationError(
                f"The audit folder {folder} can't be used: {error.strerror}. Choose a folder this user can read and write (setting: audit)."
            ) from error
        return trail

    def emit(self, action: str, fields: Mapping[str, JsonValue] | None = None, /, *, sync: bool = False, **more: JsonValue) -> Segment:
        """Write one event as a segment of its own; members come as a mapping, as keywords, or both.

        Their names are dotted, nested mappings become dotted names. The event is in the file when this returns, and
        durable with `sync` or with the next `write` or `sync`. Raises ValueError for an action outside the closed set,
        a name that isn't dotted or a member said twice, TypeError for what JSON can't say, AuditUnavailable when it
        can't be written.
        """
        segment = self._log.record(Action(action), flattened({**(fields or {}), **more}))
        if sync:
            self.sync()
        return segment

    def write(self, payloads: Sequence[bytes]) -> Segment:
        """Write many rendered payloads (see render.py) as one segment; they are durable when this returns.

        Raises ValueError for no payload, too many, or one that is not a one-line JSON object by its looks;
        AuditUnavailable when they can't be written.
        """
        segment = self._append(payloads)
        assert segment is not None
        self.sync()
        return segment

    def checkpoint(self) -> None:
        """Sign the stream so far and say so in it, unless it was signed to its end or nobody can sign; all is durable when this returns.

        Raises AuditUnavailable when it can't be written.
        """
        while self._sign is not None and self._segment > self._signed:
            with self._appending:
                checked = Checkpoint(self.stream, self._tree.size, self._tree.root())
            said = self._event(Action.CHECKPOINT, {"retention.segments": checked.size, "retention.note": self._sign(checked.text())})
            # A checkpoint covers everything before it, so it is made again when another thread wrote in between.
            if self._append([said], at=checked.size) is not None:
                self._signed = checked.size + 1
        self.sync()

    def sync(self) -> None:
        """Make durable everything written so far. Raises AuditUnavailable when that can't be promised."""
        wanted = self._written
        with self._syncing:
            # Whoever had the lock before may have made this thread's lines durable too.
            if self._durable >= wanted and self._broken is None:
                return
            self._refuse_when_unusable()
            reached = self._written
            try:
                os.fsync(self._descriptor)
            except OSError as error:
                raise self._poisoned(f"could not be made durable: {error.strerror}") from error
            self._durable = reached

    def reserve(self, size: int) -> None:
        """Raise AuditUnavailable unless the log can take `size` more bytes: free space and the process's file size limit.

        Nothing is set aside: ask before a batch, with room to spare (`room_for` says how much a segment takes).
        """
        self._refuse_when_unusable()
        try:
            state = os.fstatvfs(self._descriptor)
        except OSError as error:
            raise AuditUnavailable(f"The free space for {self.path.name} is not known: {error.strerror}.") from error
        free = state.f_bavail * state.f_frsize
        if free < size:
            raise AuditUnavailable(f"The audit folder has {free} bytes free and needs {size}. {_WHAT_NEXT}")
        limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
        if limit != resource.RLIM_INFINITY and limit - self._written < size:
            raise AuditUnavailable(
                f"The file size limit of this process leaves {limit - self._written} bytes for the audit file, "
                f"and {size} are needed. Raise the limit (ulimit -f)."
            )

    def close(self) -> None:
        """Say that the stream ends, durably, and let go of the file; a second call does nothing.

        A trail that could not be written is only let go: its file stays as it is, for the next process to record.
        """
        if self._closed:
            return
        try:
            if self._broken is None and not self._midway and os.getpid() == self._process:
                self.checkpoint()
                self.emit(Action.STREAM_CLOSED, sync=True)
        finally:
            self._abandon()

    def __enter__(self) -> Self:
        """Return the trail itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @classmethod
    def _create(cls, folder: Path, now: Callable[[], dt.datetime], sign: Sign | None, copy_to: Callable[[bytes], None] | None) -> Self:
        stream = secrets.token_hex(16)
        path = folder / file_name(now().astimezone(dt.UTC).strftime("%Y%m%dT%H%M%SZ"), stream)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        descriptor = os.open(path, flags, 0o640)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except BaseException:
            os.close(descriptor)
            raise
        return cls(path, stream, descriptor, now=now, sign=sign, copy_to=copy_to)

    def _begin(self, folder: Path, service_version: str, context: Mapping[str, str], resay: Resay | None) -> None:
        service = {"service.name": SERVICE, "service.version": service_version, "trace.id": self.stream}
        self.context = MappingProxyType({**service, **context})
        try:
            self.emit(
                Action.STREAM_OPENED,
                {
                    "process.pid": self._process,
                    "retention.stream": self.stream,
                    "retention.format": FORMAT,
                    "retention.events_version": VERSION,
                },
            )
            left = unfinished(folder)
            known = recorded_endings(folder) if left else set()
            new = [each for each in left if each.identity not in known]
            events = [*((each.action, each.fields()) for each in new), *(resay(folder, new) if resay is not None and new else ())]
            if events:
                self._append([self._event(action, fields) for action, fields in events])
            self.sync()
        except BaseException:
            self._abandon()
            raise

    def _placed(self, _: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        """Put what every event has before what this one says (a structlog processor)."""
        action = event.pop("event")
        head = {TIMESTAMP: instant(self._now()), "event.action": action, **self.context}
        twice = head.keys() & event.keys()
        if twice:
            raise ValueError(f"an audit event says {min(twice)} twice")
        return {**head, **event}

    def _event(self, action: Action, fields: Mapping[str, JsonValue]) -> bytes:
        """Return the payload of an event of which only this module makes segments."""
        return payload({TIMESTAMP: instant(self._now()), "event.action": str(action), **self.context, **fields})

    def _append(self, payloads: Sequence[bytes], *, at: int | None = None) -> Segment | None:
        """Put a segment at the end; None when it was meant as the one with the number `at` and another came first."""
        count = len(payloads)
        if not 0 < count <= MAX_LINES:
            raise ValueError(f"a segment has 1 to {MAX_LINES} lines, not {count}")
        if not all(payloads) or [body for body in payloads if body[0] != _OPENING or body[-1] != _CLOSING]:
            raise ValueError("an audit payload is one JSON object")
        # Looked for in all of them at once, which is faster than in each.
        if _LINE_END in b"".join(payloads):
            raise ValueError("an audit payload stands on one line")
        # One call for all salts; hashing stands outside the lock, for it needs no line numbers.
        salts = os.urandom(SALT_BYTES * count)
        root = merkle.root(merkle.leaf_hashes(salts, SALT_BYTES, payloads)).hex()
        with self._appending:
            self._refuse_when_unusable()
            if self._midway:
                # Ctrl-C between the write and the count: going on could use a line number twice.
                raise self._poisoned("was interrupted in a write")
            if at not in (None, self._segment):
                return None
            first, number = self._line, self._segment
            lines = event_lines(first, salts, payloads)
            chained = chain(self._chain, root, self.stream, number, first, count)
            segment = Segment(self.stream, number, first, count, root, chained)
            lines.append(seal_line(Seal(first + count, segment, self._chain)))
            data = b"".join(lines)
            self._midway = True
            self._put(data)
            self._line, self._segment, self._chain = first + count + 1, number + 1, chained
            self._tree.add(merkle.leaf_hash(b"", bytes.fromhex(chained)))
            self._midway = False
        return segment

    def _put(self, data: bytes) -> None:
        try:
            written = os.write(self._descriptor, data)
        except OSError as error:
            raise self._poisoned(f"could not be written: {error.strerror}") from error
        if written != len(data):
            raise self._poisoned(f"took only {written} of {len(data)} bytes")
        self._written += written
        if self._copy_to is not None:
            try:
                self._copy_to(data)
            except OSError as error:
                raise self._poisoned(f"could not be copied to standard output: {error.strerror}") from error

    def _refuse_when_unusable(self) -> None:
        if self._broken is not None:
            raise AuditUnavailable(f"The audit file {self.path.name} {self._broken}. {_WHAT_NEXT}")
        if self._closed:
            raise AuditUnavailable(f"The audit file {self.path.name} has been closed.")
        if os.getpid() != self._process:
            raise AuditUnavailable(f"The audit file {self.path.name} belongs to another process; open a trail in this one.")

    def _poisoned(self, why: str) -> AuditUnavailable:
        self._broken = why
        return AuditUnavailable(f"The audit file {self.path.name} {why}. {_WHAT_NEXT}")

    def _abandon(self) -> None:
        if not self._closed:
            self._closed = True
            # Everything that was promised has been synced before; closing can't add to it or take from it.
            with suppress(OSError):
                os.close(self._descriptor)


def room_for(lines: int, payload_bytes: int) -> int:
    """Return the most bytes that a segment of so many lines takes, their payloads together being `payload_bytes`."""
    return lines * LINE_BYTES + payload_bytes + SEAL_BYTES


class _Sink:
    """What structlog takes for its logger: it gets rendered payloads and puts each in a segment."""

    def __init__(self, trail: AuditTrail) -> None:
        self._trail = trail

    def record(self, rendered: bytes) -> Segment:
        segment = self._trail._append([rendered])  # noqa: SLF001 - the trail's own other half
        assert segment is not None
        return segment


class _TrailLogger(structlog.BoundLoggerBase):
    """The audit trail's structlog logger: one method, and processors of its own, whatever the process configured."""

    def record(self, action: Action, fields: Mapping[str, JsonValue]) -> Segment:
        # A member named `event` would take the place of the action, so only dotted names get through.
        segment = self._proxy_to_logger("record", str(action), **_dotted(fields))
        assert isinstance(segment, Segment)
        return segment


def _dotted(fields: Mapping[str, JsonValue]) -> Mapping[str, JsonValue]:
    loose = [name for name in fields if "." not in name]
    if loose:
        raise ValueError(f"the name of an audit member is dotted, and {min(loose)} is not")
    return fields


def _rendered(_: object, __: str, event: structlog.typing.EventDict) -> bytes:
    return payload(event)


@contextmanager
def _only_opener(folder: Path) -> Iterator[int]:
    """Let one process at a time open a stream, so that two can't record the same ending."""
    directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        yield directory
    finally:
        os.close(directory)
