"""The retention of the audit trail itself: what its events said goes after the period that the policy file declares.

What a prune would do is a value, `Pruning`; carrying it out is something else. Nothing is dropped where nothing is declared. What is still
needed stays whatever its age: events of batches and runs that are not ended, plans that can be applied, holds and requests that are open,
what somebody accepted or answered until a day that hasn't passed, and the approvals of the policies in force.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from worker.audit.broken import Broken
from worker.audit.endings import ending, has_writer
from worker.audit.events import Action
from worker.audit.lines import files, opened_on
from worker.audit.pruning import FilePruning, look, prune
from worker.audit.read import Payload, recorded_endings
from worker.audit.render import TIMESTAMP, instant
from worker.core.periods import Period, cutoff
from worker.errors import AuditUnavailable, ConfigurationError, Refused, RetentionError
from worker.usecases.braking import clock_brakes
from worker.usecases.machine import Machine

_DONE = "audit_pruned"
_MOST_PLANS = 10_000
_MOST_RANGES = 1000
"""So many runs of segments one event names; more take several."""
_NEVER = "~"
"""Sorts behind every instant."""
_ZONES = dt.timedelta(days=1)
"""A local day is that of UTC, or the one before or behind it."""


@dataclass(frozen=True, slots=True)
class Pruning:
    """What is to be dropped.

    keep -- the declared period; through -- the last local day whose events go, None for none; files -- what of which, oldest first; damaged
    -- files left alone because they are not as they were written, or can't be read, and why; left -- names of files that are not through
    yet, `after` -- the newest that was looked at: a night run takes up from there.
    """

    keep: Period
    through: dt.date | None
    files: tuple[FilePruning, ...] = ()
    damaged: Mapping[Path, str] | None = None
    left: tuple[str, ...] = ()
    after: str = ""

    @property
    def events(self) -> int:
        """How many events lose what they said."""
        return sum(each.events for each in self.files)


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was dropped: so many events of so many files. failed -- by file, why it was left as it was."""

    files: int
    events: int
    failed: Mapping[Path, str]


def look_at_trail(machine: Machine, *, everything: bool = True) -> Pruning:
    """Return what of the audit folder is to be dropped today.

    everything -- every file that is old enough; otherwise, for the night, only those that earlier prunes didn't get through. Raises
    ConfigurationError when the policy file declares no period, Refused when the clock can't be right.
    """
    keep = machine.schedule.audit_keep
    if keep is None:
        raise ConfigurationError(
            "The policy file doesn't say how long the audit trail is kept, so nothing of it is dropped. Declare it, for instance: "
            '[audit] keep = "P7Y".'
        )
    tripped = clock_brakes(machine)
    if tripped:
        raise Refused(f"Nothing was dropped: {tripped[0].what}")
    through = cutoff(keep.after, machine.today())
    if through is None:
        return Pruning(keep, None)
    done = _Done.read(machine)
    old = [each for each in files(machine.settings.audit_folder) if opened_on(each) <= through + _ZONES]
    chosen = old if everything else [each for each in old if each.name > done.after or each.name in done.left]
    found, damaged, left = _looked(machine, chosen, through)
    return Pruning(keep, through, found, damaged, left, max((each.name for each in old), default=""))


def carry_out(machine: Machine, pruning: Pruning) -> Pruned:
    """Drop what was looked out. Files fail one by one; AuditUnavailable when the events can't be written."""
    failed = dict(pruning.damaged or {})
    left = {*pruning.left}
    events = count = 0
    for each in pruning.files:
        try:
            through = prune(each, lambda chosen: _say(machine, pruning.keep, chosen), machine.faults.reached)
        except AuditUnavailable:
            raise
        except RetentionError as error:
            failed[each.path] = str(error)
            through = False
        if through:
            events, count = events + each.events, count + 1
        if not through or not each.finished:
            left.add(each.path.name)
    _Done(pruning.after, tuple(sorted(left))).keep(machine)
    return Pruned(count, events, failed)


def prune_by_night(machine: Machine) -> Pruned | None:
    """Drop what a night run drops at its end: None when nothing is declared."""
    return None if machine.schedule.audit_keep is None else carry_out(machine, look_at_trail(machine, everything=False))


@dataclass(frozen=True, slots=True)
class _Done:
    """How far earlier prunes came: through the file `after` and all before it, but for those `left`."""

    after: str = ""
    left: tuple[str, ...] = ()

    @classmethod
    def read(cls, machine: Machine) -> _Done:
        said = json.loads(machine.ledger.get_meta(_DONE) or "{}")
        return cls(said.get("after", ""), tuple(said.get("left", ())))

    def keep(self, machine: Machine) -> None:
        machine.ledger.set_meta(_DONE, json.dumps({"after": self.after, "left": self.left}))


def _looked(machine: Machine, chosen: list[Path], through: dt.date) -> tuple[tuple[FilePruning, ...], dict[Path, str], tuple[str, ...]]:
    """Return what of these files goes, which are damaged and why, and the names of those that will have to be looked at again."""
    needs = _Needs(machine)
    found: list[FilePruning] = []
    damaged: dict[Path, str] = {}
    left: list[str] = []
    for path in chosen:
        try:
            each = look(path, through, machine.schedule.organisation.zone, needs) if needs.over(path) else None
        except (Broken, OSError) as error:
            damaged[path] = str(error) if isinstance(error, Broken) else f"{path.name} can't be read: {error.strerror}."
            each = None
        if each is not None and each.runs:
            found.append(each)
        elif each is None or not each.finished:
            left.append(path.name)
    return tuple(found), damaged, tuple(left)


class _Needs:
    """Tells what is still needed, as the ledger and the policies stand."""

    def __init__(self, machine: Machine) -> None:
        ledger = machine.ledger
        self._today = machine.today().isoformat()
        self._folder = machine.settings.audit_folder
        self._ids: Mapping[str, frozenset[str]] = {
            "retention.batch": frozenset(each.batch_id for each in ledger.unfinished()),
            "retention.run": frozenset(each.run_id for each in ledger.open_runs()),
            "retention.plan": frozenset(each.plan_id for each in ledger.plans(_MOST_PLANS) if each.expires_at >= machine.now()),
        }
        self._standing: Mapping[str, tuple[str, frozenset[str]]] = {
            Action.HOLD_PLACED: ("retention.hold", frozenset(each.hold_id for each in ledger.holds())),
            Action.REQUEST_ADDED: ("retention.request", requests := frozenset(each.request_id for each in ledger.requests())),
            Action.REQUEST_UPHELD: ("retention.request", requests),
        }
        approvals = {each.digest: ledger.approved_policy(each.source.name, each.digest) for each in machine.schedule.policies}
        self._approved = {digest: instant(found.at) for digest, found in approvals.items() if found is not None}

    def __call__(self, event: Payload) -> bool:
        """Tell whether something an event says is still needed."""
        if any(event.get(name) in ids for name, ids in self._ids.items()):
            return True
        if event.get("event.action") == Action.POLICY_APPROVED:
            # The last approval of a policy in force; the ledger's instant of it is taken before the event is written.
            return bool(event.get(TIMESTAMP, "") >= self._approved.get(event.get("rule.version", ""), _NEVER))
        name, ids = self._standing.get(event.get("event.action", ""), ("", frozenset()))
        return event.get(name) in ids or event.get("retention.until", "") >= self._today

    def over(self, path: Path) -> bool:
        """Tell whether a file's stream has ended: closed, or left by a writer that died and recorded by a later process."""
        if has_writer(path):
            return False
        how = ending(path)
        return how is None or how.identity in self._recorded

    @cached_property
    def _recorded(self) -> set[tuple[str, int, str]]:
        return recorded_endings(self._folder)


def _say(machine: Machine, keep: Period, chosen: FilePruning) -> None:
    """Write the event, before the new file takes the place of the old one."""
    for first in range(0, len(chosen.runs), _MOST_RANGES):
        runs = chosen.runs[first : first + _MOST_RANGES]
        machine.trail.emit(
            Action.AUDIT_PRUNED,
            {
                "retention.stream": chosen.stream,
                "retention.ranges": [str(each) for each in runs],
                "retention.count": sum(each.events for each in runs),
                "retention.keep": str(keep),
                "retention.oldest": str(chosen.oldest),
                "retention.newest": str(chosen.newest),
            },
        )
    machine.trail.sync()
