"""Small files that really open: PDF, DOCX and plain text, byte for byte the same for the same lines.

python-docx takes a hundred times as long as filling in a template, so it makes one document, and each letter is that
document with its two placeholders replaced. Entries of the archive carry one fixed date.
"""

from __future__ import annotations

import io
import zipfile
from datetime import UTC, datetime
from functools import cache
from html import escape

from docx import Document
from reportlab.pdfgen.canvas import Canvas  # type: ignore[import-untyped]

_TITLE, _BODY = "TITLE-GOES-HERE", "BODY-GOES-HERE"
_WRITTEN = datetime(2020, 1, 1, 12, tzinfo=UTC)


def pdf(title: str, lines: tuple[str, ...]) -> bytes:
    """Return a PDF of one page; letters its standard font lacks become question marks."""
    buffer = io.BytesIO()
    canvas = Canvas(buffer, invariant=1)
    canvas.setTitle(_latin(title))
    canvas.setAuthor("")
    text = canvas.beginText(60, 780)
    for line in (title, "", *lines):
        text.textLine(_latin(line))
    canvas.drawText(text)
    canvas.showPage()
    canvas.save()
    return buffer.getvalue()


def docx(title: str, body: str) -> bytes:
    """Return a DOCX with a heading and one paragraph."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in _template():
            filled = content
            if name == "word/document.xml":
                text = content.decode("utf-8").replace(_TITLE, escape(title)).replace(_BODY, escape(body))
                filled = text.encode("utf-8")
            archive.writestr(zipfile.ZipInfo(name, (2020, 1, 1, 12, 0, 0)), filled, zipfile.ZIP_DEFLATED, 1)
    return buffer.getvalue()


def txt(*lines: str) -> bytes:
    """Return the lines as UTF-8."""
    return ("\n".join(lines) + "\n").encode("utf-8")


@cache
def _template() -> tuple[tuple[str, bytes], ...]:
    document = Document()
    document.add_heading(_TITLE, level=1)
    document.add_paragraph(_BODY)
    properties = document.core_properties
    properties.author = properties.last_modified_by = ""
    properties.created = properties.modified = properties.last_printed = _WRITTEN
    properties.revision = 1
    buffer = io.BytesIO()
    document.save(buffer)
    with zipfile.ZipFile(buffer) as archive:
        return tuple((name, archive.read(name)) for name in archive.namelist())


def _latin(text: str) -> str:
    return text.encode("cp1252", "replace").decode("cp1252")
