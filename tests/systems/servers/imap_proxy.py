"""A proxy that stands between a mail client and a real IMAP server and does what networks and servers do on bad days.

The server itself is never played: what meets no fault goes to it, line by line, and its answer comes back.
"""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

_COMMAND = re.compile(rb"([A-P]{4}\d+) (.+)\r\n")
_FOREVER = 10**9


@dataclass(slots=True)
class Fault:
    """What becomes of some commands.

    on -- which, by their text in capitals; after, times -- so many of these go through first, and then so many meet the fault;
    answer -- what is answered behind the tag, None for a connection that is cut; applied -- whether the server gets the command all the
    same; delay -- after how many seconds it does.
    """

    on: Callable[[str], bool]
    answer: str | None = None
    applied: bool = False
    after: int = 0
    times: int = _FOREVER
    delay: float = 0.0
    met: int = 0


def is_write(command: str) -> bool:
    """Whether a command changes a folder."""
    return command.startswith(("UID STORE", "UID EXPUNGE"))


@dataclass
class ImapProxy:
    """A proxy in front of one server. port -- where it listens; seen -- the commands that reached the server."""

    server: tuple[str, int]
    seen: list[str] = field(default_factory=list)
    port: int = 0
    _faults: list[Fault] = field(default_factory=list)
    _sockets: list[socket.socket] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextlib.contextmanager
    def running(self) -> Iterator[ImapProxy]:
        """Serve until the block is left."""
        with socket.create_server((self.server[0], 0)) as listening:
            self.port = listening.getsockname()[1]
            thread = threading.Thread(target=self._serve, args=(listening,), daemon=True)
            thread.start()
            try:
                yield self
            finally:
                with contextlib.suppress(OSError):
                    listening.shutdown(socket.SHUT_RDWR)
                thread.join()
                self.cut()

    def on(self, begins: str, answer: str | None = None, **how: object) -> Fault:
        """Add a fault that commands meet which begin so; see `Fault`."""
        return self.add(Fault(lambda command: command.startswith(begins), answer, **how))  # type: ignore[arg-type]

    def add(self, fault: Fault) -> Fault:
        """Add a fault."""
        with self._lock:
            self._faults.append(fault)
        return fault

    def dies(self, *, after: int) -> Fault:
        """Cut every connection, old and new, from the first changing command behind so many."""
        written = 0

        def dead(command: str) -> bool:
            nonlocal written
            written += is_write(command)
            return written > after

        return self.add(Fault(dead))

    def heal(self) -> None:
        """Take all faults away, and forget what was seen."""
        with self._lock:
            self._faults.clear()
            self.seen.clear()

    def writes(self) -> list[str]:
        """Return the changing commands that reached the server."""
        return [each for each in self.seen if is_write(each)]

    def cut(self) -> None:
        """Cut every connection."""
        for each in self._sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        self._sockets.clear()

    def _serve(self, listening: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listening.accept()
                server = socket.create_connection(self.server)
                for each in (client, server):
                    each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    self._sockets.append(each)
                answers: dict[bytes, str | None] = {}
                threading.Thread(target=self._forth, args=(client, server, answers), daemon=True).start()
                threading.Thread(target=self._back, args=(client, server, answers), daemon=True).start()

    def _forth(self, client: socket.socket, server: socket.socket, answers: dict[bytes, str | None]) -> None:
        """Pass on what a client says."""
        with contextlib.suppress(OSError, ValueError), client.makefile("rb") as lines:
            for line in lines:
                found = _COMMAND.fullmatch(line)
                fault = self._fault(found[2].decode("utf-8", "replace").upper()) if found else None
                if found and fault is not None:
                    time.sleep(fault.delay)
                    if not fault.applied:
                        if fault.answer is None:
                            break
                        client.sendall(found[1] + f" {fault.answer}\r\n".encode())
                        continue
                    answers[found[1]] = fault.answer
                if found:
                    self.seen.append(found[2].decode("utf-8", "replace").upper())
                server.sendall(line)
        _end(client, server)

    def _back(self, client: socket.socket, server: socket.socket, answers: dict[bytes, str | None]) -> None:
        """Pass on what the server says."""
        with contextlib.suppress(OSError, ValueError), server.makefile("rb") as lines:
            for line in lines:
                tag = line.partition(b" ")[0]
                if tag not in answers:
                    client.sendall(line)
                    continue
                answer = answers.pop(tag)
                if answer is None:
                    break
                client.sendall(tag + f" {answer}\r\n".encode())
        _end(client, server)

    def _fault(self, command: str) -> Fault | None:
        """Return the fault that a command meets."""
        with self._lock:
            for fault in self._faults:
                if not fault.on(command):
                    continue
                fault.met += 1
                if fault.after < fault.met <= fault.after + fault.times:
                    return fault
        return None


def _end(*sockets: socket.socket) -> None:
    for each in sockets:
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
