"""Facts over several sources when telephone numbers, by which records are joined, are written in several ways."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from tests.unit.usecases.conftest import Lab
from tests.unit.usecases.test_gathering import POLICIES, TODAY, call, done, facts, filled, person, table
from worker.core.facts import Known
from worker.ledger.rows import HighWater
from worker.usecases.gathering import high_water

NUMBER = "06-12345678"
IN_NL = POLICIES.replace('"Europe/Amsterdam"', '"Europe/Amsterdam"\ncountry = "NL"')


@pytest.fixture
def shop(tmp_path: Path) -> Lab:
    """Return the laboratory of `test_gathering`, in which somebody called from +31 6 12345678."""
    return filled(tmp_path)


def left_by_a_call(lab: Lab, policies: str, called_on: object) -> list[HighWater]:
    """Return what is kept of a call from the number that is deleted."""
    lab.policies = policies
    with lab.machine() as machine:
        source, secret = machine.schedule.sources["calls"], machine.keyring.match().secret
        return high_water(source, source.contributing, secret, TODAY, [((1,), call(1, NUMBER, called_on))])


def test_a_number_written_otherwise_is_the_same_persons(shop: Lab) -> None:
    """Once the country is known, at home and from abroad."""
    table(shop, "people", person(1, "2020-01-01", None, NUMBER))
    with shop.machine() as machine:
        assert {1: Known(dt.date(2020, 1, 1))} == facts(machine, "people")
    shop.policies = IN_NL
    with shop.machine() as machine:
        assert {1: Known(dt.date(2022, 2, 2))} == facts(machine, "people") == facts(machine, "calls")


@pytest.mark.parametrize("before", [POLICIES, IN_NL])
def test_what_went_goes_on_to_count(shop: Lab, before: str) -> None:
    """A call was deleted, before or after the country was known: its day counts for whoever has the number, written as from abroad."""
    table(shop, "people")
    table(shop, "calls", call(1, NUMBER, "2022-02-02"))
    shop.policies = before
    with shop.machine() as machine:
        done(shop, machine)
    assert {} == shop.table("calls")
    table(shop, "people", person(1, "2020-01-01", None, "+31 612345678"))
    shop.policies = IN_NL
    with shop.machine() as machine:
        assert {1: Known(dt.date(2022, 2, 2))} == facts(machine, "people")


def test_what_is_kept_of_it(shop: Lab) -> None:
    """Twenty bytes for each way of writing the number; one way where no country is known."""
    assert [20] == [len(each.blob) for each in left_by_a_call(shop, POLICIES, "2022-02-02")]
    assert [40] == [len(each.blob) for each in left_by_a_call(shop, IN_NL, "2022-02-02")]


def test_the_ways_of_one_number_join_nothing(shop: Lab) -> None:
    """A record that does not count, and has one number, leaves nothing: there is nothing that only it brings together."""
    counted = '{ field = "calls.called_on", where = { called_on = { ge = 2024-01-01 } } }'
    assert [] == left_by_a_call(shop, IN_NL.replace('"calls.called_on"', counted), "2022-02-02")
    assert [40] == [len(each.blob) for each in left_by_a_call(shop, IN_NL.replace('"calls.called_on"', counted), "2024-02-02")]


def test_a_record_whose_number_was_treated_is_joined_by_all_its_ways(shop: Lab) -> None:
    """While a run is at work: its identifiers are gone from the row, and each way that was kept leads to its subject."""
    shop.policies = IN_NL.replace('source = "calls"\ndisposition = "delete"', 'source = "calls"\ndisposition = "pseudonymise"').replace(
        'number = { type = "phone" }', 'number = { type = "phone", treatment = "clear" }'
    )
    table(shop, "people")
    table(shop, "calls", call(1, NUMBER, "2022-02-02"))
    with shop.machine() as machine:
        done(shop, machine)
    assert [None] == [row["number"] for row in shop.table("calls").values()]
    table(shop, "people", person(1, "2020-01-01", None, "0031612345678"))
    with shop.machine() as machine:
        assert {1: Known(dt.date(2022, 2, 2))} == facts(machine, "people")
