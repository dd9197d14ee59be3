"""Consents of the policy file: what a source states of them, and the purposes that rest on them or prolong another purpose by them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from worker.core.facts import Empty
from worker.core.model import LegalBasis, Purpose
from worker.core.sources import Consent, Label, Source
from worker.policyfile.conditions import FactNames, check_day
from worker.policyfile.document import Complaints, nearest
from worker.policyfile.positions import Path
from worker.policyfile.shape import ConsentShape, PurposeShape

_ON_A_DAY = "a consent is given and withdrawn on a day, a date or a timestamp"


def consents(declared: Mapping[str, ConsentShape], source: Source, facts: FactNames, complaints: Complaints) -> tuple[Consent, ...]:
    """Return the consents that the records of a source state."""
    empty = {each.name: each.reading.empty for each in source.fields} | {each.name: each.none for each in source.aggregates}
    for name, shape in declared.items():
        path: Path = ("sources", source.name, "consents", name)
        if shape.withdrawn == shape.given:
            complaints.problem((*path, "withdrawn"), "is the fact that says when it was given, so it would never be in force")
        for key, fact in (("given", shape.given), ("withdrawn", shape.withdrawn)):
            if fact is None:
                continue
            check_day((*path, key), fact, facts, complaints, _ON_A_DAY)
            if empty.get(fact) is Empty.UNKNOWN and not complaints.troubled((*path, key)):
                what = f"{fact!r} is unknown where there is no day, so a consent that was not {key} is undetermined"
                complaints.warn((*path, key), what, "Declare that it is 'not_applicable' then.")
    return tuple(Consent(name, shape.given, shape.withdrawn, Label(shape.label.nl, shape.label.en)) for name, shape in declared.items())


def named(path: Path, shape: PurposeShape, source: Source, complaints: Complaints) -> tuple[str, ...]:
    """Return the names of the consents that a purpose rests on."""
    names = () if shape.consent is None else (shape.consent,) if isinstance(shape.consent, str) else tuple(shape.consent)
    if names and shape.basis is not LegalBasis.CONSENT:
        complaints.problem((*path, "consent"), f"a purpose with the basis {shape.basis.value!r} rests on no consent")
    if not names and shape.basis is LegalBasis.CONSENT:
        complaints.warn(path, "does not name its consent, so only a withdrawal of every consent ends it", "Declare `consent`.")
    stated = [each.name for each in source.consents]
    for number, name in enumerate(names):
        place = (*path, "consent") if isinstance(shape.consent, str) else (*path, "consent", number)
        if name in names[:number]:
            complaints.problem(place, f"{name!r} is listed twice")
        elif stated and name not in stated:
            what = f"{source.name!r} declares no consent {name!r}, so it is in force until a request withdraws it"
            complaints.warn(place, what, nearest(name, stated) or f"Declared are: {', '.join(stated)}.")
    return names


def check_extensions(paths: Sequence[Path], purposes: Sequence[Purpose], source: Source, complaints: Complaints) -> None:
    """Check that what a purpose prolongs is another purpose of the policy, and that it is known when its consent was given."""
    by_id = {each.id: each for each in purposes}
    written = complaints.document.value(paths[0][:-1]) if paths else ()
    declared = [str(each.get("id")) for each in written if isinstance(each, dict)]
    for path, purpose in zip(paths, purposes, strict=True):
        place = (*path, "extends")
        if purpose.extends is None or not complaints.known(place, "purpose", purpose.extends, by_id, declared):
            continue
        if _comes_back(purpose, by_id):
            complaints.problem(place, f"{purpose.id!r} prolongs itself", "Name the purpose that holds without the consent.")
        elif not source.consents_named(purpose.consents):
            what = "nobody knows when its consent was given, so not whether it was in time"
            complaints.problem(place, what, f"Name a consent that is declared in `sources.{source.name}.consents`.")


def _comes_back(purpose: Purpose, by_id: Mapping[str, Purpose]) -> bool:
    """Whether following what each purpose extends comes back to where it began."""
    seen = {purpose.id}
    following = by_id.get(purpose.extends or "")
    while following is not None and following.id not in seen:
        seen.add(following.id)
        following = by_id.get(following.extends or "")
    return following is not None
