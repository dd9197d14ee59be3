"""What many records say about the subjects they share, in a temporary file instead of memory.

Subjects are found by joining tokens: two tokens that one record carries belong to one subject, and so does everything joined to either.
The file holds keyed tokens and days only. It is readable by its owner only, lies in the state folder, and loses its name as soon as it is
open, so that nothing of it is left however this process ends.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from worker.core.shared import NOTHING, Seen, together
from worker.errors import RetentionError

_PAGE = 1000
_CACHE_KIB = 32_000

_SETTINGS = ("journal_mode = OFF", "synchronous = OFF", "locking_mode = EXCLUSIVE", f"cache_size = -{_CACHE_KIB}")
_TABLE = """
CREATE TABLE subject (
  token BLOB PRIMARY KEY, leader BLOB NOT NULL,
  there INTEGER NOT NULL, day INTEGER NOT NULL, ahead INTEGER NOT NULL, unsure INTEGER NOT NULL
) WITHOUT ROWID
"""
_GREATEST = "there = max(there, {0}there), day = max(day, {0}day), ahead = max(ahead, {0}ahead), unsure = max(unsure, {0}unsure)"
_ADD = f"INSERT INTO subject VALUES (?1, ?1, ?2, ?3, ?4, ?5) ON CONFLICT (token) DO UPDATE SET {_GREATEST.format('excluded.')}"
_LEADER = "SELECT leader FROM subject WHERE token = ?"
_FOLLOW = "UPDATE subject SET leader = ? WHERE token = ?"
_FOLLOWERS = "SELECT token, there, day, ahead, unsure FROM subject WHERE token > ? AND leader <> token ORDER BY token LIMIT ?"
_ALSO = "INSERT OR IGNORE INTO subject SELECT ?1, leader, 0, 0, 0, 0 FROM subject WHERE token = ?2"
_SEEN = "SELECT there, day, ahead, unsure FROM subject WHERE token = (SELECT leader FROM subject WHERE token = ?)"


class SubjectIndex:
    """Takes in what records say, by the tokens they carry, and answers what all records of a subject say together.

    First everything is added, then it is sealed, then it is asked; `also` is for what becomes of the records meanwhile. RetentionError when
    the file can't be made or written.
    """

    def __init__(self, folder: Path) -> None:
        with _explained():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            # `mkstemp` makes it readable by its owner only.
            handle, name = tempfile.mkstemp(prefix="facts-", suffix=".sqlite", dir=folder)
            os.close(handle)
            try:
                self._connection = sqlite3.connect(name, isolation_level=None)
                for each in _SETTINGS:
                    self._connection.execute(f"PRAGMA {each}")
                self._connection.execute(_TABLE)
            finally:
                Path(name).unlink()
            self._connection.execute("BEGIN")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with suppress(sqlite3.Error):
            self._connection.close()

    def add(self, records: Iterable[tuple[Sequence[bytes], Seen]]) -> None:
        """Take in records: the tokens each carries (none: it belongs to nobody and is left out) and what it says."""
        told = [(tokens, what) for tokens, what in records if tokens]
        with _explained():
            self._connection.executemany(_ADD, ((token, *what) for tokens, what in told for token in tokens))
            for tokens, _ in told:
                for other in tokens[1:]:
                    self._join(tokens[0], other)

    def _join(self, one: bytes, other: bytes) -> None:
        """Make one subject of the subjects of two tokens.

        The lesser leader leads: tokens are as good as random, so the ways to a leader stay short (logarithmic, as expected).
        """
        leader, follower = sorted((self._leader(one), self._leader(other)))
        if leader != follower:
            self._connection.execute(_FOLLOW, (leader, follower))

    def _leader(self, token: bytes) -> bytes:
        """Return the token that leads a token's subject."""
        while (leader := self._connection.execute(_LEADER, (token,)).fetchone()[0]) != token:
            token = leader
        return token

    def seal(self) -> None:
        """Bring together what the tokens of each subject say; page by page, in constant memory."""
        last = b""
        with _explained():
            while page := self._connection.execute(_FOLLOWERS, (last, _PAGE)).fetchall():
                leaders = [self._leader(row[0]) for row in page]
                self._connection.executemany(_ADD, ((leader, *row[1:]) for leader, row in zip(leaders, page, strict=True)))
                self._connection.executemany(_FOLLOW, ((leader, row[0]) for leader, row in zip(leaders, page, strict=True)))
                last = page[-1][0]
            self._connection.execute("COMMIT")

    def also(self, pairs: Iterable[tuple[bytes, bytes]]) -> None:
        """Let tokens stand for what others were joined to, after the sealing: (new token, known token); unknown ones change nothing."""
        with _explained():
            self._connection.executemany(_ALSO, pairs)

    def seen(self, tokens: Iterable[bytes]) -> Seen:
        """Return what all records of the subjects of some tokens say together."""
        with _explained():
            found = [row for token in tokens if (row := self._connection.execute(_SEEN, (token,)).fetchone()) is not None]
        return together(*(Seen(*row) for row in found)) if found else NOTHING


@contextmanager
def _explained() -> Iterator[None]:
    """Turn what the file system or the database says into what the operator does next."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        said = error.strerror if isinstance(error, OSError) else str(error)
        raise RetentionError(
            f"Facts over several sources are brought together in a temporary file in the state folder, and it can't be used: {said}. "
            "Make room there, or choose another folder with RETENTION_STATE."
        ) from error
