"""A second, slow way to decide, written from the promises and not from the core: it walks through the calendar day by day.

It shares the data model with the core and none of its arithmetic or logic. Its answers are plain tuples.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from worker.core.conditions import Compare, Condition, Either, Every, Negated
from worker.core.facts import Fact, Known, NotApplicable, NotYet, Unknown
from worker.core.model import Policy, Purpose, StartEvent, StateEnd
from worker.core.periods import Anchor, FiscalYear, Period, Term
from worker.core.sources import ANSWERED
from worker.core.standing import Hold, Request, Standing

ONE_DAY = dt.timedelta(days=1)
State = tuple[str, dt.date | None]


# --- The calendar, walked -------------------------------------------------------------------------------------------------------------


def _closes_month(day: dt.date) -> bool:
    return (day + ONE_DAY).day == 1


def _closes(day: dt.date, anchor: Anchor, fiscal_year: FiscalYear) -> bool:
    """Whether a period that is counted from such an anchor is counted from this day."""
    if anchor is Anchor.DAY:
        return True
    if anchor is Anchor.END_OF_MONTH:
        return _closes_month(day)
    if anchor is Anchor.END_OF_CALENDAR_YEAR:
        return (day + ONE_DAY).year > day.year
    if any(day + ONE_DAY == first for first, _ in fiscal_year.odd):
        return True
    if listed := [last for first, last in fiscal_year.odd if first <= day <= last]:
        return day in listed
    if (fiscal_year.month, fiscal_year.day) == (2, 28):
        return day.month == 2 and _closes_month(day)
    return (day.month, day.day) == (fiscal_year.month, fiscal_year.day)


@lru_cache(maxsize=20_000)
def last_day(start: dt.date, term: Term, extra: Period) -> dt.date:
    """Return the last day of keeping, found by walking: the first day on which the present or a kept earlier promise lets go."""
    promised = [_counted(start, term, extra, term.period)]
    for earlier in term.was:
        # A later step is one of the promise that held, so whether its time was over is asked without it.
        kept = not term.stretch or earlier.through >= _counted(start, term, Period(), earlier.period)
        if kept and earlier.through >= start:
            promised.append(_counted(start, term, extra, earlier.period))
    return min(promised)


@lru_cache(maxsize=20_000)
def _counted(start: dt.date, term: Term, extra: Period, period: Period) -> dt.date:
    """Return the last day under one period: counted in calendar years, and for a floor in fiscal years too."""
    day = start
    while not _closes(day, term.anchor, term.fiscal_year):
        day += ONE_DAY
    anchored = term.anchor is not Anchor.DAY
    months = period.months + extra.months
    rest = 7 * (period.weeks + extra.weeks) + period.days + extra.days
    years = period.years + extra.years
    calendar = _on(day, 12 * years + months, rest, anchored)
    if term.anchor is not Anchor.END_OF_FISCAL_YEAR or term.bound.value != "floor" or not term.fiscal_year.odd:
        return calendar
    while years:
        day += ONE_DAY
        years -= _closes(day, term.anchor, term.fiscal_year)
    return max(calendar, _on(day, months, rest, anchored))


def _on(day: dt.date, months: int, rest: int, anchored: bool) -> dt.date:
    """Return the day that lies so many months and then days later; from an anchor at a month's end whole months end on a month's end."""
    month_end = anchored and _closes_month(day)
    nominal = day.day
    if months:
        while months:
            day += ONE_DAY
            months -= day.day == 1
        stays = month_end and not rest
        while not _closes_month(day) and (stays or day.day < nominal):
            day += ONE_DAY
    for _ in range(rest):
        day += ONE_DAY
    return day


# --- Conditions as sets of what may be true -------------------------------------------------------------------------------------------


def possible(condition: Condition, facts: Mapping[str, Fact]) -> set[bool]:
    """Return the truth values that a condition may have, every unknown comparison taken for itself."""
    if isinstance(condition, Compare):
        fact = facts[condition.fact]
        if isinstance(fact, Unknown):
            return {True, False}
        if condition.op.value == "exists":
            return {isinstance(fact, Known) is condition.values[0]}
        if not isinstance(fact, Known):
            return {False}
        value: Any = fact.value
        first: Any = condition.values[0]
        return {
            {
                "eq": lambda: value == first,
                "ne": lambda: value != first,
                "lt": lambda: value < first,
                "le": lambda: value <= first,
                "gt": lambda: value > first,
                "ge": lambda: value >= first,
                "in": lambda: value in condition.values,
                "not_in": lambda: value not in condition.values,
            }[condition.op.value]()
        }
    if isinstance(condition, Negated):
        return {not each for each in possible(condition.of, facts)}
    parts = [possible(part, facts) for part in condition.of]
    joined = {isinstance(condition, Every)}
    for part in parts:
        joined = {(a and b) if isinstance(condition, Every) else (a or b) for a in joined for b in part}
    assert isinstance(condition, Every | Either)
    return joined


# --- Purposes -------------------------------------------------------------------------------------------------------------------------


def _state_over(event: StateEnd, facts: Mapping[str, Fact]) -> dt.date | str:
    """Return the day a state ended, or a word for why there is none."""
    truths = possible(event.condition, facts)
    if len(truths) > 1:
        return "unknown"
    if truths == {True}:
        return "not yet"
    days = [facts[name] for name in (event.ended, event.seen) if name is not None]
    if isinstance(days[0], Unknown):
        return "unknown"
    known: list[Any] = [each.value for each in days if isinstance(each, Known)]
    return known[0] if known else "not yet"


def _settling(event: StartEvent | StateEnd | None, facts: Mapping[str, Fact]) -> dt.date:
    """Return the last day on which what was only seen may still turn out not to be so."""
    if not isinstance(event, StateEnd) or (event.ended is not None and isinstance(facts[event.ended], Known)):
        return dt.date.min
    seen: Any = facts[event.seen]
    return last_day(seen.value, Term(event.settling), Period()) if isinstance(seen, Known) else dt.date.min


def _start(event: StartEvent | StateEnd, facts: Mapping[str, Fact]) -> dt.date | str:
    """Return the start day, or a word for why there is none."""
    if isinstance(event, StateEnd):
        return _state_over(event, facts)
    members = [facts[name] for name in event.facts]
    if any(isinstance(each, Unknown) for each in members):
        return "unknown"
    happened: list[Any] = sorted(each.value for each in members if isinstance(each, Known) and isinstance(each.value, dt.date))
    open_ = any(isinstance(each, NotYet) for each in members)
    left_out = any(isinstance(each, NotApplicable) for each in members)
    if event.combine.value == "earliest_of":
        return happened[0] if happened else "not yet" if open_ else "not applicable"
    if open_:
        return "not yet"
    if not happened or (event.combine.value == "all_of" and left_out):
        return "not applicable"
    return happened[-1]


def _stated(name: str | None, facts: Mapping[str, Fact]) -> Any:
    """Return a fact's day, or a word for why there is none."""
    if name is None or isinstance(facts[name], NotYet | NotApplicable):
        return "none"
    fact = facts[name]
    return fact.value if isinstance(fact, Known) else "unknown"


def _consents(policy: Policy, purpose: Purpose, facts: Mapping[str, Fact]) -> dict[str, tuple[Any, Any]]:
    """Return for every consent that the source declares: when it was given, and when withdrawn if that counts."""
    found: dict[str, tuple[Any, Any]] = {}
    for consent in policy.source.consents:
        if consent.name in purpose.consents:
            given, withdrawn = _stated(consent.given, facts), _stated(consent.withdrawn, facts)
            old = isinstance(given, dt.date) and isinstance(withdrawn, dt.date) and withdrawn < given
            found[consent.name] = (given, "none" if old else withdrawn)
    return found


def _withdrawn_by(request: Request, purpose: Purpose, consents: Mapping[str, tuple[Any, Any]]) -> bool:
    """Whether a request takes back one of a purpose's consents, as it stood on that day."""
    if request.consent is None and not purpose.consents:
        return True
    for name in purpose.consents:
        given = consents.get(name, ("none", "none"))[0]
        perhaps_again = given == "unknown" or (isinstance(given, dt.date) and given > request.received_on)
        if request.consent in (None, name) and not perhaps_again:
            return True
    return False


def _asked_to_end(
    purpose: Purpose, request: Request, contract_over: dt.date | None, consents: Mapping[str, tuple[Any, Any]]
) -> dt.date | None:
    """Return the day from which a request leaves a purpose without ground, or None."""
    kind, basis = request.kind.value, purpose.basis.value
    if kind == "withdraw" and basis == "consent" and _withdrawn_by(request, purpose, consents):
        return request.received_on
    if kind == "object" and request.marketing and purpose.marketing:
        return request.received_on
    if kind == "object" and request.upheld and basis in ("legitimate-interests", "public-task") and not purpose.legal_claim:
        return request.received_on
    if kind == "erase" and request.verified and not purpose.legal_claim:
        if basis in ("consent", "legitimate-interests"):
            return request.received_on
        if basis == "contract" and contract_over is not None:
            return max(request.received_on, contract_over)
    return None


def purpose_state(
    policy: Policy, purpose: Purpose, facts: Mapping[str, Fact], asked: Iterable[Request], today: dt.date, extra: Period
) -> State:
    """Return *running*, *ended*, *never applied* or *undetermined*, and the last day where there is one."""
    truths = {True} if purpose.when is None else possible(purpose.when, facts)
    consents = _consents(policy, purpose, facts)
    base: State = ("no base", None)
    if purpose.extends is not None:
        (extended,) = [each for each in policy.purposes if each.id == purpose.extends]
        base = purpose_state(policy, extended, facts, [], today, Period())
    if truths == {False} or base[0] == "never applied" or any(given == "none" for given, _ in consents.values()):
        return "never applied", None
    start = "no start" if purpose.start is None else _start(purpose.start, facts)
    unknown = truths != {True} or base[0] == "undetermined" or any("unknown" in each for each in consents.values())
    settled = _settling(purpose.start, facts)
    contract_over = max(start, settled) if isinstance(start, dt.date) and max(start, settled) < today and not unknown else None
    last: list[dt.date] = []
    if not unknown:
        if base[1] is not None and any(given > base[1] for given, _ in consents.values()):
            return "never applied", None
        if purpose.start is not None and purpose.term is not None:
            if start == "not applicable":
                return "never applied", None
            unknown = start == "unknown"
            last = [max(last_day(start, purpose.term, extra), settled)] if isinstance(start, dt.date) else []
        last += [last_day(day, Term(Period()), extra) for _, day in consents.values() if isinstance(day, dt.date)]
    ends = [end for request in asked if (end := _asked_to_end(purpose, request, contract_over, consents)) is not None]
    last += [last_day(min(ends), Term(Period()), extra)] if ends else []
    if not last:
        return ("undetermined" if unknown else "running"), None
    return ("ended" if min(last) < today else "running"), min(last)


def _takes_an_answer_back(policy: Policy, facts: Mapping[str, Fact], asked: Iterable[Request], today: dt.date) -> bool:
    """Whether erasure was asked for, or something that takes the ground from a purpose of this record: then no answer about it counts."""
    asked = list(asked)
    if any(each.kind.value == "erase" and each.verified for each in asked):
        return True
    for purpose in policy.purposes:
        word, _ = purpose_state(policy, purpose, facts, [], today, Period())
        start = _start(purpose.start, facts) if purpose.start is not None else "no start"
        over = max(start, _settling(purpose.start, facts)) if isinstance(start, dt.date) and word != "undetermined" else today
        for request in asked:
            end = _asked_to_end(purpose, request, over if over < today else None, _consents(policy, purpose, facts))
            if end is not None and word != "never applied":
                return True
    return False


def _waits_through(purpose: Purpose, facts: Mapping[str, Fact], state: State) -> dt.date | None:
    """Return the last day on which a purpose may wait for its event, counted from every day that is known of it; None if it doesn't."""
    if isinstance(purpose.start, StateEnd) or state != ("running", None) or purpose.start is None or purpose.term is None:
        return None
    if _start(purpose.start, facts) != "not yet":
        return None
    term = purpose.term if purpose.waits is None else Term(purpose.waits)
    stated = [_stated(name, facts) for name in (*purpose.start.facts, purpose.since)]
    return max((last_day(day, term, Period()) for day in stated if isinstance(day, dt.date)), default=None)


def waiting(
    policy: Policy, facts: Mapping[str, Fact], states: list[State], standing: Standing, today: dt.date
) -> tuple[tuple[str, ...], dt.date | None]:
    """Return the purposes that somebody has to look at because they wait too long, and the last day on which nobody had to."""
    over = {}
    for purpose, state in zip(policy.purposes, states, strict=True):
        end = _waits_through(purpose, facts, state)
        if end is not None and end < today and not (policy.effective is not None and policy.effective > today):
            over[purpose.id] = end
    quiet = [min(over.values())] if over else []
    answer: Any = facts.get(ANSWERED)
    asked = [each for each in standing.requests if policy.source.controller]
    if over and isinstance(answer, Known) and not _takes_an_answer_back(policy, facts, asked, today):
        quiet.append(answer.value)
    return (tuple(over), max(quiet)) if quiet and all(day < today for day in quiet) else ((), None)


# --- The record -----------------------------------------------------------------------------------------------------------------------


def _due_fields(policy: Policy, states: list[State]) -> tuple[dict[str, dt.date], tuple[str, ...]]:
    due: dict[str, dt.date] = {}
    uncovered = []
    own = [each for each in policy.source.fields if each.personal and not each.follows_record]
    for field in own:
        holders = [state for purpose, state in zip(policy.purposes, states, strict=True) if field.name in purpose.fields]
        words = {word for word, _ in holders}
        if words <= {"never applied"}:
            uncovered.append(field.name)
        elif words <= {"never applied", "ended"}:
            due[field.name] = max(day for _, day in holders if day is not None)
    if own and len(due) == len(own):
        latest = max(due.values())
        due |= {each.name: latest for each in policy.source.fields if each.personal and each.follows_record}
    return due, tuple(uncovered)


def _held_by(holds: Iterable[Hold], asked: Iterable[Request]) -> set[str]:
    """Return what suspends: legal matters always, the subject's own restriction only while the subject doesn't ask for erasure."""
    asked = list(asked)
    found = {hold.id for hold in holds if hold.released_on is None and hold.kind.value in ("legal", "dispute")}
    if not any(each.kind.value == "erase" and each.verified for each in asked):
        found |= {hold.id for hold in holds if hold.released_on is None and hold.kind.value == "restriction"}
        found |= {each.id for each in asked if each.kind.value == "restrict" or (each.kind.value == "object" and _undecided(each))}
    return found


def decide(
    facts: Mapping[str, Fact],
    policy: Policy,
    standing: Standing,
    today: dt.date,
    untreated: frozenset[str] | None,
    blocking: tuple[str, ...],
) -> tuple[tuple[Any, ...], list[State], tuple[str, ...]]:
    """Return the outcome, the state of every purpose, and the uncovered fields."""
    asked = [each for each in standing.requests if policy.source.controller or each.kind.value == "restrict"]

    def states(extra: Period) -> list[State]:
        if policy.effective is not None and policy.effective > today:
            return [("running", None) for _ in policy.purposes]
        return [purpose_state(policy, each, facts, asked, today, extra) for each in policy.purposes]

    now = states(Period())
    due, uncovered = _due_fields(policy, now)
    outcome: tuple[Any, ...] = ("kept",)
    personal = [each for each in policy.source.fields if each.personal]
    left = tuple(
        each.name for each in personal if each.treatment is not None and each.name in due and (untreated is None or each.name in untreated)
    )
    if due and len(due) < len(personal):
        outcome = ("partly", left, max(due[name] for name in left)) if left else ("kept",)
    elif due:
        outcome = _whole(policy, facts, max(due.values()), left, blocking, lambda extra: _due_fields(policy, states(extra))[0])
    if not _takes_an_answer_back(policy, facts, asked, today):
        outcome = _answered(policy, facts, outcome, today)
    held = _held_by(standing.holds, asked)
    if held and outcome[0] in ("partly", "due", "waiting"):
        outcome = ("held", held, outcome)
    return outcome, now, uncovered


def _undecided(objection: Request) -> bool:
    """Whether a person has to decide about an objection: not when it is to direct marketing."""
    return not objection.marketing and not objection.upheld


def _answered(policy: Policy, facts: Mapping[str, Fact], outcome: tuple[Any, ...], today: dt.date) -> tuple[Any, ...]:
    """Return the outcome when somebody may have answered a review: all is kept through that day, and reviewed again after it."""
    answer = facts.get(ANSWERED)
    last = outcome[-1]
    whole = outcome[:2] in (("due", "review"), ("due", "delete")) or outcome[0] == "waiting"
    if not isinstance(answer, Known) or not (whole or outcome[0] == "partly"):
        return outcome
    chosen = _first_that_applies(policy, facts)
    if chosen is None or "review" not in [step.kind.value for step in chosen.steps]:
        return outcome
    while last < answer.value:  # type: ignore[operator]
        last += ONE_DAY
    if last >= today:
        return ("kept",)
    return ("due", "review", (), last) if whole else (*outcome[:-1], last)


def _first_that_applies(policy: Policy, facts: Mapping[str, Fact]) -> Any:
    """Return the disposition that is chosen; None where none applies, or nobody can tell which one does."""
    for disposition in policy.dispositions:
        truths = {True} if disposition.when is None else possible(disposition.when, facts)
        if truths != {False}:
            return disposition if truths == {True} else None
    return None


def _whole(
    policy: Policy, facts: Mapping[str, Fact], latest: dt.date, left: tuple[str, ...], blocking: tuple[str, ...], due_with: Any
) -> Any:
    """Return what happens to a record of which every personal field is due."""
    for disposition in policy.dispositions:
        truths = {True} if disposition.when is None else possible(disposition.when, facts)
        if truths == {False}:
            continue
        if truths == {True, False}:
            return ("undecided", latest)
        chosen = None
        for step in disposition.steps:
            due = due_with(step.after)
            if len(due) == len([each for each in policy.source.fields if each.personal]):
                chosen, latest = step.kind.value, max(due.values())
        if chosen is None or (chosen == "pseudonymise" and not left):
            return ("kept",)
        if chosen == "delete" and blocking:
            return ("waiting", blocking, latest)
        return ("due", chosen, left if chosen == "pseudonymise" else (), latest)
    return ("undecided", latest)
