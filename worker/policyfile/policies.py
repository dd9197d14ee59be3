"""Policies of the policy file: from their shape to `worker.core.model.Policy`, with every name in them checked against their source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from worker.core.model import SEEN, Combine, Disposition, DispositionKind, Organisation, Policy, Purpose, StartEvent, StateEnd, Step
from worker.core.periods import NO_TIME, Anchor, Bound, Earlier, Period, Term
from worker.core.sources import Source
from worker.policyfile.conditions import FactNames, check_day, condition
from worker.policyfile.consents import check_extensions, named
from worker.policyfile.document import Complaints, shortened
from worker.policyfile.periods import INDEFINITE, Written, resolved
from worker.policyfile.positions import Path
from worker.policyfile.shape import CombineShape, DispositionShape, PolicyShape, PurposeShape, StartShape, StepShape
from worker.policyfile.shaping import Shaped
from worker.policyfile.sources import fact_names, label

_FROM_A_DAY = "a period runs from a date or a timestamp"
_ANCHORS = (Anchor.END_OF_FISCAL_YEAR, Anchor.END_OF_CALENDAR_YEAR, Anchor.END_OF_MONTH)


@dataclass(frozen=True, slots=True)
class Entry:
    """A policy with the places it was built from, for whoever has something to say about it.

    sound -- nothing is wrong with the policy itself or its source, so that conclusions about the whole of it are worth drawing.
    """

    policy: Policy
    shape: PolicyShape
    path: Path
    examples: tuple[Path, ...]
    facts: FactNames
    sound: bool


def policy(path: Path, shape: PolicyShape, source: Source, organisation: Organisation, shaped: Shaped, complaints: Complaints) -> Entry:
    """Return the policy that a table declares for a source; what is wrong is complained about and left out."""
    facts = fact_names(source, complaints)
    places = shaped.paths((*path, "purposes"))
    purposes = tuple(
        _purpose(place, each, source, facts, organisation, complaints) for place, each in zip(places, shape.purposes, strict=True)
    )
    _check_ids(places, purposes, complaints)
    check_extensions(places, purposes, source, complaints)
    owner = shape.owner or organisation.owner
    dispositions = _dispositions((*path, "disposition"), shape, owner, facts, organisation, complaints)
    found = Policy(
        source,
        purposes,
        dispositions,
        window=_own((*path, "window"), shape.window, organisation.window, organisation, complaints),
        zone=organisation.zone,
        fiscal_year=organisation.fiscal_year,
        categories=tuple(shape.categories),
        clause=shape.clause,
        description=shape.description,
        version=shape.version,
        effective=shape.effective,
        owner=owner,
        lead=_own((*path, "lead"), shape.lead, organisation.lead, organisation, complaints),
        statement=shape.statement,
    )
    about: list[Path] = [
        path,
        ("sources", source.name),
        ("organisation", "fiscal_years"),
        ("periods",),
        *(("facts", name) for name in found.deciding),
    ]
    sound = not any(complaints.troubled(each) for each in about)
    return Entry(found, shape, path, tuple(shaped.paths((*path, "examples"))), facts, sound)


def _own(path: Path, value: Written | None, default: Period, organisation: Organisation, complaints: Complaints) -> Period:
    """Return a period of the policy, or the organisation's where the policy gives none."""
    found = resolved(path, value, organisation.periods, complaints) if value is not None else None
    return found if found is not None else default


# --- Purposes -------------------------------------------------------------------------------------------------------------------------


def _purpose(
    path: Path, shape: PurposeShape, source: Source, facts: FactNames, organisation: Organisation, complaints: Complaints
) -> Purpose:
    """Return one purpose."""
    _check_fields((*path, "fields"), shape, source, complaints)
    if shape.start is None and shape.keep is not None:
        complaints.problem(path, "a period needs a `start`, the event from which it runs", "Or keep = 'indefinite'.")
    if shape.start is not None and shape.keep is None:
        what = "what is kept without an end has no start event"
        complaints.problem((*path, "start"), what, "Give a period in `keep`, or leave `start` out.")
    anchor, event = Anchor.DAY, None
    if shape.start is not None:
        anchor, event = _anchored((*path, "start"), shape.start, f"{SEEN}{shape.id}", facts, organisation, complaints)
    keep = None
    if shape.keep is not None:
        keep = resolved((*path, "keep"), shape.keep, organisation.periods, complaints, also=(INDEFINITE,))
    was = _was(path, shape, organisation, complaints)
    if shape.since is not None:
        check_day((*path, "since"), shape.since, facts, complaints, _FROM_A_DAY)
        if shape.start is None or isinstance(event, StateEnd):
            complaints.problem((*path, "since"), "there is no `start` that could be waited for")
    waits = resolved((*path, "waits"), shape.waits, organisation.periods, complaints) if shape.waits is not None else None
    return Purpose(
        shape.id,
        shape.basis,
        tuple(shape.fields),
        event if shape.keep is not None else None,
        Term(keep, anchor, organisation.fiscal_year, shape.bound, was, shape.stretch) if keep is not None and event is not None else None,
        condition(shape.when, (*path, "when"), facts, complaints) if shape.when is not None else None,
        shape.bound,
        named(path, shape, source, complaints),
        shape.marketing,
        shape.legal_claim,
        shape.description,
        extends=shape.extends,
        since=shape.since,
        waits=waits,
        period_name=shape.keep if isinstance(shape.keep, str) else "",
        recipients=tuple(shape.recipients),
        label=label(shape.label),
    )


def _was(path: Path, shape: PurposeShape, organisation: Organisation, complaints: Complaints) -> tuple[Earlier, ...]:
    """Return the periods that were promised before, the oldest first."""
    found: list[Earlier] = []
    for number, each in enumerate(shape.was):
        place = (*path, "was", number)
        period = resolved((*place, "keep"), each.keep, organisation.periods, complaints)
        if number and each.through <= shape.was[number - 1].through:
            complaints.problem((*place, "through"), f"{each.through} does not lie after the one before", "Give the oldest promise first.")
        elif period is not None:
            found.append(Earlier(period, each.through))
    if shape.was and shape.keep is None:
        what = "what is kept without an end can't say how long it was kept before"
        complaints.problem((*path, "was"), what, "Make what was collected under the earlier period a purpose of its own.")
    if shape.stretch and not shape.was:
        complaints.problem((*path, "stretch"), "there is no earlier period to stretch", "Declare `was`, or leave it out.")
    if shape.was and shape.bound is Bound.FLOOR and not shape.stretch:
        what = "lets go of earlier events after the shorter period that was promised, although the period is a floor"
        complaints.warn((*path, "was"), what, "Say stretch = true if the law asks for the longer one there too.")
    return tuple(found)


def _check_fields(path: Path, shape: PurposeShape, source: Source, complaints: Complaints) -> None:
    """Check that a purpose lists personal fields of its source, each once."""
    fields = {each.name: each for each in source.fields}
    declared = complaints.document.names(("sources", source.name, "fields"))
    for number, name in enumerate(shape.fields):
        place = (*path, number)
        about: Path = ("sources", source.name, "fields", name)
        if not complaints.known(place, "field", name, fields, declared):
            continue
        if name in shape.fields[:number]:
            complaints.problem(place, f"{name!r} is listed twice")
        elif not fields[name].personal:
            hint = "Give it a treatment or personal = true, or leave it out here."
            complaints.problem(place, f"{name!r} is not a personal field, so no purpose is needed for it", hint, about=about)
        elif fields[name].follows_record:
            complaints.problem(place, f"{name!r} follows its record and has no purpose of its own")


def _check_ids(paths: list[Path], purposes: tuple[Purpose, ...], complaints: Complaints) -> None:
    """Check that no two purposes of a policy have one id."""
    seen: set[str] = set()
    for path, purpose in zip(paths, purposes, strict=True):
        if purpose.id in seen:
            complaints.problem((*path, "id"), f"another purpose of this policy is called {purpose.id!r} too")
        seen.add(purpose.id)


# --- Start events ---------------------------------------------------------------------------------------------------------------------


def _anchored(
    path: Path, start: str | StartShape, seen: str, facts: FactNames, organisation: Organisation, complaints: Complaints
) -> tuple[Anchor, StartEvent | StateEnd | None]:
    """Return the anchor and the event of a start; `seen` is the fact in which a state is first seen to have ended."""
    if isinstance(start, str):
        return Anchor.DAY, _event(path, start, seen, facts, organisation, complaints)
    anchors = [(anchor, getattr(start, anchor.value)) for anchor in _ANCHORS if getattr(start, anchor.value) is not None]
    combined = _combined(start)
    if len(anchors) + len(combined) + (start.while_ is not None) != 1:
        options = [*(anchor.value for anchor in _ANCHORS), *(each.value for each in Combine), "while"]
        complaints.problem(path, f"needs exactly one of {', '.join(options)}")
        return Anchor.DAY, None
    if anchors:
        anchor, inner = anchors[0]
        _refuse_of_state(path, start, complaints)
        return anchor, _event((*path, anchor.value), inner, seen, facts, organisation, complaints)
    return Anchor.DAY, _event(path, start, seen, facts, organisation, complaints)


def _combined(start: CombineShape) -> dict[Combine, list[str]]:
    """Return the combinations that a table asks for; one of them is right."""
    return {each: getattr(start, each.value) for each in Combine if getattr(start, each.value) is not None}


def _event(
    path: Path, start: str | CombineShape, seen: str, facts: FactNames, organisation: Organisation, complaints: Complaints
) -> StartEvent | StateEnd | None:
    """Return a start event of one fact or of several, or the end of a state."""
    if isinstance(start, str):
        check_day(path, start, facts, complaints, _FROM_A_DAY)
        return StartEvent((start,))
    combined = _combined(start)
    if len(combined) + (start.while_ is not None) != 1:
        complaints.problem(path, f"needs exactly one of {', '.join(Combine)}, while")
        return None
    if start.while_ is not None:
        if start.ended is not None:
            check_day((*path, "ended"), start.ended, facts, complaints, _FROM_A_DAY)
        settling = resolved((*path, "settling"), start.settling or NO_TIME, organisation.periods, complaints)
        return StateEnd(condition(start.while_, (*path, "while"), facts, complaints), seen, start.ended, settling or NO_TIME)
    _refuse_of_state(path, start, complaints)
    ((combine, names),) = combined.items()
    for number, name in enumerate(names):
        place = (*path, combine.value, number)
        check_day(place, name, facts, complaints, _FROM_A_DAY)
        if name in names[:number]:
            complaints.problem(place, f"{name!r} is listed twice")
    # One fact alone is the same event however it is combined, and so the same policy.
    return StartEvent(tuple(names), combine if len(names) > 1 else Combine.LATEST_OF)


def _refuse_of_state(path: Path, start: CombineShape, complaints: Complaints) -> None:
    """Refuse where there is no state what only the end of a state has."""
    for key in ("ended", "settling"):
        if getattr(start, key) is not None:
            complaints.problem((*path, key), f"{key!r} belongs to 'while'")


# --- Dispositions ---------------------------------------------------------------------------------------------------------------------


def _dispositions(
    path: Path, shape: PolicyShape, owner: str, facts: FactNames, organisation: Organisation, complaints: Complaints
) -> tuple[Disposition, ...]:
    """Return the dispositions of a policy in the order in which they are tried; `owner` reviews where no step says who does."""
    if not isinstance(shape.disposition, list):
        return (Disposition((Step(shape.disposition, owner=owner if shape.disposition is DispositionKind.REVIEW else ""),)),)
    last = len(shape.disposition) - 1
    found = []
    for number, each in enumerate(shape.disposition):
        place = (*path, number)
        if each.when is None and number < last:
            complaints.problem(place, "has no condition, so those after it are never chosen")
        when = condition(each.when, (*place, "when"), facts, complaints) if each.when is not None else None
        found.append(Disposition(_steps(place, each, owner, organisation, complaints), when))
    return tuple(found)


def _steps(path: Path, shape: DispositionShape, owner: str, organisation: Organisation, complaints: Complaints) -> tuple[Step, ...]:
    """Return a chain of steps, each later than the one before."""
    steps = [_step(path, shape, NO_TIME, owner, organisation, complaints)]
    for number, each in enumerate(shape.then):
        place = (*path, "then", number)
        if steps[-1].kind is DispositionKind.DELETE:
            complaints.problem(place, "comes after 'delete', which leaves nothing to do")
        after = resolved((*place, "after"), each.after, organisation.periods, complaints)
        if after is None:
            continue
        if _days(after) <= _days(steps[-1].after):
            what = f"{shortened(str(after))} does not lie after the step before; every step counts from the same start event"
            complaints.problem((*place, "after"), what)
        steps.append(_step(place, each, after, owner, organisation, complaints))
    return tuple(steps)


def _step(
    path: Path, shape: DispositionShape | StepShape, after: Period, owner: str, organisation: Organisation, complaints: Complaints
) -> Step:
    """Return one step; a review is the policy's owner's unless it says otherwise."""
    for key in ("every", "owner"):
        if getattr(shape, key) and shape.do is not DispositionKind.REVIEW:
            complaints.problem((*path, key), f"{key!r} belongs to a review, and this step does {shape.do.value!r}")
    every = resolved((*path, "every"), shape.every, organisation.periods, complaints) if shape.every is not None else None
    return Step(shape.do, after, every, (shape.owner or owner) if shape.do is DispositionKind.REVIEW else "")


def _days(period: Period) -> float:
    """Return the rough length of a period, good enough to tell which of two is longer."""
    if period == NO_TIME:
        return 0.0
    return period.years * 365.25 + period.months * 30.44 + period.weeks * 7 + period.days


def duplicates(entries: Mapping[Path, str], complaints: Complaints) -> set[Path]:
    """Complain about every second policy for one source and return their places; `entries` gives the source of each policy's place."""
    seen: dict[str, Path] = {}
    for path, name in entries.items():
        if name in seen:
            what = f"{name!r} has a policy already, in line {complaints.document.line(seen[name])}"
            complaints.problem((*path, "source"), what, "Make them one policy with several purposes.")
        seen.setdefault(name, path)
    return entries.keys() - seen.values()
