"""A campaign: nights in which an installation is hurt at random times, then calm ones, then the question whether anything is amiss.

Everything that is random comes from one seed: which hurt, on whom, and after what time. When in the life of a batch a hurt falls is the
machine's choice, so a seed replays the pressure and not each instant; what failed once is found again by playing its seed several times.
"""

from __future__ import annotations

import datetime as dt
import json
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import redis
import sqlalchemy as sa
from sqlalchemy.engine import make_url

from tests.acceptance.canaries import found_in, found_under
from tests.systems.servers.process import LOOPBACK
from tests.systems.servers.redis import Redis, running_redis
from tests.systems.soak.crew import Crew, crew
from tests.systems.soak.firm import FIRST_NIGHT, SCHEDULE, NeverHurt, Places, content, done, fill, make
from tests.systems.soak.proxy import Proxy, running_proxy
from worker.audit.lines import files
from worker.audit.verify import verify
from worker.bootstrap import signer
from worker.clock import now
from worker.ledger import Ledger, schema

HURT_NIGHTS = 4
CALM_NIGHTS = 2
NIGHT_SECONDS = 60.0
SOURCES = ("contacts", "invoices", "members")

HURTS = {
    "worker process": 10,
    "worker process frozen": 3,
    "worker": 3,
    "beat": 2,
    "source session": 4,
    "ledger session": 5,
    "all ledger sessions": 1,
    "redis emptied": 3,
    "redis restarted": 2,
    "source connections": 2,
    "ledger connections": 2,
    "redis connections": 2,
}
"""What can happen, and how often in proportion."""


@dataclass
class Report:
    """What a campaign did.

    hurts -- by kind; outcomes -- of the nights; runs -- by state; failed -- tasks that failed or were put off; ended -- processes that went
    by themselves, as Celery's may without their broker; seconds -- wall time.
    """

    seed: int
    hurts: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    runs: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    ended: int = 0
    seconds: float = 0.0

    def __str__(self) -> str:
        """One line for a person who waits."""
        parts = [f"{name} {count}" for kind in (self.hurts, self.runs, self.failed) for name, count in sorted(kind.items()) if count]
        ended = f"{self.ended} ended by themselves" if self.ended else ""
        return f"seed {self.seed}: {self.hurts.total()} hurts in {self.seconds:.0f} s: {', '.join(filter(None, [*parts, ended]))}"


class Broker:
    """A Redis that can be restarted without its address changing."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._life = ExitStack()
        self.server: Redis = self._life.enter_context(running_redis())
        self.proxy: Proxy = stack.enter_context(running_proxy(self.server.port))
        self._stack.callback(self._end)

    def _end(self) -> None:
        self._life.close()

    @property
    def url(self) -> str:
        """Its address, by the proxy."""
        return f"redis://:{self.server.password}@{LOOPBACK}:{self.proxy.port}/0"

    def restarted(self) -> None:
        """Die with everything it held, and come back empty after a moment."""
        password = self.server.password
        self._life.close()
        self.proxy.drop()
        self._life = ExitStack()
        self.server = self._life.enter_context(running_redis(password=password))
        self.proxy.target = self.server.port

    def held(self) -> bytes:
        """Return everything that is in it."""
        with redis.Redis(host=LOOPBACK, port=self.server.port, password=self.server.password) as client:
            return b"\n".join(name + b" " + (client.dump(name) or b"") + repr(_plain(client, name)).encode() for name in client.keys("*"))


def _plain(client: redis.Redis, name: bytes) -> object:
    match client.type(name):
        case b"list":
            return client.lrange(name, 0, -1)
        case b"hash":
            return client.hgetall(name)
        case b"zset":
            return client.zrange(name, 0, -1)
        case b"set":
            return client.smembers(name)
        case _:
            return None


@dataclass
class Stage:
    """Where a campaign plays: databases, by what address workers reach them, a broker, and which keys and result belong to it."""

    places: Places
    ledger: str
    by_proxy: dict[str, Proxy]
    broker: Broker
    expected: NeverHurt
    folder: Path
    source_sessions: Callable[[random.Random], int]
    nights: int = HURT_NIGHTS
    environ: Mapping[str, str] = field(default_factory=dict)


def through(url: str, proxy: Proxy) -> str:
    """Return an address that leads to the same database by a proxy."""
    return make_url(url).set(port=proxy.port).render_as_string(hide_password=False)


@contextmanager
def _ours(url: str) -> Iterator[psycopg.Connection]:
    """Give a connection to a PostgreSQL database that is not one of those that are hurt."""
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain, autocommit=True, application_name="soak") as connection:
        yield connection


def end_sessions(url: str, chance: random.Random | None) -> int:
    """End one session of others on a PostgreSQL database, or with no chance given all of them; return how many."""
    with _ours(url) as connection:
        asked = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name <> 'soak' ORDER BY pid"
        found = [pid for (pid,) in connection.execute(asked)]
        if chance is not None and found:
            found = [chance.choice(found)]
        for pid in found:
            connection.execute("SELECT pg_terminate_backend(%s)", (pid,))
        return len(found)


class Campaign:
    """One seed, played out."""

    def __init__(self, stage: Stage, seed: int, hurts: int) -> None:
        self._stage = stage
        self._chance = random.Random(seed)
        self._left = hurts
        self.report = Report(seed)
        self._clock = stage.folder / "clock"
        self._leaks: set[str] = set()
        members = through(stage.places.members, stage.by_proxy["members"]) if "members" in stage.by_proxy else stage.places.members
        self.firm = make(
            stage.folder,
            Places(through(stage.places.firm, stage.by_proxy["firm"]), members),
            stage.expected.keys,
            RETENTION_LEDGER=through(stage.ledger, stage.by_proxy["ledger"]),
            RETENTION_BROKER=stage.broker.url,
            RETENTION_SCHEDULE=SCHEDULE,
            **stage.environ,
        )

    def play(self) -> Report:
        """Play all nights; raises AssertionError, with what the workers said last, when anything is amiss afterwards."""
        begun = time.monotonic()
        fill(self._stage.places, self._stage.nights)
        self.firm.approved()
        self._turn(0)
        environ = {**self.firm.variables(), "CLOCK": str(self._clock)}
        try:
            with crew(self._stage.folder, environ) as processes:
                processes.worker("one", 2)
                processes.worker("two", 1)
                for name in ("beat", "second-beat"):
                    processes.beat(name)
                self._nights(processes)
                processes.stop()
                self._look_at(processes.log)
        except AssertionError as error:
            log = self._stage.folder / "workers.log"
            said = log.read_text(errors="replace")[-12000:] if log.exists() else ""
            raise AssertionError(f"{error}\n{self.report}\n{said}") from error
        self.report.seconds = time.monotonic() - begun
        return self.report

    # --- Nights -----------------------------------------------------------------------------------------------------------------------

    def _turn(self, night: int) -> None:
        """Make it three o'clock of a night, in all processes."""
        ahead = (FIRST_NIGHT + dt.timedelta(days=night) - now()).total_seconds()
        part = self._clock.with_suffix(".new")
        part.write_text(str(ahead))
        part.replace(self._clock)

    def _nights(self, processes: Crew) -> None:
        nights = self._stage.nights
        with Ledger.open(self._own_ledger(), now=now) as ledger:
            for night in range(nights + CALM_NIGHTS):
                self._turn(night)
                day = (FIRST_NIGHT + dt.timedelta(days=night)).date()
                share = -(-self._left // (nights - night)) if night < nights else 0
                self._hurt(processes, share)
                self._wait(processes, ledger, day)

    def _own_ledger(self) -> str:
        return make_url(self._stage.ledger).update_query_dict({"application_name": "soak"}).render_as_string(hide_password=False)

    def _is_over(self, ledger: Ledger, day: dt.date) -> bool:
        """Whether everything of a night has an end."""
        told = {night.source: night.outcome for night in ledger.nights(day) if night.logical_date == day}
        return set(SOURCES) == {name for name, outcome in told.items() if outcome} and not ledger.spread_orders() and not ledger.open_runs()

    def _hurt(self, processes: Crew, count: int) -> None:
        """Do so many things to whoever is at work."""
        for _ in range(count):
            time.sleep(self._chance.uniform(0.02, 1.2))
            self.report.ended += processes.tend()
            kind = self._chance.choices(list(HURTS), list(HURTS.values()))[0]
            if self._do(kind, processes):
                self.report.hurts[kind] += 1
                self._left -= 1
            self._leaks |= found_in(self._stage.broker.held())

    def _do(self, kind: str, processes: Crew) -> bool:
        """Do one thing; False when there was nobody to do it to."""
        chance, stage = self._chance, self._stage
        match kind:
            case "worker process":
                return processes.kill_child(chance.choice(processes.names("worker")), chance.randrange(8))
            case "worker process frozen":
                return processes.freeze_child(chance.choice(processes.names("worker")), chance.randrange(8), chance.uniform(0.5, 6))
            case "worker" | "beat":
                processes.kill(chance.choice(processes.names(kind)))
            case "source session":
                return stage.source_sessions(chance) > 0
            case "ledger session":
                return end_sessions(stage.ledger, chance) > 0
            case "all ledger sessions":
                return end_sessions(stage.ledger, None) > 0
            case "redis emptied":
                stage.broker.server.emptied()
            case "redis restarted":
                stage.broker.restarted()
            case "redis connections":
                return stage.broker.proxy.drop() > 0
            case "ledger connections":
                return stage.by_proxy["ledger"].drop() > 0
            case "source connections":
                return sum(stage.by_proxy[name].drop() for name in sorted(stage.by_proxy) if name != "ledger") > 0
            case _:
                raise ValueError(kind)
        return True

    def _wait(self, processes: Crew, ledger: Ledger, day: dt.date) -> None:
        """Wait for the end of a night, and note how it went."""
        until = time.monotonic() + NIGHT_SECONDS
        while not self._is_over(ledger, day):
            if time.monotonic() > until:
                processes.asked()
                raise AssertionError(f"{day} did not end: " + self._situation(processes, ledger, day))
            self.report.ended += processes.tend()
            time.sleep(0.1)
        self._leaks |= found_in(self._stage.broker.held())
        self.report.outcomes.update(str(each.outcome) for each in ledger.nights(day) if each.logical_date == day)

    def _situation(self, processes: Crew, ledger: Ledger, day: dt.date) -> str:
        """Return what somebody needs who has to find out why a night doesn't end."""
        orders = ledger.spread_orders()
        told = [
            ("nights", ledger.nights(day)),
            ("open runs", ledger.open_runs()),
            ("orders", [(order.run_id, order.phase, order.owner, ledger.lives(order.owner)) for order in orders]),
            ("work", [each for order in orders for each in ledger.work_of(order.run_id)]),
            ("leases", [(who, lasts, ledger.lives(who)) for order in orders for who, lasts in ledger.leases(order.run_id)]),
            ("messages", self._stage.broker.server.queued()),
            ("ended processes", processes.ended()),
            ("pools", {name: processes.children(name) for name in processes.names("worker")}),
        ]
        with _ours(self._stage.ledger) as connection:
            asked = (
                "SELECT datname, application_name, state, wait_event, now() - state_change, left(query, 80) FROM pg_stat_activity "
                "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
            )
            told.append(("sessions", connection.execute(asked).fetchall()))
        return "\n".join(f"{name}: {what}" for name, what in told)

    # --- Afterwards -------------------------------------------------------------------------------------------------------------------

    def _look_at(self, log: Path) -> None:
        """Raise AssertionError unless everything is as if nothing had happened."""
        stage = self._stage
        with self.firm.machine() as machine:
            key = signer(machine.keyring).verifier
            ledger = machine.ledger
            # Opening the trail records the ends of the files that killed processes left.
            machine.trail.checkpoint()
            assert [] == ledger.unfinished(), "a batch is not final"
            assert [] == ledger.open_runs(), "a run has no end"
            assert [] == ledger.spread_orders(), "an order has no end"
            runs = ledger.runs(10_000)
            self.report.runs.update(run.state for run in runs)
            assert any(batch.effects for run in runs for batch in ledger.batches(run.run_id)), "no batch took effect"
        self.report.failed = _tasks(log)
        did = done(self.firm.audit)
        assert [] == [each for each, count in Counter(did).items() if count > 1], "an effect happened twice"
        assert stage.expected.content == content(stage.places), _difference(stage.expected.content, content(stage.places))
        assert stage.expected.done == did, f"missing {set(stage.expected.done) - set(did)}; too many {set(did) - set(stage.expected.done)}"
        verdict = verify(files(self.firm.audit), [key])
        assert verdict.whole, verdict.findings[:5]
        assert set() == self._leaks, "Redis held personal data"
        assert [] == found_under(stage.folder / "state"), "what the worker keeps holds personal data"
        assert set() == found_in(log.read_bytes()), "the log holds personal data"
        assert set() == found_in(_dumped(stage.ledger)), "the ledger holds personal data"
        assert 0 == self.report.failed["critical"], "an error was none of ours"


def _tasks(log: Path) -> Counter[str]:
    """Return how often tasks failed or were put off, out of the log."""
    found: Counter[str] = Counter()
    for line in log.read_text(errors="replace").splitlines():
        if "retention.task_" not in line:
            continue
        try:
            said = json.loads(line)
        except ValueError:
            continue
        found[f"{said['event'].rpartition('_')[2]} {said['task']}"] += 1
        found["critical"] += said["level"] == "critical"
    return found


def _difference(wanted: dict[str, list[tuple[object, ...]]], found: dict[str, list[tuple[object, ...]]]) -> str:
    return "; ".join(
        f"{table}: missing {[row[0] for row in sorted(set(wanted[table]) - set(found[table]))][:10]}, "
        f"too many {[row[0] for row in sorted(set(found[table]) - set(wanted[table]))][:10]}"
        for table in wanted
    )


def _dumped(ledger: str) -> bytes:
    """Return all that a ledger holds, as text."""
    engine = sa.create_engine(ledger, poolclass=sa.pool.NullPool)
    try:
        with engine.connect() as connection:
            return "\n".join(
                repr(tuple(row)) for table in schema.metadata.sorted_tables for row in connection.execute(sa.select(table))
            ).encode()
    finally:
        engine.dispose()
