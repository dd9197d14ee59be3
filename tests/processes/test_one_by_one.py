"""Systems without transactions: whatever part of a batch was done, everybody who reads about it counts that part and no other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from connectors.memory import MemoryService
from tests.unit.usecases.conftest import Killed, customers
from worker.audit.history import history
from worker.audit.outcomes import outcomes
from worker.audit.search import Became, search
from worker.errors import Retriable, SourceFailed
from worker.ports import Key, Left
from worker.usecases.applying import apply_plan
from worker.usecases.approving import approve, open_plan
from worker.usecases.planning import make_plan
from worker.usecases.reconciling import reconcile
from worker.usecases.running import run
from worker.usecases.verifying import verify

Lab = Any

POLICIES = """
version = 1
[organisation]
name = "Lab"
timezone = "Europe/Amsterdam"

[sources.customers]
connector = "memory"
table = "customers"
key = "id"
subject = ["email"]
[sources.customers.fields]
name = { treatment = "clear" }
email = { type = "email", treatment = "pseudonym" }
seen_at = { type = "timestamp", timezone = "UTC" }
[sources.customers.children.notes]
table = "notes"
key = "id"
match = { customer = "id" }
on_delete = "delete"

[[policies]]
source = "customers"
disposition = "DISPOSITION"
[[policies.purposes]]
id = "contact"
basis = "legitimate-interests"
fields = ["name", "email"]
start = "seen_at"
keep = "P2Y"
"""


@pytest.fixture
def service(lab: Lab) -> Lab:
    """Return a laboratory with six due customers, each with a note, in a system without transactions."""
    lab.opens = MemoryService
    lab.policies = POLICIES.replace("DISPOSITION", "delete")
    lab.environ["RETENTION_MAX_SHARE"] = "1"
    rows = [(n, f"Name {n}", f"p{n}@canary.example", "2020-01-01 10:00:00") for n in range(1, 7)]
    lab.memory.tables["customers"] = customers(*rows)
    lab.memory.tables["notes"] = {(n,): {"id": n, "customer": n, "body": "x"} for n in range(1, 7)}
    return lab


def carry_out(lab: Lab) -> Any:
    with lab.machine() as machine:
        return lab.plan_and_apply(machine)[1]


def trail(lab: Lab) -> list[Path]:
    return sorted((lab.folder / "state" / "audit").glob("*.jsonl"))


def events(lab: Lab, action: str) -> list[dict[str, Any]]:
    found = [json.loads(line).get("event") for path in trail(lab) for line in path.read_text().splitlines()]
    return [each for each in found if each and each["event.action"] == f"retention.{action}"]


def refuse(lab: Lab, answers: dict[int, Left]) -> None:
    lab.memory.asked = lambda key: answers.get(key[0])


@pytest.mark.parametrize("why", [Left.FAILED, Left.BUSY, Left.CHANGED, Left.GONE])
def test_what_was_not_done_is_named_and_not_counted(service: Lab, why: Left) -> None:
    """The closing event names the record that was left and its children; no reader of the trail counts them, and the rest is done."""
    refuse(service, {2: why})
    if why is Left.GONE:
        service.memory.asked = lambda key: service.memory.tables["customers"].pop(key, None) and None if key == (2,) else None
    result = carry_out(service)
    assert (set() if why is Left.GONE else {2}) == set(service.table("customers"))
    assert {2} == set(service.table("notes"))
    assert 5 == result.acted
    assert {str(why): 1} == dict(result.results["customers"].skipped)
    (closed,) = events(service, "batch_closed")
    assert (10, 2, "committed") == (closed["retention.count"], len(closed["retention.excluded"]), closed["retention.batch_outcome"])
    effects = list(outcomes(service.folder / "state" / "audit"))
    assert 10 == len(effects)
    (told,) = history(trail(service)).runs.values()
    counted = {("customers", "retention.record_deleted"): 5, ("customers.notes", "retention.child_deleted"): 5}
    assert counted == dict(told.effects)
    assert 0 == told.still_there
    left = set(closed["retention.excluded"])
    assert {Became.NOT_DONE} == {each.became for each in search(trail(service), left) if each.became is not None}


@pytest.mark.parametrize(
    ("why", "exit_code", "words"),
    [(Left.FAILED, 5, "refuses to change"), (Left.BUSY, 5, "busy"), (Left.CHANGED, 4, "changed")],
)
def test_what_was_not_done_is_a_finding(service: Lab, why: Left, exit_code: int, words: str) -> None:
    """A run that left a record is never a plain success, and the record has its own event with what the system said."""
    refuse(service, {2: why})
    result = carry_out(service)
    assert exit_code == result.exit_code
    assert [True] == [words in each.detail for each in result.findings]
    (said,) = events(service, "record_skipped")
    assert (str(why), "refused") == (said["event.reason"], said["retention.answer"])


def test_a_batch_of_which_nothing_was_done_had_no_effect(service: Lab) -> None:
    """When every record is refused the batch counts for nothing, whatever its intents said."""
    refuse(service, dict.fromkeys(range(1, 7), Left.FAILED))
    result = carry_out(service)
    (closed,) = events(service, "batch_closed")
    assert (0, "rolled_back") == (closed["retention.count"], closed["retention.batch_outcome"])
    assert [] == list(outcomes(service.folder / "state" / "audit"))
    assert (0, 5) == (result.acted, result.exit_code)
    assert 6 == len(service.table("customers"))


def test_verify_looks_for_what_took_effect(service: Lab) -> None:
    """A record that was said to be left is not expected to be gone; one that comes back is found."""
    refuse(service, {2: Left.FAILED, 3: Left.BUSY})
    result = carry_out(service)
    with service.machine() as machine:
        found = verify(machine, result.run_id)
        assert (True, 4, 0) == (found.whole, found.gone["customers"], found.still_there["customers"])
        service.memory.tables["customers"] |= customers((1, "Back", "p1@canary.example", "2020-01-01 10:00:00"))
        assert {"customers": 1} == verify(machine, result.run_id).still_there


def test_the_same_plan_again_does_the_rest(service: Lab) -> None:
    """A batch that was done in part is done again, under a new id, for the records that are left; nothing is audited twice."""
    refuse(service, {2: Left.BUSY, 5: Left.BUSY})
    with service.machine() as machine:
        plan, _ = service.plan_and_apply(machine)
        refuse(service, {})
        again = apply_plan(machine, open_plan(machine, plan.path))
        assert 2 == again.acted
        assert [] == [each for each in again.findings if each.kind == "changed"]
        assert 0 == apply_plan(machine, open_plan(machine, plan.path)).acted
    assert {} == service.table("customers")
    assert 12 == len(list(outcomes(service.folder / "state" / "audit")))


@pytest.mark.parametrize("disposition", ["delete", "pseudonymise"])
@pytest.mark.parametrize("done", [0, 1, 3, 6])
def test_a_crash_in_the_middle_is_read_back_record_by_record(service: Lab, disposition: str, done: int) -> None:
    """Killed after any number of requests, the next process finds out for each record whether it was done, and says that it presumes."""
    service.policies = POLICIES.replace("DISPOSITION", disposition)
    asked: list[Key] = []

    def die(key: Key) -> None:
        if len(asked) == done:
            raise Killed
        asked.append(key)

    with service.machine() as machine:
        plan = make_plan(machine)
        approve(machine, plan.path, "ann")
        if done == 6:
            service.faults.point = "after_commit"
        else:
            service.memory.asked = die  # type: ignore[assignment]
        with pytest.raises(Killed):
            apply_plan(machine, open_plan(machine, plan.path))
    refuse(service, {})
    service.faults.point = None
    with service.machine() as machine:
        reconcile(machine, ("customers",))
        (closed,) = events(service, "batch_closed")
        children = done if disposition == "delete" else 0
        assert ("resolved_after_crash", done + children) == (closed["retention.batch_outcome"], closed["retention.count"])
        assert closed["retention.presumed"]
        assert done + children == len(list(outcomes(service.folder / "state" / "audit")))
        (told,) = history(trail(service)).runs.values()
        assert done + children == told.effects.total()
        (run,) = machine.ledger.runs(5)
        if done:
            assert verify(machine, run.run_id).whole
        again = apply_plan(machine, open_plan(machine, plan.path))
        assert 6 - done == again.acted
        assert 0 == make_plan(machine).acting["customers"]


def test_children_that_went_before_a_crash_are_effects(service: Lab) -> None:
    """A record whose row along was taken and which is still there itself: the row's event counts, the record's does not."""

    def die(_key: Key) -> None:
        raise Killed

    service.memory.asked = die  # type: ignore[assignment]
    with service.machine() as machine:
        plan = make_plan(machine)
        approve(machine, plan.path, "ann")
        with pytest.raises(Killed):
            apply_plan(machine, open_plan(machine, plan.path))
    del service.memory.tables["notes"][4,]
    refuse(service, {})
    with service.machine() as machine:
        reconcile(machine, ("customers",))
    assert ["retention.child_deleted"] == [each for each, _ in service.effects()]


@pytest.mark.parametrize("error", [Retriable("no answer"), SourceFailed("no answer")])
def test_what_nobody_knows_is_not_said(service: Lab, error: Exception) -> None:
    """When a system can't even be read back, the batch stays open; the run says that the source failed, the next run finds out."""

    def silent(key: Key) -> None:
        if key == (3,):
            raise error

    service.memory.asked = silent  # type: ignore[assignment]
    result = carry_out(service)
    assert (5, ["customers"]) == (result.exit_code, list(result.failed))
    assert [] == events(service, "batch_closed")
    assert [] == list(outcomes(service.folder / "state" / "audit"))
    refuse(service, {})
    with service.machine() as machine:
        _, second = service.plan_and_apply(machine)
        assert (1, 4) == (second.resolved, second.acted)
    assert 12 == len(list(outcomes(service.folder / "state" / "audit")))


def test_a_mark_of_a_record_that_stayed_stays(service: Lab) -> None:
    """What was said of a record goes when it goes, and not when the system refused to delete it."""
    marked = service.policies.replace('start = "seen_at"', 'start = { latest_of = ["seen_at", "called_on"] }').replace(
        "[[policies]]", '[sources.customers.facts]\ncalled_on = { mark = "called", none = "not_applicable" }\n[[policies]]', 1
    )
    service.policies = marked
    refuse(service, {2: Left.FAILED})
    carry_out(service)
    with service.machine() as machine:
        tokens = {blob[start : start + 16] for blob, _ in machine.ledger.departed("customers") for start in range(0, len(blob), 20)}
    assert 5 == len(tokens)


OTHERS = """
[sources.others]
connector = "memory"
table = "others"
key = "id"
[sources.others.fields]
name = { treatment = "clear" }
seen_at = { type = "timestamp", timezone = "UTC" }

[[policies]]
source = "others"
disposition = "delete"
[[policies.purposes]]
id = "contact"
basis = "legitimate-interests"
fields = ["name"]
start = "seen_at"
keep = "P2Y"
"""


def test_a_batch_that_can_not_be_read_back_stops_its_own_source_only(service: Lab) -> None:
    """The trail that says which records a batch was about is gone: nothing is said of it, its source is left, the others are done."""
    service.policies += OTHERS
    service.memory.tables["others"] = {(1,): {"id": 1, "name": "x", "seen_at": "2020-01-01 10:00:00"}}

    def die(_key: Key) -> None:
        raise Killed

    service.memory.asked = die  # type: ignore[assignment]
    with service.machine() as machine:
        plan = make_plan(machine, sources=("customers",))
        approve(machine, plan.path, "ann")
        approve(machine, make_plan(machine, sources=("others",)).path, "ann")
        with pytest.raises(Killed):
            apply_plan(machine, open_plan(machine, plan.path))
    refuse(service, {})
    for each in trail(service):
        each.unlink()
    with service.machine() as machine:
        night = run(machine)
        assert night.result is not None
        assert (5, ["customers"], 1) == (night.exit_code, list(night.result.failed), night.result.acted)
        assert {"customers": "intended", "others": "committed"} == {
            row.source: row.state for each in machine.ledger.runs(5) for row in machine.ledger.batches(each.run_id)
        }
    assert [] == [each for each in events(service, "batch_closed") if each["retention.source"] == "customers"]
