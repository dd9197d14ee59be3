"""When runs are expected: the last moment at which a schedule called for one, and the next.

A schedule is a cron expression of five fields in the organisation's time zone. On days on which clocks change the moments are those of
Debian's cron: what is skipped runs right after the gap, what would come twice comes once.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

_FIELDS = 5
GRACE = dt.timedelta(hours=12)
"""So long after a run was expected it is missed, if none ended: a night's work has had its time by then."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What a schedule says, as aware UTC instants. due -- the last moment at which a run should have ended by now; next -- the next one."""

    due: dt.datetime | None
    next: dt.datetime | None


def expected(expression: str, now: dt.datetime, zone: ZoneInfo) -> Expected:
    """Return what a schedule says at an instant; ValueError for what is no cron expression."""
    try:
        local = now.astimezone(zone)
        following = next(CronSim(expression, local), None)
        earlier = next(CronSim(expression, (now - GRACE).astimezone(zone), reverse=True), None)
    except CronSimError as error:
        raise ValueError(f"is no cron expression of five fields (minute hour day month weekday): {error}") from None
    return Expected(*(None if each is None else each.astimezone(dt.UTC) for each in (earlier, following)))


def checked(expression: str) -> str:
    """Return a cron expression of five fields; ValueError for anything else."""
    if len(expression.split()) != _FIELDS:
        raise ValueError("must be a cron expression of five fields: minute hour day month weekday, such as 0 3 * * *")
    expected(expression, dt.datetime(2026, 1, 1, tzinfo=dt.UTC), ZoneInfo("UTC"))
    return " ".join(expression.split())
