"""What a Mailchimp member's JSON means, and what is sent to change it."""

from __future__ import annotations

import pytest

from connectors.http import Answer
from connectors.mailchimp.audience import is_busy
from connectors.mailchimp.columns import COLUMNS, HASH, body, has, value, wanted
from worker.core.facts import UNREADABLE

MEMBER = {
    "status": "subscribed",
    "vip": False,
    "ip_opt": "",
    "merge_fields": {
        "FNAME": "Anna",
        "AGE": 7,
        "HOME": {"addr1": "Dike 1", "addr2": "", "city": "Town"},
        "WORK": {"addr1": "", "city": ""},
    },
    "location": {"latitude": 52.1},
    "tags": [{"id": 1, "name": "one"}, {"id": 2, "name": "two"}],
    "source": ["what", {"is": "this"}],
    "language": {"a": {"b": "c"}},
}


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ("status", "subscribed"),
        ("vip", False),
        ("ip_opt", None),
        ("email_client", None),
        ("merge_fields.FNAME", "Anna"),
        ("merge_fields.AGE", 7),
        ("merge_fields.HOME", "Dike 1, Town"),
        ("merge_fields.WORK", None),
        ("merge_fields.NONE", None),
        ("location.latitude", 52.1),
        ("last_note.note", None),
        ("tags", "one, two"),
    ],
)
def test_value(column: str, expected: object) -> None:
    """An empty text is no value; what has several parts becomes one text, of which nothing is left out."""
    assert expected == value(MEMBER, column)


@pytest.mark.parametrize("column", ["id", "nothing", "merge_fields.", "@unsubscribed_at"])
def test_what_is_no_column(column: str) -> None:
    """The hash of the address is no column, nor is what a member doesn't state itself."""
    with pytest.raises(KeyError):
        value(MEMBER, column)


def test_what_can_not_be_read_is_not_empty() -> None:
    """A value of a kind that nobody knows is unreadable."""
    assert UNREADABLE == value({"status": object()}, "status")


def test_what_is_asked_for() -> None:
    """Only what is declared, with what is needed to write; the hash is read and is no column."""
    assert ("contact_id", "id", "merge_fields.FNAME", "status") == wanted(["merge_fields.FNAME", "status", "@unsubscribed_at"])
    assert HASH not in COLUMNS


def test_body() -> None:
    """None becomes an empty text; nothing is sent that wasn't to be set, and never a status."""
    assert {"language": "nl", "merge_fields": {"FNAME": "", "AGE": 8}} == body(
        {"language": "nl", "merge_fields.FNAME": None, "merge_fields.AGE": 8}
    )


def test_has() -> None:
    """A number that became a text is the same value; an empty text is none."""
    assert has(MEMBER, {"merge_fields.AGE": "7", "ip_opt": None, "merge_fields.WORK": ""})
    assert not has(MEMBER, {"merge_fields.AGE": None})


@pytest.mark.parametrize(
    ("status", "said", "expected"), [(403, b"", True), (403, b"<html>", True), (403, b'"x"', True), (403, b"{}", False), (404, b"", False)]
)
def test_busy(status: int, said: bytes, expected: bool) -> None:
    """A 403 that is not Mailchimp's JSON asks for fewer requests; one that is, is a refusal."""
    assert expected == is_busy(Answer(status, {}, said))
