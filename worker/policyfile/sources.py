"""Sources of the policy file: from their shape to `worker.core.sources.Source`, with every name in them checked."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

from worker.core.facts import Empty, FieldType, Reading
from worker.core.model import Organisation
from worker.core.periods import NO_TIME
from worker.core.sources import (
    REVIEW_MARK,
    Aggregate,
    Field,
    Function,
    Identifier,
    Label,
    Mark,
    Match,
    Recount,
    Relation,
    Source,
    Suppression,
)
from worker.policyfile.conditions import RESERVED, FactNames
from worker.policyfile.consents import consents
from worker.policyfile.document import Complaints, nearest, shortened
from worker.policyfile.positions import Path
from worker.policyfile.shape import ChildShape, FactShape, FieldShape, LabelShape, ParentShape, SourceShape
from worker.policyfile.treating import check_treatment, read_treatment

_READ_AS = {
    "text": FieldType.TEXT,
    "email": FieldType.TEXT,
    "phone": FieldType.TEXT,
    "number": FieldType.NUMBER,
    "boolean": FieldType.BOOLEAN,
    "date": FieldType.DATE,
    "timestamp": FieldType.TIMESTAMP,
}
IDENTIFIERS = {"email": Identifier.EMAIL, "phone": Identifier.PHONE, "text": Identifier.TEXT}
"""How the values of a field are compared where they recognise something, by the field's type; other types can't."""
_DAYS = ("date", "timestamp")
_ZONE_HINT = "Name the zone in which they are stored, such as 'UTC', or 'offset' when every value has its own."


def source(name: str, shape: SourceShape, organisation: Organisation, declared: Collection[str], complaints: Complaints) -> Source:
    """Return the source that a table declares, of an organisation; `declared` are the names of all sources in the file.

    Always answers a source that carries every declared name, so that policies about it can be checked too.
    """
    path: Path = ("sources", name)
    zone = organisation.zone
    fields = tuple(_field(name, each, of, organisation, shape, complaints) for each, of in shape.fields.items())
    _check_fields(path, shape, fields, complaints)
    relations = (
        *(_relation((*path, "children", each), each, of, declared, complaints) for each, of in shape.children.items()),
        *(_relation((*path, "parents", each), each, of, declared, complaints) for each, of in shape.parents.items()),
    )
    for each in shape.children.keys() & shape.parents.keys():
        complaints.problem((*path, "parents", each), f"{each!r} is the name of a child too")
    columns = [each.column for each in fields]
    described = {
        each: _Facts((*path, "facts", each), zone, shape.table, relations, columns, complaints).aggregate(each, of)
        for each, of in shape.facts.items()
        if of.mark is None
    }
    marks = tuple(_mark((*path, "facts", each), each, of, zone, complaints) for each, of in shape.facts.items() if of.mark is not None)
    for each in (each for each in shape.facts if each in shape.fields):
        complaints.problem((*path, "facts", each), f"{each!r} is the name of a field too")
    if shape.controller_name is not None and not shape.processor:
        complaints.problem((*path, "controller_name"), "names for whom the records are processed", "Say processor = true, or leave it out.")
    _check_watch(path, shape, complaints)
    _check_suppress(path, shape, complaints)
    found = Source(
        name,
        shape.connector,
        shape.table,
        _key(shape.key, (*path, "key"), complaints),
        fields,
        tuple(each for each in described.values() if each is not None),
        relations,
        controller=not shape.processor,
        options=dict(shape.options),
        controller_name=shape.controller_name or "",
        backups=shape.backups,
        watch=shape.watch,
        unchanging=tuple(shape.unchanging),
        suppress=Suppression(tuple(shape.suppress.fields), shape.suppress.keep) if shape.suppress is not None else None,
        recipients=tuple(shape.recipients),
        label=label(shape.label),
        marks=marks,
    )
    return replace(found, consents=consents(shape.consents, found, fact_names(found, complaints), complaints))


def fact_names(source: Source, complaints: Complaints) -> FactNames:
    """Return the facts that a policy about a source may use, with what they are compared as."""
    types = {each.name: each.reading.type for each in source.fields}
    for each in source.aggregates:
        match each.function:
            case Function.COUNT:
                types[each.name] = FieldType.NUMBER
            case Function.EXISTS:
                types[each.name] = FieldType.BOOLEAN
            case Function.LATEST | Function.EARLIEST:
                types[each.name] = FieldType.DATE
    types.update({each.name: FieldType.DATE for each in source.shared if each.name not in types})
    types.update(dict.fromkeys((each.name for each in source.marks), FieldType.DATE))
    days = {name: FieldType.DATE if kind is FieldType.TIMESTAMP else kind for name, kind in types.items()}
    document = complaints.document
    fields, own = document.names(("sources", source.name, "fields")), document.names(("sources", source.name, "facts"))
    broken = {name for name in document.names(("facts",)) if complaints.troubled(("facts", name))}
    return FactNames(
        source.name,
        days,
        {*fields, *own, *broken},
        fields,
        shared={each.name for each in source.shared} - {*fields, *own},
        elsewhere={*document.names(("facts",))} - broken,
    )


def label(shape: LabelShape) -> Label:
    """Return what people call something."""
    return Label(shape.nl, shape.en)


def _values(shape: FieldShape | FactShape) -> tuple[tuple[str, Label], ...]:
    """Return what people say when a field or a fact has a value."""
    return tuple((value, label(words)) for value, words in shape.values.items())


# --- Fields ---------------------------------------------------------------------------------------------------------------------------


def _field(source: str, name: str, shape: FieldShape, organisation: Organisation, of: SourceShape, complaints: Complaints) -> Field:
    """Return one field, after checking that what it declares goes together."""
    path: Path = ("sources", source, "fields", name)
    if name in RESERVED:
        complaints.problem(path, f"a field can't be called {name!r}, which has a meaning of its own in conditions", "Use `column`.")
    is_subject = name in of.subject
    treated = shape.treatment is not None
    personal = shape.personal if shape.personal is not None else treated or is_subject or shape.follows is not None
    if not personal and (treated or is_subject or shape.follows is not None):
        complaints.problem(
            (*path, "personal"), "a field with a treatment, that follows its record or that recognises the subject is personal"
        )
    check_treatment(path, name, shape, of, complaints)
    for key, given in (("earliest", shape.earliest is not None), ("planned", shape.planned)):
        if given and shape.type not in _DAYS:
            complaints.problem((*path, key), f"{key!r} belongs to dates and timestamps")
    reading = Reading(
        _READ_AS[shape.type],
        shape.empty,
        organisation.zone,
        _stored_zone(shape.type, shape.timezone, path, complaints),
        planned=shape.planned,
    )
    if shape.earliest is not None:
        reading = replace(reading, earliest=max(shape.earliest, dt.date(1, 1, 1)))
    if shape.type in ("email", "phone") and shape.treatment == "pseudonym" and not is_subject:
        what = f"is treated as plain text, because this {shape.type} does not recognise the subject"
        complaints.warn(path, what, "Name it in `subject`, so that its pseudonym is made from the canonical form.")
    identifier = IDENTIFIERS.get(shape.type) if is_subject else None
    treatment = read_treatment(name, shape, source, of)
    return Field(
        name,
        shape.column or name,
        reading,
        personal,
        treatment,
        identifier,
        follows_record=shape.follows is not None,
        label=label(shape.label),
        values=_values(shape),
        country=organisation.country if identifier is Identifier.PHONE else "",
    )


def _stored_zone(kind: str | None, declared: ZoneInfo | str | None, path: Path, complaints: Complaints) -> ZoneInfo | None:
    """Return the zone of timestamps without offset; a timestamp whose zone nobody declared is refused."""
    if kind == "timestamp" and declared is None:
        complaints.problem(path, "a timestamp needs a `timezone`: without it nobody knows on which day it was", _ZONE_HINT)
    elif kind != "timestamp" and declared is not None:
        complaints.problem((*path, "timezone"), "only a timestamp has a zone; a date is a local day")
    return declared if isinstance(declared, ZoneInfo) else None


def _check_fields(path: Path, shape: SourceShape, fields: Iterable[Field], complaints: Complaints) -> None:
    """Check what the fields of a source are to each other, to its key and to its subject."""
    columns: dict[str, str] = {}
    keys = [shape.key] if isinstance(shape.key, str) else shape.key
    for each in fields:
        if each.column in columns:
            what = f"reads the same column as {columns[each.column]!r}"
            complaints.problem((*path, "fields", each.name), what, "Declare a column once.")
        columns.setdefault(each.column, each.name)
        if each.treatment is not None and each.column in keys:
            complaints.problem((*path, "fields", each.name), "is part of the key, which no treatment may change")
    declared = complaints.document.names((*path, "fields"))
    for number, name in enumerate(shape.subject):
        place = (*path, "subject", number)
        if complaints.known(place, "field", name, shape.fields, declared) and shape.fields[name].type not in IDENTIFIERS:
            complaints.problem(place, f"{name!r} is a {shape.fields[name].type}; a subject is recognised by text, email or phone")
    phones = [each.name for each in fields if each.identifier is Identifier.PHONE and not each.country]
    if phones and not complaints.troubled(("organisation", "country")):
        what = "recognises people by a telephone number as it is written: a hold on 06 12345678 does not keep a record with +31 6 12345678"
        complaints.warn((*path, "fields", phones[0]), what, "Say in [organisation] where numbers are dialled, such as country = 'NL'.")
    if not shape.subject and not any(parent.same_subject for parent in shape.parents.values()):
        complaints.warn(path, "has no subject fields, so holds and requests of a person will not find its records", "Declare `subject`.")


def _check_watch(path: Path, shape: SourceShape, complaints: Complaints) -> None:
    """Check that records which come back can be recognised: by fields that are declared and that no key can stand in for."""
    declared = complaints.document.names((*path, "fields"))
    for number, name in enumerate(shape.unchanging):
        complaints.known((*path, "unchanging", number), "field", name, shape.fields, declared)
    if shape.watch is not None and not shape.unchanging:
        what = "needs `unchanging`: a record that comes back is never recognised by its key alone"
        complaints.problem((*path, "watch"), what, "Name the fields that never change, such as the day on which it was made.")
    if shape.watch is not None and shape.watch == NO_TIME:
        complaints.problem((*path, "watch"), "watches for no time at all", "Leave it out, or say how long.")


def _check_suppress(path: Path, shape: SourceShape, complaints: Complaints) -> None:
    """Check that what is suppressed is an identifier, that the list ends, and that somebody's change of mind can be recognised."""
    if shape.suppress is None:
        return
    place: Path = (*path, "suppress")
    for number, name in enumerate(shape.suppress.fields):
        if name not in shape.subject:
            what = f"{name!r} is not in `subject`, and only what recognises a person can be suppressed"
            complaints.problem((*place, "fields", number), what, "Add it to `subject`, or name another field.")
    if shape.suppress.keep == NO_TIME:
        complaints.problem((*place, "keep"), "suppresses for no time at all", "Leave `suppress` out, or say how long.")
    if shape.processor:
        complaints.problem(place, "the controller decides who may come back, and these records are processed for somebody else")
    if not shape.consents:
        what = (
            "nothing says when somebody consented again, so whoever was deleted can't come back before the suppression ends or is released"
        )
        complaints.warn(place, what, "Declare the consent under `consents`, with the field that holds the day on which it was given.")


# --- Relations and what is computed over them -------------------------------------------------------------------------------------------


def _relation(path: Path, name: str, shape: ChildShape | ParentShape, declared: Collection[str], complaints: Complaints) -> Relation:
    """Return one relation with the relations of its rows."""
    child = shape if isinstance(shape, ChildShape) else None
    own_source = shape.source
    same_subject = isinstance(shape, ParentShape) and shape.same_subject
    if same_subject and own_source is None:
        complaints.problem((*path, "same_subject"), "needs the `source` whose subject fields recognise the person")
    children = child.children if child is not None else {}
    recounted = shape.recount if isinstance(shape, ParentShape) else {}
    if own_source is not None:
        complaints.known((*path, "source"), "source", own_source, declared)
    return Relation(
        name,
        shape.table,
        own=tuple(shape.match.values()),
        theirs=tuple(shape.match),
        key=_key(shape.key, (*path, "key"), complaints),
        disposal=child.on_delete if child is not None else None,
        source=own_source,
        same_subject=same_subject,
        with_pseudonymised=child is not None and child.on_pseudonymise is not None,
        recount=tuple(
            Recount(column, tuple(_match((*path, "recount", column), each, value, complaints) for each, value in where.items()))
            for column, where in recounted.items()
        ),
        children=tuple(_relation((*path, "children", each), each, of, declared, complaints) for each, of in children.items()),
    )


def _key(declared: str | list[str], path: Path, complaints: Complaints) -> tuple[str, ...]:
    """Return the columns of a key."""
    columns = (declared,) if isinstance(declared, str) else tuple(declared)
    if len(set(columns)) < len(columns):
        complaints.problem(path, "names a column twice")
    return columns


def _check_name(path: Path, name: str, complaints: Complaints) -> None:
    """Check that a fact is not called what conditions use otherwise."""
    if name in RESERVED:
        complaints.problem(path, f"a fact can't be called {name!r}, which has a meaning of its own in conditions")


def _mark(path: Path, name: str, shape: FactShape, zone: ZoneInfo, complaints: Complaints) -> Mark:
    """Return a fact that people set by hand."""
    _check_name(path, name, complaints)
    if any(getattr(shape, each.value) is not None for each in Function):
        complaints.problem(path, f"needs exactly one of {', '.join(Function)}, mark")
    given = {
        "type": shape.type,
        "timezone": shape.timezone,
        "empty": shape.empty,
        "where": shape.where or None,
        "differs": shape.differs or None,
        "remaining": shape.remaining or None,
        "values": shape.values or None,
    }
    for key in (key for key, value in given.items() if value is not None):
        complaints.problem((*path, key), f"{key!r} belongs to what a system holds; a mark is a day that people set")
    if shape.mark == REVIEW_MARK:
        complaints.problem((*path, "mark"), f"{REVIEW_MARK!r} is the mark of answered reviews", "Choose another name.")
    reading = Reading(FieldType.DATE, shape.none or Empty.UNKNOWN, zone, planned=shape.planned)
    return Mark(name, shape.mark or "", reading, label(shape.label))


class _Facts:
    """Builds one computed fact; what it is about is asked in several places."""

    def __init__(
        self, path: Path, zone: ZoneInfo, table: str, relations: Iterable[Relation], columns: Collection[str], complaints: Complaints
    ) -> None:
        self.path = path
        self.zone = zone
        self.table = table
        self.columns = columns
        self.relations = {each.name: each for each in relations}
        self.complaints = complaints

    def aggregate(self, name: str, shape: FactShape) -> Aggregate | None:
        """Return the aggregate, or None when not even its function is clear."""
        asked = {each: getattr(shape, each.value) for each in Function if getattr(shape, each.value) is not None}
        if len(asked) != 1:
            self.complaints.problem(self.path, f"needs exactly one of {', '.join(Function)}, mark")
            return None
        _check_name(self.path, name, self.complaints)
        ((function, target),) = asked.items()
        of_day = function in (Function.LATEST, Function.EARLIEST)
        relation, dot, column = target.partition(".") if of_day else (target, "", "")
        place = (*self.path, function.value)
        if of_day and not (dot and column):
            self.complaints.problem(place, f"{shortened(target)} must name a relation and its column: 'relation.column'")
        elif not of_day and "." in target and target not in self.relations:
            self.complaints.problem(place, f"{function.value!r} takes a relation's name alone")
        else:
            self._check_relation(place, relation)
        reading = self._reading(shape, function) if of_day else None
        if not of_day:
            self._refuse_reading(shape, function)
        if shape.remaining:
            self._check_remaining(shape, function, relation)
        where = tuple(_match((*self.path, "where"), each, value, self.complaints) for each, value in shape.where.items())
        differs = tuple(Match(theirs, differs_from=ours) for theirs, ours in shape.differs.items())
        return Aggregate(
            name,
            relation,
            function,
            column or None,
            reading,
            shape.none or Empty.UNKNOWN,
            (*where, *differs),
            shape.remaining,
            label(shape.label),
            _values(shape),
        )

    def _check_relation(self, place: Path, relation: str) -> None:
        """Check that a relation exists."""
        document = self.complaints.document
        declared = {*document.names((*self.path[:2], "children")), *document.names((*self.path[:2], "parents"))}
        self.complaints.known(place, "relation", relation, self.relations, declared)

    def _reading(self, shape: FactShape, function: Function) -> Reading:
        """Return how the column of `latest` or `earliest` is read."""
        if shape.type is None:
            self.complaints.problem(self.path, f"{function.value!r} needs the column's `type`: 'date' or 'timestamp'")
        stored = _stored_zone(shape.type, shape.timezone, self.path, self.complaints) if shape.type is not None else None
        kind = FieldType.TIMESTAMP if shape.type == "timestamp" else FieldType.DATE
        return Reading(kind, shape.empty or Empty.UNKNOWN, self.zone, stored, planned=shape.planned)

    def _refuse_reading(self, shape: FactShape, function: Function) -> None:
        """Refuse for `count` and `exists` what only days have."""
        given = {"type": shape.type, "timezone": shape.timezone, "none": shape.none, "empty": shape.empty, "planned": shape.planned or None}
        for key in (key for key, value in given.items() if value is not None):
            self.complaints.problem((*self.path, key), f"{key!r} belongs to 'latest' and 'earliest', not to {function.value!r}")

    def _check_remaining(self, shape: FactShape, function: Function, relation: str) -> None:
        """Check that `remaining` asks for rows that this policy decides about, by columns that deciding about them reads."""
        place = (*self.path, "remaining")
        if function not in (Function.COUNT, Function.EXISTS):
            self.complaints.problem(place, "'remaining' belongs to 'count' and 'exists'")
        elif relation in self.relations and self.relations[relation].table != self.table:
            self.complaints.problem(place, f"'remaining' asks for other records of this source, and {relation!r} lies in another table")
        compared = [(("where", each), each) for each in shape.where]
        compared += [(("differs", theirs), each) for theirs, ours in shape.differs.items() for each in dict.fromkeys((theirs, ours))]
        for inside, column in compared:
            if column not in self.columns:
                what = f"{shortened(column)} has to be the column of a field, so that the rows that remain can be told from the others"
                self.complaints.problem((*self.path, *inside), what, nearest(column, self.columns) or "Declare it under `fields`.")


def _match(path: Path, column: str, value: Any, complaints: Complaints) -> Match:
    """Return the restriction of one column to one value or several; `path` is the table in which it stands."""
    values = value if isinstance(value, list) else [value]
    if not values or not all(isinstance(each, str | int) for each in values):
        complaints.problem((*path, column), "must be a text, a whole number, true, false, or a list of them")
        return Match(column)
    return Match(column, tuple(values))


def check_relations(sources: Mapping[str, Source], with_policy: Collection[str], complaints: Complaints) -> None:
    """Warn about children whose declared way to go leads nowhere, and about parents that don't tell whom their rows are about."""
    for source in sources.values():
        for relation in source.relations:
            path: Path = ("sources", source.name, "children", relation.name)
            other = sources.get(relation.source or "")
            if relation.same_subject and other is not None and not other.identifiers:
                what = f"{other.name!r} has no subject fields, and whom its own parent is about is not asked: no hold on a person is found"
                complaints.warn(("sources", source.name, "parents", relation.name, "same_subject"), what, "Name fields in its `subject`.")
            if relation.disposal is None or (relation.source is not None and other is None):
                continue
            if other is None:
                if relation.disposal == "keep_parent":
                    complaints.warn(path, "has no source of its own, so these rows keep their record as long as they exist")
                continue
            if other.name not in with_policy:
                complaints.warn((*path, "source"), f"no policy decides about {other.name!r}, so these rows are never due")
            if other.connector == source.connector and other.table != relation.table:
                complaints.warn((*path, "source"), f"{other.name!r} lies in the table {other.table!r}, these rows in {relation.table!r}")
