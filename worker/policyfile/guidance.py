"""What a policy says that is hardly ever meant, or longer than supervisory authorities think right: warnings, each with what to do.

Like `worker.policyfile.consequences`, for policies that are sound by themselves. Each check is about one purpose, or about two.
"""

from __future__ import annotations

import datetime as dt
import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from decimal import Decimal

from worker.core.conditions import Compare, Condition, Either, Every, Negated, Op, Truth, evaluate
from worker.core.facts import Empty, Fact, Known, Scalar
from worker.core.model import DispositionKind, LegalBasis, Policy, Purpose, StartEvent, StateEnd
from worker.core.periods import NO_TIME, Bound, Period, Term
from worker.policyfile.consequences import missing_from, possible
from worker.policyfile.document import Complaints
from worker.policyfile.policies import Entry
from worker.policyfile.positions import Path

_TRIES = 5000
_STARTS = tuple(dt.date(year, month, day) for year in (2023, 2024) for month, day in ((1, 1), (2, 28), (6, 30), (7, 1), (12, 31)))
"""Events from which a period is tried: both ends of a year and of its halves, in a common year and a leap year."""

_MOVED = re.compile(r"(?<![a-z])(last_?)?(modified|updated|changed|edited|synced|mtime|modification|update)(?![a-z])")
_APPLICANTS = frozenset(
    {"applicant", "applicants", "application", "applications", "candidates", "sollicitant", "sollicitanten", "sollicitaties", "recruitment"}
)
_USUAL, _WITH_CONSENT = Period(weeks=4), Period(years=1)
_NOTICED = dt.timedelta(days=7)
"""How long a mistake in a system has to be noticed before what was only seen to have ended may be due."""
_AUTHORITY = (
    "The Dutch data protection authority (Autoriteit Persoonsgegevens, on job applications) calls four weeks after the procedure usual, "
    "and at most a year with the applicant's consent. Shorten it, ask for consent, or be ready to explain it."
)


def check(entry: Entry, complaints: Complaints) -> None:
    """Warn about what a sound policy says."""
    places: list[Path] = [(*entry.path, "purposes", number) for number, _ in enumerate(entry.policy.purposes)]
    for place, purpose, shape in zip(places, entry.policy.purposes, entry.shape.purposes, strict=True):
        _check_condition((*place, "when"), entry.policy, purpose.when, complaints)
        _check_state(place, entry.policy, purpose, complaints)
        _check_consent(place, entry.policy, purpose, complaints)
        _check_applicants(place, entry.policy, purpose, complaints)
        if purpose.basis is LegalBasis.LEGAL_OBLIGATION and purpose.term is not None and "bound" not in shape.model_fields_set:
            what = "a law says how long something is kept at least, and this period is the most that is allowed"
            complaints.warn(place, what, 'Say bound = "floor", or bound = "ceiling" when this law forbids keeping it longer.')
    for number, disposition in enumerate(entry.policy.dispositions):
        _check_condition((*entry.path, "disposition", number, "when"), entry.policy, disposition.when, complaints)
        if any(step.kind is DispositionKind.REVIEW and not step.owner for step in disposition.steps):
            listed = isinstance(entry.shape.disposition, list)
            review: Path = (*entry.path, "disposition", number) if listed else (*entry.path, "disposition")
            complaints.warn(review, "is reviewed by nobody", "Say who in `owner`, here or for the policy: the list of reviews goes by it.")
    _check_contradictions(places, entry.policy, complaints)
    _check_starts(entry.policy, complaints)


# --- Conditions that can never hold ---------------------------------------------------------------------------------------------------


def _check_condition(place: Path, policy: Policy, condition: Condition | None, complaints: Complaints) -> None:
    """Warn about a condition that no combination of facts makes true."""
    if condition is not None and not satisfiable(policy, condition):
        what = "this condition can never hold, so what depends on it never happens"
        complaints.warn(place, what, "Look at its parts, and at what an empty value of its facts means (`empty`, `none`).")


def satisfiable(policy: Policy, condition: Condition) -> bool:
    """Whether some combination of facts makes a condition true, found by trying; True when there are too many to try."""
    constants: dict[str, list[Scalar]] = {}
    for each in _comparisons(condition):
        constants.setdefault(each.fact, []).extend(each.values)
    names = tuple(constants)
    choices = [_choices(policy, name, constants[name]) for name in names]
    combinations = itertools.product(*choices)
    for combination in itertools.islice(combinations, _TRIES):
        if evaluate(condition, dict(zip(names, combination, strict=True))) is Truth.TRUE:
            return True
    return next(combinations, None) is not None


def _choices(policy: Policy, name: str, constants: list[Scalar]) -> list[Fact]:
    """Return the values of a fact that a condition could tell apart; between two numbers there may be a third."""
    found = list(dict.fromkeys(possible(policy, name, constants)))
    counted = any(each.name == name for each in policy.source.aggregates)
    numbers = sorted({each for each in constants if isinstance(each, int | Decimal) and not isinstance(each, bool)})
    if not counted:
        found += [Known((Decimal(low) + Decimal(high)) / 2) for low, high in itertools.pairwise(numbers)]
    return found


# --- States ---------------------------------------------------------------------------------------------------------------------------


def _check_state(place: Path, policy: Policy, purpose: Purpose, complaints: Complaints) -> None:
    """Warn about a state that no record is in or that none can leave, and about an end that is acted on as soon as it is seen."""
    if not isinstance(purpose.start, StateEnd) or purpose.term is None:
        return
    state, start = purpose.start, (*place, "start")
    if not satisfiable(policy, state.condition):
        what = "no record can be in this state, so for every one it is seen to have ended at once"
        complaints.warn(start, what, "Look at its parts, and at what an empty value of its facts means (`empty`, `none`).")
    elif not satisfiable(policy, Negated(state.condition)):
        what = "this state can never end, so what is kept for it is never due"
        complaints.warn(start, what, "Add what ends it, or say keep = 'indefinite'.")
    elif state.ended is None and any(max(purpose.term.due(day), state.settling.after(day)) - day < _NOTICED for day in _STARTS):
        what = "what is seen to have ended is due within a week, also when it was a mistake that is put right the next day"
        complaints.warn(start, what, 'Add `settling`, such as "P30D", or `ended`, the fact that holds the day.')


# --- Consent --------------------------------------------------------------------------------------------------------------------------


def _check_consent(place: Path, policy: Policy, purpose: Purpose, complaints: Complaints) -> None:
    """Warn about a consent that every record has, because nothing says who gave it (GDPR 7(1): it must be shown that it was given)."""
    if purpose.basis is LegalBasis.CONSENT and not _says_who(policy, purpose):
        what = "rests on consent, and no fact says who gave it: every record counts as consent"
        hint = f"Declare in `sources.{policy.id}.consents` when it was given, or add `when` with the status that means it."
        complaints.warn(place, what, hint)


def _says_who(policy: Policy, purpose: Purpose) -> bool:
    """Whether a purpose applies to some records and not to others: its source states the consent, or a status, rows or a missing day do."""
    if policy.source.consents_named(purpose.consents):
        return True
    computed = {each.name for each in policy.source.aggregates}
    asked = [purpose.when, purpose.start.condition if isinstance(purpose.start, StateEnd) else None]
    parts = [part for each in asked for part in _comparisons(each)]
    if any(part.op is Op.EXISTS or part.fact in computed or isinstance(part.values[0], str | bool) for part in parts):
        return True
    starts = purpose.start.facts if purpose.start is not None else ()
    return any(_may_not_apply(policy, name) for name in starts)


def _may_not_apply(policy: Policy, name: str) -> bool:
    """Whether a fact may be declared not to apply to a record."""
    shared = policy.source.shared_fact(name)
    return Empty.NOT_APPLICABLE in (missing_from(shared, policy) if shared is not None else policy.source.absences(name))


def _comparisons(condition: Condition | None) -> Iterator[Compare]:
    """Yield every comparison in a condition."""
    match condition:
        case Compare():
            yield condition
        case Every(of) | Either(of):
            for part in of:
                yield from _comparisons(part)
        case Negated(part):
            yield from _comparisons(part)
        case None:
            return


# --- Periods --------------------------------------------------------------------------------------------------------------------------


def _check_contradictions(places: Sequence[Path], policy: Policy, complaints: Complaints) -> None:
    """Warn about a period that is the most allowed and ends before one that is the least required, of one field from one event.

    A period of no time allows nothing and limits nothing: such a purpose says when it ends, and the others decide what stays.
    """
    for place, most in zip(places, policy.purposes, strict=True):
        for least in policy.purposes:
            shared = [name for name in most.fields if name in least.fields]
            if (most.bound, least.bound) != (Bound.CEILING, Bound.FLOOR) or not shared or most.start is None:
                continue
            if most.term is None or least.term is None or _event(most.start) != _event(least.start):
                continue
            if most.term.period == NO_TIME or not _ends_before(_as_written(most.term), _as_written(least.term)):
                continue
            both = Every(tuple(each for each in (most.when, least.when) if each is not None))
            if satisfiable(policy, both):
                what = (
                    f"at most {most.term.period} contradicts at least {least.term.period} of {least.id!r}, from the same start event for "
                    f"{', '.join(repr(each) for each in shared)}: what lasts longest wins, so {least.id!r} does"
                )
                complaints.warn(
                    (*place, "keep"), what, "Leave the shared fields out of one of the two, or give both conditions that differ."
                )


def _event(start: StartEvent | StateEnd | None) -> StartEvent | StateEnd | None:
    """Return an event without what tells two purposes apart that run from the end of one state."""
    return replace(start, seen="", settling=NO_TIME) if isinstance(start, StateEnd) else start


def _as_written(term: Term) -> Term:
    """Return a term without the exceptions to it: fiscal years that differed, and what was promised before."""
    return replace(term, fiscal_year=replace(term.fiscal_year, odd=()), was=())


def _ends_before(first: Term, second: Term) -> bool:
    """Whether one period ends before another for some event."""
    return any(first.due(day) < second.due(day) for day in _STARTS)


def _check_applicants(place: Path, policy: Policy, purpose: Purpose, complaints: Complaints) -> None:
    """Warn about data of job applicants that are kept longer than usual; a contract is with those who got the job."""
    allowed = {LegalBasis.LEGITIMATE_INTERESTS: _USUAL, LegalBasis.CONSENT: _WITH_CONSENT}.get(purpose.basis)
    if allowed is None or not _APPLICANTS.intersection(policy.categories):
        return
    if purpose.term is None:
        complaints.warn((*place, "keep"), "keeps data of applicants without an end", _AUTHORITY)
    elif any(_as_written(purpose.term).due(day) > allowed.after(day) for day in _STARTS):
        with_consent = " with consent" if purpose.basis is LegalBasis.CONSENT else " without consent"
        what = f"{purpose.term.period}{with_consent} is longer than usual for applicants"
        complaints.warn((*place, "keep"), what, _AUTHORITY)


# --- Start events that move -----------------------------------------------------------------------------------------------------------


def _check_starts(policy: Policy, complaints: Complaints) -> None:
    """Warn about start events that writing to a record moves, so that its period begins again whenever anybody, we too, touches it.

    That a start event has a treatment of its own is refused already, wherever the treatment could be carried out.
    """
    started = {name for purpose in policy.purposes if purpose.start is not None for name in purpose.start.facts}
    source: Path = ("sources", policy.id)
    days: list[tuple[Path, str, str, str]] = [
        ((*source, "fields", each.name), each.name, each.name, each.column) for each in policy.source.fields
    ]
    days += [((*source, "facts", each.name), each.name, each.name, each.column or "") for each in policy.source.aggregates]
    members = [(shared.name, member.source, day) for shared in policy.shared for member in shared.members for day in member.days]
    days += [(("sources", member, "fields", day.name), name, day.name, day.column) for name, member, day in members]
    for place, fact, name, column in days:
        if fact in started and any(_MOVED.search(_snake(each)) for each in (name, column)):
            what = "starts a period and is called like a column that every change moves, our own writes among them"
            complaints.warn(place, what, "Start from the day of an event, such as the last contact.")


def _snake(name: str) -> str:
    """Return a column's name in small letters, its words apart: lastModified as last_modified."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
