"""`retention audit`: the key, the anchor and the check of the audit trail; what is asked of it is `audit_events`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from worker.audit.lines import archived_files
from worker.audit.note import VerifierKey
from worker.audit.verify import Finding, Verdict
from worker.audit.verify import verify as verify_files
from worker.bootstrap import signer
from worker.cli.proofs import is_proof, show_check
from worker.cli.session import FILE, Session
from worker.errors import ConfigurationError
from worker.usecases.anchoring import anchor as make_anchor


@click.group()
def audit() -> None:
    """Prove the audit trail, look into it, or check somebody else's."""


@audit.command(epilog="Example: retention audit key > retention.pub")
@click.pass_obj
def key(session: Session) -> int:
    """Print the public key that the trail is signed for.

    Give it to the auditor by a way that nobody who can change the trail controls. It is made when the first event is written or here.
    """
    with session.machine() as machine:
        click.echo(str(signer(machine.keyring).verifier))
    return 0


@audit.command(
    epilog="\b\nExamples:\n  retention audit anchor | mail -s anchor auditor@example.org\n  retention audit anchor -o /mnt/worm/anchor.note"
)
@click.option("-o", "--output", type=FILE, metavar="FILE", help="Where the note goes, instead of standard output.")
@click.pass_obj
def anchor(session: Session, output: Path | None) -> int:
    """Sign how far every file of the trail has come.

    The note is for somebody else to keep, out of reach of whoever can write to the audit folder: with it `retention audit verify` finds a
    file that was cut, taken away or exchanged. The newest note is enough. Making it is an event too.
    """

    def keep(note: str) -> None:
        if output is None:
            click.echo(note, nl=False)
            return
        try:
            output.write_text(note, encoding="utf-8")
        except OSError as error:
            raise ConfigurationError(f"The anchor can't be written to {output}: {error.strerror}.") from error

    with session.machine() as machine:
        make_anchor(machine, signer(machine.keyring).sign, keep)
    if output is not None:
        session.say(f"The anchor is in {output}: keep it where nobody who can write to the audit folder can change it.")
    return 0


@audit.command(
    epilog="\b\nExamples:\n  retention audit verify .retention/audit/*.jsonl --key retention.pub\n"
    "  retention audit verify *.gz worker.log --key NAME+HASH+KEY --anchor anchor.note\n"
    "  retention audit verify proof.json --key retention.pub"
)
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--key", "keys", multiple=True, required=True, metavar="PUB", help="The public key, or a file with it; may be repeated.")
@click.option("--anchor", "anchors", multiple=True, type=FILE, metavar="NOTE", help="A note that was kept elsewhere; may be repeated.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def verify(session: Session, files: tuple[Path, ...], keys: tuple[str, ...], anchors: tuple[Path, ...], *, as_json: bool) -> int:
    """Check log files, or a proof, that came from somewhere: without settings, ledger or network.

    FILES in any order: as they were written, rotated, compressed (gzip, bzip2, xz), or as a journal or container runtime wrapped them, with
    other lines between; a folder stands for the files of an audit trail (audit-*.jsonl) in it. Or one proof that `retention audit prove`
    made; it needs no log. Exit code 0 when everything is as it was written, 1 when something is not, 2 when nothing could be verified;
    5 for a proof of which a part was not signed at its time, or is open.
    """
    files = tuple(dict.fromkeys(path for named in files for path in _in(named)))
    proofs = [path for path in files if is_proof(path)]
    if proofs:
        if len(files) > 1 or anchors:
            raise ConfigurationError(f"{proofs[0]} is a proof and stands alone: verify it without other files and without an anchor.")
        return show_check(session, proofs[0], [VerifierKey.parse(_key_text(each)) for each in keys], as_json=as_json)
    verdict = verify_files(files, [VerifierKey.parse(_key_text(each)) for each in keys], [_read(each) for each in anchors])
    if as_json:
        session.data(_verdict_json(verdict))
    else:
        _show(session, verdict, anchored=bool(anchors))
    return 0 if verdict.whole else 1


def _in(named: Path) -> Sequence[Path]:
    """Return what was named, or the files of an audit trail in a folder that was; ConfigurationError when it has none."""
    if not named.is_dir():
        return [named]
    try:
        found = archived_files(named)
    except OSError as error:
        raise ConfigurationError(f"{named} can't be read: {error.strerror}.") from None
    if not found:
        raise ConfigurationError(f"There is no file of an audit trail (audit-*.jsonl) in {named}.")
    return found


def _show(session: Session, verdict: Verdict, *, anchored: bool) -> None:
    """Print a verdict for people: what is wrong, line by line, then how far the proof reaches."""
    for each in verdict.findings:
        session.show(f"{_place(each)}: {each.kind}: {each.what}.")
    signed = max((each.signed_at for each in verdict.streams), default="")
    lines = sum(each.lines for each in verdict.streams)
    session.show(f"{len(verdict.streams)} streams with {lines} sealed lines in {verdict.files} files; last signed {signed or 'never'}.")
    dropped = [each.dropped for each in verdict.streams if each.dropped]
    if dropped:
        session.show(f"What {sum(dropped)} events of {len(dropped)} streams said was dropped; their hashes stay and are right.")
    open_ones = [each for each in verdict.streams if each.state != "closed" and each.unsigned]
    if open_ones:
        unsigned = sum(each.unsigned for each in open_ones)
        session.show(
            f"{unsigned} lines of {len(open_ones)} streams that were not closed come after their last checkpoint: nobody signed them."
        )
    if not anchored:
        session.say("Without an anchor nobody can tell whether a whole file, or the end of one, is missing (--anchor).")
    session.show("Whole: everything is as it was written." if verdict.whole else f"Broken: {len(verdict.findings)} findings.")


def _place(found: Finding) -> str:
    """Return where a finding is, in the form that editors open."""
    file = str(found.file) if found.file.name else f"stream {found.stream}"
    if not found.line:
        return file
    return f"{file}:{found.line}" if found.line == found.last else f"{file}:{found.line}-{found.last}"


def _verdict_json(verdict: Verdict) -> dict[str, Any]:
    """Return a verdict for programs."""
    findings = [{**asdict(each), "kind": str(each.kind), "file": str(each.file) if each.file.name else None} for each in verdict.findings]
    streams = [asdict(each) for each in verdict.streams]
    return {"whole": verdict.whole, "files": verdict.files, "lines": verdict.lines, "streams": streams, "findings": findings}


def _key_text(given: str) -> str:
    """Return a key that was typed, or what is in the file of that name."""
    path = Path(given)
    return given if "+" in given and not path.exists() else _read(path)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ConfigurationError(f"{path} can't be read: {why}.") from None
