"""Why one record, or everything about one person, is kept or due: the decision in words. Reads only."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from worker.core.conditions import facts_of
from worker.core.decide import Decision, Due, Held, Kept, Outcome, Partly, Undecided, Waiting, deadline, due_fields
from worker.core.facts import Fact, Known, NotApplicable, NotYet, Unknown
from worker.core.model import DispositionKind, Purpose, StateEnd
from worker.core.periods import Anchor, Term
from worker.core.purposes import Running
from worker.core.select import EVERYTHING
from worker.core.sources import ANSWERED, Source
from worker.errors import NoSuchRecord, Retriable, SourceFailed
from worker.policyfile.retention import promises_in_words
from worker.usecases.gathering import gather
from worker.usecases.judging import Judge, Verdict
from worker.usecases.machine import Machine
from worker.usecases.matching import identifier_tokens, several_forms, several_tokens
from worker.usecases.recordkeys import stored_key
from worker.usecases.reporting import action, due_day, state_in_words, word
from worker.usecases.standing import tokens_of


@dataclass(frozen=True, slots=True)
class PurposeLine:
    """One purpose of one record, in words. `facts` are those of its clock, consents and condition with what is known of them.

    through -- the last day for which it needs its fields, while that lies ahead and is known; runs -- whether it still needs them.
    """

    id: str
    basis: str
    state: str
    keep: str
    fields: tuple[str, ...]
    facts: tuple[str, ...]
    runs: bool
    through: dt.date | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """Everything `explain` says about one record.

    as_of -- the local day for which it holds; due and deadline are local days, None when nothing is due; backups -- when the record would
    be deleted on that day: the last day on which backups may still hold it, None when nobody said how long they do; action -- what a run
    would do to it; treated -- the fields that would be treated while the record stays.
    """

    source: str
    key: tuple[object, ...]
    word: str
    outcome: str
    due: dt.date | None
    deadline: dt.date | None
    purposes: tuple[PurposeLine, ...]
    fields: dict[str, str]
    standing: tuple[str, ...]
    as_of: dt.date
    backups: dt.date | None
    action: str | None
    treated: tuple[str, ...]


def explain_record(machine: Machine, source: str, key: str, as_of: dt.date | None = None) -> Explanation:
    """Explain one record by its key; NoSuchRecord when there is none."""
    policy = machine.policy(source)
    today = as_of or machine.today()
    with gather(machine, [policy], today) as gathered, machine.open_source(policy.source).reader() as reader:
        judge = Judge(machine, policy, today, gathered, identifiers=True)
        own = stored_key(machine, policy.source, key)
        row = reader.get(own, judge.columns) if own is not None else None
        if row is None:
            raise NoSuchRecord(f"{source} has no record with that key.")
        return _explanation(judge, judge.judge([row], reader.related)[0])


def explain_subject(
    machine: Machine, identifiers: Sequence[str], as_of: dt.date | None = None, *, doubtful: bool = False
) -> Iterator[Explanation | tuple[str, str]]:
    """Explain every record about a person, over all sources; a source that can't be read is yielded as (source, why).

    doubtful -- also where it is not sure that a telephone number was typed, as a hold on it does.
    """
    wanted = {bytes.fromhex(each) for each in tokens_of(machine, identifiers, doubtful=doubtful)}
    secret = machine.keyring.match().secret
    policies = [each for each in machine.policies() if each.source.identifiers]
    with gather(machine, policies, as_of or machine.today()) as gathered:
        for policy in policies:
            compared = policy.source.compared
            judge = Judge(machine, policy, gathered.today, gathered, identifiers=True)
            try:
                with machine.open_source(policy.source).reader() as reader:
                    for page in reader.rows(EVERYTHING, judge.columns):
                        for row in page:
                            said = [(how, judge.value(row, name)) for name, how in compared]
                            if any(
                                not wanted.isdisjoint((*identifier_tokens(secret, *each), *several_tokens(secret, *each))) for each in said
                            ):
                                yield _explanation(judge, judge.judge([row], reader.related)[0])
            except (SourceFailed, Retriable) as error:
                yield policy.source.name, str(error)


def _explanation(judge: Judge, verdict: Verdict) -> Explanation:
    """Return a verdict in words."""
    policy, decision = judge.policy, verdict.judged.decision
    facts = judge.facts(verdict)
    lines = tuple(
        PurposeLine(
            purpose.id,
            purpose.basis.value,
            state_in_words(state),
            _term_in_words(purpose.term),
            purpose.fields,
            tuple(
                f"{name}: {fact_in_words(facts[name])}"
                for name in dict.fromkeys((*policy.days_of(purpose), *_of_state(purpose), *facts_of(purpose.when)))
            ),
            isinstance(state, Running),
            state.until if isinstance(state, Running) else None,
        )
        for purpose, state in zip(policy.purposes, decision.purposes, strict=True)
    )
    due, _ = due_fields(policy, decision.purposes)
    day = due_day(decision)
    return Explanation(
        policy.source.name,
        verdict.key,
        word(policy, decision),
        outcome_in_words(decision.outcome),
        day,
        deadline(policy, day, verdict.standing) if day is not None else None,
        lines,
        {each.name: _field_in_words(each.name, due, decision) for each in policy.source.personal},
        (
            *(hold.id for hold in verdict.standing.holds),
            *(request.id for request in verdict.standing.requests),
            *_answer(facts),
            *_several(judge, verdict),
        ),
        judge.today,
        last_day_in_backups(policy.source, decision.outcome, judge.today),
        action(decision),
        decision.outcome.fields if isinstance(decision.outcome, Partly) else (),
    )


def last_day_in_backups(source: Source, outcome: Outcome, today: dt.date) -> dt.date | None:
    """Return the last day on which backups may hold a record that is deleted on a day; None when it isn't, or when nobody said."""
    match outcome:
        case Due(DispositionKind.DELETE) if source.backups is not None:
            return source.backups.after(today)
        case _:
            return None


def _of_state(purpose: Purpose) -> Iterator[str]:
    """Return the facts by which a state lasts, for a purpose that runs from the end of one."""
    return facts_of(purpose.start.condition if isinstance(purpose.start, StateEnd) else None)


def _answer(facts: Mapping[str, Fact]) -> Iterator[str]:
    """Yield a phrase for a person's answer to the review of a record."""
    match facts.get(ANSWERED):
        case Known(value):
            yield f"a review that keeps it through {value}"
        case _:
            pass


def _several(judge: Judge, verdict: Verdict) -> Iterator[str]:
    """Yield a phrase for every field that names several people."""
    for name, how in judge.policy.source.compared:
        if several_forms(how, judge.value(verdict.row, name)):
            yield f"several people in its {name}, so that nothing ends at the request of one"


def _term_in_words(term: Term | None) -> str:
    """Return how long a purpose keeps, and from when."""
    if term is None:
        return "no end of its own"
    anchor = "" if term.anchor is Anchor.DAY else f" from the {term.anchor.value.replace('_', ' ')}"
    return f"{term.period}{anchor}{promises_in_words(term)}"


def _field_in_words(name: str, due: dict[str, dt.date], decision: Decision) -> str:
    """Return what becomes of one field."""
    if name not in due:
        return "kept: no purpose covers it" if name in decision.uncovered else "kept"
    outcome = decision.outcome.instead_of if isinstance(decision.outcome, Held) else decision.outcome
    treated = isinstance(outcome, Kept) or (isinstance(outcome, Partly) and name not in outcome.fields)
    return f"treated already, or nothing in it to treat; was due since {due[name]}" if treated else f"due since {due[name]}"


def fact_in_words(fact: Fact) -> str:
    """Return a fact as a phrase: days and numbers are shown, texts are not."""
    match fact:
        case Known(value):
            return "a text" if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)
        case NotYet():
            return "has not happened yet"
        case NotApplicable():
            return "does not apply"
        case Unknown(why):
            return f"unknown ({why})"


def outcome_in_words(outcome: Outcome) -> str:
    """Return what happens to a record as a sentence."""
    match outcome:
        case Kept():
            return "It is kept."
        case Partly(fields, due):
            return f"It stays; {', '.join(fields)} are treated (due since {due})."
        case Due(DispositionKind.DELETE, _, due):
            return f"It is deleted (due since {due})."
        case Due(DispositionKind.PSEUDONYMISE, fields, due):
            return f"It stays, pseudonymised: {', '.join(fields)} (due since {due})."
        case Due(_, _, due):
            return f"A person has to review it (due since {due})."
        case Waiting(relations, due):
            return f"It is due since {due} but waits for its {', '.join(relations)}."
        case Undecided(why, due):
            return f"It is due since {due}, but {why}: it is kept and reported."
        case Held(by, instead_of):
            return f"It is held by {', '.join(by)}. Without that: {outcome_in_words(instead_of)}"
