"""Facts over several sources: from their shape to `worker.core.model.SharedFact`, and to the sources that may use them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

from worker.core.facts import Empty, FieldType
from worker.core.model import Disposal, Field, Member, Relation, SharedFact, Source
from worker.policyfile.conditions import RESERVED
from worker.policyfile.document import Complaints, nearest, shortened
from worker.policyfile.positions import Path
from worker.policyfile.shape import FileShape
from worker.policyfile.sources import label

_DAYS = (FieldType.DATE, FieldType.TIMESTAMP)


def shared_facts(file: FileShape, sources: Mapping[str, Source], complaints: Complaints) -> tuple[SharedFact, ...]:
    """Return the facts over several sources that a file declares; members that can't be used are complained about and left out."""
    found = []
    for name, shape in file.facts.items():
        path: Path = ("facts", name)
        if name in RESERVED:
            complaints.problem(path, f"a fact can't be called {name!r}, which has a meaning of its own in conditions")
        days: dict[str, list[Field]] = {}
        for number, text in enumerate(shape.latest):
            place = (*path, "latest", number)
            day = _day(text, place, sources, complaints)
            if day is None:
                continue
            if text in shape.latest[:number]:
                complaints.problem(place, f"{text!r} is listed twice")
            else:
                days.setdefault(text.partition(".")[0], []).append(day)
        members = (Member(source, sources[source].table, tuple(of), _bare(sources[source].identifiers)) for source, of in days.items())
        found.append(SharedFact(name, tuple(members), shape.none or Empty.UNKNOWN, label(shape.label)))
    return tuple(found)


def _day(text: str, place: Path, sources: Mapping[str, Source], complaints: Complaints) -> Field | None:
    """Return the day field that `source.field` names, without what only its own source needs; None when there is none that can be used."""
    document = complaints.document
    name, dot, field = text.partition(".")
    if not (name and dot and field):
        complaints.problem(place, f"{shortened(text)} must name a source and its field: 'source.field'")
        return None
    if not complaints.known(place, "source", name, sources, document.names(("sources",))):
        return None
    source, about = sources[name], ("sources", name, "fields", field)
    if not complaints.known(place, "field", field, [each.name for each in source.fields], document.names(about[:3])):
        return None
    found = source.field(field)
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
        shared = tuple(each for each in facts if each.name in uses or each.member(source.name) is not None)
        own = {*(each.name for each in source.fields), *(each.name for each in source.aggregates)}
        for each in (each for each in shared if each.name in own):
            complaints.problem(("facts", each.name), f"{each.name!r} is the name of a field or fact of {source.name!r} too")
        found[source.name] = replace(source, shared=shared)
    for source in sources.values():
        for path, relation in _deleted(("sources", source.name, "children"), source.relations):
            _check_days_are_kept(path, relation, source, found, complaints)
    return found


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
        if same and other.contributed:
            names = ", ".join(repr(each.name) for each in other.shared if each.member(other.name) is not None)
            complaints.problem(
                path, f"its rows are the records of {other.name!r}, from which {names} takes days", f"Add source = {other.name!r}."
            )
