"""A server process of our own: private folder, other account, free port, stopped by its process id.

Nothing here knows which server it runs. The promises: the server listens on loopback only where its caller says so, its
files lie in a fresh folder that nobody else can read, it does not run as root, and it is gone when the `with` block is
left, whatever happened inside. When the starting process is killed outright, the kernel stops the server; it reckons
by thread, so a thread that starts a server must live as long as it is used.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

LOOPBACK = "127.0.0.1"
IN_MEMORY = Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else None
"""Where servers that keep many small files can have them without waiting for the disk; None where the system has no such place."""
START_SECONDS = 90.0
STOP_SECONDS = 20.0
START_ATTEMPTS = 3


class ServerMissingError(Exception):
    """A server's program is not installed, so what it should prove is unproven: a failure, never a skip."""


class ServerFailedError(Exception):
    """A server did not start; the text ends with what it wrote last."""


@dataclass(frozen=True, slots=True)
class Account:
    """The operating-system account a server runs under; servers refuse to run as root, and should."""

    uid: int
    gid: int

    @classmethod
    def other_than_root(cls, *names: str) -> Account:
        """Return the caller's own account, or for root the first of `names` that exists; `nobody` always does."""
        if os.geteuid() != 0:
            return cls(os.geteuid(), os.getegid())
        known = {entry.pw_name: entry for entry in pwd.getpwall()}
        entry = next(known[name] for name in (*names, "nobody") if name in known)
        return cls(entry.pw_uid, entry.pw_gid)

    def owns(self, path: Path) -> None:
        """Hand a file or a folder, and all that is in it, to this account."""
        for folder, folders, files in os.walk(path):
            for name in ("", *folders, *files):
                os.chown(Path(folder, name), self.uid, self.gid, follow_symlinks=False)
        if not path.is_dir():
            os.chown(path, self.uid, self.gid)

    def command(self, arguments: Sequence[str | Path], stop: signal.Signals) -> list[str]:
        """Return the command that runs `arguments` under this account and receives `stop` when its parent dies."""
        runner = ["setpriv", "--pdeathsig", stop.name.removeprefix("SIG")]
        if os.geteuid() == 0:
            runner += [f"--reuid={self.uid}", f"--regid={self.gid}", "--clear-groups"]
        return [*runner, "--", *map(str, arguments)]


def program(name: str, *folders: str) -> Path:
    """Return the path of an installed program, searched in `folders` and in PATH; raise ServerMissingError without it."""
    # A user's PATH seldom has the folders for administrators, where some servers live.
    path = os.pathsep.join([*folders, os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"])
    found = shutil.which(name, path=path)
    if found is None:
        raise ServerMissingError(f"{name} is not installed: run make servers")
    return Path(found)


def free_port() -> int:
    """Return a TCP port that was free on loopback a moment ago."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def private_folder(name: str, account: Account, parent: Path | None = None) -> Iterator[Path]:
    """Yield an empty folder that belongs to `account` and is closed to all others; remove it with all its content."""
    folder = Path(tempfile.mkdtemp(prefix=f"retention-{name}-", dir=parent))
    try:
        account.owns(folder)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def prepare(account: Account, arguments: Sequence[str | Path], folder: Path, *, environment: Mapping[str, str] | None = None) -> None:
    """Run a set-up command under `account` to its end, in and with `folder` as its home; raise ServerFailedError."""
    done = subprocess.run(
        account.command(arguments, signal.SIGTERM),
        cwd=folder,
        env={**os.environ, "HOME": str(folder), "LC_ALL": "C.UTF-8", **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise ServerFailedError(f"{Path(arguments[0]).name} ended with {done.returncode}:\n{done.stdout[-4000:]}")


@contextlib.contextmanager
def running(
    account: Account,
    folder: Path,
    command: Callable[[int], Sequence[str | Path]],
    ready: Callable[[int], bool],
    *,
    stop: signal.Signals = signal.SIGTERM,
    environment: Mapping[str, str] | None = None,
) -> Iterator[tuple[int, int]]:
    """Yield (process id, port) of a server that answers, and stop it afterwards, always.

    command -- gives the command line for a port; ready -- whether the server answers on that port;
    stop -- the signal that ends this server at once and in order. Raises ServerFailedError.
    """
    for attempt in range(1, START_ATTEMPTS + 1):
        port = free_port()
        log = folder / f"server-{attempt}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                account.command(command(port), stop),
                cwd=folder,
                env={**os.environ, "HOME": str(folder), "LC_ALL": "C.UTF-8", **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches us alone: we stop the server when the test is through.
            )
        try:
            if _answers(process, port, ready):
                yield process.pid, port
                return
            ended_by_itself = process.poll() is not None
        finally:
            stop_process(process, stop)
        # A port that was free can be taken in the meantime: such a server ends by itself, and another port is tried.
        if not ended_by_itself:
            break
    raise ServerFailedError(f"{command(port)[0]} did not start:\n{log.read_text(errors='replace')[-4000:]}")


def _answers(process: subprocess.Popen[bytes], port: int, ready: Callable[[int], bool]) -> bool:
    """Wait until the server answers; False when it ended before that, or never did in START_SECONDS."""
    until = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < until:
        if ready(port):
            # Somebody else may answer on a port that we did not get; then ours has ended by now or does so at once.
            time.sleep(0.05)
            return process.poll() is None
        time.sleep(0.05)
    return False


def stop_process(process: subprocess.Popen[bytes], stop: signal.Signals = signal.SIGTERM) -> None:
    """End a process that runs in its own session, and all that it started there; return when they are gone."""
    if process.poll() is None:
        process.send_signal(stop)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def is_alive(pid: int) -> bool:
    """Tell whether a process with this id exists."""
    return Path("/proc", str(pid)).exists()
