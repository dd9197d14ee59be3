"""A proxy that stands between a connector and a real service and does what networks and services do on bad days.

The service itself is never played: what isn't a fault goes to it and its answer comes back. Faults are chosen by what a request does
(reads or writes) and by its turn, so that a test can lose the answer to the third deletion and nothing else.
"""

from __future__ import annotations

import gzip
import http.client
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "host", "te", "trailer", "upgrade", "proxy-connection"}
_FOREVER = 10**9
_CONDITION = 412


@dataclass(frozen=True, slots=True)
class Request:
    """What a connector sent. path -- with its query."""

    method: str
    path: str
    body: bytes = field(repr=False)


@dataclass(slots=True)
class Fault:
    """What becomes of some requests.

    on -- which; after, times -- so many of these go through first, and then so many meet the fault; status, headers, body -- what is
    answered, None for a connection that is closed without an answer; applied -- whether the service gets the request all the same.
    """

    on: Callable[[Request], bool]
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    applied: bool = False
    after: int = 0
    times: int = _FOREVER
    met: int = 0


def _renamed(name: str) -> str:
    """Return a name, in whatever marks it stands, as a later version might have it."""
    return re.sub(r"[A-Za-z_]+", lambda found: f"Renamed{found[0]}", name)


class FaultProxy:
    """A proxy in front of one service; `url` is where it listens, `seen` what came by and how it was answered (None: not at all).

    writes -- which requests write, by their method unless told otherwise; keeps_host -- the service is told the proxy's name as its own,
    for services that sign what a client thinks it speaks to; keeps_encoding -- the service is told how the client takes its answers packed,
    for services that pack them whoever asks.
    """

    def __init__(
        self, service: str, writes: Callable[[Request], bool] | None = None, *, keeps_host: bool = False, keeps_encoding: bool = False
    ) -> None:
        parts = urlsplit(service)
        self._service = (parts.hostname or "", parts.port or 80)
        self._writes = writes or (lambda request: request.method in ("POST", "PUT", "PATCH", "DELETE"))
        self._dropped = (
            (_HOP | {"accept-encoding"}) - ({"host"} if keeps_host else set()) - ({"accept-encoding"} if keeps_encoding else set())
        )
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self._renamed: list[tuple[bytes, bytes]] = []
        self.seen: list[tuple[Request, int | None]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    @contextmanager
    def running(self) -> Iterator[FaultProxy]:
        """Serve until the block is left."""
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()

    def reading(self, status: int | None = None, **how: Any) -> Fault:
        """Add a fault that requests meet which read; see `Fault`."""
        return self._add(Fault(lambda request: not self._writes(request), status, **how))

    def writing(self, status: int | None = None, **how: Any) -> Fault:
        """Add a fault that requests meet which write; see `Fault`."""
        return self._add(Fault(self._writes, status, **how))

    def any(self, status: int | None = None, **how: Any) -> Fault:
        """Add a fault that every request meets; see `Fault`."""
        return self._add(Fault(lambda _: True, status, **how))

    def about(self, belongs: Callable[[Request], bool], status: int | None = None, **how: Any) -> Fault:
        """Add a fault that writing requests meet for which this is true; see `Fault`."""
        return self._add(Fault(lambda request: self._writes(request) and belongs(request), status, **how))

    def dies(self, *, after: int) -> Fault:
        """Answer nothing any more, reading or writing, from the first writing request behind so many."""
        written = 0

        def dead(request: Request) -> bool:
            nonlocal written
            written += self._writes(request)
            return written > after

        return self._add(Fault(dead))

    def renaming(self, *names: str) -> None:
        """Have the service's own answers say something else in the place of these words, as after a version in which they were renamed."""
        with self._lock:
            self._renamed += [(name.encode(), _renamed(name).encode()) for name in names]

    def heal(self) -> None:
        """Take all faults away, and forget what was seen."""
        with self._lock:
            self._faults.clear()
            self._renamed.clear()
            self.seen.clear()

    def writes(self) -> int:
        """Return how many writing requests reached the service; one refused for a condition of its own (412) can't have done anything."""
        return sum(self._writes(request) and status not in (None, _CONDITION) for request, status in self.seen)

    def _add(self, fault: Fault) -> Fault:
        with self._lock:
            self._faults.append(fault)
        return fault

    def _fault(self, request: Request) -> Fault | None:
        """Return the fault that a request meets."""
        with self._lock:
            for fault in self._faults:
                if not fault.on(request):
                    continue
                fault.met += 1
                if fault.after < fault.met <= fault.after + fault.times:
                    return fault
        return None

    def _handler(proxy) -> type[BaseHTTPRequestHandler]:  # noqa: N805 - `self` is the handler's
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Headers and body are two small packets; else the second waits 40 ms for a word about the first.
            disable_nagle_algorithm = True

            def _serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                request = Request(self.command, self.path, body)
                fault = proxy._fault(request)
                reached: int | None = None
                if fault is None or fault.applied:
                    status, headers, answer = proxy._forward(request, dict(self.headers))
                    reached = status
                proxy.seen.append((request, reached))
                if fault is not None:
                    if fault.status is None:
                        self.close_connection = True
                        return
                    status, headers, answer = fault.status, dict(fault.headers), fault.body
                self.send_response_only(status)
                for name, said in headers.items():
                    self.send_header(name, said)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(answer)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_HEAD = do_PROPFIND = _serve  # noqa: N815 - the library's names

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        return Handler

    def _forward(self, request: Request, headers: Mapping[str, str]) -> tuple[int, dict[str, str], bytes]:
        """Hand a request to the service and return its answer."""
        connection = http.client.HTTPConnection(*self._service, timeout=60)
        try:
            kept = {name: said for name, said in headers.items() if name.lower() not in self._dropped}
            connection.request(request.method, request.path, request.body or None, kept)
            answer = connection.getresponse()
            told = {name: said for name, said in answer.getheaders() if name.lower() not in _HOP}
            return answer.status, *self._in_new_words(told, answer.read())
        finally:
            connection.close()

    def _in_new_words(self, headers: dict[str, str], body: bytes) -> tuple[dict[str, str], bytes]:
        """Return an answer with what was renamed, unpacked for that."""
        if not self._renamed:
            return headers, body
        packed = next((name for name, said in headers.items() if name.lower() == "content-encoding" and said == "gzip"), None)
        if packed is not None:
            del headers[packed]
            body = gzip.decompress(body)
        for old, new in self._renamed:
            body = body.replace(old, new)
        return headers, body


__all__ = ["Fault", "FaultProxy", "Request"]
