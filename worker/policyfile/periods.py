"""Periods in the policy file: written out in ISO 8601, or by the name of a standard period that the file defines once."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Mapping, Sequence

from worker.core.model import StandardPeriod
from worker.core.periods import FiscalYear, Period
from worker.policyfile.document import Complaints, nearest, shortened
from worker.policyfile.positions import Path

INDEFINITE = "indefinite"
"""What `keep` says where there is no period."""
NAME = r"^[a-z][a-z0-9_-]{0,62}$"
"""The form of a name; no period has it, since those are written in capitals."""

Written = Period | str
"""A period as a file gives it: itself, or the name of a standard one."""


def written(value: object) -> Written:
    """Return a period, or a text that can only be the name of one; ValueError for everything else."""
    if not isinstance(value, str):
        raise ValueError("must be a period as text, such as 'P8W' or 'P2Y'")  # noqa: TRY004 - pydantic collects ValueError
    return value if re.fullmatch(NAME, value) and not _looks_like_a_period(value) else Period.parse(value)


def _looks_like_a_period(name: str) -> bool:
    """Whether a name would be a period in capitals."""
    try:
        Period.parse(name.upper())
    except ValueError:
        return False
    return True


def check_names(names: Iterable[str], complaints: Complaints) -> None:
    """Complain about names of standard periods that read like a period."""
    for name in names:
        if name == INDEFINITE or _looks_like_a_period(name):
            what = f"{shortened(name)} can't be the name of a period, because it means something by itself"
            complaints.problem(("periods", name), what, "Give it another name.")


def resolved(
    path: Path, value: Written, standards: Mapping[str, StandardPeriod], complaints: Complaints, *, also: Iterable[str] = ()
) -> Period | None:
    """Return the period that a file means at a path, or None after a complaint about a name that nothing declares.

    also -- other words that may stand there, to be proposed for a misspelt one.
    """
    if isinstance(value, Period):
        return value
    if value in standards:
        return standards[value].period
    if value not in complaints.document.names(("periods",)):
        or_so = "".join(f", or {each!r}" for each in also)
        hint = nearest(value, [*standards, *also]) or f"Write a period such as 'P8W' or 'P2Y'{or_so}, or define the name under [periods]."
        complaints.problem(path, f"there is no period {shortened(value)}", hint)
    return None


# --- Fiscal years -----------------------------------------------------------------------------------------------------------------------


def with_odd_years(regular: FiscalYear, years: Sequence[tuple[Path, dt.date, dt.date]], complaints: Complaints) -> FiscalYear:
    """Return the fiscal year with those that differed, each given by its place, first and last day; they may not overlap."""
    found: list[tuple[dt.date, dt.date]] = []
    for path, first, last in sorted(years, key=lambda each: each[1]):
        if last < first:
            complaints.problem((*path, "last"), f"{last} lies before the first day of this fiscal year, {first}")
        elif found and first <= found[-1][1]:
            complaints.problem((*path, "first"), f"{first} lies in the fiscal year from {found[-1][0]} to {found[-1][1]}")
        else:
            found.append((first, last))
    return FiscalYear(regular.month, regular.day, tuple(found))
