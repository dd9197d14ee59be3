"""The checked policy file as frozen values: policies with their purposes, over the sources of `worker.core.sources`.

Nothing here reads a file. `worker.policyfile` builds these values and reports everything that is wrong; whoever holds one can rely on
every name in it being declared and every type matching.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from zoneinfo import ZoneInfo

from worker.core.conditions import Condition, facts_of
from worker.core.declarations import Attestation, Gap, PeriodicReview
from worker.core.facts import Empty
from worker.core.periods import CALENDAR_YEAR, NO_TIME, Bound, FiscalYear, Period, Term
from worker.core.sources import ANSWERED, UNLABELLED, Field, Label, SharedFact, Source


class LegalBasis(StrEnum):
    """The six grounds of GDPR article 6(1)."""

    CONSENT = "consent"
    CONTRACT = "contract"
    LEGAL_OBLIGATION = "legal-obligation"
    VITAL_INTERESTS = "vital-interests"
    PUBLIC_TASK = "public-task"
    LEGITIMATE_INTERESTS = "legitimate-interests"


class Combine(StrEnum):
    """How several start facts become one event."""

    LATEST_OF = "latest_of"
    EARLIEST_OF = "earliest_of"
    ALL_OF = "all_of"


@dataclass(frozen=True, slots=True)
class StartEvent:
    """The event from which a period runs: one fact, or several combined."""

    facts: tuple[str, ...]
    combine: Combine = Combine.LATEST_OF


SEEN = "seen:"
"""In front of a purpose's id: the fact that is the day on which its state was first seen to have ended, or not applicable."""


@dataclass(frozen=True, slots=True)
class StateEnd:
    """The event that a state has ended, which lasts while a condition is true.

    seen -- the fact that holds the day on which the condition was first seen false; ended -- the fact that holds the day on which the
    state ended, where a system knows it: then that day counts; settling -- how long after it was first seen nothing may be due, so that a
    state that comes back in the meantime has never ended.
    """

    condition: Condition
    seen: str
    ended: str | None = None
    settling: Period = NO_TIME

    @property
    def facts(self) -> tuple[str, ...]:
        """The facts that can be the day."""
        return (self.seen,) if self.ended is None else (self.ended, self.seen)


@dataclass(frozen=True, slots=True)
class Purpose:
    """Why fields are kept, and until when.

    start None or term None -- kept until something else ends it (a withdrawal, an objection, an erasure); consents -- the named consents it
    rests on, on all of them; marketing -- direct marketing, which an objection ends at once (GDPR 21(3)); legal_claim -- needed for legal
    claims, so an erasure request does not end it (GDPR 17(3)(e)); extends -- the purpose that it prolongs and can't revive;
    since -- a fact from whose day on an event that has not happened yet is waited for; waits -- for how long, from the latest known day of
    the event or of `since`, None for the purpose's own period. For people: period_name -- the standard period that `term` was taken from;
    recipients -- with whom its fields are shared; label -- what it is for, in the words of a privacy statement.
    """

    id: str
    basis: LegalBasis
    fields: tuple[str, ...]
    start: StartEvent | StateEnd | None = None
    term: Term | None = None
    when: Condition | None = None
    bound: Bound = Bound.CEILING
    consents: tuple[str, ...] = ()
    marketing: bool = False
    legal_claim: bool = False
    description: str = ""
    extends: str | None = None
    since: str | None = None
    waits: Period | None = None
    period_name: str = ""
    recipients: tuple[str, ...] = ()
    label: Label = UNLABELLED

    @property
    def patience(self) -> Term | None:
        """How long its start event may be waited for, from the latest known day; None where nothing is waited for.

        A state that lasts is waited for by nobody.
        """
        if not isinstance(self.start, StartEvent) or self.term is None:
            return None
        return Term(self.waits) if self.waits is not None else self.term


class DispositionKind(StrEnum):
    """What happens to a record that nothing needs any more."""

    DELETE = "delete"
    PSEUDONYMISE = "pseudonymise"
    REVIEW = "review"


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a disposition.

    after -- counted on top of every purpose's period, from the original start event; every -- of a review: how long an answer may keep the
    record at most; owner -- who reviews, for people.
    """

    kind: DispositionKind
    after: Period = NO_TIME
    every: Period | None = None
    owner: str = ""


@dataclass(frozen=True, slots=True)
class Disposition:
    """A chain of steps that applies when its condition is true."""

    steps: tuple[Step, ...]
    when: Condition | None = None


@dataclass(frozen=True)
class Policy:
    """The retention rules for one source.

    effective -- the first local day on which it decides anything, None for always. For people: version -- its number or name (events name
    the digest); clause and statement -- the promise that it keeps and the document it stands in; owner -- who answers for it; lead -- how
    long before its due day a record is shown as coming up.
    """

    source: Source
    purposes: tuple[Purpose, ...]
    dispositions: tuple[Disposition, ...]
    window: Period = NO_TIME
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))
    fiscal_year: FiscalYear = CALENDAR_YEAR
    categories: tuple[str, ...] = ()
    clause: str = ""
    description: str = ""
    digest: str = ""
    version: str = ""
    effective: dt.date | None = None
    owner: str = ""
    lead: Period = NO_TIME
    statement: str = ""

    def in_force(self, today: dt.date) -> bool:
        """Whether the policy decides anything on a local day of the organisation."""
        return self.effective is None or self.effective <= today

    @property
    def id(self) -> str:
        """The policy's name in plans and events: that of its source."""
        return self.source.name

    def purpose(self, name: str) -> Purpose:
        """Return a purpose by its id; KeyError when there is none."""
        for candidate in self.purposes:
            if candidate.id == name:
                return candidate
        raise KeyError(name)

    def days_of(self, purpose: Purpose) -> tuple[str, ...]:
        """Return the names of the facts whose days tell whether a purpose runs: of its start event, of its waiting, of its consents."""
        names = dict.fromkeys(purpose.start.facts if purpose.start else ())
        consents = self.source.consents_named(purpose.consents)
        more = (purpose.since, *(name for each in consents for name in (each.given, each.withdrawn)))
        return tuple(names | dict.fromkeys(name for name in more if name is not None))

    def deciding_of(self, purpose: Purpose) -> tuple[str, ...]:
        """Return the names of the facts that tell a purpose's state, each once; those of a purpose that it extends are not among them."""
        names = dict.fromkeys(self.days_of(purpose))
        names.update(dict.fromkeys(facts_of(purpose.start.condition) if isinstance(purpose.start, StateEnd) else ()))
        names.update(dict.fromkeys(facts_of(purpose.when)))
        return tuple(names)

    @cached_property
    def purposes_of(self) -> dict[str, tuple[int, ...]]:
        """For every personal field that does not follow its record: the positions of the purposes that list it."""
        return {
            each.name: tuple(i for i, purpose in enumerate(self.purposes) if each.name in purpose.fields)
            for each in self.source.personal
            if not each.follows_record
        }

    @cached_property
    def treatable(self) -> tuple[Field, ...]:
        """The personal fields that have a treatment, in declared order."""
        return tuple(each for each in self.source.personal if each.treatment is not None)

    @cached_property
    def examined(self) -> tuple[str, ...]:
        """The names of the fields that treatments look at: those that are treated, and what stands beside them."""
        own = dict.fromkeys(each.name for each in self.treatable)
        return tuple(own | dict.fromkeys(name for each in self.treatable if each.treatment is not None for name in each.treatment.beside))

    @cached_property
    def uniform(self) -> bool:
        """Whether every personal field rests on the same purposes, so that a record is due as a whole or not at all."""
        return len(set(self.purposes_of.values())) <= 1

    @cached_property
    def only_deletes(self) -> bool:
        """Whether a record is deleted or left as it is: then no personal field's content plays a part in deciding."""
        kinds = {step.kind for disposition in self.dispositions for step in disposition.steps}
        return self.uniform and kinds == {DispositionKind.DELETE}

    @cached_property
    def deciding(self) -> tuple[str, ...]:
        """The names of all facts that clocks, consents and conditions use, each once, in a fixed order."""
        names: dict[str, None] = {}
        for purpose in self.purposes:
            names.update(dict.fromkeys(self.deciding_of(purpose)))
        for disposition in self.dispositions:
            names.update(dict.fromkeys(facts_of(disposition.when)))
        if self.reviews:
            names[ANSWERED] = None
        return tuple(names)

    @cached_property
    def shared(self) -> tuple[SharedFact, ...]:
        """The facts over several sources that this policy decides by; they have to be gathered before anything is judged."""
        return tuple(each for each in self.source.shared if each.name in self.deciding)

    def may_wait(self, purpose: Purpose) -> bool:
        """Whether a purpose can wait for its start event too long: a member may lie ahead while another day is known."""
        if purpose.patience is None or purpose.start is None:
            return False
        known = {purpose.since} - {None}
        if not (isinstance(purpose.start, StartEvent) and purpose.start.combine is Combine.EARLIEST_OF):
            known.update(purpose.start.facts)
        return any(known - {name} for name in purpose.start.facts if Empty.NOT_YET in self.source.absences(name))

    @cached_property
    def waits(self) -> bool:
        """Whether a record may wait too long for an event, so that a person has to look at it."""
        return any(self.may_wait(purpose) for purpose in self.purposes)

    @cached_property
    def reviews(self) -> bool:
        """Whether a person may have to look at a record: to decide about it, or because an event is waited for too long."""
        steps = (step for disposition in self.dispositions for step in disposition.steps)
        return self.waits or any(step.kind is DispositionKind.REVIEW for step in steps)

    @cached_property
    def outside(self) -> tuple[str, ...]:
        """The deciding facts that people set or runs saw: they do not come from the record's row or its relations."""
        return tuple(name for name in self.deciding if name == ANSWERED or name.startswith(SEEN) or self.source.mark(name) is not None)

    @property
    def states(self) -> tuple[tuple[Purpose, StateEnd], ...]:
        """The purposes whose periods run from the end of a state, each with that state."""
        return tuple((each, each.start) for each in self.purposes if isinstance(each.start, StateEnd))

    def visible(self, name: str) -> bool:
        """Whether a connector can be asked for a deciding fact: not for what people set, nor for what lies in several sources."""
        return name not in self.outside and self.source.shared_fact(name) is None


@dataclass(frozen=True, slots=True)
class StandardPeriod:
    """A period with a name, defined once for the whole file (a standard deletion period of DIN 66398)."""

    name: str
    period: Period
    description: str = ""


@dataclass(frozen=True, slots=True)
class Organisation:
    """Whose policies these are.

    zone -- the IANA zone in which days are counted; window, lead, owner -- what holds for policies that don't say; periods -- the standard
    periods by name; watch_erasures -- how long it is watched in every source whether a record that somebody asked to erase comes back;
    country -- where telephone numbers without an international prefix are dialled (ISO 3166-1 alpha-2), empty when nobody said.
    """

    name: str
    zone: ZoneInfo
    fiscal_year: FiscalYear
    window: Period
    lead: Period = NO_TIME
    owner: str = ""
    periods: Mapping[str, StandardPeriod] = field(default_factory=dict)
    watch_erasures: Period = NO_TIME
    country: str = ""


@dataclass(frozen=True, slots=True)
class Schedule:
    """A whole policy file: the organisation, every source it names, the policies, one a source.

    facts -- over several sources; attestations, reviews and gaps -- what no server can enforce; audit_keep -- how long events of the audit
    trail keep what they say, None for ever.
    """

    organisation: Organisation
    sources: Mapping[str, Source]
    policies: tuple[Policy, ...]
    facts: tuple[SharedFact, ...] = ()
    attestations: tuple[Attestation, ...] = ()
    reviews: tuple[PeriodicReview, ...] = ()
    gaps: tuple[Gap, ...] = ()
    audit_keep: Period | None = None

    def policy(self, source: str) -> Policy | None:
        """Return the policy of a source, or None for a source without one (a gap that the reports show)."""
        return next((policy for policy in self.policies if policy.source.name == source), None)


def day(value: object) -> dt.date | None:
    """Return a value when it is a calendar day, else None."""
    return value if isinstance(value, dt.date) and not isinstance(value, dt.datetime) else None
