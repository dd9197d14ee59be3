"""Where the facts of a dossier stand: in its sidecar, in a shared index, in its name, or in the date of its files.

A field's column says where its value comes from: `@name` is the folder's name, `@path` the same behind the declared `prefix`, `@modified`
the latest change of any file in it, the name of a group in `name_pattern` is that part of the folder's name, and anything else is a column
of the index or a key of the sidecar (`applicant.email` is the key `email` in the table `applicant`).

A dossier is a folder, or with `unit = "file"` a single file: what other programs put down under a name that stands in a table of theirs.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from worker.core.sources import Source
from worker.errors import Problem, Problems

NAME = "@name"
PATH = "@path"
MODIFIED = "@modified"
KEPT = "kept.json"
"""In that folder: the shared files that stay because a dossier that may name them can't be read."""

_DEFAULT_SIDECARS = "application.json,application.toml"
# The last one is the worker's: by which field a hold on a case finds its dossiers.
_OPTIONS = ("sidecar", "index", "index_key", "index_delimiter", "name_pattern", "shared", "unit", "prefix", "case_field")


class Unit(StrEnum):
    """What one record is."""

    FOLDER = "folder"
    FILE = "file"


@dataclass(frozen=True, slots=True)
class Stated:
    """A value that the sidecar or the index states; `path` are the keys that lead to it."""

    path: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NamePart:
    """A part of the folder's name."""

    group: str


@dataclass(frozen=True, slots=True)
class WholeName:
    """The folder's name, with what other programs write before it."""

    prefix: str = ""


@dataclass(frozen=True, slots=True)
class LastModified:
    """The latest change of any file in the dossier, an aware moment in UTC."""


Place = Stated | NamePart | WholeName | LastModified


@dataclass(frozen=True, slots=True)
class Layout:
    """How dossiers are laid out.

    sidecars -- file names tried in order, none when an index or nothing states facts; index -- name of the shared CSV file in the root,
    with the column that names the dossier; shared -- the folder below the root whose files several dossiers use; unit -- what a dossier is;
    places -- by field name.
    """

    sidecars: tuple[str, ...]
    index: str | None
    index_key: str
    delimiter: str
    pattern: re.Pattern[str] | None
    shared: str | None
    unit: Unit = Unit.FOLDER
    places: Mapping[str, Place] = field(default_factory=dict)

    @property
    def documented(self) -> bool:
        """Whether a sidecar or an index has to be read."""
        return bool(self.sidecars) or self.index is not None

    @property
    def dated(self) -> bool:
        """Whether the files' dates have to be read."""
        return any(isinstance(place, LastModified) for place in self.places.values())

    def is_dossier(self, name: str, *, is_folder: bool, is_link: bool) -> bool:
        """Whether an entry of the root is a dossier; a link stands for itself, whatever it leads to."""
        right = is_link or is_folder is (self.unit is Unit.FOLDER)
        return right and not name.startswith(".") and name not in self.other_folders and name != self.index

    @property
    def other_folders(self) -> frozenset[str]:
        """The names in the root that are no dossiers."""
        return frozenset({self.shared}) if self.shared else frozenset()


def read_layout(source: Source) -> Layout:
    """Return the layout that a source declares; Problems with everything that is wrong in its options."""
    options = source.options
    problems = [
        Problem(f"{source.name}.options", f"there is no option {name!r};", _nearest(name)) for name in options if name not in _OPTIONS
    ]

    def wrong(option: str, what: str, hint: str = "") -> None:
        problems.append(Problem(f"{source.name}.options.{option}", what, hint))

    if len(source.key) != 1:
        problems.append(
            Problem(f"{source.name}.key", "application files have one key, the name of the dossier's folder.", "Name one column.")
        )
    pattern = None
    if "name_pattern" in options:
        try:
            pattern = re.compile(options["name_pattern"])
        except re.error as error:
            wrong("name_pattern", f"is no regular expression: {error}.")
    for option in ("index", "sidecar"):
        for name in (part.strip() for part in options.get(option, "x").split(",")):
            if not _is_plain(name):
                wrong(option, "must be names of files, without folders and not starting with a dot.")
    if "index" in options and "sidecar" in options:
        wrong("index", "stands beside `sidecar`.", "Declare where the facts are: in one index, or in a sidecar for each dossier.")
    if ("index" in options) is not ("index_key" in options):
        wrong("index_key", "belongs with `index`: the column that holds the name of the dossier's folder.", "Declare both, or neither.")
    delimiter = options.get("index_delimiter", ",")
    if len(delimiter) != 1 or delimiter in '"\r\n':
        wrong("index_delimiter", "must be one character that is not a quotation mark.")
    shared = options["shared"].removeprefix("../").rstrip("/") if "shared" in options else None
    if shared is not None and not _is_plain(shared):
        wrong("shared", "must be a folder beside the dossiers.", 'Write it as the sidecars do, for instance "../shared".')
    if shared is not None and "index" in options:
        wrong("shared", "goes with sidecars, which name the shared files under `attachments`; an index has none.")
    unit = options.get("unit", Unit.FOLDER)
    if unit not in tuple(Unit):
        wrong("unit", "is one of `folder` (a dossier is a folder) and `file` (a dossier is a single file).")
    if unit == Unit.FILE and ("sidecar" in options or "shared" in options):
        wrong(
            "unit", "is `file`, and a file holds neither a sidecar nor names of others.", "Declare an `index`, or only @name and @modified."
        )
    places = {each.name: _place(each.column, pattern, options) for each in source.fields}
    for each in source.fields if unit == Unit.FILE and "index" not in options else ():
        if isinstance(places[each.name], Stated):
            hint = "Its column is @name, @path, @modified, or a part of the name."
            problems.append(
                Problem(f"{source.name}.{each.name}", "nothing states it: a dossier that is a single file has no sidecar.", hint)
            )
    if problems:
        raise Problems(f"{source.name}: the options of the application files are wrong", problems)
    stated = any(isinstance(place, Stated) for place in places.values())
    wanted = options.get("sidecar", _DEFAULT_SIDECARS if stated and "index" not in options else "")
    sidecars = tuple(part.strip() for part in wanted.split(",") if part.strip())
    return Layout(sidecars, options.get("index"), options.get("index_key", ""), delimiter, pattern, shared, Unit(unit), places)


def _place(column: str, pattern: re.Pattern[str] | None, options: Mapping[str, str]) -> Place:
    """Return where a column's values come from."""
    if column == NAME:
        return WholeName()
    if column == PATH:
        return WholeName(options.get("prefix", ""))
    if column == MODIFIED:
        return LastModified()
    if pattern is not None and column in pattern.groupindex:
        return NamePart(column)
    return Stated((column,)) if "index" in options else Stated(tuple(column.split(".")))


def _is_plain(name: str) -> bool:
    """Whether a text can be the name of a visible entry of a folder."""
    return bool(name) and "/" not in name and "\0" not in name and not name.startswith(".")


def _nearest(name: str) -> str:
    """Return a hint with the option that was probably meant."""
    near = difflib.get_close_matches(name, _OPTIONS, n=1)
    return f"did you mean {near[0]!r}?" if near else f"the options are {', '.join(_OPTIONS)}."
