"""Destroying keys, so that nobody can attribute any more what was made with them.

Without the key of a year's audit references nobody can tell which records the trail of that year speaks of. Without those of a pseudonym
domain nobody can tell whose its pseudonyms are, or make one to compare them with.

What has been pseudonymised stays recognisable as treated, because that shows in its form. The next pseudonym in a destroyed domain is made
with a new key, so the same person gets another one: joins with the old ones end, which is what destroying is for.

Threat model. A destroyed key can't be brought back, and one that is still needed must not go: what would be lost is looked out first, as a
value, and a person types the key's id. A crash in between: the ledger retires the key and remembers the intention in one transaction, then
the key file is replaced, then the trail says so; every start of the program first ends what was begun. A key that comes back with a backup
of the key file is refused by every command but this one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from worker.audit.events import Action
from worker.clock import local_day
from worker.core.sources import TreatmentKind
from worker.errors import ConfigurationError, Refused
from worker.ledger.identity import Destruction
from worker.usecases.braking import clock_brakes
from worker.usecases.keyrotating import refuse_during_runs
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


def destroy(machine: Machine, doomed: Doomed) -> None:
    """Destroy keys; durable when it returns. Copies of the key file in backups keep them until they expire.

    Those of a pseudonym domain are destroyed when no run is under way, which may have them in use: Busy or Refused otherwise.
    """
    if _YEARLY.fullmatch(doomed.family):
        _destroy(machine, doomed)
        return
    with machine.ledger.run_lock([each.source.name for each in machine.schedule.policies], run_id="key destruction"):
        refuse_during_runs(machine)
        _destroy(machine, doomed)


def _destroy(machine: Machine, doomed: Doomed) -> None:
    begun = Destruction(doomed.family, doomed.key_ids, machine.operator)
    machine.ledger.retire_keys(begun.family, begun.key_ids, begun.by)
    machine.faults.reached(AFTER_RETIRING)
    machine.keyring.destroy(begun.key_ids)
    machine.faults.reached(AFTER_REMOVING)
    end_destruction(machine, begun)


def end_destruction(machine: Machine, begun: Destruction) -> None:
    """Say in the trail that keys are gone from the key file, and remember that this is done."""
    for key_id in begun.key_ids:
        machine.trail.emit(
            Action.KEY_DESTROYED, {"retention.key": key_id, "retention.key_family": begun.family, "retention.by": begun.by}, sync=True
        )
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
