"""The stops that the ledger keeps."""

from __future__ import annotations

from tests.unit.ledger.conftest import Clock
from worker.ledger import Ledger


def test_a_stop_is_seen_by_others_until_it_is_lifted(ledger: Ledger, url: str, clock: Clock) -> None:
    """Another process sees it at once; the newest reason and person count; lifting tells what there was, and once."""
    ledger.put_stop("contacts", "one", "ann")
    clock.forward(minutes=5)
    ledger.put_stop("contacts", "two", "bob")
    ledger.put_stop("*", "all", "ann")
    with Ledger.open(url, now=clock) as other:
        assert [("*", "all", "ann"), ("contacts", "two", "bob")] == [(row.source, row.why, row.by) for row in other.stops()]
        assert {clock.instant} == {row.at for row in other.stops()}
        assert ["contacts"] == [row.source for row in other.lift_stops(["contacts", "members"])]
        assert [] == other.lift_stops(["contacts"])
    assert ["*"] == [row.source for row in ledger.stops()]
