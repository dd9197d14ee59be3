"""A small real HTTP server that plays one vendor's API for tests, and holds every exchange against our description of it.

A fake is a subclass of `Vendor` with a method for each call, marked with `route`. Handlers run one at a time. Bad days are made by
`connectors.contract.FaultProxy` in front of it, never here. What is not as described is kept in `violations`; leaving `running` with any
fails, and `assert_described` fails a single test.
"""

from __future__ import annotations

import datetime as dt
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, Self, TypeVar
from urllib.parse import parse_qs, unquote_plus, urlsplit

from tests.vendors.described import Description, ViolationError

Handler = TypeVar("Handler", bound=Callable[..., "Reply"])

_VIOLATION = 422


@dataclass(frozen=True)
class Asked:
    """A request. places -- the path's parameters; headers -- by their names in lower case; query -- the last value of each parameter."""

    method: str
    path: str
    places: Mapping[str, str]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = b""

    @cached_property
    def json(self) -> Any:
        """Return the body as JSON says it."""
        return json.loads(self.body)

    @cached_property
    def form(self) -> dict[str, str]:
        """Return the body as a form says it; a name that stands twice has its last value."""
        return {name: said[-1] for name, said in parse_qs(self.body.decode(), keep_blank_values=True).items()}


@dataclass(frozen=True)
class Reply:
    """An answer. body -- what becomes JSON, None for none; raw -- sent instead of JSON, and then not checked."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    raw: bytes | None = None


@dataclass
class Clock:
    """The vendor's clock; it stands still until a test moves it. now -- an aware moment in UTC."""

    now: dt.datetime = dt.datetime(2026, 6, 30, 12, tzinfo=dt.UTC)

    def advance(self, **by: float) -> None:
        """Move it forward: `advance(hours=1)`."""
        self.now += dt.timedelta(**by)


def route(method: str, path: str) -> Callable[[Handler], Handler]:
    """Mark a method of a fake as the one that answers a call of its description: `def members(self, asked: Asked) -> Reply`."""

    def mark(handler: Handler) -> Handler:
        handler.route = (method, path)  # type: ignore[attr-defined]
        return handler

    return mark


class Vendor:
    """A fake of one vendor.

    url -- where it listens; clock -- its own; used -- the calls that were made; violations -- what was not as described.
    """

    description: ClassVar[Description]

    def __init__(self) -> None:
        self.clock = Clock()
        self.used: set[str] = set()
        self.violations: list[str] = []
        self._lock = threading.RLock()
        marked = [getattr(self, name) for name in dir(type(self)) if hasattr(getattr(type(self), name), "route")]
        self._handlers = {each.route: each for each in marked}
        missing = [each.name for each in self.description.calls if (each.method, each.path) not in self._handlers]
        assert not missing, f"the fake has no handler for {missing}"
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._requests())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def admits(self, asked: Asked) -> Reply | None:
        """Return the refusal of a request whose sign-in is wrong, None when it may come in; a fake overrides this."""
        return None

    @contextmanager
    def running(self) -> Iterator[Self]:
        """Serve until the block is left; AssertionError then for whatever was not as described."""
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()
        self.assert_described()

    def assert_described(self) -> None:
        """Fail when anything since the last time was not as described."""
        said, self.violations = self.violations, []
        assert said == []

    def unused(self) -> list[str]:
        """Return the described calls that nothing has made yet."""
        return sorted({each.name for each in self.description.calls} - self.used)

    def answer(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Return the answer to a request."""
        parts = urlsplit(target)
        try:
            call, places = self.description.find(method, parts.path)
            query = {unquote_plus(name): said[-1] for name, said in parse_qs(parts.query, keep_blank_values=True).items()}
            asked = Asked(method, parts.path, places, query, headers, body)
            with self._lock:
                refused = self.admits(asked)
                if refused is None:
                    call.check_request(places, parts.query, body)
                    self.used.add(call.name)
                    reply = self._handlers[call.method, call.path](asked)
                else:
                    reply = refused
            if reply.raw is None:
                call.check_answer(reply.status, reply.body)
        except ViolationError as error:
            self.violations.append(str(error))
            return Reply(_VIOLATION, raw=b"not as described")
        return reply

    def _requests(vendor) -> type[BaseHTTPRequestHandler]:  # noqa: N805 - `self` is the handler's
        class Requests(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def _serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                headers = {name.lower(): said for name, said in self.headers.items()}
                try:
                    reply = vendor.answer(self.command, self.path, headers, body)
                except Exception as error:  # noqa: BLE001 - a fake that breaks must not look like a bad day of the vendor's
                    vendor.violations.append(f"{self.command} {self.path}: the fake broke: {error!r}")
                    reply = Reply(_VIOLATION, raw=b"the fake broke")
                sent = reply.raw if reply.raw is not None else b"" if reply.body is None else json.dumps(reply.body).encode()
                self.send_response_only(reply.status)
                if sent and reply.raw is None:
                    self.send_header("Content-Type", "application/json; charset=utf-8")
                for name, said in reply.headers.items():
                    self.send_header(name, said)
                if reply.status != 204:
                    self.send_header("Content-Length", str(len(sent)))
                self.end_headers()
                self.wfile.write(sent)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815 - the library's names

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        return Requests
