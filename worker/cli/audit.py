"""`retention audit`: the key, the anchor and the check of the audit trail."""

from __future__ import annotations

from pathlib import Path

import click

from worker.bootstrap import signer
from worker.cli.plans import FILE
from worker.cli.session import Session
from worker.errors import ConfigurationError
from worker.usecases.anchoring import anchor as make_anchor


@click.group()
def audit() -> None:
    """Prove the audit trail, or check somebody else's."""


@audit.command(epilog="Example: retention audit key > retention.pub")
@click.pass_obj
def key(session: Session) -> int:
    """Print the public key that the trail is signed for.

    Give it to the auditor by a way that nobody who can change the trail controls. It is made when the first event is written or here.
    """
    with session.machine() as machine:
        click.echo(str(signer(machine.keyring).verifier))
    return 0


@audit.command(epilog="\b\nExamples:\n  retention audit anchor | mail -s anchor auditor@example.org\n  retention audit anchor -o /mnt/worm/anchor.note")
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
