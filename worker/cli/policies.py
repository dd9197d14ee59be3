"""`retention policies` and `retention sources`: what is declared, whether it fits what is there, and a person's yes to both."""

from __future__ import annotations

import json
from pathlib import Path

import click

from worker import registry
from worker.cli.session import Session
from worker.cli.tables import policy_table
from worker.errors import ConfigurationError, Problem, Problems, Retriable, SourceFailed
from worker.policyfile import check as check_file
from worker.policyfile import in_words, json_schema
from worker.ports import Advising
from worker.usecases.approving import approve_policy, approve_shape, new_in_shape
from worker.usecases.machine import Machine


@click.group()
def policies() -> None:
    """Check, approve and list the policies."""


@policies.command(epilog="Example: retention --policies new.toml policies check")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def check(session: Session, *, as_json: bool) -> int:
    """Tell everything that is wrong with the policy file.

    Runs its examples, and says which purpose decides for each field. No system is asked. Exit code 2 when something is wrong.
    """
    path = session.settings.policies
    report = check_file(path, connectors=registry.names())
    if as_json:
        session.data(
            {
                "file": str(path),
                "problems": [_problem_json(each) for each in report.problems],
                "warnings": [_problem_json(each) for each in report.warnings],
                "examples": report.examples_run,
                "declared": list(in_words(report.schedule)) if report.schedule is not None else [],
                "fields": [{"policy": each.policy, "field": each.field, "text": each.text} for each in report.fields],
            }
        )
        return ConfigurationError.exit_code if report.problems else 0
    for warning in report.warnings:
        session.say(f"Warning: {warning}", style="yellow")
    if report.problems:
        raise Problems(f"{path} can't be used:", report.problems)
    for line in report.fields:
        session.show(line.text)
    for text in in_words(report.schedule) if report.schedule is not None else ():
        session.show(text)
    session.show(f"\n{path} is right; {report.examples_run} of its examples were run.")
    return 0


@policies.command(epilog="Example: retention policies schema -o policy.schema.json")
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Where to write it, instead of standard output.")
@click.pass_obj
def schema(session: Session, output: Path | None) -> int:
    """Export the JSON Schema of the policy file.

    With it, editors complete and check the file while somebody writes it.
    """
    text = json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"
    if output is None:
        session.out.print(text, end="", soft_wrap=True)
        return 0
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{output} can't be written: {error.strerror}.") from None
    return 0


@policies.command("approve", epilog="Example: retention policies approve contacts --by 'A. Officer'")
@click.argument("sources_named", nargs=-1, metavar="[SOURCE]...")
@click.option("--by", metavar="NAME", help="Who says yes; by default the operator from the settings.")
@click.pass_obj
def approve_policies(session: Session, sources_named: tuple[str, ...], by: str | None) -> int:
    """Say yes to the present version of policies.

    Of those of the named sources, or of all. The night run carries out nothing that no person approved.
    """
    with session.machine() as machine:
        who = by or machine.operator
        for policy in machine.policies(sources_named):
            digest = approve_policy(machine, policy.source.name, who)
            session.show(f"{policy.source.name}: this version ({digest.rpartition(':')[2][:12]}) is approved by {who}.")
    return 0


@policies.command("list", epilog="Example: retention policies list --json")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def list_policies(session: Session, *, as_json: bool) -> int:
    """List the policies and who approved them."""
    with session.machine() as machine:
        rows = [(policy, machine.ledger.approved_policy(policy.source.name, policy.digest)) for policy in machine.policies()]
    if not as_json:
        session.show(policy_table(rows))
        return 0
    session.data(
        [
            {
                "source": policy.source.name,
                "version": policy.digest,
                "clause": policy.clause,
                "purposes": [each.id for each in policy.purposes],
                "approved_by": yes.by if yes else None,
                "approved_at": yes.at if yes else None,
            }
            for policy, yes in rows
        ]
    )
    return 0


@click.group()
def sources() -> None:
    """Check and approve what the sources look like."""


@sources.command("check", epilog="Example: retention sources check --json")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def check_sources(session: Session, *, as_json: bool) -> int:
    """Compare every source with what is declared.

    Asks whether columns, types, keys, children and rights are as declared, and says what a person should know: columns that look
    personal and are declared by nobody, marks of what was deleted and is still there, tables and triggers that may keep a copy. Reads
    only; values are sampled, counted and never shown. Exit code 2 when a source can't be used as declared or does not answer.
    """
    problems: dict[str, list[Problem]] = {}
    warnings: dict[str, list[Problem]] = {}
    with session.machine() as machine:
        for name in machine.schedule.sources:
            problems[name], warnings[name] = _check(machine, name)
    if as_json:
        session.data(
            {
                name: {
                    "problems": [_problem_json(each) for each in problems[name]],
                    "warnings": [_problem_json(each) for each in warnings[name]],
                }
                for name in problems
            }
        )
    else:
        for name in problems:
            for warning in warnings[name]:
                session.say(f"Warning: {warning}", style="yellow")
            session.show(f"{name}: {'can not be used' if problems[name] else 'in order'}")
    found = [each for of_one in problems.values() for each in of_one]
    if found and not as_json:
        raise Problems("Sources that can't be used as declared:", found)
    return ConfigurationError.exit_code if found else 0


def _check(machine: Machine, name: str) -> tuple[list[Problem], list[Problem]]:
    """Return what makes a source unusable, and what a person should know about it."""
    source, policy = machine.schedule.sources[name], machine.schedule.policy(name)
    try:
        opened = machine.open_source(source)
        problems, warnings = opened.problems(policy, machine.schedule.sources)
        if not problems and isinstance(opened, Advising):
            wrong, doubtful = opened.advice(policy)
            problems, warnings = [*problems, *wrong], [*warnings, *doubtful]
        new = new_in_shape(machine, name) if policy is not None and not problems else ()
    except Problems as error:
        return list(error.problems), []
    except (ConfigurationError, SourceFailed, Retriable) as error:
        return [Problem(name, str(error).removeprefix(f"{name}: "))], []
    news = [Problem(name, f"{each} is new since the last approval.", f"Then `retention sources approve {name}`.") for each in new]
    return problems, [*warnings, *news]


@sources.command("grants", epilog="Example: retention sources grants contacts --to retention > grants.sql")
@click.argument("named", nargs=-1, metavar="[SOURCE]...")
@click.option("--to", "account", metavar="ACCOUNT", help="Who gets the rights; by default the user in the source's address.")
@click.pass_obj
def grant_sources(session: Session, named: tuple[str, ...], account: str | None) -> int:
    """Print the rights that sources need, and no more.

    As statements for an administrator to read and run, worked out from the policies: which tables are read, which columns are treated, from
    which rows are deleted. Nothing is changed. On MariaDB an account is written user@host.
    """
    with session.machine() as machine:
        for name in named or machine.schedule.sources:
            if name not in machine.schedule.sources:
                raise ConfigurationError(f"There is no source {name!r}. There are: {', '.join(machine.schedule.sources)}.")
            policy = machine.schedule.policy(name)
            about = "what its policy reads, treats and deletes" if policy is not None else "is only read: no policy decides about it"
            session.show(f"-- {name}: {about}")
            for line in machine.open_source(machine.schedule.sources[name]).rights(policy, machine.schedule.sources, account):
                session.show(line)
    return 0


@sources.command("approve", epilog="Example: retention sources approve contacts")
@click.argument("source")
@click.option("--by", metavar="NAME", help="Who says yes; by default the operator from the settings.")
@click.pass_obj
def approve_source(session: Session, source: str, by: str | None) -> int:
    """Say yes to what a source looks like now.

    A new column or child table stops the runs of that source until then: personal data may have moved in.
    """
    with session.machine() as machine:
        new = new_in_shape(machine, source)
        approve_shape(machine, source, by or machine.operator)
    for each in new:
        session.show(f"New: {each}")
    session.show(f"{source}: what it looks like now is approved by {by or machine.operator}.")
    return 0


def _problem_json(problem: Problem) -> dict[str, object]:
    """Return a problem for programs."""
    return {"where": problem.where, "line": problem.line, "what": problem.what, "hint": problem.hint}
