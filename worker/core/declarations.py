"""What an organisation promised and no server can enforce: it is declared, so that reports show it and somebody looks at it in time.

An *attestation* is a person's word that something is so elsewhere (a vendor's setting, a browser's cookies); a *periodic review* is a look
at something that has no period of its own; a *gap* is a promise, or data, for which nothing is laid down yet.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from worker.core.periods import Period


@dataclass(frozen=True, slots=True)
class Attestation:
    """What somebody has to confirm at least every so often.

    clause -- where it was promised; period -- in words, how long the data are kept there.
    """

    id: str
    what: str
    owner: str
    every: Period
    clause: str = ""
    period: str = ""


@dataclass(frozen=True, slots=True)
class PeriodicReview:
    """What somebody has to look at at least every so often."""

    id: str
    what: str
    owner: str
    every: Period
    clause: str = ""


@dataclass(frozen=True, slots=True)
class Gap:
    """What nothing is laid down for. categories -- the kinds of data concerned."""

    id: str
    what: str
    owner: str = ""
    clause: str = ""
    categories: tuple[str, ...] = ()


def due_by(declared: Attestation | PeriodicReview, last_done: dt.date | None) -> dt.date | None:
    """Return the last local day on which it may still be done in time; None when it was never done, and so should have been already."""
    return declared.every.after(last_done) if last_done is not None else None


def is_overdue(declared: Attestation | PeriodicReview, last_done: dt.date | None, today: dt.date) -> bool:
    """Whether it was never done, or longer ago than it should have been."""
    last_day = due_by(declared, last_done)
    return last_day is None or last_day < today
