"""Facts over several sources when one record names several people: it counts for each of them, and makes one person of nobody."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from tests.unit.usecases.conftest import Lab
from tests.unit.usecases.test_gathering import ADA, call, done, facts, filled, mail, person, table
from worker.core.facts import Known

BOB = "bob@canary.example"
BOTH = f"Ada Canary <{ADA}>, {BOB}"
EARLY, LATE = dt.date(2025, 2, 2), dt.date(2025, 5, 5)


@pytest.fixture
def shop(tmp_path: Path) -> Lab:
    """Return the laboratory of `test_gathering`, in which Ada and Bob had one mail together, and Ada called later."""
    lab = filled(tmp_path)
    table(
        lab,
        "people",
        person(1, "2020-01-01", ADA, "0612345678"),
        person(2, "2020-01-01", BOB),
        person(3, "2020-01-01", "eve@canary.example"),
    )
    table(lab, "mails", mail(1, BOTH, EARLY.isoformat()))
    table(lab, "calls", call(1, "0612345678", LATE.isoformat()))
    return lab


def test_it_counts_for_each_and_joins_nobody(shop: Lab) -> None:
    """The mail was the last contact with Bob; Ada's call was none with him, and neither was with Eve."""
    with shop.machine() as machine:
        assert {1: Known(LATE), 2: Known(EARLY), 3: Known(dt.date(2020, 1, 1))} == facts(machine, "people")


def test_it_goes_on_to_count_when_it_is_gone(shop: Lab) -> None:
    """The mail is deleted after its own year: what it said of each is kept, and still joins nobody."""
    shop.moment = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
    with shop.machine() as machine:
        done(shop, machine)
    assert {} == shop.table("mails")
    assert {1, 2} == set(shop.table("people"))
    with shop.machine() as machine:
        assert {1: Known(LATE), 2: Known(EARLY)} == facts(machine, "people", dt.date(2026, 3, 1))


def test_a_record_of_both_is_kept_for_whoever_was_seen_last(shop: Lab) -> None:
    """Their common record waits for the later of them; that they are in one record tells nothing of either."""
    table(shop, "people", person(1, "2020-01-01", BOTH), person(2, "2020-01-01", BOB), person(3, "2020-01-01", ADA, "0612345678"))
    with shop.machine() as machine:
        assert {1: Known(LATE), 2: Known(EARLY), 3: Known(LATE)} == facts(machine, "people")
