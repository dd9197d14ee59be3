"""What lines of a log say about their time, and files by the days of their lines: pure functions over bytes.

A line without a time of its own (the rest of a stack trace) belongs to the line before it. Lines before the first time that can be read
belong to no day: nobody can tell when they were written.

Threat model: parts of a line are written by strangers (names, addresses, agents), who may put another time in front of the real one to have
their traces removed early. Logs go forward, so a line that states an earlier time than one before it counts with that one, and a time that
is later than the last change of its file is none.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from zoneinfo import ZoneInfo

Clock = Callable[[bytes, dt.datetime], dt.datetime | None]
"""From a line, and the moment after which nothing in its file was written, to the aware moment that it states; None for none."""

UNDATED = ""
"""The day of lines that state none."""

_LOOKED_AT = 4096
_CLOCKS_DIFFER = dt.timedelta(days=1)
_EARLIEST = dt.datetime(1970, 1, 2, tzinfo=dt.UTC)
_DAY = dt.timedelta(days=1)
_MONTHS = {name: number for number, name in enumerate(b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), start=1)}
_COMMON = re.compile(rb"\[(\d\d)/([A-Z][a-z]{2})/(\d{4}):(\d\d):(\d\d):(\d\d) ([+-]\d\d)(\d\d)\]")
_ISO = re.compile(rb"\b(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:[.,]\d+)?(Z|[ ]?[+-]\d\d:?\d\d)?")
_SYSLOG = re.compile(rb"^(?:<\d+>)?([A-Z][a-z]{2}) ([ \d]\d) (\d\d):(\d\d):(\d\d) ")
_EPOCH = re.compile(rb"^(\d{9,10})(?:\.\d+)?\b")


@dataclass(slots=True)
class Bucket:
    """The lines of one day: how many, and the latest moment that one of them states (None: none states any)."""

    lines: int = 0
    latest: dt.datetime | None = None


def buckets(lines: Iterable[bytes], clock: Clock, zone: ZoneInfo, before: dt.datetime) -> dict[str, Bucket]:
    """Return the lines of a file by the local day of their time, ISO 8601."""
    found: dict[str, Bucket] = {}
    for day, moment, _ in _dated(lines, clock, zone, before):
        bucket = found.get(day)
        if bucket is None:
            bucket = found[day] = Bucket()
        bucket.lines += 1
        bucket.latest = moment
    return found


def without(lines: Iterable[bytes], days: Collection[str], clock: Clock, zone: ZoneInfo, before: dt.datetime) -> Iterator[bytes]:
    """Yield the lines that belong to none of these days, byte by byte as they were."""
    return (line for day, _, line in _dated(lines, clock, zone, before) if day not in days)


def _dated(lines: Iterable[bytes], clock: Clock, zone: ZoneInfo, before: dt.datetime) -> Iterator[tuple[str, dt.datetime | None, bytes]]:
    """Yield (day, moment, line) for each line."""
    day, moment = UNDATED, None
    latest, midnight, limit = _EARLIEST, _EARLIEST, before + _CLOCKS_DIFFER
    for line in lines:
        stated = clock(line[:_LOOKED_AT], before)
        if stated is not None and latest < stated <= limit:
            latest = moment = stated
            if stated >= midnight:
                local = stated.astimezone(zone).date()
                day = local.isoformat()
                midnight = dt.datetime.combine(local + _DAY, dt.time(), tzinfo=zone).astimezone(dt.UTC)
        yield day, moment, line


def _remembering(pattern: re.Pattern[bytes], read: Callable[[re.Match[bytes], dt.datetime], dt.datetime]) -> Clock:
    """Return a clock that works out a text once while it comes again and again. What is no moment counts as none."""
    search = pattern.search
    last: tuple[bytes, dt.datetime] | None = None
    moment: dt.datetime | None = None

    def clock(line: bytes, before: dt.datetime) -> dt.datetime | None:
        nonlocal last, moment
        found = search(line)
        if found is None:
            return None
        text = (found[0], before)
        if text != last:
            last = text
            try:
                moment = read(found, before)
            except (ValueError, KeyError, OverflowError):
                moment = None
        return moment

    return clock


@lru_cache(maxsize=256)
def _offset(hours: bytes, minutes: bytes) -> dt.timezone:
    """Return a zone that is so far east; ValueError for none."""
    return dt.timezone(dt.timedelta(hours=int(hours), minutes=int(minutes) * (-1 if hours.startswith(b"-") else 1)))


def _common(stored: ZoneInfo | None) -> Clock:  # noqa: ARG001 - every line states its offset
    """`[29/Jun/2025:23:59:59 +0200]`: Apache, nginx and whoever writes the Common Log Format."""

    def read(found: re.Match[bytes], _: dt.datetime) -> dt.datetime:
        day, month, year, hour, minute, second, ahead, past = found.groups()
        east = _offset(ahead, past)
        return dt.datetime(int(year), _MONTHS[month], int(day), int(hour), int(minute), min(int(second), 59), tzinfo=east)

    return _remembering(_COMMON, read)


def _iso(stored: ZoneInfo | None) -> Clock:
    """`2025-06-29T21:59:59.123Z`, `2025-06-29 23:59:59 +0200`: ISO 8601 and RFC 3339; without an offset in the declared zone."""

    def read(found: re.Match[bytes], _: dt.datetime) -> dt.datetime:
        date, time, offset = (each.decode("ascii") if each else "" for each in found.groups())
        moment = dt.datetime.fromisoformat(f"{date}T{time}{offset.strip()}")
        return _placed(moment, stored)

    return _remembering(_ISO, read)


def _syslog(stored: ZoneInfo | None) -> Clock:
    """`Jun 29 23:59:59 host ...`: RFC 3164, without a year. It is the latest in which the line is not younger than its file."""

    def read(found: re.Match[bytes], before: dt.datetime) -> dt.datetime:
        month, day, hour, minute, second = found.groups()
        limit = before + _CLOCKS_DIFFER
        # Eight years hold a 29 February, in 2096 to 2104 too.
        for year in range(limit.year + 1, limit.year - 9, -1):
            try:
                plain = dt.datetime(year, _MONTHS[month], int(day), int(hour), int(minute), min(int(second), 59))  # noqa: DTZ001 - placed next
            except ValueError:
                continue
            moment = _placed(plain, stored)
            if moment <= limit:
                return moment
        raise ValueError("no such day")

    return _remembering(_SYSLOG, read)


def _epoch(stored: ZoneInfo | None) -> Clock:  # noqa: ARG001 - seconds since 1970 have no zone
    """`1751234399.123 ...`: seconds since 1970, as Squid writes them."""
    return _remembering(_EPOCH, lambda found, _: dt.datetime.fromtimestamp(int(found[1]), dt.UTC))


def own_clock(pattern: str, form: str, stored: ZoneInfo | None) -> Clock:
    """Return the clock of a format of one's own; ValueError or re.error when it can't be one.

    pattern -- a regular expression with the group `time`; form -- how strptime reads that group.
    """
    compiled = re.compile(pattern.encode())
    if "time" not in compiled.groupindex:
        raise ValueError("there is no group (?P<time>...)")
    if not {"%Y", "%G", "%s", "%c", "%x"} & set(re.findall(r"%.", form)):
        raise ValueError("the format has no year (%Y)")

    def read(found: re.Match[bytes], _: dt.datetime) -> dt.datetime:
        return _placed(dt.datetime.strptime(found["time"].decode("ascii"), form), stored)  # noqa: DTZ007 - placed here

    return _remembering(compiled, read)


def _placed(moment: dt.datetime, stored: ZoneInfo | None) -> dt.datetime:
    """Return an aware moment; ValueError for one without an offset where no zone was declared."""
    if moment.tzinfo is not None:
        return moment
    if stored is None:
        raise ValueError("nobody said in which zone this log is written")
    return moment.replace(tzinfo=stored)


FORMATS: Mapping[str, Callable[[ZoneInfo | None], Clock]] = MappingProxyType(
    {"common": _common, "iso": _iso, "syslog": _syslog, "epoch": _epoch}
)
"""The formats that have a name. Each is made with the zone of moments that state no offset."""
