"""The shape of a policy file: which tables and keys there are and what kind of value each takes.

These models know one value at a time; what only two values together can get wrong (a name that nothing declares, a clock on a field that is
no date) is `worker.policyfile.sources` and `worker.policyfile.policies`. The JSON Schema for editors is made from the same models, so the
description of every key is written here once.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Discriminator, Field, PlainValidator, StringConstraints, Tag, WithJsonSchema

from worker.core.facts import Empty
from worker.core.model import Coarse, Disposal, DispositionKind, LegalBasis
from worker.core.periods import CALENDAR_YEAR, Bound, FiscalYear, Period
from worker.core.standing import RequestKind
from worker.policyfile.periods import INDEFINITE, NAME, Written, written

TAGS = frozenset({"as text", "as list", "as table", "as generalise", "as scrub"})
"""What pydantic adds to the place of an error inside a value that may have several kinds; no part of the path in the file."""

FORM = "x-form"
"""Marks in a model's JSON Schema a value whose form `worker.policyfile.schema` describes by hand, because it is recursive or open."""


class Shape(BaseModel):
    """What all tables have in common: no unknown keys, no conversions, frozen."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, arbitrary_types_allowed=True)


# --- Kinds of values ------------------------------------------------------------------------------------------------------------------


def _kind(value: object) -> str | None:
    """Return the tag of a value that may be a text, a list or a table."""
    match value:
        case str():
            return "as text"
        case list():
            return "as list"
        case dict():
            return "as table"
        case _:
            return None


def _period(value: object) -> Period:
    if not isinstance(value, str):
        raise ValueError("must be a period as text, such as 'P8W' or 'P2Y'")  # noqa: TRY004 - pydantic collects ValueError
    return Period.parse(value)


def _keep(value: object) -> Written | None:
    return None if value == INDEFINITE else written(value)


_FOREIGN_ZONES = ("posix/", "right/", "localtime", "posixrules", "Factory")


def zone(value: object) -> ZoneInfo:
    """Return a time zone of the IANA database by its name; ValueError for everything else."""
    wrong = "is not a time zone of the IANA database, such as 'Europe/Amsterdam' or 'UTC'"
    if not isinstance(value, str) or value.startswith(_FOREIGN_ZONES):
        raise ValueError(wrong)
    try:
        return ZoneInfo(value)
    except (ValueError, OSError, KeyError) as error:
        raise ValueError(f"{value!r} {wrong}") from error


def _stored_zone(value: object) -> ZoneInfo | Literal["offset"]:
    return "offset" if value == "offset" else zone(value)


def _fiscal_year(value: object) -> FiscalYear:
    if not isinstance(value, str):
        raise ValueError("must be a day of the year as text, such as '12-31'")  # noqa: TRY004 - pydantic collects ValueError
    try:
        return FiscalYear.parse(value)
    except ValueError as error:
        raise ValueError(f"{value!r} is not a day that every year has, written MM-DD, such as '12-31'") from error


def _text(pattern: str, **more: object) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": pattern, **more})


def _either(message: str) -> Discriminator:
    return Discriminator(_kind, custom_error_type="kind", custom_error_message=message)


_PERIOD_PATTERN = r"^P(?=\d)(\d{1,4}Y)?(\d{1,5}M)?(\d{1,6}W)?(\d{1,7}D)?$"
OwnPeriod = Annotated[Period, PlainValidator(_period), _text(_PERIOD_PATTERN)]
Duration = Annotated[Written, PlainValidator(written), _text(f"{_PERIOD_PATTERN}|{NAME}")]
Keep = Annotated[Written | None, PlainValidator(_keep), _text(f"{_PERIOD_PATTERN}|{NAME}")]
Zone = Annotated[ZoneInfo, PlainValidator(zone), WithJsonSchema({"type": "string", "examples": ["Europe/Amsterdam", "UTC"]})]
StoredZone = Annotated[
    ZoneInfo | Literal["offset"], PlainValidator(_stored_zone), WithJsonSchema({"type": "string", "examples": ["UTC", "offset"]})
]
YearEnd = Annotated[FiscalYear, PlainValidator(_fiscal_year), _text(r"^\d\d-\d\d$")]

NAME_PATTERNS = {
    r"^[a-z][a-z0-9_]{0,62}$": "a name of small letters, digits and _ that begins with a letter",
    r"^[A-Za-z_][A-Za-z0-9_]{0,62}$": "a name of letters, digits and _ that does not begin with a digit",
    NAME: "a name of small letters, digits, - and _ that begins with a letter",
    r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$": "a name of small letters, digits and - between them, as in an Internet domain",
    r"^[A-Z]{2}$": "the code of a country in two capitals, such as 'NL' (ISO 3166-1)",
}
_SOURCE, _FIELD, _ID, _DOMAIN, _COUNTRY = (StringConstraints(pattern=pattern) for pattern in NAME_PATTERNS)
SourceName = Annotated[str, _SOURCE]
FieldName = Annotated[str, _FIELD]
Id = Annotated[str, _ID]
DomainName = Annotated[str, _DOMAIN]
Text = Annotated[str, StringConstraints(min_length=1)]
Texts = Annotated[list[Text], Field(min_length=1)]
TextOrTexts = Annotated[
    Annotated[Text, Tag("as text")] | Annotated[Texts, Tag("as list")],
    _either("must be a text or a list of texts"),
]
IdOrIds = Annotated[
    Annotated[Id, Tag("as text")] | Annotated[Annotated[list[Id], Field(min_length=1)], Tag("as list")],
    _either("must be a name or a list of names"),
]
Days = dt.date
Condition = Annotated[dict[str, Any], WithJsonSchema({FORM: "Condition"})]
Given = Annotated[Any, WithJsonSchema({FORM: "Given"})]
Scalars = Annotated[Any, WithJsonSchema({FORM: "Values"})]


def _described(text: str) -> Any:
    return Field(description=text)


def _optional(text: str) -> Any:
    return Field(default=None, description=text)


def _default(value: object, text: str) -> Any:
    return Field(default=value, description=text)


def _switch(text: str) -> Any:
    return Field(default=False, description=text)


def _empty(factory: Callable[[], object], text: str) -> Any:
    return Field(default_factory=factory, description=text)


class LabelShape(Shape):
    """What people call something, by language, as it stands in a sentence."""

    nl: str = _default("", "In Dutch.")
    en: str = _default("", "In English.")


_LABEL = "What people call it, by language: for papers made from this file, changes nothing."
_VALUES = "What people say when it has a value: value = its words, by language, as they follow the word 'if'."

# --- Sources --------------------------------------------------------------------------------------------------------------------------


class FiscalYearShape(Shape):
    """A fiscal year that was shorter or longer than usual, or ended on another day."""

    first: Days = _described("Its first day.")
    last: Days = _described("Its last day.")


class StandardPeriodShape(Shape):
    """A period with a name."""

    keep: OwnPeriod = _described("The period.")
    description: str = _default("", "For people; changes nothing.")


NamedPeriod = Annotated[
    Annotated[OwnPeriod, Tag("as text")] | Annotated[StandardPeriodShape, Tag("as table")],
    _either('must be a period such as \'P8W\', or { keep = "...", description = "..." }'),
]


class OrganisationShape(Shape):
    """Whose policies these are, and how its days are counted."""

    name: Text = _described("The organisation's name; pseudonyms are made for it and for no other.")
    timezone: Zone = _described("The time zone in which days are counted.")
    fiscal_year_ends: YearEnd = _default(CALENDAR_YEAR, "The last day of the fiscal year, MM-DD; 12-31 unless said otherwise.")
    fiscal_years: list[FiscalYearShape] = _empty(list, "Fiscal years that were shorter or longer, or ended on another day.")
    window: Duration = _default(Period(), "How long after the due day a disposition may take, for policies that don't say; P0D.")
    lead: Duration = _default(Period(), "How long before its due day a record is shown as coming up, for policies that don't say; P0D.")
    owner: str = _default("", "Who answers for the policies that name nobody.")


Coarseness = Annotated[Coarse, Field(strict=False)]
Country = Annotated[str, _COUNTRY]


class ConstantShape(Shape):
    """A treatment that writes a fixed text."""

    constant: str = _described("The text that takes the place of every value.")


class GeneraliseShape(Shape):
    """A treatment that leaves the month or year of a day, the region of a postcode, or the range of a number."""

    generalise: Coarseness = _described("What is left: 'month' or 'year' of a day, 'region' of a postcode, 'range' of a number.")
    size: int | None = _optional("How many characters of a postcode are left (1 to 4; 2 unless said otherwise), or how wide a range is.")


class ScrubShape(Shape):
    """A treatment that takes out of a text what identifies its person, as far as that can be recognised."""

    scrub: list[Text] = _described("The fields of the same record whose values are taken out of the text, in whatever spelling.")
    language: Literal["en", "nl"] = _default("en", "The language of the words that take the place of what was found.")
    countries: list[Country] = _default(["NL", "BE", "DE"], "Whose telephone numbers are recognised without an international prefix.")
    within: Annotated[int, Field(ge=1)] | None = _optional("How many characters the column takes, when it takes a limited number.")


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

    type: FieldKind = _default("text", "What the field holds.")
    column: Text | None = _optional("Its name in the system, when that is another one.")
    personal: bool | None = _optional("Whether it is personal data; a field with a treatment or in `subject` is, unless said otherwise.")
    treatment: (
        Annotated[
            Annotated[SimpleTreatment, Tag("as text")]
            | Annotated[ConstantShape, Tag("as table")]
            | Annotated[GeneraliseShape, Tag("as generalise")]
            | Annotated[ScrubShape, Tag("as scrub")],
            Discriminator(_treatment_kind, custom_error_type="kind", custom_error_message=_TREATMENTS),
        ]
        | None
    ) = _optional("What happens to the field when it is due and its record stays.")
    domain: DomainName | None = _optional("Within which one value has one pseudonym; the source's name unless said otherwise.")
    follows: Literal["record"] | None = _optional("The field has no purpose of its own and is due when the rest of its record is.")
    timezone: StoredZone | None = _optional("The zone of stored timestamps, or 'offset' when each has its own.")
    empty: EmptyMeans = _default(Empty.UNKNOWN, "What an empty value means.")
    earliest: Days | None = _optional("The first day that can be true; days before it are unknown.")
    planned: bool = _switch("Days after today are meant, not mistaken.")
    label: LabelShape = _default(LabelShape(), _LABEL)
    values: dict[Text, LabelShape] = _empty(dict, _VALUES)


class RelationShape(Shape):
    """Rows of another table that belong to a record."""

    table: Text = _described("What the system calls the other table.")
    key: TextOrTexts = _described("The columns that identify a row there.")
    match: Annotated[dict[Text, Text], Field(min_length=1)] = _described("Their column = our column, for every pair that is equal.")


class ParentShape(RelationShape):
    """The row that a record points to; nothing here ever deletes it."""

    source: str | None = _optional("The source that these rows are the records of.")
    same_subject: bool = _switch("The row is about the same person as the record, so that holds and requests of the person concern both.")

    recount: dict[Text, dict[Text, Scalars]] = _empty(
        dict,
        "Its columns that count the records, set right after a deletion: column = which records count.",
    )


class ChildShape(RelationShape):
    """Rows that point to a record."""

    on_delete: Annotated[Disposal, Field(strict=False)] = _described("What happens to these rows when their record is deleted.")
    on_pseudonymise: Literal["delete"] | None = _optional("Delete these rows, too, when their record stays and is pseudonymised.")
    source: str | None = _optional("The source whose policy decides about these rows, when they have one of their own.")
    children: dict[FieldName, ChildShape] = _empty(dict, "Rows that point to these rows.")


class FactShape(Shape):
    """Something computed over the rows of a relation, or a day that people set; exactly one of count, exists, latest, earliest and mark."""

    count: Text | None = _optional("The relation whose rows are counted.")
    exists: Text | None = _optional("The relation that has a row, or has none.")
    latest: Text | None = _optional("The latest day: relation.column.")
    earliest: Text | None = _optional("The earliest day: relation.column.")
    mark: Id | None = _optional("The mark that people set with `retention mark set`: the day of an event without a column.")
    type: Literal["date", "timestamp"] | None = _optional("What the column holds, for latest and earliest.")
    timezone: StoredZone | None = _optional("The zone of stored timestamps, or 'offset' when each has its own.")
    none: EmptyMeans | None = _optional("What it means that there are no rows, or no mark; unknown unless said otherwise.")
    empty: EmptyMeans | None = _optional("What an empty value in a row means, for latest and earliest; unknown unless said otherwise.")
    planned: bool = _switch("Days after today are meant, not mistaken.")
    where: dict[Text, Scalars] = _empty(dict, "Their column = the value or values a row must have to count.")
    differs: dict[Text, Text] = _empty(dict, "Their column = our column that a row must differ from to count.")
    remaining: bool = _switch("Count only rows that this same policy does not delete.")
    label: LabelShape = _default(LabelShape(), _LABEL)
    values: dict[Text, LabelShape] = _empty(dict, _VALUES)


class ConsentShape(Shape):
    """A consent of the person a record is about, as the record states it."""

    given: Text = _described("The fact that holds the day on which it was given; not given while there is none.")
    withdrawn: Text | None = _optional("The fact that holds the day on which it was withdrawn; only a request withdraws it without.")
    label: LabelShape = _default(LabelShape(), "What people call it, by language, as it stands after 'you withdraw'.")


class CountedShape(Shape):
    """A day field of which only some records count."""

    field: Text = _described("The day field that is looked at: source.field.")
    where: Condition = _described("Only records count for which this is true; it asks for fields of their source.")


DayOfSource = Annotated[
    Annotated[Text, Tag("as text")] | Annotated[CountedShape, Tag("as table")],
    _either("must be 'source.field' or { field = \"source.field\", where = { ... } }"),
]


class SharedFactShape(Shape):
    """A fact over several sources: the latest day over all records about one subject."""

    latest: Annotated[list[DayOfSource], Field(min_length=1)] = _described("The day fields that are looked at: source.field.")
    none: EmptyMeans | None = _optional("What it means that no source has a record about the subject; unknown unless said otherwise.")
    label: LabelShape = _default(LabelShape(), _LABEL)


class SourceShape(Shape):
    """One set of records in one system."""

    connector: Text = _described("The plug-in that reads it; addresses and secrets are settings and never stand here.")
    table: Text = _described("What the system calls the set: a table, a list, a folder.")
    key: TextOrTexts = _described("The columns that identify a record.")
    subject: list[str] = _empty(list, "The fields that recognise the person a record is about.")
    processor: bool = _switch("The records are processed for somebody else, who decides about requests.")
    controller_name: Text | None = _optional("For whom they are processed, with `processor`.")
    backups: OwnPeriod | None = _optional("How long after its deletion a record is gone from backups too.")
    recipients: list[Text] = _empty(list, "With whom the records are shared.")
    options: dict[Text, str] = _empty(dict, "What else the plug-in wants to know.")
    label: LabelShape = _default(LabelShape(), _LABEL)
    fields: dict[FieldName, FieldShape] = _empty(dict, "The fields by name.")
    facts: dict[FieldName, FactShape] = _empty(dict, "Facts computed over relations, and facts that people set, by name.")
    consents: dict[Id, ConsentShape] = _empty(dict, "Consents that the records state, by name.")
    uses: list[str] = _empty(list, "Facts over several sources that its policy uses although none of its fields is part of them.")
    children: dict[FieldName, ChildShape] = _empty(dict, "Rows of other tables that point to a record, by name.")
    parents: dict[FieldName, ParentShape] = _empty(dict, "Rows of other tables that a record points to, by name.")


# --- Policies -------------------------------------------------------------------------------------------------------------------------


class CombineShape(Shape):
    """Several start facts, or the end of a state, as one event; exactly one of latest_of, earliest_of, all_of and while."""

    latest_of: Texts | None = _optional("The latest of those that apply; waits while one has not happened yet.")
    earliest_of: Texts | None = _optional("The earliest of those that have happened.")
    all_of: Texts | None = _optional("The day on which the last of them has happened; does not apply unless all do.")
    while_: Condition | None = Field(default=None, alias="while", description="The day on which the state ended in which this is true.")
    ended: Text | None = _optional("With while: the fact that is the day on which the state ended, where a system knows it.")
    settling: Duration | None = _optional("With while: how long after the end was first seen nothing may be due; P0D.")


AnchoredStart = Annotated[
    Annotated[Text, Tag("as text")] | Annotated[CombineShape, Tag("as table")],
    _either("must be a fact's name, or one of { latest_of }, { earliest_of }, { all_of } with a list of them, or { while }"),
]


class StartShape(CombineShape):
    """A start event in long form; exactly one of the keys."""

    end_of_fiscal_year: AnchoredStart | None = _optional("Count from the end of the fiscal year that holds the event.")
    end_of_calendar_year: AnchoredStart | None = _optional("Count from 31 December of the event's year.")
    end_of_month: AnchoredStart | None = _optional("Count from the last day of the event's month.")


class EarlierShape(Shape):
    """A period that was promised before."""

    keep: Duration = _described("How long it was.")
    through: Days = _described("The last day on which it was promised.")


class PurposeShape(Shape):
    """Why fields are kept, and until when."""

    id: Id = _described("Its name in plans, reports and events.")
    basis: Annotated[LegalBasis, Field(strict=False)] = _described("The ground of GDPR article 6(1).")
    fields: Texts = _described("The personal fields it needs.")
    start: (
        Annotated[
            Annotated[Text, Tag("as text")] | Annotated[StartShape, Tag("as table")],
            _either('must be a fact\'s name, or a table such as { end_of_fiscal_year = "..." }'),
        ]
        | None
    ) = _optional("The event from which the period runs.")
    keep: Keep = _described("How long: an ISO 8601 calendar period, the name of one under [periods], or 'indefinite'.")
    was: list[EarlierShape] = _empty(list, "How long it was before, for events through a day; the oldest first.")
    stretch: bool = _switch("A longer period holds for earlier events too, unless their time was over.")
    when: Condition | None = _optional("The purpose applies only to records for which this is true.")
    bound: Annotated[Bound, Field(strict=False)] = _default(Bound.CEILING, "Whether the period is the most allowed or the least required.")
    consent: IdOrIds | None = _optional("The named consent that it rests on, with basis consent, or a list: it rests on all of them.")
    extends: str | None = _optional("The purpose that it prolongs: a consent that is given after the end of that one changes nothing.")
    since: Text | None = _optional("The fact from whose day on a start event that has not happened yet is waited for.")
    waits: Duration | None = _optional("How long a start event is waited for before a person has to look; `keep` unless said otherwise.")
    marketing: bool = _switch("Direct marketing: an objection ends it that day.")
    legal_claim: bool = _switch("Needed for legal claims: a request for erasure does not end it.")
    recipients: list[Text] = _empty(list, "With whom these fields are shared for it.")
    description: str = _default("", "For people; changes nothing.")
    label: LabelShape = _default(LabelShape(), "What it is for, as a privacy statement says it, by language.")


Kind = Annotated[DispositionKind, Field(strict=False)]


class StepShape(Shape):
    """A later step of a disposition."""

    do: Kind = _described("What happens then.")
    after: Duration = _described("How much longer than every purpose's own period, counted from the same start event.")
    every: Duration | None = _optional("For a review: how long an answer keeps the record at most.")
    owner: str = _default("", "For a review: who does it; the policy's owner unless said otherwise.")


class DispositionShape(Shape):
    """What happens to a record that nothing needs any more, under a condition and with later steps."""

    do: Kind = _described("What happens as soon as nothing needs the record.")
    when: Condition | None = _optional("This one is chosen only for records for which this is true.")
    every: Duration | None = _optional("For a review: how long an answer keeps the record at most.")
    owner: str = _default("", "For a review: who does it; the policy's owner unless said otherwise.")
    then: list[StepShape] = _empty(list, "What happens later to a record that is still there.")


class RequestShape(Shape):
    """A request of the subject in an example."""

    ask: Annotated[RequestKind, Field(strict=False)] = _described("What the subject asked for.")
    received: Days = _described("The day it came in.")
    unverified: bool = _switch("Nobody has checked yet who asks.")
    consent: Id | None = _optional("The consent that is withdrawn; all of them unless said otherwise.")
    marketing: bool = _switch("An objection to direct marketing.")
    upheld: bool = _switch("An objection of another kind that a person decided for the subject.")


Outcome = Literal["kept", "held", "partly", "delete", "pseudonymise", "review", "undetermined"]


class ExampleShape(Shape):
    """A record and what has to become of it; checked whenever the file is read."""

    given: dict[str, Given] = _empty(dict, "Facts by name; what is not given is unknown.")
    due: Days | None = _optional("The last day the record is kept: on it nothing happens, the next day something does.")
    outcome: Outcome | None = _optional("What happens to the record.")
    today: Days | None = _optional("The day on which the outcome is asked for.")
    request: RequestShape | None = _optional("A request of the subject that is open.")
    description: str = _default("", "For people; changes nothing.")


class PolicyShape(Shape):
    """The retention rules for one source."""

    source: str = _described("The source it is about.")
    version: str = _default("", "Its version, for people.")
    effective: Days | None = _optional("The first day on which it decides anything.")
    disposition: Annotated[
        Annotated[Kind, Tag("as text")] | Annotated[Annotated[list[DispositionShape], Field(min_length=1)], Tag("as list")],
        _either("must be 'delete', 'pseudonymise', 'review' or a list of tables with `do`"),
    ] = _described("What happens to a record that nothing needs any more; nothing is deleted unless this says so.")
    window: Duration | None = _optional("How long after the due day the disposition may take; the organisation's unless said otherwise.")
    lead: Duration | None = _optional(
        "How long before its due day a record is shown as coming up; the organisation's unless said otherwise."
    )
    owner: str = _default("", "Who answers for it; the organisation's unless said otherwise.")
    clause: str = _default("", "Where the organisation promised this.")
    statement: str = _default("", "In which document it promised this.")
    description: str = _default("", "For people; changes nothing.")
    categories: list[Id] = _empty(list, "Categories of records, by which holds can be placed.")
    purposes: Annotated[list[PurposeShape], Field(min_length=1)] = _described("Why fields are kept, and until when.")
    examples: list[ExampleShape] = _empty(list, "Records and what has to become of them.")


# --- What no server can enforce ---------------------------------------------------------------------------------------------------------


class ReviewShape(Shape):
    """What somebody has to look at every so often."""

    id: Id = _described("Its name in commands, reports and events.")
    what: Text = _described("What has to be looked at, in a sentence.")
    clause: str = _default("", "Where the organisation promised this.")
    owner: Text = _described("Who does it.")
    every: Duration = _described("How often at least; longer ago than that it is overdue.")


class AttestationShape(ReviewShape):
    """What somebody has to confirm every so often, because no server can enforce it."""

    period: str = _default("", "How long the data are kept there, in words.")


class GapShape(Shape):
    """A promise, or data, for which nothing is laid down yet."""

    id: Id = _described("Its name in reports.")
    what: Text = _described("What is missing, in a sentence.")
    clause: str = _default("", "Where the organisation wrote about it.")
    owner: str = _default("", "Who has to decide about it.")
    categories: list[Text] = _empty(list, "The kinds of data concerned.")


class FileShape(Shape):
    """A retention policy file."""

    version: Literal[1] = _described("The version of this file's grammar.")
    organisation: OrganisationShape = _described("Whose policies these are.")
    periods: dict[Id, NamedPeriod] = _empty(dict, "Standard periods by name, to be used wherever a period can stand.")
    facts: dict[FieldName, SharedFactShape] = _empty(dict, "Facts over several sources, by name.")
    sources: dict[SourceName, SourceShape] = _empty(dict, "The sets of records, by name.")
    policies: list[PolicyShape] = _empty(list, "The retention rules, one policy a source.")
    attestations: list[AttestationShape] = _empty(list, "What people confirm, because no server can enforce it.")
    reviews: list[ReviewShape] = _empty(list, "What people look at every so often.")
    gaps: list[GapShape] = _empty(list, "What nothing is laid down for.")
