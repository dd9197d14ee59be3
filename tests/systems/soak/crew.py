"""The processes of an installation that runs by itself: workers and beats, started, killed and started again as a service manager would."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.systems.servers.process import stop_process

ROOT = Path(__file__).parents[3]
_OWN = "RETENTION_SOAK_"
"""Variables of the soak itself; the worker refuses settings that it does not know."""


@dataclass
class Crew:
    """Celery processes by name, each in a session of its own.

    environ -- the installation's variables; log -- takes what all of them say.
    """

    folder: Path
    environ: Mapping[str, str]
    app: str = "tests.systems.soak.soak_app"
    log: Path = field(init=False)
    _commands: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.log = self.folder / "workers.log"

    def beat(self, name: str) -> None:
        """Start a beat."""
        self._start(name, ("beat", "-s", str(self.folder / f"{name}-schedule"), "--pidfile="))

    def worker(self, name: str, concurrency: int, *more: str) -> None:
        """Start a worker with so many processes."""
        self._start(name, ("worker", "-n", f"{name}@%h", f"--concurrency={concurrency}", "--without-mingle", "--without-gossip", *more))

    def _start(self, name: str, what: tuple[str, ...]) -> None:
        self._commands[name] = what
        others = {key: value for key, value in os.environ.items() if not key.startswith(_OWN)}
        with self.log.open("ab") as log:
            self._running[name] = subprocess.Popen(
                [sys.executable, "-m", "celery", "-A", self.app, *what],
                cwd=self.folder,
                env={**others, **self.environ, "PYTHONPATH": str(ROOT)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def names(self, kind: str) -> list[str]:
        """Return the names of the processes of a kind: `worker` or `beat`."""
        return [name for name, what in self._commands.items() if what[0] == kind]

    def tend(self) -> int:
        """Start again what ended by itself, as a service manager does; return how many there were."""
        found = self.ended()
        for name in found:
            self._start(name, self._commands[name])
        return len(found)

    def ended(self) -> list[str]:
        """Return which processes ended by themselves."""
        return [name for name, process in self._running.items() if process.poll() is not None]

    def children(self, name: str) -> list[int]:
        """Return the process ids of the pool of a worker."""
        path = Path(f"/proc/{self._running[name].pid}/task/{self._running[name].pid}/children")
        try:
            return [int(each) for each in path.read_text().split()]
        except OSError:
            return []

    def kill_child(self, name: str, which: int) -> bool:
        """Kill one process of a worker's pool; False when there is none just now."""
        found = self.children(name)
        if not found:
            return False
        with suppress(ProcessLookupError):
            os.kill(found[which % len(found)], signal.SIGKILL)
            return True
        return False

    def freeze_child(self, name: str, which: int, seconds: float) -> bool:
        """Let time stand still for one process of a worker's pool, as on a machine that sleeps or swaps; False when there is none."""
        found = self.children(name)
        if not found:
            return False
        pid = found[which % len(found)]
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
            threading.Timer(seconds, _thaw, (pid,)).start()
            return True
        return False

    def kill(self, name: str) -> None:
        """Kill a worker with its pool, or a beat, and start it again."""
        process = self._running[name]
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        self._start(name, self._commands[name])

    def resident(self) -> dict[str, int]:
        """Return the resident memory of every process of the workers' pools, in bytes, by name and process id."""
        found = {}
        for name in self.names("worker"):
            for pid in self.children(name):
                with suppress(OSError):
                    found[f"{name}:{pid}"] = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        return found

    def asked(self) -> None:
        """Have every process of the workers' pools say in the log what it is at."""
        for name in self.names("worker"):
            for pid in self.children(name):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGUSR2)
        time.sleep(1)

    def stop(self) -> None:
        """End all processes in order, and what they started."""
        for process in self._running.values():
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self._running.values():
            stop_process(process)
        self._running.clear()

    def kill_all(self) -> None:
        """End all processes at once: nothing is left to be decent about."""
        for process in self._running.values():
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self._running.clear()


def _thaw(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)


@contextmanager
def crew(folder: Path, environ: Mapping[str, str]) -> Iterator[Crew]:
    """Give a crew without anybody in it; whoever is in it afterwards is ended."""
    found = Crew(folder, environ)
    try:
        yield found
    finally:
        found.kill_all()
