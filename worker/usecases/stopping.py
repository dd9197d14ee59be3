"""Stopping runs by hand: `retention stop`, and the stop file that needs no ledger.

A stop is a row in the ledger, so every worker on every machine sees it before its next batch; the batch at work is finished. The file
`stop` in the state folder does the same for one machine, also when the ledger is down and whatever it holds. A stop lasts until somebody
lifts it: no run starts meanwhile. Asking twice stays a stop, because whoever asks again in a hurry does not mean the opposite.
"""

from __future__ import annotations

from collections.abc import Sequence

from worker.audit.events import Action
from worker.errors import ConfigurationError, Refused
from worker.ledger.rows import StopRow
from worker.settings import Settings
from worker.usecases.braking import Tripped, say
from worker.usecases.machine import Machine

ALL = "*"
"""Stands for every source."""
_RESUME = "`retention resume{}` lets runs go on."


def stop(machine: Machine, sources: Sequence[str] = (), why: str = "") -> list[StopRow]:
    """Stop these sources, or every one: in force when this returns, for batches that begin later. ConfigurationError for an unknown one."""
    names = _names(machine, sources)
    reason = why or "no reason was given"
    return [put_stop(machine, name, reason, machine.operator) for name in names]


def put_stop(machine: Machine, source: str, why: str, by: str) -> StopRow:
    """Stop a source, or every one (`ALL`), and say so. by -- who wants it, a person or the worker."""
    row = machine.ledger.put_stop(source, why, by)
    about = {"event.reason": row.why, "retention.source": row.source, "retention.by": row.by}
    machine.trail.emit(Action.STOP_REQUESTED, about, sync=True)
    return row


def resume(machine: Machine, sources: Sequence[str] = ()) -> list[StopRow]:
    """Lift the stops of these sources, or all that there are, the file of this machine with them; return the ledger's that were lifted."""
    names = _names(machine, sources) if sources else [row.source for row in machine.ledger.stops()]
    lifted = machine.ledger.lift_stops(names)
    for row in lifted:
        machine.trail.emit(Action.STOP_LIFTED, {"retention.source": row.source, "retention.by": machine.operator}, sync=True)
    if not sources:
        remove_stop_file(machine.settings)
    return lifted


def write_stop_file(settings: Settings) -> None:
    """Stop every run on this machine; ConfigurationError when the state folder can't be written."""
    try:
        settings.state.mkdir(mode=0o700, parents=True, exist_ok=True)
        settings.stop_file.touch(mode=0o600)
    except OSError as error:
        raise ConfigurationError(f"The stop file {settings.stop_file} can't be made: {error.strerror}.") from None


def remove_stop_file(settings: Settings) -> bool:
    """Remove the stop file and return whether there was one; ConfigurationError when it can't be removed."""
    there = settings.stop_file.exists()
    try:
        settings.stop_file.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigurationError(f"The stop file {settings.stop_file} can't be removed: {error.strerror}.") from None
    return there


def in_force(machine: Machine, source: str) -> Tripped | None:
    """Return the stop that a source is under: of all sources, or its own. The file is looked for first, because it needs no ledger."""
    if machine.settings.stop_file.exists():
        where = machine.settings.stop_file
        return Tripped("stop", None, f"Runs on this machine are stopped by the file {where}. {_RESUME.format('')}")
    rows = {row.source: row for row in machine.ledger.stops()}
    row = rows.get(ALL) or rows.get(source)
    if row is None:
        return None
    of = "" if row.source == ALL else f" {row.source}"
    since = row.at.strftime("%Y-%m-%d %H:%M UTC")
    what = f"{row.source if of else 'Every run'} is stopped since {since} by {row.by}: {row.why}. {_RESUME.format(of)}"
    return Tripped("stop", row.source if of else None, what)


def stop_brakes(machine: Machine, sources: Sequence[str]) -> list[Tripped]:
    """Return the stops that leave a run over these sources nothing to do; none as long as one of them may be worked on."""
    found = [in_force(machine, source) for source in sources]
    tripped = [each for each in found if each is not None]
    return list(dict.fromkeys(tripped)) if len(tripped) == len(found) else []


def refuse_stopped(machine: Machine, sources: Sequence[str], **about: str) -> None:
    """Raise Refused, after saying so, when nothing of a run may go on. about -- as in `braking.say`."""
    tripped = stop_brakes(machine, sources)
    if tripped:
        say(machine, tripped, **about)
        raise Refused("Nothing was written: " + " ".join(each.what for each in tripped))


def _names(machine: Machine, sources: Sequence[str]) -> list[str]:
    """Return the names of sources that have a policy, or the word for all of them."""
    return [machine.policy(name).source.name for name in dict.fromkeys(sources)] or [ALL]
