"""Attestations and periodic reviews that the policy file declares: done when, by whom, and which of them are overdue."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from worker.audit.events import Action
from worker.core.declarations import Attestation, PeriodicReview, due_by, is_overdue
from worker.errors import ConfigurationError
from worker.ledger.rows import DoneReview, FindingRow
from worker.policyfile import nearest
from worker.usecases.machine import Machine


@dataclass(frozen=True, slots=True)
class Declared:
    """One attestation or periodic review on one day. last -- None when it was never done; due_by -- the last day to do it in time."""

    declared: Attestation | PeriodicReview
    last: DoneReview | None
    due_by: dt.date | None
    overdue: bool

    @property
    def kind(self) -> Literal["attestation", "review"]:
        """What it is, in a word."""
        return "attestation" if isinstance(self.declared, Attestation) else "review"


def standing_of(machine: Machine, today: dt.date | None = None) -> list[Declared]:
    """Return how everything that is declared stands on a local day, today by default, in the order of the file."""
    day = today or machine.today()
    done = machine.ledger.last_done()
    declared: tuple[Attestation | PeriodicReview, ...] = (*machine.schedule.attestations, *machine.schedule.reviews)
    found = []
    for each in declared:
        last = done.get(each.id)
        on = last.day if last is not None else None
        found.append(Declared(each, last, due_by(each, on), is_overdue(each, on, day)))
    return found


def overdue_reviews(machine: Machine, today: dt.date) -> Iterator[FindingRow]:
    """Yield a finding for everything declared that was never done, or longer ago than it should have been."""
    for each in standing_of(machine, today):
        if each.overdue:
            yield FindingRow("review", "*", "*", f"the {each.kind} {each.declared.id} is overdue (every {each.declared.every})", 1)


def mark_done(machine: Machine, declared_id: str, *, by: str, note: str | None = None) -> dt.date:
    """Keep that somebody did an attestation or a review today, and return the last day of doing it again in time.

    Raises ConfigurationError when the policy file declares none with this id.
    """
    declared: tuple[Attestation | PeriodicReview, ...] = (*machine.schedule.attestations, *machine.schedule.reviews)
    known = {each.id: each for each in declared}
    if declared_id not in known:
        hint = nearest(declared_id, known) or (f"There are: {', '.join(known)}." if known else "The policy file declares none.")
        raise ConfigurationError(f"There is no attestation and no review {declared_id!r}. {hint}")
    today = machine.today()
    machine.ledger.add_done(declared_id, today, by, note)
    machine.trail.emit(
        Action.REVIEW_DONE, {"retention.declaration": declared_id, "retention.on": today.isoformat(), "retention.by": by}, sync=True
    )
    return known[declared_id].every.after(today)
