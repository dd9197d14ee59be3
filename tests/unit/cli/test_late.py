"""Commands that are imported when they are called: lists say the same as if all were there."""

from __future__ import annotations

import click
import pytest

from worker.cli.late import Commands, Late, LateGroup
from worker.cli.main import _COMMANDS, retention


@pytest.mark.parametrize("name", sorted(_COMMANDS))
def test_a_list_says_what_the_command_says(name: str) -> None:
    """The line of a command that is not loaded is the one that it has itself, however wide the list is."""
    there = _COMMANDS[name].command()
    listed = Commands(_COMMANDS).listed(name)
    assert name == there.name
    assert [there.get_short_help_str(width) for width in (20, 45, 200)] == [listed.get_short_help_str(width) for width in (20, 45, 200)]


def test_the_list_is_the_one_that_click_makes() -> None:
    """With every command loaded, click's own list of them is the same text."""
    context = click.Context(retention, info_name="retention", terminal_width=100)
    all_there = click.Group(commands={name: retention.commands[name] for name in retention.commands})
    texts = []
    for group in (retention, all_there):
        formatter = context.make_formatter()
        group.format_commands(context, formatter)
        texts.append(formatter.getvalue())
    assert texts[1] == texts[0]
    assert "status" in texts[0]


@pytest.mark.parametrize("name", sorted(name for name, each in _COMMANDS.items() if each.within))
def test_commands_of_other_modules_are_part_of_their_group(name: str) -> None:
    """They are listed, and each bears the name by which it is called."""
    group = retention.commands[name]
    assert isinstance(group, click.Group)
    within = _COMMANDS[name].within
    assert set(within) < set(group.list_commands(click.Context(group)))
    assert sorted(within) == sorted(group.commands[each].name or "" for each in within)


def test_a_command_that_is_not_there() -> None:
    """A name that nobody knows is no command, and what is added or taken away is seen like in any group."""
    group = LateGroup(commands=Commands({"status": Late("status.show_status", "Say.")}))
    context = click.Context(group)
    assert (None, ["status"]) == (group.get_command(context, "stauts"), group.list_commands(context))
    group.add_command(click.Command("more"))
    assert ["more", "status"] == group.list_commands(context)
    assert (2, "status") == (len(group.commands), group.commands["status"].name)
    del group.commands["more"]
    assert ["status"] == group.list_commands(context)
