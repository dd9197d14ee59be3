"""`retention suppression`: whom no import may bring back, and cleaning an import before it is made.

What people type or pipe in comes from standard input, and what may be imported goes to standard output; nothing of it is kept or logged.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Iterator

import click

from worker.cli.session import Session, typed
from worker.cli.tables import suppression_table
from worker.errors import ConfigurationError
from worker.usecases.suppressing import SuppressionIndex, list_of
from worker.usecases.suppressing import release as release_people


@click.group()
def suppression() -> None:
    """Show, ask and shorten the list of those whom no import may bring back."""


@suppression.command("list", epilog="Example: retention suppression list --json")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def list_suppressed(session: Session, *, as_json: bool) -> int:
    """List of how many deleted records people are suppressed, by source. Nobody can tell who they are."""
    with session.machine() as machine:
        found = list(machine.ledger.suppressing(machine.today()).values())
    if as_json:
        session.data([{"source": each.source, "records": each.records, "since": each.since, "until": each.until} for each in found])
    elif found:
        session.show(suppression_table(found))
    else:
        session.show("Nobody is suppressed.")
    return 0


@suppression.command(
    epilog="\b\nExamples:\n  retention suppression check newsletter < addresses.txt > clean.txt\n"
    "  retention suppression check newsletter --column email < import.csv > clean.csv",
)
@click.argument("source")
@click.option("--column", metavar="NAME", help="Standard input is CSV, and this column of it holds the identifier.")
@click.option("--suppressed", is_flag=True, help="Write the numbers of the lines that may not be imported, instead of the others.")
@click.pass_obj
def check(session: Session, source: str, column: str | None, *, suppressed: bool) -> int:
    """Take out of an import whoever is suppressed in a source.

    Reads identifiers from standard input, one a line, or CSV with a line of names. Writes what may be imported as it came, in its order.
    Case, spaces and ways of writing a telephone number make no difference. What it reads is kept nowhere.
    """
    read = _rows(sys.stdin, column) if column is not None else _lines(sys.stdin)
    write = csv.writer(sys.stdout, lineterminator="\n").writerow if column is not None else _write_line
    seen = away = 0
    with session.machine() as machine, SuppressionIndex(machine, list_of(machine, source), machine.today()) as index:
        for number, text, row in read:
            found = text is not None and index.holds(text)
            seen += text is not None
            away += found
            if found == suppressed:
                write([str(number)] if suppressed else row)
    sys.stdout.flush()
    session.say(f"{away} of {seen} are suppressed.")
    return 0


def _write_line(row: list[str]) -> None:
    """Write a line as it came."""
    sys.stdout.write(f"{row[0]}\n")


def _lines(file: Iterable[str]) -> Iterator[tuple[int, str | None, list[str]]]:
    """Yield the number of each line, what it holds, and the line."""
    for number, line in enumerate(_text(file), 1):
        text = line.rstrip("\r\n")
        yield number, text if text.strip() else None, [text]


def _text(file: Iterable[str]) -> Iterator[str]:
    """Yield lines; ConfigurationError when they are no text, without quoting them."""
    try:
        yield from file
    except UnicodeDecodeError:
        raise ConfigurationError("Standard input is not UTF-8 text. Convert it first, for instance with iconv.") from None


def _rows(file: Iterable[str], column: str) -> Iterator[tuple[int, str | None, list[str]]]:
    """Yield the number of each row's last line, its identifier (None for the line of names) and the row."""
    reader = csv.reader(_text(file))
    try:
        names = next(reader, [])
        if column not in [name.strip().removeprefix("\ufeff") for name in names]:
            raise ConfigurationError(f"The first line names no column {column!r}. Does it hold the names, separated by commas?")
        place = [name.strip().removeprefix("\ufeff") for name in names].index(column)
        yield reader.line_num, None, names
        for row in reader:
            yield reader.line_num, row[place] if place < len(row) else None, row
    except csv.Error:
        # What it says can quote the line.
        raise ConfigurationError(f"Line {reader.line_num} of standard input is no CSV.") from None


@suppression.command(epilog="Example: retention suppression release newsletter -")
@click.argument("source")
@click.argument("identifiers", nargs=-1, required=True)
@click.pass_obj
def release(session: Session, source: str, identifiers: tuple[str, ...]) -> int:
    """Take people off the list of a source, because they may come back.

    IDENTIFIERS is -, which reads them from standard input, one a line. The trail says that it was done and by whom, and names them by keyed
    references.
    """
    named = typed(session, identifiers, "identifier")
    with session.machine() as machine:
        count = release_people(machine, source, named)
    session.show(f"{count} released." if count else "Nobody of them was suppressed.")
    return 0
