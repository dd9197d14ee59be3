"""One purpose in words: how long, counted from what, on which conditions, and what a person can do about it.

As `worker.core.decide` carries it out: a paper promises nothing that is not done, and leaves out nothing that is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import assert_never

from worker.core.conditions import Compare, Every, Op
from worker.core.facts import Empty
from worker.core.model import Combine, LegalBasis, Policy, Purpose, StartEvent, StateEnd
from worker.core.periods import NO_TIME, Anchor, Bound, Period, Term
from worker.core.sources import Consent, Source
from worker.paper.language import End, Language, Phrase
from worker.paper.wording import Fact, combined, condition, data, duration, length, period, spoken, start


@dataclass(frozen=True, slots=True)
class Row:
    """One purpose in words.

    policy and purpose -- their identifiers, for whoever compares a paper with the audit trail; why -- what it is for; bounded -- the period
    with "at least" or "at most", empty without an end of its own; keep -- the period itself; standard -- its name, where it has one;
    start -- what it is counted from; condition -- what must be true, consents among it, after "if", or empty; notes -- sentences about
    earlier promises, about waiting too long and about what was only seen; sentence -- the whole of it as a privacy statement says it.
    """

    policy: str
    purpose: str
    why: str
    basis: LegalBasis
    data: tuple[str, ...]
    recipients: tuple[str, ...]
    keep: Period | None
    standard: str
    bounded: str
    start: str
    condition: str
    notes: tuple[str, ...]
    sentence: str


def row(policy: Policy, purpose: Purpose, facts: Mapping[str, Fact], language: Language) -> Row:
    """Return one purpose in words."""
    when = condition(purpose.when, facts, language, also=_consented(policy, purpose, language))
    event = start(purpose.start, purpose.term.anchor, facts, language) if purpose.start and purpose.term else ""
    keep = purpose.term.period if purpose.start and purpose.term else None
    bounded = _bounded(purpose, keep, language) if keep is not None else ""
    kept = Phrase.KEEP_INSTEAD if purpose.extends is not None and when else Phrase.KEEP_IF if when else Phrase.KEEP
    notes = tuple(_notes(policy, purpose, facts, language))
    sentence = [language.phrase(kept, condition=when, how_long=_how_long(policy.source, purpose, keep, bounded, event, language)), *notes]
    if purpose.recipients:
        sentence.append(language.phrase(Phrase.SHARED_FOR, recipients=language.both(purpose.recipients)))
    return Row(
        policy.id,
        purpose.id,
        why(purpose, language),
        purpose.basis,
        tuple(data(policy.source.field(each), language) for each in purpose.fields),
        tuple(dict.fromkeys((*policy.source.recipients, *purpose.recipients))),
        keep,
        purpose.period_name,
        bounded,
        event,
        when,
        notes,
        " ".join(sentence),
    )


def why(purpose: Purpose, language: Language) -> str:
    """Return what a purpose is for."""
    return language.of(purpose.label) or purpose.description.rstrip(".") or spoken(purpose.id)


def _bounded(purpose: Purpose, keep: Period, language: Language) -> str:
    """Return a period with what it bounds; no time at all is no bound."""
    said = period(keep, language)
    return said if keep == NO_TIME else language.bounds[Bound(purpose.bound)].format(period=said)


def _how_long(source: Source, purpose: Purpose, keep: Period | None, bounded: str, event: str, language: Language) -> str:
    """Return how long a purpose keeps its data, with what a person can do to end it sooner."""
    consent = language.either(_consents(source, purpose, language))
    ends = {each: language.ends[each].format(consent=consent) for each in _ends(source, purpose)}
    if keep is None:
        said = list(ends.values())
        return language.phrase(Phrase.UNTIL_YOU, ends=language.either(said)) if said else language.phrase(Phrase.WITHOUT_END)
    how_long = language.phrase(Phrase.UNTIL if keep == NO_TIME else Phrase.FOR, start=event, period=bounded)
    sooner = [said for end, said in ends.items() if end is not End.ERASE]  # Erasure is explained once, for all.
    return language.phrase(Phrase.UNLESS_SOONER, how_long=how_long, ends=language.either(sooner)) if sooner else how_long


def _ends(source: Source, purpose: Purpose) -> Iterator[End]:
    """Yield what a person can do to end a purpose; where somebody else is the controller, only the day of withdrawal in the record does."""
    stated = any(each.withdrawn is not None for each in source.consents_named(purpose.consents))
    if purpose.basis is LegalBasis.CONSENT and (source.controller or stated):
        yield End.WITHDRAW
    if purpose.marketing and source.controller:
        yield End.OBJECT
    if purpose.basis in (LegalBasis.CONSENT, LegalBasis.LEGITIMATE_INTERESTS) and not purpose.legal_claim and source.controller:
        yield End.ERASE


# --- Consents -------------------------------------------------------------------------------------------------------------------------


def _consents(source: Source, purpose: Purpose, language: Language) -> list[str]:
    """Return the consents that a purpose rests on, by their labels; several of them by their names where they have none."""
    declared = {each.name: each for each in source.consents}
    return [_consent(each, declared.get(each), purpose, language) for each in purpose.consents] or [language.phrase(Phrase.CONSENT)]


def _consent(name: str, declared: Consent | None, purpose: Purpose, language: Language) -> str:
    """Return one consent."""
    label = language.of(declared.label) if declared is not None else ""
    if label or len(purpose.consents) == 1:
        return label or language.phrase(Phrase.CONSENT)
    return language.phrase(Phrase.NAMED_CONSENT, name=language.value(spoken(name)))


def _consented(policy: Policy, purpose: Purpose, language: Language) -> tuple[str, ...]:
    """Return the condition that the consents which the source states are given, in time where they prolong another purpose."""
    stated = {each.name: each for each in policy.source.consents_named(purpose.consents)}
    named = [_consent(name, stated[name], purpose, language) for name in purpose.consents if name in stated]
    if not named:
        return ()
    gave = language.phrase(Phrase.GAVE, consent=language.both(named))
    if purpose.extends is None:
        return (gave,)
    extended = language.value(why(policy.purpose(purpose.extends), language))
    return (language.phrase(Phrase.IN_TIME, gave=gave, purpose=extended),)


# --- Notes ----------------------------------------------------------------------------------------------------------------------------


def _notes(policy: Policy, purpose: Purpose, facts: Mapping[str, Fact], language: Language) -> Iterator[str]:
    """Yield a sentence for every earlier promise that still makes a difference, and those about an event that is waited or looked for."""
    if purpose.term is None or purpose.start is None:
        return
    event = start(purpose.start, Anchor.DAY, facts, language)
    match purpose.start:
        case StartEvent():
            yield from _waiting(policy.source, purpose, purpose.start, facts, language)
        case StateEnd():
            yield from _seen(purpose.start, purpose.term, language)
        case _:
            assert_never(purpose.start)
    yield from _promises(purpose.term, event, language)


def _promises(term: Term, event: str, language: Language) -> Iterator[str]:
    """Yield what was promised before, the oldest first, where it was shorter than everything that was promised since."""
    phrase = Phrase.NOT_REVIVED if term.stretch else Phrase.PROMISED
    for number, earlier in enumerate(term.was):
        if all(length(earlier.period) < length(each) for each in (term.period, *(each.period for each in term.was[number + 1 :]))):
            yield language.phrase(phrase, event=event, day=language.value(earlier.through), period=duration(earlier.period, language))


def _waiting(source: Source, purpose: Purpose, event: StartEvent, facts: Mapping[str, Fact], language: Language) -> Iterator[str]:
    """Yield that somebody looks when the event does not come: so long after `since` and after those members that have come.

    What its condition compares has come already when the purpose applies.
    """
    parts = purpose.when.of if isinstance(purpose.when, Every) else (purpose.when,)
    come = [each.fact for each in parts if isinstance(each, Compare) and (each.op, each.values) != (Op.EXISTS, (False,))]
    ahead = [each for each in event.facts if each not in come and Empty.NOT_YET in source.absences(each)]
    after = [facts[purpose.since].text] if purpose.since is not None else []
    if len(event.facts) > 1 and event.combine is not Combine.EARLIEST_OF:
        after += [facts[each].text for each in event.facts if each not in ahead] if len(ahead) == 1 else [language.phrase(Phrase.REST)]
    term = purpose.patience
    if ahead and after and term is not None:
        awaited = language.either([facts[each].text for each in ahead])
        waited = language.anchors[term.anchor].format(event=combined(Combine.LATEST_OF, after, language))
        if term.period == NO_TIME:
            yield language.phrase(Phrase.WAITING_AT_ONCE, event=awaited, after=waited)
        else:
            yield language.phrase(Phrase.WAITING, event=awaited, after=waited, period=period(term.period, language))


def _seen(state: StateEnd, term: Term, language: Language) -> Iterator[str]:
    """Yield that the day counts on which the end of a state is first seen, and how long it has to settle where its period is shorter."""
    yield language.phrase(Phrase.SEEN if state.ended is None else Phrase.SEEN_OTHERWISE)
    if length(state.settling) > length(term.period):
        yield language.phrase(Phrase.SETTLING, period=period(state.settling, language))
