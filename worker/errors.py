"""Every error the worker raises on purpose, named by what the operator does next.

No error text holds personal data: say the source, the field, the file, the line, never a value out of a record.
The exit codes are the documented ones (docs/operations.md): 1 failed, 2 usage or configuration, 3 refused, 5 partial.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class RetentionError(Exception):
    """Something stopped the work; the text says what, where, and what to do next."""

    exit_code = 1


class ConfigurationError(RetentionError):
    """The operator must change a file, a setting or a right before anything can run."""

    exit_code = 2


class NoSuchRecord(ConfigurationError):
    """A source was asked for a record by its key and has none."""


class Refused(RetentionError):
    """A brake tripped, or an approval is missing: nothing was written and a person has to decide."""

    exit_code = 3


class Busy(Refused):
    """Another run works on the same sources; the text says which."""

    exit_code = 2


class Retriable(RetentionError):
    """The same call may succeed later: a lock, a dropped connection, a busy server.

    retry_after -- how many seconds the system itself asked to be left alone (HTTP's Retry-After), None when it did not say.
    """

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class LedgerUnreachable(Retriable):
    """The ledger can't be reached or is busy: a matter of this process, and no source is to be left for it."""


class Skippable(RetentionError):
    """One record or one batch can't be done; the rest can go on."""


class SourceFailed(RetentionError):
    """One source can't be worked on now; the other sources can."""

    exit_code = 5


class AuditUnavailable(RetentionError):
    """The audit trail can't be written, so nothing may be written to any system either."""

    exit_code = 2


class LeaseLost(RetentionError):
    """A batch is somebody else's by now, so what is not committed is rolled back; the other batches can go on."""


class Changed(Skippable):
    """What was about to be written is no longer what was decided on; the batch is rolled back and said."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong in a file or a source, for a list of all of them at once.

    where -- file and key path, or source and field; line -- 1-based line in the file, or None;
    what -- what is wrong; hint -- what to do next, or an empty text.
    """

    where: str
    what: str
    hint: str = ""
    line: int | None = None

    def __str__(self) -> str:
        """Return the problem as one line: where, line, what, what to do."""
        place = f"{self.where} (line {self.line})" if self.line is not None else self.where
        return f"{place}: {self.what}" + (f" {self.hint}" if self.hint else "")


class Problems(ConfigurationError):
    """Several things are wrong at once; all of them are listed."""

    def __init__(self, title: str, problems: Sequence[Problem]) -> None:
        super().__init__(title + "\n" + "\n".join(f"  - {problem}" for problem in problems))
        self.title = title
        self.problems = tuple(problems)
