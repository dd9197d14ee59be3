"""How fast a run may go, and whether it may go on: one object that is asked before every batch.

It answers go, wait, or stop. It is asked between batches, when no transaction is open, no barrier and no row lock is held, so waiting is in
nobody's way; a batch that has begun is never cut short. A stop is final for the run that met it. What is asked, in this order: a person's
stop, the time budget, the number of records, the share of errors, the load of the system, and the rest after the batch before.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal, assert_never

from worker.audit.events import Action
from worker.errors import RetentionError, Retriable
from worker.log import get_logger
from worker.ports import Load
from worker.settings import SourceSettings
from worker.usecases.batching import BatchResult
from worker.usecases.machine import Machine
from worker.usecases.reporting import ACTIONS
from worker.usecases.sorting import BUSY, FAILED
from worker.usecases.stopping import in_force

Limit = Literal["stop", "time", "records", "errors", "lag", "transaction", "unanswered", "unseen"]
"""Why a run waits or stops before its end."""

GIVEN_UP: tuple[Limit, ...] = ("errors", "unseen")
"""Limits at which a source has failed; at the others the rest of it is only left for later."""
WHOLE: tuple[Limit, ...] = ("records",)
"""Limits that an operator works off a backlog with: a run that ends at one is as long as it was meant to be."""

_ASK_AGAIN_SECONDS = 10.0
_BATCHES = 10
"""With fewer batches nothing is said about the share of them that could not be had."""
_LOOK_UP_SECONDS = 5.0
"""So often a person's stop is looked for while something else is waited for."""


@dataclass(frozen=True, slots=True)
class Go:
    """The next batch may begin."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Not now: ask again in so many seconds. limit -- None while only resting after the batch before."""

    seconds: float
    limit: Limit | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Stop:
    """No more batches in this run, of one source, or of all when `source` is None."""

    limit: Limit
    why: str
    source: str | None = None


Answer = Go | Wait | Stop


@dataclass(slots=True)
class _Source:
    """What is known of a source in this run.

    tried, failed -- its records, and those that the system refused; batches, put_off -- its batches, and those that could not be had: one
    locked record puts off all of its batch, so they are counted apart; since -- when its pause began.
    """

    tried: int = 0
    failed: int = 0
    batches: int = 0
    put_off: int = 0
    rest_until: float = -math.inf
    since: float | None = None
    stopped: Stop | None = None


def pacer_of(machine: Machine, run_id: str) -> Pacer:
    """Return the pacer of one of many processes that carry out a run: time counts since the run began, its limit is kept by the ledger."""
    run = machine.ledger.run(run_id)
    gone = (machine.now() - run.started_at).total_seconds() if run is not None else 0.0
    return Pacer(machine, run_id, machine.monotonic() - max(0.0, gone))


@dataclass
class Pacer:
    """The pace of one run; for one thread. begun -- when it began, by the machine's monotonic clock; at_most -- records, None for no limit.

    Several workers of one run have a pacer each. Time counts since the run began, and a portion is kept by the ledger, for all of them; the
    share of errors, the rest and the waiting for a loaded system are each worker's own.
    """

    machine: Machine
    run_id: str
    begun: float
    at_most: int | None = None
    stopped: Stop | None = None
    acted: int = 0
    _sources: dict[str, _Source] = field(default_factory=dict)

    def ask(self, source: str) -> Answer:
        """Return whether the next batch of a source may begin; neither waits nor writes."""
        known = self._of(source)
        if (stop := self.stopped or known.stopped) is not None:
            return stop
        answer = self._by_hand(source) or self._budget() or self._errors(source) or self._load(source)
        if answer is not None:
            return answer
        known.since = None
        rest = known.rest_until - self.machine.monotonic()
        return Wait(rest) if rest > 0 else Go()

    def turn(self, source: str, patience: float = math.inf) -> Stop | Wait | None:
        """Return when the next batch of a source may begin (None), or why no more may; says in trail and log what it waits for.

        patience -- a wait of more than so many seconds is not waited for: then it is returned.
        """
        told: Limit | None = None
        while True:
            answer = self.ask(source)
            match answer:
                case Go():
                    if told is not None:
                        get_logger().info("retention.run_goes_on", run=self.run_id, source=source)
                    return None
                case Wait():
                    if answer.limit is not None and answer.limit != told:
                        told = answer.limit
                        self._say(Action.RUN_PAUSED, answer.limit, answer.why, source)
                    if answer.seconds > patience:
                        return answer
                    self.machine.sleep(min(answer.seconds, _LOOK_UP_SECONDS))
                case Stop():
                    self._end(answer, source)
                    return answer
                case _:
                    assert_never(answer)

    def note(self, source: str, outcome: BatchResult, *, planned: int, seconds: float) -> None:
        """Take in how a batch went: its records, and how many seconds it took."""
        known = self._of(source)
        known.tried += planned
        known.failed += outcome.skipped[FAILED]
        known.batches += 1
        known.put_off += bool(outcome.skipped[BUSY])
        known.rest_until = self.machine.monotonic() + self.machine.settings.pace * seconds
        self.acted += sum(outcome.effects[each] for each in ACTIONS)

    def stops(self) -> dict[str, Stop]:
        """Return the stops that this run met, by source, `*` for that of all."""
        own = {name: known.stopped for name, known in self._sources.items() if known.stopped is not None}
        return own if self.stopped is None else {**own, "*": self.stopped}

    # --- What is asked --------------------------------------------------------------------------------------------------------------

    def _by_hand(self, source: str) -> Wait | Stop | None:
        try:
            found = in_force(self.machine, source)
        except Retriable as error:
            return self._pause(source, "unanswered", str(error))
        return None if found is None else Stop("stop", found.what, found.source)

    def _budget(self) -> Stop | None:
        minutes = self.machine.settings.max_minutes
        if minutes is not None and self.machine.monotonic() - self.begun >= 60 * minutes:
            return Stop("time", f"The run has had its {minutes:g} minutes; the next one goes on.")
        if self.at_most is not None and self.acted >= self.at_most:
            return Stop("records", f"The run has acted on the {self.at_most} records that one run may; the next one goes on.")
        return None

    def _errors(self, source: str) -> Stop | None:
        settings, known = self.machine.settings, self._of(source)
        limit = f"and the limit is {settings.max_error_share:.0%}. Look at its findings first."
        if known.tried > settings.error_floor and known.failed > settings.max_error_share * known.tried:
            return Stop("errors", f"{known.failed} of the first {known.tried} records of {source} were refused, {limit}", source)
        if known.batches >= _BATCHES and known.put_off > settings.max_error_share * known.batches:
            return Stop("errors", f"{known.put_off} of the first {known.batches} batches of {source} could not be had, {limit}", source)
        return None

    def _load(self, source: str) -> Wait | Stop | None:
        given = self.machine.settings.source(source)
        if given.max_lag is None and given.max_transaction is None:
            return None
        try:
            load = self.machine.open_source(self.machine.policy(source).source).load()
        except Retriable as error:
            return self._pause(source, "unanswered", str(error))
        except RetentionError as error:
            return Stop("unseen", str(error), source)
        blind = _unseen(load, given)
        if blind:
            return Stop("unseen", f"{source} can't be held to its limits: {blind}.", source)
        if given.max_lag is not None and load.lag_seconds is not None and load.lag_seconds > given.max_lag:
            behind = "stands still" if math.isinf(load.lag_seconds) else f"is {load.lag_seconds:.0f} seconds behind"
            return self._pause(source, "lag", f"Replication of {source} {behind}, the limit is {given.max_lag:g}")
        oldest = load.oldest_transaction_seconds
        if given.max_transaction is not None and oldest is not None and oldest > given.max_transaction:
            why = f"A transaction in the database of {source} is {oldest:.0f} seconds old, the limit is {given.max_transaction:g}"
            return self._pause(source, "transaction", why)
        return None

    def _pause(self, source: str, limit: Limit, why: str) -> Wait | Stop:
        """Return that the source has to be waited for, or, when that took too long, that the rest of it is left."""
        known, now = self._of(source), self.machine.monotonic()
        if known.since is None:
            known.since = now
        minutes = self.machine.settings.max_pause
        if now - known.since >= 60 * minutes:
            return Stop(limit, f"{why.rstrip('.')}; it was waited for {minutes:g} minutes, and the rest is left for the next run.", source)
        return Wait(_ASK_AGAIN_SECONDS, limit, why)

    # --- What is said ---------------------------------------------------------------------------------------------------------------

    def _end(self, stop: Stop, source: str) -> None:
        """Keep a stop and say it, the first time that it is met."""
        known = self._of(source)
        if self.stopped is not None or known.stopped is not None:
            return
        if stop.source is None:
            self.stopped = stop
        else:
            known.stopped = stop
        self._say(Action.RUN_STOPPED, stop.limit, stop.why, stop.source or "*")

    def _say(self, action: Action, limit: Limit, why: str, source: str) -> None:
        about = {"event.reason": why, "retention.limit": limit, "retention.run": self.run_id, "retention.source": source}
        if action is Action.RUN_STOPPED:
            about["event.outcome"] = "success" if limit in WHOLE else "failure"
        self.machine.trail.emit(action, about, sync=True)
        say = get_logger().info if limit in WHOLE else get_logger().warning
        say(str(action), run=self.run_id, source=source, limit=limit, why=why)

    def _of(self, source: str) -> _Source:
        return self._sources.setdefault(source, _Source())


def _unseen(load: Load, given: SourceSettings) -> str:
    """Return what a limit that is set needs and can't be seen: a brake that looks at nothing would be no brake."""
    missing = (
        load.lag_unseen if given.max_lag is not None else "",
        load.transactions_unseen if given.max_transaction is not None else "",
    )
    return ", ".join(each for each in missing if each)
