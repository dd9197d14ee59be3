"""Consents and long waiting through the whole job: from policy text to the deleted record, the finding and the explanation."""

from __future__ import annotations

from typing import Any

import pytest

from worker.usecases.explaining import explain_record
from worker.usecases.planning import make_plan

Lab = Any

POLICIES = """
version = 1
[organisation]
name = "Lab"
timezone = "Europe/Amsterdam"

[sources.applications]
connector = "memory"
table = "applications"
key = "id"
[sources.applications.fields]
name = { personal = true }
received_on = { type = "date" }
ended_on = { type = "date", empty = "not_yet" }
[sources.applications.facts]
agreed_on = { latest = "consents.given_on", type = "date", none = "not_applicable", empty = "not_applicable" }
withdrew_on = { latest = "consents.withdrawn_on", type = "date", none = "not_applicable", empty = "not_applicable" }
[sources.applications.children.consents]
table = "consents"
key = "id"
match = { application = "id" }
on_delete = "delete"
[sources.applications.consents]
future-use = { given = "agreed_on", withdrawn = "withdrew_on" }

[[policies]]
source = "applications"
disposition = "delete"
[[policies.purposes]]
id = "procedure"
basis = "legitimate-interests"
fields = ["name"]
start = "ended_on"
keep = "P8W"
since = "received_on"
[[policies.purposes]]
id = "later"
basis = "consent"
consent = "future-use"
extends = "procedure"
fields = ["name"]
start = "ended_on"
keep = "P1Y"
"""
ENDED = {1: "2026-03-02", 2: "2026-03-02", 3: "2026-03-02", 4: "2026-03-02", 5: None, 6: None}
"""When each procedure ended; the day of the tests is 30 June 2026, and four of them have been over for eight weeks."""


@pytest.fixture
def office(lab: Lab) -> Lab:
    """Return a laboratory with six applications: no consent, in time, too late, withdrawn and given again, open for years, just open."""
    lab.policies = POLICIES
    received = {5: "2024-01-08", 6: "2026-06-20"}
    lab.memory.tables.clear()
    lab.memory.tables["applications"] = {
        (number,): {"id": number, "name": f"Person {number}", "received_on": received.get(number, "2026-01-08"), "ended_on": ended}
        for number, ended in ENDED.items()
    }
    episodes = [(2, "2026-04-27", None), (3, "2026-04-28", None), (4, "2026-01-10", "2026-01-20"), (4, "2026-02-10", None)]
    lab.memory.tables["consents"] = {
        (number,): {"id": number, "application": whose, "given_on": given, "withdrawn_on": withdrawn}
        for number, (whose, given, withdrawn) in enumerate(episodes)
    }
    return lab


def test_only_what_no_consent_keeps_is_deleted(office: Lab) -> None:
    """No consent and one that came too late go with their consents; in time and given again stay; so does what is still open."""
    with office.machine() as machine:
        _, result = office.plan_and_apply(machine)
    assert {2, 4, 5, 6} == set(office.table("applications"))
    assert {0, 2, 3} == set(office.table("consents"))
    assert (4, "findings") == (result.exit_code, result.state)


@pytest.mark.parametrize("full", [False, True])
def test_what_waits_too_long_is_a_finding(office: Lab, full: bool) -> None:
    """The procedure that was open for years is a review and a finding, whether the whole source is read or only what is selected."""
    with office.machine() as machine:
        counts = make_plan(machine, full=full).summary.counts["applications"]
        findings = [each.finding for each in machine.ledger.open_findings()]
    assert (2, 1, 3, 6) == (counts["due"], counts["review"], counts["kept"], counts["total"])
    # It was to be looked at years ago, so that is overdue, too; what is due is the run's to do.
    assert [("overdue", "applications", 1), ("waiting", "applications", 1)] == sorted(
        (each.kind, each.source, each.count) for each in findings
    )
    assert counts["overdue"] == 3


def test_explained(office: Lab) -> None:
    """A person is told which consents were looked at, that one came too late, and since when an open procedure waits."""
    with office.machine() as machine:
        late, waits = (explain_record(machine, "applications", key) for key in ("3", "5"))
    assert "never applied: its consent was given after procedure, which it extends, had ended" == late.purposes[1].state
    assert ("ended_on: 2026-03-02", "agreed_on: 2026-04-28", "withdrew_on: does not apply") == late.purposes[1].facts
    assert "review" == waits.word
    assert "2024-01-08 lies longer ago than it may take" in waits.purposes[0].state
