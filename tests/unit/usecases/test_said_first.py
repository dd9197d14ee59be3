"""What lets a record go is in the trail before it is in force, whatever fails in between."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.usecases.conftest import Killed
from worker.audit.trail import AuditTrail
from worker.errors import AuditUnavailable
from worker.ledger.rows import HoldRow, RequestRow
from worker.usecases.machine import Machine
from worker.usecases.standing import add_hold, add_request, close_request, release_hold, uphold_request

Lab = Any
GONE = "gone@canary.example"


def _release(machine: Machine) -> None:
    release_hold(machine, machine.ledger.holds()[0].hold_id)


def _uphold(machine: Machine) -> None:
    uphold_request(machine, machine.ledger.requests()[0].request_id, "officer")


def _close(machine: Machine) -> None:
    close_request(machine, machine.ledger.requests()[0].request_id, "settled")


def _erase(machine: Machine) -> None:
    add_request(machine, kind="erase", identifiers=[GONE], verified_by="clerk")


WORDS: dict[str, Callable[[Machine], None]] = {
    "hold_released": _release,
    "request_upheld": _uphold,
    "request_closed": _close,
    "request_added": _erase,
}


def standing(machine: Machine) -> tuple[list[HoldRow], list[RequestRow]]:
    """Return what is in force."""
    return machine.ledger.holds(), machine.ledger.requests()


def said(lab: Lab, action: str) -> int:
    """Return how often the trail says something."""
    trail = (lab.folder / "state" / "audit").glob("*.jsonl")
    return sum(each.read_text().count(f'"retention.{action}"') for each in trail)


@pytest.fixture
def kept(lab: Lab) -> Lab:
    """Return a laboratory with a hold and with an objection that nobody has decided."""
    with lab.machine() as machine:
        add_hold(
            machine,
            kind="legal",
            scope="record",
            source="customers",
            key="1",
            owner="ann",
            reason="file 12",
            review_on=dt.date(2027, 1, 1),
        )
        add_request(machine, kind="object", identifiers=[GONE])
    return lab


@pytest.mark.parametrize("action", WORDS)
def test_what_the_trail_can_not_keep_is_not_in_force(kept: Lab, monkeypatch: pytest.MonkeyPatch, action: str) -> None:
    """A full disk: the command fails, and what kept a record goes on keeping it; the same command again does it."""

    def full(_trail: AuditTrail) -> None:
        raise AuditUnavailable("could not be made durable: No space left on device")

    with kept.machine() as machine:
        before = standing(machine)
        with monkeypatch.context() as patched:
            patched.setattr(AuditTrail, "sync", full)
            with pytest.raises(AuditUnavailable):
                WORDS[action](machine)
        assert before == standing(machine)
        WORDS[action](machine)
        assert before != standing(machine)


@pytest.mark.parametrize("action", WORDS)
def test_a_process_that_dies_in_between_changed_nothing(kept: Lab, monkeypatch: pytest.MonkeyPatch, action: str) -> None:
    """The trail says it and the ledger doesn't know: a record too many is kept, and none is deleted that the trail says is held."""
    there = said(kept, action)
    sync = AuditTrail.sync

    def dies(trail: AuditTrail) -> None:
        sync(trail)
        raise Killed

    with kept.machine() as machine:
        before = standing(machine)
        _ = machine.trail
        with monkeypatch.context() as patched:
            patched.setattr(AuditTrail, "sync", dies)
            with pytest.raises(Killed):
                WORDS[action](machine)
        assert (before, there + 1) == (standing(machine), said(kept, action))
