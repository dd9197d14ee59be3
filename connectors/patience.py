"""How patient a connector is with a system that is busy, fails or gives no answer; nothing in here knows what kind of system it is."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from email.utils import parsedate_to_datetime
from math import isfinite
from typing import TypeVar

import stamina
import stamina.instrumentation

from worker.errors import ConfigurationError, RetentionError, Retriable

T = TypeVar("T")


class InDoubt(Retriable):
    """A request that writes may have been carried out or not; only reading back can tell."""


class Again(Exception):
    """The request may be sent again. wait -- seconds that the system asked for; error -- what to say when patience has ended."""

    def __init__(self, error: RetentionError, wait: float | None = None) -> None:
        super().__init__(str(error))
        self.error = error
        self.wait = wait


@dataclass(frozen=True, slots=True)
class Limits:
    """How patient a connector is. Seconds, unless it says otherwise.

    attempts -- how often one request is sent at most; wait, longest_wait -- the first pause between attempts, and the longest: it doubles,
    unless the service says how long; budget -- for all attempts of one request; timeout -- for one of them; per_second -- requests a second
    at most, 0 for no limit.
    """

    attempts: int = 6
    wait: float = 0.5
    longest_wait: float = 60.0
    budget: float = 300.0
    timeout: float = 30.0
    per_second: float = 0.0


PATIENCE = ("attempts", "wait", "timeout", "per_second")
"""The options of a connection that say how patient and how gentle to be, of `Limits`."""

_MAY_BE_0 = ("wait", "per_second")


def known_options(source: str, options: Mapping[str, str], names: tuple[str, ...], patience: tuple[str, ...] = PATIENCE) -> dict[str, str]:
    """Return those of a connection's options with these names and a value; ConfigurationError for any besides.

    patience -- those of `PATIENCE` that the connector heeds, which may be there too.
    """
    unknown = sorted(options.keys() - {*names, *patience})
    if unknown:
        raise ConfigurationError(f"{source}: unknown options {', '.join(unknown)}; there are {', '.join((*names, *patience))}.")
    return {name: said for name, said in options.items() if name in names and said}


def limits_of(source: str, options: Mapping[str, str], batch_seconds: float) -> Limits:
    """Return how patient to be, out of those options of a connection that say so; ConfigurationError when one is no number.

    All attempts of a request end well before a batch does.
    """
    given = {name: said for name, said in options.items() if name in PATIENCE}
    try:
        numbers: dict[str, float] = {
            each.name: int(given[each.name]) if each.name == "attempts" else float(given[each.name])
            for each in fields(Limits)
            if each.name in given
        }
    except ValueError:
        raise ConfigurationError(f"{source}: the options {', '.join(sorted(given))} are numbers.") from None
    unfit = sorted(
        name for name, number in numbers.items() if not (isfinite(number) and (number > 0 or (not number and name in _MAY_BE_0)))
    )
    if unfit:
        raise ConfigurationError(f"{source}: the options {', '.join(unfit)} are numbers above nothing.")
    limits = Limits(**numbers)  # type: ignore[arg-type]
    return replace(limits, budget=min(limits.budget, batch_seconds / 2))


def repeated(source: str, limits: Limits, send: Callable[[], T]) -> T:
    """Send until there is an answer, no more patience, or an error that time does not mend; `send` raises Again when it may be repeated."""

    def wait_after(error: Exception) -> bool | float:
        if not isinstance(error, Again):
            return False
        if error.wait is None:
            return True
        return error.wait if error.wait <= limits.longest_wait else False

    last: RetentionError = Retriable(f"{source}: there was no answer.")
    try:
        for attempt in stamina.retry_context(
            on=wait_after,
            attempts=limits.attempts,
            timeout=limits.budget,
            wait_initial=limits.wait,
            wait_max=limits.longest_wait,
            wait_jitter=limits.wait,
        ):
            with attempt:
                return send()
    except Again as again:
        last = again.error
    raise last from None


class Turns:
    """Lets one request after the other go, so many a second at most; threads may share it. per_second -- 0 for no limit.

    Of a source that writes one record after the other one batch at a time is carried out, over all processes. So the limit holds over
    all of them, when whoever comes back after a while leaves room for what another one may have sent a moment ago.
    """

    def __init__(self, per_second: float) -> None:
        self._pause = 1 / per_second if per_second else 0.0
        self._turn = threading.Lock()
        self._next = 0.0

    def wait(self) -> None:
        """Return when the next request may be sent."""
        if not self._pause:
            return
        with self._turn:
            now = time.monotonic()
            rested = now - self._next > self._pause
            start = now + self._pause if rested else max(now, self._next)
            wait = start - now
            self._next = start + self._pause
        if wait > 0:
            time.sleep(wait)


def asked_for(headers: Mapping[str, str], name: str = "retry-after") -> float | None:
    """Return how many seconds a service asked to wait, None when it didn't say. A moment is reckoned from the service's own clock.

    name -- the header that the service says it in, where Retry-After is missing.
    """
    said = (headers.get("retry-after") or headers.get(name, "")).strip()
    if said.isdigit():
        return float(said)
    try:
        return max(0.0, (parsedate_to_datetime(said) - parsedate_to_datetime(headers["date"])).total_seconds())
    except (KeyError, TypeError, ValueError):
        return None


def _note(details: stamina.instrumentation.RetryDetails) -> None:
    """Say in the operational log that a request is sent again; its own text, and nothing of the request."""
    logging.getLogger(__name__).warning("a request is sent again in %.1f s: %s", details.wait_for, details.caused_by)


stamina.instrumentation.set_on_retry_hooks([_note])
