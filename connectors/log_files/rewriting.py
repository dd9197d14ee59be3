"""One batch of rewritten and removed log files, all of it or nothing, whatever moment the machine stops at.

Everything happens in a folder of the batch's own beside the logs, `.retention-removed/<batch>/`:

1. The new content of every file that stays is written to `<number>.new` and flushed; the logs are untouched.
2. `manifest.json` names the files. Each is renamed to `<number>` in the folder, and compared with what was read: a file that somebody
   wrote to, or that was rotated to another name meanwhile, refuses the batch, and all get their names back.
3. The file `committed` is the commit. From then on new contents are linked to the old names and old files are removed; each of these may
   be done twice without harm. A name that somebody has taken meanwhile is never overwritten: the file then stands beside it.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import stat
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import IO

from connectors.batchfolder import MANIFEST, MARK, BatchFolder
from connectors.folder import entries, exists, told, write_file
from connectors.log_files.aside import NEW, names_in
from worker.errors import Changed, Skippable
from worker.ports import Faults, Resolution

PREPARED = "log_files.prepared"
MOVED = "log_files.moved"
MARKED = "log_files.marked"
LINKED = "log_files.linked"
REMOVED = "log_files.removed"

Trace = tuple[int, int, int, int]
"""Device, inode, size and time of change in ns: another one means another content."""


def trace(about: os.stat_result) -> Trace:
    """Return what tells one content of a file from another."""
    return about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns


class Rewriting:
    """The work of one batch in one folder of logs. root -- a descriptor of the folder."""

    def __init__(self, source: str, root: int, batch_id: str, faults: Faults) -> None:
        self._source = source
        self._root = root
        self._faults = faults
        self.folder = BatchFolder(source, root, batch_id)

    def prepare(self, files: Mapping[str, Trace], rewritten: Mapping[str, Callable[[IO[bytes]], None]], settled: dt.timedelta) -> None:
        """Write new contents and move the files aside; everything is as it was after an error.

        files -- all that are touched, as they were read; rewritten -- who writes the new content of those that stay; settled -- how long
        they must have been left alone. Changed when one is not as it was read, Skippable when one is still written to.
        """
        names = sorted(files)
        try:
            with told(self._source, "rewriting log files"):
                self.folder.make()
                with self.folder.opened() as batch:
                    self._refuse_written(batch, files, settled)
                    for number, name in enumerate(names):
                        if name in rewritten:
                            self._write(batch, f"{number}{NEW}", name, rewritten[name])
                    write_file(batch, MANIFEST, [json.dumps(names).encode()])
                    os.fsync(batch)
            self._faults.reached(PREPARED)
            with told(self._source, "moving log files aside"), self.folder.opened() as batch:
                for number, name in enumerate(names):
                    try:
                        os.rename(name, str(number), src_dir_fd=self._root, dst_dir_fd=batch)
                    except FileNotFoundError:
                        raise Changed(f"{self._source}: a log file went, or was rotated, before it was rewritten.") from None
                    self._faults.reached(MOVED)
                    self._compare(os.lstat(str(number), dir_fd=batch), files[name])
                os.fsync(self._root)
                os.fsync(batch)
        except BaseException:
            self.put_back()
            raise

    def mark(self) -> None:
        """Commit: whatever happens from now on, the batch will be carried out."""
        self.folder.mark()
        self._faults.reached(MARKED)

    def finish(self) -> None:
        """Carry out what a committed batch has left to do."""
        with told(self._source, "finishing rewritten log files"), self.folder.opened() as batch:
            if not exists(batch, MANIFEST):
                return
            for number, name in enumerate(names_in(batch)):
                new = f"{number}{NEW}"
                if exists(batch, new):
                    self._give_name(batch, new, name)
                    self._faults.reached(LINKED)
            os.fsync(self._root)
            for left, _, _ in entries(batch):
                if left not in (MANIFEST, MARK):
                    os.unlink(left, dir_fd=batch)
                    self._faults.reached(REMOVED)
            os.unlink(MANIFEST, dir_fd=batch)
            os.fsync(batch)

    def put_back(self) -> None:
        """Undo everything: the files get their names back, and nothing is left of the batch."""
        with told(self._source, "putting log files back"):
            if not self.folder.is_there():
                return
            with self.folder.opened() as batch:
                if exists(batch, MANIFEST):
                    for number, name in enumerate(names_in(batch)):
                        if exists(batch, str(number)):
                            self._give_name(batch, str(number), name)
                    os.fsync(self._root)
                for left, _, _ in entries(batch):
                    os.unlink(left, dir_fd=batch)
            self.folder.drop()

    def resolve(self) -> Resolution:
        """Bring a batch whose process died to its end, in one direction or the other, and say in which."""
        return self.folder.resolve(self.finish, self.put_back)

    def _compare(self, now: os.stat_result, before: Trace) -> None:
        """Raise Changed for another file than the one that was read, or another content."""
        if trace(now) != before:
            raise Changed(f"{self._source}: a log file was written to, or rotated, after it was read.")

    def _refuse_written(self, batch: int, files: Mapping[str, Trace], settled: dt.timedelta) -> None:
        """Raise Skippable when somebody still writes to a file: his next lines would be lost. The time is that of the disk's own clock."""
        now = os.fstat(batch).st_mtime_ns
        if any(now - changed < settled.total_seconds() * 1e9 for *_, changed in files.values()):
            raise Skippable(f"{self._source}: a log file is still written to, so its old lines are left. Rotate it, or lower `settled`.")

    def _write(self, batch: int, new: str, name: str, write: Callable[[IO[bytes]], None]) -> None:
        """Write the new content of a file, with the rights, the owner and the time of the old one."""
        like = os.lstat(name, dir_fd=self._root)
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600, dir_fd=batch)
        with os.fdopen(descriptor, "wb") as file:
            write(file)
            file.flush()
            with suppress(PermissionError):
                os.fchown(descriptor, like.st_uid, like.st_gid)
            os.fchmod(descriptor, stat.S_IMODE(like.st_mode))
            # Rotation goes by the time of the last change: cleaning up is none.
            os.utime(descriptor, ns=(like.st_atime_ns, like.st_mtime_ns))
            os.fsync(descriptor)

    def _give_name(self, batch: int, number: str, name: str) -> None:
        """Give a file its name, or one beside it that is free; a link never replaces what is there."""
        free, tries = name, 0
        while True:
            try:
                os.link(number, free, src_dir_fd=batch, dst_dir_fd=self._root)
            except FileExistsError:
                if os.path.samestat(os.lstat(free, dir_fd=self._root), os.lstat(number, dir_fd=batch)):
                    break
                tries += 1
                free = f"{name}.returned-{tries}"
            else:
                break
        os.unlink(number, dir_fd=batch)
