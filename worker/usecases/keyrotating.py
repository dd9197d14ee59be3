"""Rotating a key: another one takes its place, and what was made with the old one is still recognised.

What that means differs by family. Pseudonyms name their key, so old ones are recognised as treated and can be attributed, but one person
has two: joins over old and new records end. A sealed range names its key and is opened with it. A plan is believed under any key
`plan-mac` there is, until it expires. Tokens (`match`) are all put under the new key, see `worker.ledger.rekeying`. The root wraps the
keys and nothing else: all are put under the new one, see `worker.keys.keyfile`, and nobody who uses the keys notices.

Threat model. No batch may be under way that goes by other keys than whoever places a hold meanwhile: the run locks of all sources are
had, no run is open, and whoever read the keys before is told to start again. A crash in between: the ledger remembers the intention, then
the key file gets the key, then the ledger switches, then the trail says so; every start of the program ends what was begun. A key `match`
that was added and never put in force is used by nobody, and by the next rotation.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass

from worker.audit.events import Action
from worker.errors import ConfigurationError, Refused
from worker.keys import ROOT, RootKept, RootLeft, RootReplaced
from worker.ledger.rekeying import Rotation
from worker.usecases.machine import Machine

AFTER_BEGINNING, AFTER_ADDING, AFTER_SWITCHING, AFTER_TELLING = (
    "after_rotation_begun",
    "after_key_added",
    "after_key_switched",
    "after_rotation_event",
)
ROTATION_POINTS = (AFTER_BEGINNING, AFTER_ADDING, AFTER_SWITCHING, AFTER_TELLING)
"""Where a test may end the process."""

MATCH = "match"
_ROTATED = (MATCH, "seal", "plan-mac", "pseudonym")


@dataclass(frozen=True, slots=True)
class Rotated:
    """A key took the place of another: the family and both ids."""

    family: str
    old: str
    new: str


def rotate(machine: Machine, family: str) -> Rotated:
    """Put a new key in the place of the one that is in use; durable when it returns.

    family -- `match`, `seal`, `plan-mac` or `pseudonym/DOMAIN`. Raises ConfigurationError for keys that can't be rotated or are not there,
    Busy or Refused while a run is under way.
    """
    _check(machine, family)
    begun = Rotation(family, in_use(machine, family), machine.operator)
    ledger = machine.ledger
    with ledger.run_lock([each.source.name for each in machine.schedule.policies], run_id="key rotation"):
        refuse_during_runs(machine)
        ledger.confirm_keys_in_use()
        ledger.begin_rotation(begun)
        machine.faults.reached(AFTER_BEGINNING)
        key = machine.keyring.add(family)
        # Known to the ledger before anything is made with it, so that losing it is noticed.
        ledger.confirm_keys(machine.keyring.checks())
        machine.faults.reached(AFTER_ADDING)
        with ledger.standing_exclusive() if family == MATCH else nullcontext():
            if family == MATCH:
                chain = (*(ledger.settle_on_keys().match or (begun.old,)), key.id)
                ledger.put_under(chain, key.secret)
                machine.keyring.go_by(chain)
        machine.faults.reached(AFTER_SWITCHING)
        end_rotation(machine, begun)
    return Rotated(family, begun.old, key.id)


def rotate_root(machine: Machine) -> RootReplaced | RootLeft:
    """Put all keys under a new root, or under the one that somebody put behind the old one; durable when it returns.

    Raises ConfigurationError, and nothing was changed, when the root's file holds one root and can't be written; Busy while a run is under
    way.
    """
    begun = Rotation(ROOT, in_use(machine, ROOT), machine.operator)
    ledger = machine.ledger
    with ledger.run_lock([each.source.name for each in machine.schedule.policies], run_id="key rotation"):
        ledger.begin_rotation(begun)
        machine.faults.reached(AFTER_BEGINNING)
        done = machine.keyring.renew_root()
        machine.faults.reached(AFTER_ADDING)
        end_rotation(machine, begun)
    if isinstance(done, RootKept):
        raise ConfigurationError(
            f"The root {done.root} can't be replaced in {machine.keyring.root_path}: {done.why}. Nothing was changed. Where that file "
            "comes from, put a second line behind the first, 64 new hexadecimal digits (openssl rand -hex 32), and run this again."
        )
    return done


def resume_rotation(machine: Machine, begun: Rotation) -> None:
    """End a rotation that a crash ended: a root is carried through, of other keys that is said which was got to."""
    if begun.family == ROOT and in_use(machine, ROOT) == begun.old:
        machine.keyring.renew_root()
    end_rotation(machine, begun)


def end_rotation(machine: Machine, begun: Rotation) -> None:
    """Say in the trail that a key took another's place, if it did, and remember that this is done."""
    if begun.family not in (MATCH, ROOT) and in_use(machine, begun.family) != begun.old:
        machine.ledger.use_new_key()
    say_rotated(machine, begun)
    machine.faults.reached(AFTER_TELLING)
    machine.ledger.rotation_ended()


def say_rotated(machine: Machine, begun: Rotation) -> None:
    """Say in the trail that a key took another's place, if it did and there was one."""
    new = in_use(machine, begun.family)
    if begun.old and new != begun.old:
        told = {"retention.key": new, "retention.key_family": begun.family, "retention.replaces": begun.old, "retention.by": begun.by}
        machine.trail.emit(Action.KEY_ROTATED, told, sync=True)


def in_use(machine: Machine, family: str) -> str:
    """Return the id of a family's key that is in use; the family has one, only of roots there may be none, which is empty."""
    if family == ROOT:
        return machine.keyring.root or ""
    return machine.keyring.match().id if family == MATCH else machine.keyring.ids_of(family)[-1]


def refuse_during_runs(machine: Machine) -> None:
    """Raise Refused while a run is open or a batch is in doubt; call it with the run locks of all sources."""
    waiting = sorted({each.run_id for each in machine.ledger.open_runs()} | {each.run_id for each in machine.ledger.unfinished()})
    if waiting:
        raise Refused(
            f"Nothing was changed: the run {waiting[0]} isn't ended, and it goes by the keys there were when it began. "
            "Try again when it is; `retention reconcile` ends what a crash left."
        )


def _check(machine: Machine, family: str) -> None:
    """Raise ConfigurationError for a key that can't be rotated, with what to do instead, or that is not there."""
    kind = family.partition("/")[0]
    instead = {
        "audit-ref": "every year has one of its own, and `retention keys destroy` takes away those of years that are over",
        "sign": "auditors believe signatures by its public half, which they were given once",
    }
    if kind not in _ROTATED or (kind == "pseudonym") != ("/" in family):
        why = instead.get(kind, "there are " + ", ".join(("match", "seal", "plan-mac", "pseudonym/DOMAIN", "root")))
        raise ConfigurationError(f"{family} can't be rotated: {why}.")
    if not machine.keyring.ids_of(family):
        raise ConfigurationError(f"There is no key {family} in the key file. `retention keys list` shows what there is.")
