"""Signing in to Zoho: one refresh token gives access tokens, each for an hour, and at most ten in ten minutes.

All sources of a process that have the same refresh token share one access token, so a run over five modules asks for one. Nothing is kept
outside the process: a token on a disk is a key on a disk. Zoho keeps fifteen access tokens alive for one refresh token, so as many
processes may work at once; more of them would invalidate one another's, and each that comes to nine in ten minutes stops by itself.

Threat model. Client secret, refresh token and access token are secrets: they stand in the body of one request and in one header, in no
address, error or log line. Where records are read is what the token's answer says (`api_domain`), so that answer may only name a host that
is reached encrypted, unless the sign-in itself is on this machine.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx

from connectors.http import Answer, Service
from worker.errors import ConfigurationError, Retriable, SourceFailed

_PATH = "/oauth/v2/token"
_MOST, _WINDOW = 9, 600.0
_EARLY = 60.0
_UNAUTHORISED = 401
_SCOPE = "OAUTH_SCOPE_MISMATCH"
_LOCAL = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Secrets:
    """What a client of Zoho's API signs in with; never shown."""

    client_id: str = field(repr=False)
    client_secret: str = field(repr=False)
    refresh_token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Access:
    """An access token, the address of the API that it is for, and until when it is used (monotonic)."""

    token: str = field(repr=False)
    domain: str
    until: float


class Grant:
    """The access token of one refresh token in this process. Threads and sources may share it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._access: Access | None = None
        self._fetched: deque[float] = deque()

    def access(self, source: str, fetch: Callable[[], Access], instead_of: str | None = None) -> Access:
        """Return a token that is still good and another than `instead_of`; whoever comes second takes what the first one fetched.

        Raises what `fetch` raises, and Retriable before Zoho would refuse any more tokens.
        """
        with self._lock:
            now = self._clock()
            held = self._access
            if held is not None and held.token != instead_of and now < held.until:
                return held
            while self._fetched and self._fetched[0] <= now - _WINDOW:
                self._fetched.popleft()
            if len(self._fetched) >= _MOST:
                wait = self._fetched[0] + _WINDOW - now
                raise Retriable(f"{source}: Zoho gives no more than ten tokens in ten minutes; try again later.", retry_after=wait)
            self._fetched.append(now)
            self._access = fetch()
            return self._access


_GRANTS: dict[tuple[str, Secrets], Grant] = {}
_GRANTS_LOCK = threading.Lock()


def grant_of(accounts: str, secrets: Secrets) -> Grant:
    """Return the one grant that this process has for a refresh token."""
    with _GRANTS_LOCK:
        return _GRANTS.setdefault((accounts, secrets), Grant())


class SignIn(httpx.Auth):
    """Signs requests in; one whose token is refused (401) is sent once more with a new one, unless it is a right that is missing."""

    def __init__(self, source: str, accounts: Service, secrets: Secrets, grant: Grant, *, near: bool) -> None:
        self._source = source
        self._accounts = accounts
        self._secrets = secrets
        self._grant = grant
        self._near = near

    def domain(self) -> str:
        """Return the address of the API, which only a token's answer tells."""
        return self._grant.access(self._source, self._fetch).domain

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Send the request, and again with a new token when that is what it takes."""
        access = self._grant.access(self._source, self._fetch)
        request.headers["Authorization"] = f"Zoho-oauthtoken {access.token}"
        answer = yield request
        if answer.status_code == _UNAUTHORISED and _SCOPE.encode() not in answer.read():
            access = self._grant.access(self._source, self._fetch, instead_of=access.token)
            request.headers["Authorization"] = f"Zoho-oauthtoken {access.token}"
            yield request

    def close(self) -> None:
        """Let go of the connections."""
        self._accounts.close()

    def _fetch(self) -> Access:
        """Have a new token made."""
        began = time.monotonic()
        form = {
            "grant_type": "refresh_token",
            "client_id": self._secrets.client_id,
            "client_secret": self._secrets.client_secret,
            "refresh_token": self._secrets.refresh_token,
        }
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = self._accounts.read(_PATH, method="POST", content=urlencode(form).encode(), headers=kind)
        said = self._object(answer)
        if "error" in said:
            raise self._refused(str(said["error"]), answer)
        token, domain, lasts = said.get("access_token"), said.get("api_domain"), said.get("expires_in", 3600)
        if not isinstance(token, str) or not isinstance(domain, str) or not isinstance(lasts, int):
            raise SourceFailed(f"{self._source}: what answers at the sign-in is not Zoho's (HTTP {answer.status}).")
        return Access(token, self._checked(domain), began + max(0.0, lasts - _EARLY))

    def _object(self, answer: Answer) -> dict[str, Any]:
        """Return the object that an answer holds; SourceFailed when it holds none."""
        said = answer.object()
        if said is None:
            raise SourceFailed(f"{self._source}: what answers at the sign-in is not Zoho's (HTTP {answer.status}).")
        return said

    def _refused(self, error: str, answer: Answer) -> ConfigurationError | Retriable:
        """Return the error for a token that Zoho doesn't give; it says so with any status, 200 included."""
        if error.lower().replace(" ", "_") == "access_denied":
            return Retriable(f"{self._source}: Zoho gives no more tokens for now; try again in ten minutes.", retry_after=_WINDOW)
        return ConfigurationError(
            f"{self._source}: Zoho refused the sign-in ({answer.in_words('error')}). Set CLIENT_ID, CLIENT_SECRET and REFRESH_TOKEN anew, "
            "and the address of the accounts server of your own region (https://accounts.zoho.eu, .com, .in ...)."
        )

    def _checked(self, domain: str) -> str:
        """Return the address of the API when records may be read there."""
        parts = urlsplit(domain)
        is_fine = parts.scheme == "https" or (self._near and parts.scheme == "http" and parts.hostname in _LOCAL)
        if not is_fine or not parts.hostname or parts.username or parts.path.strip("/") or parts.query:
            raise SourceFailed(f"{self._source}: the sign-in names an address for the API that is not encrypted, or none.")
        return domain.rstrip("/")
