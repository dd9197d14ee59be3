"""The record of processing activities (GDPR 30(1)) as far as policies say it, and the matrix of deletion classes (DIN 66398).

Threat model. A register is opened in a spreadsheet, and its texts come from a file that several people write: a cell that begins like a
formula would be run there, so it is written as text.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from worker.core.model import Schedule
from worker.paper.language import Lang, Language, Title
from worker.paper.languages import language
from worker.paper.pages import Page, page
from worker.paper.rows import Row
from worker.paper.view import Section, View, view
from worker.paper.wording import length, period

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # Spreadsheets read wide signs, too.
_COLUMNS = (
    Title.PEOPLE,
    Title.PURPOSE,
    Title.BASIS,
    Title.DATA,
    Title.RECIPIENTS,
    Title.PERIOD,
    Title.START,
    Title.CONDITION,
    Title.AFTERWARDS,
    Title.CLAUSE,
    Title.VERSION,
    Title.OWNER,
)


class Format(StrEnum):
    """What a register can be written as."""

    MARKDOWN = "md"
    HTML = "html"
    CSV = "csv"


@dataclass(frozen=True, slots=True)
class Matrix:
    """Deletion classes: the periods as columns, shortest first, the start events as rows, the purposes in each cell.

    A standard period is a column of its own, so a purpose that only happens to be as long stands beside it.
    """

    periods: tuple[str, ...]
    starts: tuple[str, ...]
    cells: Mapping[tuple[str, str], tuple[str, ...]]


def register(schedule: Schedule, lang: Lang, layout: Format) -> str:
    """Return the register of a schedule: a page, or CSV (RFC 4180, lines end with CR LF) with a line per purpose."""
    words = language(lang)
    seen = view(schedule, words)
    if layout is Format.CSV:
        return _csv(seen, words)
    rows = [[(title, cell) for title, cell in _cells(section, row, words).items() if _used(title, seen)] for section, row in seen.rows]
    scope = words.titles[Title.SCOPE].format(organisation=seen.organisation)
    values = {
        "view": seen,
        "words": words,
        "title": words.titles,
        "scope": scope,
        "columns": [title for title in _COLUMNS if _used(title, seen)],
        "rows": rows,
        "matrix": matrix(seen, words),
        "declared": _declared(seen, words),
    }
    return page("register", Page(layout.value), values)


def _used(title: Title, seen: View) -> bool:
    """Whether a column of a page says anything."""
    match title:
        case Title.RECIPIENTS:
            return any(row.recipients for _, row in seen.rows)
        case Title.CLAUSE:
            return any(section.clause for section in seen.sections)
        case Title.VERSION:
            return any(section.version for section in seen.sections)
        case Title.OWNER:
            return any(section.owner for section in seen.sections)
        case _:
            return True


def _cells(section: Section, row: Row, words: Language) -> Mapping[Title, str]:
    """Return the cells of one purpose."""
    categories = f" ({', '.join(section.categories)})" if section.categories else ""
    return {
        Title.PEOPLE: f"{section.title}{categories}",
        Title.PURPOSE: row.why,
        Title.BASIS: words.articles[row.basis],
        Title.DATA: ", ".join(row.data),
        Title.RECIPIENTS: ", ".join(row.recipients),
        Title.PERIOD: " ".join((f"{_class(row.bounded, row, words)}.", *row.notes)) if row.notes else _class(row.bounded, row, words),
        Title.START: row.start,
        Title.CONDITION: row.condition,
        Title.AFTERWARDS: " ".join((*section.afterwards, section.client)).rstrip(),
        Title.CLAUSE: section.clause,
        Title.VERSION: section.version,
        Title.OWNER: section.owner,
    }


def _declared(seen: View, words: Language) -> list[list[tuple[Title, str]]]:
    """Return what no server can enforce, a row for each with its columns; without columns that say nothing."""
    rows = [
        {
            Title.WHAT: each.what,
            Title.KIND: words.titles[each.kind],
            Title.CATEGORIES: ", ".join(each.categories),
            Title.PERIOD: each.period,
            Title.EVERY: each.every,
            Title.CLAUSE: each.clause,
            Title.OWNER: each.owner,
        }
        for each in seen.declared
    ]
    return [[(title, cell) for title, cell in row.items() if any(other[title] for other in rows)] for row in rows]


def _class(said: str, row: Row, words: Language) -> str:
    """Return a period with the name of the standard period that it is."""
    if row.keep is None:
        return words.titles[Title.NO_PERIOD]
    return f"{said} ({row.standard})" if row.standard else said


# --- Deletion classes -----------------------------------------------------------------------------------------------------------------


def matrix(seen: View, words: Language) -> Matrix:
    """Return the deletion classes: which purposes share a start event and a period."""
    cells: dict[tuple[str, str], tuple[str, ...]] = {}
    periods: dict[str, float] = {}
    for section, row in seen.rows:
        start = row.start or words.titles[Title.NO_START]
        keep = _class(period(row.keep, words) if row.keep is not None else "", row, words)
        periods[keep] = length(row.keep) if row.keep is not None else float("inf")
        cells[start, keep] = (*cells.get((start, keep), ()), f"{section.title}: {row.why}")
    return Matrix(tuple(sorted(periods, key=lambda each: periods[each])), tuple(dict.fromkeys(start for start, _ in cells)), cells)


# --- CSV ------------------------------------------------------------------------------------------------------------------------------


def _csv(seen: View, words: Language) -> str:
    """Return one line per purpose, with the identifiers of policy and purpose and the period in ISO 8601 first."""
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\r\n")
    writer.writerow(("policy", "purpose", "keep", *(words.titles[each] for each in _COLUMNS)))
    for section, row in seen.rows:
        cells = (row.policy, row.purpose, str(row.keep or ""), *_cells(section, row, words).values())
        writer.writerow([_text(each) for each in cells])
    return written.getvalue()


def _text(cell: str) -> str:
    """Return a cell that no spreadsheet takes for a formula: behind an apostrophe, as its own import writes text."""
    return f"'{cell}" if cell.lstrip(" ").startswith(_FORMULA) else cell
