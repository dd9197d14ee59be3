"""What is wrong, or worth knowing, about dossiers in a storage, whatever storage it is."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from itertools import islice

from connectors.application_files.layout import LastModified, Layout, Stated
from connectors.remote_files.records import Dossier, View, is_dossier
from connectors.remote_files.storage import Storage
from worker.core.facts import FieldType
from worker.core.model import DispositionKind, Policy
from worker.core.sources import Source
from worker.errors import Problem

_SAMPLE = 100
"""How many dossiers, the first in key order, are looked into where a glance is enough; the plan looks into all."""


def check(source: Source, layout: Layout, storage: Storage, view: View, policy: Policy | None) -> tuple[list[Problem], list[Problem]]:
    """Return (what makes the source unusable, what a person should know)."""
    problems, known = storage.check(policy)
    others = storage.dossiers(lambda names: sum(not is_dossier(name) for name in names))
    sample = list(islice(view.dossiers(), _SAMPLE))
    writes = policy is not None and _writes_fields(policy)
    problems = [
        *problems,
        *_declared(source, layout),
        *(_treated(source, layout, view, policy) if policy is not None and writes else ()),
    ]
    return problems, [*known, *_columns(source, layout, sample), *_surroundings(source, others, sample)]


def _declared(source: Source, layout: Layout) -> Iterator[Problem]:
    """Find what dossiers can't have."""
    for name in (*(each.name for each in source.relations), *(each.name for each in source.aggregates)):
        yield Problem(f"{source.name}.{name}", "application files have no relations, and no facts over them.", "Remove it.")
    for field in source.fields:
        if isinstance(layout.places[field.name], LastModified) and field.reading.type is not FieldType.TIMESTAMP:
            yield Problem(f"{source.name}.{field.name}", "the latest change of a file is a moment.", 'Declare the type "timestamp".')


def _writes_fields(policy: Policy) -> bool:
    """Whether a policy may treat fields of a record that stays."""
    kinds = {step.kind for disposition in policy.dispositions for step in disposition.steps}
    return bool(policy.treatable) and (not policy.uniform or DispositionKind.PSEUDONYMISE in kinds)


def _treated(source: Source, layout: Layout, view: View, policy: Policy) -> Iterator[Problem]:
    """Find what can't be treated in a dossier that stays."""
    for field in policy.treatable:
        if not isinstance(layout.places[field.name], Stated):
            hint = "Only facts in a sidecar can be. Delete the dossier as a whole."
            yield Problem(f"{source.name}.{field.name}", "a folder's name or a file's date can't be treated.", hint)
    for name in policy.deciding:
        if isinstance(layout.places.get(name), LastModified):
            hint = "Use a date out of the sidecar as start event."
            yield Problem(f"{source.name}.{name}", "treating a sidecar changes the date of the files, which this decision rests on.", hint)
    # All of them are looked at: what is said to be treated must not keep in a document what is due.
    if any(dossier.has_documents for dossier in view.dossiers()):
        hint = "Delete dossiers as a whole: let all personal fields rest on the same purposes and declare the disposition delete."
        yield Problem(source.name, "dossiers hold documents, whose contents can't be treated while the record stays.", hint)


def _columns(source: Source, layout: Layout, sample: list[Dossier]) -> Iterator[Problem]:
    """Find fields that no sidecar states."""
    found = sorted({name for dossier in sample for name in dossier.columns})
    for field in source.fields:
        place = layout.places[field.name]
        if found and isinstance(place, Stated) and place.path[0] not in found:
            near = difflib.get_close_matches(field.column, found, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else ""
            yield Problem(f"{source.name}.{field.name}", f"none of the first {len(sample)} sidecars has {field.column!r}.", hint)


def _surroundings(source: Source, others: int, sample: list[Dossier]) -> Iterator[Problem]:
    """Find what a person should know about the folder."""
    if not sample:
        yield Problem(source.name, "there is no dossier.", "Look whether the address and the table are right.")
    unreadable = sum(not dossier.readable for dossier in sample)
    if unreadable:
        what = f"{unreadable} of the first {len(sample)} dossiers have no facts that can be read; they are kept and reported."
        yield Problem(source.name, what, "Look at the findings of a plan.")
    marked = sum(dossier.trace != b"" and not any(each.current for each in dossier.contents) for dossier in sample)
    if marked:
        what = f"{marked} of the first {len(sample)} dossiers were deleted by somebody, and their earlier versions are still there."
        yield Problem(source.name, what, "They are records like others; the policy decides when they go for good.")
    if others:
        yield Problem(source.name, f"{others} folders have no name, or one that begins with a dot; they are no dossiers.")
