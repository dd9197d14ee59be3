"""The lines of an audit file: how they look, byte for byte, and how the seals are chained.

Rendering and parsing stand together so that they can't drift apart; docs/audit-format.md says the same in prose.
"""

from __future__ import annotations

import datetime as dt
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

FORMAT = 1
"""The version of this format, said by `retention.stream_opened`."""

SALT_BYTES = 16
FIRST_PREVIOUS = "0" * 64
"""What the first seal of a stream has as `previous`: 32 zero bytes."""

LINE_BYTES = 80
"""No event line is longer than its payload and this."""
SEAL_BYTES = 512
"""No seal line is longer than this."""
MAX_LINES = 2**18
"""The most lines of one segment, so that a reader that holds one segment needs bounded memory."""

_PLACE = struct.Struct(">QQQ")
_NAME = re.compile(r"audit-\d{8}T\d{6}Z-([0-9a-f]{32})\.jsonl")
PACKED = (".gz", ".bz2", ".xz", ".zst")
"""What the names of compressed files end in."""
_ARCHIVED = re.compile(rf"{_NAME.pattern}(?:\.\d{{1,9}}|-\d{{6,14}})?(?:{'|'.join(map(re.escape, PACKED))})?")
_NUMBER = rb"(0|[1-9][0-9]{0,17})"
_HASH = rb"([0-9a-f]{64})"
EVENT_LINE = re.compile(rb'\{"n":' + _NUMBER + rb',"salt":"([0-9a-f]{32})","event":(\{.*\})\}\n')
DROPPED_LINE = re.compile(rb'\{"n":' + _NUMBER + rb',"leaf":"' + _HASH + rb'"\}\n')
SEAL_LINE = re.compile(
    rb'\{"n":' + _NUMBER + rb',"seal":\{"stream":"([0-9a-f]{32})","segment":' + _NUMBER + rb',"first":' + _NUMBER
    + rb',"count":' + _NUMBER + rb',"root":"' + _HASH + rb'","previous":"' + _HASH + rb'","chain":"' + _HASH + rb'"\}\}\n'
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Segment:
    """Lines that were written and sealed together.

    stream -- hex id of the file's stream; number -- of the segment in the stream, from 0; first -- number of its first
    line in the stream; count -- of its event lines, without the seal; root, chain -- hex SHA-256.
    """

    stream: str
    number: int
    first: int
    count: int
    root: str
    chain: str


@dataclass(frozen=True, slots=True)
class Seal:
    """A seal line: its own line number, the segment it closes, and the chain value it continues."""

    line: int
    segment: Segment
    previous: str


def opened_on(path: Path) -> dt.date:
    """Return the day (UTC) on which an audit file was opened, by its name. Raises ValueError for another file."""
    return dt.datetime.strptime(path.name[:14], "audit-%Y%m%d").replace(tzinfo=dt.UTC).date()


def file_name(opened: str, stream: str) -> str:
    """Return the name of a stream's file; `opened` is UTC as yyyymmddThhmmssZ."""
    return f"audit-{opened}-{stream}.jsonl"


def stream_of(path: Path) -> str | None:
    """Return the stream id in a file's name, or None when it is not an audit file."""
    found = _NAME.fullmatch(path.name)
    return found.group(1) if found else None


def files(folder: Path) -> list[Path]:
    """Return the audit files of a folder, oldest name first."""
    return sorted(path for path in folder.iterdir() if stream_of(path))


def archived_stream_of(path: Path) -> str | None:
    """Return what `stream_of` does, also for the name of a whole file that was rotated or compressed."""
    found = _ARCHIVED.fullmatch(path.name)
    return found.group(1) if found else None


def archived_files(folder: Path) -> list[Path]:
    """Return the audit files of a folder, oldest name first, those that were rotated or compressed too.

    A file that lies there compressed and as it was written is being compressed now, or was left by that: it counts once.
    """
    found = sorted(path for path in folder.iterdir() if archived_stream_of(path))
    names = {path.name for path in found}
    return [path for path in found if path.suffix not in PACKED or path.stem not in names]


def chain(previous: str, root: str, stream: str, number: int, first: int, count: int) -> str:
    """Return the chain value (hex) of a segment: SHA-256 over fixed-width fields, so that none can run into the next."""
    return sha256(b"\x02" + bytes.fromhex(previous + root + stream) + _PLACE.pack(number, first, count)).hexdigest()


def event_lines(first: int, salts: bytes, payloads: Sequence[bytes]) -> list[bytes]:
    """Return the event lines of a segment; `salts` holds 16 bytes for each payload."""
    digits = salts.hex().encode("ascii")
    width = 2 * SALT_BYTES
    return [
        b'{"n":%d,"salt":"%b","event":%b}\n' % (first + place, digits[width * place : width * (place + 1)], payload)
        for place, payload in enumerate(payloads)
    ]


def dropped_lines(first: int, leaves: Sequence[bytes]) -> bytes:
    """Return the lines of a segment whose payloads and salts are dropped."""
    return b"".join(b'{"n":%d,"leaf":"%b"}\n' % (number, leaf.hex().encode("ascii")) for number, leaf in enumerate(leaves, first))


def seal_line(seal: Seal) -> bytes:
    """Return the line that closes a segment."""
    made = seal.segment
    return (
        f'{{"n":{seal.line},"seal":{{"stream":"{made.stream}","segment":{made.number},"first":{made.first},'
        f'"count":{made.count},"root":"{made.root}","previous":"{seal.previous}","chain":"{made.chain}"}}}}\n'
    ).encode("ascii")


def parse_seal(line: bytes) -> Seal | None:
    """Return the seal in a line, or None when it is another line. Says nothing about whether it is true."""
    found = SEAL_LINE.fullmatch(line)
    if found is None:
        return None
    number, stream, segment, first, count, root, previous, chained = b" ".join(found.groups()).decode("ascii").split(" ")
    made = Segment(stream, int(segment), int(first), int(count), root, chained)
    return Seal(int(number), made, previous)
