"""Days that people know and no system has a column for, end to end."""

from __future__ import annotations

import datetime as dt

import pytest

from tests.acceptance.conftest import NOON, PEOPLE, Firm, make_firm

DAY = dt.timedelta(days=1)


@pytest.fixture
def marked(tmp_path_factory: pytest.TempPathFactory) -> Firm:
    """Return a firm whose contacts are kept until two years after somebody says that the relation has ended."""
    firm = make_firm(tmp_path_factory.mktemp("firm"))
    firm.rewrite(
        "[sources.contacts.children.notes]",
        '[sources.contacts.facts]\nended = { mark = "relation-ended", none = "not_yet" }\n[sources.contacts.children.notes]',
    )
    firm.rewrite('start = "last_contact_at"', 'start = { latest_of = ["last_contact_at", "ended"] }')
    return firm


def test_from_the_mark_to_the_deleted_record(marked: Firm) -> None:
    """Without the mark nothing of the source is due; with it the one record is, the day after its period, and then it is gone."""
    assert 0 == marked("plan", "--json").json["sources"]["contacts"]["due"]
    said = marked("mark", "set", "contacts", "7", "relation-ended", "--on", "2024-06-29")
    assert 0 == said.code, said.err
    assert 0 == marked("plan", "--json", now=NOON - DAY).json["sources"]["contacts"]["due"]
    assert 1 == marked("plan", "--json").json["sources"]["contacts"]["due"]
    assert "ended: 2024-06-29" in marked("explain", "contacts", "7", "--json").out
    # The others wait for their mark longer than their period, and nobody looked at them in time: findings.
    assert 4 == marked("apply", marked.approved()).code
    assert {"waiting", "overdue"} == {each["kind"] for each in marked("findings", "list", "--json").json}
    assert PEOPLE - 1 == len(marked.contacts())
    assert 7 not in marked.contacts()


def test_a_mark_that_came_after_the_plan_is_honoured(marked: Firm) -> None:
    """Apply works with the marks of the moment: what was taken back or moved since is left and reported."""
    for key in ("7", "8"):
        marked("mark", "set", "contacts", key, "relation-ended", "--on", "2020-01-01")
    plan = marked.approved()
    assert 0 == marked("mark", "set", "contacts", "7", "relation-ended", "--on", "2026-01-01").code
    assert 0 == marked("mark", "remove", "contacts", "-", "relation-ended", typed="8\n").code
    said = marked("apply", plan, "--json")
    assert 2 == said.json["sources"]["contacts"]["skipped_changed"]
    assert PEOPLE == len(marked.contacts())


def test_a_key_that_is_given_again_has_no_marks(marked: Firm) -> None:
    """What was said about a record that is deleted goes with it: the next one with its key waits for a mark of its own."""
    marked("mark", "set", "contacts", "7", "relation-ended", "--on", "2020-01-01")
    (row,) = marked.sql("SELECT * FROM contacts WHERE id = 7")
    assert 4 == marked("apply", marked.approved()).code
    assert 7 not in marked.contacts()
    marked.sql(f"INSERT INTO contacts VALUES ({', '.join('?' * len(row))})", *row)
    later = NOON + DAY
    assert 0 == marked("plan", "--json", now=later).json["sources"]["contacts"]["due"]
    assert "ended: 2020-01-01" not in marked("explain", "contacts", "7", now=later).out
    assert 0 == marked("mark", "set", "contacts", "7", "relation-ended", "--on", "2020-01-02", now=later).code
    assert 1 == marked("plan", "--json", now=later).json["sources"]["contacts"]["due"]


def test_who_said_what_is_in_the_trail_without_the_key(marked: Firm) -> None:
    """Setting and removing are events with the record's reference; lists and events hold no key."""
    marked("mark", "set", "contacts", "7", "relation-ended", "--on", "2024-06-29")
    listed = marked("mark", "list", "contacts", "--json").json
    marked("mark", "remove", "contacts", "7", "relation-ended")
    (placed,), (removed,) = marked.events("retention.mark_set"), marked.events("retention.mark_removed")
    assert ("tester", "2024-06-29", "relation-ended") == (placed["retention.by"], placed["retention.on"], placed["retention.mark"])
    assert placed["retention.record"] == removed["retention.record"]
    assert [("contacts", "relation-ended", "2024-06-29")] == [(each["source"], each["mark"], each["on"]) for each in listed]
    assert [] == marked("mark", "list", "--json").json


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("set", "contacts", "7", "relation-endet", "--on", "2024-06-29"), "Did you mean 'relation-ended'?"),
        (("set", "contacts", "999", "relation-ended", "--on", "2024-06-29"), "no record with that key"),
        (("set", "contacts", "7", "relation-ended", "--on", "2027-06-29"), "lies ahead"),
        (("set", "members", "1", "relation-ended", "--on", "2024-06-29"), "declares none"),
        (("remove", "contacts", "7", "relation-ended"), "has no mark"),
    ],
)
def test_what_would_mark_nothing_is_refused(marked: Firm, args: tuple[str, ...], said: str) -> None:
    """A mistyped mark, key or day is told at once, and nothing is marked."""
    told = marked("mark", *args)
    assert 2 == told.code
    assert said in told.err
    assert [] == marked("mark", "list", "--json").json
