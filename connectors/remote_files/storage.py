"""What a place that keeps dossiers has to be able to do, and what it says when it can't.

No error text and no answer holds the name of a dossier or a file, which are often people's names, nor an address with a password.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from worker.core.model import Policy
from worker.errors import Problem
from worker.ports import Level

T = TypeVar("T")

LARGEST_SIDECAR = 64 * 1024 * 1024


class Refused(Exception):
    """The system refused one request about one dossier, and would again. answer -- its status and its own plain word for it."""

    def __init__(self, answer: str) -> None:
        super().__init__(answer)
        self.answer = answer


class Gone(Exception):
    """What was asked for isn't there any more, or is no longer the same."""


@dataclass(frozen=True, slots=True)
class Stored:
    """One thing that a dossier holds.

    path -- inside the dossier; version -- which of several under this path, where the system keeps them; tag -- changes when the content
    does; changed -- when it was last written, aware; readable -- a file with a content, not a folder, a link or a mark of deletion;
    current -- what somebody sees who looks at the dossier; earlier versions and marks of deletion are not; depth -- for folders, how deep;
    locked -- whether the system says that somebody keeps it from being changed.
    """

    path: str = field(repr=False)
    version: str = ""
    tag: str = ""
    changed: dt.datetime | None = None
    readable: bool = True
    current: bool = True
    depth: int = 0
    locked: bool = field(default=False, compare=False)


class Storage(Protocol):
    """One folder of dossiers in some system. Every method may raise Retriable, SourceFailed and ConfigurationError.

    level -- how gone is what was removed; at_once -- how many dossiers may be read at the same time, by as many threads.
    """

    level: Level
    at_once: int

    def dossiers(self, take: Callable[[Iterator[str]], T]) -> T:
        """Return what `take` makes of the names of all folders, those that only hold old versions included; in no order.

        They are handed over as they arrive, and not held. When the connection breaks they are asked for anew: `take` may be called again,
        begins from the beginning then, and goes through all of them.
        """
        ...  # pragma: no cover

    def several(self, dossiers: Sequence[str]) -> Mapping[str, list[Stored]]:
        """Return `contents` of those of these dossiers that can be had with fewer requests than one each; of others nothing is said."""
        ...  # pragma: no cover

    def contents(self, dossier: str) -> list[Stored]:
        """Return all that a dossier holds, old versions too, newest first for each path; nothing when there is no such dossier.

        Refused when it can't be listed as a whole.
        """
        ...  # pragma: no cover

    def read(self, dossier: str, stored: Stored) -> bytes:
        """Return the content of a file; Gone when it changed since, Refused when it may not be read."""
        ...  # pragma: no cover

    def obstacle(self, dossier: str, some: Sequence[Stored]) -> str:
        """Return why these could not be removed now although one may remove (a legal hold of the system's own), or an empty text."""
        ...  # pragma: no cover

    def remove(self, dossier: str, some: Sequence[Stored]) -> None:
        """Remove these for good, in this order where it matters; what is gone already is no error.

        InDoubt when nobody knows what was removed. Refused when the system refused some; others may have been removed. Any other error
        says that nothing was removed.
        """
        ...  # pragma: no cover

    def replace(self, dossier: str, stored: Stored, content: bytes) -> None:
        """Write another content in the place of this one; Gone when it changed since, InDoubt when nobody knows."""
        ...  # pragma: no cover

    def check(self, policy: Policy | None) -> tuple[list[Problem], list[Problem]]:
        """Return (what makes the source unusable, what a person should know) about the account and the system; changes nothing."""
        ...  # pragma: no cover

    def rights(self, account: str, *, writes: bool) -> list[str]:
        """Return in words what an account needs, to read only or to delete and treat too."""
        ...  # pragma: no cover

    def close(self) -> None:
        """Let go of every connection."""
        ...  # pragma: no cover
