"""Paging by an offset that misses nothing while records go.

Every deletion, our own too, moves what lies behind it towards the beginning. So pages overlap by a record: a page is good when it begins at
or before the last record that was seen, and else the place of that record is searched for again. That rests on the order: a page whose
numbers do not grow is an error, because then nobody could tell what was missed. Where there is no such order everything is read before
anything is given out, and read anew when it moved meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

from connectors.hosted.held import Held
from worker.errors import SourceFailed

Item = Any
Listed = Callable[[int, int], tuple[Sequence[Item], int]]
"""From (offset, most) to the records that lie there and how many there are in all."""

_PATIENCE = 5


class Offsets:
    """A listing by an offset, of records with numbers that begin at 1.

    size -- how many records a page holds at most; remedy -- what a person can do when they are not all shown, or not in the order of their
    numbers.
    """

    def __init__(self, source: str, listed: Listed, number: Callable[[Item], int], size: int, remedy: str = "") -> None:
        self._source = source
        self._listed = listed
        self._number = number
        self._size = size
        self._remedy = remedy

    def held(self, pack: Callable[[Item], Sequence[Any]]) -> Held[int]:
        """Return all records, whatever their order, packed; SourceFailed when they move too often, or some are not shown.

        Whoever asks closes what is held.
        """
        for _ in range(_PATIENCE):
            found = Held[int](self._source)
            start, last = 0, 0
            while True:
                at = max(0, start - 1)
                page, total = self._listed(at, self._size)
                if at and (not page or self._number(page[0]) != last):
                    break
                for each in page:
                    found.add(self._number(each), pack(each))
                start = at + len(page)
                if start >= total and len(found) == total:
                    return found
                if start >= total or len(page) <= bool(at):
                    break
                last = self._number(page[-1])
            found.close()
        raise SourceFailed(f"{self._source}: the records moved while they were read, or not all are shown; try again later.")

    def pages(self, *, first: int = 0, last: int | None = None) -> Iterator[list[Item]]:
        """Yield pages of records in the order of their numbers, from `first` through `last`, each once."""
        seen = first - 1
        start = self._place(seen) if first > 1 else 0
        # One more for the overlap, and one behind the last that shows that nothing is left.
        size = self._size if last is None else min(self._size, max(last - first, 0) + 3)
        misses = 0
        while True:
            at = max(0, start - 1)
            page, total = self._page(at, size)
            if at and (not page or self._number(page[0]) > seen):
                # Records before this place went: whatever lies between may have moved in front of it.
                misses += 1
                if misses > _PATIENCE:
                    raise SourceFailed(f"{self._source}: records went faster than they can be read; try again later.")
                start = self._place(seen)
                continue
            misses = 0
            new = [each for each in page if self._number(each) > seen]
            if new:
                seen = self._number(new[-1])
                yield [each for each in new if last is None or self._number(each) <= last]
            if at + len(page) >= total or (last is not None and seen >= last):
                return
            start = at + len(page)

    def _place(self, seen: int) -> int:
        """Return how many records have a number up to `seen`."""
        low, high = 0, self._listed(0, 1)[1]
        while low < high:
            middle = (low + high) // 2
            page, _ = self._listed(middle, 1)
            if page and self._number(page[0]) <= seen:
                low = middle + 1
            else:
                high = middle
        return low

    def _page(self, offset: int, size: int) -> tuple[Sequence[Item], int]:
        """Return the records from an offset on and how many there are; SourceFailed when some are kept from us, or out of order."""
        for _ in range(_PATIENCE):
            page, total = self._listed(offset, size)
            numbers = [self._number(each) for each in page]
            if any(later <= sooner for sooner, later in pairwise(numbers)):
                what = f"{self._source}: the records don't come in the order of their numbers, so some could be missed."
                raise SourceFailed(f"{what} {self._remedy}".rstrip())
            if min(size, total - offset) <= len(page) and (not page or offset + len(page) <= total):
                return page, total
        # It ends where the count says; a count that is too low would end it early.
        what = f"{self._source}: the service counts records that it doesn't show, or shows more than it counts: some might be missed."
        raise SourceFailed(f"{what} {self._remedy}".rstrip())
