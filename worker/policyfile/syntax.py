"""What to say about a text that is no TOML: where, what the grammar says, and what whoever wrote it most likely has to change.

The grammar's own words are for programmers ("invalid value"); behind most of them are a few slips of the pen.
"""

from __future__ import annotations

import re

_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_TYPOGRAPHIC = re.compile("[\u201c\u201d\u201e\u2018\u2019\u00ab\u00bb]")
_DAY = re.compile(r"=\s*\d{1,4}[-./]\d{1,2}[-./]\d{1,4}")
_IN_FULL = re.compile(r"=\s*\d{4}-\d\d-\d\d")
_HINTS = (
    ("Cannot overwrite a value", "This name stands there already; keep one of the two."),
    ("Duplicate inline table key", "This name stands there already; keep one of the two."),
    ("Cannot declare", "This header stands there already; put its lines under one of the two."),
    ("Invalid value", 'Put texts in straight quotation marks: "...".'),
    ("Unclosed array", "A comma between two values, or the closing ], is missing."),
    ("Unclosed inline table", "A comma between two values, or the closing }, is missing."),
    ("Invalid date or datetime", "There is no such day."),
    ("Expected '=' after a key", "A line is a [header] or name = value; a name with a blank in it stands in quotation marks."),
    ("Invalid statement", "A line is a [header] or name = value."),
    ("Illegal character '\\n'", "A text ends on its own line, with the quotation mark with which it began."),
    ("Unterminated string", "A text ends with the quotation mark with which it began."),
    ('Expected "\'"', "A text ends with the quotation mark with which it began."),
    ("Expected newline or end of document", "Something is left over behind the value, or quotation marks are missing around it."),
)


def syntax_error(message: str, text: str, name: str) -> str:
    """Return what `tomllib` says about a text in the form file, line, column, what, with what to do where that is known."""
    place = _PLACE.search(message)
    what = message[: place.start()] if place else message
    lines = text.split("\n")
    if place is None or place[1] is None:
        line, column = len(lines), len(lines[-1]) + 1
    else:
        line, column = int(place[1]), int(place[2])
    said = f"{name}: line {line}, column {column}: not valid TOML: {what[:1].lower()}{what[1:]}"
    hint = _hint(what, lines[line - 1])
    return f"{said}. {hint}" if hint else said


def _hint(what: str, line: str) -> str:
    """Return what probably has to be changed in a line, an empty text when nobody can tell."""
    code = line.partition("#")[0]
    if _TYPOGRAPHIC.search(code) and '"' not in code:
        return 'Write straight quotation marks (") instead of the typographic ones.'
    if _DAY.search(code) and not _IN_FULL.search(code):
        return "A day is written year-month-day, such as 2026-01-31."
    return next((hint for begins, hint in _HINTS if what.startswith(begins)), "")
