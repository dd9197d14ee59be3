"""Proof for one person: what the trail says about them, signed, and what the systems still hold about them and why.

Identifiers arrive here in the clear and leave as keyed references; nothing of them is kept, logged or put in an error text or a proof.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from worker.audit.note import VerifierKey
from worker.audit.proof import Proof, Reference, rendered, signed
from worker.audit.proofcheck import Flaw, ProofVerdict, check
from worker.audit.proving import prove
from worker.audit.render import instant
from worker.errors import ConfigurationError, NoSuchRecord, RetentionError
from worker.usecases.explaining import Explanation, explain_record, explain_subject
from worker.usecases.machine import Machine
from worker.usecases.tracing import audit_files, references_of_record, references_of_subject

SUBJECT, RECORD = "subject", "record"


@dataclass(frozen=True, slots=True)
class Signing:
    """Who signs a proof, and the public half by which it is checked before it is handed out."""

    sign: Callable[[str], str]
    verifier: VerifierKey


@dataclass(frozen=True, slots=True)
class Made:
    """A signed proof and what checking it said."""

    proof: Proof
    verdict: ProofVerdict


@dataclass(frozen=True, slots=True)
class Stays:
    """What the systems hold on a local day: every record about whom was asked, and the sources that could not be read.

    blind -- sources in which nobody can be looked for: they declare nothing that identifies a person, or no policy.
    """

    as_of: dt.date
    records: list[Explanation] = field(default_factory=list)
    unread: tuple[str, ...] = ()
    blind: tuple[str, ...] = ()


def prove_subject(machine: Machine, identifiers: Sequence[str], signing: Signing, paths: Sequence[Path] = ()) -> Made:
    """Return what the trail proves about one person; see `_made`."""
    return _made(machine, SUBJECT, references_of_subject(machine, identifiers), signing, paths)


def prove_record(machine: Machine, source: str, key: str, signing: Signing, paths: Sequence[Path] = ()) -> Made:
    """Return what the trail proves about one record, which need not be there any more; see `_made` and `trace_record`."""
    return _made(machine, RECORD, references_of_record(machine, source, key), signing, paths)


def _made(machine: Machine, asked: str, references: Sequence[Reference], signing: Signing, paths: Sequence[Path]) -> Made:
    """Return a signed proof that was checked as whoever gets it will.

    paths -- audit files and folders of them, by default the installation's own. Raises RetentionError when the trail doesn't bear it out:
    then the trail was changed, and what is handed out would not be believed. Raises Broken for a damaged file.
    """
    files = audit_files(machine, paths)
    organisation, made_at = machine.schedule.organisation.name, instant(machine.now())
    try:
        proof = prove(files, references, asked=asked, organisation=organisation, made_at=made_at)
    except OSError as error:
        raise ConfigurationError(f"An audit file can't be read: {error.strerror}.") from error
    proof = signed(proof, signing.sign)
    verdict = check(rendered(proof), [signing.verifier])
    # Checkpoints of before a change of the key are signed by the old one, which whoever checks has too.
    wrong = [each for each in verdict.found if each.flaw is not Flaw.OTHER_KEY]
    if wrong:
        raise RetentionError(
            f"The trail doesn't bear the proof out ({wrong[0].where or 'the proof'}: {wrong[0].what}), so none was made. "
            "`retention audit verify` says what is wrong with the trail."
        )
    return Made(proof, verdict)


def stays_of_subject(machine: Machine, identifiers: Sequence[str]) -> Stays:
    """Return what the systems hold about a person today. A source that can't be read is named, and never taken for an empty one."""
    seeing = [each.source.name for each in machine.policies() if each.source.identifiers]
    blind = tuple(name for name in machine.schedule.sources if name not in seeing)
    records: list[Explanation] = []
    unread: list[str] = []
    try:
        for each in explain_subject(machine, identifiers):
            match each:
                case Explanation():
                    records.append(each)
                case (name, _):
                    unread.append(name)
    except RetentionError:
        # Facts over several sources are gathered before any is judged: without one of them nothing can be said about the others.
        return Stays(machine.today(), unread=tuple(seeing), blind=blind)
    return Stays(machine.today(), records, tuple(unread), blind)


def stays_of_record(machine: Machine, source: str, key: str) -> Stays:
    """Return what the system holds of a record today: nothing, when it is gone. Rows that only go along have no policy to ask."""
    if machine.schedule.policy(source) is None:
        return Stays(machine.today(), blind=(source,))
    try:
        return Stays(machine.today(), [explain_record(machine, source, key)])
    except NoSuchRecord:
        return Stays(machine.today())
    except RetentionError:
        return Stays(machine.today(), unread=(source,))
