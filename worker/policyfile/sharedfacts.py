"""Facts over several sources: from their shape to `worker.core.sources.SharedFact`, and to the sources that may use them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

from worker.core.conditions import Condition, facts_of
from worker.core.facts import Empty, FieldType, Reading
from worker.core.model import Organisation
from worker.core.sources import GONE, Disposal, Field, Identifier, Member, Relation, SharedFact, Source
from worker.policyfile.conditions import RESERVED, condition
from worker.policyfile.document import Complaints, nearest, shortened
from worker.policyfile.positions import Path
from worker.policyfile.shape import CountedShape, FileShape
from worker.policyfile.sources import IDENTIFIERS, fact_names, label

_DAYS = (FieldType.DATE, FieldType.TIMESTAMP)


def shared_facts(
    file: FileShape, sources: Mapping[str, Source], organisation: Organisation, complaints: Complaints
) -> tuple[SharedFact, ...]:
    """Return the facts over several sources that a file declares; members that can't be used are complained about and left out."""
    found = []
    counting: dict[str, tuple[str, Condition | None]] = {}
    for name, shape in file.facts.items():
        path: Path = ("facts", name)
        if name in RESERVED:
            complaints.problem(path, f"a fact can't be called {name!r}, which has a meaning of its own in conditions")
        if (shape.latest is None) is (shape.gone is None):
            complaints.problem(path, "needs one of `latest` (days are looked at) and `gone` (whether there still is a record)")
        if shape.gone is not None:
            going = (
                _going(text, (*path, "gone", number), file, sources, organisation, complaints) for number, text in enumerate(shape.gone)
            )
            members = tuple(dict.fromkeys(each for each in going if each is not None))
            if shape.none is Empty.NOT_APPLICABLE:
                what = "lets go what no record was ever seen to name: one wrong letter in how things are named, and that is everything"
                complaints.warn((*path, "none"), what, "Look at the first plan closely, and keep `max_share` low.")
            found.append(SharedFact(name, members, shape.none or Empty.UNKNOWN, label(shape.label)))
            continue
        latest = shape.latest or []
        days: dict[tuple[str, Condition | None], list[Field]] = {}
        for number, each in enumerate(latest):
            text, place = (
                (each.field, (*path, "latest", number, "field")) if isinstance(each, CountedShape) else (each, (*path, "latest", number))
            )
            day = _day(text, place, sources, complaints)
            if day is None:
                continue
            source = sources[text.partition(".")[0]]
            when = _counts(each, (*path, "latest", number, "where"), source, complaints) if isinstance(each, CountedShape) else None
            first, counted = counting.setdefault(text, (name, when))
            if text in (other.field if isinstance(other, CountedShape) else other for other in latest[:number]):
                complaints.problem(place, f"{text!r} is listed twice")
            elif counted != when:
                # Records that were disposed of are remembered by the field alone, whatever took their day.
                what = f"{text!r} counts other records here than in {first!r}, and what is kept of records that go can't tell them apart"
                complaints.problem(place, what, "Give both the same condition.")
            else:
                days.setdefault((source.name, when), []).append(day)
        counted_days = (_member(sources[source], when, tuple(of)) for (source, when), of in days.items())
        found.append(SharedFact(name, tuple(counted_days), shape.none or Empty.UNKNOWN, label(shape.label)))
    return tuple(found)


def _member(source: Source, when: Condition | None, days: tuple[Field, ...]) -> Member:
    """Return what a fact takes from the records of a source for which a condition is true."""
    asked = set(facts_of(when))
    return Member(
        source.name, source.table, days, _bare(source.identifiers), when, _bare([each for each in source.fields if each.name in asked])
    )


def _counts(shape: CountedShape, place: Path, source: Source, complaints: Complaints) -> Condition:
    """Return the condition under which records count; it may ask for nothing that does not lie in the record and stays there."""
    when = condition(shape.where, place, replace(fact_names(source, complaints), elsewhere=()), complaints)
    fields = {each.name: each for each in source.fields}
    for name in dict.fromkeys(facts_of(when)):
        if name not in fields:
            what = f"{name!r} is no field of {source.name!r}; whether a record counts is told by the record alone"
            complaints.problem(place, what, about=("sources", source.name, "facts", name))
        elif fields[name].treatment is not None:
            what = f"{name!r} has a treatment, after which nobody could tell any more which records count"
            complaints.problem(
                place, what, "Leave the treatment out, or ask for another field.", about=("sources", source.name, "fields", name)
            )
    return when


def _going(
    text: str, place: Path, file: FileShape, sources: Mapping[str, Source], organisation: Organisation, complaints: Complaints
) -> Member | None:
    """Return the records that know something by the field that `source.field` names; None when there is none that can be used."""
    field = _named(text, place, sources, complaints)
    if field is None:
        return None
    source = sources[text.partition(".")[0]]
    about = ("sources", source.name, "fields", field.name)
    kind = IDENTIFIERS.get(file.sources[source.name].fields[field.name].type)
    if kind is None:
        complaints.problem(place, f"{text!r} is a {field.reading.type.value}; things are known by text, email or phone", about=about)
        return None
    if field.treatment is not None:
        what = f"{text!r} has a treatment, after which nobody could tell any more what its record names"
        complaints.problem(place, what, "Leave the treatment out, or name another field.", about=about)
        return None
    day = Field(GONE + field.name, field.column, Reading(FieldType.DATE, Empty.NOT_YET, field.reading.zone))
    known_by = replace(field, identifier=kind, country=organisation.country if kind is Identifier.PHONE else "")
    return Member(source.name, source.table, (day,), _bare((known_by,)))


def _named(text: str, place: Path, sources: Mapping[str, Source], complaints: Complaints) -> Field | None:
    """Return the field that `source.field` names; None, having complained, when there is none."""
    document = complaints.document
    name, dot, field = text.partition(".")
    if not (name and dot and field):
        complaints.problem(place, f"{shortened(text)} must name a source and its field: 'source.field'")
        return None
    if not complaints.known(place, "source", name, sources, document.names(("sources",))):
        return None
    source = sources[name]
    if not complaints.known(place, "field", field, [each.name for each in source.fields], document.names(("sources", name, "fields"))):
        return None
    return source.field(field)


def _day(text: str, place: Path, sources: Mapping[str, Source], complaints: Complaints) -> Field | None:
    """Return the day field that `source.field` names, without what only its own source needs; None when there is none that can be used."""
    found = _named(text, place, sources, complaints)
    if found is None:
        return None
    name = text.partition(".")[0]
    source, about = sources[name], ("sources", name, "fields", found.name)
    if found.reading.type not in _DAYS:
        days = [f"{name}.{each.name}" for each in source.fields if each.reading.type in _DAYS]
        hint = nearest(text, days) or (f"Days: {', '.join(days)}." if days else "")
        complaints.problem(place, f"{text!r} is a {found.reading.type.value}; the latest is looked for among days", hint, about=about)
        return None
    if found.treatment is not None:
        what = f"{text!r} has a treatment, after which other sources would not find its day any more"
        complaints.problem(place, what, "Leave the treatment out, or name another field.", about=about)
        return None
    if not source.identifiers:
        _complain_of_nobody(place, name, complaints)
        return None
    return _bare((found,))[0]


def _complain_of_nobody(place: Path, source: str, complaints: Complaints) -> None:
    """Complain about a source whose records are about nobody that could be told."""
    what = f"{source!r} has no subject fields, so its records can't be joined to those of other sources"
    complaints.problem(place, what, "Declare `subject` there.", about=("sources", source))


def _bare(fields: Collection[Field]) -> tuple[Field, ...]:
    """Return fields without what only the policy of their own source depends on."""
    return tuple(replace(each, treatment=None, personal=False, follows_record=False) for each in fields)


def with_shared(file: FileShape, sources: Mapping[str, Source], facts: tuple[SharedFact, ...], complaints: Complaints) -> dict[str, Source]:
    """Return the sources, each with the facts that it is a member of or lists under `uses`."""
    by_name = {each.name: each for each in facts}
    found: dict[str, Source] = {}
    for source in sources.values():
        uses = file.sources[source.name].uses
        for number, name in enumerate(uses):
            place: Path = ("sources", source.name, "uses", number)
            if not complaints.known(place, "fact over several sources", name, by_name, complaints.document.names(("facts",))):
                continue
            if not source.identifiers:
                _complain_of_nobody(place, source.name, complaints)
            _check_uses(by_name[name], source, place, complaints)
        shared = tuple(each for each in facts if each.name in uses or each.members_of(source.name))
        own = {*(each.name for each in source.fields), *(each.name for each in source.aggregates)}
        for each in (each for each in shared if each.name in own):
            complaints.problem(("facts", each.name), f"{each.name!r} is the name of a field or fact of {source.name!r} too")
        found[source.name] = replace(source, shared=shared)
    for source in sources.values():
        for path, relation in _deleted(("sources", source.name, "children"), source.relations):
            _check_days_are_kept(path, relation, source, found, complaints)
    return found


def _check_uses(shared: SharedFact, source: Source, place: Path, complaints: Complaints) -> None:
    """Check that the day on which records went is asked for by something else, which can be known by the same kind of value."""
    if not shared.going:
        return
    if shared.members_of(source.name):
        complaints.problem(place, f"{shared.name!r} is the day on which records of {source.name!r} went: none that is there has one")
    kinds = {each.identifier for member in shared.members for each in member.identifiers}
    if shared.members and source.identifiers and kinds.isdisjoint(each.identifier for each in source.identifiers):
        what = f"the subject fields of {source.name!r} are of another type than the fields by which {shared.name!r} is known"
        complaints.problem(place, what, "Give both the same `type`.")


def _deleted(path: Path, relations: tuple[Relation, ...]) -> Iterator[tuple[Path, Relation]]:
    """Yield the relations whose rows go along with their parents without a policy of their own, with their places."""
    for relation in relations:
        place = (*path, relation.name)
        if relation.source is None and (relation.disposal is Disposal.DELETE or relation.with_pseudonymised):
            yield place, relation
        yield from _deleted((*place, "children"), relation.children)


def _check_days_are_kept(path: Path, relation: Relation, source: Source, sources: Mapping[str, Source], complaints: Complaints) -> None:
    """Check that rows from which a fact over several sources takes days don't go as rows that nobody knows anything about."""
    for other in sources.values():
        same = other.connector == source.connector and other.table == relation.table
        if same and other.contributing:
            names = ", ".join(repr(each.name) for each in other.shared if each.members_of(other.name))
            complaints.problem(
                path, f"its rows are the records of {other.name!r}, from which {names} takes days", f"Add source = {other.name!r}."
            )
