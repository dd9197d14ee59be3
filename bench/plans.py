"""What a plan costs when nothing, little or much is due, and when half of the table was treated by an earlier run.

A night run on a quiet day is a plan and nothing else, so this is what most nights cost.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bench import ours, references
from bench.data import DUE, FEW_DUE, NONE_DUE
from bench.databases import Database
from bench.measure import Measure

TREATED = "treated_contacts"
_UNTREATED = "(name IS NOT NULL OR phone IS NOT NULL OR email NOT LIKE 'p1-%')"


def plan(database: Database, folder: Path, rows: int) -> Iterator[Measure]:
    """Measure plans against the database's own count of the same rows."""
    url = database.template("contacts")
    for share in (NONE_DUE, FEW_DUE, DUE):
        job, due = f"plan, {share.percent} % due", share.of(rows)
        yield references.count(database, url, f"last_contact_at < '{share.cutoff}'", rows, job, due)
        yield Measure(database.name, job, ours.PLAN, rows, ours.plan(url, folder, "delete", share, due))
    url, job = database.template(TREATED), "plan, half treated earlier, none due"
    condition = f"last_contact_at < '{DUE.cutoff}' AND {_UNTREATED}"
    yield references.count(database, url, condition, rows, job, 0)
    yield Measure(database.name, job, ours.PLAN, rows, ours.plan(url, folder, "pseudonymise", DUE, 0))
