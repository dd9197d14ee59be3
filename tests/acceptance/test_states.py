"""Periods that run from the end of a state, night by night."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from tests.acceptance.conftest import NOON, Firm

DAY = dt.timedelta(days=1)
OLD = """[[policies.purposes]]
id = "newsletter"
basis = "consent"
consent = "newsletter"
marketing = true
fields = ["email"]
when = { status = "subscribed" }
keep = "indefinite"
[[policies.purposes]]
id = "unsubscribed"
basis = "consent"
consent = "newsletter"
fields = ["email"]
when = { status = { ne = "subscribed" } }
start = "unsubscribed_at"
keep = "P0D"
"""
NEW = """[[policies.purposes]]
id = "newsletter"
basis = "contract"
fields = ["email"]
start = { while = { status = "subscribed" }, settling = "P2D" }
keep = "P1D"
"""


@pytest.fixture
def club(firm: Firm) -> Firm:
    """Return a firm of ten members, of whom the first two have left; the contacts that were due are gone, and every policy is approved."""
    firm.rewrite(OLD, NEW)
    firm("approve", firm.plan(now=NOON - DAY), now=NOON - DAY)
    assert 0 == firm("run", "--source", "contacts", now=NOON - DAY).code
    return firm


def members(firm: Firm) -> list[int]:
    """Return the keys of the members."""
    return [key for (key,) in firm.sql("SELECT id FROM members ORDER BY id")]


def seen(firm: Firm) -> list[tuple[Any, ...]]:
    """Return (ended, new, dropped) of every night on which members were looked at."""
    events = [each for each in firm.events("retention.states_observed") if each["retention.source"] == "members"]
    return [tuple(each[f"retention.{name}"] for name in ("count", "new", "dropped")) for each in events]


def test_night_by_night(club: Firm) -> None:
    """Counted from the night it was first seen, not due before it has settled, and from anew when the state came back in between."""
    for _ in range(2):
        assert 0 == club("plan", now=NOON - DAY).code
    assert [] == seen(club)
    nights = []
    for night in range(6):
        if night == 1:
            club.sql("UPDATE members SET status = 'subscribed' WHERE id = 1")
        if night == 2:
            club.sql("UPDATE members SET status = 'gone' WHERE id = 1")
        said = club("run", "--source", "members", now=NOON + night * DAY)
        assert 0 == said.code, said.err
        nights.append(min(members(club)))
    assert [(2, 2, 0), (1, 0, 1), (2, 1, 0), (2, 0, 0), (1, 0, 1), (1, 0, 0)] == seen(club)
    # Member 2 was first seen to have left on 30 June and has settled after 2 July; member 1 left again on 2 July.
    assert [1, 1, 1, 1, 1, 3] == nights
    assert 2 not in members(club)


def test_a_plan_and_its_run_agree_about_what_was_noted_in_between(club: Firm) -> None:
    """Applying a plan in two parts, with a night's look before each, leaves nothing out as changed; and a plan notes nothing."""
    club.rewrite('keep = "P1D"', 'keep = "P0D"')
    club.rewrite('settling = "P2D"', 'settling = "P0D"')
    club("approve", club.plan())
    club("run", "--source", "members")
    club.sql("UPDATE members SET status = 'gone' WHERE id = 5")
    tomorrow = NOON + DAY
    plan = club.approved("--source", "members", now=tomorrow)
    looked = len(seen(club))
    first = club("apply", plan, "--at-most", "1", "--json", env={"RETENTION_BATCH_SIZE": "1"}, now=tomorrow)
    assert (0, looked + 1) == (first.code, len(seen(club)))
    again = club("apply", plan, "--json", now=tomorrow + DAY)
    assert 0 == again.code, again.err
    assert [3, 4, 5, 6, 7, 8, 9, 10] == members(club)


def test_what_was_seen_of_another_condition_says_nothing(club: Firm) -> None:
    """When the policy asks for another state, its end is seen anew: nothing goes by a day that was noted for the old one."""
    club("run", "--source", "members")
    club.rewrite('while = { status = "subscribed" }', 'while = { status = ["subscribed", "paused"] }')
    later = NOON + 5 * DAY
    assert 0 == club("plan", "--json", now=later).json["sources"]["members"]["due"]
    club("approve", club.plan(now=later), now=later)
    club("run", "--source", "members", now=later)
    assert [(2, 2, 0)] * 2 == seen(club)
    assert 10 == len(members(club))


def test_a_declared_end_counts_from_its_own_day(club: Firm) -> None:
    """Where a system knows the day on which the state ended, nobody has to see it first; while the state holds, that day is not asked."""
    club.rewrite('settling = "P2D" }', 'ended = "unsubscribed_at", settling = "P2D" }')
    club.rewrite('unsubscribed_at = { type = "timestamp"', 'unsubscribed_at = { empty = "not_yet", type = "timestamp"')
    club.sql("UPDATE members SET unsubscribed_at = '2020-01-01 08:00:00' WHERE id = 9")
    assert 2 == club("plan", "--json").json["sources"]["members"]["due"]
    club.sql("UPDATE members SET unsubscribed_at = NULL WHERE id = 2")
    assert 0 == club("apply", club.approved()).code
    assert [2, 3, 4, 5, 6, 7, 8, 9, 10] == members(club)
    assert [(1, 1, 0)] == seen(club)
    assert "seen:newsletter: 2026-06-30" in club("explain", "members", "2", "--json", now=NOON + DAY).out
