"""Plan, approve, apply, verify: the main job over sources in memory."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from tests.plans import deleting, laid_open
from worker.errors import ConfigurationError, Refused
from worker.usecases import running
from worker.usecases.applying import apply_plan
from worker.usecases.approving import approve, open_plan
from worker.usecases.planning import make_plan
from worker.usecases.running import run
from worker.usecases.standing import add_hold, add_request, release_hold, uphold_request
from worker.usecases.verifying import verify

Lab = Any


class TestPlan:
    """What a plan says, and that it changes nothing."""

    def test_counts_every_record_under_one_word(self, lab: Lab) -> None:
        """Every record of a source is counted once, under the word that says what becomes of it."""
        with lab.machine() as machine:
            counts = make_plan(machine).summary.counts["customers"]
        words = ("due", "partly", "held", "waiting", "undetermined", "uncovered", "review", "kept")
        assert {"due": 2, "partly": 1, "undetermined": 1, "kept": 1} == {each: counts[each] for each in words if counts[each]}
        assert 5 == counts["total"]

    def test_full_counts_equal_the_counts_of_the_selection(self, lab: Lab) -> None:
        """`--full` reads everything and comes to the same counts: the selection misses nothing."""
        with lab.machine() as machine:
            assert make_plan(machine, full=True).summary.counts == make_plan(machine).summary.counts

    def test_changes_nothing_and_holds_no_personal_data(self, lab: Lab) -> None:
        """A dry run writes to no source, and nobody can be found in its file."""
        before = repr(lab.memory.tables)
        with lab.machine() as machine:
            text = laid_open(make_plan(machine).path.read_bytes())
        assert before == repr(lab.memory.tables)
        assert b"its period is over" in text
        assert b"canary" not in text
        assert b"Long gone" not in text


class TestApply:
    """What carrying out a plan does, and what it refuses."""

    def test_deletes_treats_and_keeps_what_the_policies_say(self, lab: Lab) -> None:
        """Due records go with their children, partly due ones lose what nobody needs, everything else stays."""
        with lab.machine() as machine:
            _, result = lab.plan_and_apply(machine)
        assert {2, 3, 4} == set(lab.table("customers"))
        assert {30} == set(lab.table("invoices"))
        assert {2} == set(lab.table("notes"))
        assert "Has invoice" == lab.table("customers")[3]["name"]
        assert str(lab.table("customers")[3]["email"]).startswith("p1-")
        assert (4, "findings") == (result.exit_code, result.state)

    def test_a_second_run_finds_nothing_left_to_do(self, lab: Lab) -> None:
        """Applying twice equals applying once: the next plan acts on nothing."""
        with lab.machine() as machine:
            lab.plan_and_apply(machine)
            assert {"customers": 0, "invoices": 0} == make_plan(machine).acting

    def test_applying_the_same_plan_again_does_nothing(self, lab: Lab) -> None:
        """A batch that was done is known by its id and not done again, nor audited again."""
        with lab.machine() as machine:
            plan, _ = lab.plan_and_apply(machine)
            effects = lab.effects()
            again = apply_plan(machine, open_plan(machine, plan.path))
        assert 0 == again.acted
        assert effects == lab.effects()

    def test_every_effect_has_an_event_and_every_event_an_effect(self, lab: Lab) -> None:
        """The effects in the trail are those of the tables: two customers, a note, an invoice gone along, an orphan, one treated."""
        with lab.machine() as machine:
            lab.plan_and_apply(machine)
        actions = [action.removeprefix("retention.") for action, _ in lab.effects()]
        assert ["child_deleted"] * 2 + ["fields_treated"] + ["record_deleted"] * 3 == actions

    def test_refuses_what_nobody_approved(self, lab: Lab) -> None:
        """A plan needs a person's yes."""
        with lab.machine() as machine:
            plan = make_plan(machine)
            with pytest.raises(Refused, match="Nobody has approved"):
                apply_plan(machine, open_plan(machine, plan.path))
        assert 5 == len(lab.table("customers"))

    def test_refuses_an_expired_plan(self, lab: Lab) -> None:
        """A plan is good for a week."""
        with lab.machine() as machine:
            plan = make_plan(machine)
            approve(machine, plan.path, "ann")
            lab.moment += dt.timedelta(days=8)
            with pytest.raises(Refused, match="expired"):
                apply_plan(machine, open_plan(machine, plan.path))

    def test_refuses_a_plan_for_a_day_to_come(self, lab: Lab) -> None:
        """A forecast can be looked at, never carried out."""
        with lab.machine() as machine:
            plan = make_plan(machine, as_of=dt.date(2030, 1, 1))
            with pytest.raises(Refused, match="still to come"):
                approve(machine, plan.path, "ann")

    def test_refuses_a_plan_whose_bytes_were_changed(self, lab: Lab) -> None:
        """Every byte of a plan is under its MAC."""
        with lab.machine() as machine:
            plan = make_plan(machine)
            plan.path.write_text("".join(deleting(each) for each in plan.path.read_text().splitlines(keepends=True)))
            with pytest.raises(Refused, match="changed after it was made"):
                approve(machine, plan.path, "ann")

    def test_refuses_other_policies_but_not_another_comment(self, lab: Lab) -> None:
        """The digest is over what a policy means: a comment changes nothing, a period does."""
        with lab.machine() as machine:
            plan = make_plan(machine)
            approve(machine, plan.path, "ann")
        lab.policies = lab.policies.replace('keep = "P2Y"', 'keep = "P3Y"')
        with lab.machine() as machine, pytest.raises(Refused, match="have changed"):
            apply_plan(machine, open_plan(machine, plan.path))
        lab.policies = lab.policies.replace('keep = "P3Y"', 'keep = "P2Y" # as published')
        with lab.machine() as machine:
            assert 4 == apply_plan(machine, open_plan(machine, plan.path)).acted

    def test_a_record_that_changed_is_left_and_said(self, lab: Lab) -> None:
        """What changed between plan and run is skipped; the person is back, so nothing happens to them."""
        with lab.machine() as machine:
            plan = make_plan(machine)
            approve(machine, plan.path, "ann")
            lab.memory.tables["customers"][1,]["seen_at"] = "2026-06-29 10:00:00"
            lab.memory.tables["customers"][5,]["seen_at"] = "2015-02-02 10:00:00"
            result = apply_plan(machine, open_plan(machine, plan.path))
        assert {1, 2, 3, 4, 5} == set(lab.table("customers"))
        assert {"gone": 1, "changed": 1} == dict(result.results["customers"].skipped)

    def test_a_run_that_finds_nothing_of_what_it_should_act_on_says_so(self, lab: Lab) -> None:
        """Planned records that are not there any more are a finding, never a silent success; children that went along are explained."""
        with lab.machine() as machine:
            _, result = lab.plan_and_apply(machine)
            assert 1 == result.results["invoices"].skipped["gone"]
            assert "changed" not in {each.kind for each in result.findings}
        other = type(lab)(lab.folder / "other")
        other.folder.mkdir()
        other.memory.tables.update({"customers": {}, "invoices": dict(lab.memory.tables["invoices"]), "notes": {}})
        other.memory.tables["customers"][1,] = {"id": 1, "name": "n", "email": "e@canary.example", "seen_at": "2020-01-01 10:00:00"}
        with other.machine() as machine:
            plan = make_plan(machine)
            approve(machine, plan.path, "ann")
            other.memory.tables["customers"][1,]["seen_at"] = "2026-06-01 10:00:00"
            result = apply_plan(machine, open_plan(machine, plan.path))
        assert 0 == result.acted
        assert (4, [1]) == (result.exit_code, [each.count for each in result.findings if each.kind == "changed"])

    def test_works_off_a_backlog_in_tranches(self, lab: Lab) -> None:
        """An approved plan can be carried out in parts; each part goes on where the last one stopped."""
        lab.environ["RETENTION_BATCH_SIZE"] = "1"
        with lab.machine() as machine:
            plan = make_plan(machine)
            approve(machine, plan.path, "ann")
            parts = [apply_plan(machine, open_plan(machine, plan.path), at_most=1).acted for _ in range(6)]
        assert {2, 3, 4} == set(lab.table("customers"))
        assert 4 == sum(parts)
        assert max(parts) == 1

    def test_verification_finds_what_came_back(self, lab: Lab) -> None:
        """`verify` reads every record again: one that is there although it was reported as deleted is found."""
        with lab.machine() as machine:
            gone = dict(lab.memory.tables["customers"][1,])
            _, result = lab.plan_and_apply(machine)
            assert verify(machine, result.run_id).whole
            lab.memory.tables["customers"][1,] = gone
            assert {"customers": 1} == {name: count for name, count in verify(machine, result.run_id).still_there.items() if count}


class TestStanding:
    """Holds and requests."""

    def test_a_hold_keeps_a_person_in_every_source_and_a_release_lets_go(self, lab: Lab) -> None:
        """A hold on a subject is matched on the canonical identifier; after its release the record is due as before."""
        with lab.machine() as machine:
            rows = add_hold(
                machine,
                kind="legal",
                scope="subject",
                owner="dora",
                reason="case",
                review_on=dt.date(2027, 1, 1),
                identifiers=[" GONE@canary.EXAMPLE "],
            )
            _, result = lab.plan_and_apply(machine)
            assert {1, 2, 3, 4} == set(lab.table("customers"))
            assert 1 == result.results["customers"].effects["treat"]
            for row in rows:
                release_hold(machine, row.hold_id)
            lab.plan_and_apply(machine)
        assert {2, 3, 4} == set(lab.table("customers"))

    def test_a_hold_on_a_person_keeps_what_belongs_to_them(self, lab: Lab) -> None:
        """An invoice is about the customer it was sent to: what stands for the customer stands for the invoice, and no other."""
        with lab.machine() as machine:
            add_hold(
                machine,
                kind="legal",
                scope="subject",
                owner="dora",
                reason="case",
                review_on=dt.date(2027, 1, 1),
                identifiers=["old@canary.example"],
            )
            lab.plan_and_apply(machine)
        assert {2, 3, 4, 5} == set(lab.table("customers"))
        assert {30, 50} == set(lab.table("invoices"))

    def test_a_hold_placed_after_the_approval_is_honoured(self, lab: Lab) -> None:
        """Holds are read again for every batch."""
        with lab.machine() as machine:
            plan = make_plan(machine)
            approve(machine, plan.path, "ann")
            add_hold(machine, kind="legal", scope="category", owner="d", reason="r", review_on=dt.date(2027, 1, 1), category="people")
            result = apply_plan(machine, open_plan(machine, plan.path))
        assert {1, 2, 3, 4, 5} == set(lab.table("customers"))
        assert {"held": 3} == dict(result.results["customers"].skipped)

    def test_a_hold_still_finds_a_person_whose_address_was_treated(self, lab: Lab) -> None:
        """Before an identifier is treated its keyed form is kept for the record, so later holds find it."""
        with lab.machine() as machine:
            lab.plan_and_apply(machine)
            add_hold(
                machine,
                kind="dispute",
                scope="subject",
                owner="d",
                reason="r",
                review_on=dt.date(2027, 1, 1),
                identifiers=["invoice@canary.example"],
            )
            plan = make_plan(machine, as_of=dt.date(2040, 1, 1), full=True)
        assert 1 == plan.summary.counts["customers"]["held"]

    def test_an_erasure_request_ends_what_it_may_end(self, lab: Lab) -> None:
        """A verified request makes somebody due who was seen lately; it takes effect the day after."""
        with lab.machine() as machine:
            add_request(machine, kind="erase", identifiers=["lately@canary.example"], verified_by="ann")
            lab.moment += dt.timedelta(days=1)
            lab.plan_and_apply(machine)
        assert {3, 4} == set(lab.table("customers"))

    def test_a_restriction_keeps(self, lab: Lab) -> None:
        """GDPR 18: restricted data are stored and not deleted."""
        with lab.machine() as machine:
            add_request(machine, kind="restrict", identifiers=["gone@canary.example"])
            plan, _ = lab.plan_and_apply(machine)
        assert 1 == plan.summary.counts["customers"]["held"]
        assert 1 in lab.table("customers")

    def test_an_objection_restricts_until_it_is_upheld(self, lab: Lab) -> None:
        """GDPR 21(1), 17(1)(c): undecided it keeps even what is due; upheld it ends the contact purpose on the day it came in."""
        with lab.machine() as machine:
            asked = [add_request(machine, kind="object", identifiers=[f"{name}@canary.example"]) for name in ("gone", "lately")]
            lab.moment += dt.timedelta(days=1)
            plan, _ = lab.plan_and_apply(machine)
            assert (1, {1, 2, 3, 4}) == (plan.summary.counts["customers"]["held"], set(lab.table("customers")))
            for each in asked:
                uphold_request(machine, each.request_id, "officer")
            with pytest.raises(ConfigurationError, match="--by"):
                uphold_request(machine, asked[0].request_id, " ")
            lab.plan_and_apply(machine)
        assert {3, 4} == set(lab.table("customers"))


class TestNight:
    """The night run and its brakes."""

    def test_stops_when_nobody_ever_approved_the_policy(self, lab: Lab) -> None:
        """The first run under a policy version needs a person."""
        with lab.machine() as machine:
            night = run(machine)
        assert {"policy"} == {each.brake for each in night.tripped}
        assert 5 == len(lab.table("customers"))

    def test_goes_by_itself_once_approved_and_stops_at_a_limit(self, lab: Lab) -> None:
        """After the first approval the nights run alone, until a limit is exceeded."""
        with lab.machine() as machine:
            lab.plan_and_apply(machine)
            lab.memory.tables["customers"].update(
                {(n,): {"id": n, "name": "n", "email": "e", "seen_at": "2020-01-01 00:00:00"} for n in (7, 8)}
            )
            assert {2, 3, 4} | {7, 8} == set(lab.table("customers"))
            night = run(machine)
            assert night.result is not None
            assert 2 == night.result.acted
        lab.environ["RETENTION_MAX_RECORDS"] = "1"
        lab.memory.tables["customers"].update(
            {(n,): {"id": n, "name": "n", "email": "e", "seen_at": "2020-01-01 00:00:00"} for n in (7, 8)}
        )
        with lab.machine() as machine:
            assert {"max_records"} == {each.brake for each in run(machine).tripped}
        assert {2, 3, 4, 7, 8} == set(lab.table("customers"))

    @pytest.mark.parametrize("days", [-2, 60])
    def test_stops_when_the_clock_cannot_be_right(self, lab: Lab, days: int) -> None:
        """A clock that went back before the last run, or leapt far ahead of it, stops everything."""
        with lab.machine() as machine:
            lab.plan_and_apply(machine)
            lab.moment += dt.timedelta(days=days)
            assert {"clock"} == {each.brake for each in run(machine).tripped}

    def test_stops_when_the_clock_leaps_while_it_begins(self, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
        """A machine that slept while a crash was being resolved has a wrong day afterwards: nothing is done by that."""

        def slept(*_: object) -> list[object]:
            lab.moment += dt.timedelta(days=3650)
            return []

        with lab.machine() as machine:
            lab.plan_and_apply(machine)
            monkeypatch.setattr(running, "reconcile", slept)
            left = set(lab.table("customers"))
            night = run(machine)
        assert ("clock", None) == (night.tripped[0].brake, night.result)
        assert left == set(lab.table("customers"))

    def test_a_new_column_stops_that_source_only(self, lab: Lab) -> None:
        """Personal data may have moved in: a person looks first, the other sources go on."""
        with lab.machine() as machine:
            lab.plan_and_apply(machine)
            for record in lab.memory.tables["invoices"].values():
                record["iban"] = "x"
            lab.memory.tables["customers"][7,] = {"id": 7, "name": "n", "email": "e", "seen_at": "2020-01-01 00:00:00"}
            night = run(machine)
        assert night.result is not None
        assert (5, ["invoices"]) == (night.result.exit_code, list(night.result.failed))
        assert 7 not in lab.table("customers")
