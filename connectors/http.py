"""One web service over HTTP: signing in, waiting its turn, trying again, and saying what went wrong without saying about whom.

Threat model. A request may be carried out although no answer comes: so a request that writes is sent again only when it certainly was not
carried out, and else raises `InDoubt`, for the connector to read back. A service may ask to be left alone (429, Retry-After): it is, within
a budget. Addresses, headers and bodies hold passwords, tokens and personal data: no error text and no log line has any of them, no error
keeps the library's own as its cause, and a redirection, which would carry the sign-in elsewhere, is not followed.
"""

from __future__ import annotations

import json
import logging
import ssl
import threading
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, TypeVar
from urllib.parse import unquote, urlsplit

import httpx

from connectors.patience import Again, InDoubt, Limits, Turns, asked_for, repeated
from worker.errors import ConfigurationError, Retriable, SourceFailed

__all__ = ["Address", "Answer", "InDoubt", "Limits", "Service", "Token", "address_of"]

T = TypeVar("T")

Method = Literal["GET", "OPTIONS", "PROPFIND", "POST", "PUT", "PATCH", "DELETE"]

_UNAUTHORISED, _TIMED_OUT, _TOO_MANY = 401, 408, 429
_REDIRECTION, _SERVER_ERROR = 300, 500
_WORD = 60
_LONGEST = 64 * 1024 * 1024
"""The most bytes, unpacked, that an answer has which is held as a whole; what may be longer is `streamed`."""

# What the libraries say by themselves names the address of every request.
for _name in ("httpx", "httpcore"):
    logging.getLogger(_name).setLevel(logging.WARNING)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a service said. Never shown: a body may hold a record."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def is_success(self) -> bool:
        """Whether the service did what it was asked to."""
        return 200 <= self.status < _REDIRECTION

    def json(self) -> Any:
        """Return the body as JSON says it; ValueError when it is none, or nested so deep that nobody means it."""
        try:
            return json.loads(self.body)
        except RecursionError:
            raise ValueError("nested too deep") from None

    def object(self) -> dict[str, Any] | None:
        """Return the object that the body is as JSON says it; None when it is something else."""
        try:
            said = self.json()
        except ValueError:
            return None
        return said if isinstance(said, dict) else None

    def in_words(self, *members: str) -> str:
        """Return the status and the service's own word for it, the first of these members of a JSON body: `HTTP 403 rest_cannot_edit`."""
        said = self.object() or {}
        words = [said[name] for name in members if name in said]
        plain = next((str(each) for each in words if str(each).replace("_", "").isalnum() and len(str(each)) <= _WORD), "")
        return f"HTTP {self.status} {plain}".rstrip()


@dataclass(frozen=True, slots=True)
class Address:
    """An address taken apart: `base` has no user name and no password, and no slash at its end."""

    base: str
    user: str = ""
    password: str = field(default="", repr=False)
    encrypted: bool = True


def address_of(source: str, url: str | None) -> Address:
    """Return the address of a service out of the settings; ConfigurationError when it is none."""
    variable = f"RETENTION_SOURCES__{source.upper().replace('-', '_')}__URL"
    parts = urlsplit(url or "")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigurationError(f"{source}: {variable} has to be a web address: https://user:password@host.")
    if parts.query or parts.fragment:
        raise ConfigurationError(f"{source}: {variable} may not have a part behind ? or #.")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    base = f"{parts.scheme}://{host}{f':{parts.port}' if parts.port else ''}{parts.path.rstrip('/')}"
    near = parts.hostname in ("localhost", "127.0.0.1", "::1")
    return Address(base, unquote(parts.username or ""), unquote(parts.password or ""), parts.scheme == "https" or near)


class Token(httpx.Auth):
    """Signs in with a token that expires: a request that is refused (401) is sent once more with a new one.

    fetch -- returns a new token, by whatever way the service has; header -- makes a header's value of it.
    """

    def __init__(self, fetch: Callable[[], str], *, name: str = "Authorization", prefix: str = "Bearer ") -> None:
        self._fetch = fetch
        self._name = name
        self._prefix = prefix
        self._token: str | None = None
        self._lock = threading.Lock()

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Send the request, and again with a new token when that is what it takes."""
        token = self._current()
        request.headers[self._name] = self._prefix + token
        answer = yield request
        if answer.status_code == _UNAUTHORISED:
            request.headers[self._name] = self._prefix + self._current(instead_of=token)
            yield request

    def _current(self, instead_of: str | None = None) -> str:
        """Return the token, another one than `instead_of`: whoever comes second takes what the first one fetched."""
        with self._lock:
            if self._token is None or self._token == instead_of:
                self._token = self._fetch()
            return self._token


class Service:
    """A service at one address. Threads may share it.

    waits -- the header in which it says how many seconds it wants to be left alone, where that is another than Retry-After;
    is_busy -- whether an answer asks for fewer requests, for services that don't say so with 429 alone.
    """

    def __init__(
        self,
        source: str,
        base: str,
        *,
        auth: httpx.Auth | None = None,
        limits: Limits | None = None,
        headers: Mapping[str, str] | None = None,
        waits: str = "retry-after",
        is_busy: Callable[[Answer], bool] | None = None,
    ) -> None:
        self._source = source
        self._waits = waits
        self._is_busy = is_busy or (lambda _: False)
        self._limits = limits or Limits()
        self._turns = Turns(self._limits.per_second)
        sent = {"User-Agent": "retention-worker", "Accept": "application/json", **(headers or {})}
        if not all(each.isascii() and each.isprintable() for each in sent.values()):
            what = f"{source}: the key has a character that no key has (a dash or a line end that came along when it was copied?)"
            raise ConfigurationError(f"{what}. Set it anew in the source's settings.")
        # The certificates that the machine trusts; neither .netrc nor a proxy that only the environment knows of.
        self._client = httpx.Client(
            base_url=base,
            auth=auth,
            timeout=self._limits.timeout,
            follow_redirects=False,
            trust_env=False,
            verify=trusted(),
            headers=sent,
        )

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()

    def read(
        self,
        path: str,
        params: Mapping[str, Any] | None = None,
        *,
        method: Method = "GET",
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Ask for something, as often as it takes; the answer is a success or says that it isn't there or isn't allowed (4xx).

        ConfigurationError when the sign-in is refused, Retriable when the service wants to be left alone for too long, SourceFailed when it
        can't be reached or answers with an error of its own again and again.
        """
        return repeated(
            self._source, self._limits, lambda: self._once(method, path, params=params, content=content, headers=headers, writes=False)
        )

    def streamed(
        self,
        path: str,
        params: Mapping[str, Any] | None,
        take: Callable[[Iterator[bytes]], T],
        *,
        method: Method = "GET",
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> T | Answer:
        """Ask for something too long to hold, and return what `take` makes of its pieces; the answer instead when it is no success.

        Raises as `read`. When the connection breaks everything is asked for anew, so `take` may be called again and begins from the
        beginning; it may stop before the end.
        """
        asked = {"params": params, "content": content, "headers": headers}
        return repeated(self._source, self._limits, lambda: self._once_streamed(method, path, asked, take))

    def write(
        self,
        method: Method,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        body: Any = None,
        form: Mapping[str, Any] | None = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Have something done; sent again only while it certainly was not.

        Raises as `read`, and InDoubt when it was sent and no answer says what became of it. What these raise besides was not carried out.
        """
        return repeated(
            self._source,
            self._limits,
            lambda: self._once(method, path, params=params, body=body, form=form, content=content, headers=headers, writes=True),
        )

    def _once(
        self,
        method: Method,
        path: str,
        *,
        writes: bool,
        params: Mapping[str, Any] | None = None,
        body: Any = None,
        form: Mapping[str, Any] | None = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send a request once; Again when it may be sent again, InDoubt when that could do it twice."""
        self._turns.wait()
        asked = {"params": params, "json": body, "data": form, "content": content, "headers": headers}
        with self._faults_named(writes=writes), self._client.stream(method, path, **asked) as got:
            answer = Answer(got.status_code, dict(got.headers), self._held(got, writes=writes))
        return self._judged(answer, writes=writes)

    def _held(self, got: httpx.Response, *, writes: bool) -> bytes:
        """Return the whole of an answer; a small one may be packed so that it fills all memory."""
        held = bytearray()
        for piece in got.iter_bytes():
            held += piece
            if len(held) > _LONGEST:
                what = f"{self._source}: the service answered with more than {_LONGEST // 1024**2} MiB"
                raise InDoubt(f"{what} to a change.") if writes else SourceFailed(f"{what}; something else may answer in its place.")
        return bytes(held)

    def _once_streamed(self, method: Method, path: str, asked: Mapping[str, Any], take: Callable[[Iterator[bytes]], T]) -> T | Answer:
        """Send a request that reads once, and hand its answer over piece by piece; Again when it may be sent again."""
        self._turns.wait()
        with self._faults_named(writes=False), self._client.stream(method, path, **asked) as got:
            if got.is_success:
                return take(got.iter_bytes())
            return self._judged(Answer(got.status_code, dict(got.headers), self._held(got, writes=False)), writes=False)

    @contextmanager
    def _faults_named(self, *, writes: bool) -> Iterator[None]:
        """Turn what the library raises into Again, InDoubt or SourceFailed."""
        source = self._source
        try:
            yield
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise Again(SourceFailed(f"{source}: the service can't be reached ({type(error).__name__}).")) from None
        except httpx.TransportError as error:
            what = f"{source}: the service gave no answer ({type(error).__name__})"
            raise (InDoubt(f"{what} to a change.") if writes else Again(SourceFailed(f"{what}."))) from None
        except httpx.HTTPError as error:
            what = f"{source}: the service answered with something that is no HTTP ({type(error).__name__})"
            raise (InDoubt(f"{what} to a change.") if writes else SourceFailed(f"{what}.")) from None

    def _judged(self, answer: Answer, *, writes: bool) -> Answer:
        """Return an answer, or raise what its status means."""
        source, status = self._source, answer.status
        if status == _UNAUTHORISED:
            what = f"{source}: the service refused the sign-in ({answer.in_words('code')})"
            raise ConfigurationError(f"{what}. Set the user and the password or key in the source's settings anew.")
        if status == _TOO_MANY or self._is_busy(answer):
            asked = asked_for(answer.headers, self._waits)
            what = f"{source}: the service asks for fewer requests (HTTP {status}); try again later."
            raise Again(Retriable(what, retry_after=asked), asked)
        if status >= _SERVER_ERROR or status == _TIMED_OUT:
            what = f"{source}: the service answered with an error of its own (HTTP {status})"
            raise InDoubt(f"{what} to a change.") if writes else Again(SourceFailed(f"{what}."), asked_for(answer.headers, self._waits))
        if _REDIRECTION <= status < 400:
            raise ConfigurationError(f"{source}: the service sends elsewhere (HTTP {status}). Set its final address in the settings.")
        return answer


def trusted() -> ssl.SSLContext:
    """Return the certificates that the machine trusts: read once for all sources, as it takes long, and again when they were renewed."""
    paths = ssl.get_default_verify_paths()
    return _trusted(tuple((place, Path(place).stat().st_mtime_ns) for place in (paths.cafile, paths.capath) if place))


@lru_cache(maxsize=1)
def _trusted(_as_of: tuple[tuple[str, int], ...]) -> ssl.SSLContext:
    return ssl.create_default_context()
