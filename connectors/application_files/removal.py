"""One batch of removals and rewritings, all of it or nothing, whatever moment the machine stops at.

Everything happens in a folder of the batch's own beside the dossiers, `.retention-removed/<batch>/`:

1. `manifest.json` says what will be done; it is on the disk before anything is touched. It holds names of dossiers, so only its owner may
   read it, it never leaves the root, and it goes when the batch is final.
2. Dossiers and shared files that go are renamed into the folder, to numbers. Nobody finds them under their names from then on, and what was
   moved is compared with what was decided on.
3. The file `committed` is the commit: until it is on the disk, everything is renamed back; from then on the rest is carried out: sidecars
   and index are written anew, and what was moved aside is removed. Each of these may be done twice without harm.
4. The empty mark stays until the batch is forgotten, so that whoever asks later gets an answer that is certain.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress

from connectors.application_files import documents, index
from connectors.application_files.aside import free_name
from connectors.application_files.layout import KEPT, Layout
from connectors.application_files.records import read_kept
from connectors.application_files.work import Work
from connectors.batchfolder import MANIFEST, MARK, WORKING, BatchFolder
from connectors.folder import entries, exists, name_of, opened, opened_text, read_file, remove, told, write_file
from worker.errors import Changed, Retriable, SourceFailed
from worker.ports import Faults, Resolution

MANIFESTED = "application_files.manifested"
MOVED = "application_files.moved"
MARKED = "application_files.marked"
REWRITTEN = "application_files.rewritten"
REMOVED = "application_files.removed"

_NEW = "new"
_TRIES = 5


class Removal:
    """The work of one batch in one root."""

    def __init__(self, source: str, layout: Layout, root: int, batch_id: str, faults: Faults) -> None:
        self._source = source
        self._layout = layout
        self._root = root
        self._faults = faults
        self.folder = BatchFolder(source, root, batch_id)

    def prepare(self, work: Work, moved: Callable[[int, Sequence[str]], None]) -> None:
        """Move aside what goes, and put all of it back on any error.

        moved -- is told the folder and the keys of the dossiers that stand in it now, numbered from 0 on, and may refuse by raising.
        """
        try:
            with told(self._source, "preparing the removal"):
                self._write_manifest(work)
            self._faults.reached(MANIFESTED)
            with told(self._source, "moving dossiers aside", one=True), self.folder.opened() as batch:
                for number, key in enumerate(work.dossiers):
                    try:
                        os.rename(name_of(key), str(number), src_dir_fd=self._root, dst_dir_fd=batch)
                    except FileNotFoundError:
                        raise Changed(f"{self._source}: a dossier went before it was moved aside.") from None
                    self._faults.reached(MOVED)
                for number, path in enumerate(work.shared, start=len(work.dossiers)):
                    with self._shared(path) as (folder, name):
                        os.rename(name, str(number), src_dir_fd=folder, dst_dir_fd=batch)
                        os.fsync(folder)
                os.fsync(self._root)
                os.fsync(batch)
                moved(batch, work.dossiers)
        except BaseException:
            self.put_back()
            raise

    def mark(self) -> None:
        """Commit: whatever happens from now on, the batch will be carried out."""
        self.folder.mark()
        self._faults.reached(MARKED)

    def finish(self) -> None:
        """Carry out what a committed batch has left to do."""
        doing = "finishing a committed removal (nobody finds it by name any more; reconcile tries again)"
        with told(self._source, doing), self.folder.opened() as batch:
            if not exists(batch, MANIFEST):
                return
            work = Work.load(read_file(batch, MANIFEST))
            for key, sidecar, settings in work.rewritten:
                self._rewrite(batch, key, sidecar, settings)
            self._rewrite_index(batch, work)
            self._remember_kept(batch, work.kept)
            self._faults.reached(REWRITTEN)
            for name, _, _ in entries(batch):
                if name not in (MANIFEST, MARK):
                    remove(batch, name)
                    self._faults.reached(REMOVED)
            os.unlink(MANIFEST, dir_fd=batch)
            os.fsync(batch)

    def put_back(self) -> None:
        """Undo everything: dossiers and shared files get their names back, and nothing is left of the batch."""
        with told(self._source, "putting dossiers back"):
            if not self.folder.is_there():
                return
            with self.folder.opened() as batch:
                if exists(batch, MANIFEST):
                    self._move_back(batch, Work.load(read_file(batch, MANIFEST)))
                self._clear(batch)
            self.folder.drop()

    def resolve(self) -> Resolution:
        """Bring a batch whose process died to its end, in one direction or the other, and say in which."""
        return self.folder.resolve(self.finish, self.put_back)

    # --- Steps ------------------------------------------------------------------------------------------------------------------------

    def _write_manifest(self, work: Work) -> None:
        """Make the batch's folder and put the manifest into it; it has its name only when it is whole."""
        self.folder.make()
        with self.folder.opened() as batch:
            self._write_new(batch, [work.dump()])
            self._put_new(batch, batch, MANIFEST)

    def _rewrite(self, batch: int, key: str, sidecar: str, settings: Sequence[documents.Setting]) -> None:
        """Write a sidecar anew; a dossier that went in the meantime has none any more."""
        with ExitStack() as stack:
            try:
                folder = stack.enter_context(opened(self._root, name_of(key)))
                before = read_file(folder, sidecar)
            except FileNotFoundError:
                return
            try:
                after = documents.changed(sidecar, before, settings)
            except documents.UnreadableDocument:
                raise self._damaged("a sidecar") from None
            if after != before:
                self._write_new(batch, [after], os.lstat(sidecar, dir_fd=folder))
                self._put_new(batch, folder, sidecar)

    def _rewrite_index(self, batch: int, work: Work) -> None:
        """Write the index anew, without the lines that go and with the new cells; lines that changed since they were decided on stay."""
        if self._layout.index is None or not (work.lines or work.cells):
            return
        name, key, delimiter = self._layout.index, self._layout.index_key, self._layout.delimiter
        for _ in range(_TRIES):
            with opened_text(self._root, name) as file:
                before = os.fstat(file.fileno())
                try:
                    self._write_new(batch, index.written(file, key, delimiter, work.lines, work.cells), before)
                except index.UnreadableIndex:
                    raise self._damaged("the index") from None
            if _saved(before) == _saved(os.lstat(name, dir_fd=self._root)):
                self._put_new(batch, self._root, name)
                return
        raise Retriable(
            f"{self._source}: somebody goes on writing the index. The committed batch is finished by the next run, or by reconcile."
        )

    def _remember_kept(self, batch: int, kept: Sequence[str]) -> None:
        """Write down the shared files that a later batch has to ask about again."""
        if list(kept) == read_kept(self._root):
            return
        self._write_new(batch, [json.dumps(list(kept)).encode()])
        with opened(self._root, WORKING) as working:
            self._put_new(batch, working, KEPT)

    def _damaged(self, what: str) -> SourceFailed:
        """Return the error for a file that was readable when the batch was committed."""
        return SourceFailed(f"{self._source}: {what} was damaged before a committed batch was finished. Repair it and run reconcile.")

    def _write_new(self, batch: int, parts: Iterable[bytes], like: os.stat_result | None = None) -> None:
        """Write a new content beside what it will replace; what an earlier try left there goes."""
        with suppress(FileNotFoundError):
            os.unlink(_NEW, dir_fd=batch)
        write_file(batch, _NEW, parts, like)

    def _put_new(self, batch: int, folder: int, name: str) -> None:
        """Put the new content in the place of a file's, at once."""
        os.rename(_NEW, name, src_dir_fd=batch, dst_dir_fd=folder)
        os.fsync(folder)

    def _move_back(self, batch: int, work: Work) -> None:
        """Give everything its name back; where somebody has taken the name meanwhile, the dossier comes back beside it."""
        for number, key in enumerate(work.dossiers):
            if exists(batch, str(number)):
                _rename_back(batch, str(number), self._root, name_of(key))
        for number, path in enumerate(work.shared, start=len(work.dossiers)):
            if exists(batch, str(number)):
                with self._shared(path) as (folder, name):
                    _rename_back(batch, str(number), folder, name)
                    os.fsync(folder)
        os.fsync(self._root)
        os.fsync(batch)

    def _clear(self, batch: int) -> None:
        """Take the manifest, whole or not, out of a folder in which nothing else is left."""
        for name in (_NEW, MANIFEST):
            with suppress(FileNotFoundError):
                os.unlink(name, dir_fd=batch)

    @contextmanager
    def _shared(self, path: str) -> Iterator[tuple[int, str]]:
        """Open the folder that a shared file is in, step by step, and return it with the file's name."""
        *folders, name = [self._layout.shared or "", *path.split("/")]
        with ExitStack() as stack:
            folder = self._root
            for each in folders:
                folder = stack.enter_context(opened(folder, each))
            yield folder, name


def unfinished(root: int) -> int:
    """Return how many batches were begun in a root and are not final."""
    if not any(name == WORKING and is_folder for name, is_folder, _ in entries(root)):
        return 0
    count = 0
    with opened(root, WORKING) as working:
        for name, is_folder, _ in entries(working):
            if is_folder:
                with opened(working, name) as batch:
                    count += exists(batch, MANIFEST) or not exists(batch, MARK)
    return count


def _saved(about: os.stat_result) -> tuple[int, int, int]:
    """Return what changes when somebody saves a file."""
    return about.st_ino, about.st_size, about.st_mtime_ns


def _rename_back(batch: int, number: str, folder: int, name: str) -> None:
    """Rename one entry back to its name, or to one beside it that is free."""
    os.rename(number, free_name(folder, name), src_dir_fd=batch, dst_dir_fd=folder)
