"""What falls due in the months and days to come, counted by policy, from the plan's own decisions. Reads only; writes nothing anywhere.

A record counts once: in the month in which something first happens to it, as what happens then (the whole record, some of its fields, or
a review). Memory is constant in the number of records, except for the keys that somebody asked for.
"""

from __future__ import annotations

import datetime as dt
import difflib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from worker.core.model import Policy
from worker.core.select import EVERYTHING
from worker.errors import ConfigurationError, Retriable, SourceFailed
from worker.ports import Key, Reader
from worker.usecases.foreseeing import Foreseen, Foresight, looking, opened
from worker.usecases.gathering import Gathered, gather
from worker.usecases.machine import Machine
from worker.usecases.planning import Progress
from worker.usecases.reporting import DUE, PARTLY, REVIEW, word

FALLS = (DUE, PARTLY, REVIEW)
"""The words of records to which something happens: as a whole, to some fields, or a person is to look at them."""
_DAY = dt.timedelta(days=1)


@dataclass(frozen=True)
class PolicyForecast:
    """The forecast of one policy. counts -- records by (word, position): 0 is due now, 1 is the first month; total -- all records."""

    policy: str
    total: int
    counts: Counter[tuple[str, int]]

    @property
    def rest(self) -> int:
        """How many records fall due later than the last month, or never."""
        return self.total - self.counts.total()


@dataclass(frozen=True)
class Forecast:
    """What falls due in each month. months -- their first days, the first month counts from `as_of` on; failed -- source to reason."""

    as_of: dt.date
    months: tuple[dt.date, ...]
    policies: list[PolicyForecast] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


def month_starts(day: dt.date, months: int) -> tuple[dt.date, ...]:
    """Return the first days of the month that holds a day and of those after it; ConfigurationError beyond the calendar."""
    first = day.year * 12 + day.month - 1
    try:
        return tuple(dt.date((first + each) // 12, (first + each) % 12 + 1, 1) for each in range(months))
    except ValueError:
        raise ConfigurationError("The months asked for lie beyond the calendar: choose an earlier day or fewer months.") from None


def month_days(day: dt.date, months: int) -> tuple[dt.date, ...]:
    """Return the days for which a plan is imagined: `day`, and the first day after each month (the due day itself is still kept)."""
    return (day, *month_starts(day, months + 1)[1:])


def forecast(
    machine: Machine,
    *,
    months: int,
    as_of: dt.date | None = None,
    sources: tuple[str, ...] = (),
    progress: Progress | None = None,
) -> Forecast:
    """Count the records that fall due in each of the next months, that of `as_of` (a local day, today by default) included.

    Raises Problems when a source can't be used as declared; one that can't be read is named in `failed`.
    """
    machine = looking(machine)
    day = as_of or machine.today()
    days = month_days(day, months)
    made = Forecast(day, month_starts(day, months))

    def count(policy: Policy, reader: Reader, gathered: Gathered) -> None:
        counts: Counter[tuple[str, int]] = Counter()

        def one(each: Foreseen, step: int) -> None:
            counts[word(policy, each.decision), step] += 1

        _survey(Foresight(machine, policy, days, gathered), reader, one, progress)
        made.policies.append(PolicyForecast(policy.id, reader.count(EVERYTHING), counts))

    _each(machine, machine.policies(sources), day, count, made.failed)
    return made


@dataclass(frozen=True)
class Upcoming:
    """What falls due under one policy in the coming days, and is not due yet.

    until -- the last due day that was looked for: the days asked for, or the policy's own lead time where that is longer; counts --
    records by (word, due day); records -- (key, word, due day) of each when they were asked for: keys may be personal data.
    """

    policy: str
    owner: str
    until: dt.date
    counts: Counter[tuple[str, dt.date]] = field(default_factory=Counter)
    records: list[tuple[Key, str, dt.date]] = field(default_factory=list)

    @property
    def first(self) -> dt.date | None:
        """The first due day, None when nothing falls due."""
        return min((day for _, day in self.counts), default=None)

    def number(self, said: str) -> int:
        """Return how many records fall due under one word."""
        return sum(count for (each, _), count in self.counts.items() if each == said)


def upcoming(
    machine: Machine,
    *,
    days: int,
    owner: str | None = None,
    sources: tuple[str, ...] = (),
    records: bool = False,
    progress: Progress | None = None,
) -> tuple[list[Upcoming], dict[str, str]]:
    """Return what falls due in the next `days` days, today included, by policy; and why a source could not be read, by its name.

    owner -- only policies of this owner (ConfigurationError when there is none); records -- keep the keys too.
    """
    machine = looking(machine)
    today = machine.today()
    policies = _owned(machine.policies(sources), owner)
    found: list[Upcoming] = []
    failed: dict[str, str] = {}

    def look(policy: Policy, reader: Reader, gathered: Gathered) -> None:
        ahead = max(days, (policy.lead.after(today) - today).days)
        made = Upcoming(policy.id, policy.owner, today + dt.timedelta(days=ahead) - _DAY)

        def one(each: Foreseen, step: int) -> None:
            if step == 0:
                return
            said, due = word(policy, each.decision), today + dt.timedelta(days=step) - _DAY
            made.counts[said, due] += 1
            if records:
                made.records.append((each.key, said, due))

        coming = [today + dt.timedelta(days=each) for each in range(ahead + 1)]
        _survey(Foresight(machine, policy, coming, gathered), reader, one, progress)
        found.append(made)

    _each(machine, policies, today, look, failed)
    return found, failed


def _owned(policies: list[Policy], owner: str | None) -> list[Policy]:
    """Return the policies of an owner, all when none is named."""
    if owner is None:
        return policies
    chosen = [policy for policy in policies if policy.owner == owner]
    if not chosen:
        known = sorted({policy.owner for policy in policies if policy.owner})
        near = difflib.get_close_matches(owner, known, 1)
        hint = f" Did you mean {near[0]!r}?" if near else f" Owners: {', '.join(known)}." if known else " No policy names an owner."
        raise ConfigurationError(f"No policy has the owner {owner!r}.{hint}")
    return chosen


Look = Callable[[Policy, Reader, Gathered], None]
"""Looks at one policy's records through a view of its source, with the facts over several sources."""


def _each(machine: Machine, policies: list[Policy], today: dt.date, look: Look, failed: dict[str, str]) -> None:
    """Give every policy one consistent view of its source; why one can't be read is put into `failed`."""
    sources, unopened = opened(machine, policies)
    failed.update(unopened)
    with gather(machine, policies, today, failed) as gathered:
        for policy in policies:
            if policy.id in sources:
                try:
                    with sources[policy.id].reader() as reader:
                        look(policy, reader, gathered)
                except (SourceFailed, Retriable) as error:
                    failed[policy.id] = str(error)
        failed.update(gathered.failed)


def _survey(foresight: Foresight, reader: Reader, one: Callable[[Foreseen, int], None], progress: Progress | None) -> None:
    """Tell every record that falls due on one of the days, with the position of that day."""
    for page in reader.rows(foresight.selection(), foresight.columns):
        for each in foresight.look(page, reader.related):
            if each.step is not None:
                one(each, each.step)
        if progress is not None:
            progress(foresight.policy.id, len(page))
