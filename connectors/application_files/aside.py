"""What batches whose process died have moved aside, as it will be when they are ended: read, and left as it is.

A dry run may not end such a batch, and still has to select what the real run does, which ends it first. So a dossier that waits in the
folder of a batch without its mark is read there, under the name that it gets back; and where the mark says that the batch is carried out,
what it still has to write into sidecars and index is seen as written. A batch at work looks the same: nothing of it counts before its mark.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from connectors.application_files import documents
from connectors.application_files.index import Index
from connectors.application_files.work import Work
from connectors.batchfolder import MANIFEST, MARK, WORKING
from connectors.folder import entries, exists, key_of, name_of, opened, read_file


@dataclass(frozen=True, slots=True)
class Aside:
    """What lies aside.

    dossiers -- by the key that each will have, the batch's folder and the name in it; committed -- the work of batches that are carried
    out; settings -- what of that goes into sidecars, by the dossier's key and the sidecar's name.
    """

    dossiers: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    committed: Sequence[Work] = ()
    settings: Mapping[tuple[str, str], Sequence[documents.Setting]] = field(default_factory=dict)

    def amend(self, found: Index) -> None:
        """Let an index be as it will be."""
        for work in self.committed:
            found.change(work.lines, work.cells)

    def sidecar_after(self, key: str, sidecar: str, content: bytes) -> bytes:
        """Return a sidecar as it will be; one in which that can't be written is returned as it is, and ending the batch will say so."""
        with suppress(documents.UnreadableDocument):
            return documents.changed(sidecar, content, settings) if (settings := self.settings.get((key, sidecar))) else content
        return content


NOTHING_ASIDE = Aside()


def look_aside(root: int) -> Aside:
    """Return what lies aside below a root; OSError when nobody can tell."""
    if not exists(root, WORKING) or not stat.S_ISDIR(os.lstat(WORKING, dir_fd=root).st_mode):
        return NOTHING_ASIDE
    dossiers: dict[str, tuple[str, str]] = {}
    committed: list[Work] = []
    settings: dict[tuple[str, str], Sequence[documents.Setting]] = {}
    with opened(root, WORKING) as working:
        for name, is_folder, _ in entries(working):
            # One that is ended at this moment has nothing aside any more.
            with suppress(FileNotFoundError):
                if is_folder:
                    _look_into(root, working, name, (dossiers, committed))
    for work in committed:
        settings.update({(key, sidecar): each for key, sidecar, each in work.rewritten})
    return Aside(dossiers, committed, settings)


def _look_into(root: int, working: int, name: str, found: tuple[dict[str, tuple[str, str]], list[Work]]) -> None:
    """Add what the folder of one batch holds."""
    dossiers, committed = found
    with opened(working, name) as batch:
        if not exists(batch, MANIFEST):
            return
        work = Work.load(read_file(batch, MANIFEST))
        if exists(batch, MARK):
            committed.append(work)
            return
        for number, key in enumerate(work.dossiers):
            if exists(batch, str(number)):
                dossiers[_key_back(root, key, dossiers)] = (name, str(number))


def _key_back(root: int, key: str, taken: Mapping[str, object]) -> str:
    """Return the key that a dossier has when it is put back: its own, or one beside it where the name was taken."""
    return key_of(free_name(root, name_of(key), taken))


def free_name(folder: int, name: str, taken: Mapping[str, object] | None = None) -> str:
    """Return a name, or one beside it that nothing in a folder has; taken -- keys that will stand there, too."""
    free, tries = name, 0
    while exists(folder, free) or (taken is not None and key_of(free) in taken):
        tries += 1
        free = f"{name}.returned-{tries}"
    return free
