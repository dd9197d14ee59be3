"""Log files: which day a line belongs to, and rewriting files by all of a batch or nothing, whenever the machine stops."""

from __future__ import annotations

import bz2
import datetime as dt
import gzip
import lzma
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.contract.measuring import ReadingApart, allocated
from connectors.contract.reading import GROWN, MEBIBYTE, VERY_MANY
from connectors.log_files import LogFiles, open_source
from connectors.log_files import rewriting as steps
from connectors.log_files.lines import FORMATS, UNDATED, buckets, own_clock, without
from worker.core.facts import UNREADABLE, Empty, FieldType, Reading
from worker.core.select import EVERYTHING, OnOrBefore
from worker.core.sources import Field, Source
from worker.errors import Changed, Problems, Skippable
from worker.ports import Changes, Connection, Key, KeyRange, NoFaults, Resolution, Row

AMSTERDAM, UTC = ZoneInfo("Europe/Amsterdam"), ZoneInfo("UTC")
NOW = dt.datetime(2026, 6, 30, 3, tzinfo=dt.UTC)
ALL = KeyRange(("", ""), ("\U0010ffff", "\U0010ffff"))
CANARY = "198.51.100.77"
PACKED: dict[str, Callable[[bytes], bytes]] = {"": lambda data: data, ".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}
UNPACKED: dict[str, Callable[[bytes], bytes]] = {
    "": lambda data: data,
    ".gz": gzip.decompress,
    ".bz2": bz2.decompress,
    ".xz": lzma.decompress,
}
POINTS = (steps.PREPARED, steps.MOVED, steps.MARKED, steps.LINKED, steps.REMOVED)


def line(day: int, hour: int = 12, more: str = "", month: str = "Jun") -> bytes:
    """Return a line of an access log, of 2025 and in UTC."""
    return f'{CANARY} - - [{day:02}/{month}/2025:{hour:02}:00:00 +0000] "GET /{more} HTTP/1.1" 200 5\n'.encode()


def source_of(key: Sequence[str] = ("file", "day"), **options: str) -> Source:
    """Return access logs by the day, or as declared."""
    fields = (
        Field("logged_at", "@time", Reading(FieldType.TIMESTAMP, Empty.UNKNOWN, AMSTERDAM, UTC)),
        Field("lines", "@lines", Reading(FieldType.NUMBER, Empty.UNKNOWN, AMSTERDAM), personal=True),
    )
    return Source("logs", "log_files", ".", tuple(key), fields, options={"files": "access.log*", "time": "common", **options})


def put(root: Path, name: str, *lines: bytes, age: dt.timedelta = dt.timedelta(days=300)) -> Path:
    """Put a log there, compressed by its name, that was last written some time ago."""
    path = root / name
    path.write_bytes(PACKED.get(path.suffix, PACKED[""])(b"".join(lines)))
    then = path.stat().st_mtime - age.total_seconds()
    os.utime(path, (then, then))
    return path


def opened(root: Path, faults: object = None, **options: str) -> LogFiles:
    """Open the logs."""
    return open_source(source_of(**options), Connection(path=root), faults or NoFaults())  # type: ignore[arg-type]


def keys(source: LogFiles) -> list[Key]:
    """Return the keys of all records."""
    with source.reader() as reader:
        return [row[: len(source.spec.key)] for page in reader.rows(EVERYTHING, ()) for row in page]  # type: ignore[misc]


def read(source: LogFiles) -> list[Row]:
    """Return all records with their values, each of which is also found by its key."""
    with source.reader() as reader:
        rows = [row for page in reader.rows(EVERYTHING, ("logged_at", "lines")) for row in page]
        assert rows == [reader.get(row[:2], ("logged_at", "lines")) for row in rows]  # type: ignore[arg-type]
        assert len(rows) == reader.count(EVERYTHING)
    return rows


def everything(root: Path) -> dict[str, tuple[int, bytes]]:
    """Return every entry below a root, the working folder included, with its date and content."""
    return {
        str(path.relative_to(root)): (path.lstat().st_mtime_ns, path.read_bytes() if path.is_file() else b"") for path in root.rglob("*")
    }


def delete(source: LogFiles, *going: Key, batch_id: str = "b") -> None:
    """Delete records in one batch."""
    with source.batch(batch_id, ALL, EVERYTHING, ()) as batch:
        batch.write(Changes(delete=going))
        batch.commit()


def seen(root: Path) -> dict[str, bytes]:
    """Return the files outside the working folder, with their content."""
    return {path.name: path.read_bytes() for path in root.iterdir() if path.is_file()}


# --- Lines --------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "text", "moment"),
    [
        ("common", b"- - [29/Jun/2025:23:59:59 +0200] x", "2025-06-29T21:59:59+00:00"),
        ("common", b"- - [01/Jan/2025:00:30:00 -0330] x", "2025-01-01T04:00:00+00:00"),
        ("iso", b"2025-06-29T21:59:59.123456Z x", "2025-06-29T21:59:59+00:00"),
        ("iso", b"<13>1 2025-06-29 23:59:59+0200 x", "2025-06-29T21:59:59+00:00"),
        ("iso", b'{"at":"2025-06-29 21:59:59,123"}', "2025-06-29T21:59:59+00:00"),
        ("syslog", b"Jun 29 21:59:59 host x", "2026-06-29T21:59:59+00:00"),
        ("syslog", b"Dec  9 21:59:59 host x", "2025-12-09T21:59:59+00:00"),
        ("syslog", b"<13>Feb 29 21:59:59 host x", "2024-02-29T21:59:59+00:00"),
        ("epoch", b"1751234399.123 x", "2025-06-29T21:59:59+00:00"),
        ("common", b"- - [31/Jun/2025:23:59:59 +0200] x", None),
        ("iso", b"no time at all", None),
        ("epoch", b"12 x", None),
    ],
)
def test_formats(form: str, text: bytes, moment: str | None) -> None:
    """Every named format reads its own lines; a day that does not exist is no time."""
    found = FORMATS[form](UTC)(text, NOW)
    assert (None if moment is None else dt.datetime.fromisoformat(moment)) == found


def test_a_format_of_ones_own() -> None:
    """A pattern with a format reads what no name stands for; one without a year or a group is refused."""
    clock = own_clock(r"at=(?P<time>\d{8} \d{4})", "%Y%m%d %H%M", AMSTERDAM)
    assert dt.datetime(2025, 6, 29, 23, 59, tzinfo=AMSTERDAM) == clock(b"x at=20250629 2359 y", NOW)
    for pattern, form in ((r"\d+", "%Y"), (r"(?P<time>.+)", "%m%d"), ("(", "%Y")):
        with pytest.raises(Exception):  # noqa: B017, PT011 - whatever it is, the options turn it into words
            own_clock(pattern, form, UTC)


def test_a_moment_without_offset_needs_a_zone() -> None:
    """Where nobody said in which zone a log is written, its lines state no time; with a zone they do."""
    assert FORMATS["iso"](None)(b"2025-06-29 21:59:59 x", NOW) is None
    assert FORMATS["iso"](AMSTERDAM)(b"2025-06-29 21:59:59 x", NOW) is not None


def test_the_day_is_local() -> None:
    """Half past ten in the evening in UTC belongs to the next day in Amsterdam in summer, and not in winter."""
    lines = [line(29, 21), line(29, 22), line(29, 22, month="Dec")]
    assert ["2025-06-29", "2025-06-30", "2025-12-29"] == list(buckets(lines, FORMATS["common"](None), AMSTERDAM, NOW))


def test_no_stranger_sets_the_clock() -> None:
    """A line that states an earlier time than the one before counts with that; one that is later than its file states none."""
    forged_back = b"[01/Jan/2020:00:00:00 +0000] " + line(2)
    forged_ahead = b"[01/Jan/2031:00:00:00 +0000] " + line(2)
    found = buckets([line(1), line(2), forged_back, forged_ahead, line(3)], FORMATS["common"](None), UTC, NOW)
    assert {"2025-06-01": 1, "2025-06-02": 3, "2025-06-03": 1} == {day: bucket.lines for day, bucket in found.items()}


DAYS = st.lists(
    st.one_of(st.integers(1, 28).map(line), st.binary(max_size=20).map(lambda text: text.replace(b"\n", b"") + b"\n")), max_size=30
)


@given(DAYS, st.sets(st.integers(1, 28)))
def test_every_line_has_one_day(lines: list[bytes], chosen: set[int]) -> None:
    """What is left without some days, and those days alone, are all lines, each once, in their order, byte by byte."""
    clock = FORMATS["common"](None)
    days = {f"2025-06-{day:02}" for day in chosen}
    known = buckets(lines, clock, UTC, NOW)
    left = list(without(lines, days, clock, UTC, NOW))
    gone = list(without(lines, set(known) - days, clock, UTC, NOW))
    assert len(lines) == len(left) + len(gone) == sum(bucket.lines for bucket in known.values())
    assert sum(bucket.lines for day, bucket in known.items() if day in days) == len(gone)
    merged = iter(lines)
    assert all(each in merged for each in left)


# --- Files --------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", PACKED)
def test_the_lines_of_a_day_go(tmp_path: Path, suffix: str) -> None:
    """Lines of the days that go are gone from plain and compressed files; all others, rights and the time of change stay as they were."""
    path = put(tmp_path, f"access.log{suffix}", line(1), b" a trace of it\n", line(2), line(3))
    path.chmod(0o640)
    before = path.stat()
    source = opened(tmp_path)
    assert [(path.name, f"2025-06-0{day}") for day in (1, 2, 3)] == keys(source)
    delete(source, (path.name, "2025-06-01"), (path.name, "2025-06-03"))
    assert line(2) == UNPACKED[suffix](path.read_bytes())
    after = path.stat()
    assert (before.st_mode, before.st_uid, before.st_mtime_ns) == (after.st_mode, after.st_uid, after.st_mtime_ns)
    source.forget(["b"])
    assert [path.name] == list(seen(tmp_path))
    assert [] == list((tmp_path / ".retention-removed").iterdir())


def test_a_file_whose_days_all_go_is_removed(tmp_path: Path) -> None:
    """The last day of a file takes the file with it."""
    put(tmp_path, "access.log.1", line(1), line(2))
    put(tmp_path, "access.log.2", line(1))
    source = opened(tmp_path)
    delete(source, *keys(source)[:2])
    assert ["access.log.2"] == list(seen(tmp_path))


def test_by_the_file(tmp_path: Path) -> None:
    """By the file, a record is a file with the time of its latest line."""
    put(tmp_path, "access.log.1", line(1), line(9))
    put(tmp_path, "access.log.2", line(1))
    source = open_source(source_of(("file",), unit="file"), Connection(path=tmp_path))
    with source.reader() as reader:
        rows = [row for page in reader.rows(OnOrBefore("logged_at", dt.date(2025, 6, 8)), ("logged_at", "lines")) for row in page]
    assert [("access.log.2", dt.datetime(2025, 6, 1, 12, tzinfo=dt.UTC), 1)] == rows
    with source.batch("b", KeyRange(("",), ("z",)), EVERYTHING, ()) as batch:
        batch.write(Changes(delete=[("access.log.2",)]))
        batch.commit()
    assert ["access.log.1"] == list(seen(tmp_path))


def test_what_nobody_can_date_is_a_record_that_is_unknown(tmp_path: Path) -> None:
    """Lines before any time, damaged files and unknown compression are records whose time is unreadable: kept and reported."""
    put(tmp_path, "access.log.1", b"no time\n", line(2))
    (tmp_path / "access.log.2.gz").write_bytes(gzip.compress(line(1) * 100)[:-20])
    (tmp_path / "access.log.3.zst").write_bytes(b"\x28\xb5\x2f\xfd")
    source = opened(tmp_path)
    with source.reader() as reader:
        rows = {row[:2]: row[2] for page in reader.rows(EVERYTHING, ("logged_at",)) for row in page}
    unknown = {key for key, value in rows.items() if value is UNREADABLE}
    assert {("access.log.1", UNDATED), ("access.log.2.gz", UNDATED), ("access.log.3.zst", UNDATED)} == unknown
    with pytest.raises(Skippable):
        delete(source, ("access.log.2.gz", UNDATED))
    _, warned = source.problems(None, {})
    assert ["2", "1"] == [each.what[0] for each in warned]


def test_a_file_that_is_still_written_to_is_left(tmp_path: Path) -> None:
    """The live log is not rewritten: the next line of whoever writes it would be lost."""
    put(tmp_path, "access.log", line(1), line(2), age=dt.timedelta(hours=1))
    source = opened(tmp_path)
    before = seen(tmp_path)
    with pytest.raises(Skippable, match="Rotate it"):
        delete(source, ("access.log", "2025-06-01"))
    assert before == seen(tmp_path)
    delete(opened(tmp_path, settled="PT0H"), ("access.log", "2025-06-01"), batch_id="c")
    assert {"access.log": line(2)} == seen(tmp_path)


def test_links_and_other_files_are_left(tmp_path: Path) -> None:
    """A link to a log, a folder and a file of another name are no records."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    put(elsewhere, "access.log", line(1))
    logs = tmp_path / "logs"
    logs.mkdir()
    (logs / "access.log.1").symlink_to(elsewhere / "access.log")
    (logs / "access.log.2").mkdir()
    put(logs, "error.log", line(1))
    assert [] == keys(opened(logs))


class Interferes:
    """Does something else when a point is reached, once."""

    def __init__(self, point: str, what: Callable[[], object]) -> None:
        self.point, self.what = point, what

    def reached(self, point: str) -> None:
        if point == self.point:
            self.point = ""
            self.what()


def test_a_file_that_changes_meanwhile_refuses_the_batch(tmp_path: Path) -> None:
    """A line that is appended, and a rotation that gives a name to another file, between reading and moving: all stays as it was."""
    for rotate in (False, True):
        root = tmp_path / str(rotate)
        root.mkdir()
        put(root, "access.log.1", line(1), line(2))
        put(root, "access.log.2", line(1), line(3))

        def disturb(root: Path = root, rotate: bool = rotate) -> None:
            if rotate:
                (root / "access.log.2").rename(root / "access.log.3")
                (root / "access.log.1").rename(root / "access.log.2")
            else:
                with (root / "access.log.1").open("ab") as file:
                    file.write(line(4))

        source = opened(root, Interferes(steps.PREPARED, disturb))
        with pytest.raises(Changed):
            delete(source, ("access.log.1", "2025-06-01"), ("access.log.2", "2025-06-01"))
        wanted = (
            {"access.log.2": line(1) + line(2), "access.log.3": line(1) + line(3)}
            if rotate
            else {"access.log.1": line(1) + line(2) + line(4), "access.log.2": line(1) + line(3)}
        )
        assert wanted == seen(root)


def test_a_name_that_was_taken_is_not_overwritten(tmp_path: Path) -> None:
    """When somebody puts another file in the place while the old one is aside, both are there afterwards."""
    put(tmp_path, "access.log.1", line(1), line(2))
    source = opened(tmp_path, Interferes(steps.MARKED, lambda: (tmp_path / "access.log.1").write_bytes(b"other\n")))
    delete(source, ("access.log.1", "2025-06-01"))
    assert {"access.log.1": b"other\n", "access.log.1.returned-1": line(2)} == seen(tmp_path)


def test_what_waits_is_seen_under_the_name_that_it_gets(tmp_path: Path) -> None:
    """Somebody took the name of a file that a killed batch moved aside: who reads sees both, as they will be."""
    put(tmp_path, "access.log.1", line(1), line(2))
    child = os.fork()
    if child == 0:
        try:
            delete(opened(tmp_path, Dies(steps.MARKED, 1)), ("access.log.1", "2025-06-01"))
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    put(tmp_path, "access.log.1", line(3))
    source = opened(tmp_path)
    seen = read(source)
    assert [("access.log.1", "2025-06-03"), ("access.log.1.returned-1", "2025-06-02")] == [row[:2] for row in seen]
    source.resolve("b", {})
    assert seen == read(source)


class Dies:
    """Kills the process when a point is reached for the given time."""

    def __init__(self, point: str, times: int) -> None:
        self.point, self.left = point, times

    def reached(self, point: str) -> None:
        self.left -= point == self.point
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_killed_at_every_point(tmp_path: Path, point: str, times: int) -> None:
    """A process that is killed anywhere leaves, once somebody resolved the batch, all of it or nothing, and says which.

    Who only reads sees beforehand what will be there then, and changes nothing.
    """
    for name in ("access.log.1", "access.log.2", "access.log.3.gz"):
        put(tmp_path, name, line(1), line(2))
    going = [
        ("access.log.1", "2025-06-01"),
        ("access.log.1", "2025-06-02"),
        ("access.log.2", "2025-06-01"),
        ("access.log.3.gz", "2025-06-02"),
    ]
    before = seen(tmp_path)
    child = os.fork()
    if child == 0:
        try:
            delete(opened(tmp_path, Dies(point, times)), *going)
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    source = opened(tmp_path)
    left = everything(tmp_path)
    ahead = read(source)
    assert left == everything(tmp_path)
    resolved = source.resolve("b", {})
    assert read(source) == ahead
    assert resolved is source.resolve("b", {})
    after = {name: UNPACKED[".gz" if name.endswith(".gz") else ""](content) for name, content in seen(tmp_path).items()}
    if resolved is Resolution.ROLLED_BACK:
        assert point in (steps.PREPARED, steps.MOVED)
        assert before == seen(tmp_path)
    else:
        assert {"access.log.2": line(2), "access.log.3.gz": line(1)} == after
    source.forget(["b"])
    assert [] == list((tmp_path / ".retention-removed").iterdir())


@pytest.mark.parametrize(
    ("key", "options", "said"),
    [
        (("file",), {}, "key"),
        (("file", "day"), {"unit": "week"}, "unit"),
        (("file", "day"), {"files": "sub/access.log"}, "files"),
        (("file", "day"), {"time": "commonn"}, "did you mean 'common'"),
        (("file", "day"), {"time_pattern": "("}, "time"),
        (("file", "day"), {"settled": "1 day"}, "settled"),
        (("file", "day"), {"fles": "x"}, "did you mean 'files'"),
    ],
)
def test_wrong_options_are_told(tmp_path: Path, key: tuple[str, ...], options: dict[str, str], said: str) -> None:
    """Everything that is declared wrongly is refused in words before any file is touched."""
    with pytest.raises(Problems) as caught:
        open_source(source_of(key, **options), Connection(path=tmp_path))
    assert said in "".join(f"{each.where} {each.what} {each.hint}" for each in caught.value.problems)


def test_no_names_and_no_lines_in_errors(tmp_path: Path) -> None:
    """Neither the name of a file, which may be a customer's, nor what stands in it is in the text of an error."""
    put(tmp_path, f"access.log-{CANARY}", line(1), age=dt.timedelta(0))
    source = opened(tmp_path)
    for attempt in (lambda: delete(source, *keys(source)), lambda: delete(source, ("access.log-x", "2025-06-01"))):
        with pytest.raises((Skippable, Changed)) as caught:
            attempt()
        assert CANARY not in str(caught.value)


def test_memory_is_constant(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    """Three times as many logs take no more memory to read; nor do very many, in a process of its own (`make contract-large`)."""
    reads = Reading(FieldType.NUMBER, Empty.UNKNOWN, AMSTERDAM)
    fields = (
        *source_of().fields,
        Field("name", "@name", Reading(FieldType.TEXT, Empty.UNKNOWN, AMSTERDAM)),
        Field("note", "@lines", reads),
    )
    declared = Source("logs", "log_files", ".", ("file", "day"), fields, options={"files": "access.log*", "time": "common"})

    def fill(number: int) -> None:
        for each in range(number):
            (tmp_path / f"access.log.{each:06}").write_bytes(line(each % 28 + 1))

    def source() -> LogFiles:
        return open_source(declared, Connection(path=tmp_path))

    if VERY_MANY:
        fill(3)
        with ReadingApart(source) as apart:
            fill(VERY_MANY)
            took = apart.read()
        record_property("reading", took)
        assert took.records == VERY_MANY
        assert took.grown < GROWN * MEBIBYTE
        return
    peaks: list[int] = []
    for number in (1_000, 3_000):
        fill(number)
        readings = [allocated(source()) for _ in range(3)]
        assert {number} == {records for records, _ in readings}
        peaks.append(min(peak for _, peak in readings))
    assert peaks[1] < 1.1 * peaks[0]
