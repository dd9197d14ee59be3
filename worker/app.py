"""The Celery application: messages that wake workers, and nothing else. What there is to do, and what was done, stands in the ledger.

    celery -A worker.app worker        or: retention worker
    celery -A worker.app beat          or: retention beat

A message holds the ids of a run and of a source, a day at most, and nobody needs its result. It may come twice, late, or never: the ledger
says whether there is anything to do, and once a minute `sweep` sends again what is missing, so the broker may be emptied at any time.
Every source has a queue of its own, so a slow system never keeps workers from another.
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Any

from celery import Celery, signals
from kombu import Queue

from worker import bootstrap, clock, log, registry
from worker.errors import Busy, ConfigurationError, RetentionError
from worker.policyfile import load as load_policies
from worker.ports import Faults, NoFaults
from worker.settings import Settings, load
from worker.usecases.draining import Drain
from worker.usecases.heartbeat import beat as heartbeat
from worker.usecases.machine import Machine
from worker.usecases.spreading import ToDo, free_batches, in_blackout, look_after, refuse_elsewhere, tick, work_on

_SLICE_SECONDS = 30.0
_PATIENCE_SECONDS = 5.0
"""A source that has to be waited for longer keeps no worker: the next sweep asks again."""
_SWEEP_SECONDS = 60.0
_STALE_SECONDS = 50
"""What a sweep sends is of no use when the next one has come."""
_QUEUE = "retention"


def queue_of(source: str) -> str:
    """Return the name of a source's queue."""
    return f"{_QUEUE}.{source}"


def application(settings: Settings) -> Celery:
    """Return the application for these settings; ConfigurationError when they name no broker."""
    if settings.broker is None:
        raise ConfigurationError("Workers are woken by a Redis: set RETENTION_BROKER, for instance to redis://localhost:6379/0.")
    # Beat keeps when it sent what in a file there, and makes no folder.
    settings.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    made = Celery("retention", set_as_current=False)
    schedule = load_policies(settings.policies, connectors=registry.names())
    names = [policy.source.name for policy in schedule.policies]
    made.conf.update(
        broker_url=settings.broker.get_secret_value(),
        broker_connection_retry_on_startup=True,
        accept_content=["json"],
        task_serializer="json",
        task_ignore_result=True,
        task_store_errors_even_if_ignored=False,
        task_acks_late=True,
        task_reject_on_worker_lost=False,
        task_default_queue=_QUEUE,
        task_queues=[Queue(_QUEUE), *(Queue(queue_of(name)) for name in names)],
        task_create_missing_queues=True,
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_send_task_events=False,
        beat_schedule={"sweep": {"task": "retention.sweep", "schedule": _SWEEP_SECONDS, "options": {"expires": _STALE_SECONDS}}},
        beat_schedule_filename=str(settings.state / "beat-schedule"),
        beat_max_loop_interval=10,
    )
    return made


settings = load()
app = application(settings)


class _Opened:
    """The machine of this process: opened for its first task, and anew on every day and for every change of the policy file or of keys.

    So a process has one audit file for each day, and policies take effect without a restart.
    """

    def __init__(self) -> None:
        self.faults: Faults = NoFaults()
        self._stack = ExitStack()
        self._made_for: object = None
        self._machine: Machine | None = None
        self._drain: tuple[str, Drain] | None = None
        self._until = 0.0

    def machine(self) -> Machine:
        """Return the machine."""
        state = os.stat(settings.policies)  # noqa: PTH116 - the one call says all that is compared
        wanted = (os.getpid(), clock.now().date(), state.st_mtime_ns, state.st_size, state.st_ino)
        if self._machine is None or wanted != self._made_for or self._machine.ledger.keys_changed():
            self.close()
            self._machine = self._stack.enter_context(bootstrap.machine(settings, faults=self.faults))
            self._made_for = wanted
        return self._machine

    def drain(self, run_id: str) -> Drain:
        """Return what carries out batches of a run, for one slice of time; facts over several sources are gathered once for a run."""
        machine = self.machine()
        self._until = clock.monotonic() + _SLICE_SECONDS
        if self._drain is None or self._drain[0] != run_id:
            self.forget_run()
            self._drain = (run_id, Drain(machine, run_id, patience=_PATIENCE_SECONDS, go_on=self._go_on))
        return self._drain[1]

    def _go_on(self, _source: str) -> bool:
        return clock.monotonic() < self._until and not in_blackout(self.machine())

    def forget_run(self) -> None:
        """Let go of what was gathered for a run."""
        drain, self._drain = self._drain, None
        if drain is not None:
            drain[1].__exit__(None, None, None)

    def close(self) -> None:
        """Close everything."""
        self.forget_run()
        stack, self._stack, self._machine = self._stack, ExitStack(), None
        stack.close()


_opened = _Opened()


@signals.setup_logging.connect
def _set_up_logging(**_: Any) -> None:
    """Log as every other command does; Celery's own lines, which quote arguments, come out as their place."""
    log.configure(json=settings.log_format == "json", level=settings.log_level)


@signals.worker_process_shutdown.connect
@signals.worker_shutdown.connect
def _close(**_: Any) -> None:
    _opened.close()


def _guarded(name: str, does: Callable[[], None]) -> None:
    """Do a task; what goes wrong is logged as everything is, and the next sweep tries again."""
    try:
        does()
    except Busy as error:
        log.get_logger().info("retention.task_put_off", task=name, why=str(error))
    except RetentionError as error:
        log.get_logger().error("retention.task_failed", task=name, exc_info=error)
        _let_go()
    except Exception as error:  # noqa: BLE001 - its text may quote a record; Celery would log it
        log.get_logger().critical("retention.task_failed", task=name, exc_info=error)
        _let_go()


def _let_go() -> None:
    """Close everything after a failure, to open it anew; what is in the way of that was said with the failure."""
    with suppress(RetentionError):
        _opened.close()


@app.task(name="retention.tick")
def begin_night(sources: list[str], day: str) -> None:
    """Begin the scheduled run of some sources for a local day."""

    def does() -> None:
        machine = _opened.machine()
        run_id = tick(machine, sources, dt.date.fromisoformat(day))
        if run_id is not None:
            _wake(run_id, free_batches(machine, run_id))
            machine.trail.checkpoint()

    _guarded("tick", does)


@app.task(name="retention.drain")
def drain(run_id: str, source: str) -> None:
    """Carry out batches of one source of a run for a while, and have it gone on with."""

    def does() -> None:
        machine = _opened.machine()
        refuse_elsewhere(machine, run_id)
        order = machine.ledger.order(run_id)
        if order is None or order.phase != "open":
            return
        heartbeat(machine, "worker")
        taken = _opened.drain(run_id)
        before = taken.carried_out
        result = work_on(machine, taken, run_id, source)
        if taken.carried_out != before:
            machine.trail.checkpoint()
        if result is not None:
            _say_ended(ToDo(ended=[result]))
            _opened.forget_run()
            return
        if taken.pacer.stops():
            # A stop by hand is final for whoever met it; when it is lifted somebody else goes on.
            _opened.forget_run()
        free = free_batches(machine, run_id)
        # One message for each that is consumed keeps as many workers at a source as there were; what waited for this source wakes now.
        _wake(run_id, {name: min(count, 1) if name == source else count for name, count in free.items()})

    _guarded("drain", does)


@app.task(name="retention.sweep")
def sweep() -> None:
    """Look after the runs: free what dead workers had, wake workers for what nobody is at, begin what is due."""

    def does() -> None:
        machine = _opened.machine()
        # The beat sent this message and a worker took it: both are there.
        for each in ("beat", "worker"):
            heartbeat(machine, each)
        todo = look_after(machine)
        for names, day in todo.ticks:
            _send(begin_night, (list(names), day.isoformat()), expires=_STALE_SECONDS)
        for run_id, free in todo.batches.items():
            _wake(run_id, free, expires=_STALE_SECONDS)
        _say_ended(todo)

    _guarded("sweep", does)


def _wake(run_id: str, free: Any, **options: Any) -> None:
    """Send a message for each batch that could be begun."""
    for source, count in free.items():
        for _ in range(count):
            if not _send(drain, (run_id, source), queue=queue_of(source), **options):
                return


def _send(task: Any, args: tuple[Any, ...], **options: Any) -> bool:
    """Send a message and return whether it was sent; one that was not, the next sweep sends.

    While the broker is away or begins anew, the libraries that reach it fail in more ways than their own errors.
    """
    try:
        task.apply_async(args, **options)
    except Exception as error:  # noqa: BLE001 - as it says above
        log.get_logger().warning("retention.message_not_sent", task=task.name, why=type(error).__name__)
        return False
    return True


def _say_ended(todo: ToDo) -> None:
    for result in todo.ended:
        log.get_logger().info("retention.run_ended", run=result.run_id, state=result.state, exit_code=result.exit_code, acted=result.acted)
