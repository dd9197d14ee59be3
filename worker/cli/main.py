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

from worker.cli.late import Commands, Late, LateGroup
from worker.cli.session import Session
from worker.errors import RetentionError
from worker.release import service_version

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

_OF_POLICIES = {
    "diff": Late("ahead.diff"),
    "register": Late("paper.write_register"),
    "statement": Late("paper.write_statement"),
}
_OF_AUDIT = {
    "find": Late("audit_events.find"),
    "prove": Late("proofs.prove"),
    "prune": Late("audit_upkeep.prune"),
    "reconcile": Late("agreement.reconcile_trail"),
    "schema": Late("audit_events.schema"),
    "subject": Late("audit_events.subject"),
}
_COMMANDS = {
    "apply": Late("runs.apply", "Carry out an approved plan and read it back."),
    "approve": Late("plans.approve", "Say yes to a plan."),
    "audit": Late("audit.audit", "Prove the audit trail, look into it, or check somebody else's.", _OF_AUDIT),
    "beat": Late("workers.beat", "Begin scheduled runs in time, and wake workers for what nobody is at."),
    "connectors": Late("connectors.connectors", "List the connectors, and begin a new one."),
    "dashboard": Late("dashboard.draw", "Draw a page from audit log files."),
    "explain": Late("explaining.explain", "Say why a record, or all about a person, is kept or due."),
    "findings": Late("attention.findings", "List and accept what a person must look at."),
    "forecast": Late("ahead.forecast", "Count what falls due in each month."),
    "hold": Late("standing.hold", "Place, list and release holds on records."),
    "keys": Late("keys.keys", "List keys, rotate them, and destroy those of a year or of a pseudonym domain."),
    "mark": Late("marks.mark", "Say on which day something happened that no system knows."),
    "plan": Late("plans.plan", "Show what is due and freeze it in a plan file."),
    "policies": Late("policies.policies", "Check, approve and list the policies.", _OF_POLICIES),
    "reconcile": Late("runs.reconcile", "End what a crash left open."),
    "replay": Late("replaying.replay", "Plan to delete again what came back."),
    "request": Late("standing.request", "Record what a subject asked for."),
    "resume": Late("stopping.resume_runs", "Let runs go on after `retention stop`."),
    "reviews": Late("reviews.reviews", "List what a person has to review, and answer."),
    "run": Late("runs.run", "Plan and apply under the brakes, for the night."),
    "runs": Late("runs.runs", "List the last runs and how they ended."),
    "sources": Late("policies.sources", "Check and approve what the sources look like."),
    "status": Late("status.show_status", "Say how things stand."),
    "stop": Late("stopping.stop_runs", "Stop runs after their batch at work."),
    "suppression": Late("suppression.suppression", "Show, ask and shorten the list of those whom no import may bring back."),
    "upcoming": Late("ahead.upcoming", "Show what falls due in the coming days."),
    "verify": Late("runs.verify", "Compare a run's effects with what is there."),
    "worker": Late("workers.worker", "Carry out batches of runs that were handed to the workers."),
}


@click.group(
    cls=LateGroup,
    commands=Commands(_COMMANDS),
    epilog=_EXIT_CODES,
    context_settings={"max_content_width": 100, "help_option_names": ["-h", "--help"]},
)
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
    from worker.cli.tables import setting_table
    from worker.settings import describe

    shown = describe(session.settings)
    if as_json:
        session.data([{"name": each.name, "value": each.value, "origin": each.origin} for each in shown])
    else:
        session.show(setting_table(shown))
    return 0


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
