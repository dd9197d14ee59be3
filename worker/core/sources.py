"""Sources as the policy file declares them: fields, relations, consents, marks, and facts over several sources."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from worker.core.conditions import Condition
from worker.core.facts import BOOLEANS, Empty, Reading
from worker.core.periods import Period


@dataclass(frozen=True, slots=True)
class Label:
    """What people call something, by language (ISO 639-1), as it stands in a sentence; empty where nobody said. Changes no decision."""

    nl: str = ""
    en: str = ""


UNLABELLED = Label()


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
class Comparison:
    """How the values of one identifier are compared: as what, and in which country a telephone number is dialled (see `Field`)."""

    kind: Identifier
    country: str = ""


@dataclass(frozen=True, slots=True)
class Field:
    """A named piece of a record.

    column -- its name in the system; identifier -- set when the field recognises the subject; follows_record -- due when every other
    personal field of the record is due; label -- what people call it; values -- what people say when it has a value; country -- of
    telephone numbers that recognise the subject: where one without an international prefix is dialled (ISO 3166-1 alpha-2), empty when
    nobody said.
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
    country: str = ""

    @property
    def comparison(self) -> Comparison | None:
        """How its values are compared with those of others; None where it recognises nobody."""
        return Comparison(self.identifier, self.country) if self.identifier is not None else None


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

    def admits(self, value: object) -> bool:
        """Whether a row's value is one of the values, however system and policy file write it: true is 1 in many, and 1.00 is 1."""
        return any(value == each or str(value) == str(each) or _alike(value, each) for each in self.values)


def _alike(value: object, constant: str | int | bool) -> bool:  # noqa: FBT001 - a constant of the policy file
    """Whether two values mean one number, or one truth where either is a truth value."""
    one, other = (_TRUTHS.get(str(each).strip().lower()) for each in (value, constant))
    if isinstance(value, bool) or isinstance(constant, bool):
        return one is not None and one == other
    if isinstance(value, str) and isinstance(constant, str):
        return False
    try:
        return Decimal(str(value)) == Decimal(str(constant))
    except ArithmeticError:
        return False


_TRUTHS = {text: fact.value for text, fact in BOOLEANS.items()}
"""What a text means where truth values are told by texts."""


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


GONE = "gone:"
"""Begins the name of a day that no column holds: the one on which the record itself goes. Before that it has not happened yet."""


@dataclass(frozen=True, slots=True)
class Member:
    """Records of one source that a shared fact is taken from.

    days -- the fields that are looked at; identifiers -- those by which the records are joined to a subject; when -- only records for which
    it is true count, None for all; facts -- the fields that it asks for. All fields without what only the source's own policy needs
    (treatments), so that a change of that is no change of the fact. Days with different conditions are members of their own, and so is
    each field by which a record that goes was known (`going`).
    """

    source: str
    table: str
    days: tuple[Field, ...]
    identifiers: tuple[Field, ...]
    when: Condition | None = None
    facts: tuple[Field, ...] = ()

    @property
    def going(self) -> bool:
        """Whether the day that counts is the one on which the record itself goes."""
        return any(each.name.startswith(GONE) for each in self.days)

    @property
    def columns(self) -> tuple[str, ...]:
        """The fields that have to be read to know what a record says, and about whom where its subject fields don't tell."""
        read = self.identifiers if self.going else self.days
        return tuple(dict.fromkeys(each.name for each in (*read, *self.facts)))


@dataclass(frozen=True, slots=True)
class SharedFact:
    """The latest day over the records of several sources about one subject (last contact over quotes, mails and calls).

    Over members that are `going` it is the day on which the last record of something went, and not yet while there is one.

    none -- what it means that no member has a record about the subject; label -- what people call it.
    """

    name: str
    members: tuple[Member, ...]
    none: Empty = Empty.UNKNOWN
    label: Label = UNLABELLED

    @property
    def going(self) -> bool:
        """Whether it is the day on which records went."""
        return any(each.going for each in self.members)

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
class Suppression:
    """By which identifiers a record that is deleted goes on the list of those that no import may bring back, and how long from that day."""

    fields: tuple[str, ...]
    keep: Period


@dataclass(frozen=True, slots=True)
class Source:
    """One set of records in one system.

    connector -- the plug-in's name; table -- what the connector calls the set (a table, a list, a folder); key -- the columns that
    identify a record; controller -- False where records are processed for somebody else; options -- the connector's own; shared -- the
    facts over several sources that its policy may use: those it is a member of, and those it lists under `uses`; marks -- facts about its
    records that people set, which no connector can see; watch -- how long after its deletion it is watched whether a record comes back,
    None where nobody looks; unchanging -- the fields by which it is told then that it is the same one; suppress -- who goes on the
    suppression list when they are deleted, None where there is none.
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
    watch: Period | None = None
    unchanging: tuple[str, ...] = ()
    suppress: Suppression | None = None

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

    def consents_named(self, names: Collection[str]) -> tuple[Consent, ...]:
        """Return the declared consents among these names."""
        return tuple(each for each in self.consents if each.name in names)

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
    def compared(self) -> tuple[tuple[str, Comparison], ...]:
        """The names of those fields, each with how its values are compared."""
        return tuple((each.name, comparison) for each in self.fields if (comparison := each.comparison) is not None)

    @property
    def personal(self) -> tuple[Field, ...]:
        """The fields that hold personal data, in declared order."""
        return tuple(each for each in self.fields if each.personal)
