"""`retention forecast`, `retention upcoming`, `retention policies diff`: looking ahead without writing anything anywhere."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from worker import bootstrap, registry
from worker.cli.overview import forecast_tables
from worker.cli.session import DAY, Session
from worker.cli.tables import comparison_table, upcoming_record_table, upcoming_table
from worker.core.model import Schedule
from worker.errors import ConfigurationError, Problem, Problems
from worker.policyfile import check as check_file
from worker.usecases.applying import DONE, PARTIAL
from worker.usecases.comparing import Effect, compare
from worker.usecases.forecasting import FALLS, Forecast, Upcoming
from worker.usecases.forecasting import forecast as make_forecast
from worker.usecases.forecasting import upcoming as look_ahead

_MONTHS = click.IntRange(1, 120)
FILE = click.Path(path_type=Path, dir_okay=False)


@click.command(epilog="\b\nExamples:\n  retention forecast\n  retention forecast --months 24 --source contacts --json")
@click.option("--months", type=_MONTHS, default=12, show_default=True, metavar="N", help="How many months, the present one included.")
@click.option("--source", "named", multiple=True, metavar="NAME", help="Only this source; may be repeated.")
@click.option("--as-of", type=DAY, metavar="DAY", help="Look ahead from this local day instead of today.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def forecast(session: Session, months: int, named: tuple[str, ...], as_of: dt.date | None, *, as_json: bool) -> int:
    """Count what falls due in each month.

    By policy, from the plan's own decisions; each record once, in the month in which something first happens to it. Assumes that nothing
    changes until then: no new contact, no new hold or request. Reads only. Exit code 5 when a source could not be read.
    """
    with session.machine() as machine, session.progress("Reading") as progress:
        made = make_forecast(machine, months=months, as_of=as_of, sources=named, progress=progress)
    code = _code(made.failed, len(made.policies))
    if as_json:
        session.data(_forecast_json(made))
    else:
        session.show(*forecast_tables(made, session.out.width))
        _say_failed(session, made.failed)
    return code


@click.command(epilog="\b\nExamples:\n  retention upcoming\n  retention upcoming --days 14 --owner 'Recruiting' --records")
@click.option("--days", type=click.IntRange(1, 3660), default=30, show_default=True, metavar="N", help="How many days, today included.")
@click.option("--owner", metavar="NAME", help="Only policies of this owner.")
@click.option("--source", "named", multiple=True, metavar="NAME", help="Only this source; may be repeated.")
@click.option("--records", is_flag=True, help="List the keys too: on a terminal only, or with --json for the program that is to get them.")
@click.option("--json", "as_json", is_flag=True, help="For programs; without keys unless --records asks for them.")
@click.pass_obj
def upcoming(session: Session, days: int, owner: str | None, named: tuple[str, ...], *, records: bool, as_json: bool) -> int:
    """Show what falls due in the coming days.

    What is not due yet, by policy and owner, with the first day, so that consent can be asked in time. A policy with a longer lead time
    looks that far ahead. Reads only; nothing of it is kept. Exit code 5 when a source could not be read.
    """
    if records and not as_json and not session.watched:
        raise ConfigurationError(
            "Keys may be personal data, so they are shown on a terminal only. For a program that needs them: --records --json."
        )
    with session.machine() as machine, session.progress("Reading") as progress:
        found, failed = look_ahead(machine, days=days, owner=owner, sources=named, records=records, progress=progress)
        today = machine.today()
        keys = {each.policy: machine.policy(each.policy).source.key for each in found}
    code = _code(failed, len(found))
    if as_json:
        session.data({"as_of": today, "policies": [_upcoming_json(each, records=records) for each in found], "failed": failed})
        return code
    session.show(upcoming_table(today, found))
    for each in found:
        if each.records:
            session.show(upcoming_record_table(each, keys[each.policy]))
    _say_failed(session, failed)
    return code


@click.command(epilog="Example: retention policies diff policies.toml new.toml --months 24")
@click.argument("old", type=FILE)
@click.argument("new", type=FILE)
@click.option("--months", type=_MONTHS, default=12, show_default=True, metavar="N", help="How far ahead due days are compared.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def diff(session: Session, old: Path, new: Path, months: int, *, as_json: bool) -> int:
    """Compare what two policy files mean for the records there are.

    Both files are checked. Then, for every policy that differs: what it says otherwise, and how many records become due now, earlier,
    later or no longer; and what they declare otherwise of that which no server can enforce. Reads only. Exit code 2 when a file is wrong,
    5 when a source could not be read.
    """
    before, after = _schedules(old, new)
    with (
        session.machine(after) as machine,
        bootstrap.beside(machine, before) as earlier,
        session.progress("Reading") as progress,
    ):
        made = compare(earlier, machine, months=months, progress=progress)
    code = _code(made.failed, len(made.policies) + len(made.same))
    if as_json:
        session.data(
            {
                "as_of": made.as_of,
                "until": made.until,
                "policies": [
                    {
                        "policy": each.policy,
                        "state": each.state.value,
                        "words": each.words,
                        "records": each.total,
                        "effects": {effect.value: each.effects[effect] for effect in Effect},
                    }
                    for each in made.policies
                ],
                "declared": made.declared,
                "same": made.same,
                "failed": made.failed,
            }
        )
        return code
    if made.policies:
        session.show(comparison_table(made))
    for each in made.policies:
        for line in each.words:
            session.show(f"{each.policy}: {line}")
    for line in made.declared:
        session.show(line)
    if made.same:
        session.show(f"The same in both: {', '.join(made.same)}.")
    _say_failed(session, made.failed)
    return code


def _schedules(old: Path, new: Path) -> tuple[Schedule, Schedule]:
    """Return what two policy files declare; Problems with everything that is wrong in either."""
    problems: list[Problem] = []
    schedules: list[Schedule] = []
    for path in (old, new):
        report = check_file(path, connectors=registry.names())
        problems.extend(report.problems)
        if report.schedule is not None:
            schedules.append(report.schedule)
    if len(schedules) != 2:
        raise Problems("These policy files can't be compared:", problems)
    return schedules[0], schedules[1]


def _code(failed: Mapping[str, str], read: int) -> int:
    """Return the exit code; ConfigurationError when no source at all could be read."""
    if failed and not read:
        reasons = "\n".join(f"  - {name}: {why}" for name, why in failed.items())
        raise ConfigurationError(f"No source could be read:\n{reasons}")
    return PARTIAL if failed else DONE


def _say_failed(session: Session, failed: Mapping[str, str]) -> None:
    """Say which sources are missing from a table."""
    for name, why in failed.items():
        session.say_failed(name, "could not be read", why)


def _forecast_json(made: Forecast) -> dict[str, Any]:
    """Return a forecast for programs."""
    steps = ("now", *(f"{month:%Y-%m}" for month in made.months))
    return {
        "as_of": made.as_of,
        "policies": [
            {
                "policy": each.policy,
                "records": each.total,
                **{word: {name: each.counts[word, step] for step, name in enumerate(steps)} for word in FALLS},
                "later_or_never": each.rest,
            }
            for each in made.policies
        ],
        "failed": made.failed,
    }


def _upcoming_json(each: Upcoming, *, records: bool) -> dict[str, Any]:
    """Return what falls due under one policy for programs."""
    keys = [{"key": key, "what": word, "due": day} for key, word, day in each.records]
    return {
        "policy": each.policy,
        "owner": each.owner,
        "until": each.until,
        "first": each.first,
        **{word: each.number(word) for word in FALLS},
        **({"records": keys} if records else {}),
    }
