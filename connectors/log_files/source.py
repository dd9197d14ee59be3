"""Log files as a source: its reader, its batches, and what becomes of a batch whose process died.

A record is a day of a file (or a file as a whole), so that there are thousands of records where there are millions of lines, and cleaning
up costs one rewriting of a file. Every log is read from its first line to its last; in memory are the days of one file at a time.
"""

from __future__ import annotations

import datetime as dt
import os
import stat
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import chain
from typing import IO

from connectors.batchfolder import WORKING, BatchFolder
from connectors.folder import key_of, name_of, open_root, opened, told, unsorted_entries
from connectors.log_files.aside import look_aside
from connectors.log_files.layout import Layout, Place, Unit, read_layout
from connectors.log_files.lines import UNDATED, Bucket, buckets, without
from connectors.log_files.packed import DAMAGE, NoLog, reading, writing
from connectors.log_files.rewriting import Rewriting, Trace, trace
from connectors.matching import matcher
from connectors.spooled import Spooled
from worker.core.facts import UNREADABLE, Raw
from worker.core.model import Policy
from worker.core.select import EVERYTHING, Selection
from worker.core.sources import Source
from worker.errors import Changed, ConfigurationError, Problem, Skippable, SourceFailed
from worker.ports import Changes, Connection, Faults, Key, KeyRange, Level, Load, NoFaults, Resolution, Row, Shape

_PAGE = 500
_REMEMBERED = 64
"""How many files that were read are kept in mind: a page of records, or a batch, is about a few."""
_DAYS_REMEMBERED = 400
"""One of more days is read again."""
_READ_ONLY = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
_BUFFER = 1 << 20


def open_source(source: Source, connection: Connection, faults: Faults | None = None) -> LogFiles:
    """Open the folder that holds the logs: the connection's path, or the source's table as a folder below it.

    ConfigurationError when the folder is missing, is none, is a link, or may not be entered, or when the options are wrong.
    """
    layout = read_layout(source)
    if connection.path is None:
        raise ConfigurationError(f"{source.name}: the folder with the log files is not set. Set the source's path.")
    return LogFiles(source, layout, open_root(source.name, source.table, connection.path), faults or NoFaults())


@dataclass(frozen=True, slots=True)
class Log:
    """One file as it was read. days -- its lines by day; None when it could not be read to its end; changed -- when it was, in seconds."""

    key: str
    trace: Trace
    changed: float
    days: Mapping[str, Bucket] | None


_NO_LOAD = "a folder has neither replicas nor transactions; take the limit away"


class LogFiles:
    """One folder of logs. Reading never follows a link; a removal is permanent, and all of a batch or nothing."""

    level = Level.PERMANENT
    transactional = True
    lanes = 1
    most: int | None = None

    def __init__(self, source: Source, layout: Layout, root: int, faults: Faults) -> None:
        self.spec = source
        self._layout = layout
        self._root = root
        self._faults = faults
        self._read_before: OrderedDict[str, Log] = OrderedDict()

    def problems(self, policy: Policy | None, schedule_sources: Mapping[str, Source]) -> tuple[list[Problem], list[Problem]]:  # noqa: ARG002
        """Return (what makes the source unusable, what a person should know); names of files are never in them."""
        name = self.spec.name
        declared = (*(each.name for each in self.spec.relations), *(each.name for each in self.spec.aggregates))
        wrong = [Problem(f"{name}.{each}", "log files have no relations, and no facts over them.", "Remove it.") for each in declared]
        if policy is not None and policy.treatable and not policy.only_deletes:
            wrong.append(Problem(name, "lines of a log are deleted and not treated.", 'Use the disposition "delete".'))
        if not os.access(".", os.W_OK | os.X_OK, dir_fd=self._root):
            wrong.append(Problem(name, "the folder may not be written in.", "Give the user of the worker the right to write in it."))
        with told(name, "reading the log files"):
            files = unread = undated = 0
            for log in self._logs(None, ended=True):
                files += 1
                unread += log.days is None
                undated += UNDATED in (log.days or {})
        known: list[Problem] = []
        if not files:
            known.append(Problem(name, "no file has a name that `files` matches.", "Correct the pattern, or the path."))
        if unread:
            known.append(Problem(name, f"{unread} file(s) can't be read as lines: they stay, and are reported."))
        if undated:
            what = f"{undated} file(s) begin with lines that state no time: those stay, and are reported."
            known.append(Problem(name, what, "See that `time` is the format of these logs."))
        return wrong, known

    def shape(self) -> Shape:
        """Return that lines of a log have no columns: what they hold was declared."""
        return Shape(())

    def load(self) -> Load:
        """Return that nothing can be seen: a file system has no replicas and no transactions."""
        return Load(lag_unseen=_NO_LOAD, transactions_unseen=_NO_LOAD)

    def rights(self, policy: Policy | None, schedule_sources: Mapping[str, Source], account: str | None) -> list[str]:  # noqa: ARG002
        """Return in words what a folder asks for: the operating system gives these rights."""
        does = "read" if policy is None else "read and write"
        return [f"-- A folder: {account or 'whoever runs the worker'} must be able to {does} it and all that is in it."]

    @contextmanager
    def reader(self) -> Iterator[LogReader]:
        """Return a view of the logs, as they are once what a crash left open is ended.

        A file system has no snapshots, so a file is as it is when it is read.
        """
        yield LogReader(self)

    @contextmanager
    def batch(
        self,
        batch_id: str,
        within: KeyRange,
        selection: Selection,
        columns: Sequence[str],
        *,
        take: bool = False,  # noqa: ARG002
    ) -> Iterator[LogBatch]:
        """Return a batch on a range of records. There are no locks: a file is compared with what was read, after it was moved aside."""
        batch = LogBatch(self, Rewriting(self.spec.name, self._root, batch_id, self._faults), (within, selection, columns))
        try:
            yield batch
        finally:
            batch.leave()

    def resolve(self, batch_id: str, witness: Mapping[str, str]) -> Resolution | None:  # noqa: ARG002
        """Bring a batch to its end and say which: what stands in the working folder is certain, so a witness is not needed."""
        return Rewriting(self.spec.name, self._root, batch_id, self._faults).resolve()

    def forget(self, batch_ids: Sequence[str]) -> None:
        """Drop the marks of batches that are final."""
        for batch_id in batch_ids:
            BatchFolder(self.spec.name, self._root, batch_id).forget()

    def close(self) -> None:
        """Let go of the folder."""
        if self._root >= 0:
            os.close(self._root)
            self._root = -1

    # --- For the reader and the batches -----------------------------------------------------------------------------------------------

    def found(
        self, selection: Selection, columns: Sequence[str], within: KeyRange | None, *, ended: bool = False
    ) -> Iterator[tuple[Log, Row]]:
        """Yield (file, row) of the records that a selection holds, in key order.

        ended -- with what lies aside as it will be; a batch may not ask for that: it can only move what is in its place.
        """
        matches = matcher(self.spec, selection)
        logs = self._logs(within, ended=ended)
        while True:
            with told(self.spec.name, "reading a log file"):
                log = next(logs, None)
            if log is None:
                return
            for key, bucket in self._records(log):
                if within is None or within.first <= key <= within.last:
                    values = self._values(log, bucket)
                    if matches(values.__getitem__):
                        yield log, self._row(key, values, columns)

    def one(self, key: Key, columns: Sequence[str]) -> Row | None:
        """Return one record's row, or None."""
        return next((row for _, row in self.found(EVERYTHING, columns, KeyRange(key, key), ended=True)), None)

    def rewrite(self, log: Log, days: frozenset[str], into: IO[bytes]) -> None:
        """Write a file without the lines of some days; Changed when it is not the one that was read."""
        name = name_of(log.key)
        with self._opened(name) as file:
            if trace(os.fstat(file.fileno())) != log.trace:
                raise Changed(f"{self.spec.name}: a log file was written to, or rotated, after it was read.")
            with reading(name, file) as lines, writing(name, into) as out:
                out.writelines(without(lines, days, self._layout.clock, self._layout.zone, _moment(log.changed)))

    @property
    def settled(self) -> dt.timedelta:
        """How long a file has to have been left alone before it is touched."""
        return self._layout.settled

    def keys_of(self, log: Log) -> list[Key]:
        """Return the keys of all records of a file."""
        return [key for key, _ in self._records(log)]

    def _logs(self, within: KeyRange | None, *, ended: bool) -> Iterator[Log]:
        """Yield every log in the order of the names; one that goes in the meantime is left out."""
        aside = look_aside(self._root) if ended else {}
        with Spooled[str](self.spec.name) as spooled:
            spooled.add((key, None) for key in self._keys(aside) if within is None or str(within.first[0]) <= key <= str(within.last[0]))
            for page in spooled.pages(_PAGE):
                for key, _ in page:
                    name = name_of(key)
                    for place in (aside.get(name), None):
                        with suppress(FileNotFoundError), self._opened(name, place) as file:
                            yield self._read(key, name, file)
                            break

    def _keys(self, aside: Mapping[str, object]) -> Iterator[str]:
        """Yield the keys of all logs in no order; some twice. A folder's names come in no order, and are not held in memory."""
        there = (name for name, is_folder, is_link in unsorted_entries(self._root) if not (is_folder or is_link))
        yield from (key_of(name) for name in chain(there, aside) if self._layout.is_log(name))

    def _read(self, key: str, name: str, file: IO[bytes]) -> Log:
        """Return a file's lines by day."""
        about = os.fstat(file.fileno())
        known = self._read_before.get(key)
        if known is not None and known.trace == trace(about):
            return known
        days: Mapping[str, Bucket] | None = None
        if stat.S_ISREG(about.st_mode):
            try:
                with reading(name, file) as lines:
                    days = buckets(lines, self._layout.clock, self._layout.zone, _moment(about.st_mtime))
            except (NoLog, *DAMAGE) as error:
                if isinstance(error, OSError) and error.errno is not None:
                    raise SourceFailed(f"{self.spec.name}: reading a log file failed: {os.strerror(error.errno)}.") from None
        log = Log(key, trace(about), about.st_mtime, days)
        self._read_before.pop(key, None)
        if len(days or ()) <= _DAYS_REMEMBERED:
            self._read_before[key] = log
        if len(self._read_before) > _REMEMBERED:
            self._read_before.popitem(last=False)
        return log

    @contextmanager
    def _opened(self, name: str, aside: tuple[str, str] | None = None) -> Iterator[IO[bytes]]:
        """Open a log in its place, or where it lies in the folder of a batch."""
        with ExitStack() as stack:
            folder = self._root
            for each in (WORKING, aside[0]) if aside is not None else ():
                folder = stack.enter_context(opened(folder, each))
            descriptor = os.open(aside[1] if aside is not None else name, _READ_ONLY, dir_fd=folder)
            yield stack.enter_context(os.fdopen(descriptor, "rb", buffering=_BUFFER))

    def _records(self, log: Log) -> list[tuple[Key, Bucket]]:
        """Return the records of a file; one whose days nobody knows is one record of its own, so that it is reported."""
        days = log.days
        if self._layout.unit is Unit.DAY:
            return [((log.key, day), days[day]) for day in sorted(days)] if days is not None else [((log.key, UNDATED), Bucket())]
        if not days:
            return [((log.key,), Bucket())]
        latest = [bucket.latest for bucket in days.values() if bucket.latest is not None]
        return [((log.key,), Bucket(sum(bucket.lines for bucket in days.values()), max(latest, default=None)))]

    def _values(self, log: Log, bucket: Bucket) -> dict[str, Raw]:
        """Return the values of a record by the names of the fields."""
        said: dict[Place, Raw] = {
            Place.TIME: bucket.latest if bucket.latest is not None else UNREADABLE,
            Place.LINES: bucket.lines,
            Place.NAME: log.key,
        }
        return {name: said[place] for name, place in self._layout.places.items()}

    def _row(self, key: Key, values: Mapping[str, Raw], columns: Sequence[str]) -> Row:
        try:
            return (*key, *(values[name] for name in columns))
        except KeyError as error:
            raise ConfigurationError(f"{self.spec.name}: log files have no column {error}.") from None


class LogReader:
    """Reads logs one by one."""

    def __init__(self, source: LogFiles) -> None:
        self._source = source

    def rows(self, selection: Selection, columns: Sequence[str], *, within: KeyRange | None = None) -> Iterator[list[Row]]:
        """Yield pages of rows in key order."""
        page: list[Row] = []
        for _, row in self._source.found(selection, columns, within, ended=True):
            page.append(row)
            if len(page) == _PAGE:
                yield page
                page = []
        if page:
            yield page

    def count(self, selection: Selection) -> int:
        """Return how many records the selection holds."""
        return sum(1 for _ in self._source.found(selection, (), None, ended=True))

    def get(self, key: Key, columns: Sequence[str]) -> Row | None:
        """Return one record's row, or None."""
        return self._source.one(key, columns)

    def related(self, path: Sequence[str], keys: Sequence[Key], columns: Sequence[str]) -> list[tuple[Key, Row]]:  # noqa: ARG002
        """Refuse: logs have no relations."""
        raise _no_relations(self._source)


class LogBatch:
    """One unit of work on logs; see `Rewriting` for how it is all or nothing."""

    def __init__(self, source: LogFiles, rewriting: Rewriting, asked: tuple[KeyRange, Selection, Sequence[str]]) -> None:
        within, selection, columns = asked
        self._source = source
        self._rewriting = rewriting
        found = list(source.found(selection, columns, within))
        self._width = len(source.spec.key)
        self._logs = {row[: self._width]: log for log, row in found}
        self._prepared = False
        self._final = False
        self.rows: list[Row] = [row for _, row in found]
        self.witness: Mapping[str, str] = {"folder": rewriting.folder.name}

    def related(self, path: Sequence[str], keys: Sequence[Key], columns: Sequence[str]) -> list[tuple[Key, Row]]:  # noqa: ARG002
        """Refuse: logs have no relations."""
        raise _no_relations(self._source)

    def write(self, changes: Changes) -> None:
        """Write files anew without what goes; Changed when one is not as the batch has read it, Skippable when it is still written to."""
        name = self._source.spec.name
        if self._prepared:
            raise Skippable(f"{name}: a batch of log files is written once.")
        if changes.along or changes.updates:
            raise ConfigurationError(f"{name}: lines of a log are deleted, and neither treated nor related to anything.")
        going = {tuple(key) for key in changes.delete}
        if len(going) != len(changes.delete) or not going <= self._logs.keys() or (changes.whole and len(going) != len(self.rows)):
            raise Changed(f"{name}: the batch does not hold each of the records to delete, once.")
        logs = {log.key: log for key in going if (log := self._logs[key])}
        if any(log.days is None for log in logs.values()):
            raise Skippable(f"{name}: a log file can't be read as lines, so it is left alone.")
        staying = {each.key: each for each in logs.values() if not going.issuperset(self._source.keys_of(each))}
        days = {each: frozenset(str(key[-1]) for key in going if key[0] == each) for each in staying}
        self._rewriting.prepare(
            {name_of(each.key): each.trace for each in logs.values()},
            {name_of(key): _writer(self._source, log, days[key]) for key, log in staying.items()},
            self._source.settled,
        )
        self._prepared = True

    def commit(self) -> tuple[()]:
        """Make it permanent."""
        if self._prepared and not self._final:
            self._rewriting.mark()
            self._final = True
            self._rewriting.finish()
        return ()

    def leave(self) -> None:
        """Put everything back unless the batch was committed."""
        if self._prepared and not self._final:
            self._rewriting.resolve()


def _writer(source: LogFiles, log: Log, days: frozenset[str]) -> Callable[[IO[bytes]], None]:
    return lambda into: source.rewrite(log, days, into)


def _moment(seconds: float) -> dt.datetime:
    return dt.datetime.fromtimestamp(seconds, dt.UTC)


def _no_relations(source: LogFiles) -> ConfigurationError:
    return ConfigurationError(f"{source.spec.name}: log files have no relations; remove children, parents and facts over them.")
