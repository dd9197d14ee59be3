"""Facts about a record that lie outside its row: what people said about it, and when its state was seen to have ended.

The ledger keeps them by keyed record. They are read once for a source and looked up by the record's token, so a connector never hears of
them. Marks are few, because people type them; what was seen is packed.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Callable
from typing import Protocol

from worker.clock import local_day
from worker.core.facts import Raw
from worker.core.model import Policy
from worker.core.observations import FirstSeen
from worker.core.sources import REVIEW_MARK
from worker.policyfile import state_name
from worker.ports import Key
from worker.usecases.keptdays import unpacked
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


def departed(machine: Machine, source: str, concerned: Callable[[bytes], bool]) -> dict[bytes, dt.datetime]:
    """Return when records of a source were deleted by us, the last time, by their tokens; only those that concern somebody.

    A key may be given again, by a table or as the name of a folder: what was said or seen before that moment was about another record.
    """
    found: dict[bytes, dt.datetime] = {}
    for blob, at in machine.ledger.departed(source):
        found.update((tokens[0], at) for tokens, _ in unpacked(blob) if concerned(tokens[0]))
    return found


def first_seen(machine: Machine, policy: Policy, *, before: dt.date = dt.date.max) -> dict[str, FirstSeen]:
    """Return what runs noted about the states of a policy, by the fact that it is, without what was about records that have gone since."""
    if not policy.states:
        return {}
    kept = machine.ledger.observations(policy.source.name)
    noted = {state.seen: kept.get(state_name(policy, purpose), b"") for purpose, state in policy.states}
    plain = [FirstSeen(blob) for blob in noted.values() if blob]
    gone = departed(machine, policy.source.name, lambda token: any(each.get(token) is not None for each in plain)) if plain else {}
    ends = {token: local_day(at, policy.zone) for token, at in gone.items()}
    return {name: FirstSeen(blob, before=before, gone=ends) for name, blob in noted.items()}


def _days(machine: Machine, policy: Policy, today: dt.date) -> list[Days]:
    """Return the days of each fact outside the rows of a policy's source."""
    marks: dict[str, dict[bytes, dt.date]] = defaultdict(dict)
    said = [(bytes.fromhex(row.record_token), row) for row in machine.ledger.marks(policy.source.name)]
    marked = {token for token, _ in said}
    gone = departed(machine, policy.source.name, marked.__contains__) if marked else {}
    for token, row in said:
        if token not in gone or gone[token] < row.at:
            marks[row.name][token] = row.day
    seen = first_seen(machine, policy, before=today)
    found: list[Days] = []
    for name in policy.outside:
        mark = policy.source.mark(name)
        if name in seen:
            found.append(seen[name])
        else:
            found.append(marks[REVIEW_MARK if mark is None else mark.mark])
    return found
