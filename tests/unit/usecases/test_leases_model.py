"""A model of many workers on one run, explored step by step: batches, leases, tokens, deaths, a clock that jumps, and what resolves them.

The workers take the very steps that a batch takes, in the ledger and in a source that keeps transactions and witnesses; between any two
steps each may die, sleep past its lease, or be overtaken. The source's server ends a transaction that is open longer than a lease lasts.
"""

from __future__ import annotations

import datetime as dt
import shutil
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.thoroughness import examples
from tests.unit.usecases.conftest import Lab
from worker.errors import LeaseLost, RetentionError
from worker.ledger.rows import BatchRow, Intent, Lease, OrderRow, PlanRow, RunRow, RunSourceRow, WorkRow
from worker.ports import KeyRange, Resolution
from worker.usecases.machine import Machine
from worker.usecases.planning import seal_range
from worker.usecases.reconciling import settle

BATCHES = 3
_FAST = Path("/dev/shm")
"""In memory where there is such a place: that what is written outlives a loss of power is not what is asked here."""
RUN = "run-model"
ACTS = ("take", "take", "proceed", "hurry", "wait", "die", "give back")


@dataclass
class Source:
    """A system with transactions: what was committed, by which attempt, and which transactions are open, since when."""

    now: dt.datetime
    committed: list[tuple[int, str]] = field(default_factory=list)
    open: dict[str, tuple[int, dt.datetime]] = field(default_factory=dict)

    def begin(self, number: int, attempt: str) -> None:
        """Open a transaction; the row lock keeps everybody else from the batch's records."""
        self.open[attempt] = (number, self.now)

    def commit(self, attempt: str) -> bool:
        """Make it permanent, unless the server has ended it."""
        if attempt not in self.open:
            return False
        number, _ = self.open.pop(attempt)
        self.committed.append((number, attempt))
        return True

    def rollback(self, attempt: str) -> None:
        """End it."""
        self.open.pop(attempt, None)

    def limits(self, longest: dt.timedelta) -> None:
        """End what is open for too long, as a server does that was told to."""
        self.open = {name: each for name, each in self.open.items() if self.now - each[1] < longest}

    def resolve(self, attempt: str, witness: Mapping[str, str]) -> Resolution:
        """Say what became of an attempt; whoever asks waits until its transaction has ended."""
        assert {"attempt": attempt} == witness
        assert attempt not in self.open, "a batch was resolved while its transaction was open"
        return Resolution.COMMITTED if attempt in {name for _, name in self.committed} else Resolution.ROLLED_BACK


@dataclass
class Worker:
    """One worker with one batch: how far it is."""

    name: str
    lease: Lease
    step: str = "leased"
    dead: bool = False


class Leases(RuleBasedStateMachine):
    """The model."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="retention-model-", dir=_FAST if _FAST.is_dir() else None))
        self.lab = Lab(self.folder)
        self.source = Source(self.lab.moment)
        self.opened = self.lab.machine()
        joined = self.opened.__enter__()
        self.machine: Machine = replace(joined, open_source=lambda _source: self.source)  # type: ignore[arg-type, return-value]
        self.ledger = self.machine.ledger
        self.intended: set[str] = set()
        self.finished: Counter[int] = Counter()
        self.names = 0
        self.alive: list[Worker] = []

    @initialize()
    def begin(self) -> None:
        """Open a run of a few batches, three at once."""
        now = self.lab.moment
        key = self.machine.keyring.audit_ref(now.year)
        self.ledger.add_plan(PlanRow("plan", now, "m", now.date(), now + dt.timedelta(days=7), "mac", {"customers": "d"}, {}, "p", key.id))
        self.ledger.start_run(RunRow(RUN, "plan", "run", now.date(), now, "h", 1, "n"))
        self.ledger.begin_order(OrderRow(RUN, True, "s", None, {}))
        rows = [WorkRow(RUN, f"b-{number}", "customers", number, 1, b"x") for number in range(BATCHES)]
        self.ledger.enqueue([RunSourceRow(RUN, "customers", 0, 2, [], BATCHES)], rows)
        self.ledger.open_order(RUN, {})

    @rule(acts=st.lists(st.tuples(st.sampled_from(ACTS), st.integers(0, 3)), min_size=8, max_size=16))
    def act(self, acts: list[tuple[str, int]]) -> None:
        """Do a number of things, each to one of the workers; many at a time, so that they come in all proportions."""
        for what, place in acts:
            worker = self.alive[place % len(self.alive)] if self.alive else None
            match what:
                case "take" if len(self.alive) < 4:
                    self._taken()
                case "wait":
                    self.wait((400, 200, 400, 1)[place])
                case "die" if worker is not None:
                    self.die(worker, known=bool(place % 2))
                case "give back" if worker is not None and worker.step == "leased":
                    self.give_back(worker)
                case "proceed" | "hurry" if worker is not None:
                    self.proceed(worker, 5 if what == "hurry" else 1 + place)
            self.at_most_one_effect()
            self.at_most_so_many_at_once()

    def _taken(self) -> Worker | None:
        """Have a free worker take a batch, and resolve first what an earlier lease of it left."""
        self.names += 1
        found = self.ledger.lease(RUN, "customers", worker=f"w{self.names}")
        if found is None:
            return None
        lease, _ = found
        before = settle(self.machine, lease) if lease.tries > 1 else None
        if before is not None and before.whole:
            self.ledger.finish(lease, outcome(before.result.effects["delete"]))
            self.finished[lease.number] += before.result.effects["delete"]
            return None
        worker = Worker(lease.worker, lease)
        self.alive.append(worker)
        return worker

    def proceed(self, worker: Worker, steps: int) -> None:
        """Let a worker take its next steps, up to any one of them."""
        for _ in range(steps):
            self._step(worker)
        if worker.dead or worker.step == "finished":
            self.alive.remove(worker)

    def _step(self, worker: Worker) -> None:
        """Take the next step of a batch."""
        steps = {
            "leased": self.register,
            "registered": self.write_down,
            "intended": self.commit,
            "committed": self.close,
            "closed": self.finish,
        }
        does = steps.get(worker.step)
        if does is not None and not worker.dead:
            does(worker)

    def register(self, worker: Worker) -> None:
        """Keep the attempt in the ledger."""
        attempt = worker.lease.attempt
        sealed = seal_range(self.machine, attempt, KeyRange((1,), (1,)))
        row = BatchRow(attempt, RUN, "customers", "customers", worker.lease.number, sealed, 1)
        try:
            self.ledger.add_batches(RUN, [row], lease=worker.lease)
        except LeaseLost:
            worker.dead = True
            return
        worker.step = "registered"

    def write_down(self, worker: Worker) -> None:
        """Lock, and make the intent durable with the lease."""
        attempt = worker.lease.attempt
        self.source.begin(worker.lease.number, attempt)
        told = {"effects": {"delete": 1}, "along": {}}
        try:
            self.ledger.intend_with(Intent(attempt, {"attempt": attempt}, "s", 0, 1, "r", lease=worker.lease, intended=told))
        except RetentionError:
            self.source.rollback(attempt)
            worker.dead = True
            return
        self.intended.add(attempt)
        worker.step = "intended"

    def commit(self, worker: Worker) -> None:
        """Ask for the lease again, and commit."""
        attempt = worker.lease.attempt
        try:
            self.ledger.confirm(worker.lease)
        except LeaseLost:
            self.source.rollback(attempt)
            worker.dead = True
            return
        if self.source.commit(attempt):
            worker.step = "committed"
        else:
            worker.dead = True

    def close(self, worker: Worker) -> None:
        """Say that the batch was committed; whoever resolved it meanwhile has said so already."""
        try:
            self.ledger.close_batch(worker.lease.attempt, "committed", {"delete": 1}, "r")
        except RetentionError:
            row = self.ledger.batch(worker.lease.attempt)
            assert row is not None
            assert ("resolved_after_crash", {"delete": 1}) == (row.state, row.effects)
        worker.step = "closed"

    def finish(self, worker: Worker) -> None:
        """Say what the batch came to; it counts once."""
        worker.step = "finished"
        try:
            self.ledger.finish(worker.lease, outcome(1))
        except LeaseLost:
            return
        self.finished[worker.lease.number] += 1

    def die(self, worker: Worker, *, known: bool) -> None:
        """End a worker at any step, and its connections with it; perhaps somebody notices at once."""
        self.alive.remove(worker)
        self.source.rollback(worker.lease.attempt)
        if known:
            self.ledger.expire(RUN, worker.name)

    def give_back(self, worker: Worker) -> None:
        """Stop a worker, which gives back what it has not begun to write."""
        self.alive.remove(worker)
        self.ledger.give_back(worker.lease)

    def wait(self, seconds: int) -> None:
        """Time passes, or the clock jumps; the server ends what is open for as long as a batch may take."""
        self.lab.moment += dt.timedelta(seconds=seconds)
        self.source.now = self.lab.moment
        self.source.limits(dt.timedelta(seconds=self.machine.settings.batch_seconds))

    @invariant()
    def at_most_one_effect(self) -> None:
        """No batch is ever committed twice, and none without its intent."""
        per_batch = Counter(number for number, _ in self.source.committed)
        assert not [number for number, count in per_batch.items() if count > 1]
        assert {attempt for _, attempt in self.source.committed} <= self.intended

    @invariant()
    def at_most_so_many_at_once(self) -> None:
        """Leases that last are never more than the source allows."""
        assert 2 >= sum(lasts for _, lasts in self.ledger.leases(RUN))

    def teardown(self) -> None:
        """Whatever happened, others can end the run: every batch is carried out once, is final, and counts once."""
        try:
            self._drain()
            assert dict.fromkeys(range(BATCHES), 1) == dict(Counter(number for number, _ in self.source.committed))
            assert dict.fromkeys(range(BATCHES), 1) == dict(self.finished)
            assert [] == self.ledger.unfinished(RUN)
            assert BATCHES == sum(int(each["acted"]) for _, each in self.ledger.outcomes_of(RUN))
            assert self.ledger.close_order(RUN, "end")
        finally:
            self.opened.__exit__(None, None, None)
            shutil.rmtree(self.folder, ignore_errors=True)

    def _drain(self) -> None:
        """Have one worker that nothing happens to do the rest."""
        if self.ledger.order(RUN) is None:
            self.begin()
        self.wait(4000)
        while True:
            found = self._taken()
            if found is None:
                if not any(each.left for each in self.ledger.work_of(RUN)):
                    return
                continue
            for _ in range(5):
                self._step(found)


def outcome(acted: int) -> dict[str, object]:
    """Return what a batch came to."""
    return {"acted": acted, "effects": {"delete": acted}, "skipped": {}, "along": {}, "there": 0}


TestLeases = Leases.TestCase
TestLeases.settings = settings(
    max_examples=examples(60), stateful_step_count=4, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate]
)
