"""Declarations of the policy file: attestations, periodic reviews and gaps, from their shape to `worker.core.declarations`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from worker.core.declarations import Attestation, Gap, PeriodicReview
from worker.core.model import Organisation, Schedule
from worker.core.periods import NO_TIME, Period
from worker.policyfile.document import Complaints
from worker.policyfile.periods import Written, resolved
from worker.policyfile.positions import Path
from worker.policyfile.shaping import Shaped

TABLES = ("attestations", "reviews", "gaps")


def declarations(shaped: Shaped, organisation: Organisation, complaints: Complaints) -> Mapping[str, Any]:
    """Return the attestations, reviews and gaps of a file, by the name of their member of `Schedule`."""
    file = shaped.file
    seen: dict[str, Path] = {}
    for table in TABLES:
        for path, each in zip(shaped.paths((table,)), getattr(file, table), strict=True):
            if each.id in seen:
                first = complaints.document.line(seen[each.id])
                complaints.problem((*path, "id"), f"{each.id!r} is declared already, in line {first}", "Give each an id of its own.")
            seen.setdefault(each.id, path)

    def every(table: str, number: int, value: Written) -> Period:
        path = (*shaped.paths((table,))[number], "every")
        return resolved(path, value, organisation.periods, complaints) or NO_TIME

    return {
        "attestations": tuple(
            Attestation(each.id, each.what, each.owner, every("attestations", number, each.every), each.clause, each.period)
            for number, each in enumerate(file.attestations)
        ),
        "reviews": tuple(
            PeriodicReview(each.id, each.what, each.owner, every("reviews", number, each.every), each.clause)
            for number, each in enumerate(file.reviews)
        ),
        "gaps": tuple(Gap(each.id, each.what, each.owner, each.clause, tuple(each.categories)) for each in file.gaps),
    }


def in_words(schedule: Schedule) -> Iterator[str]:
    """Yield one sentence for everything that is declared because no server can enforce it."""
    for attestation in schedule.attestations:
        period = f", kept {attestation.period}" if attestation.period else ""
        yield f"attestation {attestation.id}: {attestation.what}{period} - {attestation.owner} confirms it every {attestation.every}"
    for review in schedule.reviews:
        yield f"review {review.id}: {review.what} - {review.owner} looks at it every {review.every}"
    for gap in schedule.gaps:
        about = f" ({', '.join(gap.categories)})" if gap.categories else ""
        yield f"gap {gap.id}: {gap.what}{about} - nothing is laid down"
