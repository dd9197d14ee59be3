"""The shape of a policy file: which tables and keys there are and what kind of value each takes.

These models know one value at a time; what only two values together can get wrong (a name that nothing declares, a clock on a field that is
no date) is `worker.policyfile.sources` and `worker.policyfile.policies`. The JSON Schema for editors is made from the same models, so the
description of every key is written here once.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag

from worker.core.facts import Empty
from worker.core.model import DispositionKind, LegalBasis
from worker.core.periods import CALENDAR_YEAR, Bound, Period
from worker.core.sources import Coarse, Disposal
from worker.core.standing import RequestKind
from worker.policyfile.values import (
    Condition,
    Country,
    Days,
    DomainName,
    Duration,
    FieldName,
    Given,
    Id,
    IdOrIds,
    Keep,
    OwnPeriod,
    Scalars,
    Shape,
    SourceName,
    StoredZone,
    Text,
    TextOrTexts,
    Texts,
    YearEnd,
    Zone,
    _either,
    _kind,
    described,
    empty_by,
    optional,
    switch,
    usually,
)


class LabelShape(Shape):
    """What people call something, by language, as it stands in a sentence."""

    nl: str = usually("", "In Dutch.")
    en: str = usually("", "In English.")


_LABEL = "What people call it, by language: for papers made from this file, changes nothing."
_VALUES = "What people say when it has a value: value = its words, by language, as they follow the word 'if'."

# --- Sources --------------------------------------------------------------------------------------------------------------------------


class FiscalYearShape(Shape):
    """A fiscal year that was shorter or longer than usual, or ended on another day."""

    first: Days = described("Its first day.")
    last: Days = described("Its last day.")


class StandardPeriodShape(Shape):
    """A period with a name."""

    keep: OwnPeriod = described("The period.")
    description: str = usually("", "For people; changes nothing.")


NamedPeriod = Annotated[
    Annotated[OwnPeriod, Tag("as text")] | Annotated[StandardPeriodShape, Tag("as table")],
    _either('must be a period such as \'P8W\', or { keep = "...", description = "..." }'),
]


class OrganisationShape(Shape):
    """Whose policies these are, and how its days are counted."""

    name: Text = described("The organisation's name; pseudonyms are made for it and for no other.")
    timezone: Zone = described("The time zone in which days are counted.")
    fiscal_year_ends: YearEnd = usually(CALENDAR_YEAR, "The last day of the fiscal year, MM-DD; 12-31 unless said otherwise.")
    fiscal_years: list[FiscalYearShape] = empty_by(list, "Fiscal years that were shorter or longer, or ended on another day.")
    country: Country | None = optional(
        "Where telephone numbers without an international prefix are dialled (ISO 3166-1), such as 'NL': then one number is found however "
        "it is written."
    )
    window: Duration = usually(Period(), "How long after the due day a disposition may take, for policies that don't say; P0D.")
    lead: Duration = usually(Period(), "How long before its due day a record is shown as coming up, for policies that don't say; P0D.")
    owner: str = usually("", "Who answers for the policies that name nobody.")
    watch_erasures: OwnPeriod = usually(
        Period.parse("P1Y"),
        "How long after somebody's erasure every source is watched whether the records come back; P1Y, and P0D for not at all.",
    )


Coarseness = Annotated[Coarse, Field(strict=False)]


class ConstantShape(Shape):
    """A treatment that writes a fixed text."""

    constant: str = described("The text that takes the place of every value.")


class GeneraliseShape(Shape):
    """A treatment that leaves the month or year of a day, the region of a postcode, or the range of a number."""

    generalise: Coarseness = described("What is left: 'month' or 'year' of a day, 'region' of a postcode, 'range' of a number.")
    size: int | None = optional("How many characters of a postcode are left (1 to 4; 2 unless said otherwise), or how wide a range is.")


class ScrubShape(Shape):
    """A treatment that takes out of a text what identifies its person, as far as that can be recognised."""

    scrub: list[Text] = described("The fields of the same record whose values are taken out of the text, in whatever spelling.")
    language: Literal["en", "nl"] = usually("en", "The language of the words that take the place of what was found.")
    countries: list[Country] = usually(["NL", "BE", "DE"], "Whose telephone numbers are recognised without an international prefix.")
    within: Annotated[int, Field(ge=1)] | None = optional("How many characters the column takes, when it takes a limited number.")


def _treatment_kind(value: object) -> str | None:
    """Return the tag of a treatment: a word, or a table by what it says is done."""
    tag = _kind(value)
    if tag != "as table" or not isinstance(value, dict):
        return tag
    return next((f"as {each}" for each in ("generalise", "scrub") if each in value), tag)


_TREATMENTS = (
    "must be 'clear', 'pseudonym', 'truncate', 'random', 'scrub', or one of { constant = \"...\" }, { generalise = \"...\" }, "
    "{ scrub = [ ... ] }"
)
SimpleTreatment = Literal["clear", "pseudonym", "truncate", "random", "scrub"]
FieldKind = Literal["text", "email", "phone", "number", "boolean", "date", "timestamp"]
EmptyMeans = Annotated[Empty, Field(strict=False)]


class FieldShape(Shape):
    """A named piece of a record."""

    type: FieldKind = usually("text", "What the field holds.")
    column: Text | None = optional("Its name in the system, when that is another one.")
    personal: bool | None = optional("Whether it is personal data; a field with a treatment or in `subject` is, unless said otherwise.")
    treatment: (
        Annotated[
            Annotated[SimpleTreatment, Tag("as text")]
            | Annotated[ConstantShape, Tag("as table")]
            | Annotated[GeneraliseShape, Tag("as generalise")]
            | Annotated[ScrubShape, Tag("as scrub")],
            Discriminator(_treatment_kind, custom_error_type="kind", custom_error_message=_TREATMENTS),
        ]
        | None
    ) = optional("What happens to the field when it is due and its record stays.")
    domain: DomainName | None = optional("Within which one value has one pseudonym; the source's name unless said otherwise.")
    follows: Literal["record"] | None = optional("The field has no purpose of its own and is due when the rest of its record is.")
    timezone: StoredZone | None = optional("The zone of stored timestamps, or 'offset' when each has its own.")
    empty: EmptyMeans = usually(Empty.UNKNOWN, "What an empty value means.")
    earliest: Days | None = optional("The first day that can be true; days before it are unknown.")
    planned: bool = switch("Days after today are meant, not mistaken.")
    label: LabelShape = usually(LabelShape(), _LABEL)
    values: dict[Text, LabelShape] = empty_by(dict, _VALUES)


class RelationShape(Shape):
    """Rows of another table that belong to a record."""

    table: Text = described("What the system calls the other table.")
    key: TextOrTexts = described("The columns that identify a row there.")
    match: Annotated[dict[Text, Text], Field(min_length=1)] = described("Their column = our column, for every pair that is equal.")


class ParentShape(RelationShape):
    """The row that a record points to; nothing here ever deletes it."""

    source: str | None = optional("The source that these rows are the records of.")
    same_subject: bool = switch("The row is about the same person as the record, so that holds and requests of the person concern both.")

    recount: dict[Text, dict[Text, Scalars]] = empty_by(
        dict,
        "Its columns that count the records, set right after a deletion: column = which records count.",
    )


class ChildShape(RelationShape):
    """Rows that point to a record."""

    on_delete: Annotated[Disposal, Field(strict=False)] = described("What happens to these rows when their record is deleted.")
    on_pseudonymise: Literal["delete"] | None = optional("Delete these rows, too, when their record stays and is pseudonymised.")
    source: str | None = optional("The source whose policy decides about these rows, when they have one of their own.")
    children: dict[FieldName, ChildShape] = empty_by(dict, "Rows that point to these rows.")


class FactShape(Shape):
    """Something computed over the rows of a relation, or a day that people set; exactly one of count, exists, latest, earliest and mark."""

    count: Text | None = optional("The relation whose rows are counted.")
    exists: Text | None = optional("The relation that has a row, or has none.")
    latest: Text | None = optional("The latest day: relation.column.")
    earliest: Text | None = optional("The earliest day: relation.column.")
    mark: Id | None = optional("The mark that people set with `retention mark set`: the day of an event without a column.")
    type: Literal["date", "timestamp"] | None = optional("What the column holds, for latest and earliest.")
    timezone: StoredZone | None = optional("The zone of stored timestamps, or 'offset' when each has its own.")
    none: EmptyMeans | None = optional("What it means that there are no rows, or no mark; unknown unless said otherwise.")
    empty: EmptyMeans | None = optional("What an empty value in a row means, for latest and earliest; unknown unless said otherwise.")
    planned: bool = switch("Days after today are meant, not mistaken.")
    where: dict[Text, Scalars] = empty_by(dict, "Their column = the value or values a row must have to count.")
    differs: dict[Text, Text] = empty_by(dict, "Their column = our column that a row must differ from to count.")
    remaining: bool = switch("Count only rows that this same policy does not delete.")
    label: LabelShape = usually(LabelShape(), _LABEL)
    values: dict[Text, LabelShape] = empty_by(dict, _VALUES)


class ConsentShape(Shape):
    """A consent of the person a record is about, as the record states it."""

    given: Text = described("The fact that holds the day on which it was given; not given while there is none.")
    withdrawn: Text | None = optional("The fact that holds the day on which it was withdrawn; only a request withdraws it without.")
    label: LabelShape = usually(LabelShape(), "What people call it, by language, as it stands after 'you withdraw'.")


class CountedShape(Shape):
    """A day field of which only some records count."""

    field: Text = described("The day field that is looked at: source.field.")
    where: Condition = described("Only records count for which this is true; it asks for fields of their source.")


DayOfSource = Annotated[
    Annotated[Text, Tag("as text")] | Annotated[CountedShape, Tag("as table")],
    _either("must be 'source.field' or { field = \"source.field\", where = { ... } }"),
]


class SharedFactShape(Shape):
    """A fact over several sources: the latest day over all records about one subject, or the day on which the last of them went."""

    latest: Annotated[list[DayOfSource], Field(min_length=1)] | None = optional("The day fields that are looked at: source.field.")
    gone: Texts | None = optional("Instead of `latest`, the fields by which something is named: source.field.")
    none: EmptyMeans | None = optional("What it means that no source has a record about the subject; unknown unless said otherwise.")
    label: LabelShape = usually(LabelShape(), _LABEL)


class SuppressShape(Shape):
    """What stays of a deleted record, keyed, so that no import brings its address back."""

    fields: Texts = described("The identifiers that are suppressed, out of `subject`.")
    keep: OwnPeriod = described("How long from the day of the deletion; it has to end.")


class SourceShape(Shape):
    """One set of records in one system."""

    connector: Text = described("The plug-in that reads it; addresses and secrets are settings and never stand here.")
    table: Text = described("What the system calls the set: a table, a list, a folder.")
    key: TextOrTexts = described("The columns that identify a record.")
    subject: list[str] = empty_by(list, "The fields that recognise the person a record is about.")
    processor: bool = switch("The records are processed for somebody else, who decides about requests.")
    controller_name: Text | None = optional("For whom they are processed, with `processor`.")
    backups: OwnPeriod | None = optional("How long after its deletion a record is gone from backups too.")
    watch: OwnPeriod | None = optional("How long after its deletion it is watched whether a record comes back; needs `unchanging`.")
    unchanging: list[str] = empty_by(list, "The fields that never change in a record, by which it is recognised when it comes back.")
    suppress: SuppressShape | None = optional("A keyed list of those who were deleted, so that an import can't bring them back.")
    recipients: list[Text] = empty_by(list, "With whom the records are shared.")
    options: dict[Text, str] = empty_by(dict, "What else the plug-in wants to know.")
    label: LabelShape = usually(LabelShape(), _LABEL)
    fields: dict[FieldName, FieldShape] = empty_by(dict, "The fields by name.")
    facts: dict[FieldName, FactShape] = empty_by(dict, "Facts computed over relations, and facts that people set, by name.")
    consents: dict[Id, ConsentShape] = empty_by(dict, "Consents that the records state, by name.")
    uses: list[str] = empty_by(list, "Facts over several sources that its policy uses although none of its fields is part of them.")
    children: dict[FieldName, ChildShape] = empty_by(dict, "Rows of other tables that point to a record, by name.")
    parents: dict[FieldName, ParentShape] = empty_by(dict, "Rows of other tables that a record points to, by name.")


# --- Policies -------------------------------------------------------------------------------------------------------------------------


class CombineShape(Shape):
    """Several start facts, or the end of a state, as one event; exactly one of latest_of, earliest_of, all_of and while."""

    latest_of: Texts | None = optional("The latest of those that apply; waits while one has not happened yet.")
    earliest_of: Texts | None = optional("The earliest of those that have happened.")
    all_of: Texts | None = optional("The day on which the last of them has happened; does not apply unless all do.")
    while_: Condition | None = Field(default=None, alias="while", description="The day on which the state ended in which this is true.")
    ended: Text | None = optional("With while: the fact that is the day on which the state ended, where a system knows it.")
    settling: Duration | None = optional("With while: how long after the end was first seen nothing may be due; P0D.")


AnchoredStart = Annotated[
    Annotated[Text, Tag("as text")] | Annotated[CombineShape, Tag("as table")],
    _either("must be a fact's name, or one of { latest_of }, { earliest_of }, { all_of } with a list of them, or { while }"),
]


class StartShape(CombineShape):
    """A start event in long form; exactly one of the keys."""

    end_of_fiscal_year: AnchoredStart | None = optional("Count from the end of the fiscal year that holds the event.")
    end_of_calendar_year: AnchoredStart | None = optional("Count from 31 December of the event's year.")
    end_of_month: AnchoredStart | None = optional("Count from the last day of the event's month.")


class EarlierShape(Shape):
    """A period that was promised before."""

    keep: Duration = described("How long it was.")
    through: Days = described("The last day on which it was promised.")


class PurposeShape(Shape):
    """Why fields are kept, and until when."""

    id: Id = described("Its name in plans, reports and events.")
    basis: Annotated[LegalBasis, Field(strict=False)] = described("The ground of GDPR article 6(1).")
    fields: Texts = described("The personal fields it needs.")
    start: (
        Annotated[
            Annotated[Text, Tag("as text")] | Annotated[StartShape, Tag("as table")],
            _either('must be a fact\'s name, or a table such as { end_of_fiscal_year = "..." }'),
        ]
        | None
    ) = optional("The event from which the period runs.")
    keep: Keep = described("How long: an ISO 8601 calendar period, the name of one under [periods], or 'indefinite'.")
    was: list[EarlierShape] = empty_by(list, "How long it was before, for events through a day; the oldest first.")
    stretch: bool = switch("A longer period holds for earlier events too, unless their time was over.")
    when: Condition | None = optional("The purpose applies only to records for which this is true.")
    bound: Annotated[Bound, Field(strict=False)] = usually(Bound.CEILING, "Whether the period is the most allowed or the least required.")
    consent: IdOrIds | None = optional("The named consent that it rests on, with basis consent, or a list: it rests on all of them.")
    extends: str | None = optional("The purpose that it prolongs: a consent that is given after the end of that one changes nothing.")
    since: Text | None = optional("The fact from whose day on a start event that has not happened yet is waited for.")
    waits: Duration | None = optional("How long a start event is waited for before a person has to look; `keep` unless said otherwise.")
    marketing: bool = switch("Direct marketing: an objection ends it that day.")
    legal_claim: bool = switch("Needed for legal claims: a request for erasure does not end it.")
    recipients: list[Text] = empty_by(list, "With whom these fields are shared for it.")
    description: str = usually("", "For people; changes nothing.")
    label: LabelShape = usually(LabelShape(), "What it is for, as a privacy statement says it, by language.")


Kind = Annotated[DispositionKind, Field(strict=False)]


class StepShape(Shape):
    """A later step of a disposition."""

    do: Kind = described("What happens then.")
    after: Duration = described("How much longer than every purpose's own period, counted from the same start event.")
    every: Duration | None = optional("For a review: how long an answer keeps the record at most.")
    owner: str = usually("", "For a review: who does it; the policy's owner unless said otherwise.")


class DispositionShape(Shape):
    """What happens to a record that nothing needs any more, under a condition and with later steps."""

    do: Kind = described("What happens as soon as nothing needs the record.")
    when: Condition | None = optional("This one is chosen only for records for which this is true.")
    every: Duration | None = optional("For a review: how long an answer keeps the record at most.")
    owner: str = usually("", "For a review: who does it; the policy's owner unless said otherwise.")
    then: list[StepShape] = empty_by(list, "What happens later to a record that is still there.")


class RequestShape(Shape):
    """A request of the subject in an example."""

    ask: Annotated[RequestKind, Field(strict=False)] = described("What the subject asked for.")
    received: Days = described("The day it came in.")
    unverified: bool = switch("Nobody has checked yet who asks.")
    consent: Id | None = optional("The consent that is withdrawn; all of them unless said otherwise.")
    marketing: bool = switch("An objection to direct marketing.")
    upheld: bool = switch("An objection of another kind that a person decided for the subject.")


Outcome = Literal["kept", "held", "partly", "delete", "pseudonymise", "review", "undetermined"]


class ExampleShape(Shape):
    """A record and what has to become of it; checked whenever the file is read."""

    given: dict[str, Given] = empty_by(dict, "Facts by name; what is not given is unknown.")
    due: Days | None = optional("The last day the record is kept: on it nothing happens, the next day something does.")
    outcome: Outcome | None = optional("What happens to the record.")
    today: Days | None = optional("The day on which the outcome is asked for.")
    request: RequestShape | None = optional("A request of the subject that is open.")
    description: str = usually("", "For people; changes nothing.")


class PolicyShape(Shape):
    """The retention rules for one source."""

    source: str = described("The source it is about.")
    version: str = usually("", "Its version, for people.")
    effective: Days | None = optional("The first day on which it decides anything.")
    disposition: Annotated[
        Annotated[Kind, Tag("as text")] | Annotated[Annotated[list[DispositionShape], Field(min_length=1)], Tag("as list")],
        _either("must be 'delete', 'pseudonymise', 'review' or a list of tables with `do`"),
    ] = described("What happens to a record that nothing needs any more; nothing is deleted unless this says so.")
    window: Duration | None = optional("How long after the due day the disposition may take; the organisation's unless said otherwise.")
    lead: Duration | None = optional(
        "How long before its due day a record is shown as coming up; the organisation's unless said otherwise."
    )
    owner: str = usually("", "Who answers for it; the organisation's unless said otherwise.")
    clause: str = usually("", "Where the organisation promised this.")
    statement: str = usually("", "In which document it promised this.")
    description: str = usually("", "For people; changes nothing.")
    categories: list[Id] = empty_by(list, "Categories of records, by which holds can be placed.")
    purposes: Annotated[list[PurposeShape], Field(min_length=1)] = described("Why fields are kept, and until when.")
    examples: list[ExampleShape] = empty_by(list, "Records and what has to become of them.")


# --- What no server can enforce ---------------------------------------------------------------------------------------------------------


class ReviewShape(Shape):
    """What somebody has to look at every so often."""

    id: Id = described("Its name in commands, reports and events.")
    what: Text = described("What has to be looked at, in a sentence.")
    clause: str = usually("", "Where the organisation promised this.")
    owner: Text = described("Who does it.")
    every: Duration = described("How often at least; longer ago than that it is overdue.")


class AttestationShape(ReviewShape):
    """What somebody has to confirm every so often, because no server can enforce it."""

    period: str = usually("", "How long the data are kept there, in words.")


class GapShape(Shape):
    """A promise, or data, for which nothing is laid down yet."""

    id: Id = described("Its name in reports.")
    what: Text = described("What is missing, in a sentence.")
    clause: str = usually("", "Where the organisation wrote about it.")
    owner: str = usually("", "Who has to decide about it.")
    categories: list[Text] = empty_by(list, "The kinds of data concerned.")


class AuditShape(Shape):
    """The retention of the audit trail itself."""

    keep: Keep | None = optional("How long what an event says is kept; its hash stays. Without it, or 'indefinite', nothing is dropped.")


class FileShape(Shape):
    """A retention policy file."""

    version: Literal[1] = described("The version of this file's grammar.")
    organisation: OrganisationShape = described("Whose policies these are.")
    periods: dict[Id, NamedPeriod] = empty_by(dict, "Standard periods by name, to be used wherever a period can stand.")
    audit: AuditShape = usually(AuditShape(), "How long the worker's own audit trail is kept.")
    facts: dict[FieldName, SharedFactShape] = empty_by(dict, "Facts over several sources, by name.")
    sources: dict[SourceName, SourceShape] = empty_by(dict, "The sets of records, by name.")
    policies: list[PolicyShape] = empty_by(list, "The retention rules, one policy a source.")
    attestations: list[AttestationShape] = empty_by(list, "What people confirm, because no server can enforce it.")
    reviews: list[ReviewShape] = empty_by(list, "What people look at every so often.")
    gaps: list[GapShape] = empty_by(list, "What nothing is laid down for.")
