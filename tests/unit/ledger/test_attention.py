"""Findings: the same one is not new twice, and an acceptance has an end and a limit."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.ledger.conftest import START, Clock
from worker.errors import ConfigurationError
from worker.ledger import AcceptedFinding, FindingRow, Ledger

TODAY = dt.date(2026, 3, 1)
EMPTY = FindingRow("undetermined", "crm", "crm", "contact: last_contact_at is empty", 12)
GAP = FindingRow("uncovered", "crm", "crm", "no purpose applies", 3)
LIST = FindingRow("uncovered", "list", "list", "no purpose applies", 1)


def test_a_finding_is_kept_once_with_its_first_and_last_sight(ledger: Ledger, clock: Clock) -> None:
    """Seen again, it has a new count and a later last sight, and is still the same."""
    ledger.record_findings("run-1", [EMPTY])
    clock.forward(days=1)
    grown = FindingRow(EMPTY.kind, EMPTY.source, EMPTY.policy, EMPTY.detail, 14)
    ledger.record_findings("run-2", [grown])

    (found,) = ledger.open_findings()
    assert (grown, EMPTY.digest, START, clock.instant, "run-2") == (
        found.finding,
        found.digest,
        found.first_seen,
        found.last_seen,
        found.run_id,
    )


def test_what_a_complete_look_no_longer_finds_is_over(ledger: Ledger) -> None:
    """Only sources that were looked at completely, and not what the same run reported in an earlier step."""
    ledger.record_findings("run-1", [EMPTY, GAP, LIST])
    ledger.record_findings("run-2", [GAP])
    assert 3 == len(ledger.open_findings())

    ledger.record_findings("run-3", [GAP], covered=["crm"])
    assert [GAP, LIST] == [one.finding for one in ledger.open_findings()]
    ledger.record_findings("run-3", [], covered=["crm"])
    assert [GAP, LIST] == [one.finding for one in ledger.open_findings()]
    ledger.record_findings("run-4", [EMPTY])
    assert 3 == len(ledger.open_findings())


def test_parts_of_one_finding_are_added_up(ledger: Ledger) -> None:
    """The same reason reported in two parts is one finding, also against the accepted count."""
    ledger.record_findings("run-1", [GAP, GAP])
    assert [6] == [one.finding.count for one in ledger.open_findings()]

    ledger.accept_finding(GAP.digest, "owner", "known", TODAY, 5)
    assert [] == ledger.new_findings(TODAY, [GAP])
    assert [6] == [finding.count for finding in ledger.new_findings(TODAY, [GAP, GAP])]


def test_only_new_grown_and_expired_findings_count(ledger: Ledger, clock: Clock) -> None:
    """An acceptance holds through its last day and up to its count, for that finding alone."""
    ledger.record_findings("run-1", [EMPTY, GAP])
    assert [EMPTY, GAP] == ledger.new_findings(TODAY, [EMPTY, GAP])

    ledger.accept_finding(EMPTY.digest, "owner", "asked the team", TODAY, 12)

    assert [AcceptedFinding(EMPTY.digest, "owner", "asked the team", TODAY, 12, START)] == ledger.accepted()
    assert [GAP] == ledger.new_findings(TODAY, [EMPTY, GAP])
    assert [EMPTY, GAP] == ledger.new_findings(TODAY + dt.timedelta(days=1), [EMPTY, GAP])
    grown = FindingRow(EMPTY.kind, EMPTY.source, EMPTY.policy, EMPTY.detail, 13)
    assert [grown] == ledger.new_findings(TODAY, [grown])
    ledger.accept_finding(EMPTY.digest, "owner", "asked again", TODAY, 13)
    assert [] == ledger.new_findings(TODAY, [grown])


def test_what_was_never_found_cant_be_accepted(ledger: Ledger) -> None:
    """An acceptance in advance would hide the first sight of something."""
    with pytest.raises(ConfigurationError, match="no finding"):
        ledger.accept_finding(EMPTY.digest, "owner", "reason", TODAY, 1)


@given(one=st.tuples(st.text(), st.text(), st.text()), other=st.tuples(st.text(), st.text(), st.text()))
def test_two_findings_are_the_same_only_when_all_their_words_are(one: tuple[str, str, str], other: tuple[str, str, str]) -> None:
    """No shift of characters between source, policy and reason makes another finding look accepted."""
    same = FindingRow("failed", *one, 1).digest == FindingRow("failed", *other, 2).digest

    assert (one == other) == same
