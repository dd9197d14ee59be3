"""What a connector must know of all records before it can give out the first: their keys, and a few bytes each, in constant memory.

Systems that can't sort (a folder, a share, a list that is paged by number) tell their keys in an order of their own. They are put into a
temporary database and taken out of it in order, a page at a time. While they are few they lie in its cache; beyond that in a file that is
readable by its owner only and loses its name as soon as it is open, so nothing of it is left however this process ends.

Threat model. Keys may be people's names, and of some services declared columns lie here too. They are on the disk with temporary files
(`TMPDIR`) while a source is read, unencrypted, as in swap. A disk that is full is an error that says so, and never a shorter list.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from worker.errors import SourceFailed

K = TypeVar("K", str, int)

_CACHE_KIB = 2_000
_AT_ONCE = 1_000
# The name of a temporary database is empty.
_SETTINGS = ("journal_mode = OFF", "synchronous = OFF", f"cache_size = -{_CACHE_KIB}")

# What is put together out of two of them would be a text.
_APPENDED = """
    INSERT INTO held VALUES (?, ?)
    ON CONFLICT (key) DO UPDATE SET said = CAST(coalesce(said, x'') || excluded.said AS BLOB)
"""


class Spooled(Generic[K]):
    """Keys, each once, all texts or all whole numbers of at most 64 bits, with some bytes; closed with its context.

    source -- whose keys they are, for errors. What its methods raise is SourceFailed.
    """

    def __init__(self, source: str) -> None:
        self._source: str = source
        with self._explained():
            self._file = sqlite3.connect("", isolation_level=None, check_same_thread=False)
            for each in _SETTINGS:
                self._file.execute(f"PRAGMA {each}")
            self._file.execute("CREATE TABLE held (key PRIMARY KEY, said BLOB) WITHOUT ROWID")
            self._file.execute("BEGIN")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Let go of everything that is held."""
        with suppress(sqlite3.Error):
            self._file.close()

    def __len__(self) -> int:
        """Return how many keys are held."""
        return int(self._one("SELECT count(*) FROM held"))

    def __contains__(self, key: K) -> bool:
        """Whether a key is held."""
        return bool(self._one("SELECT EXISTS (SELECT 1 FROM held WHERE key = ?)", _written(key)))

    def get(self, key: K) -> bytes | None:
        """Return what is said of a key; None when that is nothing, or the key isn't held."""
        with self._explained():
            found: tuple[bytes | None] | None = self._file.execute("SELECT said FROM held WHERE key = ?", (_written(key),)).fetchone()
        return None if found is None else found[0]

    def clear(self) -> None:
        """Hold nothing any more."""
        with self._explained():
            self._file.execute("DELETE FROM held")

    def add(self, items: Iterable[tuple[K, bytes | None]]) -> None:
        """Hold these; of a key that is held already what is said later. They are taken a thousand at a time."""
        left = ((_written(key), said) for key, said in items)
        while some := list(islice(left, _AT_ONCE)):
            with self._explained():
                self._file.executemany("INSERT OR REPLACE INTO held VALUES (?, ?)", some)

    def append(self, items: Iterable[tuple[K, bytes]]) -> None:
        """Hold these; of a key that is held already these bytes behind those that are. They are taken a thousand at a time."""
        left = ((_written(key), said) for key, said in items)
        while some := list(islice(left, _AT_ONCE)):
            with self._explained():
                self._file.executemany(_APPENDED, some)

    def remove(self, keys: Iterable[K]) -> None:
        """Hold these no more; they are taken a thousand at a time."""
        left = ((_written(key),) for key in keys)
        while some := list(islice(left, _AT_ONCE)):
            with self._explained():
                self._file.executemany("DELETE FROM held WHERE key = ?", some)

    def pages(self, size: int, first: K | None = None, last: K | None = None) -> Iterator[list[tuple[K, bytes | None]]]:
        """Yield pages of (key, what is said of it) in the order of the keys: of texts that of their code points, as Python's.

        first, last -- between which keys, both included; None for all before or behind.
        """
        limits = (("key >= ?", first), ("key <= ?", last))
        asked: dict[str, bytes | int] = {condition: _written(limit) for condition, limit in limits if limit is not None}
        while True:
            where = " AND ".join(asked) or "TRUE"
            with self._explained():
                page = self._file.execute(
                    f"SELECT key, said FROM held WHERE {where} ORDER BY key LIMIT ?", (*asked.values(), size)
                ).fetchall()
            if not page:
                return
            yield [(_read(key), said) for key, said in page]
            asked.pop("key >= ?", None)
            asked["key > ?"] = page[-1][0]

    def between(self, first: K, last: K, most: int) -> list[K]:
        """Return the keys from `first` through `last` in order, so many at most."""
        with self._explained():
            found = self._file.execute(
                "SELECT key FROM held WHERE key BETWEEN ? AND ? ORDER BY key LIMIT ?", (_written(first), _written(last), most)
            ).fetchall()
        return [_read(key) for (key,) in found]

    def _one(self, query: str, *values: bytes | int) -> int:
        with self._explained():
            found: int = self._file.execute(query, values).fetchone()[0]
            return found

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what the database says into what the operator does next; it says nothing about what it holds."""
        try:
            yield
        except sqlite3.Error as error:
            raise SourceFailed(
                f"{self._source}: what is read of all records at once is kept in a temporary file, and it can't be used: {error}. "
                "Make room on the disk with temporary files, or choose another folder with TMPDIR."
            ) from None


class Listing(Generic[K]):
    """The keys of a source: listed when they are asked for, and once only for all ranges of a run (`KeyRange.run`).

    source -- whose keys they are, for errors; fill -- puts them all into what may hold many.
    """

    def __init__(self, source: str, fill: Callable[[Spooled[K]], None]) -> None:
        self._source = source
        self._fill: Callable[[Spooled[K]], None] = fill
        self._run = ""
        self._kept: Spooled[K] | None = None

    def close(self) -> None:
        """Let go of what is kept."""
        if self._kept is not None:
            self._kept.close()
        self._kept, self._run = None, ""

    def knows(self, run: str) -> bool:
        """Whether the keys were listed for a run."""
        return self._kept is not None and run == self._run

    @contextmanager
    def keys(self, run: str = "") -> Iterator[Spooled[K]]:
        """Give the keys as they are now, or as the first range of a run found them; who asks leaves them open."""
        if not run:
            with self._listed() as spooled:
                yield spooled
            return
        if not self.knows(run):
            self.close()
            self._kept, self._run = self._listed(), run
        assert self._kept is not None
        yield self._kept

    def _listed(self) -> Spooled[K]:
        """Return the keys as they are now; whoever asks closes them."""
        spooled = Spooled[K](self._source)
        try:
            self._fill(spooled)
        except BaseException:
            # Half a list of keys would look like all of them.
            spooled.close()
            raise
        return spooled


def _written(key: str | int) -> bytes | int:
    """Return a key as it is stored: of a text the bytes, whose order is that of its code points, also of one that is no valid text."""
    return key.encode(errors="surrogatepass") if isinstance(key, str) else key


def _read(key: bytes | int) -> Any:
    """Return a key as it was given."""
    return key.decode(errors="surrogatepass") if isinstance(key, bytes) else key
