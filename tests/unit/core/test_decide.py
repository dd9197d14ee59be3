"""What is decided about one record."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from tests.strategies import (
    AMSTERDAM,
    plain_policy,
)
from worker.core.conditions import Compare, Every, Op
from worker.core.decide import Decision, Due, Held, Kept, Outcome, Partly, Undecided, Waiting, deadline, decide
from worker.core.facts import Empty, Fact, FieldType, Known, NotApplicable, NotYet, Reading, Unknown
from worker.core.model import Combine, Disposition, DispositionKind, LegalBasis, Policy, Purpose, StartEvent, Step
from worker.core.periods import Anchor, Period, Term
from worker.core.purposes import Ended, NeverApplied, Running, Undetermined, start_of
from worker.core.sources import ANSWERED, Field, Source, Treatment, TreatmentKind
from worker.core.standing import NOTHING, Hold, HoldKind, Request, RequestKind, Standing

TODAY = dt.date(2026, 7, 1)
_READING = Reading(FieldType.DATE, Empty.UNKNOWN, AMSTERDAM)
_CLEAR = Treatment(TreatmentKind.CLEAR)
SOURCE = Source(
    "contacts",
    "crm",
    "contacts",
    ("id",),
    (
        Field("spoken_on", "spoken_on", _READING),
        Field("invoiced_on", "invoiced_on", _READING),
        Field("name", "name", _READING, personal=True, treatment=_CLEAR),
        Field("notes", "notes", _READING, personal=True, treatment=_CLEAR),
    ),
)
BOTH = ("name", "notes")
PURGE = Step(DispositionKind.DELETE)
COVER = Step(DispositionKind.PSEUDONYMISE)


def purpose(name: str = "contact", start: str = "spoken_on", keep: str = "P2Y", **changes: Any) -> Purpose:
    """Return a purpose that keeps both personal fields."""
    anchor = changes.pop("anchor", Anchor.DAY)
    defaults: dict[str, Any] = {"basis": LegalBasis.LEGITIMATE_INTERESTS, "fields": BOTH}
    return Purpose(name, start=StartEvent((start,)), term=Term(Period.parse(keep), anchor), **(defaults | changes))


CONTACT = purpose()
INVOICES = purpose("invoices", "invoiced_on", "P7Y", fields=("name",), basis=LegalBasis.LEGAL_OBLIGATION, anchor=Anchor.END_OF_FISCAL_YEAR)


def spoken(day: str, invoiced: Fact | None = None) -> dict[str, Fact]:
    """Return the facts of a contact last spoken to on a day."""
    return {"spoken_on": Known(dt.date.fromisoformat(day)), "invoiced_on": invoiced or NotApplicable()}


def outcome(facts: Mapping[str, Fact], *held: Purpose, standing: Standing = NOTHING, today: dt.date = TODAY, **more: Any) -> Outcome:
    """Return the outcome for a policy of some purposes that deletes."""
    return decide(facts, plain_policy(*held, source=SOURCE), standing, today, **more).outcome


class TestTime:
    """Through the whole of the due day, and not a day less."""

    def test_through_the_due_day(self) -> None:
        """The due day itself still keeps; the next day is the first on which the record may go."""
        facts = spoken("2024-07-01")
        assert Kept() == outcome(facts, CONTACT, today=dt.date(2026, 7, 1))
        assert Due(DispositionKind.DELETE, (), dt.date(2026, 7, 1)) == outcome(facts, CONTACT, today=dt.date(2026, 7, 2))

    def test_leap_day(self) -> None:
        """29 February and a year is 28 February."""
        held = purpose(keep="P1Y")
        assert Kept() == outcome(spoken("2024-02-29"), held, today=dt.date(2025, 2, 28))
        assert Due(DispositionKind.DELETE, (), dt.date(2025, 2, 28)) == outcome(spoken("2024-02-29"), held, today=dt.date(2025, 3, 1))

    def test_seven_fiscal_years(self) -> None:
        """An invoice of 30 June 2018 is kept through the last day of 2025."""
        held = purpose(keep="P7Y", anchor=Anchor.END_OF_FISCAL_YEAR)
        assert Kept() == outcome(spoken("2018-06-30"), held, today=dt.date(2025, 12, 31))
        assert Due(DispositionKind.DELETE, (), dt.date(2025, 12, 31)) == outcome(spoken("2018-06-30"), held, today=dt.date(2026, 1, 1))

    def test_year_overflow_keeps(self) -> None:
        """A period that leaves the calendar keeps for ever instead of failing."""
        assert Kept() == outcome(spoken("2020-01-01"), purpose(keep="P9999Y"))


class TestFields:
    """Only what no purpose needs."""

    def test_partly(self) -> None:
        """The invoice keeps the name; the notes go."""
        facts = spoken("2020-01-01", Known(dt.date(2020, 5, 5)))
        assert Partly(("notes",), dt.date(2022, 1, 1)) == outcome(facts, CONTACT, INVOICES)

    def test_partly_and_treated_is_kept(self) -> None:
        """A field that was treated before is not due again."""
        facts = spoken("2020-01-01", Known(dt.date(2020, 5, 5)))
        assert Kept() == outcome(facts, CONTACT, INVOICES, untreated=frozenset({"name"}))

    def test_the_longest_wins(self) -> None:
        """When all have ended the due day is the latest of their ends."""
        facts = spoken("2020-01-01", Known(dt.date(2015, 5, 5)))
        assert Due(DispositionKind.DELETE, (), dt.date(2022, 12, 31)) == outcome(facts, CONTACT, INVOICES)

    def test_never_applied_leaves_it_to_the_others(self) -> None:
        """A purpose without anything to do with the record keeps nothing."""
        assert Due(DispositionKind.DELETE, (), dt.date(2022, 1, 1)) == outcome(spoken("2020-01-01"), CONTACT, INVOICES)

    def test_uncovered_is_kept_and_reported(self) -> None:
        """A field that only purposes which never applied list is a gap in the policy, and kept."""
        decision = decide(spoken("2020-01-01"), plain_policy(INVOICES, source=SOURCE), NOTHING, TODAY)
        assert Decision(Kept(), (NeverApplied("its start event does not apply"),), (), BOTH) == decision

    def test_uncovered_keeps_the_record(self) -> None:
        """A field that no purpose lists keeps the record from being deleted."""
        decision = decide(spoken("2020-01-01"), plain_policy(purpose(fields=("name",)), source=SOURCE), NOTHING, TODAY)
        assert (Partly(("name",), dt.date(2022, 1, 1)), ("notes",)) == (decision.outcome, decision.uncovered)

    def test_unknown_keeps_and_is_reported(self) -> None:
        """An unknown start leaves the purpose open, whatever the others say."""
        facts: dict[str, Fact] = {"spoken_on": Known(dt.date(2010, 1, 1)), "invoiced_on": Unknown("empty")}
        decision = decide(facts, plain_policy(CONTACT, INVOICES, source=SOURCE), NOTHING, TODAY)
        assert (Partly(("notes",), dt.date(2012, 1, 1)), ("invoices",)) == (decision.outcome, decision.undetermined)
        assert Undetermined("invoiced_on: empty") == decision.purposes[1]

    def test_waiting_for_an_event_keeps(self) -> None:
        """What has not ended yet is not old."""
        assert Kept() == outcome(spoken("2010-01-01", NotYet()), purpose(start="invoiced_on"))

    def test_condition(self) -> None:
        """A false condition means the purpose never applied; an unknown one leaves it open."""
        held = purpose(when=Compare("invoiced_on", Op.LT, (dt.date(2020, 1, 1),)))
        states = [
            type(decide(spoken("2010-01-01", fact), plain_policy(held, source=SOURCE), NOTHING, TODAY).purposes[0])
            for fact in (Known(dt.date(2019, 1, 1)), Known(dt.date(2021, 1, 1)), Unknown("empty"))
        ]
        assert [Ended, NeverApplied, Undetermined] == states

    def test_follows_record(self) -> None:
        """A field that follows its record is due with the last of the others, and never before."""
        follower = Field("ip", "ip", _READING, personal=True, treatment=_CLEAR, follows_record=True)
        source = Source("contacts", "crm", "contacts", ("id",), (*SOURCE.fields, follower))
        policy = plain_policy(CONTACT, INVOICES, source=source, steps=(COVER,))
        partly = decide(spoken("2020-01-01", Known(dt.date(2020, 5, 5))), policy, NOTHING, TODAY).outcome
        whole = decide(spoken("2020-01-01"), policy, NOTHING, TODAY).outcome
        assert Partly(("notes",), dt.date(2022, 1, 1)) == partly
        assert Due(DispositionKind.PSEUDONYMISE, (*BOTH, "ip"), dt.date(2022, 1, 1)) == whole


class TestStart:
    """Several facts as one event."""

    EARLY, LATE = Known(dt.date(2020, 1, 1)), Known(dt.date(2021, 1, 1))

    @pytest.mark.parametrize(
        ("combine", "members", "expected"),
        [
            (Combine.LATEST_OF, (EARLY, LATE), LATE),
            (Combine.LATEST_OF, (EARLY, NotApplicable()), EARLY),
            (Combine.LATEST_OF, (EARLY, NotYet()), NotYet()),
            (Combine.LATEST_OF, (NotApplicable(), NotApplicable()), NotApplicable()),
            (Combine.LATEST_OF, (EARLY, Unknown("empty")), Unknown("b: empty")),
            (Combine.ALL_OF, (EARLY, LATE), LATE),
            (Combine.ALL_OF, (EARLY, NotApplicable()), NotApplicable()),
            (Combine.ALL_OF, (EARLY, NotYet()), NotYet()),
            (Combine.EARLIEST_OF, (EARLY, LATE), EARLY),
            (Combine.EARLIEST_OF, (NotYet(), LATE), LATE),
            (Combine.EARLIEST_OF, (NotYet(), NotApplicable()), NotYet()),
            (Combine.EARLIEST_OF, (EARLY, Unknown("empty")), Unknown("b: empty")),
            (Combine.LATEST_OF, (Known("soon"), LATE), Unknown("a: not a day")),
        ],
    )
    def test_combined(self, combine: Combine, members: tuple[Fact, Fact], expected: Fact) -> None:
        """Open members are waited for, members that don't apply are left out, unknown ones make the whole unknown."""
        assert expected == start_of(StartEvent(("a", "b"), combine), dict(zip("ab", members, strict=True)))


class TestDisposition:
    """What happens to a record that nobody needs."""

    OLD = spoken("2020-01-01")

    def policy(self, *dispositions: Disposition) -> Policy:
        """Return a policy with these dispositions."""
        return Policy(SOURCE, (CONTACT,), dispositions)

    def test_first_true_condition_wins(self) -> None:
        """Dispositions are read in order."""
        never = Disposition((PURGE,), Compare("invoiced_on", Op.EXISTS, (True,)))
        decision = decide(self.OLD, self.policy(never, Disposition((COVER,)), Disposition((PURGE,))), NOTHING, TODAY)
        assert Due(DispositionKind.PSEUDONYMISE, BOTH, dt.date(2022, 1, 1)) == decision.outcome

    def test_an_unknown_condition_of_a_purpose_names_what_nobody_knows(self) -> None:
        """Whoever reads the finding knows which fact to look at, and why it is unknown; what is known is not named."""
        asks = Every((Compare("invoiced_on", Op.EXISTS, (True,)), Compare("spoken_on", Op.EXISTS, (True,))))
        policy = Policy(SOURCE, (replace(CONTACT, when=asks),), (Disposition((PURGE,)),))
        decision = decide(self.OLD | {"invoiced_on": Unknown("not a date")}, policy, NOTHING, TODAY)
        assert (Undetermined("its condition is unknown: invoiced_on: not a date"),) == decision.purposes

    def test_unknown_condition_stops_the_reading(self) -> None:
        """Nobody knows which disposition is meant, so the record stays."""
        maybe = Disposition((COVER,), Compare("invoiced_on", Op.EXISTS, (True,)))
        facts = self.OLD | {"invoiced_on": Unknown("empty")}
        decision = decide(facts, self.policy(maybe, Disposition((PURGE,))), NOTHING, TODAY)
        assert Undecided("a disposition's condition is unknown", dt.date(2022, 1, 1)) == decision.outcome

    def test_none_matches(self) -> None:
        """A record for which no disposition was declared is a finding; nothing deletes by default."""
        assert Undecided("no disposition matches", dt.date(2022, 1, 1)) == decide(self.OLD, self.policy(), NOTHING, TODAY).outcome

    def test_blocking_rows(self) -> None:
        """Rows that must stay keep their parent."""
        assert Waiting(("invoices",), dt.date(2022, 1, 1)) == outcome(self.OLD, CONTACT, blocking=("invoices",))

    def test_review(self) -> None:
        """A review touches no field."""
        policy = self.policy(Disposition((Step(DispositionKind.REVIEW),)))
        assert Due(DispositionKind.REVIEW, (), dt.date(2022, 1, 1)) == decide(self.OLD, policy, NOTHING, TODAY).outcome

    @pytest.mark.parametrize(
        ("today", "expected"),
        [
            (dt.date(2023, 5, 1), Kept()),
            (dt.date(2023, 5, 2), Due(DispositionKind.REVIEW, (), dt.date(2023, 5, 1))),
        ],
    )
    @pytest.mark.parametrize("steps", [(), (Step(DispositionKind.DELETE, Period(months=1)),)])
    def test_an_answered_review(self, today: dt.date, expected: Outcome, steps: tuple[Step, ...]) -> None:
        """It is kept through the day a person named and then theirs to review again, also where nobody's answer would mean deletion."""
        policy = self.policy(Disposition((Step(DispositionKind.REVIEW), *steps)))
        facts = self.OLD | {ANSWERED: Known(dt.date(2023, 5, 1))}
        assert expected == decide(facts, policy, NOTHING, today).outcome
        erased = Standing(requests=(Request("r", RequestKind.ERASE, dt.date(2023, 1, 1), verified=True),))
        assert isinstance(decide(facts, policy, erased, dt.date(2023, 5, 1)).outcome, Due)

    @pytest.mark.parametrize(
        ("held", "asked", "stands"),
        [
            (CONTACT, Request("r", RequestKind.OBJECT, dt.date(2023, 1, 1), marketing=True), True),
            (purpose(marketing=True), Request("r", RequestKind.OBJECT, dt.date(2023, 1, 1), marketing=True), False),
            (CONTACT, Request("r", RequestKind.WITHDRAW, dt.date(2023, 1, 1), consent="news"), True),
            (purpose(basis=LegalBasis.CONSENT, consents=("news",)), Request("r", RequestKind.WITHDRAW, dt.date(2023, 1, 1)), False),
            (purpose(basis=LegalBasis.CONTRACT), Request("r", RequestKind.OBJECT, dt.date(2023, 1, 1), upheld=True), True),
            (CONTACT, Request("r", RequestKind.OBJECT, dt.date(2023, 1, 1), upheld=True), False),
            (purpose(legal_claim=True), Request("r", RequestKind.OBJECT, dt.date(2023, 1, 1), upheld=True), True),
        ],
    )
    def test_an_answer_stands_against_a_request_about_something_else(self, held: Purpose, asked: Request, stands: bool) -> None:
        """Who leaves the newsletter takes nothing back of what a person decided about a file that rests on something else."""
        policy = Policy(SOURCE, (held,), (Disposition((Step(DispositionKind.REVIEW), Step(DispositionKind.DELETE, Period(months=1)))),))
        decision = decide(self.OLD | {ANSWERED: Known(dt.date(2023, 5, 1))}, policy, Standing(requests=(asked,)), dt.date(2023, 4, 1))
        assert stands is (decision.outcome == Kept())

    @pytest.mark.parametrize(("today", "kept"), [(dt.date(2023, 5, 1), True), (dt.date(2023, 5, 2), False)])
    def test_an_answered_review_of_a_record_that_is_needed_again(self, today: dt.date, kept: bool) -> None:
        """A purpose more never makes sooner: fields that a person kept with their record stay though some other is needed again."""
        policy = Policy(SOURCE, (CONTACT, INVOICES), (Disposition((Step(DispositionKind.REVIEW),)),))
        facts = spoken("2020-01-01", Known(dt.date(2022, 3, 1))) | {ANSWERED: Known(dt.date(2023, 5, 1))}
        assert (Kept() if kept else Partly(("notes",), dt.date(2023, 5, 1))) == decide(facts, policy, NOTHING, today).outcome
        erased = Standing(requests=(Request("r", RequestKind.ERASE, dt.date(2023, 1, 1), verified=True),))
        assert Partly(("notes",), dt.date(2022, 1, 1)) == decide(facts, policy, erased, today).outcome

    @pytest.mark.parametrize(
        ("today", "untreated", "expected"),
        [
            (dt.date(2022, 1, 1), None, Kept()),
            (dt.date(2022, 1, 2), None, Due(DispositionKind.PSEUDONYMISE, BOTH, dt.date(2022, 1, 1))),
            (dt.date(2022, 1, 2), frozenset({"notes"}), Due(DispositionKind.PSEUDONYMISE, ("notes",), dt.date(2022, 1, 1))),
            (dt.date(2022, 1, 2), frozenset[str](), Kept()),
            (dt.date(2023, 1, 1), frozenset[str](), Kept()),
            (dt.date(2023, 1, 2), frozenset[str](), Due(DispositionKind.DELETE, (), dt.date(2023, 1, 1))),
        ],
    )
    def test_chain(self, today: dt.date, untreated: frozenset[str] | None, expected: Outcome) -> None:
        """Every step counts from the original start event; of several due steps the last runs; a treated field is not due again."""
        policy = self.policy(Disposition((COVER, Step(DispositionKind.DELETE, Period(years=1)))))
        assert expected == decide(self.OLD, policy, NOTHING, today, untreated=untreated).outcome

    def test_chain_is_not_added_step_by_step(self) -> None:
        """29 February 2020 and P1M and P1Y is 29 March 2021, although a month's clamp lies between."""
        policy = Policy(SOURCE, (purpose(keep="P12M"),), (Disposition((COVER, Step(DispositionKind.DELETE, Period(years=3)))),))
        decision = decide(spoken("2020-02-29"), policy, NOTHING, dt.date(2024, 3, 1))
        assert Due(DispositionKind.DELETE, (), dt.date(2024, 2, 29)) == decision.outcome


def asked(kind: RequestKind, day: str = "2026-06-01", **more: Any) -> Standing:
    """Return the standing of a record with one request."""
    return Standing(requests=(Request("r1", kind, dt.date.fromisoformat(day), **more),))


ERASE = asked(RequestKind.ERASE, verified=True)
B = LegalBasis
ENDS, STAYS = "ends", "stays"


class TestRequests:
    """Legal basis has teeth."""

    @pytest.mark.parametrize(
        ("basis", "erase", "withdraw", "upheld"),
        [
            (B.CONSENT, ENDS, ENDS, STAYS),
            (B.CONTRACT, ENDS, STAYS, STAYS),
            (B.LEGAL_OBLIGATION, STAYS, STAYS, STAYS),
            (B.VITAL_INTERESTS, STAYS, STAYS, STAYS),
            (B.PUBLIC_TASK, STAYS, STAYS, ENDS),
            (B.LEGITIMATE_INTERESTS, ENDS, STAYS, ENDS),
        ],
    )
    def test_every_basis(self, basis: LegalBasis, erase: str, withdraw: str, upheld: str) -> None:
        """What each kind of request ends; exporting and restricting end nothing, an unverified erasure or undecided objection neither."""
        held = purpose(keep="P5Y", basis=basis, consents=("news",) if basis is B.CONSENT else ())

        def effect(standing: Standing, asked_of: Purpose = held) -> str:
            state = decide(spoken("2026-01-01"), plain_policy(asked_of, source=SOURCE), standing, TODAY).purposes[0]
            return ENDS if isinstance(state, Ended) and state.on == dt.date(2026, 6, 1) else STAYS

        assert erase == effect(ERASE)
        assert withdraw == effect(asked(RequestKind.WITHDRAW, consent="news")) == effect(asked(RequestKind.WITHDRAW))
        assert upheld == effect(asked(RequestKind.OBJECT, upheld=True))
        assert STAYS == effect(asked(RequestKind.OBJECT, marketing=True)) == effect(asked(RequestKind.OBJECT))
        for kind in (RequestKind.EXPORT, RequestKind.RESTRICT):
            assert STAYS == effect(asked(kind, verified=True))
        assert STAYS == effect(asked(RequestKind.ERASE))

    def test_other_consent_stays(self) -> None:
        """Withdrawing one named consent leaves what rests on another."""
        held = purpose(basis=B.CONSENT, consents=("future-use",))
        assert Kept() == outcome(spoken("2026-01-01"), held, standing=asked(RequestKind.WITHDRAW, consent="news"))

    def test_withdrawal_falls_back_to_the_base_term(self) -> None:
        """An applicant's year ends with the consent; the eight weeks that need none remain."""
        weeks, year = purpose("procedure", keep="P8W"), purpose("later", keep="P1Y", basis=B.CONSENT, consents=("future-use",))
        gone = asked(RequestKind.WITHDRAW, day="2026-05-10", consent="future-use")
        facts = spoken("2026-05-01")
        assert Kept() == outcome(facts, weeks, year, standing=gone, today=dt.date(2026, 6, 26))
        expected = Due(DispositionKind.DELETE, (), dt.date(2026, 6, 26))
        assert expected == outcome(facts, weeks, year, standing=gone, today=dt.date(2026, 6, 27))

    def test_marketing_objection(self) -> None:
        """An objection to direct marketing ends that purpose on its day and suspends nothing else."""
        expected = Due(DispositionKind.DELETE, (), dt.date(2026, 6, 1))
        assert expected == outcome(spoken("2026-01-01"), purpose(marketing=True), standing=asked(RequestKind.OBJECT, marketing=True))

    @pytest.mark.parametrize("kind", [RequestKind.OBJECT, RequestKind.RESTRICT])
    def test_restricts(self, kind: RequestKind) -> None:
        """Any other objection, and a wish to restrict, suspend deletion until a person decides."""
        expected = Held(("r1",), Due(DispositionKind.DELETE, (), dt.date(2022, 1, 1)))
        assert expected == outcome(spoken("2020-01-01"), CONTACT, standing=asked(kind))

    def test_an_upheld_objection(self) -> None:
        """It no longer restricts: what has been due for long goes as it was, the rest on the day the objection came in (GDPR 17(1)(c))."""
        upheld = asked(RequestKind.OBJECT, upheld=True)
        for started, due in (("2020-01-01", "2022-01-01"), ("2026-01-01", "2026-06-01")):
            expected = Due(DispositionKind.DELETE, (), dt.date.fromisoformat(due))
            assert expected == outcome(spoken(started), CONTACT, standing=upheld)
        assert Partly(("notes",), dt.date(2026, 6, 1)) == outcome(
            spoken("2026-01-01", Known(dt.date(2025, 5, 5))), CONTACT, INVOICES, standing=upheld
        )

    def test_legal_claim_stays(self) -> None:
        """What is needed for legal claims is not erased (GDPR 17(3)(e)), nor ended by an objection (21(1))."""
        for standing in (ERASE, asked(RequestKind.OBJECT, upheld=True)):
            assert Kept() == outcome(spoken("2026-01-01"), purpose(legal_claim=True), standing=standing)

    def test_erasure_leaves_the_invoice(self) -> None:
        """Tax law keeps the name; the rest goes."""
        facts = spoken("2026-01-01", Known(dt.date(2025, 5, 5)))
        assert Partly(("notes",), dt.date(2026, 6, 1)) == outcome(facts, CONTACT, INVOICES, standing=ERASE)

    @pytest.mark.parametrize("end", [NotYet(), Unknown("empty"), Known(dt.date(2026, 12, 31)), Known(TODAY)])
    def test_running_contract_stays(self, end: Fact) -> None:
        """A contract that has not ended, whose end is planned, or of which nobody knows the end, outlives a request for erasure."""
        held = purpose(start="invoiced_on", keep="P5Y", basis=B.CONTRACT)
        assert Kept() == outcome(spoken("2020-01-01", end), held, standing=ERASE)

    def test_contract_that_ends_today_still_runs(self) -> None:
        """The day on which a contract ends belongs to it."""
        held = purpose(keep="P5Y", basis=B.CONTRACT)
        state = decide(spoken(str(TODAY)), plain_policy(held, source=SOURCE), ERASE, TODAY).purposes[0]
        assert Running(dt.date(2031, 7, 1), "its period runs") == state

    def test_the_day_of_the_request_still_keeps(self) -> None:
        """A purpose that a request ends is kept through that day, like every other."""
        same_day = asked(RequestKind.ERASE, str(TODAY), verified=True)
        assert Kept() == outcome(spoken("2026-01-01"), CONTACT, standing=same_day)
        expected = Due(DispositionKind.DELETE, (), TODAY)
        assert expected == outcome(spoken("2026-01-01"), CONTACT, standing=same_day, today=dt.date(2026, 7, 2))

    def test_contract_that_ended_after_the_request(self) -> None:
        """The request ends the purpose on the day the contract ended, not before."""
        held = purpose(keep="P5Y", basis=B.CONTRACT)
        assert Due(DispositionKind.DELETE, (), dt.date(2026, 6, 20)) == outcome(spoken("2026-06-20"), held, standing=ERASE)

    def test_processor_forwards(self) -> None:
        """In records kept for somebody else a request is not executed."""
        theirs = Source("contacts", "crm", "contacts", ("id",), SOURCE.fields, controller=False)
        assert Kept() == decide(spoken("2026-01-01"), plain_policy(CONTACT, source=theirs), ERASE, TODAY).outcome

    def test_a_request_never_lengthens(self) -> None:
        """A later step of a chain is due by the purpose's own period when that is sooner than by the request."""
        policy = Policy(SOURCE, (CONTACT,), (Disposition((COVER, Step(DispositionKind.DELETE, Period(years=1)))),))
        late = asked(RequestKind.ERASE, day="2022-06-01", verified=True)
        expected = Due(DispositionKind.DELETE, (), dt.date(2023, 1, 1))
        assert expected == decide(spoken("2020-01-01"), policy, late, dt.date(2023, 1, 2)).outcome

    def test_a_request_to_come_ends_nothing_yet(self) -> None:
        """Looking back to a day before a request, the purpose's own period still counts."""
        state = decide(
            spoken("2024-07-01"), plain_policy(CONTACT, source=SOURCE), asked(RequestKind.ERASE, "2027-01-01", verified=True), TODAY
        )
        assert (Running(dt.date(2026, 7, 1), "its period runs"),) == state.purposes


class TestHolds:
    """A hold always wins."""

    @pytest.mark.parametrize(
        ("kind", "standing_requests", "is_held"),
        [
            (HoldKind.LEGAL, (), True),
            (HoldKind.DISPUTE, (), True),
            (HoldKind.RESTRICTION, (), True),
            (HoldKind.LEGAL, ERASE.requests, True),
            (HoldKind.DISPUTE, ERASE.requests, True),
            (HoldKind.RESTRICTION, ERASE.requests, False),
            (HoldKind.RESTRICTION, asked(RequestKind.ERASE).requests, True),
        ],
    )
    def test_kinds(self, kind: HoldKind, standing_requests: tuple[Request, ...], is_held: bool) -> None:
        """Legal matters outrank erasure; a subject's own restriction does not outrank the subject's own verified erasure."""
        found = outcome(spoken("2020-01-01"), CONTACT, standing=Standing((Hold("h1", kind),), standing_requests))
        assert is_held == isinstance(found, Held)

    def test_released(self) -> None:
        """After a release the due day is the original one; the deadline is the release and the window, when that is later."""
        policy = Policy(SOURCE, (CONTACT,), (Disposition((PURGE,)),), window=Period(days=7))
        released = Standing((Hold("h1", HoldKind.LEGAL, dt.date(2026, 6, 1)),))
        assert Due(DispositionKind.DELETE, (), dt.date(2022, 1, 1)) == decide(spoken("2020-01-01"), policy, released, TODAY).outcome
        assert dt.date(2026, 6, 8) == deadline(policy, dt.date(2022, 1, 1), released)
        assert dt.date(2022, 1, 8) == deadline(policy, dt.date(2022, 1, 1))
        assert dt.date(2026, 7, 7) == deadline(policy, dt.date(2026, 6, 30), released)
