"""What can be wrong with an audit file, as an error that says which file and which line."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from worker.errors import RetentionError


class Damage(StrEnum):
    """What kind of break it is, by what it tells an auditor."""

    FOREIGN = "foreign"
    """The file's name, or something in it, is not of this format or of this stream."""
    ORDER = "order"
    """Lines are missing, doubled or moved."""
    EDITED = "edited"
    """The lines of a segment don't give the root in its seal."""
    CHAIN = "chain"
    """A seal doesn't follow from the seal before it."""
    TORN = "torn"
    """The file ends in something that was never sealed."""
    UNCLOSED = "unclosed"
    """The file ends without `retention.stream_closed`, and nobody is writing it any more."""
    ABSENT = "absent"
    """What the ledger or another event points at is not there, or its payloads were dropped."""
    COUNT = "count"
    """A closing event counts other effects than its batch has intents for."""
    REMOVED = "removed"
    """Single lines of a segment, or its seal, were taken out."""
    GAP = "gap"
    """Whole segments are missing between others, as after the loss of a rotated file."""
    INSERTED = "inserted"
    """Lines stand there that no seal of the stream vouches for, and no crash explains."""
    REORDERED = "reordered"
    """Lines are whole, and stand in another place than the writer put them."""
    DUPLICATED = "duplicated"
    """Lines stand there twice."""
    REENCODED = "re-encoded"
    """The same JSON in other bytes: written in the writer's way it is what was sealed."""
    CUT = "cut"
    """The stream ends before a line that an anchor or a later stream knows."""
    SWAPPED = "swapped"
    """The file is another one than its name or an anchor says."""
    FORGED = "forged"
    """A checkpoint that none of the auditor's keys signed, or that is about something else."""
    DROPPED = "dropped"
    """Payloads are gone, and no event says that they were dropped after their time."""
    UNSIGNED = "unsigned"
    """Lines of a closed stream that neither a checkpoint nor an anchor covers."""


class Broken(RetentionError):
    """An audit file is not what its writer wrote; the text says the file, the line and what is wrong."""

    def __init__(self, kind: Damage, path: Path, line: int, what: str) -> None:
        """Say what is wrong; `line` counts from 1, and 0 stands for the file as a whole."""
        place = f"{path.name} (line {line})" if line else path.name
        super().__init__(f"audit trail {place}: {what}. Keep the file as it is and find out who or what changed it.")
        self.kind = kind
        self.path = path
        self.line = line
