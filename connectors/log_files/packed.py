"""Log files as streams of lines, compressed or not, read and written in the same way."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import IO, cast

LONGEST = 16 * 1024 * 1024
"""A longer line is no line of a log."""

DAMAGE = (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile, OSError)
"""What reading a damaged or truncated compressed file raises."""


class NoLog(Exception):
    """The content is no log: it is compressed in a way that nobody here knows, or has a line that never ends."""


_KNOWN: Mapping[str, Callable[[IO[bytes], str], IO[bytes]]] = {
    ".gz": lambda file, mode: cast("IO[bytes]", gzip.GzipFile(fileobj=file, mode=f"{mode}b", mtime=0, filename="")),
    ".bz2": lambda file, mode: cast("IO[bytes]", bz2.BZ2File(file, mode)),  # type: ignore[call-overload]
    ".xz": lambda file, mode: cast("IO[bytes]", lzma.LZMAFile(file, mode)),  # noqa: SIM115 - the caller closes it
}
_UNKNOWN = (".zst", ".zstd", ".lz4", ".lzo", ".Z", ".zip", ".7z", ".br")


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1]  # noqa: PTH122 - a name, not a path


@contextmanager
def reading(name: str, file: IO[bytes]) -> Iterator[Iterator[bytes]]:
    """Give the lines of an opened file, with their ends; NoLog for one that can't be read as lines, `DAMAGE` for a damaged one."""
    if _suffix(name) in _UNKNOWN:
        raise NoLog
    opener = _KNOWN.get(_suffix(name))
    if opener is None:
        yield _lines(file)
        return
    with opener(file, "r") as unpacked:
        yield _lines(unpacked)


@contextmanager
def writing(name: str, file: IO[bytes]) -> Iterator[IO[bytes]]:
    """Give what takes the lines of a file of that name; all of them are in the file at the end."""
    opener = _KNOWN.get(_suffix(name))
    if opener is None:
        yield file
    else:
        with opener(file, "w") as packed:
            yield packed


def _lines(file: IO[bytes]) -> Iterator[bytes]:
    while line := file.readline(LONGEST):
        if len(line) == LONGEST and not line.endswith(b"\n"):
            raise NoLog
        yield line
