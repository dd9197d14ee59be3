"""What there is to say about a schedule, in the words of one language: the one place where papers look into policies.

A statement and a register are two layouts of these sections and rows; what a policy says more one day is said here once.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import assert_never

from worker.core.conditions import facts_of as compared
from worker.core.declarations import Attestation, Gap, PeriodicReview
from worker.core.model import SEEN, Disposition, DispositionKind, Policy, Schedule, StateEnd, Step
from worker.core.periods import NO_TIME, Anchor
from worker.core.sources import Aggregate, Field, Mark, SharedFact, Source, TreatmentKind
from worker.paper.language import Lang, Language, Phrase, Title
from worker.paper.rows import Row, row
from worker.paper.wording import Fact, condition, data, facts_of, named, period


@dataclass(frozen=True, slots=True)
class Section:
    """One policy in words.

    clause -- where it was promised, in which document and where there; version -- its version and since when it is in force, or empty;
    owner -- who answers for it, and who reviews its records where that is somebody else; data -- every personal field with a purpose;
    alike -- every purpose needs all of them; client -- a sentence when they are processed for somebody else, else empty; afterwards --
    sentences about what happens then; notes -- sentences about recipients, single fields and pseudonyms; uncovered -- fields that no
    purpose lists.
    """

    policy: str
    title: str
    categories: tuple[str, ...]
    clause: str
    version: str
    owner: str
    data: tuple[str, ...]
    alike: bool
    rows: tuple[Row, ...]
    client: str
    afterwards: tuple[str, ...]
    notes: tuple[str, ...]
    uncovered: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Declared:
    """Something declared because no server can enforce it; what, period, clause and owner stand as in the file, in its language.

    period -- how long data are kept there; every -- how soon it is due again. Both are empty for what has none.
    """

    kind: Title
    what: str
    categories: tuple[str, ...]
    period: str
    every: str
    clause: str
    owner: str


@dataclass(frozen=True, slots=True)
class View:
    """A schedule in words: its policies in the order of the file, and the sources that have none.

    declared -- attestations, then periodic reviews, then gaps; standards -- every standard period that a purpose uses: its name, how long
    it is, and what the file says about it; odd_years -- a sentence about fiscal years that differed, empty where no period depends on one.
    """

    organisation: str
    sections: tuple[Section, ...]
    declared: tuple[Declared, ...]
    without_policy: tuple[str, ...]
    standards: tuple[tuple[str, str, str], ...]
    odd_years: str

    @property
    def rows(self) -> Iterator[tuple[Section, Row]]:
        """Every purpose with its section, in the order of the file."""
        return ((section, row) for section in self.sections for row in section.rows)


def view(schedule: Schedule, language: Language, today: dt.date | None = None) -> View:
    """Return what there is to say about a schedule in a language: about the policies in force on a local day, without one about all."""
    policies = [policy for policy in schedule.policies if today is None or policy.in_force(today)]
    declared: tuple[Attestation | PeriodicReview | Gap, ...] = (*schedule.attestations, *schedule.reviews, *schedule.gaps)
    return View(
        schedule.organisation.name,
        tuple(_section(policy, language) for policy in policies),
        tuple(_declared(each, language) for each in declared),
        tuple(named(each.label, name, language) for name, each in schedule.sources.items() if schedule.policy(name) is None),
        tuple(_standards(schedule, language)),
        _odd_years(schedule, language),
    )


def _declared(each: Attestation | PeriodicReview | Gap, language: Language) -> Declared:
    """Return one declaration."""
    match each:
        case Attestation():
            return Declared(Title.ATTESTATION, each.what, (), each.period, period(each.every, language), each.clause, each.owner)
        case PeriodicReview():
            return Declared(Title.REVIEW, each.what, (), "", period(each.every, language), each.clause, each.owner)
        case Gap():
            return Declared(Title.GAP, each.what, each.categories, "", "", each.clause, each.owner)
        case _:
            assert_never(each)


def _standards(schedule: Schedule, language: Language) -> Iterator[tuple[str, str, str]]:
    """Yield the standard periods that purposes use, in the order of the file."""
    used = {purpose.period_name for policy in schedule.policies for purpose in policy.purposes}
    for each in schedule.organisation.periods.values():
        if each.name in used:
            yield each.name, period(each.period, language), each.description


def _odd_years(schedule: Schedule, language: Language) -> str:
    """Return which fiscal years differed and how is counted then."""
    terms = [purpose.term for policy in schedule.policies for purpose in policy.purposes if purpose.term is not None]
    odd = schedule.organisation.fiscal_year.odd
    if not odd or not any(each.anchor is Anchor.END_OF_FISCAL_YEAR for each in terms):
        return ""
    years = [language.phrase(Phrase.THROUGH, first=language.value(first), last=language.value(last)) for first, last in odd]
    return language.titles[Title.ODD_YEARS].format(years=language.both(years))


def unlabelled(schedule: Schedule, lang: Lang) -> tuple[str, ...]:
    """Return what papers in a language will call by its identifier: `source`, `source.field` or fact, `source: purpose` or consent."""

    def without() -> Iterator[str]:
        for name, source in schedule.sources.items():
            policy = schedule.policy(name)
            if not getattr(source.label, lang.value):
                yield name
            used = {*(_mentioned(policy) if policy is not None else ()), *(each.name for each in source.personal)}
            facts: tuple[Field | Aggregate | SharedFact | Mark, ...] = (*source.fields, *source.aggregates, *source.shared, *source.marks)
            for each in facts:
                if each.name in used and not getattr(each.label, lang.value) and not _said_by_value(each, lang):
                    yield each.name if isinstance(each, SharedFact) else f"{name}.{each.name}"
            for purpose in policy.purposes if policy is not None else ():
                if not getattr(purpose.label, lang.value) and not purpose.description:
                    yield f"{name}: {purpose.id}"
            yield from _unlabelled_consents(source, policy, lang)

    return tuple(dict.fromkeys(without()))


def _mentioned(policy: Policy) -> Iterator[str]:
    """Yield the facts that sentences about a policy name; those that only state a consent are not among them."""
    for purpose in policy.purposes:
        yield from (each for each in (purpose.start.facts if purpose.start is not None else ()) if not each.startswith(SEEN))
        yield from compared(purpose.start.condition) if isinstance(purpose.start, StateEnd) else ()
        yield from compared(purpose.when)
        if purpose.since is not None:
            yield purpose.since
    for disposition in policy.dispositions:
        yield from compared(disposition.when)


def _unlabelled_consents(source: Source, policy: Policy | None, lang: Lang) -> Iterator[str]:
    """Yield the consents that stand in a sentence beside others, so that "your consent" would not tell which is meant."""
    labels = {each.name: getattr(each.label, lang.value) for each in source.consents}
    for purpose in policy.purposes if policy is not None else ():
        if len(purpose.consents) > 1:
            yield from (f"{source.name}: {name}" for name in purpose.consents if not labels.get(name))


def _said_by_value(fact: Field | Aggregate | SharedFact | Mark, lang: Lang) -> bool:
    """Whether a fact has words for its values, which then take the place of its name."""
    return isinstance(fact, Field | Aggregate) and any(getattr(label, lang.value) for _, label in fact.values)


# --- Sections -------------------------------------------------------------------------------------------------------------------------


def _section(policy: Policy, language: Language) -> Section:
    """Return one policy in words."""
    source, facts = policy.source, facts_of(policy.source, language)
    covered = [each for each in source.personal if policy.purposes_of.get(each.name)]
    following = [data(each, language) for each in source.personal if each.follows_record]
    pseudonymises = any(step.kind is DispositionKind.PSEUDONYMISE for each in policy.dispositions for step in each.steps)
    pseudonymises |= not policy.uniform and any(each.treatment.kind is TreatmentKind.PSEUDONYM for each in covered if each.treatment)
    scrubbed = [data(each, language) for each in policy.treatable if each.treatment and each.treatment.kind is TreatmentKind.SCRUB]
    notes = [
        language.phrase(Phrase.SHARED, recipients=language.both(source.recipients)) if source.recipients else "",
        _earlier(policy, language) if not policy.uniform else "",
        language.phrase(Phrase.FOLLOWS, fields=language.both(following)) if following else "",
        language.phrase(Phrase.PSEUDONYMS) if pseudonymises else "",
        language.phrase(Phrase.SCRUBBED, fields=language.both(scrubbed)) if scrubbed else "",
    ]
    return Section(
        policy.id,
        named(source.label, source.name, language),
        policy.categories,
        ": ".join(each for each in (policy.statement, policy.clause) if each),
        _version(policy, language),
        _owners(policy, language),
        tuple(data(each, language) for each in covered),
        policy.uniform,
        tuple(row(policy, each, facts, language) for each in policy.purposes),
        _client(source, language),
        tuple(_afterwards(policy, facts, language)),
        tuple(each for each in notes if each),
        tuple(data(each, language) for each in source.personal if each.name in policy.purposes_of and each not in covered),
    )


def _version(policy: Policy, language: Language) -> str:
    """Return a policy's version and since when it is in force, as far as the file says."""
    since = language.phrase(Phrase.FROM_DAY, day=language.value(policy.effective)) if policy.effective is not None else ""
    return ", ".join(each for each in (policy.version, since) if each)


def _owners(policy: Policy, language: Language) -> str:
    """Return who answers for a policy, and who reviews its records where that is somebody else."""
    steps = [step for each in policy.dispositions for step in each.steps if step.kind is DispositionKind.REVIEW]
    reviewers = dict.fromkeys(step.owner for step in steps if step.owner not in ("", policy.owner))
    return "; ".join(each for each in (policy.owner, *(language.phrase(Phrase.REVIEWER, owner=each) for each in reviewers)) if each)


def _client(source: Source, language: Language) -> str:
    """Return for whom records are processed, when that is somebody else."""
    if source.controller:
        return ""
    if not source.controller_name:
        return language.phrase(Phrase.FOR_CLIENT)
    return language.phrase(Phrase.FOR_NAMED_CLIENT, client=source.controller_name)


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
    backups = policy.source.backups
    if backups is not None and backups != NO_TIME and _deletes(policy):
        yield language.phrase(Phrase.BACKUPS, period=period(backups, language))
    if policy.source.watch is not None and _deletes(policy):
        yield language.phrase(Phrase.WATCH, period=period(policy.source.watch, language))
    if policy.source.suppress is not None and _deletes(policy):
        yield language.phrase(Phrase.SUPPRESS, period=period(policy.source.suppress.keep, language))


def _deletes(policy: Policy) -> bool:
    """Whether any step of any disposition deletes."""
    return any(step.kind is DispositionKind.DELETE for each in policy.dispositions for step in each.steps)


def _chain(disposition: Disposition, language: Language) -> str:
    """Return the steps of a disposition."""
    return language.both([_step(each, language) for each in disposition.steps])


def _step(step: Step, language: Language) -> str:
    """Return one step."""
    said = language.steps[step.kind]
    if step.every is not None:
        said = language.phrase(Phrase.AGAIN, step=said, period=period(step.every, language))
    return said if step.after == NO_TIME else language.phrase(Phrase.AFTER_STEP, period=period(step.after, language), step=said)
