"""What is wrong, or worth knowing, about a folder of dossiers before anything is done to it."""

from __future__ import annotations

import difflib
import os
import stat
from collections.abc import Iterator
from itertools import islice

from connectors.application_files import index
from connectors.application_files.layout import LastModified, Layout, Stated, Unit
from connectors.application_files.records import Dossier, View, read_kept
from connectors.application_files.removal import unfinished
from connectors.batchfolder import WORKING
from connectors.folder import entries, exists, name_of, opened, opened_text, unsorted_entries
from worker.core.facts import FieldType
from worker.core.model import DispositionKind, Policy
from worker.core.sources import Source
from worker.errors import Problem

_SAMPLE = 200
"""How many dossiers, the first in key order, are looked into for columns and damage; the plan looks into all."""


def check(source: Source, layout: Layout, root: int, policy: Policy | None) -> tuple[list[Problem], list[Problem]]:
    """Return (what makes the source unusable, what a person should know)."""
    with View(source.name, layout, root) as view:
        sample = list(islice(view.dossiers(), _SAMPLE))
        problems = [
            *_declared(source, layout),
            *_writable(source, may_write=os.access(".", os.W_OK | os.X_OK, dir_fd=root), flags=os.fstatvfs(root).f_flag),
            *_working_folder(source, root),
            *_index(source, layout, root, view),
            *(_treated(source, layout, root, view, policy) if policy is not None and _writes_fields(policy) else ()),
        ]
        return problems, [*_columns(source, layout, sample), *_surroundings(source, layout, root, view, sample)]


def _declared(source: Source, layout: Layout) -> Iterator[Problem]:
    """Find what dossiers can't have."""
    for name in (*(each.name for each in source.relations), *(each.name for each in source.aggregates)):
        yield Problem(f"{source.name}.{name}", "application files have no relations, and no facts over them.", "Remove it.")
    for field in source.fields:
        if isinstance(layout.places[field.name], LastModified) and field.reading.type is not FieldType.TIMESTAMP:
            yield Problem(f"{source.name}.{field.name}", "the latest change of a file is a moment.", 'Declare the type "timestamp".')


def _writable(source: Source, *, may_write: bool, flags: int) -> Iterator[Problem]:
    """Find out why nothing could be removed."""
    if flags & os.ST_RDONLY:
        yield Problem(source.name, "the folder lies on a file system that is mounted read-only.", "Mount it writable.")
    elif not may_write:
        yield Problem(source.name, "the folder may not be written in.", "Give the user of the worker the right to write in it.")


def _working_folder(source: Source, root: int) -> Iterator[Problem]:
    """Find something else where dossiers wait to be removed."""
    if exists(root, WORKING) and not stat.S_ISDIR(os.lstat(WORKING, dir_fd=root).st_mode):
        yield Problem(source.name, f"{WORKING} in the folder is no folder; dossiers wait there to be removed.", "Remove or rename it.")


def _index(source: Source, layout: Layout, root: int, view: View) -> Iterator[Problem]:
    """Find an index that can't be read, or columns that it doesn't have."""
    if layout.index is None:
        return
    if view.index is None:
        what, hint = _unreadable(layout, root)
        yield Problem(f"{source.name}.options.index", f"{layout.index} {what}.", hint)
        return
    header = view.index.form.header.cells
    for field in source.fields:
        place = layout.places[field.name]
        if isinstance(place, Stated) and place.path[0] not in header:
            yield Problem(f"{source.name}.{field.name}", f"{layout.index} has no column {field.column!r}.", _nearest(field.column, header))


def _unreadable(layout: Layout, root: int) -> tuple[str, str]:
    """Return (what is wrong with the index, what to do about it)."""
    try:
        with opened_text(root, layout.index or "") as file:
            found = index.trouble(file, layout.index_key, layout.delimiter)
    except FileNotFoundError:
        return "is not there", "It belongs beside the dossiers, in the folder to which the source's path and `table` lead."
    except OSError as error:
        return f"can't be read: {error.strerror}", "It has to be a file, and no link, that the user of the worker may read."
    return found or ("could not be read a moment ago", "Try again.")


def _writes_fields(policy: Policy) -> bool:
    """Whether a policy may treat fields of a record that stays."""
    kinds = {step.kind for disposition in policy.dispositions for step in disposition.steps}
    return bool(policy.treatable) and (not policy.uniform or DispositionKind.PSEUDONYMISE in kinds)


def _treated(source: Source, layout: Layout, root: int, view: View, policy: Policy) -> Iterator[Problem]:
    """Find what can't be treated in a dossier that stays."""
    for field in policy.treatable:
        if not isinstance(layout.places[field.name], Stated):
            hint = "Only facts in a sidecar or an index can be. Delete the dossier as a whole."
            yield Problem(f"{source.name}.{field.name}", "a folder's name or a file's date can't be treated.", hint)
    for name in policy.deciding:
        if isinstance(layout.places.get(name), LastModified):
            hint = "Use a date out of the sidecar as start event."
            yield Problem(f"{source.name}.{name}", "treating a sidecar changes the date of the files, which this decision rests on.", hint)
    if any(_has_documents(root, dossier) for dossier in view.dossiers()):
        hint = "Delete dossiers as a whole: let all personal fields rest on the same purposes and declare the disposition delete."
        yield Problem(source.name, "dossiers hold documents, whose contents can't be treated while the record stays.", hint)


def _has_documents(root: int, dossier: Dossier) -> bool:
    """Whether anything but the sidecar is in a dossier; one that can't be listed, or is itself a document, may hold anything."""
    if not dossier.present:
        return False
    try:
        with opened(root, name_of(dossier.key)) as folder:
            return any(name != dossier.sidecar for name, _, _ in entries(folder))
    except OSError:
        return True


def _columns(source: Source, layout: Layout, sample: list[Dossier]) -> Iterator[Problem]:
    """Find fields that no sidecar states."""
    found = sorted({name for dossier in sample for name in dossier.columns})
    for field in source.fields:
        place = layout.places[field.name]
        if layout.index is None and found and isinstance(place, Stated) and place.path[0] not in found:
            what = f"none of the first {len(sample)} sidecars has {field.column!r}."
            yield Problem(f"{source.name}.{field.name}", what, _nearest(field.column, found))


def _surroundings(source: Source, layout: Layout, root: int, view: View, sample: list[Dossier]) -> Iterator[Problem]:
    """Find what a person should know about the folder."""
    links, stray, shares = _beside(layout, root)
    if not sample:
        yield Problem(source.name, "the folder holds no dossier.", "Look whether it is the right one, and mounted.")
    unreadable = sum(not dossier.readable for dossier in sample)
    if unreadable:
        what = f"{unreadable} of the first {len(sample)} dossiers have no facts that can be read; they are kept and reported."
        yield Problem(source.name, what, "Look at the findings of a plan.")
    if links:
        yield Problem(source.name, f"{links} entries are links; they are not followed, and only the link itself would go.")
    if stray and layout.unit is Unit.FILE:
        what = f"{stray} folders lie beside the files; no policy reaches what is in them."
        yield Problem(source.name, what, "Declare a source for each of them, or remove them.")
    elif stray:
        yield Problem(
            source.name, f"{stray} files lie beside the dossiers; no policy reaches them.", "Put them into a dossier or remove them."
        )
    if view.index is not None:
        lost = sum(not view.can_be(key) for key in view.index) + view.index.nameless
        if lost:
            yield Problem(source.name, f"{lost} lines of the index can belong to no dossier; no policy reaches them.")
    if layout.shared is not None and not shares:
        yield Problem(f"{source.name}.options.shared", f"there is no folder {layout.shared!r} beside the dossiers.")
    kept = len(read_kept(root))
    if kept:
        what = (
            f"{kept} shared files outlived the last dossier that names them, because of dossiers that can't be read and may name them too."
        )
        yield Problem(source.name, what, "Repair the unreadable dossiers; the files go with a later batch.")
    begun = unfinished(root)
    if begun:
        yield Problem(source.name, f"{begun} batches were begun and not finished; some dossiers are out of sight.", "Run reconcile.")


def _beside(layout: Layout, root: int) -> tuple[int, int, bool]:
    """Return (how many links the root has, how many other entries that are no dossiers, whether the shared folder is there)."""
    links, stray, shares = 0, 0, False
    for name, is_folder, is_link in unsorted_entries(root):
        shares |= name == layout.shared and is_folder
        if not name.startswith("."):
            links += is_link
            known = is_link or name == layout.index or name in layout.other_folders
            stray += not known and is_folder is (layout.unit is Unit.FILE)
    return links, stray, shares


def _nearest(name: str, names: tuple[str, ...] | list[str]) -> str:
    """Return a hint with the name that was probably meant."""
    near = difflib.get_close_matches(name, names, n=1)
    return f"Did you mean {near[0]!r}?" if near else ""
