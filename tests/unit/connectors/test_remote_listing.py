"""Listings of very many folders: read as a stream, in order, a few dossiers ahead, and never taken for whole when they were cut off."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.http import Limits, Service
from connectors.remote_files.ahead import Ahead
from connectors.remote_files.webdav import Share
from worker.errors import SourceFailed
from worker.ports import Level


class TestAhead:
    """What is read ahead is given out in order, and no more of it than is about to be wanted."""

    @given(st.lists(st.text(max_size=3), max_size=30), st.integers(1, 5))
    def test_the_order_is_kept(self, keys: list[str], at_once: int) -> None:
        """However many read at the same time, what they read comes in the order in which it was asked for."""
        with Ahead(at_once) as ahead:
            assert [key * 2 for key in keys] == list(ahead.each(keys, lambda key: key * 2))

    def test_they_read_at_the_same_time(self) -> None:
        """As many as may are under way at once: each waits here until all are."""
        together = threading.Barrier(4, timeout=10)
        with Ahead(4) as ahead:
            assert 8 == len(list(ahead.each([str(number) for number in range(8)], lambda _: together.wait())))

    def test_no_more_is_read_than_is_wanted_soon(self) -> None:
        """Who takes only the first makes the threads read a few, and what they had not begun is never begun."""
        begun: list[str] = []

        def read(key: str) -> str:
            begun.append(key)
            time.sleep(0.001)
            return key

        with Ahead(3) as ahead:
            assert "0" == next(ahead.each([str(number) for number in range(100)], read))
        assert len(begun) <= 3

    def test_an_error_comes_in_its_place(self) -> None:
        """What was read before an error is given out, and the error comes in the place of what could not be read."""

        def read(key: str) -> str:
            if key == "2":
                raise SourceFailed("no answer")
            return key

        with Ahead(4) as ahead:
            found = ahead.each(["0", "1", "2", "3"], read)
            assert ["0", "1"] == [next(found), next(found)]
            with pytest.raises(SourceFailed):
                next(found)


def response(path: str, folder: bool = True) -> bytes:
    kind = "<d:resourcetype><d:collection/></d:resourcetype>" if folder else "<d:resourcetype/>"
    return f"<d:response><d:href>{path}</d:href><d:propstat><d:prop>{kind}</d:prop></d:propstat></d:response>".encode()


BEGIN, END = b'<?xml version="1.0"?><d:multistatus xmlns:d="DAV:">', b"</d:multistatus>"
OWN = response("/files/")


def listed(*answers: Sequence[bytes]) -> tuple[list[str], int]:
    """Return the folders that a share's listing says, and how often it was asked; `answers` are the pieces of each answer."""
    left = list(answers)

    def pieces(some: Sequence[bytes]) -> Iterator[bytes]:
        for each in some:
            if not each:
                raise httpx.ReadError("cut off")
            yield each

    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(207, content=pieces(left.pop(0)))

    service = Service("files", "http://share.example", limits=Limits(attempts=3, wait=0))
    service._client = httpx.Client(base_url="http://share.example", transport=httpx.MockTransport(answer))
    share = Share("files", service, "", "files", level=Level.PERMANENT, encrypted=True)
    try:
        return share.dossiers(list), len(answers) - len(left)
    finally:
        share.close()


class TestShareListing:
    """What a share answers is taken apart as it arrives."""

    @pytest.mark.parametrize("size", [1, 7, 64, 10_000])
    def test_pieces_may_end_anywhere(self, size: int) -> None:
        """Where the network cuts an answer into pieces, in the middle of a name too, makes no difference."""
        whole = BEGIN + OWN + response("/files/Zo%C3%AB/") + response("/files/a.txt", folder=False) + response("/files/b/") + END
        assert (["Zoë", "b"], 1) == listed([whole[start : start + size] for start in range(0, len(whole), size)])

    def test_a_listing_that_breaks_off_is_asked_for_anew(self) -> None:
        """When the connection breaks in the middle everything is listed again, and nobody is met twice."""
        assert (["a", "b"], 2) == listed(
            [BEGIN + OWN + response("/files/a/"), b""], [BEGIN + OWN + response("/files/a/") + response("/files/b/") + END]
        )

    @pytest.mark.parametrize(
        "pieces",
        [
            [BEGIN + OWN + response("/files/a/")],
            [BEGIN + response("/files/a/") + END],
            [BEGIN + OWN + response("/elsewhere/a/") + END],
            [BEGIN + OWN + END, b"<more/>"],
            [b"<html><body>Back soon</body></html>"],
            [b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "b">]>' + BEGIN.partition(b"?>")[2] + OWN + END],
            [b" "],
        ],
        ids=["cut off", "not about the folder", "about another folder", "too much", "a notice", "entities", "nothing"],
    )
    def test_what_is_no_whole_listing_is_an_error(self, pieces: Sequence[bytes]) -> None:
        """A listing that ends too early, or is none, is a source that failed, and never a shorter list."""
        with pytest.raises(SourceFailed, match="not a WebDAV share"):
            listed(pieces)
