"""When a state ended that lasts while a condition is true, and how long what was only seen has to settle."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

from worker.core.conditions import Truth, evaluate
from worker.core.facts import Fact, Known, NotApplicable, NotYet, Unknown
from worker.core.model import StartEvent, StateEnd, day


def state_end(event: StateEnd, facts: Mapping[str, Fact]) -> Fact:
    """Return the day on which a state ended: not yet while its condition is true, unknown when nobody can tell.

    Its declared end counts where it is known, else the day on which the condition was first seen false; not yet before that was seen.
    """
    match evaluate(event.condition, facts):
        case Truth.UNKNOWN:
            return Unknown("the condition of its state is unknown")
        case Truth.TRUE:
            return NotYet()
        case Truth.FALSE:
            pass
    declared = facts[event.ended] if event.ended is not None else NotApplicable()
    match declared:
        case Unknown(why):
            return Unknown(f"{event.ended}: {why}")
        case Known(value):
            return declared if day(value) is not None else Unknown(f"{event.ended}: not a day")
        case _:
            seen = facts[event.seen]
            return seen if isinstance(seen, Known) else NotYet()


def settled(event: StartEvent | StateEnd, facts: Mapping[str, Fact]) -> dt.date:
    """Return the day before which nothing that starts with an event is due, whatever its period: the settling time of what was seen."""
    if isinstance(event, StateEnd) and not (event.ended is not None and isinstance(facts[event.ended], Known)):
        match facts[event.seen]:
            case Known(dt.date() as first):
                return event.settling.after(first)
            case _:
                pass
    return dt.date.min
