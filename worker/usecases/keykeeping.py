"""Destroying keys, so that nobody can attribute any more what was made with them.

Without the key of a year's audit references nobody can tell which records the trail of that year speaks of. Without those of a pseudonym
domain nobody can tell whose its pseudonyms are, or make one to compare them with.

What has been pseudonymised stays recognisable as treated, because that shows in its form. The next pseudonym in a destroyed domain is
made with a new key, so the same person gets another one: joins with the old ones end, which is what destroying is for.

Threat model. A destroyed key can't be brought back, and one that is still needed must not go: what would be lost is looked out first, as
a value, and a person types the key's id. A crash in between: the ledger retires the key and remembers the intention in one transaction,
then the key file is replaced, together with its root, then the trail says so; every start of the program first ends what was begun. A
backup of the key file opens with the root of its time only; a key that comes back with backups of both is refused by every command but
this one.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass

from worker.audit.events import Action
from worker.clock import local_day
from worker.core.sources import TreatmentKind
from worker.errors import ConfigurationError, Refused
from worker.keys import ROOT, RootChange
from worker.ledger.identity import Destruction
from worker.ledger.rekeying import Rotation
from worker.usecases.braking import clock_brakes
from worker.usecases.keyrotating import refuse_during_runs, say_rotated
from worker.usecases.machine import Machine

AFTER_RETIRING, AFTER_REMOVING, AFTER_SAYING = "after_key_retired", "after_key_removed", "after_key_event"
KEY_POINTS = (AFTER_RETIRING, AFTER_REMOVING, AFTER_SAYING)
"""Where a test may end the process."""

_YEARLY = re.compile(r"audit-ref[/-](\d{4})")
_DOMAIN = re.compile(r"pseudonym/(.+)")
_MOST_PLANS = 10_000


@dataclass(frozen=True, slots=True)
class Doomed:
    """The keys of one year's references or of one pseudonym domain that may be destroyed: family and ids.

    used_by -- the sources whose fields are pseudonymised in the domain, by what the policy file says now.
    """

    family: str
    key_ids: tuple[str, ...]
    used_by: tuple[str, ...] = ()

    @property
    def phrase(self) -> str:
        """What a person types to confirm."""
        return " ".join(self.key_ids)


def look_at_key(machine: Machine, family: str) -> Doomed:
    """Return the keys of a family that may be destroyed.

    family -- `audit-ref/YYYY`, also with a hyphen, or `pseudonym/DOMAIN`. Raises ConfigurationError for keys that can't be destroyed or are
    not there, Refused for those that are still needed, with everything that needs them, and when the clock can't be right.
    """
    domain = _DOMAIN.fullmatch(family)
    if domain is not None:
        return _domain(machine, family, domain.group(1))
    found = _YEARLY.fullmatch(family)
    if found is None:
        raise ConfigurationError(
            f"{family} can't be destroyed: only the keys of a year's audit references can, such as audit-ref/2019, and those of a domain "
            "of pseudonyms, such as pseudonym/customers."
        )
    year = int(found.group(1))
    key_ids = machine.keyring.ids_of(f"audit-ref/{year:04d}")
    if not key_ids:
        raise ConfigurationError(f"There is no key audit-ref/{year:04d} in the key file. `retention keys list` shows what there is.")
    # Whether a year is over is asked of the clock.
    needs = [each.what for each in clock_brakes(machine)] or _needs(machine, year, key_ids)
    if needs:
        listed = "\n".join(f"  - {each}" for each in needs)
        raise Refused(f"The key audit-ref/{year:04d} stays, and nothing was destroyed:\n{listed}")
    return Doomed(f"audit-ref/{year:04d}", key_ids)


def _domain(machine: Machine, family: str, domain: str) -> Doomed:
    """Return the keys of a pseudonym domain, those that were rotated away among them."""
    key_ids = machine.keyring.ids_of(family)
    if not key_ids:
        raise ConfigurationError(f"There is no key {family} in the key file. `retention keys list` shows what there is.")
    used_by = [
        source.name
        for source in machine.schedule.sources.values()
        if any(
            each.treatment is not None and each.treatment.kind is TreatmentKind.PSEUDONYM and each.treatment.domain == domain
            for each in source.fields
        )
    ]
    return Doomed(family, key_ids, tuple(sorted(used_by)))


@dataclass(frozen=True, slots=True)
class ListedRoot:
    """A root that is in the root's file. since -- as far as the ledger knows.

    in_use -- whether the keys are wrapped with it; outlived -- whether a key was destroyed that it opens in older copies of the key file.
    """

    root: str
    since: dt.datetime | None
    in_use: bool
    outlived: bool


def listed_roots(machine: Machine) -> list[ListedRoot]:
    """Return the roots there are, the one in use first; none while keys lie open."""
    ring, ledger = machine.keyring, machine.ledger
    if ring.root is None:
        return []
    since = ledger.root_since(ring.root)
    outlived = since is not None and any(each.destroyed_at is not None and each.destroyed_at > since for each in ledger.known_keys())
    in_use = ListedRoot(ring.root, since, in_use=True, outlived=outlived)
    return [in_use, *(ListedRoot(each, ledger.root_since(each), in_use=False, outlived=False) for each in ring.other_roots)]


def destroy(machine: Machine, doomed: Doomed) -> RootChange | None:
    """Destroy keys; durable when it returns. Return what became of the root, None when the keys were gone already.

    While the root is the old one, or copies of it are left, copies of the key file in backups give the keys back. Those of a pseudonym
    domain are destroyed when no run is under way, which may have them in use: Busy or Refused otherwise.
    """
    if _YEARLY.fullmatch(doomed.family):
        return _destroy(machine, doomed)
    with machine.ledger.run_lock([each.source.name for each in machine.schedule.policies], run_id="key destruction"):
        refuse_during_runs(machine)
        return _destroy(machine, doomed)


def _destroy(machine: Machine, doomed: Doomed) -> RootChange | None:
    begun = Destruction(doomed.family, doomed.key_ids, machine.operator, machine.keyring.root or "")
    machine.ledger.retire_keys(begun.family, begun.key_ids, begun.by, begun.root)
    machine.faults.reached(AFTER_RETIRING)
    destroyed = machine.keyring.destroy(begun.key_ids)
    machine.faults.reached(AFTER_REMOVING)
    end_destruction(machine, begun)
    return destroyed.root


def end_destruction(machine: Machine, begun: Destruction) -> None:
    """Say in the trail that keys are gone from the key file, and whether their root is, and remember that this is done."""
    for key_id in begun.key_ids:
        machine.trail.emit(
            Action.KEY_DESTROYED, {"retention.key": key_id, "retention.key_family": begun.family, "retention.by": begun.by}, sync=True
        )
    say_rotated(machine, Rotation(ROOT, begun.root, begun.by))
    machine.faults.reached(AFTER_SAYING)
    machine.ledger.keys_destroyed()


def _needs(machine: Machine, year: int, key_ids: tuple[str, ...]) -> list[str]:
    """Return what still needs the keys of a year, in words."""
    ledger, zone = machine.ledger, machine.schedule.organisation.zone
    if year >= machine.today().year:
        return [f"references of {year} are still made with it"]
    made_with = {each.plan_id for each in ledger.plans(_MOST_PLANS) if each.ref_key_id in key_ids}
    needs = [
        f"the plan {each.plan_id} was made with it and can be applied until {each.expires_at:%Y-%m-%d}"
        for each in ledger.plans(_MOST_PLANS)
        if each.plan_id in made_with and each.expires_at >= machine.now()
    ]
    unfinished = {each.run_id for each in ledger.unfinished()} | {each.run_id for each in ledger.open_runs()}
    for run_id in sorted(unfinished):
        run = ledger.run(run_id)
        if run is not None and run.plan_id in made_with:
            needs.append(f"the run {run_id} isn't ended: `retention reconcile` ends it")
    needs += [
        f"the hold {each.hold_id} of {year} is in force, and the trail names whom it is about with this key"
        for each in ledger.holds()
        if each.scope in ("record", "subject") and local_day(each.placed_at, zone).year == year
    ]
    # When it was written down isn't kept, so every open one of that year or before counts.
    needs += [
        f"the request {each.request_id} is open, and the trail may name who asked with this key"
        for each in ledger.requests()
        if each.received_on.year <= year
    ]
    return needs
