"""`retention dashboard`: a page for the ops engineer, from the audit log files and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from worker.audit.history import history
from worker.audit.lines import archived_files
from worker.cli.paper import LANG, OUTPUT, write
from worker.cli.session import Session
from worker.errors import ConfigurationError
from worker.paper import Lang
from worker.reports.dashboard import dashboard as page

PARTIAL = 5


@click.command("dashboard", epilog="Example: retention dashboard .retention/audit -o dashboard.html --lang nl")
@click.argument("logs", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path), metavar="LOGS...")
@LANG
@OUTPUT
@click.pass_obj
def draw(session: Session, logs: tuple[Path, ...], lang: str, output: Path | None) -> int:
    """Draw a page from audit log files.

    LOGS are the files of an audit trail, or folders of them, in any order. Nothing else is read: no settings, ledger, systems or keys. The
    page is one HTML file without scripts that fetches nothing. Exit code 5 when the log is not as it was written; the page says where.
    """
    found = list(_files(logs))
    if not found:
        raise ConfigurationError("There is no audit log file (audit-*.jsonl) in what was named.")
    try:
        told = history(found)
    except OSError as error:
        raise ConfigurationError(f"{error.filename} can't be read: {error.strerror}.") from None
    write(page(told, Lang(lang), session.now()), output)
    for each in told.damage:
        session.say(str(each), style="red")
    return PARTIAL if told.damage else 0


def _files(logs: Sequence[Path]) -> Iterator[Path]:
    """Yield each file once: those that were named, and those of an audit trail in folders that were named."""
    yield from dict.fromkeys(path for named in logs for path in (archived_files(named) if named.is_dir() else (named,)))
