"""Build the demonstration office: four systems of an invented firm, with every awkward case, the same every time.

The build only ever clears a folder that it filled itself: such a folder carries a mark, and any other folder that isn't
empty is refused.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from demo import application_cases, applications, comments, crm, crm_cases, mailing_list
from demo.cases import Case, Part
from demo.people import seeded

AS_OF = date(2026, 6, 30)
_MARK = "DEMONSTRATION-OFFICE"
_ABOUT_MARK = "Everything in this folder is invented. It may be built again at any moment, and is emptied then.\n"
# What a build writes, with the two files that SQLite keeps beside a database in use; nothing else is ever removed.
_DATABASES = ("crm.sqlite", "mailing_list.sqlite", "comments.sqlite")


@dataclass(frozen=True, slots=True)
class Office:
    """The finished office.

    as_of -- the local day its records are arranged around; applications -- the folder with the dossiers;
    cases -- every awkward case by name; canaries -- every personal value in the sources, none of which may ever
    turn up in a log, a plan, a ledger or a message.
    """

    folder: Path
    as_of: date
    cases: Mapping[str, Case]
    canaries: frozenset[str]

    @property
    def crm_url(self) -> str:
        """Return the SQLAlchemy address of the CRM."""
        return self._url("crm.sqlite")

    @property
    def mailing_list_url(self) -> str:
        """Return the SQLAlchemy address of the mailing list."""
        return self._url("mailing_list.sqlite")

    @property
    def comments_url(self) -> str:
        """Return the SQLAlchemy address of the website's comments."""
        return self._url("comments.sqlite")

    @property
    def applications(self) -> Path:
        """Return the folder that holds one folder per applicant, and `shared` with files of several."""
        return self.folder / "applications"

    def _url(self, name: str) -> str:
        return f"sqlite:///{self.folder / name}"


def build(folder: Path, *, as_of: date = AS_OF, scale: int = 1) -> Office:
    """Write the office into `folder` and return it; an office that stands there is replaced.

    as_of -- the local day the records lie around; the words in `Case.expected` are written for the default one.
    scale -- how many times the ordinary number of records; the awkward cases keep their keys at every scale.
    Raises FileExistsError when the folder holds anything but an earlier office, ValueError when scale is below 1.
    """
    if scale < 1:
        raise ValueError(f"scale is {scale}; it must be 1 or more")
    folder = folder.resolve()
    _clear(folder)
    parts = (
        _crm(folder / "crm.sqlite", as_of, scale),
        mailing_list.write(folder / "mailing_list.sqlite", as_of, scale),
        comments.write(folder / "comments.sqlite", as_of, scale),
        _applications(folder / "applications", as_of, scale),
    )
    cases = {name: case for part in parts for name, case in part.cases.items()}
    if len(cases) != sum(len(part.cases) for part in parts):
        raise ValueError("two awkward cases have the same name")
    canaries = frozenset[str]().union(*(part.canaries for part in parts))
    return Office(folder, as_of, cases, frozenset(value for value in canaries if value.strip()))


def _crm(path: Path, as_of: date, scale: int) -> Part:
    rows = crm.Crm(seeded("awkward contacts"))
    cases = crm_cases.add(rows, as_of)
    crm.fill(rows, as_of, scale)
    rows.write(path)
    return Part(cases, frozenset(rows.canaries))


def _applications(root: Path, as_of: date, scale: int) -> Part:
    root.mkdir()
    cabinet = applications.Cabinet(root)
    cases = application_cases.add(cabinet, as_of)
    applications.fill(cabinet, as_of, scale)
    return Part(cases, frozenset(cabinet.canaries))


def _clear(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    mark = folder / _MARK
    if not mark.exists() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} is not empty and holds no demonstration office; choose another folder")
    mark.write_text(_ABOUT_MARK, encoding="utf-8")
    for name in _DATABASES:
        for suffix in ("", "-wal", "-shm", "-journal"):
            (folder / f"{name}{suffix}").unlink(missing_ok=True)
    applications_folder = folder / "applications"
    if applications_folder.exists():
        shutil.rmtree(applications_folder)
