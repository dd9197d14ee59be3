"""What every use case is given: the policies, the ledger, the keys, the audit trail, the sources and the clock, composed by `bootstrap`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

from worker.audit.events import Action
from worker.audit.render import JsonValue
from worker.audit.trail import AuditTrail
from worker.clock import Now, local_day, monotonic, sleep
from worker.core.compiled import Memories
from worker.core.model import Policy, Schedule
from worker.core.sources import Source, TreatmentKind
from worker.core.treatments import PseudonymKey, Treater, treater
from worker.errors import ConfigurationError
from worker.keys import Key, Keyring
from worker.ledger.ledger import Ledger
from worker.ports import Faults, NoFaults, OpenSource
from worker.settings import Settings


@dataclass(frozen=True)
class Machine:
    """Everything joined together. `open_source` opens a source by its description; `trail` opens this process's audit file on first use.

    monotonic, sleep -- how waiting is measured and done: seconds that never go back, and a call that returns after so many of them.
    helpers -- a context in which there are other processes for the batches of some sources, if there are any, and which gives what sends
    them to those of a run, by its id. Afterwards they have ended the batch they were at, and themselves: they serve one run.
    memories -- what was decided in this process; a plan, the lanes that carry it out and reading back decide about the same days.
    """

    settings: Settings
    schedule: Schedule
    ledger: Ledger
    keyring: Keyring
    open_source: Callable[[Source], OpenSource]
    open_trail: Callable[[], AuditTrail]
    now: Now
    faults: Faults = field(default_factory=NoFaults)
    monotonic: Callable[[], float] = monotonic
    sleep: Callable[[float], None] = sleep
    helpers: Callable[[Sequence[str]], AbstractContextManager[Callable[[str], None]]] = field(default=lambda _sources: nullcontext(_nobody))
    memories: Memories = field(default_factory=Memories, repr=False, compare=False)

    @property
    def operator(self) -> str:
        """Who runs this, as approvals and holds name them."""
        return self.settings.operator_name

    @property
    def trail(self) -> AuditTrail:
        """The audit file of this process, opened when the first event is written."""
        return self.open_trail()

    def today(self) -> dt.date:
        """Return the local day of the organisation."""
        return local_day(self.now(), self.schedule.organisation.zone)

    def policy(self, source: str) -> Policy:
        """Return the policy of a source; ConfigurationError when there is none."""
        policy = self.schedule.policy(source)
        if policy is None:
            known = ", ".join(each.source.name for each in self.schedule.policies)
            raise ConfigurationError(f"There is no policy for a source {source!r}. There are policies for: {known}.")
        return policy

    def policies(self, sources: tuple[str, ...] = ()) -> list[Policy]:
        """Return the policies of the named sources (of all, when none is named), parents before the sources of their children."""
        chosen = [self.policy(name) for name in sources] if sources else list(self.schedule.policies)
        depth: dict[str, int] = {}

        def rank(name: str, trail: tuple[str, ...] = ()) -> int:
            if name in trail:
                return 0
            if name not in depth:
                parents = [
                    each.name
                    for each in self.schedule.sources.values()
                    if any(relation.source == name and relation.disposal is not None for relation in each.relations) and each.name != name
                ]
                depth[name] = 1 + max((rank(parent, (*trail, name)) for parent in parents), default=-1)
            return depth[name]

        return sorted(chosen, key=lambda policy: rank(policy.source.name))

    def treaters(self, policy: Policy) -> Mapping[str, Treater]:
        """Return the treater of every treatable field of a policy."""
        keys = {
            each.treatment.domain: _pseudonym_key(self.keyring.pseudonym(each.treatment.domain))
            for each in policy.treatable
            if each.treatment is not None and each.treatment.kind is TreatmentKind.PSEUDONYM
        }
        organisation, fields = self.schedule.organisation.name, policy.source.fields
        return {each.name: treater(each, organisation, keys, fields=fields) for each in policy.treatable}


def saying(machine: Machine, action: Action, about: Mapping[str, JsonValue]) -> Callable[[], object]:
    """Return what says something in the trail, durably; the trail is opened now, so that nothing of the ledger is held while that is done.

    The ledger calls it before it keeps what lets records go: an approval, the end of a hold, a request.
    """
    trail = machine.trail
    return lambda: trail.emit(action, about, sync=True)


def _nobody(_run_id: str) -> None:
    """Send nobody."""


def _pseudonym_key(key: Key) -> PseudonymKey:
    """Return a key in the form the core uses."""
    return PseudonymKey(key.id, key.secret)
