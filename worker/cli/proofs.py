"""`retention audit prove`, and what `retention audit verify` says about a proof."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from worker import bootstrap
from worker.audit.note import VerifierKey
from worker.audit.proof import BEGINNING, parsed, rendered
from worker.audit.proofcheck import ProofVerdict, check
from worker.audit.search import Became, Found
from worker.cli.marks import record_key
from worker.cli.paper import LANG, write
from worker.cli.session import FILE, Session, typed
from worker.cli.tables import trace_table
from worker.errors import ConfigurationError
from worker.paper import Lang
from worker.reports.person import person_page
from worker.usecases.applying import DONE, PARTIAL
from worker.usecases.machine import Machine
from worker.usecases.proving import Made, Signing, Stays, prove_record, prove_subject, stays_of_record, stays_of_subject

FAILED = 1


@click.command(
    epilog="\b\nExamples:\n  retention audit prove --subject - -o proof.json\n"
    "  retention audit prove --subject - -o proof.json --html proof.html --lang nl\n"
    "  retention audit prove --source contacts --key - -o proof.json"
)
@click.option("--subject", "subjects", multiple=True, metavar="-|TEXT", help="A person's e-mail address or number; - reads it.")
@click.option("--source", metavar="NAME", help="The source of one record; SOURCE.CHILD for rows that go along with their records.")
@click.option("--key", metavar="-|KEY", help="The record's key, its parts separated by commas; - reads it.")
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path), metavar="[FILES]...")
@click.option("-o", "--output", type=FILE, metavar="FILE", help="Where the proof goes, instead of standard output.")
@click.option("--html", type=FILE, metavar="FILE", help="Also write a page that the person can read; asks the systems what stays.")
@LANG
@click.pass_obj
def prove(
    session: Session,
    subjects: tuple[str, ...],
    source: str | None,
    key: str | None,
    paths: tuple[Path, ...],
    output: Path | None,
    html: Path | None,
    lang: str,
) -> int:
    """Prove to one person what was done with their data.

    Writes one file with their events out of FILES (audit files or folders, by default the audit folder), their hashes up to signed
    checkpoints, what closed and read back their batches, and the holds and requests about them; `retention audit verify` checks it without
    the log. It names nobody in the clear, and nobody else at all but by keyed references. Look at it before you hand it over: a hold may
    be something that the person is not to know yet. The page says the same in words, with what stays, why and until when. Exit code 5 when
    something of it was not signed at its time, came to no end, or could not be read; 2 when the trail says nothing.
    """
    if bool(subjects) == (source is not None) or (source is None) is not (key is None):
        raise click.UsageError("Give either --subject, or --source and --key.")
    if html is None and lang != Lang.EN:
        raise click.UsageError("--lang goes with --html.")
    with session.machine() as machine:
        signer = bootstrap.signer(machine.keyring)
        signing = Signing(signer.sign, signer.verifier)
        if source is not None and key is not None:
            chosen = record_key(session, key)
            made = prove_record(machine, source, chosen, signing, paths)
            stays = stays_of_record(machine, source, chosen) if html is not None else None
        else:
            whom = typed(session, subjects, "identifier")
            made = prove_subject(machine, whom, signing, paths)
            stays = stays_of_subject(machine, whom) if html is not None else None
        return _hand_out(session, machine, made, stays, output, html, Lang(lang))


def _hand_out(
    session: Session, machine: Machine, made: Made, stays: Stays | None, output: Path | None, html: Path | None, lang: Lang
) -> int:
    """Write the proof and the page, and return the exit code."""
    if html is not None and stays is not None:
        write(person_page(made, machine.schedule, stays, lang, machine.now()), html)
        session.say(f"The page is in {html}.")
        for name in stays.unread:
            session.say(f"{name} could not be read: the page says so.", style="red")
    if not made.proof.events:
        if html is None:
            raise ConfigurationError("The trail says nothing about it, so there is nothing to prove.")
        session.say("The trail says nothing about it: there is a page, and no proof.")
        return PARTIAL if output is not None or (stays is not None and stays.unread) else DONE
    write(rendered(made.proof).decode("ascii"), output)
    said = made.verdict
    session.say(f"{said.events} events about {'them' if said.asked == 'subject' else 'it'}{f' are in {output}' if output else ''}.")
    _say_partial(session, said)
    return PARTIAL if said.partial or (stays is not None and stays.unread) else DONE


def is_proof(path: Path) -> bool:
    """Whether a file says that it is a proof."""
    try:
        with path.open("rb") as file:
            return file.read(len(BEGINNING)) == BEGINNING
    except OSError:
        return False


def show_check(session: Session, path: Path, keys: Sequence[VerifierKey], *, as_json: bool) -> int:
    """Check a proof, print what was found, and return the exit code. Raises ConfigurationError for one that holds no event."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{path} can't be read: {error.strerror}.") from None
    verdict = check(content, keys)
    if verdict.accepted and not verdict.events:
        raise ConfigurationError(f"{path} holds no event, so nothing was verified.")
    # What a proof that is not accepted says is nobody's business to repeat.
    told = [(each, each.payload()) for each in parsed(content).events] if verdict.accepted else []
    if as_json:
        events = [
            {"stream": each.stream, "line": each.n + 1, "role": each.role, "became": each.became, "event": event} for each, event in told
        ]
        session.data({**_verdict_json(verdict), "told": events})
    else:
        if told:
            session.show(trace_table(Found(path, each.n + 1, each.stream, event, each.became) for each, event in told))
        _show(session, path, verdict)
    return FAILED if not verdict.accepted else PARTIAL if verdict.partial else DONE


def _verdict_json(verdict: ProofVerdict) -> dict[str, Any]:
    """Return what was found for programs."""
    return {
        "accepted": verdict.accepted,
        "partial": verdict.partial,
        "made_at": verdict.made_at,
        "organisation": verdict.organisation,
        "asked": verdict.asked,
        "references": verdict.references,
        "events": verdict.events,
        "became": {each.value: count for each, count in verdict.became.items()},
        "unsigned": verdict.unsigned,
        "not_read_back": verdict.not_read_back,
        "findings": [asdict(each) for each in verdict.found],
    }


def _show(session: Session, path: Path, verdict: ProofVerdict) -> None:
    """Print what was found for people."""
    for each in verdict.found:
        session.show(f"{path}{f' {each.where}' if each.where else ''}: {each.flaw}: {each.what}.")
    if not verdict.accepted:
        session.show(f"Not accepted: {len(verdict.found)} findings.")
        return
    session.show(
        f"{verdict.organisation} proves {verdict.events} events about one {'person' if verdict.asked == 'subject' else 'record'}, as of "
        f"{verdict.made_at}: {verdict.became[Became.DONE]} things done, {verdict.became[Became.NOT_DONE]} that came to nothing."
    )
    if verdict.not_read_back:
        session.show(f"{verdict.not_read_back} batches with effects were not read back.")
    _say_partial(session, verdict)
    session.say("That it is about this person, and that the trail says no more about them, is the organisation's word.")
    session.show(
        "Accepted in part: what is in it is as it was written." if verdict.partial else "Accepted: everything is as it was written."
    )


def _say_partial(session: Session, verdict: ProofVerdict) -> None:
    """Print what of a proof is not proven as it should be."""
    if verdict.unsigned:
        session.say(f"{verdict.unsigned} of its events come after the last checkpoint: signed with the proof, and not at their time.")
    if verdict.became[Became.OPEN]:
        session.say(f"Of {verdict.became[Became.OPEN]} intents no event says what became of them; they prove nothing.")
