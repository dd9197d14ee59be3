"""What many records say about the subjects they share, in a temporary file (see `nameless`) instead of memory.

Subjects are found by joining tokens: two tokens that one record carries belong to one subject, and so does everything joined to either.
The file holds keyed tokens and days only.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from worker.core.shared import NOTHING, Seen, together
from worker.usecases.nameless import Nameless, explained

_PAGE = 1000
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


class SubjectIndex(Nameless):
    """Takes in what records say, by the tokens they carry, and answers what all records of a subject say together.

    First everything is added, then it is sealed, then it is asked; `also` is for what becomes of the records meanwhile. RetentionError when
    the file can't be made or written.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, _TABLE)

    def add(self, records: Iterable[tuple[Sequence[bytes], Seen]]) -> None:
        """Take in records: the tokens each carries (none: it belongs to nobody and is left out) and what it says."""
        told = [(tokens, what) for tokens, what in records if tokens]
        with explained():
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
        with explained():
            while page := self._connection.execute(_FOLLOWERS, (last, _PAGE)).fetchall():
                leaders = [self._leader(row[0]) for row in page]
                self._connection.executemany(_ADD, ((leader, *row[1:]) for leader, row in zip(leaders, page, strict=True)))
                self._connection.executemany(_FOLLOW, ((leader, row[0]) for leader, row in zip(leaders, page, strict=True)))
                last = page[-1][0]
            self._connection.execute("COMMIT")

    def also(self, pairs: Iterable[tuple[bytes, bytes]]) -> None:
        """Let tokens stand for what others were joined to, after the sealing: (new token, known token); unknown ones change nothing."""
        with explained():
            self._connection.executemany(_ALSO, pairs)

    def seen(self, tokens: Iterable[bytes]) -> Seen:
        """Return what all records of the subjects of some tokens say together."""
        with explained():
            found = [row for token in tokens if (row := self._connection.execute(_SEEN, (token,)).fetchone()) is not None]
        return together(*(Seen(*row) for row in found)) if found else NOTHING
