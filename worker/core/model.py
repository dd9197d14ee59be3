"""The checked policy file as frozen values: sources with their fields, facts and relations, and policies with their purposes.

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
from worker.core.facts import Empty, Reading
from worker.core.periods import CALENDAR_YEAR, NO_TIME, Bound, FiscalYear, Period, Term


@dataclass(frozen=True, slots=True)
class Label:
    """What people call something, by language (ISO 639-1), as it stands in a sentence; empty where nobody said. Changes no decision."""

    nl: str = ""
    en: str = ""


UNLABELLED = Label()


class LegalBasis(StrEnum):
    """The six grounds of GDPR article 6(1)."""

    CONSENT = "consent"
    CONTRACT = "contract"
    LEGAL_OBLIGATION = "legal-obligation"
    VITAL_INTERESTS = "vital-interests"
    PUBLIC_TASK = "public-task"
    LEGITIMATE_INTERESTS = "legitimate-interests"


class TreatmentKind(StrEnum):
    """What happens to one field."""

    CLEAR = "clear"
    CONSTANT = "constant"
    PSEUDONYM = "pseudonym"
    TRUNCATE = "truncate"
    GENERALISE = "generalise"
    RANDOM = "random"
    SCRUB = "scrub"


class Coarse(StrEnum):
    """What `generalise` leaves of a value."""

    MONTH = "month"
    YEAR = "year"
    REGION = "region"
    RANGE = "range"


@dataclass(frozen=True, slots=True)
class Scrubbing:
    """What `scrub` looks for in a text besides e-mail addresses, IBANs, IP addresses and citizen service numbers.

    beside -- the fields of the same record whose values, in any spelling, are removed; language -- of the words that take their place
    (ISO 639-1); countries -- whose telephone numbers are recognised without an international prefix (ISO 3166-1 alpha-2);
    within -- how many characters the column takes, None for any number.
    """

    beside: tuple[str, ...] = ()
    language: str = "en"
    countries: tuple[str, ...] = ()
    within: int | None = None


@dataclass(frozen=True, slots=True)
class Treatment:
    """How a due field is treated in a record that stays.

    value -- what `constant` writes; domain -- within which `pseudonym` gives the same person the same pseudonym; coarse and size -- what
    `generalise` leaves: of a region the first `size` characters, of a number the multiple of `size` below it; scrubbing -- for `scrub`.
    """

    kind: TreatmentKind
    value: str = ""
    domain: str = ""
    coarse: Coarse | None = None
    size: int = 0
    scrubbing: Scrubbing | None = None

    @property
    def beside(self) -> tuple[str, ...]:
        """The fields of the same record whose values it looks at."""
        return self.scrubbing.beside if self.scrubbing is not None else ()


class Identifier(StrEnum):
    """How values that recognise a subject are brought into canonical form before they are compared."""

    EMAIL = "email"
    PHONE = "phone"
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class Field:
    """A named piece of a record.

    column -- its name in the system; identifier -- set when the field recognises the subject; follows_record -- due when every other
    personal field of the record is due; label -- what people call it; values -- what people say when it has a value.
    """

    name: str
    column: str
    reading: Reading
    personal: bool = False
    treatment: Treatment | None = None
    identifier: Identifier | None = None
    follows_record: bool = False
    label: Label = UNLABELLED
    values: tuple[tuple[str, Label], ...] = ()


class Disposal(StrEnum):
    """What happens to the rows of a relation when their parent is deleted; never left to the database's cascade."""

    DELETE = "delete"
    DETACH = "detach"
    KEEP_PARENT = "keep_parent"
    BLOCK = "block"


@dataclass(frozen=True, slots=True)
class Match:
    """A restriction of an aggregate to rows whose column has one of the values (or a value other than the record's own column)."""

    column: str
    values: tuple[str | int | bool, ...] = ()
    differs_from: str | None = None


@dataclass(frozen=True, slots=True)
class Recount:
    """A column of a parent that counts its records and is set right after some of them were deleted; `where` says which it counts."""

    column: str
    where: tuple[Match, ...] = ()


@dataclass(frozen=True, slots=True)
class Relation:
    """Rows of another table that belong to a record: its children, or the parent it points to.

    own and theirs -- the columns that are equal, pairwise; key -- the other table's key columns; disposal -- None for a parent, which no
    deletion here touches; source -- the source whose policy decides about the rows, when they have one of their own;
    same_subject -- of a parent with a source of its own: it is about the same person, whose holds and requests concern the record too;
    with_pseudonymised -- the rows are also deleted when the record stays and is pseudonymised as a whole; recount -- of a parent: its
    columns that count the records; children -- relations of the rows themselves.
    """

    name: str
    table: str
    own: tuple[str, ...]
    theirs: tuple[str, ...]
    key: tuple[str, ...]
    disposal: Disposal | None = None
    source: str | None = None
    same_subject: bool = False
    with_pseudonymised: bool = False
    recount: tuple[Recount, ...] = ()
    children: tuple[Relation, ...] = ()


class Function(StrEnum):
    """What is computed over the rows of a relation."""

    COUNT = "count"
    EXISTS = "exists"
    LATEST = "latest"
    EARLIEST = "earliest"


@dataclass(frozen=True, slots=True)
class Aggregate:
    """A fact computed over the rows of a relation.

    column and reading -- what `latest` and `earliest` look at; none -- what no rows mean; an empty member means what `reading.empty` says
    (not yet: the whole has not happened yet); remaining -- count only rows that this same policy does not delete (replies that stay);
    label and values -- as of a field.
    """

    name: str
    relation: str
    function: Function
    column: str | None = None
    reading: Reading | None = None
    none: Empty = Empty.UNKNOWN
    where: tuple[Match, ...] = ()
    remaining: bool = False
    label: Label = UNLABELLED
    values: tuple[tuple[str, Label], ...] = ()


@dataclass(frozen=True, slots=True)
class Consent:
    """A named consent as a source states it: the facts that hold the days on which it was last given and last withdrawn.

    label -- what people call it, as it stands after "you withdraw".
    """

    name: str
    given: str
    withdrawn: str | None = None
    label: Label = UNLABELLED


@dataclass(frozen=True, slots=True)
class Member:
    """Records of one source that a shared fact is taken from.

    days -- the fields that are looked at; identifiers -- those by which the records are joined to a subject; when -- only records for which
    it is true count, None for all; facts -- the fields that it asks for. All fields without what only the source's own policy needs
    (treatments), so that a change of that is no change of the fact. Days with different conditions are members of their own.
    """

    source: str
    table: str
    days: tuple[Field, ...]
    identifiers: tuple[Field, ...]
    when: Condition | None = None
    facts: tuple[Field, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """The fields that have to be read to know what a record says."""
        return tuple(dict.fromkeys(each.name for each in (*self.days, *self.facts)))


@dataclass(frozen=True, slots=True)
class SharedFact:
    """The latest day over the records of several sources about one subject (last contact over quotes, mails and calls).

    none -- what it means that no member has a record about the subject; label -- what people call it.
    """

    name: str
    members: tuple[Member, ...]
    none: Empty = Empty.UNKNOWN
    label: Label = UNLABELLED

    @property
    def absences(self) -> frozenset[Empty]:
        """What it can mean that it has no day: no record, or an empty value in one."""
        return frozenset({self.none, *(day.reading.empty for member in self.members for day in member.days)})

    @property
    def sources(self) -> tuple[str, ...]:
        """The names of the sources that it is taken from, each once."""
        return tuple(dict.fromkeys(each.source for each in self.members))

    def members_of(self, source: str) -> tuple[Member, ...]:
        """Return what the fact takes from a source; nothing where it is no member."""
        return tuple(each for each in self.members if each.source == source)


REVIEW_MARK = "review"
"""The mark with which a person answers a review: the day through which nobody has to look at the record again."""

ANSWERED = f"mark:{REVIEW_MARK}"
"""The fact that is the answer to a review: known, or not applicable; no fact of a policy file can be called so."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A fact that people set by hand: the day of an event for which no system has a column.

    mark -- its name in the ledger, where it stands by keyed record; reading -- how the day is read; its `empty` says what no mark means;
    label -- what people call it.
    """

    name: str
    mark: str
    reading: Reading
    label: Label = UNLABELLED

    @property
    def none(self) -> Empty:
        """What it means that nobody set the mark."""
        return self.reading.empty


@dataclass(frozen=True, slots=True)
class Source:
    """One set of records in one system.

    connector -- the plug-in's name; table -- what the connector calls the set (a table, a list, a folder); key -- the columns that
    identify a record; controller -- False where records are processed for somebody else; options -- the connector's own; shared -- the
    facts over several sources that its policy may use: those it is a member of, and those it lists under `uses`; marks -- facts about its
    records that people set, which no connector can see.
    For people: controller_name -- for whom they are processed; backups -- how long after its deletion a record is gone from backups too,
    None when nobody said; recipients -- with whom the records are shared; label -- what people call the records.
    """

    name: str
    connector: str
    table: str
    key: tuple[str, ...]
    fields: tuple[Field, ...]
    aggregates: tuple[Aggregate, ...] = ()
    relations: tuple[Relation, ...] = ()
    controller: bool = True
    options: Mapping[str, str] = field(default_factory=dict)
    controller_name: str = ""
    backups: Period | None = None
    recipients: tuple[str, ...] = ()
    consents: tuple[Consent, ...] = ()
    shared: tuple[SharedFact, ...] = ()
    label: Label = UNLABELLED
    marks: tuple[Mark, ...] = ()

    def field(self, name: str) -> Field:
        """Return a field by its name; KeyError when there is none."""
        for candidate in self.fields:
            if candidate.name == name:
                return candidate
        raise KeyError(name)

    def relation(self, name: str) -> Relation:
        """Return a relation by its name; KeyError when there is none."""
        for candidate in self.relations:
            if candidate.name == name:
                return candidate
        raise KeyError(name)

    def consents_of(self, purpose: Purpose) -> tuple[Consent, ...]:
        """Return the declared consents among those that a purpose rests on."""
        return tuple(each for each in self.consents if each.name in purpose.consents)

    def shared_fact(self, name: str) -> SharedFact | None:
        """Return a fact over several sources by its name, None when the name stands for something else."""
        return next((each for each in self.shared if each.name == name), None)

    def absences(self, name: str) -> frozenset[Empty]:
        """Return what it can mean that a fact is not there; nothing where no fact has this name."""
        shared = self.shared_fact(name)
        if shared is not None:
            return shared.absences
        stated: tuple[Mark | Aggregate | Field, ...] = (*self.marks, *self.aggregates, *self.fields)
        for each in stated:
            if each.name == name:
                empty = each.reading.empty if each.reading is not None else Empty.UNKNOWN
                return frozenset({empty, each.none} if isinstance(each, Aggregate) else {empty})
        return frozenset()

    @property
    def contributing(self) -> tuple[Member, ...]:
        """What facts over several sources take from this one."""
        return tuple(dict.fromkeys(member for each in self.shared for member in each.members_of(self.name)))

    def mark(self, name: str) -> Mark | None:
        """Return the fact of this name that people set by hand, or None."""
        return next((each for each in self.marks if each.name == name), None)

    @property
    def identifiers(self) -> tuple[Field, ...]:
        """The fields that recognise the subject, in declared order."""
        return tuple(each for each in self.fields if each.identifier is not None)

    @property
    def personal(self) -> tuple[Field, ...]:
        """The fields that hold personal data, in declared order."""
        return tuple(each for each in self.fields if each.personal)


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
        consents = self.source.consents_of(purpose)
        more = (purpose.since, *(name for each in consents for name in (each.given, each.withdrawn)))
        return tuple(names | dict.fromkeys(name for name in more if name is not None))

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
            names.update(dict.fromkeys(self.days_of(purpose)))
            names.update(dict.fromkeys(facts_of(purpose.start.condition) if isinstance(purpose.start, StateEnd) else ()))
            names.update(dict.fromkeys(facts_of(purpose.when)))
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
    periods by name.
    """

    name: str
    zone: ZoneInfo
    fiscal_year: FiscalYear
    window: Period
    lead: Period = NO_TIME
    owner: str = ""
    periods: Mapping[str, StandardPeriod] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Schedule:
    """A whole policy file: the organisation, every source it names, the policies, one a source.

    facts -- over several sources; attestations, reviews and gaps -- what no server can enforce.
    """

    organisation: Organisation
    sources: Mapping[str, Source]
    policies: tuple[Policy, ...]
    facts: tuple[SharedFact, ...] = ()
    attestations: tuple[Attestation, ...] = ()
    reviews: tuple[PeriodicReview, ...] = ()
    gaps: tuple[Gap, ...] = ()

    def policy(self, source: str) -> Policy | None:
        """Return the policy of a source, or None for a source without one (a gap that the reports show)."""
        return next((policy for policy in self.policies if policy.source.name == source), None)


def day(value: object) -> dt.date | None:
    """Return a value when it is a calendar day, else None."""
    return value if isinstance(value, dt.date) and not isinstance(value, dt.datetime) else None
