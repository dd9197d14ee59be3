"""`retention plan` and `retention approve`: what would be done, in figures and in samples, and a person's yes to it."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import click

from worker.cli.paper import LANG, OUTPUT, write
from worker.cli.session import DAY, FILE, Session
from worker.cli.tables import action_table, finding_table, plan_table, sample_table
from worker.errors import ConfigurationError
from worker.ledger.rows import FindingRow
from worker.paper import Lang
from worker.planfile import PlanFile
from worker.reports.plan import plan_page
from worker.usecases.applying import DONE, NEW_FINDINGS, PARTIAL
from worker.usecases.approving import approve as approve_plan
from worker.usecases.approving import open_plan
from worker.usecases.machine import Machine
from worker.usecases.planning import MadePlan, make_plan
from worker.usecases.reporting import finding_json, finding_of
from worker.usecases.sampling import sample as sample_due


@click.group(
    invoke_without_command=True,
    epilog="\b\nExamples:\n  retention plan\n  retention plan --as-of 2027-01-01 --source contacts\n  retention plan --full -o plan.jsonl",
)
@click.option("--as-of", type=DAY, metavar="DAY", help="Decide for this local day instead of today.")
@click.option("--source", "named", multiple=True, metavar="NAME", help="Only this source; may be repeated.")
@click.option("-o", "--output", type=FILE, metavar="FILE", help="Where the plan file goes, instead of the plans folder.")
@click.option("--full", is_flag=True, help="Read every record, for exact counts of what is kept.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_context
def plan(context: click.Context, as_of: dt.date | None, named: tuple[str, ...], output: Path | None, *, full: bool, as_json: bool) -> int:
    """Show what is due and freeze it in a plan file.

    Reads only: nothing in any system is changed. Exit code 4 when a person must look at new findings, 5 when a source could not be read.
    """
    if context.invoked_subcommand is not None:
        return DONE
    session: Session = context.obj
    with session.machine() as machine:
        with session.progress("Reading") as progress:
            made = make_plan(machine, as_of=as_of, sources=named, path=output, full=full, progress=progress)
        return report_plan(session, machine, made, as_json=as_json)


def report_plan(session: Session, machine: Machine, made: MadePlan, *, as_json: bool = False) -> int:
    """Print a plan that was just made and return the exit code; ConfigurationError when no source at all could be read."""
    if made.failed and not made.acting:
        made.path.unlink(missing_ok=True)
        reasons = "\n".join(f"  - {name}: {why}" for name, why in made.failed.items())
        raise ConfigurationError(f"No source could be read, so there is no plan:\n{reasons}")
    new = machine.ledger.new_findings(machine.today(), made.findings)
    code = PARTIAL if made.failed else NEW_FINDINGS if new else DONE
    acting = sum(made.acting.values())
    if as_json:
        session.data({**_plan_json(PlanFile(made.path, made.header, made.summary, ""), new), "failed": made.failed, "exit_code": code})
        return code
    session.show(plan_table(made.header.as_of, made.summary.counts, made.failed, session.out.width))
    if made.findings:
        session.show(finding_table(made.findings, {each.digest for each in new}))
    for name, reason in made.failed.items():
        session.say_failed(name, "could not be read", reason)
    session.show(f"Plan file: {made.path}")
    if acting:
        session.say(
            f"Next: look at it (`retention plan show {made.path}`), then `retention approve {made.path}` and `retention apply {made.path}`."
        )
    else:
        session.say("There is nothing to do.")
    if new:
        session.say(f"{len(new)} new findings: mend the cause, or accept one with `retention findings accept ID`.")
    return code


@plan.command(epilog="\b\nExamples:\n  retention plan show plan.jsonl\n  retention plan show plan.jsonl --html -o plan.html --lang nl")
@click.argument("file", type=FILE)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.option("--html", "as_html", is_flag=True, help="As a page for whoever approves it.")
@OUTPUT
@LANG
@click.pass_obj
def show(session: Session, file: Path, output: Path | None, lang: str, *, as_json: bool, as_html: bool) -> int:
    """Show a plan file that was made earlier.

    Its counts, what it does with which fields, its findings, and whether it is approved. The page says the reasons in words too, what a yes
    means and how to give it; it is one HTML file without scripts that fetches nothing, and holds no personal data.
    """
    if as_html and as_json:
        raise click.UsageError("A plan is shown as --json or as --html.")
    if not as_html and (output is not None or lang != Lang.EN):
        raise click.UsageError("-o and --lang go with --html.")
    with session.machine() as machine:
        opened = open_plan(machine, file)
        found = [finding_of(dict(each)) for each in opened.summary.findings]
        new = machine.ledger.new_findings(machine.today(), found)
        approval = machine.ledger.plan_approval(opened.header.plan_id)
    if as_html:
        write(plan_page(opened, machine.schedule, Lang(lang), findings=found, new={each.digest for each in new}, approval=approval), output)
        return DONE
    actions = _actions(opened)
    if as_json:
        said = [dict(zip(("source", "action", "fields", "records", "first_due", "last_due"), each, strict=True)) for each in actions]
        yes = {"by": approval.by, "at": approval.at} if approval else None
        session.data({**_plan_json(opened, new), "actions": said, "approved": yes})
        return DONE
    if opened.header.replay:
        session.show("A replay: it deletes again what was deleted before and came back, and nothing else.")
    session.show(plan_table(opened.header.as_of, opened.summary.counts, {}, session.out.width), action_table(actions))
    if found:
        session.show(finding_table(found, {each.digest for each in new}))
    header = opened.header
    until = f"{header.expires_at:%Y-%m-%d %H:%M} UTC"
    session.show(f"Plan {header.plan_id}, made by {header.made_by} at {header.made_at:%Y-%m-%d %H:%M} UTC; can be applied until {until}.")
    session.show(f"Approved by {approval.by} at {approval.at:%Y-%m-%d %H:%M} UTC." if approval else "Nobody has approved it yet.")
    if approval is None:
        session.say(f"Next: `retention approve {file} --plan {header.plan_id}`, which is a yes to this plan and no other.")
    return DONE


@plan.command(epilog="\b\nExamples:\n  retention plan sample 5 --source contacts\n  retention plan sample 20 --undetermined")
@click.argument("number", type=click.IntRange(1, 100))
@click.option("--source", "named", multiple=True, metavar="NAME", help="Only this source; may be repeated.")
@click.option("--as-of", type=DAY, metavar="DAY", help="Decide for this local day instead of today.")
@click.option("--undetermined", is_flag=True, help="Instead, records about which something is unknown, and what.")
@click.pass_obj
def sample(session: Session, number: int, named: tuple[str, ...], as_of: dt.date | None, *, undetermined: bool) -> int:
    """Show some due records, picked at random.

    Or, to mend them, some that are undetermined. With their personal fields. Only on a terminal, never into a file or a pipe: what is
    shown is personal data, and nothing of it is kept.
    """
    if not session.watched:
        raise ConfigurationError("A sample shows personal data, so it is shown on a terminal only, not written to a file or a pipe.")
    with session.machine() as machine:
        for policy in machine.policies(named):
            picked = sample_due(machine, policy, number, as_of, undetermined=undetermined)
            if picked.rows:
                session.show(sample_table(policy.source.name, picked.columns, picked.rows))
            else:
                session.say(f"{policy.source.name}: nothing is {'undetermined' if undetermined else 'due'}.")
    return DONE


@click.command(
    epilog="\b\nExamples:\n  retention approve plan.jsonl --by 'A. Officer'\n  retention approve plan.jsonl --plan 0123456789abcdef"
)
@click.argument("file", type=FILE)
@click.option("--by", metavar="NAME", help="Who says yes; by default the operator from the settings.")
@click.option("--plan", "looked_at", metavar="ID", help="Only if this plan is in the file, as it was shown: the one that was looked at.")
@click.pass_obj
def approve(session: Session, file: Path, by: str | None, looked_at: str | None) -> int:
    """Say yes to a plan.

    And with it to the version of its policies and to what its sources look like. Refused when the plan was changed, has expired, is for
    a day still to come, was made from other policies than those in force, or was made by the same person while two are asked for.
    """
    with session.machine() as machine:
        opened = approve_plan(machine, file, by or machine.operator, looked_at)
        session.show(f"Plan {opened.header.plan_id} is approved by {by or machine.operator}.")
        session.say(f"Next: `retention apply {file}`.")
    return DONE


def _actions(opened: PlanFile) -> list[tuple[str, str, str, int, dt.date, dt.date]]:
    """Return what a plan does, by source, action and fields, with the number of records and their first and last due day."""
    found: dict[tuple[str, str, str], tuple[int, dt.date, dt.date]] = {}
    for batch in opened.batches():
        for position in batch.records.values():
            reason = batch.reasons[position]
            group = (batch.source, reason.action, ", ".join(reason.fields) if reason.action != "delete" else "")
            count, first, last = found.get(group, (0, reason.due, reason.due))
            found[group] = (count + 1, min(first, reason.due), max(last, reason.due))
    return [(*group, *values) for group, values in found.items()]


def _plan_json(opened: PlanFile, new: list[FindingRow]) -> dict[str, Any]:
    """Return a plan for programs."""
    fresh = {each.digest for each in new}
    header = opened.header
    findings = [{**finding_json(row), "new": row.digest in fresh} for row in (finding_of(dict(each)) for each in opened.summary.findings)]
    return {
        "plan": header.plan_id,
        "file": str(opened.path),
        "as_of": header.as_of,
        "made_by": header.made_by,
        "made_at": header.made_at,
        "expires_at": header.expires_at,
        "policies": dict(header.policies),
        "sources": opened.summary.counts,
        "findings": findings,
        **({"replay": True} if header.replay else {}),
    }
