"""Markdown and HTML from one template each; whatever a policy file says is text there, never markup."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from typing import Any

import jinja2

PAPER = "worker.paper"
_MARKUP = re.compile(r"([\\`*_\[\]<>|])")


class Page(StrEnum):
    """The layouts that have a template."""

    MARKDOWN = "md"
    HTML = "html"


def page(name: str, layout: Page, values: Mapping[str, Any], package: str = PAPER) -> str:
    """Return a page: the template `name` in a layout, filled in; templates of another package may build on the frame of the papers."""
    return _environment(layout, package).get_template(f"{name}.{layout.value}.j2").render(values).rstrip() + "\n"


@cache
def _environment(layout: Page, package: str) -> jinja2.Environment:
    """Return how the templates of a layout are read: a missing value is an error, and every value is escaped."""
    return jinja2.Environment(
        loader=jinja2.ChoiceLoader([jinja2.PackageLoader(each) for each in dict.fromkeys((package, PAPER))]),
        autoescape=layout is Page.HTML,  # noqa: S701 - Markdown has an escaping of its own
        finalize=_plain if layout is Page.MARKDOWN else None,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _plain(value: object) -> str:
    """Return a value as text on one line that Markdown takes for nothing else."""
    return _MARKUP.sub(r"\\\1", " ".join(str(value).split()))
