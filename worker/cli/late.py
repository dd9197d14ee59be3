"""Commands that are imported when they are called: what a night run never shows, such as pages and charts, need not be loaded for it.

What the list of commands says about each stands beside its place, so that `retention --help` loads none of them; a test holds the two
together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import cast

import click


@dataclass(frozen=True, slots=True)
class Late:
    """A command that is not there yet.

    place -- module of this package and name in it, such as `runs.apply`; line -- what lists say about it; within -- commands of other
    modules that are part of this group, by name.
    """

    place: str
    line: str = ""
    within: Mapping[str, Late] = field(default_factory=dict)

    def command(self) -> click.Command:
        """Import the command."""
        module, _, name = self.place.partition(".")
        found = cast("click.Command", getattr(import_module(f"worker.cli.{module}"), name))
        if self.within and isinstance(found, click.Group):
            found.commands = Commands({**found.commands, **self.within})
        return found


class Commands(MutableMapping[str, click.Command]):
    """Commands by name, of which some are not there yet; asking for one imports it, and only it."""

    def __init__(self, known: Mapping[str, click.Command | Late]) -> None:
        self._known = dict(known)

    def __getitem__(self, name: str) -> click.Command:
        found = self._known[name]
        if isinstance(found, Late):
            self._known[name] = found = found.command()
        return found

    def __setitem__(self, name: str, command: click.Command) -> None:
        self._known[name] = command

    def __delitem__(self, name: str) -> None:
        del self._known[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)

    def listed(self, name: str) -> click.Command:
        """Return a command as far as a list needs it; nothing is imported."""
        found = self._known[name]
        return click.Command(name, help=found.line) if isinstance(found, Late) else found


class LateGroup(click.Group):
    """A group whose list of commands imports none of them."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands, as click does."""
        known = self.commands if isinstance(self.commands, Commands) else Commands(self.commands)
        listing = click.Group(commands={name: known.listed(name) for name in known})
        listing.format_commands(ctx, formatter)
