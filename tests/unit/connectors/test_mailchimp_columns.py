"""What a Mailchimp member's JSON means, and what is sent to change it."""

from __future__ import annotations

import pytest

from connectors.http import Answer
from connectors.mailchimp.audience import is_busy
from connectors.mailchimp.columns import COLUMNS, HASH, body, ended, has, value, wanted
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
    "email_client": "",
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


@pytest.mark.parametrize("column", ["timestamp_opt", "language", "email_address", "merge_fields.FNAME", "location.region", "tags"])
def test_what_is_left_out_is_not_empty(column: str) -> None:
    """What Mailchimp tells of every member, and under that name no more, is unreadable: empty it could make something due."""
    assert UNREADABLE == value({"status": "subscribed"}, column)


@pytest.mark.parametrize(
    ("said", "column"),
    [
        ({"merge_fields": {"VOORNAAM": "Anna"}}, "merge_fields.FNAME"),
        ({"merge_fields": {}}, "merge_fields.FNAME"),
        ({"merge_fields": None}, "merge_fields.FNAME"),
        ({"merge_fields": "Anna"}, "merge_fields.FNAME"),
        ({"location": {"lat": 52.1}}, "location.latitude"),
        ({"last_note": {"text": "called"}}, "last_note.note"),
        ({"last_note": "called"}, "last_note.note"),
        ({"tags": [{"name": "one"}, {"label": "two"}]}, "tags"),
        ({"tags": ["one"]}, "tags"),
    ],
)
def test_a_part_that_is_left_out_is_not_empty(said: dict[str, object], column: str) -> None:
    """A merge field, or a part of what has parts, that Mailchimp tells under another name is unreadable as well."""
    assert UNREADABLE == value(said, column)


@pytest.mark.parametrize(
    ("opted", "left", "expected"),
    [
        ("2021-01-10T12:00:00+00:00", "2024-03-01T12:00:00+00:00", "2024-03-01T12:00:00+00:00"),
        ("2021-01-10T12:00:00+00:00", "2019-03-01T12:00:00+00:00", None),
        ("2021-01-10T12:00:00+00:00", "2021-01-10T13:00:00+02:00", None),
        ("2021-01-10T12:00:00+00:00", None, None),
        ("", "2019-03-01T12:00:00+00:00", "2019-03-01T12:00:00+00:00"),
        ("2021-01-10T12:00:00", "2019-03-01T12:00:00+00:00", UNREADABLE),
        ("yesterday", "2019-03-01T12:00:00+00:00", UNREADABLE),
        ("2021-01-10T12:00:00+00:00", "?", UNREADABLE),
    ],
)
def test_an_earlier_subscription_is_another(opted: str, left: str | None, expected: object) -> None:
    """Who opted in after unsubscribing has ended that subscription, and not the one that ended since: it isn't due by it."""
    assert expected == ended({"timestamp_signup": "", "timestamp_opt": opted}, left)
    assert (UNREADABLE if left else None) == ended({"timestamp_signup": ""}, left)


def test_what_can_not_be_read_is_not_empty() -> None:
    """A value of a kind that nobody knows is unreadable."""
    assert UNREADABLE == value({"status": object()}, "status")


def test_what_is_asked_for() -> None:
    """Only what is declared, with what is needed to write; the hash is read and is no column."""
    assert ("contact_id", "id", "merge_fields.FNAME", "status") == wanted(["merge_fields.FNAME", "status"])
    assert ("contact_id", "id", "status", "timestamp_opt", "timestamp_signup") == wanted(["@unsubscribed_at"])
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
