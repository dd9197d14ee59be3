"""docs/cli.md holds the help of every command as the command prints it. To renew it: REGENERATE=1 pytest tests/unit/cli/test_docs.py."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from pathlib import Path

import click

from worker.cli.main import retention
from worker.cli.session import Session

PAGE = Path(__file__).parents[3] / "docs" / "cli.md"
_BEGIN = "<!-- The help of every command begins here; it is made from the command itself. -->\n"


def commands(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield every command with its path, groups before what is in them."""
    yield path, command
    if isinstance(command, click.Group):
        for name in sorted(command.commands):
            yield from commands(command.commands[name], (*path, name))


def help_of(path: tuple[str, ...]) -> str:
    """Return what a command prints when it is asked for help, a hundred columns wide."""
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown):
        retention.main([*path, "--help"], prog_name="retention", standalone_mode=False, obj=Session(), terminal_width=100)
    return shown.getvalue()


def made() -> str:
    """Return the part of the page that is made."""
    parts = []
    for path, _ in commands(retention):
        title = " ".join(("retention", *path))
        parts.append(f"\n## {title}\n\n```text\n{help_of(path)}```\n")
    return "".join(parts)


def test_the_page_has_the_help_of_every_command() -> None:
    """A change of a command is a change of its documentation: the page holds exactly what the commands print."""
    written, begin, _ = PAGE.read_text(encoding="utf-8").partition(_BEGIN)
    assert begin, "the page lost its mark"
    expected = written + begin + made()
    if "REGENERATE" in os.environ:
        PAGE.write_text(expected, encoding="utf-8")
    assert expected == PAGE.read_text(encoding="utf-8")


def test_every_command_has_an_example() -> None:
    """Nobody has to guess how a command is written: each one that does something shows an example in its help."""
    without = [
        " ".join(path) for path, each in commands(retention) if not isinstance(each, click.Group) and "retention" not in (each.epilog or "")
    ]
    assert without == []


def test_every_command_and_option_says_what_it_does() -> None:
    """Help without words is no help: every command has a sentence, every option too."""
    silent = [
        " ".join((*path, parameter.name or ""))
        for path, each in commands(retention)
        for parameter in each.params
        if isinstance(parameter, click.Option) and not parameter.help
    ]
    assert [] == silent
    assert [] == [" ".join(path) for path, each in commands(retention) if not each.help]
