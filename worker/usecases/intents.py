"""The lines of the audit trail that say what is about to be done, before it is: one per record and per row that goes along.

They are rendered from templates that are compiled once per batch; only the closing event of their batch makes them effects.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from worker.audit.events import Action
from worker.audit.render import JsonValue, compile_template, instant
from worker.core.model import Policy
from worker.core.refs import Referrer
from worker.planfile import Reason
from worker.ports import Key, OpenSource
from worker.usecases.machine import Machine
from worker.usecases.reporting import DELETE, PSEUDONYMISE, TREAT

_ACTIONS = {DELETE: Action.RECORD_DELETED, PSEUDONYMISE: Action.RECORD_PSEUDONYMISED, TREAT: Action.FIELDS_TREATED}
_GAP = "\x00"
"""Stands in a line where the reference goes; rendered JSON never holds it."""
_NOT_LOCKED = "read again directly before the write"
_GATHERED = "read again in all their sources before the first batch, not locked"


class IntentLines:
    """Renders the intents of one source's batches in one run."""

    def __init__(self, machine: Machine, policy: Policy, source: OpenSource, run_id: str, ref_secret: bytes) -> None:
        self._machine = machine
        self._policy = policy
        self._source = source
        self._run_id = run_id
        self._ref_secret = ref_secret
        shared = ", ".join(each.name for each in policy.shared)
        said = ("" if source.transactional else _NOT_LOCKED, f"{shared}: {_GATHERED}" if shared else "")
        self._not_locked = "; ".join(each for each in said if each)

    def records(self, attempt: str, acting: Iterable[tuple[object, str, Reason]]) -> list[bytes]:
        """Return one line per (anything, reference, reason)."""
        fixed = {
            **self._common(self._policy, attempt, self._policy.source.name),
            "retention.level": str(self._source.level),
            **({"retention.facts": self._not_locked} if self._not_locked else {}),
        }
        varying = ["retention.record", "retention.due", "event.reason"]
        render = {
            does: compile_template({**fixed, "event.action": str(said)}, varying if does == DELETE else [*varying, "retention.fields"])
            for does, said in _ACTIONS.items()
        }
        # Records that share a reason differ in their reference alone, so a line is rendered once a reason and cut where the reference goes.
        halves: dict[int, tuple[str, str]] = {}
        lines: list[bytes] = []
        for _, reference, reason in acting:
            found = halves.get(id(reason))
            if found is None:
                words = [f'"{reason.due}"', json.dumps(reason.why)]
                if reason.action != DELETE:
                    words.append(json.dumps(list(reason.fields)))
                before, _, after = render[reason.action](f'"{_GAP}"', *words).decode("ascii").partition(_GAP)
                found = halves[id(reason)] = before, after
            lines.append(f"{found[0]}{reference}{found[1]}".encode("ascii"))
        return lines

    def along(
        self, attempt: str, policy: Policy, name: str, path: Sequence[str], keys: Sequence[Key], reasons: Sequence[str], *, detach: bool
    ) -> list[bytes]:
        """Return one line per row that goes with its record, or is cut loose; name -- what the rows are called as a source."""
        fixed = {
            **self._common(policy, attempt, name),
            "event.action": str(Action.CHILD_DETACHED if detach else Action.CHILD_DELETED),
            "retention.relation": ".".join(path),
        }
        render = compile_template(fixed, ["retention.record", "event.reason"])
        referrer = Referrer(self._ref_secret, name)
        return [render(f'"{referrer.reference(key)}"', json.dumps(reason)) for key, reason in zip(keys, reasons, strict=True)]

    def _common(self, policy: Policy, attempt: str, source: str) -> dict[str, JsonValue]:
        """Return what all intents of a batch say alike."""
        return {
            "@timestamp": instant(self._machine.now()),
            "rule.id": policy.id,
            "rule.version": policy.digest,
            "retention.run": self._run_id,
            "retention.batch": attempt,
            "retention.source": source,
        }
