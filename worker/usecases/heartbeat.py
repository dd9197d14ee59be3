"""The signs of life of what runs by itself: when each command of the schedule was last there, and how it ended.

They are kept in the ledger, one named value per command, and said to the operational log; the audit trail stays free of them, because they
prove nothing. A run that a brake stopped leaves no run behind but still leaves its sign of life: a schedule that is refused every night and
one that nobody calls any more are two things to mend.
"""

from __future__ import annotations

import datetime as dt
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from worker.errors import RetentionError
from worker.log import get_logger
from worker.usecases.machine import Machine

SCHEDULED = ("run", "worker", "beat")
"""The commands that a schedule starts or keeps alive."""

_PREFIX = "heartbeat/"


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The last sign of life of a command. at -- aware UTC; exit_code -- how it ended, None while it is at work or when it was killed."""

    command: str
    at: dt.datetime
    host: str
    exit_code: int | None = None


@dataclass(slots=True)
class Ending:
    """How a command ends; whoever does its work says so. A command that says nothing ended well."""

    exit_code: int = 0


def beat(machine: Machine, command: str, exit_code: int | None = None) -> None:
    """Keep a sign of life, and say it to the operational log. Raises RetentionError when the ledger can't keep it."""
    given = Heartbeat(command, machine.now(), socket.gethostname(), exit_code)
    machine.ledger.set_meta(f"{_PREFIX}{command}", json.dumps({"at": given.at.isoformat(), "host": given.host, "exit_code": exit_code}))
    get_logger().info("retention.heartbeat", command=command, host=given.host, exit_code=exit_code)


@contextmanager
def alive(machine: Machine, command: str) -> Iterator[Ending]:
    """Keep signs of life at the start and at the end of a command, however it ends; only when it is killed the second one is missing."""
    beat(machine, command)
    ending = Ending()
    try:
        yield ending
    except BaseException as error:
        ending.exit_code = error.exit_code if isinstance(error, RetentionError) else 1
        raise
    finally:
        beat(machine, command, ending.exit_code)


def heartbeats(machine: Machine) -> list[Heartbeat]:
    """Return the last sign of life of every command of the schedule that ever gave one."""
    found = []
    for command in SCHEDULED:
        kept = machine.ledger.get_meta(f"{_PREFIX}{command}")
        if kept is not None:
            value = json.loads(kept)
            found.append(Heartbeat(command, dt.datetime.fromisoformat(value["at"]), value["host"], value["exit_code"]))
    return found
