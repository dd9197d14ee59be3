"""The entry point: the group of all commands, and what becomes of every error.

Threat model. What this prints may end in a mail from cron or in a log. An error of our own is printed as it is, because its text is made
without personal data; of any other error only the type and the place in the code are printed: its text may quote a record.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from traceback import extract_tb

import click

from worker.bootstrap import service_version
from worker.cli import (
    agreement,
    ahead,
    attention,
    audit,
    audit_events,
    audit_upkeep,
    connectors,
    dashboard,
    explaining,
    keys,
    marks,
    paper,
    plans,
    policies,
    proofs,
    replaying,
    reviews,
    runs,
    standing,
    status,
    stopping,
    suppression,
    workers,
)
from worker.cli.session import Session
from worker.cli.tables import setting_table
from worker.errors import RetentionError
from worker.settings import describe

INTERRUPTED = 130
_EXIT_CODES = """\b
Exit codes:
  0    done
  1    failed
  2    usage or configuration: change a file, a setting or a right
  3    refused by a brake or for want of approval; nothing was written
  4    done, with new findings that a person must look at
  5    partial: a source or a record failed, the rest is done
  130  interrupted; the batch at work was rolled back

\b
First steps:
  retention policies check
  retention sources check
  retention plan
"""


@click.group(epilog=_EXIT_CODES, context_settings={"max_content_width": 100, "help_option_names": ["-h", "--help"]})
@click.option("--policies", type=click.Path(path_type=Path), metavar="FILE", help="The policy file, instead of RETENTION_POLICIES.")
@click.option("-v", "--verbose", is_flag=True, help="Log everything, to standard error.")
@click.version_option(service_version(), prog_name="retention")
@click.pass_obj
def retention(session: Session, policies: Path | None, *, verbose: bool) -> None:
    """Enforce the retention periods that an organisation published.

    Plans what is due, shows it, carries out what a person approved, reads back what was done, and keeps an audit trail without personal
    data. Where the systems are and how to get in stands in the settings; what is kept and for how long in the policy file.
    """
    session.policies = policies
    session.verbose = verbose


@retention.command(epilog="Example: retention settings --json")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def settings(session: Session, *, as_json: bool) -> int:
    """Show the settings in force, with secrets hidden.

    Every setting with where it came from: the environment, `.env`, the folder of secrets, or its default.
    """
    shown = describe(session.settings)
    if as_json:
        session.data([{"name": each.name, "value": each.value, "origin": each.origin} for each in shown])
    else:
        session.show(setting_table(shown))
    return 0


for _command in (
    policies.policies,
    policies.sources,
    connectors.connectors,
    plans.plan,
    plans.approve,
    runs.apply,
    runs.run,
    runs.verify,
    runs.reconcile,
    runs.runs,
    stopping.stop_runs,
    stopping.resume_runs,
    replaying.replay,
    suppression.suppression,
    explaining.explain,
    attention.findings,
    standing.hold,
    standing.request,
    ahead.forecast,
    ahead.upcoming,
    marks.mark,
    reviews.reviews,
    audit.audit,
    keys.keys,
    dashboard.draw,
    status.show_status,
    workers.worker,
    workers.beat,
):
    retention.add_command(_command)
policies.policies.add_command(ahead.diff)
policies.policies.add_command(paper.write_statement)
policies.policies.add_command(paper.write_register)
for _command in (audit_events.schema, audit_events.find, audit_events.subject, proofs.prove, audit_upkeep.prune, agreement.reconcile_trail):
    audit.audit.add_command(_command)


def run(args: Sequence[str], session: Session) -> int:
    """Carry out one command line and return its exit code; every error was printed by then."""
    try:
        code = retention.main(args=list(args), prog_name="retention", standalone_mode=False, obj=session)
        return code if isinstance(code, int) else 0
    except click.ClickException as error:
        error.show(file=sys.stderr)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        session.say("Interrupted. The batch at work was rolled back; what was finished before stays done.")
        return INTERRUPTED
    except RetentionError as error:
        session.say(str(error), style="red")
        return error.exit_code
    except Exception as error:  # noqa: BLE001 - the last line: its text is never printed, its type and place are
        session.say(internal(error), style="red")
        return 1


def internal(error: BaseException) -> str:
    """Return what is said about an error nobody foresaw: its type and its place, no text and no values."""
    innermost, *callers = reversed(extract_tb(error.__traceback__))
    own = [each for each in callers if {"worker", "connectors"} & set(Path(each.filename).parts) and each.filename != __file__]
    places = " <- ".join(f"{Path(each.filename).name}:{each.lineno} {each.name}" for each in (innermost, *own[:2]))
    chain = [type(error).__name__]
    cause = error.__cause__
    while cause is not None:
        chain.append(type(cause).__name__)
        cause = cause.__cause__
    return (
        f"Internal error: {' from '.join(chain)} at {places}. Its text is withheld because it may quote a record. What was finished before "
        f"stays done. Please report this line with the version ({service_version()}) to those who maintain this program."
    )


def main() -> None:
    """Run the command of this process and leave with its exit code."""
    sys.exit(run(sys.argv[1:], Session(own_process=True)))


if __name__ == "__main__":
    main()
