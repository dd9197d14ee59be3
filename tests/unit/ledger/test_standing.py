"""Holds, requests, marks, and the version that tells a batch to read them again."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest

from tests.unit.ledger.conftest import START, Clock, Rows
from worker.errors import ConfigurationError
from worker.ledger import HoldScope, Ledger, MarkRow


def test_a_hold_is_in_force_until_it_is_released(ledger: Ledger, rows: Rows, clock: Clock) -> None:
    """A hold comes back as it was placed; after its release it is still known, but not active."""
    hold = rows.hold()
    ledger.add_hold(hold)
    assert [hold] == ledger.holds(active=True)

    clock.forward(days=200)
    assert [hold] == ledger.holds()
    ledger.release_hold("hold-1", "officer")

    assert [] == ledger.holds()
    assert [replace(hold, released_at=clock.instant, released_by="officer")] == ledger.holds(active=False)
    with pytest.raises(ConfigurationError, match="hold-1"):
        ledger.release_hold("hold-1", "officer")


@pytest.mark.parametrize(
    ("scope", "missing"),
    [
        ("record", "source"),
        ("subject", "token and key_id"),
        ("case", "case"),
        ("category", "category"),
        ("source", "source"),
        ("nothing", "scope nothing"),
    ],
)
def test_a_hold_that_would_match_nothing_is_refused(rows: Rows, scope: HoldScope, missing: str) -> None:
    """A hold is never placed without what its scope is recognised by."""
    hold = rows.hold() if scope != "subject" else replace(rows.hold(), scope="case", case="c")

    with pytest.raises(ConfigurationError, match=missing):
        replace(hold, scope=scope, **({"token": None, "key_id": None} if scope == "subject" else {}))


def test_a_request_is_open_until_it_is_closed(ledger: Ledger, rows: Rows, clock: Clock) -> None:
    """A request comes back as it was received, and its outcome is kept."""
    request = rows.request()
    ledger.add_request(request)
    assert [request] == ledger.requests(active=True)

    ledger.close_request("request-1", "erased, invoices kept until 2033", "officer")

    assert [] == ledger.requests()
    closed = replace(request, closed_at=clock.instant, closed_by="officer", outcome="erased, invoices kept until 2033")
    assert [closed] == ledger.requests(active=False)
    with pytest.raises(ConfigurationError, match="request-1"):
        ledger.close_request("request-1", "again", "officer")


def test_an_objection_is_upheld_once(ledger: Ledger, rows: Rows, clock: Clock) -> None:
    """An open objection waits for one decision; it stays open, and keeps who decided. Nothing else waits for one, nor a closed one."""
    objection = replace(rows.request(), kind="object")
    others = (rows.request(), replace(objection, marketing=True))
    for number, each in enumerate((objection, *others)):
        ledger.add_request(replace(each, request_id=f"r{number}"))
    version = ledger.standing_version()
    ledger.uphold_request("r0", "officer")

    assert {("r0", clock.instant, "officer"), ("r1", None, None), ("r2", None, None)} == {
        (each.request_id, each.upheld_at, each.upheld_by) for each in ledger.requests(active=True)
    }
    for refused in ("r0", "r1", "r2", "r3"):
        with pytest.raises(ConfigurationError, match=f"No request {refused} waits for a decision"):
            ledger.uphold_request(refused, "officer")
    assert version + 1 == ledger.standing_version()
    ledger.close_request("r0", "taken down", "officer")
    assert ["officer"] == [each.upheld_by for each in ledger.requests(active=False) if each.request_id == "r0"]


def test_every_change_makes_the_version_grow(ledger: Ledger, rows: Rows) -> None:
    """A batch that sees the same version need not read holds, requests and marks again; a refused change is none."""
    versions = [ledger.standing_version()]
    ledger.add_hold(rows.hold())
    versions.append(ledger.standing_version())
    ledger.release_hold("hold-1", "officer")
    versions.append(ledger.standing_version())
    ledger.add_request(rows.request())
    versions.append(ledger.standing_version())
    ledger.close_request("request-1", "done", "officer")
    versions.append(ledger.standing_version())
    ledger.set_mark("crm", "token", "left_on", dt.date(2026, 1, 31), "clerk")
    versions.append(ledger.standing_version())
    with pytest.raises(ConfigurationError):
        ledger.release_hold("hold-9", "officer")
    versions.append(ledger.standing_version())

    assert [0, 1, 2, 3, 4, 5, 5] == versions


def test_all_that_stands_is_read_at_once(ledger: Ledger, rows: Rows) -> None:
    """A batch learns the version, every hold, released ones too, as they move deadlines, and the requests that are still open."""
    assert (0, [], []) == ledger.all_standing()
    for number in (1, 2):
        ledger.add_hold(rows.hold(f"hold-{number}"))
        ledger.add_request(rows.request(f"request-{number}"))
    ledger.release_hold("hold-1", "officer")
    ledger.close_request("request-1", "done", "officer")
    version, holds, requests = ledger.all_standing()
    assert (6, ["hold-1", "hold-2"]) == (version, [each.hold_id for each in holds])
    assert (ledger.holds(active=False), ledger.requests(active=True)) == (holds, requests)
    assert ["request-2"] == [each.request_id for each in requests]


def test_a_later_mark_replaces_an_earlier_one(ledger: Ledger) -> None:
    """A person corrects a day by typing it again; other names, records and sources are apart."""
    ledger.set_mark("crm", "t1", "left_on", dt.date(2026, 1, 31), "clerk")
    ledger.set_mark("crm", "t1", "left_on", dt.date(2026, 2, 28), "chief")
    ledger.set_mark("crm", "t1", "born_on", dt.date(1990, 2, 28), "clerk")
    ledger.set_mark("list", "t1", "left_on", dt.date(2026, 1, 31), "clerk")

    assert [
        MarkRow("crm", "t1", "born_on", dt.date(1990, 2, 28), "clerk", START),
        MarkRow("crm", "t1", "left_on", dt.date(2026, 2, 28), "chief", START),
    ] == ledger.marks("crm")


def test_a_mark_is_taken_back_once(ledger: Ledger) -> None:
    """Only what is there can be removed, and only that makes the version grow; the marks of all sources can be read at once."""
    ledger.set_mark("crm", "t1", "left_on", dt.date(2026, 1, 31), "clerk")
    ledger.set_mark("list", "t1", "left_on", dt.date(2026, 1, 31), "clerk")
    assert ["crm", "list"] == [each.source for each in ledger.marks()]

    assert ledger.remove_mark("crm", "t1", "left_on")
    assert not ledger.remove_mark("crm", "t1", "left_on")

    assert [] == ledger.marks("crm")
    assert ["list"] == [each.source for each in ledger.marks()]
    assert 3 == ledger.standing_version()
