"""Reading what a service gives out by an offset, or unsorted in one piece."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.hosted.held import Held
from connectors.hosted.paging import Offsets
from worker.errors import SourceFailed


class Listing:
    """Records that are numbers; before every answer some of what is planned happens. hides -- numbers that are counted and not shown."""

    def __init__(self, numbers: Sequence[int], happens: Sequence[tuple[set[int], int]] = (), hides: Sequence[int] = ()) -> None:
        self.numbers = sorted(numbers)
        self.happens = list(happens)
        self.hides = hides
        self.asked = 0

    def __call__(self, offset: int, most: int) -> tuple[list[int], int]:
        self.asked += 1
        if self.happens:
            gone, added = self.happens.pop(0)
            end = self.numbers[-1] if self.numbers else 0
            self.numbers = [each for each in self.numbers if each not in gone] + list(range(end + 1, end + 1 + added))
        return [each for each in self.numbers[offset : offset + most] if each not in self.hides], len(self.numbers)

    def pages(self, size: int, first: int = 0, last: int | None = None) -> list[int]:
        """Return all that is read."""
        return [each for page in Offsets("people", self, lambda each: each, size).pages(first=first, last=last) for each in page]


VALUES = st.one_of(st.none(), st.booleans(), st.integers(), st.text())
NUMBERS = st.sets(st.integers(1, 60), max_size=40)


class TestOffsets:
    """Whatever goes and comes between two pages, what was there all the time is read once, in order."""

    @given(NUMBERS, st.lists(st.tuples(st.sets(st.integers(1, 60), max_size=4), st.integers(0, 2)), max_size=12), st.integers(2, 9))
    def test_nothing_is_missed(self, numbers: set[int], happens: list[tuple[set[int], int]], size: int) -> None:
        """Deletions anywhere, and additions at the end."""
        there = numbers.difference(*(gone for gone, _ in happens))
        read = Listing(sorted(numbers), happens).pages(size)
        assert sorted(set(read)) == read
        assert there <= set(read)

    @given(NUMBERS, st.integers(0, 61), st.integers(0, 61), st.integers(2, 9))
    def test_a_range(self, numbers: set[int], first: int, last: int, size: int) -> None:
        """A range holds its first and its last number, and what lies between."""
        assert [each for each in sorted(numbers) if first <= each <= last] == Listing(sorted(numbers)).pages(size, first, last)

    @given(NUMBERS, st.lists(st.tuples(st.sets(st.integers(1, 60), max_size=2), st.integers(0, 1)), max_size=6), st.integers(2, 9))
    def test_nothing_is_missed_in_any_order(self, numbers: set[int], happens: list[tuple[set[int], int]], size: int) -> None:
        """Read without an order, it is read anew when something went, until all that was there all the time is held."""
        listing = Listing(sorted(numbers), happens)
        there = numbers.difference(*(gone for gone, _ in happens))

        def backwards(offset: int, most: int) -> tuple[list[int], int]:
            total = listing(0, 0)[1]
            return listing.numbers[::-1][offset : offset + most], total

        try:
            held = Offsets("people", backwards, lambda each: each, size).held(lambda each: [each])
        except SourceFailed:
            return
        read = [key for page in held.pages(7) for key, _ in page]
        assert sorted(set(read)) == read
        assert there <= set(read)

    def test_what_is_not_shown_is_an_error(self) -> None:
        """A listing that counts a record and never shows it is asked again a few times, and then an error."""
        listing = Listing(range(1, 10), hides=[4])
        with pytest.raises(SourceFailed, match="doesn't show"):
            listing.pages(20)
        assert 5 == listing.asked

    @pytest.mark.parametrize("total", [0, 3, 5])
    def test_a_count_that_is_too_low_is_an_error(self, total: int) -> None:
        """A listing that shows more than it counts is an error: it would end early, and what lies behind would be kept for ever."""

        def listed(offset: int, most: int) -> tuple[list[int], int]:
            return list(range(1, 10))[offset : offset + most], total

        with pytest.raises(SourceFailed, match="more than it counts"):
            list(Offsets("people", listed, lambda each: each, 4).pages())
        with pytest.raises(SourceFailed, match="not all are shown"):
            Offsets("people", listed, lambda each: each, 4).held(lambda each: [each])

    def test_what_comes_out_of_order_is_an_error(self) -> None:
        """Numbers that don't grow are an error, also when they are the same."""
        for page in ([3, 2, 1], [1, 1, 2]):
            with pytest.raises(SourceFailed, match="order"):
                list(Offsets("people", lambda _, __, page=page: (page, 3), lambda each: each, 10).pages())  # type: ignore[misc]

    def test_what_goes_faster_than_it_is_read_is_an_error(self) -> None:
        """A listing that is never the same twice ends in an error, not in a gap."""
        listing = Listing(range(1, 5000))
        pages = Offsets("people", listing, lambda each: each, 2000).pages()
        assert 2000 == next(pages)[-1]
        listing.happens = [({*range(1 + 4 * turn, 5 + 4 * turn)}, 0) for turn in range(400)]
        with pytest.raises(SourceFailed, match="faster"):
            next(pages)


class TestHeld:
    """What was held comes out in the order of its keys, as it was."""

    @given(
        st.lists(st.tuples(st.text(max_size=6), st.lists(st.one_of(st.none(), st.booleans(), st.integers(), st.text())))), st.integers(1, 7)
    )
    def test_everything_comes_back(self, records: list[tuple[str, list[object]]], size: int) -> None:
        """Every key once, with its latest values, whatever these are."""
        held = Held[str]("people")
        for key, values in records:
            held.add(key, values)
        pages = list(held.pages(size))
        assert sorted(dict(records).items()) == [record for page in pages for record in page]
        assert len(dict(records)) == len(held)
        assert all(len(page) == size for page in pages[:-1])
