"""What there is to say about a schedule, in the words of one language: the one place where papers look into policies.

A statement and a register are two layouts of these sections and rows; what a policy says more one day is said here once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from worker.core.model import Aggregate, Disposition, DispositionKind, Field, LegalBasis, Policy, Purpose, Schedule, Step, TreatmentKind
from worker.core.periods import NO_TIME, Bound, Period
from worker.paper.language import End, Lang, Language, Phrase
from worker.paper.wording import Fact, condition, data, facts_of, named, period, spoken, start


@dataclass(frozen=True, slots=True)
class Row:
    """One purpose in words.

    policy and purpose -- their identifiers, for whoever compares a paper with the audit trail; why -- what it is for; bounded -- the period
    with "at least" or "at most", empty without an end of its own; keep -- the period itself; start -- what it is counted from; condition
    -- what must be true, after "if", or empty; sentence -- the whole of it as a privacy statement says it.
    """

    policy: str
    purpose: str
    why: str
    basis: LegalBasis
    data: tuple[str, ...]
    recipients: tuple[str, ...]
    keep: Period | None
    bounded: str
    start: str
    condition: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Section:
    """One policy in words.

    data -- every personal field with a purpose; alike -- every purpose needs all of them; client -- a sentence when they are processed for
    somebody else, else empty; afterwards -- sentences about what happens then; notes -- sentences about single fields and pseudonyms;
    uncovered -- fields that no purpose lists.
    """

    policy: str
    title: str
    categories: tuple[str, ...]
    clause: str
    data: tuple[str, ...]
    alike: bool
    rows: tuple[Row, ...]
    client: str
    afterwards: tuple[str, ...]
    notes: tuple[str, ...]
    uncovered: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class View:
    """A schedule in words: its policies in the order of the file, and the sources that have none."""

    organisation: str
    sections: tuple[Section, ...]
    without_policy: tuple[str, ...]

    @property
    def rows(self) -> Iterator[tuple[Section, Row]]:
        """Every purpose with its section, in the order of the file."""
        return ((section, row) for section in self.sections for row in section.rows)


def view(schedule: Schedule, language: Language) -> View:
    """Return what there is to say about a schedule in a language."""
    return View(
        schedule.organisation.name,
        tuple(_section(policy, language) for policy in schedule.policies),
        tuple(named(each.label, name, language) for name, each in schedule.sources.items() if schedule.policy(name) is None),
    )


def unlabelled(schedule: Schedule, lang: Lang) -> tuple[str, ...]:
    """Return what papers in a language will call by its identifier: `source`, `source.field` or fact, `source: purpose`."""

    def without() -> Iterator[str]:
        for name, source in schedule.sources.items():
            policy = schedule.policy(name)
            if not getattr(source.label, lang.value):
                yield name
            used = {*(policy.deciding if policy is not None else ()), *(each.name for each in source.personal)}
            facts: tuple[Field | Aggregate, ...] = (*source.fields, *source.aggregates)
            for each in facts:
                if each.name in used and not getattr(each.label, lang.value) and not _said_by_value(each.values, lang):
                    yield f"{name}.{each.name}"
            for purpose in policy.purposes if policy is not None else ():
                if not getattr(purpose.label, lang.value) and not purpose.description:
                    yield f"{name}: {purpose.id}"

    return tuple(without())


def _said_by_value(values: tuple[tuple[str, object], ...], lang: Lang) -> bool:
    """Whether a fact has words for its values, which then take the place of its name."""
    return any(getattr(label, lang.value) for _, label in values)


# --- Sections -------------------------------------------------------------------------------------------------------------------------


def _section(policy: Policy, language: Language) -> Section:
    """Return one policy in words."""
    source, facts = policy.source, facts_of(policy.source, language)
    covered = [each for each in source.personal if policy.purposes_of.get(each.name)]
    following = [data(each, language) for each in source.personal if each.follows_record]
    pseudonymises = any(step.kind is DispositionKind.PSEUDONYMISE for each in policy.dispositions for step in each.steps)
    pseudonymises |= not policy.uniform and any(each.treatment.kind is TreatmentKind.PSEUDONYM for each in covered if each.treatment)
    notes = [
        _earlier(policy, language) if not policy.uniform else "",
        language.phrase(Phrase.FOLLOWS, fields=language.both(following)) if following else "",
        language.phrase(Phrase.PSEUDONYMS) if pseudonymises else "",
    ]
    return Section(
        policy.id,
        named(source.label, source.name, language),
        policy.categories,
        policy.clause,
        tuple(data(each, language) for each in covered),
        policy.uniform,
        tuple(_row(policy, each, facts, language) for each in policy.purposes),
        language.phrase(Phrase.FOR_CLIENT) if not source.controller else "",
        tuple(_afterwards(policy, facts, language)),
        tuple(each for each in notes if each),
        tuple(data(each, language) for each in source.personal if each.name in policy.purposes_of and each not in covered),
    )


def _earlier(policy: Policy, language: Language) -> str:
    """Return what happens to fields that go before the rest of their record."""
    fields = [each for each in policy.treatable if policy.purposes_of.get(each.name)]
    said = [
        language.treatments[kind].format(
            fields=language.both([data(each, language) for each in fields if each.treatment and each.treatment.kind is kind])
        )
        for kind in TreatmentKind
        if any(each.treatment and each.treatment.kind is kind for each in fields)
    ]
    return language.phrase(Phrase.EARLIER, treatments=language.both(said)) if said else ""


def _afterwards(policy: Policy, facts: Mapping[str, Fact], language: Language) -> Iterator[str]:
    """Yield what happens to a record that nothing needs any more, a sentence for every disposition and one for the window."""
    if any(condition(each.when, facts, language) for each in policy.dispositions):
        yield language.phrase(Phrase.DEPENDS)
    for number, each in enumerate(policy.dispositions):
        when = condition(each.when, facts, language)
        if when:
            yield language.phrase(Phrase.THEN_IF, condition=when, step=_chain(each, language))
        else:
            yield language.phrase(Phrase.OTHERWISE if number else Phrase.THEN, step=_chain(each, language))
    if policy.window != NO_TIME:
        yield language.phrase(Phrase.WINDOW, period=period(policy.window, language))


def _chain(disposition: Disposition, language: Language) -> str:
    """Return the steps of a disposition."""
    return language.both([_step(each, language) for each in disposition.steps])


def _step(step: Step, language: Language) -> str:
    """Return one step."""
    said = language.steps[step.kind]
    return said if step.after == NO_TIME else language.phrase(Phrase.AFTER_STEP, period=period(step.after, language), step=said)


# --- Purposes -------------------------------------------------------------------------------------------------------------------------


def _row(policy: Policy, purpose: Purpose, facts: Mapping[str, Fact], language: Language) -> Row:
    """Return one purpose in words."""
    when = condition(purpose.when, facts, language)
    event = start(purpose.start, purpose.term.anchor, facts, language) if purpose.start and purpose.term else ""
    keep = purpose.term.period if purpose.start and purpose.term else None
    bounded = _bounded(purpose, keep, language) if keep is not None else ""
    how_long = _how_long(purpose, keep, bounded, event, language)
    kept = Phrase.KEEP_IF if when else Phrase.KEEP
    return Row(
        policy.id,
        purpose.id,
        language.of(purpose.label) or purpose.description.rstrip(".") or spoken(purpose.id),
        purpose.basis,
        tuple(data(policy.source.field(each), language) for each in purpose.fields),
        (),
        keep,
        bounded,
        event,
        when,
        language.phrase(kept, condition=when, how_long=how_long),
    )


def _bounded(purpose: Purpose, keep: Period, language: Language) -> str:
    """Return a period with what it bounds; no time at all is no bound."""
    said = period(keep, language)
    return said if keep == NO_TIME else language.bounds[Bound(purpose.bound)].format(period=said)


def _how_long(purpose: Purpose, keep: Period | None, bounded: str, event: str, language: Language) -> str:
    """Return how long a purpose keeps its data, with what a person can do to end it sooner."""
    ends = [language.ends[each] for each in _ends(purpose)]
    if keep is None:
        return language.phrase(Phrase.UNTIL_YOU, ends=language.either(ends)) if ends else language.phrase(Phrase.WITHOUT_END)
    if keep == NO_TIME:
        return language.phrase(Phrase.UNTIL, start=event)
    how_long = language.phrase(Phrase.FOR, period=bounded, start=event)
    sooner = [language.ends[each] for each in _ends(purpose) if each is not End.ERASE]  # Erasure is explained once, for all.
    return language.phrase(Phrase.UNLESS_SOONER, how_long=how_long, ends=language.either(sooner)) if sooner else how_long


def _ends(purpose: Purpose) -> Iterator[End]:
    """Yield which requests of a person end a purpose, as `worker.core.decide` carries them out."""
    if purpose.basis is LegalBasis.CONSENT:
        yield End.WITHDRAW
    if purpose.marketing:
        yield End.OBJECT
    if purpose.basis in (LegalBasis.CONSENT, LegalBasis.LEGITIMATE_INTERESTS) and not purpose.legal_claim:
        yield End.ERASE
