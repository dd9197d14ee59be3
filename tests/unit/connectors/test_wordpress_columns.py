"""What a comment's JSON means."""

from __future__ import annotations

import pytest

from connectors.wordpress.columns import value
from worker.core.facts import UNREADABLE

COMMENT = {"id": 7, "author_name": "", "content": {"raw": "Hello", "rendered": "<p>Hello</p>"}, "meta": {"phone": "31612345678"}}


@pytest.mark.parametrize(
    ("column", "expected"), [("id", 7), ("author_name", None), ("content", "Hello"), ("meta.phone", "31612345678"), ("meta", UNREADABLE)]
)
def test_value(column: str, expected: object) -> None:
    """An empty text is no value; the content is as it was written."""
    assert expected == value(COMMENT, column)


@pytest.mark.parametrize("column", ["author_email", "date_gmt", "meta.mail"])
def test_what_is_left_out_is_not_empty(column: str) -> None:
    """A column, or comment meta, that the site tells no more, under that name, is unreadable: empty it could make something due."""
    assert UNREADABLE == value(COMMENT, column)
    assert UNREADABLE == value({"id": 7, "content": {"rendered": "<p>Hello</p>"}}, column)


def test_a_content_that_is_only_shown_is_not_empty() -> None:
    """Where a plug-in leaves out the text as it was written, the content is there and can't be read."""
    assert UNREADABLE == value({"id": 7, "content": {"rendered": "<p>Hello</p>"}}, "content")
