"""Consents that records state, purposes that prolong others by them, and events that are waited for too long."""

import datetime as dt
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.calendars import periods
from tests.strategies import AMSTERDAM, RULE, days, plain_policy, selects
from worker.core.consents import agreed_since
from worker.core.decide import Due, Kept, decide
from worker.core.facts import Empty, Fact, FieldType, Known, NotApplicable, NotYet, Reading, Unknown
from worker.core.model import Combine, DispositionKind, LegalBasis, Policy, Purpose, StartEvent, Step
from worker.core.periods import Anchor, Period, Term
from worker.core.purposes import Ended, NeverApplied, PurposeState, Running, Undetermined
from worker.core.select import due, undetermined
from worker.core.sources import ANSWERED, Consent, Field, Source, Treatment, TreatmentKind
from worker.core.standing import NOTHING, Request, RequestKind, Standing

TODAY = dt.date(2026, 7, 1)
_OPTIONAL = Reading(FieldType.DATE, Empty.NOT_APPLICABLE, AMSTERDAM)
_DAYS = ("ended_on", "applied_on", "withdrew_application_on", "agreed_on", "withdrew_on", "closed_on", "received_on")
SOURCE = Source(
    "applications",
    "files",
    "applications",
    ("id",),
    (*(Field(name, name, _OPTIONAL) for name in _DAYS), Field("name", "name", _OPTIONAL, personal=True)),
    consents=(Consent("application", "applied_on", "withdrew_application_on"), Consent("future-use", "agreed_on", "withdrew_on")),
)
BASE = Purpose("application", LegalBasis.LEGITIMATE_INTERESTS, ("name",), StartEvent(("ended_on",)), Term(Period(weeks=4)))
LATER = replace(BASE, id="later", basis=LegalBasis.CONSENT, term=Term(Period(years=1)), consents=("future-use",), extends="application")
BY_CONSENT = replace(BASE, basis=LegalBasis.CONSENT, consents=("application",))
BOTH = replace(LATER, consents=("application", "future-use"))
ENDED = dt.date(2026, 3, 2)
BASE_DUE, YEAR_DUE = dt.date(2026, 3, 30), dt.date(2027, 3, 2)


def facts(**known: dt.date | Fact | None) -> dict[str, Fact]:
    """Return the facts of an applicant; what is not named does not apply."""
    stated = {
        name: NotApplicable() if value is None else Known(value) if isinstance(value, dt.date) else value for name, value in known.items()
    }
    return dict.fromkeys(_DAYS, NotApplicable()) | stated


def policy(*purposes: Purpose) -> Policy:
    """Return a policy that deletes applications."""
    return plain_policy(*(purposes or (BASE, LATER)), source=SOURCE)


def due_day(held: Policy, known: dict[str, Fact], standing: Standing = NOTHING) -> dt.date | None:
    """Return the last day on which a record is kept; None when there is none."""
    far = decide(known, held, standing, dt.date(2200, 1, 1)).outcome
    if not isinstance(far, Due):
        return None
    # The day is what the promises are about: on it nothing happens, the next day it does.
    assert Kept() == decide(known, held, standing, far.due).outcome
    assert Due(DispositionKind.DELETE, (), far.due) == decide(known, held, standing, far.due + dt.timedelta(days=1)).outcome
    return far.due


def state(purpose: Purpose, known: dict[str, Fact], *others: Purpose, today: dt.date = TODAY, standing: Standing = NOTHING) -> PurposeState:
    """Return the state of one purpose of a policy."""
    return decide(known, policy(purpose, *others), standing, today).purposes[0]


class TestOneConsent:
    """RR-2: eight weeks (here four) without consent, a year with it."""

    @pytest.mark.parametrize(
        ("agreed", "withdrew", "expected"),
        [
            (None, None, BASE_DUE),
            (dt.date(2026, 3, 1), None, YEAR_DUE),
            (BASE_DUE, None, YEAR_DUE),
            (dt.date(2026, 3, 31), None, BASE_DUE),
            (dt.date(2026, 3, 1), dt.date(2026, 3, 10), BASE_DUE),
            (dt.date(2026, 3, 1), dt.date(2026, 5, 20), dt.date(2026, 5, 20)),
            (dt.date(2026, 3, 1), dt.date(2026, 3, 1), BASE_DUE),
            (dt.date(2026, 3, 1), dt.date(2026, 2, 1), YEAR_DUE),
            (dt.date(2026, 3, 1), dt.date(2028, 1, 1), YEAR_DUE),
            (None, dt.date(2026, 2, 1), BASE_DUE),
            (NotYet(), Unknown("empty"), BASE_DUE),
        ],
    )
    def test_calendar(self, agreed: Any, withdrew: Any, expected: dt.date) -> None:
        """Not given, in time, on the last day, too late, withdrawn early, late, on one day, before it was given again, after the year."""
        assert expected == due_day(policy(), facts(ended_on=ENDED, agreed_on=agreed, withdrew_on=withdrew))

    @pytest.mark.parametrize("unknown", ["agreed_on", "withdrew_on"])
    def test_unknown_keeps_and_reports(self, unknown: str) -> None:
        """Nobody knows whether the consent stands, so the record is kept and reported."""
        known = facts(ended_on=ENDED, agreed_on=ENDED) | {unknown: Unknown("not a date")}
        decision = decide(known, policy(), NOTHING, dt.date(2030, 1, 1))
        assert (Kept(), ("later",)) == (decision.outcome, decision.undetermined)
        assert Undetermined(f"{unknown}: not a date") == decision.purposes[1]

    def test_no_day(self) -> None:
        """A consent fact that is no day says nothing."""
        assert Undetermined("agreed_on: not a day") == state(LATER, facts(ended_on=ENDED, agreed_on=Known("yes")), BASE)

    def test_ends_what_has_not_begun(self) -> None:
        """A withdrawal ends the purpose also while its start event lies ahead or is unknown."""
        for start in (NotYet(), Unknown("empty")):
            known = facts(ended_on=start, applied_on=dt.date(2026, 1, 1), withdrew_application_on=dt.date(2026, 2, 1))
            assert Ended(dt.date(2026, 2, 1), "its consent was withdrawn") == state(BY_CONSENT, known)

    def test_a_withdrawal_ahead(self) -> None:
        """A withdrawal on a day to come ends the purpose then, and not yet."""
        known = facts(ended_on=NotYet(), applied_on=dt.date(2026, 1, 1), withdrew_application_on=TODAY)
        assert Running(TODAY, "its consent was withdrawn") == state(BY_CONSENT, known)

    def test_undeclared(self) -> None:
        """A consent that the source does not state is in force until a request withdraws it."""
        held = replace(BASE, basis=LegalBasis.CONSENT, consents=("news",))
        asked = Standing(requests=(Request("r", RequestKind.WITHDRAW, dt.date(2026, 3, 5), consent="news"),))
        assert BASE_DUE == due_day(policy(held), facts(ended_on=ENDED))
        assert dt.date(2026, 3, 5) == due_day(policy(held), facts(ended_on=ENDED), asked)


class TestTwoConsents:
    """CX-6: two consents by name."""

    GIVEN = facts(ended_on=ENDED, applied_on=dt.date(2026, 1, 5), agreed_on=dt.date(2026, 3, 1))

    def test_both_in_force(self) -> None:
        """The year counts while both stand."""
        assert YEAR_DUE == due_day(policy(BY_CONSENT, BOTH), self.GIVEN)

    def test_future_use_withdrawn(self) -> None:
        """Withdrawing `future-use` falls back to the base term."""
        known = self.GIVEN | {"withdrew_on": Known(dt.date(2026, 3, 10))}
        assert BASE_DUE == due_day(policy(BY_CONSENT, BOTH), known)

    def test_application_withdrawn(self) -> None:
        """Withdrawing `application` ends everything that rests on it that day."""
        known = self.GIVEN | {"withdrew_application_on": Known(dt.date(2026, 3, 10))}
        assert dt.date(2026, 3, 10) == due_day(policy(BY_CONSENT, BOTH), known)

    def test_one_missing(self) -> None:
        """A purpose that rests on two consents needs both, whatever is unknown about the other."""
        known = self.GIVEN | {"agreed_on": NotApplicable(), "applied_on": Unknown("empty")}
        assert NeverApplied("its consent was not given") == state(replace(BOTH, extends=None), known)

    def test_request_by_name(self) -> None:
        """A request that withdraws one of them does what the fact would do; one for all ends all."""
        for name, expected in (("future-use", BASE_DUE), ("application", dt.date(2026, 3, 10)), (None, dt.date(2026, 3, 10))):
            asked = Standing(requests=(Request("r", RequestKind.WITHDRAW, dt.date(2026, 3, 10), consent=name),))
            assert expected == due_day(policy(BY_CONSENT, BOTH), self.GIVEN, asked)

    @pytest.mark.parametrize("name", ["future-use", None])
    def test_perhaps_given_again_after_a_request(self, name: str | None) -> None:
        """Where the day of the consent can't be read nobody knows whether it was given again since: kept and reported, not ended."""
        asked = Standing(requests=(Request("r", RequestKind.WITHDRAW, dt.date(2026, 3, 10), consent=name),))
        known = facts(ended_on=ENDED, agreed_on=Unknown("not a date"))
        decision = decide(known, policy(), asked, dt.date(2030, 1, 1))
        assert (Kept(), ("later",)) == (decision.outcome, decision.undetermined)

    def test_given_again_after_a_request(self) -> None:
        """The latest episode counts: a request does not withdraw what was given on a later day, but does on the same."""
        for agreed, expected in ((dt.date(2026, 3, 11), YEAR_DUE), (dt.date(2026, 3, 10), BASE_DUE)):
            asked = Standing(requests=(Request("r", RequestKind.WITHDRAW, dt.date(2026, 3, 10)),))
            assert expected == due_day(policy(), facts(ended_on=ENDED, agreed_on=agreed), asked)


class TestExtends:
    """What prolongs another purpose follows it."""

    AGREED = dt.date(2026, 1, 5)

    def test_the_extended_purpose_decides(self) -> None:
        """Never applied and undetermined are passed on; while its end is not known yet the consent counts."""
        assert isinstance(state(LATER, facts(agreed_on=self.AGREED), BASE), NeverApplied)
        assert isinstance(state(LATER, facts(agreed_on=self.AGREED, ended_on=Unknown("empty")), BASE), Undetermined)
        assert Running(None, "its start event has not happened yet") == state(LATER, facts(agreed_on=self.AGREED, ended_on=NotYet()), BASE)

    def test_its_own_due_day_counts(self) -> None:
        """A request that ends the extended purpose earlier does not make a consent late that was given within its own period."""
        asked = Standing(requests=(Request("r", RequestKind.OBJECT, dt.date(2026, 3, 5), marketing=True),))
        held = policy(replace(BASE, marketing=True), LATER)
        assert YEAR_DUE == due_day(held, facts(ended_on=ENDED, agreed_on=dt.date(2026, 3, 20)), asked)

    def test_a_withdrawn_consent_is_an_end(self) -> None:
        """What extends a purpose that rests on a consent is late when that consent had been withdrawn."""
        known = facts(ended_on=ENDED, applied_on=self.AGREED, withdrew_application_on=dt.date(2026, 3, 5), agreed_on=dt.date(2026, 3, 6))
        assert dt.date(2026, 3, 5) == due_day(policy(BY_CONSENT, LATER), known)

    def test_later_steps_of_a_chain(self) -> None:
        """What a later step adds to the periods does not make a late consent timely."""
        clear = Treatment(TreatmentKind.CLEAR)
        treated = tuple(replace(each, treatment=clear) if each.personal else each for each in SOURCE.fields)
        steps = (Step(DispositionKind.PSEUDONYMISE), Step(DispositionKind.DELETE, Period(years=1)))
        held = plain_policy(BASE, LATER, source=replace(SOURCE, fields=treated), steps=steps)
        late = facts(ended_on=ENDED, agreed_on=dt.date(2026, 5, 1))
        last = dt.date(2027, 3, 30)
        assert Due(DispositionKind.PSEUDONYMISE, ("name",), BASE_DUE) == decide(late, held, NOTHING, last).outcome
        assert Due(DispositionKind.DELETE, (), last) == decide(late, held, NOTHING, last + dt.timedelta(days=1)).outcome


class TestSelection:
    """What a source is asked for stays narrow."""

    @pytest.mark.parametrize(
        ("known", "asked_for"),
        [
            (facts(ended_on=ENDED), True),
            (facts(ended_on=ENDED, agreed_on=ENDED, withdrew_on=TODAY), True),
            (facts(ended_on=TODAY, agreed_on=ENDED), False),
            (facts(ended_on=TODAY, agreed_on=ENDED, withdrew_on=ENDED), False),
            (facts(ended_on=NotYet(), agreed_on=ENDED), False),
        ],
    )
    def test_due(self, known: dict[str, Fact], asked_for: bool) -> None:
        """While the base term runs nothing is asked for, whatever became of the consent."""
        assert asked_for == selects(due(policy(), TODAY), known, ("name",))

    def test_waiting(self) -> None:
        """Records that wait are found among those a person must look at; without an open member there are none to find."""
        reading = replace(_OPTIONAL, empty=Empty.NOT_YET)
        open_ended = tuple(replace(each, reading=reading) if each.name == "ended_on" else each for each in SOURCE.fields)
        held = plain_policy(replace(BASE, since="received_on"), source=replace(SOURCE, fields=open_ended))
        for received, found in ((dt.date(2026, 6, 2), True), (dt.date(2026, 6, 3), False)):
            known = facts(ended_on=NotYet(), received_on=received)
            assert found == selects(undetermined(held, TODAY), known, ("name",)) == bool(decide(known, held, NOTHING, TODAY).waiting)
        for waits, last in ((Period(), dt.date(2026, 6, 30)), (Period(years=5), dt.date(2021, 6, 30))):
            longer = replace(held, purposes=(replace(held.purposes[0], waits=waits),))
            for received, found in ((last, True), (last + dt.timedelta(days=1), False)):
                known = facts(ended_on=NotYet(), received_on=received)
                assert (
                    found == selects(undetermined(longer, TODAY), known, ("name",)) == bool(decide(known, longer, NOTHING, TODAY).waiting)
                )
        never = plain_policy(replace(BASE, since="received_on"), source=SOURCE)
        assert "received_on" not in str(undetermined(never, TODAY))


class TestWaiting:
    """An event that is waited for longer than the purpose's own period is for a person to look at."""

    ACCOUNT = replace(BASE, id="account", start=StartEvent(("ended_on", "closed_on")), term=Term(Period(years=5)))

    @pytest.mark.parametrize("combine", [Combine.LATEST_OF, Combine.ALL_OF])
    def test_known_members(self, combine: Combine) -> None:
        """AL-7: an account still open five years after the agreement's end; on the last day of the five years not yet."""
        held = policy(replace(self.ACCOUNT, start=StartEvent(("ended_on", "closed_on"), combine)))
        known = facts(ended_on=dt.date(2021, 6, 30), closed_on=NotYet())
        on_the_day, after = (decide(known, held, NOTHING, day) for day in (dt.date(2026, 6, 30), TODAY))
        assert (Kept(), ()) == (on_the_day.outcome, on_the_day.waiting)
        assert (Kept(), ("account",)) == (after.outcome, after.waiting)
        running = Running(None, "its start event has not happened yet")
        assert [running, replace(running, waiting_since=dt.date(2021, 6, 30))] == [on_the_day.purposes[0], after.purposes[0]]

    def test_since(self) -> None:
        """RR-1: a procedure without an end, received longer ago than the period; the latest known day counts."""
        known = facts(ended_on=NotYet(), received_on=dt.date(2026, 1, 1))
        assert ("application",) == decide(known, policy(replace(BASE, since="received_on")), NOTHING, TODAY).waiting
        assert () == decide(known, policy(BASE), NOTHING, TODAY).waiting
        both = replace(self.ACCOUNT, since="received_on")
        known = facts(ended_on=dt.date(2001, 1, 1), closed_on=NotYet(), received_on=dt.date(2025, 1, 1))
        assert () == decide(known, policy(both), NOTHING, TODAY).waiting

    def test_waits(self) -> None:
        """A purpose may say itself how long its event is waited for, from the latest known day and without its own period's anchor."""
        yearly = Term(Period(years=7), Anchor.END_OF_CALENDAR_YEAR)
        known = facts(ended_on=dt.date(2025, 7, 1), closed_on=NotYet())
        for waits, last in ((Period(years=1), TODAY), (Period(), dt.date(2025, 7, 1)), (None, dt.date(2032, 12, 31))):
            held = policy(replace(self.ACCOUNT, term=yearly, waits=waits))
            on_the_day, after = (decide(known, held, NOTHING, day) for day in (last, last + dt.timedelta(days=1)))
            assert [(), ("account",)] == [on_the_day.waiting, after.waiting]
            assert [None, last] == [on_the_day.waited_through, after.waited_through]

    @pytest.mark.parametrize(
        ("until", "waiting", "since"),
        [
            (dt.date(2026, 6, 30), ("account",), dt.date(2026, 6, 30)),
            (TODAY, (), None),
            (dt.date(2020, 1, 1), ("account",), dt.date(2026, 3, 1)),
        ],
    )
    def test_an_answer_quiets_it(self, until: dt.date, waiting: tuple[str, ...], since: dt.date | None) -> None:
        """Through the day that a person named nobody has to look; after it the record waits again, and is late from that day on only."""
        known = facts(ended_on=dt.date(2021, 3, 1), closed_on=NotYet()) | {ANSWERED: Known(until)}
        held = policy(self.ACCOUNT)
        decision = decide(known, held, NOTHING, TODAY)
        assert (Kept(), waiting, since) == (decision.outcome, decision.waiting, decision.waited_through)
        asked = Standing(requests=(Request("r", RequestKind.ERASE, dt.date(2026, 6, 1), verified=True),))
        contract = policy(replace(self.ACCOUNT, basis=LegalBasis.CONTRACT))
        assert ("account",) == decide(known, contract, asked, TODAY).waiting

    def test_an_answer_stops_no_event(self) -> None:
        """It quiets the waiting and is no hold: what was waited for has happened, and the period that runs from it is over."""
        known = facts(ended_on=dt.date(2021, 3, 1), closed_on=dt.date(2021, 6, 30)) | {ANSWERED: Known(dt.date(2030, 1, 1))}
        assert Due(DispositionKind.DELETE, (), dt.date(2026, 6, 30)) == decide(known, policy(self.ACCOUNT), NOTHING, TODAY).outcome

    @pytest.mark.parametrize(
        ("start", "since", "may"),
        [
            (StartEvent(("closed_on", "ended_on")), None, True),
            (StartEvent(("closed_on", "ended_on"), Combine.EARLIEST_OF), None, False),
            (StartEvent(("closed_on", "ended_on"), Combine.EARLIEST_OF), "received_on", True),
            (StartEvent(("closed_on",)), None, False),
            (StartEvent(("closed_on",)), "closed_on", False),
            (StartEvent(("closed_on",)), "received_on", True),
            (StartEvent(("ended_on", "received_on")), "applied_on", False),
        ],
    )
    def test_who_may_wait_is_declared(self, start: StartEvent, since: str | None, may: bool) -> None:
        """Answers are looked up only where a member may lie ahead while another day is known; other policies stay as fast as they were."""
        ahead = replace(_OPTIONAL, empty=Empty.NOT_YET)
        fields = tuple(replace(each, reading=ahead) if each.name == "closed_on" else each for each in SOURCE.fields)
        held = plain_policy(replace(BASE, start=start, since=since), source=replace(SOURCE, fields=fields))
        assert (may, may, may) == (held.waits, held.reviews, ANSWERED in held.outside)

    def test_unknown_since_says_nothing(self) -> None:
        """Without a day there is nothing that could lie too long ago; the purpose runs as before."""
        held = policy(replace(BASE, since="received_on"))
        decision = decide(facts(ended_on=NotYet(), received_on=Unknown("empty")), held, NOTHING, TODAY)
        assert ((), ()) == (decision.waiting, decision.undetermined)

    def test_ended_is_not_waiting(self) -> None:
        """What a request or a withdrawal ends waits for nothing."""
        held = replace(self.ACCOUNT, basis=LegalBasis.CONSENT, consents=("application",))
        known = facts(ended_on=dt.date(2001, 1, 1), closed_on=NotYet(), applied_on=dt.date(2000, 1, 1))
        assert ("account",) == decide(known, policy(held), NOTHING, TODAY).waiting
        assert () == decide(known | {"withdrew_application_on": Known(TODAY)}, policy(held), NOTHING, TODAY).waiting


# --- Properties -----------------------------------------------------------------------------------------------------------------------

some_days = st.one_of(st.none(), days)
applicants = st.builds(lambda weeks, year: policy(replace(BASE, term=Term(weeks)), replace(LATER, term=Term(year))), periods, periods)


def terms_of(held: Policy, ended: dt.date) -> tuple[dt.date, dt.date]:
    """Return the base term's and the longer term's due day."""
    base, later = (purpose.term.due(ended) for purpose in held.purposes if purpose.term is not None)
    return base, later


@RULE
@given(applicants, days, some_days, some_days)
def test_never_early(held: Policy, ended: dt.date, agreed: dt.date | None, withdrew: dt.date | None) -> None:
    """No record goes before its base term is over, nor before the longer one is while a timely consent stands."""
    base, later = terms_of(held, ended)
    last = due_day(held, facts(ended_on=ended, agreed_on=agreed, withdrew_on=withdrew))
    assert last is not None
    assert last >= base
    if agreed is not None and agreed <= base and (withdrew is None or withdrew < agreed):
        assert last >= later


@RULE
@given(applicants, days, st.integers(1, 4000), some_days)
def test_a_late_consent_revives_nothing(held: Policy, ended: dt.date, days_late: int, withdrew: dt.date | None) -> None:
    """Given on any day after the base term's last, the consent changes neither what happens nor when."""
    late = terms_of(held, ended)[0] + dt.timedelta(days=days_late)
    with_it, without = facts(ended_on=ended, agreed_on=late, withdrew_on=withdrew), facts(ended_on=ended)
    assert due_day(held, with_it) == due_day(held, without)


@RULE
@given(applicants, days, st.integers(0, 300), st.integers(0, 3000))
def test_a_withdrawal_falls_back(held: Policy, ended: dt.date, before: int, after: int) -> None:
    """The due day is the later of the base term and the withdrawal, and never later than with the consent standing."""
    base, later = terms_of(held, ended)
    agreed = base - dt.timedelta(days=before)
    withdrew = agreed + dt.timedelta(days=after)
    assert max(base, min(later, withdrew)) == due_day(held, facts(ended_on=ended, agreed_on=agreed, withdrew_on=withdrew))


@RULE
@given(applicants, days, days, st.integers(0, 2000), st.sampled_from((None, "future-use")))
def test_a_withdrawal_is_one_however_it_comes(held: Policy, ended: dt.date, agreed: dt.date, after: int, name: str | None) -> None:
    """Written down in the record or asked for, a withdrawal on one day ends the same purposes on the same day."""
    withdrew = agreed + dt.timedelta(days=after)
    asked = Standing(requests=(Request("r", RequestKind.WITHDRAW, withdrew, consent=name),))
    known = facts(ended_on=ended, agreed_on=agreed)
    assert due_day(held, known | {"withdrew_on": Known(withdrew)}) == due_day(held, known, asked)


@pytest.mark.parametrize(
    ("known", "since"),
    [
        ({"agreed_on": dt.date(2026, 3, 3)}, True),
        ({"agreed_on": ENDED}, False),
        ({"agreed_on": dt.date(2026, 3, 1)}, False),
        ({}, False),
        ({"agreed_on": Unknown("unreadable")}, False),
        ({"agreed_on": dt.date(2026, 3, 3), "withdrew_on": dt.date(2026, 3, 3)}, False),
        ({"agreed_on": dt.date(2026, 3, 3), "withdrew_on": dt.date(2026, 3, 1)}, True),
        ({"agreed_on": dt.date(2026, 3, 3), "withdrew_on": Unknown("unreadable")}, False),
        # No purpose rests on this one.
        ({"applied_on": dt.date(2026, 3, 3)}, False),
    ],
)
def test_consent_since_a_day(known: dict[str, dt.date | Fact], since: bool) -> None:
    """Only what is known to be given after the day, is in force, and carries a purpose of the policy."""
    assert since == agreed_since(policy(), facts(**known), ENDED)
