"""Plan files: frozen decisions, without personal data, that nobody can change unnoticed.

A plan is a text file of JSON lines. The first line is the header, then one line per batch, then the summary with the MAC over every byte
before it (HMAC-SHA-256, key `plan-mac`). A batch line says which batch it is and of how many records, and holds it packed, in base64: its
key range sealed, a table of reasons (what, due day, why, and a keyed fingerprint of the facts used), and per record a keyed reference and
the position of its reason. Packed it travels to whoever carries it out, so a run of millions begins without looking into it. Reading is by
line, so memory stays constant; the MAC is checked over the whole file before the first batch is believed. Batches are read a second time,
later, when another file may have the name: what is read then must be, to the last byte, what was checked.

Threat model: somebody who can write the file but not read the keys may not be able to make `apply` do anything that was not planned:
every byte is under the MAC, and the plan's id, digest and expiry stand in the ledger too. Somebody who reads the file learns counts,
periods, due days and which rules apply, and nothing about anybody.
"""

from __future__ import annotations

import binascii
import datetime as dt
import hashlib
import hmac
import json
import os
import struct
import sys
import zlib
from array import array
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from worker.errors import ConfigurationError, Refused

FORMAT = "retention-plan/3"
REPLAY = "replay of "
"""What the reasons of a replay begin with; the batch and the run follow, then a colon and the purposes."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a plan was made from; instants are aware UTC, `as_of` is the local day it decides for.

    replay -- it deletes what was deleted before and came back, and nothing else.
    """

    plan_id: str
    made_at: dt.datetime
    made_by: str
    as_of: dt.date
    expires_at: dt.datetime
    policies: Mapping[str, str]
    shapes: Mapping[str, str]
    ref_key_id: str
    replay: bool = False


class Reason(NamedTuple):
    """What happens to records and why: a tuple, because thousands are read with every batch.

    why -- every purpose with its state; facts -- the keyed fingerprint of the facts that led to it; fields -- for treatments.
    """

    action: str
    due: dt.date
    why: str
    facts: str
    fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PlannedBatch:
    """One batch: `records` maps a record's reference to the position of its reason."""

    batch_id: str
    source: str
    number: int
    sealed_range: str
    reasons: Sequence[Reason]
    records: Mapping[str, int]


class Parcel(NamedTuple):
    """One batch of `planned` records, packed: what stands in the plan file, and in the ledger for whoever carries it out."""

    batch_id: str
    source: str
    number: int
    planned: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Summary:
    """Counts per source and the findings, as the plan shows them to a person."""

    counts: Mapping[str, Mapping[str, Any]]
    findings: Sequence[Mapping[str, Any]]


class PlanWriter:
    """Writes one plan file; it appears under its name only when it is complete."""

    def __init__(self, path: Path, header: Header, secret: bytes) -> None:
        self.path = path
        self._partial = path.with_name(path.name + ".part")
        self._mac = hmac.new(secret, digestmod=hashlib.sha256)
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self._partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise ConfigurationError(
                f"The plan file {path} can't be written: {error.strerror}. Choose another place with -o or RETENTION_PLANS."
            ) from None
        self._file = os.fdopen(descriptor, "wb")
        self._line(
            {
                "format": FORMAT,
                "plan": header.plan_id,
                "made_at": header.made_at.isoformat(),
                "made_by": header.made_by,
                "as_of": header.as_of.isoformat(),
                "expires_at": header.expires_at.isoformat(),
                "policies": dict(header.policies),
                "shapes": dict(header.shapes),
                "ref_key": header.ref_key_id,
                **({"replay": True} if header.replay else {}),
            }
        )

    def __enter__(self) -> Self:
        """Return the writer."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Leave nothing behind unless the plan was finished."""
        if not self._file.closed:
            # On a full disk closing tries once more to write what is left, and fails as the write before it did.
            with suppress(OSError):
                self._file.close()
            self._partial.unlink(missing_ok=True)

    def batch(self, batch: PlannedBatch) -> None:
        """Write one batch."""
        body = binascii.b2a_base64(packed(batch), newline=False).decode("ascii")
        self._line({"batch": batch.batch_id, "source": batch.source, "number": batch.number, "planned": len(batch.records), "body": body})

    def finish(self, summary: Summary) -> str:
        """Write the summary and the MAC, put the file in its place durably, and return the MAC in hexadecimal."""
        self._line({"counts": summary.counts, "findings": list(summary.findings)})
        mac = self._mac.hexdigest()
        try:
            self._file.write(json.dumps({"mac": mac}).encode() + b"\n")
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._partial.replace(self.path)
            folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise ConfigurationError(f"The plan file {self.path} can't be written: {error.strerror}. Nothing was planned.") from None
        return mac

    def _line(self, value: Mapping[str, Any]) -> None:
        line = json.dumps(value, separators=(",", ":"), ensure_ascii=True).encode() + b"\n"
        self._mac.update(line)
        try:
            self._file.write(line)
        except OSError as error:
            raise ConfigurationError(f"The plan file {self.path} can't be written: {error.strerror}. Nothing was planned.") from None


class PlanFile:
    """A plan file whose MAC was found right. digest -- of the bytes that were checked, by which they are known when they are read again."""

    def __init__(self, path: Path, header: Header, summary: Summary, mac: str, digest: bytes = b"") -> None:
        self.path = path
        self.header = header
        self.summary = summary
        self.mac = mac
        self._digest = digest

    @classmethod
    def open(cls, path: Path, *secrets: bytes) -> PlanFile:
        """Return a plan after checking every byte; Refused when it was tampered with, ConfigurationError when it is no plan.

        secrets -- of every key `plan-mac` there is: a plan that was made before the key was rotated stays good until it expires.
        """
        checks = [hmac.new(secret, digestmod=hashlib.sha256) for secret in secrets]
        digest = hashlib.sha256()
        first = before = last = b""
        try:
            with path.open("rb") as file:
                for line in file:
                    digest.update(line)
                    if last:
                        for check in checks:
                            check.update(last)
                    first = first or line
                    before, last = last, line
        except OSError as error:
            raise ConfigurationError(f"The plan file {path} can't be read: {error.strerror}.") from None
        try:
            head, tail, mac = json.loads(first), json.loads(before), json.loads(last)["mac"]
            if head["format"] != FORMAT:
                raise ConfigurationError(f"{path} is a plan of another version ({head['format']}): make a new one with `retention plan`.")
            header = Header(
                head["plan"],
                dt.datetime.fromisoformat(head["made_at"]),
                head["made_by"],
                dt.date.fromisoformat(head["as_of"]),
                dt.datetime.fromisoformat(head["expires_at"]),
                head["policies"],
                head["shapes"],
                head["ref_key"],
                replay=bool(head.get("replay", False)),
            )
            summary = Summary(tail["counts"], tail["findings"])
        except (ValueError, KeyError, TypeError):
            raise Refused(f"{path} is not a whole plan file: it was cut off or changed. Make a new one with `retention plan`.") from None
        if not any(hmac.compare_digest(str(mac), check.hexdigest()) for check in checks):
            raise Refused(
                f"{path} was changed after it was made, or made with other keys: nothing is done with it. "
                "Make a new one with `retention plan`."
            )
        return cls(path, header, summary, str(mac), digest.digest())

    def parcels(self) -> Iterator[Parcel]:
        """Yield the batches, packed, in the order in which they are to be carried out.

        Believe none of them before the last one was yielded: then Refused is raised when the file isn't the one that was checked.
        """
        digest = hashlib.sha256()
        try:
            with self.path.open("rb") as file:
                for place, line in enumerate(file):
                    digest.update(line)
                    value = json.loads(line) if place else {}
                    if "batch" in value:
                        body = binascii.a2b_base64(value["body"])
                        yield Parcel(value["batch"], value["source"], value["number"], value["planned"], body)
        except OSError as error:
            raise ConfigurationError(f"The plan file {self.path} can't be read any more: {error.strerror}.") from None
        except (ValueError, KeyError, TypeError):
            raise self._replaced() from None
        if digest.digest() != self._digest:
            raise self._replaced()

    def batches(self) -> Iterator[PlannedBatch]:
        """Yield what `parcels` does, unpacked."""
        for each in self.parcels():
            try:
                yield unpacked(each.body, each.batch_id, each.source, each.number)
            except (ValueError, TypeError, struct.error, zlib.error):
                raise self._replaced() from None

    def _replaced(self) -> Refused:
        return Refused(f"{self.path} was changed or replaced while it was being read: nothing is done with it. Try again.")


_HEAD = struct.Struct(">III")
_REFERENCE_DIGITS = 32
_REMEMBERED = 8192
"""So many reasons are remembered from batch to batch."""


def packed(batch: PlannedBatch) -> bytes:
    """Return a planned batch in few bytes, without its id, source and number; ValueError for a reference that isn't 32 digits.

    References don't compress, so they stand as bytes; the sealed range with the reasons, and the positions of these, are compressed.
    """
    told = zlib.compress("\n".join((batch.sealed_range, *map(_line_of, batch.reasons))).encode("ascii"), 1)
    references = bytes.fromhex("".join(batch.records))
    if len(references) * 2 != _REFERENCE_DIGITS * len(batch.records):
        raise ValueError("a reference is 16 bytes in hexadecimal")
    positions = zlib.compress(_little_endian(array("I", batch.records.values())).tobytes(), 1)
    return _HEAD.pack(len(told), len(references), len(positions)) + told + references + positions


def unpacked(body: bytes, batch_id: str, source: str, number: int) -> PlannedBatch:
    """Return the planned batch that `packed` packed."""
    sizes = _HEAD.unpack_from(body)
    begin = _HEAD.size
    parts = []
    for size in sizes:
        parts.append(body[begin : begin + size])
        begin += size
    sealed, *reasons = zlib.decompress(parts[0]).decode("ascii").split("\n")
    digits = parts[1].hex()
    references = [digits[start : start + _REFERENCE_DIGITS] for start in range(0, len(digits), _REFERENCE_DIGITS)]
    positions = _little_endian(array("I", zlib.decompress(parts[2])))
    return PlannedBatch(batch_id, source, number, sealed, [*map(_reason_of, reasons)], dict(zip(references, positions, strict=True)))


@lru_cache(maxsize=_REMEMBERED)
def _line_of(reason: Reason) -> str:
    """Return a reason as a line of ASCII."""
    return json.dumps([reason.action, reason.due.isoformat(), reason.why, reason.facts, list(reason.fields)], separators=(",", ":"))


@lru_cache(maxsize=_REMEMBERED)
def _reason_of(line: str) -> Reason:
    """Return the reason in a line: the same object for the same one, because most come again in every batch."""
    does, due, why, facts, fields = json.loads(line)
    return Reason(does, dt.date.fromisoformat(due), why, facts, tuple(fields))


def _little_endian(numbers: array[int]) -> array[int]:
    """Return numbers as a plan file holds them, and back, whatever the machine."""
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers
