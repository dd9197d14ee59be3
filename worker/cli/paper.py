"""`retention policies statement` and `retention policies register`: from policy to paper."""

from __future__ import annotations

from pathlib import Path

import click

from worker import clock
from worker.cli.session import Session
from worker.errors import ConfigurationError
from worker.paper import Lang, RegisterFormat, StatementFormat, register, statement, unlabelled

LANG = click.option(
    "--lang", type=click.Choice([each.value for each in Lang]), default=Lang.EN.value, show_default=True, help="In which language."
)
OUTPUT = click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Where to write it, instead of standard output."
)
_SHOWN = 12


def _format(of: type[StatementFormat | RegisterFormat]) -> click.Choice[str]:
    """Return the formats that a paper can be written in."""
    return click.Choice([each.value for each in of])


@click.command("statement", epilog="Example: retention policies statement --lang nl --format html -o retention.html")
@LANG
@click.option("--format", "layout", type=_format(StatementFormat), default="md", show_default=True, help="Markdown or HTML.")
@OUTPUT
@click.pass_obj
def write_statement(session: Session, lang: str, layout: str, output: Path | None) -> int:
    """Write the retention section of a privacy statement.

    In plain language and from the policies in force, so that what is published is what is enforced. No system is asked.
    """
    schedule = session.schedule()
    today = clock.local_day(session.now(), schedule.organisation.zone)
    write(statement(schedule, Lang(lang), StatementFormat(layout), today), output)
    _name(session, unlabelled(schedule, Lang(lang)), lang)
    ahead = [f"{each.id} (from {each.effective} on)" for each in schedule.policies if not each.in_force(today)]
    if ahead:
        session.say(f"Not in force yet, so left out: {', '.join(ahead)}.", style="yellow")
    return 0


@click.command("register", epilog="Example: retention policies register --format csv -o register.csv")
@LANG
@click.option("--format", "layout", type=_format(RegisterFormat), default="md", show_default=True, help="Markdown, HTML or CSV.")
@OUTPUT
@click.pass_obj
def write_register(session: Session, lang: str, layout: str, output: Path | None) -> int:
    """Write the record of processing activities.

    Purposes, legal bases, categories, recipients and time limits (GDPR article 30(1)), with the matrix of deletion classes (DIN 66398); CSV
    has the record only, a line for each purpose. No system is asked.
    """
    schedule = session.schedule()
    write(register(schedule, Lang(lang), RegisterFormat(layout)), output)
    _name(session, unlabelled(schedule, Lang(lang)), lang)
    return 0


def write(text: str, output: Path | None) -> None:
    """Write a paper to a file as it is, or to standard output: in UTF-8, as its head says, whatever the terminal speaks."""
    if output is None:
        click.echo(text.encode(), nl=False)
        return
    try:
        output.write_text(text, encoding="utf-8", newline="")
    except OSError as error:
        raise ConfigurationError(f"{output} can't be written: {error.strerror}.") from None


def _name(session: Session, names: tuple[str, ...], lang: str) -> None:
    """Say what a paper calls by its identifier because nobody gave it a label."""
    if names:
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        session.say(f"Without a `label` in {lang}, so called by name: {', '.join(names[:_SHOWN])}{more}.", style="yellow")
