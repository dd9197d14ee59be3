"""A temporary SQLite file without a name, for what many records say together: instead of memory, which stays constant.

It holds keyed tokens and references only. It is readable by its owner only, lies in the state folder, and loses its name as soon as it is
open, so that nothing of it is left however this process ends.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from worker.errors import RetentionError

_CACHE_KIB = 32_000
_SETTINGS = ("journal_mode = OFF", "synchronous = OFF", "locking_mode = EXCLUSIVE", f"cache_size = -{_CACHE_KIB}")


class Nameless:
    """A file that is made and unnamed at once, and closed with its context; RetentionError when that can't be done.

    statements -- make its tables. A transaction is open from the start.
    """

    def __init__(self, folder: Path, *statements: str) -> None:
        with explained():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            # `mkstemp` makes it readable by its owner only.
            handle, name = tempfile.mkstemp(prefix="facts-", suffix=".sqlite", dir=folder)
            os.close(handle)
            try:
                self._connection = sqlite3.connect(name, isolation_level=None)
                for each in _SETTINGS:
                    self._connection.execute(f"PRAGMA {each}")
                for each in statements:
                    self._connection.execute(each)
            finally:
                Path(name).unlink()
            self._connection.execute("BEGIN")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with suppress(sqlite3.Error):
            self._connection.close()


@contextmanager
def explained() -> Iterator[None]:
    """Turn what the file system or the database says into what the operator does next."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        said = error.strerror if isinstance(error, OSError) else str(error)
        raise RetentionError(
            f"What many records say together is kept in a temporary file in the state folder, and it can't be used: {said}. "
            "Make room there, or choose another folder with RETENTION_STATE."
        ) from error
