"""Anchoring: the heads of all streams of the audit trail in one signed note, for somebody else to keep.

Whoever can write to the audit folder can also take files out of it. The note makes that show, once it lies where they can't write.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256

from worker.audit.checkpoint import Head, anchor_text
from worker.audit.endings import sealed_end
from worker.audit.events import Action
from worker.audit.lines import archived_files, archived_stream_of
from worker.audit.packaging import plain
from worker.audit.render import instant
from worker.errors import ConfigurationError
from worker.usecases.machine import Machine


def anchor(machine: Machine, sign: Callable[[str], str], keep: Callable[[str], None]) -> str:
    """Sign the heads of all streams, hand the note to `keep`, and write an event about it; returns the note.

    Streams that are being written are in it as far as they are sealed, this process's own one too. Raises ConfigurationError when a file of
    the trail can't be read; what `keep` raises goes through, and then there is no event.
    """
    trail = machine.trail
    heads = []
    try:
        for path in archived_files(machine.settings.audit_folder):
            with plain(path) as file:
                end = sealed_end(file)
            if end.line:
                heads.append(Head(archived_stream_of(path) or "", end.line, end.chain))
    except OSError as error:
        raise ConfigurationError(f"The audit trail in {machine.settings.audit_folder} can't be read: {error.strerror}.") from error
    note = sign(anchor_text(heads, instant(machine.now())))
    keep(note)
    trail.emit(
        Action.ANCHORED,
        {"retention.streams": len(heads), "retention.sha256": sha256(note.encode()).hexdigest(), "retention.by": machine.operator},
        sync=True,
    )
    return note
