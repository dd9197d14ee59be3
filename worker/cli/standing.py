"""`retention hold` and `retention request`: what people said about records, apart from the policies."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any, get_args

import click

from worker.cli.overview import hold_table, request_table
from worker.cli.session import DAY, Session, typed
from worker.ledger.rows import HoldKind, HoldScope, RequestKind
from worker.usecases.standing import Sought, add_hold, add_request, close_request, release_hold, sought, uphold_request

_SECRET = ("token", "tokens", "key_id")


@click.group()
def hold() -> None:
    """Place, list and release holds on records."""


@hold.command(
    "add",
    epilog="\b\nExamples:\n"
    "  retention hold add --kind dispute --scope subject --subject - --owner Legal --reason 'file 12' --review-on 2027-01-01\n"
    "  retention hold add --kind legal --scope source --source invoices --owner Legal --reason audit --review-on 2027-01-01",
)
@click.option("--kind", required=True, type=click.Choice(get_args(HoldKind)), help="Why.")
@click.option("--scope", required=True, type=click.Choice(get_args(HoldScope)), help="What it is about.")
@click.option("--owner", required=True, metavar="NAME", help="Who answers for it.")
@click.option("--reason", required=True, metavar="TEXT", help="For which matter; no personal data.")
@click.option("--review-on", required=True, type=DAY, metavar="DAY", help="When somebody looks again; it is never released by itself.")
@click.option("--source", metavar="NAME", help="The source, for the scopes record and source; narrows the scope subject.")
@click.option("--key", metavar="-|KEY", help="The record's key, for the scope record; - reads it.")
@click.option(
    "--subject", "subjects", multiple=True, metavar="-|TEXT", help="A person's e-mail address or number, for the scope subject; - reads it."
)
@click.option("--case", metavar="NUMBER", help="The case number, for the scope case.")
@click.option("--category", metavar="NAME", help="A category of the policies, for the scope category.")
@click.pass_obj
def add(
    session: Session,
    kind: HoldKind,
    scope: HoldScope,
    owner: str,
    reason: str,
    review_on: dt.date,
    source: str | None,
    key: str | None,
    subjects: tuple[str, ...],
    case: str | None,
    category: str | None,
) -> int:
    """Place a hold.

    When this returns it is in force: no batch is at work that has not seen it.
    """
    if scope in ("record", "source") and source is None:
        raise click.UsageError(f"A hold with scope {scope} needs --source.")
    needed = {"record": ("--key", key), "subject": ("--subject", subjects), "case": ("--case", case), "category": ("--category", category)}
    option, value = needed.get(scope, ("", "-"))
    if not value:
        raise click.UsageError(f"A hold with scope {scope} needs {option}.")
    with session.machine() as machine:
        chosen = typed(session, (key,), "key", warn=not key.replace(",", "").isdigit())[0] if key is not None else None
        whom = typed(session, subjects, "identifier") if subjects else ()
        rows = add_hold(
            machine,
            kind=kind,
            scope=scope,
            owner=owner,
            reason=reason,
            review_on=review_on,
            source=source,
            key=chosen,
            identifiers=whom,
            case=case,
            category=category,
        )
        ways = sought(machine, whom, doubtful=True)
    for row in rows:
        session.show(f"Hold {row.hold_id} is in force.")
    if scope == "subject":
        _say_how(session, ways)
        session.show("See which records it keeps, for a mistyped name keeps none: retention explain --subject -")
    if scope == "record":
        session.show(f"See that it keeps the record, for a mistyped key keeps none: retention explain {source} -")
    return 0


@hold.command("list", epilog="Example: retention hold list --all")
@click.option("--all", "everything", is_flag=True, help="Also those that were released.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def list_holds(session: Session, *, everything: bool, as_json: bool) -> int:
    """List the holds.

    Whom they are about is kept as a keyed value only, and not shown.
    """
    with session.machine() as machine:
        rows = machine.ledger.holds(active=not everything)
    if as_json:
        session.data([_without_tokens(asdict(each)) for each in rows])
    else:
        session.show(hold_table(rows, session.out.width))
    return 0


@hold.command(epilog="Example: retention hold release hold-0a1b2c3d")
@click.argument("hold_id", metavar="ID")
@click.pass_obj
def release(session: Session, hold_id: str) -> int:
    """Release a hold; due days are the original ones again."""
    with session.machine() as machine:
        release_hold(machine, hold_id)
    session.show(f"Hold {hold_id} is released.")
    return 0


@click.group()
def request() -> None:
    """Record what a subject asked for."""


@request.command("add", epilog="Example: retention request add --kind erase --subject - --verified-by 'B. Clerk'")
@click.option("--kind", required=True, type=click.Choice(get_args(RequestKind)), help="What was asked for (GDPR 15 to 21).")
@click.option(
    "--subject",
    "subjects",
    required=True,
    multiple=True,
    metavar="-|TEXT",
    help="The person's e-mail address or number; may be repeated, - reads it.",
)
@click.option("--received-on", type=DAY, metavar="DAY", help="When it came in; today by default.")
@click.option("--verified-by", metavar="NAME", help="Who checked that it is really this person who asks; needed for erasure.")
@click.option("--consent", metavar="NAME", help="The consent that is withdrawn; all of them by default.")
@click.option("--marketing", is_flag=True, help="An objection to direct marketing, which ends it at once.")
@click.pass_obj
def add_one(
    session: Session,
    kind: RequestKind,
    subjects: tuple[str, ...],
    received_on: dt.date | None,
    verified_by: str | None,
    consent: str | None,
    *,
    marketing: bool,
) -> int:
    """Record a request; every decision respects it from then on.

    What rests on consent or legitimate interests ends with a verified erasure; legal obligations stay.
    """
    with session.machine() as machine:
        whom = typed(session, subjects, "identifier")
        row = add_request(
            machine,
            kind=kind,
            identifiers=whom,
            received_on=received_on,
            verified_by=verified_by,
            consent=consent,
            marketing=marketing,
        )
        ways = sought(machine, whom)
    session.show(f"Request {row.request_id} is recorded; it has to be answered by {row.answer_by}.")
    _say_how(session, ways)
    return 0


@request.command("list", epilog="Example: retention request list --all")
@click.option("--all", "everything", is_flag=True, help="Also those that were closed.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def list_requests(session: Session, *, everything: bool, as_json: bool) -> int:
    """List the requests.

    Who asked is kept as a keyed value only, and not shown.
    """
    with session.machine() as machine:
        rows = machine.ledger.requests(active=not everything)
    if as_json:
        session.data([_without_tokens(asdict(each)) for each in rows])
    else:
        session.show(request_table(rows, session.out.width))
    return 0


@request.command(epilog="Example: retention request uphold request-0a1b2c3d --by 'D. Officer'")
@click.argument("request_id", metavar="ID")
@click.option("--by", required=True, metavar="NAME", help="Who decided.")
@click.pass_obj
def uphold(session: Session, request_id: str, by: str) -> int:
    """Decide that a person objects rightly (GDPR 21(1)).

    What rests on legitimate interests or a public task ends on the day the objection came in, and is carried out at the next run; what is
    needed for legal claims stays. Close the request when that has been done. An objection that is not upheld is closed with that outcome.
    """
    with session.machine() as machine:
        uphold_request(machine, request_id, by)
    session.show(f"Request {request_id} is upheld; what it ends goes at the next run.")
    return 0


@request.command(epilog="Example: retention request close request-0a1b2c3d --outcome 'erased, invoices stay until 2030'")
@click.argument("request_id", metavar="ID")
@click.option("--outcome", required=True, metavar="TEXT", help="What was answered; no personal data.")
@click.pass_obj
def close(session: Session, request_id: str, outcome: str) -> int:
    """Close a request with what came of it.

    From then on it no longer plays a part in deciding.
    """
    with session.machine() as machine:
        close_request(machine, request_id, outcome)
    session.show(f"Request {request_id} is closed.")
    return 0


_HOW = {
    Sought.EVERY_WAY: "The telephone number is looked for however records write it: with or without its country's code, spaces and signs.",
    Sought.NO_COUNTRY: "The number is looked for as it was typed: the policy file says no `country` in [organisation], so a record that "
    "writes it with its country's code, or without, is another person's.",
    Sought.DOUBTFUL: "The number is looked for as it was typed, because it may be another number than a telephone's. "
    "If it is a telephone's, type its first 0, or + and its country's code, too.",
    Sought.NO_NUMBER: "A number is looked for as it was typed: it is too short or too long for a telephone number.",
}


def _say_how(session: Session, ways: Iterable[Sought]) -> None:
    """Say how the numbers that were typed are looked for, without repeating them."""
    for each in ways:
        session.show(_HOW[each])


def _without_tokens(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row without its keyed values: nobody who reads a list needs them."""
    return {name: value for name, value in row.items() if name not in _SECRET}
