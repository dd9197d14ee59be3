"""The folder of one batch beside the files that it removes or rewrites, and the mark in it that is its commit.

Until the mark is on the disk a batch is put back, from then on it is carried out; which of the two is certain at every moment, whatever the
machine was doing when it stopped. What else stands in the folder is the business of whoever does the batch: a manifest that says what will
be done comes first and goes last, and the empty mark stays until the batch is forgotten, so that whoever asks later gets an answer.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from connectors.folder import exists, opened, told, write_file
from worker.ports import Resolution

WORKING = ".retention-removed"
"""The folder, beside the records, that holds the batches' own; a name that starts with a dot is never a record's."""

MANIFEST = "manifest.json"
MARK = "committed"
_SAFE = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}")


class BatchFolder:
    """`.retention-removed/<batch>/` below a root. root -- a descriptor; errors of the system come as they are unless said otherwise."""

    def __init__(self, source: str, root: int, batch_id: str) -> None:
        self._source = source
        self._root = root
        self.name = batch_id if _SAFE.fullmatch(batch_id) else hashlib.sha256(batch_id.encode(errors="surrogatepass")).hexdigest()

    @contextmanager
    def opened(self) -> Iterator[int]:
        """Open it; FileNotFoundError when it is not there."""
        with opened(self._root, WORKING) as working, opened(working, self.name) as batch:
            yield batch

    def make(self) -> None:
        """Make it, for the owner alone; on the disk when this returns."""
        with suppress(FileExistsError):
            os.mkdir(WORKING, 0o700, dir_fd=self._root)
        os.fsync(self._root)
        with opened(self._root, WORKING) as working:
            os.mkdir(self.name, 0o700, dir_fd=working)
            os.fsync(working)

    def is_there(self) -> bool:
        """Whether the batch was begun and not forgotten."""
        if not exists(self._root, WORKING):
            return False
        with opened(self._root, WORKING) as working:
            return exists(working, self.name)

    def mark(self) -> None:
        """Commit: whatever happens from now on, the batch will be carried out."""
        with told(self._source, "committing a batch"), self.opened() as batch:
            write_file(batch, MARK, ())
            os.fsync(batch)

    def resolve(self, finish: Callable[[], None], put_back: Callable[[], None]) -> Resolution:
        """Bring a batch whose process died to its end, in one direction or the other, and say in which."""
        with told(self._source, "finishing a batch"):
            if not self.is_there():
                return Resolution.ROLLED_BACK
            with self.opened() as batch:
                committed = exists(batch, MARK)
        if committed:
            finish()
            return Resolution.COMMITTED
        put_back()
        return Resolution.ROLLED_BACK

    def drop(self) -> None:
        """Remove it when it is empty."""
        with opened(self._root, WORKING) as working:
            os.rmdir(self.name, dir_fd=working)
            os.fsync(working)

    def forget(self) -> None:
        """Drop the mark of a batch that is final and finished; one that is not is left alone."""
        with told(self._source, "forgetting a batch"):
            if not self.is_there():
                return
            with self.opened() as batch:
                if exists(batch, MANIFEST) or not exists(batch, MARK):
                    return
                os.unlink(MARK, dir_fd=batch)
            self.drop()
