"""Carrying out the planned batches of an open run: lease one, do it, say what it came to, until there is none to be had.

Any process that reaches the ledger and the systems can do this, many at once, and none of them needs the plan file. What a process that
died left open is resolved by whoever has its batch next, before that begins.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import Any, Self

from worker.audit.events import Action
from worker.errors import AuditUnavailable, ConfigurationError, LeaseLost, LedgerUnreachable, RetentionError, Retriable, SourceFailed
from worker.ledger.locks import Held
from worker.ledger.rows import Lease
from worker.log import get_logger
from worker.planfile import PlannedBatch, unpacked
from worker.ports import OpenSource
from worker.usecases.batching import BatchResult, BatchWorker
from worker.usecases.gathering import Gathered, facts_used, gather
from worker.usecases.judging import Judging, by_policy
from worker.usecases.lanes import Done, Lane, carried_out, lanes_of
from worker.usecases.machine import Machine
from worker.usecases.pacing import GIVEN_UP, Pacer, pacer_of
from worker.usecases.planning import shape_digest
from worker.usecases.reconciling import key_of_plan
from worker.usecases.replaying import replay_judges
from worker.usecases.reporting import ACTIONS
from worker.usecases.verifying import ReadBack

Progress = Callable[[str, int], None]
"""Is told the source and how many more of its planned records are behind us."""
GoOn = Callable[[str], bool]
"""Is asked, with the source's name, before a batch is taken: whether this process has time for one more."""

_MOST_TRIES = 3
"""So many workers may come to grief over one batch before its source is given up."""


class Drain:
    """Carries out batches of one run in this process. A context manager: facts over several sources are gathered once, on first use.

    pacer -- is asked before every batch, the one place where a run is held up between two; one of this process's own by default.
    patience -- how many seconds at a time this process may be made to wait by it, rather than come again later.
    lock -- the run's own, where this process has it.
    apart_only -- take nothing that is decided by facts over several sources, because other processes work on the run at the same time.
    """

    def __init__(
        self,
        machine: Machine,
        run_id: str,
        pacer: Pacer | None = None,
        *,
        patience: float = math.inf,
        progress: Progress | None = None,
        go_on: GoOn | None = None,
        lock: Held | None = None,
        apart_only: bool = False,
    ) -> None:
        run, order = machine.ledger.run(run_id), machine.ledger.order(run_id)
        plan = machine.ledger.plan(run.plan_id) if run is not None and run.plan_id is not None else None
        if run is None or order is None or plan is None:
            raise ConfigurationError(f"There is no run {run_id} to be carried out.")
        self._machine = machine
        self.pacer = pacer or pacer_of(machine, run_id)
        self._patience = patience
        self._run = run
        self._policies: Mapping[str, str] = order.said["policies"]
        self._shapes: Mapping[str, str] = order.said["shapes"]
        self._secret = key_of_plan(machine, plan).secret
        self._progress = progress or (lambda _source, _count: None)
        self._go_on = go_on or (lambda _source: True)
        self._lock = lock
        self._apart_only = apart_only
        self._limited = order.at_most is not None
        self._spread = order.spread
        self._replay = bool(order.said.get("replay"))
        self._stack = ExitStack()
        self._gathered: Gathered | None = None
        self._judging: Judging | None = None
        self._aliases: dict[str, int] = {}
        self._opened: dict[str, OpenSource] = {}
        self._held: dict[str, Lease] = {}
        self._finished: tuple[Lease, dict[str, Any]] | None = None
        self.carried_out = 0
        """How many batches this process carried out so far."""

    def __enter__(self) -> Self:
        """Return this."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Let go of what was gathered."""
        self._stack.close()

    def source(self, name: str) -> None:
        """Carry out batches of a source until none is to be had now. A source that fails is given up, and its error is not raised.

        Raises whatever means that this process may do nothing more: AuditUnavailable, or an error of the ledger.
        """
        try:
            self._carry_out(name)
        except (SourceFailed, Retriable, ConfigurationError) as error:
            if isinstance(error, (AuditUnavailable, LedgerUnreachable)):
                self._settle_held(set_aside=False)
                raise
            self._settle_held(set_aside=True)
            give_up(self._machine, self._run.run_id, name, error)
        except BaseException:
            self._settle_held(set_aside=False)
            raise

    def _carry_out(self, name: str) -> None:
        machine = self._machine
        if self._apart_only and self._shared(name):
            return
        leases = self._leases(name)
        first = next(leases, None)
        if first is None:
            self._give_up_when_stopped(name)
            return
        policy = machine.policy(name)
        source = self._open(name)
        gathered = self._gather(name)
        judging = self._judges()

        def lane() -> Lane:
            worker = BatchWorker(machine, policy, source, self._run.run_id, gathered, self._secret, self._confirm, judging)
            return Lane(machine, self._run.run_id, worker, ReadBack(machine, policy, source, gathered, self._secret, judging))

        def batches() -> Iterator[tuple[PlannedBatch, Lease]]:
            assert first is not None
            yield first
            yield from leases

        for done in carried_out(batches(), lane, 1 if self._limited or self._replay else lanes_of(policy, source)):
            lease = self._held.pop(done.lease.attempt)
            self.carried_out += 1
            if done.lost:
                continue
            self.pacer.note(name, done.outcome, planned=len(done.planned.records), seconds=done.seconds)
            self._progress(name, len(done.planned.records))
            self._write_down()
            # Written down together with the next lease, or right away when there is none.
            self._finished = (lease, as_outcome(done))
        # Another process, elsewhere, may end the run as soon as the last batch is written down.
        machine.trail.sync()
        self._write_down()
        self._give_up_when_stopped(name)

    def _give_up_when_stopped(self, name: str) -> None:
        """Raise SourceFailed when the pace of the run says that a source is not to be gone on with."""
        stop = self.pacer.stops().get(name)
        # A person's stop is lifted again, and a spread run goes on then.
        if stop is None or (self._spread and stop.limit == "stop"):
            return
        self._machine.ledger.leave(self._run.run_id, name)
        if self._spread or stop.limit in GIVEN_UP:
            raise SourceFailed(stop.why)

    def _leases(self, name: str) -> Iterator[tuple[PlannedBatch, Lease]]:
        """Yield batches that this process has a lease of, until none is to be had."""
        while self._go_on(name) and self.pacer.turn(name, self._patience) is None:
            found = self._take(name)
            if found is None:
                return
            lease, body = found
            # By attempt: a process that is taken for dead may meet its own batch again.
            self._held[lease.attempt] = lease
            if lease.tries > _MOST_TRIES:
                raise SourceFailed(f"{name}: {_MOST_TRIES} workers died or failed over its batch {lease.attempt}, so it was given up.")
            self._hear_of_others(name)
            yield unpacked(body, lease.batch_id, name, lease.number), lease

    def _take(self, name: str) -> tuple[Lease, bytes] | None:
        """Write down what the last batch came to and take the next one, in one transaction."""
        ledger, run_id = self._machine.ledger, self._run.run_id
        finished, self._finished = self._finished, None
        try:
            return ledger.lease(run_id, name, worker=ledger.worker, finished=finished)
        except LeaseLost:
            return ledger.lease(run_id, name, worker=ledger.worker)

    def _write_down(self) -> None:
        """Say what the last batch came to, if nothing was said of it yet; whoever has it by now says so otherwise."""
        finished, self._finished = self._finished, None
        if finished is not None:
            with suppress(LeaseLost):
                self._machine.ledger.finish(*finished)

    def _settle_held(self, *, set_aside: bool) -> None:
        """Let go of the batches that this process has, after something failed; those in doubt stay open for whoever resolves them."""
        ledger = self._machine.ledger
        held, self._held = list(self._held.values()), {}
        try:
            self._write_down()
            for lease in held:
                if set_aside:
                    ledger.set_aside(lease)
                else:
                    ledger.give_back(lease)
        except RetentionError:
            # The ledger can't be told; then leases run out by themselves.
            if set_aside:
                raise

    def _confirm(self, lease: Lease) -> None:
        """Raise RetentionError when a batch may not be committed any more: it is somebody else's, or another run may have begun."""
        if self._lock is not None:
            self._lock.confirm()
        self._machine.ledger.confirm(lease)

    # --- What is needed to begin with a source ----------------------------------------------------------------------------------------

    def _open(self, name: str) -> OpenSource:
        """Open a source; ConfigurationError or SourceFailed when it is not as it was planned for."""
        found = self._opened.get(name)
        if found is None:
            policy = self._machine.policy(name)
            if policy.digest != self._policies.get(name):
                raise ConfigurationError(f"The policy of {name} is another one here than the plan was made from. Make a new plan.")
            found = self._machine.open_source(policy.source)
            if shape_digest(found.shape()) != self._shapes.get(name):
                raise SourceFailed(f"{name} has other columns or child tables than when the plan was made. Make a new plan.")
            self._opened[name] = found
        return found

    def _shared(self, name: str) -> bool:
        """Whether a source is decided by facts over several sources, or other sources are by its records."""
        policy = self._machine.policy(name)
        return bool(policy.source.shared or facts_used(self._machine, [policy]))

    def _gather(self, name: str) -> Gathered:
        """Return the facts over several sources; SourceFailed when one by which this source is decided is unknown."""
        machine = self._machine
        if self._gathered is None:
            waiting = [each.source.source for each in machine.ledger.work_of(self._run.run_id) if each.waiting or each.leased]
            acting = [machine.policy(each) for each in waiting]
            for shared in facts_used(machine, acting):
                for source in shared.sources:
                    self._aliases[source] = machine.ledger.last_alias(source)
            self._gathered = self._stack.enter_context(gather(machine, acting, self._run.logical_date))
        unknown = self._gathered.unknown
        why = [unknown[each.name] for each in facts_used(machine, [machine.policy(name)]) if each.name in unknown]
        if why:
            raise SourceFailed(f"{why[0]}, and {name} is decided by it.")
        return self._gathered

    def _judges(self) -> Judging:
        """Return what judges the records: the policies, or what a replay goes by."""
        if not self._replay:
            return by_policy
        if self._judging is None:
            policies = [self._machine.policy(name) for name in self._policies]
            self._judging = self._stack.enter_context(replay_judges(self._machine, policies))
        return self._judging

    def _hear_of_others(self, name: str) -> None:
        """Take note of records that other processes treated since the facts were gathered, so that these are still found."""
        if self._gathered is None or not self._shared(name):
            return
        for source, last in self._aliases.items():
            for number, blob in self._machine.ledger.aliases_after(source, last):
                self._gathered.treated(blob)
                self._aliases[source] = number


def as_outcome(done: Done) -> dict[str, Any]:
    """Return what a batch came to, as the ledger keeps it while the run is open."""
    result = done.outcome
    return {
        "acted": sum(result.effects[each] for each in ACTIONS),
        "effects": {each: count for each, count in result.effects.items() if count},
        "skipped": {each: count for each, count in result.skipped.items() if count},
        "along": {each: count for each, count in result.along.items() if count},
        "refused": list(result.refused),
        "there": done.there,
    }


def from_outcome(outcome: Mapping[str, Any]) -> tuple[BatchResult, int]:
    """Return (what a batch did, how many of its records were still there) of what `as_outcome` made."""
    result = BatchResult(Counter(outcome["effects"]), Counter(outcome["skipped"]), Counter(outcome["along"]), list(outcome["refused"]))
    return result, int(outcome["there"])


def give_up(machine: Machine, run_id: str, name: str, error: RetentionError) -> None:
    """Leave a source that can't be worked on; the others go on. Said once, whoever comes to grief over it."""
    if machine.ledger.give_up(run_id, name, str(error)):
        say_given_up(machine, run_id, name, error)


def say_given_up(machine: Machine, run_id: str, name: str, error: RetentionError) -> None:
    """Write an event for a source that was left, and to the operational log what the trail has no room for: why."""
    get_logger().warning("retention.source_failed", run=run_id, source=name, why=str(error))
    machine.trail.emit(
        Action.SOURCE_FAILED,
        {"event.outcome": "failure", "event.reason": type(error).__name__, "retention.run": run_id, "retention.source": name},
        sync=True,
    )


def let_dead_leases_run_out(machine: Machine, run_id: str) -> None:
    """Have the batches of workers that are known to be dead taken by others now, and not only when their leases run out.

    Those of a source that was given up meanwhile are taken by nobody, and are set aside.
    """
    ledger = machine.ledger
    for worker in sorted({worker for worker, lasts in ledger.leases(run_id) if lasts}):
        if not ledger.lives(worker):
            ledger.expire(run_id, worker)
    ledger.set_aside_lapsed(run_id)


def names_in_turn(machine: Machine, run_id: str) -> Sequence[str]:
    """Return the sources of a run that have batches left, in their turn."""
    return [each.source.source for each in machine.ledger.work_of(run_id) if each.waiting or each.leased]
