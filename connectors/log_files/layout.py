"""How the log files of a source are declared: which files, what a record is, and how a line says its time.

A field's column says what it is: `@time` is the latest moment that a line of the record states, `@lines` is how many lines the record has
(declare what the lines hold under this, an address for instance), and `@name` is the file's name.
"""

from __future__ import annotations

import datetime as dt
import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from zoneinfo import ZoneInfo

from connectors.log_files.lines import FORMATS, Clock, own_clock
from worker.core.facts import FieldType
from worker.core.sources import Source
from worker.errors import Problem, Problems

_OPTIONS = ("files", "unit", "time", "time_pattern", "time_format", "settled", "case_field")
_HOURS = re.compile(r"PT(\d{1,4})H")


class Unit(StrEnum):
    """What one record is."""

    DAY = "day"
    FILE = "file"


class Place(StrEnum):
    """What a column of a field stands for."""

    TIME = "@time"
    LINES = "@lines"
    NAME = "@name"


@dataclass(frozen=True, slots=True)
class Layout:
    """What was declared.

    patterns -- of file names (shell style); settled -- a file that was changed later than so long ago is still written to, and stays as it
    is; zone -- whose days the lines are sorted by; places -- by field name.
    """

    patterns: tuple[str, ...]
    unit: Unit
    clock: Clock
    settled: dt.timedelta
    zone: ZoneInfo
    places: Mapping[str, Place]

    def is_log(self, name: str) -> bool:
        """Whether a name is that of one of the files."""
        return not name.startswith(".") and any(fnmatchcase(name, pattern) for pattern in self.patterns)


def read_layout(source: Source) -> Layout:
    """Return the layout that a source declares; Problems with everything that is wrong."""
    options = source.options
    problems = [
        Problem(f"{source.name}.options", f"there is no option {name!r};", _nearest(name, _OPTIONS))
        for name in options
        if name not in _OPTIONS
    ]

    def wrong(option: str, what: str, hint: str = "") -> None:
        problems.append(Problem(f"{source.name}.options.{option}", what, hint))

    unit = Unit.DAY
    if options.get("unit", unit) not in tuple(Unit):
        wrong("unit", "is one of `day` (a day of a file) and `file` (a file as a whole).")
    else:
        unit = Unit(options.get("unit", unit))
    width = 2 if unit is Unit.DAY else 1
    if len(source.key) != width:
        named = '["file", "day"]' if width == 2 else '"file"'
        problems.append(Problem(f"{source.name}.key", f"a record of log files by {unit} has {width} key column(s).", f"Write {named}."))
    patterns = tuple(part.strip() for part in options.get("files", "").split(",") if part.strip())
    if not patterns or any("/" in pattern for pattern in patterns):
        wrong("files", "names the files, with * and ?, and no folders.", 'For instance files = "access.log*".')
    settled = _HOURS.fullmatch(options.get("settled", "PT24H"))
    if settled is None:
        wrong("settled", "is a number of hours, for instance PT24H.")
    places = {}
    for each in source.fields:
        if each.column in tuple(Place):
            places[each.name] = Place(each.column)
        else:
            hint = f"The columns are {', '.join(Place)}."
            problems.append(Problem(f"{source.name}.{each.name}", f"log files have no column {each.column!r}.", hint))
    timed = [each for each in source.fields if places.get(each.name) is Place.TIME]
    if not timed or any(each.reading.type is not FieldType.TIMESTAMP for each in timed):
        problems.append(
            Problem(
                f"{source.name}.fields",
                "log files need a field for the time of their lines, of the type timestamp.",
                'For instance logged_at = { column = "@time", type = "timestamp", timezone = "UTC" }.',
            )
        )
    stored = timed[0].reading.stored_zone if timed else None
    clock = _clock(options, stored if isinstance(stored, ZoneInfo) else None, wrong)
    if problems or settled is None or clock is None:
        raise Problems(f"{source.name}: the log files are declared wrongly", problems)
    return Layout(patterns, unit, clock, dt.timedelta(hours=int(settled[1])), timed[0].reading.zone, places)


def _clock(options: Mapping[str, str], stored: ZoneInfo | None, wrong: object) -> Clock | None:
    """Return how a line says its time; None, having said why, when that was declared wrongly."""
    assert callable(wrong)
    own = "time_pattern" in options
    if own is not ("time_format" in options) or own is ("time" in options):
        wrong("time", f"names one of {', '.join(FORMATS)}; or `time_pattern` and `time_format` stand in its place.")
        return None
    if not own:
        if options["time"] not in FORMATS:
            wrong("time", "is no format of log files;", _nearest(options["time"], tuple(FORMATS)))
            return None
        return FORMATS[options["time"]](stored)
    try:
        return own_clock(options["time_pattern"], options["time_format"], stored)
    except (ValueError, re.error) as error:
        wrong("time_pattern", f"can't be used: {error}.", "It needs a group (?P<time>...), which `time_format` reads as strptime does.")
        return None


def _nearest(name: str, known: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}."
