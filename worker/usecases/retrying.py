"""Trying again what may succeed later, after a while that grows; the kind of error decides.

Retriable is tried again: after the wait that the system itself asked for, or one that doubles, with some chance in it so that several
workers do not come back at the same moment. Everything else is not: a record that is refused stays refused, a source that failed is given
up for this run, and what is configured wrongly waits for a person. It is waited between attempts, when nothing is held.
"""

from __future__ import annotations

from tenacity import RetryCallState, Retrying, retry_if_exception, wait_exponential, wait_random

from worker.errors import Retriable
from worker.log import get_logger
from worker.usecases.machine import Machine

LONGEST_SECONDS = 60.0
"""No wait between two attempts is longer; a system that asks for more is left to a later run."""


def patience(machine: Machine, **about: str) -> Retrying:
    """Return the attempts that the settings allow, for `for attempt in ...: with attempt:`; the last error is raised as it is.

    about -- what is tried, for the log: identifiers only.
    """
    settings = machine.settings
    growing = wait_exponential(settings.retry_seconds, LONGEST_SECONDS) + wait_random(0, settings.retry_seconds)

    def wait(state: RetryCallState) -> float:
        return max(min(growing(state), LONGEST_SECONDS), _asked(state))

    def over(state: RetryCallState) -> bool:
        return state.attempt_number > settings.retries or _asked(state) > LONGEST_SECONDS

    def say(state: RetryCallState) -> None:
        seconds = round(state.upcoming_sleep, 3)
        get_logger().info("retention.tried_again", attempt=state.attempt_number, seconds=seconds, **about)

    return Retrying(stop=over, wait=wait, retry=retry_if_exception(_may_succeed), sleep=machine.sleep, before_sleep=say, reraise=True)


def _may_succeed(error: BaseException) -> bool:
    return isinstance(error, Retriable)


def _asked(state: RetryCallState) -> float:
    """Return how long the system asked to be left alone."""
    error = state.outcome.exception() if state.outcome is not None else None
    return (error.retry_after or 0.0) if isinstance(error, Retriable) else 0.0
