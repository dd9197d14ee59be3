"""Facts about a record that lie outside its row: what people said about it, kept in the ledger by keyed record.

They are read once for a source (people set few of them) and looked up by the record's token, so a connector never hears of them.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Mapping

from worker.core.facts import Raw
from worker.core.model import REVIEW_MARK, Policy
from worker.ports import Key
from worker.usecases.machine import Machine
from worker.usecases.matching import record_token

Days = Mapping[bytes, dt.date]
"""From a record's token to a day."""


class Outside:
    """The raw values of `policy.outside` for the records of its source: local days, None where nobody said anything."""

    def __init__(self, machine: Machine, policy: Policy) -> None:
        self.names = policy.outside
        self._source = policy.source.name
        self._secret = machine.keyring.match().secret
        marks = _marks(machine, policy.source.name) if self.names else {}
        self._days = [marks.get(_kept_as(policy, name), {}) for name in self.names]
        self._nothing = (None,) * len(self.names)

    def values(self, key: Key) -> tuple[Raw, ...]:
        """Return one value per name for the record with this key, as its source reads the key."""
        if not any(self._days):
            return self._nothing
        own = record_token(self._secret, self._source, key)
        return tuple(days.get(own) for days in self._days)


def _kept_as(policy: Policy, name: str) -> str:
    """Return the name under which the ledger keeps the mark that a fact is."""
    mark = policy.source.mark(name)
    return REVIEW_MARK if mark is None else mark.mark


def _marks(machine: Machine, source: str) -> Mapping[str, Days]:
    """Return the marks of a source by their name."""
    found: dict[str, dict[bytes, dt.date]] = defaultdict(dict)
    for row in machine.ledger.marks(source):
        found[row.name][bytes.fromhex(row.record_token)] = row.day
    return found
