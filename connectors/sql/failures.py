"""What a driver's error means for the operator, without the error itself: its text and its parameters may hold personal data."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from types import TracebackType

from worker.errors import ConfigurationError, RetentionError, Retriable, Skippable, SourceFailed


class Cause(Enum):
    """The kinds of failure a database has, by what helps."""

    BUSY = "a lock was not free, or the server stopped the statement for another one; try again later"
    LOST = "the connection was lost; try again later"
    CONSTRAINT = "a constraint of the database refuses a value or a deletion"
    DENIED = "the user or the password is refused"
    NO_RIGHT = "the user lacks a right that is needed; grant it, or use another user"
    NO_DATABASE = "there is no such database"
    SCHEMA = "a table or column is missing, or does not have the type that is needed; run 'retention sources check'"
    READ_ONLY = "the database can only be read; use a server or file that can be written"
    FULL = "the database has no room left, or its disk fails"
    DAMAGED = "the file is no database, or it is damaged"
    UNREACHABLE = "the server does not answer; check that it runs and that address and port are right"
    BAD_TEXT = "a value is not in the encoding that the database claims"
    OTHER = "the database refuses the statement"


_ERRORS: dict[Cause, type[RetentionError]] = {
    Cause.BUSY: Retriable,
    Cause.LOST: Retriable,
    Cause.CONSTRAINT: Skippable,
    Cause.DENIED: ConfigurationError,
    Cause.NO_RIGHT: ConfigurationError,
    Cause.NO_DATABASE: ConfigurationError,
    Cause.SCHEMA: ConfigurationError,
    Cause.READ_ONLY: ConfigurationError,
}


def failure(source: str, place: str, cause: Cause, code: str) -> RetentionError:
    """Return the error for a cause; `place` is host and database without user and password, `code` the database's own number."""
    return _ERRORS.get(cause, SourceFailed)(f"{source}: {place}: {cause.value}" + (f" (error {code})" if code else "") + ".")


class Guard:
    """Turns whatever a driver raises within it into an error of ours, cut off from the driver's."""

    def __init__(self, caught: tuple[type[Exception], ...], translate: Callable[[Exception], RetentionError]) -> None:
        self._caught = caught
        self._translate = translate

    def __enter__(self) -> None:
        """Start to watch."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Raise the error of ours in the place of a driver's; let everything else pass."""
        if isinstance(error, self._caught) and not isinstance(error, RetentionError):
            raise self._translate(error) from None
