"""Facts about a record that lie outside its row: what people said about it, and when its state was seen to have ended.

The ledger keeps them by keyed record. They are read once for a source and looked up by the record's token, so a connector never hears of
them. Marks are few, because people type them; what was seen is packed.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from typing import Protocol

from worker.core.facts import Raw
from worker.core.model import REVIEW_MARK, Policy
from worker.core.observations import FirstSeen
from worker.policyfile import state_name
from worker.ports import Key
from worker.usecases.machine import Machine
from worker.usecases.matching import record_token


class Days(Protocol):
    """From a record's token to a day."""

    def __len__(self) -> int:
        """Return how many there are."""
        ...  # pragma: no cover

    def get(self, token: bytes, /) -> dt.date | None:
        """Return the day of a record, or None."""
        ...  # pragma: no cover


class Outside:
    """The raw values of `policy.outside` for the records of its source on a local day: local days, None where there is none.

    What a run noted about states counts from the next day on; see `worker.usecases.observing`.
    """

    def __init__(self, machine: Machine, policy: Policy, today: dt.date) -> None:
        self.names = policy.outside
        self._source = policy.source.name
        self._secret = machine.keyring.match().secret
        self._days = _days(machine, policy, today) if self.names else []
        self._nothing = (None,) * len(self.names)

    def values(self, key: Key) -> tuple[Raw, ...]:
        """Return one value per name for the record with this key, as its source reads the key."""
        if not any(self._days):
            return self._nothing
        own = record_token(self._secret, self._source, key)
        return tuple(days.get(own) for days in self._days)


def _days(machine: Machine, policy: Policy, today: dt.date) -> list[Days]:
    """Return the days of each fact outside the rows of a policy's source."""
    marks: dict[str, dict[bytes, dt.date]] = defaultdict(dict)
    for row in machine.ledger.marks(policy.source.name):
        marks[row.name][bytes.fromhex(row.record_token)] = row.day
    kept = machine.ledger.observations(policy.source.name) if policy.states else {}
    seen = {state.seen: kept.get(state_name(policy, purpose), b"") for purpose, state in policy.states}
    found: list[Days] = []
    for name in policy.outside:
        mark = policy.source.mark(name)
        if name in seen:
            found.append(FirstSeen(seen[name], before=today))
        else:
            found.append(marks[REVIEW_MARK if mark is None else mark.mark])
    return found
