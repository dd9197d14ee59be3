"""What one call of the command works with: the environment, the clock, the terminal, and the machine when it is needed.

What only some calls need is imported where it is needed: asking for help opens no machine.

Results go to standard output; progress, hints, warnings and errors go to standard error, so that a pipe gets results only.
"""

from __future__ import annotations

import codecs
import datetime as dt
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from worker import clock
from worker.errors import ConfigurationError

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from worker.core.model import Schedule
    from worker.ports import Faults
    from worker.settings import Settings
    from worker.usecases.machine import Machine

_PIPE_WIDTH = 160
"""Columns of a table that doesn't go to a terminal: wide enough that no line is broken."""


@dataclass
class Session:
    """One call. `environ` and `now` are the real ones unless a caller plays another installation or another day.

    own_process -- whether the operational log of the whole process may be set up; interactive -- whether standard output is read by a
    person right now (None: ask the terminal).
    """

    environ: Mapping[str, str] | None = None
    now: clock.Now = clock.now
    faults: Faults | None = None
    own_process: bool = False
    interactive: bool | None = None
    folder: Path = field(default_factory=Path)
    policies: Path | None = None
    verbose: bool = False

    @cached_property
    def out(self) -> Console:
        """Standard output."""
        return _console(sys.stdout)

    @cached_property
    def err(self) -> Console:
        """Standard error."""
        return _console(sys.stderr)

    @cached_property
    def settings(self) -> Settings:
        """The settings, with the policy file that was named on the command line."""
        from worker.settings import load

        found = load(self.environ, folder=self.folder)
        return found if self.policies is None else found.model_copy(update={"policies": self.policies})

    def schedule(self) -> Schedule:
        """Return the policy file's schedule; Problems when something is wrong with it."""
        from worker import registry
        from worker.policyfile import load

        return load(self.settings.policies, connectors=registry.names())

    @contextmanager
    def machine(self, schedule: Schedule | None = None, *, returned_keys: bool = False, helpers: bool = False) -> Iterator[Machine]:
        """Give everything joined together for as long as the command works; with these policies, by default those of the policy file.

        returned_keys, helpers -- see `bootstrap.machine`.
        """
        from worker import bootstrap, log

        settings = self.settings
        if self.own_process:
            log.configure(json=settings.log_format == "json", level="debug" if self.verbose else settings.log_level)
        joined = bootstrap.machine(
            settings, schedule=schedule, now=self.now, faults=self.faults, returned_keys=returned_keys, helpers=helpers
        )
        with joined as found:
            yield found

    @property
    def watched(self) -> bool:
        """Whether a person reads standard output right now, and nothing keeps it."""
        return sys.stdout.isatty() if self.interactive is None else self.interactive

    def show(self, *parts: RenderableType) -> None:
        """Print a result for people."""
        for part in parts:
            self.out.print(part, soft_wrap=isinstance(part, str))

    def data(self, value: Any) -> None:
        """Print a result for programs."""
        self.out.print(json.dumps(value, indent=2, ensure_ascii=not _speaks_unicode(sys.stdout), default=_plain), soft_wrap=True)

    def say(self, text: str, *, style: str | None = None) -> None:
        """Print a hint or a warning, to standard error."""
        self.err.print(text, style=style, soft_wrap=True)

    def say_failed(self, source: str, what: str, why: str) -> None:
        """Say what did not come about with a source, and why. Most errors begin with the source's name, which is said once."""
        self.say(f"{source} {what}: {why.removeprefix(f'{source}: ')}", style="red")

    def heading(self, text: str) -> None:
        """Print a heading, to standard error."""
        self.err.print(f"\n{text}", style="bold", soft_wrap=True)

    @contextmanager
    def progress(self, doing: str, totals: Mapping[str, int] | None = None) -> Iterator[Callable[[str, int], None]]:
        """Give a function that is told (source, how many more); a bar per source while standard error is a terminal, else nothing."""
        if not self.err.is_terminal:
            yield lambda _source, _count: None
            return
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self.err, transient=totals is None) as bars:
            tasks = {name: bars.add_task(f"{doing} {name}", total=total) for name, total in (totals or {}).items() if total}

            def advance(source: str, count: int) -> None:
                if source not in tasks:
                    tasks[source] = bars.add_task(f"{doing} {source}", total=None)
                bars.advance(tasks[source], count)

            yield advance


def _console(file: Any) -> Console:
    """Return a console that prints what it is given: no markup, emoji or colour is read into the text."""
    from rich.console import Console

    if not _speaks_unicode(file) and hasattr(file, "reconfigure"):
        file.reconfigure(errors=_STANDING_IN)
    plain = not file.isatty()
    width = _PIPE_WIDTH if plain and "COLUMNS" not in os.environ else None
    return Console(file=file, markup=False, highlight=False, emoji=False, width=width)


_STANDING_IN = "retention.standing_in"
_STAND_INS = {"\u202f": " ", "\u2026": "...", "\u2013": "-", "\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\u20ac": "EUR"}


def _speaks_unicode(file: Any) -> bool:
    """Whether every character can be written to a file: not in the older locales of Western Europe, nor in plain ASCII."""
    return (getattr(file, "encoding", None) or "utf-8").lower().startswith("utf")


def _standing_in(error: UnicodeError) -> tuple[str, int]:
    """Return what is written for characters that an encoding has not: a table that says less well what it says is better than none."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    missing = error.object[error.start : error.end]
    return "".join(_STAND_INS.get(each, f"\\u{ord(each):04x}") for each in missing), error.end


codecs.register_error(_STANDING_IN, _standing_in)


def _plain(value: object) -> object:
    """Return a value in JSON's types."""
    if isinstance(value, dt.date | dt.datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    return str(value)


class Day(click.ParamType[dt.date]):
    """A calendar day, written YYYY-MM-DD."""

    name = "day"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dt.date:
        """Return the day."""
        if isinstance(value, dt.date):
            return value
        try:
            return dt.datetime.strptime(str(value), "%Y-%m-%d").replace(tzinfo=dt.UTC).date()
        except ValueError:
            self.fail("a day is written as YYYY-MM-DD, for instance 2026-06-30.", param, ctx)


FILE = click.Path(path_type=Path, dir_okay=False)
DAY = Day()


def typed(session: Session, given: Sequence[str], what: str, *, warn: bool = True) -> list[str]:
    """Return what a person typed: the arguments, with `-` replaced by the lines of standard input (or of a prompt).

    warn -- say that the command line is no place for what recognises a person. ConfigurationError when nothing was typed.
    """
    found: list[str] = []
    for each in given:
        if each != "-":
            found.append(each)
            if warn:
                session.say(
                    f"Warning: the {what} on the command line stays in the shell's history, and others see it in the list of processes. "
                    "Write - instead and type it when you are asked.",
                    style="yellow",
                )
        elif sys.stdin.isatty():
            found.append(str(click.prompt(what.capitalize(), err=True)).strip())
        else:
            found.extend(line.strip() for line in sys.stdin if line.strip())
    if not found:
        raise ConfigurationError(f"No {what} was given on standard input.")
    return found
